/*
 * model.h: a loaded GPT-2: hyper-parameters and packed weights, under Hugging Face's names.
 */
#ifndef GPT2I_MODEL_H
#define GPT2I_MODEL_H

#include "config.h"

/* y = x w + bias */
struct gpt2i_linear {
    const float *w;    /* panels of [n_in][64], see pack.h */
    const float *bias; /* [n_out]; NULL: none */
    size_t n_in;
    size_t n_out;
};

struct gpt2i_norm {
    const float *gain; /* [n_embd]; Hugging Face: weight */
    const float *bias; /* [n_embd] */
};

struct gpt2i_block {
    struct gpt2i_norm ln_1;
    struct gpt2i_linear c_attn;      /* n_embd -> 3 n_embd: q, k, v side by side */
    struct gpt2i_linear attn_c_proj; /* n_embd -> n_embd */
    struct gpt2i_norm ln_2;
    struct gpt2i_linear c_fc;       /* n_embd -> n_inner */
    struct gpt2i_linear mlp_c_proj; /* n_inner -> n_embd */
};

struct gpt2_model {
    struct gpt2i_config config;
    struct gpt2i_linear wte; /* [n_vocab, n_embd] as panels, so that it can be the head */
    const float *wpe;        /* [n_positions, n_embd] */
    struct gpt2i_block *h;   /* [n_layer] */
    struct gpt2i_norm ln_f;
    struct gpt2i_linear lm_head; /* n_embd -> n_vocab, no bias; wte where tied */
    int32_t weight_type;         /* GPT2_TYPE_* of wte in the file */
    int32_t eot_token;           /* -1: none */
    uint64_t n_parameters;
    gpt2_tokenizer *tokenizer; /* owned; NULL: none */
    size_t block_bytes;        /* of the one block that this struct begins */
};

GPT2I_HIDDEN void gpt2i_model_free(gpt2_model *model);

#endif
