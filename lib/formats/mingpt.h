/*
 * mingpt.h: the models of minGPT.
 */
#ifndef GPT2I_MINGPT_H
#define GPT2I_MINGPT_H

#include "pytorch_dict.h"

/* Writes the config of a model of minGPT, by its tensors and its own config.json. */
GPT2I_HIDDEN int32_t gpt2i_mingpt_config(const struct gpt2i_tensors *tensors,
                                         const struct gpt2i_files *files,
                                         char config[GPT2I_PYTORCH_CONFIG_BYTES],
                                         struct gpt2i_error *error);

#endif
