/*
 * os.c: the calls of the operating system.
 */
#if !defined(_WIN32)
#define _FILE_OFFSET_BITS 64
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* pread, O_CLOEXEC, MAP_ANONYMOUS, madvise, sched_getaffinity */
#endif
#endif

#include "os.h"

#include <errno.h>

#if defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#include <sys/stat.h>
#include <windows.h>
#else
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if defined(__wasm__)
#include <stdlib.h>
#else
#include <sys/mman.h>
#endif
#endif

#define READ_MAX_BYTES ((size_t)1 << 30) /* of one call */

/* strerror() may write to memory that all threads share. */
static const char *reason(int error_number)
{
    switch (error_number) {
    case ENOENT:
    case ENOTDIR:
        return "cannot be opened: there is no such file";
    case EACCES:
    case EPERM:
        return "cannot be opened: permission denied";
    case EMFILE:
    case ENFILE:
        return "cannot be opened: too many open files";
    case ENAMETOOLONG:
        return "cannot be opened: the path is too long";
    default:
        return "cannot be opened: the system refuses";
    }
}

#if defined(_WIN32)

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
                  (DWORD)gpt2i_min(n_bytes, READ_MAX_BYTES), &n_read, &where))
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

#else

#if defined(__wasm__)

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

#else

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

#endif

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
        n_read = pread((int)file->handle, bytes, gpt2i_min(n_bytes, READ_MAX_BYTES), (off_t)offset);
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

#endif
