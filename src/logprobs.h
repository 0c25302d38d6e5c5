/*
 * logprobs.h: what the model says about the tokens of a text: log-probabilities, ranks, and the likeliest
 * tokens in each place; and how tokens are named where each stands by itself.
 */
#ifndef LOGPROBS_H
#define LOGPROBS_H

#include <stddef.h>
#include <stdint.h>

#include <gpt2.h>

#include "command.h"
#include "input.h"

struct logprobs {
    gpt2_token_score *scores;      /* [count] */
    gpt2_token_logprob *likeliest; /* [count, n_likeliest] */
    size_t count, capacity;
    size_t n_likeliest;
};

/*
 * Adds token 'id' by logits of the session's model.  All its calls for one text have the same
 * 'n_likeliest', at most the size of the vocabulary.
 */
enum outcome logprobs_add(struct logprobs *logprobs, gpt2_session *session, const float *logits,
                          int32_t id, size_t n_likeliest);
void logprobs_free(struct logprobs *logprobs);

/*
 * Writes a token as a JSON string: its text; "bytes:\\xe2\\x80" if it holds a part of a character only;
 * "token_id:7" if it has no text.  Without a tokenizer: its id.
 */
enum outcome token_write(const gpt2_tokenizer *tokenizer, int32_t id);

/* Writes the object that OpenAI calls "logprobs".  'bytes' is the text; not used without a tokenizer. */
enum outcome logprobs_write_json(const struct logprobs *logprobs, const gpt2_tokenizer *tokenizer,
                                 const struct bytes *bytes);

/* Writes a table with a line for each token from number 'first' on; before number 0 its head. */
enum outcome logprobs_write_table(const struct logprobs *logprobs, const gpt2_tokenizer *tokenizer,
                                  size_t first);

#endif
