/*
 * offsets.h: where the tokens of a text are in it.
 */
#ifndef GPT2I_OFFSETS_H
#define GPT2I_OFFSETS_H

#include "vocabulary.h"

/* As gpt2_token_offsets(), whose pointers have been checked. */
GPT2I_HIDDEN int32_t gpt2i_token_offsets(const gpt2_tokenizer *tokenizer, const int32_t *ids,
                                         size_t n_ids, gpt2_offsets *offsets);

#endif
