/*
 * gguf_values.h: the values of a GGUF file's metadata, by key.
 */
#ifndef GPT2I_GGUF_VALUES_H
#define GPT2I_GGUF_VALUES_H

#include "gguf.h"

/* NULL if there is no such key. */
GPT2I_HIDDEN const struct gpt2i_gguf_value *gpt2i_gguf_find(const struct gpt2i_gguf *gguf,
                                                            const char *key);

/*
 * The values of keys.  Where one is absent, '*value' is not written, unless 'required' makes that an
 * error.  Errors: GPT2_ERR_FORMAT, also for another type.
 */
GPT2I_HIDDEN int32_t gpt2i_gguf_integer(const struct gpt2i_gguf *gguf, const char *key,
                                        bool required, uint64_t *value, struct gpt2i_error *error);
GPT2I_HIDDEN int32_t gpt2i_gguf_bool(const struct gpt2i_gguf *gguf, const char *key, bool *value,
                                     struct gpt2i_error *error);
GPT2I_HIDDEN int32_t gpt2i_gguf_text(const struct gpt2i_gguf *gguf, const char *key, bool required,
                                     struct gpt2i_gguf_string *value, struct gpt2i_error *error);

/* An array of elements of a type; '*array' is NULL where it is absent. */
GPT2I_HIDDEN int32_t gpt2i_gguf_array(const struct gpt2i_gguf *gguf, const char *key, uint32_t type,
                                      bool required, const struct gpt2i_gguf_value **array,
                                      struct gpt2i_error *error);

/* The string that begins at 'bytes', which it passes over, in an array of strings. */
GPT2I_HIDDEN struct gpt2i_gguf_string gpt2i_gguf_next_string(const unsigned char **bytes);

#endif
