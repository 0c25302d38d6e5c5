/*
 * texts.h: the texts that generate makes, and how they are printed.
 */
#ifndef TEXTS_H
#define TEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gpt2.h>

#include "command.h"
#include "input.h"
#include "logprobs.h"
#include "options.h"
#include "prompts.h"

/* Why a text has ended. */
enum stop { STOP_NOT_YET, STOP_EOT, STOP_STRING, STOP_LENGTH, STOP_CONTEXT, STOP_ERROR };

struct text {
    size_t index; /* from 0 */
    const struct prompt_line *prompt;
    uint64_t seed, stream; /* of its random numbers */
    struct ids ids;        /* that were generated */
    size_t ids_capacity;
    struct bytes bytes; /* the text that became certain; empty without a tokenizer */
    size_t bytes_capacity;
    struct logprobs logprobs; /* of the ids, with --logprobs */
    enum stop stop;
};

struct text_printer {
    const struct options *options;
    const gpt2_tokenizer *tokenizer;
    bool is_in_ids; /* the prompts and the output */
    bool is_table;  /* of --logprobs, in place of the texts */
    bool streams;   /* there is one text, and it is printed as it grows */
    bool has_begun; /* then: the prompt has been printed, some id, and so much of the text */
    bool has_ids;
    size_t n_ids_shown;
    size_t n_bytes_shown;
};

/* Adds what a step of its generator gave. */
enum outcome text_append_bytes(struct text *text, const char *bytes, size_t n_bytes);
enum outcome text_append_id(struct text *text, int32_t id);

/* Frees what the text has grown by. */
void text_free(struct text *text);

/* Prints and flushes what is new in a text that streams. */
enum outcome text_stream(struct text_printer *printer, const struct text *text);

/*
 * Prints a text that has ended and flushes: with --jsonl as an object, else below a line that has its
 * number.  Of one that streams it prints the rest.
 */
enum outcome text_print(struct text_printer *printer, const struct text *text);

#endif
