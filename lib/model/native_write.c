/*
 * native_write.c: writing native files.
 *
 * Two functions walk along all tensors in the order of the file, three times: to measure the header, to
 * make its text, and to write the tensors.
 */
#include "native_write.h"
#include "native_model.h"
#include "shortlist.h"
#include "../base/arena.h"
#include "../base/checksum.h"
#include "../formats/decimal.h"
#include "../text/tokenizer_native.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define LENGTH_BYTES 8
#define STREAM_PAST  64 /* as gpt2i_arena_take_stream() */
#define STREAM_UNIT  256

struct entry {
    const char *name;
    const char *dtype;
    uint64_t dims[2];
    int32_t n_dims;
    const void *bytes; /* NULL: zeros */
    uint64_t n_bytes;
};

struct writer {
    void (*take)(struct writer *writer, const struct entry *entry);
    const gpt2_model *model;
    struct gpt2i_weight_list *list;
    uint64_t data_bytes; /* of the entries so far */
    int32_t n_paddings;
    /* the header */
    char *text;
    size_t capacity; /* without the NUL */
    size_t length;
    /* the file */
    gpt2_write_callback write;
    void *user;
    bool refused; /* by 'write' */
    unsigned char *chunk;
    size_t n_chunk; /* bytes that wait in the chunk */
    uint64_t sum;   /* of the part of the file so far, without the chunk */
};

/* ----------------------------------------------------------------------------- what is written -- */

static void take(struct writer *writer, const char *name, const char *dtype, size_t element_bytes,
                 uint64_t n_elements, const void *bytes)
{
    const struct entry entry = {
        .name = name,
        .dtype = dtype,
        .dims = {n_elements},
        .n_dims = 1,
        .bytes = bytes,
        .n_bytes = n_elements * element_bytes,
    };

    writer->take(writer, &entry);
    writer->data_bytes += entry.n_bytes;
}

/* Zeros up to the next byte that is 'past' a multiple of 'unit'. */
static void take_padding(struct writer *writer, uint64_t unit, uint64_t past)
{
    uint64_t n_bytes = (past + unit - writer->data_bytes % unit) % unit;
    char name[24];

    if (n_bytes == 0)
        return;
    (void)snprintf(name, sizeof name, "padding.%" PRId32, writer->n_paddings++);
    take(writer, name, "U8", 1, n_bytes, NULL);
}

static void take_matrix(struct writer *writer, const char *name, const struct gpt2i_matrix *matrix)
{
    bool is_quantised = gpt2i_matrix_is_quantised(matrix);
    uint64_t n_bytes = gpt2i_matrix_bytes(matrix);
    uint64_t n_out = gpt2i_round_up(matrix->n_out, GPT2I_LANES);
    const struct entry entry = {
        .name = name,
        .dtype = gpt2i_native_dtype(matrix->type),
        .dims = {n_out, is_quantised ? n_bytes / n_out : matrix->n_in},
        .n_dims = 2,
        .bytes = matrix->panels,
        .n_bytes = n_bytes,
    };

    take_padding(writer, STREAM_UNIT, STREAM_PAST);
    writer->take(writer, &entry);
    writer->data_bytes += n_bytes;
}

static void take_floats(struct writer *writer, const struct gpt2i_weight *weight)
{
    bool is_vector = weight->kind == GPT2I_WEIGHT_VECTOR;
    const struct entry entry = {
        .name = weight->name,
        .dtype = "F32",
        .dims = {is_vector ? weight->n_columns : weight->n_rows, weight->n_columns},
        .n_dims = is_vector ? 1 : 2,
        .bytes = *weight->floats,
        .n_bytes = (uint64_t)weight->n_rows * weight->n_columns * sizeof(float),
    };

    writer->take(writer, &entry);
    writer->data_bytes += entry.n_bytes;
}

static void take_tokenizer(struct writer *writer, const gpt2_tokenizer *tokenizer)
{
    struct gpt2i_tokenizer_table tables[GPT2I_TOKENIZER_TABLES];

    gpt2i_tokenizer_tables(tokenizer, tables);
    for (size_t i = 0; i < GPT2I_TOKENIZER_TABLES; i++)
        take(writer, tables[i].name, tables[i].dtype, tables[i].element_bytes, tables[i].n_elements,
             tables[i].elements);
}

static void walk_directory(struct writer *writer)
{
    writer->data_bytes = 0;
    writer->n_paddings = 0;
    take(writer, "n_parameters", "U64", sizeof(uint64_t), 1, &writer->model->n_parameters);
    if (writer->model->tokenizer != NULL)
        take_tokenizer(writer, writer->model->tokenizer);
    take_padding(writer, GPT2I_ALIGN, 0);
}

/* The other tensors but for the checksums: small ones first, so that few gaps need padding. */
static void walk_weights(struct writer *writer)
{
    const struct gpt2i_matrix *shortlist = &writer->model->shortlist.copy.weight;
    const struct gpt2i_weight_list *list = writer->list;

    for (size_t i = 0; i < list->n_weights; i++) {
        if (list->weights[i].matrix == NULL)
            take_floats(writer, &list->weights[i]);
    }
    for (size_t i = 0; i < list->n_weights; i++) {
        const struct gpt2i_matrix *matrix = list->weights[i].matrix;
        char name[GPT2I_NATIVE_NAME_BYTES];

        if (matrix != NULL && matrix->type == GPT2_TYPE_Q4) {
            gpt2i_native_name(&list->weights[i], "table", name);
            take(writer, name, "U8", 1, sizeof matrix->table, matrix->table);
        }
    }
    if (gpt2i_has_shortlist(writer->model))
        take(writer, GPT2I_NATIVE_NORMS, "F32", sizeof(float), 2 * (uint64_t)shortlist->n_out,
             writer->model->shortlist.norms);
    for (size_t i = 0; i < list->n_weights; i++) {
        char name[GPT2I_NATIVE_NAME_BYTES];

        if (list->weights[i].matrix == NULL)
            continue;
        gpt2i_native_name(&list->weights[i], "panels", name);
        take_matrix(writer, name, list->weights[i].matrix);
    }
    if (gpt2i_has_shortlist(writer->model))
        take_matrix(writer, GPT2I_NATIVE_COPY, shortlist);
}

/* ---------------------------------------------------------------------------------- the header -- */

/* Adds to the header, or only measures it. */
static void put(struct writer *writer, const char *format, ...) GPT2I_FORMAT(2, 3);

static void put(struct writer *writer, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    writer->length += (size_t)vsnprintf(
        writer->text == NULL ? NULL : writer->text + writer->length,
        writer->text == NULL ? 0 : writer->capacity + 1 - writer->length, format, arguments);
    va_end(arguments);
}

static void put_entry(struct writer *writer, const struct entry *entry)
{
    put(writer, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%" PRIu64, entry->name, entry->dtype,
        entry->dims[0]);
    if (entry->n_dims == 2)
        put(writer, ",%" PRIu64, entry->dims[1]);
    put(writer, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", writer->data_bytes,
        writer->data_bytes + entry->n_bytes);
}

static const char *truth(bool value)
{
    return value ? "true" : "false";
}

/* The config.json, as a JSON string. */
static void put_config(struct writer *writer)
{
    const struct gpt2i_config *config = &writer->model->config;
    char epsilon[GPT2I_FLOAT_CHARS];

    put(writer,
        "{\\\"model_type\\\":\\\"%s\\\",\\\"vocab_size\\\":%" PRId32 ",\\\"n_positions\\\":%" PRId32
        ",\\\"n_embd\\\":%" PRId32 ",\\\"n_layer\\\":%" PRId32 ",\\\"n_head\\\":%" PRId32
        ",\\\"n_inner\\\":%" PRId32 ",\\\"activation_function\\\":\\\"%s\\\"",
        config->is_bigcode ? "gpt_bigcode" : "gpt2", config->n_vocab, config->n_positions,
        config->n_embd, config->n_layer, config->n_head, config->n_inner,
        gpt2i_activation_name(config->activation_function));
    if (config->is_bigcode || config->n_kv_head < config->n_head)
        put(writer, ",\\\"multi_query\\\":%s", truth(config->n_kv_head == 1));
    gpt2i_decimal_of_float(epsilon, config->layer_norm_epsilon);
    put(writer, ",\\\"layer_norm_epsilon\\\":%s", epsilon);
    put(writer,
        ",\\\"scale_attn_weights\\\":%s,\\\"scale_attn_by_inverse_layer_idx\\\":%s"
        ",\\\"tie_word_embeddings\\\":%s,\\\"eos_token_id\\\":%" PRId32 "}",
        truth(config->scale_attn_weights), truth(config->scale_attn_by_inverse_layer_idx),
        truth(config->tie_word_embeddings), config->eos_token_id);
}

/* The header without its length. */
static void put_header(struct writer *writer)
{
    struct entry checksums = {
        .name = "checksums",
        .dtype = "U64",
        .dims = {GPT2I_NATIVE_CHECKSUMS},
        .n_dims = 1,
        .n_bytes = GPT2I_NATIVE_CHECKSUMS * sizeof(uint64_t),
    };

    writer->take = put_entry;
    writer->length = 0;
    put(writer, "{\"__metadata__\":{\"libgpt2\":\"" GPT2I_NATIVE_VERSION "\",\"config\":\"");
    put_config(writer);
    put(writer, "\"}");
    walk_directory(writer);
    walk_weights(writer);
    put_entry(writer, &checksums);
    put(writer, "}");
}

/* ------------------------------------------------------------------------------------ the file -- */

static void flush(struct writer *writer)
{
    if (writer->n_chunk == 0)
        return;
    writer->sum = gpt2i_checksum(writer->sum, writer->chunk, writer->n_chunk);
    writer->refused = writer->write(writer->user, writer->chunk, writer->n_chunk) != 0;
    writer->n_chunk = 0;
}

/* Bytes of the file; NULL: zeros. */
static void put_bytes(struct writer *writer, const void *bytes, uint64_t n_bytes)
{
    const unsigned char *from = bytes;

    while (n_bytes > 0 && !writer->refused) {
        size_t room = GPT2I_NATIVE_CHUNK_BYTES - writer->n_chunk;
        size_t n = n_bytes < room ? (size_t)n_bytes : room;

        if (from == NULL) {
            memset(writer->chunk + writer->n_chunk, 0, n);
        } else {
            memcpy(writer->chunk + writer->n_chunk, from, n);
            from += n;
        }
        writer->n_chunk += n;
        n_bytes -= n;
        if (writer->n_chunk == GPT2I_NATIVE_CHUNK_BYTES)
            flush(writer);
    }
}

/* Ends a part of the file; returns its checksum. */
static uint64_t end_part(struct writer *writer)
{
    uint64_t sum;

    flush(writer);
    sum = writer->sum;
    writer->sum = 0;
    return sum;
}

static void put_tensor(struct writer *writer, const struct entry *entry)
{
    put_bytes(writer, entry->bytes, entry->n_bytes);
}

static void put_number(struct writer *writer, uint64_t number)
{
    unsigned char bytes[8];

    gpt2i_store_le(bytes, number, sizeof bytes);
    put_bytes(writer, bytes, sizeof bytes);
}

/* The whole file, after its header has been made. */
static void put_file(struct writer *writer)
{
    uint64_t directory_bytes, directory_sum, weights_sum;

    writer->take = put_tensor;
    put_number(writer, writer->capacity);
    put_bytes(writer, writer->text, writer->capacity);
    walk_directory(writer);
    directory_bytes = LENGTH_BYTES + writer->capacity + writer->data_bytes;
    directory_sum = end_part(writer);
    walk_weights(writer);
    weights_sum = end_part(writer);
    put_number(writer, directory_bytes);
    put_number(writer, directory_sum);
    put_number(writer, weights_sum);
    flush(writer);
}

static void writer_layout(struct gpt2i_arena *arena, struct writer *writer)
{
    writer->chunk = gpt2i_arena_take(arena, GPT2I_NATIVE_CHUNK_BYTES, 1);
    writer->text =
        gpt2i_arena_take(arena, writer->capacity + 1, 1); /* vsnprintf() ends with a NUL */
}

static int32_t write_file(struct writer *writer, struct gpt2i_error *error)
{
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);
    struct gpt2i_arena place;

    put_header(writer); /* measures */
    /* white space behind it: the data begin at a multiple of STREAM_UNIT */
    writer->capacity = gpt2i_round_up(LENGTH_BYTES + writer->length, STREAM_UNIT) - LENGTH_BYTES;
    writer_layout(&measure, writer);
    place = gpt2i_arena_over(gpt2i_block_new(measure.used_bytes));
    if (place.base == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "no memory for %zu bytes to write the model",
                          measure.used_bytes);
    writer_layout(&place, writer);
    put_header(writer);
    memset(writer->text + writer->length, ' ', writer->capacity - writer->length);
    put_file(writer);
    gpt2i_block_free(place.base, measure.used_bytes);
    return writer->refused
               ? gpt2i_fail(error, GPT2_ERR_CANCELLED, "cancelled by the write callback")
               : GPT2_OK;
}

int32_t gpt2i_native_write(const gpt2_model *model, gpt2_write_callback write, void *user,
                           struct gpt2i_error *error)
{
    struct writer writer = {.model = model, .write = write, .user = user};
    int32_t status;

    if (!gpt2i_is_little_endian())
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "native files are written on little-endian machines only");
    /* the list can change a model; here it is only read */
    status = gpt2i_weight_list_new(&writer.list, (gpt2_model *)model, NULL, error);
    if (status == GPT2_OK)
        status = write_file(&writer, error);
    gpt2i_weight_list_free(writer.list);
    return status;
}
