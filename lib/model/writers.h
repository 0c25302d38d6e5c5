/*
 * writers.h: the files that write.c chooses from.
 */
#ifndef GPT2I_WRITERS_H
#define GPT2I_WRITERS_H

#include "names.h"
#include "../base/sink.h"

/* Writes a file to a sink, which is flushed afterwards; 'list' has the weights of 'model'. */
typedef int32_t gpt2i_write_function(const gpt2_model *model, struct gpt2i_weight_list *list,
                                     struct gpt2i_sink *sink, struct gpt2i_error *error);

/* native.safetensors (formats/native.h).  Errors: GPT2_ERR_UNSUPPORTED. */
GPT2I_HIDDEN gpt2i_write_function gpt2i_native_write;

/* model.safetensors, under Hugging Face's names.  Errors: GPT2_ERR_MEMORY. */
GPT2I_HIDDEN gpt2i_write_function gpt2i_safetensors_write;

/* model.gguf.  Errors: GPT2_ERR_UNSUPPORTED (llama.cpp would run another model), _MEMORY. */
GPT2I_HIDDEN gpt2i_write_function gpt2i_gguf_write;

#endif
