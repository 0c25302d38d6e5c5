/*
 * pairs.c: the two sides of each pair.
 *
 * The long texts stay as they are.  A side forks each of them where it needs it, so it reads pages of
 * 32 different texts, and no prompt has to run again.
 */
#include "pairs.h"

#include <string.h>

#include "../messages.h"
#include "../platform.h"
#include "../setup.h"

#define LONG_TOKENS     900 /* of each long text: the max length of the random ones */
#define FEW_POSITION    15  /* of the texts that run beside a prompt: every batch has been there */
#define N_TIMED         4 /* calls; a first one, which copies the pages that a fork shares, is not timed */
#define LONG_CTX        (LONG_TOKENS + N_TIMED)
#define PAGES(n_tokens) (((n_tokens) + PAGE_POSITIONS - 1) / PAGE_POSITIONS)

/* A fork needs two pages: the copy of one that it shares, and one behind that. */
#define LONG_PAGES (N_TEXTS * (PAGES(LONG_TOKENS) + 2))

/* Random lengths from 1 to LONG_TOKENS, the same in every run, and equal ones of the same sum. */
static void make_lengths(int32_t lengths[2][N_TEXTS])
{
    uint32_t x = 1;
    int32_t sum = 0;

    for (int i = 0; i < N_TEXTS; i++) {
        x = x * 1664525u + 1013904223u;
        lengths[0][i] = 1 + (int32_t)((x >> 8) % LONG_TOKENS);
        sum += lengths[0][i];
    }
    for (int i = 0; i < N_TEXTS; i++)
        lengths[1][i] = sum / N_TEXTS + (i < sum % N_TEXTS);
}

enum outcome pairs_open(struct pairs *pairs, const struct options *options, const gpt2_model *model,
                        const gpt2_model_info *info, struct many_texts *few, const int32_t *ids,
                        double max_bytes)
{
    const struct many_sizes f32 = {LONG_CTX, 2 * N_TEXTS + 1, LONG_PAGES, GPT2_TYPE_F32};
    const struct many_sizes f16 = {LONG_CTX, 2 * N_TEXTS + 1, LONG_PAGES, GPT2_TYPE_F16};
    enum outcome outcome;

    memset(pairs, 0, sizeof *pairs);
    pairs->few = few;
    make_lengths(pairs->lengths);
    if (info->n_positions < LONG_CTX ||
        many_bytes(options, model, &f32) + many_bytes(options, model, &f16) > max_bytes)
        return OUTCOME_DONE;
    progress("filling %d texts", 2 * N_TEXTS);
    outcome = many_open(&pairs->many_f32, options, model, &f32, ids);
    if (outcome == OUTCOME_DONE)
        outcome = many_fill(&pairs->many_f32, LONG_TOKENS);
    if (outcome == OUTCOME_DONE)
        outcome = many_open(&pairs->many_f16, options, model, &f16, ids);
    if (outcome == OUTCOME_DONE)
        outcome = many_fill(&pairs->many_f16, LONG_TOKENS);
    progress_clear();
    return outcome;
}

void pairs_close(struct pairs *pairs)
{
    many_close(&pairs->many_f32);
    many_close(&pairs->many_f16);
}

bool pairs_have(const struct pairs *pairs, enum pair_kind kind)
{
    return kind == PAIR_TOGETHER ? gpt2_session_n_ctx(pairs->few->session) >= PROMPT_TOKENS
                                 : pairs->many_f16.session != NULL;
}

double pairs_cache_positions(void)
{
    return N_TEXTS * (CACHE_POSITION + (N_TIMED - 1) / 2.0);
}

/* ------------------------------------------------------------------------------------- sides -- */

static enum outcome run_forks(struct many_texts *many, const struct part *forks, double *seconds)
{
    enum outcome outcome = many_run(many, forks, N_TEXTS);
    double start = platform_seconds();

    for (int i = 0; i < N_TIMED && outcome == OUTCOME_DONE; i++)
        outcome = many_run(many, forks, N_TEXTS);
    *seconds += platform_seconds() - start;
    return outcome;
}

/* Runs a token for each of 32 forks, several times, from those of these lengths on. */
static enum outcome decode_at(struct many_texts *many, const int32_t lengths[N_TEXTS],
                              double *seconds)
{
    struct part forks[N_TEXTS];
    int32_t status = GPT2_OK;
    enum outcome outcome;

    for (int i = 0; i < N_TEXTS && status == GPT2_OK; i++) {
        forks[i].n_tokens = 1;
        status =
            gpt2_sequence_fork(many->session, many->texts[i], lengths[i] - 1, &forks[i].sequence);
    }
    if (status != GPT2_OK)
        return session_complain(many->session, status);
    outcome = run_forks(many, forks, seconds);
    for (int i = 0; i < N_TEXTS && outcome == OUTCOME_DONE; i++)
        (void)gpt2_sequence_close(many->session, forks[i].sequence);
    return outcome;
}

static enum outcome decode_at_one_length(struct many_texts *many, int32_t length, double *seconds)
{
    int32_t lengths[N_TEXTS];

    for (int i = 0; i < N_TEXTS; i++)
        lengths[i] = length;
    return decode_at(many, lengths, seconds);
}

/* A prompt, and a token for each text: in one call, or in two. */
static enum outcome run_prompt(struct many_texts *few, bool together, double *seconds)
{
    struct part parts[N_TEXTS + 1];
    int32_t n_first = together ? N_TEXTS + 1 : 1;
    double start;
    enum outcome outcome = many_go_to(few, N_TEXTS, FEW_POSITION);

    parts[0] = (struct part){few->texts[PROMPT], PROMPT_TOKENS};
    for (int i = 0; i < N_TEXTS; i++)
        parts[1 + i] = (struct part){few->texts[i], 1};
    (void)gpt2_sequence_truncate(few->session, few->texts[PROMPT], 0);
    start = platform_seconds();
    if (outcome == OUTCOME_DONE)
        outcome = many_run(few, parts, n_first);
    if (outcome == OUTCOME_DONE && !together)
        outcome = many_run(few, parts + n_first, N_TEXTS);
    *seconds += platform_seconds() - start;
    return outcome;
}

enum outcome pairs_run(struct pairs *pairs, enum pair_kind kind, int side, double *seconds)
{
    switch (kind) {
    case PAIR_LENGTHS:
        return decode_at(&pairs->many_f32, pairs->lengths[side], seconds);
    case PAIR_TOGETHER:
        return run_prompt(pairs->few, side == 0, seconds);
    default:
        return decode_at_one_length(side == 0 ? &pairs->many_f16 : &pairs->many_f32, CACHE_POSITION,
                                    seconds);
    }
}
