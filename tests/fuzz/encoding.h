/*
 * encoding.h: what the ids of a text must be, and that they are, whole and in parts.
 *
 * Byte-level BPE by its definition: cut the text into pieces; in each, as long as any two neighbours
 * merge, merge the leftmost pair of the lowest rank.
 */
#ifndef ENCODING_H
#define ENCODING_H

#include "fuzz.h"
#include "text/pretokenize.h"
#include "text/vocabulary.h"

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

struct encoding {
    const gpt2_tokenizer *tokenizer;
    const uint8_t *text;
    size_t n_bytes;
    bool special;
    int32_t *ids; /* what they must be, to be freed */
    size_t n_ids; /* SIZE_MAX: a byte has no token */
    size_t longest_piece;
};

static inline struct encoding naive_encoding(const gpt2_tokenizer *tokenizer, const uint8_t *text,
                                             size_t n_bytes, bool special)
{
    struct encoding wanted = {tokenizer, text, n_bytes, special, NULL, 0, 0};

    wanted.ids = take_bytes(n_bytes * sizeof *wanted.ids);
    wanted.n_ids =
        naive_encode(tokenizer, text, n_bytes, special, wanted.ids, &wanted.longest_piece);
    return wanted;
}

/* Into ids[capacity], of just that size; what it gives must be those from wanted.ids[n_before] on. */
static inline int32_t encode_part(gpt2_encoder *encoder, const struct encoding *wanted,
                                  const uint8_t *part, size_t n_bytes, bool more, size_t n_before,
                                  size_t capacity, size_t *n_ids)
{
    uint32_t flags = (wanted->special ? GPT2_ENCODE_SPECIAL : 0) | (more ? GPT2_ENCODE_MORE : 0);
    uint8_t *text = take_bytes(n_bytes);
    int32_t *ids = capacity == 0 ? NULL : take_bytes(capacity * sizeof *ids);
    int32_t status;

    if (n_bytes > 0)
        memcpy(text, part, n_bytes);
    status = gpt2_encode(encoder, (const char *)text, n_bytes, flags, ids, capacity, n_ids);
    CHECK((status == GPT2_OK) == (gpt2_encoder_error(encoder)[0] == '\0'));
    if (status == GPT2_OK) {
        CHECK(*n_ids <= capacity);
        CHECK(wanted->n_ids == SIZE_MAX || *n_ids <= wanted->n_ids - n_before);
        CHECK(wanted->n_ids == SIZE_MAX ||
              same_bytes(ids, wanted->ids + n_before, *n_ids * sizeof *ids));
    } else {
        CHECK(status == GPT2_ERR_BUFFER ? *n_ids > capacity : *n_ids == 0);
    }
    free(ids);
    free(text);
    return status;
}

/* With too little room at first, which must not matter. */
static inline int32_t encode_repeated(gpt2_encoder *encoder, const struct encoding *wanted,
                                      const uint8_t *part, size_t n_bytes, bool more,
                                      size_t n_before, size_t *n_ids)
{
    int32_t status = encode_part(encoder, wanted, part, n_bytes, more, n_before, 0, n_ids);
    size_t n = *n_ids, again;

    if (status != GPT2_OK && status != GPT2_ERR_BUFFER) {
        CHECK(encode_part(encoder, wanted, part, n_bytes, more, n_before, n_bytes, &again) ==
              status);
        return status;
    }
    if (status == GPT2_OK)
        return status;
    CHECK(encode_part(encoder, wanted, part, n_bytes, more, n_before, n - 1, &again) ==
          GPT2_ERR_BUFFER);
    CHECK(again == n);
    CHECK(encode_part(encoder, wanted, part, n_bytes, more, n_before, n, n_ids) == GPT2_OK);
    CHECK(*n_ids == n);
    return GPT2_OK;
}

/* How a whole text, or the parts of one, must end with an encoder. */
static inline void check_end(const struct encoding *wanted, int32_t status, size_t n_ids,
                             size_t max_piece_bytes)
{
    bool too_long = wanted->longest_piece > max_piece_bytes;

    CHECK(status == GPT2_OK || status == GPT2_ERR_PIECE || status == GPT2_ERR_TOKEN);
    if (wanted->n_ids == SIZE_MAX)
        CHECK(status != GPT2_OK);
    else
        CHECK(status == (too_long ? GPT2_ERR_PIECE : GPT2_OK));
    CHECK(status != GPT2_OK || n_ids == wanted->n_ids);
}

static inline void check_whole(gpt2_encoder *encoder, const struct encoding *wanted,
                               size_t max_piece_bytes)
{
    size_t n_ids;
    int32_t status =
        encode_repeated(encoder, wanted, wanted->text, wanted->n_bytes, false, 0, &n_ids);

    check_end(wanted, status, n_ids, max_piece_bytes);
}

/* Cut at pseudo-random places, which 'cuts' chooses: even ones in small parts, odd ones in larger. */
static inline void check_parts(gpt2_encoder *encoder, const struct encoding *wanted, uint8_t cuts,
                               size_t max_piece_bytes)
{
    uint32_t random = cuts;
    size_t at = 0, n_ids = 0, n_now;
    int32_t status = GPT2_OK;
    bool more = true;

    while (more && status == GPT2_OK) {
        size_t n;

        random = random * 1103515245 + 12345;
        n = (random >> 16) % (cuts % 2 == 0 ? 4 : 64);
        if (n > wanted->n_bytes - at)
            n = wanted->n_bytes - at;
        more = at + n < wanted->n_bytes || (random >> 30) == 0; /* the last may have no bytes */
        status = encode_repeated(encoder, wanted, wanted->text + at, n, more, n_ids, &n_now);
        CHECK(n_now <= n + max_piece_bytes + 64);
        n_ids += n_now;
        at += n;
    }
    check_end(wanted, status, n_ids, max_piece_bytes);
    CHECK(gpt2_encoder_reset(encoder) == GPT2_OK);
}

/* A short text, cut in two at every place. */
static inline void check_each_cut(gpt2_encoder *encoder, const struct encoding *wanted,
                                  size_t max_piece_bytes)
{
    for (size_t cut = 0; cut <= wanted->n_bytes && wanted->n_bytes <= 32; cut++) {
        size_t n_first, n_second = 0;
        int32_t status = encode_part(encoder, wanted, wanted->text, cut, true, 0, cut, &n_first);

        if (status == GPT2_OK)
            status = encode_part(encoder, wanted, wanted->text + cut, wanted->n_bytes - cut, false,
                                 n_first, wanted->n_bytes, &n_second);
        check_end(wanted, status, n_first + n_second, max_piece_bytes);
        CHECK(gpt2_encoder_reset(encoder) == GPT2_OK);
    }
}

#endif
