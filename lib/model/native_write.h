/*
 * native_write.h: writing native files (formats/native.h).
 */
#ifndef GPT2I_NATIVE_WRITE_H
#define GPT2I_NATIVE_WRITE_H

#include "model.h"

/* As gpt2_model_write(), whose arguments have been checked. */
GPT2I_HIDDEN int32_t gpt2i_native_write(const gpt2_model *model, gpt2_write_callback write,
                                        void *user, struct gpt2i_error *error);

#endif
