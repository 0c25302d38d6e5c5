/*
 * tokenizer_native.c: a tokenizer's tables as tensors of a native file.
 *
 * They are used where they lie in the file, so a look-up may meet any bytes there.  What it takes from a
 * table as the index of another one is checked here, once.
 */
#include "tokenizer_native.h"
#include "pretokenize.h"

#include <inttypes.h>

enum {
    MERGE_SLOTS,
    SEED,
    PIECE_SLOTS,
    OFFSETS,
    MERGE_IDS,
    BYTE_IDS,
    EOT,
    BOS,
    CUT_RULES,
    ADDED_TOKENS, /* four numbers each: struct gpt2i_added_token */
    BYTES,
    IS_ADDED,
    ADDED_TEXT
};

static const struct {
    const char *name;
    const char *dtype;
    size_t element_bytes;
} kinds[GPT2I_TOKENIZER_TABLES] = {
    [MERGE_SLOTS] = {"tokenizer.merge_slots", "U64", sizeof(uint64_t)},
    [SEED] = {"tokenizer.seed", "U64", sizeof(uint64_t)},
    [PIECE_SLOTS] = {"tokenizer.piece_slots", "U32", sizeof(uint32_t)},
    [OFFSETS] = {"tokenizer.offsets", "U32", sizeof(uint32_t)},
    [MERGE_IDS] = {"tokenizer.merge_ids", "I32", sizeof(int32_t)},
    [BYTE_IDS] = {"tokenizer.byte_ids", "I32", sizeof(int32_t)},
    [EOT] = {"tokenizer.eot", "I32", sizeof(int32_t)},
    [BOS] = {"tokenizer.bos", "I32", sizeof(int32_t)},
    [CUT_RULES] = {"tokenizer.cut_rules", "U32", sizeof(uint32_t)},
    [ADDED_TOKENS] = {"tokenizer.added_tokens", "U32", sizeof(uint32_t)},
    [BYTES] = {"tokenizer.bytes", "U8", 1},
    [IS_ADDED] = {"tokenizer.is_added", "U8", 1},
    [ADDED_TEXT] = {"tokenizer.added_text", "U8", 1},
};

#define N_BYTE_IDS 256
#define N_NUMBERS  (sizeof(struct gpt2i_added_token) / sizeof(uint32_t))

void gpt2i_tokenizer_tables(const gpt2_tokenizer *tokenizer,
                            struct gpt2i_tokenizer_table tables[GPT2I_TOKENIZER_TABLES])
{
    const size_t n_vocab = (size_t)tokenizer->n_vocab;
    const struct {
        const void *elements;
        uint64_t n_elements;
    } contents[GPT2I_TOKENIZER_TABLES] = {
        [MERGE_SLOTS] = {tokenizer->merge_slots, tokenizer->merge_mask + 1},
        [SEED] = {&tokenizer->seed, 1},
        [PIECE_SLOTS] = {tokenizer->piece_slots, 2 * (tokenizer->piece_mask + 1)},
        [OFFSETS] = {tokenizer->offsets, n_vocab + 1},
        [MERGE_IDS] = {tokenizer->merge_ids, tokenizer->n_merges},
        [BYTE_IDS] = {tokenizer->byte_ids, N_BYTE_IDS},
        [EOT] = {&tokenizer->eot, 1},
        [BYTES] = {tokenizer->bytes, tokenizer->offsets[n_vocab]},
        [IS_ADDED] = {tokenizer->is_added, n_vocab},
        [BOS] = {&tokenizer->bos, 1},
        [CUT_RULES] = {&tokenizer->cut_rules, 1},
        [ADDED_TOKENS] = {tokenizer->added_tokens, N_NUMBERS * tokenizer->n_added},
        [ADDED_TEXT] = {tokenizer->added_text, tokenizer->n_added_bytes},
    };

    for (size_t i = 0; i < GPT2I_TOKENIZER_TABLES; i++) {
        tables[i].name = kinds[i].name;
        tables[i].dtype = kinds[i].dtype;
        tables[i].element_bytes = kinds[i].element_bytes;
        tables[i].elements = contents[i].elements;
        tables[i].n_elements = contents[i].n_elements;
    }
}

/* ----------------------------------------------------------------------------------- reading -- */

static int32_t fail_table(const struct gpt2i_native *native, size_t table, const char *what,
                          uint64_t found, uint64_t max, struct gpt2i_error *error)
{
    return gpt2i_fail(error, GPT2_ERR_FORMAT,
                      "%s: tensor %s: %s: found %" PRIu64 ", wanted at most %" PRIu64,
                      native->tensors.source->path, kinds[table].name, what, found, max);
}

static int32_t check_count(const struct gpt2i_native *native,
                           const struct gpt2i_tokenizer_table *tables, size_t table,
                           uint64_t wanted, struct gpt2i_error *error)
{
    if (tables[table].n_elements == wanted)
        return GPT2_OK;
    return gpt2i_fail(
        error, GPT2_ERR_FORMAT, "%s: tensor %s has %" PRIu64 " elements, wanted %" PRIu64,
        native->tensors.source->path, kinds[table].name, tables[table].n_elements, wanted);
}

/* A table of slots has a power of two of them, 2 or more. */
static int32_t check_slots(const struct gpt2i_native *native,
                           const struct gpt2i_tokenizer_table *tables, size_t table,
                           uint64_t n_slots, struct gpt2i_error *error)
{
    if (n_slots >= 2 && n_slots <= (uint64_t)4 << GPT2I_RANK_BITS && (n_slots & (n_slots - 1)) == 0)
        return GPT2_OK;
    return gpt2i_fail(error, GPT2_ERR_FORMAT,
                      "%s: tensor %s has %" PRIu64 " elements, wanted a power of two of slots",
                      native->tensors.source->path, kinds[table].name, tables[table].n_elements);
}

/* The numbers of elements, which the tokenizer's sizes come from. */
static int32_t check_counts(const struct gpt2i_native *native,
                            const struct gpt2i_tokenizer_table *tables, struct gpt2i_error *error)
{
    uint64_t n_vocab = tables[IS_ADDED].n_elements;
    int32_t status = check_count(native, tables, SEED, 1, error);

    if (status == GPT2_OK)
        status = check_count(native, tables, EOT, 1, error);
    if (status == GPT2_OK)
        status = check_count(native, tables, BOS, 1, error);
    if (status == GPT2_OK)
        status = check_count(native, tables, CUT_RULES, 1, error);
    if (status == GPT2_OK)
        status = check_count(native, tables, ADDED_TOKENS,
                             tables[ADDED_TOKENS].n_elements / N_NUMBERS * N_NUMBERS, error);
    if (status == GPT2_OK && tables[ADDED_TOKENS].n_elements / N_NUMBERS > GPT2I_ADDED_TOKENS)
        status = fail_table(native, ADDED_TOKENS, "elements", tables[ADDED_TOKENS].n_elements,
                            N_NUMBERS * GPT2I_ADDED_TOKENS, error);
    if (status == GPT2_OK)
        status = check_count(native, tables, BYTE_IDS, N_BYTE_IDS, error);
    if (status == GPT2_OK)
        status = check_count(native, tables, OFFSETS, n_vocab + 1, error);
    if (status == GPT2_OK && (n_vocab < 1 || n_vocab > 1u << GPT2I_ID_BITS))
        status = gpt2i_fail(error, GPT2_ERR_FORMAT,
                            "%s: the tokenizer has %" PRIu64 " ids, wanted 1 to %u",
                            native->tensors.source->path, n_vocab, 1u << GPT2I_ID_BITS);
    if (status == GPT2_OK)
        status = check_slots(native, tables, MERGE_SLOTS, tables[MERGE_SLOTS].n_elements, error);
    if (status == GPT2_OK)
        status =
            check_slots(native, tables, PIECE_SLOTS, tables[PIECE_SLOTS].n_elements / 2, error);
    return status == GPT2_OK ? check_count(native, tables, PIECE_SLOTS,
                                           tables[PIECE_SLOTS].n_elements / 2 * 2, error)
                             : status;
}

/* Ids in [min, n_vocab). */
static int32_t check_table_ids(const struct gpt2i_native *native, size_t table, const int32_t *ids,
                               uint64_t n_ids, int32_t min, int32_t n_vocab,
                               struct gpt2i_error *error)
{
    for (uint64_t i = 0; i < n_ids; i++) {
        if (ids[i] < min || ids[i] >= n_vocab)
            return gpt2i_fail(
                error, GPT2_ERR_FORMAT,
                "%s: tensor %s: an id: found %" PRId32 ", wanted %" PRId32 " to %" PRId32,
                native->tensors.source->path, kinds[table].name, ids[i], min, n_vocab - 1);
    }
    return GPT2_OK;
}

/* Every added token has a text, an id and known flags, and they are in order. */
static int32_t check_added(const struct gpt2i_native *native, const gpt2_tokenizer *tokenizer,
                           struct gpt2i_error *error)
{
    const struct gpt2i_added_token *tokens = tokenizer->added_tokens;

    if ((tokenizer->cut_rules & ~GPT2I_CUT_RULES) != 0)
        return fail_table(native, CUT_RULES, "rules", tokenizer->cut_rules, GPT2I_CUT_RULES, error);
    if ((tokenizer->cut_rules & GPT2I_CUT_PREFIX) != 0 &&
        (tokenizer->cut_rules & GPT2I_CUT_DIGITS) != 0)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: tensor %s: found a prefix together with digits, which no tokenizer "
                          "has",
                          native->tensors.source->path, kinds[CUT_RULES].name);
    for (size_t i = 0; i < tokenizer->n_added; i++) {
        if (tokens[i].length < 1 || tokens[i].length > GPT2I_ADDED_BYTES)
            return fail_table(native, ADDED_TOKENS, "a length", tokens[i].length, GPT2I_ADDED_BYTES,
                              error);
        if (tokens[i].length > tokenizer->n_added_bytes ||
            tokens[i].offset > tokenizer->n_added_bytes - tokens[i].length)
            return fail_table(native, ADDED_TOKENS, "an offset", tokens[i].offset,
                              tokenizer->n_added_bytes, error);
        if (tokens[i].id < 0 || tokens[i].id >= tokenizer->n_vocab)
            return fail_table(native, ADDED_TOKENS, "an id", (uint32_t)tokens[i].id,
                              (uint32_t)tokenizer->n_vocab - 1, error);
        if ((tokens[i].flags & ~GPT2I_ADDED_FLAGS) != 0)
            return fail_table(native, ADDED_TOKENS, "flags", tokens[i].flags, GPT2I_ADDED_FLAGS,
                              error);
        if (i > 0 && gpt2i_added_compare(tokenizer->added_text, &tokens[i - 1], &tokens[i]) >= 0)
            return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: tensor %s is not in order",
                              native->tensors.source->path, kinds[ADDED_TOKENS].name);
    }
    return GPT2_OK;
}

/* Every index that a look-up takes from a table is inside of the other, and every truth is 0 or 1. */
static int32_t check_contents(const struct gpt2i_native *native, const gpt2_tokenizer *tokenizer,
                              uint64_t n_bytes, struct gpt2i_error *error)
{
    const uint32_t rank_mask = (1u << GPT2I_RANK_BITS) - 1;
    const uint32_t id_mask = (1u << GPT2I_ID_BITS) - 1;
    const int32_t n_vocab = tokenizer->n_vocab;
    int32_t status;

    if (tokenizer->offsets[n_vocab] != n_bytes)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: tensor %s has %" PRIu64 " elements, the last offset wants %" PRIu32,
                          native->tensors.source->path, kinds[BYTES].name, n_bytes,
                          tokenizer->offsets[n_vocab]);
    for (int32_t id = 0; id < n_vocab; id++) {
        if (tokenizer->offsets[id] > tokenizer->offsets[id + 1])
            return fail_table(native, OFFSETS, "an offset", tokenizer->offsets[id],
                              tokenizer->offsets[id + 1], error);
    }
    for (size_t i = 0; i <= tokenizer->merge_mask; i++) {
        uint32_t rank_plus_1 = (uint32_t)tokenizer->merge_slots[i] & rank_mask;

        uint64_t pair = tokenizer->merge_slots[i] >> GPT2I_RANK_BITS;

        if (rank_plus_1 > tokenizer->n_merges)
            return fail_table(native, MERGE_SLOTS, "a rank", rank_plus_1, tokenizer->n_merges,
                              error);
        if (tokenizer->merge_slots[i] != 0 &&
            ((pair >> GPT2I_ID_BITS) >= (uint64_t)n_vocab || (pair & id_mask) >= (uint64_t)n_vocab))
            return fail_table(native, MERGE_SLOTS, "an id",
                              (uint32_t)gpt2i_max(pair >> GPT2I_ID_BITS, pair & id_mask),
                              (uint32_t)n_vocab - 1, error);
    }
    for (size_t i = 0; i <= tokenizer->piece_mask; i++) {
        uint32_t id_plus_1 = tokenizer->piece_slots[i].id_plus_1;

        if (id_plus_1 > (uint32_t)n_vocab)
            return fail_table(native, PIECE_SLOTS, "an id", id_plus_1 - 1, (uint32_t)n_vocab - 1,
                              error);
    }
    for (int32_t id = 0; id < n_vocab; id++) {
        if (tokenizer->is_added[id] > 1)
            return fail_table(native, IS_ADDED, "a truth", tokenizer->is_added[id], 1, error);
    }
    status = check_table_ids(native, MERGE_IDS, tokenizer->merge_ids, tokenizer->n_merges, 0,
                             n_vocab, error);
    if (status == GPT2_OK)
        status =
            check_table_ids(native, BYTE_IDS, tokenizer->byte_ids, N_BYTE_IDS, -1, n_vocab, error);
    if (status == GPT2_OK)
        status = check_table_ids(native, EOT, &tokenizer->eot, 1, -1, n_vocab, error);
    if (status == GPT2_OK)
        status = check_table_ids(native, BOS, &tokenizer->bos, 1, -1, n_vocab, error);
    return status == GPT2_OK ? check_added(native, tokenizer, error) : status;
}

/* Makes a tokenizer of tables whose counts have been checked. */
static void use_tables(gpt2_tokenizer *tokenizer, const struct gpt2i_tokenizer_table *tables)
{
    const uint64_t *seed = tables[SEED].elements;
    const int32_t *eot = tables[EOT].elements, *bos = tables[BOS].elements;
    const uint32_t *cut_rules = tables[CUT_RULES].elements;
    uint64_t n_merge_slots = tables[MERGE_SLOTS].n_elements;

    tokenizer->n_vocab = tokenizer->n_ids = (int32_t)tables[IS_ADDED].n_elements;
    tokenizer->eot = *eot;
    tokenizer->bos = *bos;
    tokenizer->cut_rules = *cut_rules;
    tokenizer->added_tokens = (struct gpt2i_added_token *)tables[ADDED_TOKENS].elements;
    tokenizer->n_added = (size_t)tables[ADDED_TOKENS].n_elements / N_NUMBERS;
    tokenizer->added_text = (char *)tables[ADDED_TEXT].elements;
    tokenizer->n_added_bytes = (size_t)tables[ADDED_TEXT].n_elements;
    tokenizer->seed = *seed;
    memcpy(tokenizer->byte_ids, tables[BYTE_IDS].elements, sizeof tokenizer->byte_ids);
    tokenizer->offsets = (uint32_t *)tables[OFFSETS].elements;
    tokenizer->bytes = (char *)tables[BYTES].elements;
    tokenizer->is_added = (uint8_t *)tables[IS_ADDED].elements;
    tokenizer->merge_slots = (uint64_t *)tables[MERGE_SLOTS].elements;
    tokenizer->merge_ids = (int32_t *)tables[MERGE_IDS].elements;
    tokenizer->n_merges = (size_t)tables[MERGE_IDS].n_elements;
    tokenizer->piece_slots = (struct gpt2i_piece_slot *)tables[PIECE_SLOTS].elements;
    tokenizer->merge_mask = (size_t)n_merge_slots - 1;
    tokenizer->merge_shift = gpt2i_merge_shift(n_merge_slots);
    tokenizer->piece_mask = (size_t)tables[PIECE_SLOTS].n_elements / 2 - 1;
}

/* A table is in the directory, which alone is read for a tokenizer without a model. */
static int32_t find_table(const struct gpt2i_native *native, size_t i,
                          struct gpt2i_tokenizer_table *table, struct gpt2i_error *error)
{
    int32_t status =
        gpt2i_native_find(native, kinds[i].name, kinds[i].dtype, kinds[i].element_bytes,
                          &table->elements, &table->n_elements, error);
    uint64_t begin;

    if (status != GPT2_OK)
        return status;
    begin = (uint64_t)((const unsigned char *)table->elements - native->image.bytes);
    if (begin + table->n_elements * kinds[i].element_bytes > native->directory_bytes)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: tensor %s begins at byte %" PRIu64
                          ", wanted a place in the directory, which has %" PRIu64 " bytes",
                          native->tensors.source->path, kinds[i].name, begin,
                          native->directory_bytes);
    return GPT2_OK;
}

int32_t gpt2i_tokenizer_of_native(gpt2_tokenizer **out, const struct gpt2i_native *native,
                                  struct gpt2i_error *error)
{
    struct gpt2i_tokenizer_table tables[GPT2I_TOKENIZER_TABLES];
    gpt2_tokenizer *tokenizer;
    size_t block_bytes;
    int32_t status = GPT2_OK;

    *out = NULL;
    if (gpt2i_tensors_find(&native->tensors, kinds[0].name) == NULL)
        return GPT2_OK;
    for (size_t i = 0; i < GPT2I_TOKENIZER_TABLES && status == GPT2_OK; i++)
        status = find_table(native, i, &tables[i], error);
    if (status == GPT2_OK)
        status = check_counts(native, tables, error);
    if (status != GPT2_OK)
        return status;
    block_bytes =
        sizeof *tokenizer + (size_t)tables[ADDED_TOKENS].n_elements / N_NUMBERS * sizeof(uint32_t);
    tokenizer = gpt2i_block_new(block_bytes);
    if (tokenizer == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "no memory for a tokenizer of %zu bytes",
                          block_bytes);
    tokenizer->block_bytes = block_bytes;
    tokenizer->added_shorter = (uint32_t *)(tokenizer + 1);
    use_tables(tokenizer, tables);
    status = check_contents(native, tokenizer, tables[BYTES].n_elements, error);
    if (status != GPT2_OK) {
        gpt2i_tokenizer_free(tokenizer);
        return status;
    }
    gpt2i_added_sets(tokenizer->added, tokenizer->added_text, tokenizer->added_tokens,
                     tokenizer->n_added, tokenizer->added_shorter);
    *out = tokenizer;
    return GPT2_OK;
}

int32_t gpt2i_tokenizer_read_native(gpt2_tokenizer **tokenizer, const struct gpt2i_files *files,
                                    struct gpt2i_error *error)
{
    struct gpt2i_native native;
    int32_t status = gpt2i_native_open(&native, files, GPT2I_FILE_DIRECTORY, NULL, NULL, error);

    *tokenizer = NULL;
    if (status == GPT2_OK)
        status = gpt2i_tokenizer_of_native(tokenizer, &native, error);
    if (status == GPT2_OK && *tokenizer == NULL)
        status =
            gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: has no tokenizer", native.tensors.source->path);
    if (status == GPT2_OK)
        (*tokenizer)->image = gpt2i_native_take(&native);
    gpt2i_native_close(&native);
    return status;
}
