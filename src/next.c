/*
 * next.c: `gpt2 next`: the likeliest next tokens of a text.
 */
#include <math.h>
#include <stdlib.h>

#include <gpt2.h>

#include "command.h"
#include "logprobs.h"
#include "messages.h"
#include "options.h"
#include "sampling.h"
#include "setup.h"

struct likeliest {
    gpt2_candidate *data;
    size_t count;
    size_t n_kept; /* all that the filters keep */
};

/* Finds what a draw after these tokens is made from. */
static enum outcome find_likeliest(struct likeliest *likeliest, const struct options *options,
                                   gpt2_session *session, const struct ids *ids)
{
    gpt2_sample_params sampling;
    const float *logits;
    float mu;
    int32_t status = gpt2_session_logits(session, GPT2_LAST_ROW, &logits);

    sampling_init(&sampling, options);
    mu = 2.0f * sampling.mirostat_tau;
    sampling.mirostat_mu = &mu;
    if (!options->ignore_prompt) {
        sampling.history = ids->data;
        sampling.n_history = ids->count;
    }
    sampling.position = (int64_t)ids->count;
    if (status == GPT2_OK)
        status = gpt2_sample_candidates(session, logits, &sampling, likeliest->data,
                                        likeliest->count, &likeliest->n_kept);
    if (status != GPT2_OK)
        return session_complain(session, status);
    if (likeliest->n_kept < likeliest->count)
        likeliest->count = likeliest->n_kept;
    while (likeliest->count > 0 && !(likeliest->data[likeliest->count - 1].probability > 0.0f))
        likeliest->count--; /* banned, or next to it */
    return OUTCOME_DONE;
}

/* Prints a line for each token; without a tokenizer a token is its id. */
static enum outcome print_likeliest(const struct likeliest *likeliest,
                                    const struct options *options, const gpt2_tokenizer *tokenizer)
{
    enum outcome outcome = OUTCOME_DONE;

    if (!options->jsonl)
        output_printf(&outcome, "   rank  probability    logprob      id  token\n");
    for (size_t i = 0; i < likeliest->count && outcome == OUTCOME_DONE; i++) {
        const gpt2_candidate *token = &likeliest->data[i];
        double probability = (double)token->probability;

        output_printf(&outcome,
                      options->jsonl ? "{\"rank\": %zu, \"probability\": %.9g, \"logprob\": %.9g, "
                                       "\"id\": %d, \"token\": "
                                     : "%7zu  %11.6f %10.4f %7d  ",
                      i + 1, probability, log(probability), (int)token->id);
        if (outcome == OUTCOME_DONE)
            outcome = token_write(tokenizer, token->id);
        output_printf(&outcome, options->jsonl ? "}\n" : "\n");
    }
    return outcome;
}

/* Runs the text, or <|endoftext|> if it is empty. */
static enum outcome show_next(const struct options *options, const gpt2_model *model,
                              const gpt2_model_info *info, const struct prompt *prompt)
{
    int32_t begin = begin_token(model, info);
    struct ids ids = prompt->ids.count > 0 ? prompt->ids : (struct ids){&begin, 1};
    size_t count =
        (size_t)(options->n_likeliest < info->n_vocab ? options->n_likeliest : info->n_vocab);
    struct likeliest likeliest = {malloc(count * sizeof *likeliest.data), count, 0};
    gpt2_session *session = NULL;
    enum outcome outcome;

    if (likeliest.data == NULL)
        return complain_memory();
    outcome = session_open(options, model, options->n_ctx, 1, &session);
    if (outcome == OUTCOME_DONE)
        outcome = session_feed(options, session, &ids, false);
    if (outcome == OUTCOME_DONE)
        outcome = find_likeliest(&likeliest, options, session, &ids);
    if (outcome == OUTCOME_DONE)
        outcome = print_likeliest(&likeliest, options,
                                  prompt->is_in_ids ? NULL : gpt2_model_tokenizer(model));
    if (outcome == OUTCOME_DONE)
        note("%zu of %d tokens are kept", likeliest.n_kept, (int)info->n_vocab);
    session_close(session);
    free(likeliest.data);
    return outcome;
}

static enum outcome next(const struct options *options)
{
    struct prompt prompt = {0};
    gpt2_model_info info;
    gpt2_model *model = NULL;
    enum outcome outcome = model_open(options, &model, &info);

    if (outcome == OUTCOME_DONE)
        outcome = sampling_check(options, &info);
    if (outcome == OUTCOME_DONE)
        outcome = prompt_read(&prompt, options, model, &info);
    if (outcome == OUTCOME_DONE)
        outcome = prompt_check_length(options, &info, prompt.ids.count, NULL);
    if (outcome == OUTCOME_DONE && prompt.ids.count == 0 && begin_token(model, &info) < 0)
        outcome = complain(OUTCOME_FAILED,
                           "the text is empty, and the model has no <|endoftext|> to begin with");
    if (outcome == OUTCOME_DONE)
        outcome = show_next(options, model, &info, &prompt);
    prompt_free(&prompt);
    gpt2_model_free(model);
    return outcome;
}

const struct command command_next = {
    .name = "next",
    .summary = "show the likeliest next tokens of a text",
    .synopsis = "[-m MODEL] [[-p] TEXT | -f FILE | --tokens IDS] [OPTIONS]",
    .help =
        "Prints a line for each of the -n likeliest next tokens: its rank, its probability, the\n"
        "natural logarithm of that, its id, and its text as a JSON string.  A token that is only "
        "a\n"
        "part of a character is written as its bytes, \"bytes:\\xe2\\x80\".  With --tokens, or if "
        "the\n"
        "model has no tokenizer, there are only ids.  After an empty text come the tokens that\n"
        "begin one, after <|endoftext|>.\n"
        "\n"
        "Without options of sampling these are the probabilities of the model itself.  With them\n"
        "they are those that `gpt2 generate` draws the next token with: tokens that the filters\n"
        "leave out are not shown, and the others share the whole probability.\n"
        "\n"
        "With --jsonl each token is one line of output:\n"
        "  {\"rank\": 1, \"probability\": 0.25, \"logprob\": -1.38629436, \"id\": 257, \"token\": "
        "\" a\"}\n",
    .examples = "  gpt2 next -p 'The capital of France is'\n"
                "  gpt2 next -m models/gpt2 -p 'The capital of France is' -n 50 --jsonl\n"
                "  gpt2 next -p 'Once upon a time' --temp 0.8 --top-k 40 --top-p 0.95\n",
    .option_groups = OPTIONS_COMMON | OPTIONS_TEXT | OPTIONS_TOKENS | OPTIONS_CONTEXT |
                     OPTIONS_SAMPLING | OPTIONS_NEXT,
    .operand = OPERAND_PROMPT,
    .run = next,
};
