/*
 * tap.h: showing activations to the caller's callback.
 */
#ifndef GPT2I_TAP_H
#define GPT2I_TAP_H

#include "sequence.h"

struct gpt2i_taps {
    gpt2_tap_callback callback;
    void *user;
    uint32_t kinds;       /* GPT2_TAP_BIT of the wanted points; 0: none */
    uint64_t *host_state; /* the host's floating-point state, which the callback runs in */
    struct gpt2i_error error;
};

static inline bool gpt2i_tap_wants(const struct gpt2i_taps *taps, uint32_t kinds)
{
    return (taps->kinds & kinds) != 0;
}

/* Rows of a span: those after the first 'n_skipped'. */
struct gpt2i_tap_rows {
    const struct gpt2i_span *span;
    size_t n_skipped;
    size_t n_rows;
};

/*
 * Shows 'data' [rows->n_rows, n_columns], with rows row_stride floats apart, if its kind is wanted.
 * 'head' is -1 but for scores and probs.  Returns GPT2_ERR_CANCELLED if the callback ends the call.
 */
GPT2I_HIDDEN int32_t gpt2i_tap_show(struct gpt2i_taps *taps, int32_t kind, int32_t layer,
                                    int32_t head, const struct gpt2i_tap_rows *rows,
                                    size_t n_columns, size_t row_stride, float *data);

/* As gpt2_tap_name(). */
GPT2I_HIDDEN int32_t gpt2i_tap_name(int32_t kind, int32_t layer, char *name, size_t capacity);

#endif
