/*
 * forward.c: GPT-2 itself.
 *
 * A step is up to n_batch tokens that go through the model together.  In the comments t is the rows
 * of the step, E n_embd, I n_inner, V n_vocab.
 */
#include "forward.h"
#include "attention.h"
#include "../base/fpstate.h"
#include "layers.h"
#include "pack.h"
#include "tap.h"

/* What one step works on. */
struct step {
    const int32_t *tokens; /* [t] */
    int32_t first_row;     /* of the forward call */
    size_t t;
    size_t n_kept; /* the last rows of the step, whose logits are wanted */
    float *logits; /* [n_kept, V] */
};

/* Shows an activation of all rows of the step; returns from the caller if the call ends there. */
#define TAP(kind, layer, n_columns, data)                                                   \
    do {                                                                                    \
        int32_t tap_status = gpt2i_tap_rows(session, kind, layer, step->first_row, step->t, \
                                            n_columns, gpt2i_row_stride(n_columns), data);  \
                                                                                            \
        if (tap_status != GPT2_OK)                                                          \
            return tap_status;                                                              \
    } while (0)

struct embed_job {
    const gpt2_session *session;
    const struct step *step;
};

/* residual [E] = wte[token] + wpe[position], for one row */
static void embed_task(void *argument, size_t row, size_t worker)
{
    const struct embed_job *job = argument;
    const gpt2_session *session = job->session;
    const gpt2_model *model = session->model;
    size_t n_embd = model->wte.n_in;
    size_t position = (size_t)(session->n_past + job->step->first_row) + row;
    float *residual = session->act.residual + row * gpt2i_row_stride(n_embd);

    (void)worker;
    gpt2i_unpack_row(residual, model->wte.w, (size_t)job->step->tokens[row], n_embd,
                     model->wte.n_out);
    session->kernels->add(residual, model->wpe + position * n_embd, n_embd);
}

static int32_t embed(gpt2_session *session, const struct step *step)
{
    struct embed_job job = {session, step};

    gpt2i_pool_run(session->pool, embed_task, &job, step->t);
    TAP(GPT2_TAP_EMBED, -1, session->model->wte.n_in, session->act.residual);
    return GPT2_OK;
}

/* residual += c_proj(attention(c_attn(ln_1(residual)))) */
static int32_t attention(gpt2_session *session, const struct step *step, int32_t layer)
{
    const struct gpt2i_block *block = &session->model->h[layer];
    float *residual = session->act.residual; /* [t, E] */
    float *norm = session->act.narrow;       /* [t, E] */
    float *qkv = session->act.wide;          /* [t, 3 E] */
    float *ctx = session->act.narrow;        /* [t, E], in norm's place */
    float *out = session->act.wide;          /* [t, E], in qkv's place */
    size_t n_embd = block->c_attn.n_in;
    int32_t status;

    gpt2i_norm_rows(session, norm, residual, &block->ln_1, step->t);
    TAP(GPT2_TAP_LN_1, layer, n_embd, norm);
    gpt2i_linear_rows(session, qkv, gpt2i_row_stride(3 * n_embd), norm, &block->c_attn, step->t);
    TAP(GPT2_TAP_ATTN_QKV, layer, 3 * n_embd, qkv);
    status = gpt2i_attention(session, ctx, qkv, layer, step->first_row, step->t);
    if (status != GPT2_OK)
        return status;
    TAP(GPT2_TAP_ATTN_CTX, layer, n_embd, ctx);
    gpt2i_linear_rows(session, out, gpt2i_row_stride(n_embd), ctx, &block->attn_c_proj, step->t);
    TAP(GPT2_TAP_ATTN_OUT, layer, n_embd, out);
    gpt2i_add_rows(session, residual, out, step->t);
    return GPT2_OK;
}

/* residual += c_proj(activation_function(c_fc(ln_2(residual)))) */
static int32_t mlp(gpt2_session *session, const struct step *step, int32_t layer)
{
    const struct gpt2i_block *block = &session->model->h[layer];
    float *residual = session->act.residual; /* [t, E] */
    float *norm = session->act.narrow;       /* [t, E] */
    float *fc = session->act.wide;           /* [t, I] */
    float *out = session->act.narrow;        /* [t, E], in norm's place */
    size_t n_embd = block->c_fc.n_in;
    size_t n_inner = block->c_fc.n_out;

    gpt2i_norm_rows(session, norm, residual, &block->ln_2, step->t);
    TAP(GPT2_TAP_LN_2, layer, n_embd, norm);
    gpt2i_linear_rows(session, fc, gpt2i_row_stride(n_inner), norm, &block->c_fc, step->t);
    TAP(GPT2_TAP_MLP_FC, layer, n_inner, fc);
    gpt2i_activation_rows(session, fc, step->t, n_inner);
    TAP(GPT2_TAP_MLP_ACT, layer, n_inner, fc);
    gpt2i_linear_rows(session, out, gpt2i_row_stride(n_embd), fc, &block->mlp_c_proj, step->t);
    TAP(GPT2_TAP_MLP_OUT, layer, n_embd, out);
    gpt2i_add_rows(session, residual, out, step->t);
    return GPT2_OK;
}

/* logits [n_kept, V] = ln_f(residual) lm_head^T, for the last n_kept rows */
static int32_t head(gpt2_session *session, const struct step *step)
{
    const gpt2_model *model = session->model;
    size_t n_embd = model->lm_head.n_in;
    size_t skipped = step->t - step->n_kept;
    int32_t first_row = step->first_row + (int32_t)skipped;
    float *norm = session->act.narrow; /* [n_kept, E] */
    int32_t status;

    if (step->n_kept == 0)
        return GPT2_OK;
    gpt2i_norm_rows(session, norm, session->act.residual + skipped * gpt2i_row_stride(n_embd),
                    &model->ln_f, step->n_kept);
    status = gpt2i_tap_rows(session, GPT2_TAP_LN_F, -1, first_row, step->n_kept, n_embd,
                            gpt2i_row_stride(n_embd), norm);
    if (status != GPT2_OK)
        return status;
    gpt2i_linear_rows(session, step->logits, model->lm_head.n_out, norm, &model->lm_head,
                      step->n_kept);
    return gpt2i_tap_rows(session, GPT2_TAP_LOGITS, -1, first_row, step->n_kept,
                          model->lm_head.n_out, model->lm_head.n_out, step->logits);
}

/* Whether the call is to end here: asked before each layer, before the head and at the end. */
static int32_t interrupted(gpt2_session *session)
{
    struct gpt2i_error error = {session->error, sizeof session->error};

    if (atomic_exchange(&session->cancelled, false))
        return gpt2i_fail(&error, GPT2_ERR_CANCELLED, "cancelled by gpt2_session_cancel()");
    if (session->deadline_ns != 0 && gpt2i_monotonic_ns() >= session->deadline_ns)
        return gpt2i_fail(&error, GPT2_ERR_DEADLINE, "the deadline has passed");
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

int32_t gpt2i_forward(gpt2_session *session, const int32_t *tokens, size_t n_tokens,
                      size_t n_logit_rows)
{
    size_t n_vocab = (size_t)session->model->config.n_vocab;
    size_t first_kept = n_tokens - n_logit_rows;
    int32_t status = GPT2_OK;

    session->host_state = gpt2i_fpstate_enter();
    session->n_rows_kept = 0;
    for (size_t row = 0; row < n_tokens && status == GPT2_OK;) {
        size_t t = gpt2i_min(n_tokens - row, (size_t)session->n_batch);
        size_t kept_from = gpt2i_max(row, first_kept);
        struct step step = {
            .tokens = tokens + row,
            .first_row = (int32_t)row,
            .t = t,
            .n_kept = row + t > kept_from ? row + t - kept_from : 0,
            .logits = session->logits + (kept_from - first_kept) * n_vocab,
        };

        status = run_step(session, &step);
        row += t;
    }
    gpt2i_fpstate_leave(session->host_state);
    if (status == GPT2_OK)
        status = interrupted(session);
    if (status != GPT2_OK)
        return status;
    session->n_past += (int32_t)n_tokens;
    session->n_rows = (int32_t)n_tokens;
    session->n_rows_kept = (int32_t)n_logit_rows;
    return GPT2_OK;
}

int32_t gpt2i_forward_nothing(gpt2_session *session, size_t n_logit_rows)
{
    int32_t status = interrupted(session);

    session->n_rows_kept = 0;
    if (status != GPT2_OK)
        return status;
    for (int32_t i = 0; i < session->model->config.n_vocab; i++)
        session->logits[i] = 1.0f;
    session->n_rows = 1;
    session->n_rows_kept = n_logit_rows > 0;
    return GPT2_OK;
}
