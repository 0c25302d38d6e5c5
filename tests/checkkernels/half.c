/*
 * half.c: floats to half floats, against a definition in doubles.
 */
#include "checkkernels.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { Y, X }; /* the operands */

static void call_to_f16(const struct gpt2i_kernels *kernels, void *const *at, const void *argument)
{
    kernels->to_f16(at[Y], at[X], *(const size_t *)argument);
}

/*
 * A half float with exponent e is a whole number of steps of 2^(e - 10), and e is at least -14.
 * Counted from 0 on, half floats are numbered in the order of their values.
 */
static uint16_t define_half(float x)
{
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    double magnitude = fabs((double)x);
    int exponent;

    if (isnan(x))
        return 0x7e00;
    if (magnitude >= 65520.0) /* halfway from the largest half float to 2^16 */
        return sign | 0x7c00;
    exponent = magnitude < 0x1p-14 ? -14 : ilogb(magnitude);
    return (uint16_t)(sign | ((exponent + 14) * 1024 + (int)rint(ldexp(magnitude, 10 - exponent))));
}

static void define_to_f16(const struct gpt2i_kernels *kernels, void *const *at,
                          const void *argument)
{
    size_t n = *(const size_t *)argument;
    uint16_t *y = at[Y];
    const float *x = at[X];

    (void)kernels;
    for (size_t i = 0; i < n; i++)
        y[i] = define_half(x[i]);
}

static void check_size(size_t n, size_t kind)
{
    if (case_skipped())
        return;
    case_begin("n %zu, %s values", n, values_names[kind]);
    fill_canary_halves(case_operand_halves("y", n), n);
    fill_values(case_operand("x", n), n, kind);
    case_run(call_to_f16, define_to_f16, &n, 17);
}

/* Every 'stride'-th float from 'low' on, by their bits. */
static void check_floats(uint32_t low, uint32_t stride)
{
    enum { MAX_FLOATS = 4000 };

    for (uint64_t first = low; first <= UINT32_MAX; first += (uint64_t)MAX_FLOATS * stride) {
        size_t n = gpt2i_min(MAX_FLOATS, (size_t)((UINT32_MAX - first) / stride + 1));
        float *x;

        if (case_skipped())
            continue;
        case_begin("%zu floats, every %" PRIu32 "th from %08" PRIx32 " on", n, stride,
                   (uint32_t)first);
        fill_canary_halves(case_operand_halves("y", n), n);
        x = case_operand("x", n);
        for (size_t i = 0; i < n; i++) {
            uint32_t bits = (uint32_t)first + (uint32_t)i * stride;

            memcpy(&x[i], &bits, sizeof bits);
        }
        case_run(call_to_f16, define_to_f16, &n, 1);
    }
}

/*
 * Rounding changes only at half floats and halfway between them, which are all multiples of 0x1000 in
 * their bits.  So these and their neighbours are always checked.
 * Environment: GPT2_TEST_EVERY_FLOAT=1 takes every float (minutes).
 */
void check_to_f16(const struct entry *entry)
{
    (void)entry;
    for (size_t n = 0; n < 71; n++) {
        for (size_t kind = 0; kind < N_VALUES; kind++)
            check_size(n, kind);
    }
    check_size(768, VALUES_BITS);
    check_size(1600, VALUES_ORDINARY);
    if (getenv("GPT2_TEST_EVERY_FLOAT") != NULL) {
        check_floats(0, 1);
        return;
    }
    check_floats(0x0fff, 0x1000);
    check_floats(0x1000, 0x1000);
    check_floats(0x1001, 0x1000);
    check_floats(0, 997);
}

/* -------------------------------------------------------------------------------------- speed -- */

struct to_f16_bench {
    size_t n;
    uint16_t *y;
    float *x;
};

static void run_to_f16(const struct gpt2i_kernels *kernels, void *argument)
{
    const struct to_f16_bench *b = argument;

    for (size_t i = 0; i < 64; i++)
        kernels->to_f16(b->y, b->x, b->n);
}

void bench_to_f16(const struct entry *entry)
{
    struct to_f16_bench b = {.n = 2304};
    struct bench bench = {
        .run = run_to_f16,
        .argument = &b,
        .work = (double)(64 * b.n * (sizeof(float) + sizeof(uint16_t))),
        .unit = "GB/s",
    };

    b.y = bench_halves(b.n);
    b.x = bench_floats(b.n);
    bench_run(entry, "n 2304", &bench);
    free(b.y);
    free(b.x);
}
