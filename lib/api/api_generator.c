/*
 * api_generator.c: the exported functions that make and start generators.
 */
#include "api.h"
#include "../base/fpstate.h"
#include "../decode/generator.h"

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

static int32_t check_draft_max(int32_t draft_max, const gpt2_session *session,
                               struct gpt2i_error *error)
{
    int32_t n_logit_rows = session->n_logit_rows;
    int32_t status =
        gpt2i_check_range("gpt2_generator_params.draft_max", draft_max, 0, GPT2I_DRAFT_MAX, error);

    if (status == GPT2_OK && draft_max > 0 && draft_max >= n_logit_rows &&
        n_logit_rows < session->sequences.n_ctx)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_generator_params.draft_max is %d, wanted 0 to %d: the session was "
                          "made with an n_logit_rows of %d",
                          draft_max, n_logit_rows - 1, n_logit_rows);
    return status;
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
        status = check_draft_max(known->draft_max, session, error);
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
    bool has_ready = generator != NULL && generator->n_ready_tokens > 0; /* it may be for later */

    return generator == NULL || has_ready ? "" : generator->error;
}

int32_t gpt2_generator_drafted(const gpt2_generator *generator, uint64_t *n_drafted,
                               uint64_t *n_accepted)
{
    if (generator == NULL || n_drafted == NULL || n_accepted == NULL)
        return GPT2_ERR_ARGUMENT;
    *n_drafted = generator->draft.n_drafted;
    *n_accepted = generator->draft.n_accepted;
    return GPT2_OK;
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
