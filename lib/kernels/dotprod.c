/*
 * dotprod.c: products of quantised weights on aarch64's dot products of bytes.
 */
#include "kernels.h"

#ifdef GPT2I_HAS_DOTPROD

#define SET dotprod

#if defined(__clang__)
#define TARGET __attribute__((target("dotprod")))
#else
#define TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#endif

#include "q_neon.h"

/* The instruction takes signed bytes: the offset is taken back here, not by what sums start with. */
typedef struct {
    int8x16_t a, b, c, d;
} q_weights;

GPT2I_INLINE TARGET int8x16_t without_offset(uint8x16_t bytes)
{
    return vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(GPT2I_Q_OFFSET)));
}

GPT2I_INLINE TARGET q_weights q_weights_of(q_quads quads)
{
    return (q_weights){without_offset(quads.a), without_offset(quads.b), without_offset(quads.c),
                       without_offset(quads.d)};
}

#define Q_START(sum) ((void)(sum), 0)

#define Q_INPUT int8_t

GPT2I_INLINE TARGET void q_store(Q_INPUT *to, v16 x)
{
    vst1q_s8(to, sixteen_integers(x));
}

typedef int8x16_t q_input;

GPT2I_INLINE TARGET q_input q_input_of(const Q_INPUT *q)
{
    int32_t four;

    memcpy(&four, q, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

GPT2I_INLINE TARGET v16i q_dot(v16i sums, q_weights weights, q_input input)
{
    return (v16i){vdotq_s32(sums.a, weights.a, input), vdotq_s32(sums.b, weights.b, input),
                  vdotq_s32(sums.c, weights.c, input), vdotq_s32(sums.d, weights.d, input)};
}

/* 32 registers, four for a group */
#define Q_UNROLL_QUADS UNROLL
#define Q_TILES(ROW)   ROW(4, 1) ROW(1, 4)
#define Q_MAX_SUMS     4
#define Q_MAX_GROUPS   4

#include "quantised_template.h"

#endif
