/*
 * ggml.c: dequantisation of ggml's block types, as in its ggml-quants.c.
 *
 * A weight is d q, or d q + m.  d and m are F16, in the _K types times an integer of 6 or 8 bits for each
 * 16 or 32 weights.  So every product here is exact in a float: only the sum with m rounds, once, and no
 * order of operations and no contraction can change a bit.
 */
#include "ggml.h"
#include "half.h"
#include "quantised.h"

static float load_half(const unsigned char *bytes)
{
    return gpt2i_float_of_half(gpt2i_load_le16(bytes));
}

/* Halves of bytes: i and i + 16 are the lower and the upper half of byte i. */
static int32_t half_of_byte(const unsigned char *q, size_t i)
{
    return i < 16 ? q[i] & 15 : q[i - 16] >> 4;
}

/* 32 weights of 8 bits. */
static void widen_q8_0(float *to, const unsigned char *block)
{
    float d = load_half(block);

    for (size_t i = 0; i < GPT2I_GGML_BLOCK; i++)
        to[i] = d * (float)(int8_t)block[2 + i];
}

/* 4 bits, -8 to 7. */
static void widen_q4_0(float *to, const unsigned char *block)
{
    float d = load_half(block);

    for (size_t i = 0; i < GPT2I_GGML_BLOCK; i++)
        to[i] = d * (float)(half_of_byte(block + 2, i) - 8);
}

/* 4 bits, an index into a table. */
static void widen_iq4_nl(float *to, const unsigned char *block)
{
    float d = load_half(block);

    for (size_t i = 0; i < GPT2I_GGML_BLOCK; i++)
        to[i] = d * (float)(gpt2i_iq4_nl_table[half_of_byte(block + 2, i)] - GPT2I_Q_OFFSET);
}

/* 4 bits, 0 to 15, above a least weight. */
static void widen_q4_1(float *to, const unsigned char *block)
{
    float d = load_half(block);
    float m = load_half(block + 2);

    for (size_t i = 0; i < GPT2I_GGML_BLOCK; i++) {
        float product = d * (float)half_of_byte(block + 4, i);

        to[i] = product + m;
    }
}

/* 5 bits, whose highest ones are together. */
static int32_t five_bits(const unsigned char *high, const unsigned char *q, size_t i)
{
    return half_of_byte(q, i) | (int32_t)(gpt2i_load_le32(high) >> i & 1) << 4;
}

static void widen_q5_0(float *to, const unsigned char *block)
{
    float d = load_half(block);

    for (size_t i = 0; i < GPT2I_GGML_BLOCK; i++)
        to[i] = d * (float)(five_bits(block + 2, block + 6, i) - 16);
}

static void widen_q5_1(float *to, const unsigned char *block)
{
    float d = load_half(block);
    float m = load_half(block + 2);

    for (size_t i = 0; i < GPT2I_GGML_BLOCK; i++) {
        float product = d * (float)five_bits(block + 4, block + 8, i);

        to[i] = product + m;
    }
}

/* ----------------------------------------------------------------------------- blocks of 256 -- */

/* The integers of 6 bits that stand for the scale and the least weight of 32 weights. */
static void small_scales(const unsigned char packed[12], size_t j, int32_t *scale, int32_t *least)
{
    if (j < 4) {
        *scale = packed[j] & 63;
        *least = packed[j + 4] & 63;
    } else {
        *scale = (packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4;
        *least = packed[j + 4] >> 4 | (packed[j] >> 6) << 4;
    }
}

/*
 * Q4_K and Q5_K: 8 runs of 32 weights.  Of 64 weights, the first 32 are the lower halves of 32 bytes and
 * the others the upper ones; of Q5_K bit j of high[i] is the highest bit of weight i of run j.
 */
static void widen_runs(float *to, const unsigned char *block, const unsigned char *high,
                       const unsigned char *q)
{
    float d = load_half(block);
    float m = load_half(block + 2);

    for (size_t j = 0; j < 8; j++) {
        int32_t scale, least;
        float d_run, m_run;

        small_scales(block + 4, j, &scale, &least);
        d_run = d * (float)scale;
        m_run = m * (float)least;
        for (size_t i = 0; i < 32; i++) {
            int32_t bits = q[j / 2 * 32 + i] >> (j % 2 * 4) & 15;
            float product;

            if (high != NULL)
                bits |= (high[i] >> j & 1) << 4;
            product = d_run * (float)bits;
            to[j * 32 + i] = product - m_run;
        }
    }
}

static void widen_q4_k(float *to, const unsigned char *block)
{
    widen_runs(to, block, NULL, block + 16);
}

static void widen_q5_k(float *to, const unsigned char *block)
{
    widen_runs(to, block, block + 16, block + 48);
}

/* 16 runs of 16 weights of 6 bits: 4 bits in 'low', 2 in 'high', in two halves of 128 weights. */
static void widen_q6_k(float *to, const unsigned char *block)
{
    float d = load_half(block + 208);

    for (size_t i = 0; i < GPT2I_GGML_SUPER; i++) {
        size_t half = i / 128, in_half = i % 128;
        const unsigned char *low = block + half * 64 + in_half % 64;
        const unsigned char *high = block + 128 + half * 32 + in_half % 32;
        int32_t bits = (*low >> (in_half / 64 * 4) & 15) | (*high >> (in_half / 32 * 2) & 3) << 4;
        float d_run = d * (float)(int8_t)block[192 + i / 16];

        to[i] = d_run * (float)(bits - 32);
    }
}

/* ---------------------------------------------------------------------------------- all types -- */

static const struct {
    void (*widen)(float *to, const unsigned char *block);
} types[] = {
    [GPT2_TYPE_Q8] = {widen_q8_0},   [GPT2_TYPE_Q4] = {widen_iq4_nl},
    [GPT2_TYPE_Q4_0] = {widen_q4_0}, [GPT2_TYPE_Q4_1] = {widen_q4_1},
    [GPT2_TYPE_Q5_0] = {widen_q5_0}, [GPT2_TYPE_Q5_1] = {widen_q5_1},
    [GPT2_TYPE_Q4_K] = {widen_q4_k}, [GPT2_TYPE_Q5_K] = {widen_q5_k},
    [GPT2_TYPE_Q6_K] = {widen_q6_k},
};

void gpt2i_ggml_widen(float *to, int32_t type, const unsigned char *block)
{
    types[type].widen(to, block);
}
