/*
 * status.h: how the library says what went wrong.
 *
 * A function that can fail takes a gpt2i_error, the place for one line of detail, and returns
 * gpt2i_fail(...), so that the status and its line are made at one point.
 */
#ifndef GPT2I_STATUS_H
#define GPT2I_STATUS_H

#include "common.h"

#define GPT2I_ERROR_BYTES 256 /* the line kept in a session or an encoder, NUL included */

/* Where the line goes; text may be NULL if capacity is 0. */
struct gpt2i_error {
    char *text;
    size_t capacity;
};

/*
 * Writes one line (cut to the capacity, control bytes shown as '?') and returns 'status'.
 * 'format' is printf's; use %s, %d, %u, %zu and PRI macros only: no floats, whose form and memory
 * depend on the host's locale.
 */
GPT2I_HIDDEN int32_t gpt2i_fail(struct gpt2i_error *error, int32_t status, const char *format, ...)
    GPT2I_FORMAT(3, 4);

/* Empties the line, at the start of a call. */
GPT2I_HIDDEN void gpt2i_error_clear(struct gpt2i_error *error);

/*
 * The rule of growing structs (docs/abi.md): copies the caller's struct over 'known', which holds
 * the defaults and has this library's size.  Refuses a struct smaller than the first release's,
 * 'first_bytes', and one larger than known unless the part that is not known is all zero.
 * 'name' is the struct's name, for the error line.
 */
GPT2I_HIDDEN int32_t gpt2i_accept_struct(void *known, size_t known_bytes, size_t first_bytes,
                                         const void *from_caller, const char *name,
                                         struct gpt2i_error *error);

/* The other direction: fills a caller's struct with 'known', and zeros what lies beyond it. */
GPT2I_HIDDEN int32_t gpt2i_fill_struct(void *to_caller, size_t caller_bytes, const void *known,
                                       size_t known_bytes, size_t first_bytes);

#endif
