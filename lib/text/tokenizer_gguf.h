/*
 * tokenizer_gguf.h: the tokenizer in the metadata of a GGUF file.
 */
#ifndef GPT2I_TOKENIZER_GGUF_H
#define GPT2I_TOKENIZER_GGUF_H

#include "../base/source.h"

/*
 * Reads the keys tokenizer.ggml.*; '*tokenizer' is NULL if there are none.  'name' is the file's.
 * Errors: those of gpt2i_gguf_open(), and GPT2_ERR_FORMAT, _UNSUPPORTED (not GPT-2's kind), _MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_tokenizer_read_gguf(const struct gpt2i_files *files, const char *name,
                                               gpt2_tokenizer **tokenizer,
                                               struct gpt2i_error *error);

#endif
