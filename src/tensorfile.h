/*
 * tensorfile.h: writes a .safetensors file whose values come in pieces.
 *
 * Names and shapes come first: they give every offset.  Then each piece of values is written to its
 * place, in any order, so no tensor is held in memory.
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
    char name[32]; /* without characters that JSON escapes */
    int type;
    int n_dims;
    uint64_t shape[3];
    uint64_t offset; /* of its first byte, from the end of the header; set by tensor_file_begin() */
};

struct tensor_file {
    FILE *file;
    const char *path; /* borrowed; for messages */
    uint64_t data_start;
    uint64_t position;        /* of 'file' */
    uint64_t n_bytes_missing; /* of the tensors, not written yet; each place is written once */
    bool has_failed;          /* it has been reported */
};

uint64_t tensor_elements(const struct tensor *tensor);

/* Lays out 'n_tensors' in their order and writes the header to 'stream', an empty file that can seek. */
enum outcome tensor_file_begin(struct tensor_file *file, FILE *stream, const char *path,
                               struct tensor *tensors, size_t n_tensors, const char *producer);

/* Writes values from element 'first' of a tensor on.  False: it failed and has been reported. */
bool tensor_file_write_f32(struct tensor_file *file, const struct tensor *tensor, uint64_t first,
                           const float *values, size_t n_values);
bool tensor_file_write_i64(struct tensor_file *file, const struct tensor *tensor, uint64_t first,
                           const int32_t *values, size_t n_values);

/* OUTCOME_DONE only if 'outcome' is that and the file is complete. */
enum outcome tensor_file_end(struct tensor_file *file, enum outcome outcome);

#endif
