/*
 * textjson.h: text and tokens as JSON values.
 */
#ifndef WORKER_TEXTJSON_H
#define WORKER_TEXTJSON_H

#include <gpt2.h>
#include <jansson.h>

/* A string of any bytes: those that are no UTF-8 become U+FFFD. */
json_t *json_text(const char *bytes, size_t n_bytes);

/* The text of some tokens, and n_bytes behind it. */
json_t *json_tokens_text(const gpt2_tokenizer *tokenizer, const int32_t *ids, size_t n_ids,
                         const char *bytes, size_t n_bytes);

/* The text of one token, other than that of any other id.  If it is no UTF-8 by itself, or has a NUL, at
   which a key of jansson ends, it is "bytes:\xe2\x80", as OpenAI writes it; without a text "token_id:7", as
   vLLM writes it. */
json_t *json_token_text(const gpt2_tokenizer *tokenizer, int32_t id);

/* A number; null if it is none or not finite. */
json_t *json_finite(double x);

/* [{"id", "logprob"}, ...] */
json_t *json_likeliest(const gpt2_token_logprob *likeliest, int n);

#endif
