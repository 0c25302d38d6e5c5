/*
 * test_fpstate.c: a tap's callback is the host's code: it runs in the host's floating-point state,
 * may change that state, and changes no bit by doing so.
 */
#include "tiny_model.h"

#include <fenv.h>

struct watcher {
    int leave; /* the rounding that the callback leaves behind */
    int found; /* the one it finds at its first call, then those that differ from what it left */
    int n_calls;
    int n_strange;
};

static int32_t watch(void *user, const gpt2_tap *tap)
{
    struct watcher *watcher = user;

    (void)tap;
    if (watcher->n_calls++ == 0)
        watcher->found = tiny_rounding();
    else if (tiny_rounding() != watcher->leave)
        watcher->n_strange++;
    return fesetround(watcher->leave) != 0;
}

static void test_callback_has_the_hosts_state(void **state)
{
    struct tiny_text text;
    struct tiny_model file = tiny_odd(TINY_DIRECTORY "/fpstate");

    (void)state;
    tiny_text_begin(&text, &file);
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
        gpt2_session *session = tiny_session(text.model, GPT2_CPU_ALL, n_threads, 256);
        struct watcher watcher = {.leave = FE_UPWARD};

        assert_int_equal(gpt2_session_set_tap(session, watch, &watcher, GPT2_TAP_ALL), GPT2_OK);
        assert_int_equal(fesetround(FE_TOWARDZERO), 0);
        assert_true(tiny_run(session, text.ids, text.n_ids, text.n_ids, 0) == text.hash);
        assert_int_equal(tiny_rounding(), FE_UPWARD);
        assert_int_equal(fesetround(FE_TONEAREST), 0);
        assert_int_equal(watcher.found, FE_TOWARDZERO);
        assert_int_equal(watcher.n_strange, 0);
        assert_true(watcher.n_calls > GPT2_TAP_COUNT);
        gpt2_session_free(session);
    }
    gpt2_model_free(text.model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_callback_has_the_hosts_state)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
