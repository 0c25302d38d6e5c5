/*
 * attention.c: attention by tiles of queries against pages of keys.
 *
 * A task takes one head and up to attention_rows queries (a tile) of one span: their scores against every page
 * up to the last query's, a softmax for each query over the positions that it may see, and the sum
 * of values that the probabilities weigh.  Sums run in blocks of 64 absolute positions, as pages do, so
 * they do not depend on how a text was cut into calls.
 */
#include "attention.h"

#include <math.h>

struct attention_job {
    const struct gpt2i_attention *attention;
    float *ctx;
    const float *qkv;
    int32_t layer;
    float scale;
    const struct gpt2i_span *spans;
    size_t n_spans;
};

/* One task's part: some queries of a span, for one head. */
struct tile {
    const struct gpt2i_span *span;
    size_t head;
    size_t first; /* query, counted in the span */
    size_t n_rows;
    size_t position; /* of its first query */
    float *scores;   /* [n_rows, stride]; later the probabilities */
    size_t stride;
};

static size_t page_of(const struct gpt2i_span *span, size_t position)
{
    return (size_t)span->sequence->running_pages[position / GPT2I_PAGE];
}

/* k and v of one head, of all rows of a span */
static void store(const struct attention_job *job, const struct gpt2i_span *span, size_t head)
{
    const struct gpt2i_kvcache *kv = job->attention->kv;
    size_t n_embd = kv->n_head * kv->head_dim;
    size_t stride = gpt2i_row_stride(3 * n_embd);
    const float *k = job->qkv + span->first_row * stride + n_embd + head * kv->head_dim;
    size_t position = span->first_position;
    size_t end = position + span->n_rows;

    while (position < end) {
        size_t slot = position % GPT2I_PAGE;
        size_t n = gpt2i_min(end - position, GPT2I_PAGE - slot);

        gpt2i_kvcache_store(kv, &job->attention->compute->kernels, (size_t)job->layer, head,
                            page_of(span, position), slot, n, k, k + n_embd, stride);
        k += n * stride;
        position += n;
    }
}

static size_t tiles_of(const struct attention_job *job, const struct gpt2i_span *span)
{
    return gpt2i_ceil_div(span->n_rows, job->attention->compute->kernels.attention_rows);
}

/* Task = (span, head), spans in order.  A span of one tile is stored with it, by run_task(). */
static void store_task(void *argument, size_t task, size_t worker)
{
    const struct attention_job *job = argument;
    size_t n_head = job->attention->kv->n_head;
    const struct gpt2i_span *span = &job->spans[task / n_head];

    (void)worker;
    if (tiles_of(job, span) > 1)
        store(job, span, task % n_head);
}

/* scores = q K^T scale, for every position up to the last query's */
static void tile_scores(const struct attention_job *job, const struct tile *tile)
{
    const struct gpt2i_kvcache *kv = job->attention->kv;
    const struct gpt2i_kernels *kernels = &job->attention->compute->kernels;
    size_t n_positions = tile->position + tile->n_rows;
    size_t qkv_stride = gpt2i_row_stride(3 * kv->n_head * kv->head_dim);
    size_t row = tile->span->first_row + tile->first;

    for (size_t first = 0; first < n_positions; first += GPT2I_PAGE) {
        struct gpt2i_matmul matmul = {
            .y = tile->scores + first,
            .y_stride = tile->stride,
            .x = job->qkv + row * qkv_stride + tile->head * kv->head_dim,
            .x_stride = qkv_stride,
            .w = gpt2i_kv_keys(kv, (size_t)job->layer, page_of(tile->span, first), tile->head),
            .w_stride = GPT2I_PAGE,
            .w_type = kv->type,
            .n_rows = tile->n_rows,
            .n_k = kv->head_dim,
            .n_outputs = gpt2i_min(n_positions - first, GPT2I_PAGE),
        };

        gpt2i_matmul(kernels, &matmul);
    }
    for (size_t r = 0; r < tile->n_rows; r++)
        kernels->scale(tile->scores + r * tile->stride, job->scale, n_positions);
}

/* The causal mask: a query's softmax ends at its own position. */
static void tile_softmax(const struct attention_job *job, const struct tile *tile)
{
    for (size_t r = 0; r < tile->n_rows; r++)
        job->attention->compute->kernels.softmax(tile->scores + r * tile->stride,
                                                 tile->position + r + 1);
}

/* ctx = probs V: page by page, together for the queries that see the whole page, else one by one */
static void tile_values(const struct attention_job *job, const struct tile *tile)
{
    const struct gpt2i_kvcache *kv = job->attention->kv;
    const struct gpt2i_kernels *kernels = &job->attention->compute->kernels;
    size_t ctx_stride = gpt2i_row_stride(kv->n_head * kv->head_dim);
    size_t n_positions = tile->position + tile->n_rows;
    size_t row = tile->span->first_row + tile->first;
    float *ctx = job->ctx + row * ctx_stride + tile->head * kv->head_dim;

    for (size_t first = 0; first < n_positions; first += GPT2I_PAGE) {
        size_t end = first + GPT2I_PAGE;
        /* the first queries, whose last position is before the page's end */
        size_t n_partly = end > tile->position + 1 ? end - tile->position - 1 : 0;
        struct gpt2i_matmul matmul = {
            .y_stride = ctx_stride,
            .x_stride = tile->stride,
            .w = gpt2i_kv_values(kv, (size_t)job->layer, page_of(tile->span, first), tile->head),
            .w_stride = kv->head_dim,
            .w_type = kv->type,
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
            gpt2i_matmul(kernels, &matmul);
        }
    }
}

/* Shows scores or probs; the positions after each query, up to the tile's last, become 'masked'. */
static int32_t tile_tap(const struct attention_job *job, const struct tile *tile, int32_t kind,
                        float masked)
{
    struct gpt2i_tap_rows rows = {tile->span, tile->first, tile->n_rows};

    if (!gpt2i_tap_wants(job->attention->taps, GPT2_TAP_BIT(kind)))
        return GPT2_OK;
    for (size_t r = 0; r < tile->n_rows; r++) {
        for (size_t i = r + 1; i < tile->n_rows; i++)
            tile->scores[r * tile->stride + tile->position + i] = masked;
    }
    return gpt2i_tap_show(job->attention->taps, kind, job->layer, (int32_t)tile->head, &rows,
                          tile->position + tile->n_rows, tile->stride, tile->scores);
}

static int32_t run_tile(const struct attention_job *job, const struct tile *tile)
{
    int32_t status;

    tile_scores(job, tile);
    status = tile_tap(job, tile, GPT2_TAP_ATTN_SCORES, -INFINITY);
    if (status != GPT2_OK)
        return status;
    tile_softmax(job, tile);
    status = tile_tap(job, tile, GPT2_TAP_ATTN_PROBS, 0.0f);
    if (status != GPT2_OK)
        return status;
    tile_values(job, tile);
    return GPT2_OK;
}

/* The span that a tile belongs to: the last one that does not begin behind it. */
static const struct gpt2i_span *find_span(const struct attention_job *job, size_t tile)
{
    size_t first = 0, end = job->n_spans;

    while (end - first > 1) {
        size_t middle = first + (end - first) / 2;

        if (job->spans[middle].first_tile <= tile)
            first = middle;
        else
            end = middle;
    }
    return &job->spans[first];
}

/* Task = (span, head, tile of the span), spans in order. */
static int32_t run_task(const struct attention_job *job, size_t task, size_t worker)
{
    const struct gpt2i_attention *attention = job->attention;
    size_t max_rows = attention->compute->kernels.attention_rows;
    const struct gpt2i_span *span = find_span(job, task / attention->kv->n_head);
    size_t n_tiles = tiles_of(job, span);
    struct tile tile = {
        .span = span,
        .scores = attention->scores + worker * max_rows * attention->scores_stride,
        .stride = attention->scores_stride,
    };

    task -= span->first_tile * attention->kv->n_head;
    tile.head = task / n_tiles;
    tile.first = task % n_tiles * max_rows;
    tile.n_rows = gpt2i_min(span->n_rows - tile.first, max_rows);
    tile.position = span->first_position + tile.first;
    if (n_tiles == 1)
        store(job, span, tile.head);
    return run_tile(job, &tile);
}

static void attend_task(void *argument, size_t task, size_t worker)
{
    (void)run_task(argument, task, worker); /* only taps end it, and they do not run here */
}

int32_t gpt2i_attend(const struct gpt2i_attention *attention, float *ctx, const float *qkv,
                     int32_t layer, float scale, const struct gpt2i_span *spans, size_t n_spans,
                     size_t n_tiles)
{
    struct attention_job job = {attention, ctx, qkv, layer, scale, spans, n_spans};
    struct gpt2i_pool *pool = attention->compute->pool;
    size_t n_tasks = attention->kv->n_head * n_tiles;
    int32_t status = GPT2_OK;

    if (n_tiles > n_spans)
        gpt2i_pool_run(pool, store_task, &job, attention->kv->n_head * n_spans);
    if (!gpt2i_tap_wants(attention->taps,
                         GPT2_TAP_BIT(GPT2_TAP_ATTN_SCORES) | GPT2_TAP_BIT(GPT2_TAP_ATTN_PROBS))) {
        gpt2i_pool_run(pool, attend_task, &job, n_tasks);
        return GPT2_OK;
    }
    /* a callback runs on the calling thread: so do the tasks; none runs on keys that were not stored */
    for (size_t task = 0; task < n_tasks && status == GPT2_OK && !gpt2i_pool_stops(pool); task++)
        status = run_task(&job, task, 0);
    return status;
}
