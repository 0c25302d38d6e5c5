/*
 * shards.c: weights in several files, the shards, with an index that says which tensor is in which.
 *
 *     {"metadata": {"total_size": 497759232},
 *      "weight_map": {"transformer.wte.weight": "model-00001-of-00002.safetensors", ...}}
 *
 * A shard is opened where the index names it first.  What the index says must be so; a tensor of a
 * shard that it leaves out counts, too, as it does in transformers.
 */
#include "json.h"
#include "tensors.h"

#define INDEX_MAX_BYTES ((uint64_t)16 << 20)
#define SHARDS_MAX      128 /* all are open while a model loads */

struct index_reader {
    struct gpt2i_json json;
    struct gpt2i_tensors *tensors;
    const struct gpt2i_files *files;
    gpt2i_tensors_open *open_shard;
    struct gpt2i_error *error;
    bool has_weight_map;
    size_t n_tensors;                     /* in the shards so far */
    char tensor[GPT2I_TENSOR_NAME_BYTES]; /* the entry that is read: its key */
    char shard[256];                      /* its value */
};

static int32_t index_next(struct index_reader *reader, struct gpt2i_json_event *event)
{
    return gpt2i_json_next(&reader->json, event, reader->error);
}

/* A key or string as NUL-terminated text. */
static int32_t read_index_text(struct index_reader *reader, const struct gpt2i_json_event *event,
                               char *text, size_t capacity)
{
    size_t length;
    int32_t status =
        gpt2i_json_string(&reader->json, event, text, capacity - 1, &length, reader->error);

    if (status != GPT2_OK)
        return status;
    text[length] = '\0';
    if (strlen(text) != length)
        return gpt2i_json_fail(&reader->json, "wanted no NUL inside a name", reader->error);
    return GPT2_OK;
}

/*
 * A shard is beside its index: no name leads to another directory or drive.  (No shard's name begins
 * with a dot either, as "." and ".." do.)
 */
static bool is_file_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL &&
           strchr(name, '\\') == NULL && strchr(name, ':') == NULL;
}

/* Whether a source was opened under this name, which has no slash. */
static bool has_name(const struct gpt2i_source *source, const char *name)
{
    size_t path_length = strlen(source->path);
    size_t length = strlen(name);

    return path_length >= length && strcmp(source->path + path_length - length, name) == 0 &&
           (path_length == length || source->path[path_length - length - 1] == '/');
}

/* Opens reader->shard behind the others. */
static int32_t open_next_shard(struct index_reader *reader)
{
    struct gpt2i_tensors *tensors = reader->tensors;
    struct gpt2i_tensors *shard = &tensors->shards[tensors->n_shards];
    int32_t status;

    if (!is_file_name(reader->shard))
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: tensor %s: found the file \"%s\", wanted the name of a file in the "
                          "same directory",
                          reader->json.path, reader->tensor, reader->shard);
    if (tensors->n_shards == SHARDS_MAX)
        return gpt2i_fail(reader->error, GPT2_ERR_UNSUPPORTED,
                          "%s: names more than %d files, wanted at most that", reader->json.path,
                          SHARDS_MAX);
    status = reader->open_shard(shard, reader->files, reader->shard, reader->error);
    if (status != GPT2_OK)
        return status;
    tensors->n_shards++;
    reader->n_tensors += shard->n_tensors;
    if (reader->n_tensors > GPT2I_TENSORS_MAX)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT, "%s: has more than %d tensors",
                          reader->json.path, GPT2I_TENSORS_MAX);
    return GPT2_OK;
}

/* The shard of reader->shard's name, which is opened if need be. */
static int32_t find_shard(struct index_reader *reader, const struct gpt2i_tensors **shard)
{
    const struct gpt2i_tensors *tensors = reader->tensors;
    size_t i = 0;
    int32_t status = GPT2_OK;

    while (i < tensors->n_shards && !has_name(tensors->shards[i].source, reader->shard))
        i++;
    if (i == tensors->n_shards)
        status = open_next_shard(reader);
    *shard = &tensors->shards[i];
    return status;
}

/* One key of the weight map and its value: the tensor must be in that shard. */
static int32_t read_shard_entry(struct index_reader *reader, const struct gpt2i_json_event *key)
{
    const struct gpt2i_tensors *shard = NULL;
    const struct gpt2i_tensor *tensor;
    struct gpt2i_json_event event;
    char shown[GPT2I_JSON_SHOWN_BYTES];
    int32_t status = read_index_text(reader, key, reader->tensor, sizeof reader->tensor);

    if (status == GPT2_OK)
        status = index_next(reader, &event);
    if (status == GPT2_OK && event.type != GPT2I_JSON_STRING)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: tensor %s: found %s, wanted the name of a file", reader->json.path,
                          reader->tensor, gpt2i_json_show(&event, shown));
    if (status == GPT2_OK)
        status = read_index_text(reader, &event, reader->shard, sizeof reader->shard);
    if (status == GPT2_OK)
        status = find_shard(reader, &shard);
    if (status != GPT2_OK)
        return status;
    tensor = gpt2i_tensors_find(shard, reader->tensor);
    if (tensor == NULL)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT, "%s: tensor %s is not in %s",
                          reader->json.path, reader->tensor, reader->shard);
    if (tensor->in_index)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT, "%s: tensor %s appears twice",
                          reader->json.path, reader->tensor);
    shard->items[tensor - shard->items].in_index = true;
    return GPT2_OK;
}

static int32_t read_weight_map(struct index_reader *reader)
{
    struct gpt2i_json_event event;
    char shown[GPT2I_JSON_SHOWN_BYTES];
    int32_t status = index_next(reader, &event);

    if (status == GPT2_OK && reader->has_weight_map)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT, "%s: weight_map appears twice",
                          reader->json.path);
    reader->has_weight_map = true;
    if (status == GPT2_OK && event.type != GPT2I_JSON_OBJECT_BEGIN)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: weight_map: found %s, wanted an object", reader->json.path,
                          gpt2i_json_show(&event, shown));
    while (status == GPT2_OK) {
        status = index_next(reader, &event);
        if (status != GPT2_OK || event.type == GPT2I_JSON_OBJECT_END)
            break;
        status = read_shard_entry(reader, &event);
    }
    return status;
}

/* The whole index; all shards are open after it. */
static int32_t read_index(struct index_reader *reader)
{
    struct gpt2i_json_event event;
    int32_t status = index_next(reader, &event);

    if (status == GPT2_OK && event.type != GPT2I_JSON_OBJECT_BEGIN)
        return gpt2i_json_fail(&reader->json, "wanted a JSON object as the index", reader->error);
    while (status == GPT2_OK) {
        status = index_next(reader, &event);
        if (status != GPT2_OK || event.type == GPT2I_JSON_OBJECT_END)
            break;
        status = gpt2i_json_equal(&event, "weight_map")
                     ? read_weight_map(reader)
                     : gpt2i_json_skip(&reader->json, reader->error);
    }
    if (status == GPT2_OK)
        status = index_next(reader, &event); /* the end */
    if (status == GPT2_OK && !reader->has_weight_map)
        status =
            gpt2i_fail(reader->error, GPT2_ERR_FORMAT, "%s: has no weight_map", reader->json.path);
    return status;
}

/* All tensors of the shards as one list. */
static int32_t merge_shards(struct gpt2i_tensors *tensors, size_t n_tensors,
                            struct gpt2i_error *error)
{
    struct gpt2i_tensor *next;
    int32_t status = gpt2i_tensors_allocate(tensors, n_tensors, 0, error);

    if (status != GPT2_OK)
        return status;
    next = tensors->items;
    for (size_t i = 0; i < tensors->n_shards; i++) {
        const struct gpt2i_tensors *shard = &tensors->shards[i];

        for (size_t j = 0; j < shard->n_tensors; j++)
            *next++ = shard->items[j];
    }
    return gpt2i_tensors_sort(tensors, error);
}

int32_t gpt2i_shards_open(struct gpt2i_tensors *tensors, const struct gpt2i_files *files,
                          const char *name, gpt2i_tensors_open *open_shard,
                          struct gpt2i_error *error)
{
    struct index_reader reader = {
        .tensors = tensors, .files = files, .open_shard = open_shard, .error = error};
    struct gpt2i_text text;
    int32_t status;

    memset(tensors, 0, sizeof *tensors);
    status = gpt2i_text_read(&text, files, name, INDEX_MAX_BYTES, error);
    if (status != GPT2_OK)
        return status;
    tensors->source = text.source; /* its path is for error lines */
    text.source = NULL;
    tensors->shards = gpt2i_block_new(SHARDS_MAX * sizeof *tensors->shards);
    tensors->shards_bytes = SHARDS_MAX * sizeof *tensors->shards;
    if (tensors->shards == NULL)
        status = gpt2i_fail(error, GPT2_ERR_MEMORY, "%s: no memory for %d shards",
                            tensors->source->path, SHARDS_MAX);
    gpt2i_json_begin(&reader.json, text.text, text.n_bytes, tensors->source->path);
    if (status == GPT2_OK)
        status = read_index(&reader);
    if (status == GPT2_OK)
        status = merge_shards(tensors, reader.n_tensors, error);
    gpt2i_text_free(&text);
    if (status != GPT2_OK)
        gpt2i_tensors_close(tensors);
    return status;
}
