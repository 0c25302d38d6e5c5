/*
 * parallel.h: the loop of `gpt2 generate`: one text or many.
 */
#ifndef PARALLEL_H
#define PARALLEL_H

#include <gpt2.h>

#include "command.h"
#include "options.h"

/* Continues each line of --prompts, or one prompt in --n-choices ways. */
enum outcome generate_texts(const struct options *options, const gpt2_sample_params *sampling);

#endif
