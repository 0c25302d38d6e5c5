/*
 * processors.h: changes to a row of logits before anything is left out: biases, penalties, bans.
 */
#ifndef GPT2I_PROCESSORS_H
#define GPT2I_PROCESSORS_H

#include "../model/workspace.h"

/* Whether 'params' ask for any change. */
GPT2I_HIDDEN bool gpt2i_processors_change(const gpt2_sample_params *params);

/*
 * A row as 'params', whose ids are in range, change it: 'logits' itself if they change nothing, else
 * space->logits.  The callback is called last, in the floating-point state 'host_state'.  The result is
 * NULL if it ends the call.
 */
GPT2I_HIDDEN const float *gpt2i_processors_apply(const float *logits, size_t n_vocab,
                                                 const struct gpt2i_workspace *space,
                                                 const gpt2_sample_params *params,
                                                 uint64_t host_state);

#endif
