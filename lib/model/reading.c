/*
 * reading.c: reading weights on several threads.
 *
 * A task reads some rows of one tensor into its thread's staging memory, converts them to their type in
 * memory and packs them into their place in the model.
 */
#include "reading.h"
#include "../base/arena.h"
#include "../base/fpstate.h"
#include "../base/threads.h"
#include "../kernels/widen.h"

#include <stdatomic.h>

#define STAGING_BYTES  (1u << 20) /* what one thread reads at a time: fits a level-2 cache */
#define PROGRESS_BYTES (1u << 20) /* between two calls of progress */

struct reading {
    struct gpt2i_weight_list *list;
    unsigned char *staging; /* [n_threads][staging_bytes], or twice that where has_copy */
    size_t staging_bytes;
    bool has_copy; /* some weight is compared with a second tensor */
    size_t n_tasks;
    const gpt2_model_params *params; /* for progress */
    uint64_t n_bytes_total;
    uint64_t n_bytes_shown; /* by the last call of progress, on the calling thread */
    _Atomic uint64_t n_bytes_done;
    _Atomic int32_t status;    /* the first failure */
    struct gpt2i_error *error; /* written by the thread that set status */
};

/* What an element needs of staging memory: a float, or a number of F64 in the file. */
static size_t weight_element_bytes(const struct gpt2i_weight *weight)
{
    bool is_f64 = (weight->tensor != NULL && weight->tensor->type == GPT2_TYPE_F64) ||
                  (weight->copy != NULL && weight->copy->type == GPT2_TYPE_F64);

    return is_f64 ? sizeof(double) : sizeof(float);
}

static uint64_t weight_bytes(const struct gpt2i_weight *weight)
{
    return (uint64_t)weight->n_rows * weight->n_columns * weight_element_bytes(weight);
}

/*
 * Rows that are read together: outputs that fill a line of cache, which no two threads should share, or
 * the inputs of a quantised block.
 */
static size_t min_rows(const struct gpt2i_weight *weight)
{
    bool is_quantised = weight->matrix != NULL && gpt2i_matrix_is_quantised(weight->matrix);
    size_t n_rows = 1;

    if (weight->kind == GPT2I_WEIGHT_OUT_IN)
        n_rows = 64 / (is_quantised ? sizeof(uint16_t) /* scales are the smallest */
                                    : gpt2i_type_bytes(weight->matrix->type));
    else if (is_quantised)
        n_rows = GPT2I_Q_BLOCK;
    return gpt2i_min(weight->n_rows, n_rows);
}

static size_t rows_at_a_time(const struct reading *reading, const struct gpt2i_weight *weight)
{
    size_t n_rows = reading->staging_bytes / (weight->n_columns * weight_element_bytes(weight));

    return n_rows / min_rows(weight) * min_rows(weight);
}

/* Sets the sizes of staging memory and the tasks of each weight; returns the bytes of all weights. */
static uint64_t plan(struct reading *reading)
{
    struct gpt2i_weight_list *list = reading->list;
    uint64_t all_bytes = 0;

    for (size_t i = 0; i < list->n_weights; i++) {
        const struct gpt2i_weight *weight = &list->weights[i];
        uint64_t min_bytes = min_rows(weight) * weight->n_columns * weight_element_bytes(weight);
        uint64_t bytes = weight_bytes(weight);

        if (bytes > STAGING_BYTES)
            bytes = min_bytes > STAGING_BYTES ? min_bytes : STAGING_BYTES;
        reading->staging_bytes = gpt2i_max(reading->staging_bytes, (size_t)bytes);
        reading->has_copy |= weight->copy != NULL;
        reading->n_bytes_total += (weight->tensor == NULL ? 0 : weight->tensor->n_bytes) +
                                  (weight->copy == NULL ? 0 : weight->copy->n_bytes);
        all_bytes += weight_bytes(weight);
    }
    reading->staging_bytes = gpt2i_round_up(reading->staging_bytes, GPT2I_ALIGN);
    for (size_t i = 0; i < list->n_weights; i++) {
        struct gpt2i_weight *weight = &list->weights[i];

        weight->first_task = reading->n_tasks;
        if (weight->tensor != NULL)
            reading->n_tasks += gpt2i_ceil_div(weight->n_rows, rows_at_a_time(reading, weight));
    }
    return all_bytes;
}

/* Notes the first failure of any thread. */
static void note_failure(struct reading *reading, int32_t status, const char *line)
{
    int32_t none = GPT2_OK;

    if (atomic_compare_exchange_strong(&reading->status, &none, status))
        (void)gpt2i_fail(reading->error, status, "%s", line);
}

/* Tells the caller how much has been read; the caller may end the load. */
static int32_t show_progress(struct reading *reading, struct gpt2i_error *error)
{
    uint64_t n_bytes_done = atomic_load(&reading->n_bytes_done);

    if (reading->params->progress == NULL ||
        (n_bytes_done < reading->n_bytes_total &&
         n_bytes_done - reading->n_bytes_shown < PROGRESS_BYTES))
        return GPT2_OK;
    reading->n_bytes_shown = n_bytes_done;
    if (reading->params->progress(reading->params->progress_user, n_bytes_done,
                                  reading->n_bytes_total) == 0)
        return GPT2_OK;
    return gpt2i_fail(error, GPT2_ERR_CANCELLED, "%s: cancelled by the progress callback",
                      reading->list->tensors->source->path);
}

/* Rows of a tensor as they are in the file, where gpt2i_widen() wants them in 'floats'. */
static int32_t read_raw(struct reading *reading, const struct gpt2i_tensor *tensor,
                        size_t first_row, size_t n_rows, size_t n_columns, float *floats,
                        unsigned char **raw, struct gpt2i_error *error)
{
    size_t row_bytes = gpt2i_type_size(tensor->type, n_columns);
    int32_t status;

    *raw = gpt2i_widen_place(floats, tensor->type, n_rows * n_columns);
    status = gpt2i_source_read(tensor->source, tensor->offset + first_row * row_bytes, *raw,
                               n_rows * row_bytes, error);
    if (status == GPT2_OK)
        atomic_fetch_add(&reading->n_bytes_done, n_rows * row_bytes);
    return status;
}

/* Rows of a tensor as floats. */
static int32_t read_floats(struct reading *reading, const struct gpt2i_tensor *tensor,
                           size_t first_row, size_t n_rows, size_t n_columns, float *floats,
                           struct gpt2i_error *error)
{
    unsigned char *raw;
    uint64_t host_state;
    int32_t status = read_raw(reading, tensor, first_row, n_rows, n_columns, floats, &raw, error);

    if (status != GPT2_OK)
        return status;
    host_state = gpt2i_fpstate_enter(); /* F64 is rounded */
    gpt2i_widen(floats, tensor->type, n_rows * n_columns);
    gpt2i_fpstate_leave(host_state);
    return GPT2_OK;
}

/* Fails unless the rows of weight->copy, read behind 'rows', have the same bits. */
static int32_t check_copy(struct reading *reading, const struct gpt2i_weight *weight,
                          size_t first_row, size_t n_rows, float *rows, struct gpt2i_error *error)
{
    float *copy = rows + reading->staging_bytes / sizeof(float);
    size_t row_bytes = weight->n_columns * sizeof(float);
    int32_t status =
        read_floats(reading, weight->copy, first_row, n_rows, weight->n_columns, copy, error);

    for (size_t r = 0; r < n_rows && status == GPT2_OK; r++) {
        if (memcmp(rows + r * weight->n_columns, copy + r * weight->n_columns, row_bytes) != 0)
            status = gpt2i_fail(error, GPT2_ERR_FORMAT,
                                "%s: %s differs from %s in row %zu, but config.json ties them",
                                weight->copy->source->path, weight->copy->name,
                                weight->tensor->name, first_row + r);
    }
    return status;
}

/* Fails where a weight cannot be quantised. */
static int32_t check_quantisable(const struct gpt2i_weight *weight, size_t first_row, size_t n_rows,
                                 const float *rows, struct gpt2i_error *error)
{
    for (size_t i = 0; i < n_rows * weight->n_columns; i++) {
        if (!(rows[i] >= -GPT2I_Q_LARGEST && rows[i] <= GPT2I_Q_LARGEST))
            return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                              "%s: %s has %g in row %zu, column %zu, which %s cannot hold, wanted "
                              "f32",
                              weight->tensor->source->path, weight->tensor->name, (double)rows[i],
                              first_row + i / weight->n_columns, i % weight->n_columns,
                              weight->matrix->type == GPT2_TYPE_Q8 ? "q8" : "q4");
    }
    return GPT2_OK;
}

/* Rounds rows to the type of their matrix. */
static int32_t narrow(const struct gpt2i_weight *weight, size_t first_row, size_t n_rows,
                      float *rows, struct gpt2i_error *error)
{
    size_t n = n_rows * weight->n_columns;
    size_t lost = gpt2i_narrow(rows, weight->matrix->type, n);

    if (lost == n)
        return GPT2_OK;
    return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                      "%s: %s has a number in row %zu, column %zu that is too large for %s, "
                      "wanted f32",
                      weight->tensor->source->path, weight->tensor->name,
                      first_row + lost / weight->n_columns, lost % weight->n_columns,
                      weight->matrix->type == GPT2_TYPE_F16 ? "f16" : "bf16");
}

/* Whether a matrix has the blocks of its tensor as they are. */
static bool keeps_blocks(const struct gpt2i_weight *weight)
{
    int32_t type = weight->tensor->type == GPT2_TYPE_Q4_0 ? GPT2_TYPE_Q4 : weight->tensor->type;

    return weight->matrix != NULL && gpt2i_matrix_is_quantised(weight->matrix) &&
           type == weight->matrix->type;
}

/* Rows of a weight in the type that they have in memory, somewhere in 'staging'. */
static int32_t read_typed(struct reading *reading, const struct gpt2i_weight *weight,
                          size_t first_row, size_t n_rows, float *staging, const void **rows,
                          struct gpt2i_error *error)
{
    const struct gpt2i_tensor *tensor = weight->tensor;
    int32_t type = weight->matrix == NULL ? GPT2_TYPE_F32 : weight->matrix->type;
    unsigned char *raw;
    int32_t status;

    if (keeps_blocks(weight) ||
        (type == tensor->type && type != GPT2_TYPE_F32 && weight->copy == NULL)) {
        status =
            read_raw(reading, tensor, first_row, n_rows, weight->n_columns, staging, &raw, error);
        if (status == GPT2_OK && !keeps_blocks(weight))
            gpt2i_order_16(raw, n_rows * weight->n_columns);
        *rows = raw;
        return status;
    }
    *rows = staging;
    status = read_floats(reading, tensor, first_row, n_rows, weight->n_columns, staging, error);
    if (status == GPT2_OK && weight->copy != NULL)
        status = check_copy(reading, weight, first_row, n_rows, staging, error);
    return status == GPT2_OK && (type == GPT2_TYPE_F16 || type == GPT2_TYPE_BF16)
               ? narrow(weight, first_row, n_rows, staging, error)
               : status;
}

/*
 * Puts rows, in their type in memory, into their place; for matrices that are quantised floats, or the
 * blocks of the file.
 */
static int32_t pack(const struct gpt2i_weight *weight, size_t first_row, size_t n_rows,
                    const void *rows, struct gpt2i_error *error)
{
    size_t n_columns = weight->n_columns;
    uint64_t host_state;
    int32_t status = GPT2_OK;

    if (weight->matrix == NULL) {
        memcpy(*weight->floats + first_row * n_columns, rows, n_rows * n_columns * sizeof(float));
        return GPT2_OK;
    }
    if (keeps_blocks(weight)) {
        gpt2i_matrix_pack_blocks(weight->matrix, rows, first_row, n_rows);
        return GPT2_OK;
    }
    host_state = gpt2i_fpstate_enter(); /* quantising rounds */
    if (gpt2i_matrix_is_quantised(weight->matrix))
        status = check_quantisable(weight, first_row, n_rows, rows, error);
    if (status == GPT2_OK && weight->kind == GPT2I_WEIGHT_IN_OUT)
        gpt2i_matrix_pack_inputs(weight->matrix, rows, first_row, n_rows);
    else if (status == GPT2_OK)
        gpt2i_matrix_pack_outputs(weight->matrix, rows, first_row, n_rows);
    gpt2i_fpstate_leave(host_state);
    return status;
}

static int32_t read_rows(struct reading *reading, const struct gpt2i_weight *weight,
                         size_t first_row, float *staging, struct gpt2i_error *error)
{
    size_t n_rows = gpt2i_min(rows_at_a_time(reading, weight), weight->n_rows - first_row);
    const void *rows;
    int32_t status = read_typed(reading, weight, first_row, n_rows, staging, &rows, error);

    return status == GPT2_OK ? pack(weight, first_row, n_rows, rows, error) : status;
}

/* The weight whose tasks 'task' is one of: the last that begins at or before it. */
static const struct gpt2i_weight *weight_of_task(const struct gpt2i_weight_list *list, size_t task)
{
    size_t low = 0;
    size_t high = list->n_weights;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (list->weights[middle].first_task <= task)
            low = middle;
        else
            high = middle;
    }
    return &list->weights[low];
}

static void read_task(void *argument, size_t task, size_t worker)
{
    struct reading *reading = argument;
    const struct gpt2i_weight *weight = weight_of_task(reading->list, task);
    size_t worker_bytes = reading->staging_bytes * (reading->has_copy ? 2 : 1);
    size_t first_row = (task - weight->first_task) * rows_at_a_time(reading, weight);
    char line[GPT2I_ERROR_BYTES];
    struct gpt2i_error error = {line, sizeof line};
    int32_t status;

    if (atomic_load(&reading->status) != GPT2_OK)
        return;
    status = read_rows(reading, weight, first_row,
                       (float *)(void *)(reading->staging + worker * worker_bytes), &error);
    if (status == GPT2_OK && worker == 0) /* the calling thread */
        status = show_progress(reading, &error);
    if (status != GPT2_OK)
        note_failure(reading, status, line);
}

static struct gpt2i_pool *reading_layout(struct gpt2i_arena *arena, struct reading *reading,
                                         int32_t n_threads)
{
    struct gpt2i_pool *pool = gpt2i_pool_layout(arena, n_threads);

    reading->staging = gpt2i_arena_take(arena, (uint64_t)n_threads * (reading->has_copy ? 2 : 1),
                                        reading->staging_bytes);
    return pool;
}

int32_t gpt2i_weights_read(struct gpt2i_weight_list *list, const gpt2_model_params *params,
                           struct gpt2i_error *error)
{
    struct reading reading = {.list = list, .params = params, .error = error};
    uint64_t all_bytes = plan(&reading);
    uint64_t n_useful = gpt2i_ceil_div((size_t)all_bytes, reading.staging_bytes);
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);
    struct gpt2i_arena place;
    struct gpt2i_pool *pool;
    int32_t n_threads = params->n_threads;
    int32_t status;

    /* a thread more than this would have staging memory and nothing to read */
    if ((uint64_t)n_threads > n_useful)
        n_threads = (int32_t)n_useful;
    (void)reading_layout(&measure, &reading, n_threads);
    place = gpt2i_arena_over(measure.overflow ? NULL : gpt2i_block_new(measure.used_bytes));
    if (place.base == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY,
                          "%s: no memory for %zu bytes to read its weights on %d threads",
                          list->tensors->source->path, measure.used_bytes, n_threads);
    pool = reading_layout(&place, &reading, n_threads);
    status = gpt2i_pool_start(pool, n_threads, error);
    if (status == GPT2_OK) {
        gpt2i_pool_run(pool, read_task, &reading, reading.n_tasks);
        gpt2i_pool_stop(pool);
        status = atomic_load(&reading.status);
    }
    if (status == GPT2_OK && reading.n_bytes_shown < reading.n_bytes_total)
        status = show_progress(&reading, error);
    gpt2i_block_free(place.base, measure.used_bytes);
    return status;
}
