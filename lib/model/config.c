/*
 * config.c: config.json of a GPT-2.
 *
 * What a key means when it is absent, and which of two names for one value wins, is as in Hugging
 * Face's GPT2Config.  A file is read in one pass into 'found'; only then are the values compared with
 * each other and with the limits.  What would change the arithmetic in a way that this library does
 * not follow is refused by name; what cannot change it is skipped.
 */
#include "config.h"
#include "../base/fpstate.h"
#include "../formats/json.h"

#include <inttypes.h>

#define CONFIG_MAX_BYTES (16 << 20) /* classifiers list every label: some are large */

enum { SIZE_VOCAB, SIZE_POSITIONS, SIZE_EMBD, SIZE_LAYER, SIZE_HEAD, SIZE_INNER, N_SIZES };

/*
 * The limits are this library's own, well above every GPT-2: they keep the products of sizes far
 * from overflow and a damaged file from asking for all memory.  'if_absent' is Hugging Face's; for
 * n_inner it is 4 n_embd.
 */
static const struct size_limit {
    char key[16];
    int32_t max;
    int32_t if_absent;
} size_limits[N_SIZES] = {
    [SIZE_VOCAB] = {"vocab_size", 1 << 22, 50257},
    [SIZE_POSITIONS] = {"n_positions", 1 << 20, 1024},
    [SIZE_EMBD] = {"n_embd", 1 << 16, 768},
    [SIZE_LAYER] = {"n_layer", 1 << 10, 12},
    [SIZE_HEAD] = {"n_head", 1 << 16, 12},
    [SIZE_INNER] = {"n_inner", 1 << 20, 0},
};

/* The names in files.  Of two for one size the higher rank wins, of two equal ones the last. */
static const struct size_name {
    char key[24];
    uint8_t size;
    uint8_t rank;
} size_names[] = {
    {"vocab_size", SIZE_VOCAB, 1},
    {"n_ctx", SIZE_POSITIONS, 1}, /* files of 2019 have it beside n_positions or instead of it */
    {"n_positions", SIZE_POSITIONS, 2},
    /* the common names of all Hugging Face models */
    {"max_position_embeddings", SIZE_POSITIONS, 3},
    {"n_embd", SIZE_EMBD, 1},
    {"hidden_size", SIZE_EMBD, 2},
    {"n_layer", SIZE_LAYER, 1},
    {"num_hidden_layers", SIZE_LAYER, 2},
    {"n_head", SIZE_HEAD, 1},
    {"num_attention_heads", SIZE_HEAD, 2},
    {"n_inner", SIZE_INNER, 1},
};

/* Of several names for one id the first is written. */
static const struct activation {
    char name[20];
    int32_t id;
} activations[] = {
    {"gelu_new", GPT2_ACT_GELU_NEW},
    {"gelu", GPT2_ACT_GELU},
    {"gelu_fast", GPT2_ACT_GELU_FAST},
    {"gelu_pytorch_tanh", GPT2_ACT_GELU_PYTORCH_TANH},
    {"relu", GPT2_ACT_RELU},
    {"silu", GPT2_ACT_SILU},
    {"quick_gelu", GPT2_ACT_QUICK_GELU},
    {"tanh", GPT2_ACT_TANH},
    {"mish", GPT2_ACT_MISH},
    {"swish", GPT2_ACT_SILU},
    {"gelu_python", GPT2_ACT_GELU},
    {"gelu_accurate", GPT2_ACT_GELU_NEW},
};

struct config_reader {
    struct gpt2i_json json;
    struct gpt2i_error *error;
    uint64_t found[N_SIZES];
    const struct size_name *found_as[N_SIZES]; /* NULL for a size that no name has given */
    int64_t eos_token_id;
    bool has_multi_query;
    bool multi_query;
    bool has_activation;
    struct gpt2i_config *config;
};

static int32_t config_next(struct config_reader *reader, struct gpt2i_json_event *event)
{
    return gpt2i_json_next(&reader->json, event, reader->error);
}

/* "PATH: KEY: found ..., wanted ..." */
static int32_t config_wanted(const struct config_reader *reader, int32_t status, const char *key,
                             const struct gpt2i_json_event *found, const char *wanted)
{
    char shown[GPT2I_JSON_SHOWN_BYTES];

    return gpt2i_fail(reader->error, status, "%s: %s: found %s, wanted %s", reader->json.path, key,
                      gpt2i_json_show(found, shown), wanted);
}

static int32_t read_size(struct config_reader *reader, const struct size_name *name)
{
    const struct size_name *before;
    struct gpt2i_json_event event;
    uint64_t value;
    int32_t status = config_next(reader, &event);

    if (status != GPT2_OK)
        return status;
    if (event.type == GPT2I_JSON_NULL && name->size == SIZE_INNER) {
        reader->found_as[SIZE_INNER] = NULL; /* as in most files: 4 n_embd */
        return GPT2_OK;
    }
    if (event.type == GPT2I_JSON_NULL && strcmp(name->key, "n_ctx") == 0)
        return GPT2_OK; /* Hugging Face no longer looks at it */
    if (gpt2i_json_u64(&reader->json, &event, INT64_MAX, &value, NULL) != GPT2_OK)
        return config_wanted(reader, GPT2_ERR_FORMAT, name->key, &event, "an integer");
    before = reader->found_as[name->size];
    if (before == NULL || name->rank >= before->rank) {
        reader->found_as[name->size] = name;
        reader->found[name->size] = value;
    }
    return GPT2_OK;
}

static int32_t read_bool(struct config_reader *reader, const char *key, bool *value)
{
    struct gpt2i_json_event event;
    int32_t status = config_next(reader, &event);

    if (status != GPT2_OK)
        return status;
    if (event.type != GPT2I_JSON_TRUE && event.type != GPT2I_JSON_FALSE)
        return config_wanted(reader, GPT2_ERR_FORMAT, key, &event, "true or false");
    *value = event.type == GPT2I_JSON_TRUE;
    return GPT2_OK;
}

static int32_t read_activation(struct config_reader *reader, const char *key)
{
    struct gpt2i_json_event event;
    int32_t status = config_next(reader, &event);

    if (status != GPT2_OK)
        return status;
    if (event.type != GPT2I_JSON_STRING)
        return config_wanted(reader, GPT2_ERR_FORMAT, key, &event, "a string");
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++) {
        if (gpt2i_json_equal(&event, activations[i].name)) {
            reader->config->activation_function = activations[i].id;
            reader->has_activation = true;
            return GPT2_OK;
        }
    }
    return config_wanted(reader, GPT2_ERR_UNSUPPORTED, key, &event,
                         "gelu_new, gelu, gelu_fast, gelu_pytorch_tanh, gelu_accurate, "
                         "gelu_python, quick_gelu, relu, silu, swish, tanh or mish");
}

static int32_t read_epsilon(struct config_reader *reader, const char *key)
{
    struct gpt2i_json_event event;
    double value = 0;
    uint64_t host_state;
    bool in_range;
    int32_t status = config_next(reader, &event);

    if (status != GPT2_OK)
        return status;
    /* the only arithmetic of a load that rounds; the host's callbacks run in the host's own state */
    host_state = gpt2i_fpstate_enter();
    in_range = event.type == GPT2I_JSON_NUMBER &&
               gpt2i_json_double(&reader->json, &event, &value, NULL) == GPT2_OK &&
               (float)value >= FLT_MIN && (float)value <= FLT_MAX;
    if (in_range)
        reader->config->layer_norm_epsilon = (float)value;
    gpt2i_fpstate_leave(host_state);
    if (!in_range)
        return config_wanted(reader, GPT2_ERR_FORMAT, key, &event,
                             "a positive number in the range of float");
    return GPT2_OK;
}

/* An id, null, or a list of ids, whose first is taken; -1 for none. */
static int32_t read_eos(struct config_reader *reader, const char *key)
{
    struct gpt2i_json_event event;
    uint64_t value = 0;
    bool list;
    int32_t status = config_next(reader, &event);

    reader->eos_token_id = -1;
    list = event.type == GPT2I_JSON_ARRAY_BEGIN;
    if (status == GPT2_OK && list)
        status = config_next(reader, &event);
    if (status != GPT2_OK || event.type == (list ? GPT2I_JSON_ARRAY_END : GPT2I_JSON_NULL))
        return status;
    if (gpt2i_json_u64(&reader->json, &event, INT64_MAX, &value, NULL) == GPT2_OK)
        reader->eos_token_id = (int64_t)value;
    else if (event.type != GPT2I_JSON_NUMBER || event.text[0] != '-') /* some write -1 for none */
        return config_wanted(reader, GPT2_ERR_FORMAT, key, &event, "an id, a list of ids or null");
    while (list && status == GPT2_OK && event.type != GPT2I_JSON_ARRAY_END) {
        status = config_next(reader, &event);
        if (status == GPT2_OK && event.type != GPT2I_JSON_NUMBER &&
            event.type != GPT2I_JSON_ARRAY_END)
            return config_wanted(reader, GPT2_ERR_FORMAT, key, &event, "a list of ids");
    }
    return status;
}

static int32_t read_model_type(struct config_reader *reader, const char *key)
{
    struct gpt2i_json_event event;
    int32_t status = config_next(reader, &event);

    if (status != GPT2_OK)
        return status;
    reader->config->is_bigcode =
        event.type == GPT2I_JSON_STRING && gpt2i_json_equal(&event, "gpt_bigcode");
    if (event.type == GPT2I_JSON_NULL || gpt2i_json_equal(&event, "gpt2") ||
        reader->config->is_bigcode)
        return GPT2_OK;
    return config_wanted(reader,
                         event.type == GPT2I_JSON_STRING ? GPT2_ERR_UNSUPPORTED : GPT2_ERR_FORMAT,
                         key, &event, "\"gpt2\" or \"gpt_bigcode\"");
}

static int32_t read_multi_query(struct config_reader *reader, const char *key)
{
    reader->has_multi_query = true;
    return read_bool(reader, key, &reader->multi_query);
}

static int32_t read_cross_attention(struct config_reader *reader, const char *key)
{
    bool value = false;
    int32_t status = read_bool(reader, key, &value);

    if (status == GPT2_OK && value)
        return gpt2i_fail(reader->error, GPT2_ERR_UNSUPPORTED, "%s: %s: found true, wanted false",
                          reader->json.path, key);
    return status;
}

static int32_t read_quantization(struct config_reader *reader, const char *key)
{
    struct gpt2i_json_event event;
    int32_t status = config_next(reader, &event);

    if (status != GPT2_OK || event.type == GPT2I_JSON_NULL)
        return status;
    return config_wanted(reader, GPT2_ERR_UNSUPPORTED, key, &event,
                         "none: weights in F32, F16 or BF16");
}

/* Heads that were cut out, by layer: {} or null in every file that still has all its heads. */
static int32_t read_pruned_heads(struct config_reader *reader, const char *key)
{
    struct gpt2i_json_event event;
    int32_t status = config_next(reader, &event);

    if (status != GPT2_OK || event.type == GPT2I_JSON_NULL)
        return status;
    if (event.type != GPT2I_JSON_OBJECT_BEGIN)
        return config_wanted(reader, GPT2_ERR_FORMAT, key, &event, "an object");
    status = config_next(reader, &event);
    if (status == GPT2_OK && event.type != GPT2I_JSON_OBJECT_END)
        return config_wanted(reader, GPT2_ERR_UNSUPPORTED, key, &event, "an empty object");
    return status;
}

/* The value of one key of the outermost object. */
static int32_t read_config_key(struct config_reader *reader, const struct gpt2i_json_event *key)
{
    struct gpt2i_config *config = reader->config;

    for (size_t i = 0; i < sizeof size_names / sizeof size_names[0]; i++) {
        if (gpt2i_json_equal(key, size_names[i].key))
            return read_size(reader, &size_names[i]);
    }
    if (gpt2i_json_equal(key, "model_type"))
        return read_model_type(reader, "model_type");
    if (gpt2i_json_equal(key, "activation_function"))
        return read_activation(reader, "activation_function");
    if (gpt2i_json_equal(key, "layer_norm_epsilon"))
        return read_epsilon(reader, "layer_norm_epsilon");
    if (gpt2i_json_equal(key, "eos_token_id"))
        return read_eos(reader, "eos_token_id");
    if (gpt2i_json_equal(key, "scale_attn_weights"))
        return read_bool(reader, "scale_attn_weights", &config->scale_attn_weights);
    if (gpt2i_json_equal(key, "scale_attn_by_inverse_layer_idx"))
        return read_bool(reader, "scale_attn_by_inverse_layer_idx",
                         &config->scale_attn_by_inverse_layer_idx);
    if (gpt2i_json_equal(key, "multi_query"))
        return read_multi_query(reader, "multi_query");
    if (gpt2i_json_equal(key, "tie_word_embeddings"))
        return read_bool(reader, "tie_word_embeddings", &config->tie_word_embeddings);
    if (gpt2i_json_equal(key, "add_cross_attention"))
        return read_cross_attention(reader, "add_cross_attention");
    if (gpt2i_json_equal(key, "quantization_config"))
        return read_quantization(reader, "quantization_config");
    if (gpt2i_json_equal(key, "pruned_heads"))
        return read_pruned_heads(reader, "pruned_heads");
    return gpt2i_json_skip(&reader->json, reader->error);
}

/* Applies defaults, checks limits. */
static int32_t settle_sizes(struct config_reader *reader)
{
    struct gpt2i_config *config = reader->config;
    int32_t *const to[N_SIZES] = {&config->n_vocab, &config->n_positions, &config->n_embd,
                                  &config->n_layer, &config->n_head,      &config->n_inner};

    for (int i = 0; i < N_SIZES; i++) {
        const struct size_name *name = reader->found_as[i];
        uint64_t value = name != NULL ? reader->found[i] : (uint64_t)size_limits[i].if_absent;

        if (i == SIZE_INNER && name == NULL)
            value = 4 * (uint64_t)config->n_embd;
        if (value < 1 || value > (uint64_t)size_limits[i].max)
            return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                              "%s: %s: found %" PRIu64 ", wanted 1 to %" PRId32
                              ", a limit of libgpt2",
                              reader->json.path, name != NULL ? name->key : size_limits[i].key,
                              value, size_limits[i].max);
        *to[i] = (int32_t)value;
    }
    if (config->n_embd % config->n_head != 0)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: n_head: found %" PRId32 ", wanted a divisor of n_embd, %" PRId32,
                          reader->json.path, config->n_head, config->n_embd);
    config->eos_token_id =
        reader->eos_token_id < config->n_vocab ? (int32_t)reader->eos_token_id : -1;
    return GPT2_OK;
}

/* What differs between the classes GPT2Config and GPTBigCodeConfig. */
static void settle_class(const struct config_reader *reader)
{
    struct gpt2i_config *config = reader->config;
    bool multi_query = reader->has_multi_query ? reader->multi_query : config->is_bigcode;

    config->n_kv_head = multi_query ? 1 : config->n_head;
    if (!config->is_bigcode)
        return;
    if (!reader->has_activation)
        config->activation_function = GPT2_ACT_GELU_PYTORCH_TANH;
    config->scale_attn_by_inverse_layer_idx = false; /* GPTBigCode does not know it */
}

int32_t gpt2i_config_parse(struct gpt2i_config *config, const char *text, size_t n_bytes,
                           const char *path, struct gpt2i_error *error)
{
    struct config_reader reader = {.error = error, .eos_token_id = -1, .config = config};
    struct gpt2i_json_event event;
    int32_t status;

    memset(config, 0, sizeof *config);
    config->activation_function = GPT2_ACT_GELU_NEW;
    config->layer_norm_epsilon = 1e-5f;
    config->scale_attn_weights = true;
    config->tie_word_embeddings = true;
    gpt2i_json_begin(&reader.json, text, n_bytes, path);
    status = config_next(&reader, &event);
    if (status == GPT2_OK && event.type != GPT2I_JSON_OBJECT_BEGIN)
        status = config_wanted(&reader, GPT2_ERR_FORMAT, "the file", &event, "an object");
    while (status == GPT2_OK) {
        status = config_next(&reader, &event);
        if (status != GPT2_OK || event.type == GPT2I_JSON_OBJECT_END)
            break;
        status = read_config_key(&reader, &event);
    }
    if (status == GPT2_OK)
        status = config_next(&reader, &event); /* the end of the text */
    if (status == GPT2_OK)
        status = settle_sizes(&reader);
    if (status == GPT2_OK)
        settle_class(&reader);
    else
        memset(config, 0, sizeof *config);
    return status;
}

int32_t gpt2i_config_read(struct gpt2i_config *config, const struct gpt2i_files *files,
                          struct gpt2i_error *error)
{
    struct gpt2i_text file;
    int32_t status = gpt2i_text_read(&file, files, GPT2I_CONFIG_NAME, CONFIG_MAX_BYTES, error);

    memset(config, 0, sizeof *config);
    if (status == GPT2_OK)
        status = gpt2i_config_parse(config, file.text, file.n_bytes, file.source->path, error);
    gpt2i_text_free(&file);
    return status;
}

const char *gpt2i_activation_name(int32_t activation_function)
{
    size_t i = 0;

    while (activations[i].id != activation_function)
        i++;
    return activations[i].name;
}
