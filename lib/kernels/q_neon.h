/*
 * q_neon.h: what NEON and dotprod share of quantised_template.h's operations.
 */
#ifndef Q_NEON_H
#define Q_NEON_H

#include "quantised.h"
#include "v16_neon.h"

typedef struct {
    int32x4_t a, b, c, d; /* lanes 0..3, 4..7, 8..11, 12..15 */
} v16i;

GPT2I_INLINE TARGET v16i v16i_set1(int32_t x)
{
    return (v16i){vdupq_n_s32(x), vdupq_n_s32(x), vdupq_n_s32(x), vdupq_n_s32(x)};
}

GPT2I_INLINE TARGET v16 v16_of_ints(v16i x)
{
    return (v16){vcvtq_f32_s32(x.a), vcvtq_f32_s32(x.b), vcvtq_f32_s32(x.c), vcvtq_f32_s32(x.d)};
}

typedef struct {
    uint8x16_t a, b, c, d; /* 4 bytes for each of 4 outputs */
} q_quads;

GPT2I_INLINE TARGET q_quads q_load(const char *bytes)
{
    const uint8_t *at = (const uint8_t *)bytes;

    return (q_quads){vld1q_u8(at), vld1q_u8(at + 16), vld1q_u8(at + 32), vld1q_u8(at + 48)};
}

typedef uint8x16_t q_table;

GPT2I_INLINE TARGET q_table q_load_table(const uint8_t table[GPT2I_Q_TABLE])
{
    return vld1q_u8(table);
}

GPT2I_INLINE TARGET q_quads q_low(q_table table, q_quads quads)
{
    const uint8x16_t low = vdupq_n_u8(15);

    return (q_quads){
        vqtbl1q_u8(table, vandq_u8(quads.a, low)), vqtbl1q_u8(table, vandq_u8(quads.b, low)),
        vqtbl1q_u8(table, vandq_u8(quads.c, low)), vqtbl1q_u8(table, vandq_u8(quads.d, low))};
}

GPT2I_INLINE TARGET q_quads q_high(q_table table, q_quads quads)
{
    return (q_quads){
        vqtbl1q_u8(table, vshrq_n_u8(quads.a, 4)), vqtbl1q_u8(table, vshrq_n_u8(quads.b, 4)),
        vqtbl1q_u8(table, vshrq_n_u8(quads.c, 4)), vqtbl1q_u8(table, vshrq_n_u8(quads.d, 4))};
}

GPT2I_INLINE TARGET int16x8_t eight_integers(float32x4_t low, float32x4_t high)
{
    return vcombine_s16(vmovn_s32(vcvtq_s32_f32(low)), vmovn_s32(vcvtq_s32_f32(high)));
}

GPT2I_INLINE TARGET int8x16_t sixteen_integers(v16 x)
{
    return vcombine_s8(vmovn_s16(eight_integers(x.a, x.b)), vmovn_s16(eight_integers(x.c, x.d)));
}

#endif
