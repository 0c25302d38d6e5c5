/*
 * quantise.c: the scale and the integers that stand for the weights of a block.
 *
 * Several scales are tried, and that with the least squared error is taken: docs/quantization.md.  Plain
 * arithmetic in a fixed order, so that every machine gets the same bytes.
 */
#include "half.h"
#include "quantised.h"

const uint8_t gpt2i_iq4_nl_table[GPT2I_Q_TABLE] = {
    1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241,
};

const uint8_t gpt2i_q4_0_table[GPT2I_Q_TABLE] = {
    120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135,
};

/* Which entry of IQ4_NL's table is nearest to an integer with the offset; the lower of two. */
static const uint8_t nearest_entry[256] = {
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1,
    1,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
    2,  2,  2,  2,  2,  2,  2,  3,  3,  3,  3,  3,  3,  3,  3,  3,  3,  3,  3,  3,  3,  3,  3,  3,
    4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  5,  5,  5,  5,  5,  5,  5,  5,  5,
    5,  5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  7,  7,  7,  7,  7,  7,  7,
    7,  7,  7,  7,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  9,  9,  9,  9,  9,  9,  9,  9,
    9,  9,  9,  9,  10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 11, 11, 11, 11, 11, 11, 11, 11,
    11, 11, 11, 11, 11, 11, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 13, 13,
    13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 14, 14, 14, 14, 14, 14, 14, 14,
    14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
};

#define N_SUMS 4 /* sums that run beside each other */

/* The element of x with the largest magnitude; 0 if all are 0. */
static float extreme_of(const float *x)
{
    float extreme = 0.0f;

    for (size_t i = 0; i < GPT2I_Q_BLOCK; i++) {
        float magnitude = x[i] < 0.0f ? -x[i] : x[i];

        if (magnitude > (extreme < 0.0f ? -extreme : extreme))
            extreme = x[i];
    }
    return extreme;
}

/* 1 / d, or 0 where d is so small that its F16 is 0, and 1 / d might be infinite */
static float inverse_of(float d)
{
    return d < -0x1p-100f || d > 0x1p-100f ? 1.0f / d : 0.0f;
}

/*
 * x times 'inverse', rounded to an integer in [least, 127], halves up.  All products are below 256: scales
 * come from the largest weight.  No float sum follows the product, which some compilers would contract.
 */
GPT2I_INLINE int32_t to_integer(float x, float inverse, int32_t least)
{
    int32_t scaled = (int32_t)(x * inverse * 65536.0f);
    uint32_t above = (uint32_t)(scaled + (256 * 65536 + 32768)); /* of -256, and a half */
    int32_t y = (int32_t)(above >> 16) - 256;

    return y < least ? least : y > 127 ? 127 : y;
}

/* A way to write a block for a scale of 1 / inverse: integers t[32]. */
typedef void write_block(int32_t *t, const float *x, float inverse);

GPT2I_INLINE void write_q8(int32_t *t, const float *x, float inverse)
{
    for (size_t i = 0; i < GPT2I_Q_BLOCK; i++)
        t[i] = to_integer(x[i], inverse, -127);
}

GPT2I_INLINE uint8_t entry_of(float x, float inverse)
{
    return nearest_entry[to_integer(x, inverse, -128) + GPT2I_Q_OFFSET];
}

GPT2I_INLINE void write_q4(int32_t *t, const float *x, float inverse)
{
    for (size_t i = 0; i < GPT2I_Q_BLOCK; i++)
        t[i] = gpt2i_iq4_nl_table[entry_of(x[i], inverse)] - GPT2I_Q_OFFSET;
}

/* A scale, and by how much the squared error falls with it. */
struct fit {
    float d;
    double gain;
};

/* With integers t the best scale is the sum of x t over that of t t. */
GPT2I_INLINE void try_scale(struct fit *best, const float *x, float inverse, write_block *write)
{
    int32_t t[GPT2I_Q_BLOCK];
    double products[N_SUMS] = {0.0}; /* each product is exact, so contraction changes nothing */
    int32_t square = 0;
    double product, d;

    write(t, x, inverse);
    for (size_t i = 0; i < GPT2I_Q_BLOCK; i += N_SUMS) {
        for (size_t j = 0; j < N_SUMS; j++)
            products[j] += (double)x[i + j] * (double)t[i + j];
    }
    for (size_t i = 0; i < GPT2I_Q_BLOCK; i++)
        square += t[i] * t[i];
    product = (products[0] + products[1]) + (products[2] + products[3]);
    if (square == 0)
        return;
    d = product / (double)square;
    if (d * product > best->gain) {
        best->d = (float)d;
        best->gain = d * product;
    }
}

static void copy_block(float block[GPT2I_Q_BLOCK], const float *x, size_t n)
{
    memset(block, 0, GPT2I_Q_BLOCK * sizeof block[0]);
    memcpy(block, x, n * sizeof block[0]);
}

void gpt2i_quantise_q8(struct gpt2i_q_weights *weights, const float *x, size_t n)
{
    float block[GPT2I_Q_BLOCK];
    struct fit best = {0.0f, 0.0};
    float extreme, inverse;

    copy_block(block, x, n);
    extreme = extreme_of(block);
    /* the largest weight becomes 127, or somewhat less or more */
    for (float largest = 121.0f; largest <= 128.0f; largest += 1.0f)
        try_scale(&best, block, largest * inverse_of(extreme < 0.0f ? -extreme : extreme),
                  write_q8);
    weights->d = gpt2i_half_of_float(best.d);
    inverse = inverse_of(gpt2i_float_of_half(weights->d));
    for (size_t i = 0; i < GPT2I_Q_BLOCK; i++)
        weights->q[i] = (uint8_t)(to_integer(block[i], inverse, -127) + GPT2I_Q_OFFSET);
}

void gpt2i_quantise_q4(struct gpt2i_q_weights *weights, const float *x, size_t n)
{
    const float first = (float)gpt2i_iq4_nl_table[0] - GPT2I_Q_OFFSET;
    const float last = (float)gpt2i_iq4_nl_table[GPT2I_Q_TABLE - 1] - GPT2I_Q_OFFSET;
    float block[GPT2I_Q_BLOCK];
    struct fit best = {0.0f, 0.0};
    float inverse;

    copy_block(block, x, n);
    inverse = inverse_of(extreme_of(block));
    /* the largest weight becomes the first or the last entry, or somewhat less or more */
    for (float part = 0.8125f; part <= 1.1875f; part += 0.0625f) {
        try_scale(&best, block, first * part * inverse, write_q4);
        try_scale(&best, block, last * part * inverse, write_q4);
    }
    weights->d = gpt2i_half_of_float(best.d);
    inverse = inverse_of(gpt2i_float_of_half(weights->d));
    for (size_t i = 0; i < GPT2I_Q_BLOCK; i++)
        weights->q[i] = entry_of(block[i], inverse);
}
