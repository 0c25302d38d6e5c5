/*
 * tokenizer_made.h: a tokenizer.json that is made of a tokenizer in another format, and read.
 */
#ifndef GPT2I_TOKENIZER_MADE_H
#define GPT2I_TOKENIZER_MADE_H

#include "../base/source.h"

/* A text that is measured (text NULL), or written. */
struct gpt2i_made_text {
    char *text;
    size_t length;
};

GPT2I_HIDDEN void gpt2i_put_bytes(struct gpt2i_made_text *text, const char *bytes, size_t n);
GPT2I_HIDDEN void gpt2i_put(struct gpt2i_made_text *text, const char *string);
GPT2I_HIDDEN void gpt2i_put_number(struct gpt2i_made_text *text, size_t number);

/* A JSON string of UTF-8. */
GPT2I_HIDDEN void gpt2i_put_string(struct gpt2i_made_text *text, const char *string, size_t length);

/*
 * Reads what 'put_all' puts, which is called twice: to measure the text, then to write it.  A line about
 * it begins with 'path', and calls it "'what' as tokenizer.json".
 * Errors: those of gpt2i_tokenizer_read_json().
 */
GPT2I_HIDDEN int32_t gpt2i_tokenizer_read_made(const char *path, const char *what,
                                               void (*put_all)(struct gpt2i_made_text *text,
                                                               const void *context),
                                               const void *context, gpt2_tokenizer **tokenizer,
                                               struct gpt2i_error *error);

#endif
