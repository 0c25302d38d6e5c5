/*
 * api_step.c: a step of generators: a forward call for all their tokens, then draws for each.
 */
#include "api.h"
#include "../base/fpstate.h"
#include "../base/os.h"
#include "../decode/generator.h"
#include "../decode/sampler.h"
#include "../model/batch.h"

#include <stdio.h>

#define HAS_READY (-1) /* a result.finish: its token was drawn by an earlier step */

/* The generators of a step.  While it runs, result.finish is set for those whose tokens do not run. */
struct generator_step {
    gpt2_session *session;
    gpt2_generator *const *generators;
    size_t n;
    gpt2_generated *results;
    size_t n_items;   /* of session->items: the generators whose tokens run, in their order */
    size_t n_ready;   /* of them, until all have been checked: those that only give out a token */
    size_t n_drafted; /* guesses, of all items */
    bool has_prompts;
    bool drafts; /* a generator may: it learns what calls cost */
};

static int32_t check_generators(gpt2_generator *const *generators, size_t n,
                                struct gpt2i_error *error)
{
    for (size_t i = 0; i < n; i++) {
        if (generators[i] == NULL)
            return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                              "gpt2_generator_step: generators[%zu] is NULL", i);
        if (generators[i]->session != generators[0]->session)
            return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                              "gpt2_generator_step: generators[%zu] is of another session than "
                              "generators[0]",
                              i);
        if (!generators[i]->is_started)
            return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                              "gpt2_generator_step: generators[%zu] has not been started", i);
    }
    return GPT2_OK;
}

/*
 * The most guesses that may run behind the token of a generator, in a call that has n_rows rows without them.
 * None where the text would be cut, which could not be taken back.
 */
static size_t max_draft(const gpt2_generator *generator, const struct gpt2i_sequence *sequence,
                        size_t n_rows)
{
    const gpt2_session *session = generator->session;
    const int64_t n_left[] = {
        session->n_logit_rows - (int64_t)n_rows,
        (int64_t)session->sequences.n_ctx - sequence->n_ids - 1,
        (int64_t)INT32_MAX - gpt2i_sequence_position(sequence) - 1,
        generator->n_left > 0 ? generator->n_left - 1 : INT32_MAX,
    };
    int64_t n_max = generator->draft.max;

    if (generator->pending != generator->draft.tokens)
        return 0; /* a prompt */
    for (size_t i = 0; i < sizeof n_left / sizeof n_left[0]; i++)
        n_max = n_left[i] < n_max ? n_left[i] : n_max;
    return n_max > 0 ? (size_t)n_max : 0;
}

/* Puts guesses behind the token of generator i, whose item has been taken. */
static void add_draft(struct generator_step *step, size_t i, struct gpt2i_item *item)
{
    gpt2_generator *generator = step->generators[i];
    size_t n_texts = step->n_items - step->n_ready + step->n - i; /* if all to come run */
    size_t n_rows = n_texts + step->n_drafted;
    size_t n = max_draft(generator, item->sequence, n_rows);
    uint64_t host_state;

    generator->n_drafted = 0;
    step->has_prompts |= generator->n_pending > 1;
    step->drafts |= generator->draft.max > 0;
    if (n == 0)
        return;
    host_state = gpt2i_fpstate_enter();
    n = gpt2i_draft_worth(&generator->draft, n_rows, n_texts, n);
    gpt2i_fpstate_leave(host_state);
    n = gpt2i_draft_look_up(item->sequence->ids, (size_t)item->sequence->n_ids,
                            generator->draft.tokens, n);
    generator->n_drafted = n;
    item->n_tokens += n;
    item->n_kept += n;
    step->n_drafted += n;
}

/* Makes an item for a generator that has tokens to run, or tells why it has none. */
static int32_t take_item(struct generator_step *step, size_t i, struct gpt2i_error *error)
{
    gpt2_generator *generator = step->generators[i];
    gpt2_generated *result = &step->results[i];
    const gpt2_batch_item item = {generator->sequence, 0, generator->pending, generator->n_pending,
                                  1};
    struct gpt2i_item *taken = &step->session->items[step->n_items];
    char label[GPT2I_LABEL_BYTES];
    int32_t status;

    result->finish = generator->n_ready_tokens > 0 ? HAS_READY : generator->finish;
    if (result->finish == GPT2_FINISH_NOT_YET && generator->n_left == 0)
        result->finish = GPT2_FINISH_LENGTH;
    if (result->finish > GPT2_FINISH_NOT_YET)
        return GPT2_OK;
    if (step->n_items == (size_t)step->session->sequences.n_sequences)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_generator_step: more than %zu generators run, the session has %zu "
                          "sequences",
                          step->n_items, step->n_items);
    (void)snprintf(label, sizeof label, "generators[%zu]: ", i);
    if (result->finish == HAS_READY) { /* an item until all have been checked */
        status = gpt2i_sequences_find(&step->session->sequences, generator->sequence, label,
                                      &taken->sequence, error);
        taken->n_kept = 0;
        step->n_ready += status == GPT2_OK;
    } else {
        status = gpt2i_take_item(step->session, &item, step->n_items, "gpt2_generator_step", label,
                                 error);
        if (status == GPT2_OK && generator->uses_shortlist)
            taken->n_top = gpt2i_sample_reach(&generator->sampling);
        if (status == GPT2_OK)
            add_draft(step, i, taken);
    }
    step->n_items += status == GPT2_OK;
    if (status != GPT2_ERR_CONTEXT)
        return status;
    memcpy(generator->error, step->session->error, sizeof generator->error);
    result->finish = GPT2_FINISH_CONTEXT;
    return GPT2_OK;
}

/* Takes those out of the items that run nothing. */
static void drop_ready(struct generator_step *step)
{
    struct gpt2i_item *items = step->session->items;
    size_t item = 0;

    step->n_items = 0;
    for (size_t i = 0; i < step->n; i++) {
        if (step->results[i].finish == GPT2_FINISH_NOT_YET)
            items[step->n_items++] = items[item];
        item += step->results[i].finish <= GPT2_FINISH_NOT_YET;
    }
}

/* Makes the items of the step.  If it fails, nothing has changed. */
static int32_t take_items(struct generator_step *step, struct gpt2i_error *error)
{
    int32_t status = GPT2_OK;

    for (size_t i = 0; i < step->n && status == GPT2_OK; i++)
        status = take_item(step, i, error);
    if (status == GPT2_OK)
        status = gpt2i_check_twice(step->session, step->n_items, "gpt2_generator_step", error);
    if (status == GPT2_OK)
        status = gpt2i_check_rows(step->session, step->n_items, "gpt2_generator_step", error);
    if (status == GPT2_OK)
        drop_ready(step);
    for (size_t i = 0; i < step->n && status != GPT2_OK; i++) {
        if (step->generators[i]->finish == GPT2_FINISH_NOT_YET)
            step->generators[i]->error[0] = '\0';
    }
    return status;
}

/* The generator of an item. */
static size_t generator_of(const struct generator_step *step, size_t item)
{
    size_t i = 0;

    for (;; i++) {
        if (step->results[i].finish != GPT2_FINISH_NOT_YET)
            continue;
        if (item-- == 0)
            return i;
    }
}

/* Ends a generator, with the session's error line.  'result' as in gpt2i_generator_take(). */
static void end_early(const struct generator_step *step, gpt2_generator *generator, int32_t finish,
                      gpt2_generated *result)
{
    memcpy(generator->error, step->session->error, sizeof generator->error);
    gpt2i_generator_end(generator, finish, result);
}

/* Takes the guesses out of the step. */
static void drop_drafts(struct generator_step *step)
{
    for (size_t item = 0; item < step->n_items; item++) {
        struct gpt2i_item *taken = &step->session->items[item];
        gpt2_generator *generator = step->generators[generator_of(step, item)];

        taken->n_tokens -= generator->n_drafted;
        taken->n_kept -= generator->n_drafted;
        generator->n_drafted = 0;
    }
    step->n_drafted = 0;
}

/* Ends the generator of the first item that found too few pages; the other items stay. */
static void end_short_item(struct generator_step *step)
{
    struct gpt2i_item *items = step->session->items;
    size_t item = 0, i;

    while (!items[item].is_short)
        item++;
    i = generator_of(step, item);
    end_early(step, step->generators[i], GPT2_FINISH_PAGES, &step->results[i]);
    step->n_items--;
    memmove(&items[item], &items[item + 1], (step->n_items - item) * sizeof *items);
}

/* Tells the generators that draft what the call cost. */
static void learn_cost(const struct generator_step *step, uint64_t ns)
{
    uint64_t host_state = gpt2i_fpstate_enter();

    for (size_t item = 0; item < step->n_items && !step->has_prompts; item++) {
        gpt2_generator *generator = step->generators[generator_of(step, item)];

        if (generator->draft.max > 0)
            gpt2i_draft_learn_cost(&generator->draft, step->n_items + step->n_drafted, ns);
    }
    gpt2i_fpstate_leave(host_state);
}

/* Runs the tokens of all generators that can run. */
static void run_items(struct generator_step *step)
{
    uint64_t start_ns = step->drafts ? gpt2i_monotonic_ns() : 0;
    int32_t status = GPT2_OK;

    while (step->n_items > 0) {
        status = gpt2i_batch_run(step->session, step->n_items);
        if (status != GPT2_ERR_PAGES)
            break;
        if (step->n_drafted > 0)
            drop_drafts(step); /* which took pages, too */
        else
            end_short_item(step);
    }
    if (step->n_items > 0 && status == GPT2_OK && step->drafts)
        learn_cost(step, gpt2i_monotonic_ns() - start_ns);
    if (step->n_items == 0 || status == GPT2_OK)
        return;
    for (; step->n_items > 0; step->n_items--) {
        size_t i = generator_of(step, 0);

        end_early(step, step->generators[i],
                  status == GPT2_ERR_DEADLINE ? GPT2_FINISH_DEADLINE : GPT2_FINISH_CANCELLED,
                  &step->results[i]);
    }
}

/*
 * Draws the next token of a generator whose tokens have run, and the one after it where that was a right
 * guess, and so on.  Wrong guesses leave the sequence.
 */
static void draw_tokens(struct generator_step *step, gpt2_generator *generator, size_t item,
                        gpt2_generated *result)
{
    const struct gpt2i_sequences *sequences = &step->session->sequences;
    const struct gpt2i_item *taken = &step->session->items[item];
    const struct gpt2i_sequence *sequence = taken->sequence;
    size_t n_drafted = generator->n_drafted, n_right = 0;
    bool is_right;
    uint64_t host_state;

    for (;; n_right++, result = NULL) {
        int32_t n_behind = (int32_t)(n_drafted - n_right);
        int32_t row = (int32_t)taken->n_tokens - 1 - n_behind;
        bool is_full = !sequences->shifts && sequence->n_ids - n_behind == sequences->n_ctx;
        int32_t id;

        gpt2i_generator_look_back(generator, sequence, n_behind);
        if (gpt2i_draw(step->session, item, row, &generator->sampling, &id) != GPT2_OK) {
            end_early(step, generator, GPT2_FINISH_ERROR, result);
            break;
        }
        is_right = n_behind > 0 && id == generator->draft.tokens[1 + n_right];
        gpt2i_generator_take(generator, id, is_full, result);
        if (!is_right || generator->finish != GPT2_FINISH_NOT_YET)
            break;
    }
    gpt2i_batch_take_back(step->session, item, n_drafted - n_right);
    host_state = gpt2i_fpstate_enter();
    gpt2i_draft_learn_hits(&generator->draft, n_drafted, n_right);
    gpt2i_fpstate_leave(host_state);
}

/* Draws for all generators whose tokens have run, and gives out what was ready. */
static void give_tokens(struct generator_step *step)
{
    size_t item = 0;

    for (size_t i = 0; i < step->n; i++) {
        if (step->results[i].finish == GPT2_FINISH_NOT_YET)
            draw_tokens(step, step->generators[i], item++, &step->results[i]);
        else if (step->results[i].finish == HAS_READY)
            gpt2i_generator_give_ready(step->generators[i], &step->results[i]);
    }
}

int32_t gpt2_generator_step(gpt2_generator *const *generators, size_t n, gpt2_generated *results)
{
    struct generator_step step = {.generators = generators, .n = n, .results = results};
    struct gpt2i_error error;
    int32_t status;

    if (generators == NULL || n == 0 || generators[0] == NULL)
        return GPT2_ERR_ARGUMENT;
    step.session = generators[0]->session;
    status = gpt2i_session_begin(step.session, &error);
    if (status != GPT2_OK)
        return status;
    if (results == NULL)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_generator_step: results is NULL");
    status = check_generators(generators, n, &error);
    if (status == GPT2_OK)
        status = take_items(&step, &error);
    if (status != GPT2_OK) {
        memset(results, 0, n * sizeof *results);
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        if (results[i].finish > GPT2_FINISH_NOT_YET)
            gpt2i_generator_end(generators[i], results[i].finish, &results[i]);
    }
    run_items(&step);
    give_tokens(&step);
    gpt2i_error_clear(&error); /* what has ended a generator is in the generator's own line */
    return GPT2_OK;
}
