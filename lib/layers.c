/*
 * layers.c: sharing out the work of a layer.
 *
 * A matrix product is cut along its outputs, so that each weight is read once, by one thread; the
 * other layers are cut along rows.
 */
#include "layers.h"

#define TASKS_PER_THREAD 4 /* so that a thread that falls behind takes fewer */
#define PANELS_TOGETHER  8 /* about what kernels run at once: a cut between them costs little */
#define ROWS_TOGETHER    4 /* rows of a task that is cut along rows */

struct linear_job {
    const gpt2_session *session;
    const struct gpt2i_linear *linear;
    float *y;
    const float *x;
    size_t n_rows;
    size_t outputs_per_task;
};

static void linear_task(void *argument, size_t task, size_t worker)
{
    const struct linear_job *job = argument;
    const struct gpt2i_linear *linear = job->linear;
    const struct gpt2i_kernels *kernels = job->session->kernels;
    size_t first = task * job->outputs_per_task;
    size_t n_outputs = gpt2i_min(job->outputs_per_task, linear->n_out - first);
    struct gpt2i_matmul matmul = {
        .y = job->y + first,
        .y_stride = linear->n_out,
        .x = job->x,
        .x_stride = linear->n_in,
        .w = linear->w + first * linear->n_in,
        .w_k_stride = GPT2I_LANES,
        .w_panel_stride = GPT2I_LANES * linear->n_in,
        .n_rows = job->n_rows,
        .n_k = linear->n_in,
        .n_outputs = n_outputs,
    };

    (void)worker;
    for (size_t r = 0; r < job->n_rows; r++)
        memset(matmul.y + r * matmul.y_stride, 0, n_outputs * sizeof(float));
    kernels->matmul(&matmul);
    if (linear->bias == NULL)
        return;
    for (size_t r = 0; r < job->n_rows; r++)
        kernels->add(matmul.y + r * matmul.y_stride, linear->bias + first, n_outputs);
}

void gpt2i_linear_rows(const gpt2_session *session, float *y, const float *x,
                       const struct gpt2i_linear *linear, size_t n_rows)
{
    size_t n_tasks = (size_t)gpt2i_pool_n_threads(session->pool) * TASKS_PER_THREAD;
    size_t unit = PANELS_TOGETHER * GPT2I_LANES;
    struct linear_job job = {session, linear, y, x, n_rows, 0};

    job.outputs_per_task = gpt2i_round_up(gpt2i_ceil_div(linear->n_out, n_tasks), unit);
    gpt2i_pool_run(session->pool, linear_task, &job,
                   gpt2i_ceil_div(linear->n_out, job.outputs_per_task));
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

    (void)worker;
    for (size_t r = first; r < end; r++)
        job->row(job, job->y + r * job->n_columns, job->x + r * job->n_columns);
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
