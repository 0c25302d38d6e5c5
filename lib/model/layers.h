/*
 * layers.h: the layers of a transformer on all rows of a step, shared out over threads.  Rows of n
 * columns are gpt2i_row_stride(n) floats apart.  Each row and each output is computed by itself, so
 * how they are shared out changes no bit.
 */
#ifndef GPT2I_LAYERS_H
#define GPT2I_LAYERS_H

#include "compute.h"
#include "model.h"

#define GPT2I_PANEL_ROWS 64 /* max rows of outputs that are put together in a workspace */

/*
 * y [n_rows, n_out] = x [n_rows, n_in] weight + bias.  Rows of y are y_stride floats apart; y and x
 * do not overlap.
 */
GPT2I_HIDDEN void gpt2i_linear_rows(const struct gpt2i_compute *compute, float *y, size_t y_stride,
                                    const float *x, const struct gpt2i_linear *linear,
                                    size_t n_rows);

/* y [n_rows, n_columns] = norm(x [n_rows, n_columns]) */
GPT2I_HIDDEN void gpt2i_norm_rows(const struct gpt2i_compute *compute, float *y, const float *x,
                                  const struct gpt2i_norm *norm, float epsilon, size_t n_rows,
                                  size_t n_columns);

/* x [n_rows, n_columns] = activation(x), by GPT2_ACT_* */
GPT2I_HIDDEN void gpt2i_activation_rows(const struct gpt2i_compute *compute, float *x,
                                        int32_t activation, size_t n_rows, size_t n_columns);

/* y [n_rows, n_columns] += x [n_rows, n_columns] */
GPT2I_HIDDEN void gpt2i_add_rows(const struct gpt2i_compute *compute, float *y, const float *x,
                                 size_t n_rows, size_t n_columns);

#endif
