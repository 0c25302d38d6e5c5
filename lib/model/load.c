/*
 * load.c: loading a model from a directory or a list of sources.
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

/* Weights that other programs read and this version does not. */
static const char *const other_weights[] = {
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.gguf",
    "ckpt.pt",
    "tf_model.h5",
    "flax_model.msgpack",
};

/* Fails where there is something else in model.safetensors' place, and names it. */
static int32_t check_weights_exist(const struct gpt2i_files *files, struct gpt2i_error *error)
{
    bool exists;
    int32_t status = gpt2i_source_exists(files, "model.safetensors", &exists, error);

    if (status != GPT2_OK || exists)
        return status;
    for (size_t i = 0; i < sizeof other_weights / sizeof other_weights[0]; i++) {
        status = gpt2i_source_exists(files, other_weights[i], &exists, error);
        if (status != GPT2_OK)
            return status;
        if (exists)
            return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                              "%s: model.safetensors is missing; %s is there, which libgpt2 %s "
                              "cannot read",
                              files->directory, other_weights[i], GPT2I_VERSION);
    }
    return GPT2_OK; /* to open it gives the error */
}

/* A path to a file instead of its directory is a common mistake. */
static int32_t check_directory(const struct gpt2i_files *files, struct gpt2i_error *error)
{
    if (files->directory == NULL || gpt2i_os_kind_of(files->directory) != GPT2I_OS_REGULAR)
        return GPT2_OK;
    return gpt2i_fail(error, GPT2_ERR_FILE,
                      "%s: is a file, wanted the directory of config.json and model.safetensors",
                      files->directory);
}

int32_t gpt2i_model_read(gpt2_model **out, const struct gpt2i_files *files,
                         const gpt2_model_params *params, struct gpt2i_error *error)
{
    struct gpt2i_config config;
    struct gpt2i_tensors tensors;
    gpt2_model *model = NULL;
    bool has_tokenizer;
    int32_t status = check_directory(files, error);

    *out = NULL;
    if (status == GPT2_OK)
        status = gpt2i_config_read(&config, files, error);
    if (status == GPT2_OK)
        status = check_weights_exist(files, error);
    if (status == GPT2_OK)
        status = gpt2i_safetensors_open(&tensors, files, "model.safetensors", error);
    if (status != GPT2_OK)
        return status;
    status = gpt2i_weights_load(&model, &config, &tensors, params, error);
    gpt2i_tensors_close(&tensors);
    if (status == GPT2_OK)
        status = gpt2i_tokenizer_present(files, &has_tokenizer, error);
    if (status == GPT2_OK && has_tokenizer)
        status = gpt2i_tokenizer_read(files, &model->tokenizer, error);
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
