/*
 * draft.h: guesses of the tokens that come next, for one forward call to check together.
 *
 * A guess costs a row of the call, and saves a call if it is the token that is drawn.  Which tokens are
 * drawn does not depend on it: the row of a token has the same bits in any call.
 */
#ifndef GPT2I_DRAFT_H
#define GPT2I_DRAFT_H

#include "../base/common.h"

#define GPT2I_DRAFT_MAX 31 /* guesses of one text in one call */

/* Sums over the calls so far, of which each weighs less than the next one. */
struct gpt2i_draft_costs {
    double n, rows, rows_rows, ns, rows_ns;
};

struct gpt2i_draft {
    int32_t max;     /* guesses in a call; 0: none */
    int32_t *tokens; /* [1 + max]: the last token of the text, and the guesses behind it */
    double hit_rate; /* of guesses, the latest counting most */
    struct gpt2i_draft_costs costs;
    uint64_t n_drafted;
    uint64_t n_accepted;
};

GPT2I_HIDDEN void gpt2i_draft_reset(struct gpt2i_draft *draft);

/*
 * Guesses what follows the text ids [n_ids], tokens[0]: what followed the last place with the longest
 * end of this text.  Returns how many guesses there are, up to n_max, in tokens[1..].
 */
GPT2I_HIDDEN size_t gpt2i_draft_look_up(const int32_t *ids, size_t n_ids, int32_t *tokens,
                                        size_t n_max);

/*
 * How many guesses, up to n_max, make a call give the most tokens for its time.  Without them it has
 * n_rows rows, which give n_tokens.
 */
GPT2I_HIDDEN size_t gpt2i_draft_worth(const struct gpt2i_draft *draft, size_t n_rows,
                                      size_t n_tokens, size_t n_max);

/* Learns from a call: what it cost, and how many of the text's guesses were right. */
GPT2I_HIDDEN void gpt2i_draft_learn_cost(struct gpt2i_draft *draft, size_t n_rows, uint64_t ns);
GPT2I_HIDDEN void gpt2i_draft_learn_hits(struct gpt2i_draft *draft, size_t n_drafted,
                                         size_t n_accepted);

#endif
