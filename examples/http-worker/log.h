/*
 * log.h: one line on stderr for each call, without what clients wrote.
 */
#ifndef WORKER_LOG_H
#define WORKER_LOG_H

#include <stdbool.h>

struct call;

/* 'is_whole': the client has taken the whole answer. */
void log_call(const struct call *call, bool is_whole);

#endif
