/*
 * added_list.h: the added tokens that files name, while a tokenizer is loaded.
 */
#ifndef GPT2I_ADDED_LIST_H
#define GPT2I_ADDED_LIST_H

#include "added_tokens.h"
#include "dictionary.h"

/* What a list knows of a token beside its flags. */
#define GPT2I_LISTED_PLAIN 0x100u  /* NORMALIZED is to be the contrary of SPECIAL */
#define GPT2I_LISTED_WEAK  0x200u  /* if it is listed already, this only makes it special */
#define GPT2I_LISTED_WORD  0x400u  /* likewise, if that one has none but the usual flags */
#define GPT2I_LISTED_FIXED 0x1000u /* NORMALIZED counts, though the token was listed without it */
#define GPT2I_LISTED_KNOWN 0x800u  /* it only counts if the vocabulary or the list has it */
/* Where there is a tokenizer.json. */
#define GPT2I_LISTED_OWN   0x20000u /* a token of that file itself */
#define GPT2I_LISTED_NAMED 0x2000u  /* its flags count, whatever a word of its text says */
#define GPT2I_LISTED_WORDS 0x4000u  /* a word: it only makes special what is listed as _NAMED */
#define GPT2I_LISTED_MORE  0x8000u  /* a token that transformers adds to those of tokenizer.json */
#define GPT2I_LISTED_NEW   0x10000u /* if it is listed already, it only makes special one of _MORE */

/* In the order in which Hugging Face adds them.  All zero: empty. */
struct gpt2i_added_list {
    struct gpt2i_added_token *tokens; /* 'id' is the file's; -1: it gives none */
    size_t n_tokens;
    size_t capacity;
    char *text; /* of all, one after another */
    size_t n_bytes;
    size_t text_capacity;
    const char *path;      /* of the file that gives the ids, for error lines; borrowed */
    const char *more_path; /* of tokens[n_of_path] and what follows; NULL: the same */
    size_t n_of_path;
};

/* The list is of use only to be freed again, as after failures. */
GPT2I_HIDDEN void gpt2i_added_list_free(struct gpt2i_added_list *list);

/*
 * Appends a token; an empty text is passed over, as in Hugging Face.  'path' is for the error line.
 * Errors: GPT2_ERR_UNSUPPORTED (too long, too many), _MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_added_list_put(struct gpt2i_added_list *list, const char *path,
                                          const char *text, size_t length, int32_t id,
                                          uint32_t flags, struct gpt2i_error *error);

/* Sorts the tokens from 'from' on by their ids. */
GPT2I_HIDDEN void gpt2i_added_list_sort(struct gpt2i_added_list *list, size_t from);

/*
 * Gives each token its id: that of the vocabulary, or the next one, with which the dictionary gets it.
 * Of two tokens with one text the second one's flags count.  Then the list has each text once, in the
 * order of the table.
 * Errors: GPT2_ERR_UNSUPPORTED (a file gives another id; flags that are not followed), _FORMAT.
 */
GPT2I_HIDDEN int32_t gpt2i_added_list_resolve(struct gpt2i_added_list *list,
                                              struct gpt2i_dictionary *dictionary,
                                              struct gpt2i_error *error);

#endif
