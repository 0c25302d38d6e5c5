/*
 * candidates.c: lists of candidates, and their order.
 */
#include "candidates.h"

#include <math.h>

void gpt2i_candidates_collect(struct gpt2i_candidates *candidates, const float *values, float least)
{
    const struct gpt2i_workspace *space = &candidates->space;

    candidates->n = candidates->kernels->collect(space->ids, values, least, candidates->n_vocab);
    for (size_t i = 0; i < candidates->n; i++) {
        struct gpt2i_candidate *candidate = &space->candidates[i];

        candidate->id = space->ids[i];
        candidate->key = candidates->logits[candidate->id];
        candidate->weight = candidates->is_weighted ? space->weights[candidate->id] : 0.0f;
    }
    candidates->is_listed = true;
}

void gpt2i_candidates_list(struct gpt2i_candidates *candidates)
{
    if (!candidates->is_listed)
        gpt2i_candidates_collect(candidates, candidates->logits, -INFINITY);
}

void gpt2i_candidates_weigh(struct gpt2i_candidates *candidates)
{
    struct gpt2i_candidate *list = candidates->space.candidates;
    float *weights = candidates->space.weights;
    float temperature = candidates->temperature;
    float max = candidates->largest / temperature;

    if (candidates->is_weighted)
        return;
    candidates->is_weighted = true;
    if (!candidates->is_listed) {
        candidates->kernels->weigh(weights, candidates->logits, temperature, max,
                                   candidates->n_vocab);
        return;
    }
    for (size_t i = 0; i < candidates->n; i++)
        weights[i] = candidates->logits[list[i].id];
    candidates->kernels->weigh(weights, weights, temperature, max, candidates->n);
    for (size_t i = 0; i < candidates->n; i++)
        list[i].weight = weights[i];
}

double gpt2i_candidates_total(const struct gpt2i_candidates *candidates)
{
    const struct gpt2i_workspace *space = &candidates->space;
    size_t n_blocks = gpt2i_ceil_div(candidates->n_vocab, GPT2I_VOCAB_BLOCK);
    double total = 0.0;

    if (candidates->is_listed) {
        for (size_t i = 0; i < candidates->n; i++)
            total += (double)space->candidates[i].weight;
        return total;
    }
    candidates->kernels->block_sums(space->blocks, space->weights, candidates->n_vocab);
    for (size_t i = 0; i < n_blocks; i++)
        total += (double)space->blocks[i];
    return total;
}

/* Lets the candidate at 'parent' sink to its place in a heap of n. */
static void sink_candidate(struct gpt2i_candidate *heap, size_t n, size_t parent)
{
    struct gpt2i_candidate sinking = heap[parent];

    for (;;) {
        size_t child = 2 * parent + 1;

        if (child >= n)
            break;
        if (child + 1 < n && gpt2i_ranks_before(&heap[child + 1], &heap[child]))
            child++;
        if (!gpt2i_ranks_before(&heap[child], &sinking))
            break;
        heap[parent] = heap[child];
        parent = child;
    }
    heap[parent] = sinking;
}

void gpt2i_heap_make(struct gpt2i_candidate *heap, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sink_candidate(heap, n, i);
}

struct gpt2i_candidate *gpt2i_heap_pop(struct gpt2i_candidate *heap, size_t *n)
{
    struct gpt2i_candidate top = heap[0];
    size_t last = --*n;

    heap[0] = heap[last];
    heap[last] = top;
    if (last > 0)
        sink_candidate(heap, last, 0);
    return &heap[last];
}

void gpt2i_candidates_keep_from(struct gpt2i_candidates *candidates, size_t first)
{
    struct gpt2i_candidate *list = candidates->space.candidates;

    candidates->n -= first;
    memmove(list, list + first, candidates->n * sizeof list[0]);
}
