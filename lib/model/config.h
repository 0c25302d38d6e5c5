/*
 * config.h: the hyper-parameters of a GPT-2, under Hugging Face's names.
 */
#ifndef GPT2I_CONFIG_H
#define GPT2I_CONFIG_H

#include "../base/source.h"

struct gpt2i_config {
    int32_t n_vocab;     /* vocab_size */
    int32_t n_positions; /* n_positions, or n_ctx in old files */
    int32_t n_embd;
    int32_t n_layer;
    int32_t n_head;
    int32_t n_kv_head;           /* n_head; 1: all heads share one's keys and values */
    int32_t n_inner;             /* 4 n_embd where null or absent */
    int32_t activation_function; /* GPT2_ACT_*; gelu_new where absent */
    float layer_norm_epsilon;    /* 1e-5 where absent */
    bool scale_attn_weights;     /* true where absent */
    bool scale_attn_by_inverse_layer_idx;
    bool tie_word_embeddings; /* true where absent */
    bool is_bigcode;          /* GPTBigCode: files have the blocks' matrices as [n_out, n_in], and
                                 c_attn gives q, k, v head by head unless n_kv_head is 1 */
    int32_t eos_token_id;     /* -1 where null, absent or not below n_vocab */
};

static inline size_t gpt2i_config_head_dim(const struct gpt2i_config *config)
{
    return (size_t)(config->n_embd / config->n_head);
}

/* Outputs of c_attn: q of all heads, k and v of all key and value heads. */
static inline size_t gpt2i_config_n_qkv(const struct gpt2i_config *config)
{
    return ((size_t)config->n_head + 2 * (size_t)config->n_kv_head) * gpt2i_config_head_dim(config);
}

/*
 * Reads config.json.  Errors: GPT2_ERR_FILE, _FORMAT (a missing or impossible value),
 * _UNSUPPORTED (not a GPT-2, or a variant that this library does not run), each naming the key, the
 * value found and the values wanted.
 */
GPT2I_HIDDEN int32_t gpt2i_config_read(struct gpt2i_config *config, const struct gpt2i_files *files,
                                       struct gpt2i_error *error);

/* The same for text[n_bytes], the content of such a file; 'path' is for error lines. */
GPT2I_HIDDEN int32_t gpt2i_config_parse(struct gpt2i_config *config, const char *text,
                                        size_t n_bytes, const char *path,
                                        struct gpt2i_error *error);

/* Hugging Face's name of GPT2_ACT_*. */
GPT2I_HIDDEN const char *gpt2i_activation_name(int32_t activation_function);

#endif
