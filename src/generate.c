/*
 * generate.c: `gpt2 generate`: continues a prompt.
 *
 * One loop: choose a token from the last row of logits, print it, run it.  If two tokens share the
 * bytes of a character, the character is printed when both are there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <gpt2.h>

#include "command.h"
#include "messages.h"
#include "options.h"
#include "parallel.h"
#include "platform.h"
#include "setup.h"

/* Prints tokens: as text, or as ids with single spaces between. */
struct printer {
    const gpt2_tokenizer *tokenizer;
    bool is_in_ids;
    bool has_ids; /* an id has been printed */
    gpt2_decode_state state;
    char *text; /* buffer for one token, grown as needed */
    size_t capacity;
};

static enum outcome print_bytes(const char *bytes, size_t n_bytes)
{
    enum outcome outcome = output_write(bytes, n_bytes);

    return outcome == OUTCOME_DONE ? output_flush() : outcome;
}

/* Prints the text of these tokens; whole characters only, if 'flags' say that more tokens follow. */
static enum outcome print_decoded(struct printer *printer, const int32_t *ids, size_t n_ids,
                                  uint32_t flags)
{
    char detail[GPT2_ERRBUF_BYTES];
    size_t n_bytes;
    int32_t status;

    while ((status = gpt2_decode_part(printer->tokenizer, &printer->state, ids, n_ids, flags,
                                      printer->text, printer->capacity, &n_bytes, detail,
                                      sizeof detail)) == GPT2_ERR_BUFFER) {
        char *text = realloc(printer->text, n_bytes);

        if (text == NULL)
            return complain(OUTCOME_FAILED, "no memory for a token of %zu bytes", n_bytes);
        printer->text = text;
        printer->capacity = n_bytes;
    }
    return status == GPT2_OK ? print_bytes(printer->text, n_bytes)
                             : complain_status(status, detail);
}

static enum outcome print_id(struct printer *printer, int32_t id)
{
    char text[16] = " ";
    size_t n = 1 + id_format(id, text + 1);
    size_t skip = printer->has_ids ? 0 : 1;
    enum outcome outcome = output_write(text + skip, n - skip);

    printer->has_ids = true;
    return outcome == OUTCOME_DONE ? output_flush() : outcome;
}

static enum outcome print_token(struct printer *printer, int32_t id)
{
    if (printer->is_in_ids)
        return print_id(printer, id);
    return print_decoded(printer, &id, 1, GPT2_DECODE_MORE);
}

static enum outcome print_prompt(struct printer *printer, const struct prompt *prompt)
{
    enum outcome outcome = OUTCOME_DONE;

    if (!printer->is_in_ids)
        return print_bytes(prompt->text.data, prompt->text.size);
    for (size_t i = 0; i < prompt->ids.count && outcome == OUTCOME_DONE; i++)
        outcome = print_id(printer, prompt->ids.data[i]);
    return outcome;
}

/* Prints the bytes that were held back, and the newline that ends the output. */
static enum outcome print_end(struct printer *printer)
{
    enum outcome outcome = OUTCOME_DONE;

    if (!printer->is_in_ids)
        outcome = print_decoded(printer, NULL, 0, 0);
    return outcome == OUTCOME_DONE ? print_bytes("\n", 1) : outcome;
}

struct run {
    const struct options *options;
    gpt2_session *session;
    gpt2_sample_params sampling;
    int32_t eot_token;
    int32_t n_generated;
    bool context_is_full;
};

/* A gpt2_tap_callback for the logits. */
static int32_t make_logits_equal(void *user, const gpt2_tap *tap)
{
    (void)user;
    for (int32_t i = 0; i < tap->n_columns; i++)
        tap->data[i] = 1.0f;
    return 0;
}

/*
 * Chooses the first token of a text that begins with nothing: every token is equally likely.  The
 * library samples from the logits of a token, so we run one, set its logits to 1, sample, and then
 * reset the session: the text is empty again.
 */
static int32_t choose_first(struct run *run, int32_t *id)
{
    gpt2_sample_params sampling = run->sampling;
    const int32_t any_token = 0;
    int32_t status =
        gpt2_session_set_tap(run->session, make_logits_equal, NULL, GPT2_TAP_BIT(GPT2_TAP_LOGITS));

    if (status == GPT2_OK)
        status = gpt2_forward(run->session, &any_token, 1, 1);
    sampling.position = 0; /* the token that is chosen is the first of the text */
    if (status == GPT2_OK)
        status = gpt2_sample(run->session, GPT2_LAST_ROW, &sampling, id);
    if (status != GPT2_OK)
        return status;
    gpt2_session_reset(run->session);
    if (platform_was_interrupted()) /* the reset has taken the cancel back */
        return GPT2_ERR_CANCELLED;
    return gpt2_session_set_tap(run->session, NULL, NULL, 0);
}

/* Chooses the next token from the last row of logits, or from nothing if nothing has been run. */
static int32_t choose(struct run *run, int32_t *id)
{
    if (gpt2_session_position(run->session) == 0)
        return choose_first(run, id);
    return gpt2_sample(run->session, GPT2_LAST_ROW, &run->sampling, id);
}

/* Runs the prompt; an empty one is <|endoftext|>, or nothing. */
static enum outcome run_prompt(struct run *run, const struct prompt *prompt)
{
    struct ids eot = {.data = &run->eot_token, .count = 1};
    bool is_uniform = run->options->empty_prompt == EMPTY_UNIFORM || run->eot_token < 0;

    if (prompt->ids.count > 0)
        return session_feed(run->options, run->session, &prompt->ids, false);
    return is_uniform ? OUTCOME_DONE : session_feed(run->options, run->session, &eot, false);
}

/* Generates after the prompt has been run. */
static enum outcome continue_text(struct run *run, struct printer *printer)
{
    const struct options *options = run->options;

    for (;;) {
        int32_t id;
        int32_t status = choose(run, &id);
        enum outcome outcome;

        if (status != GPT2_OK)
            return session_complain(run->session, status);
        if (id == run->eot_token && !options->ignore_eos)
            return OUTCOME_DONE;
        outcome = print_token(printer, id);
        if (outcome != OUTCOME_DONE)
            return outcome;
        run->n_generated++;
        if (run->n_generated == options->n_predict)
            return OUTCOME_DONE;
        /* The last token is printed and not run, so it needs no position. */
        run->context_is_full = !options->context_shift && gpt2_session_position(run->session) >=
                                                              gpt2_session_n_ctx(run->session);
        if (run->context_is_full)
            return OUTCOME_DONE;
        status = gpt2_forward(run->session, &id, 1, 1);
        if (status != GPT2_OK)
            return session_complain(run->session, status);
    }
}

static void report(const struct run *run, size_t n_prompt, double prompt_seconds, double seconds)
{
    if (run->context_is_full)
        note("the context of %d positions is full", (int)gpt2_session_n_ctx(run->session));
    note("prompt: %zu tokens, %.2f s; %" PRId32 " tokens, %.1f tokens/s; seed %" PRIu64, n_prompt,
         prompt_seconds, run->n_generated, seconds > 0 ? run->n_generated / seconds : 0,
         run->sampling.seed);
}

static enum outcome generate_with(struct run *run, const struct prompt *prompt,
                                  struct printer *printer)
{
    double start = platform_seconds();
    double prompt_end;
    enum outcome outcome = OUTCOME_DONE;
    enum outcome end_outcome;

    if (!run->options->no_echo)
        outcome = print_prompt(printer, prompt);
    if (outcome == OUTCOME_DONE && run->options->n_predict != 0)
        outcome = run_prompt(run, prompt);
    prompt_end = platform_seconds();
    if (outcome == OUTCOME_DONE && run->options->n_predict != 0)
        outcome = continue_text(run, printer);
    if (outcome != OUTCOME_READER_GONE && !output_has_failed()) {
        end_outcome = print_end(printer);
        if (outcome == OUTCOME_DONE)
            outcome = end_outcome;
    }
    if (outcome == OUTCOME_DONE || outcome == OUTCOME_INTERRUPTED)
        report(run, prompt->ids.count, prompt_end - start, platform_seconds() - prompt_end);
    return outcome;
}

static gpt2_sample_params sampling_of(const struct options *options)
{
    gpt2_sample_params sampling;

    gpt2_sample_params_init(&sampling, sizeof sampling);
    sampling.temperature = options->temperature;
    sampling.top_k = options->top_k;
    sampling.top_p = options->top_p;
    sampling.stream = (uint64_t)options->stream;
    sampling.seed = options->seed_is_random ? platform_random_seed() : options->seed;
    return sampling;
}

static enum outcome generate_one(const struct options *options, const gpt2_sample_params *sampling)
{
    struct run run = {.options = options, .sampling = *sampling};
    struct printer printer = {0};
    struct prompt prompt = {0};
    gpt2_model_info info;
    gpt2_model *model;
    enum outcome outcome = model_open(options, &model, &info);

    if (outcome != OUTCOME_DONE)
        return outcome;
    outcome = prompt_read(&prompt, options, model, &info);
    if (outcome == OUTCOME_DONE)
        outcome = prompt_check_length(options, &info, prompt.ids.count, NULL);
    if (outcome == OUTCOME_DONE)
        outcome = session_open(options, model, options->n_ctx, 1, &run.session);
    if (outcome == OUTCOME_DONE) {
        run.eot_token = info.eot_token;
        printer.tokenizer = gpt2_model_tokenizer(model);
        printer.is_in_ids = prompt.is_in_ids;
        outcome = generate_with(&run, &prompt, &printer);
    }
    session_close(run.session);
    free(printer.text);
    prompt_free(&prompt);
    gpt2_model_free(model);
    return outcome;
}

static enum outcome generate(const struct options *options)
{
    gpt2_sample_params sampling = sampling_of(options);
    bool is_many = options->prompts != NULL || options->n_choices > 1 || options->jsonl;

    return is_many ? generate_many(options, &sampling) : generate_one(options, &sampling);
}

const struct command command_generate = {
    .name = "generate",
    .summary = "continue a text",
    .synopsis = "[-m DIR] [-p TEXT | -f FILE | --tokens IDS | --prompts FILE] [OPTIONS]",
    .help =
        "Prints the prompt and then each new token as soon as the model has chosen it, with a\n"
        "newline at the end.  It stops after -n tokens, before the token <|endoftext|>, or when\n"
        "the context is full.  With --context-shift it then keeps the first --keep tokens and the\n"
        "newest half of the others, and goes on.\n"
        "\n"
        "A backslash in TEXT is a backslash; in bash, $'two\\nlines' writes a newline.  If FILE\n"
        "ends with a newline, that newline is not part of the prompt.  With --tokens, or if the\n"
        "model has no tokenizer, the output is token ids on one line.\n"
        "\n"
        "The same prompt, sampling options and seed give the same text on every machine, with any\n"
        "-t, --cpu, -b and --parallel.  Without -s each run uses a new seed, which a terminal\n"
        "shows at the end.\n"
        "\n"
        "Many texts: --prompts continues each line of FILE, --n-choices continues one prompt in\n"
        "several ways.  They run together, which takes less time than one after the other.  The\n"
        "texts come in the order of the prompts, each below a line such as ==> line 3 <== and\n"
        "whole.  Each is the text of a single run with --stream.  The first text has stream 0,\n"
        "or what --stream says, and each text after it the next one.  If a prompt is too long, or\n"
        "its logits are not finite, that is reported and the others go on; the exit code is 1.\n"
        "\n"
        "With --jsonl a line of FILE is an object such as\n"
        "  {\"prompt\": \"Once\", \"id\": 7, \"seed\": 1}\n"
        "\"id\" is any value, and is copied to the output.  A \"seed\" takes the place of -s, and "
        "the\n"
        "text has the first stream.  Both may be absent; blank lines are skipped.  Each text is\n"
        "one line of output:\n"
        "  {\"index\": 0, \"id\": 7, \"prompt\": \"Once\", \"text\": \" upon a time\", "
        "\"n_tokens\": 3,\n"
        "   \"stop\": \"length\"}\n"
        "\"stop\" is \"length\" after -n tokens, \"eot\" before <|endoftext|>, \"context\" if the "
        "context\n"
        "is full, or \"error\".  With --no-echo there is no \"prompt\".  Bytes that are not UTF-8\n"
        "become U+FFFD.\n",
    .examples =
        "  gpt2 generate -p 'Once upon a time'\n"
        "  gpt2 generate -m models/gpt2 -p 'The capital of France is' -n 20 --temp 0\n"
        "  gpt2 generate -f story.txt -n -1 --temp 0.9 --top-k 0 --top-p 0.9 -s 7 --no-echo\n"
        "  gpt2 generate --prompts lines.txt --parallel 16 -n 40 -s 1\n"
        "  gpt2 generate --prompts requests.jsonl --jsonl > texts.jsonl\n"
        "  gpt2 generate -p 'Once upon a time' --n-choices 4 -s 1\n"
        "  gpt2 generate -p 'Once upon a time' -n 2000 --context-shift --keep 4\n"
        "  gpt2 generate -m models/nano-sort --tokens 0,2,1,1,0,2 -n 6 --temp 0\n",
    .option_groups = OPTIONS_COMMON | OPTIONS_TEXT | OPTIONS_TOKENS | OPTIONS_CONTEXT |
                     OPTIONS_SAMPLING | OPTIONS_GENERATE,
    .run = generate,
};
