/*
 * weight_put.c: weights from memory into files.
 */
#include "weight_put.h"
#include "../base/arena.h"
#include "../base/fpstate.h"
#include "../kernels/widen.h"

void gpt2i_weight_floats(const struct gpt2i_weight *weight, float *values)
{
    const struct gpt2i_matrix *matrix = weight->matrix;
    const uint64_t host_state = gpt2i_fpstate_enter();

    if (matrix == NULL) {
        memcpy(values, *weight->floats, weight->n_rows * weight->n_columns * sizeof *values);
    } else {
        bool by_inputs = weight->kind == GPT2I_WEIGHT_IN_OUT;

        for (size_t out = 0; out < matrix->n_out; out++)
            gpt2i_matrix_unpack(values + out * (by_inputs ? 1 : matrix->n_in),
                                by_inputs ? matrix->n_out : 1, matrix, out);
    }
    gpt2i_fpstate_leave(host_state);
}

/* Room for n floats; NULL if there is none. */
static float *floats_new(size_t n, struct gpt2i_error *error)
{
    float *floats = gpt2i_block_new(n * sizeof *floats);

    if (floats == NULL)
        (void)gpt2i_fail(error, GPT2_ERR_MEMORY, "no memory for %zu bytes to write a weight",
                         n * sizeof *floats);
    return floats;
}

/* Little-endian. */
static void put_floats(struct gpt2i_sink *sink, const float *values, size_t n)
{
    if (gpt2i_is_little_endian()) {
        gpt2i_sink_bytes(sink, values, n * sizeof *values);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, &values[i], sizeof bits);
        gpt2i_sink_number(sink, bits, sizeof bits);
    }
}

/* The same in a type; changes 'values'. */
static void put_typed(struct gpt2i_sink *sink, float *values, int32_t type, size_t n)
{
    if (type == GPT2_TYPE_F32) {
        put_floats(sink, values, n);
        return;
    }
    (void)gpt2i_narrow(values, type, n); /* they are of this type, so nothing is rounded */
    gpt2i_order_16(values, n);
    gpt2i_sink_bytes(sink, values, n * sizeof(uint16_t));
}

int32_t gpt2i_weight_put(struct gpt2i_sink *sink, const struct gpt2i_weight *weight, int32_t type,
                         struct gpt2i_error *error)
{
    size_t n = weight->n_rows * weight->n_columns;
    float *values;

    if (weight->matrix == NULL) {
        put_floats(sink, *weight->floats, n);
        return GPT2_OK;
    }
    if (weight->kind == GPT2I_WEIGHT_OUT_IN)
        return gpt2i_matrix_put(sink, weight->matrix, type, error);
    values = floats_new(n, error);
    if (values == NULL)
        return GPT2_ERR_MEMORY;
    gpt2i_weight_floats(weight, values);
    put_typed(sink, values, type, n);
    gpt2i_block_free(values, n * sizeof *values);
    return GPT2_OK;
}

int32_t gpt2i_matrix_put(struct gpt2i_sink *sink, const struct gpt2i_matrix *matrix, int32_t type,
                         struct gpt2i_error *error)
{
    bool is_blocks = type >= GPT2_TYPE_Q8;
    float *row = floats_new(matrix->n_in, error); /* blocks have fewer bytes */

    if (row == NULL)
        return GPT2_ERR_MEMORY;
    for (size_t out = 0; out < matrix->n_out && !sink->refused; out++) {
        if (is_blocks) {
            gpt2i_matrix_unpack_blocks((unsigned char *)row, matrix, out);
            gpt2i_sink_bytes(sink, row,
                             matrix->n_in / GPT2I_Q_BLOCK * gpt2i_q_block_bytes(matrix->type));
        } else {
            const uint64_t host_state = gpt2i_fpstate_enter();

            gpt2i_matrix_unpack(row, 1, matrix, out);
            gpt2i_fpstate_leave(host_state);
            put_typed(sink, row, type, matrix->n_in);
        }
    }
    gpt2i_block_free(row, matrix->n_in * sizeof *row);
    return GPT2_OK;
}
