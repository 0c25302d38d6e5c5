/*
 * sampling.c: from the options of sampling to the library's params.
 */
#include "sampling.h"

#include "messages.h"
#include "platform.h"

static void set_penalties(gpt2_sample_params *sampling, const struct options *options)
{
    sampling->penalty_window = options->repeat_last_n < 0 ? 0 : options->repeat_last_n;
    sampling->repetition_penalty = options->repeat_penalty;
    sampling->frequency_penalty = options->frequency_penalty;
    sampling->presence_penalty = options->presence_penalty;
    sampling->dry_multiplier = options->dry_multiplier;
    sampling->dry_base = options->dry_base;
    sampling->dry_allowed_length = options->dry_allowed_length;
}

static void set_filters(gpt2_sample_params *sampling, const struct options *options)
{
    sampling->top_n_sigma = options->top_n_sigma;
    sampling->top_k = options->top_k;
    sampling->top_p = options->top_p;
    sampling->min_p = options->min_p;
    sampling->typical_p = options->typical_p;
    sampling->xtc_probability = options->xtc_probability;
    sampling->xtc_threshold = options->xtc_threshold;
}

void sampling_init(gpt2_sample_params *sampling, const struct options *options)
{
    gpt2_sample_params_init(sampling, sizeof *sampling);
    sampling->bias_ids = options->biases.ids;
    sampling->bias_values = options->biases.values;
    sampling->n_biases = options->biases.count;
    sampling->ignores_prompt = options->ignore_prompt;
    sampling->no_repeat_ngram_size = options->no_repeat_ngram;
    sampling->temperature = options->temperature;
    if (options->repeat_last_n != 0)
        set_penalties(sampling, options);
    if (options->mirostat == 0) {
        set_filters(sampling, options);
    } else { /* as llama.cpp: it takes the place of the filters */
        sampling->mirostat_tau = options->mirostat_ent;
        sampling->mirostat_eta = options->mirostat_lr;
    }
    sampling->stream = (uint64_t)options->stream;
    sampling->seed = options->seed_is_random ? platform_random_seed() : options->seed;
}

/* A gpt2_logits_callback. */
static int32_t make_logits_equal(void *user, int64_t position, float *logits, int32_t n_vocab)
{
    const gpt2_sample_params *sampling = user;

    for (int32_t i = 0; position == 0 && i < n_vocab; i++)
        logits[i] = 1.0f;
    for (size_t i = 0; position == 0 && i < sampling->n_biases; i++)
        logits[sampling->bias_ids[i]] += sampling->bias_values[i];
    return 0;
}

void sampling_begin_uniform(gpt2_sample_params *sampling, const gpt2_sample_params *all)
{
    sampling->position = 0; /* the token that is drawn is the first of the text */
    sampling->callback = make_logits_equal;
    sampling->callback_user = (void *)all;
}

enum outcome sampling_check(const struct options *options, const gpt2_model_info *info)
{
    for (size_t i = 0; i < options->biases.count; i++) {
        int32_t id = options->biases.ids[i];

        if (id >= info->n_vocab)
            return complain(OUTCOME_FAILED,
                            "--logit-bias: token %d is outside the vocabulary of %d", (int)id,
                            (int)info->n_vocab);
    }
    return OUTCOME_DONE;
}
