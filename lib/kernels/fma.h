/*
 * fma.h: a b + c rounded once, on CPUs and compilers with and without the instruction.
 */
#ifndef GPT2I_FMA_H
#define GPT2I_FMA_H

#include "../base/common.h"

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__FP_FAST_FMAF)

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
static inline float gpt2i_fma_by_odd(double product, double addend)
{
    double sum = product + addend;
    double part = sum - product;
    double error = (product - (sum - part)) + (addend - part);
    uint64_t bits;

    memcpy(&bits, &sum, sizeof bits);
    /* both comparisons are false for NaN, which infinities give */
    if ((error < 0.0 || error > 0.0) && (bits & 1) == 0)
        bits = (error < 0.0) == (sum < 0.0) ? bits + 1 : bits - 1;
    memcpy(&sum, &bits, sizeof sum);
    return (float)sum;
}

/*
 * Rounding twice, to double and to float, is wrong only where the double lies halfway between two
 * floats; for a normal float that is one pattern of its last 29 bits.  So the exact way is taken for
 * that pattern and outside the normal floats, and costs nothing otherwise (1.0 ns against 2.1).
 */
static inline float gpt2i_fma(float a, float b, float c)
{
    const uint64_t least = 0x3810000000000000;     /* 2^-126 as a double */
    const uint64_t too_large = 0x47f0000000000000; /* 2^128 */
    double product = (double)a * (double)b;
    double sum = product + (double)c;
    uint64_t bits;

    memcpy(&bits, &sum, sizeof bits);
    if ((bits & 0x1fffffff) == 0x10000000 || (bits & INT64_MAX) - least >= too_large - least)
        return gpt2i_fma_by_odd(product, (double)c);
    return (float)sum;
}

#endif

#endif
