/*
 * half.h: floats of 16 bits, F16 (IEEE) and BF16, to float and back, in plain C.
 */
#ifndef GPT2I_HALF_H
#define GPT2I_HALF_H

#include "../base/common.h"

static inline uint32_t gpt2i_bits_of_float(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float gpt2i_float_of_bits(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Exact. */
static inline float gpt2i_float_of_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t magnitude = (uint32_t)(half & 0x7fffu) << 13;

    if ((half & 0x7c00u) == 0x7c00u) /* infinity, NaN */
        return gpt2i_float_of_bits(sign | 0x7f800000u | magnitude);
    if ((half & 0x7c00u) == 0) /* zero, denormal: a count of 2^-24 */
        return gpt2i_float_of_bits(sign | 0x3f800000u) * ((float)(half & 0x3ffu) * 0x1p-24f);
    return gpt2i_float_of_bits(sign | (magnitude + ((127u - 15u) << 23)));
}

/* Exact: BF16 is the upper half of a float. */
static inline float gpt2i_float_of_bf16(uint16_t half)
{
    return gpt2i_float_of_bits((uint32_t)half << 16);
}

/* x / 2^n rounded to nearest even, for 1 <= n <= 31 and x < 2^31. */
static inline uint32_t gpt2i_shift_rounded(uint32_t x, uint32_t n)
{
    uint32_t floor = x >> n;
    uint32_t rest = x & ((UINT32_C(1) << n) - 1);
    uint32_t middle = UINT32_C(1) << (n - 1);

    return floor + (rest > middle || (rest == middle && (floor & 1) != 0));
}

/*
 * Rounded to nearest even, infinite from 65520 on; NaN stays NaN.  A mantissa that rounds up to 2
 * carries into the exponent, which is what it must do.
 */
static inline uint16_t gpt2i_half_of_float(float x)
{
    uint32_t bits = gpt2i_bits_of_float(x);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t exponent = magnitude >> 23; /* plus 127 */

    if (magnitude > 0x7f800000u) /* NaN, made quiet */
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x1ffu));
    if (magnitude >= 0x477ff000u) /* 65520 */
        return (uint16_t)(sign | 0x7c00u);
    if (exponent >= 127 - 14) /* a normal half */
        return (uint16_t)(sign | gpt2i_shift_rounded(magnitude - ((127u - 15u) << 23), 13));
    if (exponent < 127 - 25) /* below 2^-25: 0 */
        return (uint16_t)sign;
    /* the mantissa with its leading 1 counts 2^(exponent - 127 - 23), a denormal half counts 2^-24 */
    return (uint16_t)(sign |
                      gpt2i_shift_rounded((magnitude & 0x7fffffu) | 0x800000u, 127 - 1 - exponent));
}

/* Rounded to nearest even, to infinity behind the largest BF16; NaN stays NaN. */
static inline uint16_t gpt2i_bf16_of_float(float x)
{
    uint32_t bits = gpt2i_bits_of_float(x);

    if ((bits & 0x7fffffffu) > 0x7f800000u) /* NaN, made quiet */
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

#endif
