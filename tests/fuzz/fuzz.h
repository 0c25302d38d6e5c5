/*
 * fuzz.h: what the fuzz targets share.
 *
 * A target is a file fuzz_NAME.c with libFuzzer's entry, LLVMFuzzerTestOneInput().  It states what
 * must hold for every input with CHECK(), which ends the process where it does not.  `make fuzz`
 * searches for such inputs, and `make check` replays those of corpus/NAME.  Both run in the root of
 * the checkout.
 *
 * host.c and blocks.c stand between the library and its host: files are in memory, and a sanitizer
 * sees each step outside a block or an array.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpt2.h"
#include "blocks.h"

#define DEMO "examples/demo-model"

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                      \
        }                                                                                 \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The files in memory. */
extern gpt2_source host_sources[9];
extern size_t host_n_sources;

/*
 * Adds a file; its bytes are borrowed until host_remove_files().  Names that the library does not read,
 * and a second file of one name, are left out.
 */
void host_put_file(const char *name, size_t name_length, const void *bytes, size_t n_bytes);

void host_remove_files(void);

/* Bytes to be freed; never NULL. */
void *take_bytes(size_t n_bytes);

/* memcmp() of no bytes may be given NULL here. */
static inline bool same_bytes(const void *a, const void *b, size_t n_bytes)
{
    return n_bytes == 0 || memcmp(a, b, n_bytes) == 0;
}

/* What must hold for the status and the line of a load that failed. */
void check_load_failure(int32_t status, const char *line);

/* The first part of the input up to a byte 'end', which is taken away too; all, if there is none. */
struct part {
    const uint8_t *bytes;
    size_t n_bytes;
};
struct part take_part(const uint8_t **data, size_t *size, int end);

#endif
