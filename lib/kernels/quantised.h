/*
 * quantised.h: how quantised weights lie in memory, and what an activation becomes for them.
 *
 * Both are cut into blocks of 32 along k.  A weight is d q: q of 8 bits, or an entry of 8 bits in a table
 * that an index of 4 bits chooses; d is a scale of the block, an F16.  In memory q, and the table, have
 * 128 added, which instructions for bytes want.
 *
 * A block of w outputs, w a multiple of 16, has
 *     uint16_t d[w]
 *     uint8_t q[8][w][4]       8 bits: k = 4 i + j is q[i][output][j]
 *     uint8_t q[4][w][4]       4 bits: the lower half of q[i / 2][output][j] if i is even, else the upper
 */
#ifndef GPT2I_QUANTISED_H
#define GPT2I_QUANTISED_H

#include "../base/common.h"

#define GPT2I_Q_BLOCK  32  /* length of a block along k */
#define GPT2I_Q_OFFSET 128 /* is added to weights of 8 bits and to tables */
#define GPT2I_Q_TABLE  16  /* entries of a table */

/* The weights of one output in one block. */
struct gpt2i_q_weights {
    uint16_t d;               /* F16 */
    uint8_t q[GPT2I_Q_BLOCK]; /* 8 bits with the offset, or 4 bits */
};

/* Bytes of a block for one output, by GPT2_TYPE_Q8 or _Q4. */
GPT2I_INLINE size_t gpt2i_q_block_bytes(int32_t type)
{
    return sizeof(uint16_t) + (type == GPT2_TYPE_Q8 ? GPT2I_Q_BLOCK : GPT2I_Q_BLOCK / 2);
}

/*
 * The scale and the integers that stand for n <= 32 weights x with the least error: docs/quantization.md.
 * Missing weights are 0.  'x' is finite and at most GPT2I_Q_LARGEST.  Q4 takes ggml's table.
 */
GPT2I_HIDDEN void gpt2i_quantise_q8(struct gpt2i_q_weights *weights, const float *x, size_t n);
GPT2I_HIDDEN void gpt2i_quantise_q4(struct gpt2i_q_weights *weights, const float *x, size_t n);

#define GPT2I_Q_LARGEST 4194304.0f /* 2^22: every scale is a finite F16 */

/* ggml's tables of IQ4_NL and Q4_0, with the offset. */
GPT2I_HIDDEN_TABLE extern const uint8_t gpt2i_iq4_nl_table[GPT2I_Q_TABLE];
GPT2I_HIDDEN_TABLE extern const uint8_t gpt2i_q4_0_table[GPT2I_Q_TABLE];

#endif
