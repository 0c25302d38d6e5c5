/*
 * scoring.c: the loop over windows, and the scores of all tokens of one text.
 */
#include "scoring.h"

#include <stdlib.h>
#include <stdio.h>

#include "messages.h"
#include "platform.h"
#include "setup.h"

#define PROGRESS_SECONDS 0.2

/* Windows with a stride have one input less: the last token of a window is predicted, not run. */
int32_t windows_size(int32_t n_ctx, int32_t stride)
{
    return n_ctx - (stride > 0);
}

int32_t windows_run(struct windows *windows)
{
    size_t size = (size_t)windows_size(gpt2_session_n_ctx(windows->session), windows->stride);
    size_t n_inputs = windows->n_ids - 1; /* each predicts the token behind it */
    size_t begin = 0;
    int32_t status = GPT2_OK;

    while (windows->next < windows->n_ids && status == GPT2_OK) {
        size_t end = begin + size < n_inputs ? begin + size : n_inputs;
        size_t n_known = windows->next - 1 - begin; /* they are predicted already */

        gpt2_session_reset(windows->session);
        if (platform_was_interrupted())
            return GPT2_ERR_CANCELLED;
        if (n_known > 0)
            status = gpt2_forward(windows->session, windows->ids + begin, n_known, 0);
        begin = windows->stride > 0 ? begin + (size_t)windows->stride : end;
        while (windows->next <= end && status == GPT2_OK) {
            size_t left = end + 1 - windows->next;
            size_t n = left < windows->per_call ? left : windows->per_call;

            status = windows->predict(windows->user, windows->next, n);
            if (status == GPT2_OK)
                windows->next += n;
        }
    }
    return status;
}

/* ------------------------------------------------------------------------------------- scores -- */

struct chunk {
    const struct scoring *scoring;
    gpt2_token_score *scores;      /* [per_call] */
    gpt2_token_logprob *likeliest; /* [per_call, n_likeliest], NULL if n_likeliest is 0 */
    enum outcome outcome;          /* of 'take' */
    double start, shown;           /* in seconds; when progress was last shown */
};

static void show_progress(struct chunk *chunk, size_t n_done)
{
    const struct scoring *scoring = chunk->scoring;
    double now = platform_seconds();

    if (now - chunk->shown < PROGRESS_SECONDS ||
        (scoring->writes_rows && platform_is_terminal(stdout)))
        return;
    chunk->shown = now;
    progress("%zu / %zu tokens, %.0f tokens/s", n_done, scoring->n_ids - scoring->first,
             (double)n_done / (now - chunk->start));
}

static const uint8_t *class_of(const struct scoring *scoring, size_t i)
{
    return scoring->class_of != NULL ? scoring->class_of(scoring->user, i) : NULL;
}

/* Scores n tokens of one class, the first of them ids[next]. */
static int32_t score_call(struct chunk *chunk, size_t next, size_t n, const uint8_t *class_mask)
{
    const struct scoring *scoring = chunk->scoring;
    gpt2_score_item item = {.tokens = scoring->ids + next - 1,
                            .n_tokens = n + 1,
                            .n_prefix = 1,
                            .scores = chunk->scores,
                            .likeliest = chunk->likeliest};
    gpt2_score_params params;
    int32_t status;

    gpt2_score_params_init(&params, sizeof params);
    params.n_likeliest = scoring->n_likeliest;
    params.class_mask = class_mask;
    status = gpt2_score(scoring->session, &item, 1, &params);
    for (size_t i = 0; i < n && status == GPT2_OK; i++) {
        const gpt2_token_logprob *likeliest =
            chunk->likeliest != NULL ? chunk->likeliest + i * (size_t)scoring->n_likeliest : NULL;

        chunk->outcome = scoring->take(scoring->user, next + i, &chunk->scores[i], likeliest);
        if (chunk->outcome != OUTCOME_DONE)
            return GPT2_ERR_CANCELLED;
    }
    return status;
}

/* The 'predict' of struct windows.  A call of gpt2_score() knows one class, so it is cut where the
   class changes. */
static int32_t predict(void *user, size_t next, size_t n)
{
    struct chunk *chunk = user;
    size_t end = next + n;
    int32_t status = GPT2_OK;

    while (next < end && status == GPT2_OK) {
        const uint8_t *class_mask = class_of(chunk->scoring, next);
        size_t n_same = 1;

        while (next + n_same < end && class_of(chunk->scoring, next + n_same) == class_mask)
            n_same++;
        status = score_call(chunk, next, n_same, class_mask);
        next += n_same;
    }
    show_progress(chunk, end - chunk->scoring->first);
    return status;
}

static enum outcome report(const struct chunk *chunk, const struct windows *windows, int32_t status)
{
    const struct scoring *scoring = chunk->scoring;
    size_t n_done = windows->next - scoring->first, n_all = windows->n_ids - scoring->first;

    if (chunk->shown > chunk->start)
        progress_clear();
    if (chunk->outcome != OUTCOME_DONE || status == GPT2_OK)
        return chunk->outcome;
    if (status == GPT2_ERR_CANCELLED)
        note("ended after %zu of %zu tokens", n_done, n_all);
    if (status == GPT2_ERR_NONFINITE)
        return complain(OUTCOME_FAILED, "%s%sone of the predictions %zu to %zu of %zu: %s",
                        scoring->origin != NULL ? scoring->origin : "",
                        scoring->origin != NULL ? ": " : "", n_done + 1,
                        n_done + scoring->per_call < n_all ? n_done + scoring->per_call : n_all,
                        n_all, gpt2_strerror(status));
    return session_complain(scoring->session, status);
}

enum outcome scoring_run(const struct scoring *scoring)
{
    struct chunk chunk = {.scoring = scoring, .start = platform_seconds()};
    struct windows windows = {scoring->session, scoring->ids,      scoring->n_ids, scoring->first,
                              scoring->stride,  scoring->per_call, predict,        &chunk};
    size_t n_likeliest = (size_t)scoring->n_likeliest * scoring->per_call;
    enum outcome outcome;

    chunk.shown = chunk.start;
    chunk.scores = malloc(scoring->per_call * sizeof *chunk.scores);
    chunk.likeliest = n_likeliest > 0 ? malloc(n_likeliest * sizeof *chunk.likeliest) : NULL;
    if (chunk.scores == NULL || (n_likeliest > 0 && chunk.likeliest == NULL))
        outcome = complain_memory();
    else
        outcome = report(&chunk, &windows, windows_run(&windows));
    free(chunk.scores);
    free(chunk.likeliest);
    return outcome;
}
