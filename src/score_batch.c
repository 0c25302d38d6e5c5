/*
 * score_batch.c: the scores of many texts: as many at a time as the pages of the KV cache allow.
 */
#include "score_batch.h"

#include <stdlib.h>

#include "messages.h"
#include "platform.h"
#include "prompts.h"
#include "scoring.h"
#include "setup.h"

enum outcome batch_open(struct batch *batch, const struct score *score, const char *path)
{
    enum outcome outcome;

    *batch = (struct batch){.score = score, .path = path};
    outcome = session_open_scoring(score->options, score->model, score->n_ctx, MAX_SEQUENCES,
                                   &batch->session);
    if (outcome != OUTCOME_DONE)
        return outcome;
    batch->n_pages = gpt2_session_n_free_pages(batch->session);
    batch->scores = malloc((size_t)batch->n_pages * PAGE_POSITIONS * sizeof *batch->scores);
    return batch->scores != NULL ? OUTCOME_DONE : complain_memory();
}

void batch_close(struct batch *batch)
{
    free(batch->scores);
    session_close(batch->session);
}

static void add_score(struct batch_text *text, const gpt2_token_score *score)
{
    text->logprob += score->logprob;
    text->n_tokens++;
    text->is_greedy = text->is_greedy && score->rank == 1;
}

/* ------------------------------------------------------------------------------- one long text -- */

/* The 'take' of struct scoring. */
static enum outcome take(void *user, size_t i, const gpt2_token_score *score,
                         const gpt2_token_logprob *likeliest)
{
    (void)i;
    (void)likeliest;
    add_score(user, score);
    return OUTCOME_DONE;
}

/* A text that is longer than the context, or whose logits are not finite. */
static enum outcome run_alone(struct batch *batch, struct batch_text *text)
{
    char origin[ORIGIN_BYTES];
    struct scoring scoring = {.session = batch->session,
                              .ids = text->tokens.ids.data,
                              .n_ids = text->tokens.ids.count,
                              .first = text->tokens.first,
                              .stride = batch->score->options->stride,
                              .per_call = batch->score->per_call,
                              .take = take,
                              .user = text,
                              .origin = origin};

    line_name(origin, batch->path, text->line);
    return scoring_run(&scoring);
}

/* --------------------------------------------------------------------------------- short texts -- */

/* The tokens that run: the last one is only predicted. */
static size_t n_inputs(const struct batch_text *text)
{
    return text->tokens.ids.count - 1;
}

static bool has_scores(const struct batch_text *text)
{
    return text->tokens.ids.count > text->tokens.first;
}

static int32_t n_pages_of(const struct batch_text *text)
{
    return (int32_t)((n_inputs(text) + PAGE_POSITIONS - 1) / PAGE_POSITIONS);
}

static bool is_short(const struct batch *batch, const struct batch_text *text)
{
    size_t size = (size_t)windows_size(batch->score->n_ctx, batch->score->options->stride);

    return n_inputs(text) <= size;
}

/* How many of the texts fit into one call, at least 1 if the first one is short. */
static size_t count_fitting(const struct batch *batch, const struct batch_text *texts,
                            size_t n_texts)
{
    int32_t n_free = batch->n_pages;
    size_t n = 0;

    while (n < n_texts && n < MAX_SEQUENCES && has_scores(&texts[n]) &&
           is_short(batch, &texts[n]) && n_pages_of(&texts[n]) <= n_free) {
        n_free -= n_pages_of(&texts[n]);
        n++;
    }
    return n;
}

static int32_t score_together(struct batch *batch, const struct batch_text *texts, size_t n_texts)
{
    gpt2_score_item items[MAX_SEQUENCES] = {{0}};
    gpt2_token_score *scores = batch->scores;
    int32_t status = GPT2_OK;

    gpt2_session_reset(batch->session);
    if (platform_was_interrupted())
        return GPT2_ERR_CANCELLED;
    for (size_t i = 0; i < n_texts && status == GPT2_OK; i++) {
        items[i].tokens = texts[i].tokens.ids.data;
        items[i].n_tokens = texts[i].tokens.ids.count;
        items[i].n_prefix = texts[i].tokens.first;
        items[i].scores = scores;
        scores += items[i].n_tokens - items[i].n_prefix;
        if (i > 0) /* sequence 0 is open */
            status = gpt2_sequence_open(batch->session, &items[i].sequence);
    }
    return status == GPT2_OK ? gpt2_score(batch->session, items, n_texts, NULL) : status;
}

static enum outcome run_together(struct batch *batch, struct batch_text *texts, size_t n_texts,
                                 size_t *n_scored)
{
    const gpt2_token_score *score = batch->scores;
    int32_t status = score_together(batch, texts, n_texts);
    enum outcome outcome = OUTCOME_DONE;

    if (status == GPT2_ERR_NONFINITE) { /* find out which, and report it */
        for (size_t i = 0; i < n_texts && outcome == OUTCOME_DONE; i++) {
            outcome = run_alone(batch, &texts[i]);
            *n_scored += outcome == OUTCOME_DONE;
        }
        return outcome;
    }
    if (status != GPT2_OK)
        return session_complain(batch->session, status);
    for (size_t i = 0; i < n_texts; i++) {
        for (size_t j = texts[i].tokens.first; j < texts[i].tokens.ids.count; j++)
            add_score(&texts[i], score++);
    }
    *n_scored += n_texts;
    return OUTCOME_DONE;
}

enum outcome batch_run(struct batch *batch, struct batch_text *texts, size_t n_texts,
                       size_t *n_scored)
{
    enum outcome outcome = OUTCOME_DONE;

    *n_scored = 0;
    for (size_t i = 0; i < n_texts; i++)
        texts[i].is_greedy = true;
    while (*n_scored < n_texts && outcome == OUTCOME_DONE) {
        struct batch_text *next = texts + *n_scored;
        size_t n = count_fitting(batch, next, n_texts - *n_scored);

        if (n > 0) {
            outcome = run_together(batch, next, n, n_scored);
        } else {
            if (has_scores(next))
                outcome = run_alone(batch, next);
            *n_scored += outcome == OUTCOME_DONE;
        }
    }
    return outcome;
}
