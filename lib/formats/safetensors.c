/*
 * safetensors.c: reads the header of a .safetensors file.
 *
 *     [8 bytes: N, little-endian] [N bytes: JSON, white space around it] [the bytes of the tensors]
 *
 *     {"__metadata__": {"format": "pt"},
 *      "wte.weight": {"dtype": "F16", "shape": [50257, 768], "data_offsets": [0, 77194752]}, ...}
 *
 * The JSON is read twice: to count tensors and the bytes of their names, and to store them.  As in
 * the official library the tensors must tile the data without overlap or hole, so that no byte of a
 * file is unaccounted for.
 */
#include "../base/arena.h"
#include "json.h"
#include "tensors.h"

#include <inttypes.h>

#define HEADER_MAX_BYTES 100000000 /* the official library's limit */
#define LENGTH_BYTES     8         /* of the header's length, before it */

/* All that use whole bytes; 'type' is GPT2_TYPE_* or -1 for what no weight of GPT-2 is stored in. */
static const struct dtype {
    char name[16];
    int32_t type;
    uint32_t n_bytes;
} dtypes[] = {
    {"F64", GPT2_TYPE_F64, 8},
    {"F32", GPT2_TYPE_F32, 4},
    {"F16", GPT2_TYPE_F16, 2},
    {"BF16", GPT2_TYPE_BF16, 2},
    {"BOOL", -1, 1},
    {"U8", -1, 1},
    {"I8", -1, 1},
    {"F8_E4M3", -1, 1},
    {"F8_E5M2", -1, 1},
    {"F8_E8M0", -1, 1},
    {"F8_E4M3FNUZ", -1, 1},
    {"F8_E5M2FNUZ", -1, 1},
    {"U16", -1, 2},
    {"I16", -1, 2},
    {"U32", -1, 4},
    {"I32", -1, 4},
    {"U64", -1, 8},
    {"I64", -1, 8},
    {"C64", -1, 8},
};

/* What one pass over the header holds. */
struct header_reader {
    struct gpt2i_json json;
    struct gpt2i_tensors *tensors;
    struct gpt2i_error *error;
    size_t n_tensors;    /* so far */
    uint64_t name_bytes; /* so far, NULs and metadata included */
    char name[GPT2I_TENSOR_NAME_BYTES];
    bool has_metadata, has_dtype, has_shape, has_offsets;
    const struct dtype *dtype;
    uint64_t begin, end; /* data_offsets */
    struct gpt2i_tensor tensor;
};

static int32_t header_next(struct header_reader *reader, struct gpt2i_json_event *event)
{
    return gpt2i_json_next(&reader->json, event, reader->error);
}

/* "PATH: tensor NAME: KEY: found ..., wanted ..." */
static int32_t header_wanted(const struct header_reader *reader, const char *key,
                             const struct gpt2i_json_event *found, const char *wanted)
{
    char shown[GPT2I_JSON_SHOWN_BYTES];

    return gpt2i_fail(reader->error, GPT2_ERR_FORMAT, "%s: tensor %s: %s: found %s, wanted %s",
                      reader->json.path, reader->name, key, gpt2i_json_show(found, shown), wanted);
}

static int32_t read_dtype(struct header_reader *reader)
{
    struct gpt2i_json_event event;
    char shown[GPT2I_JSON_SHOWN_BYTES];
    int32_t status = header_next(reader, &event);

    if (status != GPT2_OK)
        return status;
    if (event.type != GPT2I_JSON_STRING)
        return header_wanted(reader, "dtype", &event, "a string");
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        if (gpt2i_json_equal(&event, dtypes[i].name)) {
            reader->dtype = &dtypes[i];
            return GPT2_OK;
        }
    }
    return gpt2i_fail(
        reader->error, GPT2_ERR_UNSUPPORTED,
        "%s: tensor %s: dtype: found %s, wanted F64, F32, F16, BF16 or one whose size is "
        "known, such as I64 or BOOL",
        reader->json.path, reader->name, gpt2i_json_show(&event, shown));
}

/* An array of up to 'capacity' integers; further integers are counted, not stored. */
static int32_t read_integers(struct header_reader *reader, const char *key, uint64_t *values,
                             size_t capacity, size_t *n_values)
{
    struct gpt2i_json_event event;
    int32_t status = header_next(reader, &event);

    *n_values = 0;
    if (status == GPT2_OK && event.type != GPT2I_JSON_ARRAY_BEGIN)
        return header_wanted(reader, key, &event, "an array of integers");
    while (status == GPT2_OK) {
        uint64_t value;

        status = header_next(reader, &event);
        if (status != GPT2_OK || event.type == GPT2I_JSON_ARRAY_END)
            break;
        if (gpt2i_json_u64(&reader->json, &event, INT64_MAX, &value, NULL) != GPT2_OK)
            return header_wanted(reader, key, &event, "an integer from 0 to 2^63 - 1");
        if (*n_values < capacity)
            values[*n_values] = value;
        ++*n_values;
    }
    return status;
}

static int32_t read_shape(struct header_reader *reader)
{
    size_t n_dims;
    int32_t status =
        read_integers(reader, "shape", reader->tensor.dims, GPT2I_TENSOR_DIMS, &n_dims);

    if (status != GPT2_OK)
        return status;
    if (n_dims > GPT2I_TENSOR_DIMS)
        return gpt2i_fail(reader->error, GPT2_ERR_UNSUPPORTED,
                          "%s: tensor %s: shape: found %zu dimensions, wanted at most %d",
                          reader->json.path, reader->name, n_dims, GPT2I_TENSOR_DIMS);
    reader->tensor.n_dims = (int32_t)n_dims;
    return GPT2_OK;
}

static int32_t read_offsets(struct header_reader *reader)
{
    uint64_t data_bytes = reader->tensors->source->size_bytes - reader->tensors->data_offset;
    uint64_t offsets[2] = {0, 0};
    size_t n_offsets;
    int32_t status = read_integers(reader, "data_offsets", offsets, 2, &n_offsets);

    if (status != GPT2_OK)
        return status;
    if (n_offsets != 2)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: tensor %s: data_offsets: found %zu integers, wanted 2",
                          reader->json.path, reader->name, n_offsets);
    if (offsets[0] > offsets[1] || offsets[1] > data_bytes)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: tensor %s: data_offsets: found %" PRIu64 " to %" PRIu64
                          ", wanted a range inside 0 to %" PRIu64,
                          reader->json.path, reader->name, offsets[0], offsets[1], data_bytes);
    reader->begin = offsets[0];
    reader->end = offsets[1];
    return GPT2_OK;
}

/* Notes that a field was there; each may be there once. */
static int32_t note_field(const struct header_reader *reader, const char *key, bool *seen)
{
    if (*seen)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT, "%s: tensor %s: %s appears twice",
                          reader->json.path, reader->name, key);
    *seen = true;
    return GPT2_OK;
}

/* One key of a tensor's entry and its value. */
static int32_t read_field(struct header_reader *reader, const struct gpt2i_json_event *key)
{
    int32_t status;

    if (gpt2i_json_equal(key, "dtype")) {
        status = note_field(reader, "dtype", &reader->has_dtype);
        return status == GPT2_OK ? read_dtype(reader) : status;
    }
    if (gpt2i_json_equal(key, "shape")) {
        status = note_field(reader, "shape", &reader->has_shape);
        return status == GPT2_OK ? read_shape(reader) : status;
    }
    if (gpt2i_json_equal(key, "data_offsets")) {
        status = note_field(reader, "data_offsets", &reader->has_offsets);
        return status == GPT2_OK ? read_offsets(reader) : status;
    }
    return gpt2i_json_skip(&reader->json, reader->error);
}

/* The size that dtype and shape give must be the size of the range. */
static int32_t check_tensor(struct header_reader *reader)
{
    const char *missing = !reader->has_dtype     ? "dtype"
                          : !reader->has_shape   ? "shape"
                          : !reader->has_offsets ? "data_offsets"
                                                 : NULL;
    struct gpt2i_tensor *tensor = &reader->tensor;

    if (missing != NULL)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT, "%s: tensor %s: has no %s",
                          reader->json.path, reader->name, missing);
    if (!gpt2i_tensor_size(tensor, reader->dtype->n_bytes, &tensor->n_bytes))
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: tensor %s: shape: its product is above 2^63 - 1 bytes",
                          reader->json.path, reader->name);
    if (tensor->n_bytes != reader->end - reader->begin)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: tensor %s: data_offsets: found %" PRIu64
                          " bytes, wanted the %" PRIu64 " of its shape and dtype %s",
                          reader->json.path, reader->name, reader->end - reader->begin,
                          tensor->n_bytes, reader->dtype->name);
    return GPT2_OK;
}

/* Counts the tensor that was just read; in the second pass stores it too. */
static void keep_tensor(struct header_reader *reader, size_t name_length)
{
    struct gpt2i_tensors *tensors = reader->tensors;

    if (tensors->items != NULL) {
        char *name = tensors->names + reader->name_bytes;

        memcpy(name, reader->name, name_length + 1);
        reader->tensor.name = name;
        reader->tensor.dtype = reader->dtype->name;
        reader->tensor.type = reader->dtype->type;
        reader->tensor.source = tensors->source;
        reader->tensor.offset = tensors->data_offset + reader->begin;
        tensors->items[reader->n_tensors] = reader->tensor;
    }
    reader->name_bytes += name_length + 1;
    reader->n_tensors++;
}

static int32_t read_tensor(struct header_reader *reader, const struct gpt2i_json_event *key)
{
    struct gpt2i_json_event event = *key;
    size_t length;
    int32_t status = gpt2i_json_string(&reader->json, key, reader->name, sizeof reader->name - 1,
                                       &length, reader->error);

    if (status != GPT2_OK)
        return status;
    reader->name[length] = '\0';
    if (strlen(reader->name) != length)
        return header_wanted(reader, "the name", key, "no NUL inside");
    if (reader->n_tensors == GPT2I_TENSORS_MAX)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT, "%s: has more than %d tensors",
                          reader->json.path, GPT2I_TENSORS_MAX);
    reader->has_dtype = reader->has_shape = reader->has_offsets = false;
    memset(&reader->tensor, 0, sizeof reader->tensor);
    status = header_next(reader, &event);
    if (status == GPT2_OK && event.type != GPT2I_JSON_OBJECT_BEGIN)
        return header_wanted(reader, "the entry", &event, "an object");
    while (status == GPT2_OK) {
        status = header_next(reader, &event);
        if (status != GPT2_OK || event.type == GPT2I_JSON_OBJECT_END)
            break;
        status = read_field(reader, &event);
    }
    if (status == GPT2_OK)
        status = check_tensor(reader);
    if (status == GPT2_OK)
        keep_tensor(reader, length);
    return status;
}

/* Counts a text of the metadata that is kept; in the second pass keeps it. */
static int32_t keep_metadata(struct header_reader *reader, const struct gpt2i_json_event *value,
                             const char **kept)
{
    if (reader->tensors->names != NULL) {
        char *text = reader->tensors->names + reader->name_bytes;
        size_t length;
        int32_t status =
            gpt2i_json_string(&reader->json, value, text, value->length, &length, reader->error);

        if (status != GPT2_OK)
            return status;
        text[length] = '\0';
        if (strlen(text) != length)
            return header_wanted(reader, "a value", value, "no NUL inside");
        *kept = text;
    }
    reader->name_bytes += value->length + 1; /* escapes are longer than what they stand for */
    return GPT2_OK;
}

/* "__metadata__": strings under string keys.  Those of native files are kept. */
static int32_t read_metadata(struct header_reader *reader)
{
    struct gpt2i_tensors *tensors = reader->tensors;
    struct gpt2i_json_event event;
    int32_t status;

    memcpy(reader->name, "__metadata__", sizeof "__metadata__");
    status = note_field(reader, "the entry", &reader->has_metadata);
    if (status == GPT2_OK)
        status = header_next(reader, &event);
    if (status == GPT2_OK && event.type != GPT2I_JSON_OBJECT_BEGIN)
        return header_wanted(reader, "the entry", &event, "an object");
    while (status == GPT2_OK) {
        const char **kept;

        status = header_next(reader, &event); /* a key, or the end */
        if (status != GPT2_OK || event.type == GPT2I_JSON_OBJECT_END)
            break;
        kept = gpt2i_json_equal(&event, "libgpt2")  ? &tensors->native_version
               : gpt2i_json_equal(&event, "config") ? &tensors->config
                                                    : NULL;
        status = header_next(reader, &event);
        if (status == GPT2_OK && event.type != GPT2I_JSON_STRING)
            return header_wanted(reader, "a value", &event, "a string");
        if (status == GPT2_OK && kept != NULL)
            status = keep_metadata(reader, &event, kept);
    }
    return status;
}

/* One pass over the whole header. */
static int32_t read_header(struct header_reader *reader, const char *text, size_t length)
{
    struct gpt2i_json_event event;
    int32_t status;

    gpt2i_json_begin(&reader->json, text, length, reader->tensors->source->path);
    reader->n_tensors = 0;
    reader->name_bytes = 0;
    reader->has_metadata = false;
    if (length == 0)
        return gpt2i_json_fail(&reader->json, "wanted a JSON object as the header", reader->error);
    status = header_next(reader, &event);
    if (status == GPT2_OK && event.type != GPT2I_JSON_OBJECT_BEGIN)
        return gpt2i_json_fail(&reader->json, "wanted a JSON object as the header", reader->error);
    while (status == GPT2_OK) {
        status = header_next(reader, &event);
        if (status != GPT2_OK || event.type == GPT2I_JSON_OBJECT_END)
            break;
        status = gpt2i_json_equal(&event, "__metadata__") ? read_metadata(reader)
                                                          : read_tensor(reader, &event);
    }
    if (status == GPT2_OK)
        status = header_next(reader, &event); /* the end: only padding may follow */
    return status;
}

/* The length of the header, from the first bytes of the file. */
static int32_t read_length(const struct gpt2i_source *source, size_t *length,
                           struct gpt2i_error *error)
{
    unsigned char bytes[LENGTH_BYTES];
    uint64_t value, room;
    int32_t status;

    if (source->size_bytes < LENGTH_BYTES)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: has %" PRIu64 " bytes, too few for a safetensors file", source->path,
                          source->size_bytes);
    status = gpt2i_source_read(source, 0, bytes, sizeof bytes, error);
    if (status != GPT2_OK)
        return status;
    value = gpt2i_load_le64(bytes);
    room = source->size_bytes - LENGTH_BYTES;
    if (value > HEADER_MAX_BYTES || value > room)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: the length of the header is %" PRIu64 ", wanted at most %" PRIu64
                          ": not a safetensors file, or cut short",
                          source->path, value, room < HEADER_MAX_BYTES ? room : HEADER_MAX_BYTES);
    *length = (size_t)value;
    return GPT2_OK;
}

int32_t gpt2i_safetensors_open(struct gpt2i_tensors *tensors, const struct gpt2i_files *files,
                               const char *name, struct gpt2i_error *error)
{
    struct header_reader reader = {.tensors = tensors, .error = error};
    char *text = NULL;
    size_t length = 0;
    int32_t status;

    memset(tensors, 0, sizeof *tensors);
    status = gpt2i_source_open(&tensors->source, files, name, error);
    if (status != GPT2_OK)
        return status;
    status = read_length(tensors->source, &length, error);
    if (status != GPT2_OK)
        goto done;
    tensors->data_offset = LENGTH_BYTES + length;
    text = gpt2i_block_new(length + 1); /* never 0 bytes */
    if (text == NULL) {
        status = gpt2i_fail(error, GPT2_ERR_MEMORY, "%s: no memory for its header of %zu bytes",
                            tensors->source->path, length);
        goto done;
    }
    status = gpt2i_source_read(tensors->source, LENGTH_BYTES, text, length, error);
    if (status == GPT2_OK)
        status = read_header(&reader, text, length);
    if (status == GPT2_OK)
        status = gpt2i_tensors_allocate(tensors, reader.n_tensors, reader.name_bytes, error);
    if (status == GPT2_OK)
        status = read_header(&reader, text, length);
    if (status == GPT2_OK)
        status = gpt2i_tensors_check_ranges(tensors, tensors->data_offset, false, error);
    if (status == GPT2_OK)
        status = gpt2i_tensors_sort(tensors, error);
done:
    gpt2i_block_free(text, length + 1);
    if (status != GPT2_OK)
        gpt2i_tensors_close(tensors);
    return status;
}
