/*
 * weight_put.h: a weight of a model in memory as the bytes that it has in a file.
 */
#ifndef GPT2I_WEIGHT_PUT_H
#define GPT2I_WEIGHT_PUT_H

#include "names.h"
#include "../base/sink.h"

/* The numbers of a weight as floats, in Hugging Face's orientation. */
GPT2I_HIDDEN void gpt2i_weight_floats(const struct gpt2i_weight *weight, float *values);

/*
 * Puts a weight as [n_rows, n_columns] of the weight, in GPT2_TYPE_F32, _F16 or _BF16; a matrix that is not
 * quantised has this type, or F32 is asked for.  Errors: GPT2_ERR_MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_weight_put(struct gpt2i_sink *sink, const struct gpt2i_weight *weight,
                                      int32_t type, struct gpt2i_error *error);

/*
 * Puts a matrix as [n_out, n_in], likewise, or in ggml's blocks: of GPT2_TYPE_Q8 as Q8_0, of _Q4 as
 * Q4_0 or IQ4_NL, which it is in memory too; n_in is then a multiple of 32.  Errors: GPT2_ERR_MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_matrix_put(struct gpt2i_sink *sink, const struct gpt2i_matrix *matrix,
                                      int32_t type, struct gpt2i_error *error);

#endif
