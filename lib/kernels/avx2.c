/*
 * avx2.c: the kernels on AVX2 and FMA: a group of 16 lanes is two registers.
 */
#include "kernels.h"

#if defined(__x86_64__)

#define SET    avx2
#define TARGET __attribute__((target("avx2,fma,f16c")))

#include "v16_avx2.h"

/* 16 registers, two for a group: 12 of sums, or 8 for one row, and the weights of a step */
#define TILES(ROW) ROW(6, 1) ROW(3, 2) ROW(1, 4)
#define EVEN_TILES(ROW)
#define TILE_MAX_SUMS   6
#define TILE_MAX_GROUPS 4

#define MATMUL_ROWS    126 /* a multiple of 7 and 6 */
#define ATTENTION_ROWS 28

#include "kernels_template.h"

/*
 * Products of bytes as products of 16 bits: pairs of bytes are 16 bits wide, the even ones and the odd
 * ones.  A pair of such products is added without overflow.
 */
#include "q_avx2.h"

typedef struct {
    v16i even, odd; /* bytes 0 and 2, 1 and 3 of each output */
} q_weights;

GPT2I_INLINE TARGET q_weights q_weights_of(q_quads quads)
{
    const __m256i byte = _mm256_set1_epi16(255);

    return (q_weights){
        {_mm256_and_si256(quads.low, byte), _mm256_and_si256(quads.high, byte)},
        {_mm256_srli_epi16(quads.low, 8), _mm256_srli_epi16(quads.high, 8)},
    };
}

#define Q_INPUT int16_t /* 0, 2, 1, 3 of each four */

GPT2I_INLINE TARGET void q_store(Q_INPUT *to, v16 x)
{
    /* packs swaps the middle quarters: four, then four of the other half */
    __m256i packed = _mm256_permute4x64_epi64(
        _mm256_packs_epi32(_mm256_cvtps_epi32(x.low), _mm256_cvtps_epi32(x.high)), 0xd8);

    packed = _mm256_shufflelo_epi16(_mm256_shufflehi_epi16(packed, 0xd8), 0xd8);
    _mm256_storeu_si256((__m256i *)(void *)to, packed);
}

typedef struct {
    __m256i even, odd;
} q_input;

GPT2I_INLINE TARGET q_input q_input_of(const Q_INPUT *q)
{
    int32_t even;
    int32_t odd;

    memcpy(&even, q, sizeof even);
    memcpy(&odd, q + 2, sizeof odd);
    return (q_input){_mm256_set1_epi32(even), _mm256_set1_epi32(odd)};
}

GPT2I_INLINE TARGET __m256i dot_8(__m256i sums, __m256i even, __m256i odd, q_input input)
{
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(even, input.even));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(odd, input.odd));
}

GPT2I_INLINE TARGET v16i q_dot(v16i sums, q_weights weights, q_input input)
{
    return (v16i){dot_8(sums.low, weights.even.low, weights.odd.low, input),
                  dot_8(sums.high, weights.even.high, weights.odd.high, input)};
}

/* 16 registers, two for a group's sums and four for its weights */
#define Q_WIDENS
#define Q_UNROLL_QUADS
#define Q_TILES(ROW) ROW(5, 1) ROW(1, 4)
#define Q_MAX_SUMS   5
#define Q_MAX_GROUPS 4

#include "quantised_template.h"

#endif
