/*
 * lanes.h: what all templates of kernels use.  An instruction set's file defines SET, TARGET and v16 before:
 * kernels_template.h.
 */
#ifndef LANES_H
#define LANES_H

#include "kernels.h"

#define TARGET_INLINE GPT2I_INLINE TARGET

/* Unrolls a loop whose bound is a constant, so that its arrays live in registers. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 32")
#else
#define UNROLL
#endif

/* Loads or stores what is left of n elements from element i on, at most 16. */
TARGET_INLINE v16 load_upto(const float *x, size_t i, size_t n)
{
    return n - i >= GPT2I_LANES ? v16_load(x + i) : v16_load_n(x + i, n - i);
}

TARGET_INLINE void store_upto(float *x, size_t i, size_t n, v16 v)
{
    if (n - i >= GPT2I_LANES)
        v16_store(x + i, v);
    else
        v16_store_n(x + i, n - i, v);
}

static TARGET void add_floats(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += GPT2I_LANES)
        store_upto(y, i, n, v16_add(load_upto(y, i, n), load_upto(x, i, n)));
}

#endif
