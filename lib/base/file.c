/*
 * file.c: reading files by offset.
 */
#if !defined(_WIN32)
#define _FILE_OFFSET_BITS 64
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L /* pread, fstat, O_CLOEXEC */
#endif
#endif

#include "file.h"
#include "arena.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#if defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#include <sys/stat.h>
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

int32_t gpt2i_path_join(char *path, const char *directory, const char *name,
                        struct gpt2i_error *error)
{
    size_t length = strlen(directory);
    const char *slash = length > 0 && directory[length - 1] == '/' ? "" : "/";
    int written = snprintf(path, GPT2I_PATH_BYTES, "%s%s%s", directory, slash, name);

    if (written < 0 || written >= GPT2I_PATH_BYTES)
        return gpt2i_fail(error, GPT2_ERR_FILE, "path of %s is longer than %d bytes", name,
                          GPT2I_PATH_BYTES - 1);
    return GPT2_OK;
}

#if defined(_WIN32)

static int open_read(const char *path)
{
    return _open(path, _O_RDONLY | _O_BINARY | _O_NOINHERIT);
}

static void close_handle(int fd)
{
    (void)_close(fd);
}

/* The size of a regular file; else what is wrong with it. */
static const char *regular_size(int fd, uint64_t *size_bytes)
{
    struct _stat64 info;

    if (_fstat64(fd, &info) != 0)
        return "its size cannot be read";
    if ((info.st_mode & _S_IFMT) != _S_IFREG)
        return "is not a regular file";
    *size_bytes = (uint64_t)info.st_size;
    return NULL;
}

/* Bytes read at offset, 0 at the end, negative on failure. */
static int64_t read_at(int fd, void *bytes, size_t n_bytes, uint64_t offset)
{
    OVERLAPPED where = {.Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32)};
    DWORD n_read = 0;

    if (!ReadFile((HANDLE)_get_osfhandle(fd), bytes, (DWORD)gpt2i_min(n_bytes, 1 << 30), &n_read,
                  &where))
        return GetLastError() == ERROR_HANDLE_EOF ? 0 : -1;
    return (int64_t)n_read;
}

#else

static int open_read(const char *path)
{
    int fd;

    do {
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang the host */
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static void close_handle(int fd)
{
    (void)close(fd);
}

static const char *regular_size(int fd, uint64_t *size_bytes)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        return "its size cannot be read";
    if (!S_ISREG(info.st_mode))
        return "is not a regular file";
    *size_bytes = (uint64_t)info.st_size;
    return NULL;
}

static int64_t read_at(int fd, void *bytes, size_t n_bytes, uint64_t offset)
{
    int64_t n_read;

    do {
        n_read = pread(fd, bytes, gpt2i_min(n_bytes, (size_t)1 << 30), (off_t)offset);
    } while (n_read < 0 && errno == EINTR);
    return n_read;
}

#endif

/* strerror() may write to memory that all threads share. */
static const char *reason(int error_number)
{
    switch (error_number) {
    case ENOENT:
    case ENOTDIR:
        return "there is no such file";
    case EACCES:
    case EPERM:
        return "permission denied";
    case EMFILE:
    case ENFILE:
        return "too many open files";
    default:
        return "the system refuses";
    }
}

bool gpt2i_file_exists(const char *path)
{
    int fd = open_read(path);

    if (fd < 0)
        return errno != ENOENT && errno != ENOTDIR; /* it is there, and cannot be opened */
    close_handle(fd);
    return true;
}

int32_t gpt2i_file_open(struct gpt2i_file *file, const char *path, struct gpt2i_error *error)
{
    const char *wrong;
    int fd;

    if (strlen(path) >= sizeof file->path)
        return gpt2i_fail(error, GPT2_ERR_FILE, "path is longer than %zu bytes",
                          sizeof file->path - 1);
    memcpy(file->path, path, strlen(path) + 1);
    fd = open_read(path);
    if (fd < 0)
        return gpt2i_fail(error, GPT2_ERR_FILE, "%s: cannot be opened: %s", path, reason(errno));
    wrong = regular_size(fd, &file->size_bytes);
    if (wrong != NULL) {
        close_handle(fd);
        return gpt2i_fail(error, GPT2_ERR_FILE, "%s: %s", path, wrong);
    }
    file->handle = fd;
    return GPT2_OK;
}

int32_t gpt2i_file_read(const struct gpt2i_file *file, uint64_t offset, void *bytes, size_t n_bytes,
                        struct gpt2i_error *error)
{
    unsigned char *to = bytes;

    while (n_bytes > 0) {
        int64_t n_read = read_at((int)file->handle, to, n_bytes, offset);

        if (n_read < 0)
            return gpt2i_fail(error, GPT2_ERR_FILE, "%s: cannot be read at byte %" PRIu64,
                              file->path, offset);
        if (n_read == 0)
            return gpt2i_fail(error, GPT2_ERR_FILE, "%s: ends at byte %" PRIu64 ", %zu early",
                              file->path, offset, n_bytes);
        to += n_read;
        offset += (uint64_t)n_read;
        n_bytes -= (size_t)n_read;
    }
    return GPT2_OK;
}

void gpt2i_file_close(struct gpt2i_file *file)
{
    close_handle((int)file->handle);
}

int32_t gpt2i_text_file_read(struct gpt2i_text_file *out, const char *path, uint64_t max_bytes,
                             struct gpt2i_error *error)
{
    struct gpt2i_file file;
    int32_t status = gpt2i_file_open(&file, path, error);

    memset(out, 0, sizeof *out);
    if (status != GPT2_OK)
        return status;
    if (file.size_bytes > max_bytes) {
        status = gpt2i_fail(error, GPT2_ERR_FORMAT,
                            "%s: has %" PRIu64 " bytes, more than the %" PRIu64 " allowed", path,
                            file.size_bytes, max_bytes);
        goto done;
    }
    out->file_bytes = (size_t)file.size_bytes;
    out->text_bytes = out->file_bytes + 1;
    out->text = gpt2i_block_new(out->text_bytes);
    if (out->text == NULL) {
        status = gpt2i_fail(error, GPT2_ERR_MEMORY, "%s: no memory for its %zu bytes", path,
                            out->text_bytes);
        goto done;
    }
    status = gpt2i_file_read(&file, 0, out->text, out->file_bytes, error);
    if (status != GPT2_OK)
        gpt2i_text_file_free(out);
done:
    gpt2i_file_close(&file);
    return status;
}

void gpt2i_text_file_free(struct gpt2i_text_file *file)
{
    gpt2i_block_free(file->text, file->text_bytes);
    memset(file, 0, sizeof *file);
}
