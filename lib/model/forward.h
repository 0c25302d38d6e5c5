/*
 * forward.h: the forward pass.
 */
#ifndef GPT2I_FORWARD_H
#define GPT2I_FORWARD_H

#include "session.h"

/*
 * As gpt2_forward(), for arguments that are in range: n_tokens >= 1 fit into the context, and
 * n_logit_rows <= n_tokens.  On failure the text is as before and no logits are kept.
 */
GPT2I_HIDDEN int32_t gpt2i_forward(gpt2_session *session, const int32_t *tokens, size_t n_tokens,
                                   size_t n_logit_rows);

#endif
