/*
 * text.h: from text to token ids, whole or in parts, and back.
 */
#ifndef GPT2I_TEXT_H
#define GPT2I_TEXT_H

#include "bpe.h"

struct gpt2_encoder {
    const gpt2_tokenizer *tokenizer;
    struct gpt2i_bpe_scratch *scratch;
    size_t max_piece_bytes;
    size_t block_bytes;      /* 0: in the caller's memory */
    unsigned char *held;     /* the end of the text so far, whose ids the next part may change */
    size_t n_held;           /* at most half of the room there */
    size_t next_scan_bytes;  /* until so many are held, a part is only added to them */
    uint64_t n_before_bytes; /* of the text, before those */
    char error[GPT2I_ERROR_BYTES];
};

/* Measures over a NULL arena (and returns NULL), or places an encoder; less than 19 bytes for
   each byte of max_piece_bytes, 1 to 2^31 - 1. */
GPT2I_HIDDEN gpt2_encoder *gpt2i_encoder_layout(struct gpt2i_arena *arena,
                                                const gpt2_tokenizer *tokenizer,
                                                size_t max_piece_bytes);

/* As gpt2_encoder_reset(). */
GPT2I_HIDDEN void gpt2i_encoder_reset(gpt2_encoder *encoder);

/* As gpt2_encode(), whose arguments have been checked. */
GPT2I_HIDDEN int32_t gpt2i_encode(gpt2_encoder *encoder, const char *text, size_t n_bytes,
                                  uint32_t flags, int32_t *ids, size_t capacity, size_t *n_ids,
                                  struct gpt2i_error *error);

/* As gpt2_decode_part(), whose arguments have been checked. */
GPT2I_HIDDEN int32_t gpt2i_decode(const gpt2_tokenizer *tokenizer, gpt2_decode_state *state,
                                  const int32_t *ids, size_t n_ids, uint32_t flags, char *text,
                                  size_t capacity, size_t *n_bytes);

#endif
