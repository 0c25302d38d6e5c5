/*
 * gguf.c: the metadata of a GGUF file.
 *
 * The beginning of the file is read into one block and walked through.  Where the walk comes to the end
 * of the block before that of the file, it begins again with four times as many bytes.  So no number of the
 * file decides how much memory is taken, but for the number of keys, which has a limit.
 */
#include "gguf.h"
#include "../base/arena.h"

#include <inttypes.h>

#define FIRST_BYTES  ((size_t)4 << 20) /* of the file; the directory of GPT-2 has 1.7 MB */
#define GROWTH       4
#define HEADER_BYTES 24
#define KEY_BYTES    14 /* the least that a key and its value can have: 8 + 1, 4, 1 */

/* Bytes of an element; of a string or an array the least. */
static const uint8_t type_bytes[GPT2I_GGUF_TYPES] = {
    [GPT2I_GGUF_U8] = 1,     [GPT2I_GGUF_I8] = 1,     [GPT2I_GGUF_U16] = 2, [GPT2I_GGUF_I16] = 2,
    [GPT2I_GGUF_U32] = 4,    [GPT2I_GGUF_I32] = 4,    [GPT2I_GGUF_F32] = 4, [GPT2I_GGUF_BOOL] = 1,
    [GPT2I_GGUF_STRING] = 8, [GPT2I_GGUF_ARRAY] = 12, [GPT2I_GGUF_U64] = 8, [GPT2I_GGUF_I64] = 8,
    [GPT2I_GGUF_F64] = 8,
};

static const char gguf_magic[4] = {'G', 'G', 'U', 'F'};

/* ------------------------------------------------------------------------------------ reading -- */

int32_t gpt2i_gguf_take(struct gpt2i_gguf_reader *reader, const char *what, uint64_t n,
                        const unsigned char **bytes)
{
    const struct gpt2i_gguf *gguf = reader->gguf;
    const char *path = gguf->source->path;
    uint64_t left = gguf->source->size_bytes - reader->at;

    if (n > left)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: %s wants %" PRIu64
                          " bytes from byte %zu on, but the file has %" PRIu64 " bytes",
                          path, what, n, reader->at, gguf->source->size_bytes);
    if (n > GPT2I_GGUF_MAX_BYTES - reader->at)
        return gpt2i_fail(reader->error, GPT2_ERR_UNSUPPORTED,
                          "%s: %s ends behind byte %zu, a limit of libgpt2 for metadata", path,
                          what, GPT2I_GGUF_MAX_BYTES);
    if (n > gguf->n_bytes - reader->at) {
        reader->is_cut = true;
        return GPT2_ERR_FORMAT;
    }
    *bytes = gguf->bytes + reader->at;
    reader->at += (size_t)n;
    return GPT2_OK;
}

static int32_t take_u32(struct gpt2i_gguf_reader *reader, const char *what, uint32_t *value)
{
    const unsigned char *bytes = NULL;
    int32_t status = gpt2i_gguf_take(reader, what, sizeof *value, &bytes);

    if (status == GPT2_OK)
        *value = gpt2i_load_le32(bytes);
    return status;
}

static int32_t take_u64(struct gpt2i_gguf_reader *reader, const char *what, uint64_t *value)
{
    const unsigned char *bytes = NULL;
    int32_t status = gpt2i_gguf_take(reader, what, sizeof *value, &bytes);

    if (status == GPT2_OK)
        *value = gpt2i_load_le64(bytes);
    return status;
}

int32_t gpt2i_gguf_take_name(struct gpt2i_gguf_reader *reader, const char *what,
                             struct gpt2i_gguf_string *name)
{
    size_t at = reader->at;
    const unsigned char *bytes = NULL;
    uint64_t length;
    int32_t status = take_u64(reader, what, &length);

    if (status == GPT2_OK && (length < 1 || length > GPT2I_GGUF_NAME_BYTES))
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: %s at byte %zu has %" PRIu64 " bytes, wanted 1 to %d",
                          reader->gguf->source->path, what, at, length, GPT2I_GGUF_NAME_BYTES);
    if (status == GPT2_OK)
        status = gpt2i_gguf_take(reader, what, length, &bytes);
    if (status != GPT2_OK)
        return status;
    if (memchr(bytes, '\0', (size_t)length) != NULL)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT, "%s: %s at byte %zu has a NUL inside",
                          reader->gguf->source->path, what, at);
    name->text = (const char *)bytes;
    name->length = (size_t)length;
    return GPT2_OK;
}

/* ------------------------------------------------------------------------------------- values -- */

static int32_t fail_key(const struct gpt2i_gguf_reader *reader,
                        const struct gpt2i_gguf_value *value, const char *found, uint64_t number,
                        const char *wanted)
{
    return gpt2i_fail(reader->error, GPT2_ERR_FORMAT, "%s: %.*s: found %s %" PRIu64 ", wanted %s",
                      reader->gguf->source->path, gpt2i_gguf_shown(value->key), value->key.text,
                      found, number, wanted);
}

/* The type of a value or of elements; an array has no arrays inside. */
static int32_t take_value_type(struct gpt2i_gguf_reader *reader, struct gpt2i_gguf_value *value)
{
    int32_t status = take_u32(reader, "the type of a value", &value->type);

    if (status != GPT2_OK)
        return status;
    if (value->type >= GPT2I_GGUF_TYPES)
        return fail_key(reader, value, "type", value->type, "0 to 12");
    if (value->is_array && value->type == GPT2I_GGUF_ARRAY)
        return fail_key(reader, value, "an array of type", value->type,
                        "one whose elements are no arrays");
    return GPT2_OK;
}

/* Passes over a string that is whole in the block; there may be millions. */
static bool pass_string(struct gpt2i_gguf_reader *reader)
{
    size_t left = reader->gguf->n_bytes - reader->at;
    uint64_t length = left < 8 ? UINT64_MAX : gpt2i_load_le64(reader->gguf->bytes + reader->at);

    if (left < 8 || length > left - 8)
        return false;
    reader->at += 8 + (size_t)length;
    return true;
}

/* Passes over the elements of a value. */
static int32_t take_elements(struct gpt2i_gguf_reader *reader, struct gpt2i_gguf_value *value,
                             uint64_t n)
{
    uint64_t left = reader->gguf->source->size_bytes - reader->at;
    const unsigned char *bytes = NULL;
    int32_t status = GPT2_OK;

    if (n > left / type_bytes[value->type])
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: %.*s: found %" PRIu64 " elements of %u bytes or more, but the file "
                          "has %" PRIu64 " bytes from byte %zu on",
                          reader->gguf->source->path, gpt2i_gguf_shown(value->key), value->key.text,
                          n, (unsigned)type_bytes[value->type], left, reader->at);
    value->element_bytes = type_bytes[value->type];
    value->n_elements = (size_t)n;
    if (value->type != GPT2I_GGUF_STRING)
        return gpt2i_gguf_take(reader, "a value", n * type_bytes[value->type], &value->bytes);
    value->bytes = reader->gguf->bytes + reader->at;
    for (uint64_t i = 0; i < n && status == GPT2_OK; i++) {
        uint64_t length;

        if (pass_string(reader))
            continue;
        status = take_u64(reader, "the length of a string", &length);
        if (status == GPT2_OK)
            status = gpt2i_gguf_take(reader, "a string", length, &bytes);
    }
    return status;
}

static int32_t take_value(struct gpt2i_gguf_reader *reader, struct gpt2i_gguf_value *value)
{
    uint64_t n = 1;
    int32_t status = gpt2i_gguf_take_name(reader, "a key", &value->key);

    if (status == GPT2_OK)
        status = take_value_type(reader, value);
    if (status == GPT2_OK && value->type == GPT2I_GGUF_ARRAY) {
        value->is_array = true;
        status = take_value_type(reader, value);
        if (status == GPT2_OK)
            status = take_u64(reader, "the length of an array", &n);
    }
    return status == GPT2_OK ? take_elements(reader, value, n) : status;
}

static bool same_key(const struct gpt2i_gguf_value *a, const struct gpt2i_gguf_value *b)
{
    return a->key.length == b->key.length && memcmp(a->key.text, b->key.text, a->key.length) == 0;
}

static int32_t take_values(struct gpt2i_gguf_reader *reader, struct gpt2i_gguf *gguf)
{
    int32_t status = GPT2_OK;

    memset(gguf->values, 0, gguf->n_values * sizeof *gguf->values);
    for (size_t i = 0; i < gguf->n_values && status == GPT2_OK; i++) {
        const struct gpt2i_gguf_value *value = &gguf->values[i];

        status = take_value(reader, &gguf->values[i]);
        for (size_t j = 0; j < i && status == GPT2_OK; j++) {
            if (same_key(value, &gguf->values[j]))
                return gpt2i_fail(reader->error, GPT2_ERR_FORMAT, "%s: %.*s appears twice",
                                  gguf->source->path, gpt2i_gguf_shown(value->key),
                                  value->key.text);
        }
    }
    return status;
}

/* ----------------------------------------------------------------------------------- the file -- */

/* What a file begins with. */
static int32_t check_gguf_version(const struct gpt2i_gguf *gguf, const unsigned char *header,
                                  struct gpt2i_error *error)
{
    uint32_t version = gpt2i_load_le32(header + 4);

    if (memcmp(header, gguf_magic, sizeof gguf_magic) != 0)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: begins with the bytes %02x %02x %02x %02x, wanted those of a GGUF "
                          "file, \"GGUF\"",
                          gguf->source->path, (unsigned)header[0], (unsigned)header[1],
                          (unsigned)header[2], (unsigned)header[3]);
    if (version != 0 && (version & 0xffff) == 0)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: is a GGUF file of big-endian numbers, wanted little-endian ones",
                          gguf->source->path);
    if (version != 2 && version != 3)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: is a GGUF file of version %" PRIu32 ", wanted 2 or 3",
                          gguf->source->path, version);
    return GPT2_OK;
}

static int32_t read_gguf_header(struct gpt2i_gguf *gguf, struct gpt2i_error *error)
{
    const char *path = gguf->source->path;
    uint64_t size_bytes = gguf->source->size_bytes;
    unsigned char header[HEADER_BYTES];
    uint64_t n_keys;
    int32_t status;

    if (size_bytes < HEADER_BYTES)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: has %" PRIu64 " bytes, too few for a GGUF file", path, size_bytes);
    status = gpt2i_source_read(gguf->source, 0, header, sizeof header, error);
    if (status == GPT2_OK)
        status = check_gguf_version(gguf, header, error);
    if (status != GPT2_OK)
        return status;
    gguf->n_tensors = gpt2i_load_le64(header + 8);
    n_keys = gpt2i_load_le64(header + 16);
    if (n_keys > GPT2I_GGUF_KEYS)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: has %" PRIu64 " keys, wanted at most %d, a limit of libgpt2", path,
                          n_keys, GPT2I_GGUF_KEYS);
    if (n_keys > (size_bytes - HEADER_BYTES) / KEY_BYTES)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: has %" PRIu64 " keys, too many for its %" PRIu64 " bytes", path,
                          n_keys, size_bytes);
    gguf->n_values = (size_t)n_keys;
    return GPT2_OK;
}

/* Walks through the first n_bytes of the file. */
static int32_t walk(struct gpt2i_gguf *gguf, size_t n_bytes, gpt2i_gguf_read *read, void *user,
                    bool *is_cut, struct gpt2i_error *error)
{
    struct gpt2i_gguf_reader reader = {.gguf = gguf, .error = error, .at = HEADER_BYTES};
    struct gpt2i_arena measure = gpt2i_arena_over(NULL), arena;
    unsigned char *bytes;
    int32_t status;

    *is_cut = false;
    (void)gpt2i_arena_take(&measure, gguf->n_values, sizeof *gguf->values);
    (void)gpt2i_arena_take(&measure, n_bytes, 1);
    gguf->block_bytes = measure.used_bytes;
    gguf->block = gpt2i_block_new(measure.used_bytes);
    if (gguf->block == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "%s: no memory for %zu bytes of its metadata",
                          gguf->source->path, measure.used_bytes);
    arena = gpt2i_arena_over(gguf->block);
    gguf->values = gpt2i_arena_take(&arena, gguf->n_values, sizeof *gguf->values);
    bytes = gpt2i_arena_take(&arena, n_bytes, 1);
    gguf->bytes = bytes;
    gguf->n_bytes = n_bytes;
    status = gpt2i_source_read(gguf->source, 0, bytes, n_bytes, error);
    if (status == GPT2_OK)
        status = take_values(&reader, gguf);
    gguf->tensors_at = reader.at;
    if (status == GPT2_OK && read != NULL)
        status = read(&reader, user);
    *is_cut = reader.is_cut;
    return status;
}

static void free_block(struct gpt2i_gguf *gguf)
{
    gpt2i_block_free(gguf->block, gguf->block_bytes);
    gguf->block = NULL;
}

int32_t gpt2i_gguf_open(struct gpt2i_gguf *gguf, const struct gpt2i_files *files, const char *name,
                        gpt2i_gguf_read *read, void *user, struct gpt2i_error *error)
{
    size_t n_bytes = FIRST_BYTES / GROWTH;
    bool is_cut = true;
    int32_t status;

    memset(gguf, 0, sizeof *gguf);
    status = gpt2i_source_open(&gguf->source, files, name, error);
    if (status == GPT2_OK)
        status = read_gguf_header(gguf, error);
    while (status == GPT2_OK && is_cut) {
        n_bytes = gpt2i_min(GROWTH * n_bytes, GPT2I_GGUF_MAX_BYTES);
        if (n_bytes > gguf->source->size_bytes)
            n_bytes = (size_t)gguf->source->size_bytes;
        free_block(gguf);
        status = walk(gguf, n_bytes, read, user, &is_cut, error);
        if (is_cut)
            status = GPT2_OK;
    }
    if (status != GPT2_OK)
        gpt2i_gguf_close(gguf);
    return status;
}

bool gpt2i_gguf_is(const struct gpt2i_files *files)
{
    struct gpt2i_error nowhere = {NULL, 0};
    char found[sizeof gguf_magic] = "";
    struct gpt2i_source *source;

    if (files->file == NULL ||
        gpt2i_source_open(&source, files, GPT2I_GGUF_NAME, &nowhere) != GPT2_OK)
        return false;
    if (source->size_bytes >= sizeof found)
        (void)gpt2i_source_read(source, 0, found, sizeof found, &nowhere);
    gpt2i_source_close(source);
    return memcmp(found, gguf_magic, sizeof gguf_magic) == 0;
}

void gpt2i_gguf_close(struct gpt2i_gguf *gguf)
{
    free_block(gguf);
    gpt2i_source_close(gguf->source);
    memset(gguf, 0, sizeof *gguf);
}
