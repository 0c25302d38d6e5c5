/*
 * attention.c: attention by tiles of rows against pages of keys.
 *
 * A task takes a tile, up to attention_rows rows of one span: their scores against every page up to the
 * last row's position, a softmax for each row over the positions that it may see, and the sum of values
 * that the probabilities weigh.  Rows are the queries of one head.  Where heads share their keys and
 * values, they are the heads of one query, so that a page is read once for them.  Sums run in blocks of
 * 64 absolute positions, as pages do, so they do not depend on how a text was cut into calls, nor on
 * the tiles.
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

/* One task's part: some queries of a span, for one head; or some heads, for one query. */
struct tile {
    const struct gpt2i_span *span;
    size_t kv_head;
    size_t head;  /* of its first row */
    size_t first; /* query, counted in the span */
    size_t n_rows;
    bool by_heads;   /* a row more is the next head, else the next query */
    size_t position; /* of its first query */
    float *scores;   /* [n_rows, stride]; later the probabilities */
    size_t stride;
};

/* Positions that a row sees. */
static size_t n_seen(const struct tile *tile, size_t row)
{
    return tile->position + 1 + (tile->by_heads ? 0 : row);
}

/* Positions that the last row sees. */
static size_t n_positions_of(const struct tile *tile)
{
    return n_seen(tile, tile->n_rows - 1);
}

static bool shares_heads(const struct gpt2i_attention *attention)
{
    return attention->n_head > attention->kv->n_head;
}

/*
 * Groups that the heads of a query are cut into: as few as fit into tiles, but enough for the threads if
 * the span alone must keep them busy.
 */
static size_t groups_of_heads(const struct gpt2i_attention *attention, size_t n_rows)
{
    size_t n_threads = gpt2i_pool_n_threads(attention->compute->pool);
    size_t fewest = gpt2i_ceil_div(attention->n_head, attention->compute->kernels.attention_rows);

    return gpt2i_min(gpt2i_max(fewest, gpt2i_ceil_div(n_threads, n_rows)), attention->n_head);
}

size_t gpt2i_attention_tiles(const struct gpt2i_attention *attention, size_t n_rows)
{
    if (shares_heads(attention))
        return n_rows * groups_of_heads(attention, n_rows);
    return gpt2i_ceil_div(n_rows, attention->compute->kernels.attention_rows);
}

struct gpt2i_qkv gpt2i_qkv_of(const struct gpt2i_config *config)
{
    size_t head_dim = gpt2i_config_head_dim(config);
    size_t n_kv = (size_t)config->n_kv_head * head_dim;
    struct gpt2i_qkv side_by_side = {
        .n_columns = gpt2i_config_n_qkv(config),
        .q_step = head_dim,
        .first_k = (size_t)config->n_embd,
        .k_step = head_dim,
        .k_to_v = n_kv,
    };
    struct gpt2i_qkv by_heads = {
        .n_columns = side_by_side.n_columns,
        .q_step = 3 * head_dim,
        .first_k = head_dim,
        .k_step = 3 * head_dim,
        .k_to_v = head_dim,
    };

    return config->is_bigcode && config->n_kv_head == config->n_head ? by_heads : side_by_side;
}

static size_t page_of(const struct gpt2i_span *span, size_t position)
{
    return (size_t)span->sequence->running_pages[position / GPT2I_PAGE];
}

/* k and v of one head, of all rows of a span */
static void store(const struct attention_job *job, const struct gpt2i_span *span, size_t head)
{
    const struct gpt2i_kvcache *kv = job->attention->kv;
    const struct gpt2i_qkv *qkv = &job->attention->qkv;
    size_t stride = gpt2i_row_stride(qkv->n_columns);
    const float *k = job->qkv + span->first_row * stride + qkv->first_k + head * qkv->k_step;
    size_t position = span->first_position;
    size_t end = position + span->n_rows;

    while (position < end) {
        size_t slot = position % GPT2I_PAGE;
        size_t n = gpt2i_min(end - position, GPT2I_PAGE - slot);

        gpt2i_kvcache_store(kv, &job->attention->compute->kernels, (size_t)job->layer, head,
                            page_of(span, position), slot, n, k, k + qkv->k_to_v, stride);
        k += n * stride;
        position += n;
    }
}

static size_t tiles_of(const struct attention_job *job, const struct gpt2i_span *span)
{
    return gpt2i_attention_tiles(job->attention, span->n_rows);
}

/* Task = (span, head of the cache), spans in order.  A span of one tile is stored with it, by run_task(). */
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
    const struct gpt2i_qkv *qkv = &job->attention->qkv;
    const struct gpt2i_kernels *kernels = &job->attention->compute->kernels;
    size_t n_positions = n_positions_of(tile);
    size_t qkv_stride = gpt2i_row_stride(qkv->n_columns);
    size_t row = tile->span->first_row + tile->first;

    for (size_t first = 0; first < n_positions; first += GPT2I_PAGE) {
        struct gpt2i_matmul matmul = {
            .y = tile->scores + first,
            .y_stride = tile->stride,
            .x = job->qkv + row * qkv_stride + tile->head * qkv->q_step,
            .x_stride = tile->by_heads ? qkv->q_step : qkv_stride,
            .w = gpt2i_kv_keys(kv, (size_t)job->layer, page_of(tile->span, first), tile->kv_head),
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

/* The causal mask: a row's softmax ends at its own position. */
static void tile_softmax(const struct attention_job *job, const struct tile *tile)
{
    for (size_t r = 0; r < tile->n_rows; r++)
        job->attention->compute->kernels.softmax(tile->scores + r * tile->stride, n_seen(tile, r));
}

/* ctx = probs V: page by page, together for the rows that see as much of it, else one by one */
static void tile_values(const struct attention_job *job, const struct tile *tile)
{
    const struct gpt2i_kvcache *kv = job->attention->kv;
    const struct gpt2i_kernels *kernels = &job->attention->compute->kernels;
    size_t ctx_stride = gpt2i_row_stride(job->attention->n_head * kv->head_dim);
    size_t y_stride = tile->by_heads ? kv->head_dim : ctx_stride;
    size_t n_positions = n_positions_of(tile);
    size_t row = tile->span->first_row + tile->first;
    float *ctx = job->ctx + row * ctx_stride + tile->head * kv->head_dim;

    for (size_t first = 0; first < n_positions; first += GPT2I_PAGE) {
        size_t end = first + GPT2I_PAGE;
        /* the first queries, whose last position is before the page's end */
        size_t n_partly =
            end > tile->position + 1 && !tile->by_heads ? end - tile->position - 1 : 0;
        struct gpt2i_matmul matmul = {
            .y_stride = y_stride,
            .x_stride = tile->stride,
            .w = gpt2i_kv_values(kv, (size_t)job->layer, page_of(tile->span, first), tile->kv_head),
            .w_stride = kv->head_dim,
            .w_type = kv->type,
            .n_outputs = kv->head_dim,
            .adds = first > 0,
        };

        for (size_t r = 0; r < tile->n_rows; r += matmul.n_rows) {
            matmul.n_rows = r < n_partly ? 1 : tile->n_rows - r;
            if (n_seen(tile, r) <= first)
                continue;
            matmul.y = ctx + r * y_stride;
            matmul.x = tile->scores + r * tile->stride + first;
            matmul.n_k = gpt2i_min(n_seen(tile, r) - first, GPT2I_PAGE);
            gpt2i_matmul(kernels, &matmul);
        }
    }
}

/* Shows scores or probs; the positions after each query, up to the tile's last, become 'masked'. */
static int32_t tile_tap(const struct attention_job *job, const struct tile *tile, int32_t kind,
                        float masked)
{
    size_t n_positions = n_positions_of(tile);
    size_t n_heads = tile->by_heads ? tile->n_rows : 1;
    struct gpt2i_tap_rows rows = {tile->span, tile->first, tile->n_rows / n_heads};
    int32_t status = GPT2_OK;

    if (!gpt2i_tap_wants(job->attention->taps, GPT2_TAP_BIT(kind)))
        return GPT2_OK;
    for (size_t r = 0; r < tile->n_rows; r++) {
        for (size_t i = n_seen(tile, r); i < n_positions; i++)
            tile->scores[r * tile->stride + i] = masked;
    }
    for (size_t i = 0; i < n_heads && status == GPT2_OK; i++)
        status = gpt2i_tap_show(job->attention->taps, kind, job->layer, (int32_t)(tile->head + i),
                                &rows, n_positions, tile->stride, tile->scores + i * tile->stride);
    return status;
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

/* The rows of the span's tile 'number'. */
static void choose_rows(const struct gpt2i_attention *attention, struct tile *tile, size_t number)
{
    size_t max_rows = attention->compute->kernels.attention_rows;

    tile->by_heads = shares_heads(attention);
    if (tile->by_heads) {
        size_t n_groups = groups_of_heads(attention, tile->span->n_rows);
        size_t group = number % n_groups;

        tile->first = number / n_groups;
        tile->head = attention->n_head * group / n_groups;
        tile->n_rows = attention->n_head * (group + 1) / n_groups - tile->head;
    } else {
        tile->first = number * max_rows;
        tile->head = tile->kv_head;
        tile->n_rows = gpt2i_min(tile->span->n_rows - tile->first, max_rows);
    }
    tile->position = tile->span->first_position + tile->first;
}

/* Task = (span, head of the cache, tile of the span), spans in order. */
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
    tile.kv_head = task / n_tiles;
    choose_rows(attention, &tile, task % n_tiles);
    if (n_tiles == 1)
        store(job, span, tile.kv_head);
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
