/*
 * tap.h: showing activations to the caller's callback.
 */
#ifndef GPT2I_TAP_H
#define GPT2I_TAP_H

#include "session.h"

static inline bool gpt2i_tap_wants(const gpt2_session *session, uint32_t kinds)
{
    return (session->tap_kinds & kinds) != 0;
}

/*
 * Shows 'data' [n_rows, n_columns], rows row_stride floats apart, if its kind is wanted.
 * 'first_row' counts in the forward call, whose first row is at session->n_past.
 * Returns GPT2_ERR_CANCELLED if the callback ends the call.
 */
GPT2I_HIDDEN int32_t gpt2i_tap_rows(gpt2_session *session, int32_t kind, int32_t layer,
                                    int32_t first_row, size_t n_rows, size_t n_columns,
                                    size_t row_stride, float *data);

/* The same for one head's scores or probs. */
GPT2I_HIDDEN int32_t gpt2i_tap_head(gpt2_session *session, int32_t kind, int32_t layer,
                                    int32_t head, int32_t first_row, size_t n_rows,
                                    size_t n_columns, size_t row_stride, float *data);

/* As gpt2_tap_name(). */
GPT2I_HIDDEN int32_t gpt2i_tap_name(int32_t kind, int32_t layer, char *name, size_t capacity);

#endif
