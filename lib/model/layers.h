/*
 * layers.h: the layers of a transformer on all rows of a step, shared out over the session's
 * threads.  Rows of n columns are gpt2i_row_stride(n) floats apart.  Each row and each output is its
 * own, so how they are shared out changes no bit.
 */
#ifndef GPT2I_LAYERS_H
#define GPT2I_LAYERS_H

#include "session.h"

/*
 * y [n_rows, n_out] = x [n_rows, n_in] w + bias; y, with rows y_stride floats apart, and x do not
 * overlap
 */
GPT2I_HIDDEN void gpt2i_linear_rows(const gpt2_session *session, float *y, size_t y_stride,
                                    const float *x, const struct gpt2i_linear *linear,
                                    size_t n_rows);

/* y [n_rows, n_embd] = norm(x [n_rows, n_embd]) */
GPT2I_HIDDEN void gpt2i_norm_rows(const gpt2_session *session, float *y, const float *x,
                                  const struct gpt2i_norm *norm, size_t n_rows);

/* x [n_rows, n_columns] = activation_function(x) */
GPT2I_HIDDEN void gpt2i_activation_rows(const gpt2_session *session, float *x, size_t n_rows,
                                        size_t n_columns);

/* y [n_rows, n_embd] += x [n_rows, n_embd] */
GPT2I_HIDDEN void gpt2i_add_rows(const gpt2_session *session, float *y, const float *x,
                                 size_t n_rows);

#endif
