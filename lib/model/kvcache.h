/*
 * kvcache.h: where keys and values lie.
 *
 * One block for a session, in pages of GPT2I_PAGE = 64 positions:
 *
 *     [n_layer][n_head][ K: n_pages x head_dim x 64 | V: n_pages x 64 x head_dim ]
 *
 * A head's pages follow each other, since one query reads them in this order: memory reads such long
 * runs 1.5 times as fast as pages that lie far apart (docs/performance.md).
 *
 * K is transposed inside its page, so that the scores of a query against 64 positions are 64
 * outputs side by side; V is not, so that a head's output is head_dim outputs side by side.  Both
 * are then matrix products with weights in the form that kernels read.
 */
#ifndef GPT2I_KVCACHE_H
#define GPT2I_KVCACHE_H

#include "../base/arena.h"
#include "../kernels/kernels.h"

#define GPT2I_PAGE 64 /* positions in a page: one chain of attention's sums, GPT2I_K_BLOCK */

struct gpt2i_kvcache {
    void *bytes;  /* the pages */
    int32_t type; /* GPT2_TYPE_F32 or GPT2_TYPE_F16, of keys and values */
    size_t n_layer;
    size_t n_pages; /* in each layer */
    size_t n_head;  /* of keys and values */
    size_t head_dim;
};

static inline size_t gpt2i_kv_element_bytes(const struct gpt2i_kvcache *kv)
{
    return kv->type == GPT2_TYPE_F32 ? 4 : 2;
}

/* Bytes of one page of one head, K or V. */
static inline size_t gpt2i_kv_page_bytes(const struct gpt2i_kvcache *kv)
{
    return kv->head_dim * GPT2I_PAGE * gpt2i_kv_element_bytes(kv);
}

/* K of one head in one page: [head_dim][64]. */
static inline void *gpt2i_kv_keys(const struct gpt2i_kvcache *kv, size_t layer, size_t page,
                                  size_t head)
{
    return (unsigned char *)kv->bytes +
           ((layer * kv->n_head + head) * 2 * kv->n_pages + page) * gpt2i_kv_page_bytes(kv);
}

/* V of one head in one page: [64][head_dim]. */
static inline void *gpt2i_kv_values(const struct gpt2i_kvcache *kv, size_t layer, size_t page,
                                    size_t head)
{
    return gpt2i_kv_keys(kv, layer, kv->n_pages + page, head);
}

/* Places the pages; the other members are set.  Kernels may read 15 elements past the last value. */
GPT2I_HIDDEN void gpt2i_kvcache_layout(struct gpt2i_kvcache *kv, struct gpt2i_arena *arena);

/*
 * Stores k and v of one head for n_rows positions from slot 'slot' of a page on, no more than are
 * left in it.  Row r of k starts at k + r * stride, and likewise v; head_dim floats each.
 */
GPT2I_HIDDEN void gpt2i_kvcache_store(const struct gpt2i_kvcache *kv,
                                      const struct gpt2i_kernels *kernels, size_t layer,
                                      size_t head, size_t page, size_t slot, size_t n_rows,
                                      const float *k, const float *v, size_t stride);

/* Copies a page of one layer and head. */
GPT2I_HIDDEN void gpt2i_kvcache_copy_page(const struct gpt2i_kvcache *kv, size_t layer, size_t head,
                                          size_t to, size_t from);

#endif
