/*
 * attention.h: causal self-attention over the KV cache, where each head has keys and values of its own
 * (multi-head), or all heads share one (multi-query).
 */
#ifndef GPT2I_ATTENTION_H
#define GPT2I_ATTENTION_H

#include "compute.h"
#include "config.h"
#include "kvcache.h"
#include "tap.h"

/* Where the vectors of the heads lie in a row of c_attn's output, in floats. */
struct gpt2i_qkv {
    size_t n_columns;
    size_t q_step; /* from a head's q to that of the next */
    size_t first_k;
    size_t k_step;
    size_t k_to_v; /* from a head's k to its v */
};

GPT2I_HIDDEN struct gpt2i_qkv gpt2i_qkv_of(const struct gpt2i_config *config);

/* What attention works with, the same for all layers and calls. */
struct gpt2i_attention {
    const struct gpt2i_compute *compute;
    const struct gpt2i_kvcache *kv;
    struct gpt2i_taps *taps;
    size_t n_head; /* of queries: kv->n_head, or more heads that share one of the cache */
    struct gpt2i_qkv qkv;
    float *scores;        /* [n_threads][attention_rows, scores_stride]: workspace */
    size_t scores_stride; /* row stride for all positions of a context */
};

/* Tiles that attention cuts n_rows rows of a span into, for each head of the cache. */
GPT2I_HIDDEN size_t gpt2i_attention_tiles(const struct gpt2i_attention *attention, size_t n_rows);

/*
 * Stores k and v of the spans' rows in the cache and attends from their q.  Each span sees its own
 * sequence's positions.
 *
 *   ctx    [rows of all spans, n_embd]: the heads' outputs side by side
 *   qkv    [rows of all spans, qkv.n_columns]
 *   scale    what q k is multiplied by
 *   n_tiles  of all spans
 *
 * Returns GPT2_ERR_CANCELLED if a tap ends the call.  If the pool drops tasks, it returns GPT2_OK, and
 * ctx is undefined.
 */
GPT2I_HIDDEN int32_t gpt2i_attend(const struct gpt2i_attention *attention, float *ctx,
                                  const float *qkv, int32_t layer, float scale,
                                  const struct gpt2i_span *spans, size_t n_spans, size_t n_tiles);

#endif
