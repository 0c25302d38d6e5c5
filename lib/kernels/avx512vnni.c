/*
 * avx512vnni.c: products of quantised weights on AVX-512 with VNNI.
 */
#include "kernels.h"

#if defined(__x86_64__)

#define SET avx512vnni
#define TARGET \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")))

#include "quantised.h"
#include "v16_avx512.h"

typedef __m512i v16i;

GPT2I_INLINE TARGET v16i v16i_set1(int32_t x)
{
    return _mm512_set1_epi32(x);
}

GPT2I_INLINE TARGET v16 v16_of_ints(v16i x)
{
    return _mm512_cvtepi32_ps(x);
}

typedef __m512i q_quads;
typedef __m512i q_weights;
typedef __m512i q_table; /* four times */

GPT2I_INLINE TARGET q_quads q_load(const char *bytes)
{
    return _mm512_loadu_si512(bytes);
}

GPT2I_INLINE TARGET q_table q_load_table(const uint8_t table[GPT2I_Q_TABLE])
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)table));
}

GPT2I_INLINE TARGET q_quads q_low(q_table table, q_quads quads)
{
    return _mm512_shuffle_epi8(table, _mm512_and_si512(quads, _mm512_set1_epi8(15)));
}

GPT2I_INLINE TARGET q_quads q_high(q_table table, q_quads quads)
{
    return q_low(table, _mm512_srli_epi16(quads, 4));
}

GPT2I_INLINE TARGET q_weights q_weights_of(q_quads quads)
{
    return quads;
}

#define Q_INPUT int8_t

GPT2I_INLINE TARGET void q_store(Q_INPUT *to, v16 x)
{
    _mm_storeu_si128((__m128i *)(void *)to, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
}

typedef __m512i q_input;

GPT2I_INLINE TARGET q_input q_input_of(const Q_INPUT *q)
{
    int32_t four;

    memcpy(&four, q, sizeof four);
    return _mm512_set1_epi32(four);
}

GPT2I_INLINE TARGET v16i q_dot(v16i sums, q_weights weights, q_input input)
{
    return _mm512_dpbusd_epi32(sums, weights, input);
}

#define Q_UNROLL_QUADS UNROLL
#define Q_TILES(ROW)   ROW(8, 2) ROW(4, 4) ROW(2, 4) ROW(1, 4)
#define Q_MAX_SUMS     16
#define Q_MAX_GROUPS   4

#include "quantised_template.h"

#endif
