/*
 * score_perplexity.c: what `gpt2 score` prints by default: the probability of a whole text.
 *
 * A window runs in short calls, so that the session keeps the logits of a few rows only.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <gpt2.h>

#include "messages.h"
#include "platform.h"
#include "score.h"
#include "scoring.h"
#include "setup.h"

#define PROGRESS_SECONDS 0.2

struct perplexity {
    const struct score *score;
    gpt2_session *session;
    const int32_t *ids;
    size_t n_all;   /* tokens to count */
    size_t n_done;  /* of those, how many have been counted */
    size_t n_bytes; /* of the tokens to count */
    double nats;    /* of those counted */
    double start;
    double shown; /* when progress was last shown */
};

/* -log of the probability of 'id' under a row of logits; NaN if there is none. */
static double row_nats(const float *logits, int32_t n_vocab, int32_t id)
{
    double largest = (double)logits[0];
    double sum = 0;

    for (int32_t i = 1; i < n_vocab; i++) {
        if ((double)logits[i] > largest)
            largest = (double)logits[i];
    }
    for (int32_t i = 0; i < n_vocab; i++)
        sum += exp((double)logits[i] - largest);
    return log(sum) + (largest - (double)logits[id]);
}

static double nats_per_token(const struct perplexity *text)
{
    return text->nats / (double)text->n_done;
}

static void show_progress(struct perplexity *text)
{
    double now = platform_seconds();

    if (now - text->shown < PROGRESS_SECONDS)
        return;
    text->shown = now;
    progress("%zu / %zu tokens, %.0f tokens/s, perplexity %.6g", text->n_done, text->n_all,
             (double)text->n_done / (now - text->start), exp(nats_per_token(text)));
}

/* The 'predict' of struct windows. */
static int32_t predict(void *user, size_t next, size_t n)
{
    struct perplexity *text = user;
    const int32_t *ids = text->ids + next - 1;
    int32_t status = gpt2_forward(text->session, ids, n, n);

    for (size_t row = 0; row < n && status == GPT2_OK; row++) {
        const float *logits;

        status = gpt2_session_logits(text->session, (int32_t)row, &logits);
        if (status != GPT2_OK)
            return status;
        text->nats += row_nats(logits, text->score->info.n_vocab, ids[row + 1]);
        if (isnan(text->nats))
            return GPT2_ERR_NONFINITE;
        text->n_done++;
    }
    if (status == GPT2_OK)
        show_progress(text);
    return status;
}

static void print_result(const struct perplexity *text, bool is_first_counted)
{
    const struct score *score = text->score;

    if (!is_first_counted)
        note("%s: the first token is not counted",
             begin_token(score->model, &score->info) < 0
                 ? "the model has no <|endoftext|>"
                 : "no <|endoftext|> is in front of the text");
    printf(KEY_FORMAT "%zu\n", "tokens", text->n_done);
    printf(KEY_FORMAT "%zu\n", "bytes", text->n_bytes);
    printf(KEY_FORMAT "%d\n", "context", (int)score->n_ctx);
    if (score->options->stride > 0)
        printf(KEY_FORMAT "%d\n", "stride", (int)score->options->stride);
    printf(KEY_FORMAT "%.6f\n", "nats", text->nats);
    printf(KEY_FORMAT "%.8f\n", "nats_per_token", nats_per_token(text));
    printf(KEY_FORMAT "%.6f\n", "perplexity", exp(nats_per_token(text)));
    printf(KEY_FORMAT "%.8f\n", "bits_per_byte", text->nats / log(2.0) / (double)text->n_bytes);
}

/* Prints the result, or says why the windows ended with 'status'. */
static enum outcome report(const struct perplexity *text, int32_t status, bool is_first_counted)
{
    progress_clear();
    if (status == GPT2_ERR_NONFINITE)
        return complain(OUTCOME_FAILED, "prediction %zu of %zu: %s", text->n_done + 1, text->n_all,
                        gpt2_strerror(status));
    if (status == GPT2_ERR_CANCELLED && text->n_done > 0)
        note("ended after %zu of %zu tokens, perplexity %.6g", text->n_done, text->n_all,
             exp(nats_per_token(text)));
    if (status != GPT2_OK)
        return session_complain(text->session, status);
    print_result(text, is_first_counted);
    return OUTCOME_DONE;
}

static enum outcome run(struct perplexity *text, const struct score_text *tokens)
{
    const struct score *score = text->score;
    const struct options *options = score->options;
    struct windows windows = {.ids = tokens->ids.data,
                              .n_ids = tokens->ids.count,
                              .next = tokens->first,
                              .stride = options->stride,
                              .per_call = score->per_call,
                              .predict = predict,
                              .user = text};
    enum outcome outcome = session_open(options, score->model, options->n_ctx,
                                        (int32_t)score->per_call, &windows.session);

    if (outcome != OUTCOME_DONE)
        return outcome;
    text->session = windows.session;
    text->ids = tokens->ids.data;
    text->n_all = tokens->ids.count - tokens->first;
    text->start = platform_seconds();
    text->shown = text->start;
    outcome = report(text, windows_run(&windows), tokens->first == tokens->n_lead);
    session_close(windows.session);
    return outcome;
}

enum outcome score_perplexity(const struct score *score, const struct bytes *bytes)
{
    struct perplexity text = {.score = score, .n_bytes = bytes->size};
    struct score_text tokens = {0};
    enum outcome outcome = score_encode(&tokens, score, bytes->data, bytes->size, NULL);

    if (outcome == OUTCOME_DONE)
        outcome = score_check_length(&tokens, NULL);
    if (outcome == OUTCOME_DONE && tokens.first > tokens.n_lead) {
        const char *token;
        size_t n_token;
        int32_t status =
            gpt2_tokenizer_token_bytes(score->tokenizer, tokens.ids.data[0], &token, &n_token);

        if (status != GPT2_OK)
            outcome = complain_status(status, NULL);
        text.n_bytes -= n_token;
    }
    if (outcome == OUTCOME_DONE)
        outcome = run(&text, &tokens);
    free(tokens.ids.data);
    return outcome;
}
