/*
 * api_encoder.c: the exported functions of encoders.  They check arguments; text/ does the work.
 */
#include "../base/params.h"
#include "../text/encoder.h"

#define DEFAULT_PIECE_BYTES 65536
#define MAX_PIECE_BYTES     INT32_MAX
#define ENCODE_FLAGS        (GPT2_ENCODE_SPECIAL | GPT2_ENCODE_MORE)

static const gpt2_encoder_params encoder_defaults = {.struct_size = sizeof(gpt2_encoder_params),
                                                     .max_piece_bytes = DEFAULT_PIECE_BYTES};

static const struct gpt2i_params_kind encoder_params = {
    .name = "gpt2_encoder_params",
    .defaults = &encoder_defaults,
    .known_bytes = sizeof(gpt2_encoder_params),
    .first_bytes = GPT2I_SIZE_TO(gpt2_encoder_params, errbuf_size),
    .errbuf_offset = offsetof(gpt2_encoder_params, errbuf),
};

int32_t gpt2_encoder_params_init(gpt2_encoder_params *params, size_t struct_size)
{
    return gpt2i_params_init(params, struct_size, &encoder_params);
}

static int32_t take_encoder_params(gpt2_encoder_params *known, const gpt2_encoder_params *params,
                                   struct gpt2i_error *error)
{
    int32_t status = gpt2i_params_take(known, params, &encoder_params, error);

    if (status != GPT2_OK)
        return status;
    if (known->reserved != 0)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "gpt2_encoder_params.reserved is %u, wanted 0",
                          (unsigned)known->reserved);
    if (known->max_piece_bytes == 0 || known->max_piece_bytes > MAX_PIECE_BYTES)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_encoder_params.max_piece_bytes is %zu, wanted 1 to %d",
                          known->max_piece_bytes, MAX_PIECE_BYTES);
    return GPT2_OK;
}

static int32_t fail_encoder_memory(const gpt2_encoder_params *known, struct gpt2i_error *error)
{
    return gpt2i_fail(error, GPT2_ERR_MEMORY, "no memory for an encoder of max_piece_bytes %zu",
                      known->max_piece_bytes);
}

/* The size of an encoder; 0 if it is more than an address space holds. */
static size_t encoder_bytes(const gpt2_encoder_params *known)
{
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);

    (void)gpt2i_encoder_layout(&measure, NULL, known->max_piece_bytes);
    return gpt2i_arena_unaligned_bytes(&measure);
}

static gpt2_encoder *place_encoder(void *memory, const gpt2_tokenizer *tokenizer,
                                   const gpt2_encoder_params *known)
{
    struct gpt2i_arena place = gpt2i_arena_over_unaligned(memory);

    return gpt2i_encoder_layout(&place, tokenizer, known->max_piece_bytes);
}

int32_t gpt2_encoder_create(const gpt2_tokenizer *tokenizer, const gpt2_encoder_params *params,
                            gpt2_encoder **encoder)
{
    gpt2_encoder_params known;
    struct gpt2i_error error = {NULL, 0};
    size_t n_bytes;
    void *block;
    int32_t status;

    if (encoder != NULL)
        *encoder = NULL;
    status = take_encoder_params(&known, params, &error);
    if (status != GPT2_OK)
        return status;
    if (tokenizer == NULL || encoder == NULL)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_encoder_create: %s is NULL",
                          tokenizer == NULL ? "tokenizer" : "encoder");
    n_bytes = encoder_bytes(&known);
    block = gpt2i_block_new(n_bytes);
    if (block == NULL)
        return fail_encoder_memory(&known, &error);
    *encoder = place_encoder(block, tokenizer, &known);
    (*encoder)->block_bytes = n_bytes;
    return GPT2_OK;
}

int32_t gpt2_encoder_size(const gpt2_encoder_params *params, size_t *n_bytes)
{
    gpt2_encoder_params known;
    struct gpt2i_error error = {NULL, 0};
    int32_t status;

    if (n_bytes != NULL)
        *n_bytes = 0;
    status = take_encoder_params(&known, params, &error);
    if (status != GPT2_OK)
        return status;
    if (n_bytes == NULL)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_encoder_size: n_bytes is NULL");
    *n_bytes = encoder_bytes(&known);
    return *n_bytes == 0 ? fail_encoder_memory(&known, &error) : GPT2_OK;
}

int32_t gpt2_encoder_init(const gpt2_tokenizer *tokenizer, const gpt2_encoder_params *params,
                          void *memory, size_t memory_bytes, gpt2_encoder **encoder)
{
    gpt2_encoder_params known;
    struct gpt2i_error error = {NULL, 0};
    size_t wanted_bytes;
    int32_t status;

    if (encoder != NULL)
        *encoder = NULL;
    status = take_encoder_params(&known, params, &error);
    if (status != GPT2_OK)
        return status;
    if (tokenizer == NULL || memory == NULL || encoder == NULL)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_encoder_init: %s is NULL",
                          tokenizer == NULL ? "tokenizer"
                          : memory == NULL  ? "memory"
                                            : "encoder");
    wanted_bytes = encoder_bytes(&known);
    if (wanted_bytes == 0)
        return fail_encoder_memory(&known, &error);
    if (memory_bytes < wanted_bytes)
        return gpt2i_fail(&error, GPT2_ERR_BUFFER,
                          "gpt2_encoder_init: memory_bytes is %zu, wanted %zu", memory_bytes,
                          wanted_bytes);
    *encoder = place_encoder(memory, tokenizer, &known);
    return GPT2_OK;
}

void gpt2_encoder_free(gpt2_encoder *encoder)
{
    if (encoder != NULL && encoder->block_bytes > 0)
        gpt2i_block_free(encoder, encoder->block_bytes);
}

const char *gpt2_encoder_error(const gpt2_encoder *encoder)
{
    return encoder == NULL ? "" : encoder->error;
}

/* The encoder's own error line, emptied for a new call. */
static struct gpt2i_error encoder_error(gpt2_encoder *encoder)
{
    struct gpt2i_error error = {encoder->error, sizeof encoder->error};

    gpt2i_error_clear(&error);
    return error;
}

int32_t gpt2_encoder_reset(gpt2_encoder *encoder)
{
    if (encoder == NULL)
        return GPT2_ERR_ARGUMENT;
    (void)encoder_error(encoder);
    gpt2i_encoder_reset(encoder);
    return GPT2_OK;
}

int32_t gpt2_encode(gpt2_encoder *encoder, const char *text, size_t n_bytes, uint32_t flags,
                    int32_t *ids, size_t capacity, size_t *n_ids)
{
    struct gpt2i_error error;

    if (n_ids != NULL)
        *n_ids = 0;
    if (encoder == NULL)
        return GPT2_ERR_ARGUMENT;
    error = encoder_error(encoder);
    if (n_ids == NULL)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_encode: n_ids is NULL");
    if (text == NULL && n_bytes > 0)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                          "gpt2_encode: text is NULL, but n_bytes is %zu", n_bytes);
    if (ids == NULL && capacity > 0)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                          "gpt2_encode: ids is NULL, but capacity is %zu", capacity);
    if ((flags & ~ENCODE_FLAGS) != 0)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                          "gpt2_encode: flags is 0x%x, wanted none but 0x%x", (unsigned)flags,
                          ENCODE_FLAGS);
    return gpt2i_encode(encoder, text, n_bytes, flags, ids, capacity, n_ids, &error);
}
