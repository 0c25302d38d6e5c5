/*
 * input.c: reads files, lists of ids, and texts into ids.
 */
#include "input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "messages.h"

#define ADDED_SEARCHED 64 /* added tokens that are looked for in a text */

static enum outcome read_stream(struct bytes *bytes, FILE *file, const char *name)
{
    size_t capacity = 0;
    size_t n_read;

    do {
        if (bytes->size == capacity) {
            size_t larger = capacity == 0 ? 65536 : capacity * 2;
            char *data = larger > capacity ? realloc(bytes->data, larger) : NULL;

            if (data == NULL)
                return complain_memory();
            bytes->data = data;
            capacity = larger;
        }
        n_read = fread(bytes->data + bytes->size, 1, capacity - bytes->size, file);
        bytes->size += n_read;
    } while (n_read > 0);
    if (ferror(file))
        return complain(OUTCOME_FAILED, "cannot read %s: %s", name, strerror(errno));
    return OUTCOME_DONE;
}

enum outcome bytes_read(struct bytes *bytes, const char *path)
{
    bool is_stdin = path == NULL || strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "rb");
    enum outcome outcome;

    bytes->data = NULL;
    bytes->size = 0;
    if (file == NULL)
        return complain(OUTCOME_FAILED, "cannot open %s: %s", path, strerror(errno));
    outcome = read_stream(bytes, file, is_stdin ? "standard input" : path);
    if (!is_stdin)
        fclose(file);
    if (outcome != OUTCOME_DONE || bytes->size == 0) {
        free(bytes->data);
        bytes->data = NULL;
        bytes->size = 0;
    }
    return outcome;
}

static bool is_separator(char c)
{
    return c == ' ' || c == ',' || (c >= '\t' && c <= '\r');
}

/* Parses the id at 'text'.  '*length' receives its bytes: at least 1 if n_bytes is. */
static bool parse_id(const char *text, size_t n_bytes, int32_t n_vocab, int32_t *id, size_t *length)
{
    int64_t value = 0;
    size_t i = 0;
    bool is_number = true;

    for (; i < n_bytes && !is_separator(text[i]); i++) {
        if (text[i] < '0' || text[i] > '9')
            is_number = false;
        else if (value < n_vocab)
            value = value * 10 + (text[i] - '0');
    }
    *length = i;
    *id = value < n_vocab ? (int32_t)value : -1;
    return is_number;
}

enum outcome ids_parse(struct ids *ids, const char *text, size_t n_bytes, int32_t n_vocab,
                       const char *origin)
{
    size_t capacity = n_bytes / 2 + 1;
    int32_t *data = capacity <= SIZE_MAX / sizeof *data ? malloc(capacity * sizeof *data) : NULL;
    size_t count = 0;
    size_t at = 0;

    ids->data = NULL;
    ids->count = 0;
    if (data == NULL)
        return complain_memory();
    while (at < n_bytes) {
        size_t length;
        int32_t id;
        bool is_number;

        if (is_separator(text[at])) {
            at++;
            continue;
        }
        is_number = parse_id(text + at, n_bytes - at, n_vocab, &id, &length);
        if (!is_number || id < 0) {
            int shown = length < 40 ? (int)length : 40;

            free(data);
            if (!is_number || n_vocab == INT32_MAX)
                return complain(OUTCOME_FAILED, "%s: '%.*s' is not a token id", origin, shown,
                                text + at);
            return complain(OUTCOME_FAILED, "%s: token %.*s is outside the vocabulary of %d",
                            origin, shown, text + at, (int)n_vocab);
        }
        data[count++] = id;
        at += length;
    }
    if (count == 0) {
        free(data);
        data = NULL;
    }
    ids->data = data;
    ids->count = count;
    return OUTCOME_DONE;
}

static bool contains(const char *text, size_t n_bytes, const char *token, size_t n_token)
{
    const char *end = text + n_bytes;

    while ((size_t)(end - text) >= n_token) {
        const char *found = memchr(text, token[0], (size_t)(end - text) - n_token + 1);

        if (found == NULL)
            return false;
        if (memcmp(found, token, n_token) == 0)
            return true;
        text = found + 1;
    }
    return false;
}

/* Whether a token's text is encoded as that token. */
static bool is_encoded(const gpt2_tokenizer *tokenizer, const char *token, size_t n_token,
                       uint32_t flags, int32_t id)
{
    gpt2_encoder *encoder;
    int32_t found = -1;
    size_t n_ids;
    int32_t status = gpt2_encoder_create(tokenizer, NULL, &encoder);

    if (status == GPT2_OK)
        status = gpt2_encode(encoder, token, n_token, flags, &found, 1, &n_ids);
    gpt2_encoder_free(encoder);
    return status == GPT2_OK && n_ids == 1 && found == id;
}

/* Notes the first of up to ADDED_SEARCHED added tokens whose text is in 'text' and that is not found. */
static void note_added(const gpt2_tokenizer *tokenizer, const char *text, size_t n_bytes,
                       uint32_t flags)
{
    int32_t n_vocab = gpt2_tokenizer_n_vocab(tokenizer), n_searched = 0;

    for (int32_t id = 0; id < n_vocab && n_searched < ADDED_SEARCHED; id++) {
        const char *token;
        size_t n_token;

        if (!gpt2_tokenizer_is_added(tokenizer, id) ||
            gpt2_tokenizer_token_bytes(tokenizer, id, &token, &n_token) != GPT2_OK)
            continue;
        n_searched++;
        if (contains(text, n_bytes, token, n_token) &&
            !is_encoded(tokenizer, token, n_token, flags, id)) {
            note(
                "the text contains the added token %.*s: it is encoded as plain text, not as id %d",
                n_token < 40 ? (int)n_token : 40, token, (int)id);
            return;
        }
    }
}

static void complain_at(const char *origin, int32_t status, const char *detail)
{
    if (origin == NULL)
        complain_status(status, detail);
    else
        complain(OUTCOME_FAILED, "%s: %s", origin,
                 detail[0] != '\0' ? detail : gpt2_strerror(status));
}

/* Encodes with room for pieces of up to 'max_piece_bytes' bytes.  Reports errors, but not
   GPT2_ERR_PIECE: the caller then tries again with more room. */
static int32_t encode(const gpt2_tokenizer *tokenizer, const char *text, size_t n_bytes,
                      uint32_t flags, size_t max_piece_bytes, const char *origin, int32_t *ids,
                      size_t *n_ids)
{
    gpt2_encoder_params params;
    gpt2_encoder *encoder;
    char detail[GPT2_ERRBUF_BYTES] = "";
    int32_t status;

    gpt2_encoder_params_init(&params, sizeof params);
    params.max_piece_bytes = max_piece_bytes;
    params.errbuf = detail;
    params.errbuf_size = sizeof detail;
    status = gpt2_encoder_create(tokenizer, &params, &encoder);
    if (status != GPT2_OK) {
        complain_at(origin, status, detail);
        return status;
    }
    status = gpt2_encode(encoder, text, n_bytes, flags, ids, 2 * n_bytes, n_ids);
    if (status != GPT2_OK && status != GPT2_ERR_PIECE)
        complain_at(origin, status, gpt2_encoder_error(encoder));
    gpt2_encoder_free(encoder);
    return status;
}

enum outcome ids_encode(struct ids *ids, const gpt2_tokenizer *tokenizer, const char *text,
                        size_t n_bytes, bool special, const char *origin)
{
    uint32_t flags = special ? GPT2_ENCODE_SPECIAL : 0;
    size_t max_piece_bytes = 1 << 20;
    int32_t *data;
    int32_t status;

    ids->data = NULL;
    ids->count = 0;
    if (n_bytes == 0)
        return OUTCOME_DONE;
    /* Much more than needed; but a page that is never touched takes no memory. */
    data = n_bytes <= SIZE_MAX / 2 / sizeof *data ? malloc(2 * n_bytes * sizeof *data) : NULL;
    if (data == NULL)
        return complain_memory();
    do {
        if (max_piece_bytes > n_bytes)
            max_piece_bytes = n_bytes;
        status =
            encode(tokenizer, text, n_bytes, flags, max_piece_bytes, origin, data, &ids->count);
        if (status == GPT2_ERR_PIECE && max_piece_bytes == n_bytes) {
            complain_at(origin, status, "");
            break;
        }
        max_piece_bytes = max_piece_bytes > SIZE_MAX / 8 ? n_bytes : max_piece_bytes * 8;
    } while (status == GPT2_ERR_PIECE);
    if (status != GPT2_OK) {
        free(data);
        ids->count = 0;
        return OUTCOME_FAILED;
    }
    note_added(tokenizer, text, n_bytes, flags);
    ids->data = data;
    return OUTCOME_DONE;
}

size_t id_format(int32_t id, char text[11])
{
    char reversed[11];
    size_t n = 0;

    do {
        reversed[n++] = (char)('0' + id % 10);
        id /= 10;
    } while (id > 0);
    for (size_t i = 0; i < n; i++)
        text[i] = reversed[n - 1 - i];
    return n;
}
