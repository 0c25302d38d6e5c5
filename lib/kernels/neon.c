/*
 * neon.c: the kernels on aarch64's NEON: a group of 16 lanes is four registers.
 */
#include "kernels.h"

#ifdef GPT2I_HAS_NEON

#define SET neon
#define TARGET

#include "v16_neon.h"

/* 32 registers: up to 24 of sums, the weights of a step and a broadcast */
#define TILES(ROW) ROW(6, 1) ROW(3, 2) ROW(1, 4)
#define EVEN_TILES(ROW)
#define TILE_MAX_SUMS   6
#define TILE_MAX_GROUPS 4

#define MATMUL_ROWS    126 /* a multiple of 7 and 6 */
#define ATTENTION_ROWS 28

#include "kernels_template.h"

/* Bytes are multiplied as 16 bits: 255 x 127 fits.  Then pairs of products are added to the sums. */
#include "q_neon.h"

typedef struct {
    q_quads even, odd; /* bytes 0 and 2, 1 and 3 of each output, as 16 bits */
} q_weights;

GPT2I_INLINE uint8x16_t even_bytes(uint8x16_t bytes)
{
    return vandq_u8(bytes, vreinterpretq_u8_u16(vdupq_n_u16(255)));
}

GPT2I_INLINE uint8x16_t odd_bytes(uint8x16_t bytes)
{
    return vreinterpretq_u8_u16(vshrq_n_u16(vreinterpretq_u16_u8(bytes), 8));
}

GPT2I_INLINE q_weights q_weights_of(q_quads quads)
{
    return (q_weights){
        {even_bytes(quads.a), even_bytes(quads.b), even_bytes(quads.c), even_bytes(quads.d)},
        {odd_bytes(quads.a), odd_bytes(quads.b), odd_bytes(quads.c), odd_bytes(quads.d)},
    };
}

#define Q_INPUT int16_t /* 0, 2, 1, 3 of each four */

GPT2I_INLINE void q_store(Q_INPUT *to, v16 x)
{
    int8_t q[GPT2I_LANES];

    vst1q_s8(q, sixteen_integers(x));
    for (size_t i = 0; i < GPT2I_LANES; i += 4) {
        to[i] = q[i];
        to[i + 1] = q[i + 2];
        to[i + 2] = q[i + 1];
        to[i + 3] = q[i + 3];
    }
}

typedef struct {
    int16x8_t even, odd;
} q_input;

GPT2I_INLINE q_input q_input_of(const Q_INPUT *q)
{
    int32_t even;
    int32_t odd;

    memcpy(&even, q, sizeof even);
    memcpy(&odd, q + 2, sizeof odd);
    return (q_input){vreinterpretq_s16_s32(vdupq_n_s32(even)),
                     vreinterpretq_s16_s32(vdupq_n_s32(odd))};
}

GPT2I_INLINE int32x4_t dot_4(int32x4_t sums, uint8x16_t even, uint8x16_t odd, q_input input)
{
    sums = vpadalq_s16(sums, vmulq_s16(vreinterpretq_s16_u8(even), input.even));
    return vpadalq_s16(sums, vmulq_s16(vreinterpretq_s16_u8(odd), input.odd));
}

GPT2I_INLINE v16i q_dot(v16i sums, q_weights weights, q_input input)
{
    return (v16i){dot_4(sums.a, weights.even.a, weights.odd.a, input),
                  dot_4(sums.b, weights.even.b, weights.odd.b, input),
                  dot_4(sums.c, weights.even.c, weights.odd.c, input),
                  dot_4(sums.d, weights.even.d, weights.odd.d, input)};
}

/* 32 registers, four for a group's sums and eight for its weights */
#define Q_UNROLL_QUADS
#define Q_TILES(ROW) ROW(4, 1) ROW(1, 1)
#define Q_MAX_SUMS   4
#define Q_MAX_GROUPS 1

#include "quantised_template.h"

#endif
