/*
 * state.h: a sequence as bytes.
 *
 * All numbers are little-endian.
 *
 *     char magic[8]           "gpt2-seq"
 *     uint32 version          1
 *     uint32 kv_type          GPT2_TYPE_*
 *     uint64 fingerprint      of the model
 *     uint32 n_ids            tokens of the context
 *     uint32 n_cut            tokens that were cut off behind the first n_keep
 *     uint32 n_keep           0 if n_cut is 0
 *     uint32 reserved         0
 *     int32 ids[n_ids]
 *     for each layer, for each head:
 *         K by pages of 64 positions: [head_dim][64], the last one [head_dim][positions left]
 *         V [n_ids][head_dim]
 *     uint64 checksum         of the header and the ids, and of a checksum of each head's K and V
 */
#ifndef GPT2I_STATE_H
#define GPT2I_STATE_H

#include "session.h"

/* The size of a sequence's state.  Errors: GPT2_ERR_STATE, if it cannot be saved. */
GPT2I_HIDDEN int32_t gpt2i_state_size(gpt2_session *session, const struct gpt2i_sequence *sequence,
                                      size_t *n_bytes, struct gpt2i_error *error);

/* Writes it to bytes[gpt2i_state_size()], on all threads. */
GPT2I_HIDDEN void gpt2i_state_save(gpt2_session *session, const struct gpt2i_sequence *sequence,
                                   unsigned char *bytes);

/* Gives it to the callback, piece by piece.  Errors: GPT2_ERR_CANCELLED. */
GPT2I_HIDDEN int32_t gpt2i_state_write(gpt2_session *session, const struct gpt2i_sequence *sequence,
                                       gpt2_write_callback write, void *user,
                                       struct gpt2i_error *error);

/* As gpt2_sequence_restore(). */
GPT2I_HIDDEN int32_t gpt2i_state_restore(gpt2_session *session, struct gpt2i_sequence *sequence,
                                         const unsigned char *bytes, size_t n_bytes,
                                         struct gpt2i_error *error);

#endif
