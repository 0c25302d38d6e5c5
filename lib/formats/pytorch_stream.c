/*
 * pytorch_stream.c: the form of torch.save() before torch 1.6, a stream of pickles and bytes:
 *
 *     magic number | 1001 | facts of the system | the dict | the list of the storages' keys |
 *     for each key: [8 bytes: number of elements] [the bytes]
 */
#include "pytorch_stream.h"

#include <inttypes.h>

#define COUNT_BYTES 8
#define PROTOCOL    1001

/* 0x1950a86a20f9469cfc6c */
static const unsigned char stream_magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                             0x20, 0x6a, 0xa8, 0x50, 0x19};

/* The pickles before the dict. */
static int32_t run_prologue(struct gpt2i_pytorch *reader)
{
    const struct gpt2i_pickle *pickle = &reader->pickle;
    const struct gpt2i_pickle_value *value;
    int32_t status = gpt2i_pickle_run(&reader->pickle, &value, reader->error);

    if (status != GPT2_OK)
        return status;
    if (value->kind != GPT2I_PICKLE_LONG || value->n != sizeof stream_magic ||
        memcmp(pickle->bytes + value->first, stream_magic, sizeof stream_magic) != 0)
        return gpt2i_pytorch_fail(reader, GPT2_ERR_UNSUPPORTED,
                                  "does not begin with the magic number of torch.save()");
    status = gpt2i_pickle_run(&reader->pickle, &value, reader->error);
    if (status == GPT2_OK && (value->kind != GPT2I_PICKLE_INT || value->integer != PROTOCOL))
        return gpt2i_pytorch_fail(reader, GPT2_ERR_UNSUPPORTED, "its protocol is not 1001");
    if (status == GPT2_OK)
        status = gpt2i_pickle_run(&reader->pickle, &value, reader->error);
    if (status != GPT2_OK)
        return status;
    if (value->kind != GPT2I_PICKLE_DICT)
        return gpt2i_pytorch_fail(reader, GPT2_ERR_FORMAT, "has no dict of facts about the system");
    for (uint32_t i = 0, item = value->first; i < value->n; i += 2) {
        char key[16];
        bool is_order = gpt2i_pickle_copy(&reader->pickle, gpt2i_pickle_item(&reader->pickle, item),
                                          key, sizeof key) &&
                        strcmp(key, "little_endian") == 0;

        item = pickle->items[item].next;
        if (is_order && (gpt2i_pickle_item(&reader->pickle, item)->kind != GPT2I_PICKLE_BOOL ||
                         gpt2i_pickle_item(&reader->pickle, item)->integer != 1))
            return gpt2i_pytorch_fail(reader, GPT2_ERR_UNSUPPORTED,
                                      "its bytes are not little-endian");
        item = pickle->items[item].next;
    }
    return GPT2_OK;
}

/* The storages by their keys, no key twice; they have no bytes yet. */
static int32_t list_storages(struct gpt2i_pytorch *reader, const struct gpt2i_pickle_value *keys)
{
    struct gpt2i_tensors *storages = &reader->storages;
    char key[GPT2I_TENSOR_NAME_BYTES];
    uint64_t name_bytes = 0;
    char *name;
    uint32_t item;
    int32_t status;

    if (keys->kind != GPT2I_PICKLE_LIST || keys->n > GPT2I_PYTORCH_TENSORS_MAX)
        return gpt2i_pytorch_fail(reader, GPT2_ERR_FORMAT,
                                  "has no list of at most 8192 keys of storages");
    item = keys->first;
    for (uint32_t i = 0; i < keys->n; i++) {
        if (!gpt2i_pickle_copy(&reader->pickle, gpt2i_pickle_item(&reader->pickle, item), key,
                               sizeof key))
            return gpt2i_pytorch_fail(reader, GPT2_ERR_FORMAT,
                                      "a key of the storages is no short text");
        name_bytes += gpt2i_pickle_item(&reader->pickle, item)->n + 1;
        item = reader->pickle.items[item].next;
    }
    status = gpt2i_tensors_allocate(storages, keys->n, name_bytes, reader->error);
    name = storages->names;
    item = keys->first;
    for (uint32_t i = 0; i < keys->n && status == GPT2_OK; i++) {
        (void)gpt2i_pickle_copy(&reader->pickle, gpt2i_pickle_item(&reader->pickle, item), name,
                                sizeof key);
        storages->items[i].name = name;
        name += gpt2i_pickle_item(&reader->pickle, item)->n + 1;
        item = reader->pickle.items[item].next;
    }
    return status == GPT2_OK ? gpt2i_tensors_sort(storages, reader->error) : status;
}

/* Only the tensors tell the sizes of storages.  n_dims 1: dims[0] elements. */
static int32_t size_storages(struct gpt2i_pytorch *reader)
{
    uint32_t item = reader->dict->first;

    for (uint32_t i = 0; i < reader->dict->n / 2; i++) {
        const struct gpt2i_pickle_value *storage;
        struct gpt2i_tensor *found;
        uint64_t n, n_bytes;

        item = reader->pickle.items[item].next;
        storage = gpt2i_pytorch_storage_of(reader, gpt2i_pickle_item(&reader->pickle, item));
        item = reader->pickle.items[item].next;
        found = gpt2i_pytorch_find_storage(reader, gpt2i_pickle_part(&reader->pickle, storage, 2));
        n = (uint64_t)gpt2i_pickle_part(&reader->pickle, storage, 4)->integer;
        if (found == NULL)
            return gpt2i_pytorch_fail(reader, GPT2_ERR_FORMAT,
                                      "the storage of a tensor is not in the list");
        if (!gpt2i_pytorch_storage_bytes(reader, storage, &n_bytes) ||
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
static int32_t place_storages(struct gpt2i_pytorch *reader, const struct gpt2i_pickle_value *keys)
{
    const struct gpt2i_source *source = reader->tensors->source;
    uint64_t at = reader->pickle.at;
    uint32_t item = keys->first;

    for (uint32_t i = 0; i < keys->n; i++) {
        struct gpt2i_tensor *storage =
            gpt2i_pytorch_find_storage(reader, gpt2i_pickle_item(&reader->pickle, item));
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

int32_t gpt2i_pytorch_read_stream(struct gpt2i_pytorch *reader, uint64_t *name_bytes)
{
    const struct gpt2i_source *source = reader->tensors->source;
    const struct gpt2i_pickle_value *keys = NULL;
    int32_t status = gpt2i_pytorch_read_pickles(reader, 0,
                                                source->size_bytes < GPT2I_PYTORCH_PICKLE_MAX_BYTES
                                                    ? source->size_bytes
                                                    : GPT2I_PYTORCH_PICKLE_MAX_BYTES);

    if (status == GPT2_OK)
        status = run_prologue(reader);
    if (status == GPT2_OK)
        status = gpt2i_pytorch_run_dict(reader);
    if (status == GPT2_OK)
        status = gpt2i_pytorch_check_dict(reader, name_bytes);
    if (status == GPT2_OK)
        status = gpt2i_pickle_run(&reader->pickle, &keys, reader->error);
    if (status == GPT2_OK)
        status = list_storages(reader, keys);
    if (status == GPT2_OK)
        status = size_storages(reader);
    return status == GPT2_OK ? place_storages(reader, keys) : status;
}
