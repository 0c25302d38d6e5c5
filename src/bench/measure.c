/*
 * measure.c: the rounds of `gpt2 bench`.
 */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../input.h"
#include "limits.h"
#include "../messages.h"
#include "../platform.h"
#include "../setup.h"

#define N_LOADS    5
#define N_IDS      1024
#define MAX_TEXTS  32
#define MIN_TOKENS 16 /* of a batch, in all its texts */

struct bench {
    const struct options *options;
    struct measurements *results;
    gpt2_model *model;
    struct limits limits;
    gpt2_session *session;
    gpt2_session *texts[MAX_TEXTS];
    int32_t ids[N_IDS];
};

static void add_sample(struct samples *samples, double value)
{
    samples->values[samples->count++] = value;
}

static int compare_values(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

double samples_median(const struct samples *samples)
{
    struct samples sorted = *samples;
    int middle = sorted.count / 2;

    if (sorted.count == 0)
        return 0;
    qsort(sorted.values, (size_t)sorted.count, sizeof sorted.values[0], compare_values);
    if (sorted.count % 2 == 1)
        return sorted.values[middle];
    return (sorted.values[middle - 1] + sorted.values[middle]) / 2;
}

/* ------------------------------------------------------------------------- what the work is -- */

/* Bytes are what the library says that it needs: how it stores a model and a text is not known here. */

uint64_t token_bytes(const gpt2_model_info *info)
{
    double n_rows = info->n_positions + (info->tied_head != 0 ? 0.0 : info->n_vocab);
    double share = 1 - n_rows * info->n_embd / (double)info->n_parameters;

    return (uint64_t)(share * (double)info->memory_bytes);
}

int32_t measured_context(const gpt2_model_info *info)
{
    return info->n_positions < N_IDS ? info->n_positions : N_IDS;
}

/* Bytes of a session of n_ctx positions; all its other sizes are the smallest. */
static double session_bytes(const gpt2_model *model, int32_t n_ctx)
{
    gpt2_session_params params;
    size_t n_bytes;

    gpt2_session_params_init(&params, sizeof params);
    params.n_ctx = n_ctx;
    params.n_batch = 1;
    return gpt2_session_size(model, &params, &n_bytes) == GPT2_OK ? (double)n_bytes : 0;
}

/* By how much a session grows with each position, from half of the context to the whole. */
static double growth_per_position(const gpt2_model *model, const gpt2_model_info *info)
{
    int32_t whole = measured_context(info);
    int32_t half = (whole + 1) / 2;

    return whole > half
               ? (session_bytes(model, whole) - session_bytes(model, half)) / (whole - half)
               : 0;
}

/* The arithmetic of GPT-2, as the help of the command states it: two operations for each multiply-add
   of the blocks' matrices for n tokens, of causal attention, and of the head for one row. */

static double block_weights(const gpt2_model_info *info)
{
    double width = info->n_embd;

    return info->n_layer * (4 * width * width + 2 * width * info->n_inner);
}

static double prefill_flops(const gpt2_model_info *info, int32_t n)
{
    double attention = 2.0 * info->n_layer * info->n_embd * ((double)n * (n + 1) / 2);

    return 2 * (block_weights(info) * n + attention + (double)info->n_embd * info->n_vocab);
}

/* -------------------------------------------------------------------------------- one round -- */

static enum outcome read_limit(struct bench *bench, double *bytes_per_second)
{
    enum outcome outcome = limits_read(&bench->limits, bytes_per_second);

    if (outcome == OUTCOME_DONE)
        add_sample(&bench->results->reading, *bytes_per_second);
    return outcome;
}

static enum outcome multiply_limit(struct bench *bench, double *flops_per_second)
{
    enum outcome outcome = limits_multiply(&bench->limits, flops_per_second);

    if (outcome == OUTCOME_DONE)
        add_sample(&bench->results->multiplying, *flops_per_second);
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

static enum outcome prefill(struct bench *bench, struct figure *figure)
{
    double flops = prefill_flops(&bench->results->info, figure->n);
    double before;
    double after;
    double start;
    double seconds;
    enum outcome outcome = multiply_limit(bench, &before);

    gpt2_session_reset(bench->session);
    start = platform_seconds();
    if (outcome == OUTCOME_DONE)
        outcome = feed(bench, bench->session, figure->n);
    seconds = platform_seconds() - start;
    if (outcome == OUTCOME_DONE)
        outcome = multiply_limit(bench, &after);
    if (outcome != OUTCOME_DONE)
        return outcome;
    add_sample(&figure->rates, figure->n / seconds);
    add_sample(&figure->ratios, flops / better(before, after) / seconds);
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
    double total = 0;
    double before;
    enum outcome outcome = OUTCOME_DONE;

    gpt2_session_reset(bench->session);
    if (figure->n > 0)
        outcome = feed(bench, bench->session, figure->n);
    if (outcome == OUTCOME_DONE)
        outcome = read_limit(bench, &before);
    for (int i = 0; i < N_DECODED && outcome == OUTCOME_DONE; i += N_SLICE) {
        double after;
        double seconds;

        outcome = decode_slice(bench, &seconds);
        if (outcome == OUTCOME_DONE)
            outcome = read_limit(bench, &after);
        if (outcome != OUTCOME_DONE)
            return outcome;
        add_sample(&figure->ratios, N_SLICE * bytes / better(before, after) / seconds);
        total += seconds;
        before = after;
    }
    if (outcome == OUTCOME_DONE)
        add_sample(&figure->rates, N_DECODED / total);
    return outcome;
}

static int32_t tokens_of_batch(int32_t n_texts)
{
    return n_texts > MIN_TOKENS ? n_texts : MIN_TOKENS;
}

/* Runs a token for each text, again and again. */
static enum outcome run_texts(struct bench *bench, int32_t n_texts, double *seconds)
{
    double start;
    enum outcome outcome = OUTCOME_DONE;

    for (int32_t i = 0; i < n_texts; i++)
        gpt2_session_reset(bench->texts[i]);
    start = platform_seconds();
    for (int32_t i = 0; i < tokens_of_batch(n_texts) && outcome == OUTCOME_DONE; i++)
        outcome = feed(bench, bench->texts[i % n_texts], 1);
    *seconds = platform_seconds() - start;
    return outcome;
}

/* Tokens per second that the machine allows: the slower of reading the weights once for all texts and
   multiplying for each. */
static enum outcome batch_limit(struct bench *bench, int32_t n_texts, double *rate)
{
    const gpt2_model_info *info = &bench->results->info;
    double products = block_weights(info) + (double)info->n_embd * info->n_vocab;
    double bandwidth;
    double flops;
    enum outcome outcome = read_limit(bench, &bandwidth);

    if (outcome == OUTCOME_DONE)
        outcome = multiply_limit(bench, &flops);
    if (outcome != OUTCOME_DONE)
        return outcome;
    *rate = n_texts * bandwidth / (double)token_bytes(info);
    if (flops / (2 * products) < *rate)
        *rate = flops / (2 * products);
    return OUTCOME_DONE;
}

static enum outcome batch(struct bench *bench, struct figure *figure)
{
    double n_tokens = tokens_of_batch(figure->n);
    double before;
    double after;
    double seconds;
    enum outcome outcome = batch_limit(bench, figure->n, &before);

    if (outcome == OUTCOME_DONE)
        outcome = run_texts(bench, figure->n, &seconds);
    if (outcome == OUTCOME_DONE)
        outcome = batch_limit(bench, figure->n, &after);
    if (outcome != OUTCOME_DONE)
        return outcome;
    add_sample(&figure->rates, n_tokens / seconds);
    add_sample(&figure->ratios, n_tokens / seconds / better(before, after));
    return OUTCOME_DONE;
}

static int32_t n_positions_of(const struct figure *figure)
{
    switch (figure->work) {
    case WORK_PREFILL:
        return figure->n;
    case WORK_DECODE:
        return figure->n + N_DECODED;
    default:
        return tokens_of_batch(figure->n) / figure->n;
    }
}

static enum outcome measure(struct bench *bench, struct figure *figure)
{
    if (n_positions_of(figure) > bench->results->info.n_positions)
        return OUTCOME_DONE;
    switch (figure->work) {
    case WORK_PREFILL:
        return prefill(bench, figure);
    case WORK_DECODE:
        return decode(bench, figure);
    default:
        return batch(bench, figure);
    }
}

static enum outcome run_rounds(struct bench *bench)
{
    enum outcome outcome = OUTCOME_DONE;

    for (int round = 1; round <= N_ROUNDS && outcome == OUTCOME_DONE; round++) {
        for (int i = 0; i < N_FIGURES && outcome == OUTCOME_DONE; i++) {
            struct figure *figure = &bench->results->figures[i];

            progress("round %d of %d: %s", round, N_ROUNDS, figure->label);
            outcome = measure(bench, figure);
        }
    }
    progress_clear();
    return outcome;
}

/* -------------------------------------------------------------------------------- the whole -- */

static void name_figures(struct measurements *results)
{
    static const struct figure all[N_FIGURES] = {
        {.work = WORK_PREFILL, .n = 128, .key = "prefill_128", .label = "prefill of 128 tokens"},
        {.work = WORK_PREFILL, .n = 512, .key = "prefill_512", .label = "prefill of 512"},
        {.work = WORK_PREFILL, .n = 1000, .key = "prefill_1000", .label = "prefill of 1000"},
        {.work = WORK_DECODE, .n = 0, .key = "decode_0", .label = "decode at position 0"},
        {.work = WORK_DECODE, .n = 895, .key = "decode_895", .label = "decode at position 895"},
        {.work = WORK_BATCH, .n = 1, .key = "batch_1", .label = "batch of 1 text"},
        {.work = WORK_BATCH, .n = 4, .key = "batch_4", .label = "batch of 4"},
        {.work = WORK_BATCH, .n = 8, .key = "batch_8", .label = "batch of 8"},
        {.work = WORK_BATCH, .n = 16, .key = "batch_16", .label = "batch of 16"},
        {.work = WORK_BATCH, .n = 32, .key = "batch_32", .label = "batch of 32"},
    };

    memcpy(results->figures, all, sizeof all);
}

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
    enum outcome outcome = OUTCOME_DONE;

    for (int i = 1; i <= N_LOADS && outcome == OUTCOME_DONE; i++) {
        double start;

        if (i > 1) /* the first may report an error */
            progress("load %d of %d", i, N_LOADS);
        gpt2_model_free(bench->model);
        start = platform_seconds();
        outcome = model_open(bench->options, &bench->model, &bench->results->info);
        add_sample(&bench->results->loading, platform_seconds() - start);
    }
    progress_clear();
    return outcome;
}

static enum outcome open_sessions(struct bench *bench)
{
    struct options one_row = *bench->options;
    int32_t n_ctx = measured_context(&bench->results->info);
    int32_t n_text_ctx = n_ctx < MIN_TOKENS ? n_ctx : MIN_TOKENS;
    enum outcome outcome = session_open(bench->options, bench->model, n_ctx, 1, &bench->session);

    one_row.n_batch = 1;
    for (int i = 0; i < MAX_TEXTS && outcome == OUTCOME_DONE; i++)
        outcome = session_open(&one_row, bench->model, n_text_ctx, 1, &bench->texts[i]);
    return outcome;
}

static void close_all(struct bench *bench)
{
    for (int i = 0; i < MAX_TEXTS; i++)
        session_close(bench->texts[i]);
    session_close(bench->session);
    limits_free(&bench->limits);
    gpt2_model_free(bench->model);
}

enum outcome measure_model(const struct options *options, struct measurements *measurements)
{
    struct bench bench = {.options = options, .results = measurements};
    uint32_t cpu = options->cpu_mask >= 0 ? (uint32_t)options->cpu_mask : GPT2_CPU_ALL;
    enum outcome outcome;

    name_figures(measurements);
    outcome = load(&bench);
    if (outcome == OUTCOME_DONE)
        outcome = limits_create(&bench.limits, options->n_threads, cpu & gpt2_cpu_features(),
                                token_bytes(&measurements->info));
    if (outcome == OUTCOME_DONE)
        outcome = open_sessions(&bench);
    if (outcome == OUTCOME_DONE) {
        make_ids(&bench);
        measurements->position_bytes = growth_per_position(bench.model, &measurements->info);
        snprintf(measurements->kernels, sizeof measurements->kernels, "%s",
                 gpt2_session_kernels(bench.session));
        outcome = run_rounds(&bench);
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
