/*
 * tensorfile.h: writes a .safetensors file whose tensors become known piece by piece.
 *
 * Names and shapes come first, and with them every offset; then values are written wherever they
 * belong, in any order, so that nothing of a tensor's size is held in memory.  The file grows under
 * another name, PATH.tmp, and takes its own when it is complete.
 */
#ifndef TENSORFILE_H
#define TENSORFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "command.h"

#define TENSOR_F32 4 /* the value is the bytes of one element */
#define TENSOR_I64 8

struct tensor {
    char name[32]; /* nothing that JSON would escape */
    int type;
    int n_dims;
    uint64_t shape[3];
    uint64_t offset; /* of its first byte after the header; set by tensor_file_create() */
};

struct tensor_file {
    FILE *file;
    const char *path; /* borrowed */
    char *temporary_path;
    uint64_t data_start;
    uint64_t position;        /* of 'file' */
    uint64_t n_bytes_missing; /* until all tensors have been written, each place once */
    bool has_failed;          /* and has been reported */
};

uint64_t tensor_elements(const struct tensor *tensor);

/*
 * Begins the file and lays out 'n_tensors' in their order.  The caller ends it with
 * tensor_file_commit() or tensor_file_discard().
 */
enum outcome tensor_file_create(struct tensor_file *file, const char *path, struct tensor *tensors,
                                size_t n_tensors, const char *producer);

/* Writes values from element 'first' of a tensor on.  False: failed, and has been reported. */
bool tensor_file_write_f32(struct tensor_file *file, const struct tensor *tensor, uint64_t first,
                           const float *values, size_t n_values);
bool tensor_file_write_i64(struct tensor_file *file, const struct tensor *tensor, uint64_t first,
                           const int32_t *values, size_t n_values);

enum outcome tensor_file_commit(struct tensor_file *file);

/* Removes what was written; harmless after a commit or a create that failed. */
void tensor_file_discard(struct tensor_file *file);

#endif
