/*
 * platform.h: what the program needs and C11 does not have.  A port to another system writes another
 * platform.c.
 */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <gpt2.h>

/* Call this first.  A write that fails, as to a pipe that nobody reads, is then an error and no
   signal. */
void platform_start(void);

bool platform_is_terminal(FILE *stream);

/* Monotonic time in seconds. */
double platform_seconds(void);

/* A number that differs from run to run. */
uint64_t platform_random_seed(void);

/* False if there is nothing of this name; true also where that cannot be found out. */
bool platform_exists(const char *path);

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

/* The memory of the machine; 0 if that is unknown. */
double platform_memory_bytes(void);

/* Makes a directory, unless it is there.  False: see errno. */
bool platform_make_directory(const char *path);

/* Makes a new directory in $TMPDIR or /tmp.  False: see errno; 'path' is the one that failed. */
bool platform_temporary_directory(char *path, size_t capacity);

/*
 * From now on Ctrl-C, or another signal that asks the program to end, ends only the process that
 * platform_run_apart() runs, or the next one.
 */
void platform_hold_interrupts(void);

/* How a process ended. */
struct platform_process {
    bool was_interrupted; /* by a signal that platform_hold_interrupts() holds */
    int signal;           /* that ended it, 0 for none */
    int exit_code;        /* if none did */
    uint64_t peak_bytes;  /* max memory at one time */
};

/*
 * Runs work(argument) in a process of its own, and waits for it.  Its exit code is what work()
 * returns.  Call platform_hold_interrupts() before, and have only one thread and an empty buffer of
 * stdout.  False: see errno.
 */
bool platform_run_apart(int (*work)(void *), void *argument, struct platform_process *process);

/*
 * From now on the first Ctrl-C cancels 'session' and the second ends the program.  After a call with
 * NULL, which must come before the session is freed, the first ends the program.
 */
void platform_cancel_on_interrupt(gpt2_session *session);

/* Whether Ctrl-C, before it ends the program, erases the line that the cursor of stderr is in. */
void platform_erase_on_interrupt(bool erase);

/* True if Ctrl-C has cancelled the session, even if gpt2_session_reset() came after it. */
bool platform_was_interrupted(void);

#endif
