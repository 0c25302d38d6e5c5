/*
 * prompts.h: the file of --prompts: many prompts, one a line.
 */
#ifndef PROMPTS_H
#define PROMPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gpt2.h>

#include "input.h"
#include "options.h"
#include "setup.h"

#define ORIGIN_BYTES (PATH_BYTES + 32)

struct prompt_line {
    size_t number;     /* of the line, from 1 */
    struct bytes text; /* borrowed from the file's bytes, as is 'id' */
    struct bytes id;   /* JSON; data NULL if the line has none */
    bool has_seed;
    uint64_t seed;
    struct ids ids;  /* of 'text' */
    bool is_refused; /* it cannot be run; it has been reported */
};

struct prompts {
    struct bytes file;
    struct prompt_line *lines;
    size_t count;
};

/*
 * Reads --prompts: a prompt a line, or with --jsonl a JSON object a line.  The caller calls
 * prompts_free() in any case.
 */
enum outcome prompts_read(struct prompts *prompts, const struct options *options);

/*
 * Turns the texts into ids.  A line that fails, or is longer than the context, is reported and refused;
 * the others go on.
 */
void prompts_encode(struct prompts *prompts, const struct options *options,
                    const gpt2_model_info *info, const gpt2_tokenizer *tokenizer);

/* "FILE:3", the name of a line in error messages; 'path' NULL or "-" is standard input. */
void line_name(char origin[ORIGIN_BYTES], const char *path, size_t number);

/* The same for a line of --prompts. */
void prompts_name_line(char origin[ORIGIN_BYTES], const struct options *options, size_t number);

void prompts_free(struct prompts *prompts);

#endif
