/*
 * gguf_config.h: the metadata of a GGUF file as the text of a config.json.
 */
#ifndef GPT2I_GGUF_CONFIG_H
#define GPT2I_GGUF_CONFIG_H

#include "gguf.h"

#define GPT2I_GGUF_CONFIG_BYTES 512 /* NUL included */

/*
 * Writes the text; 'n_vocab' is the rows of the embeddings, 0 if they are missing.  GGUF does not name
 * the activation: llama.cpp runs gelu_new, whatever the model had before it was converted.  In a
 * starcoder that is called gelu_pytorch_tanh, as in GPTBigCode.
 * Errors: GPT2_ERR_FORMAT, _UNSUPPORTED (another architecture, another number of heads of keys).
 */
GPT2I_HIDDEN int32_t gpt2i_gguf_config(char text[GPT2I_GGUF_CONFIG_BYTES],
                                       const struct gpt2i_gguf *gguf, uint64_t n_vocab,
                                       bool is_tied, struct gpt2i_error *error);

#endif
