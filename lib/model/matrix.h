/*
 * matrix.h: a weight matrix in memory.
 *
 * The weights of n_in inputs and n_out outputs lie in panels of 64 outputs, [n_in][64], so that a
 * product with one row reads memory from front to end.  The last panel has the outputs that are left,
 * and zeros up to a multiple of 16.  Every instruction set reads the same panels.
 *
 * Quantised weights lie in the same panels, in blocks of 32 inputs: kernels/quantised.h.
 *
 * matrix.c alone computes where in a panel a weight lies.
 */
#ifndef GPT2I_MATRIX_H
#define GPT2I_MATRIX_H

#include "../kernels/kernels.h"
#include "../kernels/quantised.h"

#define GPT2I_PANEL 64 /* outputs in a panel */

struct gpt2i_matrix {
    void *panels; /* zeros at first: what packs the weights does not write the padding */
    int32_t type; /* GPT2_TYPE_* of the weights in the panels */
    size_t n_in;
    size_t n_out;
    uint8_t table[GPT2I_Q_TABLE]; /* of GPT2_TYPE_Q4 */
};

static inline bool gpt2i_matrix_is_quantised(const struct gpt2i_matrix *matrix)
{
    return matrix->type >= GPT2_TYPE_Q8;
}

/* Bytes of the panels, from the other members. */
GPT2I_HIDDEN uint64_t gpt2i_matrix_bytes(const struct gpt2i_matrix *matrix);

/*
 * Packs rows first_in .. first_in + n_rows - 1 of the matrix as [n_in, n_out] (Conv1D in a file).  Their
 * elements have the matrix's type; floats are quantised where it is, whole blocks of inputs at a time.
 */
GPT2I_HIDDEN void gpt2i_matrix_pack_inputs(const struct gpt2i_matrix *matrix, const void *rows,
                                           size_t first_in, size_t n_rows);

/* Packs rows first_out .. of the matrix as [n_out, n_in] (an embedding or Linear in a file). */
GPT2I_HIDDEN void gpt2i_matrix_pack_outputs(const struct gpt2i_matrix *matrix, const void *rows,
                                            size_t first_out, size_t n_rows);

/*
 * The same for rows of ggml's blocks with the numbers that a quantised matrix has: Q8_0, or indices into
 * its table.  n_in is a multiple of 32.
 */
GPT2I_HIDDEN void gpt2i_matrix_pack_blocks(const struct gpt2i_matrix *matrix,
                                           const unsigned char *rows, size_t first_out,
                                           size_t n_rows);

/* The blocks of output 'out' as gpt2i_matrix_pack_blocks() takes them. */
GPT2I_HIDDEN void gpt2i_matrix_unpack_blocks(unsigned char *row, const struct gpt2i_matrix *matrix,
                                             size_t out);

/* The n_in weights of output 'out' as floats, 'stride' floats apart. */
GPT2I_HIDDEN void gpt2i_matrix_unpack(float *to, size_t stride, const struct gpt2i_matrix *matrix,
                                      size_t out);

/* Puts little-endian scales of quantised weights into the machine's order of bytes. */
GPT2I_HIDDEN void gpt2i_matrix_order_scales(const struct gpt2i_matrix *matrix);

GPT2I_HIDDEN size_t gpt2i_matrix_n_panels(const struct gpt2i_matrix *matrix);

/*
 * Makes 'matmul' multiply by one panel: sets w, w_stride, w_type, n_k and n_outputs.
 * Returns the panel's first output.
 */
GPT2I_HIDDEN size_t gpt2i_matrix_panel(const struct gpt2i_matrix *matrix, size_t panel,
                                       struct gpt2i_matmul *matmul);

/* Likewise for quantised weights: w, table, n_blocks and n_outputs. */
GPT2I_HIDDEN size_t gpt2i_matrix_quantised_panel(const struct gpt2i_matrix *matrix, size_t panel,
                                                 struct gpt2i_quantised_matmul *matmul);

#endif
