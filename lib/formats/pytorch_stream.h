/*
 * pytorch_stream.h: files of torch.save() before torch 1.6.
 */
#ifndef GPT2I_PYTORCH_STREAM_H
#define GPT2I_PYTORCH_STREAM_H

#include "pytorch_dict.h"

/* Reads the pickles up to the dict, which it checks, and finds the storages. */
GPT2I_HIDDEN int32_t gpt2i_pytorch_read_stream(struct gpt2i_pytorch *reader, uint64_t *name_bytes);

#endif
