/*
 * messages.c: errors, notes and standard output.
 */
#include "messages.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <gpt2.h>

#include "platform.h"

/*
 * The bytes at 'text' that end a line, or move the cursor of a terminal: control characters, and the
 * UTF-8 of U+0080 to U+009F, U+2028 and U+2029.  0 for anything else.
 */
static size_t control_length(const unsigned char *text)
{
    if (text[0] < 0x20 || text[0] == 0x7f)
        return 1;
    if (text[0] == 0xc2 && text[1] >= 0x80 && text[1] <= 0x9f)
        return 2;
    if (text[0] == 0xe2 && text[1] == 0x80 && (text[2] == 0xa8 || text[2] == 0xa9))
        return 3;
    return 0;
}

void replace_controls(char *text)
{
    while (*text != '\0') {
        size_t length = control_length((unsigned char *)text);

        memset(text, '?', length);
        text += length > 0 ? length : 1;
    }
}

/* Prints one line, whatever names it quotes. */
static void print_line(const char *prefix, const char *format, va_list arguments)
{
    char line[2048];

    if (vsnprintf(line, sizeof line, format, arguments) < 0)
        return;
    replace_controls(line);
    fprintf(stderr, "%s%s\n", prefix, line);
}

enum outcome complain(enum outcome outcome, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line("gpt2: ", format, arguments);
    va_end(arguments);
    return outcome;
}

enum outcome complain_status(int32_t status, const char *detail)
{
    bool has_detail = detail != NULL && detail[0] != '\0';

    return complain(OUTCOME_FAILED, "%s", has_detail ? detail : gpt2_strerror(status));
}

enum outcome complain_memory(void)
{
    return complain(OUTCOME_FAILED, "out of memory");
}

void note(const char *format, ...)
{
    va_list arguments;

    if (!platform_is_terminal(stderr))
        return;
    va_start(arguments, format);
    print_line("", format, arguments);
    va_end(arguments);
}

void progress(const char *format, ...)
{
    char line[128];
    va_list arguments;

    if (!platform_is_terminal(stderr))
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\r%s\033[K", line);
}

void progress_clear(void)
{
    progress("%s", "");
}

static enum outcome output_failed(void)
{
    if (errno == EPIPE)
        return OUTCOME_READER_GONE;
    return complain(OUTCOME_FAILED, "cannot write the output: %s", strerror(errno));
}

enum outcome output_write(const void *bytes, size_t n_bytes)
{
    if (n_bytes > 0 && fwrite(bytes, 1, n_bytes, stdout) != n_bytes)
        return output_failed();
    return OUTCOME_DONE;
}

void output_printf(enum outcome *outcome, const char *format, ...)
{
    char text[256];
    va_list arguments;

    if (*outcome != OUTCOME_DONE)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    *outcome = output_write(text, strlen(text));
}

enum outcome output_flush(void)
{
    return fflush(stdout) == 0 ? OUTCOME_DONE : output_failed();
}

bool output_has_failed(void)
{
    return ferror(stdout) != 0;
}

enum outcome output_finish(enum outcome outcome)
{
    /* If a write failed, the function that wrote has reported it. */
    bool was_reported = outcome != OUTCOME_DONE && ferror(stdout);

    if (fflush(stdout) != 0 || ferror(stdout)) {
        enum outcome failure = was_reported ? outcome : output_failed();

        if (outcome == OUTCOME_DONE)
            outcome = failure;
    } else if (fclose(stdout) != 0 && errno != EBADF) {
        /* A network file system or a quota may report an error only now. */
        enum outcome failure = output_failed();

        if (outcome == OUTCOME_DONE)
            outcome = failure;
    }
    return outcome == OUTCOME_READER_GONE ? OUTCOME_DONE : outcome;
}
