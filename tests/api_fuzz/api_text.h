/*
 * api_text.h: the tokenizers of the API fuzzer, and what is known of them from their files.
 */
#ifndef FUZZ_API_TEXT_H
#define FUZZ_API_TEXT_H

#include "api.h"

#define FUZZ_N_TOKENIZERS 3
#define FUZZ_EOT          "<|endoftext|>"
#define FUZZ_MOST_BYTES   4096 /* of a text */

struct fuzz_tokenizer {
    const char *directory;
    gpt2_tokenizer *handle;
    int32_t n_vocab, eot;
    bool has_byte[256];  /* whether there is a token for it alone */
    gpt2_encoder *judge; /* encodes whole texts of up to 65536 bytes; its calls are not counted */
};

extern struct fuzz_tokenizer fuzz_tokenizers[FUZZ_N_TOKENIZERS];

/*
 * Words, contractions, spaces, numbers, UTF-8 whole and torn, <|endoftext|> whole and torn, and
 * bytes; mostly such as the tokenizer has tokens for.  'text' has room for FUZZ_MOST_BYTES + 8.
 */
size_t fuzz_random_text(char *text, const struct fuzz_tokenizer *tokenizer);

#endif
