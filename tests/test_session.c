/*
 * test_session.c: sessions: wrong calls and what they leave behind, ending a call, fork(), several
 * threads, and the same bits in every way to run a text.
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "slice.h"
#include "tiny_model.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NO_LINE ((const char *)NULL)

static struct tiny_text odd, pages;

static int set_up(void **state)
{
    struct tiny_model odd_file = tiny_odd(TINY_DIRECTORY "/session-odd");
    struct tiny_model pages_file = tiny_pages(TINY_DIRECTORY "/session-pages");

    (void)state;
    tiny_text_begin(&odd, &odd_file);
    tiny_text_begin(&pages, &pages_file);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gpt2_model_free(odd.model);
    gpt2_model_free(pages.model);
    return 0;
}

/* ---------------------------------------------------------------------------------- arguments -- */

/* Every field at its ends and beyond them. */
static void test_params(void **state)
{
    static const struct {
        size_t offset;
        int32_t value;
        const char *words; /* NULL: accepted */
    } cases[] = {
#define FIELD(name) offsetof(gpt2_session_params, name)
        {FIELD(n_threads), -1, "n_threads is -1, wanted 0 to 256"},
        {FIELD(n_threads), 257, "n_threads is 257"},
        {FIELD(n_threads), INT32_MIN, "n_threads"},
        {FIELD(n_threads), 0, NO_LINE},
        {FIELD(n_threads), 256, NO_LINE},
        {FIELD(n_ctx), -1, "n_ctx is -1, wanted 0 to 2147483647"},
        {FIELD(n_ctx), 9, NO_LINE},
        {FIELD(n_ctx), INT32_MAX, NO_LINE},
        {FIELD(n_ctx), 1, NO_LINE},
        {FIELD(n_ctx), 8, NO_LINE},
        {FIELD(n_batch), 0, "n_batch is 0, wanted 1 to 65536"},
        {FIELD(n_batch), -1, "n_batch is -1"},
        {FIELD(n_batch), 65537, "n_batch is 65537"},
        {FIELD(n_batch), 1, NO_LINE},
        {FIELD(n_batch), 65536, NO_LINE},
        {FIELD(n_logit_rows), 0, NO_LINE},
        {FIELD(n_logit_rows), -1, "n_logit_rows is -1"},
        {FIELD(n_logit_rows), INT32_MAX, NO_LINE},
        {FIELD(n_logit_rows), 8, NO_LINE},
        {FIELD(n_sequences), 0, "n_sequences is 0, wanted 1 to 65536"},
        {FIELD(n_sequences), -1, "n_sequences is -1"},
        {FIELD(n_sequences), 65537, "n_sequences is 65537"},
        {FIELD(n_sequences), 65536, NO_LINE},
        {FIELD(n_pages), -1, "n_pages is -1, wanted 0 to 2147483647"},
        {FIELD(n_pages), 1, NO_LINE},
        {FIELD(n_pages), INT32_MAX, NO_LINE},
        {FIELD(kv_type), GPT2_TYPE_F16, NO_LINE},
        {FIELD(kv_type), GPT2_TYPE_BF16, "kv_type is 2, wanted 0 to 1"},
        {FIELD(kv_type), -1, "kv_type is -1"},
        {FIELD(on_full), GPT2_FULL_SHIFT, NO_LINE},
        {FIELD(on_full), 2, "on_full is 2, wanted 0 to 1"},
        {FIELD(on_full), -1, "on_full is -1"},
        {FIELD(n_keep), -1, "n_keep is -1, wanted 0 to 2147483647"},
        {FIELD(n_keep), 7, NO_LINE}, /* on_full is STOP: not used */
        {FIELD(reserved), 1, "reserved is 1, wanted 0 to 0"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        gpt2_session_params params;
        gpt2_session *session = (gpt2_session *)&params;
        char line[256] = "before", one[2] = "ab";
        int32_t status;

        assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
        params.errbuf = line;
        params.errbuf_size = sizeof line;
        memcpy((char *)&params + cases[i].offset, &cases[i].value, sizeof cases[i].value);
        status = gpt2_session_create(odd.model, &params, &session);
        if (status != (cases[i].words == NULL ? GPT2_OK : GPT2_ERR_ARGUMENT))
            fail_msg("case %zu: found status %d: %s", i, (int)status, line);
        assert_true((session == NULL) == (cases[i].words != NULL));
        tiny_check_says(line, cases[i].words == NULL ? "" : cases[i].words);
        if (cases[i].words == NULL) {
            assert_string_equal(line, "");
            assert_int_equal(gpt2_session_n_ctx(session),
                             params.n_ctx == 1 ? 1 : 8); /* never more than the model has */
        }
        gpt2_session_free(session);
        params.errbuf = one; /* room for the NUL only */
        params.errbuf_size = 1;
        assert_int_equal(gpt2_session_create(odd.model, &params, &session), status);
        assert_memory_equal(one, "\0b", 2);
        gpt2_session_free(session);
    }
}

/* A session that cuts needs room for a token that stays and for the next one. */
static void test_shift_needs_positions(void **state)
{
    static const struct {
        int32_t n_ctx, n_keep;
        const char *line; /* "" if the session is created */
    } cases[] = {
        {1, 0, "gpt2_session_params.n_ctx is 1, wanted 2 or more: on_full is GPT2_FULL_SHIFT"},
        {1, 7, "gpt2_session_params.n_ctx is 1, wanted 2 or more: on_full is GPT2_FULL_SHIFT"},
        {2, 0, ""},
        {2, 1, "gpt2_session_params.n_keep is 1, wanted 0 to 0: n_ctx is 2"},
        {0, 7, "gpt2_session_params.n_keep is 7, wanted 0 to 6: n_ctx is 8"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        gpt2_session_params params;
        gpt2_session *session;
        char line[256] = "before";
        int32_t status;

        assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
        params.errbuf = line;
        params.errbuf_size = sizeof line;
        params.on_full = GPT2_FULL_SHIFT;
        params.n_ctx = cases[i].n_ctx;
        params.n_keep = cases[i].n_keep;
        status = gpt2_session_create(odd.model, &params, &session);
        assert_string_equal(line, cases[i].line);
        assert_int_equal(status, cases[i].line[0] == '\0' ? GPT2_OK : GPT2_ERR_ARGUMENT);
        gpt2_session_free(session);
    }
}

/* ------------------------------------------------------------------------------------- misuse -- */

/* Calls that must fail at position 4 of 8, in a session that keeps 3 rows. */
static const struct {
    int32_t ids[2];
    size_t n_tokens;
    size_t n_logit_rows;
    int32_t status;
    const char *words;
} misuses[] = {
    {{0, 0}, 0, 1, GPT2_ERR_ARGUMENT, "n_tokens is 0, wanted 1 or more"},
    {{-1, 0}, 1, 1, GPT2_ERR_TOKEN, "token 0 is -1, wanted 0 to 96"},
    {{96, 97}, 2, 1, GPT2_ERR_TOKEN, "token 1 is 97, wanted 0 to 96"},
    {{0, 60000}, 2, 0, GPT2_ERR_TOKEN, "token 1 is 60000"},
    {{INT32_MAX, 0}, 1, 1, GPT2_ERR_TOKEN, "token 0 is 2147483647"},
    {{INT32_MIN, 0}, 1, 1, GPT2_ERR_TOKEN, "token 0 is -2147483648"},
    {{0, 0}, 5, 1, GPT2_ERR_CONTEXT, "5 tokens at position 4 do not fit"},
    {{0, 0}, SIZE_MAX, 1, GPT2_ERR_CONTEXT, "context of 8 positions"},
};

static gpt2_session *session_of_3_rows(void)
{
    gpt2_session_params params;
    gpt2_session *session;

    assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
    params.n_logit_rows = 3;
    assert_int_equal(gpt2_session_create(odd.model, &params, &session), GPT2_OK);
    return session;
}

static void check_row(gpt2_session *session, int32_t row, const char *words)
{
    const float *logits = (const float *)session;
    int32_t id = 5;

    assert_int_equal(gpt2_session_logits(session, row, &logits), GPT2_ERR_ROW);
    assert_null(logits);
    tiny_check_says(gpt2_session_error(session), words);
    assert_int_equal(gpt2_sample(session, row, NULL, &id), GPT2_ERR_ROW);
    assert_int_equal(id, 0);
    tiny_check_says(gpt2_session_error(session), words);
}

static uint64_t last_row(gpt2_session *session)
{
    const float *logits;

    assert_int_equal(gpt2_session_logits(session, GPT2_LAST_ROW, &logits), GPT2_OK);
    return tiny_hash(0, logits, 97);
}

static void test_misuse(void **state)
{
    gpt2_session *plain = tiny_session(odd.model, GPT2_CPU_ALL, 1, 8);
    gpt2_session *session = session_of_3_rows();
    static const int32_t bad_rows[] = {0, 1, 4, -2, INT32_MIN, INT32_MAX};
    const float *logits;
    uint64_t kept;

    (void)state;
    check_row(session, GPT2_LAST_ROW, "no logits");
    check_row(session, 0, "no logits");
    assert_int_equal(gpt2_forward(session, NULL, 0, 0), GPT2_ERR_ARGUMENT);
    tiny_check_says(gpt2_session_error(session), "gpt2_forward: n_tokens is 0, wanted 1 or more");
    check_row(session, GPT2_LAST_ROW, "no logits");
    assert_int_equal(gpt2_forward(session, odd.ids, 4, 2), GPT2_OK);
    kept = last_row(session);
    for (size_t i = 0; i < COUNT(misuses); i++) {
        int32_t status =
            gpt2_forward(session, misuses[i].ids, misuses[i].n_tokens, misuses[i].n_logit_rows);

        if (status != misuses[i].status)
            fail_msg("case %zu: found status %d", i, (int)status);
        tiny_check_says(gpt2_session_error(session), misuses[i].words);
        assert_int_equal(gpt2_session_position(session), 4);
        assert_true(last_row(session) == kept);
    }
    assert_int_equal(gpt2_forward(session, odd.ids, 4, 4), GPT2_ERR_ARGUMENT);
    tiny_check_says(gpt2_session_error(session), "n_logit_rows is 4, the session was made for 3");
    assert_int_equal(gpt2_forward(session, odd.ids, 4, SIZE_MAX), GPT2_ERR_ARGUMENT);
    for (size_t i = 0; i < COUNT(bad_rows); i++)
        check_row(session, bad_rows[i], "kept the logits of rows 2 to 3");
    assert_int_equal(gpt2_session_logits(session, 2, &logits), GPT2_OK);
    assert_true(last_row(session) == kept);

    assert_int_equal(gpt2_forward(session, odd.ids + 4, 1, 0), GPT2_OK);
    check_row(session, GPT2_LAST_ROW, "asked for none, or it failed");
    assert_int_equal(gpt2_forward(session, odd.ids + 5, 3, SIZE_MAX), GPT2_OK); /* all */
    assert_int_equal(gpt2_session_logits(session, 0, &logits), GPT2_OK);
    (void)tiny_run(plain, odd.ids, 8, 8, 0);
    assert_true(last_row(session) == last_row(plain));

    assert_int_equal(gpt2_session_position(session), gpt2_session_n_ctx(session));
    assert_int_equal(gpt2_forward(session, odd.ids, 1, 1), GPT2_ERR_CONTEXT);
    tiny_check_says(gpt2_session_error(session), "1 tokens at position 8 do not fit");
    assert_true(last_row(session) == last_row(plain));
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    assert_int_equal(gpt2_session_position(session), 0);
    check_row(session, GPT2_LAST_ROW, "no logits");
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(gpt2_forward(session, odd.ids + i, 1, 1), GPT2_OK);
    assert_true(last_row(session) == last_row(plain));
    gpt2_session_free(session);
    gpt2_session_free(plain);
}

/* ------------------------------------------------------------------------------- interruption -- */

/* What happens inside a call of 110 rows, at the last tap of a kind. */
struct meddler {
    gpt2_session *session;
    int32_t kind;
    uint64_t sleep_until;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *cancel_session(void *argument)
{
    gpt2_session_cancel(argument);
    return NULL;
}

static int32_t meddle(void *user, const gpt2_tap *tap)
{
    struct meddler *meddler = user;
    pthread_t thread;

    if (tap->kind != meddler->kind || tap->first_row + tap->n_rows != 110) /* the last step */
        return 0;
    while (meddler->sleep_until != 0 && now_ns() < meddler->sleep_until)
        (void)sched_yield();
    if (meddler->sleep_until == 0 &&
        (pthread_create(&thread, NULL, cancel_session, meddler->session) != 0 ||
         pthread_join(thread, NULL) != 0))
        return 1;
    return 0;
}

/* The next call at position 90 of 200 ends with 'status'; the one after it goes on as if it had not. */
static void check_ended(gpt2_session *session, uint64_t hash, int32_t status, const char *words)
{
    const float *logits;

    assert_int_equal(gpt2_forward(session, pages.ids + 90, 110, 110), status);
    tiny_check_says(gpt2_session_error(session), words);
    assert_int_equal(gpt2_session_position(session), 90);
    assert_int_equal(gpt2_session_logits(session, 109, &logits), GPT2_ERR_ROW);
    assert_int_equal(gpt2_session_set_tap(session, NULL, NULL, 0), GPT2_OK);
    assert_int_equal(gpt2_session_set_deadline(session, 0), GPT2_OK);
    assert_true(tiny_run(session, pages.ids + 90, 110, 60, hash) == pages.hash);
}

static void test_interruption(void **state)
{
    static const int32_t kinds[] = {GPT2_TAP_EMBED, GPT2_TAP_MLP_ACT, GPT2_TAP_LN_F,
                                    GPT2_TAP_LOGITS};

    (void)state;
    for (size_t i = 0; i < 3 * 7; i++) {
        gpt2_session *session = tiny_session(pages.model, GPT2_CPU_ALL, (int32_t)i / 7 + 1, 50);
        struct meddler meddler = {.session = session};
        uint64_t hash = tiny_run(session, pages.ids, 90, 90, 0);
        size_t way = i % 7;

        if (way < COUNT(kinds)) { /* another thread cancels while the call is in the last step */
            meddler.kind = kinds[way];
            assert_int_equal(gpt2_session_set_tap(session, meddle, &meddler, GPT2_TAP_ALL), 0);
            check_ended(session, hash, GPT2_ERR_CANCELLED, "gpt2_session_cancel()");
        } else if (way == 4) {
            gpt2_session_cancel(session);
            gpt2_session_cancel(session); /* once is as good as twice */
            check_ended(session, hash, GPT2_ERR_CANCELLED, "gpt2_session_cancel()");
        } else if (way == 5) {
            assert_int_equal(gpt2_session_set_deadline(session, 1), GPT2_OK);
            check_ended(session, hash, GPT2_ERR_DEADLINE, "deadline has passed");
        } else { /* the deadline comes while the call runs */
            uint64_t before = now_ns();
            uint64_t clock = gpt2_clock_ns();

            assert_in_range(clock, before, now_ns());
            meddler.sleep_until = clock + 200000000;
            assert_int_equal(gpt2_session_set_deadline(session, meddler.sleep_until), GPT2_OK);
            assert_int_equal(gpt2_session_set_tap(session, meddle, &meddler, 1), GPT2_OK);
            check_ended(session, hash, GPT2_ERR_DEADLINE, "deadline has passed");
            assert_int_equal(gpt2_session_reset(session), GPT2_OK);
            assert_int_equal(gpt2_session_set_deadline(session, now_ns() + 3600000000000), GPT2_OK);
            assert_true(tiny_run(session, pages.ids, 200, 90, 0) == pages.hash);
        }
        gpt2_session_free(session);
    }
}

/* ------------------------------------------------------------------------- processes, threads -- */

/* Half of the text before fork(), half after it, in both processes. */
static void test_fork(void **state)
{
    for (int32_t n_threads = 1; n_threads <= 3; n_threads += 2) {
        gpt2_session *session = tiny_session(pages.model, GPT2_CPU_ALL, n_threads, 64);
        uint64_t hash = tiny_run(session, pages.ids, 100, 50, 0);
        int wait_status = -1;
        pid_t child = fork();

        (void)state;
        assert_true(child >= 0);
        if (child == 0) {
            bool same;

            (void)alarm(60); /* a lost thread that is waited for */
            if (n_threads > 1 && gpt2_session_after_fork(session) != GPT2_OK)
                _exit(2);
            same = gpt2_session_position(session) == 100 &&
                   tiny_run(session, pages.ids + 100, 100, 50, hash) == pages.hash &&
                   gpt2_session_reset(session) == GPT2_OK &&
                   tiny_run(session, pages.ids, 200, 200, 0) == pages.hash;
            gpt2_session_free(session);
            _exit(same ? 0 : 1);
        }
        assert_true(tiny_run(session, pages.ids + 100, 100, 50, hash) == pages.hash);
        assert_int_equal(waitpid(child, &wait_status, 0), child);
        assert_true(WIFEXITED(wait_status));
        assert_int_equal(WEXITSTATUS(wait_status), 0);
        gpt2_session_free(session);
    }
}

struct user {
    pthread_t thread;
    int32_t n_threads;
    size_t chunk;
    uint64_t hash;
};

static void *use_model(void *argument)
{
    struct user *user = argument;

    for (int round = 0; round < 3; round++) {
        gpt2_session *session = tiny_session(pages.model, GPT2_CPU_ALL, user->n_threads, 64);

        for (int text = 0; text < 3; text++) {
            uint64_t hash = tiny_run(session, pages.ids, 200, user->chunk, 0);

            user->hash = round == 0 && text == 0 ? hash : user->hash == hash ? hash : 0;
            (void)gpt2_session_reset(session);
        }
        gpt2_session_free(session);
    }
    return NULL;
}

/* Sessions come, run and go on four threads at once, over one model. */
static void test_shared_model(void **state)
{
    struct user users[4];

    (void)state;
    for (size_t i = 0; i < COUNT(users); i++) {
        users[i].n_threads = (int32_t)i % 3 + 1;
        users[i].chunk = 50 * (i + 1);
        assert_int_equal(pthread_create(&users[i].thread, NULL, use_model, &users[i]), 0);
    }
    for (size_t i = 0; i < COUNT(users); i++) {
        assert_int_equal(pthread_join(users[i].thread, NULL), 0);
        assert_true(users[i].hash == pages.hash);
    }
}

/* ---------------------------------------------------------------------------------- same bits -- */

static void check_ways(const gpt2_model *model, const int32_t *ids, size_t n_ids, uint64_t wanted)
{
    static const int32_t threads[] = {1, 2, 3, 8};
    static const int32_t batches[] = {1, 5, 64, 256};
    const size_t chunks[] = {1, 7, n_ids};
    uint32_t masks[4];
    size_t n_masks = tiny_cpu_masks(masks);

    for (size_t i = 0; i < n_masks * COUNT(threads) * COUNT(batches); i += slice_step()) {
        uint32_t mask = masks[i / COUNT(threads) / COUNT(batches)];
        int32_t n_threads = threads[i / COUNT(batches) % COUNT(threads)];
        int32_t n_batch = batches[i % COUNT(batches)];
        gpt2_session *session = tiny_session(model, mask, n_threads, n_batch);

        for (size_t c = 0; c < COUNT(chunks); c++) {
            uint64_t hash;

            if (chunks[c] == 1 && n_batch != 1)
                continue; /* the same steps */
            hash = tiny_run(session, ids, n_ids, chunks[c], 0);
            if (hash != wanted)
                fail_msg("%s, %d threads, n_batch %d, calls of %zu: the hash is 0x%016" PRIx64
                         ", wanted 0x%016" PRIx64,
                         gpt2_session_kernels(session), (int)n_threads, (int)n_batch, chunks[c],
                         hash, wanted);
            assert_int_equal(gpt2_session_position(session), n_ids);
            assert_int_equal(gpt2_session_reset(session), GPT2_OK);
        }
        gpt2_session_free(session);
    }
}

/*
 * The hashes are what the order of operations in docs/numerics.md gives, on every machine.  A change
 * of that order changes them, in the same commit; nothing else may.
 */
static void test_same_bits(void **state)
{
    static const struct {
        const char *dtype;
        uint64_t odd;
        uint64_t pages;
    } golden[] = {
        {"F32", 0x73a9d9fe78cef7d3, 0xea50c380cbaac7cd},
        {"F16", 0x3c02a115c7b1dd33, 0xb1253edeffa7736b},
        {"BF16", 0xf8be167103345ab4, 0xc9427faebea0fd10},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(golden); i++) {
        struct tiny_model odd_file = tiny_odd(TINY_DIRECTORY "/session-bits");
        struct tiny_model pages_file = tiny_pages(TINY_DIRECTORY "/session-bits");
        gpt2_model *model;

        odd_file.dtype = golden[i].dtype;
        model = tiny_load(&odd_file);
        check_ways(model, odd.ids, 8, golden[i].odd);
        gpt2_model_free(model);
        pages_file.dtype = golden[i].dtype;
        model = tiny_load(&pages_file);
        check_ways(model, pages.ids, 200, golden[i].pages);
        gpt2_model_free(model);
    }
}

/* The rows of q, k, v and of the MLP share memory; here the narrower ones lie further apart. */
static void test_wide_rows(void **state)
{
    static const struct {
        int32_t n_embd;
        int32_t n_inner;
    } widths[] = {{170, 528}, {175, 512}};

    (void)state;
    for (size_t i = 0; i < COUNT(widths); i++) {
        struct tiny_model file = tiny_pages(TINY_DIRECTORY "/session-wide");
        uint64_t hashes[2];
        gpt2_model *model;

        file.n_embd = widths[i].n_embd;
        file.n_inner = widths[i].n_inner;
        model = tiny_load(&file);
        for (int32_t steps = 0; steps < 2; steps++) {
            gpt2_session *session = tiny_session(model, GPT2_CPU_ALL, 2, steps == 0 ? 1 : 64);

            hashes[steps] = tiny_run(session, pages.ids, 200, 200, 0);
            gpt2_session_free(session);
        }
        gpt2_model_free(model);
        assert_true(hashes[0] == hashes[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params),       cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_interruption), cmocka_unit_test(test_fork),
        cmocka_unit_test(test_shared_model), cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_wide_rows),    cmocka_unit_test(test_shift_needs_positions),
    };

    return cmocka_run_group_tests_name("session", tests, set_up, tear_down);
}
