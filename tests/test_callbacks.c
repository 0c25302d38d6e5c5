/*
 * test_callbacks.c: a tap may cancel the session that calls it, and nothing else; a write callback may
 * call nothing on its session; a cancel or a deadline ends one call.
 */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "tiny_model.h"

#include "model/session.h"

#include <math.h>
#include <time.h>

static struct tiny_text odd;

static int set_up(void **state)
{
    struct tiny_model file = tiny_odd(TINY_DIRECTORY "/callbacks");

    (void)state;
    tiny_text_begin(&odd, &file);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gpt2_model_free(odd.model);
    return 0;
}

/* ------------------------------------------------------------------------------- interruptions -- */

static int32_t cancel_and_end(void *user, const gpt2_tap *tap)
{
    (void)tap;
    gpt2_session_cancel(user);
    return 1;
}

static int32_t wait_and_end(void *user, const gpt2_tap *tap)
{
    (void)tap;
    while (gpt2_clock_ns() < *(uint64_t *)user) {
    }
    return 1;
}

/* The tap ends the call; the next one runs. */
static void check_used_up(gpt2_session *session, gpt2_tap_callback callback, void *user)
{
    assert_int_equal(gpt2_session_set_tap(session, callback, user, GPT2_TAP_BIT(GPT2_TAP_LN_2)),
                     GPT2_OK);
    assert_int_equal(gpt2_forward(session, odd.ids, 8, 8), GPT2_ERR_CANCELLED);
    assert_string_equal(gpt2_session_error(session), "cancelled by the tap at h.0.ln_2");
    assert_int_equal(gpt2_session_set_tap(session, NULL, NULL, 0), GPT2_OK);
    assert_true(tiny_run(session, odd.ids, 8, 8, 0) == odd.hash);
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
}

static void test_interruptions_end_one_call(void **state)
{
    gpt2_session *session = tiny_session(odd.model, GPT2_CPU_ALL, 1, 8);
    uint64_t deadline;

    (void)state;
    check_used_up(session, cancel_and_end, session);
    deadline = gpt2_clock_ns() + 20000000;
    assert_int_equal(gpt2_session_set_deadline(session, deadline), GPT2_OK);
    check_used_up(session, wait_and_end, &deadline);

    assert_int_equal(gpt2_session_set_deadline(session, 1), GPT2_OK); /* long past */
    assert_int_equal(gpt2_forward(session, odd.ids, 8, 8), GPT2_ERR_DEADLINE);
    assert_true(tiny_run(session, odd.ids, 8, 8, 0) == odd.hash);
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);

    /* one that is to come stays */
    deadline = gpt2_clock_ns() + UINT64_C(3600000000000);
    assert_int_equal(gpt2_session_set_deadline(session, deadline), GPT2_OK);
    gpt2_session_cancel(session);
    assert_int_equal(gpt2_forward(session, odd.ids, 8, 8), GPT2_ERR_CANCELLED);
    assert_true(tiny_run(session, odd.ids, 8, 8, 0) == odd.hash);
    gpt2_session_free(session);
}

/* A host that cancels the call when it is called for the n-th time. */
struct cancelling_host {
    gpt2_session *session;
    int cancel_at;
    int n_calls;
    bool is_cancelled;
    int n_parts_after; /* that taps saw after the cancel */
    int n_nan;         /* values that were never written */
};

static void cancel_and_run(void *user, int32_t n_workers, void (*worker)(void *, int32_t),
                           void *argument)
{
    struct cancelling_host *host = user;

    if (host->n_calls++ == host->cancel_at) {
        gpt2_session_cancel(host->session);
        host->is_cancelled = true;
    }
    for (int32_t i = 0; i < n_workers; i++)
        worker(argument, i);
}

static int32_t look_for_nan(void *user, const gpt2_tap *tap)
{
    struct cancelling_host *host = user;

    host->n_parts_after += host->is_cancelled;
    for (int32_t r = 0; r < tap->n_rows; r++) {
        for (int32_t i = 0; i < tap->n_columns; i++)
            host->n_nan += isnan(tap->data[(size_t)r * tap->row_stride + (size_t)i]) != 0;
    }
    return 0;
}

/* All that a forward pass writes becomes NaN. */
static void forget_numbers(gpt2_session *session)
{
    const struct gpt2i_kvcache *kv = &session->kv;
    size_t n_kv = 2 * kv->n_layer * kv->n_head * kv->n_pages * gpt2i_kv_page_bytes(kv);

    memset(kv->bytes, 0xff, n_kv);
    memset(session->act.residual, 0xff, 8 * gpt2i_row_stride(35) * sizeof(float));
    memset(session->act.norm, 0xff, 8 * gpt2i_row_stride(35) * sizeof(float));
    memset(session->act.qkv, 0xff, 8 * gpt2i_row_stride(3 * 35) * sizeof(float));
    memset(session->logits, 0xff, (size_t)8 * 97 * sizeof(float));
}

/* Wherever a cancel drops tasks, no tap sees what they have left unwritten. */
static void test_no_tap_after_a_cancel(void **state)
{
    struct cancelling_host host = {NULL, 0, 0, false, 0, 0};
    gpt2_session_params params;
    int32_t status = GPT2_ERR_CANCELLED;

    (void)state;
    assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
    params.n_threads = 2;
    params.n_batch = 8;
    params.n_logit_rows = 8;
    params.parallel_for = cancel_and_run;
    params.parallel_for_user = &host;
    assert_int_equal(gpt2_session_create(odd.model, &params, &host.session), GPT2_OK);
    assert_int_equal(gpt2_session_set_tap(host.session, look_for_nan, &host, GPT2_TAP_ALL),
                     GPT2_OK);
    for (; status != GPT2_OK; host.cancel_at++) {
        host.n_calls = 0;
        host.is_cancelled = false;
        assert_int_equal(gpt2_session_reset(host.session), GPT2_OK);
        forget_numbers(host.session);
        status = gpt2_forward(host.session, odd.ids, 8, 8);
        assert_int_equal(status, host.is_cancelled ? GPT2_ERR_CANCELLED : GPT2_OK);
        if (host.n_nan > 0 || host.n_parts_after > 0)
            fail_msg("cancelled in run %d: then taps saw %d parts, with %d values unwritten",
                     host.cancel_at, host.n_parts_after, host.n_nan);
    }
    assert_true(host.cancel_at > 10);
    gpt2_session_free(host.session);
}

static int32_t cancel_and_count(void *user, const gpt2_tap *tap)
{
    struct cancelling_host *host = user;

    (void)tap;
    gpt2_session_cancel(host->session);
    host->n_parts_after += host->is_cancelled;
    host->is_cancelled = true;
    return 0;
}

/* A cancel by a tap is seen before the next part of scores. */
static void test_cancel_between_heads(void **state)
{
    struct cancelling_host host = {NULL, 0, 0, false, 0, 0};

    (void)state;
    host.session = tiny_session(odd.model, GPT2_CPU_ALL, 1, 8);
    assert_int_equal(gpt2_session_set_tap(host.session, cancel_and_count, &host,
                                          GPT2_TAP_BIT(GPT2_TAP_ATTN_SCORES)),
                     GPT2_OK);
    assert_int_equal(gpt2_forward(host.session, odd.ids, 8, 8), GPT2_ERR_CANCELLED);
    assert_int_equal(host.n_parts_after, 0);
    gpt2_session_free(host.session);
}

/* ---------------------------------------------------------------------------------- own calls -- */

static int32_t record(void *user, const gpt2_tap *tap)
{
    (void)user;
    (void)tap;
    return 0;
}

static const char refused[] = "a call on this session still runs: its callback must return before "
                              "the next call";

/* Every call on the session that runs, but those that only look, is refused. */
static int32_t call_everything(void *user, const gpt2_tap *tap)
{
    gpt2_session *session = user;
    const float *logits = (const float *)&session;
    int32_t id = 5;
    int32_t ids[2] = {1, 2};

    (void)tap;
    assert_int_equal(gpt2_forward(session, ids, 2, 1), GPT2_ERR_ARGUMENT);
    assert_string_equal(gpt2_session_error(session), refused);
    assert_int_equal(gpt2_session_reset(session), GPT2_ERR_ARGUMENT);
    assert_int_equal(gpt2_session_set_deadline(session, 1), GPT2_ERR_ARGUMENT);
    assert_int_equal(gpt2_session_set_tap(session, record, NULL, 1), GPT2_ERR_ARGUMENT);
    assert_int_equal(gpt2_session_after_fork(session), GPT2_ERR_ARGUMENT);
    assert_int_equal(gpt2_session_logits(session, GPT2_LAST_ROW, &logits), GPT2_ERR_ARGUMENT);
    assert_null(logits);
    assert_int_equal(gpt2_sample(session, GPT2_LAST_ROW, NULL, &id), GPT2_ERR_ARGUMENT);
    assert_int_equal(id, 0);
    assert_int_equal(gpt2_session_position(session), 0);
    assert_int_equal(gpt2_session_n_ctx(session), 8);
    return 0;
}

static void test_calls_from_a_tap(void **state)
{
    (void)state;
    for (int32_t n_threads = 1; n_threads <= 3; n_threads += 2) {
        gpt2_session *session = tiny_session(odd.model, GPT2_CPU_ALL, n_threads, 8);

        assert_int_equal(gpt2_session_set_tap(session, call_everything, session, GPT2_TAP_ALL),
                         GPT2_OK);
        assert_true(tiny_run(session, odd.ids, 8, 8, 0) == odd.hash);
        assert_string_equal(gpt2_session_error(session), "");
        assert_int_equal(gpt2_session_set_tap(session, NULL, NULL, 0), GPT2_OK);
        gpt2_session_free(session);
    }
}

static int32_t call_from_write(void *user, const void *bytes, size_t n_bytes)
{
    gpt2_session *session = user;
    int32_t id = 1;

    (void)bytes;
    (void)n_bytes;
    assert_int_equal(gpt2_forward(session, &id, 1, 1), GPT2_ERR_ARGUMENT);
    assert_string_equal(gpt2_session_error(session), refused);
    assert_int_equal(gpt2_sequence_write(session, 0, call_from_write, session), GPT2_ERR_ARGUMENT);
    assert_string_equal(gpt2_session_error(session), refused);
    return 0;
}

static void test_calls_from_a_write_callback(void **state)
{
    gpt2_session *session = tiny_session(odd.model, GPT2_CPU_ALL, 1, 8);

    (void)state;
    assert_int_equal(gpt2_forward(session, odd.ids, 5, 1), GPT2_OK);
    assert_int_equal(gpt2_sequence_write(session, 0, call_from_write, session), GPT2_OK);
    assert_string_equal(gpt2_session_error(session), "");
    assert_int_equal(gpt2_session_position(session), 5);
    gpt2_session_free(session);
}

static int32_t run_from_write(void *user, const void *bytes, size_t n_bytes)
{
    size_t *n_kept = user;
    gpt2_session *session = tiny_session(odd.model, GPT2_CPU_ALL, 1, 8);

    (void)bytes;
    assert_true(tiny_run(session, odd.ids, 8, 8, 0) == odd.hash);
    gpt2_session_free(session);
    if (*n_kept == 0) /* the first call writes it again, in the midst of the first writing */
        assert_int_equal(gpt2_model_write(odd.model, "native.safetensors", run_from_write,
                                          &(size_t){1}, NULL, 0),
                         GPT2_OK);
    *n_kept += n_bytes;
    return 0;
}

/* A model does not change, so its write callback may call everything. */
static void test_calls_from_a_models_write_callback(void **state)
{
    size_t n_bytes = 0;

    (void)state;
    assert_int_equal(
        gpt2_model_write(odd.model, "native.safetensors", run_from_write, &n_bytes, NULL, 0),
        GPT2_OK);
    assert_true(n_bytes > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interruptions_end_one_call),
        cmocka_unit_test(test_no_tap_after_a_cancel),
        cmocka_unit_test(test_cancel_between_heads),
        cmocka_unit_test(test_calls_from_a_tap),
        cmocka_unit_test(test_calls_from_a_write_callback),
        cmocka_unit_test(test_calls_from_a_models_write_callback),
    };

    return cmocka_run_group_tests_name("callbacks", tests, set_up, tear_down);
}
