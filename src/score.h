/*
 * score.h: what the parts of `gpt2 score` share.
 */
#ifndef SCORE_H
#define SCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gpt2.h>

#include "command.h"
#include "input.h"
#include "options.h"

struct score {
    const struct options *options;
    gpt2_model *model;
    gpt2_model_info info;
    const gpt2_tokenizer *tokenizer;
    int32_t n_ctx;
    struct ids lead; /* what stands in front of each text: <|endoftext|>, --prefix */
    bool is_in_bits; /* the unit of logarithms in tables */
    size_t per_call; /* max tokens that one call predicts */
};

/* Loads the model and checks the options against it.  The caller calls score_close() in any case. */
enum outcome score_open(struct score *score, const struct options *options);
void score_close(struct score *score);

/* A text and its tokens. */
struct score_text {
    struct ids ids; /* the lead, then the tokens of the text */
    size_t n_lead;
    size_t first; /* the first token that is scored: n_lead, but 1 if that is 0 */
};

/* Encodes a text.  'origin' names it in error messages; NULL if it is the only one. */
enum outcome score_encode(struct score_text *text, const struct score *score, const char *bytes,
                          size_t n_bytes, const char *origin);

/* Reports a text without a token that can be scored. */
enum outcome score_check_length(const struct score_text *text, const char *origin);

/* Scores all tokens of a text that stand in 'scoring', in a session of their own. */
struct scoring;
enum outcome score_all(const struct score *score, struct scoring *scoring);

/* Where the tokens of the text, which is 'bytes', are in it; the caller frees them.  NULL: it has been
   reported. */
gpt2_offsets *score_offsets(const struct score *score, const struct score_text *text,
                            const struct bytes *bytes);

/* White space of ASCII. */
bool score_is_space(char c);

/* The ways of scoring.  'bytes' is the text. */
enum outcome score_perplexity(const struct score *score, const struct bytes *bytes);
enum outcome score_tokens(const struct score *score, const struct bytes *bytes);
enum outcome score_words(const struct score *score, const struct bytes *bytes);
enum outcome score_html(const struct score *score, const struct bytes *bytes);

/* 'bytes' has a text, a pair of texts, or a context and its continuations in each line. */
enum outcome score_lines(const struct score *score, const struct bytes *bytes);
enum outcome score_pairs(const struct score *score, const struct bytes *bytes);
enum outcome score_choices(const struct score *score, const struct bytes *bytes);

#endif
