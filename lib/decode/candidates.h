/*
 * candidates.h: the tokens of a row that may be chosen, and how they are ranked.
 */
#ifndef GPT2I_CANDIDATES_H
#define GPT2I_CANDIDATES_H

#include "../model/workspace.h"

/*
 * What is kept of a row.  It starts as all tokens, of which no list is made: most rows have 50,257, and
 * a filter that keeps few finds them faster than a list is written.
 */
struct gpt2i_candidates {
    const struct gpt2i_kernels *kernels;
    struct gpt2i_workspace space;
    size_t n_vocab;
    const float *logits; /* [n_vocab], none of them NaN or +infinity */
    float largest;       /* of the logits */
    float temperature;
    bool is_listed;   /* space.candidates[0..n) is what is kept */
    bool is_weighted; /* the list's weights are set; of all tokens, space.weights */
    size_t n;
};

/* Whether candidate a ranks before b: a larger key, or an equal key and a lower id. */
static inline bool gpt2i_ranks_before(const struct gpt2i_candidate *a,
                                      const struct gpt2i_candidate *b)
{
    return a->key > b->key || (a->key == b->key && a->id < b->id);
}

/* Keeps, of all tokens, those with values[id] >= least: the logits or space.weights. */
GPT2I_HIDDEN void gpt2i_candidates_collect(struct gpt2i_candidates *candidates, const float *values,
                                           float least);

/* Makes a list of what is kept, if there is none. */
GPT2I_HIDDEN void gpt2i_candidates_list(struct gpt2i_candidates *candidates);

/* Sets the weights: exp(logit / temperature - the largest such quotient). */
GPT2I_HIDDEN void gpt2i_candidates_weigh(struct gpt2i_candidates *candidates);

/* The sum of all weights, which are set. */
GPT2I_HIDDEN double gpt2i_candidates_total(const struct gpt2i_candidates *candidates);

/*
 * A heap of candidates [0, n), first in rank on top.  Popping moves the top behind the heap, and gives
 * it; so the ones popped lie there, the last popped first.
 */
GPT2I_HIDDEN void gpt2i_heap_make(struct gpt2i_candidate *heap, size_t n);
GPT2I_HIDDEN struct gpt2i_candidate *gpt2i_heap_pop(struct gpt2i_candidate *heap, size_t *n);

/* Keeps those of the list from index 'first' on: the ones popped off its heap. */
GPT2I_HIDDEN void gpt2i_candidates_keep_from(struct gpt2i_candidates *candidates, size_t first);

#endif
