/*
 * layers.c: sharing out the work of a layer.
 *
 * A matrix product is cut along its outputs, so that each weight is read by one thread, and along
 * rows where there are enough of them to read it more than once; the other layers along rows.
 */
#include "layers.h"
#include "pack.h"

/*
 * A task of a matrix product is small, so that threads end together: one panel, and a multiple of the
 * rows of the kernels' tiles, 14 and 6, or what rows are left.
 */
#define LINEAR_ROWS 126

#define ROWS_TOGETHER 4 /* rows of a task that is cut along rows alone */

struct linear_job {
    const gpt2_session *session;
    const struct gpt2i_linear *linear;
    float *y;
    size_t y_stride;
    const float *x;
    size_t n_rows;
    size_t n_row_groups;
};

static void linear_task(void *argument, size_t task, size_t worker)
{
    const struct linear_job *job = argument;
    const struct gpt2i_linear *linear = job->linear;
    size_t first = task / job->n_row_groups * GPT2I_PANEL;
    size_t row_group = task % job->n_row_groups;
    size_t row = row_group * LINEAR_ROWS;
    size_t x_stride = gpt2i_row_stride(linear->n_in);
    struct gpt2i_matmul matmul = {
        .y = job->y + row * job->y_stride + first,
        .y_stride = job->y_stride,
        .x = job->x + row * x_stride,
        .x_stride = x_stride,
        .w = linear->w + first * linear->n_in,
        .w_stride = gpt2i_panel_width(first, linear->n_out),
        .n_rows = row_group + 1 < job->n_row_groups ? LINEAR_ROWS : job->n_rows - row,
        .n_k = linear->n_in,
        .bias = linear->bias == NULL ? NULL : linear->bias + first,
        .n_outputs = gpt2i_min(GPT2I_PANEL, linear->n_out - first),
    };

    (void)worker;
    job->session->kernels->matmul(&matmul);
}

void gpt2i_linear_rows(const gpt2_session *session, float *y, size_t y_stride, const float *x,
                       const struct gpt2i_linear *linear, size_t n_rows)
{
    size_t n_row_groups = gpt2i_max(n_rows / LINEAR_ROWS, 1); /* the last takes the rest */
    struct linear_job job = {session, linear, y, y_stride, x, n_rows, n_row_groups};

    gpt2i_pool_run(session->pool, linear_task, &job,
                   n_row_groups * gpt2i_ceil_div(linear->n_out, GPT2I_PANEL));
}

struct rows_job {
    const gpt2_session *session;
    const struct gpt2i_norm *norm;
    float *y;
    const float *x;
    size_t n_rows;
    size_t n_columns;
    void (*row)(const struct rows_job *job, float *y, const float *x);
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

static void run_rows(struct rows_job *job)
{
    gpt2i_pool_run(job->session->pool, rows_task, job, gpt2i_ceil_div(job->n_rows, ROWS_TOGETHER));
}

static void norm_row(const struct rows_job *job, float *y, const float *x)
{
    job->session->kernels->layer_norm(y, x, job->norm->gain, job->norm->bias, job->n_columns,
                                      job->session->model->config.layer_norm_epsilon);
}

void gpt2i_norm_rows(const gpt2_session *session, float *y, const float *x,
                     const struct gpt2i_norm *norm, size_t n_rows)
{
    struct rows_job job = {session, norm, y, x, n_rows, (size_t)session->model->config.n_embd,
                           norm_row};

    run_rows(&job);
}

static void activation_row(const struct rows_job *job, float *y, const float *x)
{
    (void)x; /* in place */
    job->session->kernels->activation[job->session->model->config.activation_function](
        y, job->n_columns);
}

void gpt2i_activation_rows(const gpt2_session *session, float *x, size_t n_rows, size_t n_columns)
{
    struct rows_job job = {session, NULL, x, x, n_rows, n_columns, activation_row};

    run_rows(&job);
}

static void add_row(const struct rows_job *job, float *y, const float *x)
{
    job->session->kernels->add(y, x, job->n_columns);
}

void gpt2i_add_rows(const gpt2_session *session, float *y, const float *x, size_t n_rows)
{
    struct rows_job job = {session, NULL, y, x, n_rows, (size_t)session->model->config.n_embd,
                           add_row};

    run_rows(&job);
}
