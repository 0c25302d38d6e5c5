/*
 * fingerprint.c: the checksum of a model.
 */
#include "fingerprint.h"
#include "../base/checksum.h"

static uint64_t add_floats(uint64_t sum, const float *x, size_t n)
{
    return gpt2i_checksum(sum, x, x == NULL ? 0 : n * sizeof *x);
}

static uint64_t add_matrix(uint64_t sum, const struct gpt2i_matrix *matrix)
{
    sum = gpt2i_checksum(sum, &matrix->type, sizeof matrix->type);
    if (matrix->type == GPT2_TYPE_Q4)
        sum = gpt2i_checksum(sum, matrix->table, sizeof matrix->table);
    return gpt2i_checksum(sum, matrix->panels, (size_t)gpt2i_matrix_bytes(matrix));
}

static uint64_t sum_linear(uint64_t sum, const struct gpt2i_linear *linear)
{
    sum = add_matrix(sum, &linear->weight);
    return add_floats(sum, linear->bias, linear->weight.n_out);
}

static uint64_t sum_norm(uint64_t sum, const struct gpt2i_norm *norm, size_t n_embd)
{
    sum = add_floats(sum, norm->gain, n_embd);
    return add_floats(sum, norm->bias, n_embd);
}

static uint64_t add_config(uint64_t sum, const struct gpt2i_config *config)
{
    const int32_t numbers[] = {
        config->n_vocab,
        config->n_positions,
        config->n_embd,
        config->n_layer,
        config->n_head,
        config->n_kv_head,
        config->n_inner,
        config->activation_function,
        config->scale_attn_weights,
        config->scale_attn_by_inverse_layer_idx,
        config->tie_word_embeddings,
        config->is_bigcode,
    };

    sum = gpt2i_checksum(sum, numbers, sizeof numbers);
    return add_floats(sum, &config->layer_norm_epsilon, 1);
}

uint64_t gpt2i_fingerprint(const gpt2_model *model)
{
    const struct gpt2i_config *config = &model->config;
    size_t n_embd = (size_t)config->n_embd;
    uint64_t sum = add_config(0, config);

    sum = add_matrix(sum, &model->wte);
    sum = add_floats(sum, model->wpe, (size_t)config->n_positions * n_embd);
    for (int32_t layer = 0; layer < config->n_layer; layer++) {
        const struct gpt2i_block *block = &model->h[layer];

        sum = sum_norm(sum, &block->ln_1, n_embd);
        sum = sum_linear(sum, &block->c_attn);
        sum = sum_linear(sum, &block->attn_c_proj);
        sum = sum_norm(sum, &block->ln_2, n_embd);
        sum = sum_linear(sum, &block->c_fc);
        sum = sum_linear(sum, &block->mlp_c_proj);
    }
    sum = sum_norm(sum, &model->ln_f, n_embd);
    return config->tie_word_embeddings ? sum : sum_linear(sum, &model->lm_head);
}
