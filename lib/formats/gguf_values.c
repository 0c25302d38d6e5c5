/*
 * gguf_values.c: finding values by key, and checking their types.
 */
#include "gguf_values.h"

#include <inttypes.h>

static const char *const type_names[GPT2I_GGUF_TYPES] = {
    [GPT2I_GGUF_U8] = "u8",       [GPT2I_GGUF_I8] = "i8",     [GPT2I_GGUF_U16] = "u16",
    [GPT2I_GGUF_I16] = "i16",     [GPT2I_GGUF_U32] = "u32",   [GPT2I_GGUF_I32] = "i32",
    [GPT2I_GGUF_F32] = "f32",     [GPT2I_GGUF_BOOL] = "bool", [GPT2I_GGUF_STRING] = "string",
    [GPT2I_GGUF_ARRAY] = "array", [GPT2I_GGUF_U64] = "u64",   [GPT2I_GGUF_I64] = "i64",
    [GPT2I_GGUF_F64] = "f64",
};

const struct gpt2i_gguf_value *gpt2i_gguf_find(const struct gpt2i_gguf *gguf, const char *key)
{
    for (size_t i = 0; i < gguf->n_values; i++) {
        if (gpt2i_gguf_equal(gguf->values[i].key, key))
            return &gguf->values[i];
    }
    return NULL;
}

/* The value of a key, which is no array, or NULL. */
static int32_t find_single(const struct gpt2i_gguf *gguf, const char *key, bool required,
                           const char *wanted, const struct gpt2i_gguf_value **value,
                           struct gpt2i_error *error)
{
    *value = gpt2i_gguf_find(gguf, key);
    if (*value == NULL && required)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: %s is missing, wanted %s",
                          gguf->source->path, key, wanted);
    if (*value != NULL && (*value)->is_array)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: %s: found an array of %s, wanted %s",
                          gguf->source->path, key, type_names[(*value)->type], wanted);
    return GPT2_OK;
}

static int32_t fail_type(const struct gpt2i_gguf *gguf, const struct gpt2i_gguf_value *value,
                         const char *wanted, struct gpt2i_error *error)
{
    return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: %.*s: found %s%s, wanted %s", gguf->source->path,
                      gpt2i_gguf_shown(value->key), value->key.text,
                      value->is_array ? "an array of " : "", type_names[value->type], wanted);
}

int32_t gpt2i_gguf_integer(const struct gpt2i_gguf *gguf, const char *key, bool required,
                           uint64_t *out, struct gpt2i_error *error)
{
    const struct gpt2i_gguf_value *value;
    int32_t status = find_single(gguf, key, required, "an integer", &value, error);
    uint64_t bits = 0;
    size_t n_bytes;
    bool is_signed;

    if (status != GPT2_OK || value == NULL)
        return status;
    if (value->type == GPT2I_GGUF_F32 || value->type == GPT2I_GGUF_F64 ||
        value->type == GPT2I_GGUF_STRING || value->type == GPT2I_GGUF_BOOL)
        return fail_type(gguf, value, "an integer", error);
    n_bytes = value->element_bytes;
    is_signed = value->type == GPT2I_GGUF_I8 || value->type == GPT2I_GGUF_I16 ||
                value->type == GPT2I_GGUF_I32 || value->type == GPT2I_GGUF_I64;
    for (size_t i = 0; i < n_bytes; i++)
        bits |= (uint64_t)value->bytes[i] << 8 * i;
    if (is_signed && (bits >> (8 * n_bytes - 1) & 1) != 0)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: %s: found a negative number, wanted 0 or more", gguf->source->path,
                          key);
    *out = bits;
    return GPT2_OK;
}

int32_t gpt2i_gguf_bool(const struct gpt2i_gguf *gguf, const char *key, bool *out,
                        struct gpt2i_error *error)
{
    const struct gpt2i_gguf_value *value;
    int32_t status = find_single(gguf, key, false, "a bool", &value, error);

    if (status != GPT2_OK || value == NULL)
        return status;
    if (value->type != GPT2I_GGUF_BOOL)
        return fail_type(gguf, value, "a bool", error);
    if (value->bytes[0] > 1)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: %s: found the byte %u, wanted 0 or 1",
                          gguf->source->path, key, (unsigned)value->bytes[0]);
    *out = value->bytes[0] != 0;
    return GPT2_OK;
}

int32_t gpt2i_gguf_text(const struct gpt2i_gguf *gguf, const char *key, bool required,
                        struct gpt2i_gguf_string *out, struct gpt2i_error *error)
{
    const struct gpt2i_gguf_value *value;
    const unsigned char *bytes = NULL;
    int32_t status = find_single(gguf, key, required, "a string", &value, error);

    if (status != GPT2_OK || value == NULL)
        return status;
    if (value->type != GPT2I_GGUF_STRING)
        return fail_type(gguf, value, "a string", error);
    bytes = value->bytes;
    *out = gpt2i_gguf_next_string(&bytes);
    return GPT2_OK;
}

int32_t gpt2i_gguf_array(const struct gpt2i_gguf *gguf, const char *key, uint32_t type,
                         bool required, const struct gpt2i_gguf_value **array,
                         struct gpt2i_error *error)
{
    const struct gpt2i_gguf_value *value = gpt2i_gguf_find(gguf, key);

    *array = value;
    if (value == NULL && required)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: %s is missing, wanted an array of %s",
                          gguf->source->path, key, type_names[type]);
    if (value == NULL || (value->is_array && value->type == type))
        return GPT2_OK;
    return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: %s: found %s%s, wanted an array of %s",
                      gguf->source->path, key, value->is_array ? "an array of " : "",
                      type_names[value->type], type_names[type]);
}

struct gpt2i_gguf_string gpt2i_gguf_next_string(const unsigned char **bytes)
{
    struct gpt2i_gguf_string string = {.text = (const char *)*bytes + 8,
                                       .length = (size_t)gpt2i_load_le64(*bytes)};

    *bytes += 8 + string.length;
    return string;
}
