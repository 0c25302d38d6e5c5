/*
 * api_session.c: the exported functions of sessions: arguments are checked here, the work is done in model/.
 */
#include "api.h"

#define MAX_BATCH     65536
#define MAX_SEQUENCES 65536

static const gpt2_session_params session_defaults = {
    .struct_size = sizeof(gpt2_session_params),
    .cpu_mask = GPT2_CPU_ALL,
    .n_threads = 1,
    .n_batch = 256,
    .n_sequences = 1,
    .kv_type = GPT2_TYPE_F32,
    .on_full = GPT2_FULL_STOP,
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

static int32_t check_session_params(const gpt2_session_params *params, const gpt2_model *model,
                                    struct gpt2i_error *error)
{
    int32_t n_positions = model->config.n_positions;
    int32_t n_ctx = params->n_ctx > 0 && params->n_ctx < n_positions ? params->n_ctx : n_positions;
    const struct {
        const char *name;
        int64_t value;
        int64_t min;
        int64_t max;
    } ranges[] = {
        {"gpt2_session_params.n_threads", params->n_threads, 0, GPT2I_MAX_THREADS},
        {"gpt2_session_params.n_ctx", params->n_ctx, 0, INT32_MAX},
        {"gpt2_session_params.n_batch", params->n_batch, 1, MAX_BATCH},
        {"gpt2_session_params.n_logit_rows", params->n_logit_rows, 0, INT32_MAX},
        {"gpt2_session_params.n_sequences", params->n_sequences, 1, MAX_SEQUENCES},
        {"gpt2_session_params.n_pages", params->n_pages, 0, INT32_MAX},
        {"gpt2_session_params.kv_type", params->kv_type, GPT2_TYPE_F32, GPT2_TYPE_F16},
        {"gpt2_session_params.on_full", params->on_full, GPT2_FULL_STOP, GPT2_FULL_SHIFT},
        {"gpt2_session_params.n_keep", params->n_keep, 0, INT32_MAX},
        {"gpt2_session_params.reserved", params->reserved, 0, 0},
    };
    int32_t status = GPT2_OK;

    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] && status == GPT2_OK; i++)
        status =
            gpt2i_check_range(ranges[i].name, ranges[i].value, ranges[i].min, ranges[i].max, error);
    if (status != GPT2_OK || params->on_full != GPT2_FULL_SHIFT)
        return status;
    if (n_ctx < 2)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_session_params.n_ctx is %d, wanted 2 or more: on_full is "
                          "GPT2_FULL_SHIFT",
                          n_ctx);
    if (params->n_keep > n_ctx - 2)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_session_params.n_keep is %d, wanted 0 to %d: n_ctx is %d",
                          params->n_keep, n_ctx - 2, n_ctx);
    return GPT2_OK;
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
        status = check_session_params(known, model, error);
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
    session->n_items_kept = 0;
    gpt2i_sequences_reset(&session->sequences);
    return GPT2_OK;
}

int32_t gpt2_session_position(const gpt2_session *session)
{
    return session == NULL ? 0 : gpt2i_sequence_position(&session->sequences.all[0]);
}

int32_t gpt2_session_n_ctx(const gpt2_session *session)
{
    return session == NULL ? 0 : session->sequences.n_ctx;
}

int32_t gpt2_session_n_free_pages(const gpt2_session *session)
{
    return session == NULL ? 0 : session->sequences.pages.n_free;
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
