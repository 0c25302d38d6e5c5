/*
 * scratch.c: files that a test writes for itself, and what a call that fails must leave as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch.h"

int scratch_set_up(void **state)
{
    (void)state;
    (void)mkdir(SCRATCH_DIRECTORY, 0777);
    return access(SCRATCH_DIRECTORY, W_OK);
}

void scratch_write(const char *path, const void *bytes, size_t n_bytes)
{
    FILE *file;

    (void)unlink(path); /* some file systems wait for the disk when a file is overwritten */
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
}

/* Where tests/fuzz/blocks.c watches blocks they are from malloc, which keeps what is freed. */
#if defined(WATCH_BLOCKS)
#define ADDRESS_SPACE ""
#else
#define ADDRESS_SPACE "/proc/self/statm"
#endif

struct footprint footprint_now(void)
{
    struct footprint now = {0, -1};
    char text[64] = "";
    int fd = open(ADDRESS_SPACE, O_RDONLY);

    if (fd >= 0) {
        if (read(fd, text, sizeof text - 1) > 0)
            now.pages = strtol(text, NULL, 10);
        (void)close(fd);
    }
    now.descriptor = open(".", O_RDONLY);
    (void)close(now.descriptor);
    return now;
}
