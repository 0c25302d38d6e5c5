/*
 * tokenizer_gguf.c: makes a tokenizer.json of the metadata of a GGUF file, and reads that.
 *
 * So one reader decides what a tokenizer does.
 */
#include "tokenizer_gguf.h"
#include "tokenizer_build.h"
#include "tokenizer_made.h"
#include "unicode.h"
#include "../formats/gguf_values.h"

#include <inttypes.h>

#define MAX_TOKENS ((size_t)1 << GPT2I_ID_BITS)

/* Names of pre-tokenizers: where text is cut before it is merged. */
static const struct {
    const char *name;
    bool cuts_digits; /* each digit stands alone */
} pre_names[] = {
    {"gpt-2", false},
    {"default", false}, /* of converters that did not know the tokenizer: the model is a GPT-2 */
    {"starcoder", true},
};

struct gguf_parts {
    const char *path;
    const struct gpt2i_gguf_value *tokens;
    const struct gpt2i_gguf_value *merges;
    const struct gpt2i_gguf_value *types; /* NULL: all are normal */
    bool cuts_digits;
};

/* -------------------------------------------------------------------------------------- parts -- */

static int32_t find_pre(struct gguf_parts *parts, const struct gpt2i_gguf *gguf,
                        struct gpt2i_error *error)
{
    struct gpt2i_gguf_string pre = {"gpt-2", 5};
    int32_t status = gpt2i_gguf_text(gguf, "tokenizer.ggml.pre", false, &pre, error);

    if (status != GPT2_OK)
        return status;
    for (size_t i = 0; i < sizeof pre_names / sizeof pre_names[0]; i++) {
        parts->cuts_digits = pre_names[i].cuts_digits;
        if (gpt2i_gguf_equal(pre, pre_names[i].name))
            return GPT2_OK;
    }
    return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                      "%s: tokenizer.ggml.pre: found \"%.*s\", wanted gpt-2, default or starcoder",
                      gguf->source->path, gpt2i_gguf_shown(pre), pre.text);
}

/* A space that is put before every text changes ids. */
static int32_t check_space(const struct gpt2i_gguf *gguf, struct gpt2i_error *error)
{
    bool adds_space = false;
    int32_t status = gpt2i_gguf_bool(gguf, "tokenizer.ggml.add_space_prefix", &adds_space, error);

    if (status == GPT2_OK && adds_space)
        status = gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                            "%s: tokenizer.ggml.add_space_prefix: found true, wanted false",
                            gguf->source->path);
    return status;
}

static int32_t token_type_of(const struct gguf_parts *parts, size_t token)
{
    return parts->types == NULL ? GPT2I_GGUF_NORMAL
                                : (int32_t)gpt2i_load_le32(parts->types->bytes + 4 * token);
}

static int32_t check_array_lengths(const struct gguf_parts *parts, struct gpt2i_error *error)
{
    size_t n_tokens = parts->tokens->n_elements;

    if (n_tokens < 1 || n_tokens > MAX_TOKENS)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: tokenizer.ggml.tokens: found %zu tokens, wanted 1 to %zu",
                          parts->path, n_tokens, MAX_TOKENS);
    if (parts->types != NULL && parts->types->n_elements != n_tokens)
        return gpt2i_fail(
            error, GPT2_ERR_FORMAT,
            "%s: tokenizer.ggml.token_type: found %zu types, wanted %zu, one for each "
            "token",
            parts->path, parts->types->n_elements, n_tokens);
    for (size_t i = 0; i < n_tokens; i++) {
        int32_t type = token_type_of(parts, i);

        if (type < GPT2I_GGUF_NORMAL || type > GPT2I_GGUF_LAST_TOKEN_TYPE)
            return gpt2i_fail(error, GPT2_ERR_FORMAT,
                              "%s: tokenizer.ggml.token_type: found %" PRId32
                              " for the token %zu, wanted 1 to 6",
                              parts->path, type, i);
    }
    return gpt2i_check_n_merges(parts->path, parts->merges->n_elements, error);
}

static int32_t find_parts(struct gguf_parts *parts, const struct gpt2i_gguf *gguf,
                          struct gpt2i_error *error)
{
    struct gpt2i_gguf_string model = {"", 0};
    int32_t status = gpt2i_gguf_text(gguf, "tokenizer.ggml.model", true, &model, error);

    if (status == GPT2_OK && !gpt2i_gguf_equal(model, "gpt2"))
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: tokenizer.ggml.model: found \"%.*s\", wanted gpt2",
                          gguf->source->path, gpt2i_gguf_shown(model), model.text);
    if (status == GPT2_OK)
        status = find_pre(parts, gguf, error);
    if (status == GPT2_OK)
        status = check_space(gguf, error);
    if (status == GPT2_OK)
        status = gpt2i_gguf_array(gguf, "tokenizer.ggml.tokens", GPT2I_GGUF_STRING, true,
                                  &parts->tokens, error);
    if (status == GPT2_OK)
        status = gpt2i_gguf_array(gguf, "tokenizer.ggml.merges", GPT2I_GGUF_STRING, true,
                                  &parts->merges, error);
    if (status == GPT2_OK)
        status = gpt2i_gguf_array(gguf, "tokenizer.ggml.token_type", GPT2I_GGUF_I32, false,
                                  &parts->types, error);
    return status == GPT2_OK ? check_array_lengths(parts, error) : status;
}

/* ----------------------------------------------------------------------------------- the text -- */

/* The tokens that are found in a text before it is cut. */
static void put_added_tokens(struct gpt2i_made_text *text, const struct gguf_parts *parts)
{
    const unsigned char *at = parts->tokens->bytes;
    const char *before = "";

    for (size_t id = 0; id < parts->tokens->n_elements; id++) {
        struct gpt2i_gguf_string token = gpt2i_gguf_next_string(&at);
        int32_t type = token_type_of(parts, id);

        if (type != GPT2I_GGUF_CONTROL && type != GPT2I_GGUF_USER_DEFINED)
            continue;
        gpt2i_put(text, before);
        gpt2i_put(text, "{\"id\":");
        gpt2i_put_number(text, id);
        gpt2i_put(text, ",\"content\":");
        gpt2i_put_string(text, token.text, token.length);
        gpt2i_put(text, ",\"normalized\":false,\"special\":");
        gpt2i_put(text, type == GPT2I_GGUF_CONTROL ? "true}" : "false}");
        before = ",";
    }
}

/* Ids without a token have type 5 and a made-up name. */
static void put_gguf_vocab(struct gpt2i_made_text *text, const struct gguf_parts *parts)
{
    const unsigned char *at = parts->tokens->bytes;
    const char *before = "";

    for (size_t id = 0; id < parts->tokens->n_elements; id++) {
        struct gpt2i_gguf_string token = gpt2i_gguf_next_string(&at);

        if (token_type_of(parts, id) == GPT2I_GGUF_UNUSED)
            continue;
        gpt2i_put(text, before);
        gpt2i_put_string(text, token.text, token.length);
        gpt2i_put(text, ":");
        gpt2i_put_number(text, id);
        before = ",";
    }
}

static void put_merges(struct gpt2i_made_text *text, const struct gguf_parts *parts)
{
    const unsigned char *at = parts->merges->bytes;

    for (size_t i = 0; i < parts->merges->n_elements; i++) {
        struct gpt2i_gguf_string merge = gpt2i_gguf_next_string(&at);

        gpt2i_put(text, i == 0 ? "" : ",");
        gpt2i_put_string(text, merge.text, merge.length);
    }
}

static void put_gguf_tokenizer(struct gpt2i_made_text *text, const void *context)
{
    const struct gguf_parts *parts = context;
    static const char level[] =
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true}";

    gpt2i_put(text, "{\"added_tokens\":[");
    put_added_tokens(text, parts);
    gpt2i_put(text, "],\"pre_tokenizer\":");
    if (parts->cuts_digits)
        gpt2i_put(text, "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\","
                        "\"individual_digits\":true},");
    gpt2i_put(text, level);
    gpt2i_put(text, parts->cuts_digits ? "]}" : "");
    gpt2i_put(text, ",\"decoder\":");
    gpt2i_put(text, level);
    gpt2i_put(text, ",\"model\":{\"type\":\"BPE\",\"vocab\":{");
    put_gguf_vocab(text, parts);
    gpt2i_put(text, "},\"merges\":[");
    put_merges(text, parts);
    gpt2i_put(text, "]}}");
}

/* The tokens that begin and end a text, by number; without one, the words of other files count. */
static int32_t read_ends(const struct gpt2i_gguf *gguf, gpt2_tokenizer *tokenizer,
                         struct gpt2i_error *error)
{
    uint64_t bos = UINT64_MAX, eos = UINT64_MAX;
    int32_t status = gpt2i_gguf_integer(gguf, "tokenizer.ggml.bos_token_id", false, &bos, error);

    if (status == GPT2_OK)
        status = gpt2i_gguf_integer(gguf, "tokenizer.ggml.eos_token_id", false, &eos, error);
    if (status != GPT2_OK)
        return status;
    if (bos < (uint64_t)tokenizer->n_vocab)
        tokenizer->bos = (int32_t)bos;
    if (eos < (uint64_t)tokenizer->n_vocab) {
        tokenizer->eot = (int32_t)eos;
        gpt2i_tokenizer_mark_added(tokenizer);
    }
    return GPT2_OK;
}

int32_t gpt2i_tokenizer_read_gguf(const struct gpt2i_files *files, const char *name,
                                  gpt2_tokenizer **tokenizer, struct gpt2i_error *error)
{
    struct gguf_parts parts = {0};
    struct gpt2i_gguf gguf;
    int32_t status = gpt2i_gguf_open(&gguf, files, name, NULL, NULL, error);

    *tokenizer = NULL;
    if (status != GPT2_OK)
        return status;
    parts.path = gguf.source->path;
    if (gpt2i_gguf_find(&gguf, "tokenizer.ggml.model") != NULL) {
        status = find_parts(&parts, &gguf, error);
        if (status == GPT2_OK)
            status = gpt2i_tokenizer_read_made(parts.path, "the metadata", put_gguf_tokenizer,
                                               &parts, tokenizer, error);
        if (status == GPT2_OK)
            status = read_ends(&gguf, *tokenizer, error);
        if (status != GPT2_OK) {
            gpt2i_tokenizer_free(*tokenizer);
            *tokenizer = NULL;
        }
    }
    gpt2i_gguf_close(&gguf);
    return status;
}
