/*
 * parallel.h: many texts at a time: `gpt2 generate` with --prompts, --n-choices or --jsonl.
 */
#ifndef PARALLEL_H
#define PARALLEL_H

#include <gpt2.h>

#include "command.h"
#include "options.h"

/* Continues each line of --prompts, or one prompt in --n-choices ways. */
enum outcome generate_many(const struct options *options, const gpt2_sample_params *sampling);

#endif
