/*
 * os_none.c: where there is no system, or one with files only: one thread, and memory of malloc().
 */
#include "os.h"

#if !defined(_WIN32) && !defined(GPT2I_OS_POSIX_FILES)

enum gpt2i_os_kind gpt2i_os_kind_of(const char *path)
{
    (void)path;
    return GPT2I_OS_NOTHING;
}

const char *gpt2i_os_open(struct gpt2i_os_file *file, const char *path)
{
    (void)file;
    (void)path;
    return "cannot be opened: this system has no files";
}

int64_t gpt2i_os_read(const struct gpt2i_os_file *file, uint64_t offset, void *bytes,
                      size_t n_bytes)
{
    (void)file;
    (void)offset;
    (void)bytes;
    (void)n_bytes;
    return -1;
}

void gpt2i_os_close(const struct gpt2i_os_file *file)
{
    (void)file;
}

uint64_t gpt2i_monotonic_ns(void)
{
    return 0;
}

#endif

#if !defined(_WIN32) && !defined(GPT2I_OS_POSIX)

#include <stdlib.h>

void *gpt2i_block_new(size_t bytes)
{
    void *block;

    if (bytes == 0 || bytes > SIZE_MAX - GPT2I_ALIGN)
        return NULL;
    block = aligned_alloc(GPT2I_ALIGN, gpt2i_round_up(bytes, GPT2I_ALIGN));
    if (block != NULL)
        memset(block, 0, bytes);
    return block;
}

void gpt2i_block_free(void *block, size_t bytes)
{
    (void)bytes;
    free(block);
}

void *gpt2i_os_map(const struct gpt2i_os_file *file)
{
    (void)file;
    return NULL;
}

void gpt2i_os_unmap(void *mapping, size_t bytes)
{
    (void)mapping;
    (void)bytes;
}

int32_t gpt2i_cpu_count(void)
{
    return 1;
}

bool gpt2i_os_has_dotprod(void)
{
    return false;
}

/* No thread can be started, so nothing has to be locked, and nobody to be waited for. */
bool gpt2i_mutex_init(struct gpt2i_mutex *mutex)
{
    (void)mutex;
    return true;
}

void gpt2i_mutex_destroy(struct gpt2i_mutex *mutex)
{
    (void)mutex;
}

void gpt2i_mutex_lock(struct gpt2i_mutex *mutex)
{
    (void)mutex;
}

void gpt2i_mutex_unlock(struct gpt2i_mutex *mutex)
{
    (void)mutex;
}

bool gpt2i_condition_init(struct gpt2i_condition *condition)
{
    (void)condition;
    return true;
}

void gpt2i_condition_destroy(struct gpt2i_condition *condition)
{
    (void)condition;
}

void gpt2i_condition_wait(struct gpt2i_condition *condition, struct gpt2i_mutex *mutex)
{
    (void)condition;
    (void)mutex;
}

void gpt2i_condition_signal(struct gpt2i_condition *condition)
{
    (void)condition;
}

bool gpt2i_thread_start(struct gpt2i_thread *thread, void *(*main)(void *argument), void *argument)
{
    (void)thread;
    (void)main;
    (void)argument;
    return false;
}

void gpt2i_thread_join(struct gpt2i_thread *thread)
{
    (void)thread;
}

#endif
