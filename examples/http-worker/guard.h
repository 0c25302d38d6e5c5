/*
 * guard.h: closes the connections of clients that are too slow.
 *
 * Each connection has a deadline while the worker waits for its client: to send a whole request, to take
 * what is sent, or to begin the next request.  While the client waits for the worker it has none.
 */
#ifndef WORKER_GUARD_H
#define WORKER_GUARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct guarded {
    int fd;
    uint64_t deadline_ns; /* 0: none */
    struct guarded *next, *before;
};

struct guard {
    pthread_mutex_t mutex;
    struct guarded *first;
    uint64_t patience_ns;
};

void guard_init(struct guard *guard, int seconds);
void guard_destroy(struct guard *guard);

/* A connection begins, with a deadline.  NULL without memory. */
struct guarded *guard_add(struct guard *guard, int fd);

/* It ends; the descriptor is still open. */
void guard_remove(struct guard *guard, struct guarded *guarded);

/* The worker waits for the client, or the client for the worker. */
void guard_wait(struct guard *guard, struct guarded *guarded, bool for_client);

/* Shuts the connections down whose deadlines have passed. */
void guard_sweep(struct guard *guard);

/* Whether the client has closed the connection. */
bool guard_has_left(const struct guarded *guarded);

#endif
