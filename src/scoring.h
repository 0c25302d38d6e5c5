/*
 * scoring.h: predicts every token of a text that may be longer than the context.
 */
#ifndef SCORING_H
#define SCORING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gpt2.h>

#include "command.h"

/*
 * The loop over windows of the size of the context.  Every token from 'next' on is predicted once.
 * With a stride windows overlap.
 */
struct windows {
    gpt2_session *session; /* its sequence 0 is used; others are closed */
    const int32_t *ids;
    size_t n_ids;
    size_t next;     /* the next token to predict; at least 1, at most the size of a window */
    int32_t stride;  /* 0: windows do not overlap */
    size_t per_call; /* max tokens that one call predicts */
    /* Runs the n tokens from ids[next - 1] on, and predicts n from ids[next] on. */
    int32_t (*predict)(void *user, size_t next, size_t n);
    void *user;
};

/* The size of a window, in tokens that are run. */
int32_t windows_size(int32_t n_ctx, int32_t stride);

/* Returns the first status that is not GPT2_OK. */
int32_t windows_run(struct windows *windows);

/* Scores every token of a text with gpt2_score(), and gives them one by one to 'take'. */
struct scoring {
    gpt2_session *session;
    const int32_t *ids;
    size_t n_ids;
    size_t first; /* the first token to score, as 'next' of struct windows */
    int32_t stride;
    size_t per_call;
    int32_t n_likeliest;
    /* The class that class_prob of token i is about; may be NULL. */
    const uint8_t *(*class_of)(void *user, size_t i);
    enum outcome (*take)(void *user, size_t i, const gpt2_token_score *score,
                         const gpt2_token_logprob *likeliest);
    void *user;
    bool writes_rows;   /* 'take' writes to standard output: no progress if that is a terminal */
    const char *origin; /* names the text in error messages; NULL if it is the only one */
};

/* Memory: the scores of 'per_call' tokens. */
enum outcome scoring_run(const struct scoring *scoring);

#endif
