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

/* False if 'path' names something that is not a plain file: a device, a pipe, a directory. */
bool platform_may_replace(const char *path);

/*
 * A new file that takes the place of 'target' when it is complete.  Until then it has a name of its
 * own in the same folder.  A signal that ends the program removes it.
 */
struct platform_replacement {
    char *target; /* what the path named, with its symbolic links followed */
    char *temporary;
};

/*
 * Begins the file that 'path' shall name: an old file stays until the commit, a symbolic link stays a
 * link.  The new file has the mode of the old one, or that of any new file.  One at a time.
 * Returns NULL on failure: see errno.  Else the caller closes the stream, and then calls commit or
 * discard.
 */
FILE *platform_replacement_begin(struct platform_replacement *replacement, const char *path);

/* False: see errno; the new file has been removed. */
bool platform_replacement_commit(struct platform_replacement *replacement);
void platform_replacement_discard(struct platform_replacement *replacement);

/* fseek() from the start, beyond 2 GiB as well. */
bool platform_seek(FILE *file, uint64_t offset);

/* The CPUs that this process may use, at most 256. */
int32_t platform_cpu_count(void);

/* Makes a directory of its own in $TMPDIR or /tmp.  False: see errno, and 'path' says where. */
bool platform_temporary_directory(char *path, size_t capacity);

/*
 * From now on Ctrl-C, or another polite request to end, ends what platform_run_apart() runs or would
 * run next, and nothing else.
 */
void platform_hold_interrupts(void);

/* How a process has ended. */
struct platform_process {
    bool was_interrupted; /* by what platform_hold_interrupts() holds */
    int signal;           /* that ended it, 0 for none */
    int exit_code;        /* if none did */
    uint64_t peak_bytes;  /* the most memory that it had at once */
};

/*
 * Runs work(argument) in a process of its own, whose exit code is what it returns, and waits for it.
 * To be called after platform_hold_interrupts(), while there is one thread and nothing unwritten in
 * stdout.  False: see errno.
 */
bool platform_run_apart(int (*work)(void *), void *argument, struct platform_process *process);

/*
 * From now on the first Ctrl-C cancels 'session' and the second ends the program; NULL brings the
 * usual Ctrl-C back and must come before the session is freed.
 */
void platform_cancel_on_interrupt(gpt2_session *session);

/* Has it cancelled the session?  gpt2_session_reset() would take that back. */
bool platform_was_interrupted(void);

#endif
