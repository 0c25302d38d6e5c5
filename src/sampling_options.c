/*
 * sampling_options.c: the table of the options that say how the next token is chosen.
 *
 * The names are llama.cpp's, but for --no-repeat-ngram, which it lacks.
 */
#include "option.h"

static const struct word mirostat_words[] = {
    {"0", 0},
    {"2", 2},
    {NULL, 0},
};

const struct option sampling_options[N_SAMPLING_OPTIONS] = {
    {OPTIONS_SAMPLING, 0, "logit-bias", NULL, "ID+VALUE", BIAS(biases, 1e6),
     "add VALUE to the logit of token ID; ID-VALUE subtracts\n"
     "it, ID-inf bans the token; may be given several times"},
    {OPTIONS_SAMPLING, 0, "repeat-last-n", NULL, "N", INT(repeat_last_n, -1, INT32_MAX),
     "penalties and DRY see the last N tokens; 0 switches them\n"
     "off, -1 means the whole context (default: -1)"},
    {OPTIONS_SAMPLING, 0, "ignore-prompt", NULL, NULL, FLAG(ignore_prompt),
     "penalties, DRY and --no-repeat-ngram do not see the\n"
     "prompt"},
    {OPTIONS_SAMPLING, 0, "repeat-penalty", NULL, "R", FLOAT(repeat_penalty, 0.001, 1000),
     "divide positive logits of tokens in the text by R, and\n"
     "multiply negative ones; 1 means off (default: 1)"},
    {OPTIONS_SAMPLING, 0, "frequency-penalty", NULL, "X", FLOAT(frequency_penalty, -1000, 1000),
     "subtract X for each time that a token is in the text\n"
     "(default: 0)"},
    {OPTIONS_SAMPLING, 0, "presence-penalty", NULL, "X", FLOAT(presence_penalty, -1000, 1000),
     "subtract X if a token is in the text (default: 0)"},
    {OPTIONS_SAMPLING, 0, "dry-multiplier", NULL, "M", FLOAT(dry_multiplier, 0, 1000),
     "DRY: subtract M BASE^(n - LENGTH) from a token that\n"
     "would prolong a repetition of n tokens; 0 means off\n"
     "(default: 0)"},
    {OPTIONS_SAMPLING, 0, "dry-base", NULL, "B", FLOAT(dry_base, 1, 1000),
     "the BASE of DRY (default: 1.75)"},
    {OPTIONS_SAMPLING, 0, "dry-allowed-length", NULL, "N", INT(dry_allowed_length, 0, INT32_MAX),
     "the LENGTH of DRY: shorter repetitions are free\n"
     "(default: 2)"},
    {OPTIONS_SAMPLING, 0, "no-repeat-ngram", NULL, "N", INT(no_repeat_ngram, 0, INT32_MAX),
     "no run of N tokens appears twice in the text; 0 means\n"
     "off (default: 0)"},
    {OPTIONS_GENERATE, 0, "temp", "temperature", "T", FLOAT(temperature, 0, 1000),
     "temperature: higher is more varied; 0 means always the\n"
     "most likely token (default: 0.8)"},
    {OPTIONS_NEXT, 0, "temp", "temperature", "T", FLOAT(temperature, 0, 1000),
     "temperature: higher is more even; 0 counts as 1\n"
     "(default: 1)"},
    {OPTIONS_SAMPLING, 0, "top-n-sigma", "top-nsigma", "N", FLOAT(top_n_sigma, 0, 1000),
     "choose among tokens with logits at most N standard\n"
     "deviations below the largest; 0 means all (default: 0)"},
    {OPTIONS_GENERATE, 0, "top-k", NULL, "K", INT(top_k, 0, INT32_MAX),
     "choose among the K most likely tokens; 0 means all\n"
     "(default: 40)"},
    {OPTIONS_NEXT, 0, "top-k", NULL, "K", INT(top_k, 0, INT32_MAX),
     "choose among the K most likely tokens; 0 means all\n"
     "(default: 0)"},
    {OPTIONS_GENERATE, 0, "top-p", NULL, "P", FLOAT(top_p, 0, 1),
     "choose among the most likely tokens that together have\n"
     "probability P; 1 means all (default: 0.95)"},
    {OPTIONS_NEXT, 0, "top-p", NULL, "P", FLOAT(top_p, 0, 1),
     "choose among the most likely tokens that together have\n"
     "probability P; 1 means all (default: 1)"},
    {OPTIONS_SAMPLING, 0, "min-p", NULL, "P", FLOAT(min_p, 0, 1),
     "choose among tokens at least P times as probable as the\n"
     "most probable one; 0 means all (default: 0)"},
    {OPTIONS_SAMPLING, 0, "typical", "typical-p", "P", FLOAT(typical_p, 0, 1),
     "choose among the tokens of the most typical surprise\n"
     "that together have probability P; 1 means all\n"
     "(default: 1)"},
    {OPTIONS_SAMPLING, 0, "xtc-probability", NULL, "P", FLOAT(xtc_probability, 0, 1),
     "XTC: with probability P leave out all tokens of at least\n"
     "the threshold but the least probable one (default: 0)"},
    {OPTIONS_SAMPLING, 0, "xtc-threshold", NULL, "P", FLOAT(xtc_threshold, 0, 1),
     "the threshold of XTC (default: 0.1)"},
    {OPTIONS_SAMPLING, 0, "mirostat", NULL, "VERSION", WORD(mirostat, mirostat_words),
     "2: mirostat 2, in place of the filters from\n"
     "--top-n-sigma to --xtc-threshold; 0 means off\n"
     "(default: 0)"},
    {OPTIONS_SAMPLING, 0, "mirostat-ent", NULL, "TAU", FLOAT(mirostat_ent, 0.001, 1000),
     "the surprise that mirostat aims at, in bits (default: 5)"},
    {OPTIONS_SAMPLING, 0, "mirostat-lr", NULL, "ETA", FLOAT(mirostat_lr, 0, 1000),
     "how fast mirostat adapts (default: 0.1)"},
    {OPTIONS_SAMPLING, 's', "seed", NULL, "SEED", SEED(seed),
     "seed of the random numbers: the same seed gives the same\n"
     "text on every machine; -1 means a new seed for each run\n"
     "(default: -1)"},
    {OPTIONS_SAMPLING, 0, "stream", NULL, "N", INT(stream, 0, INT32_MAX),
     "for several texts with one seed: each N gives another\n"
     "text (default: 0)"},
};

void set_sampling_defaults(struct options *options, bool is_plain)
{
    options->repeat_last_n = -1;
    options->repeat_penalty = 1.0f;
    options->dry_base = 1.75f;
    options->dry_allowed_length = 2;
    options->temperature = is_plain ? 1.0f : 0.8f;
    options->top_k = is_plain ? 0 : 40;
    options->top_p = is_plain ? 1.0f : 0.95f;
    options->typical_p = 1.0f;
    options->xtc_threshold = 0.1f;
    options->mirostat_ent = 5.0f;
    options->mirostat_lr = 0.1f;
}
