/*
 * draft.c: drafts from the text so far, and how long they may be.
 *
 * Text that copies itself (code, logs, lists, names) is guessed by what it copies: prompt lookup.
 */
#include "draft.h"

#define SHORTEST_MATCH 2 /* tokens that both places must share: one alone says too little */
#define LONGEST_MATCH  16

/* A call weighs as much as 1/32 of all. */
#define KEEP (31.0 / 32.0)

/* What a row costs, as a part of a call, until calls of different sizes have shown it. */
#define ROW_COST 0.02

/* What calls that all have one size count for, in rows^2, against what they cannot show. */
#define DOUBT 0.05

/* Where calls do not draft, their hit rate becomes the unknown one again, so that they try once more. */
#define UNKNOWN_RATE 0.5

void gpt2i_draft_reset(struct gpt2i_draft *draft)
{
    draft->hit_rate = UNKNOWN_RATE;
    draft->n_drafted = draft->n_accepted = 0;
}

/* --------------------------------------------------------------------------------- the guesses -- */

/* Token i of a text and of the guesses behind it. */
static int32_t text_token(const int32_t *ids, size_t n_ids, const int32_t *tokens, size_t i)
{
    return i < n_ids ? ids[i] : tokens[i - n_ids];
}

/* How many tokens before 'place', of which the last is the text's last one, are those of the text's end. */
static size_t match_length(const int32_t *ids, size_t n_ids, size_t place)
{
    size_t n = 1;

    while (n < LONGEST_MATCH && n < place && ids[place - 1 - n] == ids[n_ids - n])
        n++;
    return n;
}

size_t gpt2i_draft_look_up(const int32_t *ids, size_t n_ids, int32_t *tokens, size_t n_max)
{
    size_t longest = SHORTEST_MATCH - 1, from = 0;

    for (size_t place = n_ids; place > 0 && longest < LONGEST_MATCH; place--) {
        size_t n = ids[place - 1] == tokens[0] ? match_length(ids, n_ids, place) : 0;

        if (n > longest) {
            longest = n;
            from = place;
        }
    }
    if (from == 0)
        return 0;
    for (size_t i = 0; i < n_max; i++) /* a guess may copy one before it */
        tokens[1 + i] = text_token(ids, n_ids, tokens, from + i);
    return n_max;
}

/* ---------------------------------------------------------------------------------- their worth -- */

size_t gpt2i_draft_worth(const struct gpt2i_draft *draft, size_t n_rows, size_t n_tokens,
                         size_t n_max)
{
    double rows = (double)n_rows;
    const struct gpt2i_draft_costs first = {1.0, rows, rows * rows, 1.0,
                                            rows}; /* before any call */
    const struct gpt2i_draft_costs *costs = draft->costs.n > 0.0 ? &draft->costs : &first;
    double mean_rows = costs->rows / costs->n, mean_ns = costs->ns / costs->n;
    double variance = costs->rows_rows / costs->n - mean_rows * mean_rows;
    double covariance = costs->rows_ns / costs->n - mean_rows * mean_ns;
    /* the slope of a line through the calls */
    double row_ns = (covariance + DOUBT * ROW_COST * mean_ns) / (variance + DOUBT);
    double tokens = (double)n_tokens, expected = 1.0, best = 0.0;
    size_t best_n = 0;

    row_ns = row_ns < 0.0 ? 0.0 : row_ns > mean_ns / mean_rows ? mean_ns / mean_rows : row_ns;
    for (size_t i = 0; i <= n_max; i++) {
        double ns = mean_ns + row_ns * ((double)(n_rows + i) - mean_rows);

        if (tokens > best * ns) {
            best = tokens / ns;
            best_n = i;
        }
        expected *= draft->hit_rate;
        tokens += expected;
    }
    return best_n;
}

void gpt2i_draft_learn_cost(struct gpt2i_draft *draft, size_t n_rows, uint64_t ns)
{
    struct gpt2i_draft_costs *costs = &draft->costs;
    double rows = (double)n_rows, time = (double)ns;

    costs->n = KEEP * costs->n + 1.0;
    costs->rows = KEEP * costs->rows + rows;
    costs->rows_rows = KEEP * costs->rows_rows + rows * rows;
    costs->ns = KEEP * costs->ns + time;
    costs->rows_ns = KEEP * costs->rows_ns + rows * time;
}

void gpt2i_draft_learn_hits(struct gpt2i_draft *draft, size_t n_drafted, size_t n_accepted)
{
    draft->n_drafted += n_drafted;
    draft->n_accepted += n_accepted;
    if (n_drafted == 0)
        draft->hit_rate += (UNKNOWN_RATE - draft->hit_rate) / 256.0;
    for (size_t i = 0; i < n_accepted; i++)
        draft->hit_rate += (1.0 - draft->hit_rate) / 16.0;
    if (n_accepted < n_drafted)
        draft->hit_rate -= draft->hit_rate / 16.0;
}
