/*
 * kvcache.c: placing and filling the KV cache.
 */
#include "kvcache.h"

#define ROUNDED_TOGETHER 64

void gpt2i_kvcache_layout(struct gpt2i_kvcache *kv, struct gpt2i_arena *arena)
{
    size_t element_bytes = gpt2i_kv_element_bytes(kv);
    uint64_t n_pages = 2 * (uint64_t)kv->n_layer * kv->n_head * kv->n_pages;
    uint64_t n_elements;

    if (!gpt2i_mul_u64(n_pages, kv->head_dim * GPT2I_PAGE, &n_elements))
        n_elements = UINT64_MAX - GPT2I_LANES; /* more than any arena has */
    kv->bytes = gpt2i_arena_take_stream(arena, n_elements + GPT2I_LANES, element_bytes);
}

static void store_f32(const struct gpt2i_kvcache *kv, float *keys, float *values, size_t n_rows,
                      const float *k, const float *v, size_t stride)
{
    for (size_t d = 0; d < kv->head_dim; d++) {
        for (size_t r = 0; r < n_rows; r++)
            keys[d * GPT2I_PAGE + r] = k[r * stride + d];
    }
    for (size_t r = 0; r < n_rows; r++)
        memcpy(values + r * kv->head_dim, v + r * stride, kv->head_dim * sizeof(float));
}

static void store_f16(const struct gpt2i_kvcache *kv, const struct gpt2i_kernels *kernels,
                      uint16_t *keys, uint16_t *values, size_t n_rows, const float *k,
                      const float *v, size_t stride)
{
    uint16_t rounded[ROUNDED_TOGETHER];

    for (size_t r = 0; r < n_rows; r++) {
        for (size_t first = 0; first < kv->head_dim; first += ROUNDED_TOGETHER) {
            size_t n = gpt2i_min(kv->head_dim - first, ROUNDED_TOGETHER);

            kernels->to_f16(rounded, k + r * stride + first, n);
            for (size_t d = 0; d < n; d++)
                keys[(first + d) * GPT2I_PAGE + r] = rounded[d];
        }
        kernels->to_f16(values + r * kv->head_dim, v + r * stride, kv->head_dim);
    }
}

void gpt2i_kvcache_store(const struct gpt2i_kvcache *kv, const struct gpt2i_kernels *kernels,
                         size_t layer, size_t head, size_t page, size_t slot, size_t n_rows,
                         const float *k, const float *v, size_t stride)
{
    void *keys = gpt2i_kv_keys(kv, layer, page, head);
    void *values = gpt2i_kv_values(kv, layer, page, head);

    if (kv->type == GPT2_TYPE_F32)
        store_f32(kv, (float *)keys + slot, (float *)values + slot * kv->head_dim, n_rows, k, v,
                  stride);
    else
        store_f16(kv, kernels, (uint16_t *)keys + slot, (uint16_t *)values + slot * kv->head_dim,
                  n_rows, k, v, stride);
}

void gpt2i_kvcache_copy_page(const struct gpt2i_kvcache *kv, size_t layer, size_t head, size_t to,
                             size_t from)
{
    memcpy(gpt2i_kv_keys(kv, layer, to, head), gpt2i_kv_keys(kv, layer, from, head),
           gpt2i_kv_page_bytes(kv));
    memcpy(gpt2i_kv_values(kv, layer, to, head), gpt2i_kv_values(kv, layer, from, head),
           gpt2i_kv_page_bytes(kv));
}
