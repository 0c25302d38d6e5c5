/*
 * api_session.c: sessions: creating and freeing them, what they tell, and what a call leaves
 * behind.
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

const char *fuzz_name(const struct fuzz_session *session)
{
    static char name[256];

    if (session == NULL)
        return "NULL";
    (void)snprintf(name, sizeof name,
                   "session %d (%s, n_ctx %d, n_batch %d, n_logit_rows %d, %d threads) with %d "
                   "tokens",
                   (int)(session - fuzz_sessions), session->model->directory, (int)session->n_ctx,
                   (int)session->n_batch, (int)session->n_logit_rows, (int)session->n_threads,
                   (int)session->n_past);
    return name;
}

/* ------------------------------------------------------------------------------------ hashes -- */

uint64_t fuzz_hash_kv(const gpt2_session *session, int32_t n_positions)
{
    const struct gpt2i_kvcache *kv = &session->kv;
    uint64_t hash = 1;

    for (size_t layer = 0; layer < kv->n_layer; layer++) {
        for (size_t page = 0; page * GPT2I_PAGE < (size_t)n_positions; page++) {
            size_t n = gpt2i_min((size_t)n_positions - page * GPT2I_PAGE, GPT2I_PAGE);

            for (size_t head = 0; head < kv->n_head; head++) {
                const float *keys = gpt2i_kv_keys(kv, layer, page, head);

                for (size_t d = 0; d < kv->head_dim; d++)
                    hash = fuzz_hash(hash, keys + d * GPT2I_PAGE, n * sizeof(float));
                hash = fuzz_hash(hash, gpt2i_kv_values(kv, layer, page, head),
                                 n * kv->head_dim * sizeof(float));
            }
        }
    }
    return hash;
}

/* NaN is NaN, whatever its bits: they are not promised. */
static uint64_t hash_logits(const float *logits, size_t n)
{
    uint64_t hash = 1;

    for (size_t i = 0; i < n; i++) {
        uint32_t bits = 0x7fc00000;

        if (logits[i] == logits[i])
            memcpy(&bits, &logits[i], sizeof bits);
        hash = (hash ^ bits) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 32;
    }
    return hash;
}

struct fuzz_hashes fuzz_hashes_of(const gpt2_session *session)
{
    const uint64_t settings[] = {
        (uintptr_t)session->model,
        (uintptr_t)session->compute.kernels.name,
        (uintptr_t)session->compute.pool,
        (uint64_t)session->n_ctx,
        (uint64_t)session->n_batch,
        (uint64_t)session->n_logit_rows,
        (uint64_t)session->sequence.n_past,
        (uintptr_t)session->taps.callback,
        (uintptr_t)session->taps.user,
        session->taps.kinds,
        session->block_bytes,
    };
    struct fuzz_hashes hashes = {
        .settings = fuzz_hash(0, settings, sizeof settings),
        .kv = fuzz_hash_kv(session, session->sequence.n_past),
    };

    if (session->sequence.n_rows_kept > 0)
        hashes.logits = hash_logits(session->logits, (size_t)session->sequence.n_rows_kept *
                                                         (size_t)session->model->config.n_vocab) +
                        (uint64_t)session->sequence.n_rows * 0x9e3779b97f4a7c15;
    return hashes;
}

/* The text's numbers are as this record has them. */
static void check_record(const struct fuzz_session *session)
{
    const gpt2_session *handle = session->handle;

    REQUIRE(gpt2_session_position(handle) == session->n_past, "found position %d, expected %d",
            (int)gpt2_session_position(handle), (int)session->n_past);
    REQUIRE(handle->sequence.n_rows_kept == session->n_kept, "found %d rows kept, expected %d",
            (int)handle->sequence.n_rows_kept, (int)session->n_kept);
    REQUIRE(session->n_kept == 0 || handle->sequence.n_rows == session->n_rows,
            "found %d rows, expected %d", (int)handle->sequence.n_rows, (int)session->n_rows);
    REQUIRE(handle->deadline_ns == session->deadline_ns, "found another deadline");
    REQUIRE(handle->cancelled == session->cancelled, "found a cancel %s, expected the opposite",
            handle->cancelled ? "pending" : "not pending");
}

void fuzz_session_settle(struct fuzz_session *session, bool ok, bool changes)
{
    const char *line = gpt2_session_error(session->handle);
    struct fuzz_hashes now = fuzz_hashes_of(session->handle);

    fuzz_check_line(line, ok);
    (void)snprintf(session->line, sizeof session->line, "%s", line);
    if (!changes) {
        REQUIRE(now.settings == session->hashes.settings,
                "found the session's settings or position changed (position %d, before %d)",
                (int)session->handle->sequence.n_past, (int)session->n_past);
        REQUIRE(now.kv == session->hashes.kv, "found the KV cache changed");
        REQUIRE(now.logits == session->hashes.logits, "found the kept logits changed");
    }
    check_record(session);
    session->hashes = now;
}

void fuzz_sessions_check(void)
{
    for (size_t i = 0; i < FUZZ_N_SESSIONS; i++) {
        struct fuzz_session *session = &fuzz_sessions[i];

        if (session->handle != NULL)
            fuzz_session_settle(session, session->line[0] == '\0', false);
    }
}

/* -------------------------------------------------------------------------- create and free -- */

static void free_session(struct fuzz_session *session)
{
    if (fuzz_chance(2))
        fuzz_replay(session);
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

/* Fields right, on the border, and sometimes wrong. */
static void fill(gpt2_session_params *known)
{
    static const int32_t wrong[] = {-1, INT32_MIN, 257, 65537, INT32_MAX};
    static const uint32_t masks[] = {
        GPT2_CPU_ALL,  0,         GPT2_CPU_AVX2, GPT2_CPU_AVX512, GPT2_CPU_AVX2 | GPT2_CPU_AVX512,
        GPT2_CPU_NEON, 0xfffffff8};
    int32_t *const fields[] = {&known->n_threads, &known->n_ctx, &known->n_batch,
                               &known->n_logit_rows};

    known->cpu_mask = PICK(masks);
    known->n_threads = random_threads();
    known->n_ctx = fuzz_chance(3) ? 1 + (int32_t)fuzz_below(80) : 0;
    known->n_batch = fuzz_chance(2) ? 256 : 1 + (int32_t)fuzz_below(20);
    known->n_logit_rows = fuzz_chance(2) ? 1 + (int32_t)fuzz_below(12) : 1000;
    if (fuzz_chance(4)) {
        known->parallel_for = parallel_for;
        known->parallel_for_user = &parallel_for_state;
    }
    if (fuzz_chance(4))
        *PICK(fields) = PICK(wrong);
}

static bool are_right(const gpt2_session_params *known)
{
    return known->n_threads >= 0 && known->n_threads <= 256 && known->n_ctx >= 0 &&
           known->n_batch >= 1 && known->n_batch <= 65536 && known->n_logit_rows >= 1;
}

static int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* Params for the call that has begun, and what they say. */
static struct fuzz_params make_params(gpt2_session_params *known)
{
    struct fuzz_params params = fuzz_params_make(&fuzz_session_params);

    (void)gpt2_session_params_init(known, sizeof *known);
    if (params.writable) {
        memcpy(known, params.at, sizeof *known);
        fill(known);
        memcpy(params.at, known, sizeof *known);
        fuzz_may(!are_right(known), GPT2_ERR_ARGUMENT);
    }
    fuzz_say("params %s, threads %d, n_ctx %d, n_batch %d, n_logit_rows %d",
             params.at == NULL ? "NULL" : "given", (int)known->n_threads, (int)known->n_ctx,
             (int)known->n_batch, (int)known->n_logit_rows);
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
    params = make_params(&known);
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
    if (are_right(known))
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
    params = make_params(&known);
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
    *session = (struct fuzz_session){
        .handle = handle,
        .block = block,
        .model = model,
        .n_threads = known.n_threads,
        .n_ctx = known.n_ctx > 0 ? least(known.n_ctx, model->n_positions) : model->n_positions,
        .n_batch = known.n_batch,
    };
    session->n_logit_rows = least(known.n_logit_rows, session->n_ctx);
    model->n_sessions++;
    fuzz_session_settle(session, true, true);
}

/* ------------------------------------------------------------------------------- small calls -- */

static void do_getters(void)
{
    static const char *const kernels[] = {"scalar", "avx2", "avx512", "neon"};
    struct fuzz_session *session = fuzz_chance(8) ? NULL : fuzz_pick_session();
    const gpt2_session *handle = session == NULL ? NULL : session->handle;
    const char *name;
    bool known = handle == NULL;

    fuzz_call(FUZZ_gpt2_session_position, "%s", fuzz_name(session));
    REQUIRE(gpt2_session_position(handle) == (handle == NULL ? 0 : session->n_past), "found %d",
            (int)gpt2_session_position(handle));
    fuzz_call(FUZZ_gpt2_session_n_ctx, "%s", fuzz_name(session));
    REQUIRE(gpt2_session_n_ctx(handle) == (handle == NULL ? 0 : session->n_ctx), "found %d",
            (int)gpt2_session_n_ctx(handle));
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
    session->n_past = session->n_rows = session->n_kept = 0;
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
