/*
 * processors.c: the changes to logits, in the order in which they apply.
 *
 * The order and the meaning are those of Hugging Face's generate(): bias, repetition penalty, no-repeat
 * n-gram, banned ids, allowed ids.  Frequency and presence penalties and DRY, which it lacks, come right
 * after the repetition penalty.
 */
#include "processors.h"
#include "../base/fpstate.h"

#include <math.h>

#define DRY_MAX_LENGTH 50 /* of a repetition: longer ones count as this one */

static void add_bias(float *logits, size_t n_vocab, int32_t *counts,
                     const gpt2_sample_params *params)
{
    (void)counts;
    for (size_t i = 0; params->bias != NULL && i < n_vocab; i++)
        logits[i] += params->bias[i];
    for (size_t i = 0; i < params->n_biases; i++)
        logits[params->bias_ids[i]] += params->bias_values[i];
}

/* The last tokens of the history that penalties look at. */
static const int32_t *window_of(const gpt2_sample_params *params, size_t *n)
{
    size_t wanted = (size_t)params->penalty_window;

    *n = wanted == 0 ? params->n_history : gpt2i_min(wanted, params->n_history);
    return params->n_history == 0 ? NULL : params->history + (params->n_history - *n);
}

static float penalized(float logit, int32_t count, const gpt2_sample_params *params)
{
    logit = logit < 0.0f ? logit * params->repetition_penalty : logit / params->repetition_penalty;
    return logit - ((float)count * params->frequency_penalty + params->presence_penalty);
}

/*
 * Repetition penalty: Keskar et al., "CTRL" (2019).  Frequency and presence penalties: OpenAI's API
 * reference, logit - count * frequency_penalty - presence_penalty.
 */
static void penalize(float *logits, size_t n_vocab, int32_t *counts,
                     const gpt2_sample_params *params)
{
    size_t n;
    const int32_t *window = window_of(params, &n);

    (void)n_vocab;
    for (size_t i = 0; i < n; i++)
        counts[window[i]] = 0;
    for (size_t i = 0; i < n; i++)
        counts[window[i]]++;
    for (size_t i = 0; i < n; i++) {
        int32_t id = window[i];

        if (counts[id] > 0)
            logits[id] = penalized(logits[id], counts[id], params);
        counts[id] = 0;
    }
}

/*
 * How many tokens right before index 'end' of the window equal those at its end, counted backwards; at
 * most DRY_MAX_LENGTH.  A token that 'marks' marks with -1 ends the count.
 */
static size_t length_of_repetition(const int32_t *window, size_t n, size_t end,
                                   const int32_t *marks)
{
    size_t length = 0;

    while (length < DRY_MAX_LENGTH && length < end &&
           window[end - 1 - length] == window[n - 1 - length] &&
           marks[window[n - 1 - length]] != -1)
        length++;
    return length;
}

/* dry_multiplier dry_base^(length - dry_allowed_length), multiplied from left to right. */
static float dry_penalty(size_t length, const gpt2_sample_params *params)
{
    float penalty = params->dry_multiplier;

    for (size_t i = (size_t)params->dry_allowed_length; i < length; i++)
        penalty *= params->dry_base;
    return penalty;
}

/*
 * DRY, "don't repeat yourself" (p-e-w, text-generation-webui, 2024): a token that would prolong a
 * repetition is penalized by the longest that it would prolong.
 */
static void penalize_repetitions(float *logits, size_t n_vocab, int32_t *lengths,
                                 const gpt2_sample_params *params)
{
    size_t n;
    const int32_t *window = window_of(params, &n);

    (void)n_vocab;
    for (size_t i = 0; i < n; i++)
        lengths[window[i]] = 0;
    for (size_t i = 0; i < params->n_dry_breakers; i++)
        lengths[params->dry_breakers[i]] = -1;
    for (size_t i = 1; i < n; i++) {
        int32_t length = (int32_t)length_of_repetition(window, n, i, lengths);

        if (lengths[window[i]] != -1 && lengths[window[i]] < length)
            lengths[window[i]] = length;
    }
    for (size_t i = 1; i < n; i++) {
        int32_t id = window[i];

        if (lengths[id] > 0 && lengths[id] >= params->dry_allowed_length)
            logits[id] -= dry_penalty((size_t)lengths[id], params);
        lengths[id] = 0;
    }
}

/* Bans the tokens that would make an n-gram of the history appear again. */
static void ban_repeated_ngrams(float *logits, size_t n_vocab, int32_t *counts,
                                const gpt2_sample_params *params)
{
    size_t n_before = (size_t)params->no_repeat_ngram_size - 1;
    const int32_t *history = params->history;
    size_t n = params->n_history;

    (void)n_vocab;
    (void)counts;
    for (size_t i = 0; i + n_before < n; i++) {
        if (memcmp(history + i, history + (n - n_before), n_before * sizeof history[0]) == 0)
            logits[history[i + n_before]] = -INFINITY;
    }
}

static void ban(float *logits, size_t n_vocab, int32_t *counts, const gpt2_sample_params *params)
{
    (void)n_vocab;
    (void)counts;
    for (size_t i = 0; i < params->n_banned; i++)
        logits[params->banned_ids[i]] = -INFINITY;
}

static void allow(float *logits, size_t n_vocab, int32_t *counts, const gpt2_sample_params *params)
{
    memset(counts, 0, n_vocab * sizeof counts[0]);
    for (size_t i = 0; i < params->n_allowed; i++)
        counts[params->allowed_ids[i]] = 1;
    for (size_t i = 0; i < n_vocab; i++) {
        if (counts[i] == 0)
            logits[i] = -INFINITY;
    }
}

/* Whether the host's callback wants to go on. */
static bool run_callback(float *logits, size_t n_vocab, const gpt2_sample_params *params,
                         uint64_t host_state)
{
    int32_t result;

    gpt2i_fpstate_leave(host_state);
    result = params->callback(params->callback_user, params->position, logits, (int32_t)n_vocab);
    (void)gpt2i_fpstate_enter();
    return result == 0;
}

typedef void processor(float *logits, size_t n_vocab, int32_t *counts,
                       const gpt2_sample_params *params);

#define N_PROCESSORS 6

/* Those that 'params' switch on, in their order, but for the callback; NULL in the place of the others. */
static void list_processors(processor *processors[N_PROCESSORS], const gpt2_sample_params *params)
{
    const struct {
        bool is_on;
        processor *apply;
    } all[N_PROCESSORS] = {
        {params->bias != NULL || params->n_biases > 0, add_bias},
        {params->repetition_penalty != 1.0f || params->frequency_penalty != 0.0f ||
             params->presence_penalty != 0.0f,
         penalize},
        {params->dry_multiplier > 0.0f, penalize_repetitions},
        {params->no_repeat_ngram_size > 0, ban_repeated_ngrams},
        {params->n_banned > 0, ban},
        {params->n_allowed > 0, allow},
    };

    for (size_t i = 0; i < N_PROCESSORS; i++)
        processors[i] = all[i].is_on ? all[i].apply : NULL;
}

bool gpt2i_processors_change(const gpt2_sample_params *params)
{
    processor *processors[N_PROCESSORS];
    bool is_any_on = params->callback != NULL;

    list_processors(processors, params);
    for (size_t i = 0; i < N_PROCESSORS; i++)
        is_any_on |= processors[i] != NULL;
    return is_any_on;
}

const float *gpt2i_processors_apply(const float *logits, size_t n_vocab,
                                    const struct gpt2i_workspace *space,
                                    const gpt2_sample_params *params, uint64_t host_state)
{
    processor *processors[N_PROCESSORS];

    if (!gpt2i_processors_change(params))
        return logits;
    list_processors(processors, params);
    memcpy(space->logits, logits, n_vocab * sizeof logits[0]);
    for (size_t i = 0; i < N_PROCESSORS; i++) {
        if (processors[i] != NULL)
            processors[i](space->logits, n_vocab, space->ids, params);
    }
    if (params->callback != NULL && !run_callback(space->logits, n_vocab, params, host_state))
        return NULL;
    return space->logits;
}
