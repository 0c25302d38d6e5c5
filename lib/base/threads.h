/*
 * threads.h: a fixed pool of threads, or the host's own, that share out numbered tasks.
 *
 * Tasks are taken one by one, so a slow core takes fewer.  Which thread runs a task never changes a
 * result: a task writes only what is its own.
 */
#ifndef GPT2I_THREADS_H
#define GPT2I_THREADS_H

#include "arena.h"
#include "status.h"

#define GPT2I_MAX_THREADS 256

struct gpt2i_pool;

/* Runs one task; 'worker' in [0, n_threads) tells whose scratch to use, 0 is the calling thread. */
typedef void (*gpt2i_task)(void *argument, size_t task, size_t worker);

/* The threads that a params struct's n_threads asks for: 0 is one per CPU. */
static inline int32_t gpt2i_thread_count(int32_t n_threads)
{
    return n_threads > 0 ? n_threads
                         : (int32_t)gpt2i_min((size_t)gpt2i_cpu_count(), GPT2I_MAX_THREADS);
}

/* Places a pool for 'n_threads' threads, the caller's included, in an arena. */
GPT2I_HIDDEN struct gpt2i_pool *gpt2i_pool_layout(struct gpt2i_arena *arena, int32_t n_threads);

/*
 * Starts n_threads - 1 threads, with every signal blocked: the host's handlers run on the host's own
 * threads.  Errors: GPT2_ERR_THREAD, with none left running.
 */
GPT2I_HIDDEN int32_t gpt2i_pool_start(struct gpt2i_pool *pool, int32_t n_threads,
                                      struct gpt2i_error *error);

/* The host's own pool. */
struct gpt2i_host {
    gpt2_parallel_for parallel_for;
    void *user;
    uint64_t *fpstate; /* the caller's, which parallel_for runs in and may change */
};

/* Instead of gpt2i_pool_start(): runs call the host, and the pool starts nothing. */
GPT2I_HIDDEN void gpt2i_pool_start_host(struct gpt2i_pool *pool, int32_t n_threads,
                                        const struct gpt2i_host *host);

/*
 * Before each task every thread asks stops(argument).  If it says true, the tasks that are left are
 * dropped, and what they write is undefined.
 */
GPT2I_HIDDEN void gpt2i_pool_set_stop(struct gpt2i_pool *pool, bool (*stops)(void *argument),
                                      void *argument);

/* What stops(argument) says; false if none is set. */
GPT2I_HIDDEN bool gpt2i_pool_stops(const struct gpt2i_pool *pool);

/* The threads that share a run's tasks, the calling one included. */
GPT2I_HIDDEN size_t gpt2i_pool_n_threads(const struct gpt2i_pool *pool);

/* Ends the threads.  No run may be under way. */
GPT2I_HIDDEN void gpt2i_pool_stop(struct gpt2i_pool *pool);

/* In the child of fork(): there are no threads but the caller's, and none of the host's. */
GPT2I_HIDDEN void gpt2i_pool_forget_threads(struct gpt2i_pool *pool);

/* Runs tasks 0 .. n_tasks - 1 (fewer than 2^32), returns when all are done.  One run at a time. */
GPT2I_HIDDEN void gpt2i_pool_run(struct gpt2i_pool *pool, gpt2i_task task, void *argument,
                                 size_t n_tasks);

/* The same, without the question of gpt2i_pool_set_stop(): every task runs. */
GPT2I_HIDDEN void gpt2i_pool_run_all(struct gpt2i_pool *pool, gpt2i_task task, void *argument,
                                     size_t n_tasks);

#endif
