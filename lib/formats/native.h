/*
 * native.h: a native file: a model as it lies in memory, in one safetensors file.
 *
 *     the length of the header, the header       as in every safetensors file; "__metadata__" has
 *                                                "libgpt2": the version, "config": a config.json
 *     numbers and tables of the tokenizer        the directory, which ends here
 *     positions, norms, biases                   F32
 *     the panels of each matrix (matrix.h)       F32, F16, BF16, or U8: quantised
 *     "checksums"                                U64 [3]: the length of the directory in bytes, its
 *                                                checksum, and that of what follows it up to here
 *
 * All numbers are little-endian.  A checksum goes on from megabyte to megabyte, counted from where its
 * part begins.  The directory is checked when a file is opened, the rest only when it is read whole.
 */
#ifndef GPT2I_NATIVE_H
#define GPT2I_NATIVE_H

#include "tensors.h"

#define GPT2I_NATIVE_VERSION     "2"
#define GPT2I_NATIVE_CHECKSUMS   3
#define GPT2I_NATIVE_CHUNK_BYTES ((size_t)1 << 20)

/* Beside GPT2_FILE_MAP and GPT2_FILE_READ: reads the directory alone. */
#define GPT2I_FILE_DIRECTORY (GPT2_FILE_READ + 1)

struct gpt2i_native {
    struct gpt2i_tensors tensors;
    struct gpt2i_image image; /* in the machine's order of bytes, but for quantised panels */
    uint64_t directory_bytes; /* from the beginning of the file */
};

/*
 * Opens a native file and checks its directory, and with GPT2_FILE_READ the rest.  'progress' (NULL:
 * nobody) is told what is read.
 * Errors: GPT2_ERR_FILE, _FORMAT, _UNSUPPORTED (another version), _MEMORY, _CANCELLED.
 */
GPT2I_HIDDEN int32_t gpt2i_native_open(struct gpt2i_native *native, const struct gpt2i_files *files,
                                       int32_t access, gpt2_progress_callback progress, void *user,
                                       struct gpt2i_error *error);

/* Closes the file, frees all but the image, and gives that away. */
GPT2I_HIDDEN struct gpt2i_image gpt2i_native_take(struct gpt2i_native *native);

/* Does nothing after a failed open, after gpt2i_native_take(), or if all is zero. */
GPT2I_HIDDEN void gpt2i_native_close(struct gpt2i_native *native);

/*
 * The elements of a tensor, whose element has 'element_bytes'; '*n_elements' receives how many there are.
 * Errors: GPT2_ERR_FORMAT: it is missing, has another dtype, or is not aligned to its elements.
 */
GPT2I_HIDDEN int32_t gpt2i_native_find(const struct gpt2i_native *native, const char *name,
                                       const char *dtype, size_t element_bytes,
                                       const void **elements, uint64_t *n_elements,
                                       struct gpt2i_error *error);

#endif
