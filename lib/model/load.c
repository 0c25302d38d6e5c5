/*
 * load.c: loading a model from a Hugging Face directory.
 */
#include "load.h"
#include "weights.h"
#include "../text/tokenizer_load.h"
#include "../text/vocabulary.h"

/* The token that ends a text, by config.json or else by the vocabulary. */
static int32_t eot_token(const gpt2_model *model)
{
    int32_t eot = model->config.eos_token_id;

    if (eot < 0 && model->tokenizer != NULL)
        eot = gpt2i_tokenizer_eot(model->tokenizer);
    return eot < model->config.n_vocab ? eot : -1;
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
    status = gpt2i_weights_load(&model, &config, &tensors, n_threads, error);
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
