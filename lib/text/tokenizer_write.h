/*
 * tokenizer_write.h: a tokenizer as the files that transformers and llama.cpp read.
 */
#ifndef GPT2I_TOKENIZER_WRITE_H
#define GPT2I_TOKENIZER_WRITE_H

#include "vocabulary.h"
#include "../base/sink.h"

/* What is written of a tokenizer, in the order in which it is written. */
struct gpt2i_token_lists {
    const gpt2_tokenizer *tokenizer;
    uint64_t *pairs; /* [n_merges], by rank: left id << GPT2I_ID_BITS | right id */
    size_t n_merges;
    uint32_t
        *added; /* [n_vocab]: the number of the added token with this id, plus 1; 0: it is none */
    struct gpt2i_added_token
        *sorted; /* [n_vocab]: the tokens by their bytes, while they are checked */
    size_t block_bytes;
};

/*
 * Checks that a file of them is read as the same tokenizer.  Errors: GPT2_ERR_MEMORY, _UNSUPPORTED (two
 * tokens of one text, a merge of other bytes, too many bytes for a file).  Freed with
 * gpt2i_token_lists_free().
 */
GPT2I_HIDDEN int32_t gpt2i_token_lists_new(struct gpt2i_token_lists *lists,
                                           const gpt2_tokenizer *tokenizer,
                                           struct gpt2i_error *error);

GPT2I_HIDDEN void gpt2i_token_lists_free(struct gpt2i_token_lists *lists);

/* The added token with this id; NULL if it is none. */
static inline const struct gpt2i_added_token *gpt2i_added_of(const struct gpt2i_token_lists *lists,
                                                             int32_t id)
{
    return lists->added[id] == 0 ? NULL : &lists->tokenizer->added_tokens[lists->added[id] - 1];
}

/*
 * Puts a token in GPT-2's alphabet of bytes, as vocab.json has it; an added token as its text.
 * 'is_json': characters that JSON escapes are escaped.
 */
GPT2I_HIDDEN void gpt2i_token_put(struct gpt2i_sink *sink, const struct gpt2i_token_lists *lists,
                                  int32_t id, bool is_json);

/* Writes tokenizer.json. */
GPT2I_HIDDEN void gpt2i_tokenizer_put_json(struct gpt2i_sink *sink,
                                           const struct gpt2i_token_lists *lists);

/* Writes tokenizer_config.json: which tokens begin and end a text. */
GPT2I_HIDDEN void gpt2i_tokenizer_put_config(struct gpt2i_sink *sink,
                                             const struct gpt2i_token_lists *lists);

#endif
