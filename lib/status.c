/*
 * status.c: status texts, the one line of detail, and the rule of growing structs.
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
    case GPT2_ERR_STRETCH:
        return "a stretch of text is longer than the encoder was made for";
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
    case GPT2_ERR_NAN:
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

int32_t gpt2i_accept_struct(void *known, size_t known_bytes, size_t first_bytes,
                            const void *from_caller, const char *name, struct gpt2i_error *error)
{
    const unsigned char *bytes = from_caller;
    uint32_t struct_size;

    memcpy(&struct_size, from_caller, sizeof struct_size);
    if (struct_size < first_bytes)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "%s.struct_size is %u, wanted at least %zu: use %s_init()", name,
                          struct_size, first_bytes, name);
    for (size_t i = known_bytes; i < struct_size; i++) {
        if (bytes[i] != 0)
            return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                              "%s: byte %zu is set, but this libgpt2 (%s) knows %zu bytes of it",
                              name, i, gpt2_version(), known_bytes);
    }
    memcpy(known, from_caller, gpt2i_min(struct_size, known_bytes));
    return GPT2_OK;
}

int32_t gpt2i_fill_struct(void *to_caller, size_t caller_bytes, const void *known,
                          size_t known_bytes, size_t first_bytes)
{
    uint32_t struct_size = (uint32_t)caller_bytes;

    if (to_caller == NULL || caller_bytes < first_bytes || caller_bytes > UINT32_MAX)
        return GPT2_ERR_ARGUMENT;
    memset(to_caller, 0, caller_bytes);
    memcpy(to_caller, known, gpt2i_min(caller_bytes, known_bytes));
    memcpy(to_caller, &struct_size, sizeof struct_size);
    return GPT2_OK;
}
