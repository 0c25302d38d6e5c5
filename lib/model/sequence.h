/*
 * sequence.h: a text that is being run.  sequence.c alone changes how far it has come.
 */
#ifndef GPT2I_SEQUENCE_H
#define GPT2I_SEQUENCE_H

#include "../base/status.h"

struct gpt2i_sequence {
    int32_t n_past;      /* positions in the KV cache */
    int32_t n_rows;      /* tokens of the last forward call */
    int32_t n_rows_kept; /* the last of them, whose logits are kept */
};

/* Rows of a step that are one sequence's, at consecutive positions. */
struct gpt2i_span {
    const struct gpt2i_sequence *sequence; /* as it was before the forward call */
    size_t first_position;                 /* of its first row */
    size_t first_row;                      /* in the activations of the step */
    size_t n_rows;
    size_t n_kept; /* the last of its rows, whose logits are wanted */
};

/* An empty text. */
GPT2I_HIDDEN void gpt2i_sequence_reset(struct gpt2i_sequence *sequence);

/* The kept logits are about to be overwritten. */
GPT2I_HIDDEN void gpt2i_sequence_drop_rows(struct gpt2i_sequence *sequence);

/* A forward call of n_rows tokens is complete. */
GPT2I_HIDDEN void gpt2i_sequence_append(struct gpt2i_sequence *sequence, size_t n_rows,
                                        size_t n_rows_kept);

/*
 * Finds a row, as gpt2_session_logits() counts them: '*kept' is its index among the kept rows,
 * '*position' the position of the token that follows it.  Errors: GPT2_ERR_ROW.
 */
GPT2I_HIDDEN int32_t gpt2i_sequence_find_row(const struct gpt2i_sequence *sequence, int32_t row,
                                             size_t *kept, int32_t *position,
                                             struct gpt2i_error *error);

#endif
