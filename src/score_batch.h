/*
 * score_batch.h: the scores of many texts, which run together.
 */
#ifndef SCORE_BATCH_H
#define SCORE_BATCH_H

#include <stdbool.h>
#include <stddef.h>

#include <gpt2.h>

#include "score.h"

#define MAX_SEQUENCES 16 /* texts in one call of the library */

struct batch_text {
    struct score_text tokens;
    size_t line;       /* that it is in, from 1 */
    struct bytes text; /* borrowed from the file */
    /* the result */
    double logprob;  /* the sum, in nats */
    size_t n_tokens; /* that were scored */
    bool is_greedy;  /* each of them has rank 1 */
};

struct batch {
    const struct score *score;
    const char *path; /* that the lines are from, as in line_name() */
    gpt2_session *session;
    gpt2_token_score *scores; /* of all positions of the KV cache */
    int32_t n_pages;
};

/* The caller calls batch_close() in any case. */
enum outcome batch_open(struct batch *batch, const struct score *score, const char *path);
void batch_close(struct batch *batch);

/* Scores texts.  One that is longer than the context runs in windows.  If it fails, the first *n_scored
   of them have results. */
enum outcome batch_run(struct batch *batch, struct batch_text *texts, size_t n_texts,
                       size_t *n_scored);

#endif
