/*
 * encoder.h: from text to token ids, whole or in parts.
 */
#ifndef GPT2I_ENCODER_H
#define GPT2I_ENCODER_H

#include "../base/status.h"
#include "bpe.h"
#include "token_search.h"

struct gpt2_encoder {
    const gpt2_tokenizer *tokenizer;
    struct gpt2i_bpe_scratch *scratch;
    size_t max_piece_bytes;
    size_t block_bytes;     /* 0: in the caller's memory */
    unsigned char *held;    /* the end of the text so far: the next part may change its ids */
    size_t n_held;          /* at most half of the room there */
    size_t next_scan_bytes; /* while fewer are held, a part is only added to them */
    struct gpt2i_encode_place place; /* 'at' is the first held byte */
    char error[GPT2I_ERROR_BYTES];
};

/* Places an encoder in the arena; over a NULL arena it only measures, and returns NULL.
   'max_piece_bytes' is 1 to 2^31 - 1; an encoder takes less than 19 bytes for each, whatever the
   tokenizer. */
GPT2I_HIDDEN gpt2_encoder *gpt2i_encoder_layout(struct gpt2i_arena *arena,
                                                const gpt2_tokenizer *tokenizer,
                                                size_t max_piece_bytes);

/* As gpt2_encoder_reset(). */
GPT2I_HIDDEN void gpt2i_encoder_reset(gpt2_encoder *encoder);

/* As gpt2_encode(), whose arguments have been checked. */
GPT2I_HIDDEN int32_t gpt2i_encode(gpt2_encoder *encoder, const char *text, size_t n_bytes,
                                  uint32_t flags, int32_t *ids, size_t capacity, size_t *n_ids,
                                  struct gpt2i_error *error);

#endif
