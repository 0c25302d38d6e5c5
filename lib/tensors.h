/*
 * tensors.h: what every weight file is turned into: named tensors and where their bytes lie.
 *
 * Names are looked up exactly.  Bytes stay in the file; whoever wants a tensor reads its range with
 * gpt2i_file_read(tensor->file, tensor->offset, ...).
 */
#ifndef GPT2I_TENSORS_H
#define GPT2I_TENSORS_H

#include "file.h"

#define GPT2I_TENSOR_DIMS       4   /* most dimensions of a tensor */
#define GPT2I_TENSOR_NAME_BYTES 256 /* longest name, NUL included */

struct gpt2i_tensor {
    const char *name;  /* NUL-terminated, in the block of the tensors */
    const char *dtype; /* as the file spells it, "F16"; NUL-terminated */
    int32_t type;      /* GPT2_TYPE_*, -1 for any other dtype */
    int32_t n_dims;
    uint64_t dims[GPT2I_TENSOR_DIMS]; /* outermost first */
    const struct gpt2i_file *file;
    uint64_t offset; /* of its first byte in the file */
    uint64_t n_bytes;
};

struct gpt2i_tensors {
    struct gpt2i_file file;
    size_t n_tensors;
    struct gpt2i_tensor *items; /* sorted by name, no name twice */
    void *block;                /* items and names */
    size_t block_bytes;
};

/* Opens a .safetensors file; 'tensors' must stay where it is (its items point to its file). */
GPT2I_HIDDEN int32_t gpt2i_safetensors_open(struct gpt2i_tensors *tensors, const char *path,
                                            struct gpt2i_error *error);

GPT2I_HIDDEN void gpt2i_tensors_close(struct gpt2i_tensors *tensors);

/* NULL if there is none of that name. */
GPT2I_HIDDEN const struct gpt2i_tensor *gpt2i_tensors_find(const struct gpt2i_tensors *tensors,
                                                           const char *name);

#endif
