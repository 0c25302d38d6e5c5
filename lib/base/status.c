/*
 * status.c: status texts, and the one line of detail.
 */
#include "status.h"

#include <stdarg.h>
#include <stdio.h>

const char *gpt2_strerror(int32_t status)
{
    switch (status) {
    case GPT2_OK:
        return "success";
    case GPT2_ERR_ARGUMENT:
        return "invalid argument";
    case GPT2_ERR_TOKEN:
        return "token outside the vocabulary";
    case GPT2_ERR_CONTEXT:
        return "context is full";
    case GPT2_ERR_ROW:
        return "logits of this row were not kept";
    case GPT2_ERR_BUFFER:
        return "output buffer is too small";
    case GPT2_ERR_PIECE:
        return "a piece of text is longer than the encoder was made for";
    case GPT2_ERR_MEMORY:
        return "out of memory";
    case GPT2_ERR_THREAD:
        return "a thread could not be started";
    case GPT2_ERR_FILE:
        return "file cannot be read";
    case GPT2_ERR_FORMAT:
        return "file is damaged or of another format";
    case GPT2_ERR_UNSUPPORTED:
        return "not supported by this version of libgpt2";
    case GPT2_ERR_CANCELLED:
        return "cancelled";
    case GPT2_ERR_DEADLINE:
        return "deadline has passed";
    case GPT2_ERR_NONFINITE:
        return "logits are NaN or infinite";
    default:
        return "unknown status";
    }
}

/* Bytes of the UTF-8 character that begins with 'lead', as far as the lead tells. */
static size_t utf8_length(unsigned char lead)
{
    return lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/*
 * Bytes of the character at c[0] that must not be in a line, 0 if it may: controls (C0, DEL, and C1 with
 * U+0085) and the separators of lines and paragraphs, U+2028 and U+2029.
 */
static size_t control_length(const unsigned char *c)
{
    if (c[0] < 0x20 || c[0] == 0x7f)
        return 1;
    if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
        return 2;
    return c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9) ? 3 : 0;
}

/* Makes a text one line for every reader. */
static void make_line(char *text)
{
    unsigned char *from = (unsigned char *)text;
    unsigned char *to = from;

    while (*from != '\0') {
        size_t n = control_length(from);

        if (n > 0) {
            *to++ = '?';
            from += n;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

/* Removes the character at the end of a text that was cut, if the cut went through it. */
static void remove_half_character(char *text, size_t length)
{
    size_t n = 1; /* from the end to the last lead */

    while (n < 4 && n < length && ((unsigned char)text[length - n] & 0xc0) == 0x80)
        n++;
    if (n <= length && utf8_length((unsigned char)text[length - n]) > n)
        text[length - n] = '\0';
}

int32_t gpt2i_fail(struct gpt2i_error *error, int32_t status, const char *format, ...)
{
    va_list arguments;
    int length;

    if (error == NULL || error->text == NULL || error->capacity == 0)
        return status;
    va_start(arguments, format);
    length = vsnprintf(error->text, error->capacity, format, arguments);
    va_end(arguments);
    if (length < 0)
        error->text[0] = '\0';
    else if ((size_t)length >= error->capacity)
        remove_half_character(error->text, error->capacity - 1);
    make_line(error->text);
    return status;
}

void gpt2i_error_clear(struct gpt2i_error *error)
{
    if (error->text != NULL && error->capacity > 0)
        error->text[0] = '\0';
}
