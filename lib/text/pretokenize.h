/*
 * pretokenize.h: cutting text into pieces, the first half of GPT-2's tokenization.  Byte pairs are
 * merged inside a piece only.
 *
 * Text between two added tokens is a stretch.  Rules say how one is cut; Hugging Face's pre-tokenizers are
 * such rules.  GPT2I_CUT_PATTERN alone is GPT-2's.
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

#define GPT2I_CUT_PATTERN      0x1u /* by GPT-2's pattern; without it a stretch is one piece */
#define GPT2I_CUT_PREFIX       0x2u /* a stretch gets a space in front, if it has none: not with digits */
#define GPT2I_CUT_DIGITS       0x4u  /* numbers, \p{N}, are pieces of their own */
#define GPT2I_CUT_EACH_DIGIT   0x8u  /* each character of them */
#define GPT2I_CUT_DIGITS_FIRST 0x10u /* before the pattern, which then sees no text behind a cut */
#define GPT2I_CUT_RULES        0x1fu

/* The same by 'rules'; for text that does not begin with the space of GPT2I_CUT_PREFIX. */
GPT2I_HIDDEN size_t gpt2i_cut_length(uint32_t rules, const unsigned char *text, size_t n_bytes);

/* The same for a stretch text[n_bytes] that begins with such a space, which is not in text: this is the
   length without it, and may be 0. */
GPT2I_HIDDEN size_t gpt2i_cut_prefixed_length(uint32_t rules, const unsigned char *text,
                                              size_t n_bytes);

#endif
