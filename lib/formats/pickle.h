/*
 * pickle.h: Python's pickles of a PyTorch state_dict, interpreted as data.
 *
 * A pickle is a program for a stack machine that can call whatever Python can.  Here nothing is
 * called or looked up, and every opcode that a state_dict does not need is refused.  No value is
 * copied, so that memory and time are bounded by the length of the pickle.
 */
#ifndef GPT2I_PICKLE_H
#define GPT2I_PICKLE_H

#include "../base/arena.h"
#include "pickle_values.h"

/* Places the machine for pickles that are together in 'n_bytes' (below 2^31) in an arena. */
GPT2I_HIDDEN void gpt2i_pickle_layout(struct gpt2i_pickle *pickle, struct gpt2i_arena *arena,
                                      size_t n_bytes);

/*
 * Runs the pickle that begins at pickle->at, up to its end; '*value' receives what it says.  Values
 * of earlier pickles in the same bytes stay.  Errors: GPT2_ERR_FORMAT, _UNSUPPORTED (a name or an
 * opcode that is no part of a state_dict).
 */
GPT2I_HIDDEN int32_t gpt2i_pickle_run(struct gpt2i_pickle *pickle,
                                      const struct gpt2i_pickle_value **value,
                                      struct gpt2i_error *error);

#endif
