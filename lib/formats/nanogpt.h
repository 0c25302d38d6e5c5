/*
 * nanogpt.h: the checkpoints of nanoGPT.
 */
#ifndef GPT2I_NANOGPT_H
#define GPT2I_NANOGPT_H

#include "pytorch_dict.h"

/* Goes from the dict of a checkpoint of nanoGPT to the dicts in it. */
GPT2I_HIDDEN int32_t gpt2i_nanogpt_select(struct gpt2i_pytorch *reader);

/* Writes the config of a checkpoint of nanoGPT. */
GPT2I_HIDDEN int32_t gpt2i_nanogpt_config(const struct gpt2i_pytorch *reader,
                                          char config[GPT2I_PYTORCH_CONFIG_BYTES]);

#endif
