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

/* Room for "item 65535: " and the like. */
#define GPT2I_LABEL_BYTES 40

/*
 * Checks one item of a call, and makes it item 'i' of session->items.  Errors: as
 * gpt2_forward_batch(), but what the items together break.
 */
GPT2I_HIDDEN int32_t gpt2i_item_take(gpt2_session *session, const gpt2_batch_item *item, size_t i,
                                     const char *function, const char *label,
                                     struct gpt2i_error *error);

/* Checks the first n_items of session->items together: sequences and kept rows. */
GPT2I_HIDDEN int32_t gpt2i_items_check(gpt2_session *session, size_t n_items, const char *function,
                                       struct gpt2i_error *error);

/* Copies and checks the params of sampling, in our floating-point state. */
GPT2I_HIDDEN int32_t gpt2i_sample_params_take(gpt2_sample_params *known,
                                              const gpt2_sample_params *params,
                                              struct gpt2i_error *error);

#endif
