/*
 * api_session.c: sessions: creating and freeing them, and what they tell.
 */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "api_session.h"

struct fuzz_session fuzz_sessions[FUZZ_N_SESSIONS];

struct fuzz_session *fuzz_pick_session(void)
{
    for (int i = 0; i < 4; i++) {
        struct fuzz_session *session = &PICK(fuzz_sessions);

        if (session->handle != NULL)
            return session;
    }
    return NULL;
}

/* -------------------------------------------------------------------------- create and free -- */

static void free_session(struct fuzz_session *session)
{
    if (fuzz_chance(2))
        fuzz_replay(session);
    fuzz_generators_free(session);
    fuzz_call(FUZZ_gpt2_session_free, "%s", fuzz_name(session));
    gpt2_session_free(session->handle);
    free(session->block);
    session->handle = NULL;
    session->model->n_sessions--;
}

void fuzz_sessions_close(void)
{
    for (size_t i = 0; i < FUZZ_N_SESSIONS; i++) {
        if (fuzz_sessions[i].handle != NULL)
            free_session(&fuzz_sessions[i]);
    }
}

static int32_t random_threads(void)
{
    if (fuzz_chance(1000))
        return fuzz_chance(4) ? 256 : (int32_t)fuzz_below(32);
    return fuzz_chance(8) ? 2 + (int32_t)fuzz_below(3) : 1;
}

static uint32_t parallel_for_state;

/* A host's pool without threads: from any worker on around, and sometimes none. */
static void parallel_for(void *user, int32_t n_workers,
                         void (*worker)(void *argument, int32_t index), void *argument)
{
    uint32_t *state = user;
    int32_t first;

    REQUIRE(n_workers > 1 && n_workers <= 256, "found %d workers", (int)n_workers);
    *state = *state * 1664525 + 1013904223;
    first = (int32_t)((*state >> 8) % (uint32_t)n_workers);
    for (int32_t i = 0; i < n_workers && (*state >> 28) > 0; i++)
        worker(argument, (first + i) % n_workers);
}

/* What gpt2_session_create() makes of n_ctx. */
static int32_t n_ctx_of(const gpt2_session_params *known, const struct fuzz_model *model)
{
    return known->n_ctx > 0 ? fuzz_min(known->n_ctx, model->n_positions) : model->n_positions;
}

/* Fields right, on the border, and sometimes wrong. */
static void fill(gpt2_session_params *known, const struct fuzz_model *model)
{
    static const int32_t wrong[] = {-1, INT32_MIN, 257, 65537, INT32_MAX};
    static const uint32_t masks[] = {
        GPT2_CPU_ALL,  0,         GPT2_CPU_AVX2, GPT2_CPU_AVX512, GPT2_CPU_AVX2 | GPT2_CPU_AVX512,
        GPT2_CPU_NEON, 0xfffffff8};
    static const int32_t too_many[] = {-1, INT32_MIN, 0, 65537, INT32_MAX};
    static const int32_t negative[] = {-1, INT32_MIN};
    int32_t *const fields[] = {&known->n_threads,    &known->n_ctx,   &known->n_batch,
                               &known->n_logit_rows, &known->kv_type, &known->on_full,
                               &known->reserved};

    known->cpu_mask = PICK(masks);
    known->n_threads = random_threads();
    known->n_ctx = fuzz_chance(3) ? 1 + (int32_t)fuzz_below(80) : 0;
    known->n_batch = fuzz_chance(2) ? 256 : 1 + (int32_t)fuzz_below(20);
    known->n_logit_rows = fuzz_chance(2) ? (int32_t)fuzz_below(13) : 1000;
    known->n_sequences = fuzz_chance(3) ? 1 : 1 + (int32_t)fuzz_below(FUZZ_MAX_TEXTS);
    known->n_pages = fuzz_chance(2) ? 1 + (int32_t)fuzz_below(6) : fuzz_chance(8) ? INT32_MAX : 0;
    known->kv_type = fuzz_chance(3) ? GPT2_TYPE_F16 : GPT2_TYPE_F32;
    known->on_full = fuzz_chance(2) ? GPT2_FULL_SHIFT : GPT2_FULL_STOP;
    known->n_keep = fuzz_chance(2) ? (int32_t)fuzz_below(8) : 0;
    if (fuzz_chance(8))
        known->n_keep = n_ctx_of(known, model) - 1 - (int32_t)fuzz_below(3);
    if (fuzz_chance(4)) {
        known->parallel_for = parallel_for;
        known->parallel_for_user = &parallel_for_state;
    }
    if (fuzz_chance(4))
        *PICK(fields) = PICK(wrong);
    if (fuzz_chance(24))
        known->n_sequences = PICK(too_many);
    if (fuzz_chance(24))
        *(fuzz_chance(2) ? &known->n_pages : &known->n_keep) = PICK(negative);
}

static bool are_right(const gpt2_session_params *known, const struct fuzz_model *model)
{
    return known->n_threads >= 0 && known->n_threads <= 256 && known->n_ctx >= 0 &&
           known->n_batch >= 1 && known->n_batch <= 65536 && known->n_logit_rows >= 0 &&
           known->n_sequences >= 1 && known->n_sequences <= 65536 && known->n_pages >= 0 &&
           (known->kv_type == GPT2_TYPE_F32 || known->kv_type == GPT2_TYPE_F16) &&
           (known->on_full == GPT2_FULL_STOP || known->on_full == GPT2_FULL_SHIFT) &&
           known->n_keep >= 0 && known->reserved == 0 &&
           (known->on_full == GPT2_FULL_STOP || known->n_keep <= n_ctx_of(known, model) - 2);
}

/* Params for the call that has begun, and what they say. */
static struct fuzz_params make_params(gpt2_session_params *known, const struct fuzz_model *model)
{
    struct fuzz_params params = fuzz_params_make(&fuzz_session_params);

    (void)gpt2_session_params_init(known, sizeof *known);
    if (params.writable) {
        memcpy(known, params.at, sizeof *known);
        fill(known, model);
        memcpy(params.at, known, sizeof *known);
        fuzz_may(!are_right(known, model), GPT2_ERR_ARGUMENT);
    }
    fuzz_say("params %s, threads %d, n_ctx %d, n_batch %d, n_logit_rows %d, n_sequences %d, "
             "n_pages %d, kv_type %d, on_full %d, n_keep %d",
             params.at == NULL ? "NULL" : "given", (int)known->n_threads, (int)known->n_ctx,
             (int)known->n_batch, (int)known->n_logit_rows, (int)known->n_sequences,
             (int)known->n_pages, (int)known->kv_type, (int)known->on_full, (int)known->n_keep);
    return params;
}

static void do_size(void)
{
    struct fuzz_model *model = &PICK(fuzz_models);
    size_t n_bytes = 99, *out = fuzz_chance(16) ? NULL : &n_bytes;
    gpt2_session_params known;
    struct fuzz_params params;
    bool none = fuzz_chance(16), ok;

    fuzz_call(FUZZ_gpt2_session_size, " ");
    params = make_params(&known, model);
    fuzz_may(none || out == NULL, GPT2_ERR_ARGUMENT);
    ok = fuzz_result(gpt2_session_size(none ? NULL : model->model, params.at, out));
    fuzz_params_check(&params, ok);
    REQUIRE(out == NULL || (n_bytes > 0) == ok, "found a size of %zu", n_bytes);
}

/* Memory for a session of these params, sometimes too little; at any address, with any content. */
static void *random_memory(const struct fuzz_model *model, gpt2_session_params *known,
                           unsigned char **block, size_t *n_bytes)
{
    size_t past = fuzz_below(65), wanted = 0;

    known->struct_size = sizeof *known; /* for a call that is not the one under test */
    known->errbuf = NULL;
    if (are_right(known, model))
        REQUIRE(gpt2_session_size(model->model, known, &wanted) == GPT2_OK, "no size");
    *n_bytes = wanted;
    if (wanted > 0 && fuzz_chance(8)) {
        *n_bytes = fuzz_chance(2) ? wanted - 1 : fuzz_below(wanted);
        fuzz_may(true, GPT2_ERR_BUFFER);
    }
    *block = malloc(*n_bytes + past);
    REQUIRE(*block != NULL || *n_bytes + past == 0, "no memory for a test");
    memset(*block, 0xa5, *n_bytes + past);
    return *block + past;
}

/* What the library makes of right params. */
static void record(struct fuzz_session *session, const gpt2_session_params *known,
                   struct fuzz_model *model)
{
    int32_t n_ctx = n_ctx_of(known, model), enough = known->n_sequences * fuzz_pages_for(n_ctx);
    int32_t n_logit_rows = known->n_logit_rows > 0 ? known->n_logit_rows : known->n_sequences;

    *session = (struct fuzz_session){
        .model = model,
        .n_threads = known->n_threads,
        .n_ctx = n_ctx,
        .n_batch = known->n_batch,
        .n_logit_rows = fuzz_min(n_logit_rows, known->n_sequences * n_ctx),
        .n_sequences = known->n_sequences,
        .n_pages = known->n_pages > 0 ? fuzz_min(known->n_pages, enough) : enough,
        .kv_type = known->kv_type,
        .shifts = known->on_full == GPT2_FULL_SHIFT,
        .n_keep = known->n_keep,
    };
    fuzz_texts_reset(session);
}

/* A new session where the place is free, by one of two ways; else that session ends. */
static void do_make(void)
{
    struct fuzz_session *session = &PICK(fuzz_sessions);
    struct fuzz_model *model = &PICK(fuzz_models);
    gpt2_session *handle = (gpt2_session *)fuzz_models, **out = fuzz_chance(16) ? NULL : &handle;
    bool none = fuzz_chance(16), in_place = fuzz_chance(2), ok;
    const gpt2_model *of = none ? NULL : model->model;
    unsigned char *block = NULL;
    gpt2_session_params known;
    struct fuzz_params params;

    if (session->handle != NULL) {
        free_session(session);
        return;
    }
    fuzz_call(in_place ? FUZZ_gpt2_session_init : FUZZ_gpt2_session_create, " ");
    params = make_params(&known, model);
    fuzz_may(none || out == NULL, GPT2_ERR_ARGUMENT);
    if (in_place) {
        size_t n_bytes;
        void *memory = random_memory(model, &known, &block, &n_bytes);

        if (fuzz_chance(16)) {
            memory = NULL;
            fuzz_may(true, GPT2_ERR_ARGUMENT);
        }
        ok = fuzz_result(gpt2_session_init(of, params.at, memory, n_bytes, out));
    } else {
        ok = fuzz_result(gpt2_session_create(of, params.at, out));
    }
    fuzz_params_check(&params, ok);
    if (!ok) {
        REQUIRE(out == NULL || handle == NULL, "found a session after a failure, expected NULL");
        free(block);
        return;
    }
    record(session, &known, model);
    session->handle = handle;
    session->block = block;
    model->n_sessions++;
    fuzz_session_settle(session, true, true);
}

/* ------------------------------------------------------------------------------- small calls -- */

static void do_getters(void)
{
    static const char *const kernels[] = {"scalar",     "avx2", "avxvnni", "avx512",
                                          "avx512vnni", "neon", "dotprod"};
    struct fuzz_session *session = fuzz_chance(8) ? NULL : fuzz_pick_session();
    const gpt2_session *handle = session == NULL ? NULL : session->handle;
    const char *name;
    bool known = handle == NULL;

    fuzz_call(FUZZ_gpt2_session_position, "%s", fuzz_name(session));
    REQUIRE(gpt2_session_position(handle) ==
                (handle == NULL ? 0 : fuzz_text_position(&session->texts[0])),
            "found %d", (int)gpt2_session_position(handle));
    fuzz_call(FUZZ_gpt2_session_n_ctx, "%s", fuzz_name(session));
    REQUIRE(gpt2_session_n_ctx(handle) == (handle == NULL ? 0 : session->n_ctx), "found %d",
            (int)gpt2_session_n_ctx(handle));
    fuzz_call(FUZZ_gpt2_session_n_free_pages, "%s", fuzz_name(session));
    REQUIRE(gpt2_session_n_free_pages(handle) == (handle == NULL ? 0 : fuzz_n_free_pages(session)),
            "found %d", (int)gpt2_session_n_free_pages(handle));
    fuzz_call(FUZZ_gpt2_session_kernels, "%s", fuzz_name(session));
    name = gpt2_session_kernels(handle);
    REQUIRE(handle != NULL || name[0] == '\0', "found \"%s\"", name);
    for (size_t i = 0; i < COUNT(kernels); i++)
        known |= strcmp(name, kernels[i]) == 0;
    REQUIRE(known, "found \"%s\"", name);
    fuzz_call(FUZZ_gpt2_session_error, "%s", fuzz_name(session));
    name = gpt2_session_error(handle);
    REQUIRE(strcmp(name, handle == NULL ? "" : session->line) == 0, "found \"%s\"", name);
}

static void do_cancel(void)
{
    struct fuzz_session *session = fuzz_chance(8) ? NULL : fuzz_pick_session();

    fuzz_call(FUZZ_gpt2_session_cancel, "%s", fuzz_name(session));
    gpt2_session_cancel(session == NULL ? NULL : session->handle);
    if (session != NULL) {
        session->cancelled = true;
        fuzz_session_settle(session, session->line[0] == '\0', true);
    }
}

static void do_deadline(void)
{
    static const uint64_t times[] = {0, 0, 0, 1, 1000000, UINT64_MAX, INT64_MAX};
    struct fuzz_session *session = fuzz_chance(16) ? NULL : fuzz_pick_session();
    uint64_t deadline = PICK(times);

    fuzz_call(FUZZ_gpt2_session_set_deadline, "%s, %llu", fuzz_name(session),
              (unsigned long long)deadline);
    fuzz_may(session == NULL, GPT2_ERR_ARGUMENT);
    if (fuzz_result(
            gpt2_session_set_deadline(session == NULL ? NULL : session->handle, deadline))) {
        session->deadline_ns = deadline;
        fuzz_session_settle(session, true, true);
    }
}

void fuzz_reset(struct fuzz_session *session)
{
    fuzz_call(FUZZ_gpt2_session_reset, "%s", fuzz_name(session));
    fuzz_may(session == NULL, GPT2_ERR_ARGUMENT);
    if (!fuzz_result(gpt2_session_reset(session == NULL ? NULL : session->handle)))
        return;
    fuzz_texts_reset(session);
    session->cancelled = false;
    fuzz_session_settle(session, true, true);
}

static void do_reset(void)
{
    struct fuzz_session *session = fuzz_chance(16) ? NULL : fuzz_pick_session();

    if (session != NULL && fuzz_chance(4))
        fuzz_replay(session);
    fuzz_reset(session);
}

const struct fuzz_action fuzz_session_actions[] = {
    {do_make, 7},      {do_size, 4},   {do_getters, 20}, {do_cancel, 6},
    {do_deadline, 12}, {do_reset, 14}, {NULL, 0},
};
