/*
 * queue.c: a bounded list of texts.
 */
#include "queue.h"

#include "request.h"

void queue_init(struct queue *queue, size_t max)
{
    *queue = (struct queue){.max = max};
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->filled, NULL);
}

bool queue_add(struct queue *queue, struct request *request)
{
    bool has_room;

    pthread_mutex_lock(&queue->mutex);
    has_room = request->n_texts <= queue->max - queue->n && !queue->is_closed;
    for (size_t i = 0; i < request->n_texts && has_room; i++) {
        struct text *text = &request->texts[i];

        atomic_fetch_add(&request->n_owners, 1);
        text->next = NULL;
        if (queue->last == NULL)
            queue->first = text;
        else
            queue->last->next = text;
        queue->last = text;
        queue->n++;
    }
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->mutex);
    return has_room;
}

struct text *queue_look(struct queue *queue)
{
    struct text *text;

    pthread_mutex_lock(&queue->mutex);
    text = queue->first;
    pthread_mutex_unlock(&queue->mutex);
    return text;
}

/* The caller holds the lock.  'before' is NULL for the first text. */
static void unlink_text(struct queue *queue, struct text *before, struct text *text)
{
    if (before == NULL)
        queue->first = text->next;
    else
        before->next = text->next;
    if (queue->last == text)
        queue->last = before;
    queue->n--;
}

void queue_take(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    unlink_text(queue, NULL, queue->first);
    pthread_mutex_unlock(&queue->mutex);
}

struct text *queue_take_late(struct queue *queue, uint64_t now_ns)
{
    struct text *before = NULL, *text;

    pthread_mutex_lock(&queue->mutex);
    for (text = queue->first; text != NULL; before = text, text = text->next) {
        if (atomic_load(&text->request->is_gone) || now_ns >= text->request->deadline_ns)
            break;
    }
    if (text != NULL)
        unlink_text(queue, before, text);
    pthread_mutex_unlock(&queue->mutex);
    return text;
}

bool queue_wait(struct queue *queue)
{
    bool is_open;

    pthread_mutex_lock(&queue->mutex);
    while (queue->first == NULL && !queue->is_closed)
        pthread_cond_wait(&queue->filled, &queue->mutex);
    is_open = !queue->is_closed;
    pthread_mutex_unlock(&queue->mutex);
    return is_open;
}

bool queue_is_closed(struct queue *queue)
{
    bool is_closed;

    pthread_mutex_lock(&queue->mutex);
    is_closed = queue->is_closed;
    pthread_mutex_unlock(&queue->mutex);
    return is_closed;
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->is_closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->mutex);
}

size_t queue_length(struct queue *queue)
{
    size_t n;

    pthread_mutex_lock(&queue->mutex);
    n = queue->n;
    pthread_mutex_unlock(&queue->mutex);
    return n;
}

void queue_destroy(struct queue *queue)
{
    pthread_cond_destroy(&queue->filled);
    pthread_mutex_destroy(&queue->mutex);
}
