/*
 * scratch.h: files that a test writes for itself, and what a call that fails must leave as it was.
 */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <stddef.h>

#define SCRATCH_DIRECTORY TESTS_TMP

/* For cmocka's group set-up: makes the directory. */
int scratch_set_up(void **state);

/* Writes a file anew. */
void scratch_write(const char *path, const void *bytes, size_t n_bytes);

/*
 * The address space and the lowest free descriptor: a sanitizer does not watch mapped blocks and
 * open files.  Pages are 0 where there is no /proc,
 * and where AddressSanitizer does watch blocks.
 */
struct footprint {
    long pages;
    int descriptor;
};

struct footprint footprint_now(void);

#endif
