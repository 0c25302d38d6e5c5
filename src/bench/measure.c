/*
 * measure.c: the rounds of `gpt2 bench`.
 */
#include "measure.h"

#include <stdbool.h>
#include <stdio.h>

#include "../input.h"
#include "limits.h"
#include "manytexts.h"
#include "../messages.h"
#include "pairs.h"
#include "../platform.h"
#include "../setup.h"
#include "work.h"

#define N_LOADS 5
#define N_IDS   1024

/* A model with more bytes of weights for a token is large: it loads once, and runs fewer tokens. */
#define LARGE_BYTES 2000000000u

/* No cache of a CPU holds this much, so reading it is as slow as reading more. */
#define MAX_BUFFER_BYTES 1000000000u

/* No round begins that would end later than this many seconds after the start of the command. */
#define MAX_SECONDS 200

/* The runs of a pair in one round: as many as fit into this time, at least one. */
#define PAIR_SECONDS  0.5
#define MAX_PAIR_RUNS 50
_Static_assert(N_ROUNDS *MAX_PAIR_RUNS <= MAX_SAMPLES, "samples have room for all runs");

struct bench {
    const struct options *options;
    struct measurements *results;
    gpt2_model *model;
    struct limits limits;
    gpt2_session *session;
    struct many_texts many; /* short texts */
    struct pairs pairs;
    int32_t ids[N_IDS];
    gpt2_token_score scores[N_IDS];
};

/* --------------------------------------------------------------------------------- the sizes -- */

int32_t measured_context(const gpt2_model_info *info)
{
    return info->n_positions < N_IDS ? info->n_positions : N_IDS;
}

static bool is_large(const gpt2_model_info *info)
{
    return token_bytes(info) > LARGE_BYTES;
}

/* -------------------------------------------------------------------------------- one round -- */

static enum outcome read_limit(struct bench *bench, double *bytes_per_second)
{
    enum outcome outcome = limits_read(&bench->limits, bytes_per_second);

    if (outcome == OUTCOME_DONE)
        samples_add(&bench->results->reading, *bytes_per_second);
    return outcome;
}

static enum outcome multiply_limit(struct bench *bench, double *flops_per_second)
{
    enum outcome outcome = limits_multiply(&bench->limits, flops_per_second);

    if (outcome == OUTCOME_DONE)
        samples_add(&bench->results->multiplying, *flops_per_second);
    return outcome;
}

static double better(double a, double b)
{
    return a > b ? a : b;
}

/* Appends n of our ids in one call. */
static enum outcome feed(struct bench *bench, gpt2_session *session, int32_t n)
{
    struct ids ids = {bench->ids + gpt2_session_position(session), (size_t)n};

    return session_feed(bench->options, session, &ids, false);
}

/* Brings the text to a position.  It has the same tokens in all work, so a longer one is cut. */
static enum outcome go_to(struct bench *bench, int32_t position)
{
    int32_t missing = position - gpt2_session_position(bench->session);
    int32_t status;

    if (missing > 0)
        return feed(bench, bench->session, missing);
    status = gpt2_sequence_truncate(bench->session, 0, position);
    return status == GPT2_OK ? OUTCOME_DONE : session_complain(bench->session, status);
}

/* Scores n of our ids, which run; the last of them is one more. */
static enum outcome score(struct bench *bench, int32_t n)
{
    gpt2_score_item item = {.tokens = bench->ids, .n_tokens = (size_t)n + 1, .n_prefix = 1};
    int32_t status;

    item.scores = bench->scores;
    status = gpt2_score(bench->session, &item, 1, NULL);
    return status == GPT2_OK ? OUTCOME_DONE : session_complain(bench->session, status);
}

/* A text in one call: WORK_PREFILL or WORK_SCORE. */
static enum outcome whole_text(struct bench *bench, struct figure *figure)
{
    const gpt2_model_info *info = &bench->results->info;
    bool scores = figure->work == WORK_SCORE;
    double flops = scores ? score_flops(info, figure->n) : prefill_flops(info, figure->n);
    double before, after;
    double start, seconds;
    enum outcome outcome = multiply_limit(bench, &before);

    gpt2_session_reset(bench->session);
    start = platform_seconds();
    if (outcome == OUTCOME_DONE)
        outcome = scores ? score(bench, figure->n) : feed(bench, bench->session, figure->n);
    seconds = platform_seconds() - start;
    if (outcome == OUTCOME_DONE)
        outcome = multiply_limit(bench, &after);
    if (outcome != OUTCOME_DONE)
        return outcome;
    samples_add(&figure->rates, figure->n / seconds);
    samples_add(&figure->ratios, flops / better(before, after) / seconds);
    return OUTCOME_DONE;
}

static enum outcome decode_slice(struct bench *bench, double *seconds)
{
    double start = platform_seconds();
    enum outcome outcome = OUTCOME_DONE;

    for (int i = 0; i < N_SLICE && outcome == OUTCOME_DONE; i++)
        outcome = feed(bench, bench->session, 1);
    *seconds = platform_seconds() - start;
    return outcome;
}

static enum outcome decode(struct bench *bench, struct figure *figure)
{
    double bytes =
        (double)token_bytes(&bench->results->info) + bench->results->position_bytes * figure->n;
    int32_t n_tokens = bench->results->decode_tokens;
    double total = 0;
    double before;
    enum outcome outcome = go_to(bench, figure->n);

    if (outcome == OUTCOME_DONE)
        outcome = read_limit(bench, &before);
    for (int32_t i = 0; i < n_tokens && outcome == OUTCOME_DONE; i += N_SLICE) {
        double after;
        double seconds;

        outcome = decode_slice(bench, &seconds);
        if (outcome == OUTCOME_DONE)
            outcome = read_limit(bench, &after);
        if (outcome != OUTCOME_DONE)
            return outcome;
        samples_add(&figure->ratios, N_SLICE * bytes / better(before, after) / seconds);
        total += seconds;
        before = after;
    }
    if (outcome == OUTCOME_DONE)
        samples_add(&figure->rates, n_tokens / total);
    return outcome;
}

static enum outcome machine_limit(struct bench *bench, struct machine *machine)
{
    double bytes_per_second;
    double flops_per_second;
    enum outcome outcome = read_limit(bench, &bytes_per_second);

    if (outcome == OUTCOME_DONE)
        outcome = multiply_limit(bench, &flops_per_second);
    if (outcome != OUTCOME_DONE)
        return outcome;
    *machine = (struct machine){bytes_per_second, flops_per_second};
    return OUTCOME_DONE;
}

static struct machine better_machine(const struct machine *a, const struct machine *b)
{
    return (struct machine){better(a->bytes_per_second, b->bytes_per_second),
                            better(a->flops_per_second, b->flops_per_second)};
}

/* Seconds that the machine needs at least for a batch, from position 0 on. */
static double batch_limit(struct bench *bench, int32_t n_texts, const struct machine *machine)
{
    double seconds = 0;

    for (int32_t position = 0; position < bench->results->batch_steps; position++)
        seconds += batch_seconds(&bench->results->info, bench->results->position_bytes, n_texts,
                                 (double)n_texts * position, machine);
    return seconds;
}

static enum outcome batch(struct bench *bench, struct figure *figure)
{
    int32_t n_steps = bench->results->batch_steps;
    struct machine before;
    struct machine after;
    struct machine best;
    double start;
    double seconds;
    enum outcome outcome = many_go_to(&bench->many, figure->n, 0);

    if (outcome == OUTCOME_DONE)
        outcome = machine_limit(bench, &before);
    start = platform_seconds();
    if (outcome == OUTCOME_DONE)
        outcome = many_step(&bench->many, figure->n, n_steps);
    seconds = platform_seconds() - start;
    if (outcome == OUTCOME_DONE)
        outcome = machine_limit(bench, &after);
    if (outcome != OUTCOME_DONE)
        return outcome;
    best = better_machine(&before, &after);
    samples_add(&figure->rates, (double)figure->n * n_steps / seconds);
    samples_add(&figure->ratios, batch_limit(bench, figure->n, &best) / seconds);
    return OUTCOME_DONE;
}

/* What the caches of f32 and of f16 should differ by: the ratio of the limits. */
static double cache_limit(struct bench *bench, const struct machine *machine)
{
    struct measurements *results = bench->results;
    double n_positions = pairs_cache_positions();

    return batch_seconds(&results->info, results->position_bytes, N_TEXTS, n_positions, machine) /
           batch_seconds(&results->info, results->half_position_bytes, N_TEXTS, n_positions,
                         machine);
}

/* Side 0, side 1, side 1, side 0, so that a change of the machine's speed meets both alike. */
static enum outcome run_sides(struct bench *bench, enum pair_kind kind, double *ratio)
{
    double seconds[2] = {0, 0};
    enum outcome outcome = OUTCOME_DONE;

    for (int i = 0; i < 4 && outcome == OUTCOME_DONE; i++) {
        int side = i == 1 || i == 2;

        outcome = pairs_run(&bench->pairs, kind, side, &seconds[side]);
    }
    *ratio = kind == PAIR_TOGETHER ? seconds[0] / seconds[1] : seconds[1] / seconds[0];
    return outcome;
}

/* One round of a pair: several runs of it with a small model. */
static enum outcome pair(struct bench *bench, enum pair_kind kind)
{
    struct comparison *comparison = &bench->results->comparisons[kind];
    int first = comparison->ratios.count;
    double start = platform_seconds();
    struct machine before;
    struct machine after;
    enum outcome outcome = machine_limit(bench, &before);

    for (int i = 0; i < MAX_PAIR_RUNS && outcome == OUTCOME_DONE; i++) {
        double ratio;

        if (i > 0 && platform_seconds() - start > PAIR_SECONDS)
            break;
        outcome = run_sides(bench, kind, &ratio);
        samples_add(&comparison->ratios, ratio);
    }
    if (outcome == OUTCOME_DONE)
        outcome = machine_limit(bench, &after);
    if (outcome == OUTCOME_DONE && kind == PAIR_CACHE) {
        struct machine best = better_machine(&before, &after);
        double limit = cache_limit(bench, &best);

        samples_add(&comparison->limits, limit);
        for (int i = first; i < comparison->ratios.count; i++)
            samples_add(&comparison->of_limits, comparison->ratios.values[i] / limit);
    }
    return outcome;
}

/* --------------------------------------------------------------------------------- all rounds -- */

static int32_t n_positions_of(const struct bench *bench, const struct figure *figure)
{
    switch (figure->work) {
    case WORK_PREFILL:
    case WORK_SCORE:
        return figure->n;
    case WORK_DECODE:
        return figure->n + bench->results->decode_tokens;
    default:
        return bench->results->batch_steps;
    }
}

static enum outcome measure(struct bench *bench, struct figure *figure)
{
    if (n_positions_of(bench, figure) > bench->results->info.n_positions)
        return OUTCOME_DONE;
    switch (figure->work) {
    case WORK_PREFILL:
    case WORK_SCORE:
        return whole_text(bench, figure);
    case WORK_DECODE:
        return decode(bench, figure);
    default:
        return batch(bench, figure);
    }
}

static enum outcome time_rows(struct bench *bench)
{
    enum outcome outcome = go_to(bench, 0);

    if (outcome == OUTCOME_DONE)
        outcome = feed(bench, bench->session, 1);
    for (int i = 0; i < N_ROW_KINDS && outcome == OUTCOME_DONE; i++) {
        double seconds;

        outcome = rows_time(bench->session, (enum row_kind)i, &seconds);
        if (outcome == OUTCOME_DONE)
            samples_add(&bench->results->rows[i].seconds, seconds);
    }
    return outcome;
}

static enum outcome run_round(struct bench *bench, int round)
{
    enum outcome outcome = OUTCOME_DONE;

    for (int i = 0; i < N_FIGURES && outcome == OUTCOME_DONE; i++) {
        progress("round %d, of %d at most: %s", round, N_ROUNDS, bench->results->figures[i].label);
        outcome = measure(bench, &bench->results->figures[i]);
    }
    if (outcome == OUTCOME_DONE)
        outcome = time_rows(bench);
    for (int i = 0; i < N_PAIRS && outcome == OUTCOME_DONE; i++) {
        progress("round %d, of %d at most: %s", round, N_ROUNDS,
                 bench->results->comparisons[i].label);
        if (pairs_have(&bench->pairs, (enum pair_kind)i))
            outcome = pair(bench, (enum pair_kind)i);
    }
    return outcome;
}

/* No round begins that would end too late, if it took as long as the longest one. */
static enum outcome run_rounds(struct bench *bench, double end)
{
    double longest = 0;
    enum outcome outcome = OUTCOME_DONE;

    while (outcome == OUTCOME_DONE && bench->results->rounds < N_ROUNDS) {
        double start = platform_seconds();

        if (bench->results->rounds > 0 && start + longest > end)
            break;
        outcome = run_round(bench, ++bench->results->rounds);
        longest = better(longest, platform_seconds() - start);
    }
    progress_clear();
    return outcome;
}

/* -------------------------------------------------------------------------------- the whole -- */

/* Spread over the vocabulary, the same in every run. */
static void make_ids(struct bench *bench)
{
    uint32_t x = 1;

    for (int i = 0; i < N_IDS; i++) {
        x = x * 1664525u + 1013904223u;
        bench->ids[i] = (int32_t)((x >> 8) % (uint32_t)bench->results->info.n_vocab);
    }
}

static enum outcome load(struct bench *bench)
{
    int n_loads = N_LOADS;
    enum outcome outcome = OUTCOME_DONE;

    for (int i = 1; i <= n_loads && outcome == OUTCOME_DONE; i++) {
        double start;

        if (i > 1) /* the first may report an error */
            progress("load %d of %d", i, n_loads);
        gpt2_model_free(bench->model);
        start = platform_seconds();
        outcome = model_open(bench->options, &bench->model, &bench->results->info);
        samples_add(&bench->results->loading, platform_seconds() - start);
        if (outcome == OUTCOME_DONE && is_large(&bench->results->info))
            n_loads = 1;
    }
    progress_clear();
    return outcome;
}

static enum outcome open_sessions(struct bench *bench)
{
    const gpt2_model_info *info = &bench->results->info;
    const struct options *options = bench->options;
    int32_t n_ctx = info->n_positions < PROMPT_TOKENS ? info->n_positions : PROMPT_TOKENS;
    struct many_sizes sizes = {n_ctx, N_TEXTS + 1, 0, GPT2_TYPE_F32};
    enum outcome outcome =
        session_open(options, bench->model, measured_context(info), SCORING_ROWS, &bench->session);

    sizes.n_pages = PROMPT_TOKENS / PAGE_POSITIONS + N_TEXTS * (MAX_STEPS / PAGE_POSITIONS);
    if (outcome == OUTCOME_DONE)
        outcome = many_open(&bench->many, options, bench->model, &sizes, bench->ids);
    if (outcome == OUTCOME_DONE)
        outcome = pairs_open(&bench->pairs, options, bench->model, info, &bench->many, bench->ids,
                             platform_memory_bytes() / 2);
    return outcome;
}

static void close_all(struct bench *bench)
{
    pairs_close(&bench->pairs);
    many_close(&bench->many);
    session_close(bench->session);
    limits_free(&bench->limits);
    gpt2_model_free(bench->model);
}

/* What does not depend on the speed of the machine. */
static void describe(struct bench *bench)
{
    struct measurements *results = bench->results;
    const gpt2_model_info *info = &results->info;

    make_ids(bench);
    results->decode_tokens = is_large(info) ? N_DECODED / 4 : N_DECODED;
    results->batch_steps = is_large(info) ? MAX_STEPS / 4 : MAX_STEPS;
    results->position_bytes = position_bytes(bench->model, measured_context(info), GPT2_TYPE_F32);
    results->half_position_bytes =
        position_bytes(bench->model, measured_context(info), GPT2_TYPE_F16);
}

enum outcome measure_model(const struct options *options, double start,
                           struct measurements *measurements)
{
    struct bench bench = {.options = options, .results = measurements};
    uint32_t cpu = options->cpu_mask >= 0 ? (uint32_t)options->cpu_mask : GPT2_CPU_ALL;
    enum outcome outcome;

    name_figures(measurements);
    outcome = load(&bench);
    if (outcome == OUTCOME_DONE) {
        uint64_t n_bytes = token_bytes(&measurements->info);

        describe(&bench);
        outcome = limits_create(&bench.limits, options->n_threads, cpu & gpt2_cpu_features(),
                                n_bytes < MAX_BUFFER_BYTES ? n_bytes : MAX_BUFFER_BYTES);
    }
    if (outcome == OUTCOME_DONE)
        outcome = open_sessions(&bench);
    if (outcome == OUTCOME_DONE) {
        snprintf(measurements->kernels, sizeof measurements->kernels, "%s",
                 gpt2_session_kernels(bench.session));
        outcome = run_rounds(&bench, start + MAX_SECONDS);
    }
    close_all(&bench);
    return outcome;
}

enum outcome measure_memory(const struct options *options)
{
    struct measurements results;
    struct bench bench = {.options = options, .results = &results};
    enum outcome outcome = model_open(options, &bench.model, &results.info);

    if (outcome == OUTCOME_DONE)
        outcome =
            session_open(options, bench.model, measured_context(&results.info), 1, &bench.session);
    if (outcome == OUTCOME_DONE) {
        int32_t n_ctx = gpt2_session_n_ctx(bench.session);
        int32_t n_decoded = n_ctx / 64;

        progress("memory");
        make_ids(&bench);
        outcome = feed(&bench, bench.session, n_ctx - n_decoded);
        for (int32_t i = 0; i < n_decoded && outcome == OUTCOME_DONE; i++)
            outcome = feed(&bench, bench.session, 1);
        progress_clear();
    }
    close_all(&bench);
    return outcome;
}
