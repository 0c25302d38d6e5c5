/*
 * gguf_file.h: GGUF files, made in memory.
 *
 * What goes wrong in here fails the cmocka test that called.
 */
#ifndef GGUF_FILE_H
#define GGUF_FILE_H

#include "tiny_model.h"

/* ggml's numbers of types of tensors. */
enum {
    GGML_F32 = 0,
    GGML_F16 = 1,
    GGML_Q4_0 = 2,
    GGML_Q4_1 = 3,
    GGML_Q5_0 = 6,
    GGML_Q5_1 = 7,
    GGML_Q8_0 = 8,
    GGML_Q2_K = 10,
    GGML_Q4_K = 12,
    GGML_Q5_K = 13,
    GGML_Q6_K = 14,
    GGML_IQ4_NL = 20,
    GGML_F64 = 28,
    GGML_BF16 = 30
};

/* Types of values. */
enum {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64
};

struct gguf_bytes {
    unsigned char *at;
    size_t n, capacity;
};

/* The parts of a file, and after gguf_end() the file. */
struct gguf_file {
    uint32_t version;
    uint64_t alignment, n_tensors, n_keys;
    struct gguf_bytes keys, tensors, data, all;
};

/* An empty file of version 3; the caller frees it. */
struct gguf_file gguf_begin(void);
void gguf_free(struct gguf_file *file);

void gguf_put(struct gguf_bytes *to, const void *bytes, size_t n);
void gguf_put_number(struct gguf_bytes *to, uint64_t number, size_t n_bytes);
void gguf_put_text(struct gguf_bytes *to, const char *text); /* its length first */

/* A key and the type of its value, which the caller puts into file->keys. */
void gguf_add_key(struct gguf_file *file, const char *key, uint32_t type);

void gguf_add_u32(struct gguf_file *file, const char *key, uint32_t value);
void gguf_add_f32(struct gguf_file *file, const char *key, float value);
void gguf_add_text(struct gguf_file *file, const char *key, const char *value);

/* A tensor; dims[0] is the innermost.  Its bytes follow those of the tensors before, aligned. */
void gguf_add_tensor(struct gguf_file *file, const char *name, uint32_t type, const uint64_t *dims,
                     uint32_t n_dims, const void *bytes, size_t n_bytes);

/* Puts the parts together. */
void gguf_end(struct gguf_file *file);

/* The bytes of n elements. */
size_t gguf_type_bytes(uint32_t type, size_t n);

/*
 * Adds the keys and tensors of a model as llama.cpp's converter writes them: a GPTBigCode with shared
 * keys and values is a starcoder; matrices have 'type', a tied head is left out.  F32, F16 and BF16 are the model's numbers; blocks have pseudo-random bits and
 * scales below 2^-7.
 */
void gguf_add_model(struct gguf_file *file, const gpt2_model *model, uint32_t type);

/* As tiny_load(), from the file alone; NULL and a line where it fails. */
int32_t gguf_load(const struct gguf_file *file, int32_t weight_type, gpt2_model **model, char *line,
                  size_t line_bytes);

#endif
