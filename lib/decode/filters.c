/*
 * filters.c: the filters, in the order in which they apply.
 *
 * Those of Hugging Face's generate() have its order and its meaning: top-k, top-p, min-p, typical.
 * Top-n-sigma comes before them, as in llama.cpp, XTC and mirostat after them.  A probability is
 * always one among the candidates that the filters before have kept.
 */
#include "filters.h"
#include "../kernels/log.h"

#include <math.h>

/*
 * Top-n-sigma (Tang et al., "Top-n-sigma: not all logits are you need", 2024): keeps logits that are at
 * most n standard deviations of all finite logits below the largest.
 */
static void keep_top_n_sigma(struct gpt2i_candidates *candidates, const gpt2_sample_params *params)
{
    struct gpt2i_candidate *list = candidates->space.candidates;
    const float *logits = candidates->logits;
    double sum = 0.0;
    double squares = 0.0;
    size_t n = 0;
    size_t n_kept = 0;
    double mean;
    double reach; /* the square of how far below the largest logits may be */

    for (size_t i = 0; i < candidates->n_vocab; i++) {
        sum += logits[i] > -INFINITY ? (double)logits[i] : 0.0;
        n += logits[i] > -INFINITY;
    }
    mean = sum / (double)n;
    for (size_t i = 0; i < candidates->n_vocab; i++) {
        double d = (double)logits[i] - mean;

        squares += logits[i] > -INFINITY ? d * d : 0.0;
    }
    reach = (double)params->top_n_sigma * (double)params->top_n_sigma * squares / (double)n;
    gpt2i_candidates_list(candidates);
    for (size_t i = 0; i < candidates->n; i++) {
        double below = (double)candidates->largest - (double)list[i].key;

        if (below * below <= reach)
            list[n_kept++] = list[i];
    }
    candidates->n = n_kept;
}

/*
 * A list of all tokens that may be among the k largest: k blocks have their largest logit at or above
 * some bound, so the k largest logits are not below it.  Logits that differ from the k-th by less than
 * the rounding of logit / temperature are in the list, too.
 */
static void list_largest(struct gpt2i_candidates *candidates, size_t k)
{
    struct gpt2i_candidate *heap = candidates->space.candidates;
    float *blocks = candidates->space.blocks;
    size_t n_blocks = gpt2i_ceil_div(candidates->n_vocab, GPT2I_VOCAB_BLOCK);
    float bound = -INFINITY;

    if (k <= n_blocks) {
        candidates->kernels->block_max(blocks, candidates->logits, candidates->n_vocab);
        for (size_t i = 0; i < n_blocks; i++)
            heap[i] = (struct gpt2i_candidate){(int32_t)i, blocks[i], 0.0f};
        gpt2i_heap_make(heap, n_blocks);
        for (size_t i = 0; i < k; i++)
            bound = gpt2i_heap_pop(heap, &n_blocks)->key;
        bound -= fabsf(bound) * 0x1p-22f + candidates->temperature * 0x1p-148f;
    }
    gpt2i_candidates_collect(candidates, candidates->logits, bound);
}

/* Keeps the k largest of logit / temperature, and what is equal to the k-th. */
static void keep_top_k(struct gpt2i_candidates *candidates, const gpt2_sample_params *params)
{
    struct gpt2i_candidate *heap = candidates->space.candidates;
    size_t k = (size_t)params->top_k;
    size_t n_heap;
    float least = 0.0f;

    if (k >= (candidates->is_listed ? candidates->n : candidates->n_vocab))
        return;
    if (!candidates->is_listed)
        list_largest(candidates, k);
    n_heap = candidates->n;
    gpt2i_heap_make(heap, n_heap);
    for (size_t i = 0; i < k; i++)
        least = gpt2i_heap_pop(heap, &n_heap)->key / candidates->temperature;
    while (n_heap > 0 && !(heap[0].key / candidates->temperature < least))
        gpt2i_heap_pop(heap, &n_heap);
    gpt2i_candidates_keep_from(candidates, n_heap);
}

/*
 * Keeps those first in rank until their probabilities reach 'mass', and what is equal to the last one if
 * 'with_ties'; at least one.
 */
static void keep_mass(struct gpt2i_candidates *candidates, double mass, bool with_ties)
{
    struct gpt2i_candidate *heap = candidates->space.candidates;
    size_t n_heap = candidates->n;
    double kept = 0.0;
    float last;

    gpt2i_heap_make(heap, n_heap);
    do {
        const struct gpt2i_candidate *next = gpt2i_heap_pop(heap, &n_heap);

        kept += (double)next->weight;
        last = next->key;
    } while (n_heap > 0 && kept < mass);
    while (with_ties && n_heap > 0 && heap[0].key == last)
        gpt2i_heap_pop(heap, &n_heap);
    gpt2i_candidates_keep_from(candidates, n_heap);
}

/* Top-p (Holtzman et al., "The curious case of neural text degeneration", 2019). */
static void keep_top_p(struct gpt2i_candidates *candidates, const gpt2_sample_params *params)
{
    double total;
    double top_p = (double)params->top_p;

    gpt2i_candidates_weigh(candidates);
    total = gpt2i_candidates_total(candidates);
    if (!candidates->is_listed) {
        /* All that is lighter than this adds up to less than 1 - top_p, so it is left out. */
        double light = (1.0 - top_p) * total / (double)candidates->n_vocab;

        gpt2i_candidates_collect(candidates, candidates->space.weights, (float)(0.9 * light));
    }
    keep_mass(candidates, top_p * total, false);
}

/* Keeps what is at least min_p times as probable as the most probable one. */
static void keep_min_p(struct gpt2i_candidates *candidates, const gpt2_sample_params *params)
{
    struct gpt2i_candidate *list = candidates->space.candidates;
    size_t n = 0;

    gpt2i_candidates_weigh(candidates);
    if (!candidates->is_listed) {
        gpt2i_candidates_collect(candidates, candidates->space.weights, params->min_p);
        return;
    }
    for (size_t i = 0; i < candidates->n; i++) {
        if (list[i].weight >= params->min_p) /* the most probable one weighs 1 */
            list[n++] = list[i];
    }
    candidates->n = n;
}

/*
 * Typical sampling (Meister et al., "Locally typical sampling", 2022): keeps those whose information
 * -log p is nearest to the entropy, until their probabilities reach typical_p.  With d the scaled logit
 * below the largest one and log p = d - log(total), the logarithms cancel: the distance is
 * |mean of d - d|.
 */
static void keep_typical(struct gpt2i_candidates *candidates, const gpt2_sample_params *params)
{
    struct gpt2i_candidate *list = candidates->space.candidates;
    float max = candidates->largest / candidates->temperature;
    double total;
    double mean = 0.0;

    gpt2i_candidates_weigh(candidates);
    gpt2i_candidates_list(candidates);
    total = gpt2i_candidates_total(candidates);
    for (size_t i = 0; i < candidates->n; i++) {
        list[i].key = list[i].key / candidates->temperature - max;
        if (list[i].weight > 0.0f)
            mean += (double)list[i].weight * (double)list[i].key / total;
    }
    for (size_t i = 0; i < candidates->n; i++)
        list[i].key = -fabsf((float)(mean - (double)list[i].key));
    keep_mass(candidates, (double)params->typical_p * total, true);
    for (size_t i = 0; i < candidates->n; i++)
        list[i].key = candidates->logits[list[i].id];
}

/*
 * XTC, "exclude top choices" (p-e-w, text-generation-webui, 2024): of those whose probability is
 * xtc_threshold or more only the last in rank stays; this happens with probability xtc_probability.  A
 * token that cannot be drawn is not one of them, even if the threshold is 0.
 */
static void exclude_top_choices(struct gpt2i_candidates *candidates,
                                const gpt2_sample_params *params)
{
    struct gpt2i_candidate *list = candidates->space.candidates;
    const struct gpt2i_candidate *last = NULL;
    size_t n = 0;
    struct gpt2i_candidate kept;
    double least;

    gpt2i_candidates_weigh(candidates);
    gpt2i_candidates_list(candidates);
    least = (double)params->xtc_threshold * gpt2i_candidates_total(candidates);
    for (size_t i = 0; i < candidates->n; i++) {
        if (list[i].weight > 0.0f && (double)list[i].weight >= least &&
            (last == NULL || gpt2i_ranks_before(last, &list[i])))
            last = &list[i];
    }
    if (last == NULL)
        return;
    kept = *last;
    for (size_t i = 0; i < candidates->n; i++) {
        if ((double)list[i].weight < least || list[i].id == kept.id)
            list[n++] = list[i];
    }
    candidates->n = n;
}

/* -log2 of the probability of token 'id'; 'log_total' is the logarithm of the sum of all weights. */
static double surprise_of(const struct gpt2i_candidates *candidates, int32_t id, double log_total)
{
    const double log2_e = 0x1.71547652b82fep+0;
    float scaled = candidates->logits[id] / candidates->temperature;

    return (log_total - (double)(scaled - candidates->largest / candidates->temperature)) * log2_e;
}

/*
 * Mirostat 2 (Basu et al., "Mirostat: a neural text decoding algorithm that directly controls
 * perplexity", 2020): keeps tokens whose surprise, -log2 of the probability, is at most mu bits; if
 * there is none, the first in rank.
 */
static void keep_mirostat(struct gpt2i_candidates *candidates, const gpt2_sample_params *params)
{
    struct gpt2i_candidate *list = candidates->space.candidates;
    double mu = (double)*params->mirostat_mu;
    struct gpt2i_candidate first;
    size_t n = 0;
    double log_total;

    gpt2i_candidates_weigh(candidates);
    gpt2i_candidates_list(candidates);
    log_total = gpt2i_log(gpt2i_candidates_total(candidates));
    first = list[0];
    for (size_t i = 0; i < candidates->n; i++) {
        if (gpt2i_ranks_before(&list[i], &first))
            first = list[i];
        if (list[i].weight > 0.0f && surprise_of(candidates, list[i].id, log_total) <= mu)
            list[n++] = list[i];
    }
    if (n == 0)
        list[n++] = first;
    candidates->n = n;
}

float gpt2i_mirostat_next(const struct gpt2i_candidates *candidates,
                          const gpt2_sample_params *params, int32_t id)
{
    double surprise = surprise_of(candidates, id, gpt2i_log(gpt2i_candidates_total(candidates)));
    double next = (double)*params->mirostat_mu -
                  (double)params->mirostat_eta * (surprise - (double)params->mirostat_tau);

    if (next > (double)FLT_MAX)
        return FLT_MAX;
    return next < -(double)FLT_MAX ? -FLT_MAX : (float)next;
}

void gpt2i_filters_apply(struct gpt2i_candidates *candidates, const gpt2_sample_params *params,
                         float u)
{
    const struct {
        bool is_on;
        void (*apply)(struct gpt2i_candidates *candidates, const gpt2_sample_params *params);
    } filters[] = {
        {params->top_n_sigma > 0.0f, keep_top_n_sigma},
        {params->top_k > 0, keep_top_k},
        {params->top_p < 1.0f, keep_top_p},
        {params->min_p > 0.0f, keep_min_p},
        {params->typical_p < 1.0f, keep_typical},
        {u < params->xtc_probability, exclude_top_choices},
        {params->mirostat_tau > 0.0f, keep_mirostat},
    };

    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        if (filters[i].is_on)
            filters[i].apply(candidates, params);
    }
}
