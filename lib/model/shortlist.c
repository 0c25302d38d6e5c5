/*
 * shortlist.c: the 8-bit copy of the head, and the bound of its error.
 *
 * With weights w and inputs x, the copy's c and the inputs y that its product rounds x to:
 *
 *     |w x - c y| <= |w - c| |x| + |c| |x - y|
 *
 * by Cauchy and Schwarz, where |.| is the Euclidean norm.  Rounding adds at most g |w| |x| and h |c| |y|
 * for the two products, with g and h from the lengths of their chains (Higham, "Accuracy and stability of
 * numerical algorithms", 3.1).  |w| <= |c| + |w - c|, and |y| <= |x| + |x - y|.
 */
#include "shortlist.h"
#include "layers.h"
#include "../base/arena.h"
#include "../base/fpstate.h"
#include "../base/threads.h"
#include "../kernels/half.h"

#include <math.h>
#include <stdatomic.h>

#define UNIT  0x1p-24      /* of the rounding of float */
#define ABOVE (1.0 + 1e-4) /* covers the rounding of a bound itself */
#define LEAST 1e-30f       /* covers what is lost where products are denormal */

/* ------------------------------------------------------------------------------------- the copy -- */

struct make_job {
    gpt2_model *model;
    float *rows; /* [n_threads][2, n_in] */
    size_t row_stride;
    atomic_bool is_refused;
};

/* Not below the root of a square of 0 or more; small ones are scaled up, so that they are normal floats. */
static float root_of(double square)
{
    double scaled = square < 0x1p-80 ? square * 0x1p+140 : square;
    float root = sqrtf((float)(scaled * ABOVE));

    return square < 0x1p-80 ? root * 0x1p-70f : root;
}

/* Not below the norm of a - b; b may be NULL. */
static float norm_of(const float *a, const float *b, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        double d = (double)a[i] - (b == NULL ? 0.0 : (double)b[i]);

        sum += d * d;
    }
    return root_of(sum) + LEAST;
}

static bool fits(const float *row, size_t n)
{
    bool is_good = true;

    for (size_t i = 0; i < n; i++)
        is_good &= row[i] >= -GPT2I_Q_LARGEST && row[i] <= GPT2I_Q_LARGEST;
    return is_good;
}

/* The outputs of one panel. */
static void make_task(void *argument, size_t panel, size_t worker)
{
    struct make_job *job = argument;
    const struct gpt2i_matrix *head = &job->model->lm_head.weight;
    const struct gpt2i_matrix *copy = &job->model->shortlist.copy.weight;
    float *row = job->rows + worker * 2 * job->row_stride;
    float *copied = row + job->row_stride;
    size_t end = gpt2i_min((panel + 1) * GPT2I_PANEL, head->n_out);
    uint64_t host_state = gpt2i_fpstate_enter();

    for (size_t out = panel * GPT2I_PANEL; out < end; out++) {
        float *norms = job->model->shortlist.norms + 2 * out;

        gpt2i_matrix_unpack(row, 1, head, out);
        if (!fits(row, head->n_in)) {
            atomic_store(&job->is_refused, true);
            break;
        }
        gpt2i_matrix_pack_outputs(copy, row, out, 1);
        gpt2i_matrix_unpack(copied, 1, copy, out);
        norms[0] = norm_of(copied, NULL, head->n_in);
        norms[1] = norm_of(row, copied, head->n_in);
    }
    gpt2i_fpstate_leave(host_state);
}

static void shortlist_layout(struct gpt2i_arena *arena, struct gpt2i_shortlist *shortlist)
{
    const struct gpt2i_matrix *matrix = &shortlist->copy.weight;

    shortlist->norms = gpt2i_arena_take(arena, 2 * (uint64_t)matrix->n_out, sizeof(float));
    shortlist->copy.weight.panels = gpt2i_arena_take_stream(arena, gpt2i_matrix_bytes(matrix), 1);
}

static struct gpt2i_pool *make_layout(struct gpt2i_arena *arena, struct make_job *job,
                                      int32_t n_threads)
{
    struct gpt2i_pool *pool = gpt2i_pool_layout(arena, n_threads);

    job->rows = gpt2i_arena_take(arena, (uint64_t)n_threads * 2 * job->row_stride, sizeof(float));
    return pool;
}

/* Fills the copy, whose place is set. */
static int32_t fill(gpt2_model *model, int32_t n_threads, bool *is_refused,
                    struct gpt2i_error *error)
{
    struct make_job job = {.model = model,
                           .row_stride = gpt2i_row_stride(model->lm_head.weight.n_in)};
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);
    struct gpt2i_arena place;
    struct gpt2i_pool *pool;
    int32_t status;

    (void)make_layout(&measure, &job, n_threads);
    place = gpt2i_arena_over(gpt2i_block_new(measure.used_bytes));
    if (place.base == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "no memory for %zu bytes to copy the head",
                          measure.used_bytes);
    pool = make_layout(&place, &job, n_threads);
    status = gpt2i_pool_start(pool, n_threads, error);
    if (status == GPT2_OK) {
        gpt2i_pool_run(pool, make_task, &job, gpt2i_matrix_n_panels(&model->lm_head.weight));
        gpt2i_pool_stop(pool);
    }
    gpt2i_block_free(place.base, measure.used_bytes);
    *is_refused = atomic_load(&job.is_refused);
    return status;
}

int32_t gpt2i_shortlist_make(gpt2_model *model, int32_t n_threads, struct gpt2i_error *error)
{
    struct gpt2i_shortlist *shortlist = &model->shortlist;
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);
    struct gpt2i_arena place;
    bool is_refused = true;
    int32_t status;

    if (gpt2i_has_shortlist(model) || model->lm_head.weight.type != GPT2_TYPE_F32)
        return GPT2_OK;
    shortlist->copy.weight = model->lm_head.weight;
    shortlist->copy.weight.type = GPT2_TYPE_Q8;
    shortlist_layout(&measure, shortlist);
    place = gpt2i_arena_over(measure.overflow ? NULL : gpt2i_block_new(measure.used_bytes));
    if (place.base == NULL) {
        shortlist->copy.weight.panels = NULL;
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "no memory for %zu bytes of a copy of the head",
                          measure.used_bytes);
    }
    shortlist->block = place.base;
    shortlist->block_bytes = measure.used_bytes;
    shortlist_layout(&place, shortlist);
    status = fill(model, n_threads, &is_refused, error);
    if (status == GPT2_OK && is_refused) {
        gpt2i_block_free(shortlist->block, shortlist->block_bytes);
        memset(shortlist, 0, sizeof *shortlist);
    }
    if (gpt2i_has_shortlist(model))
        model->max_quantised_in = gpt2i_max(model->max_quantised_in, model->lm_head.weight.n_in);
    return status;
}

/* ------------------------------------------------------------------------------------ the logits -- */

struct row_job {
    const struct gpt2i_compute *compute;
    const gpt2_model *model;
    float *logits; /* [n_vocab]: what the copy gives, then the result */
    const float *x;
    float copy_factor; /* of the two norms, in the bound */
    float error_factor;
    float *largest; /* [panels] lower bounds of a panel's largest logit */
    float least;    /* what cannot reach it is not among the n_top largest */
};

/* How far a logit can be from what the copy gives. */
GPT2I_INLINE float bound_of(const struct row_job *job, size_t id)
{
    const float *norms = job->model->shortlist.norms + 2 * id;

    return job->copy_factor * norms[0] + job->error_factor * norms[1] +
           fabsf(job->logits[id]) * 0x1p-20f + LEAST;
}

/* A lower bound of the largest logit of a panel. */
static void largest_task(void *argument, size_t panel, size_t worker)
{
    const struct row_job *job = argument;
    size_t first = panel * GPT2I_PANEL;
    size_t end = gpt2i_min(first + GPT2I_PANEL, job->model->lm_head.weight.n_out);
    float largest = -INFINITY;

    (void)worker;
    for (size_t id = first; id < end; id++) {
        float lower = job->logits[id] - bound_of(job, id);

        largest = lower > largest ? lower : largest;
    }
    job->largest[panel] = largest;
}

/* Which of a panel's groups of 16 tokens have one that can reach 'least', from the first to the last. */
static size_t reaching_groups(const struct row_job *job, size_t first, size_t n, size_t *end)
{
    size_t begin = SIZE_MAX;

    for (size_t i = 0; i < n; i++) {
        if (job->logits[first + i] + bound_of(job, first + i) < job->least)
            continue; /* NaN goes on */
        begin = begin == SIZE_MAX ? i / GPT2I_LANES : begin;
        *end = i / GPT2I_LANES + 1;
    }
    return begin;
}

/* The logits of a panel: with the head's weights where they can be among the largest. */
static void logits_task(void *argument, size_t panel, size_t worker)
{
    const struct row_job *job = argument;
    const struct gpt2i_matrix *head = &job->model->lm_head.weight;
    struct gpt2i_matmul matmul = {.x = job->x, .n_rows = 1, .y_stride = head->n_out};
    size_t first = gpt2i_matrix_panel(head, panel, &matmul);
    size_t n = matmul.n_outputs;
    size_t end = 0;
    size_t begin = reaching_groups(job, first, n, &end);

    (void)worker;
    for (size_t i = 0; i < n; i++)
        job->logits[first + i] = -INFINITY;
    if (begin == SIZE_MAX)
        return;
    matmul.x_stride = gpt2i_row_stride(head->n_in);
    matmul.w = (const float *)matmul.w + begin * GPT2I_LANES;
    matmul.y = job->logits + first + begin * GPT2I_LANES;
    matmul.n_outputs = gpt2i_min(n, end * GPT2I_LANES) - begin * GPT2I_LANES;
    gpt2i_matmul(&job->compute->kernels, &matmul);
}

/* Sets the factors of the bound; false if x is not finite. */
static bool set_factors(struct row_job *job)
{
    size_t n_in = job->model->lm_head.weight.n_in;
    double square = 0.0;  /* of x */
    double squares = 0.0; /* of the largest of each block */
    double norm, lost, g, h;

    for (size_t k = 0; k < n_in; k += GPT2I_Q_BLOCK) {
        float largest = 0.0f;

        for (size_t i = k; i < gpt2i_min(k + GPT2I_Q_BLOCK, n_in); i++) {
            square += (double)job->x[i] * (double)job->x[i];
            largest = fabsf(job->x[i]) > largest ? fabsf(job->x[i]) : largest;
        }
        squares += (double)largest * (double)largest;
    }
    if (!(square < 1e36)) /* of which no square below is infinite as a float */
        return false;
    norm = (double)root_of(square) + (double)LEAST;
    /* 32 inputs of a block are off by at most half of its largest / 127 */
    lost = 0.501 / 127.0 * (double)root_of(GPT2I_Q_BLOCK * squares) +
           (double)n_in * 0x1p-100; /* blocks below 2^-100 are zeros */
    g = ABOVE * UNIT * ((double)GPT2I_K_BLOCK + (double)n_in / GPT2I_K_BLOCK + 2.0);
    h = ABOVE * UNIT * ((double)n_in / GPT2I_Q_BLOCK + 4.0);
    job->copy_factor = (float)(ABOVE * (lost + g * norm + h * (norm + lost)));
    job->error_factor = (float)(ABOVE * (norm + g * norm));
    return true;
}

/* Numbers in the order of the floats that have these bits, and back. */
static int32_t turn_negatives(int32_t bits)
{
    return bits < 0 ? bits ^ INT32_MAX : bits;
}

static float float_of_order(int64_t order)
{
    return gpt2i_float_of_bits((uint32_t)turn_negatives((int32_t)order));
}

/* The k-th largest of n floats without NaN; n >= k >= 1.  Halves the range that it is in. */
static float kth_largest(const float *x, size_t n, size_t k)
{
    int64_t low = INT32_MIN; /* at least k are not below it; a NaN if k of them are -INFINITY */
    int64_t high = (int64_t)INT32_MAX + 1;

    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        float value = float_of_order(middle);
        size_t n_above = 0;

        for (size_t i = 0; i < n; i++)
            n_above += x[i] >= value;
        if (n_above >= k)
            low = middle;
        else
            high = middle;
    }
    return float_of_order(low);
}

void gpt2i_shortlist_row(const struct gpt2i_compute *compute, const struct gpt2i_workspace *space,
                         const gpt2_model *model, float *logits, const float *x, size_t n_top)
{
    struct row_job job = {
        .compute = compute,
        .model = model,
        .logits = logits,
        .x = x,
        .largest = space->weights,
        .least = -INFINITY,
    };
    size_t n_panels = gpt2i_matrix_n_panels(&model->lm_head.weight);

    if (set_factors(&job)) {
        gpt2i_pool_run(compute->pool, largest_task, &job, n_panels);
        /* n_top panels have a logit that is not below it, so the n_top largest are not */
        job.least = kth_largest(job.largest, n_panels, n_top);
        job.least -= fabsf(job.least) * 0x1p-20f + LEAST;
    }
    gpt2i_pool_run(compute->pool, logits_task, &job, n_panels);
}
