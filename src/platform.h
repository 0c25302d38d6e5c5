/*
 * platform.h: what C11 does not offer.  A port to another system writes another platform.c.
 */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <gpt2.h>

/* To be called first: what ends a write, such as a reader that goes away, becomes an error instead of
   a signal. */
void platform_start(void);

bool platform_is_terminal(FILE *stream);

/* The directory of the running program, without a slash at its end; false if it cannot be told. */
bool platform_program_directory(const char *argv0, char *directory, size_t capacity);

/* Monotonic time. */
double platform_seconds(void);

/* A number that differs from run to run. */
uint64_t platform_random_seed(void);

/* False if something other than a plain file lies at 'path': a device, a pipe, a directory. */
bool platform_may_replace(const char *path);

/* Moves a file over another. */
bool platform_replace(const char *from, const char *to);

/* fseek() from the start, beyond 2 GiB as well. */
bool platform_seek(FILE *file, uint64_t offset);

/*
 * From now on the first Ctrl-C cancels 'session' and the second ends the program; NULL brings the
 * usual Ctrl-C back and must come before the session is freed.
 */
void platform_cancel_on_interrupt(gpt2_session *session);

/* Has it cancelled the session?  gpt2_session_reset() would take that back. */
bool platform_was_interrupted(void);

#endif
