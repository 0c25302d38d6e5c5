/*
 * test_decimal.c: decimal text to double, against the C library's strtod in the C locale, to the bit:
 * chosen hard cases, ties and what lies a hair beside them, and random numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/decimal.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The bits of strtod; refused where that overflows.  In a heap block without a NUL, so that a
   sanitizer sees a read past the end. */
static void check(const char *text)
{
    size_t length = strlen(text);
    char *copy = malloc(length);
    double wanted = strtod(text, NULL), value = -1;
    bool finite = wanted - wanted == 0;
    bool done;

    assert_non_null(copy);
    memcpy(copy, text, length);
    done = gpt2i_decimal_to_double(copy, length, &value);
    free(copy);
    if (done != finite || (finite && memcmp(&value, &wanted, sizeof value) != 0))
        fail_msg("%s: wanted %a, found %a, %d", text, wanted, value, done);
}

static void test_chosen(void **state)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "0.0e5",
        "-0e-400",
        "0e999999999999999999999",
        "0.000e309",
        "1",
        "-1",
        "0.1",
        "1e-5",
        "1e-05",
        "1e-12",
        "0.00001",
        "0.000010",
        "1E22",
        "1e+23",
        "8.5e22",
        "2.5",
        "123456789012345678901234567890",
        "0.3932922657273",
        "6.9294956446009195e15",
        /* beside and on the ties of 2^53 */
        "9007199254740993",
        "9007199254740992.5",
        "9007199254740993.00000000000000000000000001",
        "9007199254740991.4999999999999999999999999999999999999",
        "9007199254740995",
        /* around the largest double, and the tie above it */
        "1e308",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e309",
        "1e310",
        "1e311",
        "1e99999999999999999999",
        /* around the smallest normal and the smallest denormal double */
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "2.225073858507201e-308",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.47032822920623272e-324",
        "7.4109846876186981e-324",
        "5e-324",
        "3e-324",
        "1e-323",
        "1e-324",
        "1e-330",
        "1e-331",
        "1e-99999999999999999999",
        /* published hard cases of other readers */
        "3.2378839133029012895883524125015321748630094135e-319",
        "3571e266",
        "3.08984926168550152811e-32",
        "7120190517612959703e120",
        "6.6312368714697582767853966e-290",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        check(texts[i]);
}

/* Halves "0.123" or "123.4" in place, which takes one more digit. */
static void halve(char *text)
{
    int carry = 0;

    for (; *text != '\0'; text++) {
        if (*text != '.') {
            int digit = *text - '0' + 10 * carry;

            *text = (char)('0' + digit / 2);
            carry = digit % 2;
        }
    }
    text[0] = (char)('0' + 5 * carry);
    text[1] = '\0';
}

/* A tie between two doubles, written out exactly: itself, and with its last digit moved. */
static void check_tie(char *text)
{
    char *last = text + strlen(text) - 1;

    assert_int_equal(*last, '5');
    check(text);
    *last = '4';
    check(text);
    *last = '6';
    check(text);
}

/* Odd multiples of 2^-1075 lie between two denormals; near 2^-1022 they have 767 digits. */
static void test_ties(void **state)
{
    static const double doubled[] = {0x1p-1074,
                                     0x3p-1074,
                                     0x5p-1074,
                                     0x7p-1074,
                                     0x123456789abp-1074,
                                     0x1fffffffffffffp-1074,
                                     0x1ffffffffffffdp-1074,
                                     0x10000000000001p-1074};
    char text[2000];

    (void)state;
    for (size_t i = 0; i < COUNT(doubled); i++) {
        snprintf(text, sizeof text, "%.1074f", doubled[i]);
        halve(text);
        check_tie(text);
        /* far more digits than are kept, all zero but the last */
        snprintf(text, sizeof text, "%.1074f", doubled[i]);
        halve(text);
        memset(text + strlen(text), '0', 700);
        text[1776] = '\0';
        check(text);
        text[1775] = '1';
        check(text);
    }
}

/* The digit that decides, at every place around the 768 that are kept, and the point anywhere. */
static void test_long(void **state)
{
    char text[4000];

    (void)state;
    for (int zeros = 1; zeros<1600; zeros += zeros> 740 && zeros < 780 ? 1 : 13) {
        int length = snprintf(text, sizeof text, "9007199254740993.%0*d", zeros, 0);

        check(text);
        text[length - 1] = '1';
        check(text);
        length = snprintf(text, sizeof text, "0.%0*d9007199254740993", zeros, 0);
        check(text);
        snprintf(text + length, sizeof text - (size_t)length, "%0*de%d", zeros, 1, zeros);
        check(text);
        snprintf(text, sizeof text, "9007199254740993%0*de-%d", zeros, 0, zeros + zeros % 300);
        check(text);
        snprintf(text, sizeof text, "9007199254740993%0*de-%d", zeros, 1, zeros + zeros % 300);
        check(text);
    }
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 32;
}

static void test_random(void **state)
{
    uint64_t random = 12345;
    char text[160];

    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = next_random(&random) << 32 | next_random(&random);
        double value;

        if (i % 3 == 0)
            bits &= ((uint64_t)1 << 54) - 1; /* denormals and the smallest normal doubles */
        memcpy(&value, &bits, sizeof value);
        if (value - value != 0)
            continue;
        snprintf(text, sizeof text, "%.*e", (int)(next_random(&random) % 30), value);
        check(text);
        snprintf(text, sizeof text, "%u%u.%u%ue%d", (unsigned)next_random(&random) | 1,
                 (unsigned)next_random(&random), (unsigned)next_random(&random),
                 (unsigned)next_random(&random), (int)(next_random(&random) % 680) - 350);
        check(text);
        snprintf(text, sizeof text, "%u.%06ue-%u", (unsigned)(next_random(&random) % 10),
                 (unsigned)(next_random(&random) % 1000000), (unsigned)(next_random(&random) % 30));
        check(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chosen),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests_name("decimal", tests, NULL, NULL);
}
