/*
 * score.c: `gpt2 score`: the probability that a model gives to a text.
 *
 * The text is cut into windows of the size of the context, and every token is predicted once.  With a
 * stride windows overlap.  A window runs in short calls, so that the session keeps the logits of a
 * few rows only.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gpt2.h>

#include "command.h"
#include "messages.h"
#include "options.h"
#include "platform.h"
#include "setup.h"

#define ROWS_PER_CALL    64
#define PROGRESS_SECONDS 0.2

struct score {
    struct ids sequence; /* <|endoftext|> if the model has it, then the text */
    size_t n_inputs;     /* all tokens except the last: each predicts the next one */
    size_t n_done;       /* inputs whose predictions have been counted */
    size_t n_bytes;      /* of the tokens to count */
    double nats;         /* of those counted */
    int32_t n_ctx;
    int32_t stride; /* 0: windows do not overlap */
    int32_t n_vocab;
    gpt2_session *session;
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

static double nats_per_token(const struct score *score)
{
    return score->nats / (double)score->n_done;
}

static void show_progress(struct score *score)
{
    double now = platform_seconds();

    if (now - score->shown < PROGRESS_SECONDS)
        return;
    score->shown = now;
    progress("%zu / %zu tokens, %.0f tokens/s, perplexity %.6g", score->n_done, score->n_inputs,
             (double)score->n_done / (now - score->start), exp(nats_per_token(score)));
}

/* Runs the next n_rows inputs in one call and counts their predictions. */
static int32_t score_call(struct score *score, size_t n_rows)
{
    const int32_t *ids = score->sequence.data + score->n_done;
    int32_t status = gpt2_forward(score->session, ids, n_rows, n_rows);

    for (size_t row = 0; row < n_rows && status == GPT2_OK; row++) {
        const float *logits;

        status = gpt2_session_logits(score->session, (int32_t)row, &logits);
        if (status != GPT2_OK)
            return status;
        score->nats += row_nats(logits, score->n_vocab, ids[row + 1]);
        if (isnan(score->nats))
            return GPT2_ERR_NONFINITE;
        score->n_done++;
    }
    return status;
}

/* Windows with a stride have one input less: the last token of a window is predicted, not run. */
static size_t window_size(const struct score *score)
{
    return (size_t)score->n_ctx - (score->stride > 0);
}

static int32_t score_windows(struct score *score, size_t per_call)
{
    size_t begin = 0;
    int32_t status = GPT2_OK;

    while (score->n_done < score->n_inputs && status == GPT2_OK) {
        size_t end = begin + window_size(score);

        if (end > score->n_inputs)
            end = score->n_inputs;
        gpt2_session_reset(score->session);
        if (platform_was_interrupted())
            return GPT2_ERR_CANCELLED;
        if (score->n_done > begin)
            status = gpt2_forward(score->session, score->sequence.data + begin,
                                  score->n_done - begin, 0);
        begin = score->stride > 0 ? begin + (size_t)score->stride : end;
        while (score->n_done < end && status == GPT2_OK) {
            size_t left = end - score->n_done;

            status = score_call(score, left < per_call ? left : per_call);
            if (status == GPT2_OK)
                show_progress(score);
        }
    }
    return status;
}

/* Puts <|endoftext|> in front.  If the model has none, the first token is not counted. */
static enum outcome begin_sequence(struct score *score, const gpt2_tokenizer *tokenizer,
                                   int32_t eot_token)
{
    struct ids *ids = &score->sequence;
    int32_t *data;

    if (eot_token < 0) {
        const char *bytes;
        size_t n_bytes;
        int32_t status = gpt2_tokenizer_token_bytes(tokenizer, ids->data[0], &bytes, &n_bytes);

        if (status != GPT2_OK)
            return complain_status(status, NULL);
        score->n_bytes -= n_bytes;
        return OUTCOME_DONE;
    }
    data = realloc(ids->data, (ids->count + 1) * sizeof *data);
    if (data == NULL)
        return complain_memory();
    memmove(data + 1, data, ids->count * sizeof *data);
    data[0] = eot_token;
    ids->data = data;
    ids->count++;
    return OUTCOME_DONE;
}

static enum outcome read_sequence(struct score *score, const struct options *options,
                                  const struct bytes *text, const gpt2_tokenizer *tokenizer,
                                  const gpt2_model_info *info)
{
    struct ids *ids = &score->sequence;
    enum outcome outcome;

    if (tokenizer == NULL)
        return complain_no_tokenizer(options, ", so it cannot score a text");
    outcome = ids_encode(ids, tokenizer, text->data, text->size, options->special, NULL);
    if (outcome != OUTCOME_DONE)
        return outcome;
    if (ids->count == 0)
        return complain(OUTCOME_FAILED, "the text is empty: nothing to score");
    for (size_t i = 0; i < ids->count; i++) {
        if (ids->data[i] >= info->n_vocab)
            return complain(OUTCOME_FAILED,
                            "token %d of the text is outside the model's vocabulary of %d",
                            (int)ids->data[i], (int)info->n_vocab);
    }
    score->n_bytes = text->size;
    outcome = begin_sequence(score, tokenizer, info->eot_token);
    if (outcome != OUTCOME_DONE)
        return outcome;
    if (ids->count == 1)
        return complain(OUTCOME_FAILED, "the text is one token, and the model has no <|endoftext|> "
                                        "to predict it from: nothing to score");
    score->n_inputs = ids->count - 1;
    return OUTCOME_DONE;
}

static void print_score(const struct score *score, bool has_eot)
{
    if (!has_eot)
        note("the model has no <|endoftext|>: the first token is not counted");
    printf(KEY_FORMAT "%zu\n", "tokens", score->n_done);
    printf(KEY_FORMAT "%zu\n", "bytes", score->n_bytes);
    printf(KEY_FORMAT "%d\n", "context", (int)score->n_ctx);
    if (score->stride > 0)
        printf(KEY_FORMAT "%d\n", "stride", (int)score->stride);
    printf(KEY_FORMAT "%.6f\n", "nats", score->nats);
    printf(KEY_FORMAT "%.8f\n", "nats_per_token", nats_per_token(score));
    printf(KEY_FORMAT "%.6f\n", "perplexity", exp(nats_per_token(score)));
    printf(KEY_FORMAT "%.8f\n", "bits_per_byte", score->nats / log(2.0) / (double)score->n_bytes);
}

/* Prints the result, or says why the windows ended with 'status'. */
static enum outcome report(const struct score *score, int32_t status, bool has_eot)
{
    progress_clear();
    if (status == GPT2_ERR_NONFINITE)
        return complain(OUTCOME_FAILED, "prediction %zu of %zu: %s", score->n_done + 1,
                        score->n_inputs, gpt2_strerror(status));
    if (status == GPT2_ERR_CANCELLED && score->n_done > 0)
        note("ended after %zu of %zu tokens, perplexity %.6g", score->n_done, score->n_inputs,
             exp(nats_per_token(score)));
    if (status != GPT2_OK)
        return session_complain(score->session, status);
    print_score(score, has_eot);
    return OUTCOME_DONE;
}

static enum outcome score_sequence(struct score *score, const struct options *options,
                                   const gpt2_model *model, const gpt2_model_info *info)
{
    int32_t per_call = options->n_batch > 0 ? options->n_batch : ROWS_PER_CALL;
    enum outcome outcome = session_open(options, model, options->n_ctx, per_call, &score->session);

    if (outcome != OUTCOME_DONE)
        return outcome;
    score->n_ctx = gpt2_session_n_ctx(score->session);
    score->n_vocab = info->n_vocab;
    score->stride = options->stride;
    if (score->stride >= score->n_ctx) {
        session_close(score->session);
        return complain(OUTCOME_MISUSED,
                        "--stride is %d, wanted 1 to %d: windows of %d tokens overlap",
                        (int)score->stride, (int)score->n_ctx - 1, (int)score->n_ctx);
    }
    score->start = platform_seconds();
    score->shown = score->start;
    outcome = report(score, score_windows(score, (size_t)per_call), info->eot_token >= 0);
    session_close(score->session);
    return outcome;
}

static enum outcome score(const struct options *options)
{
    struct score score = {0};
    struct bytes text = {NULL, 0};
    gpt2_model_info info;
    gpt2_model *model = NULL;
    enum outcome outcome = input_read(&text, options, options->prompt);

    if (outcome == OUTCOME_DONE)
        outcome = model_open(options, &model, &info);
    if (outcome == OUTCOME_DONE)
        outcome = read_sequence(&score, options, &text, gpt2_model_tokenizer(model), &info);
    free(text.data);
    if (outcome == OUTCOME_DONE)
        outcome = score_sequence(&score, options, model, &info);
    free(score.sequence.data);
    gpt2_model_free(model);
    return outcome;
}

const struct command command_score = {
    .name = "score",
    .summary = "measure how likely a text is: perplexity, bits per byte",
    .synopsis = "[-m DIR] [FILE | -p TEXT] [OPTIONS]",
    .help =
        "Predicts every token of a text from the tokens before it.  Prints one key and its value\n"
        "on each line:\n"
        "\n"
        "  tokens          number of tokens predicted\n"
        "  bytes           number of bytes of these tokens\n"
        "  context         max number of tokens that a prediction is made from\n"
        "  nats            the sum of -ln(probability) over the tokens\n"
        "  nats_per_token  nats / tokens\n"
        "  perplexity      exp(nats / tokens)\n"
        "  bits_per_byte   nats / ln 2 / bytes\n"
        "\n"
        "The text is FILE, TEXT, or standard input if neither is given.  It may hold any bytes.\n"
        "The token <|endoftext|> is put in front of it, so that the first token is predicted too.\n"
        "If the model has no such token, the first token and its bytes are not counted.\n"
        "\n"
        "A text longer than the context is cut into windows.  Each window runs separately, and "
        "its\n"
        "first token is predicted from only the last token of the window before.  With --stride N\n"
        "a window begins N tokens after the one before, and the tokens in both are counted once:\n"
        "every token but those of the first window is predicted from at least context - N tokens.\n"
        "This is the loop of Hugging Face's page on perplexity.  It takes context / N times as "
        "long.\n",
    .examples =
        "  gpt2 score -m models/gpt2 book.txt\n"
        "  gpt2 score -m models/gpt2 --stride 512 book.txt\n"
        "  gpt2 score -p 'It was a bright morning.'\n"
        "  gpt2 score -m models/gpt2 -c 512 book.txt | awk '$1 == \"perplexity\" { print $2 }'\n",
    .option_groups = OPTIONS_COMMON | OPTIONS_TEXT | OPTIONS_CONTEXT | OPTIONS_SCORE,
    .takes_file = 1,
    .run = score,
};
