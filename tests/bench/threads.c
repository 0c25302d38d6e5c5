/*
 * threads.c: what threads gain, and what they cost.
 *
 *     make bench-threads MODEL=DIR
 *
 * Ways to run a model take turns in each of some rounds, so that what else the machine does meets
 * them all; each figure is the median over the rounds.  Ratios are of medians.  A stall is the
 * longest time that one token took, in any round.
 */
#include "gpt2.h"
#include "base/threads.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_ROUNDS  7
#define N_PREFILL 256
#define N_DECODE  24
#define N_EMPTY   20000
#define N_PAUSES  101

struct way {
    int32_t n_threads;
    bool busy; /* beside another process that computes */
    bool pair; /* two texts at a time, each n_threads: what the CPUs can do that share nothing */
    gpt2_session *sessions[2];
    double prefill[N_ROUNDS]; /* tokens a second */
    double decode[N_ROUNDS];
    double stall; /* seconds */
};

/* One text in one round. */
struct text {
    gpt2_session *session;
    double prefill, decode, stall;
};

static double now(void)
{
    return (double)gpt2_clock_ns() * 1e-9;
}

/* CPU seconds of this process. */
static double cpu(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static void check(int32_t status, const char *what)
{
    if (status == GPT2_OK)
        return;
    (void)fprintf(stderr, "threads: %s: %s\n", what, gpt2_strerror(status));
    exit(1);
}

static gpt2_session *create(const gpt2_model *model, int32_t n_threads)
{
    gpt2_session_params params;
    gpt2_session *session;

    check(gpt2_session_params_init(&params, sizeof params), "gpt2_session_params_init");
    params.n_threads = n_threads;
    check(gpt2_session_create(model, &params, &session), "gpt2_session_create");
    if (gpt2_session_n_ctx(session) < N_PREFILL + N_DECODE + 1) {
        (void)fprintf(stderr, "threads: the model has %d positions, not %d or more\n",
                      (int)gpt2_session_n_ctx(session), N_PREFILL + N_DECODE + 1);
        exit(1);
    }
    return session;
}

/* A prompt, then tokens one by one. */
static void *run_text(void *argument)
{
    struct text *text = argument;
    int32_t ids[N_PREFILL];
    double begun, last;

    for (int32_t i = 0; i < N_PREFILL; i++)
        ids[i] = i * 7 % 1000;
    check(gpt2_session_reset(text->session), "gpt2_session_reset");
    begun = now();
    check(gpt2_forward(text->session, ids, N_PREFILL, 1), "gpt2_forward");
    last = now();
    text->prefill = N_PREFILL / (last - begun);
    begun = last;
    for (int32_t i = 0; i < N_DECODE; i++) {
        double at;

        check(gpt2_forward(text->session, &ids[i], 1, 1), "gpt2_forward");
        at = now();
        text->stall = at - last > text->stall ? at - last : text->stall;
        last = at;
    }
    text->decode = N_DECODE / (last - begun);
    return NULL;
}

static void run(struct way *way, int round)
{
    struct text first = {.session = way->sessions[0]}, second = {.session = way->sessions[1]};
    pthread_t thread;

    if (way->pair)
        check(pthread_create(&thread, NULL, run_text, &second) ? GPT2_ERR_THREAD : 0, "a thread");
    (void)run_text(&first);
    if (way->pair)
        (void)pthread_join(thread, NULL);
    way->prefill[round] = first.prefill + second.prefill;
    way->decode[round] = first.decode + second.decode;
    way->stall = first.stall > way->stall ? first.stall : way->stall;
}

/* A process that computes, stopped; made before there is a model whose pages it would share. */
static pid_t make_busy(void)
{
    pid_t child = fork();

    check(child < 0 ? GPT2_ERR_THREAD : GPT2_OK, "fork");
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)raise(SIGSTOP);
        (void)setsid(); /* systems that share out CPUs by sessions give it one's share */
        for (volatile unsigned n = 0;; n++)
            ;
    }
    (void)waitpid(child, NULL, WUNTRACED); /* stopped before prctl(), it would outlive us */
    return child;
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, ascending);
    return x[n / 2];
}

static void nothing(void *argument, size_t task, size_t worker)
{
    (void)argument;
    (void)task;
    (void)worker;
}

/* Microseconds of a run of 16 tasks that do nothing, one after another and after pauses. */
static void print_empty_runs(int32_t n_threads)
{
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);
    struct gpt2i_error error = {NULL, 0};
    struct gpt2i_pool *pool;
    double begun, paused[N_PAUSES];

    (void)gpt2i_pool_layout(&measure, n_threads);
    pool = gpt2i_block_new(measure.used_bytes);
    check(pool == NULL ? GPT2_ERR_MEMORY : gpt2i_pool_start(pool, n_threads, &error), "a pool");
    begun = now();
    for (int i = 0; i < N_EMPTY; i++)
        gpt2i_pool_run(pool, nothing, NULL, 16);
    begun = (now() - begun) / N_EMPTY;
    for (int i = 0; i < N_PAUSES; i++) {
        (void)usleep(3000);
        paused[i] = now();
        gpt2i_pool_run(pool, nothing, NULL, 16);
        paused[i] = now() - paused[i];
    }
    printf("%d threads: an empty run takes %.2f us, after a pause %.1f us\n", (int)n_threads,
           begun * 1e6, median(paused, N_PAUSES) * 1e6);
    gpt2i_pool_stop(pool);
    gpt2i_block_free(pool, measure.used_bytes);
}

int main(int argc, char **argv)
{
    struct way ways[] = {{.n_threads = 1},
                         {.n_threads = 2},
                         {.n_threads = 8},
                         {.n_threads = 2, .busy = true},
                         {.n_threads = 8, .busy = true},
                         {.n_threads = 1, .pair = true}};
    size_t n_ways = sizeof ways / sizeof ways[0];
    gpt2_model *model;
    pid_t busy;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: threads MODEL\n");
        return 2;
    }
    busy = make_busy();
    check(gpt2_model_load(argv[1], NULL, &model), argv[1]);
    for (int32_t n_threads = 1; n_threads <= 8; n_threads *= 2)
        print_empty_runs(n_threads);
    for (size_t i = 0; i < n_ways; i++)
        for (int k = 0; k < (ways[i].pair ? 2 : 1); k++)
            ways[i].sessions[k] = create(model, ways[i].n_threads);
    for (int round = 0; round < N_ROUNDS; round++) {
        for (size_t i = 0; i < n_ways; i++) {
            if (ways[i].busy)
                (void)kill(busy, SIGCONT);
            run(&ways[i], round);
            (void)kill(busy, SIGSTOP);
        }
    }
    printf("threads         prefill  of 2 t.     decode  of 2 t.      stall   idle CPU in 0.5 s\n");
    (void)median(ways[1].prefill, N_ROUNDS);
    (void)median(ways[1].decode, N_ROUNDS);
    for (size_t i = 0; i < n_ways; i++) {
        struct way *way = &ways[i];
        double prefill = median(way->prefill, N_ROUNDS), decode = median(way->decode, N_ROUNDS),
               idle;
        int32_t id = 1;

        check(gpt2_forward(way->sessions[0], &id, 1, 1), "gpt2_forward");
        (void)usleep(5000);
        idle = cpu();
        (void)usleep(500000);
        idle = cpu() - idle;
        printf("%d %-9s %8.1f t/s    %.2f   %6.1f t/s    %.2f   %6.1f ms   %7.3f ms\n",
               (int)way->n_threads,
               way->busy   ? "and busy"
               : way->pair ? "twice"
                           : "",
               prefill, prefill / ways[1].prefill[N_ROUNDS / 2], decode,
               decode / ways[1].decode[N_ROUNDS / 2], way->stall * 1e3, idle * 1e3);
        for (int k = 0; k < 2; k++)
            gpt2_session_free(way->sessions[k]);
    }
    gpt2_model_free(model);
    return 0; /* 'busy' ends with this process */
}
