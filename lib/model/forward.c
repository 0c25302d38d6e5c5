/*
 * forward.c: GPT-2 itself.
 *
 * A step is up to n_batch rows that go through the model together: a list of spans, each of them rows
 * of one sequence.  In the comments t is the rows of the step, E n_embd, I n_inner, V n_vocab.
 */
#include "forward.h"
#include "layers.h"
#include "../base/fpstate.h"

#include <math.h>

/* What one step works on. */
struct step {
    const int32_t *tokens; /* [t] */
    size_t t;
    const struct gpt2i_span *spans;
    size_t n_spans;
    float *logits; /* [kept rows of all spans, V] */
};

/* Shows an activation of all rows of the step, span by span: no part mixes sequences. */
static int32_t tap(gpt2_session *session, const struct step *step, int32_t kind, int32_t layer,
                   size_t n_columns, float *data)
{
    size_t stride = gpt2i_row_stride(n_columns);
    int32_t status = GPT2_OK;

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
    const int32_t *tokens;
    const struct gpt2i_span *span;
};

/* residual [E] = wte[token] + wpe[position], for one row of the span */
static void embed_task(void *argument, size_t span_row, size_t worker)
{
    const struct embed_job *job = argument;
    const gpt2_session *session = job->session;
    const gpt2_model *model = session->model;
    size_t n_embd = model->wte.n_in;
    size_t row = job->span->first_row + span_row;
    size_t position = job->span->first_position + span_row;
    float *residual = session->act.residual + row * gpt2i_row_stride(n_embd);

    (void)worker;
    gpt2i_matrix_unpack(residual, &model->wte, (size_t)job->tokens[row]);
    session->compute.kernels.add(residual, model->wpe + position * n_embd, n_embd);
}

static int32_t embed(gpt2_session *session, const struct step *step)
{
    for (size_t i = 0; i < step->n_spans; i++) {
        struct embed_job job = {session, step->tokens, &step->spans[i]};

        gpt2i_pool_run(session->compute.pool, embed_task, &job, step->spans[i].n_rows);
    }
    TAP(GPT2_TAP_EMBED, -1, session->model->wte.n_in, session->act.residual);
    return GPT2_OK;
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

/* residual += c_proj(attention(c_attn(ln_1(residual)))) */
static int32_t attention(gpt2_session *session, const struct step *step, int32_t layer)
{
    const struct gpt2i_compute *compute = &session->compute;
    const struct gpt2i_config *config = &session->model->config;
    const struct gpt2i_block *block = &session->model->h[layer];
    const struct gpt2i_activations *act = &session->act;
    size_t E = (size_t)config->n_embd;
    int32_t status;

    gpt2i_norm_rows(compute, act->norm, act->residual, &block->ln_1, config->layer_norm_epsilon,
                    step->t, E);
    TAP(GPT2_TAP_LN_1, layer, E, act->norm);
    gpt2i_linear_rows(compute, act->qkv, gpt2i_row_stride(3 * E), act->norm, &block->c_attn,
                      step->t);
    TAP(GPT2_TAP_ATTN_QKV, layer, 3 * E, act->qkv);
    status = gpt2i_attend(&session->attention, act->ctx, act->qkv, layer,
                          score_scale(config, layer), step->spans, step->n_spans);
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
static int32_t mlp(gpt2_session *session, const struct step *step, int32_t layer)
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

/* Shows ln_f or the logits, whose rows are the kept rows of all spans. */
static int32_t tap_kept(gpt2_session *session, const struct step *step, int32_t kind,
                        size_t n_columns, size_t stride, float *data)
{
    int32_t status = GPT2_OK;

    for (size_t i = 0; i < step->n_spans && status == GPT2_OK; i++) {
        const struct gpt2i_span *span = &step->spans[i];
        struct gpt2i_tap_rows rows = {span, span->n_rows - span->n_kept, span->n_kept};

        if (span->n_kept > 0)
            status = gpt2i_tap_show(&session->taps, kind, -1, -1, &rows, n_columns, stride, data);
        data += span->n_kept * stride;
    }
    return status;
}

/* logits [kept rows, V] = ln_f(residual) lm_head^T */
static int32_t head(gpt2_session *session, const struct step *step)
{
    const gpt2_model *model = session->model;
    size_t E = (size_t)model->config.n_embd;
    size_t V = (size_t)model->config.n_vocab;
    size_t stride = gpt2i_row_stride(E);
    float *norm = session->act.norm; /* [kept rows, E] */
    size_t n_kept = 0;
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
    status = tap_kept(session, step, GPT2_TAP_LN_F, E, stride, norm);
    if (status != GPT2_OK)
        return status;
    gpt2i_linear_rows(&session->compute, step->logits, V, norm, &model->lm_head, n_kept);
    return tap_kept(session, step, GPT2_TAP_LOGITS, V, V, step->logits);
}

/* Whether the call must end here: asked before each layer, before the head and at the end. */
static int32_t interrupted(gpt2_session *session)
{
    if (atomic_load(&session->cancelled))
        return gpt2i_fail(&session->taps.error, GPT2_ERR_CANCELLED,
                          "cancelled by gpt2_session_cancel()");
    if (session->deadline_ns != 0 && gpt2i_monotonic_ns() >= session->deadline_ns)
        return gpt2i_fail(&session->taps.error, GPT2_ERR_DEADLINE, "the deadline has passed");
    return GPT2_OK;
}

static int32_t run_step(gpt2_session *session, const struct step *step)
{
    int32_t status = embed(session, step);

    for (int32_t layer = 0; layer < session->model->config.n_layer && status == GPT2_OK; layer++) {
        status = interrupted(session);
        if (status == GPT2_OK)
            status = attention(session, step, layer);
        if (status == GPT2_OK)
            status = mlp(session, step, layer);
        if (status == GPT2_OK)
            TAP(GPT2_TAP_BLOCK, layer, session->model->wte.n_in, session->act.residual);
    }
    if (status == GPT2_OK)
        status = interrupted(session);
    return status == GPT2_OK ? head(session, step) : status;
}

/* All steps of a call: n_batch tokens at a time. */
static int32_t run_steps(gpt2_session *session, const int32_t *tokens, size_t n_tokens,
                         size_t n_logit_rows)
{
    const struct gpt2i_sequence *sequence = &session->sequence;
    size_t n_vocab = (size_t)session->model->config.n_vocab;
    size_t first_kept = n_tokens - n_logit_rows;
    int32_t status = GPT2_OK;

    for (size_t row = 0; row < n_tokens && status == GPT2_OK;) {
        size_t t = gpt2i_min(n_tokens - row, (size_t)session->n_batch);
        size_t kept_from = gpt2i_max(row, first_kept);
        struct gpt2i_span span = {
            .sequence = sequence,
            .first_position = (size_t)sequence->n_past + row,
            .n_rows = t,
            .n_kept = row + t > kept_from ? row + t - kept_from : 0,
        };
        struct step step = {
            .tokens = tokens + row,
            .t = t,
            .spans = &span,
            .n_spans = 1,
            .logits = session->logits + (kept_from - first_kept) * n_vocab,
        };

        status = run_step(session, &step);
        row += t;
    }
    return status == GPT2_OK ? interrupted(session) : status;
}

/* A cancel and a deadline end one call.  They are used up even if something else has ended it. */
static void forget_interruptions(gpt2_session *session)
{
    atomic_store(&session->cancelled, false);
    if (session->deadline_ns != 0 && gpt2i_monotonic_ns() >= session->deadline_ns)
        session->deadline_ns = 0;
}

int32_t gpt2i_forward(gpt2_session *session, const int32_t *tokens, size_t n_tokens,
                      size_t n_logit_rows)
{
    int32_t status;

    session->host_state = gpt2i_fpstate_enter();
    session->running = true;
    gpt2i_sequence_drop_rows(&session->sequence);
    status = run_steps(session, tokens, n_tokens, n_logit_rows);
    session->running = false;
    gpt2i_fpstate_leave(session->host_state);
    if (status == GPT2_OK) {
        gpt2i_sequence_append(&session->sequence, n_tokens, n_logit_rows);
        gpt2i_error_clear(&session->taps.error); /* calls from a tap may have failed */
    } else {
        forget_interruptions(session);
    }
    return status;
}
