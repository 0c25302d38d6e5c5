/*
 * attention.h: multi-head causal self-attention over the KV cache.
 */
#ifndef GPT2I_ATTENTION_H
#define GPT2I_ATTENTION_H

#include "session.h"

/*
 * Stores k and v of these rows in the cache and attends from their q.
 *
 *   ctx         [n_rows, n_embd]: the heads' outputs side by side
 *   qkv         [n_rows, 3 n_embd]
 *   first_row   of the forward call; its position is session->n_past + first_row
 *
 * Returns GPT2_ERR_CANCELLED if a tap ends the call.
 */
GPT2I_HIDDEN int32_t gpt2i_attention(gpt2_session *session, float *ctx, const float *qkv,
                                     int32_t layer, int32_t first_row, size_t n_rows);

#endif
