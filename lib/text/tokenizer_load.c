/*
 * tokenizer_load.c: finds the files of a tokenizer, and reads vocab.json with merges.txt.
 *
 * vocab.json becomes a dictionary, which is needed only while loading.  merges.txt names pairs of
 * symbols, the earliest merge first.
 */
#include "tokenizer_load.h"
#include "../formats/json.h"
#include "pretokenize.h"
#include "special_files.h"
#include "tokenizer_build.h"
#include "tokenizer_json.h"
#include "tokenizer_tiktoken.h"

/* ------------------------------------------------------------------------------------ merges -- */

struct merge_lines {
    struct gpt2i_merge_reader reader;
    char *text;
    size_t n_bytes;
    size_t at;
    size_t number; /* of the line before 'at', from 1 */
};

struct merge_line {
    char *text;
    size_t length;
};

/* The next merge from 'at' on; false at the end.  As in Hugging Face's reader, lines end with \n or
   \r\n, and lines that begin with #version are skipped. */
static bool next_line(struct merge_lines *lines, struct merge_line *line)
{
    static const char version[] = "#version";

    while (lines->at < lines->n_bytes) {
        char *begin = lines->text + lines->at;
        char *end = memchr(begin, '\n', lines->n_bytes - lines->at);

        line->text = begin;
        line->length = end == NULL ? lines->n_bytes - lines->at : (size_t)(end - begin);
        lines->number++;
        lines->at += line->length + (end != NULL);
        if (end != NULL && end > begin && end[-1] == '\r')
            line->length--;
        if (line->length < sizeof version - 1 || memcmp(begin, version, sizeof version - 1) != 0)
            return true;
    }
    return false;
}

/* Joins the two symbols of a line in the file's text. */
static int32_t next_merge(struct gpt2i_merge_reader *reader, struct gpt2i_merge *merge, bool *found,
                          struct gpt2i_error *error)
{
    struct merge_lines *lines = (struct merge_lines *)reader;
    struct merge_line line;
    char *space, *right;
    size_t right_length;

    *found = next_line(lines, &line);
    if (!*found)
        return GPT2_OK;
    space = memchr(line.text, ' ', line.length);
    right = space == NULL ? NULL : space + 1;
    if (right == NULL || memchr(right, ' ', (size_t)(line.text + line.length - right)) != NULL)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: line %zu: found \"%.*s\", wanted two symbols and one space",
                          reader->path, lines->number, gpt2i_shown_length(line.length), line.text);
    right_length = (size_t)(line.text + line.length - right);
    memmove(space, right, right_length);
    merge->text = line.text;
    merge->left_length = (size_t)(space - line.text);
    merge->length = merge->left_length + right_length;
    merge->number = lines->number;
    return GPT2_OK;
}

static size_t count_merges(struct merge_lines lines)
{
    struct merge_line line;
    size_t n = 0;

    while (next_line(&lines, &line))
        n++;
    return n;
}

/* -------------------------------------------------------------------------- the pair of files -- */

/* The seed of all hashes: odd, and different if any byte of the files is. */
static uint64_t seed_of(const struct gpt2i_text *vocab, const struct gpt2i_text *merges)
{
    uint64_t seed = gpt2i_hash((const unsigned char *)vocab->text, vocab->n_bytes, 1) | 1;

    return gpt2i_hash((const unsigned char *)merges->text, merges->n_bytes, seed) | 1;
}

static int32_t read_vocab(struct gpt2i_dictionary *dictionary, const struct gpt2i_text *vocab,
                          const struct gpt2i_added_list *added, uint64_t seed,
                          struct gpt2i_error *error)
{
    struct gpt2i_json json;
    struct gpt2i_json_event end;
    int32_t status;

    gpt2i_json_begin(&json, vocab->text, vocab->n_bytes, vocab->source->path);
    status = gpt2i_dictionary_read(dictionary, &json, added->n_tokens, added->n_bytes, seed, error);
    return status == GPT2_OK ? gpt2i_json_next(&json, &end, error) : status;
}

static int32_t read_both(const struct gpt2i_text *vocab, const struct gpt2i_text *merges,
                         const struct gpt2i_special_files *special, struct gpt2i_added_list *added,
                         gpt2_tokenizer **tokenizer, struct gpt2i_error *error)
{
    struct merge_lines lines = {.reader = {.path = merges->source->path,
                                           .unit = "line",
                                           .vocab_name = GPT2I_VOCAB_NAME,
                                           .next = next_merge},
                                .text = merges->text,
                                .n_bytes = merges->n_bytes};
    struct gpt2i_dictionary dictionary;
    struct gpt2i_tokenizer_parts parts = {.dictionary = &dictionary,
                                          .merges = &lines.reader,
                                          .added = added,
                                          .cut_rules = GPT2I_CUT_PATTERN};
    int32_t status = read_vocab(&dictionary, vocab, added, seed_of(vocab, merges), error);

    lines.reader.n_max = count_merges(lines);
    if (status == GPT2_OK)
        status = gpt2i_check_n_merges(lines.reader.path, lines.reader.n_max, error);
    if (status == GPT2_OK)
        status = gpt2i_added_list_resolve(added, &dictionary, error);
    if (status == GPT2_OK) {
        parts.cut_rules |= special->add_prefix_space ? GPT2I_CUT_PREFIX : 0;
        parts.bos = gpt2i_special_id(special, GPT2I_WORD_BOS, &dictionary);
        parts.eot = gpt2i_special_id(special, GPT2I_WORD_EOS, &dictionary);
        status = gpt2i_tokenizer_build(&parts, tokenizer, error);
    }
    gpt2i_dictionary_free(&dictionary);
    return status;
}

static int32_t read_more(const struct gpt2i_files *files, const struct gpt2i_text *vocab,
                         const struct gpt2i_text *merges, gpt2_tokenizer **tokenizer,
                         struct gpt2i_error *error)
{
    struct gpt2i_special_files special;
    struct gpt2i_added_list added = {.path = vocab->source->path};
    int32_t status = gpt2i_special_read(&special, files, error);

    if (status == GPT2_OK)
        status = gpt2i_special_list(&special, false, &added, error);
    if (status == GPT2_OK)
        status = read_both(vocab, merges, &special, &added, tokenizer, error);
    gpt2i_added_list_free(&added);
    gpt2i_special_free(&special);
    return status;
}

static int32_t read_pair(const struct gpt2i_files *files, gpt2_tokenizer **tokenizer,
                         struct gpt2i_error *error)
{
    struct gpt2i_text vocab, merges;
    int32_t status =
        gpt2i_text_read(&vocab, files, GPT2I_VOCAB_NAME, GPT2I_MAX_TOKENIZER_FILE_BYTES, error);

    if (status != GPT2_OK)
        return status;
    status =
        gpt2i_text_read(&merges, files, GPT2I_MERGES_NAME, GPT2I_MAX_TOKENIZER_FILE_BYTES, error);
    if (status == GPT2_OK)
        status = read_more(files, &vocab, &merges, tokenizer, error);
    gpt2i_text_free(&merges);
    gpt2i_text_free(&vocab);
    return status;
}

/* ------------------------------------------------------------------------------------ choice -- */

/* The reader of the files that are there, NULL if there are none.  tokenizer.json comes first, as in
   Hugging Face. */
typedef int32_t read_tokenizer(const struct gpt2i_files *files, gpt2_tokenizer **tokenizer,
                               struct gpt2i_error *error);

static int32_t find_files(const struct gpt2i_files *files, read_tokenizer **read,
                          struct gpt2i_error *error)
{
    static const struct {
        const char *name, *more; /* NULL: it is one file */
        read_tokenizer *read;
    } choices[] = {{GPT2I_TOKENIZER_NAME, NULL, gpt2i_tokenizer_read_json},
                   {GPT2I_VOCAB_NAME, GPT2I_MERGES_NAME, read_pair},
                   {GPT2I_TIKTOKEN_NAME, NULL, gpt2i_tokenizer_read_tiktoken}};

    *read = NULL;
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        bool exists;
        int32_t status = gpt2i_source_exists(files, choices[i].name, &exists, error);

        if (status == GPT2_OK && exists && choices[i].more != NULL)
            status = gpt2i_source_exists(files, choices[i].more, &exists, error);
        if (status != GPT2_OK)
            return status;
        if (exists) {
            *read = choices[i].read;
            return GPT2_OK;
        }
    }
    return GPT2_OK;
}

int32_t gpt2i_tokenizer_present(const struct gpt2i_files *files, bool *present,
                                struct gpt2i_error *error)
{
    read_tokenizer *read;
    int32_t status = find_files(files, &read, error);

    *present = status == GPT2_OK && read != NULL;
    return status;
}

int32_t gpt2i_tokenizer_read(const struct gpt2i_files *files, gpt2_tokenizer **tokenizer,
                             struct gpt2i_error *error)
{
    read_tokenizer *read;
    int32_t status = find_files(files, &read, error);

    *tokenizer = NULL;
    if (status != GPT2_OK)
        return status;
    if (read == NULL)
        read = read_pair; /* to open them gives the error */
    return read(files, tokenizer, error);
}
