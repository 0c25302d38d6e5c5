/*
 * guard.c: a list of connections with deadlines.
 */
#include "guard.h"

#include <errno.h>
#include <gpt2.h>
#include <stdlib.h>
#include <sys/socket.h>

void guard_init(struct guard *guard, int seconds)
{
    *guard = (struct guard){.patience_ns = (uint64_t)seconds * 1000000000u};
    pthread_mutex_init(&guard->mutex, NULL);
}

void guard_destroy(struct guard *guard)
{
    pthread_mutex_destroy(&guard->mutex);
}

struct guarded *guard_add(struct guard *guard, int fd)
{
    struct guarded *guarded = calloc(1, sizeof *guarded);

    if (guarded == NULL)
        return NULL;
    guarded->fd = fd;
    guarded->deadline_ns = gpt2_clock_ns() + guard->patience_ns;
    pthread_mutex_lock(&guard->mutex);
    guarded->next = guard->first;
    if (guard->first != NULL)
        guard->first->before = guarded;
    guard->first = guarded;
    pthread_mutex_unlock(&guard->mutex);
    return guarded;
}

void guard_remove(struct guard *guard, struct guarded *guarded)
{
    pthread_mutex_lock(&guard->mutex);
    if (guarded->before != NULL)
        guarded->before->next = guarded->next;
    else
        guard->first = guarded->next;
    if (guarded->next != NULL)
        guarded->next->before = guarded->before;
    pthread_mutex_unlock(&guard->mutex);
    free(guarded);
}

void guard_wait(struct guard *guard, struct guarded *guarded, bool for_client)
{
    pthread_mutex_lock(&guard->mutex);
    guarded->deadline_ns = for_client ? gpt2_clock_ns() + guard->patience_ns : 0;
    pthread_mutex_unlock(&guard->mutex);
}

void guard_sweep(struct guard *guard)
{
    uint64_t now = gpt2_clock_ns();

    pthread_mutex_lock(&guard->mutex);
    for (struct guarded *guarded = guard->first; guarded != NULL; guarded = guarded->next) {
        if (guarded->deadline_ns != 0 && now >= guarded->deadline_ns) {
            (void)shutdown(guarded->fd, SHUT_RDWR);
            guarded->deadline_ns = 0;
        }
    }
    pthread_mutex_unlock(&guard->mutex);
}

bool guard_has_left(const struct guarded *guarded)
{
    char byte;
    ssize_t n = recv(guarded->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}
