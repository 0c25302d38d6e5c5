/*
 * sums.c: the kernel that sums a row of logits for scores, against the scalar one; tests/test_scores.c
 * measures the accuracy of that.
 */
#include "checkkernels.h"

#include <stdlib.h>

enum { GPT2_VOCAB = 50257, N_NUMBERS = 8 };

/* One more than a multiple of the kernels' steps and of the bits of a byte, one fewer, and between. */
static const size_t sizes[] = {1,   2,   7,   8,   9,   15,  16,   17,   23,   24,   25,        31,
                               32,  33,  127, 128, 129, 143, 144,  145,  255,  256,  257,       383,
                               384, 385, 400, 500, 768, 999, 1000, 1024, 1600, 6400, GPT2_VOCAB};

struct row {
    size_t n;
    bool has_class;
};

/* A double as two floats, which are compared like all others. */
static void split(float *parts, double x)
{
    parts[0] = (float)x;
    parts[1] = (float)(x - (double)parts[0]);
}

static void call_row_sums(const struct gpt2i_kernels *kernels, void *const *at,
                          const void *argument)
{
    const struct row *row = argument;
    float *numbers = at[0];
    const float *x = at[1];
    struct gpt2i_row_sums sums;

    kernels->row_sums(&sums, x, row->n, kernels->largest(x, row->n), x[row->n / 2],
                      row->has_class ? at[2] : NULL);
    split(numbers, sums.e);
    split(numbers + 2, sums.weighted);
    split(numbers + 4, sums.in_class);
    split(numbers + 6, sums.n_larger);
}

static void check_rows(kernel_call *call, size_t n_numbers, bool has_class)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct row row = {sizes[i], has_class};

        for (size_t kind = 0; kind < N_VALUES; kind++) {
            if (case_skipped())
                continue;
            case_begin("n %zu, %s values%s", row.n, values_names[kind],
                       has_class ? ", with a class" : "");
            fill_values(case_operand("numbers", n_numbers), n_numbers, VALUES_ORDINARY);
            fill_values(case_operand("x", row.n), row.n, kind);
            if (has_class) {
                size_t n_halves = gpt2i_ceil_div(row.n, 16);

                fill_halves(case_operand_halves("class_mask", n_halves), n_halves, VALUES_BITS);
            }
            case_run(call, NULL, &row, row.n < 1000 ? 17 : 3);
        }
    }
}

void check_row_sums(const struct entry *entry)
{
    (void)entry;
    check_rows(call_row_sums, N_NUMBERS, false);
    check_rows(call_row_sums, N_NUMBERS, true);
}

struct row_bench {
    kernel_call *call;
    struct row row;
    void *at[3];
};

static void run_row(const struct gpt2i_kernels *kernels, void *argument)
{
    const struct row_bench *b = argument;

    b->call(kernels, b->at, &b->row);
}

static void bench_row(const struct entry *entry, kernel_call *call, bool has_class)
{
    float numbers[N_NUMBERS];
    float *x = bench_floats(GPT2_VOCAB);
    uint16_t *class_mask = bench_halves(gpt2i_ceil_div(GPT2_VOCAB, 16));
    struct row_bench row = {call, {GPT2_VOCAB, has_class}, {numbers, x, class_mask}};
    struct bench bench = {
        .run = run_row,
        .argument = &row,
        .work = (double)(GPT2_VOCAB * sizeof(float)),
        .unit = "GB/s",
    };

    bench_run(entry, has_class ? "n 50257, with a class" : "n 50257", &bench);
    free(x);
    free(class_mask);
}

void bench_row_sums(const struct entry *entry)
{
    bench_row(entry, call_row_sums, false);
    bench_row(entry, call_row_sums, true);
}
