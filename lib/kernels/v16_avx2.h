/*
 * v16_avx2.h: 16 lanes of floats on AVX2, FMA and F16C: two registers.
 * kernels_template.h says what each operation does.  What includes this defines SET and TARGET.
 */
#ifndef V16_AVX2_H
#define V16_AVX2_H

#include "kernels.h"
#include "set_names.h"

#include <immintrin.h>
#include <math.h>

typedef struct {
    __m256 low, high; /* lanes 0..7, 8..15 */
} v16;

#define PAIR(low_expression, high_expression) \
    (v16)                                     \
    {                                         \
        low_expression, high_expression       \
    }

GPT2I_INLINE TARGET v16 v16_set1(float x)
{
    return PAIR(_mm256_set1_ps(x), _mm256_set1_ps(x));
}

GPT2I_INLINE TARGET v16 v16_load(const float *x)
{
    return PAIR(_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8));
}

GPT2I_INLINE TARGET void v16_store(float *x, v16 v)
{
    _mm256_storeu_ps(x, v.low);
    _mm256_storeu_ps(x + 8, v.high);
}

GPT2I_INLINE TARGET v16 v16_load_f16(const uint16_t *x)
{
    return PAIR(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)x)),
                _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(x + 8))));
}

GPT2I_INLINE TARGET __m256 load_bf16_8(const uint16_t *x)
{
    __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)x));

    return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
}

GPT2I_INLINE TARGET v16 v16_load_bf16(const uint16_t *x)
{
    return PAIR(load_bf16_8(x), load_bf16_8(x + 8));
}

GPT2I_INLINE TARGET void v16_store_f16(uint16_t *x, v16 v)
{
    _mm_storeu_si128((__m128i *)(void *)x, _mm256_cvtps_ph(v.low, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(void *)(x + 8),
                     _mm256_cvtps_ph(v.high, _MM_FROUND_TO_NEAREST_INT));
}

/* All bits set in the lanes below n. */
GPT2I_INLINE TARGET __m256i first_lanes(size_t n, int32_t lane_0)
{
    __m256i lane =
        _mm256_add_epi32(_mm256_set1_epi32(lane_0), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));

    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n), lane);
}

GPT2I_INLINE TARGET v16 v16_load_n(const float *x, size_t n)
{
    return PAIR(_mm256_maskload_ps(x, first_lanes(n, 0)),
                _mm256_maskload_ps(x + 8, first_lanes(n, 8)));
}

GPT2I_INLINE TARGET void v16_store_n(float *x, size_t n, v16 v)
{
    _mm256_maskstore_ps(x, first_lanes(n, 0), v.low);
    _mm256_maskstore_ps(x + 8, first_lanes(n, 8), v.high);
}

#define DEFINE_LANEWISE(name, intrinsic)                                 \
    GPT2I_INLINE TARGET v16 name(v16 a, v16 b)                           \
    {                                                                    \
        return PAIR(intrinsic(a.low, b.low), intrinsic(a.high, b.high)); \
    }
DEFINE_LANEWISE(v16_add, _mm256_add_ps)
DEFINE_LANEWISE(v16_sub, _mm256_sub_ps)
DEFINE_LANEWISE(v16_mul, _mm256_mul_ps)
DEFINE_LANEWISE(v16_div, _mm256_div_ps)
DEFINE_LANEWISE(v16_max, _mm256_max_ps)
DEFINE_LANEWISE(v16_min, _mm256_min_ps)

GPT2I_INLINE TARGET v16 v16_fma(v16 a, v16 b, v16 c)
{
    return PAIR(_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high));
}

GPT2I_INLINE TARGET __m256 where_negative(__m256 x, __m256 a, __m256 b)
{
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
}

GPT2I_INLINE TARGET v16 v16_where_negative(v16 x, v16 a, v16 b)
{
    return PAIR(where_negative(x.low, a.low, b.low), where_negative(x.high, a.high, b.high));
}

GPT2I_INLINE TARGET uint32_t v16_not_below(v16 x, v16 y)
{
    int low = _mm256_movemask_ps(_mm256_cmp_ps(x.low, y.low, _CMP_GE_OQ));
    int high = _mm256_movemask_ps(_mm256_cmp_ps(x.high, y.high, _CMP_GE_OQ));

    return (uint32_t)low | (uint32_t)high << 8;
}

GPT2I_INLINE TARGET v16 v16_where_bits(uint32_t bits, v16 x)
{
    const __m256i low = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i high = _mm256_slli_epi32(low, 8);
    __m256i all = _mm256_set1_epi32((int32_t)bits);

    return PAIR(
        _mm256_and_ps(x.low,
                      _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(all, low), low))),
        _mm256_and_ps(x.high,
                      _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(all, high), high))));
}

/* x 2^n, which may be denormal or infinite, in two products: the first is exact, so one is rounded. */
GPT2I_INLINE TARGET __m256 scale_far(__m256 x, __m256i n)
{
    const __m256i bias = _mm256_set1_epi32(127);
    __m256i first = _mm256_srai_epi32(n, 1);
    __m256i rest = _mm256_sub_epi32(n, first);

    x = _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(first, bias), 23)));
    return _mm256_mul_ps(x,
                         _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23)));
}

/* With 0.5 < x < 2 and |n| <= 125 in all lanes the results are normal: n is added to exponents. */
GPT2I_INLINE TARGET v16 v16_scale_pow2(v16 x, v16 n)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256i low = _mm256_cvtps_epi32(n.low);
    __m256i high = _mm256_cvtps_epi32(n.high);
    __m256 larger = _mm256_max_ps(_mm256_andnot_ps(sign, n.low), _mm256_andnot_ps(sign, n.high));

    if (_mm256_movemask_ps(_mm256_cmp_ps(larger, _mm256_set1_ps(125.0f), _CMP_NLE_UQ)) != 0)
        return PAIR(scale_far(x.low, low), scale_far(x.high, high));
    return PAIR(_mm256_castsi256_ps(
                    _mm256_add_epi32(_mm256_castps_si256(x.low), _mm256_slli_epi32(low, 23))),
                _mm256_castsi256_ps(
                    _mm256_add_epi32(_mm256_castps_si256(x.high), _mm256_slli_epi32(high, 23))));
}

GPT2I_INLINE TARGET float v16_fold_add(v16 v)
{
    __m256 eight = _mm256_add_ps(v.low, v.high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));

    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

GPT2I_INLINE TARGET float v16_fold_max(v16 v)
{
    __m256 eight = _mm256_max_ps(v.low, v.high);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));

    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

#endif
