/*
 * decoder.h: from token ids to text.
 */
#ifndef GPT2I_DECODER_H
#define GPT2I_DECODER_H

#include "../base/status.h"
#include "vocabulary.h"

/* As gpt2_decode_part(), whose arguments have been checked. */
GPT2I_HIDDEN int32_t gpt2i_decode(const gpt2_tokenizer *tokenizer, gpt2_decode_state *state,
                                  const int32_t *ids, size_t n_ids, uint32_t flags, char *text,
                                  size_t capacity, size_t *n_bytes, struct gpt2i_error *error);

#endif
