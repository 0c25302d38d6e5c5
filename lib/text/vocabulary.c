/*
 * vocabulary.c: the layout of a tokenizer in its one block, and what is entered and found there.
 */
#include "vocabulary.h"

bool gpt2i_add_merge(gpt2_tokenizer *tokenizer, int32_t left, int32_t right, uint32_t rank)
{
    uint64_t key = gpt2i_pair_key(left, right);
    size_t at = gpt2i_pair_home(tokenizer, key);

    for (int probe = 0; probe < GPT2I_PROBES; probe++) {
        uint64_t *slot = &tokenizer->merge_slots[at];

        if (*slot == 0 || *slot >> GPT2I_RANK_BITS == key) {
            *slot = key << GPT2I_RANK_BITS | (rank + 1);
            return true;
        }
        at = (at + 1) & tokenizer->merge_mask;
    }
    return false;
}

bool gpt2i_add_piece(gpt2_tokenizer *tokenizer, int32_t id)
{
    const uint32_t *offset = &tokenizer->offsets[id];
    uint64_t hash = gpt2i_hash((const unsigned char *)tokenizer->bytes + offset[0],
                               offset[1] - offset[0], tokenizer->seed);
    size_t at = (size_t)hash & tokenizer->piece_mask;

    for (int probe = 0; probe < GPT2I_PROBES; probe++) {
        struct gpt2i_piece_slot *slot = &tokenizer->piece_slots[at];

        if (slot->id_plus_1 == 0) {
            slot->tag = (uint32_t)(hash >> 32);
            slot->id_plus_1 = (uint32_t)id + 1;
            return true;
        }
        at = (at + 1) & tokenizer->piece_mask;
    }
    return false;
}

gpt2_tokenizer *gpt2i_tokenizer_layout(struct gpt2i_arena *arena,
                                       const struct gpt2i_tokenizer_counts *counts)
{
    size_t n_merge_slots = gpt2i_slots_for(counts->n_merges);
    size_t n_piece_slots = gpt2i_slots_for(counts->n_tokens);
    gpt2_tokenizer *tokenizer = gpt2i_arena_take(arena, 1, sizeof *tokenizer);
    uint32_t *offsets = gpt2i_arena_take(arena, counts->n_ids + 1, sizeof *offsets);
    char *bytes = gpt2i_arena_take(arena, counts->n_bytes, 1);
    uint8_t *is_added = gpt2i_arena_take(arena, counts->n_ids, 1);
    uint64_t *merge_slots = gpt2i_arena_take(arena, n_merge_slots, sizeof *merge_slots);
    int32_t *merge_ids = gpt2i_arena_take(arena, counts->n_merges, sizeof *merge_ids);
    struct gpt2i_piece_slot *piece_slots =
        gpt2i_arena_take(arena, n_piece_slots, sizeof *piece_slots);
    struct gpt2i_added_token *added_tokens =
        gpt2i_arena_take(arena, counts->n_added, sizeof *added_tokens);
    uint32_t *added_shorter = gpt2i_arena_take(arena, counts->n_added, sizeof *added_shorter);
    char *added_text = gpt2i_arena_take(arena, counts->n_added_bytes, 1);

    if (tokenizer == NULL)
        return NULL;
    tokenizer->n_vocab = tokenizer->n_ids = (int32_t)counts->n_ids;
    tokenizer->offsets = offsets;
    tokenizer->bytes = bytes;
    tokenizer->is_added = is_added;
    tokenizer->merge_slots = merge_slots;
    tokenizer->merge_mask = n_merge_slots - 1;
    tokenizer->merge_shift = gpt2i_merge_shift(n_merge_slots);
    tokenizer->n_merges = counts->n_merges;
    tokenizer->merge_ids = merge_ids;
    tokenizer->piece_slots = piece_slots;
    tokenizer->piece_mask = n_piece_slots - 1;
    tokenizer->added_tokens = added_tokens;
    tokenizer->added_shorter = added_shorter;
    tokenizer->n_added = counts->n_added;
    tokenizer->added_text = added_text;
    tokenizer->n_added_bytes = counts->n_added_bytes;
    return tokenizer;
}

void gpt2i_tokenizer_free(gpt2_tokenizer *tokenizer)
{
    if (tokenizer == NULL)
        return;
    gpt2i_image_free(&tokenizer->image);
    gpt2i_block_free(tokenizer, tokenizer->block_bytes);
}

void gpt2i_tokenizer_extend(gpt2_tokenizer *tokenizer, int32_t n_ids)
{
    if (n_ids > tokenizer->n_ids)
        tokenizer->n_ids = n_ids;
}

bool gpt2i_token_bytes(const gpt2_tokenizer *tokenizer, int32_t id, const char **bytes,
                       size_t *n_bytes)
{
    if (id < 0 || id >= tokenizer->n_ids)
        return false;
    if (id >= tokenizer->n_vocab) {
        *bytes = tokenizer->bytes;
        *n_bytes = 0;
        return true;
    }
    *bytes = tokenizer->bytes + tokenizer->offsets[id];
    *n_bytes = tokenizer->offsets[id + 1] - tokenizer->offsets[id];
    return true;
}
