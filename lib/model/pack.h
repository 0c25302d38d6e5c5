/*
 * pack.h: weights from the order and type of a file to panels of 64 outputs in f32.
 *
 * A panel holds 64 outputs as [n_in][64], so that a product with one row reads memory from front
 * to end; the last panel has only the outputs that are left, filled up with zeros to a multiple
 * of 16.
 * Every instruction set reads the same panels.  Packing writes no zeros: a new block has them.
 */
#ifndef GPT2I_PACK_H
#define GPT2I_PACK_H

#include "../base/common.h"

/* Bytes of one element of GPT2_TYPE_* in a file. */
GPT2I_HIDDEN size_t gpt2i_type_bytes(int32_t type);

/* Outputs, zeros included, in the panel whose first is 'first', a multiple of GPT2I_PANEL. */
static inline size_t gpt2i_panel_width(size_t first, size_t n_out)
{
    return gpt2i_min(gpt2i_round_up(n_out - first, GPT2I_LANES), GPT2I_PANEL);
}

/* Floats in the panels of n_in inputs and n_out outputs. */
static inline uint64_t gpt2i_packed_floats(uint64_t n_in, uint64_t n_out)
{
    return n_in * gpt2i_round_up(n_out, GPT2I_LANES);
}

/*
 * Widens n little-endian elements, exactly and in place: buffer has room for n floats, and the
 * elements fill its last n * gpt2i_type_bytes(type) bytes.
 */
GPT2I_HIDDEN void gpt2i_widen(float *buffer, int32_t type, size_t n);

/* Rows first_in .. first_in + n_rows - 1 of a matrix [n_in, n_out] (Conv1D) into its panels. */
GPT2I_HIDDEN void gpt2i_pack_in_out(float *panels, const float *rows, size_t first_in,
                                    size_t n_rows, size_t n_in, size_t n_out);

/* Rows first_out .. first_out + n_rows - 1 of a matrix [n_out, n_in] (embedding, Linear). */
GPT2I_HIDDEN void gpt2i_pack_out_in(float *panels, const float *rows, size_t first_out,
                                    size_t n_rows, size_t n_in, size_t n_out);

/* Row 'out' of the matrix [n_out, n_in] again, from its panel. */
GPT2I_HIDDEN void gpt2i_unpack_row(float *row, const float *panels, size_t out, size_t n_in,
                                   size_t n_out);

#endif
