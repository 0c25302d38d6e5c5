/*
 * load.h: loading a model.
 */
#ifndef GPT2I_LOAD_H
#define GPT2I_LOAD_H

#include "model.h"

GPT2I_HIDDEN int32_t gpt2i_model_read(gpt2_model **model, const char *directory, int32_t n_threads,
                                      struct gpt2i_error *error);

#endif
