/*
 * parallel.c: continues many texts in one session.
 *
 * A slot is a place for one text at a time.  Each turn of the loop gives free slots their next text,
 * runs all slots in one call of the library, and chooses a token for each text whose prompt has been
 * run.  So prompts run together with the tokens of the other texts.  Each text gets the tokens that it
 * gets alone.  Texts are printed in the order of their prompts.
 */
#include "parallel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "messages.h"
#include "platform.h"
#include "prompts.h"
#include "setup.h"
#include "texts.h"

#define DEFAULT_SLOTS 8

struct slot {
    struct text *text; /* NULL: it is free */
    int32_t sequence;
    const int32_t *pending; /* tokens that have not been run */
    size_t n_pending;
    int32_t last_id;
    bool begins_uniform; /* its first token is not chosen yet, and all are equally likely */
};

struct many {
    const struct options *options;
    struct text_printer printer;
    gpt2_session *session;
    gpt2_sample_params sampling;
    int32_t eot_token;
    bool empty_is_uniform; /* an empty prompt begins with any token, else with <|endoftext|> */
    bool has_prefix;       /* sequence 0 holds the prompt of all texts, without its last token */
    struct text *texts;
    size_t n_texts, n_started, n_ended, n_printed;
    struct slot *slots;
    gpt2_batch_item *items;
    size_t n_slots;
    size_t n_generated;  /* tokens */
    double start, shown; /* in seconds; 'shown': when progress was; 0: never */
};

/* ------------------------------------------------------------------------------------- output -- */

static enum outcome print_text(struct many *many, struct text *text)
{
    enum outcome outcome;

    if (many->shown > 0)
        progress_clear();
    outcome = text_print(&many->printer, text);
    free(text->ids.data);
    text->ids = (struct ids){NULL, 0};
    return outcome;
}

/* Prints the texts that have ended, up to the first that has not, or 'all' of them. */
static enum outcome print_ended(struct many *many, bool all)
{
    enum outcome outcome = OUTCOME_DONE;

    for (; many->n_printed < many->n_texts && outcome == OUTCOME_DONE; many->n_printed++) {
        struct text *text = &many->texts[many->n_printed];

        if (text->stop != STOP_NOT_YET)
            outcome = print_text(many, text);
        else if (!all)
            break;
    }
    return outcome;
}

static void show_progress(struct many *many)
{
    double now = platform_seconds();

    if (!platform_is_terminal(stderr) || now - many->start < 0.3 || now - many->shown < 0.1)
        return;
    many->shown = now;
    platform_erase_on_interrupt(true);
    progress("%zu of %zu texts, %.1f tokens/s", many->n_ended, many->n_texts,
             (double)many->n_generated / (now - many->start));
}

/* --------------------------------------------------------------------------------------- texts -- */

/*
 * A gpt2_tap_callback for the logits: makes those of texts that begin with nothing equal.  The library
 * samples from the logits of a token, so such a text runs one, which is taken back afterwards.
 */
static int32_t make_logits_equal(void *user, const gpt2_tap *tap)
{
    const struct many *many = user;

    for (size_t i = 0; i < many->n_slots; i++) {
        const struct slot *slot = &many->slots[i];

        if (slot->text == NULL || slot->sequence != tap->sequence || !slot->begins_uniform)
            continue;
        for (int32_t column = 0; column < tap->n_columns; column++)
            tap->data[column] = 1.0f;
    }
    return 0;
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

/* Begins a text in a free slot. */
static int32_t start_text(struct many *many, struct slot *slot, struct text *text)
{
    static const int32_t any_token = 0;
    const struct ids *ids = &text->prompt->ids;
    bool is_empty = ids->count == 0;

    slot->text = text;
    slot->begins_uniform = is_empty && many->empty_is_uniform;
    slot->pending = !is_empty ? ids->data : slot->begins_uniform ? &any_token : &many->eot_token;
    slot->n_pending = is_empty ? 1 : ids->count;
    if (many->has_prefix) {
        slot->pending += ids->count - 1;
        slot->n_pending = 1;
        return gpt2_sequence_fork(many->session, 0, (int32_t)ids->count - 1, &slot->sequence);
    }
    slot->sequence = 0; /* is open, and the first slot's */
    if (slot == many->slots)
        return GPT2_OK;
    return gpt2_sequence_open(many->session, &slot->sequence);
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

static enum outcome append(struct text *text, int32_t id)
{
    if (text->ids.count == text->capacity) {
        size_t capacity = text->capacity == 0 ? 64 : text->capacity * 2;
        int32_t *data = realloc(text->ids.data, capacity * sizeof *data);

        if (data == NULL)
            return complain_memory();
        text->ids.data = data;
        text->capacity = capacity;
    }
    text->ids.data[text->ids.count++] = id;
    return OUTCOME_DONE;
}

/* Ends a text of --prompts whose logits cannot be sampled.  The others go on. */
static void refuse_logits(struct many *many, struct text *text)
{
    char origin[ORIGIN_BYTES];

    if (many->shown > 0)
        progress_clear();
    prompts_name_line(origin, many->options, text->prompt->number);
    complain(OUTCOME_FAILED, "%s: %s", origin, gpt2_session_error(many->session));
    end_text(many, text, STOP_ERROR);
}

/* Chooses the next token of a text from its logits in the last batch.  The text may end. */
static enum outcome continue_text(struct many *many, struct slot *slot, size_t item)
{
    const struct options *options = many->options;
    struct text *text = slot->text;
    gpt2_sample_params sampling = many->sampling;
    int32_t position = 0;
    int32_t status;
    enum outcome outcome;

    sampling.seed = text->seed;
    sampling.stream = text->stream;
    if (slot->begins_uniform)
        sampling.position = 0;
    status = gpt2_batch_sample(many->session, item, GPT2_LAST_ROW, &sampling, &slot->last_id);
    if (status == GPT2_ERR_NONFINITE && options->prompts != NULL) {
        refuse_logits(many, text);
        return OUTCOME_DONE;
    }
    if (status == GPT2_OK && slot->begins_uniform)
        status = gpt2_sequence_truncate(many->session, slot->sequence, 0);
    if (status == GPT2_OK)
        status = gpt2_sequence_position(many->session, slot->sequence, &position);
    if (status != GPT2_OK)
        return session_complain(many->session, status);
    slot->begins_uniform = false;
    slot->pending = &slot->last_id;
    slot->n_pending = 1;
    if (slot->last_id == many->eot_token && !options->ignore_eos) {
        end_text(many, text, STOP_EOT);
        return OUTCOME_DONE;
    }
    outcome = append(text, slot->last_id);
    many->n_generated++;
    if (options->n_predict >= 0 && text->ids.count == (size_t)options->n_predict)
        end_text(many, text, STOP_LENGTH);
    else if (!options->context_shift && position >= gpt2_session_n_ctx(many->session))
        end_text(many, text, STOP_CONTEXT);
    return outcome;
}

/* Runs the next tokens of all texts in one call: '*n_items' of them. */
static enum outcome run_batch(struct many *many, size_t *n_items)
{
    size_t per_call = many->options->n_batch > 0 ? (size_t)many->options->n_batch : SIZE_MAX;
    size_t n = 0;
    int32_t status;

    for (size_t i = 0; i < many->n_slots; i++) {
        struct slot *slot = &many->slots[i];
        size_t n_tokens = slot->n_pending < per_call ? slot->n_pending : per_call;

        if (slot->text == NULL)
            continue;
        many->items[n++] = (gpt2_batch_item){.sequence = slot->sequence,
                                             .tokens = slot->pending,
                                             .n_tokens = n_tokens,
                                             .n_logit_rows = n_tokens == slot->n_pending};
        slot->pending += n_tokens;
        slot->n_pending -= n_tokens;
    }
    *n_items = n;
    status = n > 0 ? gpt2_forward_batch(many->session, many->items, n) : GPT2_OK;
    return status == GPT2_OK ? OUTCOME_DONE : session_complain(many->session, status);
}

/* Chooses a token for each text whose prompt has been run, and frees the slots of those that end. */
static enum outcome continue_texts(struct many *many)
{
    size_t item = 0;
    enum outcome outcome = OUTCOME_DONE;

    for (size_t i = 0; i < many->n_slots && outcome == OUTCOME_DONE; i++) {
        struct slot *slot = &many->slots[i];

        if (slot->text == NULL)
            continue;
        if (slot->n_pending == 0)
            outcome = continue_text(many, slot, item);
        if (outcome == OUTCOME_DONE && slot->text->stop != STOP_NOT_YET) {
            slot->text = NULL;
            gpt2_sequence_close(many->session, slot->sequence);
        }
        item++;
    }
    return outcome;
}

static enum outcome run_texts(struct many *many)
{
    enum outcome outcome;
    size_t n_items = 0;

    do {
        outcome = start_texts(many);
        if (outcome == OUTCOME_DONE)
            outcome = run_batch(many, &n_items);
        if (outcome == OUTCOME_DONE)
            outcome = continue_texts(many);
        if (outcome == OUTCOME_DONE)
            outcome = print_ended(many, false);
        show_progress(many);
    } while (outcome == OUTCOME_DONE && n_items > 0);
    return outcome;
}

/* Reports the whole run, and gives the outcome of the program. */
static enum outcome finish(struct many *many, enum outcome outcome)
{
    double seconds = platform_seconds() - many->start;
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
        note("%zu of %zu texts, %zu tokens, %.1f tokens/s; seed %" PRIu64, many->n_ended - n_failed,
             many->n_texts, many->n_generated,
             seconds > 0 ? (double)many->n_generated / seconds : 0, many->sampling.seed);
    return outcome == OUTCOME_DONE && n_failed > 0 ? OUTCOME_FAILED : outcome;
}

/* Runs all texts.  'prompt' is theirs if they have a prefix. */
static enum outcome run_many(struct many *many, const struct ids *prompt)
{
    enum outcome outcome = OUTCOME_DONE;
    int32_t status = GPT2_OK;

    many->start = platform_seconds();
    if (many->empty_is_uniform)
        status = gpt2_session_set_tap(many->session, make_logits_equal, many,
                                      GPT2_TAP_BIT(GPT2_TAP_LOGITS));
    if (status != GPT2_OK)
        outcome = session_complain(many->session, status);
    if (outcome == OUTCOME_DONE && many->has_prefix) {
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
    many->items = calloc(many->n_slots + 1, sizeof *many->items);
    if (many->texts == NULL || many->slots == NULL || many->items == NULL)
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

/* Opens a session with room for the longest text. */
static enum outcome open_session(struct many *many, const gpt2_model *model,
                                 const gpt2_model_info *info)
{
    const struct options *options = many->options;
    size_t n_sequences = many->n_slots + many->has_prefix;
    size_t n_positions = 1;

    for (size_t i = 0; i < many->n_texts; i++) {
        const struct prompt_line *prompt = many->texts[i].prompt;

        if (!prompt->is_refused && prompt->ids.count > n_positions)
            n_positions = prompt->ids.count;
    }
    n_positions += (size_t)options->n_predict;
    if (options->n_predict < 0 || options->context_shift || n_positions > (size_t)info->n_positions)
        n_positions = 0;
    return session_open_many(options, model, n_sequences > 0 ? (int32_t)n_sequences : 1,
                             (int32_t)n_positions, &many->session);
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

enum outcome generate_many(const struct options *options, const gpt2_sample_params *sampling)
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
    if (outcome == OUTCOME_DONE) {
        many.eot_token = info.eot_token;
        many.empty_is_uniform = options->empty_prompt == EMPTY_UNIFORM || info.eot_token < 0;
        many.printer.tokenizer = gpt2_model_tokenizer(model);
        outcome = options->prompts != NULL ? continue_lines(&many, &prompts, model, &info)
                                           : continue_choices(&many, model, &info);
    }
    session_close(many.session);
    for (size_t i = 0; many.texts != NULL && i < many.n_texts; i++)
        free(many.texts[i].ids.data);
    free(many.texts);
    free(many.slots);
    free(many.items);
    prompts_free(&prompts);
    gpt2_model_free(model);
    return outcome;
}
