/*
 * pieces_json.h: the pre_tokenizer of a tokenizer.json.
 */
#ifndef GPT2I_PIECES_JSON_H
#define GPT2I_PIECES_JSON_H

#include "../formats/json.h"

/*
 * Reads the value that comes next: a ByteLevel, or a Sequence of Digits and Split, by GPT-2's pattern,
 * that ends with one.  '*rules' receives GPT2I_CUT_*.  Errors: GPT2_ERR_UNSUPPORTED, _FORMAT.
 */
GPT2I_HIDDEN int32_t gpt2i_pieces_read(struct gpt2i_json *json, uint32_t *rules,
                                       struct gpt2i_error *error);

#endif
