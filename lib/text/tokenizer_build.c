/*
 * tokenizer_build.c: makes a tokenizer of a dictionary and of merges, whatever file they stand in.
 *
 * A merge names two symbols; each, and what they make together, must be in the dictionary.
 */
#include "tokenizer_build.h"
#include "bpe.h"
#include "unicode.h"

/* ------------------------------------------------------------------------------------ tokens -- */

/*
 * The byte that a character of a symbol stands for, or -1.  GPT-2's alphabet: a byte that is a
 * printable character of Latin-1 is that character; the 68 others are U+0100, U+0101, ... in order.
 */
static int byte_of_character(uint32_t code_point)
{
    if ((code_point >= 0x21 && code_point <= 0x7e) || (code_point >= 0xa1 && code_point <= 0xff))
        return code_point == 0xad ? -1 : (int)code_point;
    if (code_point >= 0x100 && code_point <= 0x120)
        return (int)(code_point - 0x100);
    if (code_point >= 0x121 && code_point <= 0x142)
        return (int)(code_point - 0x121 + 0x7f);
    return code_point == 0x143 ? 0xad : -1;
}

uint32_t gpt2i_character_of_byte(unsigned byte)
{
    if ((byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad))
        return byte;
    if (byte <= 0x20)
        return 0x100 + byte;
    return byte == 0xad ? 0x143 : 0x121 + byte - 0x7f;
}

size_t gpt2i_alphabet_put(char *text, unsigned byte)
{
    uint32_t character = gpt2i_character_of_byte(byte);

    text[0] = character < 0x80 ? (char)character : (char)(0xc0 | character >> 6);
    if (character < 0x80)
        return 1;
    text[1] = (char)(0x80 | (character & 0x3f));
    return 2;
}

size_t gpt2i_bytes_of_symbol(const char *text, size_t length, char *bytes)
{
    size_t n_bytes = 0;

    for (size_t at = 0; at < length;) {
        uint32_t code_point = 0;
        size_t n = gpt2i_utf8_read((const unsigned char *)text + at, length - at, &code_point);
        int byte = n > 0 ? byte_of_character(code_point) : -1;

        if (byte < 0) {
            memcpy(bytes, text, length);
            return length;
        }
        bytes[n_bytes++] = (char)byte;
        at += n;
    }
    return n_bytes;
}

/* The tokens' bytes one after another in order of ids, and the tokens of single bytes. */
static void fill_tokens(gpt2_tokenizer *tokenizer, const struct gpt2i_dictionary *dictionary)
{
    uint32_t used = 0;

    for (size_t id = 0; id < dictionary->n_ids; id++) {
        uint32_t index_plus_1 = dictionary->by_id[id];

        tokenizer->offsets[id] = used;
        if (index_plus_1 != 0) {
            const struct gpt2i_symbol *symbol = &dictionary->symbols[index_plus_1 - 1];

            used += (uint32_t)gpt2i_bytes_of_symbol(dictionary->text + symbol->offset,
                                                    symbol->length, tokenizer->bytes + used);
        }
    }
    tokenizer->offsets[dictionary->n_ids] = used;
    memset(tokenizer->byte_ids, 0xff, sizeof tokenizer->byte_ids); /* -1 */
    for (uint32_t c = 0x21; c <= 0x143; c++) {
        char utf8[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
        int byte = byte_of_character(c);

        if (c < 0x80)
            utf8[0] = (char)c;
        if (byte >= 0)
            tokenizer->byte_ids[byte] =
                gpt2i_dictionary_find_own(dictionary, utf8, c < 0x80 ? 1 : 2);
    }
}

/*
 * Enters the tokens whose bytes are encoded as that one token: a piece that is one of them needs no
 * merging.  The other tokens are not entered: no merge makes them, or another merge comes first.
 * In GPT-2's vocabulary <|endoftext|> is the only one.
 */
static int32_t fill_pieces(gpt2_tokenizer *tokenizer, const char *path, struct gpt2i_error *error)
{
    for (int32_t id = 0; id < tokenizer->n_vocab; id++) {
        const unsigned char *bytes =
            (const unsigned char *)tokenizer->bytes + tokenizer->offsets[id];
        size_t n_bytes = tokenizer->offsets[id + 1] - tokenizer->offsets[id];
        int32_t ids[GPT2I_SHORT_BYTES];

        if (n_bytes == 0 || n_bytes > GPT2I_SHORT_BYTES ||
            gpt2i_bpe_short(tokenizer, bytes, n_bytes, ids) != 1 || ids[0] != id)
            continue;
        if (!gpt2i_add_piece(tokenizer, id))
            return gpt2i_fail_collisions(path, error);
    }
    return GPT2_OK;
}

void gpt2i_tokenizer_mark_added(gpt2_tokenizer *tokenizer)
{
    for (int32_t id = 0; id < tokenizer->n_vocab; id++)
        tokenizer->is_added[id] = tokenizer->offsets[id + 1] > tokenizer->offsets[id];
    for (size_t rank = 0; rank < tokenizer->n_merges; rank++)
        tokenizer->is_added[tokenizer->merge_ids[rank]] = 0;
    for (int byte = 0; byte < 256; byte++) {
        if (tokenizer->byte_ids[byte] >= 0)
            tokenizer->is_added[tokenizer->byte_ids[byte]] = 0;
    }
    if (tokenizer->eot >= 0)
        tokenizer->is_added[tokenizer->eot] = 0;
}

/* ------------------------------------------------------------------------------------ merges -- */

int32_t gpt2i_check_n_merges(const char *path, size_t n_merges, struct gpt2i_error *error)
{
    const size_t max = ((size_t)1 << GPT2I_RANK_BITS) - 2;

    if (n_merges > max)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: has %zu merges, more than the %zu allowed",
                          path, n_merges, max);
    return GPT2_OK;
}

/* The id of a symbol of a merge, or of what the merge makes: merge->text[from .. to]. */
static int32_t merge_symbol(const struct gpt2i_dictionary *dictionary,
                            const struct gpt2i_merge_reader *reader,
                            const struct gpt2i_merge *merge, size_t from, size_t to,
                            const char *role, int32_t *id, struct gpt2i_error *error)
{
    *id = gpt2i_dictionary_find_own(dictionary, merge->text + from, to - from);
    if (*id < 0)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: %s %zu: %s \"%.*s\" is not in %s",
                          reader->path, reader->unit, merge->number, role,
                          gpt2i_shown_length(to - from), merge->text + from, reader->vocab_name);
    return GPT2_OK;
}

static int32_t add_merge(gpt2_tokenizer *tokenizer, const struct gpt2i_dictionary *dictionary,
                         const struct gpt2i_merge_reader *reader, const struct gpt2i_merge *merge,
                         uint32_t rank, struct gpt2i_error *error)
{
    int32_t left_id, right_id;
    int32_t status =
        merge_symbol(dictionary, reader, merge, 0, merge->left_length, "symbol", &left_id, error);

    if (status == GPT2_OK)
        status = merge_symbol(dictionary, reader, merge, merge->left_length, merge->length,
                              "symbol", &right_id, error);
    if (status == GPT2_OK)
        status = merge_symbol(dictionary, reader, merge, 0, merge->length,
                              "the merge makes a symbol that", &tokenizer->merge_ids[rank], error);
    if (status == GPT2_OK && !gpt2i_add_merge(tokenizer, left_id, right_id, rank))
        return gpt2i_fail_collisions(reader->path, error);
    return status;
}

static int32_t fill_merges(gpt2_tokenizer *tokenizer, const struct gpt2i_dictionary *dictionary,
                           struct gpt2i_merge_reader *reader, struct gpt2i_error *error)
{
    struct gpt2i_merge merge;
    uint32_t rank = 0;
    bool found;
    int32_t status = reader->next(reader, &merge, &found, error);

    while (status == GPT2_OK && found) {
        status = add_merge(tokenizer, dictionary, reader, &merge, rank++, error);
        if (status == GPT2_OK)
            status = reader->next(reader, &merge, &found, error);
    }
    tokenizer->n_merges = rank;
    return status;
}

/* --------------------------------------------------------------------------------- tokenizer -- */

static void fill_added(gpt2_tokenizer *tokenizer, const struct gpt2i_added_list *list)
{
    if (list->n_tokens > 0) {
        memcpy(tokenizer->added_tokens, list->tokens, list->n_tokens * sizeof *list->tokens);
        memcpy(tokenizer->added_text, list->text, list->n_bytes);
    }
    gpt2i_added_sets(tokenizer->added, tokenizer->added_text, tokenizer->added_tokens,
                     tokenizer->n_added, tokenizer->added_shorter);
}

int32_t gpt2i_tokenizer_build(const struct gpt2i_tokenizer_parts *parts, gpt2_tokenizer **out,
                              struct gpt2i_error *error)
{
    const struct gpt2i_dictionary *dictionary = parts->dictionary;
    const struct gpt2i_tokenizer_counts counts = {.n_ids = dictionary->n_ids,
                                                  .n_tokens = dictionary->n_symbols,
                                                  .n_bytes = dictionary->text_bytes,
                                                  .n_merges = parts->merges->n_max,
                                                  .n_added = parts->added->n_tokens,
                                                  .n_added_bytes = parts->added->n_bytes};
    struct gpt2i_arena measure = gpt2i_arena_over(NULL), arena;
    gpt2_tokenizer *tokenizer;
    void *block;
    int32_t status;

    (void)gpt2i_tokenizer_layout(&measure, &counts);
    block = measure.overflow ? NULL : gpt2i_block_new(measure.used_bytes);
    if (block == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "no memory for a tokenizer of %zu bytes",
                          measure.used_bytes);
    arena = gpt2i_arena_over(block);
    tokenizer = gpt2i_tokenizer_layout(&arena, &counts);
    tokenizer->block_bytes = measure.used_bytes;
    tokenizer->seed = dictionary->seed;
    tokenizer->cut_rules = parts->cut_rules;
    tokenizer->bos = parts->bos;
    tokenizer->eot = parts->eot;
    fill_tokens(tokenizer, dictionary);
    fill_added(tokenizer, parts->added);
    status = fill_merges(tokenizer, dictionary, parts->merges, error);
    if (status == GPT2_OK)
        status = fill_pieces(tokenizer, dictionary->path, error);
    if (status != GPT2_OK) {
        gpt2i_tokenizer_free(tokenizer);
        return status;
    }
    gpt2i_tokenizer_mark_added(tokenizer);
    *out = tokenizer;
    return GPT2_OK;
}
