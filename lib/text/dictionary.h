/*
 * dictionary.h: the symbols of a vocabulary, in the file's own alphabet, and their ids.  Needed only
 * while a tokenizer is loaded.
 */
#ifndef GPT2I_DICTIONARY_H
#define GPT2I_DICTIONARY_H

#include "../base/status.h"
#include "../formats/json.h"
#include "vocabulary.h"

struct gpt2i_symbol {
    uint32_t offset; /* in gpt2i_dictionary.text */
    uint32_t length;
    int32_t id;
    uint32_t added_plus_1; /* its index in a list of added tokens + 1; 0: it is in none */
};

struct gpt2i_dictionary {
    const char *path; /* for error lines */
    size_t n_symbols; /* > 0 */
    size_t n_own;     /* those of the vocabulary; added ones follow */
    size_t n_ids;     /* one more than the largest */
    size_t text_bytes;
    char *text; /* the symbols in UTF-8, one after another */
    struct gpt2i_symbol *symbols;
    uint32_t *by_id;  /* [n_ids]: index in symbols + 1, 0 where there is none */
    uint32_t *slots;  /* the same, by the hash of the symbol */
    size_t slot_mask; /* number of slots - 1; it is a power of two */
    uint64_t seed;    /* of the hash */
    void *block;
    size_t block_bytes;
};

/*
 * Reads the object of symbols and their ids that is the parser's next value, and passes over it.  The
 * parser's path is borrowed for error lines.  There is room to add 'n_more' symbols, of 'more_bytes'
 * together.
 * The caller frees the dictionary with gpt2i_dictionary_free(), on failure too.
 * Errors: GPT2_ERR_FORMAT, _MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_dictionary_read(struct gpt2i_dictionary *dictionary,
                                           struct gpt2i_json *json, size_t n_more,
                                           size_t more_bytes, uint64_t seed,
                                           struct gpt2i_error *error);

/* Adds a symbol, for which there is room; 'id' is at most n_ids.  Errors: GPT2_ERR_FORMAT. */
GPT2I_HIDDEN int32_t gpt2i_dictionary_add(struct gpt2i_dictionary *dictionary, const char *text,
                                          size_t length, int32_t id, struct gpt2i_error *error);

GPT2I_HIDDEN void gpt2i_dictionary_free(struct gpt2i_dictionary *dictionary);

/* The id of a symbol, or -1. */
GPT2I_HIDDEN int32_t gpt2i_dictionary_find(const struct gpt2i_dictionary *dictionary,
                                           const char *text, size_t length);

/* The same for a symbol of the vocabulary; one that was added does not count. */
GPT2I_HIDDEN int32_t gpt2i_dictionary_find_own(const struct gpt2i_dictionary *dictionary,
                                               const char *text, size_t length);

/* Refuses the file: a key found no empty slot within GPT2I_PROBES. */
GPT2I_HIDDEN int32_t gpt2i_fail_collisions(const char *path, struct gpt2i_error *error);

/* How much of a symbol an error line shows, for %.*s. */
GPT2I_HIDDEN int gpt2i_shown_length(size_t length);

#endif
