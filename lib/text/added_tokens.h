/*
 * added_tokens.h: tokens that are found in a text as they are, before it is cut into pieces.
 *
 * They are found as in Hugging Face's AddedVocabulary: first those with "normalized": false, then, between
 * them, the others.  In each pass the leftmost token is found, of those that begin there the longest.
 */
#ifndef GPT2I_ADDED_TOKENS_H
#define GPT2I_ADDED_TOKENS_H

#include "../base/common.h"

/* A longer token, and more tokens, are refused; so the room that an encoder needs is known. */
#define GPT2I_ADDED_BYTES  256
#define GPT2I_ADDED_TOKENS 65536

/* Flags, under Hugging Face's names. */
#define GPT2I_ADDED_LSTRIP      0x1u /* it takes the white space before it */
#define GPT2I_ADDED_RSTRIP      0x2u /* and behind it */
#define GPT2I_ADDED_SINGLE_WORD 0x4u /* it is none beside a character of a word */
#define GPT2I_ADDED_NORMALIZED  0x8u /* it is found in the second pass */
#define GPT2I_ADDED_SPECIAL     0x10u
#define GPT2I_ADDED_FLAGS       0x1fu

#define GPT2I_ADDED_PASSES 2

struct gpt2i_added_token {
    uint32_t offset; /* of its text in that of all */
    uint32_t length; /* 1 to GPT2I_ADDED_BYTES */
    int32_t id;
    uint32_t flags;
};

/* The tokens of one pass. */
struct gpt2i_added_set {
    const struct gpt2i_added_token *tokens; /* in the order of their texts */
    size_t n_tokens;
    const char *text;        /* of all tokens */
    const uint32_t *shorter; /* [n_tokens]: the longest other token that begins it, + 1; 0: none */
    size_t max_length;       /* of a token */
    uint32_t any_flags;      /* that one of them has, or more */
    uint32_t all_flags;      /* that each has */
    int32_t first_byte;      /* with which all begin; -1: more than one */
    uint8_t begins[256];     /* 1 for bytes with which a token begins */
};

/* An order of tokens, as that of strcmp(). */
typedef int gpt2i_added_order(const char *text, const struct gpt2i_added_token *a,
                              const struct gpt2i_added_token *b);

/* That of the table: pass, then text. */
GPT2I_HIDDEN gpt2i_added_order gpt2i_added_compare;

GPT2I_HIDDEN void gpt2i_added_sort(gpt2i_added_order *compare, const char *text,
                                   struct gpt2i_added_token *tokens, size_t n_tokens);

/* Makes the sets of a sorted table, which they borrow with shorter[n_tokens], which is filled. */
GPT2I_HIDDEN void gpt2i_added_sets(struct gpt2i_added_set sets[GPT2I_ADDED_PASSES],
                                   const char *text, const struct gpt2i_added_token *tokens,
                                   size_t n_tokens, uint32_t *shorter);

/*
 * The leftmost token in bytes[from .. end], of those that begin there the longest; NULL: none.  '*at'
 * receives where it begins.  Its flags are not looked at.
 */
GPT2I_HIDDEN const struct gpt2i_added_token *gpt2i_added_find(const struct gpt2i_added_set *set,
                                                              const unsigned char *bytes,
                                                              size_t from, size_t end, size_t *at);

#endif
