/*
 * model.h: a loaded GPT-2: hyper-parameters and weights, under Hugging Face's names.
 *
 * Two blocks of memory: one of structs, and one of the weights' bytes, which has no pointers in it and
 * can be a native file's image.
 */
#ifndef GPT2I_MODEL_H
#define GPT2I_MODEL_H

#include "config.h"
#include "matrix.h"

/* y = x weight + bias */
struct gpt2i_linear {
    struct gpt2i_matrix weight;
    float *bias; /* [n_out]; NULL: none */
};

struct gpt2i_norm {
    float *gain; /* [n_embd]; Hugging Face: weight */
    float *bias; /* [n_embd] */
};

struct gpt2i_block {
    struct gpt2i_norm ln_1;
    struct gpt2i_linear c_attn;      /* n_embd -> n_qkv: attention.h says where q, k, v lie */
    struct gpt2i_linear attn_c_proj; /* n_embd -> n_embd */
    struct gpt2i_norm ln_2;
    struct gpt2i_linear c_fc;       /* n_embd -> n_inner */
    struct gpt2i_linear mlp_c_proj; /* n_inner -> n_embd */
};

/* shortlist.h */
struct gpt2i_shortlist {
    struct gpt2i_linear copy; /* lm_head in 8 bits; its panels are NULL where there is none */
    float
        *norms;  /* [n_vocab, 2]: of an output's weights in the copy, of what lm_head's differ by */
    void *block; /* both; NULL: in a native file's image */
    size_t block_bytes;
};

struct gpt2_model {
    struct gpt2i_config config;
    struct gpt2i_matrix wte; /* n_embd -> n_vocab: an embedding is an output's weights */
    float *wpe;              /* [n_positions, n_embd] */
    struct gpt2i_block *h;   /* [n_layer] */
    struct gpt2i_norm ln_f;
    struct gpt2i_linear lm_head; /* n_embd -> n_vocab, no bias; wte's panels where tied */
    struct gpt2i_shortlist shortlist;
    size_t max_quantised_in; /* the largest n_in of the quantised matrices, 0 without any */
    int32_t weight_type;     /* GPT2_TYPE_* of wte in the file */
    uint32_t file_types;     /* bit t: some matrix in the file has GPT2_TYPE_* t */
    int32_t eot_token;       /* -1: none */
    uint64_t n_parameters;
    gpt2_tokenizer *tokenizer;               /* owned; NULL: none */
    char tokenizer_error[GPT2_ERRBUF_BYTES]; /* why that of the files is not run; else "" */
    size_t struct_bytes;                     /* of the block that begins with this struct */
    void *weights;                           /* the block of the weights */
    size_t weights_bytes;
    struct gpt2i_image image; /* instead of that block: of a native file */
};

/*
 * A model without weights: the structs, and the sizes of the matrices; gpt2i_weights_load() sets their
 * types.  Errors: GPT2_ERR_MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_model_new(gpt2_model **model, const struct gpt2i_config *config,
                                     struct gpt2i_error *error);

/* NULL is ignored. */
GPT2I_HIDDEN void gpt2i_model_free(gpt2_model *model);

#endif
