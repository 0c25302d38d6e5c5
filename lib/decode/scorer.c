/*
 * scorer.c: log-probability, rank, entropy, the probability of a class, the likeliest tokens.
 */
#include "scorer.h"
#include "../kernels/log.h"

#include <math.h>

/* -------------------------------------------------------------------------- likeliest tokens -- */

#define BLOCK 256 /* logits that are passed over together if none of them is large enough */

/* Whether a comes behind b.  'logprob' still is the logit. */
static bool is_behind(const gpt2_token_logprob *a, const gpt2_token_logprob *b)
{
    return a->logprob < b->logprob || (a->logprob == b->logprob && a->id > b->id);
}

/* Lets 'token' sink from 'parent' to its place in a heap of n whose top is behind all others. */
static void sink_token(gpt2_token_logprob *heap, size_t n, size_t parent, gpt2_token_logprob token)
{
    for (;;) {
        size_t child = 2 * parent + 1;

        if (child >= n)
            break;
        if (child + 1 < n && is_behind(&heap[child + 1], &heap[child]))
            child++;
        if (!is_behind(&heap[child], &token))
            break;
        heap[parent] = heap[child];
        parent = child;
    }
    heap[parent] = token;
}

/* The logits of the n likeliest tokens, in order; 1 <= n <= n_vocab. */
static void find_likeliest(const struct gpt2i_scorer *scorer, const float *logits,
                           gpt2_token_logprob *likeliest)
{
    size_t n = scorer->n_likeliest;

    for (size_t i = 0; i < n; i++)
        likeliest[i] = (gpt2_token_logprob){(int32_t)i, logits[i]};
    for (size_t i = n / 2; i-- > 0;)
        sink_token(likeliest, n, i, likeliest[i]);
    for (size_t i = n; i < scorer->n_vocab;) {
        size_t end = gpt2i_min(i + BLOCK, scorer->n_vocab);

        if (!(scorer->kernels->largest(logits + i, end - i) > likeliest[0].logprob))
            i = end;
        for (; i < end; i++) {
            if (logits[i] > likeliest[0].logprob)
                sink_token(likeliest, n, 0, (gpt2_token_logprob){(int32_t)i, logits[i]});
        }
    }
    while (n-- > 1) {
        gpt2_token_logprob last = likeliest[0];

        sink_token(likeliest, n, 0, likeliest[n]);
        likeliest[n] = last;
    }
}

/* -------------------------------------------------------------------------------------- a row -- */

bool gpt2i_score_row(const struct gpt2i_scorer *scorer, const float *logits, int32_t id,
                     gpt2_token_score *score, gpt2_token_logprob *likeliest)
{
    size_t n_vocab = scorer->n_vocab;
    float max = scorer->kernels->largest(logits, n_vocab);
    struct gpt2i_row_sums sums;
    double log_sum;

    scorer->kernels->row_sums(&sums, logits, n_vocab, max, logits[id], scorer->class_mask);
    if (!(sums.e > 0.0)) /* NaN, or nothing but -infinity */
        return false;
    log_sum = gpt2i_log(sums.e);
    score->id = id;
    score->rank = 1 + (int32_t)sums.n_larger;
    score->logprob = (double)logits[id] - (double)max - log_sum;
    score->entropy = log_sum - sums.weighted / sums.e;
    score->class_prob = sums.in_class / sums.e;
    if (scorer->n_likeliest == 0)
        return true;
    find_likeliest(scorer, logits, likeliest);
    for (size_t i = 0; i < scorer->n_likeliest; i++)
        likeliest[i].logprob = (float)((double)likeliest[i].logprob - (double)max - log_sum);
    return true;
}
