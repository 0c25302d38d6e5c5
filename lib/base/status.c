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
    case GPT2_ERR_SEQUENCE:
        return "no such open sequence, or none is free";
    case GPT2_ERR_PAGES:
        return "too few free pages in the KV cache";
    case GPT2_ERR_STATE:
        return "the saved state is damaged or does not fit";
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

/* Bytes of the well-formed UTF-8 character at c[0] (Unicode, table 3-7); 0 if there is none. */
static size_t utf8_length(const unsigned char *c)
{
    unsigned char min = c[0] == 0xe0 ? 0xa0 : c[0] == 0xf0 ? 0x90 : 0x80; /* of the second byte */
    unsigned char max = c[0] == 0xed ? 0x9f : c[0] == 0xf4 ? 0x8f : 0xbf;
    size_t length = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;

    if (c[0] < 0x80)
        return 1;
    if (c[0] < 0xc2 || c[0] > 0xf4 || c[1] < min || c[1] > max)
        return 0;
    for (size_t i = 2; i < length; i++) { /* a NUL ends the text and the loop */
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

/* Controls (C0, DEL, C1 with U+0085) and the separators of lines and paragraphs, U+2028 and U+2029. */
static bool is_control(const unsigned char *c)
{
    return c[0] < 0x20 || c[0] == 0x7f || (c[0] == 0xc2 && c[1] < 0xa0) ||
           (c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9));
}

/* Makes a text one line of UTF-8 for every reader. */
static void make_line(char *text)
{
    unsigned char *from = (unsigned char *)text;
    unsigned char *to = from;

    while (*from != '\0') {
        size_t length = utf8_length(from);

        if (length == 0 || is_control(from)) {
            *to++ = '?';
            from += gpt2i_max(length, 1);
            continue;
        }
        memmove(to, from, length);
        to += length;
        from += length;
    }
    *to = '\0';
}

/* Removes what is left of the last character of a text that was cut inside it. */
static void remove_half_character(char *text, size_t length)
{
    for (size_t n = 1; n < 4 && n <= length; n++) { /* bytes from the last lead to the end */
        unsigned char lead = (unsigned char)text[length - n];
        size_t whole = lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

        if ((lead & 0xc0) == 0x80)
            continue;
        if (whole > n)
            text[length - n] = '\0';
        return;
    }
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
