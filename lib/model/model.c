/*
 * model.c: loading a model from a Hugging Face directory.
 */
#include "model.h"
#include "../text/bpe.h"
#include "../base/threads.h"
#include "weights.h"

/* The token that ends a text, by config.json or else by the vocabulary. */
static int32_t eot_token(const gpt2_model *model)
{
    int32_t eot = model->config.eos_token_id;

    if (eot < 0 && model->tokenizer != NULL)
        eot = gpt2i_tokenizer_eot(model->tokenizer);
    return eot < model->config.n_vocab ? eot : -1;
}

static int32_t read_weights(gpt2_model **out, const struct gpt2i_config *config,
                            const struct gpt2i_tensors *tensors, int32_t n_threads,
                            struct gpt2i_error *error)
{
    struct gpt2i_weight_map *map;
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);
    struct gpt2i_arena place;
    gpt2_model *model = NULL;
    int32_t status = gpt2i_weight_map_new(&map, config, tensors, error);

    if (status != GPT2_OK)
        return status;
    (void)gpt2i_weights_layout(&measure, map);
    place = gpt2i_arena_over(measure.overflow ? NULL : gpt2i_block_new(measure.used_bytes));
    if (place.base == NULL) {
        status = gpt2i_fail(error, GPT2_ERR_MEMORY, "%s: no memory for %zu bytes of weights",
                            tensors->file.path, measure.used_bytes);
        goto done;
    }
    model = gpt2i_weights_layout(&place, map);
    model->block_bytes = measure.used_bytes;
    status = gpt2i_weights_read(map, n_threads, error);
    if (status != GPT2_OK) {
        gpt2i_model_free(model);
        model = NULL;
    }
done:
    gpt2i_weight_map_free(map);
    *out = model;
    return status;
}

int32_t gpt2i_model_read(gpt2_model **out, const char *directory, int32_t n_threads,
                         struct gpt2i_error *error)
{
    struct gpt2i_config config;
    struct gpt2i_tensors tensors;
    char path[GPT2I_PATH_BYTES];
    gpt2_model *model = NULL;
    int32_t status;

    *out = NULL;
    status = gpt2i_path_join(path, directory, "config.json", error);
    if (status == GPT2_OK)
        status = gpt2i_config_read(&config, path, error);
    if (status == GPT2_OK)
        status = gpt2i_path_join(path, directory, "model.safetensors", error);
    if (status == GPT2_OK)
        status = gpt2i_safetensors_open(&tensors, path, error);
    if (status != GPT2_OK)
        return status;
    status = read_weights(&model, &config, &tensors, n_threads, error);
    gpt2i_tensors_close(&tensors);
    if (status == GPT2_OK && gpt2i_tokenizer_present(directory))
        status = gpt2i_tokenizer_read(directory, &model->tokenizer, error);
    if (status != GPT2_OK) {
        gpt2i_model_free(model);
        return status;
    }
    if (model->tokenizer != NULL)
        gpt2i_tokenizer_extend(model->tokenizer, config.n_vocab);
    model->eot_token = eot_token(model);
    *out = model;
    return GPT2_OK;
}

void gpt2i_model_free(gpt2_model *model)
{
    if (model == NULL)
        return;
    gpt2i_tokenizer_free(model->tokenizer);
    gpt2i_block_free(model, model->block_bytes);
}
