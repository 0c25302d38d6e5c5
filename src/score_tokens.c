/*
 * score_tokens.c: `gpt2 score --by token`: a row for each token of the text.
 */
#include <math.h>
#include <stdlib.h>

#include "messages.h"
#include "score.h"
#include "scoring.h"
#include "table.h"

struct tokens {
    const struct score *score;
    struct score_text text;
    gpt2_offsets *offsets; /* of the tokens behind the lead */
    int32_t n_likeliest;
    struct table table;
};

static void write_token(struct tokens *tokens, int32_t id)
{
    const char *bytes;
    size_t n_bytes;

    if (gpt2_tokenizer_token_bytes(tokens->score->tokenizer, id, &bytes, &n_bytes) != GPT2_OK)
        n_bytes = 0; /* an id that only the model has */
    table_text(&tokens->table, "text", n_bytes > 0 ? bytes : "", n_bytes);
}

static void write_likeliest(struct tokens *tokens, const gpt2_token_logprob *likeliest)
{
    struct table *table = &tokens->table;

    table_list(table, "top");
    for (int32_t i = 0; i < tokens->n_likeliest; i++) {
        table_item(table);
        table_integer(table, "id", likeliest[i].id);
        write_token(tokens, likeliest[i].id);
        table_amount(table, "surprisal", 0 - (double)likeliest[i].logprob);
    }
    table_list_end(table);
}

/* The same cells for a token that is not scored. */
static void write_no_likeliest(struct tokens *tokens)
{
    struct table *table = &tokens->table;

    table_list(table, "top");
    for (int32_t i = 0; i < tokens->n_likeliest && !table->is_json; i++) {
        table_item(table);
        table_optional(table, "id", false, 0);
        table_text(table, "text", "", 0);
        table_amount(table, "surprisal", NAN);
    }
    table_list_end(table);
}

/* 'score' and 'likeliest' are NULL for a token that is not scored. */
static enum outcome write_row(struct tokens *tokens, int32_t id, const gpt2_offsets *offsets,
                              const gpt2_token_score *score, const gpt2_token_logprob *likeliest)
{
    struct table *table = &tokens->table;

    table_integer(table, "id", id);
    write_token(tokens, id);
    table_integer(table, "first_byte", (int64_t)offsets->first_byte);
    table_integer(table, "end_byte", (int64_t)offsets->end_byte);
    table_integer(table, "first_char", (int64_t)offsets->first_char);
    table_integer(table, "end_char", (int64_t)offsets->end_char);
    table_amount(table, "surprisal", score != NULL ? 0 - score->logprob : NAN);
    table_optional(table, "rank", score != NULL, score != NULL ? score->rank : 0);
    table_amount(table, "entropy", score != NULL ? score->entropy : NAN);
    if (likeliest != NULL)
        write_likeliest(tokens, likeliest);
    else if (tokens->n_likeliest > 0)
        write_no_likeliest(tokens);
    return table_end_row(table);
}

/* The 'take' of struct scoring. */
static enum outcome take(void *user, size_t i, const gpt2_token_score *score,
                         const gpt2_token_logprob *likeliest)
{
    struct tokens *tokens = user;

    return write_row(tokens, score->id, &tokens->offsets[i - tokens->text.n_lead], score,
                     likeliest);
}

static enum outcome run(struct tokens *tokens)
{
    const struct score *score = tokens->score;
    const struct score_text *text = &tokens->text;
    struct scoring scoring = {.ids = text->ids.data,
                              .n_ids = text->ids.count,
                              .first = text->first,
                              .n_likeliest = tokens->n_likeliest,
                              .take = take,
                              .writes_rows = true,
                              .user = tokens};
    gpt2_offsets nowhere = {0};
    enum outcome outcome = OUTCOME_DONE;

    if (table_begin(&tokens->table, score->options->jsonl, score->is_in_bits))
        outcome = write_row(tokens, 0, &nowhere, NULL, NULL);
    if (outcome == OUTCOME_DONE && text->first > text->n_lead)
        outcome = write_row(tokens, text->ids.data[0], &tokens->offsets[0], NULL, NULL);
    return outcome == OUTCOME_DONE ? score_all(score, &scoring) : outcome;
}

enum outcome score_tokens(const struct score *score, const struct bytes *bytes)
{
    struct tokens tokens = {.score = score};
    int32_t n_top = score->options->n_top;
    enum outcome outcome = score_encode(&tokens.text, score, bytes->data, bytes->size, NULL);

    if (n_top > 0)
        tokens.n_likeliest = n_top < score->info.n_vocab ? n_top : score->info.n_vocab;
    if (outcome == OUTCOME_DONE)
        outcome = score_check_length(&tokens.text, NULL);
    if (outcome == OUTCOME_DONE) {
        tokens.offsets = score_offsets(score, &tokens.text, bytes);
        outcome = tokens.offsets != NULL ? run(&tokens) : OUTCOME_FAILED;
    }
    free(tokens.offsets);
    free(tokens.text.ids.data);
    return outcome;
}
