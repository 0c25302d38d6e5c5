/*
 * sampling.h: from the options of sampling to the library's params.
 */
#ifndef SAMPLING_H
#define SAMPLING_H

#include <gpt2.h>

#include "command.h"
#include "options.h"

/* Fills 'sampling', which borrows from the options.  Each call draws a seed if none is given. */
void sampling_init(gpt2_sample_params *sampling, const struct options *options);

/*
 * Makes all tokens equally likely at position 0 of a text, but for --logit-bias.  'all' is what
 * sampling_init() has filled; it must stay until the text has ended.
 */
void sampling_begin_uniform(gpt2_sample_params *sampling, const gpt2_sample_params *all);

/* Reports a --logit-bias of a token that the model does not have. */
enum outcome sampling_check(const struct options *options, const gpt2_model_info *info);

#endif
