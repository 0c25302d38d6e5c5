/*
 * batch.h: a forward call: tokens of several sequences, cut into steps.
 */
#ifndef GPT2I_BATCH_H
#define GPT2I_BATCH_H

#include "session.h"

/*
 * As gpt2_forward_batch(), for the first n_items of session->items: their sequence, tokens, n_tokens and
 * n_kept are set and in range.  If the session has a taker, n_kept are the rows that it takes, any
 * number, and none are kept.  After GPT2_ERR_PAGES the first item with 'is_short' is the one that did
 * not fit.
 */
GPT2I_HIDDEN int32_t gpt2i_batch_run(gpt2_session *session, size_t n_items);

/*
 * Forgets the last n_rows rows of an item of the last call, and the tokens behind them: the sequence then
 * ends with the token of the row before.  That row is kept.
 */
GPT2I_HIDDEN void gpt2i_batch_take_back(gpt2_session *session, size_t item, size_t n_rows);

/*
 * Finds a row of the last call, as gpt2_batch_logits() counts them.  '*kept' is its index among the kept
 * rows, '*position' that in the text of the token that follows it.  A partial row is only for the draw
 * that it was computed for: 'draws'.  Errors: GPT2_ERR_ROW.
 */
GPT2I_HIDDEN int32_t gpt2i_batch_find_row(const gpt2_session *session, size_t item, int32_t row,
                                          bool draws, size_t *kept, int32_t *position,
                                          struct gpt2i_error *error);

#endif
