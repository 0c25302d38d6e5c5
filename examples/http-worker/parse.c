/*
 * parse.c: JSON values, prompts and token ids.  parse_request.c reads the fields of a request.
 */
#include "parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"

bool refuse(struct refusal *refusal, int status, const char *format, ...)
{
    va_list arguments;

    refusal->status = status;
    va_start(arguments, format);
    (void)vsnprintf(refusal->line, sizeof refusal->line, format, arguments);
    va_end(arguments);
    for (char *c = refusal->line; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
            *c = '?'; /* names that clients chose are in some lines */
    }
    return false;
}

json_t *parse_object(const char *body, size_t n_bytes, struct refusal *refusal)
{
    json_error_t error;
    json_t *json = json_loadb(body, n_bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

    if (json == NULL) {
        refuse(refusal, 400, "the body is no JSON: line %d, column %d: %s", error.line,
               error.column, error.text);
        return NULL;
    }
    if (json_is_object(json))
        return json;
    json_decref(json);
    refuse(refusal, 400, "the body is no JSON object, wanted {...}");
    return NULL;
}

bool parse_encode(const struct engine *engine, const char *text, size_t n_bytes, int32_t **ids,
                  size_t *n_ids, struct refusal *refusal)
{
    gpt2_encoder *encoder;
    int32_t status = gpt2_encoder_create(engine->tokenizer, NULL, &encoder);

    *n_ids = 0;
    *ids = malloc((2 * n_bytes + 1) * sizeof **ids);
    if (status == GPT2_OK && *ids != NULL)
        status =
            gpt2_encode(encoder, text, n_bytes, GPT2_ENCODE_SPECIAL, *ids, 2 * n_bytes + 1, n_ids);
    else
        status = GPT2_ERR_MEMORY;
    if (status == GPT2_ERR_MEMORY)
        refuse(refusal, 503, "no memory for a text of %zu bytes", n_bytes);
    else if (status != GPT2_OK)
        refuse(refusal, 400, "the text cannot be encoded: %s", gpt2_encoder_error(encoder));
    gpt2_encoder_free(encoder);
    if (status == GPT2_OK)
        return true;
    free(*ids);
    *ids = NULL;
    return false;
}

bool parse_ids(const struct engine *engine, const json_t *array, const char *name, int32_t **ids,
               size_t *n_ids, struct refusal *refusal)
{
    *n_ids = json_array_size(array);
    *ids = malloc((*n_ids + 1) * sizeof **ids);
    if (*ids == NULL)
        return refuse(refusal, 503, "no memory for %zu ids", *n_ids);
    for (size_t i = 0; i < *n_ids; i++) {
        const json_t *item = json_array_get(array, i);
        json_int_t id = json_is_integer(item) ? json_integer_value(item) : -1;

        if (id >= 0 && id < engine->info.n_vocab) {
            (*ids)[i] = (int32_t)id;
            continue;
        }
        free(*ids);
        *ids = NULL;
        if (json_is_integer(item))
            return refuse(refusal, 400, "%s: id %zu is %lld, wanted 0 to %d", name, i,
                          (long long)json_integer_value(item), engine->info.n_vocab - 1);
        return refuse(refusal, 400, "%s: id %zu is no whole number", name, i);
    }
    return true;
}
