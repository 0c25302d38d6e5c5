/*
 * os.h: what the library asks the operating system for: blocks of memory, files, the clock, CPUs and
 * threads.
 *
 * os_windows.c has it all for Windows.  Elsewhere os_posix.c has what the system has, and os_none.c the
 * rest: WASI has files and a clock, but maps nothing and starts no thread.
 */
#ifndef GPT2I_OS_H
#define GPT2I_OS_H

#include "common.h"

#if defined(__unix__) || defined(__APPLE__) || defined(__wasi__)
#define GPT2I_OS_POSIX_FILES /* and the clock */
#if !defined(__wasm__)
#define GPT2I_OS_POSIX /* all the rest */
#include <pthread.h>
#endif
#endif

/*
 * A block of 'bytes' zero bytes, aligned to GPT2I_ALIGN; NULL if there is no memory or bytes is 0.
 * Large blocks ask the system for huge pages.  Freed with gpt2i_block_free() and the same size.
 */
GPT2I_HIDDEN void *gpt2i_block_new(size_t bytes);
GPT2I_HIDDEN void gpt2i_block_free(void *block, size_t bytes);

/* An open file. */
struct gpt2i_os_file {
    intptr_t handle;
    uint64_t size_bytes;
};

/*
 * Opens a regular file; nothing else is opened at all, since that could block (a FIFO), act (a device)
 * or make a terminal the process's own.  Returns NULL, or what is wrong; nothing stays open then.
 */
GPT2I_HIDDEN const char *gpt2i_os_open(struct gpt2i_os_file *file, const char *path);

/* Reads up to n_bytes at 'offset': how many, 0 at the end, negative on failure.  Any thread. */
GPT2I_HIDDEN int64_t gpt2i_os_read(const struct gpt2i_os_file *file, uint64_t offset, void *bytes,
                                   size_t n_bytes);

GPT2I_HIDDEN void gpt2i_os_close(const struct gpt2i_os_file *file);

/*
 * Maps a whole file into memory, to be read only; NULL if the system cannot.  The mapping stays when the
 * file is closed.  Where another process cuts the file short, a read from the mapping raises a signal.
 */
GPT2I_HIDDEN void *gpt2i_os_map(const struct gpt2i_os_file *file);
GPT2I_HIDDEN void gpt2i_os_unmap(void *mapping, size_t bytes);

/* What there is at 'path'. */
enum gpt2i_os_kind {
    GPT2I_OS_NOTHING,
    GPT2I_OS_REGULAR,
    GPT2I_OS_OTHER /* a directory, a device, a link to nothing; or it may not be seen */
};
GPT2I_HIDDEN enum gpt2i_os_kind gpt2i_os_kind_of(const char *path);

/* The monotonic clock, in nanoseconds. */
GPT2I_HIDDEN uint64_t gpt2i_monotonic_ns(void);

/* CPUs that this process may use, 1 or more. */
GPT2I_HIDDEN int32_t gpt2i_cpu_count(void);

/* Whether the system says that this CPU, an aarch64, has the instructions of dotprod.c. */
GPT2I_HIDDEN bool gpt2i_os_has_dotprod(void);

#if defined(GPT2I_OS_POSIX)
struct gpt2i_mutex {
    pthread_mutex_t mutex;
};
struct gpt2i_condition {
    pthread_cond_t condition;
};
struct gpt2i_thread {
    pthread_t thread;
};
#else
struct gpt2i_mutex {
    void *lock;
};
struct gpt2i_condition {
    void *waiters;
};
struct gpt2i_thread {
    void *handle;
    void *(*main)(void *argument);
    void *argument;
};
#endif

/* False if the system refuses. */
GPT2I_HIDDEN bool gpt2i_mutex_init(struct gpt2i_mutex *mutex);
GPT2I_HIDDEN void gpt2i_mutex_destroy(struct gpt2i_mutex *mutex);
GPT2I_HIDDEN void gpt2i_mutex_lock(struct gpt2i_mutex *mutex);
GPT2I_HIDDEN void gpt2i_mutex_unlock(struct gpt2i_mutex *mutex);

/* False if the system refuses.  A wait may end without a signal; a signal wakes one that waits. */
GPT2I_HIDDEN bool gpt2i_condition_init(struct gpt2i_condition *condition);
GPT2I_HIDDEN void gpt2i_condition_destroy(struct gpt2i_condition *condition);
GPT2I_HIDDEN void gpt2i_condition_wait(struct gpt2i_condition *condition,
                                       struct gpt2i_mutex *mutex);
GPT2I_HIDDEN void gpt2i_condition_signal(struct gpt2i_condition *condition);

/*
 * Starts a thread that runs main(argument), with every signal blocked: the host's handlers run on the
 * host's own threads.  '*thread' stays where it is until the join.  False if the system refuses, as it
 * always does where it has no threads.
 */
GPT2I_HIDDEN bool gpt2i_thread_start(struct gpt2i_thread *thread, void *(*main)(void *argument),
                                     void *argument);
GPT2I_HIDDEN void gpt2i_thread_join(struct gpt2i_thread *thread);

#endif
