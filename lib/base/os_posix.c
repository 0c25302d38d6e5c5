/*
 * os_posix.c: the calls of POSIX systems, and of those that have their files only.
 */
#if !defined(_WIN32)
#define _FILE_OFFSET_BITS 64
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* pread, O_CLOEXEC, MAP_ANONYMOUS, madvise, sched_getaffinity */
#endif
#endif

#include "os.h"

#if defined(GPT2I_OS_POSIX_FILES)

#include "os_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum gpt2i_os_kind gpt2i_os_kind_of(const char *path)
{
    struct stat info;

    if (stat(path, &info) != 0) {
        if (lstat(path, &info) == 0) /* a link to nothing, or what stat() cannot tell */
            return GPT2I_OS_OTHER;
        return errno == ENOENT || errno == ENOTDIR ? GPT2I_OS_NOTHING : GPT2I_OS_OTHER;
    }
    return S_ISREG(info.st_mode) ? GPT2I_OS_REGULAR : GPT2I_OS_OTHER;
}

const char *gpt2i_os_open(struct gpt2i_os_file *file, const char *path)
{
    struct stat info;
    int fd;

    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return "is not a regular file";
    do { /* the flags matter if the file is replaced after stat() */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return reason(errno);
    if (fstat(fd, &info) != 0) {
        (void)close(fd);
        return "its size cannot be read";
    }
    if (!S_ISREG(info.st_mode)) {
        (void)close(fd);
        return "is not a regular file";
    }
    file->handle = fd;
    file->size_bytes = (uint64_t)info.st_size;
    return NULL;
}

int64_t gpt2i_os_read(const struct gpt2i_os_file *file, uint64_t offset, void *bytes,
                      size_t n_bytes)
{
    int64_t n_read;

    do {
        n_read = pread((int)file->handle, bytes, gpt2i_min(n_bytes, GPT2I_READ_MAX_BYTES),
                       (off_t)offset);
    } while (n_read < 0 && errno == EINTR);
    return n_read;
}

void gpt2i_os_close(const struct gpt2i_os_file *file)
{
    (void)close((int)file->handle);
}

uint64_t gpt2i_monotonic_ns(void)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif

#if defined(GPT2I_OS_POSIX)

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

void *gpt2i_block_new(size_t bytes)
{
    void *block;

    if (bytes == 0)
        return NULL;
    block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    /* advice: where the system declines it, the block is as good, only slower to fill */
    if (bytes >= HUGE_PAGE_BYTES)
        (void)madvise(block, bytes, MADV_HUGEPAGE);
#endif
    return block;
}

void gpt2i_block_free(void *block, size_t bytes)
{
    if (block != NULL)
        (void)munmap(block, bytes);
}

void *gpt2i_os_map(const struct gpt2i_os_file *file)
{
    void *mapping = MAP_FAILED;

    if (file->size_bytes <= SIZE_MAX)
        mapping = mmap(NULL, (size_t)file->size_bytes, PROT_READ, MAP_SHARED, (int)file->handle, 0);
    if (mapping == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    (void)madvise(mapping, (size_t)file->size_bytes, MADV_HUGEPAGE);
#endif
    return mapping;
}

void gpt2i_os_unmap(void *mapping, size_t bytes)
{
    (void)munmap(mapping, bytes);
}

int32_t gpt2i_cpu_count(void)
{
    long count;

#if defined(__linux__)
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = CPU_COUNT(&set);
    else
#endif
        count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > INT32_MAX ? INT32_MAX : (int32_t)count;
}

#if defined(__aarch64__) && defined(__linux__)

bool gpt2i_os_has_dotprod(void)
{
    return (getauxval(AT_HWCAP) & 1u << 20) != 0; /* HWCAP_ASIMDDP */
}

#elif defined(__aarch64__) && defined(__APPLE__)

bool gpt2i_os_has_dotprod(void)
{
    int has = 0;
    size_t size = sizeof has;

    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, NULL, 0) == 0 && has != 0;
}

#else

bool gpt2i_os_has_dotprod(void)
{
    return false;
}

#endif

bool gpt2i_mutex_init(struct gpt2i_mutex *mutex)
{
    return pthread_mutex_init(&mutex->mutex, NULL) == 0;
}

void gpt2i_mutex_destroy(struct gpt2i_mutex *mutex)
{
    pthread_mutex_destroy(&mutex->mutex);
}

void gpt2i_mutex_lock(struct gpt2i_mutex *mutex)
{
    pthread_mutex_lock(&mutex->mutex);
}

void gpt2i_mutex_unlock(struct gpt2i_mutex *mutex)
{
    pthread_mutex_unlock(&mutex->mutex);
}

bool gpt2i_condition_init(struct gpt2i_condition *condition)
{
    return pthread_cond_init(&condition->condition, NULL) == 0;
}

void gpt2i_condition_destroy(struct gpt2i_condition *condition)
{
    pthread_cond_destroy(&condition->condition);
}

void gpt2i_condition_wait(struct gpt2i_condition *condition, struct gpt2i_mutex *mutex)
{
    pthread_cond_wait(&condition->condition, &mutex->mutex);
}

void gpt2i_condition_signal(struct gpt2i_condition *condition)
{
    pthread_cond_signal(&condition->condition);
}

bool gpt2i_thread_start(struct gpt2i_thread *thread, void *(*main)(void *argument), void *argument)
{
    sigset_t all;
    sigset_t before;
    bool masked; /* 'before' is set and must be restored */
    bool started;

    sigfillset(&all);
    masked = pthread_sigmask(SIG_SETMASK, &all, &before) == 0;
    started = pthread_create(&thread->thread, NULL, main, argument) == 0;
    if (masked)
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void gpt2i_thread_join(struct gpt2i_thread *thread)
{
    pthread_join(thread->thread, NULL);
}

#endif
