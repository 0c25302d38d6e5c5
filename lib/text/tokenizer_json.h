/*
 * tokenizer_json.h: reading a tokenizer from tokenizer.json.
 */
#ifndef GPT2I_TOKENIZER_JSON_H
#define GPT2I_TOKENIZER_JSON_H

#include "../base/source.h"

/*
 * Reads the byte-level BPE of a tokenizer.json; all that would change ids in a way that encoding here
 * does not know is refused by name.  As gpt2i_tokenizer_read().
 */
GPT2I_HIDDEN int32_t gpt2i_tokenizer_read_json(const struct gpt2i_files *files,
                                               gpt2_tokenizer **tokenizer,
                                               struct gpt2i_error *error);

#endif
