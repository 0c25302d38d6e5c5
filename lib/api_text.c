/*
 * api_text.c: the exported functions of tokenizers and encoders: arguments are checked here, the
 * work is done in vocab.c and bpe.c.
 */
#include "bpe.h"
#include "params.h"

#define DEFAULT_STRETCH_BYTES 65536
#define MAX_STRETCH_BYTES     INT32_MAX

struct gpt2_encoder {
    size_t block_bytes;
    const gpt2_tokenizer *tokenizer;
    struct gpt2i_bpe_scratch *scratch;
    char error[GPT2I_ERROR_BYTES];
};

static const gpt2_tokenizer_params tokenizer_defaults = {.struct_size =
                                                             sizeof(gpt2_tokenizer_params)};

static const struct gpt2i_params_kind tokenizer_params = {
    .name = "gpt2_tokenizer_params",
    .defaults = &tokenizer_defaults,
    .known_bytes = sizeof(gpt2_tokenizer_params),
    .first_bytes = GPT2I_SIZE_TO(gpt2_tokenizer_params, errbuf_size),
    .errbuf_offset = offsetof(gpt2_tokenizer_params, errbuf),
};

static const gpt2_encoder_params encoder_defaults = {.struct_size = sizeof(gpt2_encoder_params),
                                                     .max_stretch_bytes = DEFAULT_STRETCH_BYTES};

static const struct gpt2i_params_kind encoder_params = {
    .name = "gpt2_encoder_params",
    .defaults = &encoder_defaults,
    .known_bytes = sizeof(gpt2_encoder_params),
    .first_bytes = GPT2I_SIZE_TO(gpt2_encoder_params, errbuf_size),
    .errbuf_offset = offsetof(gpt2_encoder_params, errbuf),
};

/* --------------------------------------------------------------------------------- tokenizer -- */

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

int32_t gpt2_token_bytes(const gpt2_tokenizer *tokenizer, int32_t id, const char **bytes,
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
    size_t total = 0;

    if (n_bytes != NULL)
        *n_bytes = 0;
    if (tokenizer == NULL || n_bytes == NULL || (ids == NULL && n_ids > 0) ||
        (text == NULL && capacity > 0))
        return GPT2_ERR_ARGUMENT;
    for (size_t i = 0; i < n_ids; i++) {
        const char *bytes;
        size_t length;

        if (!gpt2i_token_bytes(tokenizer, ids[i], &bytes, &length))
            return GPT2_ERR_TOKEN;
        if (length > SIZE_MAX - total)
            return GPT2_ERR_ARGUMENT; /* more than an address space holds */
        if (total <= capacity && length <= capacity - total && length > 0)
            memcpy(text + total, bytes, length);
        total += length;
    }
    *n_bytes = total;
    return total <= capacity ? GPT2_OK : GPT2_ERR_BUFFER;
}

/* ----------------------------------------------------------------------------------- encoder -- */

int32_t gpt2_encoder_params_init(gpt2_encoder_params *params, size_t struct_size)
{
    return gpt2i_params_init(params, struct_size, &encoder_params);
}

/* Measures over a NULL arena, and places; NULL while measuring. */
static gpt2_encoder *encoder_layout(struct gpt2i_arena *arena, size_t max_stretch_bytes)
{
    gpt2_encoder *encoder = gpt2i_arena_take(arena, 1, sizeof *encoder);
    struct gpt2i_bpe_scratch *scratch = gpt2i_bpe_scratch_layout(arena, max_stretch_bytes);

    if (encoder != NULL)
        encoder->scratch = scratch;
    return encoder;
}

int32_t gpt2_encoder_create(const gpt2_tokenizer *tokenizer, const gpt2_encoder_params *params,
                            gpt2_encoder **encoder)
{
    gpt2_encoder_params known;
    struct gpt2i_error error = {NULL, 0};
    struct gpt2i_arena measure = gpt2i_arena_over(NULL), arena;
    void *block;
    int32_t status;

    if (encoder != NULL)
        *encoder = NULL;
    status = gpt2i_params_take(&known, params, &encoder_params, &error);
    if (status != GPT2_OK)
        return status;
    if (tokenizer == NULL || encoder == NULL)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_encoder_create: %s is NULL",
                          tokenizer == NULL ? "tokenizer" : "encoder");
    if (known.reserved != 0)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_encoder_params.reserved is %u, wanted 0",
                          (unsigned)known.reserved);
    if (known.max_stretch_bytes == 0 || known.max_stretch_bytes > MAX_STRETCH_BYTES)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                          "gpt2_encoder_params.max_stretch_bytes is %zu, wanted 1 to %d",
                          known.max_stretch_bytes, MAX_STRETCH_BYTES);
    (void)encoder_layout(&measure, known.max_stretch_bytes);
    block = measure.overflow ? NULL : gpt2i_block_new(measure.used_bytes);
    if (block == NULL)
        return gpt2i_fail(&error, GPT2_ERR_MEMORY,
                          "no memory for an encoder of max_stretch_bytes %zu",
                          known.max_stretch_bytes);
    arena = gpt2i_arena_over(block);
    *encoder = encoder_layout(&arena, known.max_stretch_bytes);
    (*encoder)->block_bytes = measure.used_bytes;
    (*encoder)->tokenizer = tokenizer;
    return GPT2_OK;
}

void gpt2_encoder_free(gpt2_encoder *encoder)
{
    if (encoder != NULL)
        gpt2i_block_free(encoder, encoder->block_bytes);
}

const char *gpt2_encoder_error(const gpt2_encoder *encoder)
{
    return encoder == NULL ? "" : encoder->error;
}

int32_t gpt2_encode(gpt2_encoder *encoder, const char *text, size_t n_bytes, uint32_t flags,
                    int32_t *ids, size_t capacity, size_t *n_ids)
{
    struct gpt2i_error error = {NULL, 0};

    if (n_ids != NULL)
        *n_ids = 0;
    if (encoder == NULL)
        return GPT2_ERR_ARGUMENT;
    error.text = encoder->error;
    error.capacity = sizeof encoder->error;
    gpt2i_error_clear(&error);
    if (n_ids == NULL)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_encode: n_ids is NULL");
    if (text == NULL && n_bytes > 0)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                          "gpt2_encode: text is NULL, but n_bytes is %zu", n_bytes);
    if (ids == NULL && capacity > 0)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                          "gpt2_encode: ids is NULL, but capacity is %zu", capacity);
    if ((flags & ~GPT2_ENCODE_SPECIAL) != 0)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                          "gpt2_encode: flags 0x%x, of which 0x%x means nothing here",
                          (unsigned)flags, (unsigned)(flags & ~GPT2_ENCODE_SPECIAL));
    return gpt2i_bpe_encode(encoder->tokenizer, encoder->scratch, text, n_bytes,
                            (flags & GPT2_ENCODE_SPECIAL) != 0, ids, capacity, n_ids, &error);
}
