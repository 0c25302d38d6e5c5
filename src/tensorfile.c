/*
 * tensorfile.c: the safetensors format: the length of a JSON header as u64, the header, the tensors
 * one after another; all numbers little-endian.
 */
#include "tensorfile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "messages.h"
#include "platform.h"

/* Max bytes of one tensor in the header: name, type, three sizes and two offsets. */
#define ENTRY_BYTES 256

uint64_t tensor_elements(const struct tensor *tensor)
{
    uint64_t n = 1;

    for (int i = 0; i < tensor->n_dims; i++)
        n *= tensor->shape[i];
    return n;
}

static bool fail(struct tensor_file *file)
{
    if (!file->has_failed)
        complain(OUTCOME_FAILED, "cannot write %s: %s", file->path, strerror(errno));
    file->has_failed = true;
    return false;
}

/* Writes at an offset.  Seeks only if it must, because a seek flushes the buffer of stdio. */
static bool write_at(struct tensor_file *file, uint64_t position, const void *bytes, size_t n_bytes)
{
    if (file->has_failed)
        return false;
    if (position != file->position && !platform_seek(file->file, position))
        return fail(file);
    if (fwrite(bytes, 1, n_bytes, file->file) != n_bytes)
        return fail(file);
    file->position = position + n_bytes;
    return true;
}

static void store_little_endian(unsigned char *bytes, uint64_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
}

/* Lays out the tensors and writes their JSON; returns its length without padding. */
static size_t format_header(char *text, size_t capacity, struct tensor *tensors, size_t n_tensors,
                            const char *producer, uint64_t *n_data_bytes)
{
    uint64_t offset = 0;
    size_t n = (size_t)snprintf(
        text, capacity, "{\"__metadata__\":{\"format\":\"pt\",\"producer\":\"%s\"}", producer);

    for (size_t i = 0; i < n_tensors; i++) {
        struct tensor *tensor = &tensors[i];
        uint64_t end = offset + tensor_elements(tensor) * (uint64_t)tensor->type;

        n += (size_t)snprintf(text + n, capacity - n, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                              tensor->name, tensor->type == TENSOR_I64 ? "I64" : "F32");
        for (int k = 0; k < tensor->n_dims; k++)
            n += (size_t)snprintf(text + n, capacity - n, "%s%" PRIu64, k > 0 ? "," : "",
                                  tensor->shape[k]);
        n += (size_t)snprintf(text + n, capacity - n,
                              "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", offset, end);
        tensor->offset = offset;
        offset = end;
    }
    text[n++] = '}';
    *n_data_bytes = offset;
    return n;
}

static bool write_header(struct tensor_file *file, struct tensor *tensors, size_t n_tensors,
                         const char *producer)
{
    size_t capacity = (n_tensors + 1) * ENTRY_BYTES;
    char *text = malloc(capacity);
    unsigned char length[8];
    size_t n;
    bool is_good;

    if (text == NULL) {
        errno = ENOMEM;
        return fail(file);
    }
    n = format_header(text, capacity, tensors, n_tensors, producer, &file->n_bytes_missing);
    while (n % 8 != 0)
        text[n++] = ' ';
    store_little_endian(length, n, 8);
    is_good = write_at(file, 0, length, sizeof length) && write_at(file, 8, text, n);
    file->data_start = 8 + n;
    free(text);
    return is_good;
}

enum outcome tensor_file_begin(struct tensor_file *file, FILE *stream, const char *path,
                               struct tensor *tensors, size_t n_tensors, const char *producer)
{
    memset(file, 0, sizeof *file);
    file->file = stream;
    file->path = path;
    return write_header(file, tensors, n_tensors, producer) ? OUTCOME_DONE : OUTCOME_FAILED;
}

/* Values of one buffer, as little-endian bytes. */
#define CHUNK_VALUES 1024

bool tensor_file_write_f32(struct tensor_file *file, const struct tensor *tensor, uint64_t first,
                           const float *values, size_t n_values)
{
    unsigned char bytes[CHUNK_VALUES * TENSOR_F32];
    uint64_t position = file->data_start + tensor->offset + first * TENSOR_F32;

    file->n_bytes_missing -= n_values * TENSOR_F32;
    while (n_values > 0) {
        size_t n = n_values < CHUNK_VALUES ? n_values : CHUNK_VALUES;

        for (size_t i = 0; i < n; i++) {
            uint32_t bits;

            memcpy(&bits, &values[i], sizeof bits);
            store_little_endian(bytes + i * TENSOR_F32, bits, TENSOR_F32);
        }
        if (!write_at(file, position, bytes, n * TENSOR_F32))
            return false;
        position += n * TENSOR_F32;
        values += n;
        n_values -= n;
    }
    return true;
}

bool tensor_file_write_i64(struct tensor_file *file, const struct tensor *tensor, uint64_t first,
                           const int32_t *values, size_t n_values)
{
    unsigned char bytes[TENSOR_I64];

    file->n_bytes_missing -= n_values * TENSOR_I64;
    for (size_t i = 0; i < n_values; i++) {
        uint64_t position = file->data_start + tensor->offset + (first + i) * TENSOR_I64;

        store_little_endian(bytes, (uint64_t)(int64_t)values[i], TENSOR_I64);
        if (!write_at(file, position, bytes, sizeof bytes))
            return false;
    }
    return true;
}

enum outcome tensor_file_end(struct tensor_file *file, enum outcome outcome)
{
    if (outcome == OUTCOME_DONE && file->has_failed)
        return OUTCOME_FAILED;
    if (outcome == OUTCOME_DONE && file->n_bytes_missing > 0)
        return complain(OUTCOME_FAILED, "cannot write %s: %" PRIu64 " bytes are missing",
                        file->path, file->n_bytes_missing);
    return outcome;
}
