/*
 * nanogpt.c: the checkpoints of nanoGPT, "ckpt.pt".
 *
 * train.py saves a dict in which "model" is the state_dict, perhaps under the names of a compiled model,
 * and "model_args" has the sizes; the optimizer's state and the rest are not used.  The matrices are those
 * of torch.nn.Linear, [n_out, n_in].  The activation is torch.nn.GELU(), so gelu; the file does not say
 * it, and nanoGPT before 17 May 2023 had gelu_new.
 */
#include "nanogpt.h"

#include <inttypes.h>
#include <stdio.h>

#define COMPILED "_orig_mod." /* before the names of a model that torch.compile() made */

static const struct {
    const char *key; /* in model_args */
    const char *config_key;
} sizes[] = {
    {"n_layer", "n_layer"},        {"n_head", "n_head"},         {"n_embd", "n_embd"},
    {"block_size", "n_positions"}, {"vocab_size", "vocab_size"},
};

int32_t gpt2i_nanogpt_select(struct gpt2i_pytorch *reader)
{
    const struct gpt2i_pickle_value *model =
        gpt2i_pickle_find(&reader->pickle, reader->dict, "model");

    reader->model_args = gpt2i_pickle_find(&reader->pickle, reader->dict, "model_args");
    if (model == NULL || model->kind != GPT2I_PICKLE_DICT || reader->model_args == NULL ||
        reader->model_args->kind != GPT2I_PICKLE_DICT)
        return gpt2i_pytorch_fail(reader, GPT2_ERR_UNSUPPORTED,
                                  "is no checkpoint of nanoGPT: wanted a dict with the dicts "
                                  "\"model\" and \"model_args\"");
    reader->dict = model;
    reader->compiled = COMPILED;
    return GPT2_OK;
}

int32_t gpt2i_nanogpt_config(const struct gpt2i_pytorch *reader,
                             char config[GPT2I_PYTORCH_CONFIG_BYTES])
{
    size_t length =
        (size_t)snprintf(config, GPT2I_PYTORCH_CONFIG_BYTES, "{\"activation_function\":\"gelu\"");

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const struct gpt2i_pickle_value *size =
            gpt2i_pickle_find(&reader->pickle, reader->model_args, sizes[i].key);

        if (size == NULL || size->kind != GPT2I_PICKLE_INT)
            return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                              "%s: model_args: %s is %s, wanted a number", reader->pickle.path,
                              sizes[i].key, size == NULL ? "missing" : gpt2i_pickle_show(size));
        length += (size_t)snprintf(config + length, GPT2I_PYTORCH_CONFIG_BYTES - length,
                                   ",\"%s\":%" PRId64, sizes[i].config_key, size->integer);
    }
    (void)snprintf(config + length, GPT2I_PYTORCH_CONFIG_BYTES - length, "}");
    return GPT2_OK;
}
