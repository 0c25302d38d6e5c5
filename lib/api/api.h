/*
 * api.h: what the exported functions of all parts share.
 */
#ifndef GPT2I_API_H
#define GPT2I_API_H

#include "../base/params.h"
#include "../model/session.h"

/* Fails where a number is not in [min, max]. */
GPT2I_HIDDEN int32_t gpt2i_check_range(const char *name, int64_t value, int64_t min, int64_t max,
                                       struct gpt2i_error *error);

/* Fails for an empty path, which would name files in the root directory. */
GPT2I_HIDDEN int32_t gpt2i_check_path(const char *function, const char *path,
                                      struct gpt2i_error *error);

/* Fails unless each source has a known name of its own, and bytes or a read callback. */
GPT2I_HIDDEN int32_t gpt2i_check_sources(const char *function, const gpt2_source *sources,
                                         size_t n_sources, struct gpt2i_error *error);

/*
 * Begins a call on a session: '*error' becomes the session's own line, emptied.  Fails with
 * GPT2_ERR_ARGUMENT, and leaves '*error' unset, for NULL; and while a forward runs, for a call from a
 * tap or a parallel_for on the same session.
 */
GPT2I_HIDDEN int32_t gpt2i_session_begin(gpt2_session *session, struct gpt2i_error *error);

/* What calls that run tokens check.  'function' is the one that was called. */

/* The array of items and its length. */
GPT2I_HIDDEN int32_t gpt2i_check_items(const gpt2_session *session, const void *items,
                                       size_t n_items, const char *function,
                                       struct gpt2i_error *error);

#define GPT2I_LABEL_BYTES 40 /* room for "generators[65535]: " */

/*
 * Checks one item, and makes it item 'i' of the call that is about to run.  'label' names it in the
 * line of an error: "item 3: ", or "" if there is only one.
 */
GPT2I_HIDDEN int32_t gpt2i_take_item(gpt2_session *session, const gpt2_batch_item *item, size_t i,
                                     const char *function, const char *label,
                                     struct gpt2i_error *error);

/* Tokens [first, end) are in the vocabulary. */
GPT2I_HIDDEN int32_t gpt2i_check_ids(const gpt2_session *session, const int32_t *tokens,
                                     size_t first, size_t end, const char *label,
                                     struct gpt2i_error *error);

/* The items were taken: a sequence must not be in two of them, since their order would be unclear. */
GPT2I_HIDDEN int32_t gpt2i_check_twice(gpt2_session *session, size_t n_items, const char *function,
                                       struct gpt2i_error *error);

/* The items were taken: the session has room for their rows of logits. */
GPT2I_HIDDEN int32_t gpt2i_check_rows(const gpt2_session *session, size_t n_items,
                                      const char *function, struct gpt2i_error *error);

/* Copies and checks the params of sampling, in our floating-point state. */
GPT2I_HIDDEN int32_t gpt2i_sample_params_take(gpt2_sample_params *known,
                                              const gpt2_sample_params *params, int32_t n_vocab,
                                              struct gpt2i_error *error);

/*
 * As gpt2_batch_sample() of a row that may be partial: the params are those that it was computed for.
 */
GPT2I_HIDDEN int32_t gpt2i_draw(gpt2_session *session, size_t item, int32_t row,
                                const gpt2_sample_params *params, int32_t *id);

#endif
