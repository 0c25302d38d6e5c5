/*
 * weights.h: a model's weights in memory.
 */
#ifndef GPT2I_WEIGHTS_H
#define GPT2I_WEIGHTS_H

#include "model.h"
#include "../formats/tensors.h"

/*
 * A model of this config, which is settled first, with the weights that 'tensors' have, read as 'params'
 * say: their n_threads, progress and weight_type count.
 * Errors: those of gpt2i_config_settle(), gpt2i_weight_list_new() and gpt2i_weights_read().
 */
GPT2I_HIDDEN int32_t gpt2i_weights_load(gpt2_model **model, struct gpt2i_config *config,
                                        const struct gpt2i_tensors *tensors,
                                        const gpt2_model_params *params, struct gpt2i_error *error);

#endif
