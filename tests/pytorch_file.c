/*
 * pytorch_file.c: builds files of torch.save().
 */
#include "pytorch_file.h"

void bytes_add(struct bytes *to, const void *bytes, size_t n)
{
    assert_true(n <= sizeof to->at - to->n);
    if (n > 0)
        memcpy(to->at + to->n, bytes, n);
    to->n += n;
}

void bytes_add_number(struct bytes *to, uint64_t number, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)(number >> 8 * i);

        bytes_add(to, &byte, 1);
    }
}

void bytes_add_text(struct bytes *to, const char *text)
{
    ADD(to, "X");
    bytes_add_number(to, strlen(text), 4);
    bytes_add(to, text, strlen(text));
}

void bytes_add_int(struct bytes *to, uint64_t number)
{
    ADD(to, "J");
    bytes_add_number(to, number, 4);
}

void pytorch_add_tensor(struct bytes *to, const struct pytorch_storage *storage, bool is_stream,
                        uint64_t first, const uint64_t *dims, int n_dims)
{
    ADD(to, "ctorch._utils\n_rebuild_tensor_v2\n((");
    bytes_add_text(to, "storage");
    ADD(to, "ctorch\n");
    bytes_add(to, storage->type, strlen(storage->type));
    ADD(to, "\n");
    bytes_add_text(to, storage->key);
    bytes_add_text(to, "cpu");
    bytes_add_int(to, storage->n);
    if (is_stream)
        ADD(to, "N");
    ADD(to, "tQ");
    bytes_add_int(to, first);
    ADD(to, "(");
    for (int i = 0; i < n_dims; i++)
        bytes_add_int(to, dims[i]);
    ADD(to, "t(");
    for (int i = 0; i < n_dims; i++) {
        uint64_t stride = 1;

        for (int j = i + 1; j < n_dims; j++)
            stride *= dims[j];
        bytes_add_int(to, stride);
    }
    ADD(to, "t\x89"
            "ccollections\nOrderedDict\n)RtR");
}

/* -------------------------------------------------------------------------------------- files -- */

struct zip {
    struct bytes *file;
    struct bytes directory;
    size_t n;
};

static void zip_add(struct zip *zip, const char *name, const void *bytes, size_t n)
{
    size_t at = zip->file->n, length = strlen(name);

    ADD(zip->file, "PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    bytes_add_number(zip->file, n, 4);
    bytes_add_number(zip->file, n, 4);
    bytes_add_number(zip->file, length, 2);
    bytes_add_number(zip->file, 5, 2); /* as torch's padding */
    bytes_add(zip->file, name, length);
    ADD(zip->file, "FB\1\0Z");
    bytes_add(zip->file, bytes, n);
    ADD(&zip->directory, "PK\1\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    bytes_add_number(&zip->directory, n, 4);
    bytes_add_number(&zip->directory, n, 4);
    bytes_add_number(&zip->directory, length, 2);
    ADD(&zip->directory, "\0\0\0\0\0\0\0\0\0\0\0\0");
    bytes_add_number(&zip->directory, at, 4);
    bytes_add(&zip->directory, name, length);
    zip->n++;
}

static void zip_end(struct zip *zip)
{
    size_t at = zip->file->n;

    bytes_add(zip->file, zip->directory.at, zip->directory.n);
    ADD(zip->file, "PK\5\6\0\0\0\0");
    bytes_add_number(zip->file, zip->n, 2);
    bytes_add_number(zip->file, zip->n, 2);
    bytes_add_number(zip->file, zip->directory.n, 4);
    bytes_add_number(zip->file, at, 4);
    ADD(zip->file, "\0\0");
}

void pytorch_wrap(struct bytes *file, const struct bytes *pickle,
                  const struct pytorch_storage *storages, size_t n_storages, bool is_stream)
{
    static struct zip zip;
    char name[64];

    file->n = 0;
    if (is_stream) {
        ADD(file, "\x80\2\x8a\xa\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3.\x80\2}(");
        bytes_add_text(file, "little_endian");
        ADD(file, "\x88u.");
        bytes_add(file, pickle->at, pickle->n);
        ADD(file, "\x80\2](");
        for (size_t i = 0; i < n_storages; i++)
            bytes_add_text(file, storages[i].key);
        ADD(file, "e.");
        for (size_t i = 0; i < n_storages; i++) {
            bytes_add_number(file, storages[i].n, 8);
            bytes_add(file, storages[i].bytes, storages[i].n_bytes);
        }
        return;
    }
    zip.file = file;
    zip.directory.n = 0;
    zip.n = 0;
    zip_add(&zip, "a/data.pkl", pickle->at, pickle->n);
    for (size_t i = 0; i < n_storages; i++) {
        (void)snprintf(name, sizeof name, "a/data/%s", storages[i].key);
        zip_add(&zip, name, storages[i].bytes, storages[i].n_bytes);
    }
    zip_add(&zip, "a/byteorder", "little", 6);
    zip_end(&zip);
}

/* ------------------------------------------------------------------------------- whole models -- */

#define TENSORS_MAX 64

static struct pytorch_storage storages[TENSORS_MAX];
static size_t n_storages;

static const char *storage_type(const char *dtype)
{
    static const struct {
        const char *dtype;
        const char *type;
    } types[] = {
        {"F64", "DoubleStorage"},    {"F32", "FloatStorage"}, {"F16", "HalfStorage"},
        {"BF16", "BFloat16Storage"}, {"U8", "ByteStorage"},   {"BOOL", "BoolStorage"},
    };

    for (size_t i = 0; i < COUNT(types); i++) {
        if (strcmp(types[i].dtype, dtype) == 0)
            return types[i].type;
    }
    fail_msg("no storage of %s", dtype);
    return NULL;
}

/* [n_in, n_out] to [n_out, n_in]. */
static void transpose(unsigned char *bytes, uint64_t dims[2], size_t element_bytes)
{
    static unsigned char turned[PYTORCH_TENSOR_BYTES];
    uint64_t n_rows = dims[0], n_columns = dims[1];

    for (size_t i = 0; i < n_rows; i++) {
        for (size_t j = 0; j < n_columns; j++)
            memcpy(turned + (j * n_rows + i) * element_bytes,
                   bytes + (i * n_columns + j) * element_bytes, element_bytes);
    }
    memcpy(bytes, turned, n_rows * n_columns * element_bytes);
    dims[0] = n_columns;
    dims[1] = n_rows;
}

size_t pytorch_read_tensor(struct gpt2i_tensor *tensor, bool is_linear,
                           unsigned char bytes[PYTORCH_TENSOR_BYTES])
{
    struct gpt2i_error error = {NULL, 0};
    bool is_conv1d = tensor->n_dims == 2 && strstr(tensor->name, "h.") != NULL;
    size_t n = 1;

    for (int32_t i = 0; i < tensor->n_dims; i++)
        n *= (size_t)tensor->dims[i];
    assert_true(tensor->n_bytes <= PYTORCH_TENSOR_BYTES);
    assert_int_equal(
        gpt2i_source_read(tensor->source, tensor->offset, bytes, (size_t)tensor->n_bytes, &error),
        GPT2_OK);
    if (is_linear && is_conv1d)
        transpose(bytes, tensor->dims, (size_t)tensor->n_bytes / n);
    return n;
}

void pytorch_open_model(struct gpt2i_tensors *tensors, const char *directory)
{
    const struct gpt2i_files files = {.directory = directory};
    struct gpt2i_error error = {NULL, 0};

    assert_int_equal(gpt2i_safetensors_open(tensors, &files, "model.safetensors", &error), GPT2_OK);
}

void pytorch_add_model(struct bytes *pickle, const char *directory, bool is_stream, bool is_linear,
                       const char *prefix)
{
    static unsigned char bytes[TENSORS_MAX][PYTORCH_TENSOR_BYTES];
    struct gpt2i_tensors tensors;

    pytorch_open_model(&tensors, directory);
    assert_true(tensors.n_tensors <= TENSORS_MAX);
    ADD(pickle, "ccollections\nOrderedDict\n)R(");
    for (size_t i = 0; i < tensors.n_tensors; i++) {
        struct gpt2i_tensor *tensor = &tensors.items[i];
        struct pytorch_storage *storage = &storages[i];
        char name[2 * GPT2I_TENSOR_NAME_BYTES];

        storage->n = pytorch_read_tensor(tensor, is_linear, bytes[i]);
        (void)snprintf(storage->key, sizeof storage->key, "%zu", i);
        storage->type = storage_type(tensor->dtype);
        storage->bytes = bytes[i];
        storage->n_bytes = (size_t)tensor->n_bytes;
        (void)snprintf(name, sizeof name, "%s%s", prefix, tensor->name);
        bytes_add_text(pickle, name);
        pytorch_add_tensor(pickle, storage, is_stream, 0, tensor->dims, tensor->n_dims);
    }
    ADD(pickle, "u");
    n_storages = tensors.n_tensors;
    gpt2i_tensors_close(&tensors);
}

void pytorch_wrap_model(struct bytes *file, const struct bytes *pickle, bool is_stream)
{
    pytorch_wrap(file, pickle, storages, n_storages, is_stream);
}
