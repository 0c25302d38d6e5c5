/*
 * test_callbacks.c: what a tap may do to the session that calls it: cancel it, and nothing else; and
 * that a cancel or a deadline ends one call.
 */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "tiny_model.h"

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

/* ---------------------------------------------------------------------------------- own calls -- */

static int32_t record(void *user, const gpt2_tap *tap)
{
    (void)user;
    (void)tap;
    return 0;
}

/* Every call on the session that runs, but those that only look, is refused. */
static int32_t call_everything(void *user, const gpt2_tap *tap)
{
    static const char line[] = "a gpt2_forward() runs on this session: its callbacks may call "
                               "gpt2_session_cancel() alone";
    gpt2_session *session = user;
    const float *logits = (const float *)&session;
    int32_t id = 5;
    int32_t ids[2] = {1, 2};

    (void)tap;
    assert_int_equal(gpt2_forward(session, ids, 2, 1), GPT2_ERR_ARGUMENT);
    assert_string_equal(gpt2_session_error(session), line);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interruptions_end_one_call),
        cmocka_unit_test(test_calls_from_a_tap),
    };

    return cmocka_run_group_tests_name("callbacks", tests, set_up, tear_down);
}
