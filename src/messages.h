/*
 * messages.h: what the program prints.  Results go to standard output, and each write is checked.
 * Errors are one line each on standard error.  Notes go to standard error only if it is a terminal.
 */
#ifndef MESSAGES_H
#define MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "command.h"

#if defined(__GNUC__)
#define PRINTF_LIKE(text, values) __attribute__((format(printf, text, values)))
#else
#define PRINTF_LIKE(text, values)
#endif

/* Prints "gpt2: " and the line.  Returns 'outcome', so that callers can `return complain(...)`. */
enum outcome complain(enum outcome outcome, const char *format, ...) PRINTF_LIKE(2, 3);

/* Reports a failed library call: its detail line, or the sentence for its status if there is none. */
enum outcome complain_status(int32_t status, const char *detail);

enum outcome complain_memory(void);

/* Prints one line, only on a terminal. */
void note(const char *format, ...) PRINTF_LIKE(1, 2);

/* The same, but the next one overwrites it.  Call progress_clear() before other messages. */
void progress(const char *format, ...) PRINTF_LIKE(1, 2);
void progress_clear(void);

/* Makes a text one line that leaves the cursor alone: '?' for each byte of a control character. */
void replace_controls(char *text);

/* A result with its key: printf(KEY_FORMAT "%d\n", "key", value). */
#define KEY_FORMAT "%-20s "

/* Standard output.  These report errors, except that nobody reads any more: OUTCOME_READER_GONE. */
enum outcome output_write(const void *bytes, size_t n_bytes);
enum outcome output_flush(void);

/* Formats and writes at most 255 bytes and sets '*outcome'; does nothing unless that is OUTCOME_DONE. */
void output_printf(enum outcome *outcome, const char *format, ...) PRINTF_LIKE(2, 3);

/* True if one of them has failed. */
bool output_has_failed(void);

/* Closes standard output.  Returns the outcome of the program, given that of its command. */
enum outcome output_finish(enum outcome outcome);

#endif
