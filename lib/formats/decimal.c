/*
 * decimal.c: decimal text to the nearest double, and a float as decimal text.
 *
 * Long division of big integers on the stack: slow beside strtod, and enough for the few numbers of
 * a config.  Only integer arithmetic is used, so neither the locale nor the rounding mode of the host
 * has a say.
 */
#include "decimal.h"
#include "../base/fpstate.h"

#include <inttypes.h>
#include <stdio.h>

/*
 * The number is N / M of two big integers; long division gives 64 bits of the quotient and says
 * whether anything is left, which is all that rounding needs.
 *
 * A number halfway between two doubles has at most 767 significant digits.  So 768 are kept, and a
 * last digit 1 stands for any that follow, since they can only say "a little more".  Numbers outside
 * 1e-330...1e310 are settled before, hence N and M are below 2 * 10^(330 + 769), or 3653 bits.
 */
#define MAX_DIGITS 768
#define BIG_LIMBS  116

struct big {
    uint32_t limbs[BIG_LIMBS]; /* the lowest first; the highest is not zero */
    size_t n_limbs;
};

static void big_multiply_add(struct big *big, uint32_t factor, uint32_t addend)
{
    uint64_t carry = addend;

    for (size_t i = 0; i < big->n_limbs; i++) {
        carry += (uint64_t)big->limbs[i] * factor;
        big->limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0)
        big->limbs[big->n_limbs++] = (uint32_t)carry;
}

static void big_multiply_pow10(struct big *big, int64_t exponent)
{
    for (; exponent >= 9; exponent -= 9)
        big_multiply_add(big, 1000000000, 0);
    for (; exponent > 0; exponent--)
        big_multiply_add(big, 10, 0);
}

static void big_shift_left(struct big *big, int bits)
{
    size_t n_limbs = (size_t)bits / 32;

    memmove(big->limbs + n_limbs, big->limbs, big->n_limbs * sizeof big->limbs[0]);
    memset(big->limbs, 0, n_limbs * sizeof big->limbs[0]);
    big->n_limbs += n_limbs;
    big_multiply_add(big, (uint32_t)1 << bits % 32, 0);
}

static int big_bits(const struct big *big)
{
    int bits = (int)big->n_limbs * 32;

    for (uint32_t top = big->limbs[big->n_limbs - 1]; top >> 31 == 0; top <<= 1)
        bits--;
    return bits;
}

static bool big_less(const struct big *a, const struct big *b)
{
    size_t i = a->n_limbs;

    if (a->n_limbs != b->n_limbs)
        return a->n_limbs < b->n_limbs;
    while (i > 0 && a->limbs[i - 1] == b->limbs[i - 1])
        i--;
    return i > 0 && a->limbs[i - 1] < b->limbs[i - 1];
}

/* a - b, for b <= a */
static void big_subtract(struct big *a, const struct big *b)
{
    uint64_t borrow = 0;

    for (size_t i = 0; i < a->n_limbs; i++) {
        uint64_t difference = (uint64_t)a->limbs[i] - (i < b->n_limbs ? b->limbs[i] : 0) - borrow;

        a->limbs[i] = (uint32_t)difference;
        borrow = difference >> 63;
    }
    while (a->n_limbs > 0 && a->limbs[a->n_limbs - 1] == 0)
        a->n_limbs--;
}

/* The bits of the double nearest to n / m, ties to even; n and m are not zero and are used up. */
static uint64_t divide_to_double(struct big *n, struct big *m)
{
    int exponent = big_bits(n) - big_bits(m);
    int dropped = 64 - 53;
    uint64_t quotient = 0, kept, rest, half;

    big_shift_left(exponent > 0 ? m : n, exponent > 0 ? exponent : -exponent);
    if (big_less(n, m)) {
        big_shift_left(n, 1);
        exponent--;
    }
    /* now 1 <= n / m < 2 and the number is n / m * 2^exponent */
    for (int i = 0; i < 64; i++) {
        quotient <<= 1;
        if (!big_less(n, m)) {
            big_subtract(n, m);
            quotient |= 1;
        }
        big_multiply_add(n, 2, 0);
    }
    if (exponent < -1022) /* denormal: the lowest bit stays at 2^-1074 */
        dropped += -1022 - exponent;
    if (dropped > 64)
        return 0;
    kept = dropped < 64 ? quotient >> dropped : 0;
    half = (uint64_t)1 << (dropped - 1);
    rest = quotient & (half | (half - 1));
    if (rest > half || (rest == half && (n->n_limbs > 0 || (kept & 1) != 0)))
        kept++;
    /* the leading bit of a normal number adds the 1 that its exponent field lacks here, and a
       carry out of rounding moves the exponent as it should */
    return kept + (exponent < -1022 ? 0 : (uint64_t)(exponent + 1022) << 52);
}

static bool is_decimal(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits, point and exponent: the number is n * 10^(*exponent), of *n_digits digits. */
static void read_decimal(const char *text, size_t length, struct big *n, int64_t *exponent,
                         int64_t *n_digits)
{
    int64_t written = 0, sign = 1;
    bool point = false, more = false;
    size_t i = 0;

    n->n_limbs = 0;
    *exponent = 0;
    *n_digits = 0;
    for (; i < length && (text[i] | 0x20) != 'e'; i++) {
        int digit = text[i] - '0';

        if (text[i] == '.')
            point = true;
        if (!is_decimal(text[i]))
            continue;
        if (*n_digits < MAX_DIGITS) {
            big_multiply_add(n, 10, (uint32_t)digit);
            *n_digits += n->n_limbs > 0;
            *exponent -= point;
        } else {
            more = more || digit != 0;
            *exponent += !point;
        }
    }
    if (more) {
        big_multiply_add(n, 10, 1);
        ++*n_digits;
        --*exponent;
    }
    for (; i < length; i++) {
        if (text[i] == '-')
            sign = -1;
        if (is_decimal(text[i]) && written < INT64_MAX / 100)
            written = written * 10 + (text[i] - '0');
    }
    *exponent += sign * written;
}

bool gpt2i_decimal_to_double(const char *text, size_t length, double *value)
{
    const uint64_t infinity = (uint64_t)0x7ff << 52;
    struct big n, m = {.limbs = {1}, .n_limbs = 1};
    int64_t exponent, n_digits;
    uint64_t bits = 0;

    read_decimal(text, length, &n, &exponent, &n_digits);
    if (n.n_limbs > 0 && exponent + n_digits > 310)
        return false;
    if (n.n_limbs > 0 && exponent + n_digits > -330) {
        big_multiply_pow10(exponent > 0 ? &n : &m, exponent > 0 ? exponent : -exponent);
        bits = divide_to_double(&n, &m);
    }
    if (bits >= infinity)
        return false;
    if (text[0] == '-')
        bits |= (uint64_t)1 << 63;
    memcpy(value, &bits, sizeof bits);
    return true;
}

void gpt2i_decimal_of_float(char text[GPT2I_FLOAT_CHARS], float value)
{
    const uint64_t host_state = gpt2i_fpstate_enter();
    double digits = (double)value; /* in [1e8, 1e9), with the exponent */
    int exponent = 0;

    for (; digits < 1e8; exponent--)
        digits *= 10;
    for (; digits >= 1e9; exponent++)
        digits /= 10;
    exponent += 9;
    for (double unit = 1e9; unit >= 1; unit /= 10, exponent--) {
        int length = snprintf(text, GPT2I_FLOAT_CHARS, "%" PRIu32 "e%d",
                              (uint32_t)(digits / unit + 0.5), exponent);
        double read = 0;

        if (gpt2i_decimal_to_double(text, (size_t)length, &read) && (float)read == value)
            break;
    }
    gpt2i_fpstate_leave(host_state);
}
