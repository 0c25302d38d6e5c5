/*
 * score_text.c: the model of `gpt2 score`, and a text as tokens: what stands in front of it, where its
 * tokens are.
 */
#include "score.h"

#include <stdlib.h>
#include <string.h>

#include "messages.h"
#include "scoring.h"
#include "setup.h"

/* Puts other ids in front of these. */
static enum outcome prepend(struct ids *ids, const int32_t *front, size_t n_front)
{
    int32_t *data;

    if (n_front == 0)
        return OUTCOME_DONE;
    data = realloc(ids->data, (ids->count + n_front) * sizeof *data);
    if (data == NULL)
        return complain_memory();
    memmove(data + n_front, data, ids->count * sizeof *data);
    memcpy(data, front, n_front * sizeof *data);
    ids->data = data;
    ids->count += n_front;
    return OUTCOME_DONE;
}

static const char *colon(const char *origin)
{
    return origin != NULL ? ": " : "";
}

static enum outcome check_ids(const struct score *score, const struct ids *ids, const char *origin)
{
    for (size_t i = 0; i < ids->count; i++) {
        if (ids->data[i] >= score->info.n_vocab)
            return complain(OUTCOME_FAILED,
                            "%s%stoken %d of the text is outside the model's vocabulary of %d",
                            origin != NULL ? origin : "", colon(origin), (int)ids->data[i],
                            (int)score->info.n_vocab);
    }
    return OUTCOME_DONE;
}

/* The tokens that stand in front of each text. */
static enum outcome make_lead(struct score *score)
{
    const struct options *options = score->options;
    int32_t begin = begin_token(score->model, &score->info);
    const char *prefix = options->prefix != NULL ? options->prefix : "";
    int32_t size = windows_size(score->n_ctx, options->stride);
    enum outcome outcome = ids_encode(&score->lead, score->tokenizer, prefix, strlen(prefix),
                                      options->special, "--prefix");

    if (outcome == OUTCOME_DONE)
        outcome = check_ids(score, &score->lead, "--prefix");
    if (outcome == OUTCOME_DONE && !options->no_bos && begin >= 0)
        outcome = prepend(&score->lead, &begin, 1);
    if (outcome == OUTCOME_DONE && score->lead.count > (size_t)size)
        return complain(OUTCOME_FAILED,
                        "%zu tokens stand in front of the text, wanted at most %d in a window",
                        score->lead.count, (int)size);
    return outcome;
}

enum outcome score_open(struct score *score, const struct options *options)
{
    enum outcome outcome;

    *score = (struct score){.options = options};
    outcome = model_open(options, &score->model, &score->info);
    if (outcome != OUTCOME_DONE)
        return outcome;
    score->tokenizer = gpt2_model_tokenizer(score->model);
    if (score->tokenizer == NULL)
        return complain_no_tokenizer(options, ", so it cannot score a text");
    score->n_ctx = score->info.n_positions;
    if (options->n_ctx > 0 && options->n_ctx < score->n_ctx)
        score->n_ctx = options->n_ctx;
    if (options->stride > 0 && score->n_ctx == 1)
        return complain(OUTCOME_MISUSED,
                        "the context is 1 token, --stride needs 2 or more: windows "
                        "of one token cannot overlap");
    if (options->stride >= score->n_ctx)
        return complain(OUTCOME_MISUSED,
                        "--stride is %d, wanted 1 to %d: windows of %d tokens overlap",
                        (int)options->stride, (int)score->n_ctx - 1, (int)score->n_ctx);
    score->per_call = options->n_batch > 0 ? (size_t)options->n_batch : SCORING_ROWS;
    if (score->per_call > (size_t)score->n_ctx) /* a window has no more */
        score->per_call = (size_t)score->n_ctx;
    if (options->base == 0)
        score->is_in_bits = options->pairs == NULL && options->choices == NULL;
    else
        score->is_in_bits = options->base == 2;
    return make_lead(score);
}

void score_close(struct score *score)
{
    free(score->lead.data);
    gpt2_model_free(score->model);
}

enum outcome score_encode(struct score_text *text, const struct score *score, const char *bytes,
                          size_t n_bytes, const char *origin)
{
    enum outcome outcome =
        ids_encode(&text->ids, score->tokenizer, bytes, n_bytes, score->options->special, origin);

    if (outcome == OUTCOME_DONE)
        outcome = check_ids(score, &text->ids, origin);
    if (outcome == OUTCOME_DONE)
        outcome = prepend(&text->ids, score->lead.data, score->lead.count);
    text->n_lead = score->lead.count;
    text->first = text->n_lead > 0 ? text->n_lead : 1;
    return outcome;
}

enum outcome score_check_length(const struct score_text *text, const char *origin)
{
    if (text->ids.count > text->first)
        return OUTCOME_DONE;
    if (text->ids.count == text->n_lead)
        return complain(OUTCOME_FAILED, "%s%sthe text is empty: nothing to score",
                        origin != NULL ? origin : "", colon(origin));
    return complain(OUTCOME_FAILED,
                    "%s%sthe text is one token, and no <|endoftext|> is in front of it to predict "
                    "it from: nothing to score",
                    origin != NULL ? origin : "", colon(origin));
}

enum outcome score_all(const struct score *score, struct scoring *scoring)
{
    enum outcome outcome =
        session_open_scoring(score->options, score->model, score->n_ctx, 1, &scoring->session);

    scoring->stride = score->options->stride;
    scoring->per_call = score->per_call;
    if (outcome == OUTCOME_DONE)
        outcome = scoring_run(scoring);
    session_close(scoring->session);
    return outcome;
}

gpt2_offsets *score_offsets(const struct score *score, const struct score_text *text,
                            const struct bytes *bytes)
{
    size_t n = text->ids.count - text->n_lead;
    gpt2_offsets *offsets = n <= SIZE_MAX / sizeof *offsets ? malloc(n * sizeof *offsets) : NULL;
    int32_t status;

    if (offsets == NULL) {
        complain_memory();
        return NULL;
    }
    status = gpt2_token_offsets(score->tokenizer, text->ids.data + text->n_lead, n, offsets);
    if (status == GPT2_OK && (n == 0 || offsets[n - 1].end_byte == bytes->size))
        return offsets;
    if (status == GPT2_OK) /* an added token took white space, or a space was put in front */
        complain(OUTCOME_FAILED,
                 "the tokens have %zu bytes and the text %zu: their places in it "
                 "are not known",
                 offsets[n - 1].end_byte, bytes->size);
    else
        complain_status(status, NULL);
    free(offsets);
    return NULL;
}

bool score_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}
