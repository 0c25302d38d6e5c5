/*
 * vectors.c: the kernels on vectors against their definitions; those that take exp against the
 * scalar ones, whose accuracy tests/test_kernels.c measures.
 */
#include "checkkernels.h"
#include "kernels/fma.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

struct sizes {
    size_t n;
    float factor;            /* of scale; the epsilon of layer_norm */
    const char *factor_name; /* NULL: there is none */
    int32_t number;          /* of the activation */
};

/* n of 0 to 70, and GPT-2's widths, context and vocabulary */
static const size_t model_sizes[] = {127,  128,  129,  255,  256,  768,  1024,
                                     1280, 1600, 2304, 3072, 4800, 6400, 50257};
enum { N_SMALL = 71, N_SIZES = N_SMALL + sizeof model_sizes / sizeof model_sizes[0] };

static size_t size_of(size_t i)
{
    return i < N_SMALL ? i : model_sizes[i - N_SMALL];
}

/* Every size from 'least' on, with every kind of values, in every placement. */
static void check_vectors(const char *const *names, size_t n_vectors, size_t least,
                          kernel_call *call, kernel_call *define, struct sizes sizes)
{
    for (size_t i = least; i < N_SIZES; i++) {
        for (size_t kind = 0; kind < N_VALUES; kind++) {
            if (case_skipped())
                continue;
            sizes.n = size_of(i);
            if (sizes.factor_name == NULL)
                case_begin("n %zu, %s values", sizes.n, values_names[kind]);
            else
                case_begin("n %zu, %s values, %s %a", sizes.n, values_names[kind],
                           sizes.factor_name, (double)sizes.factor);
            for (size_t v = 0; v < n_vectors; v++)
                fill_values(case_operand(names[v], sizes.n), sizes.n, kind);
            case_run(call, define, &sizes, sizes.n < 1000 ? 17 : 3);
        }
    }
}

/* Rows of one vector after another, which the caches hold as they do in a forward pass. */
enum { BENCH_ROWS = 64 };

struct vectors_bench {
    kernel_call *call;
    struct sizes sizes;
    size_t n_vectors;
    float *fresh; /* [BENCH_ROWS][n_vectors][n] */
    float *x;     /* likewise */
};

static void prepare_vectors(void *argument)
{
    const struct vectors_bench *b = argument;

    memcpy(b->x, b->fresh, BENCH_ROWS * b->n_vectors * b->sizes.n * sizeof(float));
}

static void run_vectors(const struct gpt2i_kernels *kernels, void *argument)
{
    const struct vectors_bench *b = argument;

    for (size_t r = 0; r < BENCH_ROWS; r++) {
        void *at[4];

        for (size_t v = 0; v < b->n_vectors; v++)
            at[v] = b->x + (r * b->n_vectors + v) * b->sizes.n;
        b->call(kernels, at, &b->sizes);
    }
}

/* n_moved of the vectors are read or written, each way counted */
static void bench_vectors(const struct entry *entry, kernel_call *call, size_t n_vectors,
                          size_t n_moved, struct sizes sizes)
{
    size_t n_floats = BENCH_ROWS * n_vectors * sizes.n;
    struct vectors_bench vectors = {call, sizes, n_vectors, bench_floats(n_floats),
                                    bench_floats(n_floats)};
    struct bench bench = {
        .prepare = prepare_vectors,
        .run = run_vectors,
        .argument = &vectors,
        .work = (double)(BENCH_ROWS * n_moved * sizes.n * sizeof(float)),
        .unit = "GB/s",
    };
    char shape[32];

    snprintf(shape, sizeof shape, "n %zu", sizes.n);
    bench_run(entry, shape, &bench);
    free(vectors.fresh);
    free(vectors.x);
}

/* ------------------------------------------------------------------------------------ add, scale -- */

static void call_add(const struct gpt2i_kernels *kernels, void *const *at, const void *argument)
{
    const struct sizes *sizes = argument;

    kernels->add(at[0], at[1], sizes->n);
}

static void define_add(const struct gpt2i_kernels *kernels, void *const *at, const void *argument)
{
    const struct sizes *sizes = argument;
    float *y = at[0];
    const float *x = at[1];

    (void)kernels;
    for (size_t i = 0; i < sizes->n; i++)
        y[i] = y[i] + x[i];
}

void check_add(const struct entry *entry)
{
    static const char *const names[] = {"y", "x"};

    (void)entry;
    check_vectors(names, 2, 0, call_add, define_add, (struct sizes){0});
}

void bench_add(const struct entry *entry)
{
    bench_vectors(entry, call_add, 2, 3, (struct sizes){.n = 768});
}

static void call_scale(const struct gpt2i_kernels *kernels, void *const *at, const void *argument)
{
    const struct sizes *sizes = argument;

    kernels->scale(at[0], sizes->factor, sizes->n);
}

static void define_scale(const struct gpt2i_kernels *kernels, void *const *at, const void *argument)
{
    const struct sizes *sizes = argument;
    float *x = at[0];

    (void)kernels;
    for (size_t i = 0; i < sizes->n; i++)
        x[i] = x[i] * sizes->factor;
}

void check_scale(const struct entry *entry)
{
    static const char *const names[] = {"x"};
    static const float factors[] = {0.125f, 1.0f / 9.0f, -0.0f, 0x1p-140f, INFINITY, NAN};

    (void)entry;
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++)
        check_vectors(names, 1, 0, call_scale, define_scale,
                      (struct sizes){.factor = factors[i], .factor_name = "factor"});
}

void bench_scale(const struct entry *entry)
{
    bench_vectors(entry, call_scale, 1, 2, (struct sizes){.n = 1024, .factor = 0.125f});
}

/* ------------------------------------------------------------------------------------ layer_norm -- */

static void call_layer_norm(const struct gpt2i_kernels *kernels, void *const *at,
                            const void *argument)
{
    const struct sizes *sizes = argument;

    kernels->layer_norm(at[0], at[1], at[2], at[3], sizes->n, sizes->factor);
}

static float fold(float lanes[GPT2I_LANES])
{
    for (size_t half = GPT2I_LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++)
            lanes[l] += lanes[l + half];
    }
    return lanes[0];
}

static void define_layer_norm(const struct gpt2i_kernels *kernels, void *const *at,
                              const void *argument)
{
    const struct sizes *sizes = argument;
    float *y = at[0];
    const float *x = at[1];
    const float *gain = at[2];
    const float *bias = at[3];
    float sum[GPT2I_LANES] = {0.0f};
    float squares[GPT2I_LANES] = {0.0f};
    float mean;
    float variance;
    float r;

    (void)kernels;
    for (size_t i = 0; i < sizes->n; i++)
        sum[i % GPT2I_LANES] += x[i];
    mean = fold(sum) / (float)sizes->n;
    for (size_t i = 0; i < sizes->n; i++) {
        float *lane = &squares[i % GPT2I_LANES];

        *lane = gpt2i_fma(x[i] - mean, x[i] - mean, *lane);
    }
    variance = fold(squares) / (float)sizes->n;
    r = isfinite(variance) ? 1.0f / sqrtf(variance + sizes->factor) : NAN;
    for (size_t i = 0; i < sizes->n; i++)
        y[i] = gpt2i_fma((x[i] - mean) * r, gain[i], bias[i]);
}

void check_layer_norm(const struct entry *entry)
{
    static const char *const names[] = {"y", "x", "gain", "bias"};
    static const float epsilons[] = {1e-5f, 0.0f};

    (void)entry;
    for (size_t i = 0; i < sizeof epsilons / sizeof epsilons[0]; i++)
        check_vectors(names, 4, 1, call_layer_norm, define_layer_norm,
                      (struct sizes){.factor = epsilons[i], .factor_name = "epsilon"});
}

void bench_layer_norm(const struct entry *entry)
{
    bench_vectors(entry, call_layer_norm, 4, 4, (struct sizes){.n = 768, .factor = 1e-5f});
}

/* ---------------------------------------------------------------------------- softmax, activations */

/*
 * Every 'stride'-th float from low to high, by their bits.  For softmax the first is 0, so
 * that all others go to exp as they are.
 */
static void check_sweep(kernel_call *call, kernel_call *define, struct sizes sizes, uint32_t low,
                        uint32_t high, uint32_t stride, bool zero_first)
{
    enum { MAX_FLOATS = 4000 };

    for (uint64_t first = low; first <= high; first += (uint64_t)MAX_FLOATS * stride) {
        float *x;

        if (case_skipped())
            continue;
        sizes.n = gpt2i_min(MAX_FLOATS, (size_t)((high - first) / stride + 1));
        case_begin("%zu floats, every %" PRIu32 "th from %08" PRIx32 " on", sizes.n, stride,
                   (uint32_t)first);
        x = case_operand("x", sizes.n);
        for (size_t i = 0; i < sizes.n; i++) {
            uint32_t bits = (uint32_t)first + (uint32_t)i * stride;

            memcpy(&x[i], &bits, sizeof bits);
        }
        if (zero_first)
            x[0] = 0.0f;
        case_run(call, define, &sizes, 1);
    }
}

static void call_softmax(const struct gpt2i_kernels *kernels, void *const *at, const void *argument)
{
    const struct sizes *sizes = argument;

    kernels->softmax(at[0], sizes->n);
}

void check_softmax(const struct entry *entry)
{
    static const char *const names[] = {"x"};

    (void)entry;
    check_vectors(names, 1, 1, call_softmax, NULL, (struct sizes){0});
    check_sweep(call_softmax, NULL, (struct sizes){0}, 0x80000000, 0xc2d20000, 997, true);
}

void bench_softmax(const struct entry *entry)
{
    bench_vectors(entry, call_softmax, 1, 2, (struct sizes){.n = 1024});
}

static void call_activation(const struct gpt2i_kernels *kernels, void *const *at,
                            const void *argument)
{
    const struct sizes *sizes = argument;

    kernels->activation[sizes->number](at[0], sizes->n);
}

static void define_relu(const struct gpt2i_kernels *kernels, void *const *at, const void *argument)
{
    const struct sizes *sizes = argument;
    float *x = at[0];

    (void)kernels;
    for (size_t i = 0; i < sizes->n; i++)
        x[i] = 0.0f > x[i] ? 0.0f : x[i];
}

static int32_t activation_of(const struct entry *entry)
{
    size_t first = offsetof(struct gpt2i_kernels, activation);

    return (int32_t)((entry->offset - first) / sizeof(void (*)(void)));
}

void check_activation(const struct entry *entry)
{
    static const char *const names[] = {"x"};
    struct sizes sizes = {.number = activation_of(entry)};
    kernel_call *define = sizes.number == GPT2_ACT_RELU ? define_relu : NULL;

    check_vectors(names, 1, 0, call_activation, define, sizes);
    check_sweep(call_activation, define, sizes, 0, UINT32_MAX, 4099, false);
}

void bench_activation(const struct entry *entry)
{
    bench_vectors(entry, call_activation, 1, 2,
                  (struct sizes){.n = 3072, .number = activation_of(entry)});
}
