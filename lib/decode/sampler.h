/*
 * sampler.h: choosing a token from a row of logits.
 */
#ifndef GPT2I_SAMPLER_H
#define GPT2I_SAMPLER_H

#include "candidates.h"
#include "../base/status.h"

struct gpt2i_sampler {
    const struct gpt2i_kernels *kernels;
    struct gpt2i_workspace space;
    size_t n_vocab;
    uint64_t host_state; /* floating-point state for the callback */
};

/*
 * As gpt2_sample(), from logits [n_vocab]; params are in range, and params->position is the index of
 * the token to draw.  The caller has entered our floating-point state.  Errors: GPT2_ERR_NONFINITE,
 * _CANCELLED.
 */
GPT2I_HIDDEN int32_t gpt2i_sample(const struct gpt2i_sampler *sampler, const float *logits,
                                  const gpt2_sample_params *params, int32_t *id,
                                  struct gpt2i_error *error);

/*
 * How many of the largest logits, with what equals the last of them, a draw looks at: gpt2i_sample() draws
 * the same if the others are -INFINITY.  0: all of them.
 */
GPT2I_HIDDEN size_t gpt2i_sample_reach(const gpt2_sample_params *params);

/* The same for gpt2_sample_candidates(). */
GPT2I_HIDDEN int32_t gpt2i_sample_candidates(const struct gpt2i_sampler *sampler,
                                             const float *logits, const gpt2_sample_params *params,
                                             gpt2_candidate *candidates, size_t capacity,
                                             size_t *n_kept, struct gpt2i_error *error);

#endif
