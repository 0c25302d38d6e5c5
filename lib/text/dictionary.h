/*
 * dictionary.h: the symbols of a vocab.json as they stand there, and their ids.  Private to
 * vocab.c, which needs them while it reads a tokenizer.
 */
#ifndef GPT2I_DICTIONARY_H
#define GPT2I_DICTIONARY_H

#include "../base/status.h"
#include "vocab.h"

/* Of vocab.json and merges.txt; GPT-2's have 1 and 0.5 MB. */
#define GPT2I_VOCAB_FILE_BYTES ((uint64_t)64 << 20)

struct gpt2i_symbol {
    uint32_t offset; /* in gpt2i_dictionary.text */
    uint32_t length;
    int32_t id;
};

struct gpt2i_dictionary {
    const char *path; /* for error lines */
    size_t n_symbols; /* > 0 */
    size_t n_ids;     /* one more than the largest */
    size_t text_bytes;
    char *text; /* the symbols in UTF-8, one after another */
    struct gpt2i_symbol *symbols;
    uint32_t *by_id; /* [n_ids]: index in symbols + 1, 0 where there is none */
    uint32_t *slots; /* the same, found by the hash of the symbol */
    size_t slot_mask;
    void *block;
    size_t block_bytes;
};

/*
 * Reads 'path', which is borrowed.  To be freed with gpt2i_dictionary_free(), on failure too.
 * Errors: GPT2_ERR_FILE, _FORMAT, _MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_dictionary_read(struct gpt2i_dictionary *dictionary, const char *path,
                                           struct gpt2i_error *error);

GPT2I_HIDDEN void gpt2i_dictionary_free(struct gpt2i_dictionary *dictionary);

/* The id of a symbol, or -1. */
GPT2I_HIDDEN int32_t gpt2i_dictionary_find(const struct gpt2i_dictionary *dictionary,
                                           const char *text, size_t length);

/* The slots of a table for n keys: a power of two, at least half of it empty. */
GPT2I_HIDDEN size_t gpt2i_slots_for(size_t n);

/* A key found no slot within GPT2I_PROBES: refuses the file. */
GPT2I_HIDDEN int32_t gpt2i_fail_collisions(const char *path, struct gpt2i_error *error);

/* How much of a symbol an error line shows, for %.*s. */
GPT2I_HIDDEN int gpt2i_shown_length(size_t length);

#endif
