/*
 * api.h: what the exported functions of all parts share.
 */
#ifndef GPT2I_API_H
#define GPT2I_API_H

#include "../base/params.h"
#include "../model/session.h"

/* Fails where a number is not in [least, most]. */
GPT2I_HIDDEN int32_t gpt2i_check_range(const char *name, int64_t value, int64_t least, int64_t most,
                                       struct gpt2i_error *error);

/* The session's own error line, emptied for a new call. */
GPT2I_HIDDEN struct gpt2i_error gpt2i_session_error(gpt2_session *session);

#endif
