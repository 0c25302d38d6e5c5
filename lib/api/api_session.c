/*
 * api_session.c: the exported functions of sessions: arguments are checked here, the work is done in model/.
 */
#include "api.h"
#include "../model/forward.h"

#define MAX_BATCH 65536

static const gpt2_session_params session_defaults = {
    .struct_size = sizeof(gpt2_session_params),
    .cpu_mask = GPT2_CPU_ALL,
    .n_threads = 1,
    .n_batch = 256,
    .n_logit_rows = 1,
};

static const struct gpt2i_params_kind session_params = {
    .name = "gpt2_session_params",
    .defaults = &session_defaults,
    .known_bytes = sizeof(gpt2_session_params),
    .first_bytes = GPT2I_SIZE_TO(gpt2_session_params, errbuf_size),
    .errbuf_offset = offsetof(gpt2_session_params, errbuf),
};

int32_t gpt2_session_params_init(gpt2_session_params *params, size_t struct_size)
{
    return gpt2i_params_init(params, struct_size, &session_params);
}

static int32_t check_session_params(const gpt2_session_params *params, struct gpt2i_error *error)
{
    const struct {
        const char *name;
        int64_t value;
        int64_t min;
        int64_t max;
    } ranges[] = {
        {"gpt2_session_params.n_threads", params->n_threads, 0, GPT2I_MAX_THREADS},
        {"gpt2_session_params.n_ctx", params->n_ctx, 0, INT32_MAX},
        {"gpt2_session_params.n_batch", params->n_batch, 1, MAX_BATCH},
        {"gpt2_session_params.n_logit_rows", params->n_logit_rows, 1, INT32_MAX},
    };
    int32_t status = GPT2_OK;

    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] && status == GPT2_OK; i++)
        status =
            gpt2i_check_range(ranges[i].name, ranges[i].value, ranges[i].min, ranges[i].max, error);
    return status;
}

/*
 * What the ways of making a session check; 'pointer' is the argument 'name', where they store.  CPUs
 * are counted here, once for a call, so that what is measured is what is placed.
 */
static int32_t take_session_params(gpt2_session_params *known, const gpt2_session_params *params,
                                   const char *function, const gpt2_model *model, const char *name,
                                   const void *pointer, struct gpt2i_error *error)
{
    int32_t status = gpt2i_params_take(known, params, &session_params, error);

    if (status == GPT2_OK && (model == NULL || pointer == NULL))
        status = gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: %s is NULL", function,
                            model == NULL ? "model" : name);
    if (status == GPT2_OK)
        status = check_session_params(known, error);
    if (status == GPT2_OK)
        known->n_threads = gpt2i_thread_count(known->n_threads);
    return status;
}

int32_t gpt2_session_create(const gpt2_model *model, const gpt2_session_params *params,
                            gpt2_session **session)
{
    struct gpt2i_error error = {NULL, 0};
    gpt2_session_params known;
    int32_t status;

    if (session != NULL)
        *session = NULL;
    status = take_session_params(&known, params, "gpt2_session_create", model, "session", session,
                                 &error);
    return status == GPT2_OK ? gpt2i_session_new(session, model, &known, &error) : status;
}

int32_t gpt2_session_size(const gpt2_model *model, const gpt2_session_params *params,
                          size_t *n_bytes)
{
    struct gpt2i_error error = {NULL, 0};
    gpt2_session_params known;
    int32_t status;

    if (n_bytes != NULL)
        *n_bytes = 0;
    status =
        take_session_params(&known, params, "gpt2_session_size", model, "n_bytes", n_bytes, &error);
    return status == GPT2_OK ? gpt2i_session_size(model, &known, n_bytes, &error) : status;
}

int32_t gpt2_session_init(const gpt2_model *model, const gpt2_session_params *params, void *memory,
                          size_t memory_bytes, gpt2_session **session)
{
    struct gpt2i_error error = {NULL, 0};
    gpt2_session_params known;
    int32_t status;

    if (session != NULL)
        *session = NULL;
    status =
        take_session_params(&known, params, "gpt2_session_init", model, "session", session, &error);
    if (status == GPT2_OK && memory == NULL)
        status = gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_session_init: memory is NULL");
    if (status != GPT2_OK)
        return status;
    return gpt2i_session_init(session, model, &known, memory, memory_bytes, &error);
}

void gpt2_session_free(gpt2_session *session)
{
    gpt2i_session_free(session);
}

int32_t gpt2_session_reset(gpt2_session *session)
{
    struct gpt2i_error error;
    int32_t status = gpt2i_session_begin(session, &error);

    if (status != GPT2_OK)
        return status;
    atomic_store(&session->cancelled, false);
    gpt2i_sequence_reset(&session->sequence);
    return GPT2_OK;
}

int32_t gpt2_session_position(const gpt2_session *session)
{
    return session == NULL ? 0 : session->sequence.n_past;
}

int32_t gpt2_session_n_ctx(const gpt2_session *session)
{
    return session == NULL ? 0 : session->n_ctx;
}

const char *gpt2_session_kernels(const gpt2_session *session)
{
    return session == NULL ? "" : session->compute.kernels.name;
}

const char *gpt2_session_error(const gpt2_session *session)
{
    return session == NULL ? "" : session->error;
}

void gpt2_session_cancel(gpt2_session *session)
{
    if (session != NULL)
        atomic_store(&session->cancelled, true);
}

int32_t gpt2_session_set_deadline(gpt2_session *session, uint64_t deadline_ns)
{
    struct gpt2i_error error;
    int32_t status = gpt2i_session_begin(session, &error);

    if (status != GPT2_OK)
        return status;
    session->deadline_ns = deadline_ns;
    return GPT2_OK;
}

int32_t gpt2_session_after_fork(gpt2_session *session)
{
    struct gpt2i_error error;
    int32_t status = gpt2i_session_begin(session, &error);

    if (status != GPT2_OK)
        return status;
    gpt2i_pool_forget_threads(session->compute.pool);
    return GPT2_OK;
}

static int32_t check_tokens(const gpt2_session *session, const int32_t *tokens, size_t n_tokens,
                            struct gpt2i_error *error)
{
    int32_t n_vocab = session->model->config.n_vocab;
    size_t n_free = (size_t)(session->n_ctx - session->sequence.n_past);

    if (n_tokens > n_free)
        return gpt2i_fail(error, GPT2_ERR_CONTEXT,
                          "%zu tokens at position %d do not fit into a context of %d positions",
                          n_tokens, session->sequence.n_past, session->n_ctx);
    for (size_t i = 0; i < n_tokens; i++) {
        if (tokens[i] < 0 || tokens[i] >= n_vocab)
            return gpt2i_fail(error, GPT2_ERR_TOKEN, "token %zu is %d, wanted 0 to %d", i,
                              tokens[i], n_vocab - 1);
    }
    return GPT2_OK;
}

int32_t gpt2_forward(gpt2_session *session, const int32_t *tokens, size_t n_tokens,
                     size_t n_logit_rows)
{
    struct gpt2i_error error;
    int32_t status = gpt2i_session_begin(session, &error);

    if (status != GPT2_OK)
        return status;
    if (n_tokens == 0)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                          "gpt2_forward: n_tokens is 0, wanted 1 or more");
    if (tokens == NULL)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_forward: tokens is NULL");
    status = check_tokens(session, tokens, n_tokens, &error);
    if (status != GPT2_OK)
        return status;
    n_logit_rows = gpt2i_min(n_logit_rows, n_tokens);
    if (n_logit_rows > (size_t)session->n_logit_rows)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                          "gpt2_forward: n_logit_rows is %zu, the session was made for %d",
                          n_logit_rows, session->n_logit_rows);
    return gpt2i_forward(session, tokens, n_tokens, n_logit_rows);
}

int32_t gpt2_session_logits(gpt2_session *session, int32_t row, const float **logits)
{
    struct gpt2i_error error;
    size_t kept;
    int32_t position;
    int32_t status;

    if (logits != NULL)
        *logits = NULL;
    status = gpt2i_session_begin(session, &error);
    if (status != GPT2_OK)
        return status;
    if (logits == NULL)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_session_logits: logits is NULL");
    status = gpt2i_sequence_find_row(&session->sequence, row, &kept, &position, &error);
    if (status == GPT2_OK)
        *logits = session->logits + kept * (size_t)session->model->config.n_vocab;
    return status;
}
