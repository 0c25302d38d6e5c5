/*
 * naive_bpe.h: byte-level BPE by its definition: cut the text into pieces; in each, as long as any two
 * neighbours merge, merge the leftmost pair of the lowest rank.
 */
#ifndef NAIVE_BPE_H
#define NAIVE_BPE_H

#include "fuzz.h"
#include "pretokenize.h"
#include "vocab.h"

static inline size_t naive_span(const gpt2_tokenizer *tokenizer, const uint8_t *text,
                                size_t n_bytes, int32_t *ids, size_t *longest_piece)
{
    size_t n_ids = 0, length;

    for (size_t at = 0; at < n_bytes; at += length) {
        int32_t *piece = ids + n_ids;
        size_t n = length = gpt2i_piece_length(text + at, n_bytes - at);

        CHECK(length > 0 && length <= n_bytes - at);
        *longest_piece = length > *longest_piece ? length : *longest_piece;
        for (size_t i = 0; i < n; i++) {
            piece[i] = tokenizer->byte_ids[text[at + i]];
            if (piece[i] < 0)
                return SIZE_MAX;
        }
        for (;;) {
            uint32_t lowest = GPT2I_NO_RANK;
            size_t left = 0;

            for (size_t i = 0; i + 1 < n; i++) {
                uint32_t rank = gpt2i_merge_rank(tokenizer, piece[i], piece[i + 1]);

                if (rank < lowest) {
                    lowest = rank;
                    left = i;
                }
            }
            if (lowest == GPT2I_NO_RANK)
                break;
            piece[left] = tokenizer->merge_ids[lowest];
            n--;
            memmove(piece + left + 1, piece + left + 2, (n - left - 1) * sizeof *piece);
        }
        n_ids += n;
    }
    return n_ids;
}

/*
 * Into ids[n_bytes]; returns how many there are, or SIZE_MAX if a byte has no token.
 * '*longest_piece' receives the bytes of the longest piece.
 */
static inline size_t naive_encode(const gpt2_tokenizer *tokenizer, const uint8_t *text,
                                  size_t n_bytes, bool special, int32_t *ids, size_t *longest_piece)
{
    size_t n_ids = 0, at = 0;

    *longest_piece = 0;
    for (;;) {
        const uint8_t *found =
            special && tokenizer->eot >= 0
                ? memmem(text + at, n_bytes - at, GPT2I_EOT_TEXT, GPT2I_EOT_BYTES)
                : NULL;
        size_t end = found == NULL ? n_bytes : (size_t)(found - text);
        size_t n = naive_span(tokenizer, text + at, end - at, ids + n_ids, longest_piece);

        if (n == SIZE_MAX)
            return SIZE_MAX;
        n_ids += n;
        if (found == NULL)
            return n_ids;
        ids[n_ids++] = tokenizer->eot;
        at = end + GPT2I_EOT_BYTES;
    }
}

#endif
