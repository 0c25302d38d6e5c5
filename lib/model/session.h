/*
 * session.h: texts being run through a model: KV cache, activations, logits, threads, all in one
 * block that begins with this struct.
 */
#ifndef GPT2I_SESSION_H
#define GPT2I_SESSION_H

#include "attention.h"
#include "item.h"
#include "model.h"
#include "workspace.h"

#include <stdatomic.h>

/*
 * Activations of one step of up to n_batch rows.  In the comments t is the rows of the step, E
 * n_embd, I n_inner, Q gpt2i_config_n_qkv().  Rows of n columns are gpt2i_row_stride(n) floats apart.  What is never needed
 * at the same time shares its memory.
 */
struct gpt2i_activations {
    float *residual; /* [t, E]: the stream that every block adds to */
    float *norm;     /* [t, E]: the output of a layer norm */
    float *ctx;      /* [t, E]: the heads' outputs, in norm's memory */
    float *mlp_out;  /* [t, E]: the MLP's output, in norm's memory */
    float *qkv;      /* [t, Q]: the output of c_attn */
    float *attn_out; /* [t, E]: attention's output, in qkv's memory */
    float *fc;       /* [t, I]: the inside of the MLP, in qkv's memory */
};

/*
 * Takes the wanted rows of logits of a call, in the order of the items, instead of having them kept:
 * a chunk of up to n_logit_rows and GPT2I_TAKEN_ROWS of them as soon as it is computed.  A status
 * other than GPT2_OK ends the call.
 */
struct gpt2i_taker {
    int32_t (*take)(void *argument, const float *logits, size_t n_rows);
    void *argument;
};

/* More rows at a time would read the weights of lm_head less often, but leave the caches. */
#define GPT2I_TAKEN_ROWS 64

struct gpt2_session {
    const gpt2_model *model;
    struct gpt2i_compute compute;
    int32_t n_batch;
    int32_t n_logit_rows; /* max rows kept */

    struct gpt2i_sequences sequences;
    struct gpt2i_kvcache kv;
    struct gpt2i_activations act;
    struct gpt2i_attention attention;
    struct gpt2i_taps taps;

    struct gpt2i_item *items;     /* [n_sequences] of the call that runs */
    struct gpt2i_span *spans;     /* [n_sequences] of the step that runs */
    int32_t *step_tokens;         /* [n_batch] */
    int32_t *step_positions;      /* [n_batch] */
    struct gpt2i_kept_rows *kept; /* [n_sequences] of the last call */
    size_t n_items_kept;          /* 0: it failed, or its rows were taken */
    struct gpt2i_taker taker;     /* 'take' is NULL unless the call that runs has one */
    float *logits;                /* [n_logit_rows, n_vocab] */
    struct gpt2i_workspace sampling;

    uint64_t *head_checksums; /* [n_layer, kv.n_head] of the state that is saved or checked */

    uint64_t host_state; /* floating-point state of the caller, while threads run */
    bool running;        /* a forward runs: callbacks may not call functions on this session */
    _Atomic bool cancelled;
    uint64_t deadline_ns; /* 0: none */
    uint64_t fingerprint; /* of the model; 0: not known yet */
    char error[GPT2I_ERROR_BYTES];
    size_t block_bytes; /* 0: in the caller's memory */
};

/* As gpt2_session_create(), _size() and _init(); 'params' are complete and in range, n_threads not 0. */
GPT2I_HIDDEN int32_t gpt2i_session_new(gpt2_session **session, const gpt2_model *model,
                                       const gpt2_session_params *params,
                                       struct gpt2i_error *error);
GPT2I_HIDDEN int32_t gpt2i_session_size(const gpt2_model *model, const gpt2_session_params *params,
                                        size_t *n_bytes, struct gpt2i_error *error);
GPT2I_HIDDEN int32_t gpt2i_session_init(gpt2_session **session, const gpt2_model *model,
                                        const gpt2_session_params *params, void *memory,
                                        size_t memory_bytes, struct gpt2i_error *error);

GPT2I_HIDDEN void gpt2i_session_free(gpt2_session *session);

#endif
