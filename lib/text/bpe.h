/*
 * bpe.h: GPT-2's byte-level BPE: the vocabulary and merges, and the encoding of one piece of text.
 */
#ifndef GPT2I_BPE_H
#define GPT2I_BPE_H

#include "../base/arena.h"
#include "../base/status.h"

/*
 * Reads vocab.json and merges.txt in 'directory'.  '*tokenizer' is one block, freed with
 * gpt2i_tokenizer_free().  Errors: GPT2_ERR_FILE, _FORMAT, _MEMORY; nothing stays allocated.
 */
GPT2I_HIDDEN int32_t gpt2i_tokenizer_read(const char *directory, gpt2_tokenizer **tokenizer,
                                          struct gpt2i_error *error);

/* True if 'directory' has both files. */
GPT2I_HIDDEN bool gpt2i_tokenizer_present(const char *directory);

GPT2I_HIDDEN void gpt2i_tokenizer_free(gpt2_tokenizer *tokenizer);

GPT2I_HIDDEN int32_t gpt2i_tokenizer_n_vocab(const gpt2_tokenizer *tokenizer);
GPT2I_HIDDEN int32_t gpt2i_tokenizer_eot(const gpt2_tokenizer *tokenizer);

/* Lets ids in [n_vocab, n_ids) be tokens without bytes. */
GPT2I_HIDDEN void gpt2i_tokenizer_extend(gpt2_tokenizer *tokenizer, int32_t n_ids);

/* The bytes of one token; false for an id outside [0, n_vocab), or as extended. */
GPT2I_HIDDEN bool gpt2i_token_bytes(const gpt2_tokenizer *tokenizer, int32_t id, const char **bytes,
                                    size_t *n_bytes);

/* What encoding needs beside the tokenizer: places itself in an arena, for pieces of up to
   'max_piece_bytes' bytes, 1 to 2^31 - 1; about 16.3 bytes for each. */
struct gpt2i_bpe_scratch;
GPT2I_HIDDEN struct gpt2i_bpe_scratch *gpt2i_bpe_scratch_layout(struct gpt2i_arena *arena,
                                                                size_t max_piece_bytes);

/* Where ids go. */
struct gpt2i_id_output {
    int32_t *ids;
    size_t capacity;
    size_t n_ids; /* goes on counting where the capacity ends */
};

static inline void gpt2i_put_id(struct gpt2i_id_output *output, int32_t id)
{
    if (output->n_ids < output->capacity)
        output->ids[output->n_ids] = id;
    output->n_ids++;
}

/*
 * Encodes piece[n_bytes], 0 < n_bytes <= the scratch's max_piece_bytes; false, and nothing is put
 * out, if a byte has no token.
 */
GPT2I_HIDDEN bool gpt2i_bpe_piece(const gpt2_tokenizer *tokenizer,
                                  struct gpt2i_bpe_scratch *scratch, const unsigned char *piece,
                                  size_t n_bytes, struct gpt2i_id_output *output);

#endif
