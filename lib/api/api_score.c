/*
 * api_score.c: the exported functions of scoring.
 *
 * A call runs all tokens of an item but the last, as a forward call does.  Chunks of logits come from the
 * forward pass in the order of the items; each is scored, row by row, before the next is computed.
 */
#include "api.h"
#include "../base/fpstate.h"
#include "../decode/scorer.h"
#include "../model/batch.h"

#include <stdio.h>

static const gpt2_score_params score_defaults = {.struct_size = sizeof(gpt2_score_params)};

static const struct gpt2i_params_kind score_params = {
    .name = "gpt2_score_params",
    .defaults = &score_defaults,
    .known_bytes = sizeof(gpt2_score_params),
    .first_bytes = GPT2I_SIZE_TO(gpt2_score_params, class_mask),
    .errbuf_offset = GPT2I_NO_ERRBUF,
};

int32_t gpt2_score_params_init(gpt2_score_params *params, size_t struct_size)
{
    return gpt2i_params_init(params, struct_size, &score_params);
}

/* -------------------------------------------------------------------------------------- rows -- */

struct scoring {
    gpt2_session *session;
    const gpt2_score_item *items;
    struct gpt2i_scorer scorer;
    size_t item; /* of the next row to be scored */
    size_t next; /* its score in that item */
    const float *logits;
};

static size_t n_scores(const gpt2_score_item *item)
{
    return item->n_tokens - item->n_prefix;
}

/* Scores row 'row' of a chunk.  A rank of 0 says that it cannot be scored. */
static void score_task(void *argument, size_t row, size_t worker)
{
    const struct scoring *scoring = argument;
    const struct gpt2i_scorer *scorer = &scoring->scorer;
    const gpt2_score_item *item = &scoring->items[scoring->item];
    size_t i = scoring->next + row;
    gpt2_token_logprob *likeliest;

    (void)worker;
    for (; i >= n_scores(item); item++)
        i -= n_scores(item);
    likeliest = scorer->n_likeliest > 0 ? item->likeliest + i * scorer->n_likeliest : NULL;
    if (!gpt2i_score_row(scorer, scoring->logits + row * scorer->n_vocab,
                         item->tokens[item->n_prefix + i], &item->scores[i], likeliest))
        item->scores[i].rank = 0;
}

/* Scores a chunk on all threads, and goes on behind it. */
static int32_t take_logits(void *argument, const float *logits, size_t n_rows)
{
    struct scoring *scoring = argument;
    gpt2_session *session = scoring->session;

    scoring->logits = logits;
    gpt2i_pool_run_all(session->compute.pool, score_task, scoring, n_rows);
    for (size_t row = 0; row < n_rows; row++) {
        const gpt2_score_item *item = &scoring->items[scoring->item];

        if (item->scores[scoring->next].rank == 0)
            return gpt2i_fail(
                &session->taps.error, GPT2_ERR_NONFINITE,
                "item %zu: the logits for token %zu hold NaN or +infinity, or nothing "
                "but -infinity",
                scoring->item, item->n_prefix + scoring->next);
        if (++scoring->next == n_scores(item)) {
            scoring->item++;
            scoring->next = 0;
        }
    }
    return GPT2_OK;
}

/* -------------------------------------------------------------------------------------- items -- */

/* Checks one item, and makes it item 'i' of the call that is about to run. */
static int32_t take_score_item(gpt2_session *session, const gpt2_score_item *item, size_t i,
                               const gpt2_score_params *params, struct gpt2i_error *error)
{
    gpt2_batch_item run = {item->sequence, item->reserved, item->tokens, item->n_tokens - 1,
                           n_scores(item)};
    char label[GPT2I_LABEL_BYTES];
    int32_t status;

    (void)snprintf(label, sizeof label, "item %zu: ", i);
    if (item->n_tokens < 2)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_score: %sn_tokens is %zu, wanted 2 or more", label, item->n_tokens);
    if (item->n_prefix < 1 || item->n_prefix >= item->n_tokens)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_score: %sn_prefix is %zu, wanted 1 to %zu", label, item->n_prefix,
                          item->n_tokens - 1);
    if (item->scores == NULL)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "gpt2_score: %sscores is NULL", label);
    if (item->likeliest == NULL && params->n_likeliest > 0)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_score: %slikeliest is NULL, but n_likeliest is %d", label,
                          params->n_likeliest);
    status = gpt2i_take_item(session, &run, i, "gpt2_score", label, error);
    return status == GPT2_OK ? gpt2i_check_ids(session, item->tokens, item->n_tokens - 1,
                                               item->n_tokens, label, error)
                             : status;
}

static struct gpt2i_scorer scorer_of(const gpt2_session *session, const gpt2_score_params *params)
{
    return (struct gpt2i_scorer){
        .kernels = &session->compute.kernels,
        .n_vocab = (size_t)session->model->config.n_vocab,
        .n_likeliest = (size_t)params->n_likeliest,
        .class_mask = params->class_mask,
    };
}

static int32_t run_scored(gpt2_session *session, const gpt2_score_item *items, size_t n_items,
                          const gpt2_score_params *params)
{
    struct scoring scoring = {
        .session = session,
        .items = items,
        .scorer = scorer_of(session, params),
    };
    int32_t status;

    session->taker = (struct gpt2i_taker){take_logits, &scoring};
    status = gpt2i_batch_run(session, n_items);
    session->taker = (struct gpt2i_taker){NULL, NULL};
    return status;
}

/* What both ways of scoring check. */
static int32_t take_params(gpt2_score_params *known, const gpt2_score_params *params,
                           const gpt2_session *session, struct gpt2i_error *error)
{
    int32_t status = gpt2i_params_take(known, params, &score_params, error);

    return status == GPT2_OK
               ? gpt2i_check_range("gpt2_score_params.n_likeliest", known->n_likeliest, 0,
                                   session->model->config.n_vocab, error)
               : status;
}

int32_t gpt2_score(gpt2_session *session, const gpt2_score_item *items, size_t n_items,
                   const gpt2_score_params *params)
{
    gpt2_score_params known;
    struct gpt2i_error error;
    int32_t status = gpt2i_session_begin(session, &error);

    if (status == GPT2_OK)
        status = take_params(&known, params, session, &error);
    if (status == GPT2_OK)
        status = gpt2i_check_items(session, items, n_items, "gpt2_score", &error);
    for (size_t i = 0; i < n_items && status == GPT2_OK; i++)
        status = take_score_item(session, &items[i], i, &known, &error);
    if (status == GPT2_OK)
        status = gpt2i_check_twice(session, n_items, "gpt2_score", &error);
    return status == GPT2_OK ? run_scored(session, items, n_items, &known) : status;
}

/* ------------------------------------------------------------------------------------ one row -- */

int32_t gpt2_score_logits(gpt2_session *session, const float *logits, int32_t token,
                          const gpt2_score_params *params, gpt2_token_score *score,
                          gpt2_token_logprob *likeliest)
{
    gpt2_score_params known;
    struct gpt2i_scorer scorer;
    struct gpt2i_error error;
    uint64_t host_state;
    int32_t status = gpt2i_session_begin(session, &error);

    if (status == GPT2_OK)
        status = take_params(&known, params, session, &error);
    if (status != GPT2_OK)
        return status;
    if (logits == NULL || score == NULL || (likeliest == NULL && known.n_likeliest > 0))
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_score_logits: %s is NULL",
                          logits == NULL  ? "logits"
                          : score == NULL ? "score"
                                          : "likeliest");
    scorer = scorer_of(session, &known);
    if (token < 0 || (size_t)token >= scorer.n_vocab)
        return gpt2i_fail(&error, GPT2_ERR_TOKEN, "gpt2_score_logits: token is %d, wanted 0 to %zu",
                          token, scorer.n_vocab - 1);
    host_state = gpt2i_fpstate_enter();
    if (!gpt2i_score_row(&scorer, logits, token, score, likeliest))
        status = gpt2i_fail(&error, GPT2_ERR_NONFINITE,
                            "gpt2_score_logits: the logits hold NaN or +infinity, or nothing but "
                            "-infinity");
    gpt2i_fpstate_leave(host_state);
    return status;
}
