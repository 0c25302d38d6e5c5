/*
 * rows.c: the kernels that choose from a row of logits.
 */
#include "checkkernels.h"

#include <math.h>
#include <stdlib.h>

/* The first operand takes what the kernel gives; a number that it returns becomes its first element. */
static const char *const operands[] = {"y", "x"};

struct row {
    size_t n;
    float least;       /* of collect */
    float temperature; /* of weigh */
};

static const size_t sizes[] = {1,  2,   15,  16,  17,  31,  48,  63,   64,   65,
                               79, 127, 128, 129, 191, 255, 256, 1000, 1024, 50257};

static void check_rows(kernel_call *call, kernel_call *define, struct row row)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t kind = 0; kind < N_VALUES; kind++) {
            if (case_skipped())
                continue;
            row.n = sizes[i];
            case_begin("n %zu, %s values, least %a, temperature %a", row.n, values_names[kind],
                       (double)row.least, (double)row.temperature);
            for (size_t v = 0; v < 2; v++)
                fill_values(case_operand(operands[v], row.n), row.n, kind);
            case_run(call, define, &row, row.n < 1000 ? 17 : 3);
        }
    }
}

struct row_bench {
    kernel_call *call;
    struct row row;
    float *y, *x;
};

static void run_row(const struct gpt2i_kernels *kernels, void *argument)
{
    const struct row_bench *b = argument;
    void *const at[] = {b->y, b->x};

    b->call(kernels, at, &b->row);
}

static void bench_row(const struct entry *entry, kernel_call *call)
{
    const size_t n = 50257;
    struct row_bench row = {
        call, {.n = n, .least = 0.999f, .temperature = 0.8f}, bench_floats(n), bench_floats(n)};
    struct bench bench = {
        .run = run_row, .argument = &row, .work = (double)(n * sizeof(float)), .unit = "GB/s"};

    bench_run(entry, "n 50257", &bench);
    free(row.y);
    free(row.x);
}

/* --------------------------------------------------------------------------------------- largest -- */

static void call_largest(const struct gpt2i_kernels *kernels, void *const *at, const void *argument)
{
    const struct row *row = argument;

    *(float *)at[0] = kernels->largest(at[1], row->n);
}

static void define_largest(const struct gpt2i_kernels *kernels, void *const *at,
                           const void *argument)
{
    const struct row *row = argument;
    const float *x = at[1];
    float max = -FLT_MAX;
    bool is_bad = false;

    (void)kernels;
    for (size_t i = 0; i < row->n; i++) {
        is_bad |= !(x[i] < INFINITY);
        max = x[i] > max ? x[i] : max;
    }
    *(float *)at[0] = is_bad ? NAN : max + 0.0f; /* 0, where -0 is the largest */
}

void check_largest(const struct entry *entry)
{
    (void)entry;
    check_rows(call_largest, define_largest, (struct row){0});
}

void bench_largest(const struct entry *entry)
{
    bench_row(entry, call_largest);
}

/* ---------------------------------------------------------------------------------------- blocks -- */

static void call_block_max(const struct gpt2i_kernels *kernels, void *const *at,
                           const void *argument)
{
    kernels->block_max(at[0], at[1], ((const struct row *)argument)->n);
}

static void call_block_sums(const struct gpt2i_kernels *kernels, void *const *at,
                            const void *argument)
{
    kernels->block_sums(at[0], at[1], ((const struct row *)argument)->n);
}

static void define_block_sums(const struct gpt2i_kernels *kernels, void *const *at,
                              const void *argument)
{
    const struct row *row = argument;
    float *y = at[0];
    const float *x = at[1];

    (void)kernels;
    for (size_t first = 0; first < row->n; first += GPT2I_VOCAB_BLOCK) {
        float lanes[GPT2I_LANES] = {0.0f};

        for (size_t i = first; i < gpt2i_min(first + GPT2I_VOCAB_BLOCK, row->n); i++)
            lanes[i % GPT2I_LANES] += x[i];
        for (size_t half = GPT2I_LANES / 2; half > 0; half /= 2) {
            for (size_t l = 0; l < half; l++)
                lanes[l] += lanes[l + half];
        }
        y[first / GPT2I_VOCAB_BLOCK] = lanes[0];
    }
}

void check_blocks(const struct entry *entry)
{
    if (entry->offset == offsetof(struct gpt2i_kernels, block_max))
        check_rows(call_block_max, NULL, (struct row){0});
    else
        check_rows(call_block_sums, define_block_sums, (struct row){0});
}

void bench_blocks(const struct entry *entry)
{
    bool is_max = entry->offset == offsetof(struct gpt2i_kernels, block_max);

    bench_row(entry, is_max ? call_block_max : call_block_sums);
}

/* --------------------------------------------------------------------------------------- collect -- */

static void call_collect(const struct gpt2i_kernels *kernels, void *const *at, const void *argument)
{
    const struct row *row = argument;
    size_t n_found = kernels->collect(at[0], at[1], row->least, row->n);

    if (n_found < row->n)
        ((int32_t *)at[0])[n_found] = -1;
}

static void define_collect(const struct gpt2i_kernels *kernels, void *const *at,
                           const void *argument)
{
    const struct row *row = argument;
    int32_t *indices = at[0];
    const float *x = at[1];
    size_t n_found = 0;

    (void)kernels;
    for (size_t i = 0; i < row->n; i++) {
        if (x[i] >= row->least)
            indices[n_found++] = (int32_t)i;
    }
    if (n_found < row->n)
        indices[n_found] = -1;
}

void check_collect(const struct entry *entry)
{
    static const float bounds[] = {-INFINITY, 0.0f, 0.9f, -FLT_MAX, INFINITY};

    (void)entry;
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++)
        check_rows(call_collect, define_collect, (struct row){.least = bounds[i]});
}

void bench_collect(const struct entry *entry)
{
    bench_row(entry, call_collect);
}

/* ----------------------------------------------------------------------------------------- weigh -- */

static void call_weigh(const struct gpt2i_kernels *kernels, void *const *at, const void *argument)
{
    const struct row *row = argument;

    kernels->weigh(at[0], at[1], row->temperature, 1.0f / row->temperature, row->n);
}

void check_weigh(const struct entry *entry)
{
    static const float temperatures[] = {1.0f, 0.7f, 0x1p-20f, 0x1p+100f};

    (void)entry;
    for (size_t i = 0; i < sizeof temperatures / sizeof temperatures[0]; i++)
        check_rows(call_weigh, NULL, (struct row){.temperature = temperatures[i]});
}

void bench_weigh(const struct entry *entry)
{
    bench_row(entry, call_weigh);
}
