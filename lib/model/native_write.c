/*
 * native_write.c: writing native files.
 *
 * Two functions walk along all tensors in the order of the file, three times: to measure the header, to
 * write it, and to write the tensors.
 */
#include "config_text.h"
#include "native_model.h"
#include "shortlist.h"
#include "writers.h"
#include "../base/checksum.h"
#include "../text/tokenizer_native.h"

#include <inttypes.h>
#include <stdio.h>

#define LENGTH_BYTES 8
#define STREAM_PAST  64 /* as gpt2i_arena_take_stream() */
#define STREAM_UNIT  256

struct native_entry {
    const char *name;
    const char *dtype;
    uint64_t dims[2];
    int32_t n_dims;
    const void *bytes; /* NULL: zeros */
    uint64_t n_bytes;
};

struct native_writer {
    void (*take)(struct native_writer *writer, const struct native_entry *entry);
    const gpt2_model *model;
    struct gpt2i_weight_list *list;
    uint64_t data_bytes; /* of the entries so far */
    int32_t n_paddings;
    struct gpt2i_sink *sink;
    /* what the sink had, while the checksum is made on the way */
    gpt2_write_callback write;
    void *user;
    uint64_t sum; /* of the part of the file so far, without what waits in the sink */
};

/* ----------------------------------------------------------------------------- what is written -- */

static void take_array(struct native_writer *writer, const char *name, const char *dtype,
                       size_t element_bytes, uint64_t n_elements, const void *bytes)
{
    const struct native_entry entry = {
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
static void take_padding(struct native_writer *writer, uint64_t unit, uint64_t past)
{
    uint64_t n_bytes = (past + unit - writer->data_bytes % unit) % unit;
    char name[24];

    if (n_bytes == 0)
        return;
    (void)snprintf(name, sizeof name, "padding.%" PRId32, writer->n_paddings++);
    take_array(writer, name, "U8", 1, n_bytes, NULL);
}

static void take_matrix(struct native_writer *writer, const char *name,
                        const struct gpt2i_matrix *matrix)
{
    bool is_quantised = gpt2i_matrix_is_quantised(matrix);
    uint64_t n_bytes = gpt2i_matrix_bytes(matrix);
    uint64_t n_out = gpt2i_round_up(matrix->n_out, GPT2I_LANES);
    const struct native_entry entry = {
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

static void take_floats(struct native_writer *writer, const struct gpt2i_weight *weight)
{
    bool is_vector = weight->kind == GPT2I_WEIGHT_VECTOR;
    const struct native_entry entry = {
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

static void take_tokenizer(struct native_writer *writer, const gpt2_tokenizer *tokenizer)
{
    struct gpt2i_tokenizer_table tables[GPT2I_TOKENIZER_TABLES];

    gpt2i_tokenizer_tables(tokenizer, tables);
    for (size_t i = 0; i < GPT2I_TOKENIZER_TABLES; i++)
        take_array(writer, tables[i].name, tables[i].dtype, tables[i].element_bytes,
                   tables[i].n_elements, tables[i].elements);
}

static void walk_directory(struct native_writer *writer)
{
    writer->data_bytes = 0;
    writer->n_paddings = 0;
    take_array(writer, "n_parameters", "U64", sizeof(uint64_t), 1, &writer->model->n_parameters);
    if (writer->model->tokenizer != NULL)
        take_tokenizer(writer, writer->model->tokenizer);
    take_padding(writer, GPT2I_ALIGN, 0);
}

/* The other tensors but for the checksums: small ones first, so that few gaps need padding. */
static void walk_weights(struct native_writer *writer)
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
            take_array(writer, name, "U8", 1, sizeof matrix->table, matrix->table);
        }
    }
    if (gpt2i_has_shortlist(writer->model))
        take_array(writer, GPT2I_NATIVE_NORMS, "F32", sizeof(float), 2 * (uint64_t)shortlist->n_out,
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

static void put_entry(struct native_writer *writer, const struct native_entry *entry)
{
    struct gpt2i_sink *sink = writer->sink;

    gpt2i_sink_text(sink, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%" PRIu64, entry->name,
                    entry->dtype, entry->dims[0]);
    if (entry->n_dims == 2)
        gpt2i_sink_text(sink, ",%" PRIu64, entry->dims[1]);
    gpt2i_sink_text(sink, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", writer->data_bytes,
                    writer->data_bytes + entry->n_bytes);
}

/* The config.json, as a JSON string. */
static void put_config(struct native_writer *writer)
{
    char text[GPT2I_CONFIG_TEXT_BYTES];

    gpt2i_config_text(text, &writer->model->config);
    for (const char *c = text; *c != '\0'; c++)
        gpt2i_sink_text(writer->sink, *c == '"' ? "\\%c" : "%c", *c);
}

/* The header without its length. */
static void put_header(struct native_writer *writer)
{
    struct native_entry checksums = {
        .name = "checksums",
        .dtype = "U64",
        .dims = {GPT2I_NATIVE_CHECKSUMS},
        .n_dims = 1,
        .n_bytes = GPT2I_NATIVE_CHECKSUMS * sizeof(uint64_t),
    };

    writer->take = put_entry;
    gpt2i_sink_text(writer->sink,
                    "{\"__metadata__\":{\"libgpt2\":\"" GPT2I_NATIVE_VERSION "\",\"config\":\"");
    put_config(writer);
    gpt2i_sink_text(writer->sink, "\"}");
    walk_directory(writer);
    walk_weights(writer);
    put_entry(writer, &checksums);
    gpt2i_sink_text(writer->sink, "}");
}

/* ------------------------------------------------------------------------------------ the file -- */

/* Between the sink and the caller: a gpt2_write_callback. */
static int32_t sum_and_write(void *user, const void *bytes, size_t n_bytes)
{
    struct native_writer *writer = user;

    writer->sum = gpt2i_checksum(writer->sum, bytes, n_bytes);
    return writer->write(writer->user, bytes, n_bytes);
}

/* Ends a part of the file; returns its checksum. */
static uint64_t end_part(struct native_writer *writer)
{
    uint64_t sum;

    gpt2i_sink_flush(writer->sink);
    sum = writer->sum;
    writer->sum = 0;
    return sum;
}

static void put_tensor(struct native_writer *writer, const struct native_entry *entry)
{
    gpt2i_sink_bytes(writer->sink, entry->bytes, entry->n_bytes);
}

/* White space after the header: the data begin at a multiple of STREAM_UNIT. */
static void pad_header(struct gpt2i_sink *sink, uint64_t capacity)
{
    while (sink->n_bytes < LENGTH_BYTES + capacity)
        gpt2i_sink_bytes(sink, " ", 1);
}

static void put_native_file(struct native_writer *writer, uint64_t header_bytes)
{
    uint64_t capacity =
        (LENGTH_BYTES + header_bytes + STREAM_UNIT - 1) / STREAM_UNIT * STREAM_UNIT - LENGTH_BYTES;
    uint64_t directory_bytes, directory_sum, weights_sum;

    gpt2i_sink_number(writer->sink, capacity, LENGTH_BYTES);
    put_header(writer);
    pad_header(writer->sink, capacity);
    writer->take = put_tensor;
    walk_directory(writer);
    directory_bytes = LENGTH_BYTES + capacity + writer->data_bytes;
    directory_sum = end_part(writer);
    walk_weights(writer);
    weights_sum = end_part(writer);
    gpt2i_sink_number(writer->sink, directory_bytes, 8);
    gpt2i_sink_number(writer->sink, directory_sum, 8);
    gpt2i_sink_number(writer->sink, weights_sum, 8);
}

int32_t gpt2i_native_write(const gpt2_model *model, struct gpt2i_weight_list *list,
                           struct gpt2i_sink *sink, struct gpt2i_error *error)
{
    struct gpt2i_sink measure = {.write = NULL};
    struct native_writer writer = {.model = model, .list = list, .sink = &measure};

    if (!gpt2i_is_little_endian())
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "native files are written on little-endian machines only");
    put_header(&writer);
    writer.write = sink->write;
    writer.user = sink->user;
    writer.sink = sink;
    sink->write = sum_and_write;
    sink->user = &writer;
    put_native_file(&writer, measure.n_bytes);
    gpt2i_sink_flush(sink);
    sink->write = writer.write;
    sink->user = writer.user;
    return GPT2_OK;
}
