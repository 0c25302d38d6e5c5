/*
 * gguf_file.c: writing GGUF files.
 */
#include "gguf_file.h"
#include "kernels/half.h"

struct gguf_file gguf_begin(void)
{
    struct gguf_file file = {.version = 3, .alignment = 32};

    return file;
}

void gguf_free(struct gguf_file *file)
{
    free(file->keys.at);
    free(file->tensors.at);
    free(file->data.at);
    free(file->all.at);
    memset(file, 0, sizeof *file);
}

void gguf_put(struct gguf_bytes *to, const void *bytes, size_t n)
{
    if (to->n + n > to->capacity) {
        to->capacity = 2 * (to->n + n);
        to->at = realloc(to->at, to->capacity);
        assert_non_null(to->at);
    }
    if (n > 0)
        memcpy(to->at + to->n, bytes, n);
    to->n += n;
}

void gguf_put_number(struct gguf_bytes *to, uint64_t number, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++) {
        unsigned char byte = (unsigned char)(number >> 8 * i);

        gguf_put(to, &byte, 1);
    }
}

void gguf_put_text(struct gguf_bytes *to, const char *text)
{
    gguf_put_number(to, strlen(text), 8);
    gguf_put(to, text, strlen(text));
}

/* --------------------------------------------------------------------------------------- keys -- */

void gguf_add_key(struct gguf_file *file, const char *key, uint32_t type)
{
    gguf_put_text(&file->keys, key);
    gguf_put_number(&file->keys, type, 4);
    file->n_keys++;
}

void gguf_add_u32(struct gguf_file *file, const char *key, uint32_t value)
{
    gguf_add_key(file, key, GGUF_U32);
    gguf_put_number(&file->keys, value, 4);
}

void gguf_add_f32(struct gguf_file *file, const char *key, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    gguf_add_key(file, key, GGUF_F32);
    gguf_put_number(&file->keys, bits, 4);
}

void gguf_add_text(struct gguf_file *file, const char *key, const char *value)
{
    gguf_add_key(file, key, GGUF_STRING);
    gguf_put_text(&file->keys, value);
}

/* ------------------------------------------------------------------------------------ tensors -- */

static void align(struct gguf_bytes *to, uint64_t alignment)
{
    while (to->n % alignment != 0)
        gguf_put(to, "", 1);
}

void gguf_add_tensor(struct gguf_file *file, const char *name, uint32_t type, const uint64_t *dims,
                     uint32_t n_dims, const void *bytes, size_t n_bytes)
{
    align(&file->data, file->alignment);
    gguf_put_text(&file->tensors, name);
    gguf_put_number(&file->tensors, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++)
        gguf_put_number(&file->tensors, dims[i], 8);
    gguf_put_number(&file->tensors, type, 4);
    gguf_put_number(&file->tensors, file->data.n, 8);
    gguf_put(&file->data, bytes, n_bytes);
    file->n_tensors++;
}

void gguf_end(struct gguf_file *file)
{
    file->all.n = 0;
    gguf_put(&file->all, "GGUF", 4);
    gguf_put_number(&file->all, file->version, 4);
    gguf_put_number(&file->all, file->n_tensors, 8);
    gguf_put_number(&file->all, file->n_keys, 8);
    gguf_put(&file->all, file->keys.at, file->keys.n);
    gguf_put(&file->all, file->tensors.at, file->tensors.n);
    align(&file->all, file->alignment);
    gguf_put(&file->all, file->data.at, file->data.n);
}

/* ------------------------------------------------------------------------------------- models -- */

static const struct block_type {
    uint32_t type, n, n_bytes;
    uint32_t scales[2]; /* the bytes where F16 begin */
    uint32_t n_scales;
} block_types[] = {
    {GGML_Q4_0, 32, 18, {0}, 1},      {GGML_Q4_1, 32, 20, {0, 2}, 2},
    {GGML_Q5_0, 32, 22, {0}, 1},      {GGML_Q5_1, 32, 24, {0, 2}, 2},
    {GGML_Q8_0, 32, 34, {0}, 1},      {GGML_IQ4_NL, 32, 18, {0}, 1},
    {GGML_Q4_K, 256, 144, {0, 2}, 2}, {GGML_Q5_K, 256, 176, {0, 2}, 2},
    {GGML_Q6_K, 256, 210, {208}, 1},
};

static const struct block_type *find_block_type(uint32_t type)
{
    for (size_t i = 0; i < COUNT(block_types); i++) {
        if (block_types[i].type == type)
            return &block_types[i];
    }
    return NULL;
}

size_t gguf_type_bytes(uint32_t type, size_t n)
{
    const struct block_type *block = find_block_type(type);

    if (block != NULL) {
        assert_true(n % block->n == 0);
        return n / block->n * block->n_bytes;
    }
    return n * (type == GGML_F64 ? 8 : type == GGML_F32 ? 4 : 2);
}

/* xorshift64 */
static unsigned char random_byte(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (unsigned char)(*state >> 32);
}

static void put_blocks(struct gguf_bytes *to, const struct block_type *type, size_t n,
                       uint64_t *state)
{
    for (size_t i = 0; i < n; i += type->n) {
        unsigned char block[256];

        for (size_t j = 0; j < type->n_bytes; j++)
            block[j] = random_byte(state);
        for (size_t j = 0; j < type->n_scales; j++)
            block[type->scales[j] + 1] = (unsigned char)(block[type->scales[j] + 1] & 0x9f);
        gguf_put(to, block, type->n_bytes);
    }
}

static void put_floats(struct gguf_bytes *to, const float *values, size_t n, uint32_t type)
{
    for (size_t i = 0; i < n; i++) {
        if (type == GGML_F32)
            gguf_put_number(to, gpt2i_bits_of_float(values[i]), 4);
        else
            gguf_put_number(to,
                            type == GGML_F16 ? gpt2i_half_of_float(values[i])
                                             : gpt2i_bf16_of_float(values[i]),
                            2);
    }
}

/* The model's tensor 'ours' as 'theirs'; 'turned': it becomes [n_out, n_in]. */
static void add_weight(struct gguf_file *file, const gpt2_model *model, const char *ours,
                       const char *theirs, bool turned, uint32_t type)
{
    struct gguf_bytes bytes = {0};
    const struct block_type *block = find_block_type(type);
    uint64_t state = 0x9e3779b97f4a7c15 + file->n_tensors, dims[2];
    int64_t shape[2];
    float *values, *rows;
    char line[256] = "";
    size_t n;

    if (gpt2_model_tensor(model, ours, shape, NULL, 0, line, sizeof line) != GPT2_OK)
        fail_msg("%s", line);
    n = (size_t)(shape[0] * shape[1]);
    values = malloc(n * sizeof *values);
    rows = malloc(n * sizeof *rows);
    assert_true(values != NULL && rows != NULL);
    assert_int_equal(gpt2_model_tensor(model, ours, shape, values, n, NULL, 0), GPT2_OK);
    for (size_t i = 0; i < n; i++) {
        size_t n_columns = (size_t)shape[1];

        rows[turned ? i % n_columns * (size_t)shape[0] + i / n_columns : i] = values[i];
    }
    dims[0] = (uint64_t)(shape[1] == 1 || turned ? shape[0] : shape[1]);
    dims[1] = (uint64_t)(turned ? shape[1] : shape[0]);
    if (block != NULL)
        put_blocks(&bytes, block, n, &state);
    else
        put_floats(&bytes, rows, n, type);
    gguf_add_tensor(file, theirs, type, dims, shape[1] == 1 ? 1 : 2, bytes.at, bytes.n);
    free(bytes.at);
    free(values);
    free(rows);
}

/* 'turned': matrices are to become [n_out, n_in]. */
static void add_block(struct gguf_file *file, const gpt2_model *model, int32_t layer, bool turned,
                      uint32_t type)
{
    static const struct {
        const char *ours, *theirs;
        bool is_matrix;
    } weights[] = {
        {"ln_1.weight", "attn_norm.weight", false},
        {"ln_1.bias", "attn_norm.bias", false},
        {"attn.c_attn.weight", "attn_qkv.weight", true},
        {"attn.c_attn.bias", "attn_qkv.bias", false},
        {"attn.c_proj.weight", "attn_output.weight", true},
        {"attn.c_proj.bias", "attn_output.bias", false},
        {"ln_2.weight", "ffn_norm.weight", false},
        {"ln_2.bias", "ffn_norm.bias", false},
        {"mlp.c_fc.weight", "ffn_up.weight", true},
        {"mlp.c_fc.bias", "ffn_up.bias", false},
        {"mlp.c_proj.weight", "ffn_down.weight", true},
        {"mlp.c_proj.bias", "ffn_down.bias", false},
    };

    for (size_t i = 0; i < COUNT(weights); i++) {
        char ours[64], theirs[64];

        (void)snprintf(ours, sizeof ours, "h.%d.%s", (int)layer, weights[i].ours);
        (void)snprintf(theirs, sizeof theirs, "blk.%d.%s", (int)layer, weights[i].theirs);
        add_weight(file, model, ours, theirs, weights[i].is_matrix && turned,
                   weights[i].is_matrix ? type : GGML_F32);
    }
}

/* A key of the architecture. */
static void add_size(struct gguf_file *file, const char *arch, const char *key, int32_t value)
{
    char full[64];

    (void)snprintf(full, sizeof full, "%s.%s", arch, key);
    gguf_add_u32(file, full, (uint32_t)value);
}

void gguf_add_model(struct gguf_file *file, const gpt2_model *model, uint32_t type)
{
    gpt2_model_info info;
    bool is_shared;
    const char *arch;
    char epsilon[64];

    assert_int_equal(gpt2_model_info_init(&info, sizeof info), GPT2_OK);
    assert_int_equal(gpt2_model_get_info(model, &info), GPT2_OK);
    is_shared = info.n_kv_head != info.n_head;
    arch = is_shared ? "starcoder" : "gpt2";
    gguf_add_text(file, "general.architecture", arch);
    gguf_add_text(file, "general.name", "tiny");
    add_size(file, arch, "block_count", info.n_layer);
    add_size(file, arch, "context_length", info.n_positions);
    add_size(file, arch, "embedding_length", info.n_embd);
    add_size(file, arch, "feed_forward_length", info.n_inner);
    add_size(file, arch, "attention.head_count", info.n_head);
    if (is_shared)
        add_size(file, arch, "attention.head_count_kv", info.n_kv_head);
    (void)snprintf(epsilon, sizeof epsilon, "%s.attention.layer_norm_epsilon", arch);
    gguf_add_f32(file, epsilon, info.layer_norm_epsilon);
    if (info.eot_token >= 0)
        gguf_add_u32(file, "tokenizer.ggml.eos_token_id", (uint32_t)info.eot_token);
    add_weight(file, model, "wte.weight", "token_embd.weight", false, type);
    add_weight(file, model, "wpe.weight", "position_embd.weight", false, GGML_F32);
    for (int32_t layer = 0; layer < info.n_layer; layer++)
        add_block(file, model, layer, !is_shared, type);
    add_weight(file, model, "ln_f.weight", "output_norm.weight", false, GGML_F32);
    add_weight(file, model, "ln_f.bias", "output_norm.bias", false, GGML_F32);
    if (info.tied_head == 0)
        add_weight(file, model, "lm_head.weight", "output.weight", false, type);
}

int32_t gguf_load(const struct gguf_file *file, int32_t weight_type, gpt2_model **model, char *line,
                  size_t line_bytes)
{
    unsigned char *copy = malloc(file->all.n + (file->all.n == 0)); /* a sanitizer sees its end */
    gpt2_source source = {"model.gguf", copy, file->all.n, NULL, NULL};
    gpt2_model_params params;
    int32_t status;

    assert_non_null(copy);
    if (file->all.n > 0)
        memcpy(copy, file->all.at, file->all.n);
    assert_int_equal(gpt2_model_params_init(&params, sizeof params), GPT2_OK);
    params.weight_type = weight_type;
    params.errbuf = line;
    params.errbuf_size = line_bytes;
    status = gpt2_model_load_sources(&source, 1, &params, model);
    if (status != GPT2_OK)
        assert_true(line[0] != '\0' && *model == NULL);
    free(copy);
    return status;
}
