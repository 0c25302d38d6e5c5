/*
 * load.h: loading a model.
 */
#ifndef GPT2I_LOAD_H
#define GPT2I_LOAD_H

#include "model.h"
#include "../base/source.h"

/* As gpt2_model_load(); 'params' are complete and in range, n_threads not 0. */
GPT2I_HIDDEN int32_t gpt2i_model_read(gpt2_model **model, const struct gpt2i_files *files,
                                      const gpt2_model_params *params, struct gpt2i_error *error);

#endif
