/*
 * model.c: the structs of a model.
 */
#include "model.h"
#include "../base/arena.h"
#include "../text/vocabulary.h"

static gpt2_model *model_layout(struct gpt2i_arena *arena, const struct gpt2i_config *config)
{
    gpt2_model *model = gpt2i_arena_take(arena, 1, sizeof *model);
    struct gpt2i_block *h =
        gpt2i_arena_take(arena, (uint64_t)config->n_layer, sizeof(struct gpt2i_block));

    if (model == NULL)
        return NULL;
    model->config = *config;
    model->h = h;
    return model;
}

static struct gpt2i_matrix matrix_of(size_t n_in, size_t n_out)
{
    struct gpt2i_matrix matrix = {.n_in = n_in, .n_out = n_out};

    return matrix;
}

static void set_sizes(gpt2_model *model)
{
    const struct gpt2i_config *config = &model->config;
    size_t n_embd = (size_t)config->n_embd;
    size_t n_inner = (size_t)config->n_inner;

    model->wte = matrix_of(n_embd, (size_t)config->n_vocab);
    for (int32_t i = 0; i < config->n_layer; i++) {
        struct gpt2i_block *block = &model->h[i];

        block->c_attn.weight = matrix_of(n_embd, gpt2i_config_n_qkv(config));
        block->attn_c_proj.weight = matrix_of(n_embd, n_embd);
        block->c_fc.weight = matrix_of(n_embd, n_inner);
        block->mlp_c_proj.weight = matrix_of(n_inner, n_embd);
    }
    model->lm_head.weight = matrix_of(n_embd, (size_t)config->n_vocab);
}

int32_t gpt2i_model_new(gpt2_model **out, const struct gpt2i_config *config,
                        struct gpt2i_error *error)
{
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);
    struct gpt2i_arena place;

    *out = NULL;
    (void)model_layout(&measure, config);
    place = gpt2i_arena_over(gpt2i_block_new(measure.used_bytes));
    if (place.base == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "no memory for a model of %d layers",
                          config->n_layer);
    *out = model_layout(&place, config);
    (*out)->struct_bytes = measure.used_bytes;
    set_sizes(*out);
    return GPT2_OK;
}

void gpt2i_model_free(gpt2_model *model)
{
    if (model == NULL)
        return;
    gpt2i_tokenizer_free(model->tokenizer);
    gpt2i_block_free(model->shortlist.block, model->shortlist.block_bytes);
    gpt2i_block_free(model->weights, model->weights_bytes);
    gpt2i_image_free(&model->image);
    gpt2i_block_free(model, model->struct_bytes);
}
