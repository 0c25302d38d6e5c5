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
 * Writes one line of UTF-8 and returns 'status'.  Characters that would begin a new line or move the
 * cursor, and bytes that are no UTF-8, are shown as '?'.  A line that is too long for the capacity ends before the character that does not fit.
 * 'format' is printf's; use %s, %d, %u, %zu and PRI macros only: no floats, whose form and memory
 * depend on the host's locale.
 */
GPT2I_HIDDEN int32_t gpt2i_fail(struct gpt2i_error *error, int32_t status, const char *format, ...)
    GPT2I_FORMAT(3, 4);

/* Empties the line, at the start of a call. */
GPT2I_HIDDEN void gpt2i_error_clear(struct gpt2i_error *error);

#endif
