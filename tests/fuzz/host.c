/*
 * host.c: what the library gets from its host while it is fuzzed.
 *
 * Files below HOST_DIRECTORY are bytes in memory, so that a load costs microseconds; others are the
 * system's.  A block is from malloc and zeroed.  Behind each array in a block lies a gap that
 * AddressSanitizer watches.
 *
 * The linker's --wrap leads the library's calls to here, for each function of these lines:
 * WRAP := open open64 fstat fstat64 pread pread64 close
 * WRAP := gpt2i_block_new gpt2i_block_free gpt2i_arena_take
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "fuzz.h"
#include "arena.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WATCHED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WATCHED 1
#endif
#if defined(WATCHED)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, n) ((void)(at), (void)(n))
#endif

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
static size_t n_blocks_now;
static size_t most_block_bytes = (size_t)4 << 20;

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

size_t host_blocks(void)
{
    return n_blocks_now;
}

void host_refuse_blocks_above(size_t n_bytes)
{
    most_block_bytes = n_bytes;
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

/* -------------------------------------------------------------------------------------- blocks -- */

void *__wrap_gpt2i_block_new(size_t bytes);
void __wrap_gpt2i_block_free(void *block, size_t bytes);
void *__real_gpt2i_arena_take(struct gpt2i_arena *arena, uint64_t count, size_t element_bytes);
void *__wrap_gpt2i_arena_take(struct gpt2i_arena *arena, uint64_t count, size_t element_bytes);

void *__wrap_gpt2i_block_new(size_t bytes)
{
    void *block = NULL;

    if (bytes == 0 || bytes > most_block_bytes || posix_memalign(&block, GPT2I_ALIGN, bytes) != 0)
        return NULL;
    memset(block, 0, bytes);
    n_blocks_now++;
    return block;
}

void __wrap_gpt2i_block_free(void *block, size_t bytes)
{
    (void)bytes;
    if (block != NULL)
        n_blocks_now--;
    free(block);
}

void *__wrap_gpt2i_arena_take(struct gpt2i_arena *arena, uint64_t count, size_t element_bytes)
{
    unsigned char *taken = __real_gpt2i_arena_take(arena, count, element_bytes);
    unsigned char *gap = __real_gpt2i_arena_take(arena, 1, GPT2I_ALIGN);

    if (taken != NULL && gap != NULL) {
        unsigned char *end = taken + (size_t)count * element_bytes;

        ASAN_POISON_MEMORY_REGION(end, (size_t)(gap - end) + GPT2I_ALIGN);
    }
    return taken;
}
