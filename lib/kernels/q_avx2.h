/*
 * q_avx2.h: what AVX2 and AVX-VNNI share of quantised_template.h's operations.
 */
#ifndef Q_AVX2_H
#define Q_AVX2_H

#include "quantised.h"
#include "v16_avx2.h"

typedef struct {
    __m256i low, high; /* lanes 0..7, 8..15 */
} v16i;

GPT2I_INLINE TARGET v16i v16i_set1(int32_t x)
{
    return (v16i){_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}

GPT2I_INLINE TARGET v16 v16_of_ints(v16i x)
{
    return (v16){_mm256_cvtepi32_ps(x.low), _mm256_cvtepi32_ps(x.high)};
}

typedef v16i q_quads; /* bytes */

GPT2I_INLINE TARGET q_quads q_load(const char *bytes)
{
    return (q_quads){_mm256_loadu_si256((const __m256i *)(const void *)bytes),
                     _mm256_loadu_si256((const __m256i *)(const void *)(bytes + 32))};
}

typedef __m256i q_table; /* twice */

GPT2I_INLINE TARGET q_table q_load_table(const uint8_t table[GPT2I_Q_TABLE])
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table));
}

GPT2I_INLINE TARGET __m256i look_up(q_table table, __m256i bytes)
{
    return _mm256_shuffle_epi8(table, _mm256_and_si256(bytes, _mm256_set1_epi8(15)));
}

GPT2I_INLINE TARGET q_quads q_low(q_table table, q_quads quads)
{
    return (q_quads){look_up(table, quads.low), look_up(table, quads.high)};
}

GPT2I_INLINE TARGET q_quads q_high(q_table table, q_quads quads)
{
    return (q_quads){look_up(table, _mm256_srli_epi16(quads.low, 4)),
                     look_up(table, _mm256_srli_epi16(quads.high, 4))};
}

#endif
