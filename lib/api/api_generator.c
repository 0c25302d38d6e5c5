/*
 * api_generator.c: the exported functions of generators.  A step is a forward call for all their
 * tokens, then a sample for each.
 */
#include "api.h"
#include "../base/fpstate.h"
#include "../decode/generator.h"
#include "../decode/sampler.h"
#include "../model/batch.h"

#include <stdio.h>

/* --------------------------------------------------------------------------------- create, free -- */

static const gpt2_generator_params generator_defaults = {.struct_size =
                                                             sizeof(gpt2_generator_params)};

static const struct gpt2i_params_kind generator_params = {
    .name = "gpt2_generator_params",
    .defaults = &generator_defaults,
    .known_bytes = sizeof(gpt2_generator_params),
    .first_bytes = GPT2I_SIZE_TO(gpt2_generator_params, errbuf_size),
    .errbuf_offset = offsetof(gpt2_generator_params, errbuf),
};

int32_t gpt2_generator_params_init(gpt2_generator_params *params, size_t struct_size)
{
    return gpt2i_params_init(params, struct_size, &generator_params);
}

static int32_t check_stop_ids(const gpt2_generator_params *params, int32_t n_vocab,
                              struct gpt2i_error *error)
{
    if (params->stop_ids == NULL && params->n_stop_ids > 0)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_generator_params.stop_ids is NULL, but n_stop_ids is %zu",
                          params->n_stop_ids);
    for (size_t i = 0; i < params->n_stop_ids; i++) {
        if (params->stop_ids[i] < 0 || params->stop_ids[i] >= n_vocab)
            return gpt2i_fail(error, GPT2_ERR_TOKEN,
                              "gpt2_generator_params.stop_ids[%zu] is %d, wanted 0 to %d", i,
                              params->stop_ids[i], n_vocab - 1);
    }
    return GPT2_OK;
}

static int32_t check_stop_strings(const gpt2_generator_params *params, const gpt2_model *model,
                                  struct gpt2i_error *error)
{
    if (params->stop_strings == NULL && params->n_stop_strings > 0)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_generator_params.stop_strings is NULL, but n_stop_strings is %zu",
                          params->n_stop_strings);
    if (params->n_stop_strings > 0 && model->tokenizer == NULL)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_generator_params.n_stop_strings is %zu, wanted 0: the model has no "
                          "tokenizer%s%s",
                          params->n_stop_strings, model->tokenizer_error[0] == '\0' ? "" : ": ",
                          model->tokenizer_error);
    for (size_t i = 0; i < params->n_stop_strings; i++) {
        const char *string = params->stop_strings[i];

        if (string == NULL || string[0] == '\0')
            return gpt2i_fail(
                error, GPT2_ERR_ARGUMENT,
                "gpt2_generator_params.stop_strings[%zu] is %s, wanted 1 byte or more", i,
                string == NULL ? "NULL" : "empty");
    }
    return GPT2_OK;
}

/* What the ways of making a generator check; 'pointer' is the argument 'name', where they store. */
static int32_t take_generator_params(gpt2_generator_params *known,
                                     const gpt2_generator_params *params, const char *function,
                                     const gpt2_session *session, const char *name,
                                     const void *pointer, struct gpt2i_error *error)
{
    int32_t status = gpt2i_params_take(known, params, &generator_params, error);

    if (status == GPT2_OK && (session == NULL || pointer == NULL))
        status = gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: %s is NULL", function,
                            session == NULL ? "session" : name);
    if (status == GPT2_OK)
        status =
            gpt2i_check_range("gpt2_generator_params.ignore_eot", known->ignore_eot, 0, 1, error);
    if (status == GPT2_OK)
        status =
            gpt2i_check_range("gpt2_generator_params.shortlist", known->shortlist, 0, 1, error);
    if (status == GPT2_OK)
        status = gpt2i_check_range("gpt2_generator_params.reserved", known->reserved, 0, 0, error);
    if (status == GPT2_OK)
        status = check_stop_ids(known, session->model->config.n_vocab, error);
    if (status == GPT2_OK)
        status = check_stop_strings(known, session->model, error);
    return status;
}

static int32_t fail_generator_memory(const gpt2_generator_params *known, struct gpt2i_error *error)
{
    return gpt2i_fail(error, GPT2_ERR_MEMORY,
                      "no memory for a generator of %zu stop ids and %zu stop strings",
                      known->n_stop_ids, known->n_stop_strings);
}

/* The size of a generator; 0 if it is more than an address space holds. */
static size_t generator_bytes(const gpt2_session *session, const gpt2_generator_params *known)
{
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);

    (void)gpt2i_generator_layout(&measure, session, known);
    return gpt2i_arena_unaligned_bytes(&measure);
}

static gpt2_generator *place_generator(void *memory, gpt2_session *session,
                                       const gpt2_generator_params *known)
{
    struct gpt2i_arena place = gpt2i_arena_over_unaligned(memory);
    gpt2_generator *generator = gpt2i_generator_layout(&place, session, known);

    generator->session = session;
    return generator;
}

int32_t gpt2_generator_create(gpt2_session *session, const gpt2_generator_params *params,
                              gpt2_generator **generator)
{
    struct gpt2i_error error = {NULL, 0};
    gpt2_generator_params known;
    size_t n_bytes;
    void *block;
    int32_t status;

    if (generator != NULL)
        *generator = NULL;
    status = take_generator_params(&known, params, "gpt2_generator_create", session, "generator",
                                   generator, &error);
    if (status != GPT2_OK)
        return status;
    n_bytes = generator_bytes(session, &known);
    block = gpt2i_block_new(n_bytes);
    if (block == NULL)
        return fail_generator_memory(&known, &error);
    *generator = place_generator(block, session, &known);
    (*generator)->block_bytes = n_bytes;
    return GPT2_OK;
}

int32_t gpt2_generator_size(const gpt2_session *session, const gpt2_generator_params *params,
                            size_t *n_bytes)
{
    struct gpt2i_error error = {NULL, 0};
    gpt2_generator_params known;
    int32_t status;

    if (n_bytes != NULL)
        *n_bytes = 0;
    status = take_generator_params(&known, params, "gpt2_generator_size", session, "n_bytes",
                                   n_bytes, &error);
    if (status != GPT2_OK)
        return status;
    *n_bytes = generator_bytes(session, &known);
    return *n_bytes == 0 ? fail_generator_memory(&known, &error) : GPT2_OK;
}

int32_t gpt2_generator_init(gpt2_session *session, const gpt2_generator_params *params,
                            void *memory, size_t memory_bytes, gpt2_generator **generator)
{
    struct gpt2i_error error = {NULL, 0};
    gpt2_generator_params known;
    size_t wanted_bytes;
    int32_t status;

    if (generator != NULL)
        *generator = NULL;
    status = take_generator_params(&known, params, "gpt2_generator_init", session, "generator",
                                   generator, &error);
    if (status == GPT2_OK && memory == NULL)
        status = gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_generator_init: memory is NULL");
    if (status != GPT2_OK)
        return status;
    wanted_bytes = generator_bytes(session, &known);
    if (wanted_bytes == 0)
        return fail_generator_memory(&known, &error);
    if (memory_bytes < wanted_bytes)
        return gpt2i_fail(&error, GPT2_ERR_BUFFER,
                          "gpt2_generator_init: memory_bytes is %zu, wanted %zu", memory_bytes,
                          wanted_bytes);
    *generator = place_generator(memory, session, &known);
    return GPT2_OK;
}

void gpt2_generator_free(gpt2_generator *generator)
{
    if (generator != NULL && generator->block_bytes > 0)
        gpt2i_block_free(generator, generator->block_bytes);
}

const char *gpt2_generator_error(const gpt2_generator *generator)
{
    return generator == NULL ? "" : generator->error;
}

/* -------------------------------------------------------------------------------------- start -- */

int32_t gpt2_generator_start(gpt2_generator *generator, int32_t sequence, const int32_t *ids,
                             size_t n_ids, int64_t max_tokens, const gpt2_sample_params *sampling)
{
    const gpt2_batch_item item = {sequence, 0, ids, n_ids, 1};
    struct gpt2i_error error;
    gpt2_sample_params known;
    uint64_t host_state;
    int32_t status;

    if (generator == NULL)
        return GPT2_ERR_ARGUMENT;
    status = gpt2i_session_begin(generator->session, &error);
    if (status != GPT2_OK)
        return status;
    host_state = gpt2i_fpstate_enter(); /* params may hold NaN, which traps in some hosts' state */
    status = gpt2i_sample_params_take(&known, sampling, generator->session->model->config.n_vocab,
                                      &error);
    if (status == GPT2_OK && (known.history != NULL || known.n_history > 0))
        status =
            gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                       "gpt2_generator_start: gpt2_sample_params.history has %zu tokens, wanted "
                       "NULL: a generator takes it from its sequence",
                       known.n_history);
    if (status == GPT2_OK)
        status = gpt2i_check_range("gpt2_generator_start: max_tokens", max_tokens, -1, INT64_MAX,
                                   &error);
    if (status == GPT2_OK)
        status = gpt2i_take_item(generator->session, &item, 0, "gpt2_generator_start", "", &error);
    if (status == GPT2_OK)
        gpt2i_generator_begin(generator, sequence, ids, n_ids, max_tokens, &known);
    gpt2i_fpstate_leave(host_state);
    return status;
}

/* --------------------------------------------------------------------------------------- step -- */

/* The generators of a step.  While it runs, result.finish is set for those whose tokens do not run. */
struct generator_step {
    gpt2_session *session;
    gpt2_generator *const *generators;
    size_t n;
    gpt2_generated *results;
    size_t n_items; /* of session->items: the generators whose tokens run, in their order */
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

/* Makes an item for a generator that has tokens to run, or tells why it has none. */
static int32_t take_item(struct generator_step *step, size_t i, struct gpt2i_error *error)
{
    gpt2_generator *generator = step->generators[i];
    gpt2_generated *result = &step->results[i];
    const gpt2_batch_item item = {generator->sequence, 0, generator->pending, generator->n_pending,
                                  1};
    char label[GPT2I_LABEL_BYTES];
    int32_t status;

    result->finish = generator->finish;
    if (result->finish == GPT2_FINISH_NOT_YET && generator->n_left == 0)
        result->finish = GPT2_FINISH_LENGTH;
    if (result->finish != GPT2_FINISH_NOT_YET)
        return GPT2_OK;
    if (step->n_items == (size_t)step->session->sequences.n_sequences)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_generator_step: more than %zu generators run, the session has %zu "
                          "sequences",
                          step->n_items, step->n_items);
    (void)snprintf(label, sizeof label, "generators[%zu]: ", i);
    status =
        gpt2i_take_item(step->session, &item, step->n_items, "gpt2_generator_step", label, error);
    if (status == GPT2_OK && generator->uses_shortlist)
        step->session->items[step->n_items].n_top = gpt2i_sample_reach(&generator->sampling);
    step->n_items += status == GPT2_OK;
    if (status != GPT2_ERR_CONTEXT)
        return status;
    memcpy(generator->error, step->session->error, sizeof generator->error);
    result->finish = GPT2_FINISH_CONTEXT;
    return GPT2_OK;
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

/* Ends a generator, with the session's error line. */
static void end_early(struct generator_step *step, size_t i, int32_t finish)
{
    gpt2_generator *generator = step->generators[i];

    memcpy(generator->error, step->session->error, sizeof generator->error);
    gpt2i_generator_end(generator, finish, &step->results[i]);
}

/* Ends the generator of the first item that found too few pages; the other items stay. */
static void end_short_item(struct generator_step *step)
{
    struct gpt2i_item *items = step->session->items;
    size_t item = 0;

    while (!items[item].is_short)
        item++;
    end_early(step, generator_of(step, item), GPT2_FINISH_PAGES);
    step->n_items--;
    memmove(&items[item], &items[item + 1], (step->n_items - item) * sizeof *items);
}

/* Runs the tokens of all generators that can run. */
static void run_items(struct generator_step *step)
{
    int32_t status = GPT2_OK;

    while (step->n_items > 0) {
        status = gpt2i_batch_run(step->session, step->n_items);
        if (status != GPT2_ERR_PAGES)
            break;
        end_short_item(step);
    }
    if (step->n_items == 0 || status == GPT2_OK)
        return;
    for (; step->n_items > 0; step->n_items--)
        end_early(step, generator_of(step, 0),
                  status == GPT2_ERR_DEADLINE ? GPT2_FINISH_DEADLINE : GPT2_FINISH_CANCELLED);
}

/* Draws a token for each generator whose tokens have run. */
static void draw_tokens(struct generator_step *step)
{
    const struct gpt2i_sequences *sequences = &step->session->sequences;
    size_t item = 0;

    for (size_t i = 0; i < step->n; i++) {
        gpt2_generator *generator = step->generators[i];
        const struct gpt2i_sequence *sequence;
        int32_t id, status;

        if (step->results[i].finish != GPT2_FINISH_NOT_YET)
            continue;
        sequence = step->session->items[item].sequence;
        gpt2i_generator_look_back(generator, sequence);
        status = gpt2i_draw(step->session, item++, &generator->sampling, &id);
        if (status != GPT2_OK)
            end_early(step, i, GPT2_FINISH_ERROR);
        else
            gpt2i_generator_take(generator, id,
                                 !sequences->shifts && sequence->n_ids == sequences->n_ctx,
                                 &step->results[i]);
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
        if (results[i].finish != GPT2_FINISH_NOT_YET)
            gpt2i_generator_end(generators[i], results[i].finish, &results[i]);
    }
    run_items(&step);
    draw_tokens(&step);
    gpt2i_error_clear(&error); /* what has ended a generator is in the generator's own line */
    return GPT2_OK;
}
