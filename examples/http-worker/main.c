/*
 * main.c: starts and ends the worker.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine.h"
#include "http.h"
#include "options.h"

enum { TURN_MS = 100, LAST_TURNS = 10 };

/* Waits a turn for a signal that ends the worker. */
static bool signal_came(const sigset_t *signals)
{
    const struct timespec turn = {0, TURN_MS * 1000000L};

    return sigtimedwait(signals, NULL, &turn) > 0;
}

/* Serves until a signal comes and what runs has ended, or until the engine fails. */
static int serve(struct http *http, struct engine *engine, const sigset_t *signals)
{
    bool is_told = false;
    uint64_t end_ns;

    while (!signal_came(signals)) {
        int state = atomic_load(&engine->state);

        guard_sweep(&http->guard);
        if (state == ENGINE_FAILED) {
            fprintf(stderr, "http-worker: %s\n", engine->error);
            return 1;
        }
        if (state == ENGINE_READY && !is_told) {
            printf("ready: http://%s:%d/\n", http->options->host, http->port);
            fflush(stdout);
            is_told = true;
        }
    }
    atomic_store(&http->drains, true);
    end_ns = gpt2_clock_ns() + (uint64_t)http->options->drain_seconds * 1000000000u;
    while (atomic_load(&http->n_active) > 0 && gpt2_clock_ns() < end_ns && !signal_came(signals))
        guard_sweep(&http->guard);
    return 0;
}

/* Ends what still runs; its clients get a moment to read why. */
static void stop(struct http *http, struct engine *engine)
{
    const struct timespec turn = {0, TURN_MS * 1000000L};

    engine_stop(engine);
    for (int i = 0; i < LAST_TURNS && atomic_load(&http->n_active) > 0; i++)
        nanosleep(&turn, NULL);
    http_stop(http);
    engine_free(engine);
}

int main(int argc, char **argv)
{
    static struct options options;
    static struct engine engine;
    static struct http http;
    sigset_t signals;
    int outcome;

    outcome = options_read(&options, argc, argv);
    if (outcome != OPTIONS_RUN)
        return outcome == OPTIONS_WRONG ? 2 : 0;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* all threads inherit it */
    outcome = engine_start(&engine, &options);
    if (outcome != 0) {
        fprintf(stderr, "http-worker: no thread can be started: %s\n", strerror(outcome));
        return 1;
    }
    if (!http_start(&http, &options, &engine)) {
        engine_stop(&engine);
        engine_free(&engine);
        return 1;
    }
    outcome = serve(&http, &engine, &signals);
    stop(&http, &engine);
    return outcome;
}
