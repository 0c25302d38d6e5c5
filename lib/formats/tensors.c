/*
 * tensors.c: what the readers of all weight files share: the block of items and names, the checks
 * of byte ranges, sorting and finding.
 *
 * Sorting is heap sort: in place, without recursion, and no slower for an order that someone has
 * prepared; the qsort of some C libraries allocates.
 */
#include "tensors.h"
#include "../base/arena.h"

#include <inttypes.h>

static void layout_tensors(struct gpt2i_arena *arena, struct gpt2i_tensors *tensors,
                           size_t n_tensors, uint64_t name_bytes)
{
    tensors->items = gpt2i_arena_take(arena, n_tensors, sizeof *tensors->items);
    tensors->names = gpt2i_arena_take(arena, name_bytes, 1);
}

int32_t gpt2i_tensors_allocate(struct gpt2i_tensors *tensors, size_t n_tensors, uint64_t name_bytes,
                               struct gpt2i_error *error)
{
    struct gpt2i_arena arena = gpt2i_arena_over(NULL);

    layout_tensors(&arena, tensors, n_tensors, name_bytes);
    if (arena.used_bytes > 0 && !arena.overflow)
        tensors->block = gpt2i_block_new(arena.used_bytes);
    if (arena.overflow || (arena.used_bytes > 0 && tensors->block == NULL))
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "%s: no memory for the list of %zu tensors",
                          tensors->source->path, n_tensors);
    tensors->block_bytes = arena.used_bytes;
    arena = gpt2i_arena_over(tensors->block);
    layout_tensors(&arena, tensors, n_tensors, name_bytes);
    tensors->n_tensors = n_tensors;
    return GPT2_OK;
}

static void close_file(struct gpt2i_tensors *tensors)
{
    gpt2i_source_close(tensors->source);
    gpt2i_block_free(tensors->block, tensors->block_bytes);
}

void gpt2i_tensors_close(struct gpt2i_tensors *tensors)
{
    for (size_t i = 0; i < tensors->n_shards; i++)
        close_file(&tensors->shards[i]);
    gpt2i_block_free(tensors->shards, tensors->shards_bytes);
    close_file(tensors);
    memset(tensors, 0, sizeof *tensors);
}

bool gpt2i_tensor_size(const struct gpt2i_tensor *tensor, uint64_t element_bytes, uint64_t *n_bytes)
{
    uint64_t product = element_bytes;
    bool empty = false;

    for (int32_t i = 0; i < tensor->n_dims; i++)
        empty = empty || tensor->dims[i] == 0;
    for (int32_t i = 0; i < tensor->n_dims && !empty; i++) {
        if (!gpt2i_mul_u64(product, tensor->dims[i], &product) || product > INT64_MAX)
            return false;
    }
    *n_bytes = empty ? 0 : product;
    return true;
}

/* ------------------------------------------------------------------------------------ sorting -- */

typedef bool (*before_function)(const struct gpt2i_tensor *a, const struct gpt2i_tensor *b);

static bool name_before(const struct gpt2i_tensor *a, const struct gpt2i_tensor *b)
{
    return strcmp(a->name, b->name) < 0;
}

/* An empty tensor comes before the one that begins at the same byte, so that both follow on. */
static bool range_before(const struct gpt2i_tensor *a, const struct gpt2i_tensor *b)
{
    return a->offset != b->offset ? a->offset < b->offset : a->n_bytes < b->n_bytes;
}

static void swap_tensors(struct gpt2i_tensor *a, struct gpt2i_tensor *b)
{
    struct gpt2i_tensor saved = *a;

    *a = *b;
    *b = saved;
}

/* Lets items[top] sink until neither child, at 2 top + 1 and 2 top + 2, is after it. */
static void sink_tensor(struct gpt2i_tensor *items, size_t n, size_t top, before_function before)
{
    size_t child;

    for (; (child = 2 * top + 1) < n; top = child) {
        if (child + 1 < n && before(&items[child], &items[child + 1]))
            child++;
        if (!before(&items[top], &items[child]))
            return;
        swap_tensors(&items[top], &items[child]);
    }
}

static void sort_tensors(struct gpt2i_tensor *items, size_t n, before_function before)
{
    for (size_t top = n / 2; top > 0; top--)
        sink_tensor(items, n, top - 1, before);
    for (size_t left = n; left > 1; left--) {
        swap_tensors(&items[0], &items[left - 1]);
        sink_tensor(items, left - 1, 0, before);
    }
}

/* ----------------------------------------------------------------------------------- checking -- */

int32_t gpt2i_tensors_check_ranges(struct gpt2i_tensors *tensors, uint64_t data_offset, bool gaps,
                                   struct gpt2i_error *error)
{
    const char *path = tensors->source->path;
    uint64_t file_bytes = tensors->source->size_bytes;
    uint64_t end = data_offset; /* of the tensors so far */

    sort_tensors(tensors->items, tensors->n_tensors, range_before);
    for (size_t i = 0; i < tensors->n_tensors; i++) {
        const struct gpt2i_tensor *tensor = &tensors->items[i];

        if (tensor->offset < end || (tensor->offset > end && !gaps))
            return gpt2i_fail(
                error, GPT2_ERR_FORMAT,
                "%s: tensor %s begins at byte %" PRIu64 ", wanted %" PRIu64 ", where %s%s: %s",
                path, tensor->name, tensor->offset, end,
                i == 0 ? "the data begin" : "the one before ends: ", i == 0 ? "" : tensor[-1].name,
                tensor->offset < end ? "they overlap" : "the bytes between belong to no tensor");
        if (tensor->offset > file_bytes || tensor->n_bytes > file_bytes - tensor->offset)
            return gpt2i_fail(error, GPT2_ERR_FORMAT,
                              "%s: tensor %s has %" PRIu64 " bytes from byte %" PRIu64
                              ", but the file has %" PRIu64 " bytes",
                              path, tensor->name, tensor->n_bytes, tensor->offset, file_bytes);
        end = tensor->offset + tensor->n_bytes;
    }
    if (end != file_bytes && !gaps)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: the tensors end at byte %" PRIu64 ", but the file has %" PRIu64
                          " bytes",
                          path, end, file_bytes);
    return GPT2_OK;
}

int32_t gpt2i_tensors_sort(struct gpt2i_tensors *tensors, struct gpt2i_error *error)
{
    sort_tensors(tensors->items, tensors->n_tensors, name_before);
    for (size_t i = 1; i < tensors->n_tensors; i++) {
        const struct gpt2i_tensor *tensor = &tensors->items[i];

        if (strcmp(tensor[-1].name, tensor->name) != 0)
            continue;
        if (tensor[-1].source != tensor->source)
            return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: tensor %s is both in %s and in %s",
                              tensors->source->path, tensor->name, tensor[-1].source->path,
                              tensor->source->path);
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: tensor %s appears twice",
                          tensors->source->path, tensor->name);
    }
    return GPT2_OK;
}

const struct gpt2i_tensor *gpt2i_tensors_find(const struct gpt2i_tensors *tensors, const char *name)
{
    size_t low = 0, high = tensors->n_tensors;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, tensors->items[middle].name);

        if (order == 0)
            return &tensors->items[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
