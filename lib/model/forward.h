/*
 * forward.h: the forward pass of one step.
 */
#ifndef GPT2I_FORWARD_H
#define GPT2I_FORWARD_H

#include "session.h"

/* Up to n_batch rows that go through the model together: a list of spans, each rows of one sequence. */
struct gpt2i_step {
    const int32_t *tokens;    /* [t] */
    const int32_t *positions; /* [t] in their contexts */
    size_t t;
    const struct gpt2i_span *spans;
    size_t n_spans;
    size_t n_tiles; /* of attention, for each head */
    float *logits;  /* receives [kept rows of all spans, n_vocab], or a chunk for the taker */
};

/*
 * Runs a step: fills the running pages of its sequences, and the logits.  Errors: GPT2_ERR_CANCELLED,
 * _DEADLINE.
 */
GPT2I_HIDDEN int32_t gpt2i_run_step(gpt2_session *session, const struct gpt2i_step *step);

/* Whether the call must end: GPT2_ERR_CANCELLED or _DEADLINE. */
GPT2I_HIDDEN int32_t gpt2i_interrupted(gpt2_session *session);

#endif
