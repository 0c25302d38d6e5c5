/*
 * gguf_config.c: the keys of an architecture as Hugging Face's.
 */
#include "gguf_config.h"
#include "decimal.h"
#include "gguf_values.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>

/* The value of a key of the architecture. */
static int32_t find_size_key(const struct gpt2i_gguf *gguf, const char *arch, const char *key,
                             bool required, uint64_t *value, struct gpt2i_error *error)
{
    char full[64];

    (void)snprintf(full, sizeof full, "%s.%s", arch, key);
    return gpt2i_gguf_integer(gguf, full, required, value, error);
}

/* Fails where a size is not what it is in every GPT-2. */
static int32_t check_size(const struct gpt2i_gguf *gguf, const char *arch, const char *key,
                          uint64_t wanted, struct gpt2i_error *error)
{
    uint64_t found = wanted;
    int32_t status = find_size_key(gguf, arch, key, false, &found, error);

    if (status == GPT2_OK && found != wanted)
        status =
            gpt2i_fail(error, GPT2_ERR_UNSUPPORTED, "%s: %s.%s: found %" PRIu64 ", wanted %" PRIu64,
                       gguf->source->path, arch, key, found, wanted);
    return status;
}

/* Whether all heads share one of keys and values. */
static int32_t find_shared(const struct gpt2i_gguf *gguf, const char *arch, uint64_t n_head,
                           bool *is_shared, struct gpt2i_error *error)
{
    uint64_t found = n_head;
    int32_t status = find_size_key(gguf, arch, "attention.head_count_kv", false, &found, error);

    *is_shared = found == 1 && n_head != 1;
    if (status == GPT2_OK && found != n_head && !*is_shared)
        status = gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                            "%s: %s.attention.head_count_kv: found %" PRIu64
                            ", wanted 1 or %" PRIu64 ", %s.attention.head_count",
                            gguf->source->path, arch, found, n_head, arch);
    return status;
}

static int32_t find_epsilon(const struct gpt2i_gguf *gguf, const char *arch,
                            char text[GPT2I_FLOAT_CHARS], struct gpt2i_error *error)
{
    const struct gpt2i_gguf_value *value;
    char key[64];
    uint32_t bits;
    float epsilon;

    (void)snprintf(key, sizeof key, "%s.attention.layer_norm_epsilon", arch);
    value = gpt2i_gguf_find(gguf, key);
    if (value == NULL || value->is_array || value->type != GPT2I_GGUF_F32)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: %s is %s, wanted an f32", gguf->source->path,
                          key, value == NULL ? "missing" : "of another type");
    bits = gpt2i_load_le32(value->bytes);
    memcpy(&epsilon, &bits, sizeof epsilon);
    if (!(epsilon >= FLT_MIN && epsilon <= FLT_MAX))
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: %s: found the bits 0x%08" PRIx32 ", wanted a positive number",
                          gguf->source->path, key, bits);
    gpt2i_decimal_of_float(text, epsilon);
    return GPT2_OK;
}

/* gpt2, or starcoder: the same with one head of keys and values for all of queries, most often. */
static int32_t find_arch(const struct gpt2i_gguf *gguf, const char **arch,
                         struct gpt2i_error *error)
{
    struct gpt2i_gguf_string found;
    int32_t status = gpt2i_gguf_text(gguf, "general.architecture", true, &found, error);

    if (status != GPT2_OK)
        return status;
    *arch = gpt2i_gguf_equal(found, "gpt2")        ? "gpt2"
            : gpt2i_gguf_equal(found, "starcoder") ? "starcoder"
                                                   : NULL;
    if (*arch != NULL)
        return GPT2_OK;
    return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                      "%s: general.architecture: found \"%.*s\", wanted gpt2 or starcoder",
                      gguf->source->path, gpt2i_gguf_shown(found), found.text);
}

int32_t gpt2i_gguf_config(char text[GPT2I_GGUF_CONFIG_BYTES], const struct gpt2i_gguf *gguf,
                          uint64_t n_vocab, bool is_tied, struct gpt2i_error *error)
{
    uint64_t n_positions = 0, n_embd = 0, n_layer = 0, n_head = 0, n_inner = 0, eos = UINT64_MAX;
    char epsilon[GPT2I_FLOAT_CHARS], eos_text[24] = "null";
    const char *arch;
    bool is_shared = false;
    int32_t status = find_arch(gguf, &arch, error);

    if (status == GPT2_OK && n_vocab == 0)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: tensor token_embd.weight is missing",
                          gguf->source->path);
    if (status == GPT2_OK)
        status = find_size_key(gguf, arch, "context_length", true, &n_positions, error);
    if (status == GPT2_OK)
        status = find_size_key(gguf, arch, "embedding_length", true, &n_embd, error);
    if (status == GPT2_OK)
        status = find_size_key(gguf, arch, "block_count", true, &n_layer, error);
    if (status == GPT2_OK)
        status = find_size_key(gguf, arch, "attention.head_count", true, &n_head, error);
    if (status == GPT2_OK)
        status = find_size_key(gguf, arch, "feed_forward_length", true, &n_inner, error);
    if (status == GPT2_OK)
        status = find_shared(gguf, arch, n_head, &is_shared, error);
    if (status == GPT2_OK)
        status = find_epsilon(gguf, arch, epsilon, error);
    if (status == GPT2_OK)
        status = gpt2i_gguf_integer(gguf, "tokenizer.ggml.eos_token_id", false, &eos, error);
    if (status == GPT2_OK && n_head > 0)
        status = check_size(gguf, arch, "attention.key_length", n_embd / n_head, error);
    if (status == GPT2_OK && n_head > 0)
        status = check_size(gguf, arch, "attention.value_length", n_embd / n_head, error);
    if (status != GPT2_OK)
        return status;
    if (eos < INT64_MAX)
        (void)snprintf(eos_text, sizeof eos_text, "%" PRIu64, eos);
    (void)snprintf(text, GPT2I_GGUF_CONFIG_BYTES,
                   "{\"model_type\": \"%s\", \"multi_query\": %s, \"vocab_size\": %" PRIu64
                   ", \"n_positions\": %" PRIu64 ", \"n_embd\": %" PRIu64 ", \"n_layer\": %" PRIu64
                   ", \"n_head\": %" PRIu64 ", \"n_inner\": %" PRIu64
                   ", \"activation_function\": \"%s\", \"layer_norm_epsilon\": %s"
                   ", \"tie_word_embeddings\": %s, \"eos_token_id\": %s}",
                   is_shared ? "gpt_bigcode" : "gpt2", is_shared ? "true" : "false", n_vocab,
                   n_positions, n_embd, n_layer, n_head, n_inner,
                   strcmp(arch, "gpt2") == 0 ? "gelu_new" : "gelu_pytorch_tanh", epsilon,
                   is_tied ? "true" : "false", eos_text);
    return GPT2_OK;
}
