/*
 * forward.c: GPT-2 itself.
 *
 * In the comments t is the rows of the step, E n_embd, I n_inner, V n_vocab, Q the outputs of c_attn.
 */
#include "forward.h"
#include "layers.h"
#include "shortlist.h"

#include <math.h>

/* Shows an activation of all rows of the step, span by span: no part mixes sequences. */
static int32_t tap(gpt2_session *session, const struct gpt2i_step *step, int32_t kind,
                   int32_t layer, size_t n_columns, float *data)
{
    size_t stride = gpt2i_row_stride(n_columns);
    int32_t status = gpt2i_interrupted(session); /* or else the data may be incomplete */

    for (size_t i = 0; i < step->n_spans && status == GPT2_OK; i++) {
        const struct gpt2i_span *span = &step->spans[i];
        struct gpt2i_tap_rows rows = {span, 0, span->n_rows};

        status = gpt2i_tap_show(&session->taps, kind, layer, -1, &rows, n_columns, stride,
                                data + span->first_row * stride);
    }
    return status;
}

/* Returns from the caller if a tap ends the call. */
#define TAP(kind, layer, n_columns, data)                                      \
    do {                                                                       \
        int32_t tap_status = tap(session, step, kind, layer, n_columns, data); \
                                                                               \
        if (tap_status != GPT2_OK)                                             \
            return tap_status;                                                 \
    } while (0)

struct embed_job {
    const gpt2_session *session;
    const struct gpt2i_step *step;
};

/* residual [E] = wte[token] + wpe[position], for one row */
static void embed_task(void *argument, size_t row, size_t worker)
{
    const struct embed_job *job = argument;
    const gpt2_session *session = job->session;
    const gpt2_model *model = session->model;
    size_t n_embd = model->wte.n_in;
    size_t position = (size_t)job->step->positions[row];
    float *residual = session->act.residual + row * gpt2i_row_stride(n_embd);

    (void)worker;
    gpt2i_matrix_unpack(residual, 1, &model->wte, (size_t)job->step->tokens[row]);
    session->compute.kernels.add(residual, model->wpe + position * n_embd, n_embd);
}

static int32_t embed(gpt2_session *session, const struct gpt2i_step *step)
{
    struct embed_job job = {session, step};

    gpt2i_pool_run(session->compute.pool, embed_task, &job, step->t);
    TAP(GPT2_TAP_EMBED, -1, session->model->wte.n_in, session->act.residual);
    return GPT2_OK;
}

/* 1 / (sqrt(head_dim) (layer + 1)), the factors that config.json switches on */
static float score_scale(const struct gpt2i_config *config, int32_t layer)
{
    float divisor = 1.0f;

    if (config->scale_attn_weights)
        divisor = sqrtf((float)gpt2i_config_head_dim(config));
    if (config->scale_attn_by_inverse_layer_idx)
        divisor *= (float)(layer + 1);
    return 1.0f / divisor;
}

/* residual += c_proj(attention(c_attn(ln_1(residual)))) */
static int32_t attention(gpt2_session *session, const struct gpt2i_step *step, int32_t layer)
{
    const struct gpt2i_compute *compute = &session->compute;
    const struct gpt2i_config *config = &session->model->config;
    const struct gpt2i_block *block = &session->model->h[layer];
    const struct gpt2i_activations *act = &session->act;
    size_t E = (size_t)config->n_embd;
    size_t Q = gpt2i_config_n_qkv(config);
    int32_t status;

    gpt2i_norm_rows(compute, act->norm, act->residual, &block->ln_1, config->layer_norm_epsilon,
                    step->t, E);
    TAP(GPT2_TAP_LN_1, layer, E, act->norm);
    gpt2i_linear_rows(compute, act->qkv, gpt2i_row_stride(Q), act->norm, &block->c_attn, step->t);
    TAP(GPT2_TAP_ATTN_QKV, layer, Q, act->qkv);
    status = gpt2i_attend(&session->attention, act->ctx, act->qkv, layer,
                          score_scale(config, layer), step->spans, step->n_spans, step->n_tiles);
    if (status != GPT2_OK)
        return status;
    TAP(GPT2_TAP_ATTN_CTX, layer, E, act->ctx);
    gpt2i_linear_rows(compute, act->attn_out, gpt2i_row_stride(E), act->ctx, &block->attn_c_proj,
                      step->t);
    TAP(GPT2_TAP_ATTN_OUT, layer, E, act->attn_out);
    gpt2i_add_rows(compute, act->residual, act->attn_out, step->t, E);
    return GPT2_OK;
}

/* residual += c_proj(activation_function(c_fc(ln_2(residual)))) */
static int32_t mlp(gpt2_session *session, const struct gpt2i_step *step, int32_t layer)
{
    const struct gpt2i_compute *compute = &session->compute;
    const struct gpt2i_config *config = &session->model->config;
    const struct gpt2i_block *block = &session->model->h[layer];
    const struct gpt2i_activations *act = &session->act;
    size_t E = (size_t)config->n_embd;
    size_t I = (size_t)config->n_inner;

    gpt2i_norm_rows(compute, act->norm, act->residual, &block->ln_2, config->layer_norm_epsilon,
                    step->t, E);
    TAP(GPT2_TAP_LN_2, layer, E, act->norm);
    gpt2i_linear_rows(compute, act->fc, gpt2i_row_stride(I), act->norm, &block->c_fc, step->t);
    TAP(GPT2_TAP_MLP_FC, layer, I, act->fc);
    gpt2i_activation_rows(compute, act->fc, config->activation_function, step->t, I);
    TAP(GPT2_TAP_MLP_ACT, layer, I, act->fc);
    gpt2i_linear_rows(compute, act->mlp_out, gpt2i_row_stride(E), act->fc, &block->mlp_c_proj,
                      step->t);
    TAP(GPT2_TAP_MLP_OUT, layer, E, act->mlp_out);
    gpt2i_add_rows(compute, act->residual, act->mlp_out, step->t, E);
    return GPT2_OK;
}

/* Rows of the step's kept rows, which are those of all spans. */
struct kept_rows {
    size_t first;
    size_t n_rows;
};

/* Shows ln_f or the logits of kept rows; 'data' begins with the first of them. */
static int32_t tap_kept(gpt2_session *session, const struct gpt2i_step *step, int32_t kind,
                        struct kept_rows kept, size_t n_columns, size_t stride, float *data)
{
    int32_t status = gpt2i_interrupted(session);
    size_t n_before = 0; /* kept rows of the spans before */

    for (size_t i = 0; i < step->n_spans && status == GPT2_OK; i++) {
        const struct gpt2i_span *span = &step->spans[i];
        size_t first = gpt2i_max(n_before, kept.first);
        size_t end = gpt2i_min(n_before + span->n_kept, kept.first + kept.n_rows);

        if (first < end) {
            size_t n_skipped = span->n_rows - span->n_kept + first - n_before;
            struct gpt2i_tap_rows rows = {span, n_skipped, end - first};

            status = gpt2i_tap_show(&session->taps, kind, -1, -1, &rows, n_columns, stride,
                                    data + (first - kept.first) * stride);
        }
        n_before += span->n_kept;
    }
    return status;
}

/* How many of the largest logits of the step's only kept row are wanted; 0: all, or there are more rows. */
static size_t n_top_of(const gpt2_session *session, const struct gpt2i_step *step, size_t n_kept)
{
    size_t n_top = 0;

    if (n_kept != 1 || session->taker.take != NULL || !gpt2i_has_shortlist(session->model) ||
        gpt2i_tap_wants(&session->taps, GPT2_TAP_BIT(GPT2_TAP_LOGITS)))
        return 0;
    for (size_t i = 0; i < step->n_spans; i++)
        n_top += step->spans[i].n_kept == 1 ? step->spans[i].n_top : 0;
    return n_top <= gpt2i_matrix_n_panels(&session->model->lm_head.weight) ? n_top : 0;
}

/* logits [1, V] = norm lm_head^T: the n_top largest */
static int32_t largest_logits(gpt2_session *session, float *logits, const float *norm, size_t n_top)
{
    const gpt2_model *model = session->model;

    gpt2i_linear_rows(&session->compute, logits, (size_t)model->config.n_vocab, norm,
                      &model->shortlist.copy, 1);
    gpt2i_shortlist_row(&session->compute, &session->sampling, model, logits, norm, n_top);
    return gpt2i_interrupted(session);
}

/* logits [rows, V] = norm lm_head^T, for some of the kept rows */
static int32_t logits_of(gpt2_session *session, const struct gpt2i_step *step,
                         struct kept_rows rows, const float *norm)
{
    const gpt2_model *model = session->model;
    size_t V = (size_t)model->config.n_vocab;
    int32_t status;

    gpt2i_linear_rows(&session->compute, step->logits, V, norm, &model->lm_head, rows.n_rows);
    status = tap_kept(session, step, GPT2_TAP_LOGITS, rows, V, V, step->logits);
    if (status == GPT2_OK && session->taker.take != NULL)
        status = session->taker.take(session->taker.argument, step->logits, rows.n_rows);
    return status;
}

/* logits [kept rows, V] = ln_f(residual) lm_head^T */
static int32_t head(gpt2_session *session, const struct gpt2i_step *step)
{
    const gpt2_model *model = session->model;
    size_t E = (size_t)model->config.n_embd;
    size_t stride = gpt2i_row_stride(E);
    float *norm = session->act.norm; /* [kept rows, E] */
    size_t n_kept = 0;
    size_t n_top;
    size_t n_chunk;
    int32_t status;

    for (size_t i = 0; i < step->n_spans; i++) {
        const struct gpt2i_span *span = &step->spans[i];
        size_t first = span->first_row + span->n_rows - span->n_kept;

        gpt2i_norm_rows(&session->compute, norm + n_kept * stride,
                        session->act.residual + first * stride, &model->ln_f,
                        model->config.layer_norm_epsilon, span->n_kept, E);
        n_kept += span->n_kept;
    }
    if (n_kept == 0)
        return GPT2_OK;
    status = tap_kept(session, step, GPT2_TAP_LN_F, (struct kept_rows){0, n_kept}, E, stride, norm);
    n_top = n_top_of(session, step, n_kept);
    if (status == GPT2_OK && n_top > 0)
        return largest_logits(session, step->logits, norm, n_top);
    n_chunk = session->taker.take == NULL
                  ? n_kept
                  : gpt2i_min((size_t)session->n_logit_rows, GPT2I_TAKEN_ROWS);
    for (size_t first = 0; first < n_kept && status == GPT2_OK; first += n_chunk) {
        struct kept_rows rows = {first, gpt2i_min(n_chunk, n_kept - first)};

        status = logits_of(session, step, rows, norm + first * stride);
    }
    return status;
}

int32_t gpt2i_interrupted(gpt2_session *session)
{
    if (!gpt2i_pool_stops(session->compute.pool))
        return GPT2_OK;
    if (atomic_load(&session->cancelled))
        return gpt2i_fail(&session->taps.error, GPT2_ERR_CANCELLED,
                          "cancelled by gpt2_session_cancel()");
    return gpt2i_fail(&session->taps.error, GPT2_ERR_DEADLINE, "the deadline has passed");
}

int32_t gpt2i_run_step(gpt2_session *session, const struct gpt2i_step *step)
{
    int32_t status = embed(session, step);

    for (int32_t layer = 0; layer < session->model->config.n_layer && status == GPT2_OK; layer++) {
        status = gpt2i_interrupted(session);
        if (status == GPT2_OK)
            status = attention(session, step, layer);
        if (status == GPT2_OK)
            status = mlp(session, step, layer);
        if (status == GPT2_OK)
            TAP(GPT2_TAP_BLOCK, layer, session->model->wte.n_in, session->act.residual);
    }
    if (status == GPT2_OK)
        status = gpt2i_interrupted(session);
    return status == GPT2_OK ? head(session, step) : status;
}
