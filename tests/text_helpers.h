/*
 * text_helpers.h: what test_text.c, test_text_api.c and test_vocab.c share: tokenizers from folders
 * and from texts written here, and encoding that checks what must hold for every text.  Whoever
 * includes this has defined DIRECTORY, a folder of its own.
 */
#ifndef TEXT_HELPERS_H
#define TEXT_HELPERS_H

#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "gpt2.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define DEMO         "examples/demo-model"
#define EOT          "<|endoftext|>"
#define MILLION      1000000

static char line[512]; /* of the last load that failed */

/* ----------------------------------------------------------------------------------- helpers -- */

static uint64_t random_state = 20201;

/* splitmix64: the same numbers everywhere */
static inline uint32_t random_below(uint32_t n)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (uint32_t)((z >> 32) * n >> 32);
}

static inline int make_directory(void **state)
{
    (void)state;
    (void)mkdir(TESTS_TMP, 0777);
    (void)mkdir(DIRECTORY, 0777);
    return access(DIRECTORY, W_OK);
}

static inline int remove_directory(void **state)
{
    (void)state;
    (void)unlink(DIRECTORY "/vocab.json");
    (void)unlink(DIRECTORY "/merges.txt");
    (void)rmdir(DIRECTORY);
    return 0;
}

/* Writes a file of DIRECTORY; NULL: takes it away. */
static inline void put_file(const char *path, const char *text, size_t n_bytes)
{
    FILE *file;

    (void)unlink(path);
    if (text == NULL)
        return;
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
}

static inline void put_vocabulary(const char *vocab, const char *merges)
{
    put_file(DIRECTORY "/vocab.json", vocab, vocab == NULL ? 0 : strlen(vocab));
    put_file(DIRECTORY "/merges.txt", merges, merges == NULL ? 0 : strlen(merges));
}

/* A whole file with a NUL behind it, to be freed; NULL if there is none. */
static inline char *get_file(const char *directory, const char *name, size_t *n_bytes)
{
    char path[2048];
    FILE *file;
    char *text;
    long size;

    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    text = malloc((size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    text[size] = '\0';
    *n_bytes = (size_t)size;
    (void)fclose(file);
    return text;
}

static inline int32_t load(const char *directory, gpt2_tokenizer **tokenizer)
{
    gpt2_tokenizer_params params;

    assert_int_equal(gpt2_tokenizer_params_init(&params, sizeof params), GPT2_OK);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    return gpt2_tokenizer_load(directory, &params, tokenizer);
}

/* A tokenizer with an encoder for pieces of up to a million bytes and some. */
struct pair {
    gpt2_tokenizer *tokenizer;
    gpt2_encoder *encoder;
};

static inline struct pair open_pair(const char *directory)
{
    struct pair pair = {NULL, NULL};
    gpt2_encoder_params params;

    if (load(directory, &pair.tokenizer) != GPT2_OK)
        fail_msg("%s: %s", directory, line);
    assert_string_equal(line, "");
    assert_int_equal(gpt2_encoder_params_init(&params, sizeof params), GPT2_OK);
    params.max_piece_bytes = MILLION + 100;
    assert_int_equal(gpt2_encoder_create(pair.tokenizer, &params, &pair.encoder), GPT2_OK);
    return pair;
}

static inline void close_pair(struct pair pair)
{
    gpt2_encoder_free(pair.encoder);
    gpt2_tokenizer_free(pair.tokenizer);
}

/* The length of the character at the beginning of text[n_bytes]: Unicode, table 3-7; else 1. */
static inline size_t plain_length(const unsigned char *text, size_t n_bytes)
{
    unsigned char lead = text[0];
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    size_t length = lead < 0xc2 || lead > 0xf4 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    if (length > n_bytes)
        return 1;
    for (size_t i = 1; i < length; i++) {
        if (text[i] < (i == 1 ? low : 0x80) || text[i] > (i == 1 ? high : 0xbf))
            return 1;
    }
    return length;
}

/* That the tokens of a text are where its own bytes and characters say. */
static inline void check_offsets(const gpt2_tokenizer *tokenizer, const char *text, size_t n_bytes,
                                 const int32_t *ids, size_t n_ids)
{
    gpt2_offsets *offsets = malloc((n_ids + (n_ids == 0)) * sizeof *offsets);
    size_t *character_of = malloc((n_bytes + 1) * sizeof *character_of); /* of each byte */
    size_t at = 0, n_characters = 0;

    assert_non_null(offsets);
    assert_non_null(character_of);
    for (size_t i = 0; i < n_bytes; n_characters++) {
        size_t end = i + plain_length((const unsigned char *)text + i, n_bytes - i);

        while (i < end)
            character_of[i++] = n_characters;
    }
    character_of[n_bytes] = n_characters;
    assert_int_equal(gpt2_token_offsets(tokenizer, ids, n_ids, offsets), GPT2_OK);
    for (size_t i = 0; i < n_ids; i++) {
        const gpt2_offsets *found = &offsets[i];
        const char *bytes;
        size_t n;

        assert_int_equal(gpt2_tokenizer_token_bytes(tokenizer, ids[i], &bytes, &n), GPT2_OK);
        assert_int_equal(found->first_byte, at);
        assert_int_equal(found->end_byte, at + n);
        assert_memory_equal(text + at, bytes, n);
        assert_int_equal(found->first_char, character_of[at]);
        assert_int_equal(found->end_char,
                         n == 0 ? found->first_char : character_of[at + n - 1] + 1);
        at += n;
    }
    assert_int_equal(at, n_bytes);
    free(character_of);
    free(offsets);
}

/* Encodes, checks that decoding gives the same bytes and the tokens' offsets are right, and returns
   the ids, to be freed.  Buffers have just the size they need, so that a sanitizer sees a step
   outside. */
static inline int32_t *encode(struct pair pair, const char *text, size_t n_bytes, uint32_t flags,
                              size_t *n_ids)
{
    char *copy = malloc(n_bytes + (n_bytes == 0));
    char *back = malloc(n_bytes + (n_bytes == 0));
    int32_t *ids;
    size_t n_back, n_again;
    int32_t status;

    assert_non_null(copy);
    assert_non_null(back);
    memcpy(copy, text, n_bytes);
    status = gpt2_encode(pair.encoder, copy, n_bytes, flags, NULL, 0, n_ids);
    if (status != (*n_ids == 0 ? GPT2_OK : GPT2_ERR_BUFFER))
        fail_msg("status %d: %s", (int)status, gpt2_encoder_error(pair.encoder));
    assert_true(*n_ids <= n_bytes);
    ids = malloc((*n_ids + (*n_ids == 0)) * sizeof *ids);
    assert_non_null(ids);
    assert_int_equal(gpt2_encode(pair.encoder, copy, n_bytes, flags, ids, *n_ids, &n_again),
                     GPT2_OK);
    assert_int_equal(n_again, *n_ids);
    assert_int_equal(gpt2_decode(pair.tokenizer, ids, *n_ids, back, n_bytes, &n_back, NULL, 0),
                     GPT2_OK);
    assert_int_equal(n_back, n_bytes);
    assert_memory_equal(back, text, n_bytes);
    check_offsets(pair.tokenizer, text, n_bytes, ids, *n_ids);
    free(back);
    free(copy);
    return ids;
}

static inline void check_ids(struct pair pair, const char *text, size_t n_bytes, uint32_t flags,
                             const int32_t *wanted, size_t n_wanted)
{
    size_t n_ids;
    int32_t *ids = encode(pair, text, n_bytes, flags, &n_ids);

    if (n_ids != n_wanted || memcmp(ids, wanted, n_ids * sizeof *ids) != 0)
        fail_msg("\"%.*s\": other ids than wanted", (int)n_bytes, text);
    free(ids);
}

/* $GPT2_SHARED/name, or NULL if it is absent. */
static inline const char *shared(const char *name)
{
    static char path[1024];
    const char *root = getenv("GPT2_SHARED");

    (void)snprintf(path, sizeof path, "%s/%s", root == NULL ? "../shared" : root, name);
    if (access(path, R_OK) == 0)
        return path;
    print_message("%s is not there\n", path);
    return NULL;
}

#endif
