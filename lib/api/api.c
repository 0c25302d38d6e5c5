/*
 * api.c: the exported functions of models and sessions: arguments are checked here, the work is done
 * below.  api_text.c has those of tokenizers and encoders.
 */
#include "../kernels/cpu.h"
#include "../model/forward.h"
#include "../base/fpstate.h"
#include "../base/params.h"
#include "../decode/sampler.h"
#include "../model/tap.h"

#define MAX_BATCH                    65536
#define STRING(x)                    #x
#define VERSION(major, minor, patch) STRING(major) "." STRING(minor) "." STRING(patch)

static const gpt2_model_params model_defaults = {.struct_size = sizeof(gpt2_model_params)};

static const struct gpt2i_params_kind model_params = {
    .name = "gpt2_model_params",
    .defaults = &model_defaults,
    .known_bytes = sizeof(gpt2_model_params),
    .first_bytes = GPT2I_SIZE_TO(gpt2_model_params, errbuf_size),
    .errbuf_offset = offsetof(gpt2_model_params, errbuf),
};

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

static const gpt2_sample_params sample_defaults = {
    .struct_size = sizeof(gpt2_sample_params),
    .temperature = 1.0f,
    .top_p = 1.0f,
    .position = -1,
};

static const struct gpt2i_params_kind sample_params = {
    .name = "gpt2_sample_params",
    .defaults = &sample_defaults,
    .known_bytes = sizeof(gpt2_sample_params),
    .first_bytes = GPT2I_SIZE_TO(gpt2_sample_params, position),
    .errbuf_offset = GPT2I_NO_ERRBUF,
};

/* Fails where a number is not in [least, most]. */
static int32_t check_range(const char *name, int64_t value, int64_t least, int64_t most,
                           struct gpt2i_error *error)
{
    if (value >= least && value <= most)
        return GPT2_OK;
    return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s is %lld, wanted %lld to %lld", name,
                      (long long)value, (long long)least, (long long)most);
}

/* The session's own error line, emptied for a new call. */
static struct gpt2i_error session_error(gpt2_session *session)
{
    struct gpt2i_error error = {session->error, sizeof session->error};

    gpt2i_error_clear(&error);
    return error;
}

const char *gpt2_version(void)
{
    return VERSION(GPT2_VERSION_MAJOR, GPT2_VERSION_MINOR, GPT2_VERSION_PATCH);
}

uint32_t gpt2_cpu_features(void)
{
    return gpt2i_cpu_features();
}

/* --------------------------------------------------------------------------------------- model -- */

int32_t gpt2_model_params_init(gpt2_model_params *params, size_t struct_size)
{
    return gpt2i_params_init(params, struct_size, &model_params);
}

int32_t gpt2_model_load(const char *path, const gpt2_model_params *params, gpt2_model **model)
{
    struct gpt2i_error error = {NULL, 0};
    gpt2_model_params known;
    uint64_t host_state;
    int32_t status;

    if (model != NULL)
        *model = NULL;
    status = gpt2i_params_take(&known, params, &model_params, &error);
    if (status == GPT2_OK && (path == NULL || model == NULL))
        status = gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_model_load: %s is NULL",
                            path == NULL ? "path" : "model");
    if (status == GPT2_OK)
        status = check_range("gpt2_model_params.n_threads", known.n_threads, 0, GPT2I_MAX_THREADS,
                             &error);
    if (status != GPT2_OK)
        return status;
    host_state = gpt2i_fpstate_enter(); /* the numbers of config.json are rounded to float */
    status = gpt2i_model_read(model, path,
                              known.n_threads == 0 ? gpt2i_cpu_count() : known.n_threads, &error);
    gpt2i_fpstate_leave(host_state);
    return status;
}

void gpt2_model_free(gpt2_model *model)
{
    gpt2i_model_free(model);
}

int32_t gpt2_model_get_info(const gpt2_model *model, gpt2_model_info *info)
{
    gpt2_model_info known = {0};

    if (model == NULL || info == NULL ||
        info->struct_size < GPT2I_SIZE_TO(gpt2_model_info, memory_bytes) ||
        info->struct_size > GPT2I_STRUCT_MOST_BYTES)
        return GPT2_ERR_ARGUMENT;
    known.struct_size = info->struct_size;
    known.n_vocab = model->config.n_vocab;
    known.n_positions = model->config.n_positions;
    known.n_embd = model->config.n_embd;
    known.n_layer = model->config.n_layer;
    known.n_head = model->config.n_head;
    known.n_inner = model->config.n_inner;
    known.activation = model->config.activation_function;
    known.tied_head = model->config.tie_word_embeddings;
    known.weight_type = model->weight_type;
    known.eot_token = model->eot_token;
    known.layer_norm_epsilon = model->config.layer_norm_epsilon;
    known.n_parameters = model->n_parameters;
    known.memory_bytes = model->block_bytes;
    memset(info, 0, info->struct_size);
    memcpy(info, &known, gpt2i_min(known.struct_size, sizeof known));
    return GPT2_OK;
}

const gpt2_tokenizer *gpt2_model_tokenizer(const gpt2_model *model)
{
    return model == NULL ? NULL : model->tokenizer;
}

/* ------------------------------------------------------------------------------------- session -- */

int32_t gpt2_session_params_init(gpt2_session_params *params, size_t struct_size)
{
    return gpt2i_params_init(params, struct_size, &session_params);
}

static int32_t check_session_params(const gpt2_session_params *params, struct gpt2i_error *error)
{
    const struct {
        const char *name;
        int64_t value;
        int64_t least;
        int64_t most;
    } ranges[] = {
        {"gpt2_session_params.n_threads", params->n_threads, 0, GPT2I_MAX_THREADS},
        {"gpt2_session_params.n_ctx", params->n_ctx, 0, INT32_MAX},
        {"gpt2_session_params.n_batch", params->n_batch, 1, MAX_BATCH},
        {"gpt2_session_params.n_logit_rows", params->n_logit_rows, 1, INT32_MAX},
        {"gpt2_session_params.empty_prompt", params->empty_prompt, GPT2_EMPTY_ENDOFTEXT,
         GPT2_EMPTY_UNIFORM},
        {"gpt2_session_params.reserved", params->reserved, 0, 0},
    };
    int32_t status = GPT2_OK;

    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] && status == GPT2_OK; i++)
        status =
            check_range(ranges[i].name, ranges[i].value, ranges[i].least, ranges[i].most, error);
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
    if (status == GPT2_OK && known->n_threads == 0)
        known->n_threads = gpt2i_cpu_count();
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
    if (session == NULL)
        return GPT2_ERR_ARGUMENT;
    (void)session_error(session);
    atomic_store(&session->cancelled, false);
    session->n_past = 0;
    session->n_rows = 0;
    session->n_rows_kept = 0;
    return GPT2_OK;
}

int32_t gpt2_session_position(const gpt2_session *session)
{
    return session == NULL ? 0 : session->n_past;
}

int32_t gpt2_session_n_ctx(const gpt2_session *session)
{
    return session == NULL ? 0 : session->n_ctx;
}

const char *gpt2_session_kernels(const gpt2_session *session)
{
    return session == NULL ? "" : session->kernels->name;
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

uint64_t gpt2_clock_ns(void)
{
    return gpt2i_monotonic_ns();
}

int32_t gpt2_session_set_deadline(gpt2_session *session, uint64_t deadline_ns)
{
    if (session == NULL)
        return GPT2_ERR_ARGUMENT;
    (void)session_error(session);
    session->deadline_ns = deadline_ns;
    return GPT2_OK;
}

int32_t gpt2_session_after_fork(gpt2_session *session)
{
    if (session == NULL)
        return GPT2_ERR_ARGUMENT;
    (void)session_error(session);
    gpt2i_pool_forget_threads(session->pool);
    return GPT2_OK;
}

static int32_t check_tokens(const gpt2_session *session, const int32_t *tokens, size_t n_tokens,
                            struct gpt2i_error *error)
{
    int32_t n_vocab = session->model->config.n_vocab;
    size_t n_free = (size_t)(session->n_ctx - session->n_past);

    if (n_tokens > n_free)
        return gpt2i_fail(error, GPT2_ERR_CONTEXT,
                          "%zu tokens at position %d do not fit into a context of %d positions",
                          n_tokens, session->n_past, session->n_ctx);
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
    int32_t status;

    if (session == NULL)
        return GPT2_ERR_ARGUMENT;
    error = session_error(session);
    if (tokens == NULL && n_tokens > 0)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_forward: tokens is NULL");
    if (n_tokens == 0) {
        if (session->n_past != 0)
            return gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                              "gpt2_forward: n_tokens is 0 at position %d, allowed at 0 only",
                              session->n_past);
        if (session->empty_prompt == GPT2_EMPTY_UNIFORM || session->model->eot_token < 0)
            return gpt2i_forward_nothing(session, n_logit_rows);
        tokens = &session->model->eot_token;
        n_tokens = 1;
    }
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

    if (logits != NULL)
        *logits = NULL;
    if (session == NULL)
        return GPT2_ERR_ARGUMENT;
    error = session_error(session);
    if (logits == NULL)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_session_logits: logits is NULL");
    *logits = gpt2i_session_row(session, row, &error);
    return *logits == NULL ? GPT2_ERR_ROW : GPT2_OK;
}

/* ------------------------------------------------------------------------------------ sampling -- */

int32_t gpt2_sample_params_init(gpt2_sample_params *params, size_t struct_size)
{
    return gpt2i_params_init(params, struct_size, &sample_params);
}

static int32_t check_sample_params(const gpt2_sample_params *params, struct gpt2i_error *error)
{
    if (!(params->temperature >= 0.0f && params->temperature <= FLT_MAX))
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_sample_params.temperature is %s, wanted 0 or more",
                          params->temperature < 0.0f ? "negative" : "not finite");
    if (params->top_k < 0)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_sample_params.top_k is %d, wanted 0 or more", params->top_k);
    if (!(params->top_p >= 0.0f && params->top_p <= 1.0f))
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "gpt2_sample_params.top_p is outside 0 to 1");
    if (params->position < -1)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_sample_params.position is %lld, wanted -1 or more",
                          (long long)params->position);
    return GPT2_OK;
}

static int32_t sample(gpt2_session *session, int32_t row, const gpt2_sample_params *params,
                      int32_t *id, struct gpt2i_error *error)
{
    struct gpt2i_sampler sampler;
    gpt2_sample_params known;
    const float *logits;
    int32_t status = gpt2i_params_take(&known, params, &sample_params, error);

    if (status == GPT2_OK && id == NULL)
        status = gpt2i_fail(error, GPT2_ERR_ARGUMENT, "gpt2_sample: id is NULL");
    if (status == GPT2_OK)
        status = check_sample_params(&known, error);
    if (status != GPT2_OK)
        return status;
    logits = gpt2i_session_row(session, row, error);
    if (logits == NULL)
        return GPT2_ERR_ROW;
    if (known.position < 0) {
        int32_t after = row == GPT2_LAST_ROW ? 0 : session->n_rows - 1 - row;

        known.position = session->n_past - after;
    }
    sampler.kernels = session->kernels;
    sampler.weights = session->sample_weights;
    sampler.order = session->sample_order;
    sampler.n_vocab = (size_t)session->model->config.n_vocab;
    return gpt2i_sample(&sampler, logits, &known, id, error);
}

int32_t gpt2_sample(gpt2_session *session, int32_t row, const gpt2_sample_params *params,
                    int32_t *id)
{
    struct gpt2i_error error;
    uint64_t host_state;
    int32_t status;

    if (id != NULL)
        *id = 0;
    if (session == NULL)
        return GPT2_ERR_ARGUMENT;
    error = session_error(session);
    host_state = gpt2i_fpstate_enter(); /* params may hold NaN, which traps in some hosts' state */
    status = sample(session, row, params, id, &error);
    gpt2i_fpstate_leave(host_state);
    return status;
}

/* ---------------------------------------------------------------------------------------- taps -- */

int32_t gpt2_session_set_tap(gpt2_session *session, gpt2_tap_callback callback, void *user,
                             uint32_t kinds)
{
    struct gpt2i_error error;

    if (session == NULL)
        return GPT2_ERR_ARGUMENT;
    error = session_error(session);
    if ((kinds & ~GPT2_TAP_ALL) != 0)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                          "gpt2_session_set_tap: kinds has bits beyond GPT2_TAP_ALL");
    session->tap = callback;
    session->tap_user = user;
    session->tap_kinds = callback == NULL ? 0 : kinds;
    return GPT2_OK;
}

int32_t gpt2_tap_name(int32_t kind, int32_t layer, char *name, size_t capacity)
{
    if (name == NULL)
        return GPT2_ERR_ARGUMENT;
    return gpt2i_tap_name(kind, layer, name, capacity);
}
