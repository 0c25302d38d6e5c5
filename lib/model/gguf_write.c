/*
 * gguf_write.c: writing model.gguf, which llama.cpp reads.
 *
 * Matrices have the type that they have in memory, where ggml has it; the rest is F32.
 */
#include "weight_put.h"
#include "writers.h"
#include "../formats/gguf.h"
#include "../kernels/widen.h"
#include "../text/pretokenize.h"
#include "../text/tokenizer_write.h"

#include <inttypes.h>
#include <stdio.h>

#define ALIGNMENT 32 /* of the bytes of tensors */
#define VERSION   3

struct gguf_writer {
    const gpt2_model *model;
    const struct gpt2i_weight_list *list;
    struct gpt2i_sink *sink;
    struct gpt2i_token_lists lists; /* of the tokenizer, if there is one */
    uint64_t n_keys;                /* put so far */
};

/* -------------------------------------------------------------------------------------- types -- */

/* The file's type of a weight, GPT2_TYPE_*. */
static int32_t gguf_type_of(const struct gpt2i_weight *weight)
{
    const struct gpt2i_matrix *matrix = weight->matrix;

    if (matrix == NULL)
        return GPT2_TYPE_F32;
    if (!gpt2i_matrix_is_quantised(matrix))
        return matrix->type;
    if (matrix->n_in % GPT2I_Q_BLOCK != 0)
        return GPT2_TYPE_F32;
    if (matrix->type == GPT2_TYPE_Q8 ||
        memcmp(matrix->table, gpt2i_iq4_nl_table, sizeof matrix->table) == 0)
        return matrix->type;
    return memcmp(matrix->table, gpt2i_q4_0_table, sizeof matrix->table) == 0 ? GPT2_TYPE_Q4_0
                                                                              : GPT2_TYPE_F32;
}

static uint64_t written_bytes(const struct gpt2i_weight *weight)
{
    return gpt2i_type_size(gguf_type_of(weight), weight->n_rows * weight->n_columns);
}

static uint64_t padding_of(uint64_t n_bytes)
{
    return (ALIGNMENT - n_bytes % ALIGNMENT) % ALIGNMENT;
}

/* ----------------------------------------------------------------------------------- metadata -- */

/* starcoder has one head of keys and values, gpt2 as many as of queries. */
static const char *arch_of(const struct gpt2i_config *config)
{
    return config->n_kv_head < config->n_head ? "starcoder" : "gpt2";
}

static void put_string(struct gpt2i_sink *sink, const char *text)
{
    gpt2i_sink_number(sink, strlen(text), 8);
    gpt2i_sink_bytes(sink, text, strlen(text));
}

static void put_key(struct gguf_writer *writer, const char *key, enum gpt2i_gguf_type type)
{
    put_string(writer->sink, key);
    gpt2i_sink_number(writer->sink, type, 4);
    writer->n_keys++;
}

static void put_text(struct gguf_writer *writer, const char *key, const char *text)
{
    put_key(writer, key, GPT2I_GGUF_STRING);
    put_string(writer->sink, text);
}

/* A number under a key of the architecture. */
static void put_size(struct gguf_writer *writer, const char *key, int32_t number)
{
    char full[64];

    (void)snprintf(full, sizeof full, "%s.%s", arch_of(&writer->model->config), key);
    put_key(writer, full, GPT2I_GGUF_U32);
    gpt2i_sink_number(writer->sink, (uint32_t)number, 4);
}

/* ---------------------------------------------------------------------------------- tokenizer -- */

/* llama.cpp's name of the rules that cut text into pieces; NULL if it has none. */
static const char *pre_of(uint32_t rules)
{
    if (rules == GPT2I_CUT_PATTERN)
        return "gpt-2";
    return rules == (GPT2I_CUT_PATTERN | GPT2I_CUT_DIGITS | GPT2I_CUT_EACH_DIGIT |
                     GPT2I_CUT_DIGITS_FIRST)
               ? "starcoder"
               : NULL;
}

static int32_t token_type(const struct gpt2i_token_lists *lists, int32_t id)
{
    const gpt2_tokenizer *tokenizer = lists->tokenizer;
    const struct gpt2i_added_token *added;

    if (id >= tokenizer->n_vocab || tokenizer->offsets[id] == tokenizer->offsets[id + 1])
        return GPT2I_GGUF_UNUSED;
    added = gpt2i_added_of(lists, id);
    if (added == NULL)
        return GPT2I_GGUF_NORMAL;
    return (added->flags & GPT2I_ADDED_SPECIAL) != 0 ? GPT2I_GGUF_CONTROL : GPT2I_GGUF_USER_DEFINED;
}

/* Two tokens with a space between, or one where 'right' is -1. */
static void put_tokens(struct gpt2i_sink *sink, const struct gpt2i_token_lists *lists, int32_t left,
                       int32_t right)
{
    struct gpt2i_sink measure = {.write = NULL};
    struct gpt2i_sink *const sinks[] = {&measure, sink};

    for (int i = 0; i < 2; i++) {
        if (i == 1)
            gpt2i_sink_number(sink, measure.n_bytes, 8);
        if (token_type(lists, left) == GPT2I_GGUF_UNUSED)
            gpt2i_sink_text(sinks[i], "[PAD%" PRId32 "]", left);
        else
            gpt2i_token_put(sinks[i], lists, left, false);
        if (right < 0)
            continue;
        gpt2i_sink_text(sinks[i], " ");
        gpt2i_token_put(sinks[i], lists, right, false);
    }
}

static void put_array(struct gguf_writer *writer, const char *key, enum gpt2i_gguf_type type,
                      size_t n)
{
    put_key(writer, key, GPT2I_GGUF_ARRAY);
    gpt2i_sink_number(writer->sink, type, 4);
    gpt2i_sink_number(writer->sink, n, 8);
}

static void put_id(struct gguf_writer *writer, const char *key, int32_t id)
{
    if (id < 0)
        return;
    put_key(writer, key, GPT2I_GGUF_U32);
    gpt2i_sink_number(writer->sink, (uint32_t)id, 4);
}

static void put_tokenizer(struct gguf_writer *writer)
{
    const struct gpt2i_token_lists *lists = &writer->lists;
    const int32_t n_vocab = writer->model->config.n_vocab;
    const int32_t mask = (1 << GPT2I_ID_BITS) - 1;

    put_text(writer, "tokenizer.ggml.model", "gpt2");
    put_text(writer, "tokenizer.ggml.pre", pre_of(lists->tokenizer->cut_rules));
    put_array(writer, "tokenizer.ggml.tokens", GPT2I_GGUF_STRING, (size_t)n_vocab);
    for (int32_t id = 0; id < n_vocab; id++)
        put_tokens(writer->sink, lists, id, -1);
    put_array(writer, "tokenizer.ggml.token_type", GPT2I_GGUF_I32, (size_t)n_vocab);
    for (int32_t id = 0; id < n_vocab; id++)
        gpt2i_sink_number(writer->sink, (uint32_t)token_type(lists, id), 4);
    put_array(writer, "tokenizer.ggml.merges", GPT2I_GGUF_STRING, lists->n_merges);
    for (size_t i = 0; i < lists->n_merges; i++)
        put_tokens(writer->sink, lists, (int32_t)(lists->pairs[i] >> GPT2I_ID_BITS),
                   (int32_t)lists->pairs[i] & mask);
    put_id(writer, "tokenizer.ggml.bos_token_id", lists->tokenizer->bos);
    put_id(writer, "tokenizer.ggml.eos_token_id", writer->model->eot_token);
}

static int32_t check_tokenizer(const gpt2_model *model, struct gpt2i_error *error)
{
    const gpt2_tokenizer *tokenizer = model->tokenizer;

    if (tokenizer == NULL)
        return GPT2_OK;
    if (tokenizer->n_vocab > model->config.n_vocab)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "a GGUF file cannot have a tokenizer of %" PRId32
                          " tokens beside a model of %" PRId32,
                          tokenizer->n_vocab, model->config.n_vocab);
    if (pre_of(tokenizer->cut_rules) == NULL)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "a GGUF file cannot say how the tokenizer cuts text: llama.cpp knows "
                          "GPT-2's pattern, and StarCoder's, where digits stand alone");
    for (size_t i = 0; i < tokenizer->n_added; i++) {
        uint32_t flags = tokenizer->added_tokens[i].flags;

        if ((flags & (GPT2I_ADDED_LSTRIP | GPT2I_ADDED_RSTRIP | GPT2I_ADDED_SINGLE_WORD)) != 0)
            return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                              "a GGUF file cannot say lstrip, rstrip and single_word of the added "
                              "token %" PRId32,
                              tokenizer->added_tokens[i].id);
    }
    return GPT2_OK;
}

static void put_metadata(struct gguf_writer *writer)
{
    const struct gpt2i_config *config = &writer->model->config;
    char key[64];
    uint32_t epsilon;

    memcpy(&epsilon, &config->layer_norm_epsilon, sizeof epsilon);
    put_text(writer, "general.architecture", arch_of(config));
    put_key(writer, "general.alignment", GPT2I_GGUF_U32);
    gpt2i_sink_number(writer->sink, ALIGNMENT, 4);
    put_size(writer, "vocab_size", config->n_vocab);
    put_size(writer, "context_length", config->n_positions);
    put_size(writer, "embedding_length", config->n_embd);
    put_size(writer, "feed_forward_length", config->n_inner);
    put_size(writer, "block_count", config->n_layer);
    put_size(writer, "attention.head_count", config->n_head);
    put_size(writer, "attention.head_count_kv", config->n_kv_head);
    (void)snprintf(key, sizeof key, "%s.attention.layer_norm_epsilon", arch_of(config));
    put_key(writer, key, GPT2I_GGUF_F32);
    gpt2i_sink_number(writer->sink, epsilon, 4);
    if (writer->model->tokenizer != NULL)
        put_tokenizer(writer);
    else
        put_text(writer, "tokenizer.ggml.model", "none");
}

/* ------------------------------------------------------------------------------------ tensors -- */

/* The directory's entry of a tensor; dimensions are innermost first. */
static void put_tensor_entry(struct gguf_writer *writer, const struct gpt2i_weight *weight,
                             uint64_t offset)
{
    bool is_vector = weight->kind == GPT2I_WEIGHT_VECTOR;
    char name[GPT2I_GGUF_NAME_BYTES];
    uint64_t n_inner = weight->matrix != NULL ? weight->matrix->n_in : weight->n_columns;
    uint64_t n_outer = weight->matrix != NULL ? weight->matrix->n_out : weight->n_rows;

    gpt2i_gguf_name(weight->name, name);
    put_string(writer->sink, name);
    gpt2i_sink_number(writer->sink, is_vector ? 1 : 2, 4);
    gpt2i_sink_number(writer->sink, n_inner, 8);
    if (!is_vector)
        gpt2i_sink_number(writer->sink, n_outer, 8);
    gpt2i_sink_number(writer->sink, gpt2i_gguf_type_number(gguf_type_of(weight)), 4);
    gpt2i_sink_number(writer->sink, offset, 8);
}

static int32_t put_tensors(struct gguf_writer *writer, struct gpt2i_error *error)
{
    const struct gpt2i_weight_list *list = writer->list;
    int32_t status = GPT2_OK;
    uint64_t at = 0;

    for (size_t i = 0; i < list->n_weights; i++) {
        put_tensor_entry(writer, &list->weights[i], at);
        at += written_bytes(&list->weights[i]);
        at += padding_of(at);
    }
    gpt2i_sink_bytes(writer->sink, NULL, padding_of(writer->sink->n_bytes));
    for (size_t i = 0; i < list->n_weights && status == GPT2_OK && !writer->sink->refused; i++) {
        const struct gpt2i_weight *weight = &list->weights[i];
        int32_t type = gguf_type_of(weight);

        status = weight->matrix == NULL
                     ? gpt2i_weight_put(writer->sink, weight, type, error)
                     : gpt2i_matrix_put(writer->sink, weight->matrix, type, error);
        gpt2i_sink_bytes(writer->sink, NULL, padding_of(written_bytes(weight)));
    }
    return status;
}

/* ----------------------------------------------------------------------------------- the file -- */

/* llama.cpp runs every gpt2 file with gelu_new and the ordinary scale of attention. */
static int32_t check_config(const struct gpt2i_config *config, struct gpt2i_error *error)
{
    if (config->activation_function != GPT2_ACT_GELU_NEW &&
        config->activation_function != GPT2_ACT_GELU_FAST &&
        config->activation_function != GPT2_ACT_GELU_PYTORCH_TANH)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "a GGUF file cannot say that activation_function is %s: llama.cpp runs "
                          "gelu_new",
                          gpt2i_activation_name(config->activation_function));
    if (!config->scale_attn_weights || config->scale_attn_by_inverse_layer_idx)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "a GGUF file cannot say that %s: llama.cpp would leave it out",
                          config->scale_attn_weights ? "scale_attn_by_inverse_layer_idx is true"
                                                     : "scale_attn_weights is false");
    if (config->is_bigcode && config->n_kv_head == config->n_head && config->n_head > 1)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "a GGUF file cannot say that multi_query of a GPTBigCode is false: "
                          "llama.cpp's starcoder has q, k and v side by side");
    return GPT2_OK;
}

static int32_t put_gguf_file(struct gguf_writer *writer, struct gpt2i_sink *sink,
                             struct gpt2i_error *error)
{
    uint64_t n_keys;

    put_metadata(writer); /* counts the keys */
    n_keys = writer->n_keys;
    writer->sink = sink;
    gpt2i_sink_bytes(sink, "GGUF", 4);
    gpt2i_sink_number(sink, VERSION, 4);
    gpt2i_sink_number(sink, writer->list->n_weights, 8);
    gpt2i_sink_number(sink, n_keys, 8);
    put_metadata(writer);
    return put_tensors(writer, error);
}

int32_t gpt2i_gguf_write(const gpt2_model *model, struct gpt2i_weight_list *list,
                         struct gpt2i_sink *sink, struct gpt2i_error *error)
{
    struct gpt2i_sink measure = {.write = NULL};
    struct gguf_writer writer = {.model = model, .list = list, .sink = &measure};
    int32_t status = check_config(&model->config, error);

    if (status == GPT2_OK)
        status = check_tokenizer(model, error);
    if (status == GPT2_OK && model->tokenizer != NULL)
        status = gpt2i_token_lists_new(&writer.lists, model->tokenizer, error);
    if (status != GPT2_OK)
        return status;
    status = put_gguf_file(&writer, sink, error);
    if (model->tokenizer != NULL)
        gpt2i_token_lists_free(&writer.lists);
    return status;
}
