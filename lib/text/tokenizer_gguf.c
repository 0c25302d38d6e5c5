/*
 * tokenizer_gguf.c: makes a tokenizer.json of the metadata of a GGUF file, and reads that.
 *
 * So one reader decides what a tokenizer does.  The text is made twice: to measure it, then in a block.
 */
#include "tokenizer_gguf.h"
#include "tokenizer_build.h"
#include "tokenizer_json.h"
#include "unicode.h"
#include "../formats/gguf_values.h"

#include <inttypes.h>

#define MAX_TOKENS ((size_t)1 << GPT2I_ID_BITS)

/* What tokenizer.ggml.token_type says of a token. */
enum { NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, LAST_TYPE = 6 };

/* Names of pre-tokenizers: where text is cut before it is merged. */
static const struct {
    const char *name;
    bool cuts_digits; /* each digit stands alone */
} pre_names[] = {
    {"gpt-2", false},
    {"default", false}, /* of converters that did not know the tokenizer: the model is a GPT-2 */
    {"starcoder", true},
};

struct parts {
    const char *path;
    const struct gpt2i_gguf_value *tokens;
    const struct gpt2i_gguf_value *merges;
    const struct gpt2i_gguf_value *types; /* NULL: all are normal */
    bool cuts_digits;
};

/* -------------------------------------------------------------------------------------- parts -- */

static int32_t find_pre(struct parts *parts, const struct gpt2i_gguf *gguf,
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

static int32_t type_of(const struct parts *parts, size_t token)
{
    return parts->types == NULL ? NORMAL
                                : (int32_t)gpt2i_load_le32(parts->types->bytes + 4 * token);
}

static int32_t check_counts(const struct parts *parts, struct gpt2i_error *error)
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
        int32_t type = type_of(parts, i);

        if (type < NORMAL || type > LAST_TYPE)
            return gpt2i_fail(error, GPT2_ERR_FORMAT,
                              "%s: tokenizer.ggml.token_type: found %" PRId32
                              " for the token %zu, wanted 1 to 6",
                              parts->path, type, i);
    }
    return gpt2i_check_n_merges(parts->path, parts->merges->n_elements, error);
}

static int32_t find_parts(struct parts *parts, const struct gpt2i_gguf *gguf,
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
    return status == GPT2_OK ? check_counts(parts, error) : status;
}

/* ----------------------------------------------------------------------------------- the text -- */

/* A text that is measured (text NULL), or written. */
struct writer {
    char *text;
    size_t length;
};

static void put_bytes(struct writer *writer, const char *bytes, size_t n)
{
    if (writer->text != NULL)
        memcpy(writer->text + writer->length, bytes, n);
    writer->length += n;
}

static void put(struct writer *writer, const char *text)
{
    put_bytes(writer, text, strlen(text));
}

static void put_number(struct writer *writer, size_t number)
{
    char digits[20];
    size_t first = sizeof digits;

    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put_bytes(writer, digits + first, sizeof digits - first);
}

/* A JSON string. */
static void put_string(struct writer *writer, struct gpt2i_gguf_string string)
{
    size_t from = 0;

    put(writer, "\"");
    for (size_t i = 0; i < string.length; i++) {
        unsigned char c = (unsigned char)string.text[i];
        char escape[6] = {'\\', 'u', '0', '0', (char)('0' + c / 16), "0123456789abcdef"[c % 16]};

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        put_bytes(writer, string.text + from, i - from);
        put_bytes(writer, escape, sizeof escape);
        from = i + 1;
    }
    put_bytes(writer, string.text + from, string.length - from);
    put(writer, "\"");
}

/* The tokens that are found in a text before it is cut. */
static void put_added_tokens(struct writer *writer, const struct parts *parts)
{
    const unsigned char *at = parts->tokens->bytes;
    const char *before = "";

    for (size_t id = 0; id < parts->tokens->n_elements; id++) {
        struct gpt2i_gguf_string token = gpt2i_gguf_next_string(&at);
        int32_t type = type_of(parts, id);

        if (type != CONTROL && type != USER_DEFINED)
            continue;
        put(writer, before);
        put(writer, "{\"id\":");
        put_number(writer, id);
        put(writer, ",\"content\":");
        put_string(writer, token);
        put(writer, ",\"normalized\":false,\"special\":");
        put(writer, type == CONTROL ? "true}" : "false}");
        before = ",";
    }
}

/* Ids without a token have type UNUSED and a made-up name. */
static void put_vocab(struct writer *writer, const struct parts *parts)
{
    const unsigned char *at = parts->tokens->bytes;
    const char *before = "";

    for (size_t id = 0; id < parts->tokens->n_elements; id++) {
        struct gpt2i_gguf_string token = gpt2i_gguf_next_string(&at);

        if (type_of(parts, id) == UNUSED)
            continue;
        put(writer, before);
        put_string(writer, token);
        put(writer, ":");
        put_number(writer, id);
        before = ",";
    }
}

static void put_merges(struct writer *writer, const struct parts *parts)
{
    const unsigned char *at = parts->merges->bytes;

    for (size_t i = 0; i < parts->merges->n_elements; i++) {
        put(writer, i == 0 ? "" : ",");
        put_string(writer, gpt2i_gguf_next_string(&at));
    }
}

static void put_all(struct writer *writer, const struct parts *parts)
{
    static const char level[] =
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true}";

    writer->length = 0;
    put(writer, "{\"added_tokens\":[");
    put_added_tokens(writer, parts);
    put(writer, "],\"pre_tokenizer\":");
    if (parts->cuts_digits)
        put(writer, "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\","
                    "\"individual_digits\":true},");
    put(writer, level);
    put(writer, parts->cuts_digits ? "]}" : "");
    put(writer, ",\"decoder\":");
    put(writer, level);
    put(writer, ",\"model\":{\"type\":\"BPE\",\"vocab\":{");
    put_vocab(writer, parts);
    put(writer, "},\"merges\":[");
    put_merges(writer, parts);
    put(writer, "]}}");
}

/* Reads the text; a line about it begins with the file's path. */
static int32_t read_text(const struct parts *parts, const struct writer *writer,
                         gpt2_tokenizer **tokenizer, struct gpt2i_error *error)
{
    const gpt2_source source = {
        .name = GPT2I_TOKENIZER_NAME, .bytes = writer->text, .n_bytes = writer->length};
    const struct gpt2i_files files = {.list = &source, .n_list = 1};
    char line[GPT2_ERRBUF_BYTES];
    struct gpt2i_error inner = {line, sizeof line};
    int32_t status = gpt2i_tokenizer_read_json(&files, tokenizer, &inner);

    if (status != GPT2_OK)
        status = gpt2i_fail(error, status, "%s: the metadata as %s", parts->path, line);
    return status;
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

static int32_t read_parts(const struct parts *parts, gpt2_tokenizer **tokenizer,
                          struct gpt2i_error *error)
{
    struct writer writer = {NULL, 0};
    size_t n_bytes;
    int32_t status;

    put_all(&writer, parts);
    n_bytes = writer.length;
    if (n_bytes > GPT2I_MAX_TOKENIZER_FILE_BYTES)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: its tokenizer has %zu bytes, wanted at most %" PRIu64
                          ", a limit of libgpt2",
                          parts->path, n_bytes, GPT2I_MAX_TOKENIZER_FILE_BYTES);
    writer.text = gpt2i_block_new(n_bytes);
    if (writer.text == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "%s: no memory for %zu bytes of its tokenizer",
                          parts->path, n_bytes);
    put_all(&writer, parts);
    status = read_text(parts, &writer, tokenizer, error);
    gpt2i_block_free(writer.text, n_bytes);
    return status;
}

int32_t gpt2i_tokenizer_read_gguf(const struct gpt2i_files *files, const char *name,
                                  gpt2_tokenizer **tokenizer, struct gpt2i_error *error)
{
    struct parts parts = {0};
    struct gpt2i_gguf gguf;
    int32_t status = gpt2i_gguf_open(&gguf, files, name, NULL, NULL, error);

    *tokenizer = NULL;
    if (status != GPT2_OK)
        return status;
    parts.path = gguf.source->path;
    if (gpt2i_gguf_find(&gguf, "tokenizer.ggml.model") != NULL) {
        status = find_parts(&parts, &gguf, error);
        if (status == GPT2_OK)
            status = read_parts(&parts, tokenizer, error);
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
