/*
 * tensor.h: reading the weights of a model back.
 */
#ifndef GPT2I_TENSOR_H
#define GPT2I_TENSOR_H

#include "model.h"

/*
 * A weight under Hugging Face's name, as floats and in Hugging Face's orientation; gpt2.h says more.
 * 'values' may be NULL.  Errors: GPT2_ERR_ARGUMENT, _MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_tensor_read(const gpt2_model *model, const char *name, int64_t *shape,
                                       float *values, size_t n_values, struct gpt2i_error *error);

#endif
