/*
 * scorer.h: what a row of logits says about a token.
 */
#ifndef GPT2I_SCORER_H
#define GPT2I_SCORER_H

#include "../kernels/kernels.h"

struct gpt2i_scorer {
    const struct gpt2i_kernels *kernels;
    size_t n_vocab;
    size_t n_likeliest;        /* 0 to n_vocab */
    const uint8_t *class_mask; /* NULL: no class */
};

/*
 * Scores token 'id' by the logits [n_vocab] of the row before it; likeliest[n_likeliest] receives the
 * likeliest tokens.  The caller has entered our floating-point state.  If logits are NaN or +infinity,
 * or all are -infinity, it returns false, and the rest of 'score' is undefined.
 */
GPT2I_HIDDEN bool gpt2i_score_row(const struct gpt2i_scorer *scorer, const float *logits,
                                  int32_t id, gpt2_token_score *score,
                                  gpt2_token_logprob *likeliest);

#endif
