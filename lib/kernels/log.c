/*
 * log.c: x = m 2^n with m from sqrt(1/2) to sqrt(2); ln x = n ln 2 + ln m, and ln m = 2 artanh(f) with
 * f = (m - 1) / (m + 1), |f| < 0.172, as its power series: 2 (f + f^3 / 3 + f^5 / 5 ...).
 */
#include "log.h"

#define LAST_POWER 21 /* f^23 / 23 is less than 2^-60 f */

double gpt2i_log(double x)
{
    const uint64_t mantissa = UINT64_C(0x000fffffffffffff);
    const uint64_t one = UINT64_C(0x3ff0000000000000); /* the bits of 1.0 */
    uint64_t bits;
    double n, m, f, sum;

    memcpy(&bits, &x, sizeof bits);
    n = (double)(int32_t)(bits >> 52) - 1023.0;
    bits = (bits & mantissa) | one;
    memcpy(&m, &bits, sizeof m);
    if (m > 0x1.6a09e667f3bcdp+0) { /* sqrt(2) */
        m *= 0.5;
        n += 1.0;
    }
    f = (m - 1.0) / (m + 1.0);
    sum = 0.0;
    for (int32_t power = LAST_POWER; power > 0; power -= 2)
        sum = sum * (f * f) + 1.0 / (double)power;
    return n * 0x1.62e42fefa39efp-1 + 2.0 * f * sum; /* ln 2 */
}
