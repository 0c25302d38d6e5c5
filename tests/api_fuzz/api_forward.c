/*
 * api_forward.c: running tokens, with taps, cancels and deadlines; the same text run anew.
 */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "api_session.h"

#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t fuzz_n_replays;

/* -------------------------------------------------------------------------------------- taps -- */

/* Depends on the row's own numbers and place alone, so that any way to run the text gives the same. */
void fuzz_tap_change(float *row, int32_t position)
{
    row[0] = row[0] * 0.5f + 0.0625f * (float)(position % 5);
}

static int32_t columns_of(const struct fuzz_session *session, const gpt2_tap *tap)
{
    const struct fuzz_model *model = session->model;

    switch (tap->kind) {
    case GPT2_TAP_ATTN_QKV:
        return 3 * model->n_embd;
    case GPT2_TAP_ATTN_SCORES:
    case GPT2_TAP_ATTN_PROBS:
        return tap->first_position + tap->n_rows;
    case GPT2_TAP_MLP_FC:
    case GPT2_TAP_MLP_ACT:
        return model->n_inner;
    case GPT2_TAP_LOGITS:
        return model->n_vocab;
    default:
        return model->n_embd;
    }
}

static bool is_of_head(int32_t kind)
{
    return kind == GPT2_TAP_ATTN_SCORES || kind == GPT2_TAP_ATTN_PROBS;
}

static bool is_of_block(int32_t kind)
{
    return kind != GPT2_TAP_EMBED && kind != GPT2_TAP_LN_F && kind != GPT2_TAP_LOGITS;
}

static void check_tap(const struct fuzz_session *session, const gpt2_tap *tap)
{
    const struct fuzz_model *model = session->model;

    REQUIRE(tap->struct_size == sizeof *tap, "found tap size %u", (unsigned)tap->struct_size);
    REQUIRE(tap->kind >= 0 && tap->kind < GPT2_TAP_COUNT &&
                (session->tap_kinds & GPT2_TAP_BIT(tap->kind)) != 0,
            "found a tap of kind %d, kinds are 0x%x", (int)tap->kind, (unsigned)session->tap_kinds);
    REQUIRE(is_of_block(tap->kind) ? tap->layer >= 0 && tap->layer < model->n_layer
                                   : tap->layer == -1,
            "found layer %d at a tap of kind %d", (int)tap->layer, (int)tap->kind);
    REQUIRE(is_of_head(tap->kind) ? tap->head >= 0 && tap->head < model->n_head : tap->head == -1,
            "found head %d at a tap of kind %d", (int)tap->head, (int)tap->kind);
    REQUIRE(tap->first_row >= 0 && tap->first_position == session->n_past + tap->first_row,
            "found row %d at position %d", (int)tap->first_row, (int)tap->first_position);
    REQUIRE(tap->n_rows > 0 && tap->n_rows <= session->n_batch &&
                (!is_of_head(tap->kind) || tap->n_rows <= 64),
            "found %d rows in a piece of kind %d", (int)tap->n_rows, (int)tap->kind);
    REQUIRE(tap->n_columns == columns_of(session, tap) && tap->row_stride >= (size_t)tap->n_columns,
            "found %d columns, stride %zu at a tap of kind %d", (int)tap->n_columns,
            tap->row_stride, (int)tap->kind);
}

static int32_t on_tap(void *user, const gpt2_tap *tap)
{
    static const int32_t ends[] = {1, -1, INT32_MIN, INT32_MAX, GPT2_ERR_NONFINITE};
    struct fuzz_session *session = user;
    bool is_it;

    check_tap(session, tap);
    session->rows_seen[tap->kind] += (uint64_t)tap->n_rows;
    is_it = session->n_pieces++ == session->stop_at;
    for (int32_t row = 0; row < tap->n_rows && session->tap_mode == FUZZ_TAP_CHANGES; row++)
        fuzz_tap_change(tap->data + (size_t)row * tap->row_stride, tap->first_position + row);
    if (is_it && session->tap_mode == FUZZ_TAP_CANCELS) {
        gpt2_session_cancel(session->handle);
        session->cancelled_by_tap = true;
    }
    if (!is_it || session->tap_mode != FUZZ_TAP_STOPS)
        return 0;
    session->stopped = true;
    return ends[session->n_pieces % COUNT(ends)];
}

static void do_set_tap(void)
{
    static const uint32_t wrong[] = {GPT2_TAP_ALL + 1, 0x80000000u, 0xffffffffu};
    struct fuzz_session *session = fuzz_chance(16) ? NULL : fuzz_pick_session();
    uint32_t kinds = fuzz_chance(3)   ? 1u << fuzz_below(14)
                     : fuzz_chance(4) ? GPT2_TAP_ALL
                                      : (uint32_t)fuzz_random() & GPT2_TAP_ALL;
    enum fuzz_tap_mode mode = (enum fuzz_tap_mode)fuzz_below(4);
    uint64_t stop_at = fuzz_below(40);
    gpt2_tap_callback callback = fuzz_chance(2) ? NULL : on_tap;
    bool ok;

    if (fuzz_chance(16))
        kinds = PICK(wrong);
    fuzz_call(FUZZ_gpt2_session_set_tap, "%s, %s, kinds 0x%x, mode %d, at piece %d",
              fuzz_name(session), callback == NULL ? "NULL" : "given", (unsigned)kinds, (int)mode,
              (int)stop_at);
    fuzz_may(session == NULL || (kinds & ~GPT2_TAP_ALL) != 0, GPT2_ERR_ARGUMENT);
    ok = fuzz_result(
        gpt2_session_set_tap(session == NULL ? NULL : session->handle, callback, session, kinds));
    if (ok) {
        session->tap_kinds = callback == NULL ? 0 : kinds;
        session->tapped = session->tap_kinds != 0;
        session->tap_mode = mode;
        session->stop_at = stop_at;
    }
    if (session != NULL)
        fuzz_session_settle(session, ok, ok);
}

/* Every row of every activation that was wanted came by, once. */
static void check_rows_seen(const struct fuzz_session *session, uint64_t n_rows, uint64_t n_kept)
{
    for (int32_t kind = 0; kind < GPT2_TAP_COUNT; kind++) {
        uint64_t wanted = kind == GPT2_TAP_LN_F || kind == GPT2_TAP_LOGITS ? n_kept : n_rows;

        if (is_of_block(kind))
            wanted *= (uint64_t)session->model->n_layer;
        if (is_of_head(kind))
            wanted *= (uint64_t)session->model->n_head;
        if ((session->tap_kinds & GPT2_TAP_BIT(kind)) == 0)
            wanted = 0;
        REQUIRE(session->rows_seen[kind] == wanted, "found %d rows at taps of kind %d, expected %d",
                (int)session->rows_seen[kind], (int)kind, (int)wanted);
    }
}

/* -------------------------------------------------------------------------- the text run anew -- */

static int32_t replay_tap(void *user, const gpt2_tap *tap)
{
    const struct fuzz_session *session = user;

    for (int32_t row = 0; row < tap->n_rows; row++) {
        int32_t position = tap->first_position + row;

        if ((session->changed[position] & GPT2_TAP_BIT(tap->kind)) != 0)
            fuzz_tap_change(tap->data + (size_t)row * tap->row_stride, position);
    }
    return 0;
}

void fuzz_replay(const struct fuzz_session *session)
{
    const gpt2_session *handle = session->handle;
    struct fuzz_hashes first, again;
    uint32_t changed = 0;
    gpt2_session_params params;
    gpt2_session *fresh;

    if (session->n_past == 0)
        return;
    for (int32_t i = 0; i < session->n_past; i++)
        changed |= session->changed[i];
    (void)gpt2_session_params_init(&params, sizeof params);
    params.cpu_mask = 0;
    params.n_logit_rows = session->n_past;
    REQUIRE(gpt2_session_create(session->model->model, &params, &fresh) == GPT2_OK, "no session");
    if (changed != 0)
        (void)gpt2_session_set_tap(fresh, replay_tap, (void *)session, changed);
    REQUIRE(gpt2_forward(fresh, session->tokens, (size_t)session->n_past,
                         (size_t)session->n_kept) == GPT2_OK,
            "the text cannot be run anew: %s", gpt2_session_error(fresh));
    fresh->sequence.n_rows = handle->sequence.n_rows; /* which are counted in the last call */
    first = fuzz_hashes_of(fresh);
    again = fuzz_hashes_of(handle);
    REQUIRE(first.kv == again.kv, "%s: found keys or values of other bits than its text run anew",
            fuzz_name(session));
    REQUIRE(first.logits == again.logits, "%s: found logits of other bits than its text run anew",
            fuzz_name(session));
    gpt2_session_free(fresh);
    fuzz_n_replays++;
}

static void do_replay(void)
{
    struct fuzz_session *session = fuzz_pick_session();

    if (session == NULL)
        return;
    fuzz_call(FUZZ_gpt2_session_position, "%s", fuzz_name(session));
    REQUIRE(gpt2_session_position(session->handle) == session->n_past, "found another position");
    fuzz_replay(session);
}

/* ----------------------------------------------------------------------------------- forward -- */

/* What a call is to do, by the rules of the header. */
struct plan {
    int32_t *tokens; /* NULL: none given */
    size_t n_tokens;
    size_t n_logit_rows;
    size_t n_kept;
};

static size_t random_n_tokens(const struct fuzz_session *session)
{
    static const size_t huge[] = {201, 1000, 1000000, (size_t)INT32_MAX + 2, SIZE_MAX};
    size_t n_free = session == NULL ? 3 : (size_t)(session->n_ctx - session->n_past);

    switch (fuzz_below(16)) {
    case 0:
        return 0;
    case 1:
        return n_free;
    case 2:
        return n_free + 1;
    case 3:
        return fuzz_chance(4) ? PICK(huge) : 1;
    default:
        return 1 + fuzz_below(fuzz_chance(8) ? n_free + 1 : 4);
    }
}

static struct plan make_plan(const struct fuzz_session *session)
{
    static const int32_t wrong[] = {-1, INT32_MIN, INT32_MAX};
    static const size_t rows[] = {0, 1, 1, 1, 2, 5, 1000, SIZE_MAX};
    struct plan plan = {.n_tokens = random_n_tokens(session), .n_logit_rows = PICK(rows)};
    size_t n_free = session == NULL ? 0 : (size_t)(session->n_ctx - session->n_past);
    size_t n_real = plan.n_tokens < 300 ? plan.n_tokens : 300;
    size_t n_vocab = session == NULL ? 3 : (size_t)session->model->n_vocab;
    bool fits = plan.n_tokens <= n_free;

    if (!fuzz_chance(24)) {
        plan.tokens = fuzz_temp(n_real * sizeof *plan.tokens);
        for (size_t i = 0; i < n_real; i++)
            plan.tokens[i] = (int32_t)fuzz_below(n_vocab);
        if (n_real > 0 && fuzz_chance(16)) {
            plan.tokens[fuzz_below(n_real)] = fuzz_chance(2) ? (int32_t)n_vocab : PICK(wrong);
            fuzz_may(true, GPT2_ERR_TOKEN);
        }
    }
    fuzz_may(session == NULL, GPT2_ERR_ARGUMENT);
    fuzz_may(plan.tokens == NULL || plan.n_tokens == 0, GPT2_ERR_ARGUMENT);
    if (session == NULL)
        return plan;
    fuzz_may(!fits, GPT2_ERR_CONTEXT);
    plan.n_kept = plan.n_logit_rows < plan.n_tokens ? plan.n_logit_rows : plan.n_tokens;
    fuzz_may(plan.n_kept > (size_t)session->n_logit_rows, GPT2_ERR_ARGUMENT);
    return plan;
}

/* The record after a call that was right. */
static void append(struct fuzz_session *session, const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_tokens; i++) {
        session->tokens[session->n_past] = plan->tokens[i];
        session->changed[session->n_past++] =
            session->tapped && session->tap_mode == FUZZ_TAP_CHANGES ? session->tap_kinds : 0;
    }
    session->n_rows = (int32_t)plan->n_tokens;
    session->n_kept = (int32_t)plan->n_kept;
}

/*
 * After a call that failed.  One that was ended may have taken the logits with it, and a cancel and a
 * deadline that were pending are used up.
 */
static void keep(struct fuzz_session *session, int32_t status)
{
    if (status != GPT2_ERR_CANCELLED && status != GPT2_ERR_DEADLINE)
        return;
    if (session->handle->sequence.n_rows_kept == 0) {
        session->n_kept = 0;
        session->hashes.logits = 0;
    }
    session->cancelled = false;
    if (session->deadline_ns < 1000000000) /* it has passed: the clock is past its first second */
        session->deadline_ns = 0;
}

static void do_forward(void)
{
    struct fuzz_session *session = fuzz_chance(24) ? NULL : fuzz_pick_session();
    struct plan plan;
    int32_t status;

    fuzz_call(FUZZ_gpt2_forward, " ");
    plan = make_plan(session);
    fuzz_say("%s, tokens %s, n_tokens %zu, n_logit_rows %zu", fuzz_name(session),
             plan.tokens == NULL ? "NULL" : "given", plan.n_tokens, plan.n_logit_rows);
    if (session == NULL) {
        (void)fuzz_result(gpt2_forward(NULL, plan.tokens, plan.n_tokens, plan.n_logit_rows));
        return;
    }
    session->n_pieces = 0;
    session->stopped = session->cancelled_by_tap = false;
    memset(session->rows_seen, 0, sizeof session->rows_seen);
    fuzz_may(session->cancelled, GPT2_ERR_CANCELLED);
    fuzz_may(session->deadline_ns > 0 && session->deadline_ns < 1000000000, GPT2_ERR_DEADLINE);
    status = gpt2_forward(session->handle, plan.tokens, plan.n_tokens, plan.n_logit_rows);
    fuzz_may(session->stopped || session->cancelled_by_tap, GPT2_ERR_CANCELLED);
    if (fuzz_result(status)) {
        check_rows_seen(session, plan.n_tokens, plan.n_kept);
        append(session, &plan);
        fuzz_session_settle(session, true, true);
    } else {
        keep(session, status);
        fuzz_session_settle(session, false, false);
    }
    if (session->n_past == session->n_ctx && fuzz_chance(2)) {
        if (fuzz_chance(8))
            fuzz_replay(session);
        fuzz_reset(session);
    }
}

/* --------------------------------------------------------------------------- races and forks -- */

struct canceller {
    gpt2_session *session;
    size_t delay; /* in turns of a loop */
};

static void *cancel_later(void *argument)
{
    const struct canceller *canceller = argument;

    for (volatile size_t i = 0; i < canceller->delay; i++)
        ;
    gpt2_session_cancel(canceller->session);
    return NULL;
}

/*
 * A cancel by another thread, or a deadline, that comes while the call runs, or before or after:
 * the text has all tokens or none.  A reset then makes the session one that the seed determines.
 */
static void do_race(void)
{
    struct fuzz_session *session = fuzz_pick_session();
    bool by_thread = fuzz_chance(2);
    struct canceller canceller = {.delay = fuzz_below(60000)};
    uint64_t nanoseconds = 1000 + fuzz_below(200000);
    struct plan plan = {.n_kept = 1};
    struct timespec now;
    pthread_t thread;
    bool ok;

    if (session == NULL)
        return;
    if (session->n_past == session->n_ctx)
        fuzz_reset(session);
    plan.n_tokens = (size_t)(session->n_ctx - session->n_past);
    fuzz_call(FUZZ_gpt2_forward, "%s, %zu tokens, ended by %s", fuzz_name(session), plan.n_tokens,
              by_thread ? "a thread" : "a deadline");
    plan.tokens = fuzz_temp(plan.n_tokens * sizeof *plan.tokens);
    for (size_t i = 0; i < plan.n_tokens; i++)
        plan.tokens[i] = (int32_t)fuzz_below((size_t)session->model->n_vocab);
    fuzz_is_race();
    fuzz_may(true, GPT2_OK);
    fuzz_may(true, GPT2_ERR_CANCELLED);
    fuzz_may(true, GPT2_ERR_DEADLINE);
    session->n_pieces = 0;
    canceller.session = session->handle;
    if (by_thread) {
        REQUIRE(pthread_create(&thread, NULL, cancel_later, &canceller) == 0, "no thread");
    } else {
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        (void)gpt2_session_set_deadline(session->handle, (uint64_t)now.tv_sec * 1000000000 +
                                                             (uint64_t)now.tv_nsec + nanoseconds);
    }
    ok = fuzz_result(gpt2_forward(session->handle, plan.tokens, plan.n_tokens, 1));
    if (by_thread)
        (void)pthread_join(thread, NULL);
    session->deadline_ns = session->handle->deadline_ns;
    fuzz_check_line(gpt2_session_error(session->handle), ok);
    REQUIRE(gpt2_session_position(session->handle) ==
                session->n_past + (ok ? (int32_t)plan.n_tokens : 0),
            "found position %d", (int)gpt2_session_position(session->handle));
    REQUIRE(fuzz_hash_kv(session->handle, session->n_past) == session->hashes.kv,
            "found keys or values of earlier positions changed");
    if (ok) {
        append(session, &plan);
        fuzz_replay(session);
    }
    fuzz_reset(session);
    fuzz_call(FUZZ_gpt2_session_set_deadline, "%s, 0", fuzz_name(session));
    (void)fuzz_result(gpt2_session_set_deadline(session->handle, 0));
    session->deadline_ns = 0;
    fuzz_session_settle(session, true, true);
}

/* In the child: everything is as it was, and the session goes on without its threads. */
static void run_child(struct fuzz_session *session)
{
    struct plan plan = {.tokens = session->tokens, .n_tokens = 1, .n_kept = 1};

    (void)alarm(60);
    (void)fuzz_result(gpt2_session_after_fork(session->handle));
    fuzz_session_settle(session, true, false);
    fuzz_replay(session);
    fuzz_reset(session);
    (void)gpt2_session_set_tap(session->handle, NULL, NULL, 0);
    (void)gpt2_session_set_deadline(session->handle, 0);
    session->tapped = false;
    session->deadline_ns = 0;
    session->tokens[0] = 1;
    while (session->n_past < session->n_ctx && session->n_past < 4) {
        fuzz_call(FUZZ_gpt2_forward, "%s, in a child", fuzz_name(session));
        (void)fuzz_result(gpt2_forward(session->handle, plan.tokens, 1, 1));
        append(session, &plan);
        fuzz_session_settle(session, true, true);
    }
    fuzz_replay(session);
    gpt2_session_free(session->handle);
    _exit(0);
}

static void do_after_fork(void)
{
    struct fuzz_session *session = fuzz_chance(20) ? fuzz_pick_session() : NULL;
    int status = 0;
    pid_t child;

    for (int i = 0; i < 8 && session != NULL && session->n_threads == 1; i++)
        session = fuzz_pick_session();
    fuzz_call(FUZZ_gpt2_session_after_fork, "%s", fuzz_name(session));
    fuzz_may(session == NULL, GPT2_ERR_ARGUMENT);
    if (session == NULL) {
        (void)fuzz_result(gpt2_session_after_fork(NULL));
        return;
    }
    (void)fflush(stdout);
    child = fork();
    REQUIRE(child >= 0, "no fork()");
    if (child == 0)
        run_child(session);
    REQUIRE(waitpid(child, &status, 0) == child && status == 0, "the child ended with 0x%x",
            (unsigned)status);
    (void)fuzz_result(GPT2_OK);
}

const struct fuzz_action fuzz_forward_actions[] = {
    {do_forward, 200}, {do_set_tap, 24},   {do_replay, 2},
    {do_race, 1},      {do_after_fork, 2}, {NULL, 0},
};
