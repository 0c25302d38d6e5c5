/*
 * matrix.c: where the weights of a matrix lie in its panels.
 */
#include "matrix.h"
#include "../kernels/half.h"
#include "../kernels/widen.h"

static size_t element_bytes(const struct gpt2i_matrix *matrix)
{
    return gpt2i_type_bytes(matrix->type);
}

uint64_t gpt2i_matrix_bytes(const struct gpt2i_matrix *matrix)
{
    return (uint64_t)matrix->n_in * gpt2i_round_up(matrix->n_out, GPT2I_LANES) *
           element_bytes(matrix);
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

/* Which element has input 0 and output 'out'; those of the next inputs are '*stride' elements apart. */
static size_t find_output(const struct gpt2i_matrix *matrix, size_t out, size_t *stride)
{
    size_t in_panel = out % GPT2I_PANEL;
    size_t first = out - in_panel;

    *stride = panel_width(matrix, first);
    return first * matrix->n_in + in_panel;
}

void gpt2i_matrix_pack_inputs(const struct gpt2i_matrix *matrix, const void *rows, size_t first_in,
                              size_t n_rows)
{
    size_t bytes = element_bytes(matrix);

    for (size_t first = 0; first < matrix->n_out; first += GPT2I_PANEL) {
        size_t n = gpt2i_min(matrix->n_out - first, GPT2I_PANEL);
        size_t stride;
        size_t to = find_output(matrix, first, &stride) + first_in * stride;

        for (size_t r = 0; r < n_rows; r++, to += stride)
            memcpy((char *)matrix->panels + to * bytes,
                   (const char *)rows + (r * matrix->n_out + first) * bytes, n * bytes);
    }
}

void gpt2i_matrix_pack_outputs(const struct gpt2i_matrix *matrix, const void *rows,
                               size_t first_out, size_t n_rows)
{
    for (size_t r = 0; r < n_rows; r++) {
        size_t stride;
        size_t to = find_output(matrix, first_out + r, &stride);
        size_t from = r * matrix->n_in;

        if (matrix->type == GPT2_TYPE_F32) {
            for (size_t k = 0; k < matrix->n_in; k++)
                ((float *)matrix->panels)[to + k * stride] = ((const float *)rows)[from + k];
        } else {
            for (size_t k = 0; k < matrix->n_in; k++)
                ((uint16_t *)matrix->panels)[to + k * stride] = ((const uint16_t *)rows)[from + k];
        }
    }
}

void gpt2i_matrix_unpack(float *row, const struct gpt2i_matrix *matrix, size_t out)
{
    size_t stride;
    size_t from = find_output(matrix, out, &stride);

    if (matrix->type == GPT2_TYPE_F32) {
        for (size_t k = 0; k < matrix->n_in; k++)
            row[k] = ((const float *)matrix->panels)[from + k * stride];
    } else {
        const uint16_t *weights = (const uint16_t *)matrix->panels + from;
        bool is_f16 = matrix->type == GPT2_TYPE_F16;

        for (size_t k = 0; k < matrix->n_in; k++)
            row[k] = is_f16 ? gpt2i_float_of_half(weights[k * stride])
                            : gpt2i_float_of_bf16(weights[k * stride]);
    }
}

size_t gpt2i_matrix_panel(const struct gpt2i_matrix *matrix, size_t panel,
                          struct gpt2i_matmul *matmul)
{
    size_t first = panel * GPT2I_PANEL;

    matmul->w = (const char *)matrix->panels +
                find_output(matrix, first, &matmul->w_stride) * element_bytes(matrix);
    matmul->w_type = matrix->type;
    matmul->n_k = matrix->n_in;
    matmul->n_outputs = gpt2i_min(matrix->n_out - first, GPT2I_PANEL);
    return first;
}
