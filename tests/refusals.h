/*
 * refusals.h: between the library and libc: a plan of which calls of one kind are refused, and a
 * ledger of what the system has given and not got back.
 *
 * Whoever includes this names every function that has a WRAP() here in the lines "WRAP := ..." of
 * its head, see the Makefile.
 */
#ifndef REFUSALS_H
#define REFUSALS_H

#include "tiny_model.h"
#include "wrap.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST_LIVE  64
#define PATH_BYTES 4096

/* ------------------------------------------------------------------------------------- refusals -- */

enum way { REFUSE, END, SHORT, INTERRUPT, SHRINK };

enum call {
    MMAP,
    MUNMAP,
    MADVISE,
    STAT,
    OPEN,
    FSTAT,
    PREAD,
    CLOSE,
    THREAD,
    MUTEX,
    CONDITION,
    SIGMASK,
    CPUS,
    CLOCK,
    N_CALLS
};

/* What is refused, how, and the status that says so; GPT2_OK: the library lives with it. */
struct kind {
    const char *name;
    enum call call;
    enum way way;
    int32_t status;
    const char *words; /* of its line */
};

/* The plan for the calls of one function of the library. */
static struct plan {
    const struct kind *kind; /* NULL: none */
    int first;               /* the call that is refused, from 1 */
    bool persists;           /* and those after it; of interruptions every second */
    int divisor;             /* a file shrinks to its size / divisor */
    atomic_int n_calls;      /* of the kind */
    atomic_int n_refused;
    char path[PATH_BYTES]; /* of what was refused; of files not opened the last */
} plan;

static void begin_plan(const struct kind *kind, int first, bool persists)
{
    plan.kind = kind;
    plan.first = first;
    plan.persists = persists;
    atomic_store(&plan.n_calls, 0);
    atomic_store(&plan.n_refused, 0);
}

static PLAIN void copy_path(char to[PATH_BYTES], const char *from)
{
    size_t i = 0;

    for (; i < PATH_BYTES - 1 && from[i] != '\0'; i++)
        to[i] = from[i];
    to[i] = '\0';
}

/* Whether it is this call's turn. */
static PLAIN bool refused(enum call call, const char *path)
{
    int n;

    if (plan.kind == NULL || plan.kind->call != call)
        return false;
    n = atomic_fetch_add(&plan.n_calls, 1) + 1 - plan.first;
    if (n != 0 && (n < 0 || !plan.persists || (plan.kind->way == INTERRUPT && n % 2 == 1)))
        return false;
    if (atomic_fetch_add(&plan.n_refused, 1) == 0 || call == OPEN) /* threads read one file */
        copy_path(plan.path, path);
    return true;
}

/* --------------------------------------------------------------------------------------- ledger -- */

/* What the system has given and not got back, in the order of giving. */
struct item {
    uintptr_t call; /* that gave it */
    uintptr_t what;
    uintptr_t bytes;
};

static struct ledger {
    struct item items[MOST_LIVE];
    size_t n;
} ledger;
static const char *wrong_return; /* something was given back that was not there, or not like this */
static char paths[MOST_LIVE][PATH_BYTES]; /* of open descriptors */

static PLAIN void put(enum call call, uintptr_t what, size_t bytes)
{
    struct item item = {call, what, bytes};

    if (ledger.n < MOST_LIVE)
        ledger.items[ledger.n++] = item;
    else
        wrong_return = "the ledger is full";
}

static PLAIN void take(enum call call, uintptr_t what, size_t bytes, const char *name)
{
    for (size_t i = ledger.n; i-- > 0;) {
        if (ledger.items[i].call != call || ledger.items[i].what != what)
            continue;
        if (ledger.items[i].bytes != bytes)
            wrong_return = name;
        for (ledger.n--; i < ledger.n; i++)
            ledger.items[i] = ledger.items[i + 1];
        return;
    }
    wrong_return = name;
}

static bool same_ledger(const struct ledger *before)
{
    return ledger.n == before->n && wrong_return == NULL &&
           memcmp(ledger.items, before->items, ledger.n * sizeof ledger.items[0]) == 0;
}

/* ---------------------------------------------------------------------------------- the calls -- */

/* 32 and 64 bits of off_t where they have names of their own */
#define WRAP_MMAP(symbol, offset_type)                                                          \
    WRAP(void *, symbol, (void *at, size_t n, int prot, int flags, int fd, offset_type offset)) \
    {                                                                                           \
        void *block;                                                                            \
                                                                                                \
        if (refused(MMAP, ""))                                                                  \
            return errno = ENOMEM, MAP_FAILED;                                                  \
        block = __real_##symbol(at, n, prot, flags, fd, offset);                                \
        if (block != MAP_FAILED)                                                                \
            put(MMAP, (uintptr_t)block, n);                                                     \
        return block;                                                                           \
    }

WRAP_MMAP(mmap, off_t)
#if defined(__GLIBC__)
WRAP_MMAP(mmap64, off64_t)
#endif

WRAP(int, munmap, (void *block, size_t n))
{
    take(MMAP, (uintptr_t)block, n, "munmap");
    (void)__real_munmap(block, n);
    return refused(MUNMAP, "") ? (errno = EINVAL, -1) : 0;
}

WRAP(int, madvise, (void *block, size_t n, int advice))
{
    return refused(MADVISE, "") ? (errno = EINVAL, -1) : __real_madvise(block, n, advice);
}

static PLAIN int note_open(int fd, const char *path)
{
    if (fd >= 0) {
        copy_path(paths[fd % MOST_LIVE], path);
        put(OPEN, (uintptr_t)fd, 0);
    }
    return fd;
}

static PLAIN bool open_refused(const char *path)
{
    if (!refused(OPEN, path))
        return false;
    errno = plan.kind->way == INTERRUPT ? EINTR : EMFILE;
    return true;
}

/* True if the call is refused; a file that shrinks does so when its size has been told. */
static PLAIN bool fstat_refused(int fd, off_t size)
{
    if (!refused(FSTAT, paths[fd % MOST_LIVE]))
        return false;
    errno = EIO;
    if (plan.kind->way == SHRINK && truncate(plan.path, size / plan.divisor) != 0)
        wrong_return = "truncate";
    return plan.kind->way != SHRINK;
}

/* Less than asked for, or -1; n if it is not the call's turn. */
static PLAIN ssize_t pread_allowed(int fd, size_t n)
{
    if (!refused(PREAD, paths[fd % MOST_LIVE]))
        return (ssize_t)n;
    errno = plan.kind->way == INTERRUPT ? EINTR : EIO;
    return plan.kind->way == SHORT ? (ssize_t)(n + 1) / 2 : plan.kind->way == END ? 0 : -1;
}

/* likewise */
#define WRAP_FILES(stat_symbol, open_symbol, fstat_symbol, pread_symbol, stat_type, offset_type) \
    WRAP(int, stat_symbol, (const char *path, stat_type *info))                                  \
    {                                                                                            \
        return refused(STAT, path) ? (errno = EIO, -1) : __real_##stat_symbol(path, info);       \
    }                                                                                            \
    WRAP(int, open_symbol, (const char *path, int flags, ...))                                   \
    {                                                                                            \
        if (open_refused(path))                                                                  \
            return -1;                                                                           \
        return note_open(__real_##open_symbol(path, flags), path);                               \
    }                                                                                            \
    WRAP(int, fstat_symbol, (int fd, stat_type *info))                                           \
    {                                                                                            \
        int result = __real_##fstat_symbol(fd, info);                                            \
                                                                                                 \
        return fstat_refused(fd, info->st_size) ? -1 : result;                                   \
    }                                                                                            \
    WRAP(ssize_t, pread_symbol, (int fd, void *bytes, size_t n, offset_type at))                 \
    {                                                                                            \
        ssize_t allowed = pread_allowed(fd, n);                                                  \
                                                                                                 \
        if (allowed <= 0)                                                                        \
            return allowed;                                                                      \
        return __real_##pread_symbol(fd, bytes, (size_t)allowed, at);                            \
    }

WRAP_FILES(stat, open, fstat, pread, struct stat, off_t)
#if defined(__GLIBC__)
WRAP_FILES(stat64, open64, fstat64, pread64, struct stat64, off64_t)
#endif

WRAP(int, close, (int fd))
{
    take(OPEN, (uintptr_t)fd, 0, "close");
    (void)__real_close(fd);
    return refused(CLOSE, "") ? (errno = EIO, -1) : 0;
}

WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument))
{
    int result =
        refused(THREAD, "") ? EAGAIN : __real_pthread_create(thread, attributes, start, argument);

    if (result == 0)
        put(THREAD, (uintptr_t)*thread, 0);
    return result;
}

WRAP(int, pthread_join, (pthread_t thread, void **value))
{
    take(THREAD, (uintptr_t)thread, 0, "pthread_join");
    return __real_pthread_join(thread, value);
}

WRAP(int, pthread_mutex_init, (pthread_mutex_t * mutex, const pthread_mutexattr_t *attributes))
{
    if (refused(MUTEX, ""))
        return ENOMEM;
    put(MUTEX, (uintptr_t)mutex, 0);
    return __real_pthread_mutex_init(mutex, attributes);
}

WRAP(int, pthread_mutex_destroy, (pthread_mutex_t * mutex))
{
    take(MUTEX, (uintptr_t)mutex, 0, "pthread_mutex_destroy");
    return __real_pthread_mutex_destroy(mutex);
}

WRAP(int, pthread_cond_init, (pthread_cond_t * condition, const pthread_condattr_t *attributes))
{
    if (refused(CONDITION, ""))
        return ENOMEM;
    put(CONDITION, (uintptr_t)condition, 0);
    return __real_pthread_cond_init(condition, attributes);
}

WRAP(int, pthread_cond_destroy, (pthread_cond_t * condition))
{
    take(CONDITION, (uintptr_t)condition, 0, "pthread_cond_destroy");
    return __real_pthread_cond_destroy(condition);
}

/* Putting a mask back is not refused: nothing could make that good. */
WRAP(int, pthread_sigmask, (int how, const sigset_t *set, sigset_t *old))
{
    return old != NULL && refused(SIGMASK, "") ? EPERM : __real_pthread_sigmask(how, set, old);
}

WRAP(int, sched_getaffinity, (pid_t pid, size_t n, cpu_set_t *set))
{
    return refused(CPUS, "") ? (errno = EINVAL, -1) : __real_sched_getaffinity(pid, n, set);
}

WRAP(long, sysconf, (int name))
{
    return name == _SC_NPROCESSORS_ONLN && refused(CPUS, "") ? -1 : __real_sysconf(name);
}

WRAP(int, clock_gettime, (clockid_t clock, struct timespec *now))
{
    return refused(CLOCK, "") ? (errno = EPERM, -1) : __real_clock_gettime(clock, now);
}

#endif
