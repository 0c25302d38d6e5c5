/*
 * pytorch_dict.c: the dict of a state_dict and its tensors.
 *
 * A tensor is a view of a storage.  Several tensors may have one storage, as the tied wte.weight and
 * lm_head.weight do.
 */
#include "pytorch_dict.h"

#include <inttypes.h>

int32_t gpt2i_pytorch_fail(const struct gpt2i_pytorch *reader, int32_t status, const char *what)
{
    return gpt2i_fail(reader->error, status, "%s: %s", reader->pickle.path, what);
}

/* ----------------------------------------------------------------------------------- pickles -- */

static unsigned char *dict_layout(struct gpt2i_pickle *pickle, struct gpt2i_arena *arena,
                                  size_t n_bytes)
{
    gpt2i_pickle_layout(pickle, arena, n_bytes);
    return gpt2i_arena_take(arena, n_bytes, 1);
}

int32_t gpt2i_pytorch_read_pickles(struct gpt2i_pytorch *reader, uint64_t offset, uint64_t n_bytes)
{
    const struct gpt2i_source *source = reader->tensors->source;
    struct gpt2i_arena arena = gpt2i_arena_over(NULL);
    unsigned char *bytes;

    if (n_bytes == 0 || n_bytes > GPT2I_PYTORCH_PICKLE_MAX_BYTES)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: the pickle has %" PRIu64 " bytes, wanted 1 to %" PRIu64,
                          source->path, n_bytes, GPT2I_PYTORCH_PICKLE_MAX_BYTES);
    (void)dict_layout(&reader->pickle, &arena, (size_t)n_bytes);
    reader->block_bytes = arena.used_bytes;
    if (reader->block_bytes > 0)
        reader->block = gpt2i_block_new(reader->block_bytes);
    if (reader->block == NULL)
        return gpt2i_fail(reader->error, GPT2_ERR_MEMORY,
                          "%s: no memory for a pickle of %" PRIu64 " bytes", source->path, n_bytes);
    arena = gpt2i_arena_over(reader->block);
    bytes = dict_layout(&reader->pickle, &arena, (size_t)n_bytes);
    reader->pickle.bytes = bytes;
    return gpt2i_source_read(source, offset, bytes, (size_t)n_bytes, reader->error);
}

int32_t gpt2i_pytorch_run_dict(struct gpt2i_pytorch *reader)
{
    int32_t status = gpt2i_pickle_run(&reader->pickle, &reader->dict, reader->error);

    if (status == GPT2_OK && reader->dict->kind != GPT2I_PICKLE_DICT)
        return gpt2i_fail(reader->error, GPT2_ERR_UNSUPPORTED,
                          "%s: holds %s, wanted a state_dict: a dict of tensors",
                          reader->pickle.path, gpt2i_pickle_show(reader->dict));
    return status;
}

/* ---------------------------------------------------------------------------------- storages -- */

const struct gpt2i_pickle_value *gpt2i_pytorch_storage_of(const struct gpt2i_pytorch *reader,
                                                          const struct gpt2i_pickle_value *tensor)
{
    return gpt2i_pickle_part(&reader->pickle, tensor, 0);
}

struct gpt2i_tensor *gpt2i_pytorch_find_storage(const struct gpt2i_pytorch *reader,
                                                const struct gpt2i_pickle_value *key)
{
    char name[2 * GPT2I_TENSOR_NAME_BYTES];
    size_t length = strlen(reader->prefix);
    const struct gpt2i_tensor *found;

    memcpy(name, reader->prefix, length);
    if (!gpt2i_pickle_copy(&reader->pickle, key, name + length, sizeof name - length))
        return NULL;
    found = gpt2i_tensors_find(&reader->storages, name);
    return found == NULL ? NULL : &reader->storages.items[found - reader->storages.items];
}

/* The bytes of the storage of a tensor, by its type and number of elements. */
bool gpt2i_pytorch_storage_bytes(const struct gpt2i_pytorch *reader,
                                 const struct gpt2i_pickle_value *storage, uint64_t *n_bytes)
{
    int64_t n = gpt2i_pickle_part(&reader->pickle, storage, 4)->integer;

    return n >= 0 &&
           gpt2i_mul_u64((uint64_t)n, gpt2i_pickle_dtype_of(&reader->pickle, storage).n_bytes,
                         n_bytes) &&
           *n_bytes <= INT64_MAX;
}

/* ----------------------------------------------------------------------------------- tensors -- */

static int32_t fail_dict_tensor(const struct gpt2i_pytorch *reader, const char *name,
                                int32_t status, const char *what)
{
    return gpt2i_fail(reader->error, status, "%s: tensor %s: %s", reader->pickle.path, name, what);
}

/* Sizes and strides: the elements must follow on, the last dimension innermost. */
static int32_t read_dict_shape(const struct gpt2i_pytorch *reader,
                               const struct gpt2i_pickle_value *value, struct gpt2i_tensor *tensor)
{
    const struct gpt2i_pickle *pickle = &reader->pickle;
    const struct gpt2i_pickle_value *sizes = gpt2i_pickle_part(pickle, value, 2);
    const struct gpt2i_pickle_value *strides = gpt2i_pickle_part(pickle, value, 3);
    uint64_t wanted = 1;
    bool is_contiguous = true;

    if (sizes->n > GPT2I_TENSOR_DIMS)
        return gpt2i_fail(reader->error, GPT2_ERR_UNSUPPORTED,
                          "%s: tensor %s: has %" PRIu32 " dimensions, wanted at most %d",
                          pickle->path, tensor->name, sizes->n, GPT2I_TENSOR_DIMS);
    if (strides->n != sizes->n)
        return fail_dict_tensor(reader, tensor->name, GPT2_ERR_FORMAT,
                                "its sizes and strides differ");
    tensor->n_dims = (int32_t)sizes->n;
    for (uint32_t i = sizes->n; i-- > 0;) {
        const struct gpt2i_pickle_value *size = gpt2i_pickle_part(pickle, sizes, i);
        const struct gpt2i_pickle_value *stride = gpt2i_pickle_part(pickle, strides, i);

        if (size->kind != GPT2I_PICKLE_INT || size->integer < 0 ||
            stride->kind != GPT2I_PICKLE_INT || stride->integer < 0)
            return fail_dict_tensor(reader, tensor->name, GPT2_ERR_FORMAT,
                                    "its sizes and strides are no numbers from 0 to 2^63 - 1");
        tensor->dims[i] = (uint64_t)size->integer;
        if (size->integer > 1 && (uint64_t)stride->integer != wanted)
            is_contiguous = false;
        if (size->integer > 1 && !gpt2i_mul_u64(wanted, (uint64_t)size->integer, &wanted))
            return fail_dict_tensor(reader, tensor->name, GPT2_ERR_FORMAT,
                                    "the product of its sizes is above 2^64 - 1");
    }
    for (uint32_t i = 0; i < sizes->n; i++)
        is_contiguous = is_contiguous || tensor->dims[i] == 0;
    if (!is_contiguous)
        return fail_dict_tensor(reader, tensor->name, GPT2_ERR_UNSUPPORTED,
                                "its elements do not follow on, as after tensor.contiguous()");
    return GPT2_OK;
}

static int32_t read_dict_tensor(const struct gpt2i_pytorch *reader,
                                const struct gpt2i_pickle_value *value, struct gpt2i_tensor *tensor)
{
    const struct gpt2i_pickle_value *storage = gpt2i_pytorch_storage_of(reader, value);
    struct gpt2i_pickle_dtype dtype = gpt2i_pickle_dtype_of(&reader->pickle, storage);
    int64_t first = gpt2i_pickle_part(&reader->pickle, value, 1)->integer;
    const struct gpt2i_tensor *bytes =
        gpt2i_pytorch_find_storage(reader, gpt2i_pickle_part(&reader->pickle, storage, 2));
    uint64_t offset, n_bytes;
    int32_t status = read_dict_shape(reader, value, tensor);

    if (status != GPT2_OK)
        return status;
    if (bytes == NULL)
        return fail_dict_tensor(reader, tensor->name, GPT2_ERR_FORMAT, "its storage is missing");
    if (!gpt2i_pytorch_storage_bytes(reader, storage, &n_bytes) || n_bytes != bytes->n_bytes)
        return fail_dict_tensor(reader, tensor->name, GPT2_ERR_FORMAT,
                                "its storage has another size than the pickle says");
    tensor->dtype = dtype.dtype;
    tensor->type = dtype.type;
    tensor->source = reader->tensors->source;
    if (!gpt2i_tensor_size(tensor, dtype.n_bytes, &tensor->n_bytes) || first < 0 ||
        !gpt2i_mul_u64((uint64_t)first, dtype.n_bytes, &offset) || offset > bytes->n_bytes ||
        tensor->n_bytes > bytes->n_bytes - offset)
        return fail_dict_tensor(reader, tensor->name, GPT2_ERR_FORMAT,
                                "reaches out of its storage");
    tensor->offset = bytes->offset + offset;
    return GPT2_OK;
}

int32_t gpt2i_pytorch_check_dict(const struct gpt2i_pytorch *reader, uint64_t *name_bytes)
{
    char name[GPT2I_TENSOR_NAME_BYTES];
    uint32_t item = reader->dict->first;

    *name_bytes = 0;
    if (reader->dict->n / 2 > GPT2I_PYTORCH_TENSORS_MAX)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: has %" PRIu32 " tensors, wanted at most %d", reader->pickle.path,
                          reader->dict->n / 2, GPT2I_PYTORCH_TENSORS_MAX);
    for (uint32_t i = 0; i < reader->dict->n / 2; i++) {
        const struct gpt2i_pickle_value *key = gpt2i_pickle_item(&reader->pickle, item), *value;

        item = reader->pickle.items[item].next;
        value = gpt2i_pickle_item(&reader->pickle, item);
        item = reader->pickle.items[item].next;
        if (!gpt2i_pickle_copy(&reader->pickle, key, name, sizeof name))
            return gpt2i_fail(reader->error, GPT2_ERR_UNSUPPORTED,
                              "%s: a key of the dict is no text of at most %d bytes without NUL",
                              reader->pickle.path, GPT2I_TENSOR_NAME_BYTES - 1);
        if (value->kind != GPT2I_PICKLE_TENSOR)
            return gpt2i_fail(reader->error, GPT2_ERR_UNSUPPORTED,
                              "%s: \"%s\" is %s, wanted a tensor: no state_dict, but perhaps a "
                              "checkpoint that has one inside",
                              reader->pickle.path, name, gpt2i_pickle_show(value));
        *name_bytes += key->n + 1;
    }
    return GPT2_OK;
}

static const char *name_in_model(const struct gpt2i_pytorch *reader, const char *name)
{
    size_t length = reader->compiled == NULL ? 0 : strlen(reader->compiled);

    return length > 0 && strncmp(name, reader->compiled, length) == 0 ? name + length : name;
}

int32_t gpt2i_pytorch_read_tensors(struct gpt2i_pytorch *reader, uint64_t name_bytes)
{
    struct gpt2i_tensors *tensors = reader->tensors;
    size_t config_bytes = reader->is_linear ? GPT2I_PYTORCH_CONFIG_BYTES : 0;
    char *name;
    uint32_t item = reader->dict->first;
    int32_t status = gpt2i_tensors_allocate(tensors, reader->dict->n / 2, name_bytes + config_bytes,
                                            reader->error);

    if (status != GPT2_OK)
        return status;
    name = tensors->names + config_bytes;
    for (size_t i = 0; i < tensors->n_tensors && status == GPT2_OK; i++) {
        const struct gpt2i_pickle_value *key = gpt2i_pickle_item(&reader->pickle, item);

        (void)gpt2i_pickle_copy(&reader->pickle, key, name, GPT2I_TENSOR_NAME_BYTES);
        tensors->items[i].name = name_in_model(reader, name);
        tensors->items[i].is_out_in = reader->is_linear;
        name += key->n + 1;
        item = reader->pickle.items[item].next;
        status =
            read_dict_tensor(reader, gpt2i_pickle_item(&reader->pickle, item), &tensors->items[i]);
        item = reader->pickle.items[item].next;
    }
    return status == GPT2_OK ? gpt2i_tensors_sort(tensors, reader->error) : status;
}
