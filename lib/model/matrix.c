/*
 * matrix.c: where the weights of a matrix lie in its panels.
 */
#include "matrix.h"

uint64_t gpt2i_matrix_bytes(const struct gpt2i_matrix *matrix)
{
    return (uint64_t)matrix->n_in * gpt2i_round_up(matrix->n_out, GPT2I_LANES) * sizeof(float);
}

size_t gpt2i_matrix_n_panels(const struct gpt2i_matrix *matrix)
{
    return gpt2i_ceil_div(matrix->n_out, GPT2I_PANEL);
}

/* Outputs, padding included, of the panel that begins with output 'first'. */
static size_t panel_width(const struct gpt2i_matrix *matrix, size_t first)
{
    return gpt2i_min(gpt2i_round_up(matrix->n_out - first, GPT2I_LANES), GPT2I_PANEL);
}

/* The weight of input 0 and output 'out'; those of the next inputs are '*stride' floats apart. */
static float *find_output(const struct gpt2i_matrix *matrix, size_t out, size_t *stride)
{
    size_t in_panel = out % GPT2I_PANEL;
    size_t first = out - in_panel;

    *stride = panel_width(matrix, first);
    return (float *)matrix->panels + first * matrix->n_in + in_panel;
}

void gpt2i_matrix_pack_inputs(const struct gpt2i_matrix *matrix, const float *rows, size_t first_in,
                              size_t n_rows)
{
    for (size_t first = 0; first < matrix->n_out; first += GPT2I_PANEL) {
        size_t n = gpt2i_min(matrix->n_out - first, GPT2I_PANEL);
        size_t stride;
        float *to = find_output(matrix, first, &stride) + first_in * stride;

        for (size_t r = 0; r < n_rows; r++, to += stride)
            memcpy(to, rows + r * matrix->n_out + first, n * sizeof(float));
    }
}

void gpt2i_matrix_pack_outputs(const struct gpt2i_matrix *matrix, const float *rows,
                               size_t first_out, size_t n_rows)
{
    for (size_t r = 0; r < n_rows; r++) {
        size_t stride;
        float *to = find_output(matrix, first_out + r, &stride);

        for (size_t k = 0; k < matrix->n_in; k++)
            to[k * stride] = rows[r * matrix->n_in + k];
    }
}

void gpt2i_matrix_unpack(float *row, const struct gpt2i_matrix *matrix, size_t out)
{
    size_t stride;
    const float *from = find_output(matrix, out, &stride);

    for (size_t k = 0; k < matrix->n_in; k++)
        row[k] = from[k * stride];
}

size_t gpt2i_matrix_panel(const struct gpt2i_matrix *matrix, size_t panel,
                          struct gpt2i_matmul *matmul)
{
    size_t first = panel * GPT2I_PANEL;

    matmul->w = find_output(matrix, first, &matmul->w_stride);
    matmul->w_type = matrix->type;
    matmul->n_k = matrix->n_in;
    matmul->n_outputs = gpt2i_min(matrix->n_out - first, GPT2I_PANEL);
    return first;
}
