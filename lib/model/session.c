/*
 * session.c: placing a session in its block, and its logits.
 */
#include "session.h"
#include "../kernels/cpu.h"

/* A session without its parts. */
static gpt2_session shape_of(const gpt2_model *model, const gpt2_session_params *params)
{
    const struct gpt2i_config *config = &model->config;
    bool is_shorter = params->n_ctx > 0 && params->n_ctx < config->n_positions;
    int32_t n_ctx = is_shorter ? params->n_ctx : config->n_positions;
    gpt2_session shape = {
        .model = model,
        .kernels = gpt2i_kernels_choose(gpt2i_cpu_features() & params->cpu_mask),
        .n_ctx = n_ctx,
        .n_batch = params->n_batch < n_ctx ? params->n_batch : n_ctx,
        .n_logit_rows = params->n_logit_rows < n_ctx ? params->n_logit_rows : n_ctx,
        .empty_prompt = params->empty_prompt,
        .kv =
            {
                .n_layer = (size_t)config->n_layer,
                .n_pages = gpt2i_ceil_div((size_t)n_ctx, GPT2I_PAGE),
                .n_head = (size_t)config->n_head,
                .head_dim = (size_t)(config->n_embd / config->n_head),
            },
    };

    return shape;
}

/* Measures (arena over NULL) or places; the sizes come from 'shape' either way. */
static gpt2_session *layout(struct gpt2i_arena *arena, const gpt2_session *shape, int32_t n_threads)
{
    const struct gpt2i_config *config = &shape->model->config;
    uint64_t n_batch = (uint64_t)shape->n_batch;
    uint64_t narrow_stride = gpt2i_row_stride((size_t)config->n_embd);
    uint64_t wide_stride = gpt2i_max(gpt2i_row_stride((size_t)config->n_embd * 3),
                                     gpt2i_row_stride((size_t)config->n_inner));
    uint64_t n_vocab = (uint64_t)config->n_vocab;
    uint64_t tile =
        GPT2I_ATTENTION_ROWS * (uint64_t)gpt2i_row_stride(shape->kv.n_pages * GPT2I_PAGE);
    gpt2_session *place = gpt2i_arena_take(arena, 1, sizeof *place);
    gpt2_session parts = *shape;

    parts.pool = gpt2i_pool_layout(arena, n_threads);
    parts.act.residual = gpt2i_arena_take(arena, n_batch * narrow_stride, sizeof(float));
    parts.act.narrow = gpt2i_arena_take(arena, n_batch * narrow_stride, sizeof(float));
    parts.act.wide = gpt2i_arena_take(arena, n_batch * wide_stride, sizeof(float));
    parts.act.scores = gpt2i_arena_take(arena, (uint64_t)n_threads * tile, sizeof(float));
    parts.logits = gpt2i_arena_take(arena, (uint64_t)shape->n_logit_rows * n_vocab, sizeof(float));
    parts.sample_weights = gpt2i_arena_take(arena, n_vocab, sizeof(float));
    parts.sample_order = gpt2i_arena_take(arena, n_vocab, sizeof(int32_t));
    gpt2i_kvcache_layout(&parts.kv, arena);
    if (place != NULL)
        *place = parts;
    return place;
}

static int32_t fail_memory(const gpt2_session *shape, struct gpt2i_error *error)
{
    return gpt2i_fail(error, GPT2_ERR_MEMORY,
                      "no memory for a session of %d positions, n_batch %d, n_logit_rows %d",
                      shape->n_ctx, shape->n_batch, shape->n_logit_rows);
}

int32_t gpt2i_session_size(const gpt2_model *model, const gpt2_session_params *params,
                           size_t *n_bytes, struct gpt2i_error *error)
{
    gpt2_session shape = shape_of(model, params);
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);

    (void)layout(&measure, &shape, params->n_threads);
    *n_bytes = gpt2i_arena_bytes_anywhere(&measure);
    return *n_bytes == 0 ? fail_memory(&shape, error) : GPT2_OK;
}

int32_t gpt2i_session_init(gpt2_session **session, const gpt2_model *model,
                           const gpt2_session_params *params, void *memory, size_t memory_bytes,
                           struct gpt2i_error *error)
{
    gpt2_session shape = shape_of(model, params);
    struct gpt2i_arena place = gpt2i_arena_anywhere(memory);
    gpt2_session *begun;
    size_t wanted_bytes;
    int32_t status = gpt2i_session_size(model, params, &wanted_bytes, error);

    if (status != GPT2_OK)
        return status;
    if (memory_bytes < wanted_bytes)
        return gpt2i_fail(error, GPT2_ERR_BUFFER,
                          "gpt2_session_init: memory_bytes is %zu, wanted %zu", memory_bytes,
                          wanted_bytes);
    begun = layout(&place, &shape, params->n_threads);
    if (params->parallel_for != NULL) {
        struct gpt2i_host host = {params->parallel_for, params->parallel_for_user,
                                  &begun->host_state};

        gpt2i_pool_start_host(begun->pool, params->n_threads, &host);
    } else {
        status = gpt2i_pool_start(begun->pool, params->n_threads, error);
    }
    if (status == GPT2_OK)
        *session = begun;
    return status;
}

int32_t gpt2i_session_new(gpt2_session **session, const gpt2_model *model,
                          const gpt2_session_params *params, struct gpt2i_error *error)
{
    gpt2_session shape = shape_of(model, params);
    size_t n_bytes;
    void *block;
    int32_t status = gpt2i_session_size(model, params, &n_bytes, error);

    if (status != GPT2_OK)
        return status;
    block = gpt2i_block_new(n_bytes);
    if (block == NULL)
        return fail_memory(&shape, error);
    status = gpt2i_session_init(session, model, params, block, n_bytes, error);
    if (status == GPT2_OK)
        (*session)->block_bytes = n_bytes;
    else
        gpt2i_block_free(block, n_bytes);
    return status;
}

void gpt2i_session_free(gpt2_session *session)
{
    if (session == NULL)
        return;
    gpt2i_pool_stop(session->pool);
    if (session->block_bytes > 0)
        gpt2i_block_free(session, session->block_bytes);
}

float *gpt2i_session_row(gpt2_session *session, int32_t row, struct gpt2i_error *error)
{
    int32_t first_kept = session->n_rows - session->n_rows_kept;

    if (session->n_rows_kept == 0) {
        (void)gpt2i_fail(error, GPT2_ERR_ROW,
                         "no logits are kept: no forward that asked for them has completed");
        return NULL;
    }
    if (row == GPT2_LAST_ROW)
        row = session->n_rows - 1;
    if (row < first_kept || row >= session->n_rows) {
        (void)gpt2i_fail(error, GPT2_ERR_ROW,
                         "row is %d, the last forward kept the logits of rows %d to %d", row,
                         first_kept, session->n_rows - 1);
        return NULL;
    }
    return session->logits + (size_t)(row - first_kept) * (size_t)session->model->config.n_vocab;
}
