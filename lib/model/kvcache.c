/*
 * kvcache.c: placing and filling the KV cache.
 */
#include "kvcache.h"

void gpt2i_kvcache_layout(struct gpt2i_kvcache *kv, struct gpt2i_arena *arena)
{
    uint64_t n_pages = 2 * (uint64_t)kv->n_layer * kv->n_head * kv->n_pages;
    uint64_t n_floats;

    if (!gpt2i_mul_u64(n_pages, gpt2i_kv_page_floats(kv), &n_floats))
        n_floats = UINT64_MAX - GPT2I_LANES; /* more than any arena has */
    kv->pages = gpt2i_arena_take_stream(arena, n_floats + GPT2I_LANES, sizeof(float));
}

void gpt2i_kvcache_store(const struct gpt2i_kvcache *kv, size_t layer, size_t head, size_t position,
                         size_t n_rows, const float *k, const float *v, size_t stride)
{
    while (n_rows > 0) {
        size_t page = position / GPT2I_PAGE;
        size_t slot = position % GPT2I_PAGE;
        size_t n_slots = gpt2i_min(n_rows, GPT2I_PAGE - slot);
        float *keys = gpt2i_kv_keys(kv, layer, page, head) + slot;
        float *values = gpt2i_kv_values(kv, layer, page, head) + slot * kv->head_dim;

        for (size_t d = 0; d < kv->head_dim; d++) {
            for (size_t r = 0; r < n_slots; r++)
                keys[d * GPT2I_PAGE + r] = k[r * stride + d];
        }
        for (size_t r = 0; r < n_slots; r++)
            memcpy(values + r * kv->head_dim, v + r * stride, kv->head_dim * sizeof(float));
        k += n_slots * stride;
        v += n_slots * stride;
        position += n_slots;
        n_rows -= n_slots;
    }
}
