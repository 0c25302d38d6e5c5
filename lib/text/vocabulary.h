/*
 * vocabulary.h: a tokenizer in memory, and the look-ups in it.
 *
 * Two tables with open addressing answer the two questions of encoding.  May these two neighbours be
 * merged, and with which rank?  Is this whole piece of text a token?  A slot has 8 bytes; an empty
 * one is 0.  At least half of the slots are empty.
 */
#ifndef GPT2I_VOCABULARY_H
#define GPT2I_VOCABULARY_H

#include "../base/arena.h"
#include "../base/source.h"
#include "added_tokens.h"

#define GPT2I_ID_BITS   21 /* ids are below 2^21 = 2,097,152 */
#define GPT2I_RANK_BITS 22 /* ranks, which are lines of merges.txt, are below 2^22 - 1 */
#define GPT2I_NO_RANK   UINT32_MAX

#define GPT2I_EOT_TEXT  "<|endoftext|>"
#define GPT2I_EOT_BYTES (sizeof GPT2I_EOT_TEXT - 1)

/*
 * How many slots a search looks at.  In tables that are half empty, ordinary keys need fewer than
 * 48 with a million tokens.  Files whose keys need more are refused.
 */
#define GPT2I_PROBES 256

/* Pieces up to this length are looked up whole, and are merged by the simple algorithm. */
#define GPT2I_SHORT_BYTES 32

struct gpt2i_piece_slot {
    uint32_t tag; /* the upper half of the hash */
    uint32_t id_plus_1;
};

struct gpt2_tokenizer {
    size_t block_bytes;       /* of the one block that holds this and all it points to */
    struct gpt2i_image image; /* instead, what the tables lie in; zero if a model owns that */
    int32_t n_vocab;
    int32_t n_ids;         /* n_vocab or more: ids from n_vocab on have no bytes */
    int32_t eot;           /* -1 if there is none */
    uint32_t merge_shift;  /* gpt2i_merge_shift() of the number of merge slots */
    size_t merge_mask;     /* number of merge slots - 1; it is a power of two */
    size_t piece_mask;     /* the same for piece slots */
    uint64_t seed;         /* of the hashes in both tables */
    int32_t byte_ids[256]; /* the token of each single byte, or -1 */
    uint32_t *offsets;     /* [n_vocab + 1]: token i is bytes[offsets[i] .. offsets[i + 1]] */
    char *bytes;
    uint8_t *is_added; /* [n_vocab]: 1 if no merge makes the token; as gpt2_tokenizer_is_added() */
    uint64_t *merge_slots; /* left id | right id | rank + 1, in 21 | 21 | 22 bits */
    size_t n_merges;
    int32_t *merge_ids; /* [n_merges]: the token that the merge of this rank makes */
    struct gpt2i_piece_slot *piece_slots;
    uint32_t cut_rules; /* GPT2I_CUT_* */
    int32_t bos;        /* -1 if there is none */
    size_t n_added;
    struct gpt2i_added_token *added_tokens; /* [n_added], sorted */
    uint32_t *added_shorter;                /* [n_added], of the sets */
    char *added_text;                       /* [n_added_bytes] */
    size_t n_added_bytes;
    struct gpt2i_added_set added[GPT2I_ADDED_PASSES];
};

/*
 * One step of both hashes.  The odd 'seed' comes from all bytes of the vocabulary's files.  So keys
 * that collide under one seed do not collide in a file of another, and a file made of such keys has
 * another seed.  Between two odd factors, the shift brings high bits down: without it, two words
 * that differ in their top bits cancel each other under every seed.
 */
static inline uint64_t gpt2i_mix(uint64_t value, uint64_t seed)
{
    value *= 0x9e3779b97f4a7c15; /* 2^64 / golden ratio */
    value ^= value >> 32;
    value *= seed;
    return value ^ value >> 32;
}

static inline uint64_t gpt2i_hash(const unsigned char *bytes, size_t n, uint64_t seed)
{
    uint64_t hash = n + seed;

    for (; n > 8; bytes += 8, n -= 8)
        hash = gpt2i_mix(hash ^ gpt2i_load_le64(bytes), seed);
    if (n >= 4)
        hash ^= gpt2i_load_le32(bytes) | (uint64_t)gpt2i_load_le32(bytes + n - 4) << 32;
    else if (n > 0)
        hash ^= bytes[0] | (uint32_t)bytes[n / 2] << 8 | (uint32_t)bytes[n - 1] << 16;
    return gpt2i_mix(hash, seed);
}

/* The number of slots for n keys: a power of two; at least half of the slots stay empty. */
static inline size_t gpt2i_slots_for(size_t n)
{
    size_t slots = 2;

    while (slots < 2 * n)
        slots *= 2;
    return slots;
}

/* 64 - log2 of a number of slots. */
static inline uint32_t gpt2i_merge_shift(uint64_t n_slots)
{
    uint32_t shift = 64;

    for (; n_slots > 1; n_slots /= 2)
        shift--;
    return shift;
}

static inline uint64_t gpt2i_pair_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << GPT2I_ID_BITS | (uint32_t)right;
}

/* Where the search for a pair begins. */
static inline size_t gpt2i_pair_home(const gpt2_tokenizer *tokenizer, uint64_t key)
{
    return (size_t)(gpt2i_mix(key, tokenizer->seed) >> tokenizer->merge_shift);
}

/* The rank of merging two neighbours; GPT2I_NO_RANK if they are never merged. */
static inline uint32_t gpt2i_merge_rank(const gpt2_tokenizer *tokenizer, int32_t left,
                                        int32_t right)
{
    uint64_t key = gpt2i_pair_key(left, right);
    size_t slot = gpt2i_pair_home(tokenizer, key);

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

/* The token that the whole piece is, or -1.  The table has only tokens that merging would make. */
static inline int32_t gpt2i_find_piece(const gpt2_tokenizer *tokenizer, const unsigned char *piece,
                                       size_t n_bytes)
{
    uint64_t hash = gpt2i_hash(piece, n_bytes, tokenizer->seed);
    size_t at = (size_t)hash & tokenizer->piece_mask;

    for (int probe = 0; probe < GPT2I_PROBES; probe++) {
        struct gpt2i_piece_slot slot = tokenizer->piece_slots[at];

        if (slot.id_plus_1 == 0)
            return -1;
        if (slot.tag == (uint32_t)(hash >> 32)) {
            const uint32_t *offset = &tokenizer->offsets[slot.id_plus_1 - 1];

            if (offset[1] - offset[0] == n_bytes &&
                memcmp(tokenizer->bytes + offset[0], piece, n_bytes) == 0)
                return (int32_t)(slot.id_plus_1 - 1);
        }
        at = (at + 1) & tokenizer->piece_mask;
    }
    return -1;
}

/*
 * Enter one pair or one piece while a tokenizer is filled; false if the search for an empty slot
 * exceeds GPT2I_PROBES.  A pair that is there already takes the new rank, as in Hugging Face.
 */
GPT2I_HIDDEN bool gpt2i_add_merge(gpt2_tokenizer *tokenizer, int32_t left, int32_t right,
                                  uint32_t rank);
GPT2I_HIDDEN bool gpt2i_add_piece(gpt2_tokenizer *tokenizer, int32_t id);

/* What the layout of a tokenizer depends on. */
struct gpt2i_tokenizer_counts {
    size_t n_ids;    /* one more than the largest */
    size_t n_tokens; /* at most n_ids */
    size_t n_bytes;  /* of all tokens */
    size_t n_merges;
    size_t n_added; /* added tokens, and the bytes of their texts */
    size_t n_added_bytes;
};

/* Places an empty tokenizer in the arena; over a NULL arena it only measures, and returns NULL. */
GPT2I_HIDDEN gpt2_tokenizer *gpt2i_tokenizer_layout(struct gpt2i_arena *arena,
                                                    const struct gpt2i_tokenizer_counts *counts);

GPT2I_HIDDEN void gpt2i_tokenizer_free(gpt2_tokenizer *tokenizer);

/* Makes the ids in [n_vocab, n_ids) tokens without bytes. */
GPT2I_HIDDEN void gpt2i_tokenizer_extend(gpt2_tokenizer *tokenizer, int32_t n_ids);

/* The bytes of one token; false for an id outside [0, n_ids). */
GPT2I_HIDDEN bool gpt2i_token_bytes(const gpt2_tokenizer *tokenizer, int32_t id, const char **bytes,
                                    size_t *n_bytes);

#endif
