/*
 * tokenizer_build.h: from a dictionary and merges to a tokenizer.
 */
#ifndef GPT2I_TOKENIZER_BUILD_H
#define GPT2I_TOKENIZER_BUILD_H

#include "added_list.h"
#include "dictionary.h"

#define GPT2I_MAX_TOKENIZER_FILE_BYTES ((uint64_t)64 << 20) /* GPT-2's have 0.5 to 3.5 MB */

/* One merge: its two symbols, joined; that is also the symbol that it makes. */
struct gpt2i_merge {
    const char *text;
    size_t left_length;
    size_t length; /* of both */
    size_t number; /* of its place in the file, from 1 */
};

/* Where merges come from, in the order of their ranks. */
struct gpt2i_merge_reader {
    const char *path;       /* for error lines */
    const char *unit;       /* what 'number' counts */
    const char *vocab_name; /* where the symbols should be */
    size_t n_max;           /* there are no more than this */

    /* The next merge, which is valid until the next call; '*found' is false at the end. */
    int32_t (*next)(struct gpt2i_merge_reader *reader, struct gpt2i_merge *merge, bool *found,
                    struct gpt2i_error *error);
};

/* Fails for more merges than ranks. */
GPT2I_HIDDEN int32_t gpt2i_check_n_merges(const char *path, size_t n_merges,
                                          struct gpt2i_error *error);

/* What a tokenizer is made of. */
struct gpt2i_tokenizer_parts {
    const struct gpt2i_dictionary *dictionary;
    struct gpt2i_merge_reader *merges;
    const struct gpt2i_added_list *added; /* resolved */
    uint32_t cut_rules;
    int32_t bos, eot; /* -1: none */
};

/* '*tokenizer' is one block, freed with gpt2i_tokenizer_free().  Errors: GPT2_ERR_FORMAT, _MEMORY. */
GPT2I_HIDDEN int32_t gpt2i_tokenizer_build(const struct gpt2i_tokenizer_parts *parts,
                                           gpt2_tokenizer **tokenizer, struct gpt2i_error *error);

/* Marks the tokens that are no single byte, that no merge makes, and that do not end a text. */
GPT2I_HIDDEN void gpt2i_tokenizer_mark_added(gpt2_tokenizer *tokenizer);

/*
 * Writes the bytes that a symbol stands for and returns how many there are; never more than 'length'.
 * A symbol with a character outside the alphabet, such as an added token, stands for its own UTF-8,
 * as in Hugging Face's decoder.
 */
GPT2I_HIDDEN size_t gpt2i_bytes_of_symbol(const char *text, size_t length, char *bytes);

/* The character of GPT-2's alphabet that stands for a byte. */
GPT2I_HIDDEN uint32_t gpt2i_character_of_byte(unsigned byte);

/* Writes that character in UTF-8, one or two bytes; returns how many. */
GPT2I_HIDDEN size_t gpt2i_alphabet_put(char *text, unsigned byte);

#endif
