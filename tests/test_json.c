/*
 * test_json.c: the JSON parser: what it accepts and refuses, its strings and numbers.
 *
 * Every text is parsed in a heap block of exactly its size, so that a sanitizer sees any read past
 * its end.
 *
 * WRAP := mmap mmap64 munmap
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/formats/json.h"
#include "bounds.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static char line[512];
static struct gpt2i_error error = {line, sizeof line};

struct text {
    const char *bytes;
    size_t length;
};
#define TEXT(literal)               \
    {                               \
        literal, sizeof literal - 1 \
    }

static char *copy_of(const char *bytes, size_t length)
{
    char *copy = malloc(length + (length == 0));

    assert_non_null(copy);
    memcpy(copy, bytes, length);
    return copy;
}

/* Walks all events and decodes what can be decoded; the first status that is not OK. */
static int32_t walk(const char *bytes, size_t length)
{
    char *copy = copy_of(bytes, length);
    struct gpt2i_json json;
    struct gpt2i_json_event event;
    int32_t status;

    line[0] = '\0';
    gpt2i_json_begin(&json, copy, length, "x.json");
    do {
        status = gpt2i_json_next(&json, &event, &error);
        if (status == GPT2_OK &&
            (event.type == GPT2I_JSON_KEY || event.type == GPT2I_JSON_STRING)) {
            char buffer[256];
            size_t n_bytes;

            status = gpt2i_json_string(&json, &event, buffer, sizeof buffer, &n_bytes, &error);
            (void)gpt2i_json_equal(&event, "a");
        } else if (status == GPT2_OK && event.type == GPT2I_JSON_NUMBER) {
            double value;
            uint64_t integer;

            (void)gpt2i_json_u64(&json, &event, UINT64_MAX, &integer, NULL);
            status = gpt2i_json_double(&json, &event, &value, &error);
        }
    } while (status == GPT2_OK && event.type != GPT2I_JSON_END);
    free(copy);
    return status;
}

/* Skips the whole text as one value, then wants the end. */
static int32_t skip_all(const char *bytes, size_t length)
{
    char *copy = copy_of(bytes, length);
    struct gpt2i_json json;
    struct gpt2i_json_event event = {.type = GPT2I_JSON_NULL};
    int32_t status;

    gpt2i_json_begin(&json, copy, length, "x.json");
    status = gpt2i_json_skip(&json, &error);
    if (status == GPT2_OK)
        status = gpt2i_json_next(&json, &event, &error);
    if (status == GPT2_OK)
        assert_int_equal(event.type, GPT2I_JSON_END);
    free(copy);
    return status;
}

static const struct text accepted[] = {
    TEXT("0"),
    TEXT("-0"),
    TEXT(" 10 "),
    TEXT("1.5e+3"),
    TEXT("1E-2"),
    TEXT("-0.0e0"),
    TEXT("true"),
    TEXT("false"),
    TEXT("null"),
    TEXT("\"\""),
    TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\""),
    TEXT("\"\\u0000\""),
    TEXT("\"\\uD834\\udd1e\""),
    TEXT("\"\x7f\""),
    TEXT("\"\xc2\x80 \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf\""),
    TEXT("[]"),
    TEXT("[ ]"),
    TEXT("{}"),
    TEXT("\t\r\n{ }\n"),
    TEXT("[[],{},[[]]]"),
    TEXT("{\"a\":[1,{\"b\":null}],\"a\":2}"),
    TEXT("[\"a\" , 1 , true]"),
};

/* Bytes, and what the error line says about them. */
static const struct {
    struct text text;
    const char *says;
} refused[] = {
    {TEXT(""), "byte 0: the text ends where a value is wanted"},
    {TEXT(" "), "byte 1: the text ends"},
    {TEXT("\xef\xbb\xbf{}"), "byte 0: wanted a value"},
    {TEXT("nul"), "wanted a value"},
    {TEXT("nulL"), "wanted a value"},
    {TEXT("True"), "wanted a value"},
    {TEXT("NaN"), "wanted a value"},
    {TEXT("Infinity"), "wanted a value"},
    {TEXT("-Infinity"), "wanted a digit"},
    {TEXT("'a'"), "wanted a value"},
    {TEXT("1 2"), "byte 2: wanted nothing after"},
    {TEXT("{}x"), "byte 2: wanted nothing after"},
    {TEXT("{}\0"), "byte 2: wanted nothing after"},
    {TEXT("[] // why"), "wanted nothing after"},
    {TEXT("01"), "byte 1: wanted nothing after"},
    {TEXT("-"), "byte 1: wanted a digit"},
    {TEXT("+1"), "wanted a value"},
    {TEXT(".5"), "wanted a value"},
    {TEXT("1."), "after the decimal point"},
    {TEXT("1.e5"), "after the decimal point"},
    {TEXT("1e"), "in the exponent"},
    {TEXT("1e+"), "in the exponent"},
    {TEXT("0x10"), "wanted nothing after"},
    {TEXT("1e999"), "found 1e999, wanted a number that a double can hold"},
    {TEXT("\""), "ends inside a string"},
    {TEXT("\"a"), "byte 2: the text ends inside a string"},
    {TEXT("\"a\nb\""), "control character"},
    {TEXT("\"a\0b\""), "control character"},
    {TEXT("\"\\"), "escape"},
    {TEXT("\"\\x41\""), "escape"},
    {TEXT("\"\\\0\""), "escape"},
    {TEXT("\"\\U0041\""), "escape"},
    {TEXT("\"\\u004\""), "four hex digits"},
    {TEXT("\"\\u00g0\""), "four hex digits"},
    {TEXT("\"\\u"), "four hex digits"},
    {TEXT("\"\\ud800\""), "surrogate"},
    {TEXT("\"\\ud800\\n\""), "surrogate"},
    {TEXT("\"\\ud800abcdefgh\""), "surrogate"},
    {TEXT("\"\\ud800\\u0041\""), "surrogate"},
    {TEXT("\"\\ud800\\ud800\""), "surrogate"},
    {TEXT("\"\\udc00\\ud800\""), "surrogate"},
    {TEXT("\"\x80\""), "valid UTF-8"},
    {TEXT("\"\xc0\x80\""), "valid UTF-8"},
    {TEXT("\"\xc1\xbf\""), "valid UTF-8"},
    {TEXT("\"\xc3\""), "valid UTF-8"},
    {TEXT("\"\xe0\x9f\x80\""), "valid UTF-8"},
    {TEXT("\"\xe1\x80\""), "valid UTF-8"},
    {TEXT("\"\xe1\x80\x41\""), "valid UTF-8"},
    {TEXT("\"\xed\xa0\x80\""), "valid UTF-8"},
    {TEXT("\"\xf0\x8f\x80\x80\""), "valid UTF-8"},
    {TEXT("\"\xf4\x90\x80\x80\""), "valid UTF-8"},
    {TEXT("\"\xf5\x80\x80\x80\""), "valid UTF-8"},
    {TEXT("\"\xff\""), "valid UTF-8"},
    {TEXT("["), "the text ends"},
    {TEXT("[1"), "wanted ',' or ']'"},
    {TEXT("[1,"), "the text ends"},
    {TEXT("[1,]"), "wanted a value"},
    {TEXT("[,1]"), "wanted a value"},
    {TEXT("[1 2]"), "wanted ',' or ']'"},
    {TEXT("[1}"), "wanted ',' or ']'"},
    {TEXT("]"), "wanted a value"},
    {TEXT("{"), "wanted a key"},
    {TEXT("{]"), "wanted a key"},
    {TEXT("{1:2}"), "wanted a key"},
    {TEXT("{a:1}"), "wanted a key"},
    {TEXT("{\"a\"}"), "wanted ':'"},
    {TEXT("{\"a\" 1}"), "wanted ':'"},
    {TEXT("{\"a\":}"), "wanted a value"},
    {TEXT("{\"a\":1,}"), "wanted a key"},
    {TEXT("{\"a\":1 \"b\":2}"), "wanted ',' or '}'"},
    {TEXT("{\"a\":1]"), "wanted ',' or '}'"},
    {TEXT("{\"a\"::1}"), "wanted a value"},
    {TEXT("{,}"), "wanted a key"},
};

static void test_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(accepted); i++) {
        if (walk(accepted[i].bytes, accepted[i].length) != GPT2_OK)
            fail_msg("%s: %s", accepted[i].bytes, line);
        assert_int_equal(skip_all(accepted[i].bytes, accepted[i].length), GPT2_OK);
    }
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        int32_t status = BOUNDED(walk(refused[i].text.bytes, refused[i].text.length));

        if (status != GPT2_ERR_FORMAT || strstr(line, refused[i].says) == NULL ||
            strncmp(line, "x.json: byte ", 13) != 0)
            fail_msg("case %zu, %s: status %d, %s", i, refused[i].text.bytes, (int)status, line);
    }
}

/* No prefix of a container is a text, and none makes the parser read past its end. */
static void test_every_prefix(void **state)
{
    static const char text[] =
        "{\"k\\u00e9\": [1.5e-3, -2, \"\\ud834\\udd1e\xc3\xa9\", true, false, "
        "null, {\"a\": []}, 12]}";

    (void)state;
    for (size_t length = 0; length < sizeof text - 1; length++) {
        assert_int_equal(BOUNDED(walk(text, length)), GPT2_ERR_FORMAT);
        assert_int_equal(skip_all(text, length), GPT2_ERR_FORMAT);
    }
    assert_int_equal(walk(text, sizeof text - 1), GPT2_OK);
}

static void test_depth(void **state)
{
    char text[132];

    (void)state;
    for (int depth = 63; depth <= 66; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        assert_int_equal(BOUNDED(walk(text, 2 * (size_t)depth)),
                         depth <= 64 ? GPT2_OK : GPT2_ERR_FORMAT);
    }
    assert_non_null(strstr(line, "byte 64: nested deeper than 64"));
    assert_int_equal(skip_all(text, sizeof text), GPT2_ERR_FORMAT);
}

/* Two hundred thousand damaged copies of one text: any status will do, a bad read will not. */
static void test_damaged(void **state)
{
    static const char text[] =
        "{\"a\": [1.5e-3, -2, \"\\ud834\\udd1e\xc3\xa9\"], \"b\": {\"c\": null}}";
    uint32_t random = 1;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        char damaged[sizeof text];
        size_t length = sizeof text - 1;

        memcpy(damaged, text, sizeof text);
        for (int j = 0; j < 3; j++) {
            random = random * 1664525 + 1013904223;
            damaged[(random >> 8) % length] = text[(random >> 16) % length];
        }
        if (i % 3 == 0)
            length = (random >> 4) % length;
        assert_true((walk(damaged, length) == GPT2_OK) || line[0] != '\0');
        (void)skip_all(damaged, length);
    }
}

static void test_events(void **state)
{
    static const char text[] = " {\"a\":[1,\"s\"],\"b\":{},\"c\":true} ";
    static const enum gpt2i_json_type wanted[] = {
        GPT2I_JSON_OBJECT_BEGIN, GPT2I_JSON_KEY,          GPT2I_JSON_ARRAY_BEGIN,
        GPT2I_JSON_NUMBER,       GPT2I_JSON_STRING,       GPT2I_JSON_ARRAY_END,
        GPT2I_JSON_KEY,          GPT2I_JSON_OBJECT_BEGIN, GPT2I_JSON_OBJECT_END,
        GPT2I_JSON_KEY,          GPT2I_JSON_TRUE,         GPT2I_JSON_OBJECT_END,
        GPT2I_JSON_END,          GPT2I_JSON_END,
    };
    struct gpt2i_json json;
    struct gpt2i_json_event event;

    (void)state;
    gpt2i_json_begin(&json, text, sizeof text - 1, "x.json");
    for (size_t i = 0; i < COUNT(wanted); i++) {
        assert_int_equal(gpt2i_json_next(&json, &event, &error), GPT2_OK);
        assert_int_equal(event.type, wanted[i]);
    }
    /* skipping where no value is next */
    gpt2i_json_begin(&json, "[1]", 3, "x.json");
    assert_int_equal(gpt2i_json_next(&json, &event, &error), GPT2_OK);
    assert_int_equal(gpt2i_json_skip(&json, &error), GPT2_OK);
    assert_int_equal(gpt2i_json_skip(&json, &error), GPT2_ERR_FORMAT);
}

static struct gpt2i_json_event first_event(struct gpt2i_json *json, const char *text)
{
    struct gpt2i_json_event event;

    gpt2i_json_begin(json, text, strlen(text), "x.json");
    assert_int_equal(gpt2i_json_next(json, &event, &error), GPT2_OK);
    return event;
}

static void test_strings(void **state)
{
    static const char decoded[] = "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e z";
    struct gpt2i_json json;
    struct gpt2i_json_event event =
        first_event(&json, "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00E9\\u20ac\\ud834\\uDD1E z\"");
    char buffer[sizeof decoded - 1];
    char shown[GPT2I_JSON_SHOWN_BYTES];
    size_t n_bytes;

    (void)state;
    assert_int_equal(gpt2i_json_string(&json, &event, buffer, sizeof buffer, &n_bytes, &error), 0);
    assert_int_equal(n_bytes, sizeof buffer);
    assert_memory_equal(buffer, decoded, sizeof buffer);
    assert_true(gpt2i_json_equal(&event, decoded));
    assert_int_equal(gpt2i_json_string(&json, &event, buffer, sizeof buffer - 1, &n_bytes, &error),
                     GPT2_ERR_FORMAT);
    assert_int_equal(n_bytes, 0);
    assert_non_null(strstr(line, "byte 1: found"));
    assert_non_null(strstr(line, "wanted a shorter string"));

    event = first_event(&json, "\"a\\u0000\"");
    assert_int_equal(gpt2i_json_string(&json, &event, buffer, sizeof buffer, &n_bytes, &error), 0);
    assert_int_equal(n_bytes, 2);
    assert_false(gpt2i_json_equal(&event, "a")); /* and does not read past its NUL */
    event = first_event(&json, "\"ab\"");
    assert_false(gpt2i_json_equal(&event, "a"));
    assert_false(gpt2i_json_equal(&event, "abc"));
    assert_false(gpt2i_json_equal(&event, ""));
    assert_string_equal(gpt2i_json_show(&event, shown), "\"ab\"");
    event = first_event(&json, "\"\"");
    assert_true(gpt2i_json_equal(&event, ""));
    event = first_event(&json, "null");
    assert_false(gpt2i_json_equal(&event, "null"));
    assert_string_equal(gpt2i_json_show(&event, shown), "null");
    assert_int_equal(gpt2i_json_string(&json, &event, buffer, sizeof buffer, &n_bytes, &error),
                     GPT2_ERR_FORMAT);
    event = first_event(&json, "\"0123456789012345678901234567890123456789012345678901234567890\"");
    assert_string_equal(gpt2i_json_show(&event, shown),
                        "\"012345678901234567890123456789012345678901...\"");
}

static void test_integers(void **state)
{
    static const struct {
        const char *text;
        uint64_t max, value;
        bool fits;
    } cases[] = {
        {"0", 0, 0, true},
        {"1", 0, 0, false},
        {"12", 12, 12, true},
        {"13", 12, 0, false},
        {"18446744073709551615", UINT64_MAX, UINT64_MAX, true},
        {"18446744073709551616", UINT64_MAX, 0, false},
        {"28446744073709551615", UINT64_MAX, 0, false},
        {"99999999999999999999999999", UINT64_MAX, 0, false},
        {"-1", UINT64_MAX, 0, false},
        {"-0", UINT64_MAX, 0, false},
        {"1.0", UINT64_MAX, 0, false},
        {"1e2", UINT64_MAX, 0, false},
        {"true", UINT64_MAX, 0, false},
        {"\"1\"", UINT64_MAX, 0, false},
        {"[1]", UINT64_MAX, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct gpt2i_json json;
        struct gpt2i_json_event event = first_event(&json, cases[i].text);
        uint64_t value = 77;
        int32_t status = gpt2i_json_u64(&json, &event, cases[i].max, &value, &error);

        assert_int_equal(status, cases[i].fits ? GPT2_OK : GPT2_ERR_FORMAT);
        assert_int_equal(value, cases[i].value);
    }
    assert_string_equal(line, "x.json: byte 1: found an array, wanted an integer from 0 to "
                              "18446744073709551615");
}

static void test_doubles(void **state)
{
    static const struct {
        const char *text;
        double value;
        bool fits;
    } cases[] = {
        {"1e-05", 1e-05, true}, {"-2.50", -2.5, true}, {"0", 0, true},
        {"1e309", 0, false},    {"{}", 0, false},      {"\"1\"", 0, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct gpt2i_json json;
        struct gpt2i_json_event event = first_event(&json, cases[i].text);
        double value = 77;
        int32_t status = gpt2i_json_double(&json, &event, &value, &error);

        assert_int_equal(status, cases[i].fits ? GPT2_OK : GPT2_ERR_FORMAT);
        assert_memory_equal(&value, &cases[i].value, sizeof value);
    }
    assert_string_equal(line, "x.json: byte 1: found \"1\", wanted a number");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_every_prefix), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_damaged),      cmocka_unit_test(test_events),
        cmocka_unit_test(test_strings),      cmocka_unit_test(test_integers),
        cmocka_unit_test(test_doubles),      cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
