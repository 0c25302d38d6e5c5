/*
 * score.c: `gpt2 score`: the probability that a model gives to a text.
 *
 * The command and its options.  score_*.c are the ways of scoring.
 */
#include "score.h"

#include <stdlib.h>
#include <string.h>

#include "messages.h"
#include "setup.h"

/* Checks which options fit together. */
static enum outcome check(const struct options *options)
{
    bool is_file = options->pairs != NULL || options->choices != NULL;
    const struct {
        bool is_wrong;
        const char *words;
    } rules[] = {
        {(options->by != BY_NOTHING) + is_file + (options->html != NULL) > 1,
         "give one of --by, --pairs, --choices and --html"},
        {options->html != NULL && (options->html[0] == '\0' || strcmp(options->html, "-") == 0),
         "--html needs the name of a file"},
        {options->jsonl && options->by == BY_NOTHING && !is_file,
         "--jsonl needs --by, --pairs or --choices"},
        {options->base != 0 && options->by == BY_NOTHING && !is_file,
         "--base needs --by, --pairs or --choices"},
        {options->n_top >= 0 && options->by != BY_TOKEN && options->html == NULL,
         "--top needs --by token or --html"},
        {options->word_correction && options->by != BY_WORD, "--word-correction needs --by word"},
        {options->choices != NULL && options->stride > 0, "--choices takes no --stride"},
        {options->choices != NULL && options->prefix != NULL,
         "--choices takes no --prefix: write it into the context"},
        {options->choices != NULL && options->no_bos,
         "--choices takes no --no-bos: <|endoftext|> stands for an empty context only"},
    };

    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].is_wrong)
            return complain(OUTCOME_MISUSED, "%s", rules[i].words);
    }
    return OUTCOME_DONE;
}

static enum outcome run(const struct score *score, const struct bytes *bytes)
{
    const struct options *options = score->options;

    if (options->pairs != NULL)
        return score_pairs(score, bytes);
    if (options->choices != NULL)
        return score_choices(score, bytes);
    if (options->html != NULL)
        return score_html(score, bytes);
    switch (options->by) {
    case BY_TOKEN:
        return score_tokens(score, bytes);
    case BY_WORD:
        return score_words(score, bytes);
    case BY_LINE:
        return score_lines(score, bytes);
    default:
        return score_perplexity(score, bytes);
    }
}

static enum outcome score(const struct options *options)
{
    struct score score = {0};
    struct bytes bytes = {NULL, 0};
    enum outcome outcome = check(options);

    if (outcome != OUTCOME_DONE)
        return outcome;
    if (options->pairs != NULL || options->choices != NULL)
        outcome = bytes_read(&bytes, options->pairs != NULL ? options->pairs : options->choices);
    else
        outcome = input_read(&bytes, options, options->prompt);
    if (outcome == OUTCOME_DONE)
        outcome = score_open(&score, options);
    if (outcome == OUTCOME_DONE)
        outcome = run(&score, &bytes);
    free(bytes.data);
    score_close(&score);
    return outcome;
}

const struct command command_score = {
    .name = "score",
    .summary = "measure how likely a text is: perplexity, surprisal of tokens and words",
    .synopsis = "[-m MODEL] [FILE | -p TEXT | --pairs FILE | --choices FILE] [OPTIONS]",
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
        "If the model has no such token, or with --no-bos, the first token and its bytes are not\n"
        "counted.  --prefix TEXT puts more tokens in front; they are not counted either.\n"
        "\n"
        "A text longer than the context is cut into windows.  Each window runs separately, and "
        "its\n"
        "first token is predicted from only the last token of the window before.  With --stride N\n"
        "a window begins N tokens after the one before, and the tokens in both are counted once:\n"
        "every token but those of the first window is predicted from at least context - N tokens.\n"
        "This is the loop of Hugging Face's page on perplexity.  It takes context / N times as "
        "long.\n"
        "\n"
        "Tables have a line of names and tabs between the columns, or with --jsonl an object a\n"
        "line.  Surprisal is -log(probability), in bits; with --base e in nats.\n"
        "\n"
        "  --by token  id, text, place in bytes and characters, surprisal, rank (1: no token has "
        "a\n"
        "              larger logit), entropy of the prediction, the --top N likeliest tokens\n"
        "  --by word   text, place, number of tokens, surprisal.  A word ends before white space.\n"
        "              Its surprisal includes that of the white space in front of it\n"
        "  --by line   each line is a text of its own: bytes, tokens, surprisal, mean of a token\n"
        "  --pairs     each line is two texts: which is likelier, 1 or 2 (0: neither), and the\n"
        "              log-probability of both\n"
        "  --choices   each line is a context and what may follow it.  A row for each "
        "continuation:\n"
        "              is it the likeliest, is each of its tokens of rank 1 (greedy), the number "
        "of\n"
        "              its tokens, its log-probability.  <|endoftext|> stands in front only if "
        "the\n"
        "              context is empty, and white space at the end of the context counts to the\n"
        "              continuation, as in lm-evaluation-harness\n"
        "\n"
        "In a text a backslash begins an escape: \\t, \\n, \\r, \\\\, or \\xHH for a byte that is "
        "not\n"
        "UTF-8 or a control character.  A token that is not scored has empty cells (null in "
        "JSON).\n",
    .examples =
        "  gpt2 score -m models/gpt2 book.txt\n"
        "  gpt2 score -m models/gpt2 --stride 512 book.txt\n"
        "  gpt2 score -p 'It was a bright morning.'\n"
        "  gpt2 score -m models/gpt2 -c 512 book.txt | awk '$1 == \"perplexity\" { print $2 }'\n"
        "  gpt2 score -p 'The old man was asleep.' --by token --top 3\n"
        "  gpt2 score -p 'The old man was asleep.' --by word --word-correction\n"
        "  gpt2 score --by line --jsonl sentences.txt > surprisals.jsonl\n"
        "  gpt2 score -p ' sat on the mat.' --prefix 'The cat' --by word\n"
        "  printf 'The keys are here.\\tThe keys is here.\\n' | gpt2 score --pairs -\n"
        "  printf 'It was a great\\t pity.\\t city.\\n' | gpt2 score --choices -\n"
        "  gpt2 score --html page.html book.txt\n",
    .option_groups = OPTIONS_COMMON | OPTIONS_TEXT | OPTIONS_CONTEXT | OPTIONS_SCORE,
    .operand = OPERAND_FILE,
    .run = score,
};
