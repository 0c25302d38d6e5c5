/*
 * texts.h: the texts that generate makes from many prompts, and how they are printed.
 */
#ifndef TEXTS_H
#define TEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gpt2.h>

#include "command.h"
#include "input.h"
#include "options.h"
#include "prompts.h"

/* Why a text has ended. */
enum stop { STOP_NOT_YET, STOP_EOT, STOP_LENGTH, STOP_CONTEXT, STOP_ERROR };

struct text {
    size_t index; /* from 0 */
    const struct prompt_line *prompt;
    uint64_t seed, stream; /* of its random numbers */
    struct ids ids;        /* that were generated */
    size_t capacity;       /* of ids.data */
    enum stop stop;
};

struct text_printer {
    const struct options *options;
    const gpt2_tokenizer *tokenizer;
    bool is_in_ids; /* the prompts and the output */
};

/*
 * Prints a text that has ended and flushes: with --jsonl as an object, else below a line that has its
 * number.
 */
enum outcome text_print(const struct text_printer *printer, const struct text *text);

#endif
