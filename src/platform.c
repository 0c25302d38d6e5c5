/*
 * platform.c: terminals, signals, processes, clocks and paths of POSIX systems.
 */
#define _FILE_OFFSET_BITS 64
#define _GNU_SOURCE       /* sched_getaffinity, wait4 */

#include "platform.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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

/* The program's three globals: a signal handler has no other way to what it cancels or removes. */
static _Atomic(gpt2_session *) interruptible;
static _Atomic(const char *) temporary_path;
static atomic_bool has_line; /* on a terminal */

void platform_start(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

bool platform_is_terminal(FILE *stream)
{
    return isatty(fileno(stream)) == 1;
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
    /* Mixed, and cut to 32 bits so that people can type it after -s. */
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x >> 32;
}

/* The first Ctrl-C cancels the session, if there is one.  Any other signal ends the program. */
static void on_signal(int number)
{
    gpt2_session *session = number == SIGINT ? atomic_exchange(&interruptible, NULL) : NULL;
    const char *path = atomic_load(&temporary_path);

    if (session != NULL) {
        gpt2_session_cancel(session);
        return;
    }
    if (path != NULL)
        unlink(path);
    if (atomic_load(&has_line) && write(STDERR_FILENO, "\r\033[K", 4) < 0)
        atomic_store(&has_line, false); /* the terminal is gone */
    signal(number, SIG_DFL);
    raise(number);
}

static void handle_signal(int number)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigaction(number, &action, NULL);
}

/* The signals that ask the program to end. */
static void ending_signals(sigset_t *set)
{
    struct sigaction hangup;

    sigemptyset(set);
    /* These count even if they are ignored, as a shell ignores Ctrl-C for a program started with &. */
    sigaddset(set, SIGINT);
    sigaddset(set, SIGQUIT);
    sigaddset(set, SIGTERM);
    /* nohup ignores this one: the program shall go on after the end of its terminal. */
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaddset(set, SIGHUP);
}

static void handle_ending_signals(void)
{
    static const int numbers[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
    sigset_t set;

    ending_signals(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (sigismember(&set, numbers[i]))
            handle_signal(numbers[i]);
    }
}

void platform_cancel_on_interrupt(gpt2_session *session)
{
    atomic_store(&interruptible, session);
    if (session != NULL)
        handle_signal(SIGINT);
}

void platform_erase_on_interrupt(bool erase)
{
    if (erase && !atomic_exchange(&has_line, true))
        handle_signal(SIGINT);
    if (!erase)
        atomic_store(&has_line, false);
}

bool platform_was_interrupted(void)
{
    return atomic_load(&interruptible) == NULL;
}

bool platform_exists(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

bool platform_may_replace(const char *path)
{
    struct stat info;

    return stat(path, &info) != 0 || S_ISREG(info.st_mode);
}

#define MAX_LINKS 40 /* as the systems count before they call it a loop */

/* The bytes of the folder in 'path', with the slash at its end; 0 for the current one. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

/* A new string: the folder of 'path', and 'name' in it. */
static char *in_folder_of(const char *path, const char *name)
{
    size_t length = name[0] == '/' ? 0 : folder_length(path);
    char *joined = malloc(length + strlen(name) + 1);

    if (joined != NULL) {
        memcpy(joined, path, length);
        strcpy(joined + length, name);
    }
    return joined;
}

/* A new string: the path of what 'path' names, which need not exist.  NULL: see errno. */
static char *follow_links(const char *path)
{
    char link[4096];
    char *target = in_folder_of("", path);

    for (int i = 0; target != NULL; i++) {
        ssize_t length = readlink(target, link, sizeof link);
        char *next;

        if (length < 0) /* not a link, or not there */
            return target;
        if (i == MAX_LINKS || length == (ssize_t)sizeof link) {
            free(target);
            errno = i == MAX_LINKS ? ELOOP : ENAMETOOLONG;
            return NULL;
        }
        link[length] = '\0';
        next = in_folder_of(target, link);
        free(target);
        target = next;
    }
    return NULL;
}

/* Creates a file with a new name in the folder of the target.  It never opens a file that exists. */
static int create_temporary(struct platform_replacement *replacement, mode_t mode)
{
    uint64_t random = platform_random_seed();
    int descriptor = -1;

    for (int i = 0; i < 100; i++) {
        char name[32];

        snprintf(name, sizeof name, "gpt2-%08" PRIx64 ".tmp", (random + (uint64_t)i) & 0xffffffffu);
        replacement->temporary = in_folder_of(replacement->target, name);
        if (replacement->temporary == NULL)
            return -1;
        descriptor = open(replacement->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (descriptor >= 0)
            return descriptor;
        free(replacement->temporary);
        replacement->temporary = NULL;
        if (errno != EEXIST)
            return -1;
    }
    return -1;
}

static FILE *begin(struct platform_replacement *replacement)
{
    struct stat old;
    bool has_old = stat(replacement->target, &old) == 0;
    bool has_name = replacement->target[folder_length(replacement->target)] != '\0';
    /* Nobody else may read a part of a private file. */
    int descriptor = has_name ? create_temporary(replacement, has_old ? 0600 : 0666) : -1;
    FILE *file;

    if (!has_name)
        errno = ENOENT;
    if (descriptor < 0)
        return NULL;
    atomic_store(&temporary_path, replacement->temporary);
    if (has_old)
        (void)fchmod(descriptor, old.st_mode & 0777); /* some file systems have no modes */
    file = fdopen(descriptor, "wb");
    if (file == NULL)
        close(descriptor);
    return file;
}

FILE *platform_replacement_begin(struct platform_replacement *replacement, const char *path)
{
    FILE *file = NULL;
    int reason;
    sigset_t all;
    sigset_t before;

    memset(replacement, 0, sizeof *replacement);
    replacement->target = follow_links(path);
    handle_ending_signals();
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before); /* until the handler knows the name */
    if (replacement->target != NULL)
        file = begin(replacement);
    reason = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (file == NULL) {
        platform_replacement_discard(replacement);
        errno = reason;
    }
    return file;
}

bool platform_replacement_commit(struct platform_replacement *replacement)
{
    bool is_good = rename(replacement->temporary, replacement->target) == 0;
    int reason = errno;

    if (is_good) { /* there is nothing left to remove */
        atomic_store(&temporary_path, NULL);
        free(replacement->temporary);
        replacement->temporary = NULL;
    }
    platform_replacement_discard(replacement);
    errno = reason;
    return is_good;
}

void platform_replacement_discard(struct platform_replacement *replacement)
{
    if (replacement->temporary != NULL)
        unlink(replacement->temporary);
    atomic_store(&temporary_path, NULL);
    free(replacement->temporary);
    free(replacement->target);
    memset(replacement, 0, sizeof *replacement);
}

bool platform_seek(FILE *file, uint64_t offset)
{
    return fseeko(file, (off_t)offset, SEEK_SET) == 0;
}

#define MAX_THREADS 256 /* of a session */

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
    return count > MAX_THREADS ? MAX_THREADS : (int32_t)count;
}

double platform_memory_bytes(void)
{
    long n_pages = sysconf(_SC_PHYS_PAGES);

    return n_pages > 0 ? (double)n_pages * (double)sysconf(_SC_PAGESIZE) : 0;
}

bool platform_make_directory(const char *path)
{
    struct stat info;

    return mkdir(path, 0777) == 0 ||
           (errno == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode));
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

/* What platform_hold_interrupts() holds: also the end of a child. */
static void held_signals(sigset_t *set)
{
    ending_signals(set);
    sigaddset(set, SIGCHLD);
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
