/*
 * special_files.h: tokenizer_config.json, special_tokens_map.json and added_tokens.json: what they add to a
 * vocabulary.
 */
#ifndef GPT2I_SPECIAL_FILES_H
#define GPT2I_SPECIAL_FILES_H

#include "added_list.h"
#include "../base/source.h"
#include "../formats/json.h"

/* The words that have a role, in the order in which Hugging Face adds them. */
enum {
    GPT2I_WORD_BOS,
    GPT2I_WORD_EOS,
    GPT2I_WORD_UNK,
    GPT2I_WORD_SEP,
    GPT2I_WORD_PAD,
    GPT2I_WORD_CLS,
    GPT2I_WORD_MASK,
    GPT2I_N_WORDS
};

enum gpt2i_word_kind {
    GPT2I_WORD_UNNAMED, /* no file has the key */
    GPT2I_WORD_NONE,    /* null */
    GPT2I_WORD_STRING,
    GPT2I_WORD_OBJECT /* with flags */
};

struct gpt2i_special_word {
    enum gpt2i_word_kind kind;
    char text[GPT2I_ADDED_BYTES];
    size_t length;
    uint32_t flags;
};

struct gpt2i_special_files {
    struct gpt2i_text config, map, added; /* zero: not there */
    bool is_there;                        /* one of them */
    struct gpt2i_special_word words[GPT2I_N_WORDS];
    struct gpt2i_json decoder;       /* before "added_tokens_decoder"; text NULL: there is none */
    struct gpt2i_json additional[2]; /* before "additional_special_tokens" of config and map */
    bool add_prefix_space;
    bool is_plain; /* tokenizer_class is none of GPT-2: no word is known, no rule of text changed */
};

/*
 * Reads the files that are there.  Freed with gpt2i_special_free(), on failure too.
 * Errors: GPT2_ERR_FILE, _FORMAT, _UNSUPPORTED, _MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_special_read(struct gpt2i_special_files *special,
                                        const struct gpt2i_files *files, struct gpt2i_error *error);

GPT2I_HIDDEN void gpt2i_special_free(struct gpt2i_special_files *special);

/*
 * Appends the tokens that the files name, as transformers' GPT2TokenizerFast adds them to a tokenizer of
 * vocab.json and merges.txt; 'has_json': to one of tokenizer.json, whose tokens are in the list, as the
 * class does that tokenizer_config.json names.
 * Errors: GPT2_ERR_FORMAT, _UNSUPPORTED, _MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_special_list(const struct gpt2i_special_files *special, bool has_json,
                                        struct gpt2i_added_list *list, struct gpt2i_error *error);

/* The id of a word, or -1.  Where no file names it, the first three are <|endoftext|>. */
GPT2I_HIDDEN int32_t gpt2i_special_id(const struct gpt2i_special_files *special, int word,
                                      const struct gpt2i_dictionary *dictionary);

#endif
