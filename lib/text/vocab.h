/*
 * vocab.h: a tokenizer in memory, and how encoding finds its way in it.  Private to vocab.c, which
 * fills it, and bpe.c and text.c, which encode with it.
 *
 * Two tables with open addressing answer the two questions of encoding: may these two neighbours be
 * merged, and how early; and is this piece of text a token as it stands.  Their slots are 8 bytes,
 * at least half of them empty, and an empty one is 0.
 */
#ifndef GPT2I_VOCAB_H
#define GPT2I_VOCAB_H

#include "../base/common.h"

#define GPT2I_ID_BITS   21 /* ids are below 2^21 = 2,097,152 */
#define GPT2I_RANK_BITS 22 /* ranks, which are lines of merges.txt, below 2^22 - 1 */
#define GPT2I_NO_RANK   UINT32_MAX

#define GPT2I_EOT_TEXT  "<|endoftext|>"
#define GPT2I_EOT_BYTES (sizeof GPT2I_EOT_TEXT - 1)

/*
 * The longest way from where a key would like to be to where it is.  In tables half empty, keys
 * that nobody chose stay below 48 in vocabularies of a million tokens; a file made to collide is
 * refused, instead of taking forever.
 */
#define GPT2I_PROBES 256

/* Pieces up to this length are looked up whole, and are merged by the simple algorithm. */
#define GPT2I_SHORT_BYTES 32

struct gpt2i_piece_slot {
    uint32_t tag; /* the upper half of the hash */
    uint32_t id_plus_1;
};

struct gpt2_tokenizer {
    size_t block_bytes; /* of the one block that holds this and all it points to */
    int32_t n_vocab;
    int32_t n_ids;        /* n_vocab or more: ids from there on have no bytes */
    int32_t eot;          /* -1 if there is none */
    uint32_t merge_shift; /* 64 - log2 of its slots */
    size_t merge_mask;    /* slots - 1, a power of two less one, as the next */
    size_t piece_mask;
    int32_t byte_ids[256]; /* the token of each single byte, or -1 */
    uint32_t *offsets;     /* [n_vocab + 1]: token i is bytes[offsets[i] .. offsets[i + 1]] */
    char *bytes;
    uint64_t *merge_slots; /* left id | right id | rank + 1, in 21 | 21 | 22 bits */
    int32_t *merge_ids;    /* [merges]: what the merge of this rank makes */
    struct gpt2i_piece_slot *piece_slots;
};

/* Spreads well over tables, but does not stand against an enemy: see GPT2I_PROBES. */
static inline uint64_t gpt2i_hash(const unsigned char *bytes, size_t n)
{
    const uint64_t k = 0x9e3779b97f4a7c15; /* 2^64 / golden ratio */
    uint64_t hash = n * k;

    for (; n > 8; bytes += 8, n -= 8) {
        hash = (hash ^ gpt2i_load_le64(bytes)) * k;
        hash ^= hash >> 32;
    }
    if (n >= 4)
        hash ^= gpt2i_load_le32(bytes) | (uint64_t)gpt2i_load_le32(bytes + n - 4) << 32;
    else if (n > 0)
        hash ^= bytes[0] | (uint32_t)bytes[n / 2] << 8 | (uint32_t)bytes[n - 1] << 16;
    hash *= k;
    hash ^= hash >> 29;
    hash *= k;
    return hash ^ hash >> 32;
}

static inline uint64_t gpt2i_pair_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << GPT2I_ID_BITS | (uint32_t)right;
}

/* Where the search for a pair begins; the table has 2^(64 - shift) slots. */
static inline size_t gpt2i_pair_home(uint64_t key, uint32_t shift)
{
    return (size_t)(key * 0x9e3779b97f4a7c15 >> shift);
}

/* The rank of merging two neighbours, GPT2I_NO_RANK if they are never merged. */
static inline uint32_t gpt2i_merge_rank(const gpt2_tokenizer *tokenizer, int32_t left,
                                        int32_t right)
{
    uint64_t key = gpt2i_pair_key(left, right);
    size_t slot = gpt2i_pair_home(key, tokenizer->merge_shift);

    for (int probe = 0; probe < GPT2I_PROBES; probe++) {
        uint64_t found = tokenizer->merge_slots[slot];

        if (found == 0)
            return GPT2I_NO_RANK;
        if (found >> GPT2I_RANK_BITS == key)
            return (uint32_t)(found & ((1u << GPT2I_RANK_BITS) - 1)) - 1;
        slot = (slot + 1) & tokenizer->merge_mask;
    }
    return GPT2I_NO_RANK;
}

/*
 * Merges piece[n_bytes], 0 < n_bytes <= GPT2I_SHORT_BYTES, into ids.  Returns how many they are, or
 * 0 if a byte has no token.
 */
GPT2I_HIDDEN size_t gpt2i_bpe_short(const gpt2_tokenizer *tokenizer, const unsigned char *piece,
                                    size_t n_bytes, int32_t ids[GPT2I_SHORT_BYTES]);

#endif
