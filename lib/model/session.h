/*
 * session.h: one text being run through a model: KV cache, activations, logits, threads, all in one
 * block that this struct begins.
 */
#ifndef GPT2I_SESSION_H
#define GPT2I_SESSION_H

#include "../kernels/kernels.h"
#include "kvcache.h"
#include "model.h"
#include "../base/status.h"
#include "../base/threads.h"

#include <stdatomic.h>

#define GPT2I_ATTENTION_ROWS 28 /* queries that one attention task takes, at most GPT2I_PAGE */

/*
 * Floats from one row of 'n_columns' activations to the next.  Rows begin at cache lines, and not at
 * a multiple of 2048 bytes from each other: the rows that a kernel reads at once would contend for
 * the same sets of a cache.
 */
static inline size_t gpt2i_row_stride(size_t n_columns)
{
    size_t n_lines = gpt2i_ceil_div(n_columns, GPT2I_LANES);

    return (n_lines % 32 == 0 ? n_lines + 16 : n_lines) * GPT2I_LANES;
}

/*
 * Activations of one step of up to n_batch rows.  In the comments t is the rows of the step, E
 * n_embd, I n_inner, V n_vocab.  Rows of n columns are gpt2i_row_stride(n) floats apart.
 */
struct gpt2i_activations {
    float *residual; /* [t, E]: the stream that every block adds to */
    float *narrow;   /* [t, E]: a norm's output; then the heads' outputs, or the MLP's */
    float *wide;     /* [t, max(3 E, I)]: q, k, v; then the attention's output; then the MLP's fc */
    float *scores;   /* [n_threads][GPT2I_ATTENTION_ROWS, n_pages 64]: tiles of attention */
};

struct gpt2_session {
    const gpt2_model *model;
    const struct gpt2i_kernels *kernels;
    struct gpt2i_pool *pool;
    int32_t n_ctx;
    int32_t n_batch;
    int32_t n_logit_rows; /* most rows kept */
    int32_t empty_prompt;

    int32_t n_past; /* positions in the KV cache */
    struct gpt2i_kvcache kv;
    struct gpt2i_activations act;

    float *logits;         /* [n_logit_rows, V] */
    int32_t n_rows;        /* rows of the last forward */
    int32_t n_rows_kept;   /* the last of them, whose logits are there */
    float *sample_weights; /* [V] */
    int32_t *sample_order; /* [V] */

    gpt2_tap_callback tap;
    void *tap_user;
    uint32_t tap_kinds; /* GPT2_TAP_BIT of those wanted; 0: off */

    uint64_t host_state; /* floating-point state of the caller, while a forward runs */
    _Atomic bool cancelled;
    uint64_t deadline_ns; /* 0: none */
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

/* The kept logits of a row as gpt2_session_logits() counts them; NULL, with a line in the error. */
GPT2I_HIDDEN float *gpt2i_session_row(gpt2_session *session, int32_t row,
                                      struct gpt2i_error *error);

#endif
