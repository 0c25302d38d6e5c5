/*
 * sampler.h: choosing a token from a row of logits.
 */
#ifndef GPT2I_SAMPLER_H
#define GPT2I_SAMPLER_H

#include "../kernels/kernels.h"
#include "../base/status.h"

/* Workspace for n_vocab tokens. */
struct gpt2i_sampler {
    const struct gpt2i_kernels *kernels;
    float *weights; /* [n_vocab] */
    int32_t *order; /* [n_vocab] */
    size_t n_vocab;
};

/*
 * As gpt2_sample(), from logits [n_vocab]; params are in range, and params->position is the index of
 * the token to draw.  The caller has entered our floating-point state.  Errors: GPT2_ERR_NONFINITE.
 */
GPT2I_HIDDEN int32_t gpt2i_sample(const struct gpt2i_sampler *sampler, const float *logits,
                                  const gpt2_sample_params *params, int32_t *id,
                                  struct gpt2i_error *error);

#endif
