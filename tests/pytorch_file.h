/*
 * pytorch_file.h: builds files of torch.save(), byte by byte, in both forms.
 *
 * What goes wrong in here fails the cmocka test that called.
 */
#ifndef PYTORCH_FILE_H
#define PYTORCH_FILE_H

#include "tiny_model.h"
#include "formats/tensors.h"

#define PYTORCH_TENSOR_BYTES 60000 /* of one tensor at most */

struct bytes {
    unsigned char at[1 << 20];
    size_t n;
};

void bytes_add(struct bytes *to, const void *bytes, size_t n);

/* The n lower bytes, the lowest first. */
void bytes_add_number(struct bytes *to, uint64_t number, size_t n);

/* Of a literal with NULs inside. */
#define ADD(to, literal) bytes_add((to), (literal), sizeof(literal) - 1)

/* Opcodes that push a text and a number of 32 bits. */
void bytes_add_text(struct bytes *to, const char *text);
void bytes_add_int(struct bytes *to, uint64_t number);

struct pytorch_storage {
    char key[24];
    const char *type; /* "FloatStorage" */
    uint64_t n;
    const void *bytes;
    size_t n_bytes;
};

/* A tensor that is all of a storage, from element 'first' on. */
void pytorch_add_tensor(struct bytes *to, const struct pytorch_storage *storage, bool is_stream,
                        uint64_t first, const uint64_t *dims, int n_dims);

/* The whole file of a dict's pickle and its storages, before torch 1.6 a stream, since a zip file. */
void pytorch_wrap(struct bytes *file, const struct bytes *pickle,
                  const struct pytorch_storage *storages, size_t n_storages, bool is_stream);

/* Opens a directory's model.safetensors. */
void pytorch_open_model(struct gpt2i_tensors *tensors, const char *directory);

/*
 * Reads a tensor, and changes its matrix and shape to torch.nn.Linear's where 'is_linear'.  Returns the
 * number of elements.
 */
size_t pytorch_read_tensor(struct gpt2i_tensor *tensor, bool is_linear,
                           unsigned char bytes[PYTORCH_TENSOR_BYTES]);

/*
 * Pushes a dict with the tensors of a directory's model.safetensors: under a prefix, and with matrices
 * as torch.nn.Linear has them where 'is_linear'.
 */
void pytorch_add_model(struct bytes *pickle, const char *directory, bool is_stream, bool is_linear,
                       const char *prefix);

/* The file of a pickle with the dict that was pushed last. */
void pytorch_wrap_model(struct bytes *file, const struct bytes *pickle, bool is_stream);

#endif
