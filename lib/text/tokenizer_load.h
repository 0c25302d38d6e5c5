/*
 * tokenizer_load.h: reading a tokenizer from its files.
 */
#ifndef GPT2I_TOKENIZER_LOAD_H
#define GPT2I_TOKENIZER_LOAD_H

#include "../base/source.h"

/*
 * Reads tokenizer.json; if that is not there, vocab.json and merges.txt.  With either it reads
 * tokenizer_config.json, special_tokens_map.json and added_tokens.json, if they are there.
 * '*tokenizer' is one block; the caller frees it with gpt2i_tokenizer_free().  Errors: GPT2_ERR_FILE, _FORMAT, _UNSUPPORTED, _MEMORY; nothing stays
 * allocated.
 */
GPT2I_HIDDEN int32_t gpt2i_tokenizer_read(const struct gpt2i_files *files,
                                          gpt2_tokenizer **tokenizer, struct gpt2i_error *error);

/* Whether vocab.json and merges.txt are there, or tokenizer.json.  Errors: GPT2_ERR_MEMORY. */
GPT2I_HIDDEN int32_t gpt2i_tokenizer_present(const struct gpt2i_files *files, bool *present,
                                             struct gpt2i_error *error);

#endif
