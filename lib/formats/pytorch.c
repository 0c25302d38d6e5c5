/*
 * pytorch.c: reads the tensors of a pytorch_model.bin, a state_dict that torch.save() has written.
 *
 * Since torch 1.6 the file is a zip file, whose entries are in one folder of any name:
 *
 *     NAME/data.pkl       the pickle of the dict
 *     NAME/data/KEY       the bytes of a storage
 *     NAME/byteorder      "little", since torch 2
 *
 * Before, it was a stream of pickles and bytes:
 *
 *     magic number | 1001 | facts of the system | the dict | the list of the storages' keys |
 *     for each key: [8 bytes: number of elements] [the bytes]
 *
 * A tensor is a view of a storage.  Several tensors may have one storage, as the tied wte.weight and
 * lm_head.weight do.
 */
#include "pickle.h"
#include "tensors.h"
#include "zip.h"

#include <inttypes.h>

#define PICKLE_MAX_BYTES ((uint64_t)1 << 20) /* of all pickles of a file; GPT-2 XL's has 200,000 */
#define TENSORS_MAX      8192
#define COUNT_BYTES      8
#define PROTOCOL         1001

/* 0x1950a86a20f9469cfc6c */
static const unsigned char magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

struct reader {
    struct gpt2i_tensors *tensors;
    struct gpt2i_tensors storages; /* by name: where their bytes are */
    char prefix[GPT2I_TENSOR_NAME_BYTES +
                sizeof "data/"]; /* of the storages' names before their keys */
    struct gpt2i_pickle pickle;
    void *block; /* the machine's, and the pickles */
    size_t block_bytes;
    const struct gpt2i_pickle_value *dict;
    struct gpt2i_error *error;
};

static int32_t fail(const struct reader *reader, int32_t status, const char *what)
{
    return gpt2i_fail(reader->error, status, "%s: %s", reader->pickle.path, what);
}

/* ----------------------------------------------------------------------------------- pickles -- */

static unsigned char *layout(struct gpt2i_pickle *pickle, struct gpt2i_arena *arena, size_t n_bytes)
{
    gpt2i_pickle_layout(pickle, arena, n_bytes);
    return gpt2i_arena_take(arena, n_bytes, 1);
}

/* Reads the bytes that hold the pickles, and makes the machine for them. */
static int32_t read_pickles(struct reader *reader, uint64_t offset, uint64_t n_bytes)
{
    const struct gpt2i_source *source = reader->tensors->source;
    struct gpt2i_arena arena = gpt2i_arena_over(NULL);
    unsigned char *bytes;

    if (n_bytes == 0 || n_bytes > PICKLE_MAX_BYTES)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: the pickle has %" PRIu64 " bytes, wanted 1 to %" PRIu64,
                          source->path, n_bytes, PICKLE_MAX_BYTES);
    (void)layout(&reader->pickle, &arena, (size_t)n_bytes);
    reader->block_bytes = arena.used_bytes;
    if (reader->block_bytes > 0)
        reader->block = gpt2i_block_new(reader->block_bytes);
    if (reader->block == NULL)
        return gpt2i_fail(reader->error, GPT2_ERR_MEMORY,
                          "%s: no memory for a pickle of %" PRIu64 " bytes", source->path, n_bytes);
    arena = gpt2i_arena_over(reader->block);
    bytes = layout(&reader->pickle, &arena, (size_t)n_bytes);
    reader->pickle.bytes = bytes;
    return gpt2i_source_read(source, offset, bytes, (size_t)n_bytes, reader->error);
}

/* The next pickle, which must be the dict. */
static int32_t run_dict(struct reader *reader)
{
    int32_t status = gpt2i_pickle_run(&reader->pickle, &reader->dict, reader->error);

    if (status == GPT2_OK && reader->dict->kind != GPT2I_PICKLE_DICT)
        return gpt2i_fail(reader->error, GPT2_ERR_UNSUPPORTED,
                          "%s: holds %s, wanted a state_dict: a dict of tensors",
                          reader->pickle.path, gpt2i_pickle_show(reader->dict));
    return status;
}

static const struct gpt2i_pickle_value *item_value(const struct reader *reader, uint32_t item)
{
    return &reader->pickle.values[reader->pickle.items[item].value];
}

/* Copies a text that has no NUL inside and ends in one; false if there is no room. */
static bool copy_text(const struct reader *reader, const struct gpt2i_pickle_value *text, char *to,
                      size_t capacity)
{
    if (text->kind != GPT2I_PICKLE_TEXT || text->n >= capacity)
        return false;
    memcpy(to, reader->pickle.bytes + text->first, text->n);
    to[text->n] = '\0';
    return strlen(to) == text->n;
}

/* ---------------------------------------------------------------------------------- storages -- */

static const struct gpt2i_pickle_value *storage_of(const struct reader *reader,
                                                   const struct gpt2i_pickle_value *tensor)
{
    return gpt2i_pickle_part(&reader->pickle, tensor, 0);
}

static struct gpt2i_tensor *find_storage(const struct reader *reader,
                                         const struct gpt2i_pickle_value *key)
{
    char name[2 * GPT2I_TENSOR_NAME_BYTES];
    size_t length = strlen(reader->prefix);
    const struct gpt2i_tensor *found;

    memcpy(name, reader->prefix, length);
    if (!copy_text(reader, key, name + length, sizeof name - length))
        return NULL;
    found = gpt2i_tensors_find(&reader->storages, name);
    return found == NULL ? NULL : &reader->storages.items[found - reader->storages.items];
}

/* The bytes of the storage of a tensor, by its type and number of elements. */
static bool storage_bytes(const struct reader *reader, const struct gpt2i_pickle_value *storage,
                          uint64_t *n_bytes)
{
    int64_t n = gpt2i_pickle_part(&reader->pickle, storage, 4)->integer;

    return n >= 0 &&
           gpt2i_mul_u64((uint64_t)n, gpt2i_pickle_dtype_of(&reader->pickle, storage).n_bytes,
                         n_bytes) &&
           *n_bytes <= INT64_MAX;
}

/* ----------------------------------------------------------------------------------- tensors -- */

static int32_t fail_tensor(const struct reader *reader, const char *name, int32_t status,
                           const char *what)
{
    return gpt2i_fail(reader->error, status, "%s: tensor %s: %s", reader->pickle.path, name, what);
}

/* Sizes and strides: the elements must follow on, the last dimension innermost. */
static int32_t read_shape(const struct reader *reader, const struct gpt2i_pickle_value *value,
                          struct gpt2i_tensor *tensor)
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
        return fail_tensor(reader, tensor->name, GPT2_ERR_FORMAT, "its sizes and strides differ");
    tensor->n_dims = (int32_t)sizes->n;
    for (uint32_t i = sizes->n; i-- > 0;) {
        const struct gpt2i_pickle_value *size = gpt2i_pickle_part(pickle, sizes, i);
        const struct gpt2i_pickle_value *stride = gpt2i_pickle_part(pickle, strides, i);

        if (size->kind != GPT2I_PICKLE_INT || size->integer < 0 ||
            stride->kind != GPT2I_PICKLE_INT || stride->integer < 0)
            return fail_tensor(reader, tensor->name, GPT2_ERR_FORMAT,
                               "its sizes and strides are no numbers from 0 to 2^63 - 1");
        tensor->dims[i] = (uint64_t)size->integer;
        if (size->integer > 1 && (uint64_t)stride->integer != wanted)
            is_contiguous = false;
        if (size->integer > 1 && !gpt2i_mul_u64(wanted, (uint64_t)size->integer, &wanted))
            return fail_tensor(reader, tensor->name, GPT2_ERR_FORMAT,
                               "the product of its sizes is above 2^64 - 1");
    }
    for (uint32_t i = 0; i < sizes->n; i++)
        is_contiguous = is_contiguous || tensor->dims[i] == 0;
    if (!is_contiguous)
        return fail_tensor(reader, tensor->name, GPT2_ERR_UNSUPPORTED,
                           "its elements do not follow on, as after tensor.contiguous()");
    return GPT2_OK;
}

static int32_t read_tensor(const struct reader *reader, const struct gpt2i_pickle_value *value,
                           struct gpt2i_tensor *tensor)
{
    const struct gpt2i_pickle_value *storage = storage_of(reader, value);
    struct gpt2i_pickle_dtype dtype = gpt2i_pickle_dtype_of(&reader->pickle, storage);
    int64_t first = gpt2i_pickle_part(&reader->pickle, value, 1)->integer;
    const struct gpt2i_tensor *bytes =
        find_storage(reader, gpt2i_pickle_part(&reader->pickle, storage, 2));
    uint64_t offset, n_bytes;
    int32_t status = read_shape(reader, value, tensor);

    if (status != GPT2_OK)
        return status;
    if (bytes == NULL)
        return fail_tensor(reader, tensor->name, GPT2_ERR_FORMAT, "its storage is missing");
    if (!storage_bytes(reader, storage, &n_bytes) || n_bytes != bytes->n_bytes)
        return fail_tensor(reader, tensor->name, GPT2_ERR_FORMAT,
                           "its storage has another size than the pickle says");
    tensor->dtype = dtype.dtype;
    tensor->type = dtype.type;
    tensor->source = reader->tensors->source;
    if (!gpt2i_tensor_size(tensor, dtype.n_bytes, &tensor->n_bytes) || first < 0 ||
        !gpt2i_mul_u64((uint64_t)first, dtype.n_bytes, &offset) || offset > bytes->n_bytes ||
        tensor->n_bytes > bytes->n_bytes - offset)
        return fail_tensor(reader, tensor->name, GPT2_ERR_FORMAT, "reaches out of its storage");
    tensor->offset = bytes->offset + offset;
    return GPT2_OK;
}

/* Checks that the dict has tensors under names, and counts the bytes of these. */
static int32_t check_dict(const struct reader *reader, uint64_t *name_bytes)
{
    char name[GPT2I_TENSOR_NAME_BYTES];
    uint32_t item = reader->dict->first;

    *name_bytes = 0;
    if (reader->dict->n / 2 > TENSORS_MAX)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: has %" PRIu32 " tensors, wanted at most %d", reader->pickle.path,
                          reader->dict->n / 2, TENSORS_MAX);
    for (uint32_t i = 0; i < reader->dict->n / 2; i++) {
        const struct gpt2i_pickle_value *key = item_value(reader, item), *value;

        item = reader->pickle.items[item].next;
        value = item_value(reader, item);
        item = reader->pickle.items[item].next;
        if (!copy_text(reader, key, name, sizeof name))
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

static int32_t read_tensors(struct reader *reader, uint64_t name_bytes)
{
    struct gpt2i_tensors *tensors = reader->tensors;
    char *name;
    uint32_t item = reader->dict->first;
    int32_t status =
        gpt2i_tensors_allocate(tensors, reader->dict->n / 2, name_bytes, reader->error);

    name = tensors->names;
    for (size_t i = 0; i < tensors->n_tensors && status == GPT2_OK; i++) {
        const struct gpt2i_pickle_value *key = item_value(reader, item);

        (void)copy_text(reader, key, name, GPT2I_TENSOR_NAME_BYTES);
        tensors->items[i].name = name;
        name += key->n + 1;
        item = reader->pickle.items[item].next;
        status = read_tensor(reader, item_value(reader, item), &tensors->items[i]);
        item = reader->pickle.items[item].next;
    }
    return status == GPT2_OK ? gpt2i_tensors_sort(tensors, reader->error) : status;
}

/* ------------------------------------------------------------------------------- the zip form -- */

/* The folder that all entries are in. */
static int32_t find_folder(struct reader *reader)
{
    const struct gpt2i_tensors *entries = &reader->storages;
    const char *end = entries->n_tensors == 0 ? NULL : strchr(entries->items[0].name, '/');
    size_t length;

    if (end == NULL)
        return fail(reader, GPT2_ERR_FORMAT, "zip file: wanted a folder with data.pkl in it");
    length = (size_t)(end - entries->items[0].name) + 1;
    for (size_t i = 0; i < entries->n_tensors; i++) {
        if (strncmp(entries->items[i].name, entries->items[0].name, length) != 0)
            return fail(reader, GPT2_ERR_FORMAT, "zip file: the entries are in several folders");
    }
    memcpy(reader->prefix, entries->items[0].name, length);
    reader->prefix[length] = '\0';
    return GPT2_OK;
}

/* An entry of the folder; NULL if it is missing. */
static const struct gpt2i_tensor *find_entry(const struct reader *reader, const char *name)
{
    char path[2 * GPT2I_TENSOR_NAME_BYTES];
    size_t length = strlen(reader->prefix);

    memcpy(path, reader->prefix, length);
    memcpy(path + length, name, strlen(name) + 1);
    return gpt2i_tensors_find(&reader->storages, path);
}

static int32_t check_byte_order(const struct reader *reader)
{
    const struct gpt2i_tensor *entry = find_entry(reader, "byteorder");
    char order[6];
    int32_t status;

    if (entry == NULL)
        return GPT2_OK;
    if (entry->n_bytes == 3)
        return fail(reader, GPT2_ERR_UNSUPPORTED, "its byteorder is not little");
    if (entry->n_bytes != sizeof order)
        return fail(reader, GPT2_ERR_FORMAT, "its byteorder is neither little nor big");
    status = gpt2i_source_read(entry->source, entry->offset, order, sizeof order, reader->error);
    if (status == GPT2_OK && memcmp(order, "little", sizeof order) != 0)
        return fail(reader, GPT2_ERR_FORMAT, "its byteorder is neither little nor big");
    return status;
}

static int32_t read_zip(struct reader *reader)
{
    const struct gpt2i_tensor *entry = NULL;
    int32_t status = gpt2i_zip_read(&reader->storages, reader->error);

    if (status == GPT2_OK)
        status = find_folder(reader);
    if (status == GPT2_OK)
        status = check_byte_order(reader);
    if (status == GPT2_OK && (entry = find_entry(reader, "data.pkl")) == NULL)
        status = fail(reader, GPT2_ERR_FORMAT, "zip file: wanted a folder with data.pkl in it");
    if (status == GPT2_OK)
        status = read_pickles(reader, entry->offset, entry->n_bytes);
    if (status == GPT2_OK)
        status = run_dict(reader);
    if (status == GPT2_OK && reader->pickle.at != reader->pickle.n_bytes)
        status = fail(reader, GPT2_ERR_FORMAT, "data.pkl goes on behind the end of the pickle");
    memcpy(reader->prefix + strlen(reader->prefix), "data/", sizeof "data/");
    return status;
}

/* ---------------------------------------------------------------------------- the stream form -- */

/* The pickles before the dict. */
static int32_t run_prologue(struct reader *reader)
{
    const struct gpt2i_pickle *pickle = &reader->pickle;
    const struct gpt2i_pickle_value *value;
    int32_t status = gpt2i_pickle_run(&reader->pickle, &value, reader->error);

    if (status != GPT2_OK)
        return status;
    if (value->kind != GPT2I_PICKLE_LONG || value->n != sizeof magic ||
        memcmp(pickle->bytes + value->first, magic, sizeof magic) != 0)
        return fail(reader, GPT2_ERR_UNSUPPORTED,
                    "does not begin with the magic number of torch.save()");
    status = gpt2i_pickle_run(&reader->pickle, &value, reader->error);
    if (status == GPT2_OK && (value->kind != GPT2I_PICKLE_INT || value->integer != PROTOCOL))
        return fail(reader, GPT2_ERR_UNSUPPORTED, "its protocol is not 1001");
    if (status == GPT2_OK)
        status = gpt2i_pickle_run(&reader->pickle, &value, reader->error);
    if (status == GPT2_OK && value->kind != GPT2I_PICKLE_DICT)
        return fail(reader, GPT2_ERR_FORMAT, "has no dict of facts about the system");
    for (uint32_t i = 0, item = value->first; status == GPT2_OK && i < value->n; i += 2) {
        char key[16];
        bool is_order = copy_text(reader, item_value(reader, item), key, sizeof key) &&
                        strcmp(key, "little_endian") == 0;

        item = pickle->items[item].next;
        if (is_order && (item_value(reader, item)->kind != GPT2I_PICKLE_BOOL ||
                         item_value(reader, item)->integer != 1))
            return fail(reader, GPT2_ERR_UNSUPPORTED, "its bytes are not little-endian");
        item = pickle->items[item].next;
    }
    return status;
}

/* The storages by their keys, no key twice; they have no bytes yet. */
static int32_t list_storages(struct reader *reader, const struct gpt2i_pickle_value *keys)
{
    struct gpt2i_tensors *storages = &reader->storages;
    char key[GPT2I_TENSOR_NAME_BYTES];
    uint64_t name_bytes = 0;
    char *name;
    uint32_t item;
    int32_t status;

    if (keys->kind != GPT2I_PICKLE_LIST || keys->n > TENSORS_MAX)
        return fail(reader, GPT2_ERR_FORMAT, "has no list of at most 8192 keys of storages");
    item = keys->first;
    for (uint32_t i = 0; i < keys->n; i++) {
        if (!copy_text(reader, item_value(reader, item), key, sizeof key))
            return fail(reader, GPT2_ERR_FORMAT, "a key of the storages is no short text");
        name_bytes += item_value(reader, item)->n + 1;
        item = reader->pickle.items[item].next;
    }
    status = gpt2i_tensors_allocate(storages, keys->n, name_bytes, reader->error);
    name = storages->names;
    item = keys->first;
    for (uint32_t i = 0; i < keys->n && status == GPT2_OK; i++) {
        (void)copy_text(reader, item_value(reader, item), name, sizeof key);
        storages->items[i].name = name;
        name += item_value(reader, item)->n + 1;
        item = reader->pickle.items[item].next;
    }
    return status == GPT2_OK ? gpt2i_tensors_sort(storages, reader->error) : status;
}

/* Only the tensors tell the sizes of storages.  n_dims 1: dims[0] elements. */
static int32_t size_storages(struct reader *reader)
{
    uint32_t item = reader->dict->first;

    for (uint32_t i = 0; i < reader->dict->n / 2; i++) {
        const struct gpt2i_pickle_value *storage;
        struct gpt2i_tensor *found;
        uint64_t n, n_bytes;

        item = reader->pickle.items[item].next;
        storage = storage_of(reader, item_value(reader, item));
        item = reader->pickle.items[item].next;
        found = find_storage(reader, gpt2i_pickle_part(&reader->pickle, storage, 2));
        n = (uint64_t)gpt2i_pickle_part(&reader->pickle, storage, 4)->integer;
        if (found == NULL)
            return fail(reader, GPT2_ERR_FORMAT, "the storage of a tensor is not in the list");
        if (!storage_bytes(reader, storage, &n_bytes) ||
            (found->n_dims == 1 && (found->n_bytes != n_bytes || found->dims[0] != n)))
            return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                              "%s: storage %s: its tensors tell of different sizes",
                              reader->pickle.path, found->name);
        found->n_dims = 1;
        found->dims[0] = n;
        found->n_bytes = n_bytes;
    }
    return GPT2_OK;
}

/* Walks over the bytes behind the pickles. */
static int32_t place_storages(struct reader *reader, const struct gpt2i_pickle_value *keys)
{
    const struct gpt2i_source *source = reader->tensors->source;
    uint64_t at = reader->pickle.at;
    uint32_t item = keys->first;

    for (uint32_t i = 0; i < keys->n; i++) {
        struct gpt2i_tensor *storage = find_storage(reader, item_value(reader, item));
        unsigned char count[COUNT_BYTES];
        int32_t status;

        item = reader->pickle.items[item].next;
        if (storage->n_dims != 1)
            return gpt2i_fail(reader->error, GPT2_ERR_FORMAT, "%s: storage %s belongs to no tensor",
                              source->path, storage->name);
        if (source->size_bytes - at < COUNT_BYTES ||
            storage->n_bytes > source->size_bytes - at - COUNT_BYTES)
            return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                              "%s: storage %s has %" PRIu64 " bytes from byte %" PRIu64
                              ", but the file has %" PRIu64 " bytes",
                              source->path, storage->name, storage->n_bytes, at + COUNT_BYTES,
                              source->size_bytes);
        status = gpt2i_source_read(source, at, count, sizeof count, reader->error);
        if (status != GPT2_OK)
            return status;
        if (gpt2i_load_le64(count) != storage->dims[0])
            return gpt2i_fail(
                reader->error, GPT2_ERR_FORMAT,
                "%s: storage %s has %" PRIu64 " elements, but %" PRIu64 " by its tensors",
                source->path, storage->name, gpt2i_load_le64(count), storage->dims[0]);
        storage->offset = at + COUNT_BYTES;
        at = storage->offset + storage->n_bytes;
    }
    if (at != source->size_bytes)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: the storages end at byte %" PRIu64 ", but the file has %" PRIu64
                          " bytes",
                          source->path, at, source->size_bytes);
    return GPT2_OK;
}

static int32_t read_stream(struct reader *reader, uint64_t *name_bytes)
{
    const struct gpt2i_source *source = reader->tensors->source;
    const struct gpt2i_pickle_value *keys = NULL;
    int32_t status = read_pickles(
        reader, 0, source->size_bytes < PICKLE_MAX_BYTES ? source->size_bytes : PICKLE_MAX_BYTES);

    if (status == GPT2_OK)
        status = run_prologue(reader);
    if (status == GPT2_OK)
        status = run_dict(reader);
    if (status == GPT2_OK)
        status = check_dict(reader, name_bytes);
    if (status == GPT2_OK)
        status = gpt2i_pickle_run(&reader->pickle, &keys, reader->error);
    if (status == GPT2_OK)
        status = list_storages(reader, keys);
    if (status == GPT2_OK)
        status = size_storages(reader);
    return status == GPT2_OK ? place_storages(reader, keys) : status;
}

/* ------------------------------------------------------------------------------------ opening -- */

int32_t gpt2i_pytorch_open(struct gpt2i_tensors *tensors, const struct gpt2i_files *files,
                           const char *name, struct gpt2i_error *error)
{
    struct reader reader = {.tensors = tensors, .error = error};
    unsigned char first[2] = {0, 0};
    uint64_t name_bytes = 0;
    int32_t status;

    memset(tensors, 0, sizeof *tensors);
    status = gpt2i_source_open(&tensors->source, files, name, error);
    if (status != GPT2_OK)
        return status;
    reader.pickle.path = tensors->source->path;
    reader.storages.source = tensors->source;
    if (tensors->source->size_bytes >= sizeof first)
        status = gpt2i_source_read(tensors->source, 0, first, sizeof first, error);
    if (status == GPT2_OK && first[0] == 'P' && first[1] == 'K') {
        status = read_zip(&reader);
        if (status == GPT2_OK)
            status = check_dict(&reader, &name_bytes);
    } else if (status == GPT2_OK && first[0] == 0x80) {
        status = read_stream(&reader, &name_bytes);
    } else if (status == GPT2_OK) {
        status = fail(&reader, GPT2_ERR_FORMAT,
                      "begins neither as a zip file nor as a pickle, the forms of torch.save()");
    }
    if (status == GPT2_OK)
        status = read_tensors(&reader, name_bytes);
    gpt2i_block_free(reader.block, reader.block_bytes);
    reader.storages.source = NULL; /* it is that of 'tensors' */
    gpt2i_tensors_close(&reader.storages);
    if (status != GPT2_OK)
        gpt2i_tensors_close(tensors);
    return status;
}
