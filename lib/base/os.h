/*
 * os.h: what the library asks the operating system for, but for the threads of threads.c: blocks of
 * memory, files, the clock and the number of CPUs.
 */
#ifndef GPT2I_OS_H
#define GPT2I_OS_H

#include "common.h"

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

#endif
