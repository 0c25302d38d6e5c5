/*
 * v16_avx512.h: 16 lanes of floats on AVX-512: one register.
 * kernels_template.h says what each operation does.  What includes this defines SET and TARGET.
 */
#ifndef V16_AVX512_H
#define V16_AVX512_H

#include "kernels.h"
#include "set_names.h"

#include <immintrin.h>
#include <math.h>

typedef __m512 v16;

GPT2I_INLINE TARGET v16 v16_set1(float x)
{
    return _mm512_set1_ps(x);
}

GPT2I_INLINE TARGET v16 v16_load(const float *x)
{
    return _mm512_loadu_ps(x);
}

GPT2I_INLINE TARGET void v16_store(float *x, v16 v)
{
    _mm512_storeu_ps(x, v);
}

GPT2I_INLINE TARGET v16 v16_load_f16(const uint16_t *x)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)x));
}

GPT2I_INLINE TARGET v16 v16_load_bf16(const uint16_t *x)
{
    __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)x));

    return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}

GPT2I_INLINE TARGET void v16_store_f16(uint16_t *x, v16 v)
{
    _mm256_storeu_si256((__m256i *)(void *)x, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

GPT2I_INLINE TARGET __mmask16 first_lanes(size_t n)
{
    return (__mmask16)((1u << n) - 1);
}

GPT2I_INLINE TARGET v16 v16_load_n(const float *x, size_t n)
{
    return _mm512_maskz_loadu_ps(first_lanes(n), x);
}

GPT2I_INLINE TARGET void v16_store_n(float *x, size_t n, v16 v)
{
    _mm512_mask_storeu_ps(x, first_lanes(n), v);
}

#define DEFINE_LANEWISE(name, intrinsic)       \
    GPT2I_INLINE TARGET v16 name(v16 a, v16 b) \
    {                                          \
        return intrinsic(a, b);                \
    }
DEFINE_LANEWISE(v16_add, _mm512_add_ps)
DEFINE_LANEWISE(v16_sub, _mm512_sub_ps)
DEFINE_LANEWISE(v16_mul, _mm512_mul_ps)
DEFINE_LANEWISE(v16_div, _mm512_div_ps)
DEFINE_LANEWISE(v16_max, _mm512_max_ps)
DEFINE_LANEWISE(v16_min, _mm512_min_ps)
DEFINE_LANEWISE(v16_scale_pow2, _mm512_scalef_ps)

GPT2I_INLINE TARGET v16 v16_fma(v16 a, v16 b, v16 c)
{
    return _mm512_fmadd_ps(a, b, c);
}

GPT2I_INLINE TARGET v16 v16_where_negative(v16 x, v16 a, v16 b)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), b, a);
}

GPT2I_INLINE TARGET uint32_t v16_not_below(v16 x, v16 y)
{
    return _mm512_cmp_ps_mask(x, y, _CMP_GE_OQ);
}

GPT2I_INLINE TARGET v16 v16_where_bits(uint32_t bits, v16 x)
{
    return _mm512_maskz_mov_ps((__mmask16)bits, x);
}

GPT2I_INLINE TARGET float v16_fold_add(v16 v)
{
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));

    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

GPT2I_INLINE TARGET float v16_fold_max(v16 v)
{
    __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));

    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

#endif
