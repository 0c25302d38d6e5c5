/*
 * tokenizer_load.c: reads vocab.json and merges.txt into a tokenizer.
 *
 * vocab.json becomes a dictionary, which is needed only while loading.  merges.txt names pairs of
 * symbols, the earliest merge first; each symbol, and what the pair makes, must be in the dictionary.
 */
#include "tokenizer_load.h"
#include "bpe.h"
#include "dictionary.h"
#include "unicode.h"

#define OTHER_NAME     "tokenizer.json"
#define MAX_FILE_BYTES ((uint64_t)64 << 20) /* of each of them; GPT-2's have 1 and 0.5 MB */
#define MAX_MERGES     (((size_t)1 << GPT2I_RANK_BITS) - 2)

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

/*
 * Writes the bytes that a symbol stands for and returns how many there are; never more than 'length'.
 * A symbol with a character outside the alphabet, such as an added token, stands for its own UTF-8,
 * as in Hugging Face's decoder.
 */
static size_t bytes_of_symbol(const char *text, size_t length, char *bytes)
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

            used += (uint32_t)bytes_of_symbol(dictionary->text + symbol->offset, symbol->length,
                                              tokenizer->bytes + used);
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
            tokenizer->byte_ids[byte] = gpt2i_dictionary_find(dictionary, utf8, c < 0x80 ? 1 : 2);
    }
    tokenizer->eot = gpt2i_dictionary_find(dictionary, GPT2I_EOT_TEXT, GPT2I_EOT_BYTES);
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

/* Marks the tokens that are no single byte, that no merge makes, and that are not <|endoftext|>. */
static void fill_is_added(gpt2_tokenizer *tokenizer, size_t n_merges)
{
    for (int32_t id = 0; id < tokenizer->n_vocab; id++)
        tokenizer->is_added[id] = tokenizer->offsets[id + 1] > tokenizer->offsets[id];
    for (size_t rank = 0; rank < n_merges; rank++)
        tokenizer->is_added[tokenizer->merge_ids[rank]] = 0;
    for (int byte = 0; byte < 256; byte++) {
        if (tokenizer->byte_ids[byte] >= 0)
            tokenizer->is_added[tokenizer->byte_ids[byte]] = 0;
    }
    if (tokenizer->eot >= 0)
        tokenizer->is_added[tokenizer->eot] = 0;
}

/* ------------------------------------------------------------------------------------ merges -- */

struct merge_line {
    char *text;
    size_t length;
    size_t number; /* from 1 */
};

/* The next merge from '*at' on; false at the end.  As in Hugging Face's reader, lines end with \n or
   \r\n, and lines that begin with #version are skipped. */
static bool next_line(const struct gpt2i_text *file, size_t *at, struct merge_line *line)
{
    static const char version[] = "#version";

    while (*at < file->n_bytes) {
        char *begin = file->text + *at;
        char *end = memchr(begin, '\n', file->n_bytes - *at);

        line->text = begin;
        line->length = end == NULL ? file->n_bytes - *at : (size_t)(end - begin);
        line->number++;
        *at += line->length + (end != NULL);
        if (end != NULL && end > begin && end[-1] == '\r')
            line->length--;
        if (line->length < sizeof version - 1 || memcmp(begin, version, sizeof version - 1) != 0)
            return true;
    }
    return false;
}

static int32_t count_merges(const struct gpt2i_text *file, size_t *n_merges,
                            struct gpt2i_error *error)
{
    struct merge_line line = {.number = 0};
    size_t n = 0;

    *n_merges = 0;
    for (size_t at = 0; next_line(file, &at, &line);)
        n++;
    if (n > MAX_MERGES)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: has %zu merges, more than the %zu allowed",
                          file->source->path, n, MAX_MERGES);
    *n_merges = n;
    return GPT2_OK;
}

/* The id of a symbol of a merge, or of what the merge makes. */
static int32_t merge_symbol(const struct gpt2i_dictionary *dictionary, const char *path,
                            const struct merge_line *line, const char *text, size_t length,
                            const char *role, int32_t *id, struct gpt2i_error *error)
{
    *id = gpt2i_dictionary_find(dictionary, text, length);
    if (*id < 0)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: line %zu: %s \"%.*s\" is not in vocab.json",
                          path, line->number, role, gpt2i_shown_length(length), text);
    return GPT2_OK;
}

/* Enters all merges.  Joins the two symbols of each line in the file's text. */
static int32_t fill_merges(gpt2_tokenizer *tokenizer, const struct gpt2i_dictionary *dictionary,
                           const struct gpt2i_text *file, struct gpt2i_error *error)
{
    const char *path = file->source->path;
    struct merge_line line = {.number = 0};
    uint32_t rank = 0;

    for (size_t at = 0; next_line(file, &at, &line); rank++) {
        char *space = memchr(line.text, ' ', line.length);
        char *right = space == NULL ? NULL : space + 1;
        size_t left_length, right_length;
        int32_t left_id, right_id, status;

        if (right == NULL || memchr(right, ' ', (size_t)(line.text + line.length - right)) != NULL)
            return gpt2i_fail(error, GPT2_ERR_FORMAT,
                              "%s: line %zu: found \"%.*s\", wanted two symbols and one space",
                              path, line.number, gpt2i_shown_length(line.length), line.text);
        left_length = (size_t)(space - line.text);
        right_length = line.length - left_length - 1;
        status = merge_symbol(dictionary, path, &line, line.text, left_length, "symbol", &left_id,
                              error);
        if (status == GPT2_OK)
            status = merge_symbol(dictionary, path, &line, right, right_length, "symbol", &right_id,
                                  error);
        if (status != GPT2_OK)
            return status;
        memmove(space, right, right_length);
        status = merge_symbol(dictionary, path, &line, line.text, left_length + right_length,
                              "the merge makes a symbol that", &tokenizer->merge_ids[rank], error);
        if (status != GPT2_OK)
            return status;
        if (!gpt2i_add_merge(tokenizer, left_id, right_id, rank))
            return gpt2i_fail_collisions(path, error);
    }
    return GPT2_OK;
}

/* --------------------------------------------------------------------------------- tokenizer -- */

/* Makes the tokenizer of a dictionary and merges.txt. */
static int32_t build(const struct gpt2i_dictionary *dictionary, const struct gpt2i_text *merges,
                     gpt2_tokenizer **out, struct gpt2i_error *error)
{
    struct gpt2i_tokenizer_counts counts = {.n_ids = dictionary->n_ids,
                                            .n_tokens = dictionary->n_symbols,
                                            .n_bytes = dictionary->text_bytes};
    struct gpt2i_arena measure = gpt2i_arena_over(NULL), arena;
    gpt2_tokenizer *tokenizer;
    void *block;
    int32_t status = count_merges(merges, &counts.n_merges, error);

    if (status != GPT2_OK)
        return status;
    (void)gpt2i_tokenizer_layout(&measure, &counts);
    block = measure.overflow ? NULL : gpt2i_block_new(measure.used_bytes);
    if (block == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "no memory for a tokenizer of %zu bytes",
                          measure.used_bytes);
    arena = gpt2i_arena_over(block);
    tokenizer = gpt2i_tokenizer_layout(&arena, &counts);
    tokenizer->block_bytes = measure.used_bytes;
    tokenizer->seed = dictionary->seed;
    fill_tokens(tokenizer, dictionary);
    status = fill_merges(tokenizer, dictionary, merges, error);
    if (status == GPT2_OK)
        status = fill_pieces(tokenizer, dictionary->path, error);
    if (status != GPT2_OK) {
        gpt2i_tokenizer_free(tokenizer);
        return status;
    }
    fill_is_added(tokenizer, counts.n_merges);
    *out = tokenizer;
    return GPT2_OK;
}

/* The seed of all hashes: odd, and different if any byte of the files is. */
static uint64_t seed_of(const struct gpt2i_text *vocab, const struct gpt2i_text *merges)
{
    uint64_t seed = gpt2i_hash((const unsigned char *)vocab->text, vocab->n_bytes, 1) | 1;

    return gpt2i_hash((const unsigned char *)merges->text, merges->n_bytes, seed) | 1;
}

static int32_t read_both(const struct gpt2i_text *vocab, const struct gpt2i_text *merges,
                         gpt2_tokenizer **tokenizer, struct gpt2i_error *error)
{
    struct gpt2i_dictionary dictionary;
    int32_t status = gpt2i_dictionary_read(&dictionary, vocab->text, vocab->n_bytes,
                                           vocab->source->path, seed_of(vocab, merges), error);

    if (status == GPT2_OK)
        status = build(&dictionary, merges, tokenizer, error);
    gpt2i_dictionary_free(&dictionary);
    return status;
}

int32_t gpt2i_tokenizer_present(const struct gpt2i_files *files, bool *present,
                                struct gpt2i_error *error)
{
    int32_t status = gpt2i_source_exists(files, GPT2I_VOCAB_NAME, present, error);

    return status == GPT2_OK && *present
               ? gpt2i_source_exists(files, GPT2I_MERGES_NAME, present, error)
               : status;
}

/* Fails where there is something else in the place of the two files, and names it. */
static int32_t check_present(const struct gpt2i_files *files, struct gpt2i_error *error)
{
    bool exists;
    int32_t status = gpt2i_tokenizer_present(files, &exists, error);

    if (status != GPT2_OK || exists)
        return status;
    status = gpt2i_source_exists(files, OTHER_NAME, &exists, error);
    if (status != GPT2_OK || !exists)
        return status;
    return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                      "%s: " GPT2I_VOCAB_NAME " or " GPT2I_MERGES_NAME " is missing; " OTHER_NAME
                      " is there, which libgpt2 %s cannot read",
                      files->directory, GPT2I_VERSION);
}

int32_t gpt2i_tokenizer_read(const struct gpt2i_files *files, gpt2_tokenizer **tokenizer,
                             struct gpt2i_error *error)
{
    struct gpt2i_text vocab, merges;
    int32_t status;

    *tokenizer = NULL;
    status = check_present(files, error);
    if (status != GPT2_OK)
        return status;
    status = gpt2i_text_read(&vocab, files, GPT2I_VOCAB_NAME, MAX_FILE_BYTES, error);
    if (status != GPT2_OK)
        return status;
    status = gpt2i_text_read(&merges, files, GPT2I_MERGES_NAME, MAX_FILE_BYTES, error);
    if (status == GPT2_OK)
        status = read_both(&vocab, &merges, tokenizer, error);
    gpt2i_text_free(&merges);
    gpt2i_text_free(&vocab);
    return status;
}
