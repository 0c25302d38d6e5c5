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

int32_t gpt2i_fail(struct gpt2i_error *error, int32_t status, const char *format, ...)
{
    va_list arguments;

    if (error == NULL || error->text == NULL || error->capacity == 0)
        return status;
    va_start(arguments, format);
    if (vsnprintf(error->text, error->capacity, format, arguments) < 0)
        error->text[0] = '\0';
    va_end(arguments);
    for (char *c = error->text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
    return status;
}

void gpt2i_error_clear(struct gpt2i_error *error)
{
    if (error->text != NULL && error->capacity > 0)
        error->text[0] = '\0';
}
