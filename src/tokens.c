/*
 * tokens.c: `gpt2 tokenize` and `gpt2 detokenize`: text to ids and back, byte for byte.
 */
#include <stdlib.h>

#include <gpt2.h>

#include "command.h"
#include "input.h"
#include "messages.h"
#include "options.h"
#include "setup.h"

static enum outcome write_ids(const struct ids *ids)
{
    char buffer[65536];
    size_t n = 0;
    enum outcome outcome = OUTCOME_DONE;

    for (size_t i = 0; i < ids->count && outcome == OUTCOME_DONE; i++) {
        if (i > 0)
            buffer[n++] = ' ';
        n += id_format(ids->data[i], buffer + n);
        if (n + 16 > sizeof buffer) {
            outcome = output_write(buffer, n);
            n = 0;
        }
    }
    if (outcome == OUTCOME_DONE) {
        buffer[n++] = '\n';
        outcome = output_write(buffer, n);
    }
    return outcome;
}

static enum outcome tokenize(const struct options *options)
{
    struct bytes text = {NULL, 0};
    struct ids ids = {NULL, 0};
    gpt2_tokenizer *tokenizer;
    enum outcome outcome = tokenizer_open(options, &tokenizer);

    if (outcome == OUTCOME_DONE)
        outcome = input_read(&text, options, options->prompt);
    if (outcome == OUTCOME_DONE)
        outcome = ids_encode(&ids, tokenizer, text.data, text.size, options->special, NULL);
    if (outcome == OUTCOME_DONE)
        outcome = write_ids(&ids);
    free(ids.data);
    free(text.data);
    gpt2_tokenizer_free(tokenizer);
    return outcome;
}

static enum outcome write_text(const gpt2_tokenizer *tokenizer, const struct ids *ids)
{
    for (size_t i = 0; i < ids->count; i++) {
        const char *bytes;
        size_t n_bytes;
        int32_t status = gpt2_tokenizer_token_bytes(tokenizer, ids->data[i], &bytes, &n_bytes);
        enum outcome outcome;

        if (status != GPT2_OK)
            continue; /* an id that only the model has: no bytes */
        outcome = output_write(bytes, n_bytes);
        if (outcome != OUTCOME_DONE)
            return outcome;
    }
    return OUTCOME_DONE;
}

/*
 * Checks ids against the vocabulary.  A model may have more ids than its tokenizer; these are nothing
 * in a text.  How many it has, only the model knows; it is loaded only for such ids.
 */
static enum outcome check_ids(const struct options *options, const gpt2_tokenizer *tokenizer,
                              const struct ids *ids, const char *origin)
{
    int32_t n_vocab = gpt2_tokenizer_n_vocab(tokenizer), largest = 0;

    for (size_t i = 0; i < ids->count; i++)
        largest = ids->data[i] > largest ? ids->data[i] : largest;
    if (largest >= n_vocab && model_is_present(options)) {
        gpt2_model_info info;
        gpt2_model *model;
        enum outcome outcome = model_open(options, &model, &info);

        if (outcome != OUTCOME_DONE)
            return outcome;
        n_vocab = info.n_vocab > n_vocab ? info.n_vocab : n_vocab;
        gpt2_model_free(model);
    }
    if (largest >= n_vocab)
        return complain(OUTCOME_FAILED, "%s: token %d is outside the vocabulary of %d", origin,
                        (int)largest, (int)n_vocab);
    return OUTCOME_DONE;
}

static enum outcome detokenize(const struct options *options)
{
    struct bytes list = {NULL, 0};
    struct ids ids = {NULL, 0};
    gpt2_tokenizer *tokenizer;
    const char *origin = options->tokens != NULL    ? "--tokens"
                         : options->operand != NULL ? options->operand
                                                    : "standard input";
    enum outcome outcome = tokenizer_open(options, &tokenizer);

    if (outcome == OUTCOME_DONE)
        outcome = input_read(&list, options, options->tokens);
    if (outcome == OUTCOME_DONE)
        outcome = ids_parse(&ids, list.data, list.size, INT32_MAX, origin);
    if (outcome == OUTCOME_DONE)
        outcome = check_ids(options, tokenizer, &ids, origin);
    if (outcome == OUTCOME_DONE)
        outcome = write_text(tokenizer, &ids);
    free(ids.data);
    free(list.data);
    gpt2_tokenizer_free(tokenizer);
    return outcome;
}

const struct command command_tokenize = {
    .name = "tokenize",
    .summary = "turn text into token ids",
    .synopsis = "[-m MODEL] [FILE | -p TEXT] [OPTIONS]",
    .help =
        "Prints the token ids of a text on one line, with one space between two ids.  The text\n"
        "is FILE, TEXT, or standard input if neither is given.  It may hold any bytes.  A "
        "directory\n"
        "needs only vocab.json and merges.txt, or tokenizer.json; weights are not read.\n",
    .examples = "  gpt2 tokenize -p 'Hello.'\n"
                "  gpt2 tokenize -m models/gpt2 book.txt | wc -w\n"
                "  printf 'a<|endoftext|>b' | gpt2 tokenize --special\n",
    .option_groups = OPTIONS_MODEL | OPTIONS_TEXT,
    .operand = OPERAND_FILE,
    .run = tokenize,
};

const struct command command_detokenize = {
    .name = "detokenize",
    .summary = "turn token ids into text",
    .synopsis = "[-m MODEL] [FILE | [--tokens] IDS] [OPTIONS]",
    .help =
        "Writes the bytes of the tokens and adds nothing.  The ids are in FILE, in IDS, or in\n"
        "standard input if neither is given.  White space or commas separate them.  All ids are\n"
        "checked before the first byte is written.  A directory needs only vocab.json and\n"
        "merges.txt, or tokenizer.json; the model there is loaded only if an id is above theirs.\n",
    .examples = "  gpt2 tokenize book.txt | gpt2 detokenize | cmp - book.txt\n"
                "  gpt2 detokenize -m models/gpt2 15496,13\n",
    .option_groups = OPTIONS_MODEL | OPTIONS_TOKENS,
    .operand = OPERAND_IDS,
    .run = detokenize,
};
