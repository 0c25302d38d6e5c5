/*
 * attention.h: multi-head causal self-attention over the KV cache.
 */
#ifndef GPT2I_ATTENTION_H
#define GPT2I_ATTENTION_H

#include "compute.h"
#include "kvcache.h"
#include "tap.h"

/* What attention works with, the same for all layers and calls. */
struct gpt2i_attention {
    const struct gpt2i_compute *compute;
    const struct gpt2i_kvcache *kv;
    struct gpt2i_taps *taps;
    float *scores;        /* [n_threads][attention_rows, scores_stride]: workspace */
    size_t scores_stride; /* row stride for all positions of a context */
};

/*
 * Stores k and v of the spans' rows in the cache and attends from their q.  Each span sees its own
 * sequence's positions.
 *
 *   ctx    [rows of all spans, n_embd]: the heads' outputs side by side
 *   qkv    [rows of all spans, 3 n_embd]
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
