/*
 * tokenizer_tiktoken.h: the file of tokens and ranks of OpenAI's tiktoken.
 */
#ifndef GPT2I_TOKENIZER_TIKTOKEN_H
#define GPT2I_TOKENIZER_TIKTOKEN_H

#include "../base/source.h"

/*
 * Reads r50k_base.tiktoken.  The rank of a token is its id; <|endoftext|> gets the first id that no token
 * has.  Errors: GPT2_ERR_FILE, _FORMAT, _UNSUPPORTED, _MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_tokenizer_read_tiktoken(const struct gpt2i_files *files,
                                                   gpt2_tokenizer **tokenizer,
                                                   struct gpt2i_error *error);

#endif
