/*
 * write.h: writing a model as one of the files that gpt2_model_load() reads.
 */
#ifndef GPT2I_WRITE_H
#define GPT2I_WRITE_H

#include "model.h"

/* As gpt2_model_write(), whose arguments have been checked. */
GPT2I_HIDDEN int32_t gpt2i_model_write(const gpt2_model *model, const char *name,
                                       gpt2_write_callback write, void *user,
                                       struct gpt2i_error *error);

#endif
