/*
 * bench.c: `gpt2 bench`: the speed of a model, and its ratio to the limits of the machine.
 *
 * Each stage (write a random model, watch its memory, measure) is a process of its own.  The command
 * itself only waits, so it can remove the random model however a stage ends.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <gpt2.h>

#include "../command.h"
#include "measure.h"
#include "../messages.h"
#include "../options.h"
#include "../platform.h"
#include "randommodel.h"
#include "../setup.h"
#include "work.h"

struct bench {
    struct options options; /* with the model to measure and the number of threads filled in */
    char directory[PATH_BYTES];
    uint64_t peak_bytes;
    double start; /* as platform_seconds() */
};

/* ----------------------------------------------------------------------------------- results -- */

static double megabytes(double bytes)
{
    return bytes * 1e-6;
}

/* ,"key": value, or null if nothing was measured */
static void json_median(const char *key, const char *suffix, const struct samples *samples,
                        double scale, int n_digits)
{
    printf(",\n  \"%s%s\": ", key, suffix);
    if (samples->count == 0)
        printf("null");
    else
        printf("%.*f", n_digits, samples_median(samples) * scale);
}

static const char *limit_name(enum work work)
{
    static const char *const names[] = {[WORK_PREFILL] = "_of_fma",
                                        [WORK_SCORE] = "_of_fma",
                                        [WORK_DECODE] = "_of_read",
                                        [WORK_BATCH] = "_of_limit"};

    return names[work];
}

static void print_json(const struct bench *bench, const struct measurements *results)
{
    const gpt2_model_info *info = &results->info;

    printf("{\n  \"version\": \"%s\"", gpt2_version());
    if (bench->options.shape >= 0)
        printf(",\n  \"shape\": \"%s\"", random_model_name((enum shape)bench->options.shape));
    else
        printf(",\n  \"shape\": null");
    printf(",\n  \"n_layer\": %d,\n  \"n_embd\": %d,\n  \"n_vocab\": %d,\n  \"n_threads\": %d",
           (int)info->n_layer, (int)info->n_embd, (int)info->n_vocab,
           (int)bench->options.n_threads);
    printf(",\n  \"weight_type\": \"%s\",\n  \"kernels\": \"%s\"",
           weight_type_name(info->memory_type), results->kernels);
    for (int i = 0; i < N_FIGURES; i++)
        json_median(results->figures[i].key, "", &results->figures[i].rates, 1, 1);
    for (int i = 0; i < N_ROW_KINDS; i++)
        json_median(results->rows[i].key, "_us", &results->rows[i].seconds, 1e6, 2);
    json_median("read_gb_s", "", &results->reading, 1e-9, 2);
    json_median("fma_gflop_s", "", &results->multiplying, 1e-9, 2);
    for (int i = 0; i < N_FIGURES; i++)
        json_median(results->figures[i].key, limit_name(results->figures[i].work),
                    &results->figures[i].ratios, 1, 4);
    for (int i = 0; i < N_PAIRS; i++)
        json_median(results->comparisons[i].key, "", &results->comparisons[i].ratios, 1, 4);
    json_median(results->comparisons[PAIR_CACHE].key, "_limit",
                &results->comparisons[PAIR_CACHE].limits, 1, 4);
    json_median(results->comparisons[PAIR_CACHE].key, "_of_limit",
                &results->comparisons[PAIR_CACHE].of_limits, 1, 4);
    json_median("load_ms", "", &results->loading, 1e3, 2);
    printf(",\n  \"rounds\": %d,\n  \"decode_tokens\": %d,\n  \"batch_steps\": %d", results->rounds,
           (int)results->decode_tokens, (int)results->batch_steps);
    printf(",\n  \"peak_rss_mb\": %.1f,\n  \"weights_mb\": %.1f,\n  \"kv_mb\": %.1f\n}\n",
           megabytes((double)bench->peak_bytes), megabytes((double)info->memory_bytes),
           megabytes(results->position_bytes * measured_context(info)));
}

static void print_comparisons(const struct comparison comparisons[N_PAIRS])
{
    static const char *const meanings[] = {
        [PAIR_LENGTHS] = "of the speed of 32 equal lengths",
        [PAIR_TOGETHER] = "of the time of the two apart",
        [PAIR_CACHE] = "of the speed of an f32 cache",
    };

    for (int i = 0; i < N_PAIRS; i++) {
        const struct comparison *comparison = &comparisons[i];

        if (comparison->ratios.count == 0)
            continue;
        printf("%-26s  %6.3f %s", comparison->label, samples_median(&comparison->ratios),
               meanings[i]);
        if (comparison->limits.count > 0)
            printf("; the limits allow %.3f", samples_median(&comparison->limits));
        printf("\n");
    }
}

static void print_table(const struct bench *bench, const struct measurements *results)
{
    static const char *const limits[] = {[WORK_PREFILL] = "FMA",
                                         [WORK_SCORE] = "FMA",
                                         [WORK_DECODE] = "reading",
                                         [WORK_BATCH] = "reading and FMA"};
    const gpt2_model_info *info = &results->info;
    double weights = (double)info->memory_bytes;
    double cache = results->position_bytes * measured_context(info);

    printf("libgpt2 %s, %s, %d layers of %d, %d ids, %s, %d thread%s, %s kernels\n\n",
           gpt2_version(),
           bench->options.shape >= 0 ? random_model_name((enum shape)bench->options.shape)
                                     : bench->options.model,
           (int)info->n_layer, (int)info->n_embd, (int)info->n_vocab,
           weight_type_name(info->memory_type), (int)bench->options.n_threads,
           bench->options.n_threads == 1 ? "" : "s", results->kernels);
    for (int i = 0; i < N_FIGURES; i++) {
        const struct figure *figure = &results->figures[i];

        if (figure->rates.count > 0)
            printf("%-22s  %8.1f tokens/s  %6.3f of %s\n", figure->label,
                   samples_median(&figure->rates), samples_median(&figure->ratios),
                   limits[figure->work]);
    }
    for (int i = 0; i < N_ROW_KINDS; i++)
        printf("%-22s  %8.1f us\n", results->rows[i].label,
               samples_median(&results->rows[i].seconds) * 1e6);
    print_comparisons(results->comparisons);
    printf("\n%-22s  %8.1f GB/s, %.1f MB for a token\n", "reading",
           samples_median(&results->reading) * 1e-9, megabytes((double)token_bytes(info)));
    printf("%-22s  %8.1f GFLOP/s\n", "FMA", samples_median(&results->multiplying) * 1e-9);
    printf("%-22s  %8.1f ms\n", "load", samples_median(&results->loading) * 1e3);
    printf("%-22s  %8.1f MB = %.1f weights + %.1f KV cache + %.1f other\n", "peak memory",
           megabytes((double)bench->peak_bytes), megabytes(weights), megabytes(cache),
           megabytes((double)bench->peak_bytes - weights - cache));
    printf("%-22s  %8d; %d tokens a decode, %d calls a batch\n", "rounds", results->rounds,
           (int)results->decode_tokens, (int)results->batch_steps);
}

/* ------------------------------------------------------------------------------------ stages -- */

static int write_stage(void *argument)
{
    struct bench *bench = argument;

    return (int)random_model_write((enum shape)bench->options.shape, bench->directory);
}

static int memory_stage(void *argument)
{
    struct bench *bench = argument;

    return (int)measure_memory(&bench->options);
}

static int measure_stage(void *argument)
{
    struct bench *bench = argument;
    struct measurements results = {0};
    enum outcome outcome = measure_model(&bench->options, bench->start, &results);

    if (outcome == OUTCOME_DONE && bench->options.json)
        print_json(bench, &results);
    else if (outcome == OUTCOME_DONE)
        print_table(bench, &results);
    return (int)output_finish(outcome);
}

/* 'peak_bytes' may be NULL. */
static enum outcome run_stage(struct bench *bench, int (*stage)(void *), uint64_t *peak_bytes)
{
    struct platform_process process;

    if (!platform_run_apart(stage, bench, &process))
        return complain(OUTCOME_FAILED, "cannot run a process: %s", strerror(errno));
    if (process.was_interrupted || process.signal != 0)
        progress_clear();
    if (process.was_interrupted)
        return OUTCOME_INTERRUPTED;
    if (process.signal != 0)
        return complain(OUTCOME_FAILED, "the measuring process was ended by signal %d%s",
                        process.signal, process.signal == SIGKILL ? ": out of memory?" : "");
    if (peak_bytes != NULL)
        *peak_bytes = process.peak_bytes;
    return (enum outcome)process.exit_code;
}

static enum outcome run_stages(struct bench *bench)
{
    enum outcome outcome = OUTCOME_DONE;

    if (bench->options.shape >= 0)
        outcome = run_stage(bench, write_stage, NULL);
    if (outcome == OUTCOME_DONE)
        outcome = run_stage(bench, memory_stage, &bench->peak_bytes);
    if (outcome == OUTCOME_DONE)
        outcome = run_stage(bench, measure_stage, NULL);
    return outcome;
}

static enum outcome bench(const struct options *options)
{
    struct bench bench = {.options = *options, .start = platform_seconds()};
    enum outcome outcome;

    if (options->model != NULL && options->shape >= 0)
        return complain(OUTCOME_MISUSED, "bench takes --shape (a random model) or -m (a model in a "
                                         "directory), not both");
    if (options->n_threads == 0)
        bench.options.n_threads = platform_cpu_count();
    platform_hold_interrupts();
    if (options->model != NULL)
        return run_stages(&bench);
    if (options->shape < 0)
        bench.options.shape = SHAPE_GPT2;
    if (!platform_temporary_directory(bench.directory, sizeof bench.directory))
        return complain(OUTCOME_FAILED, "cannot make a directory %s: %s", bench.directory,
                        strerror(errno));
    bench.options.model = bench.directory;
    outcome = run_stages(&bench);
    if (random_model_remove(bench.directory) != OUTCOME_DONE && outcome == OUTCOME_DONE)
        outcome = OUTCOME_FAILED;
    return outcome;
}

const struct command command_bench = {
    .name = "bench",
    .summary = "measure speed, and compare it with the limits of this machine",
    .synopsis = "[--shape SHAPE | -m MODEL] [OPTIONS]",
    .help =
        "Measures up to five times, and prints medians:\n"
        "\n"
        "  prefill   tokens per second of a text of 128, 512 and 1000 tokens that runs in one "
        "call,\n"
        "            with the logits of the last token\n"
        "  score     tokens per second of a text of 1000 tokens in one call, with the score of "
        "each\n"
        "  decode    tokens per second of 128 tokens that run one by one, from position 0 and "
        "from\n"
        "            position 895\n"
        "  batch     tokens per second of 1 to 32 texts of one session that get a token each in "
        "each\n"
        "            call, at positions 0 to 63\n"
        "  draw      microseconds to draw a token from a row of logits, on one thread: the "
        "likeliest,\n"
        "            from all tokens, and with --top-k 40 --top-p 0.95; to score a token of the "
        "row\n"
        "  load      time to load the model from a file that is in the cache of the system\n"
        "  memory    max memory of a process that loads the model and fills a context of 1024\n"
        "            positions\n"
        "\n"
        "Each figure comes with its ratio to a limit of the machine; 1 is as fast as the machine\n"
        "allows.  The limit is measured just before and just after the work, on as many threads,\n"
        "and the better of the two counts:\n"
        "\n"
        "  reading   bytes per second when a buffer as large as the weights, but at most 1 GB, is\n"
        "            summed up, by the instructions that read fastest here.  It limits decode, "
        "where\n"
        "            each token needs the weights and the keys and values of the positions before "
        "it.\n"
        "  FMA       multiply-adds in registers.  It limits prefill: T tokens need\n"
        "            layers * ((4 E E + 2 E I) T + E T (T + 1)) + E V multiply-adds of 2 "
        "operations\n"
        "            (E: n_embd, I: n_inner, V: n_vocab).  A score needs E V T in place of E V.\n"
        "            With multi-query attention 4 E E is 2 E (E + E / n_head).\n"
        "            q8 and q4 multiply whole numbers of 8 bits, so they may be above this limit.\n"
        "\n"
        "A batch is limited by both.  A call of N texts at position P takes at least the larger "
        "of\n"
        "two times for the matrices, to read the weights once and to do\n"
        "N (layers * (4 E E + 2 E I) + E V) multiply-adds, plus the larger of two times for\n"
        "attention, to read the keys and values of N P positions and to do\n"
        "N (P + 1) 2 E layers multiply-adds.\n"
        "\n"
        "Then three kinds of work for 32 texts are compared, in turns:\n"
        "\n"
        "  random    a token for each text, where the texts have lengths of 1 to 900: the speed\n"
        "            beside texts of equal lengths and the same sum\n"
        "  prefill   a prompt of 512 tokens in one call with a token for each text: the time "
        "beside\n"
        "            two calls\n"
        "  f16       a token for each text at position 895, with a cache of f16: the speed beside "
        "a\n"
        "            cache of f32, and the ratio that the limits allow\n"
        "\n"
        "A figure that needs a longer context than the model has is left out (in JSON it is "
        "null).\n"
        "So are the comparisons random and f16 if their texts need more than half of the "
        "machine's\n"
        "memory.  With more than 2 GB of weights, a decode has 32 tokens and a batch positions 0 "
        "to\n"
        "15.  No round begins that would end later than 200 seconds after the start of the "
        "command.\n"
        "\n"
        "Without -m, the command writes a model with random weights to a directory in $TMPDIR or\n"
        "/tmp (0.5 GB for gpt2, 6.2 GB for gpt2-xl) and removes it at the end.  Other programs "
        "that\n"
        "run at the same time change the figures.  1 MB is 10^6 bytes, 1 GB is 10^9.\n",
    .examples = "  gpt2 bench\n"
                "  gpt2 bench --shape gpt2-medium -t 1\n"
                "  gpt2 bench -m models/gpt2 --json\n",
    .option_groups = OPTIONS_WEIGHTS | OPTIONS_BENCH,
    .run = bench,
};
