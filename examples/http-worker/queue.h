/*
 * queue.h: the texts that wait for the engine, in the order of their arrival.
 */
#ifndef WORKER_QUEUE_H
#define WORKER_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request;
struct text;

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    struct text *first, *last;
    size_t n, max;
    bool is_closed; /* the engine ends */
};

void queue_init(struct queue *queue, size_t max);

/* Adds all texts of a request, each with an owner's part of it, or none: false if there is no room. */
bool queue_add(struct queue *queue, struct request *request);

/* The oldest text, or NULL; it stays in the queue.  Only one thread may look and take. */
struct text *queue_look(struct queue *queue);

/* Takes the oldest text out. */
void queue_take(struct queue *queue);

/* Takes out a text whose client has left or whose time is over at 'now_ns'; NULL if there is none. */
struct text *queue_take_late(struct queue *queue, uint64_t now_ns);

/* Waits until there is a text or the queue is closed; false: it is closed. */
bool queue_wait(struct queue *queue);

bool queue_is_closed(struct queue *queue);
void queue_close(struct queue *queue);
size_t queue_length(struct queue *queue);
void queue_destroy(struct queue *queue);

#endif
