/*
 * platform.c: terminals, signals, processes, clocks and paths of POSIX systems.
 */
#define _FILE_OFFSET_BITS 64
#define _GNU_SOURCE       /* sched_getaffinity, wait4 */

#include "platform.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
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

#define MOST_THREADS 256 /* of a session */

int32_t platform_cpu_count(void)
{
    long count;

#if defined(__linux__)
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = CPU_COUNT(&set);
    else
#endif
        count = sysconf(_SC_NPROCESSORS_ONLN);
    if (count < 1)
        return 1;
    return count > MOST_THREADS ? MOST_THREADS : (int32_t)count;
}

bool platform_temporary_directory(char *path, size_t capacity)
{
    const char *parent = getenv("TMPDIR");
    int length;

    if (parent == NULL || parent[0] == '\0')
        parent = "/tmp";
    length = snprintf(path, capacity, "%s/gpt2-XXXXXX", parent);
    if (length < 0 || (size_t)length >= capacity) {
        errno = ENAMETOOLONG;
        return false;
    }
    return mkdtemp(path) != NULL;
}

/* What platform_hold_interrupts() holds, and the end of a child. */
static void held_signals(sigset_t *set)
{
    struct sigaction hangup;

    sigemptyset(set);
    /* Even where they are ignored, as by what a shell starts with &: who sends them means it. */
    sigaddset(set, SIGINT);
    sigaddset(set, SIGQUIT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGCHLD);
    /* nohup ignores it, and means that the end of the terminal shall not matter. */
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaddset(set, SIGHUP);
}

static void on_child(int signal_number)
{
    (void)signal_number;
}

void platform_hold_interrupts(void)
{
    sigset_t set;

    /* Where it is ignored, nobody can wait for a child; where it is by default, some systems drop it
       although it is held. */
    signal(SIGCHLD, on_child);
    held_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

bool platform_run_apart(int (*work)(void *), void *argument, struct platform_process *process)
{
    struct rusage usage;
    sigset_t set;
    int status = 0;
    pid_t child = fork();
    pid_t ended;

    memset(process, 0, sizeof *process);
    held_signals(&set);
    if (child < 0)
        return false;
    if (child == 0) {
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        _exit(work(argument));
    }
    while ((ended = wait4(child, &status, WNOHANG, &usage)) == 0) {
        int number = SIGCHLD;

        sigwait(&set, &number);
        if (number == SIGCHLD)
            continue;
        process->was_interrupted = true;
        kill(child, SIGKILL);
    }
    if (ended < 0)
        return false;
    process->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    process->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
#if defined(__APPLE__)
    process->peak_bytes = (uint64_t)usage.ru_maxrss;
#else
    process->peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
#endif
    return true;
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
