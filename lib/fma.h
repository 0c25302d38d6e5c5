/*
 * fma.h: a b + c rounded once, on CPUs and compilers with and without the instruction.
 */
#ifndef GPT2I_FMA_H
#define GPT2I_FMA_H

#include "common.h"

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)

static inline float gpt2i_fma(float a, float b, float c)
{
    return __builtin_fmaf(a, b, c);
}

#else

/*
 * Exact, where some C libraries round fmaf() twice.  The product of two floats is exact in double.
 * The sum is rounded to odd: rounded, and where that was inexact (two-sum gives the error) moved to
 * the neighbour whose last bit is 1, on the side of the true value.  Such a double has enough bits
 * that its conversion to float rounds as the true value would (Boldo and Melquiond, "Emulation of
 * FMA and correctly rounded sums", 2008).
 */
static inline float gpt2i_fma(float a, float b, float c)
{
    double product = (double)a * (double)b;
    double addend = (double)c;
    double sum = product + addend;
    double part = sum - product;
    double error = (product - (sum - part)) + (addend - part);
    uint64_t bits;
    uint64_t inexact;
    uint64_t towards_zero;

    memcpy(&bits, &sum, sizeof bits);
    /* false for NaN, which infinities give */
    inexact = (uint64_t)(error < 0.0) | (uint64_t)(error > 0.0);
    /* an even, inexact sum moves by one unit: down in magnitude if the error's sign is the other */
    towards_zero = (uint64_t)(error < 0.0) ^ (bits >> 63);
    bits += (inexact & ~bits & 1) * (1 - 2 * towards_zero);
    memcpy(&sum, &bits, sizeof sum);
    return (float)sum;
}

#endif

#endif
