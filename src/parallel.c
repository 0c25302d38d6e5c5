/*
 * parallel.c: continues texts in one session.
 *
 * A slot is a place for one text at a time, with a generator of the library.  Each turn of the loop
 * gives free slots their next text and steps the generators of all slots together.  So prompts run
 * together with the tokens of the other texts, and each text gets the tokens that it gets alone.  Texts
 * are printed in the order of their prompts; a text that is the only one is printed as it grows.
 */
#include "parallel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "messages.h"
#include "platform.h"
#include "prompts.h"
#include "sampling.h"
#include "setup.h"
#include "texts.h"

#define DEFAULT_SLOTS 8
#define DEFAULT_DRAFT 8

struct slot {
    struct text *text; /* NULL: it is free */
    gpt2_generator *generator;
    int32_t sequence;
    bool begins_uniform; /* its first token is not drawn yet, and all are equally likely */
};

struct many {
    const struct options *options;
    struct text_printer printer;
    gpt2_session *session;
    gpt2_sample_params sampling;
    int32_t begin_token, n_vocab;
    float *equal_logits;   /* [n_vocab] of the first token of a text that begins with nothing */
    bool empty_is_uniform; /* an empty prompt begins with any token, else with <|endoftext|> */
    bool has_prefix;       /* sequence 0 holds the prompt of all texts, without its last token */
    struct text *texts;
    size_t n_texts, n_started, n_ended, n_printed;
    struct slot *slots;
    size_t n_slots;
    struct slot **running;       /* [n_slots] the slots of a step */
    gpt2_generator **generators; /* [n_slots] theirs */
    gpt2_generated *results;     /* [n_slots] what the step gave */
    size_t n_generated;          /* tokens */
    uint64_t n_drafted, n_right; /* guesses, and those that were right, of texts that have ended */
    double start, shown;         /* in seconds; 'shown': when progress was; 0: never */
    double first_step;           /* when the first step was done; 0: it is not */
};

/* ------------------------------------------------------------------------------------- output -- */

static enum outcome print_text(struct many *many, struct text *text)
{
    enum outcome outcome;

    if (many->shown > 0)
        progress_clear();
    outcome = text_print(&many->printer, text);
    text_free(text);
    return outcome;
}

/* Prints the texts that have ended, up to the first that has not, or 'all' of them. */
static enum outcome print_ended(struct many *many, bool all)
{
    enum outcome outcome = OUTCOME_DONE;

    for (; many->n_printed < many->n_texts && outcome == OUTCOME_DONE; many->n_printed++) {
        struct text *text = &many->texts[many->n_printed];

        if (text->stop != STOP_NOT_YET || (all && many->printer.streams))
            outcome = print_text(many, text);
        else if (!all)
            break;
    }
    return outcome;
}

/* Prints what the last step has made ready. */
static enum outcome print_ready(struct many *many)
{
    return many->printer.streams ? text_stream(&many->printer, &many->texts[0])
                                 : print_ended(many, false);
}

static void show_progress(struct many *many)
{
    double now = platform_seconds();

    if (many->printer.streams || !platform_is_terminal(stderr) || now - many->start < 0.3 ||
        now - many->shown < 0.1)
        return;
    many->shown = now;
    platform_erase_on_interrupt(true);
    progress("%zu of %zu texts, %.1f tokens/s", many->n_ended, many->n_texts,
             (double)many->n_generated / (now - many->start));
}

/* --------------------------------------------------------------------------------------- texts -- */

/* How many tokens of a text are guessed at a time. */
static int32_t draft_max(const struct options *options)
{
    if (options->draft == DRAFT_NONE)
        return 0;
    return options->draft_max > 0 ? options->draft_max : DEFAULT_DRAFT;
}

static void end_text(struct many *many, struct text *text, enum stop stop)
{
    text->stop = stop;
    many->n_ended++;
}

/* The next text that has tokens to run; NULL if there is none. */
static struct text *next_text(struct many *many)
{
    while (many->n_started < many->n_texts) {
        struct text *text = &many->texts[many->n_started++];

        if (!text->prompt->is_refused && many->options->n_predict != 0)
            return text;
        end_text(many, text, text->prompt->is_refused ? STOP_ERROR : STOP_LENGTH);
    }
    return NULL;
}

/* Opens the sequence of a slot's text. */
static int32_t open_sequence(struct many *many, struct slot *slot)
{
    const struct ids *ids = &slot->text->prompt->ids;

    if (many->has_prefix)
        return gpt2_sequence_fork(many->session, 0, (int32_t)ids->count - 1, &slot->sequence);
    slot->sequence = 0; /* is open, and the first slot's */
    return slot == many->slots ? GPT2_OK : gpt2_sequence_open(many->session, &slot->sequence);
}

/*
 * Begins a text in a free slot.  The library draws a token after another one, so a text that begins with
 * nothing runs any token, which is taken back afterwards.
 */
static int32_t start_text(struct many *many, struct slot *slot, struct text *text)
{
    static const int32_t any_token = 0;
    const struct ids *ids = &text->prompt->ids;
    const int32_t *begin = many->empty_is_uniform ? &any_token : &many->begin_token;
    size_t n_run = many->has_prefix ? ids->count - 1 : 0;
    gpt2_sample_params sampling = many->sampling;
    int32_t status;

    slot->text = text;
    slot->begins_uniform = ids->count == 0 && many->empty_is_uniform;
    sampling.seed = text->seed;
    sampling.stream = text->stream;
    if (slot->begins_uniform)
        sampling_begin_uniform(&sampling, &many->sampling);
    status = open_sequence(many, slot);
    if (status != GPT2_OK)
        return status;
    return gpt2_generator_start(
        slot->generator, slot->sequence, ids->count == 0 ? begin : ids->data + n_run,
        ids->count == 0 ? 1 : ids->count - n_run, many->options->n_predict, &sampling);
}

static enum outcome start_texts(struct many *many)
{
    for (size_t i = 0; i < many->n_slots; i++) {
        struct slot *slot = &many->slots[i];
        struct text *text = slot->text == NULL ? next_text(many) : NULL;
        int32_t status = text != NULL ? start_text(many, slot, text) : GPT2_OK;

        if (status != GPT2_OK)
            return session_complain(many->session, status);
    }
    return OUTCOME_DONE;
}

/* Ends a text that cannot go on.  The other texts of --prompts do. */
static enum outcome refuse(struct many *many, const struct slot *slot)
{
    const char *detail = gpt2_generator_error(slot->generator);
    char origin[ORIGIN_BYTES];

    if (many->options->prompts == NULL)
        return complain(OUTCOME_FAILED, "%s", detail);
    if (many->shown > 0)
        progress_clear();
    prompts_name_line(origin, many->options, slot->text->prompt->number);
    complain(OUTCOME_FAILED, "%s: %s", origin, detail);
    end_text(many, slot->text, STOP_ERROR);
    return OUTCOME_DONE;
}

/* Adds the log-probability of a text's next token, by the logits of 'item' in the last step. */
static enum outcome add_logprob(struct many *many, const struct slot *slot, size_t item, int32_t id)
{
    size_t n_likeliest = many->options->n_logprobs < many->n_vocab
                             ? (size_t)many->options->n_logprobs
                             : (size_t)many->n_vocab;
    const float *logits = many->equal_logits;
    int32_t status = GPT2_OK;

    if (!slot->begins_uniform)
        status = gpt2_batch_logits(many->session, item, GPT2_LAST_ROW, &logits);
    if (status != GPT2_OK)
        return session_complain(many->session, status);
    return logprobs_add(&slot->text->logprobs, many->session, logits, id, n_likeliest);
}

/* Takes what a step gave for a text, which may end.  Its logits are those of 'item'. */
static enum outcome continue_text(struct many *many, struct slot *slot,
                                  const gpt2_generated *result, size_t item)
{
    static const enum stop stops[] = {[GPT2_FINISH_NOT_YET] = STOP_NOT_YET,
                                      [GPT2_FINISH_TOKEN] = STOP_EOT,
                                      [GPT2_FINISH_STRING] = STOP_STRING,
                                      [GPT2_FINISH_LENGTH] = STOP_LENGTH,
                                      [GPT2_FINISH_CONTEXT] = STOP_CONTEXT};
    enum outcome outcome = text_append_bytes(slot->text, result->text, result->n_bytes);

    if (outcome != OUTCOME_DONE)
        return outcome;
    if (result->finish == GPT2_FINISH_CANCELLED)
        return OUTCOME_INTERRUPTED;
    if (result->id < 0)
        return refuse(many, slot);
    if (many->options->n_logprobs >= 0 && result->finish != GPT2_FINISH_TOKEN)
        outcome = add_logprob(many, slot, item, result->id);
    if (outcome == OUTCOME_DONE && slot->begins_uniform)
        (void)gpt2_sequence_truncate(many->session, slot->sequence, 0);
    slot->begins_uniform = false;
    if (outcome != OUTCOME_DONE)
        return outcome;
    if (result->finish != GPT2_FINISH_NOT_YET)
        end_text(many, slot->text, stops[result->finish]);
    if (result->finish == GPT2_FINISH_TOKEN)
        return OUTCOME_DONE;
    many->n_generated++;
    return text_append_id(slot->text, result->id);
}

static void count_guesses(struct many *many, const gpt2_generator *generator)
{
    uint64_t n_drafted, n_right;

    if (gpt2_generator_drafted(generator, &n_drafted, &n_right) == GPT2_OK) {
        many->n_drafted += n_drafted;
        many->n_right += n_right;
    }
}

/* Draws a token for each text, and frees the slots of those that end: '*n' had one. */
static enum outcome step(struct many *many, size_t *n)
{
    enum outcome outcome = OUTCOME_DONE;
    size_t item = 0; /* of the batch: without drafts, each text that got a token has one */
    int32_t status = GPT2_OK;

    *n = 0;
    for (size_t i = 0; i < many->n_slots; i++) {
        if (many->slots[i].text == NULL)
            continue;
        many->running[*n] = &many->slots[i];
        many->generators[(*n)++] = many->slots[i].generator;
    }
    if (*n > 0)
        status = gpt2_generator_step(many->generators, *n, many->results);
    if (status != GPT2_OK)
        return session_complain(many->session, status);
    if (many->first_step == 0)
        many->first_step = platform_seconds();
    for (size_t i = 0; i < *n && outcome == OUTCOME_DONE; i++) {
        struct slot *slot = many->running[i];

        outcome = continue_text(many, slot, &many->results[i], item);
        item += many->results[i].id >= 0 || many->results[i].finish == GPT2_FINISH_ERROR;
        if (outcome != OUTCOME_DONE || slot->text->stop == STOP_NOT_YET)
            continue;
        count_guesses(many, slot->generator);
        slot->text = NULL;
        gpt2_sequence_close(many->session, slot->sequence);
    }
    return outcome;
}

static enum outcome run_texts(struct many *many)
{
    enum outcome outcome = many->printer.streams ? print_ready(many) : OUTCOME_DONE;
    size_t n_running = 1;

    while (outcome == OUTCOME_DONE && n_running > 0) {
        outcome = start_texts(many);
        if (outcome == OUTCOME_DONE)
            outcome = step(many, &n_running);
        if (outcome == OUTCOME_DONE)
            outcome = print_ready(many);
        show_progress(many);
    }
    return outcome;
}

/* A note on the whole run. */
static void report(const struct many *many, size_t n_failed)
{
    double now = platform_seconds();
    double seconds = now - many->start;

    if (draft_max(many->options) > 0)
        note("%" PRIu64 " of %" PRIu64 " guesses were right: each saved a call", many->n_right,
             many->n_drafted);

    if (!many->printer.streams) {
        note("%zu of %zu texts, %zu tokens, %.1f tokens/s; seed %" PRIu64, many->n_ended - n_failed,
             many->n_texts, many->n_generated,
             seconds > 0 ? (double)many->n_generated / seconds : 0, many->sampling.seed);
        return;
    }
    if (many->texts[0].stop == STOP_CONTEXT)
        note("the context of %d positions is full", (int)gpt2_session_n_ctx(many->session));
    /* The first token comes with the prompt. */
    seconds = many->n_generated > 1 ? now - many->first_step : 0;
    note("prompt: %zu tokens, %.2f s; %zu tokens, %.1f tokens/s; seed %" PRIu64,
         many->texts[0].prompt->ids.count,
         many->first_step > 0 ? many->first_step - many->start : 0, many->n_generated,
         seconds > 0 ? (double)(many->n_generated - 1) / seconds : 0, many->sampling.seed);
}

/* Prints what is left, reports the run, and gives the outcome of the program. */
static enum outcome finish(struct many *many, enum outcome outcome)
{
    size_t n_failed = 0;

    if (many->shown > 0) {
        platform_erase_on_interrupt(false);
        progress_clear();
    }
    if (outcome != OUTCOME_READER_GONE && !output_has_failed()) {
        enum outcome printed = print_ended(many, true);

        if (outcome == OUTCOME_DONE)
            outcome = printed;
    }
    for (size_t i = 0; i < many->n_texts; i++)
        n_failed += many->texts[i].stop == STOP_ERROR;
    if (outcome == OUTCOME_DONE || outcome == OUTCOME_INTERRUPTED)
        report(many, n_failed);
    return outcome == OUTCOME_DONE && n_failed > 0 ? OUTCOME_FAILED : outcome;
}

/* Runs all texts.  'prompt' is theirs if they have a prefix. */
static enum outcome run_many(struct many *many, const struct ids *prompt)
{
    enum outcome outcome = OUTCOME_DONE;

    many->start = platform_seconds();
    if (many->has_prefix) {
        /* Each text runs the last token for itself: it needs the logits. */
        struct ids prefix = {prompt->data, prompt->count - 1};

        outcome = session_feed(many->options, many->session, &prefix, false);
    }
    if (outcome == OUTCOME_DONE)
        outcome = run_texts(many);
    return finish(many, outcome);
}

/* --------------------------------------------------------------------------------------- setup -- */

/* Makes 'n_texts' texts and their slots: one for each line, or all from the first line. */
static enum outcome make_texts(struct many *many, const struct prompt_line *lines, bool are_choices,
                               size_t n_texts)
{
    size_t n_slots = are_choices ? n_texts : DEFAULT_SLOTS;

    if (many->options->n_parallel > 0)
        n_slots = (size_t)many->options->n_parallel;
    many->n_texts = n_texts;
    many->n_slots = n_slots < n_texts ? n_slots : n_texts;
    many->texts = calloc(n_texts + 1, sizeof *many->texts);
    many->slots = calloc(many->n_slots + 1, sizeof *many->slots);
    many->running = calloc(many->n_slots + 1, sizeof *many->running);
    many->generators = calloc(many->n_slots + 1, sizeof *many->generators);
    many->results = calloc(many->n_slots + 1, sizeof *many->results);
    many->equal_logits = calloc((size_t)many->n_vocab, sizeof *many->equal_logits);
    if (many->texts == NULL || many->slots == NULL || many->running == NULL ||
        many->generators == NULL || many->results == NULL || many->equal_logits == NULL)
        return complain_memory();
    for (size_t i = 0; i < n_texts; i++) {
        struct text *text = &many->texts[i];

        text->index = i;
        text->prompt = &lines[are_choices ? 0 : i];
        text->seed = text->prompt->has_seed ? text->prompt->seed : many->sampling.seed;
        text->stream = many->sampling.stream + (text->prompt->has_seed ? 0 : i);
    }
    return OUTCOME_DONE;
}

/* Makes a generator for each slot. */
static enum outcome make_generators(struct many *many)
{
    char detail[GPT2_ERRBUF_BYTES] = "";
    gpt2_generator_params params;
    int32_t status = gpt2_generator_params_init(&params, sizeof params);

    if (many->options->stops.count > 0 && many->printer.tokenizer == NULL)
        return complain_no_tokenizer(many->options, ", and --stop needs one");
    params.ignore_eot = many->options->ignore_eos;
    params.stop_strings = many->options->stops.data;
    params.n_stop_strings = many->options->stops.count;
    params.shortlist = many->options->n_logprobs < 0;
    params.draft_max = draft_max(many->options);
    params.errbuf = detail;
    params.errbuf_size = sizeof detail;
    for (size_t i = 0; i < many->n_slots && status == GPT2_OK; i++)
        status = gpt2_generator_create(many->session, &params, &many->slots[i].generator);
    return status == GPT2_OK ? OUTCOME_DONE : complain_status(status, detail);
}

/* Opens a session with room for the longest text, and its generators. */
static enum outcome open_session(struct many *many, const gpt2_model *model,
                                 const gpt2_model_info *info)
{
    const struct options *options = many->options;
    size_t n_sequences = many->n_slots + many->has_prefix;
    size_t n_positions = 1;
    enum outcome outcome;

    for (size_t i = 0; i < many->n_texts; i++) {
        const struct prompt_line *prompt = many->texts[i].prompt;

        if (!prompt->is_refused && prompt->ids.count > n_positions)
            n_positions = prompt->ids.count;
    }
    n_positions += (size_t)options->n_predict;
    if (options->n_predict < 0 || options->context_shift || n_positions > (size_t)info->n_positions)
        n_positions = 0;
    outcome = session_open_many(options, model, n_sequences > 0 ? (int32_t)n_sequences : 1,
                                (int32_t)n_positions, draft_max(options), &many->session);
    return outcome == OUTCOME_DONE ? make_generators(many) : outcome;
}

/* Continues each line of --prompts. */
static enum outcome continue_lines(struct many *many, struct prompts *prompts,
                                   const gpt2_model *model, const gpt2_model_info *info)
{
    enum outcome outcome;

    if (many->printer.tokenizer == NULL)
        return complain_no_tokenizer(many->options, ", and --prompts has no ids");
    prompts_encode(prompts, many->options, info, many->printer.tokenizer);
    outcome = make_texts(many, prompts->lines, false, prompts->count);
    if (outcome == OUTCOME_DONE)
        outcome = open_session(many, model, info);
    return outcome == OUTCOME_DONE ? run_many(many, NULL) : outcome;
}

/* Continues one prompt in --n-choices ways. */
static enum outcome continue_choices(struct many *many, const gpt2_model *model,
                                     const gpt2_model_info *info)
{
    const struct options *options = many->options;
    struct prompt prompt;
    struct prompt_line line = {0};
    enum outcome outcome = prompt_read(&prompt, options, model, info);

    line.text = prompt.text;
    line.ids = prompt.ids;
    many->printer.is_in_ids = prompt.is_in_ids;
    many->printer.streams = options->n_choices == 1 && !options->jsonl;
    many->has_prefix = options->n_choices > 1 && options->n_predict != 0 && prompt.ids.count > 1;
    if (outcome == OUTCOME_DONE)
        outcome = prompt_check_length(options, info, prompt.ids.count, NULL);
    if (outcome == OUTCOME_DONE)
        outcome = make_texts(many, &line, true, (size_t)options->n_choices);
    if (outcome == OUTCOME_DONE)
        outcome = open_session(many, model, info);
    if (outcome == OUTCOME_DONE)
        outcome = run_many(many, &prompt.ids);
    prompt_free(&prompt);
    return outcome;
}

enum outcome generate_texts(const struct options *options, const gpt2_sample_params *sampling)
{
    struct many many = {.options = options, .sampling = *sampling, .printer.options = options};
    struct prompts prompts = {0};
    gpt2_model_info info;
    gpt2_model *model = NULL;
    enum outcome outcome = OUTCOME_DONE;

    if (options->prompts != NULL)
        outcome = prompts_read(&prompts, options);
    if (outcome == OUTCOME_DONE)
        outcome = model_open(options, &model, &info);
    if (outcome == OUTCOME_DONE)
        outcome = sampling_check(options, &info);
    if (outcome == OUTCOME_DONE) {
        many.begin_token = begin_token(model, &info);
        many.n_vocab = info.n_vocab;
        many.printer.is_table = options->n_logprobs >= 0 && !options->jsonl;
        many.empty_is_uniform = options->empty_prompt == EMPTY_UNIFORM || many.begin_token < 0;
        many.printer.tokenizer = gpt2_model_tokenizer(model);
        outcome = options->prompts != NULL ? continue_lines(&many, &prompts, model, &info)
                                           : continue_choices(&many, model, &info);
    }
    for (size_t i = 0; many.slots != NULL && i < many.n_slots; i++)
        gpt2_generator_free(many.slots[i].generator);
    session_close(many.session);
    for (size_t i = 0; many.texts != NULL && i < many.n_texts; i++)
        text_free(&many.texts[i]);
    free(many.texts);
    free(many.slots);
    free(many.running);
    free(many.generators);
    free(many.results);
    free(many.equal_logits);
    prompts_free(&prompts);
    gpt2_model_free(model);
    return outcome;
}
