/*
 * metrics.h: what the worker has done since its start, in Prometheus's text format.
 */
#ifndef WORKER_METRICS_H
#define WORKER_METRICS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct call;
struct route;

enum { N_BUCKETS = 13, MAX_ANSWERS = 128 };

struct histogram {
    uint64_t counts[N_BUCKETS + 1]; /* the last one: longer than all limits */
    double sum;
};

struct metrics {
    pthread_mutex_t mutex;
    struct {
        const struct route *route; /* NULL: no path of the worker's */
        int status;
        uint64_t n;
    } answers[MAX_ANSWERS];
    int n_answers;
    uint64_t n_prompt_tokens, n_shared_tokens, n_tokens, n_texts, n_unread;
    struct histogram queue, first_token, token; /* in seconds */
};

void metrics_init(struct metrics *metrics);
void metrics_destroy(struct metrics *metrics);

/* Counts a call that has ended. */
void metrics_count(struct metrics *metrics, const struct call *call, bool is_whole);

#endif
