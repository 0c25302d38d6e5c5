/*
 * params.c: structs that may be older or newer than this library.
 */
#include "params.h"

int32_t gpt2i_params_init(void *to_caller, size_t caller_bytes,
                          const struct gpt2i_params_kind *kind)
{
    uint32_t struct_size = (uint32_t)caller_bytes;

    if (to_caller == NULL || caller_bytes < kind->first_bytes ||
        caller_bytes > GPT2I_STRUCT_MAX_BYTES)
        return GPT2_ERR_ARGUMENT;
    memset(to_caller, 0, caller_bytes);
    memcpy(to_caller, kind->defaults, gpt2i_min(caller_bytes, kind->known_bytes));
    memcpy(to_caller, &struct_size, sizeof struct_size);
    return GPT2_OK;
}

int32_t gpt2i_params_take(void *known, const void *from_caller,
                          const struct gpt2i_params_kind *kind, struct gpt2i_error *error)
{
    const unsigned char *bytes = from_caller;
    uint32_t struct_size;

    memcpy(known, kind->defaults, kind->known_bytes);
    if (from_caller == NULL)
        return GPT2_OK;
    memcpy(&struct_size, bytes, sizeof struct_size);
    if (struct_size < kind->first_bytes || struct_size > GPT2I_STRUCT_MAX_BYTES)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "%s.struct_size is %u, wanted %zu to %d: use %s_init()", kind->name,
                          (unsigned)struct_size, kind->first_bytes, GPT2I_STRUCT_MAX_BYTES,
                          kind->name);
    if (kind->errbuf_offset != GPT2I_NO_ERRBUF) {
        memcpy(&error->text, bytes + kind->errbuf_offset, sizeof error->text);
        memcpy(&error->capacity, bytes + kind->errbuf_offset + sizeof error->text,
               sizeof error->capacity);
        gpt2i_error_clear(error);
    }
    for (size_t i = kind->known_bytes; i < struct_size; i++) {
        if (bytes[i] != 0)
            return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                              "%s: byte %zu is set, but libgpt2 %s knows %zu bytes of it",
                              kind->name, i, GPT2I_VERSION, kind->known_bytes);
    }
    memcpy(known, from_caller, gpt2i_min(struct_size, kind->known_bytes));
    return GPT2_OK;
}
