/*
 * platform.c: terminals, signals, clocks and paths of POSIX systems.
 */
#define _FILE_OFFSET_BITS 64
#define _POSIX_C_SOURCE   200809L

#include "platform.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* The program's one global: a signal handler has no other way to its session. */
static _Atomic(gpt2_session *) interruptible;

void platform_start(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

bool platform_is_terminal(FILE *stream)
{
    return isatty(fileno(stream)) == 1;
}

bool platform_program_directory(const char *argv0, char *directory, size_t capacity)
{
    ssize_t length = readlink("/proc/self/exe", directory, capacity - 1);
    char *slash;

    if (length > 0) {
        directory[length] = '\0';
    } else {
        if (argv0 == NULL || strlen(argv0) >= capacity)
            return false;
        strcpy(directory, argv0);
    }
    slash = strrchr(directory, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return true;
}

double platform_seconds(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return 0;
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

uint64_t platform_random_seed(void)
{
    struct timespec now = {0, 0};
    uint64_t x;

    clock_gettime(CLOCK_REALTIME, &now);
    x = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    x ^= (uint64_t)getpid() << 40;
    /* Mixed and cut to 32 bits: short enough to be typed again after -s. */
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x >> 32;
}

bool platform_may_replace(const char *path)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return errno == ENOENT;
    return S_ISREG(info.st_mode);
}

bool platform_replace(const char *from, const char *to)
{
    return rename(from, to) == 0;
}

bool platform_seek(FILE *file, uint64_t offset)
{
    return fseeko(file, (off_t)offset, SEEK_SET) == 0;
}

static void on_interrupt(int signal_number)
{
    gpt2_session *session = atomic_exchange(&interruptible, NULL);

    (void)signal_number;
    if (session != NULL)
        gpt2_session_cancel(session);
}

void platform_cancel_on_interrupt(gpt2_session *session)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    if (session != NULL) {
        atomic_store(&interruptible, session);
        action.sa_handler = on_interrupt;
        action.sa_flags = SA_RESTART | SA_RESETHAND;
        sigaction(SIGINT, &action, NULL);
    } else {
        action.sa_handler = SIG_DFL;
        sigaction(SIGINT, &action, NULL);
        atomic_store(&interruptible, NULL);
    }
}

bool platform_was_interrupted(void)
{
    return atomic_load(&interruptible) == NULL;
}
