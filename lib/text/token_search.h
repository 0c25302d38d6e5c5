/*
 * token_search.h: where the added tokens of a text are.
 */
#ifndef GPT2I_TOKEN_SEARCH_H
#define GPT2I_TOKEN_SEARCH_H

#include "vocabulary.h"

/* Where encoding goes on; bytes are counted from the beginning of the text. */
struct gpt2i_encode_place {
    uint64_t at;           /* the next byte to encode */
    uint64_t stretch_from; /* that behind the last added token of the first pass */
    uint64_t search_from[GPT2I_ADDED_PASSES]; /* the next added token begins there or later */
    bool begins_stretch;                      /* no piece of the stretch has been encoded */
    bool word_before;                         /* the character before 'at' belongs to a word */
};

/*
 * How many bytes behind a piece, or a token, can decide where it ends: a white-space character that
 * belongs to the next piece, an added token that may begin behind that, and the character behind this.
 */
#define GPT2I_MAX_LOOK_AHEAD (3 + GPT2I_ADDED_PASSES * GPT2I_ADDED_BYTES + 4)

/* The same for the tokens of one tokenizer. */
GPT2I_HIDDEN size_t gpt2i_look_ahead(const gpt2_tokenizer *tokenizer);

struct gpt2i_found_token {
    const struct gpt2i_added_token *token; /* NULL: none up to 'begin' */
    size_t begin;                          /* with the white space that it takes */
    size_t end;
    bool is_settled; /* more bytes do not change it */
};

struct gpt2i_token_search {
    const gpt2_tokenizer *tokenizer;
    const unsigned char *bytes; /* [n_bytes] */
    size_t n_bytes;
    uint64_t offset; /* of bytes[0] in the whole text */
    size_t first;    /* what is before bytes[first] is not looked at */
    size_t look_ahead;
    bool has_more;    /* bytes will follow */
    bool has_special; /* special tokens count */
    bool is_active[GPT2I_ADDED_PASSES];
    bool is_known[GPT2I_ADDED_PASSES];
    size_t from[GPT2I_ADDED_PASSES]; /* where the search for 'found' begins */
    struct gpt2i_found_token found[GPT2I_ADDED_PASSES];
};

/* Begins to search bytes[n_bytes], which are at 'offset' in the text, from place->at on.  has_more and
   has_special have been set. */
GPT2I_HIDDEN void gpt2i_search_begin(struct gpt2i_token_search *search,
                                     const gpt2_tokenizer *tokenizer, const unsigned char *bytes,
                                     size_t n_bytes, uint64_t offset,
                                     const struct gpt2i_encode_place *place);

/* The next token from place->at on; it is found once, however often this is called. */
GPT2I_HIDDEN const struct gpt2i_found_token *
gpt2i_search_next(struct gpt2i_token_search *search, const struct gpt2i_encode_place *place);

/* That token is taken: the place is behind it. */
GPT2I_HIDDEN void gpt2i_search_passed(struct gpt2i_token_search *search,
                                      struct gpt2i_encode_place *place);

/* Ends the search; it may go on from place->at with other bytes. */
GPT2I_HIDDEN void gpt2i_search_leave(const struct gpt2i_token_search *search,
                                     struct gpt2i_encode_place *place);

#endif
