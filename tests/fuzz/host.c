/*
 * host.c: what the library gets from its host while it is fuzzed.
 *
 * Files below HOST_DIRECTORY are bytes in memory, so that a load costs microseconds; others are the
 * system's.
 *
 * The linker's --wrap leads the library's calls to here, for each function of this line:
 * WRAP := open open64 fstat fstat64 pread pread64 close
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_FILES       16
#define FIRST_DESCRIPTOR 100000

static struct host_file {
    const char *name;
    size_t name_length;
    const unsigned char *bytes;
    size_t n_bytes;
} files[MOST_FILES];
static size_t n_files;
static size_t n_open;

void host_put_file(const char *name, size_t name_length, const void *bytes, size_t n_bytes)
{
    CHECK(n_files < MOST_FILES);
    files[n_files++] = (struct host_file){name, name_length, bytes, n_bytes};
}

void host_remove_files(void)
{
    CHECK(n_open == 0);
    n_files = 0;
}

void *take_bytes(size_t n_bytes)
{
    void *bytes = malloc(n_bytes + (n_bytes == 0));

    CHECK(bytes != NULL);
    return bytes;
}

void check_load_failure(int32_t status, const char *line)
{
    CHECK(status == GPT2_ERR_FILE || status == GPT2_ERR_FORMAT || status == GPT2_ERR_MEMORY ||
          status == GPT2_ERR_UNSUPPORTED);
    CHECK(line[0] != '\0');
    CHECK(strchr(line, '\n') == NULL);
}

struct part take_part(const uint8_t **data, size_t *size, int end)
{
    const uint8_t *found = *size == 0 ? NULL : memchr(*data, end, *size);
    struct part part = {*data, found == NULL ? *size : (size_t)(found - *data)};

    *data += part.n_bytes + (found != NULL);
    *size -= part.n_bytes + (found != NULL);
    return part;
}

/* --------------------------------------------------------------------------------------- files -- */

static struct host_file *file_of(int descriptor)
{
    if (descriptor < FIRST_DESCRIPTOR)
        return NULL;
    CHECK((size_t)(descriptor - FIRST_DESCRIPTOR) < n_files);
    return &files[descriptor - FIRST_DESCRIPTOR];
}

int __real_open(const char *path, int flags, ...);
int __real_close(int descriptor);
int __real_fstat(int descriptor, struct stat *info);
ssize_t __real_pread(int descriptor, void *bytes, size_t n_bytes, off_t at);
int __wrap_open(const char *path, int flags, ...);
int __wrap_close(int descriptor);
int __wrap_fstat(int descriptor, struct stat *info);
ssize_t __wrap_pread(int descriptor, void *bytes, size_t n_bytes, off_t at);

int __wrap_open(const char *path, int flags, ...)
{
    static const char directory[] = HOST_DIRECTORY "/";

    if (strncmp(path, directory, sizeof directory - 1) != 0)
        return __real_open(path, flags);
    path += sizeof directory - 1;
    for (size_t i = 0; i < n_files; i++) {
        if (strlen(path) == files[i].name_length &&
            memcmp(path, files[i].name, files[i].name_length) == 0) {
            n_open++;
            return FIRST_DESCRIPTOR + (int)i;
        }
    }
    errno = ENOENT;
    return -1;
}

int __wrap_close(int descriptor)
{
    if (file_of(descriptor) == NULL)
        return __real_close(descriptor);
    CHECK(n_open > 0);
    n_open--;
    return 0;
}

int __wrap_fstat(int descriptor, struct stat *info)
{
    const struct host_file *file = file_of(descriptor);

    if (file == NULL)
        return __real_fstat(descriptor, info);
    memset(info, 0, sizeof *info);
    info->st_mode = S_IFREG;
    info->st_size = (off_t)file->n_bytes;
    return 0;
}

ssize_t __wrap_pread(int descriptor, void *bytes, size_t n_bytes, off_t at)
{
    const struct host_file *file = file_of(descriptor);

    if (file == NULL)
        return __real_pread(descriptor, bytes, n_bytes, at);
    CHECK(at >= 0);
    if ((size_t)at >= file->n_bytes)
        return 0;
    if (n_bytes > file->n_bytes - (size_t)at)
        n_bytes = file->n_bytes - (size_t)at;
    memcpy(bytes, file->bytes + at, n_bytes);
    return (ssize_t)n_bytes;
}

#if defined(__GLIBC__)
int __wrap_open64(const char *path, int flags, ...);
int __wrap_fstat64(int descriptor, struct stat64 *info);
ssize_t __wrap_pread64(int descriptor, void *bytes, size_t n_bytes, off64_t at);

int __wrap_open64(const char *path, int flags, ...)
{
    return __wrap_open(path, flags);
}

int __wrap_fstat64(int descriptor, struct stat64 *info)
{
    struct stat narrow;
    int result = __wrap_fstat(descriptor, &narrow);

    memset(info, 0, sizeof *info);
    info->st_mode = narrow.st_mode;
    info->st_size = narrow.st_size;
    return result;
}

ssize_t __wrap_pread64(int descriptor, void *bytes, size_t n_bytes, off64_t at)
{
    return __wrap_pread(descriptor, bytes, n_bytes, at);
}
#endif
