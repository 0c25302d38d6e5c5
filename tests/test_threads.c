/*
 * test_threads.c: the pool: who is called, and what threads may cost: an idle session uses no CPU, and
 * more threads than CPUs run about as fast as one for each CPU.  The limits are far from what is
 * measured (tests/bench/threads.c), so that a busy machine does not fail them.
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "base/threads.h"
#include "tiny_model.h"

#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define MODEL    "examples/demo-model"
#define N_PROMPT 64
#define N_TOKENS 16
#define N_ROUNDS 15

static gpt2_model *model;

static int set_up(void **state)
{
    (void)state;
    return gpt2_model_load(MODEL, NULL, &model);
}

static int tear_down(void **state)
{
    (void)state;
    gpt2_model_free(model);
    return 0;
}

static double seconds(clockid_t clock)
{
    struct timespec now;

    assert_int_equal(clock_gettime(clock, &now), 0);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ----------------------------------------------------------------------------- who is called -- */

/* Leaves this thread, and those that it starts, two CPUs; false where there is one. */
static bool confine(cpu_set_t *before)
{
    cpu_set_t two;

    if (sched_getaffinity(0, sizeof *before, before) != 0 || CPU_COUNT(before) < 2)
        return false;
    CPU_ZERO(&two);
    for (int cpu = 0; CPU_COUNT(&two) < 2; cpu++)
        if (CPU_ISSET(cpu, before))
            CPU_SET(cpu, &two);
    return sched_setaffinity(0, sizeof two, &two) == 0;
}

struct meeting {
    int wanted;  /* threads in a task at a time; each waits for the others */
    int seconds; /* at most */
    atomic_int present;
    atomic_int most;
};

static void meet(void *argument, size_t task, size_t worker)
{
    struct meeting *meeting = argument;
    int present = atomic_fetch_add(&meeting->present, 1) + 1;
    int most = atomic_load(&meeting->most);

    (void)task;
    (void)worker;
    while (present > most && !atomic_compare_exchange_weak(&meeting->most, &most, present))
        ;
    for (int i = 0; i < meeting->seconds * 1000 && atomic_load(&meeting->most) < meeting->wanted;
         i++)
        (void)usleep(1000);
    (void)usleep(2000);
    atomic_fetch_sub(&meeting->present, 1);
}

/* The most threads that were in a task at a time, in a run after a rest. */
static int run_meeting(int32_t n_threads, size_t n_tasks, int wanted)
{
    struct meeting meeting = {.wanted = wanted, .seconds = 20};
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);
    struct gpt2i_error error = {NULL, 0};
    struct gpt2i_pool *pool;

    (void)gpt2i_pool_layout(&measure, n_threads);
    pool = gpt2i_block_new(measure.used_bytes);
    assert_non_null(pool);
    assert_int_equal(gpt2i_pool_start(pool, n_threads, &error), GPT2_OK);
    (void)usleep(50000);
    gpt2i_pool_run(pool, meet, &meeting, n_tasks);
    gpt2i_pool_stop(pool);
    gpt2i_block_free(pool, measure.used_bytes);
    return atomic_load(&meeting.most);
}

/* Of two threads, both work; of eight on two CPUs, two do. */
static void test_called(void **state)
{
    cpu_set_t all;
    int most = 8;

    (void)state;
    assert_int_equal(run_meeting(2, 2, 2), 2);
    if (!confine(&all)) {
        print_message("  skipped: 8 threads on 2 CPUs, there is one\n");
        skip();
    }
    for (int i = 0; i < 20 && most > 2; i++) /* a worker may not be asleep yet */
        most = run_meeting(8, 16, 2);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_int_equal(most, 2);
}

/* ------------------------------------------------------------------------------ what they cost -- */

static void run(gpt2_session *session)
{
    int32_t ids[N_PROMPT];

    tiny_ids(ids, N_PROMPT, 2000);
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    assert_int_equal(gpt2_forward(session, ids, N_PROMPT, 1), GPT2_OK);
    for (int i = 0; i < N_TOKENS; i++)
        assert_int_equal(gpt2_forward(session, &ids[i], 1, 1), GPT2_OK);
}

static void test_idle(void **state)
{
    (void)state;
    for (int32_t n_threads = 2; n_threads <= 8; n_threads *= 4) {
        gpt2_session *session = tiny_session(model, GPT2_CPU_ALL, n_threads, 256);
        double used;

        run(session);
        (void)usleep(50000);
        used = seconds(CLOCK_PROCESS_CPUTIME_ID);
        (void)usleep(300000);
        used = seconds(CLOCK_PROCESS_CPUTIME_ID) - used;
        if (used > 0.002)
            fail_msg("%d threads: %.1f ms of CPU in 300 ms of rest", (int)n_threads, used * 1e3);
        print_message("  %d threads idle: %.3f ms of CPU in 300 ms\n", (int)n_threads, used * 1e3);
        gpt2_session_free(session);
    }
}

/* The shortest of some runs that take turns. */
static void test_more_threads_than_cpus(void **state)
{
    double shortest[2] = {1e9, 1e9};
    gpt2_session *sessions[2];
    cpu_set_t all;

    (void)state;
    if (!confine(&all)) {
        print_message("  skipped: 8 threads against 2 on 2 CPUs, there is one\n");
        skip();
    }
    for (int i = 0; i < 2; i++)
        sessions[i] = tiny_session(model, GPT2_CPU_ALL, i == 0 ? 2 : 8, 256);
    for (int i = 0; i < 2 * N_ROUNDS; i++) {
        double begun = seconds(CLOCK_MONOTONIC), took;

        run(sessions[i % 2]);
        took = seconds(CLOCK_MONOTONIC) - begun;
        if (took < shortest[i % 2])
            shortest[i % 2] = took;
    }
    for (int i = 0; i < 2; i++)
        gpt2_session_free(sessions[i]);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    print_message("  8 threads on 2 CPUs: %.2f of the speed of 2\n", shortest[0] / shortest[1]);
    assert_true(shortest[1] < 2 * shortest[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_called),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_more_threads_than_cpus),
    };

    return cmocka_run_group_tests_name("threads", tests, set_up, tear_down);
}
