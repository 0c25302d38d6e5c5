/*
 * api_tokenizer.c: the exported functions of tokenizers: arguments are checked here, the work is done in
 * text/.
 */
#include "../base/params.h"
#include "../text/text.h"

static const gpt2_tokenizer_params tokenizer_defaults = {.struct_size =
                                                             sizeof(gpt2_tokenizer_params)};

static const struct gpt2i_params_kind tokenizer_params = {
    .name = "gpt2_tokenizer_params",
    .defaults = &tokenizer_defaults,
    .known_bytes = sizeof(gpt2_tokenizer_params),
    .first_bytes = GPT2I_SIZE_TO(gpt2_tokenizer_params, errbuf_size),
    .errbuf_offset = offsetof(gpt2_tokenizer_params, errbuf),
};

int32_t gpt2_tokenizer_params_init(gpt2_tokenizer_params *params, size_t struct_size)
{
    return gpt2i_params_init(params, struct_size, &tokenizer_params);
}

int32_t gpt2_tokenizer_load(const char *path, const gpt2_tokenizer_params *params,
                            gpt2_tokenizer **tokenizer)
{
    gpt2_tokenizer_params known;
    struct gpt2i_error error = {NULL, 0};
    int32_t status;

    if (tokenizer != NULL)
        *tokenizer = NULL;
    status = gpt2i_params_take(&known, params, &tokenizer_params, &error);
    if (status != GPT2_OK)
        return status;
    if (path == NULL || tokenizer == NULL)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_tokenizer_load: %s is NULL",
                          path == NULL ? "path" : "tokenizer");
    if (known.reserved != 0)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                          "gpt2_tokenizer_params.reserved is %u, wanted 0",
                          (unsigned)known.reserved);
    return gpt2i_tokenizer_read(path, tokenizer, &error);
}

void gpt2_tokenizer_free(gpt2_tokenizer *tokenizer)
{
    gpt2i_tokenizer_free(tokenizer);
}

int32_t gpt2_tokenizer_n_vocab(const gpt2_tokenizer *tokenizer)
{
    return tokenizer == NULL ? 0 : gpt2i_tokenizer_n_vocab(tokenizer);
}

int32_t gpt2_tokenizer_eot(const gpt2_tokenizer *tokenizer)
{
    return tokenizer == NULL ? -1 : gpt2i_tokenizer_eot(tokenizer);
}

int32_t gpt2_tokenizer_token_bytes(const gpt2_tokenizer *tokenizer, int32_t id, const char **bytes,
                                   size_t *n_bytes)
{
    if (bytes != NULL)
        *bytes = NULL;
    if (n_bytes != NULL)
        *n_bytes = 0;
    if (tokenizer == NULL || bytes == NULL || n_bytes == NULL)
        return GPT2_ERR_ARGUMENT;
    return gpt2i_token_bytes(tokenizer, id, bytes, n_bytes) ? GPT2_OK : GPT2_ERR_TOKEN;
}

int32_t gpt2_decode(const gpt2_tokenizer *tokenizer, const int32_t *ids, size_t n_ids, char *text,
                    size_t capacity, size_t *n_bytes)
{
    gpt2_decode_state state = {0};

    return gpt2_decode_part(tokenizer, &state, ids, n_ids, 0, text, capacity, n_bytes);
}

int32_t gpt2_decode_part(const gpt2_tokenizer *tokenizer, gpt2_decode_state *state,
                         const int32_t *ids, size_t n_ids, uint32_t flags, char *text,
                         size_t capacity, size_t *n_bytes)
{
    if (n_bytes != NULL)
        *n_bytes = 0;
    if (tokenizer == NULL || state == NULL || n_bytes == NULL || (ids == NULL && n_ids > 0) ||
        (text == NULL && capacity > 0) || (flags & ~GPT2_DECODE_MORE) != 0 || state->n_held > 3)
        return GPT2_ERR_ARGUMENT;
    return gpt2i_decode(tokenizer, state, ids, n_ids, flags, text, capacity, n_bytes);
}
