/*
 * sampler.c: from a row of logits to a token: processors, filters, the draw.
 */
#include "sampler.h"
#include "filters.h"
#include "processors.h"
#include "random.h"

#include <math.h>

#define GREEDY_BELOW     1e-6f /* temperatures that mean the largest logit */
#define LARGEST_REACHING 1e9f  /* temperatures above which logits that differ can be equal */

/* The lowest id of the largest logit. */
static int32_t argmax(const struct gpt2i_candidates *row)
{
    const size_t n_together = 16 * GPT2I_VOCAB_BLOCK;
    int32_t *ids = row->space.ids;
    size_t i = 0;

    while (row->kernels->collect(ids, row->logits + i, row->largest,
                                 gpt2i_min(n_together, row->n_vocab - i)) == 0)
        i += n_together;
    return (int32_t)i + ids[0];
}

/* The row after its processors, with all its tokens. */
static int32_t begin_row(struct gpt2i_candidates *row, const struct gpt2i_sampler *sampler,
                         const float *logits, const gpt2_sample_params *params,
                         struct gpt2i_error *error)
{
    bool is_greedy = params->temperature < GREEDY_BELOW;
    float scaled;

    *row = (struct gpt2i_candidates){
        .kernels = sampler->kernels,
        .space = sampler->space,
        .n_vocab = sampler->n_vocab,
        .temperature = is_greedy ? 1.0f : params->temperature,
    };
    row->logits = gpt2i_processors_apply(logits, sampler->n_vocab, &sampler->space, params,
                                         sampler->host_state);
    if (row->logits == NULL)
        return gpt2i_fail(error, GPT2_ERR_CANCELLED, "the callback of the sampling ended the call");
    row->largest = row->kernels->largest(row->logits, row->n_vocab);
    if (!(row->largest > -FLT_MAX ||
          (row->largest == -FLT_MAX &&
           row->kernels->collect(row->space.ids, row->logits, -FLT_MAX, row->n_vocab) > 0)))
        return gpt2i_fail(error, GPT2_ERR_NONFINITE,
                          "the logits hold NaN or +infinity, or nothing but -infinity");
    scaled = row->largest / row->temperature;
    if (!(scaled < INFINITY && scaled > -INFINITY))
        return gpt2i_fail(error, GPT2_ERR_NONFINITE,
                          "logits / temperature exceed the largest float");
    return GPT2_OK;
}

/* Puts the weights of the list at their ids, 0 elsewhere. */
static void spread_weights(const struct gpt2i_candidates *row)
{
    const struct gpt2i_candidate *list = row->space.candidates;

    memset(row->space.weights, 0, row->n_vocab * sizeof row->space.weights[0]);
    for (size_t i = 0; i < row->n; i++)
        row->space.weights[list[i].id] = list[i].weight;
}

/*
 * The lowest id of the block whose running sum exceeds 'wanted'.  The sum of the block exceeds it, but
 * was rounded in another way: if no running sum does, the last id that has a weight.
 */
static size_t draw_in_block(const float *weights, size_t n, double wanted)
{
    double sum = 0.0;
    size_t last = 0;

    for (size_t i = 0; i < n; i++) {
        sum += (double)weights[i];
        if (sum > wanted)
            return i;
        if (weights[i] > 0.0f)
            last = i;
    }
    return last;
}

/* Draws from space.weights: the first block whose running sum exceeds u times the sum of all. */
static int32_t draw(const struct gpt2i_candidates *row, float u)
{
    const float *weights = row->space.weights;
    const float *blocks = row->space.blocks;
    size_t n_blocks = gpt2i_ceil_div(row->n_vocab, GPT2I_VOCAB_BLOCK);
    double total = 0.0;
    double before = 0.0;
    size_t block = 0;
    size_t first;

    row->kernels->block_sums(row->space.blocks, weights, row->n_vocab);
    for (size_t i = 0; i < n_blocks; i++)
        total += (double)blocks[i];
    while (block + 1 < n_blocks && !(before + (double)blocks[block] > (double)u * total))
        before += (double)blocks[block++];
    first = block * GPT2I_VOCAB_BLOCK;
    return (int32_t)(first + draw_in_block(weights + first,
                                           gpt2i_min(GPT2I_VOCAB_BLOCK, row->n_vocab - first),
                                           (double)u * total - before));
}

int32_t gpt2i_sample(const struct gpt2i_sampler *sampler, const float *logits,
                     const gpt2_sample_params *params, int32_t *id, struct gpt2i_error *error)
{
    struct gpt2i_candidates row;
    uint32_t words[4];
    int32_t status = begin_row(&row, sampler, logits, params, error);

    if (status != GPT2_OK)
        return status;
    if (params->temperature < GREEDY_BELOW) {
        *id = argmax(&row);
        return GPT2_OK;
    }
    gpt2i_philox(words, params->seed, (uint64_t)params->position, params->stream);
    gpt2i_filters_apply(&row, params, gpt2i_uniform(words[1]));
    gpt2i_candidates_weigh(&row);
    if (row.is_listed)
        spread_weights(&row);
    *id = draw(&row, gpt2i_uniform(words[0]));
    if (params->mirostat_tau > 0.0f)
        *params->mirostat_mu = gpt2i_mirostat_next(&row, params, *id);
    return GPT2_OK;
}

size_t gpt2i_sample_reach(const gpt2_sample_params *params)
{
    if (gpt2i_processors_change(params))
        return 0;
    if (params->temperature < GREEDY_BELOW)
        return 1;
    /* top-k is the first filter then; what it keeps does not depend on the others */
    if (params->top_n_sigma > 0.0f || params->temperature > LARGEST_REACHING)
        return 0;
    return (size_t)params->top_k;
}

int32_t gpt2i_sample_candidates(const struct gpt2i_sampler *sampler, const float *logits,
                                const gpt2_sample_params *params, gpt2_candidate *candidates,
                                size_t capacity, size_t *n_kept, struct gpt2i_error *error)
{
    struct gpt2i_candidate *heap = sampler->space.candidates;
    struct gpt2i_candidates row;
    uint32_t words[4];
    size_t n_heap;
    double total;
    int32_t status = begin_row(&row, sampler, logits, params, error);

    if (status != GPT2_OK)
        return status;
    gpt2i_philox(words, params->seed, (uint64_t)params->position, params->stream);
    gpt2i_filters_apply(&row, params, gpt2i_uniform(words[1]));
    gpt2i_candidates_weigh(&row);
    total = gpt2i_candidates_total(&row);
    gpt2i_candidates_list(&row);
    gpt2i_heap_make(heap, row.n);
    n_heap = row.n;
    for (size_t i = 0; i < gpt2i_min(capacity, row.n); i++) {
        const struct gpt2i_candidate *next = gpt2i_heap_pop(heap, &n_heap);

        candidates[i] =
            (gpt2_candidate){.id = next->id, .probability = (float)((double)next->weight / total)};
    }
    *n_kept = row.n;
    return GPT2_OK;
}
