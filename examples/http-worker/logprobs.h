/*
 * logprobs.h: the log-probabilities of one row of logits.
 */
#ifndef WORKER_LOGPROBS_H
#define WORKER_LOGPROBS_H

#include <gpt2.h>

/*
 * The natural logarithm of the probability of 'id', before any sampling parameter.  'likeliest' receives
 * the n_likeliest likeliest tokens, the lower id first on ties.  The logits are numbers or -infinity, not
 * all of them.
 */
double log_probability(const float *logits, int32_t n_vocab, int32_t id,
                       gpt2_token_logprob *likeliest, int n_likeliest);

#endif
