/*
 * quantise.c: the scale and the integers that stand for the weights of a block.
 *
 * Plain arithmetic in a fixed order, so that every machine gets the same bytes.
 */
#include "half.h"
#include "quantised.h"

const uint8_t gpt2i_iq4_nl_table[GPT2I_Q_TABLE] = {
    1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241,
};

#define N_MIDDLES (GPT2I_Q_TABLE - 1)

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

/* 1 / d, or 0 where d is 0 */
static float inverse_of(float d)
{
    return d < 0.0f || d > 0.0f ? 1.0f / d : 0.0f;
}

static void copy_block(float block[GPT2I_Q_BLOCK], const float *x, size_t n)
{
    memset(block, 0, GPT2I_Q_BLOCK * sizeof block[0]);
    memcpy(block, x, n * sizeof block[0]);
}

void gpt2i_quantise_q8(struct gpt2i_q_weights *weights, const float *x, size_t n)
{
    const float round = 0x1.8p23f; /* adding it rounds to an integer */
    float block[GPT2I_Q_BLOCK];
    float extreme, inverse;

    copy_block(block, x, n);
    extreme = extreme_of(block);
    weights->d = gpt2i_half_of_float((extreme < 0.0f ? -extreme : extreme) / 127.0f);
    inverse = inverse_of(gpt2i_float_of_half(weights->d));
    for (size_t i = 0; i < GPT2I_Q_BLOCK; i++) {
        float q = block[i] * inverse + round - round;

        /* a scale that was rounded down */
        q = q > 127.0f ? 127.0f : q < -127.0f ? -127.0f : q;
        weights->q[i] = (uint8_t)((int32_t)q + GPT2I_Q_OFFSET);
    }
}

/* The entries that are nearest to x times 'inverse': their indices, and the entries without offset. */
static void nearest(uint8_t *indices, const float *x, float inverse, const float middles[N_MIDDLES])
{
    int32_t n_below[GPT2I_Q_BLOCK] = {0};

    for (size_t m = 0; m < N_MIDDLES; m++) {
        for (size_t i = 0; i < GPT2I_Q_BLOCK; i++)
            n_below[i] += x[i] * inverse > middles[m];
    }
    for (size_t i = 0; i < GPT2I_Q_BLOCK; i++)
        indices[i] = (uint8_t)n_below[i];
}

/*
 * For a scale 1 / inverse: chooses the entries t and returns the scale that fits them best, the sum of
 * w x t over that of w t t; '*gain' is by how much the squared error, weighted by w, falls.
 */
static float fit(const float *x, const float *w, float inverse, const float entries[GPT2I_Q_TABLE],
                 const float middles[N_MIDDLES], float *gain)
{
    uint8_t indices[GPT2I_Q_BLOCK];
    float product = 0.0f;
    float square = 0.0f;

    nearest(indices, x, inverse, middles);
    for (size_t i = 0; i < GPT2I_Q_BLOCK; i++) {
        float t = entries[indices[i]];

        product += w[i] * x[i] * t;
        square += w[i] * t * t;
    }
    *gain = square > 0.0f ? product / square * product : 0.0f;
    return square > 0.0f ? product / square : 0.0f;
}

void gpt2i_quantise_q4(struct gpt2i_q_weights *weights, const float *x, size_t n,
                       const uint8_t table[GPT2I_Q_TABLE])
{
    float block[GPT2I_Q_BLOCK];
    float w[GPT2I_Q_BLOCK];
    float entries[GPT2I_Q_TABLE];
    float middles[N_MIDDLES];
    float best_gain = -1.0f;
    float best = 0.0f;
    float extreme;

    copy_block(block, x, n);
    extreme = extreme_of(block);
    for (size_t i = 0; i < GPT2I_Q_TABLE; i++)
        entries[i] = (float)(table[i] - GPT2I_Q_OFFSET);
    for (size_t i = 0; i < N_MIDDLES; i++)
        middles[i] = 0.5f * (entries[i] + entries[i + 1]);
    for (size_t i = 0; i < GPT2I_Q_BLOCK; i++)
        w[i] = 1.0f;
    for (int32_t step = -9; step <= 9; step++) {
        for (size_t side = 0; side < 2; side++) {
            /* which entry the largest weight would be, somewhat more or less */
            float entry = entries[side == 0 ? 0 : GPT2I_Q_TABLE - 1] * (1.0f + 0.03f * (float)step);
            float gain;
            float d = fit(block, w, entry * inverse_of(extreme), entries, middles, &gain);

            if (gain > best_gain) {
                best_gain = gain;
                best = d;
            }
        }
    }
    weights->d = gpt2i_half_of_float(best);
    nearest(weights->q, block, inverse_of(gpt2i_float_of_half(weights->d)), middles);
}
