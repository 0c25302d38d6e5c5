/*
 * layers.c: sharing out the work of a layer.
 *
 * A matrix product is cut along its outputs, so that one thread reads each weight, and along rows
 * where there are so many that a weight is read more than once.  The other layers are cut along rows.
 */
#include "layers.h"
#include "../kernels/widen.h"

#define ROWS_TOGETHER 4 /* rows of a task that is cut along rows alone */

struct linear_job {
    const struct gpt2i_compute *compute;
    const struct gpt2i_linear *linear;
    float *y;
    size_t y_stride;
    const float *x;
    size_t n_rows;
    size_t n_row_groups;
};

/* Rows of a group; the last one has all that are left. */
static size_t rows_of_group(const struct linear_job *job, size_t row_group)
{
    size_t n_rows = job->compute->kernels.matmul_rows;

    return row_group + 1 < job->n_row_groups ? n_rows : job->n_rows - row_group * n_rows;
}

/* The panel that this thread is likely to take next: threads take tasks in turns. */
static size_t next_panel_of(const struct linear_job *job, size_t task)
{
    return (task + gpt2i_pool_n_threads(job->compute->pool)) / job->n_row_groups;
}

/*
 * Rows of logits do not begin at cache lines.  A kernel adds to a row many times, so it does this in a
 * workspace whose rows do, and the sums are copied.
 */
static void matmul_aside(const struct gpt2i_compute *compute, struct gpt2i_matmul *matmul,
                         size_t worker)
{
    float *to = matmul->y;
    size_t to_stride = matmul->y_stride;

    matmul->y = compute->panels + worker * GPT2I_PANEL_ROWS * GPT2I_PANEL;
    matmul->y_stride = GPT2I_PANEL;
    gpt2i_matmul(&compute->kernels, matmul);
    for (size_t r = 0; r < matmul->n_rows; r++)
        memcpy(to + r * to_stride, matmul->y + r * matmul->y_stride,
               matmul->n_outputs * sizeof *to);
}

/* Bytes of a row of quantised activations. */
static size_t inputs_bytes(const struct gpt2i_compute *compute, size_t n_in)
{
    return gpt2i_ceil_div(n_in, GPT2I_Q_BLOCK) * compute->kernels.input_block_bytes;
}

static void quantise_task(void *argument, size_t row, size_t worker)
{
    const struct linear_job *job = argument;
    const struct gpt2i_compute *compute = job->compute;
    size_t n_in = job->linear->weight.n_in;

    (void)worker;
    compute->kernels.quantise((char *)compute->inputs + row * inputs_bytes(compute, n_in),
                              job->x + row * gpt2i_row_stride(n_in), n_in);
}

_Static_assert(GPT2I_Q_OUTPUTS == GPT2I_PANEL, "outputs of a task");
_Static_assert(GPT2I_Q_WORKSPACE == GPT2I_K_BLOCK * GPT2I_PANEL * sizeof(float),
               "compute->widened");

/* As linear_task(), for quantised weights, with the activations that quantise_task() made. */
static void quantised_task(void *argument, size_t task, size_t worker)
{
    const struct linear_job *job = argument;
    const struct gpt2i_compute *compute = job->compute;
    const struct gpt2i_linear *linear = job->linear;
    size_t row_group = task % job->n_row_groups;
    size_t row = row_group * compute->kernels.matmul_rows;
    size_t row_bytes = inputs_bytes(compute, linear->weight.n_in);
    struct gpt2i_quantised_matmul matmul = {
        .y_stride = job->y_stride,
        .x = (const char *)compute->inputs + row * row_bytes,
        .x_stride_bytes = row_bytes,
        .widened = compute->widened + worker * GPT2I_K_BLOCK * GPT2I_PANEL,
        .n_rows = rows_of_group(job, row_group),
    };
    size_t next_panel = next_panel_of(job, task);
    struct gpt2i_quantised_matmul next = {0};
    size_t first = gpt2i_matrix_quantised_panel(&linear->weight, task / job->n_row_groups, &matmul);

    if (next_panel < gpt2i_matrix_n_panels(&linear->weight))
        (void)gpt2i_matrix_quantised_panel(&linear->weight, next_panel, &next);
    matmul.next = next.w;
    matmul.y = job->y + row * job->y_stride + first;
    matmul.bias = linear->bias == NULL ? NULL : linear->bias + first;
    if (linear->weight.type == GPT2_TYPE_Q8)
        compute->kernels.matmul_q8(&matmul);
    else
        compute->kernels.matmul_q4(&matmul);
}

/* One panel, and one group of rows.  Tasks are small, so that threads end together. */
static void linear_task(void *argument, size_t task, size_t worker)
{
    const struct linear_job *job = argument;
    const struct gpt2i_linear *linear = job->linear;
    const struct gpt2i_kernels *kernels = &job->compute->kernels;
    size_t row_group = task % job->n_row_groups;
    size_t row = row_group * kernels->matmul_rows;
    size_t x_stride = gpt2i_row_stride(linear->weight.n_in);
    struct gpt2i_matmul matmul = {
        .y_stride = job->y_stride,
        .x = job->x + row * x_stride,
        .x_stride = x_stride,
        .widened = job->compute->widened + worker * GPT2I_K_BLOCK * GPT2I_PANEL,
        .n_rows = rows_of_group(job, row_group),
    };
    size_t next_panel = next_panel_of(job, task);
    struct gpt2i_matmul next = {0};
    size_t first = gpt2i_matrix_panel(&linear->weight, task / job->n_row_groups, &matmul);

    if (next_panel < gpt2i_matrix_n_panels(&linear->weight))
        (void)gpt2i_matrix_panel(&linear->weight, next_panel, &next);
    matmul.next = next.w_stride == matmul.w_stride ? next.w : NULL;
    matmul.next_row_bytes = next.w_stride * gpt2i_type_bytes(matmul.w_type);
    matmul.y = job->y + row * job->y_stride + first;
    matmul.bias = linear->bias == NULL ? NULL : linear->bias + first;
    if (matmul.n_rows == 1 || matmul.n_rows > GPT2I_PANEL_ROWS || job->y_stride % GPT2I_LANES == 0)
        gpt2i_matmul(kernels, &matmul);
    else
        matmul_aside(job->compute, &matmul, worker);
}

void gpt2i_linear_rows(const struct gpt2i_compute *compute, float *y, size_t y_stride,
                       const float *x, const struct gpt2i_linear *linear, size_t n_rows)
{
    /* the last group takes the rows that are left */
    size_t n_row_groups = gpt2i_max(n_rows / compute->kernels.matmul_rows, 1);
    struct linear_job job = {compute, linear, y, y_stride, x, n_rows, n_row_groups};
    size_t n_tasks = n_row_groups * gpt2i_matrix_n_panels(&linear->weight);

    if (!gpt2i_matrix_is_quantised(&linear->weight)) {
        gpt2i_pool_run(compute->pool, linear_task, &job, n_tasks);
        return;
    }
    if (n_rows < ROWS_TOGETHER) { /* sooner done than shared out */
        for (size_t row = 0; row < n_rows; row++)
            quantise_task(&job, row, 0);
    } else {
        gpt2i_pool_run(compute->pool, quantise_task, &job, n_rows);
    }
    gpt2i_pool_run(compute->pool, quantised_task, &job, n_tasks);
}

struct rows_job {
    const struct gpt2i_compute *compute;
    float *y;
    const float *x;
    size_t n_rows;
    size_t n_columns;
    void (*row)(const struct rows_job *job, float *y, const float *x);
    const struct gpt2i_norm *norm; /* for norm_row */
    float epsilon;
    int32_t activation; /* for activation_row */
};

static void rows_task(void *argument, size_t task, size_t worker)
{
    const struct rows_job *job = argument;
    size_t first = task * ROWS_TOGETHER;
    size_t end = gpt2i_min(first + ROWS_TOGETHER, job->n_rows);
    size_t stride = gpt2i_row_stride(job->n_columns);

    (void)worker;
    for (size_t r = first; r < end; r++)
        job->row(job, job->y + r * stride, job->x + r * stride);
}

static struct rows_job rows_job_of(const struct gpt2i_compute *compute, float *y, const float *x,
                                   size_t n_rows, size_t n_columns)
{
    struct rows_job job = {
        .compute = compute, .y = y, .x = x, .n_rows = n_rows, .n_columns = n_columns};

    return job;
}

static void run_rows(struct rows_job *job,
                     void (*row)(const struct rows_job *job, float *y, const float *x))
{
    job->row = row;
    gpt2i_pool_run(job->compute->pool, rows_task, job, gpt2i_ceil_div(job->n_rows, ROWS_TOGETHER));
}

static void norm_row(const struct rows_job *job, float *y, const float *x)
{
    job->compute->kernels.layer_norm(y, x, job->norm->gain, job->norm->bias, job->n_columns,
                                     job->epsilon);
}

void gpt2i_norm_rows(const struct gpt2i_compute *compute, float *y, const float *x,
                     const struct gpt2i_norm *norm, float epsilon, size_t n_rows, size_t n_columns)
{
    struct rows_job job = rows_job_of(compute, y, x, n_rows, n_columns);

    job.norm = norm;
    job.epsilon = epsilon;
    run_rows(&job, norm_row);
}

static void activation_row(const struct rows_job *job, float *y, const float *x)
{
    (void)x; /* in place */
    job->compute->kernels.activation[job->activation](y, job->n_columns);
}

void gpt2i_activation_rows(const struct gpt2i_compute *compute, float *x, int32_t activation,
                           size_t n_rows, size_t n_columns)
{
    struct rows_job job = rows_job_of(compute, x, x, n_rows, n_columns);

    job.activation = activation;
    run_rows(&job, activation_row);
}

static void add_row(const struct rows_job *job, float *y, const float *x)
{
    job->compute->kernels.add(y, x, job->n_columns);
}

void gpt2i_add_rows(const struct gpt2i_compute *compute, float *y, const float *x, size_t n_rows,
                    size_t n_columns)
{
    struct rows_job job = rows_job_of(compute, y, x, n_rows, n_columns);

    run_rows(&job, add_row);
}
