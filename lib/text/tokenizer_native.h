/*
 * tokenizer_native.h: a tokenizer's tables as tensors of a native file.
 */
#ifndef GPT2I_TOKENIZER_NATIVE_H
#define GPT2I_TOKENIZER_NATIVE_H

#include "../formats/native.h"
#include "vocabulary.h"

struct gpt2i_tokenizer_table {
    const char *name; /* of the tensor */
    const char *dtype;
    size_t element_bytes;
    const void *elements;
    uint64_t n_elements;
};

/* Those of larger elements come first, so that each is aligned where it follows the one before. */
#define GPT2I_TOKENIZER_TABLES 13

/* The tables of a tokenizer, borrowed. */
GPT2I_HIDDEN void
gpt2i_tokenizer_tables(const gpt2_tokenizer *tokenizer,
                       struct gpt2i_tokenizer_table tables[GPT2I_TOKENIZER_TABLES]);

/*
 * The tokenizer of a native file, whose tables stay in the image; '*tokenizer' is NULL if the file has
 * none.  No table can make it read or write outside of them, whatever it holds.
 * Errors: GPT2_ERR_FORMAT, _MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_tokenizer_of_native(gpt2_tokenizer **tokenizer,
                                               const struct gpt2i_native *native,
                                               struct gpt2i_error *error);

/* As gpt2_tokenizer_load() of a native file; the tokenizer owns a copy of the directory. */
GPT2I_HIDDEN int32_t gpt2i_tokenizer_read_native(gpt2_tokenizer **tokenizer,
                                                 const struct gpt2i_files *files,
                                                 struct gpt2i_error *error);

#endif
