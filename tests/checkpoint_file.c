/*
 * checkpoint_file.c: builds nanoGPT's ckpt.pt and llm.c's files.
 */
#include "checkpoint_file.h"

/* ----------------------------------------------------------------------------------- nanoGPT -- */

void checkpoint_nanogpt(struct bytes *file, const struct tiny_model *tiny, const char *prefix,
                        const char *without)
{
    static struct bytes pickle;
    const struct {
        const char *key;
        int32_t value;
    } args[] = {{"n_layer", tiny->n_layer},
                {"n_head", tiny->n_head},
                {"n_embd", tiny->n_embd},
                {"block_size", tiny->n_positions},
                {"vocab_size", tiny->n_vocab}};

    pickle.n = 0;
    ADD(&pickle, "\x80\2}(");
    bytes_add_text(&pickle, "model");
    pytorch_add_model(&pickle, tiny->directory, false, true, prefix);
    bytes_add_text(&pickle, "optimizer");
    ADD(&pickle, "}(K\0]G?\x84z\xe1G\xae\x14{aK\1}u");
    bytes_add_text(&pickle, "betas");
    ADD(&pickle, "G?\xec\xcc\xcc\xcc\xcc\xcc\xcdG?\xee\x66\x66\x66\x66\x66\x66\x86");
    bytes_add_text(&pickle, "model_args");
    ADD(&pickle, "}(");
    for (size_t i = 0; i < COUNT(args); i++) {
        if (strcmp(args[i].key, without) == 0)
            continue;
        bytes_add_text(&pickle, args[i].key);
        bytes_add_int(&pickle, (uint64_t)args[i].value);
    }
    bytes_add_text(&pickle, "bias");
    ADD(&pickle, "\x88");
    bytes_add_text(&pickle, "dropout");
    ADD(&pickle, "G\0\0\0\0\0\0\0\0uu.");
    pytorch_wrap_model(file, &pickle, false);
}

/* ------------------------------------------------------------------------------------- llm.c -- */

#define HEADER_BYTES 1024

static const char *const block_weights[] = {
    "ln_1.weight",        "ln_1.bias",        "attn.c_attn.weight", "attn.c_attn.bias",
    "attn.c_proj.weight", "attn.c_proj.bias", "ln_2.weight",        "ln_2.bias",
    "mlp.c_fc.weight",    "mlp.c_fc.bias",    "mlp.c_proj.weight",  "mlp.c_proj.bias",
};

static void add_weight(struct bytes *file, const struct gpt2i_tensors *tensors, const char *prefix,
                       const char *name)
{
    static unsigned char bytes[PYTORCH_TENSOR_BYTES];
    char full[80];
    struct gpt2i_tensor tensor;
    const struct gpt2i_tensor *found;

    (void)snprintf(full, sizeof full, "%s%s", prefix, name);
    found = gpt2i_tensors_find(tensors, full);
    assert_non_null(found);
    tensor = *found;
    (void)pytorch_read_tensor(&tensor, true, bytes);
    bytes_add(file, bytes, (size_t)tensor.n_bytes);
}

void checkpoint_llmc(struct bytes *file, const struct tiny_model *tiny, uint32_t n_padding)
{
    bool is_single = strcmp(tiny->dtype, "F32") == 0;
    const uint32_t header[LLMC_NUMBERS] = {20240326,
                                           is_single ? 3 : 5,
                                           (uint32_t)tiny->n_positions,
                                           (uint32_t)tiny->n_vocab,
                                           (uint32_t)tiny->n_layer,
                                           (uint32_t)tiny->n_head,
                                           (uint32_t)tiny->n_embd,
                                           (uint32_t)tiny->n_vocab + n_padding};
    struct gpt2i_tensors tensors;
    char layer[24];

    file->n = 0;
    for (size_t i = 0; i < HEADER_BYTES / 4; i++)
        bytes_add_number(file, i < LLMC_NUMBERS ? header[i] : 0, 4);
    pytorch_open_model(&tensors, tiny->directory);
    add_weight(file, &tensors, "", "wte.weight");
    for (size_t i = 0; i < n_padding * (size_t)tiny->n_embd; i++)
        bytes_add_number(file, UINT32_MAX, is_single ? 4 : 2); /* NaN */
    add_weight(file, &tensors, "", "wpe.weight");
    for (size_t i = 0; i < COUNT(block_weights); i++) {
        for (int32_t j = 0; j < tiny->n_layer; j++) {
            (void)snprintf(layer, sizeof layer, "h.%d.", j);
            add_weight(file, &tensors, layer, block_weights[i]);
        }
    }
    add_weight(file, &tensors, "", "ln_f.weight");
    add_weight(file, &tensors, "", "ln_f.bias");
    gpt2i_tensors_close(&tensors);
}
