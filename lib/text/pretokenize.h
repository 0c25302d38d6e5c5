/*
 * pretokenize.h: cutting text into pieces, the first half of GPT-2's tokenization.  Byte pairs are
 * merged inside a piece only.
 */
#ifndef GPT2I_PRETOKENIZE_H
#define GPT2I_PRETOKENIZE_H

#include "../base/common.h"

/*
 * The length of the first piece of text[n_bytes], n_bytes > 0: at least 1.  What follows the piece
 * is cut by the next call.  Reads at most up to the first character behind the run of characters
 * that the piece is taken from.
 */
GPT2I_HIDDEN size_t gpt2i_piece_length(const unsigned char *text, size_t n_bytes);

#endif
