/*
 * logprobs.c: log-probabilities of the tokens of a text, in memory and printed.
 */
#include "logprobs.h"

#include <stdbool.h>
#include <stdlib.h>

#include "jsonlines.h"
#include "messages.h"

/* Makes room for one more token. */
static enum outcome grow(struct logprobs *logprobs)
{
    size_t capacity = logprobs->capacity == 0 ? 64 : 2 * logprobs->capacity;
    size_t n_likeliest = capacity * logprobs->n_likeliest;
    void *grown;

    if (logprobs->count < logprobs->capacity)
        return OUTCOME_DONE;
    grown = realloc(logprobs->scores, capacity * sizeof *logprobs->scores);
    if (grown == NULL)
        return complain_memory();
    logprobs->scores = grown;
    grown = realloc(logprobs->likeliest, (n_likeliest + 1) * sizeof *logprobs->likeliest);
    if (grown == NULL)
        return complain_memory();
    logprobs->likeliest = grown;
    logprobs->capacity = capacity;
    return OUTCOME_DONE;
}

enum outcome logprobs_add(struct logprobs *logprobs, gpt2_session *session, const float *logits,
                          int32_t id, size_t n_likeliest)
{
    gpt2_score_params params;
    enum outcome outcome;
    int32_t status;

    logprobs->n_likeliest = n_likeliest;
    outcome = grow(logprobs);
    if (outcome != OUTCOME_DONE)
        return outcome;
    gpt2_score_params_init(&params, sizeof params);
    params.n_likeliest = (int32_t)n_likeliest;
    status = gpt2_score_logits(session, logits, id, &params, &logprobs->scores[logprobs->count],
                               logprobs->likeliest + logprobs->count * n_likeliest);
    if (status != GPT2_OK)
        return complain_status(status, gpt2_session_error(session));
    logprobs->count++;
    return OUTCOME_DONE;
}

void logprobs_free(struct logprobs *logprobs)
{
    free(logprobs->scores);
    free(logprobs->likeliest);
    *logprobs = (struct logprobs){NULL, NULL, 0, 0, 0};
}

/* --------------------------------------------------------------------------------------- names -- */

/* The bytes of a token; none if it has no text. */
static struct bytes bytes_of(const gpt2_tokenizer *tokenizer, int32_t id)
{
    const char *data;
    size_t size;

    if (gpt2_tokenizer_token_bytes(tokenizer, id, &data, &size) != GPT2_OK)
        return (struct bytes){NULL, 0};
    return (struct bytes){(char *)data, size};
}

static bool is_utf8(const struct bytes *bytes)
{
    bool is_whole = true;

    for (size_t at = 0; at < bytes->size && is_whole;)
        at += utf8_length(bytes->data + at, bytes->size - at, &is_whole);
    return is_whole;
}

enum outcome token_write(const gpt2_tokenizer *tokenizer, int32_t id)
{
    enum outcome outcome = OUTCOME_DONE;
    struct bytes bytes;

    if (tokenizer == NULL) {
        output_printf(&outcome, "\"%d\"", (int)id);
        return outcome;
    }
    bytes = bytes_of(tokenizer, id);
    if (bytes.size == 0) {
        output_printf(&outcome, "\"token_id:%d\"", (int)id);
        return outcome;
    }
    if (is_utf8(&bytes))
        return json_write_string(bytes.data, bytes.size);
    output_printf(&outcome, "\"bytes:");
    for (size_t i = 0; i < bytes.size; i++)
        output_printf(&outcome, "\\\\x%02x", (unsigned)(unsigned char)bytes.data[i]);
    output_printf(&outcome, "\"");
    return outcome;
}

/* ---------------------------------------------------------------------------------------- JSON -- */

/* JSON has no infinity: as others do, the program writes this for a probability of 0. */
#define LOGPROB_OF_ZERO (-9999.0f)

static void write_logprob(enum outcome *outcome, const char *before, float logprob)
{
    output_printf(outcome, "%s%.9g", before,
                  (double)(logprob > LOGPROB_OF_ZERO ? logprob : LOGPROB_OF_ZERO));
}

static void write_name(enum outcome *outcome, const char *before, const gpt2_tokenizer *tokenizer,
                       int32_t id)
{
    output_printf(outcome, "%s", before);
    if (*outcome == OUTCOME_DONE)
        *outcome = token_write(tokenizer, id);
}

/* Writes the likeliest tokens in place 'i', and the token itself if it is not one of them. */
static void write_likeliest(enum outcome *outcome, const struct logprobs *logprobs,
                            const gpt2_tokenizer *tokenizer, size_t i)
{
    const gpt2_token_logprob *likeliest = logprobs->likeliest + i * logprobs->n_likeliest;
    const gpt2_token_score *score = &logprobs->scores[i];
    bool has_token = false;

    output_printf(outcome, i == 0 ? "{" : ", {");
    for (size_t k = 0; k < logprobs->n_likeliest; k++) {
        has_token |= likeliest[k].id == score->id;
        write_name(outcome, k == 0 ? "" : ", ", tokenizer, likeliest[k].id);
        write_logprob(outcome, ": ", likeliest[k].logprob);
    }
    if (!has_token) {
        write_name(outcome, logprobs->n_likeliest > 0 ? ", " : "", tokenizer, score->id);
        write_logprob(outcome, ": ", (float)score->logprob);
    }
    output_printf(outcome, "}");
}

/*
 * Writes where each token begins in "text", in characters of that JSON string.  A token that begins
 * inside of a character has the place of the character.
 */
static void write_offsets(enum outcome *outcome, const struct logprobs *logprobs,
                          const gpt2_tokenizer *tokenizer, const struct bytes *bytes)
{
    size_t at = 0;               /* of the token, in bytes */
    size_t n_chars = 0, end = 0; /* that end before it, and where the last one does */
    char id[16];

    for (size_t i = 0; i < logprobs->count; i++) {
        while (tokenizer != NULL && end < bytes->size) {
            bool is_whole;
            size_t length = utf8_length(bytes->data + end, bytes->size - end, &is_whole);

            if (end + length > at)
                break;
            end += length;
            n_chars++;
        }
        output_printf(outcome, "%s%zu", i == 0 ? "" : ", ", tokenizer != NULL ? n_chars : at);
        at += tokenizer != NULL ? bytes_of(tokenizer, logprobs->scores[i].id).size
                                : id_format(logprobs->scores[i].id, id) + 1;
    }
}

enum outcome logprobs_write_json(const struct logprobs *logprobs, const gpt2_tokenizer *tokenizer,
                                 const struct bytes *bytes)
{
    enum outcome outcome = OUTCOME_DONE;

    output_printf(&outcome, "{\"tokens\": [");
    for (size_t i = 0; i < logprobs->count; i++)
        write_name(&outcome, i == 0 ? "" : ", ", tokenizer, logprobs->scores[i].id);
    output_printf(&outcome, "], \"token_logprobs\": [");
    for (size_t i = 0; i < logprobs->count; i++)
        write_logprob(&outcome, i == 0 ? "" : ", ", (float)logprobs->scores[i].logprob);
    output_printf(&outcome, "], \"top_logprobs\": [");
    for (size_t i = 0; i < logprobs->count; i++)
        write_likeliest(&outcome, logprobs, tokenizer, i);
    output_printf(&outcome, "], \"text_offset\": [");
    write_offsets(&outcome, logprobs, tokenizer, bytes);
    output_printf(&outcome, "]}");
    return outcome;
}

/* --------------------------------------------------------------------------------------- table -- */

enum outcome logprobs_write_table(const struct logprobs *logprobs, const gpt2_tokenizer *tokenizer,
                                  size_t first)
{
    enum outcome outcome = OUTCOME_DONE;

    for (size_t i = first; i < logprobs->count; i++) {
        const gpt2_token_logprob *likeliest = logprobs->likeliest + i * logprobs->n_likeliest;
        const gpt2_token_score *score = &logprobs->scores[i];

        if (i == 0)
            output_printf(&outcome, "     id    logprob    rank  token%s\n",
                          logprobs->n_likeliest > 0 ? "  likeliest" : "");
        output_printf(&outcome, "%7d %10.4f %7d", (int)score->id, score->logprob, (int)score->rank);
        write_name(&outcome, "  ", tokenizer, score->id);
        for (size_t k = 0; k < logprobs->n_likeliest; k++) {
            write_name(&outcome, "  ", tokenizer, likeliest[k].id);
            output_printf(&outcome, " %.4f", (double)likeliest[k].logprob);
        }
        output_printf(&outcome, "\n");
    }
    return outcome;
}
