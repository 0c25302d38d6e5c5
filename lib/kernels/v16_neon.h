/*
 * v16_neon.h: 16 lanes of floats on NEON: four registers.
 * kernels_template.h says what each operation does.  What includes this defines SET and TARGET.
 */
#ifndef V16_NEON_H
#define V16_NEON_H

#include "kernels.h"
#include "set_names.h"

#include <arm_neon.h>
#include <math.h>

typedef struct {
    float32x4_t a, b, c, d; /* lanes 0..3, 4..7, 8..11, 12..15 */
} v16;

#define FOUR(of_a, of_b, of_c, of_d) \
    (v16)                            \
    {                                \
        of_a, of_b, of_c, of_d       \
    }

GPT2I_INLINE TARGET v16 v16_set1(float x)
{
    return FOUR(vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x));
}

GPT2I_INLINE TARGET v16 v16_load(const float *x)
{
    return FOUR(vld1q_f32(x), vld1q_f32(x + 4), vld1q_f32(x + 8), vld1q_f32(x + 12));
}

GPT2I_INLINE TARGET void v16_store(float *x, v16 v)
{
    vst1q_f32(x, v.a);
    vst1q_f32(x + 4, v.b);
    vst1q_f32(x + 8, v.c);
    vst1q_f32(x + 12, v.d);
}

GPT2I_INLINE TARGET float32x4_t load_f16_4(const uint16_t *x)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x)));
}

GPT2I_INLINE TARGET v16 v16_load_f16(const uint16_t *x)
{
    return FOUR(load_f16_4(x), load_f16_4(x + 4), load_f16_4(x + 8), load_f16_4(x + 12));
}

GPT2I_INLINE TARGET float32x4_t load_bf16_4(const uint16_t *x)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(x), 16));
}

GPT2I_INLINE TARGET v16 v16_load_bf16(const uint16_t *x)
{
    return FOUR(load_bf16_4(x), load_bf16_4(x + 4), load_bf16_4(x + 8), load_bf16_4(x + 12));
}

/* The rounding is that of fpstate.h: to nearest even. */
GPT2I_INLINE TARGET void store_f16_4(uint16_t *x, float32x4_t v)
{
    vst1_u16(x, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}

GPT2I_INLINE TARGET void v16_store_f16(uint16_t *x, v16 v)
{
    store_f16_4(x, v.a);
    store_f16_4(x + 4, v.b);
    store_f16_4(x + 8, v.c);
    store_f16_4(x + 12, v.d);
}

GPT2I_INLINE TARGET v16 v16_load_n(const float *x, size_t n)
{
    float lanes[GPT2I_LANES] = {0.0f};

    memcpy(lanes, x, n * sizeof(float));
    return v16_load(lanes);
}

GPT2I_INLINE TARGET void v16_store_n(float *x, size_t n, v16 v)
{
    float lanes[GPT2I_LANES];

    v16_store(lanes, v);
    memcpy(x, lanes, n * sizeof(float));
}

#define DEFINE_LANEWISE(name, intrinsic)                                           \
    GPT2I_INLINE TARGET v16 name(v16 x, v16 y)                                     \
    {                                                                              \
        return FOUR(intrinsic(x.a, y.a), intrinsic(x.b, y.b), intrinsic(x.c, y.c), \
                    intrinsic(x.d, y.d));                                          \
    }

/* x > y ? x : y, which NEON's own maximum is not for NaN and zeros; likewise the minimum */
GPT2I_INLINE TARGET float32x4_t max_4(float32x4_t x, float32x4_t y)
{
    return vbslq_f32(vcgtq_f32(x, y), x, y);
}

GPT2I_INLINE TARGET float32x4_t min_4(float32x4_t x, float32x4_t y)
{
    return vbslq_f32(vcltq_f32(x, y), x, y);
}

/* x 2^n in two factors, of which the first is exact, so that the result is rounded once */
GPT2I_INLINE TARGET float32x4_t scale_pow2_4(float32x4_t x, float32x4_t n)
{
    const int32x4_t bias = vdupq_n_s32(127);
    int32x4_t whole = vcvtq_s32_f32(n);
    int32x4_t first = vshrq_n_s32(whole, 1);
    int32x4_t rest = vsubq_s32(whole, first);

    x = vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(first, bias), 23)));
    return vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23)));
}

DEFINE_LANEWISE(v16_add, vaddq_f32)
DEFINE_LANEWISE(v16_sub, vsubq_f32)
DEFINE_LANEWISE(v16_mul, vmulq_f32)
DEFINE_LANEWISE(v16_div, vdivq_f32)
DEFINE_LANEWISE(v16_max, max_4)
DEFINE_LANEWISE(v16_min, min_4)
DEFINE_LANEWISE(v16_scale_pow2, scale_pow2_4)

/* Lanes of four bits, from bit 'first' of 16 on. */
GPT2I_INLINE TARGET float32x4_t where_bits_4(uint32_t bits, uint32_t first, float32x4_t x)
{
    const uint32x4_t lane = {1, 2, 4, 8};
    uint32x4_t is_set = vtstq_u32(vdupq_n_u32(bits >> first), lane);

    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), is_set));
}

GPT2I_INLINE TARGET v16 v16_where_bits(uint32_t bits, v16 x)
{
    return FOUR(where_bits_4(bits, 0, x.a), where_bits_4(bits, 4, x.b), where_bits_4(bits, 8, x.c),
                where_bits_4(bits, 12, x.d));
}

GPT2I_INLINE TARGET v16 v16_fma(v16 x, v16 y, v16 z)
{
    return FOUR(vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c),
                vfmaq_f32(z.d, x.d, y.d));
}

GPT2I_INLINE TARGET float32x4_t where_negative_4(float32x4_t x, float32x4_t y, float32x4_t z)
{
    return vbslq_f32(vcltzq_f32(x), y, z);
}

GPT2I_INLINE TARGET v16 v16_where_negative(v16 x, v16 y, v16 z)
{
    return FOUR(where_negative_4(x.a, y.a, z.a), where_negative_4(x.b, y.b, z.b),
                where_negative_4(x.c, y.c, z.c), where_negative_4(x.d, y.d, z.d));
}

GPT2I_INLINE TARGET uint32_t not_below_4(float32x4_t x, float32x4_t y)
{
    static const uint32_t bits[4] = {1, 2, 4, 8};

    return vaddvq_u32(vandq_u32(vcgeq_f32(x, y), vld1q_u32(bits)));
}

GPT2I_INLINE TARGET uint32_t v16_not_below(v16 x, v16 y)
{
    return not_below_4(x.a, y.a) | not_below_4(x.b, y.b) << 4 | not_below_4(x.c, y.c) << 8 |
           not_below_4(x.d, y.d) << 12;
}

GPT2I_INLINE TARGET float v16_fold_add(v16 v)
{
    float32x4_t four = vaddq_f32(vaddq_f32(v.a, v.c), vaddq_f32(v.b, v.d));
    float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));

    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

GPT2I_INLINE TARGET float v16_fold_max(v16 v)
{
    float32x4_t four = max_4(max_4(v.a, v.c), max_4(v.b, v.d));
    float two[2] = {0};
    float32x4_t high = vextq_f32(four, four, 2);

    vst1_f32(two, vget_low_f32(max_4(four, high)));
    return two[0] > two[1] ? two[0] : two[1];
}

#endif
