/*
 * attention.c: attention by tiles of queries against pages of keys.
 *
 * A task takes one head and up to GPT2I_ATTENTION_ROWS queries: their scores against every page up
 * to the last query's, a softmax for each query over the positions it may see, and the sum of
 * values that the probabilities weigh.  Sums run in blocks of 64 absolute positions, as pages do, so
 * they do not depend on how a text was cut into calls.
 */
#include "attention.h"
#include "tap.h"

#include <math.h>

struct attention_job {
    gpt2_session *session;
    float *ctx;
    const float *qkv;
    int32_t layer;
    size_t first_row; /* of the step, in the forward call */
    size_t position;  /* of the step's first row */
    size_t n_rows;
    size_t n_tiles; /* of queries, for each head */
    float score_scale;
};

/* One task's part: queries row .. row + n_rows - 1 of the step, for one head. */
struct tile {
    size_t head;
    size_t row;
    size_t n_rows;
    size_t position; /* of its first query */
    float *scores;   /* [n_rows, stride]; later the probabilities */
    size_t stride;
};

static void store_task(void *argument, size_t head, size_t worker)
{
    const struct attention_job *job = argument;
    const struct gpt2i_kvcache *kv = &job->session->kv;
    size_t n_embd = kv->n_head * kv->head_dim;
    const float *k = job->qkv + n_embd + head * kv->head_dim;

    (void)worker;
    gpt2i_kvcache_store(kv, (size_t)job->layer, head, job->position, job->n_rows, k, k + n_embd,
                        gpt2i_row_stride(3 * n_embd));
}

/* scores = q K^T scale, for every position up to the last query's */
static void tile_scores(const struct attention_job *job, const struct tile *tile)
{
    const struct gpt2i_kvcache *kv = &job->session->kv;
    const struct gpt2i_kernels *kernels = job->session->kernels;
    size_t n_positions = tile->position + tile->n_rows;
    size_t qkv_stride = gpt2i_row_stride(3 * kv->n_head * kv->head_dim);

    for (size_t first = 0; first < n_positions; first += GPT2I_PAGE) {
        struct gpt2i_matmul matmul = {
            .y = tile->scores + first,
            .y_stride = tile->stride,
            .x = job->qkv + tile->row * qkv_stride + tile->head * kv->head_dim,
            .x_stride = qkv_stride,
            .w = gpt2i_kv_keys(kv, (size_t)job->layer, first / GPT2I_PAGE, tile->head),
            .w_stride = GPT2I_PAGE,
            .n_rows = tile->n_rows,
            .n_k = kv->head_dim,
            .n_outputs = gpt2i_min(n_positions - first, GPT2I_PAGE),
        };

        kernels->matmul(&matmul);
    }
    for (size_t r = 0; r < tile->n_rows; r++)
        kernels->scale(tile->scores + r * tile->stride, job->score_scale, n_positions);
}

static void tile_softmax(const struct attention_job *job, const struct tile *tile)
{
    for (size_t r = 0; r < tile->n_rows; r++)
        job->session->kernels->softmax(tile->scores + r * tile->stride, tile->position + r + 1);
}

/* ctx = probs V: page by page, together for the queries that see the whole page, else one by one */
static void tile_values(const struct attention_job *job, const struct tile *tile)
{
    const struct gpt2i_kvcache *kv = &job->session->kv;
    const struct gpt2i_kernels *kernels = job->session->kernels;
    size_t ctx_stride = gpt2i_row_stride(kv->n_head * kv->head_dim);
    size_t n_positions = tile->position + tile->n_rows;
    float *ctx = job->ctx + tile->row * ctx_stride + tile->head * kv->head_dim;

    for (size_t first = 0; first < n_positions; first += GPT2I_PAGE) {
        size_t end = first + GPT2I_PAGE;
        /* the first queries, whose last position is before the page's end */
        size_t n_partly = end > tile->position + 1 ? end - tile->position - 1 : 0;
        struct gpt2i_matmul matmul = {
            .y_stride = ctx_stride,
            .x_stride = tile->stride,
            .w = gpt2i_kv_values(kv, (size_t)job->layer, first / GPT2I_PAGE, tile->head),
            .w_stride = kv->head_dim,
            .n_outputs = kv->head_dim,
            .adds = first > 0,
        };

        for (size_t r = 0; r < tile->n_rows; r += matmul.n_rows) {
            size_t n_seen = tile->position + r + 1;

            matmul.n_rows = r < n_partly ? 1 : tile->n_rows - r;
            if (n_seen <= first)
                continue;
            matmul.y = ctx + r * ctx_stride;
            matmul.x = tile->scores + r * tile->stride + first;
            matmul.n_k = gpt2i_min(n_seen - first, GPT2I_PAGE);
            kernels->matmul(&matmul);
        }
    }
}

/* Positions after each query, up to the tile's last. */
static void tile_mask(const struct tile *tile, float value)
{
    for (size_t r = 0; r < tile->n_rows; r++) {
        for (size_t i = r + 1; i < tile->n_rows; i++)
            tile->scores[r * tile->stride + tile->position + i] = value;
    }
}

static int32_t tile_tap(const struct attention_job *job, const struct tile *tile, int32_t kind,
                        float masked)
{
    if (!gpt2i_tap_wants(job->session, GPT2_TAP_BIT(kind)))
        return GPT2_OK;
    tile_mask(tile, masked);
    return gpt2i_tap_head(job->session, kind, job->layer, (int32_t)tile->head,
                          (int32_t)(job->first_row + tile->row), tile->n_rows,
                          tile->position + tile->n_rows, tile->stride, tile->scores);
}

static int32_t attend(const struct attention_job *job, size_t task, size_t worker)
{
    const gpt2_session *session = job->session;
    size_t stride = gpt2i_row_stride(session->kv.n_pages * GPT2I_PAGE);
    size_t row = task % job->n_tiles * GPT2I_ATTENTION_ROWS;
    struct tile tile = {
        .head = task / job->n_tiles,
        .row = row,
        .n_rows = gpt2i_min(job->n_rows - row, GPT2I_ATTENTION_ROWS),
        .position = job->position + row,
        .scores = session->act.scores + worker * GPT2I_ATTENTION_ROWS * stride,
        .stride = stride,
    };
    int32_t status;

    tile_scores(job, &tile);
    status = tile_tap(job, &tile, GPT2_TAP_ATTN_SCORES, -INFINITY);
    if (status != GPT2_OK)
        return status;
    tile_softmax(job, &tile);
    status = tile_tap(job, &tile, GPT2_TAP_ATTN_PROBS, 0.0f);
    if (status != GPT2_OK)
        return status;
    tile_values(job, &tile);
    return GPT2_OK;
}

static void attend_task(void *argument, size_t task, size_t worker)
{
    (void)attend(argument, task, worker); /* fails for taps only, which run elsewhere */
}

/* 1 / (sqrt(head_dim) (layer + 1)), the factors that config.json switches on */
static float score_scale(const struct gpt2i_config *config, int32_t layer)
{
    float divisor = 1.0f;

    if (config->scale_attn_weights)
        divisor = sqrtf((float)(config->n_embd / config->n_head));
    if (config->scale_attn_by_inverse_layer_idx)
        divisor *= (float)(layer + 1);
    return 1.0f / divisor;
}

int32_t gpt2i_attention(gpt2_session *session, float *ctx, const float *qkv, int32_t layer,
                        int32_t first_row, size_t n_rows)
{
    struct attention_job job = {
        .session = session,
        .ctx = ctx,
        .qkv = qkv,
        .layer = layer,
        .first_row = (size_t)first_row,
        .position = (size_t)(session->n_past + first_row),
        .n_rows = n_rows,
        .n_tiles = gpt2i_ceil_div(n_rows, GPT2I_ATTENTION_ROWS),
        .score_scale = score_scale(&session->model->config, layer),
    };
    size_t n_tasks = session->kv.n_head * job.n_tiles;
    int32_t status = GPT2_OK;

    gpt2i_pool_run(session->pool, store_task, &job, session->kv.n_head);
    if (!gpt2i_tap_wants(session,
                         GPT2_TAP_BIT(GPT2_TAP_ATTN_SCORES) | GPT2_TAP_BIT(GPT2_TAP_ATTN_PROBS))) {
        gpt2i_pool_run(session->pool, attend_task, &job, n_tasks);
        return GPT2_OK;
    }
    /* a callback runs on the calling thread: so do the tasks */
    for (size_t task = 0; task < n_tasks && status == GPT2_OK; task++)
        status = attend(&job, task, 0);
    return status;
}
