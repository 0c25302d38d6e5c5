/*
 * session.c: placing a session in its block.
 */
#include "session.h"
#include "layers.h"
#include "../kernels/cpu.h"
#include "../kernels/dispatch.h"

/* n_pages, or enough for every sequence: at most 2^16 sequences of 2^14 pages. */
static int32_t pages_of(const gpt2_session_params *params, int32_t max_pages)
{
    int32_t enough = params->n_sequences * max_pages;

    return params->n_pages > 0 && params->n_pages < enough ? params->n_pages : enough;
}

/* n_logit_rows, one for each sequence, or all that there can be. */
static int32_t logit_rows_of(const gpt2_session_params *params, int32_t n_ctx)
{
    int64_t all = (int64_t)params->n_sequences * n_ctx;
    int32_t n_rows = params->n_logit_rows > 0 ? params->n_logit_rows : params->n_sequences;

    return n_rows < all ? n_rows : (int32_t)all;
}

/* A session's settings and sizes: no pointer into its block is set. */
static gpt2_session settings_of(const gpt2_model *model, const gpt2_session_params *params)
{
    const struct gpt2i_config *config = &model->config;
    bool is_shorter = params->n_ctx > 0 && params->n_ctx < config->n_positions;
    int32_t n_ctx = is_shorter ? params->n_ctx : config->n_positions;
    int32_t max_pages = (int32_t)gpt2i_ceil_div((size_t)n_ctx, GPT2I_PAGE);
    int64_t max_rows = (int64_t)params->n_sequences * n_ctx;
    gpt2_session sizes = {
        .model = model,
        .n_batch = params->n_batch < max_rows ? params->n_batch : (int32_t)max_rows,
        .n_logit_rows = logit_rows_of(params, n_ctx),
        .sequences =
            {
                .n_sequences = params->n_sequences,
                .n_ctx = n_ctx,
                .max_pages = max_pages,
                .shifts = params->on_full == GPT2_FULL_SHIFT,
                .n_keep = params->n_keep,
                .pages = {.n_pages = pages_of(params, max_pages)},
            },
        .kv =
            {
                .type = params->kv_type,
                .n_layer = (size_t)config->n_layer,
                .n_head = (size_t)config->n_kv_head,
                .head_dim = gpt2i_config_head_dim(config),
            },
        .attention =
            {
                .n_head = (size_t)config->n_head,
                .qkv = gpt2i_qkv_of(config),
                .scores_stride = gpt2i_row_stride((size_t)max_pages * GPT2I_PAGE),
            },
    };

    sizes.kv.n_pages = (size_t)sizes.sequences.pages.n_pages;
    gpt2i_kernels_choose(&sizes.compute.kernels, gpt2i_cpu_features() & params->cpu_mask,
                         gpt2i_cpu_row_fetches());
    return sizes;
}

static struct gpt2i_activations activations_layout(struct gpt2i_arena *arena,
                                                   const gpt2_session *sizes)
{
    const struct gpt2i_config *config = &sizes->model->config;
    uint64_t n_batch = (uint64_t)sizes->n_batch;
    uint64_t embd_stride = gpt2i_row_stride((size_t)config->n_embd);
    uint64_t qkv_stride = gpt2i_row_stride(gpt2i_config_n_qkv(config));
    uint64_t fc_stride = gpt2i_row_stride((size_t)config->n_inner);
    struct gpt2i_activations act;

    act.residual = gpt2i_arena_take(arena, n_batch * embd_stride, sizeof(float));
    act.norm = gpt2i_arena_take(arena, n_batch * embd_stride, sizeof(float));
    act.qkv = gpt2i_arena_take(arena, n_batch * gpt2i_max(qkv_stride, fc_stride), sizeof(float));
    act.ctx = act.norm;
    act.mlp_out = act.norm;
    act.attn_out = act.qkv;
    act.fc = act.qkv;
    return act;
}

static struct gpt2i_workspace workspace_layout(struct gpt2i_arena *arena, uint64_t n_vocab)
{
    uint64_t n_blocks = gpt2i_ceil_div((size_t)n_vocab, GPT2I_VOCAB_BLOCK);
    struct gpt2i_workspace space;

    space.logits = gpt2i_arena_take(arena, n_vocab, sizeof(float));
    space.weights = gpt2i_arena_take(arena, n_vocab, sizeof(float));
    space.ids = gpt2i_arena_take(arena, n_vocab, sizeof(int32_t));
    space.candidates = gpt2i_arena_take(arena, n_vocab, sizeof *space.candidates);
    space.blocks = gpt2i_arena_take(arena, n_blocks, sizeof(float));
    return space;
}

/* Measures (arena over NULL) or places; the sizes come from 'sizes' either way. */
static gpt2_session *session_layout(struct gpt2i_arena *arena, const gpt2_session *sizes,
                                    int32_t n_threads)
{
    uint64_t n_vocab = (uint64_t)sizes->model->config.n_vocab;
    uint64_t n_sequences = (uint64_t)sizes->sequences.n_sequences;
    uint64_t n_batch = (uint64_t)sizes->n_batch;
    uint64_t scores =
        sizes->compute.kernels.attention_rows * (uint64_t)sizes->attention.scores_stride;
    gpt2_session *session = gpt2i_arena_take(arena, 1, sizeof *session);
    gpt2_session placed = *sizes;

    placed.compute.pool = gpt2i_pool_layout(arena, n_threads);
    placed.compute.panels = gpt2i_arena_take(
        arena, (uint64_t)n_threads * GPT2I_PANEL_ROWS * GPT2I_PANEL, sizeof(float));
    placed.compute.widened =
        gpt2i_arena_take(arena, (uint64_t)n_threads * GPT2I_K_BLOCK * GPT2I_PANEL, sizeof(float));
    if (sizes->model->max_quantised_in > 0)
        placed.compute.inputs = gpt2i_arena_take(
            arena, n_batch * gpt2i_ceil_div(sizes->model->max_quantised_in, GPT2I_Q_BLOCK),
            sizes->compute.kernels.input_block_bytes);
    placed.act = activations_layout(arena, sizes);
    placed.attention.scores = gpt2i_arena_take(arena, (uint64_t)n_threads * scores, sizeof(float));
    placed.logits = gpt2i_arena_take(arena, (uint64_t)sizes->n_logit_rows * n_vocab, sizeof(float));
    placed.sampling = workspace_layout(arena, n_vocab);
    gpt2i_sequences_layout(&placed.sequences, arena);
    placed.items = gpt2i_arena_take(arena, n_sequences, sizeof *placed.items);
    placed.spans = gpt2i_arena_take(arena, n_sequences, sizeof *placed.spans);
    placed.kept = gpt2i_arena_take(arena, n_sequences, sizeof *placed.kept);
    placed.step_tokens = gpt2i_arena_take(arena, n_batch, sizeof *placed.step_tokens);
    placed.step_positions = gpt2i_arena_take(arena, n_batch, sizeof *placed.step_positions);
    placed.head_checksums = gpt2i_arena_take(arena, (uint64_t)sizes->kv.n_layer * sizes->kv.n_head,
                                             sizeof *placed.head_checksums);
    gpt2i_kvcache_layout(&placed.kv, arena);
    if (session == NULL)
        return NULL;
    placed.attention.compute = &session->compute;
    placed.attention.kv = &session->kv;
    placed.attention.taps = &session->taps;
    placed.taps.host_state = &session->host_state;
    placed.taps.error.text = session->error;
    placed.taps.error.capacity = sizeof session->error;
    gpt2i_sequences_reset(&placed.sequences);
    *session = placed;
    return session;
}

static int32_t fail_session_memory(const gpt2_session *sizes, struct gpt2i_error *error)
{
    return gpt2i_fail(error, GPT2_ERR_MEMORY,
                      "no memory for a session of %d sequences, %d pages, n_ctx %d, n_batch %d, "
                      "n_logit_rows %d",
                      sizes->sequences.n_sequences, sizes->sequences.pages.n_pages,
                      sizes->sequences.n_ctx, sizes->n_batch, sizes->n_logit_rows);
}

/* 0 if they are more than an address space holds. */
static size_t session_bytes(const gpt2_session *sizes, int32_t n_threads)
{
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);

    (void)session_layout(&measure, sizes, n_threads);
    return gpt2i_arena_unaligned_bytes(&measure);
}

/* Whether the call that runs has been cancelled, or is late. */
static bool must_stop(void *argument)
{
    gpt2_session *session = argument;

    return atomic_load(&session->cancelled) ||
           (session->deadline_ns != 0 && gpt2i_monotonic_ns() >= session->deadline_ns);
}

/* Places a session in 'memory', which is large enough, and starts its threads. */
static int32_t begin_session(gpt2_session **session, const gpt2_session *sizes,
                             const gpt2_session_params *params, void *memory,
                             struct gpt2i_error *error)
{
    struct gpt2i_arena place = gpt2i_arena_over_unaligned(memory);
    gpt2_session *begun = session_layout(&place, sizes, params->n_threads);
    int32_t status = GPT2_OK;

    if (params->parallel_for != NULL) {
        struct gpt2i_host host = {params->parallel_for, params->parallel_for_user,
                                  &begun->host_state};

        gpt2i_pool_start_host(begun->compute.pool, params->n_threads, &host);
    } else {
        status = gpt2i_pool_start(begun->compute.pool, params->n_threads, error);
    }
    if (status != GPT2_OK)
        return status;
    gpt2i_pool_set_stop(begun->compute.pool, must_stop, begun);
    *session = begun;
    return GPT2_OK;
}

int32_t gpt2i_session_size(const gpt2_model *model, const gpt2_session_params *params,
                           size_t *n_bytes, struct gpt2i_error *error)
{
    gpt2_session sizes = settings_of(model, params);

    *n_bytes = session_bytes(&sizes, params->n_threads);
    return *n_bytes == 0 ? fail_session_memory(&sizes, error) : GPT2_OK;
}

int32_t gpt2i_session_init(gpt2_session **session, const gpt2_model *model,
                           const gpt2_session_params *params, void *memory, size_t memory_bytes,
                           struct gpt2i_error *error)
{
    gpt2_session sizes = settings_of(model, params);
    size_t wanted_bytes = session_bytes(&sizes, params->n_threads);

    if (wanted_bytes == 0)
        return fail_session_memory(&sizes, error);
    if (memory_bytes < wanted_bytes)
        return gpt2i_fail(error, GPT2_ERR_BUFFER,
                          "gpt2_session_init: memory_bytes is %zu, wanted %zu", memory_bytes,
                          wanted_bytes);
    return begin_session(session, &sizes, params, memory, error);
}

int32_t gpt2i_session_new(gpt2_session **session, const gpt2_model *model,
                          const gpt2_session_params *params, struct gpt2i_error *error)
{
    gpt2_session sizes = settings_of(model, params);
    size_t n_bytes = session_bytes(&sizes, params->n_threads);
    void *block = gpt2i_block_new(n_bytes);
    int32_t status;

    if (block == NULL)
        return fail_session_memory(&sizes, error);
    status = begin_session(session, &sizes, params, block, error);
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
    gpt2i_pool_stop(session->compute.pool);
    if (session->block_bytes > 0)
        gpt2i_block_free(session, session->block_bytes);
}
