/*
 * score_words.c: `gpt2 score --by word`: a row for each word of the text.
 *
 * A word begins at a token whose first byte is white space, and which is not behind white space
 * alone.  So a word has the white space in front of it.  <|endoftext|> is a word by itself.
 *
 * A model gives the token " cat" the probability that the word before ends here and that "cat" is next.
 * The correction counts the end of a word to that word.  With B the tokens that begin with white space,
 * and <|endoftext|>, which end the word before:
 *
 *     p(word | before) = p(its tokens | before) P(B | before, its tokens) / P(B | before)
 *
 * This is theorem 2 of Pimentel & Meister 2024, and the decoding of Oh & Schuler 2024.  The first word
 * of a text has no white space in front of it.  Its divisor is the probability of all tokens that do not
 * begin with white space.
 */
#include <math.h>
#include <stdlib.h>

#include "messages.h"
#include "score.h"
#include "scoring.h"
#include "table.h"

struct words {
    const struct score *score;
    const struct bytes *bytes;
    struct score_text text; /* with one more token at its end if words are corrected */
    size_t n_ids;           /* of the text and its lead, without that token */
    gpt2_offsets *offsets;  /* of the tokens behind the lead */
    uint8_t *begins_word;   /* class B */
    uint8_t *begins_text;   /* the class of tokens that do not begin with white space */
    struct table table;
    size_t first; /* the first token of the word that is being read */
    double nats;  /* of its tokens so far; NAN: one of them is not scored */
    double begin; /* ln of the probability of the class that it began with */
};

static const gpt2_offsets *offsets_of(const struct words *words, size_t i)
{
    return &words->offsets[i - words->text.n_lead];
}

static bool is_eot(const struct words *words, size_t i)
{
    return words->text.ids.data[i] == words->score->info.eot_token;
}

/* True if token i begins with white space.  Its bytes are in the text. */
static bool is_spaced(const struct words *words, size_t i)
{
    return score_is_space(words->bytes->data[offsets_of(words, i)->first_byte]) &&
           !is_eot(words, i);
}

static bool begins_word(const struct words *words, size_t i)
{
    size_t first_byte = offsets_of(words, i)->first_byte;

    if (i == words->text.n_lead || is_eot(words, i) || is_eot(words, i - 1))
        return true;
    return is_spaced(words, i) && !score_is_space(words->bytes->data[first_byte - 1]);
}

/* True if token i is at the beginning of a text, and does not begin with white space. */
static bool begins_text(const struct words *words, size_t i)
{
    return i < words->n_ids && i > 0 && is_eot(words, i - 1) && !is_spaced(words, i);
}

/* The 'class_of' of struct scoring. */
static const uint8_t *class_of(void *user, size_t i)
{
    const struct words *words = user;

    return begins_text(words, i) ? words->begins_text : words->begins_word;
}

/* The row of the word that ends before token 'end'; 'after' is the ln P(B) behind it. */
static enum outcome write_row(struct words *words, size_t end, double after)
{
    struct table *table = &words->table;
    const char *data = words->bytes->data;
    size_t begin_byte = 0, end_byte = 0, first_char = 0, end_char = 0;

    if (!table->is_head) {
        begin_byte = offsets_of(words, words->first)->first_byte;
        first_char = offsets_of(words, words->first)->first_char;
        end_byte = offsets_of(words, end - 1)->end_byte;
        end_char = offsets_of(words, end - 1)->end_char;
        while (begin_byte < end_byte && score_is_space(data[begin_byte])) {
            begin_byte++;
            first_char++;
        }
    }
    table_text(table, "text", data + begin_byte, end_byte - begin_byte);
    table_integer(table, "first_byte", (int64_t)begin_byte);
    table_integer(table, "end_byte", (int64_t)end_byte);
    table_integer(table, "first_char", (int64_t)first_char);
    table_integer(table, "end_char", (int64_t)end_char);
    table_integer(table, "tokens", (int64_t)(end - words->first));
    table_amount(table, "surprisal", words->nats);
    if (words->score->options->word_correction)
        table_amount(table, "corrected_surprisal", words->nats + words->begin - after);
    return table_end_row(table);
}

/* The 'take' of struct scoring. */
static enum outcome take(void *user, size_t i, const gpt2_token_score *score,
                         const gpt2_token_logprob *likeliest)
{
    struct words *words = user;
    bool is_end = i == words->n_ids;

    (void)likeliest;
    if (is_end || begins_word(words, i)) {
        double ln_class = log(score->class_prob);
        enum outcome outcome = OUTCOME_DONE;

        /* <|endoftext|> has ended itself, and the word behind --prefix may have begun there */
        if (i > words->text.n_lead)
            outcome = write_row(words, i, is_eot(words, i - 1) ? 0 : ln_class);
        if (is_end || outcome != OUTCOME_DONE)
            return outcome;
        words->first = i;
        words->nats = 0;
        words->begin =
            is_spaced(words, i) || is_eot(words, i) || begins_text(words, i) ? ln_class : 0;
    }
    words->nats -= score->logprob;
    return OUTCOME_DONE;
}

/* The classes of tokens.  The mask of one has a bit for each token. */
static enum outcome make_classes(struct words *words)
{
    const struct score *score = words->score;
    size_t n_bytes = ((size_t)score->info.n_vocab + 7) / 8;

    words->begins_word = calloc(n_bytes, 1);
    words->begins_text = calloc(n_bytes, 1);
    if (words->begins_word == NULL || words->begins_text == NULL)
        return complain_memory();
    for (int32_t id = 0; id < score->info.n_vocab; id++) {
        uint8_t bit = (uint8_t)(1u << id % 8);
        const char *token;
        size_t n_token;

        if (gpt2_tokenizer_token_bytes(score->tokenizer, id, &token, &n_token) != GPT2_OK ||
            n_token == 0)
            continue; /* an id that only the model has is no part of a text */
        if (id == score->info.eot_token || score_is_space(token[0]))
            words->begins_word[id / 8] |= bit;
        if (!score_is_space(token[0]))
            words->begins_text[id / 8] |= bit;
    }
    return OUTCOME_DONE;
}

/* Any token behind the text: what it is predicted from gives the end of the last word. */
static enum outcome append_any(struct words *words)
{
    struct ids *ids = &words->text.ids;
    int32_t *data = realloc(ids->data, (ids->count + 1) * sizeof *data);

    if (data == NULL)
        return complain_memory();
    data[ids->count] = 0;
    ids->data = data;
    ids->count++;
    return OUTCOME_DONE;
}

static enum outcome run(struct words *words)
{
    const struct score *score = words->score;
    bool is_corrected = score->options->word_correction;
    struct scoring scoring = {.ids = words->text.ids.data,
                              .n_ids = words->text.ids.count,
                              .first = words->text.first,
                              .class_of = is_corrected ? class_of : NULL,
                              .take = take,
                              .writes_rows = true,
                              .user = words};
    enum outcome outcome = OUTCOME_DONE;

    words->first = words->text.n_lead;
    if (table_begin(&words->table, score->options->jsonl, score->is_in_bits))
        outcome = write_row(words, words->first, 0);
    words->nats = words->text.first > words->text.n_lead ? NAN : 0;
    if (outcome == OUTCOME_DONE)
        outcome = score_all(score, &scoring);
    if (outcome == OUTCOME_DONE && !is_corrected)
        outcome = write_row(words, words->n_ids, 0);
    return outcome;
}

enum outcome score_words(const struct score *score, const struct bytes *bytes)
{
    struct words words = {.score = score, .bytes = bytes};
    enum outcome outcome = score_encode(&words.text, score, bytes->data, bytes->size, NULL);

    words.n_ids = words.text.ids.count;
    if (outcome == OUTCOME_DONE)
        outcome = score_check_length(&words.text, NULL);
    if (outcome == OUTCOME_DONE) {
        words.offsets = score_offsets(score, &words.text, bytes);
        outcome = words.offsets != NULL ? OUTCOME_DONE : OUTCOME_FAILED;
    }
    if (outcome == OUTCOME_DONE && score->options->word_correction)
        outcome = make_classes(&words);
    if (outcome == OUTCOME_DONE && score->options->word_correction)
        outcome = append_any(&words);
    if (outcome == OUTCOME_DONE)
        outcome = run(&words);
    free(words.begins_word);
    free(words.begins_text);
    free(words.offsets);
    free(words.text.ids.data);
    return outcome;
}
