/*
 * shortlist.h: the largest logits, without reading all weights of the head.
 *
 * A copy of the head in 8 bits gives each logit, and how far that can be from the logit of the head
 * itself.  The few tokens that can be among the largest are then computed with the head: the same bits as
 * without a copy, from a quarter of the bytes.
 */
#ifndef GPT2I_SHORTLIST_H
#define GPT2I_SHORTLIST_H

#include "compute.h"
#include "model.h"
#include "workspace.h"

/*
 * Makes the copy on up to n_threads threads.  There is none where the head is not F32, since it would win
 * nothing, or has a weight that is not finite or beyond what 8 bits hold.  Errors: GPT2_ERR_MEMORY, _THREAD.
 */
GPT2I_HIDDEN int32_t gpt2i_shortlist_make(gpt2_model *model, int32_t n_threads,
                                          struct gpt2i_error *error);

static inline bool gpt2i_has_shortlist(const gpt2_model *model)
{
    return model->shortlist.copy.weight.panels != NULL;
}

/*
 * The logits of one row x, its last norm: those of all tokens that can be among the n_top largest, ties
 * and what rounding makes a tie included; -INFINITY for others.  'logits' [n_vocab] holds what the copy
 * gives for x.  'n_top' is 1 to the number of the head's panels.
 */
GPT2I_HIDDEN void gpt2i_shortlist_row(const struct gpt2i_compute *compute,
                                      const struct gpt2i_workspace *space, const gpt2_model *model,
                                      float *logits, const float *x, size_t n_top);

#endif
