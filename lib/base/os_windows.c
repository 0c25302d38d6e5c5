/*
 * os_windows.c: the calls of Windows, from Vista on.
 */
#include "os.h"

#if defined(_WIN32)

#if !defined(WIN32_LEAN_AND_MEAN)
#define WIN32_LEAN_AND_MEAN /* without the sockets, whose names are those of others */
#endif
#if !defined(NOMINMAX)
#define NOMINMAX
#endif
#include "os_files.h"

#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <sys/stat.h>
#include <windows.h>

void *gpt2i_block_new(size_t bytes)
{
    return bytes == 0 ? NULL : VirtualAlloc(NULL, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void gpt2i_block_free(void *block, size_t bytes)
{
    (void)bytes;
    if (block != NULL)
        VirtualFree(block, 0, MEM_RELEASE);
}

enum gpt2i_os_kind gpt2i_os_kind_of(const char *path)
{
    struct _stat64 info;

    if (_stat64(path, &info) != 0)
        return errno == ENOENT ? GPT2I_OS_NOTHING : GPT2I_OS_OTHER;
    return (info.st_mode & _S_IFMT) == _S_IFREG ? GPT2I_OS_REGULAR : GPT2I_OS_OTHER;
}

const char *gpt2i_os_open(struct gpt2i_os_file *file, const char *path)
{
    struct _stat64 info;
    int fd;

    if (_stat64(path, &info) == 0 && (info.st_mode & _S_IFMT) != _S_IFREG)
        return "is not a regular file";
    fd = _open(path, _O_RDONLY | _O_BINARY | _O_NOINHERIT);
    if (fd < 0)
        return reason(errno);
    if (_fstat64(fd, &info) != 0 || (info.st_mode & _S_IFMT) != _S_IFREG) {
        (void)_close(fd);
        return "is not a regular file";
    }
    file->handle = fd;
    file->size_bytes = (uint64_t)info.st_size;
    return NULL;
}

int64_t gpt2i_os_read(const struct gpt2i_os_file *file, uint64_t offset, void *bytes,
                      size_t n_bytes)
{
    OVERLAPPED where = {.Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32)};
    DWORD n_read = 0;

    if (!ReadFile((HANDLE)_get_osfhandle((int)file->handle), bytes,
                  (DWORD)gpt2i_min(n_bytes, GPT2I_READ_MAX_BYTES), &n_read, &where))
        return GetLastError() == ERROR_HANDLE_EOF ? 0 : -1;
    return (int64_t)n_read;
}

void gpt2i_os_close(const struct gpt2i_os_file *file)
{
    (void)_close((int)file->handle);
}

void *gpt2i_os_map(const struct gpt2i_os_file *file)
{
    HANDLE mapping = file->size_bytes > SIZE_MAX
                         ? NULL
                         : CreateFileMappingW((HANDLE)_get_osfhandle((int)file->handle), NULL,
                                              PAGE_READONLY, 0, 0, NULL);
    void *bytes = mapping == NULL ? NULL : MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);

    if (mapping != NULL)
        (void)CloseHandle(mapping);
    return bytes;
}

void gpt2i_os_unmap(void *mapping, size_t bytes)
{
    (void)bytes;
    (void)UnmapViewOfFile(mapping);
}

uint64_t gpt2i_monotonic_ns(void)
{
    LARGE_INTEGER ticks, per_second;

    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_second);
    return (uint64_t)(ticks.QuadPart / per_second.QuadPart) * 1000000000u +
           (uint64_t)(ticks.QuadPart % per_second.QuadPart) * 1000000000u /
               (uint64_t)per_second.QuadPart;
}

int32_t gpt2i_cpu_count(void)
{
    SYSTEM_INFO info;

    GetSystemInfo(&info);
    return info.dwNumberOfProcessors < 1 ? 1 : (int32_t)info.dwNumberOfProcessors;
}

bool gpt2i_os_has_dotprod(void)
{
    return IsProcessorFeaturePresent(43); /* PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE */
}

/* An SRWLOCK and a CONDITION_VARIABLE are one pointer, NULL at first; nothing has to be freed. */
bool gpt2i_mutex_init(struct gpt2i_mutex *mutex)
{
    mutex->lock = NULL;
    return true;
}

void gpt2i_mutex_destroy(struct gpt2i_mutex *mutex)
{
    (void)mutex;
}

void gpt2i_mutex_lock(struct gpt2i_mutex *mutex)
{
    AcquireSRWLockExclusive((SRWLOCK *)&mutex->lock);
}

void gpt2i_mutex_unlock(struct gpt2i_mutex *mutex)
{
    ReleaseSRWLockExclusive((SRWLOCK *)&mutex->lock);
}

bool gpt2i_condition_init(struct gpt2i_condition *condition)
{
    condition->waiters = NULL;
    return true;
}

void gpt2i_condition_destroy(struct gpt2i_condition *condition)
{
    (void)condition;
}

void gpt2i_condition_wait(struct gpt2i_condition *condition, struct gpt2i_mutex *mutex)
{
    (void)SleepConditionVariableSRW((CONDITION_VARIABLE *)&condition->waiters,
                                    (SRWLOCK *)&mutex->lock, INFINITE, 0);
}

void gpt2i_condition_signal(struct gpt2i_condition *condition)
{
    WakeConditionVariable((CONDITION_VARIABLE *)&condition->waiters);
}

static unsigned __stdcall thread_main(void *argument)
{
    const struct gpt2i_thread *thread = argument;

    (void)thread->main(thread->argument);
    return 0;
}

bool gpt2i_thread_start(struct gpt2i_thread *thread, void *(*main)(void *argument), void *argument)
{
    thread->main = main;
    thread->argument = argument;
    thread->handle = (void *)_beginthreadex(NULL, 0, thread_main, thread, 0, NULL);
    return thread->handle != NULL;
}

void gpt2i_thread_join(struct gpt2i_thread *thread)
{
    (void)WaitForSingleObject(thread->handle, INFINITE);
    (void)CloseHandle(thread->handle);
}

#endif
