/*
 * native_model.h: models in native files (formats/native.h).
 */
#ifndef GPT2I_NATIVE_MODEL_H
#define GPT2I_NATIVE_MODEL_H

#include "names.h"
#include "../formats/native.h"

#define GPT2I_NATIVE_NAME_BYTES 80

/* The 8-bit copy of the head (shortlist.h), if the model has one. */
#define GPT2I_NATIVE_COPY  "shortlist.panels"
#define GPT2I_NATIVE_NORMS "shortlist.norms"

/* The tensor that has the "panels" of a matrix, or its "table": h.0.attn.c_attn.panels. */
GPT2I_HIDDEN void gpt2i_native_name(const struct gpt2i_weight *weight, const char *last,
                                    char name[GPT2I_NATIVE_NAME_BYTES]);

/* The dtype of panels. */
GPT2I_HIDDEN const char *gpt2i_native_dtype(int32_t type);

/*
 * As gpt2_model_load() of a native file; '*model' has no eot_token yet.  Its weights, and the tables of
 * its tokenizer, stay in the image, which the model owns.
 * Errors: GPT2_ERR_FILE, _FORMAT, _UNSUPPORTED (params->weight_type is not the file's), _MEMORY,
 * _CANCELLED.
 */
GPT2I_HIDDEN int32_t gpt2i_native_read(gpt2_model **model, const struct gpt2i_files *files,
                                       const gpt2_model_params *params, struct gpt2i_error *error);

#endif
