/*
 * sampler.c: temperature, top-k, top-p, and the draw.
 *
 * In the order and meaning of Hugging Face's generate(): logits / temperature; top-k keeps what is
 * not below the k-th largest, ties included; top-p keeps, from the likeliest on, each token before
 * which less than top_p has been kept.  Of equal logits the lower id counts as the likelier.
 */
#include "sampler.h"
#include "random.h"

#include <math.h>

#define GREEDY_BELOW 1e-6f /* temperatures that mean the largest logit */

/* The largest logit's lowest id; -1 if there is a NaN or +infinity, or nothing but -infinity. */
static int32_t argmax(const float *logits, size_t n_vocab)
{
    int32_t best = 0;

    for (size_t i = 0; i < n_vocab; i++) {
        if (!(logits[i] < INFINITY))
            return -1;
        if (logits[i] > logits[best])
            best = (int32_t)i;
    }
    return logits[best] > -INFINITY ? best : -1;
}

/* Whether token a is likelier than token b. */
static bool likelier(const float *weights, int32_t a, int32_t b)
{
    return weights[a] > weights[b] || (weights[a] == weights[b] && a < b);
}

/* Lets the token at 'parent' sink to its place in a heap of n whose top is the likeliest. */
static void sink(const float *weights, int32_t *heap, size_t n, size_t parent)
{
    int32_t token = heap[parent];

    for (;;) {
        size_t child = 2 * parent + 1;

        if (child >= n)
            break;
        if (child + 1 < n && likelier(weights, heap[child + 1], heap[child]))
            child++;
        if (!likelier(weights, heap[child], token))
            break;
        heap[parent] = heap[child];
        parent = child;
    }
    heap[parent] = token;
}

static size_t make_heap(const float *weights, int32_t *heap, size_t n)
{
    for (size_t i = 0; i < n; i++)
        heap[i] = (int32_t)i;
    for (size_t i = n / 2; i-- > 0;)
        sink(weights, heap, n, i);
    return n;
}

/* Takes the likeliest token off a heap of '*n'. */
static int32_t pop(const float *weights, int32_t *heap, size_t *n)
{
    int32_t top = heap[0];

    heap[0] = heap[--*n];
    if (*n > 0)
        sink(weights, heap, *n, 0);
    return top;
}

/* Logits below the k-th largest become -infinity. */
static void keep_top_k(float *logits, int32_t *heap, size_t n_vocab, size_t k)
{
    size_t n = make_heap(logits, heap, n_vocab);
    float least = 0.0f;

    for (size_t i = 0; i < k; i++)
        least = logits[pop(logits, heap, &n)];
    for (size_t i = 0; i < n_vocab; i++) {
        if (logits[i] < least)
            logits[i] = -INFINITY;
    }
}

/* Probabilities after the first of them that together reach top_p become 0; the first one stays. */
static void keep_top_p(float *probs, int32_t *heap, size_t n_vocab, float top_p)
{
    size_t n = make_heap(probs, heap, n_vocab);
    double kept = 0.0;

    do
        kept += (double)probs[pop(probs, heap, &n)];
    while (n > 0 && kept < (double)top_p);
    for (size_t i = 0; i < n; i++) /* those still in the heap */
        probs[heap[i]] = 0.0f;
}

/* The lowest id whose running sum exceeds u times the sum of all. */
static int32_t draw(const float *weights, size_t n_vocab, float u)
{
    double total = 0.0;
    double sum = 0.0;
    size_t i;

    for (i = 0; i < n_vocab; i++)
        total += (double)weights[i];
    for (i = 0; i < n_vocab - 1; i++) {
        sum += (double)weights[i];
        if (sum > (double)u * total)
            break;
    }
    return (int32_t)i;
}

static void weigh(const struct gpt2i_sampler *sampler, const float *logits,
                  const gpt2_sample_params *params)
{
    float *weights = sampler->weights;
    size_t n_vocab = sampler->n_vocab;

    for (size_t i = 0; i < n_vocab; i++)
        weights[i] = logits[i] / params->temperature;
    if (params->top_k > 0 && (size_t)params->top_k < n_vocab)
        keep_top_k(weights, sampler->order, n_vocab, (size_t)params->top_k);
    sampler->kernels->softmax(weights, n_vocab);
    if (params->top_p < 1.0f)
        keep_top_p(weights, sampler->order, n_vocab, params->top_p);
}

int32_t gpt2i_sample(const struct gpt2i_sampler *sampler, const float *logits,
                     const gpt2_sample_params *params, int32_t *id, struct gpt2i_error *error)
{
    int32_t best = argmax(logits, sampler->n_vocab);
    uint32_t words[4];
    float scaled;

    if (best < 0)
        return gpt2i_fail(error, GPT2_ERR_NONFINITE,
                          "the logits hold NaN or +infinity, or nothing but -infinity");
    if (params->temperature < GREEDY_BELOW) {
        *id = best;
        return GPT2_OK;
    }
    scaled = logits[best] / params->temperature;
    if (!(scaled < INFINITY && scaled > -INFINITY))
        return gpt2i_fail(error, GPT2_ERR_NONFINITE,
                          "logits / temperature exceed the largest float");
    weigh(sampler, logits, params);
    gpt2i_philox(words, params->seed, (uint64_t)params->position, params->stream);
    *id = draw(sampler->weights, sampler->n_vocab, gpt2i_uniform(words[0]));
    return GPT2_OK;
}
