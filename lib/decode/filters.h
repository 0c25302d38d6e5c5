/*
 * filters.h: what leaves tokens out of a draw: top-k, top-p and the like.
 */
#ifndef GPT2I_FILTERS_H
#define GPT2I_FILTERS_H

#include "candidates.h"

/*
 * Applies the filters that 'params' switch on, in their order.  At least one candidate stays.  'u' in
 * [0, 1) decides whether XTC is applied.
 */
GPT2I_HIDDEN void gpt2i_filters_apply(struct gpt2i_candidates *candidates,
                                      const gpt2_sample_params *params, float u);

/* Mirostat's next mu after a draw of 'id' from the candidates; it is finite. */
GPT2I_HIDDEN float gpt2i_mirostat_next(const struct gpt2i_candidates *candidates,
                                       const gpt2_sample_params *params, int32_t id);

#endif
