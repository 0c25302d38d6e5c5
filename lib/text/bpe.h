/*
 * bpe.h: byte-pair encoding of one piece of text.
 */
#ifndef GPT2I_BPE_H
#define GPT2I_BPE_H

#include "vocabulary.h"

/* The workspace for pieces of up to 'max_piece_bytes' bytes, 1 to 2^31; about 16.3 bytes for each.
   Over a NULL arena the layout only measures, and returns NULL. */
struct gpt2i_bpe_scratch;
GPT2I_HIDDEN struct gpt2i_bpe_scratch *gpt2i_bpe_scratch_layout(struct gpt2i_arena *arena,
                                                                size_t max_piece_bytes);

/* Where ids go. */
struct gpt2i_id_output {
    int32_t *ids;
    size_t capacity;
    size_t n_ids; /* also counts the ids that do not fit */
};

static inline void gpt2i_put_id(struct gpt2i_id_output *output, int32_t id)
{
    if (output->n_ids < output->capacity)
        output->ids[output->n_ids] = id;
    output->n_ids++;
}

/*
 * Merges piece[n_bytes], 0 < n_bytes <= GPT2I_SHORT_BYTES, into ids and returns how many there are;
 * 0 if a byte has no token.
 */
GPT2I_HIDDEN size_t gpt2i_bpe_short(const gpt2_tokenizer *tokenizer, const unsigned char *piece,
                                    size_t n_bytes, int32_t ids[GPT2I_SHORT_BYTES]);

/*
 * Encodes piece[n_bytes], 0 < n_bytes <= the scratch's max_piece_bytes; false, without
 * any id, if a byte has no token.
 */
GPT2I_HIDDEN bool gpt2i_bpe_piece(const gpt2_tokenizer *tokenizer,
                                  struct gpt2i_bpe_scratch *scratch, const unsigned char *piece,
                                  size_t n_bytes, struct gpt2i_id_output *output);

/* The same for a piece that begins with a space which is not in piece[n_bytes]: n_bytes may be 0, and is
   below the scratch's max_piece_bytes. */
GPT2I_HIDDEN bool gpt2i_bpe_prefixed(const gpt2_tokenizer *tokenizer,
                                     struct gpt2i_bpe_scratch *scratch, const unsigned char *piece,
                                     size_t n_bytes, struct gpt2i_id_output *output);

#endif
