/*
 * messages.h: what the program says.  Results go to standard output and are checked; errors are one
 * line each on standard error; notes go to standard error if a person is watching, else nowhere.
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

/* Reports a failed library call by its detail line, or by its status where there is none. */
enum outcome complain_status(int32_t status, const char *detail);

enum outcome complain_memory(void);

/* One line that only a person at a terminal gets. */
void note(const char *format, ...) PRINTF_LIKE(1, 2);

/* The same, but the next one takes its place; progress_clear() must come before other messages. */
void progress(const char *format, ...) PRINTF_LIKE(1, 2);
void progress_clear(void);

/* A result that is a fact: printf(KEY_FORMAT "%d\n", "key", value). */
#define KEY_FORMAT "%-20s "

/* Standard output.  All report what goes wrong; OUTCOME_READER_GONE says nothing. */
enum outcome output_write(const void *bytes, size_t n_bytes);
enum outcome output_flush(void);

/* Has one of them failed? */
bool output_has_failed(void);

/* Ends standard output: what the program returns, given how its command ended. */
enum outcome output_finish(enum outcome outcome);

#endif
