/*
 * api_tokenizer.c: the exported functions of tokenizers, and decoding.  They check arguments; text/
 * does the work.
 */
#include "api.h"
#include "../formats/gguf.h"
#include "../text/decoder.h"
#include "../text/offsets.h"
#include "../text/tokenizer_gguf.h"
#include "../text/tokenizer_load.h"
#include "../text/tokenizer_native.h"

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

/* What both ways of loading check; 'given' is their first argument, 'name' its name. */
static int32_t take_tokenizer_params(const gpt2_tokenizer_params *params, const char *function,
                                     const char *name, const void *given,
                                     gpt2_tokenizer **tokenizer, struct gpt2i_error *error)
{
    gpt2_tokenizer_params known;
    int32_t status;

    if (tokenizer != NULL)
        *tokenizer = NULL;
    status = gpt2i_params_take(&known, params, &tokenizer_params, error);
    if (status != GPT2_OK)
        return status;
    if (given == NULL || tokenizer == NULL)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: %s is NULL", function,
                          given == NULL ? name : "tokenizer");
    if (known.reserved != 0)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_tokenizer_params.reserved is %u, wanted 0",
                          (unsigned)known.reserved);
    return GPT2_OK;
}

/* That of GGUF, which must have one. */
static int32_t read_gguf(const struct gpt2i_files *files, gpt2_tokenizer **tokenizer,
                         struct gpt2i_error *error)
{
    int32_t status = gpt2i_tokenizer_read_gguf(files, GPT2I_GGUF_NAME, tokenizer, error);

    if (status == GPT2_OK && *tokenizer == NULL)
        status = gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: has no tokenizer",
                            files->file != NULL ? files->file : GPT2I_GGUF_NAME);
    return status;
}

/* One file is a native one, or else GGUF. */
static int32_t read_tokenizer_file(const struct gpt2i_files *files, gpt2_tokenizer **tokenizer,
                                   struct gpt2i_error *error)
{
    int32_t status = gpt2i_tokenizer_read_native(tokenizer, files, error);

    return status == GPT2_ERR_FORMAT && gpt2i_gguf_is(files) ? read_gguf(files, tokenizer, error)
                                                             : status;
}

static int32_t read_any_tokenizer(const struct gpt2i_files *files, gpt2_tokenizer **tokenizer,
                                  struct gpt2i_error *error)
{
    bool is_present, has_gguf = false;
    int32_t status;

    if (gpt2i_files_are_native(files))
        return read_tokenizer_file(files, tokenizer, error);
    status = gpt2i_tokenizer_present(files, &is_present, error);
    if (status == GPT2_OK && !is_present)
        status = gpt2i_source_exists(files, GPT2I_GGUF_NAME, &has_gguf, error);
    if (status != GPT2_OK)
        return status;
    return has_gguf ? read_gguf(files, tokenizer, error)
                    : gpt2i_tokenizer_read(files, tokenizer, error);
}

int32_t gpt2_tokenizer_load(const char *path, const gpt2_tokenizer_params *params,
                            gpt2_tokenizer **tokenizer)
{
    struct gpt2i_files files;
    struct gpt2i_error error = {NULL, 0};
    int32_t status =
        take_tokenizer_params(params, "gpt2_tokenizer_load", "path", path, tokenizer, &error);

    if (status == GPT2_OK)
        status = gpt2i_check_path("gpt2_tokenizer_load", path, &error);
    if (status != GPT2_OK)
        return status;
    files = gpt2i_files_at(path);
    return read_any_tokenizer(&files, tokenizer, &error);
}

int32_t gpt2_tokenizer_load_sources(const gpt2_source *sources, size_t n_sources,
                                    const gpt2_tokenizer_params *params, gpt2_tokenizer **tokenizer)
{
    const struct gpt2i_files files = {.list = sources, .n_list = n_sources};
    struct gpt2i_error error = {NULL, 0};
    int32_t status = take_tokenizer_params(params, "gpt2_tokenizer_load_sources", "sources",
                                           sources, tokenizer, &error);

    if (status == GPT2_OK)
        status = gpt2i_check_sources("gpt2_tokenizer_load_sources", sources, n_sources, &error);
    return status == GPT2_OK ? read_any_tokenizer(&files, tokenizer, &error) : status;
}

void gpt2_tokenizer_free(gpt2_tokenizer *tokenizer)
{
    gpt2i_tokenizer_free(tokenizer);
}

int32_t gpt2_tokenizer_n_vocab(const gpt2_tokenizer *tokenizer)
{
    return tokenizer == NULL ? 0 : tokenizer->n_vocab;
}

int32_t gpt2_tokenizer_eot(const gpt2_tokenizer *tokenizer)
{
    return tokenizer == NULL ? -1 : tokenizer->eot;
}

int32_t gpt2_tokenizer_bos(const gpt2_tokenizer *tokenizer)
{
    return tokenizer == NULL ? -1 : tokenizer->bos;
}

int32_t gpt2_tokenizer_is_added(const gpt2_tokenizer *tokenizer, int32_t id)
{
    if (tokenizer == NULL || id < 0 || id >= tokenizer->n_vocab)
        return 0;
    return tokenizer->is_added[id];
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

static int32_t fail_null(const char *function, const char *argument, struct gpt2i_error *error)
{
    return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: %s is NULL", function, argument);
}

/* The arguments that gpt2_decode() and gpt2_decode_part() share. */
static int32_t check_decode(const char *function, const gpt2_tokenizer *tokenizer,
                            const int32_t *ids, size_t n_ids, const char *text, size_t capacity,
                            size_t *n_bytes, struct gpt2i_error *error)
{
    gpt2i_error_clear(error);
    if (n_bytes == NULL)
        return fail_null(function, "n_bytes", error);
    *n_bytes = 0;
    if (tokenizer == NULL)
        return fail_null(function, "tokenizer", error);
    if (ids == NULL && n_ids > 0)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: ids is NULL, but n_ids is %zu", function,
                          n_ids);
    if (text == NULL && capacity > 0)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: text is NULL, but capacity is %zu",
                          function, capacity);
    return GPT2_OK;
}

int32_t gpt2_decode(const gpt2_tokenizer *tokenizer, const int32_t *ids, size_t n_ids, char *text,
                    size_t capacity, size_t *n_bytes, char *errbuf, size_t errbuf_size)
{
    struct gpt2i_error error = {errbuf, errbuf_size};
    gpt2_decode_state state = {0};
    int32_t status =
        check_decode("gpt2_decode", tokenizer, ids, n_ids, text, capacity, n_bytes, &error);

    if (status != GPT2_OK)
        return status;
    return gpt2i_decode(tokenizer, &state, ids, n_ids, 0, text, capacity, n_bytes, &error);
}

int32_t gpt2_decode_part(const gpt2_tokenizer *tokenizer, gpt2_decode_state *state,
                         const int32_t *ids, size_t n_ids, uint32_t flags, char *text,
                         size_t capacity, size_t *n_bytes, char *errbuf, size_t errbuf_size)
{
    struct gpt2i_error error = {errbuf, errbuf_size};
    int32_t status =
        check_decode("gpt2_decode_part", tokenizer, ids, n_ids, text, capacity, n_bytes, &error);

    if (status != GPT2_OK)
        return status;
    if (state == NULL)
        return fail_null("gpt2_decode_part", "state", &error);
    if ((flags & ~GPT2_DECODE_MORE) != 0)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                          "gpt2_decode_part: flags is 0x%x, wanted none but 0x%x", (unsigned)flags,
                          GPT2_DECODE_MORE);
    if (state->n_held > 3)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                          "gpt2_decode_part: state->n_held is %u, wanted 0 to 3",
                          (unsigned)state->n_held);
    return gpt2i_decode(tokenizer, state, ids, n_ids, flags, text, capacity, n_bytes, &error);
}

int32_t gpt2_token_offsets(const gpt2_tokenizer *tokenizer, const int32_t *ids, size_t n_ids,
                           gpt2_offsets *offsets)
{
    if (tokenizer == NULL || (n_ids > 0 && (ids == NULL || offsets == NULL)))
        return GPT2_ERR_ARGUMENT;
    return gpt2i_token_offsets(tokenizer, ids, n_ids, offsets);
}
