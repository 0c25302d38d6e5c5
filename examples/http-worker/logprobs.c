/*
 * logprobs.c: log-softmax in double, and the likeliest tokens by insertion: there are few.
 */
#include "logprobs.h"

#include <math.h>

/* Puts a token into a list of n, from the likeliest on, of which the last may drop out. */
static int insert(gpt2_token_logprob *list, int n, int max, gpt2_token_logprob token)
{
    int i = n < max ? n++ : n - 1;

    for (; i > 0 && list[i - 1].logprob < token.logprob; i--)
        list[i] = list[i - 1];
    list[i] = token;
    return n;
}

double log_probability(const float *logits, int32_t n_vocab, int32_t id,
                       gpt2_token_logprob *likeliest, int n_likeliest)
{
    double max = logits[0], sum = 0;
    int n = 0;

    for (int32_t i = 1; i < n_vocab; i++)
        max = logits[i] > max ? logits[i] : max;
    for (int32_t i = 0; i < n_vocab; i++) {
        sum += exp(logits[i] - max);
        if (n < n_likeliest || (n > 0 && logits[i] > likeliest[n - 1].logprob))
            n = insert(likeliest, n, n_likeliest, (gpt2_token_logprob){i, logits[i]});
    }
    for (int i = 0; i < n; i++)
        likeliest[i].logprob = (float)(likeliest[i].logprob - max - log(sum));
    return logits[id] - max - log(sum);
}
