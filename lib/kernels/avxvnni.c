/*
 * avxvnni.c: products of quantised weights on AVX-VNNI: VNNI with the registers of AVX2.
 */
#include "kernels.h"

#ifdef GPT2I_HAS_AVX_VNNI

#define SET    avxvnni
#define TARGET __attribute__((target("avx2,fma,f16c,avxvnni")))

#include "q_avx2.h"

typedef q_quads q_weights;

GPT2I_INLINE TARGET q_weights q_weights_of(q_quads quads)
{
    return quads;
}

#define Q_INPUT int8_t

GPT2I_INLINE TARGET void q_store(Q_INPUT *to, v16 x)
{
    __m256i words = _mm256_permute4x64_epi64(
        _mm256_packs_epi32(_mm256_cvtps_epi32(x.low), _mm256_cvtps_epi32(x.high)), 0xd8);

    _mm_storeu_si128((__m128i *)(void *)to, _mm_packs_epi16(_mm256_castsi256_si128(words),
                                                            _mm256_extracti128_si256(words, 1)));
}

typedef __m256i q_input;

GPT2I_INLINE TARGET q_input q_input_of(const Q_INPUT *q)
{
    int32_t four;

    memcpy(&four, q, sizeof four);
    return _mm256_set1_epi32(four);
}

GPT2I_INLINE TARGET v16i q_dot(v16i sums, q_weights weights, q_input input)
{
    return (v16i){_mm256_dpbusd_avx_epi32(sums.low, weights.low, input),
                  _mm256_dpbusd_avx_epi32(sums.high, weights.high, input)};
}

/* 16 registers, two for a group: 12 of sums, or 8 for one row */
#define Q_UNROLL_QUADS UNROLL
#define Q_TILES(ROW)   ROW(6, 1) ROW(3, 1) ROW(1, 4)
#define Q_MAX_SUMS     6
#define Q_MAX_GROUPS   4

#include "quantised_template.h"

#endif
