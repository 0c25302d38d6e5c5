/*
 * threads.c: the pool.
 *
 * A run publishes its job and then a ticket: generation << 32 | tasks not yet taken.  Whoever lowers
 * the ticket by one owns that task.  A thread that is late, holding an old ticket, fails to lower it
 * and has touched nothing; so workers need not be waited for, only tasks that somebody took.
 *
 * Workers look for a ticket for some microseconds, then sleep on a condition.  A run calls those that
 * sleep, but no more than there are CPUs and tasks for: threads that only take turns on a CPU hold
 * up the run with the tasks that they took.
 */
#include "threads.h"
#include "fpstate.h"
#include "os.h"

#include <stdatomic.h>

/*
 * Looks before sleeping, 50 to 250 microseconds: longer than most gaps between runs, shorter than the
 * time that a system takes to share out CPUs.
 */
#define SPINS 5000

struct gpt2i_pool {
    int32_t n_threads;      /* the caller's included */
    uint32_t n_started;     /* workers[] in use */
    struct gpt2i_host host; /* parallel_for is NULL: the threads are our own */
    uint32_t n_useful;      /* workers that find a CPU besides the caller's */
    bool (*stops)(void *);  /* NULL: nothing ends a run early */
    void *stops_argument;
    _Atomic uint64_t ticket;
    _Atomic uint32_t n_left; /* tasks of this run not yet finished */
    _Atomic(gpt2i_task) task;
    _Atomic(void *) argument;
    _Atomic uint32_t n_tasks;
    _Atomic uint32_t n_asleep; /* workers that wait to be called; changed under the mutex */
    uint32_t n_called;         /* workers woken, not yet running; changed under the mutex */
    _Atomic bool caller_asleep;
    _Atomic bool stop;
    struct gpt2i_mutex mutex;
    struct gpt2i_condition work; /* n_called is not 0 */
    struct gpt2i_condition done; /* n_left is 0 */
    struct worker {
        struct gpt2i_pool *pool;
        size_t index; /* from 1 */
        struct gpt2i_thread thread;
    } workers[];
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

bool gpt2i_pool_stops(const struct gpt2i_pool *pool)
{
    return pool->stops != NULL && pool->stops(pool->stops_argument);
}

/* Takes and runs tasks until the ticket has none left. */
static void take_tasks(struct gpt2i_pool *pool, size_t worker)
{
    uint64_t ticket = atomic_load(&pool->ticket);

    while ((uint32_t)ticket != 0) {
        gpt2i_task task = atomic_load(&pool->task);
        void *argument = atomic_load(&pool->argument);
        uint32_t index = atomic_load(&pool->n_tasks) - (uint32_t)ticket;

        /* on failure 'ticket' is what the ticket is now */
        if (!atomic_compare_exchange_weak(&pool->ticket, &ticket, ticket - 1))
            continue;
        if (!gpt2i_pool_stops(pool))
            task(argument, index, worker);
        if (atomic_fetch_sub(&pool->n_left, 1) == 1 && atomic_load(&pool->caller_asleep)) {
            gpt2i_mutex_lock(&pool->mutex); /* it waits, or has seen n_left */
            gpt2i_mutex_unlock(&pool->mutex);
            gpt2i_condition_signal(&pool->done);
        }
        ticket = atomic_load(&pool->ticket);
    }
}

static bool has_work(struct gpt2i_pool *pool)
{
    return (uint32_t)atomic_load(&pool->ticket) != 0 || atomic_load(&pool->stop);
}

/* What a host runs, on a thread of its choice. */
static void host_worker(void *argument, int32_t index)
{
    struct gpt2i_pool *pool = argument;
    uint64_t host_state;

    if (index < 0 || index >= pool->n_threads)
        return;
    host_state = gpt2i_fpstate_enter();
    take_tasks(pool, (size_t)index);
    gpt2i_fpstate_leave(host_state);
}

/* Waits to be called, unless there is work already. */
static void fall_asleep(struct gpt2i_pool *pool)
{
    gpt2i_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->n_asleep, 1); /* and then look: call_workers() does it the other way */
    if (has_work(pool)) {
        atomic_fetch_sub(&pool->n_asleep, 1);
    } else {
        while (pool->n_called == 0)
            gpt2i_condition_wait(&pool->work, &pool->mutex);
        pool->n_called--;
    }
    gpt2i_mutex_unlock(&pool->mutex);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct gpt2i_pool *pool = worker->pool;

    (void)gpt2i_fpstate_enter(); /* for as long as this thread lives */
    while (!atomic_load(&pool->stop)) {
        for (int i = 0; i < SPINS && !has_work(pool); i++)
            relax();
        if (!has_work(pool))
            fall_asleep(pool);
        take_tasks(pool, worker->index);
    }
    return NULL;
}

/* Wakes workers until n_wanted are awake.  Store the job first. */
static void call_workers(struct gpt2i_pool *pool, uint32_t n_wanted)
{
    uint32_t n_awake = pool->n_started - atomic_load(&pool->n_asleep);
    uint32_t n_called = 0;

    if (n_awake >= n_wanted)
        return;
    gpt2i_mutex_lock(&pool->mutex);
    n_awake = pool->n_started - atomic_load(&pool->n_asleep);
    if (n_awake < n_wanted)
        n_called = n_wanted - n_awake;
    atomic_fetch_sub(&pool->n_asleep, n_called);
    pool->n_called += n_called;
    gpt2i_mutex_unlock(&pool->mutex);
    while (n_called-- > 0)
        gpt2i_condition_signal(&pool->work);
}

struct gpt2i_pool *gpt2i_pool_layout(struct gpt2i_arena *arena, int32_t n_threads)
{
    uint64_t n_workers = (uint64_t)n_threads - 1;

    return gpt2i_arena_take(arena, 1,
                            sizeof(struct gpt2i_pool) + (size_t)n_workers * sizeof(struct worker));
}

int32_t gpt2i_pool_start(struct gpt2i_pool *pool, int32_t n_threads, struct gpt2i_error *error)
{
    uint32_t n_workers = (uint32_t)n_threads - 1;
    uint32_t n_refused;

    memset(pool, 0, sizeof *pool);
    pool->n_threads = n_threads;
    if (n_threads == 1)
        return GPT2_OK;
    pool->n_useful = (uint32_t)gpt2i_max(1, (size_t)gpt2i_cpu_count() - 1);
    pool->n_useful = (uint32_t)gpt2i_min(pool->n_useful, n_workers);
    if (!gpt2i_mutex_init(&pool->mutex))
        goto fail_mutex;
    if (!gpt2i_condition_init(&pool->work))
        goto fail_work;
    if (!gpt2i_condition_init(&pool->done))
        goto fail_done;
    for (uint32_t i = 0; i < n_workers; i++) {
        struct worker *worker = &pool->workers[i];

        worker->pool = pool;
        worker->index = i + 1;
        if (!gpt2i_thread_start(&worker->thread, worker_main, worker))
            break;
        pool->n_started = i + 1;
    }
    if (pool->n_started == n_workers)
        return GPT2_OK;
    n_refused = pool->n_started + 1;
    gpt2i_pool_stop(pool);
    return gpt2i_fail(error, GPT2_ERR_THREAD, "thread %u of %u could not be started",
                      (unsigned)n_refused, (unsigned)n_workers);

fail_done:
    gpt2i_condition_destroy(&pool->work);
fail_work:
    gpt2i_mutex_destroy(&pool->mutex);
fail_mutex:
    pool->n_threads = 1;
    return gpt2i_fail(error, GPT2_ERR_THREAD, "a mutex or condition could not be made");
}

void gpt2i_pool_start_host(struct gpt2i_pool *pool, int32_t n_threads,
                           const struct gpt2i_host *host)
{
    memset(pool, 0, sizeof *pool);
    pool->n_threads = n_threads;
    pool->host = *host;
}

void gpt2i_pool_set_stop(struct gpt2i_pool *pool, bool (*stops)(void *argument), void *argument)
{
    pool->stops = stops;
    pool->stops_argument = argument;
}

size_t gpt2i_pool_n_threads(const struct gpt2i_pool *pool)
{
    return (size_t)pool->n_threads;
}

void gpt2i_pool_stop(struct gpt2i_pool *pool)
{
    if (pool->n_threads == 1 || pool->host.parallel_for != NULL)
        return;
    atomic_store(&pool->stop, true);
    call_workers(pool, pool->n_started);
    for (uint32_t i = 0; i < pool->n_started; i++)
        gpt2i_thread_join(&pool->workers[i].thread);
    gpt2i_condition_destroy(&pool->done);
    gpt2i_condition_destroy(&pool->work);
    gpt2i_mutex_destroy(&pool->mutex);
    pool->n_threads = 1;
}

void gpt2i_pool_forget_threads(struct gpt2i_pool *pool)
{
    pool->n_threads = 1;
}

/* Tasks that no worker took, because the host ran too few of them, are the caller's. */
static void run_by_host(struct gpt2i_pool *pool, size_t n_tasks)
{
    const struct gpt2i_host *host = &pool->host;
    int32_t n_workers = (int32_t)gpt2i_min((size_t)pool->n_threads, n_tasks);

    gpt2i_fpstate_leave(*host->fpstate);
    host->parallel_for(host->user, n_workers, host_worker, pool);
    *host->fpstate = gpt2i_fpstate_enter();
    take_tasks(pool, 0);
    while (atomic_load(&pool->n_left) != 0)
        relax();
}

static void run_by_workers(struct gpt2i_pool *pool, size_t n_tasks)
{
    call_workers(pool, (uint32_t)gpt2i_min(pool->n_useful, n_tasks - 1));
    take_tasks(pool, 0);
    for (int i = 0; i < SPINS && atomic_load(&pool->n_left) != 0; i++)
        relax();
    if (atomic_load(&pool->n_left) == 0)
        return;
    gpt2i_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_asleep, true);
    while (atomic_load(&pool->n_left) != 0)
        gpt2i_condition_wait(&pool->done, &pool->mutex);
    atomic_store(&pool->caller_asleep, false);
    gpt2i_mutex_unlock(&pool->mutex);
}

void gpt2i_pool_run(struct gpt2i_pool *pool, gpt2i_task task, void *argument, size_t n_tasks)
{
    uint64_t generation;

    if (pool->n_threads == 1 || n_tasks <= 1) {
        for (size_t i = 0; i < n_tasks && !gpt2i_pool_stops(pool); i++)
            task(argument, i, 0);
        return;
    }
    generation = (atomic_load(&pool->ticket) >> 32) + 1;
    atomic_store(&pool->task, task);
    atomic_store(&pool->argument, argument);
    atomic_store(&pool->n_tasks, (uint32_t)n_tasks);
    atomic_store(&pool->n_left, (uint32_t)n_tasks);
    atomic_store(&pool->ticket, generation << 32 | (uint32_t)n_tasks);
    if (pool->host.parallel_for != NULL)
        run_by_host(pool, n_tasks);
    else
        run_by_workers(pool, n_tasks);
}

void gpt2i_pool_run_all(struct gpt2i_pool *pool, gpt2i_task task, void *argument, size_t n_tasks)
{
    bool (*stops)(void *) = pool->stops;

    pool->stops = NULL;
    gpt2i_pool_run(pool, task, argument, n_tasks);
    pool->stops = stops;
}
