/*
 * test_parallel_for.c: a session on the host's own pool: the same bits whatever the host does with its
 * workers, and no thread of ours.
 *
 * WRAP := pthread_create pthread_mutex_init pthread_cond_init
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "tiny_model.h"

#include <fenv.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_WORKERS 8

typedef void (*worker_function)(void *argument, int32_t index);

static struct tiny_text odd, pages;

static atomic_int n_made; /* threads, mutexes and conditions, but for those of the hosts below */
static _Thread_local bool in_host;

int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument)
{
    if (!in_host)
        atomic_fetch_add(&n_made, 1);
    return __real_pthread_create(thread, attributes, start, argument);
}

int __real_pthread_mutex_init(pthread_mutex_t *, const pthread_mutexattr_t *);
int __wrap_pthread_mutex_init(pthread_mutex_t *, const pthread_mutexattr_t *);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    atomic_fetch_add(&n_made, 1);
    return __real_pthread_mutex_init(mutex, attributes);
}

int __real_pthread_cond_init(pthread_cond_t *, const pthread_condattr_t *);
int __wrap_pthread_cond_init(pthread_cond_t *, const pthread_condattr_t *);
int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    atomic_fetch_add(&n_made, 1);
    return __real_pthread_cond_init(condition, attributes);
}

/* ------------------------------------------------------------------------------------ the hosts */

struct host {
    const char *name;
    gpt2_parallel_for parallel_for;
    int32_t most; /* workers that it may be asked for */
    int n_calls;
    int n_strange; /* calls in another rounding than the caller's, or for too many workers */
};

static void begin(struct host *host, int32_t n_workers)
{
    host->n_calls++;
    host->n_strange += n_workers < 2 || n_workers > host->most || tiny_rounding() != FE_UPWARD;
}

static void in_order(void *user, int32_t n_workers, worker_function worker, void *argument)
{
    begin(user, n_workers);
    for (int32_t i = 0; i < n_workers; i++)
        worker(argument, i);
    ((struct host *)user)->n_strange += tiny_rounding() != FE_UPWARD; /* the workers put it back */
}

static void backwards(void *user, int32_t n_workers, worker_function worker, void *argument)
{
    begin(user, n_workers);
    for (int32_t i = n_workers; i-- > 0;)
        worker(argument, i);
}

static void none(void *user, int32_t n_workers, worker_function worker, void *argument)
{
    begin(user, n_workers);
    (void)worker;
    (void)argument;
}

static void wrong(void *user, int32_t n_workers, worker_function worker, void *argument)
{
    begin(user, n_workers);
    worker(argument, INT32_MAX);
    worker(argument, -1);
    worker(argument, ((struct host *)user)->most);
}

struct thread {
    pthread_t thread;
    worker_function worker;
    void *argument;
    int32_t index;
    useconds_t pause;
};

static void *run_worker(void *argument)
{
    struct thread *thread = argument;

    (void)fesetround(FE_TOWARDZERO); /* a host's threads may be in any state */
    if (thread->pause > 0)
        (void)usleep(thread->pause);
    thread->worker(thread->argument, thread->index);
    return tiny_rounding() == FE_TOWARDZERO ? NULL : argument;
}

/* A thread for every step-th worker; each begins 'pause' microseconds after the one before it. */
static void on_threads(struct host *host, int32_t n_workers, worker_function worker, void *argument,
                       int32_t step, useconds_t pause)
{
    struct thread threads[MOST_WORKERS];

    begin(host, n_workers);
    in_host = true;
    for (int32_t i = step - 1; i < n_workers; i += step) {
        threads[i] = (struct thread){0, worker, argument, i, (useconds_t)i * pause};
        if (pthread_create(&threads[i].thread, NULL, run_worker, &threads[i]) != 0)
            abort();
    }
    in_host = false;
    for (int32_t i = step - 1; i < n_workers; i += step) {
        void *strange;

        (void)pthread_join(threads[i].thread, &strange);
        host->n_strange += strange != NULL;
    }
}

static void together(void *user, int32_t n_workers, worker_function worker, void *argument)
{
    on_threads(user, n_workers, worker, argument, 1, 0);
}

static void late(void *user, int32_t n_workers, worker_function worker, void *argument)
{
    on_threads(user, n_workers, worker, argument, 1, 300);
}

static void every_second(void *user, int32_t n_workers, worker_function worker, void *argument)
{
    on_threads(user, n_workers, worker, argument, 2, 0);
}

static const struct host hosts[] = {
    {.name = "in order", .parallel_for = in_order},
    {.name = "backwards", .parallel_for = backwards},
    {.name = "none", .parallel_for = none},
    {.name = "wrong", .parallel_for = wrong},
    {.name = "together", .parallel_for = together},
    {.name = "late", .parallel_for = late},
    {.name = "every second", .parallel_for = every_second},
};

/* ------------------------------------------------------------------------------------ the tests */

static int set_up(void **state)
{
    struct tiny_model odd_file = tiny_odd(TINY_DIRECTORY "/parallel-odd");
    struct tiny_model pages_file = tiny_pages(TINY_DIRECTORY "/parallel-pages");

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

static gpt2_session_params params_of(struct host *host, int32_t n_threads)
{
    gpt2_session_params params;

    assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
    assert_true(params.parallel_for == NULL && params.parallel_for_user == NULL);
    params.n_threads = host->most = n_threads;
    params.n_logit_rows = INT32_MAX;
    params.parallel_for = host->parallel_for;
    params.parallel_for_user = host;
    return params;
}

static gpt2_session *session_of(const gpt2_model *model, struct host *host, int32_t n_threads)
{
    gpt2_session_params params = params_of(host, n_threads);
    gpt2_session *session;

    assert_int_equal(gpt2_session_create(model, &params, &session), GPT2_OK);
    return session;
}

static uint64_t run_upward(gpt2_session *session, const struct tiny_text *text, size_t chunk)
{
    uint64_t hash;

    (void)fesetround(FE_UPWARD);
    hash = tiny_run(session, text->ids, text->n_ids, chunk, 0);
    assert_int_equal(tiny_rounding(), FE_UPWARD);
    (void)fesetround(FE_TONEAREST);
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    return hash;
}

static void test_same_bits(void **state)
{
    static const int32_t threads[] = {1, 2, 3, MOST_WORKERS};

    (void)state;
    for (size_t i = 0; i < COUNT(hosts) * COUNT(threads); i++) {
        int32_t n_threads = threads[i % COUNT(threads)];
        struct host host = hosts[i / COUNT(threads)];
        gpt2_session *session;
        bool same;

        atomic_store(&n_made, 0);
        session = session_of(odd.model, &host, n_threads);
        same = run_upward(session, &odd, 3) == odd.hash;
        gpt2_session_free(session);
        session = session_of(pages.model, &host, n_threads);
        same = same && run_upward(session, &pages, 200) == pages.hash &&
               run_upward(session, &pages, 90) == pages.hash;
        gpt2_session_free(session);
        if (!same || host.n_strange != 0 || atomic_load(&n_made) != 0)
            fail_msg("%s, %d threads: %s bits, %d strange calls, %d things made", host.name,
                     (int)n_threads, same ? "the same" : "other", host.n_strange,
                     atomic_load(&n_made));
        assert_true(n_threads == 1 ? host.n_calls == 0 : host.n_calls > 10);
    }
}

/* Under a cancel by the host itself, and in memory of the caller's. */
static void cancelling(void *user, int32_t n_workers, worker_function worker, void *argument)
{
    in_order(((void **)user)[0], n_workers, worker, argument);
    gpt2_session_cancel(((void **)user)[1]);
}

static void test_cancel(void **state)
{
    struct host host = hosts[0];
    gpt2_session_params params = params_of(&host, 3);
    void *user[2] = {&host, NULL};
    gpt2_session *session;
    size_t n_bytes;
    void *memory;

    (void)state;
    params.parallel_for = cancelling;
    params.parallel_for_user = user;
    assert_int_equal(gpt2_session_size(pages.model, &params, &n_bytes), GPT2_OK);
    memory = malloc(n_bytes);
    assert_non_null(memory);
    assert_int_equal(gpt2_session_init(pages.model, &params, memory, n_bytes, &session), GPT2_OK);
    user[1] = session;
    assert_int_equal(gpt2_forward(session, pages.ids, 100, 1), GPT2_ERR_CANCELLED);
    assert_int_equal(gpt2_session_position(session), 0);
    user[1] = NULL;
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    assert_true(run_upward(session, &pages, 200) == pages.hash);
    gpt2_session_free(session);
    free(memory);
}

/* A host may change its own state, as a tap may. */
static void changing(void *user, int32_t n_workers, worker_function worker, void *argument)
{
    struct host *host = user;

    host->n_strange += host->n_calls++ > 0 && tiny_rounding() != FE_TOWARDZERO;
    for (int32_t i = 0; i < n_workers; i++)
        worker(argument, i);
    (void)fesetround(FE_TOWARDZERO);
}

static void test_state_changed(void **state)
{
    struct host host = {.parallel_for = changing};
    gpt2_session *session = session_of(pages.model, &host, 3);
    uint64_t hash = tiny_run(session, pages.ids, 200, 200, 0);
    int left = tiny_rounding();

    (void)state;
    (void)fesetround(FE_TONEAREST);
    assert_true(hash == pages.hash);
    assert_int_equal(left, FE_TOWARDZERO);
    assert_true(host.n_calls > 10 && host.n_strange == 0);
    gpt2_session_free(session);
}

/* A child has no threads but one, the host's pool neither: it is not called. */
static void test_fork(void **state)
{
    struct host host = hosts[0];
    gpt2_session *session = session_of(pages.model, &host, 3);
    int wait_status = -1;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        bool same = gpt2_session_after_fork(session) == GPT2_OK &&
                    tiny_run(session, pages.ids, 200, 200, 0) == pages.hash;

        gpt2_session_free(session);
        _exit(same && host.n_calls == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &wait_status, 0), child);
    assert_true(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0);
    assert_true(run_upward(session, &pages, 200) == pages.hash);
    assert_true(host.n_calls > 10 && host.n_strange == 0);
    gpt2_session_free(session);
}

/* A program compiled before there was the field: what lies behind its struct is not looked at. */
static void test_older_caller(void **state)
{
    struct host host = hosts[0];
    gpt2_session_params params = params_of(&host, 2);
    gpt2_session *session;

    (void)state;
    params.struct_size = offsetof(gpt2_session_params, parallel_for);
    assert_int_equal(gpt2_session_create(odd.model, &params, &session), GPT2_OK);
    assert_true(run_upward(session, &odd, 8) == odd.hash);
    assert_int_equal(host.n_calls, 0);
    gpt2_session_free(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),     cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_state_changed), cmocka_unit_test(test_fork),
        cmocka_unit_test(test_older_caller),
    };

    return cmocka_run_group_tests_name("parallel_for", tests, set_up, tear_down);
}
