/*
 * input.h: files, texts and token ids in memory.
 */
#ifndef INPUT_H
#define INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gpt2.h>

#include "command.h"

/* The holder frees it: free(data). */
struct bytes {
    char *data; /* NULL if size is 0 */
    size_t size;
};

struct ids {
    int32_t *data; /* NULL if count is 0 */
    size_t count;
};

/* Reads a whole file, as bytes; 'path' NULL or "-" is standard input. */
enum outcome bytes_read(struct bytes *bytes, const char *path);

/*
 * Reads ids that white space or commas separate.  They must be below 'n_vocab'.
 * 'origin' names the text in error messages.
 */
enum outcome ids_parse(struct ids *ids, const char *text, size_t n_bytes, int32_t n_vocab,
                       const char *origin);

/*
 * Text to ids; 'special' as in GPT2_ENCODE_SPECIAL.  'origin' names the text in error messages; NULL
 * if it is the only one.
 */
enum outcome ids_encode(struct ids *ids, const gpt2_tokenizer *tokenizer, const char *text,
                        size_t n_bytes, bool special, const char *origin);

/* Writes an id as text, without a NUL; returns its length, at most 11 bytes. */
size_t id_format(int32_t id, char text[11]);

#endif
