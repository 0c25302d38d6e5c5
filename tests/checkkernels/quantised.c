/*
 * quantised.c: products of quantised weights and activations, against their definition, one output at a
 * time.  What quantise() writes is seen by products alone: each instruction set has its own form.
 */
#include "checkkernels.h"
#include "kernels/fma.h"
#include "kernels/half.h"
#include "kernels/quantised.h"

#include <math.h>
#include <stdlib.h>

/* The operands of a case. */
enum { Y, X, W, BIAS };

static bool is_q8; /* what is checked, or timed: matmul_q8, else matmul_q4 */

static uint8_t table[GPT2I_Q_TABLE];
static const float with_bias; /* 'bias' of a case is this, or NULL */
static char with_workspace;   /* 'widened' likewise */

/* The sizes of a case; in 'm' are those that the kernel gets. */
struct shape {
    struct gpt2i_quantised_matmul m;
    size_t x_stride; /* of the activations, floats */
    size_t n_in;
};

static int32_t type_checked(void)
{
    return is_q8 ? GPT2_TYPE_Q8 : GPT2_TYPE_Q4;
}

static size_t panel_bytes(const struct gpt2i_quantised_matmul *m)
{
    return m->n_blocks * gpt2i_round_up(m->n_outputs, GPT2I_LANES) *
           gpt2i_q_block_bytes(type_checked());
}

/* Rows of quantised activations, of their exact size, for the caller to free. */
static void *new_inputs(const struct gpt2i_kernels *kernels, const struct shape *shape,
                        const float *x)
{
    size_t row_bytes = shape->m.n_blocks * kernels->input_block_bytes;
    char *inputs = malloc(gpt2i_max(shape->m.n_rows * row_bytes, 1));

    if (inputs == NULL)
        abort();
    for (size_t r = 0; r < shape->m.n_rows; r++)
        kernels->quantise(inputs + r * row_bytes, x + r * shape->x_stride, shape->n_in);
    return inputs;
}

static void call_quantised(const struct gpt2i_kernels *kernels, void *const *at,
                           const void *argument)
{
    const struct shape *shape = argument;
    struct gpt2i_quantised_matmul m = shape->m;
    void *inputs = new_inputs(kernels, shape, at[X]);

    m.y = at[Y];
    m.x = inputs;
    m.x_stride_bytes = m.n_blocks * kernels->input_block_bytes;
    m.w = at[W];
    m.table = table;
    if (m.bias != NULL)
        m.bias = at[BIAS];
    if (m.widened != NULL) /* of its exact size, for sanitizers */
        m.widened = aligned_alloc(64, GPT2I_Q_WORKSPACE);
    (is_q8 ? kernels->matmul_q8 : kernels->matmul_q4)(&m);
    free(m.widened);
    free(inputs);
}

/* The weight of input k of a block, as an integer, and the block's scale. */
static int32_t define_weight(const struct gpt2i_quantised_matmul *m, const char *w, size_t block,
                             size_t k, size_t o, float *d)
{
    size_t width = gpt2i_round_up(m->n_outputs, GPT2I_LANES);
    const uint8_t *at = (const uint8_t *)w + block * width * gpt2i_q_block_bytes(type_checked());
    const uint8_t *q = at + width * sizeof(uint16_t);
    uint16_t half;

    memcpy(&half, at + o * sizeof half, sizeof half);
    *d = gpt2i_float_of_half(half);
    if (is_q8)
        return q[(k / 4 * width + o) * 4 + k % 4] - 128;
    q += (k / 8 * width + o) * 4 + k % 4;
    return table[k % 8 < 4 ? *q % 16 : *q / 16] - 128;
}

/* A block of activations as integers; returns their scale. */
static float define_inputs(int32_t *q, const float *x, size_t n)
{
    float max = 0.0f;
    bool is_finite = true;

    memset(q, 0, GPT2I_Q_BLOCK * sizeof *q);
    for (size_t i = 0; i < n; i++) {
        is_finite = is_finite && isfinite(x[i]);
        max = fmaxf(max, fabsf(x[i]));
    }
    if (!is_finite)
        return NAN;
    if (max < 0x1p-100f)
        return 0.0f;
    for (size_t i = 0; i < n; i++)
        q[i] = (int32_t)rint((double)x[i] * (double)(127.0f / max)); /* of the exact product */
    return max / 127.0f;
}

static void define_row(const struct shape *shape, float *y, const float *x, const char *w,
                       const float *bias)
{
    for (size_t o = 0; o < shape->m.n_outputs; o++)
        y[o] = 0.0f;
    for (size_t block = 0; block < shape->m.n_blocks; block++) {
        size_t first = block * GPT2I_Q_BLOCK;
        int32_t q[GPT2I_Q_BLOCK];
        float d_x = define_inputs(q, x + first, gpt2i_min(shape->n_in - first, GPT2I_Q_BLOCK));

        for (size_t o = 0; o < shape->m.n_outputs; o++) {
            int32_t sum = 0;
            float d_w = 0.0f;

            for (size_t k = 0; k < GPT2I_Q_BLOCK; k++)
                sum += define_weight(&shape->m, w, block, k, o, &d_w) * q[k];
            y[o] = gpt2i_fma((float)sum, d_w * d_x, y[o]);
        }
    }
    for (size_t o = 0; o < shape->m.n_outputs && bias != NULL; o++)
        y[o] = y[o] + bias[o];
}

static void define_quantised(const struct gpt2i_kernels *kernels, void *const *at,
                             const void *argument)
{
    const struct shape *shape = argument;

    (void)kernels;
    for (size_t r = 0; r < shape->m.n_rows; r++)
        define_row(shape, (float *)at[Y] + r * shape->m.y_stride,
                   (const float *)at[X] + r * shape->x_stride, at[W],
                   shape->m.bias == NULL ? NULL : at[BIAS]);
}

/* Integers of all sizes, or the extremes alone; scales of the kind. */
static void fill_weights(const struct gpt2i_quantised_matmul *m, size_t kind)
{
    static const uint8_t extremes[] = {0, 1, 127, 128, 129, 255}; /* -128, -127, -1, 0, 1, 127 */
    size_t width = gpt2i_round_up(m->n_outputs, GPT2I_LANES);
    size_t block_bytes = width * gpt2i_q_block_bytes(type_checked());
    bool only_extremes = random_below(3) == 0;
    uint8_t *w = (uint8_t *)case_operand_halves("w", panel_bytes(m) / sizeof(uint16_t));

    for (size_t i = 0; i < panel_bytes(m); i++)
        w[i] = (uint8_t)random_below(256);
    for (size_t i = 0; i < GPT2I_Q_TABLE; i++)
        table[i] = (uint8_t)random_below(256);
    for (size_t i = 0; only_extremes && i < panel_bytes(m); i++)
        w[i] = extremes[random_below(sizeof extremes)];
    for (size_t i = 0; only_extremes && i < GPT2I_Q_TABLE; i++)
        table[i] = extremes[random_below(sizeof extremes)];
    for (size_t block = 0; block < m->n_blocks; block++)
        fill_halves((uint16_t *)(void *)(w + block * block_bytes), width, kind);
}

static void check_shape(size_t n_rows, size_t n_in, size_t n_outputs, size_t gap)
{
    size_t kind = random_below(N_VALUES);
    struct shape shape = {
        .m =
            {
                .y_stride = n_outputs + gap,
                .widened =
                    n_outputs <= GPT2I_Q_OUTPUTS && random_below(4) != 0 ? &with_workspace : NULL,
                .bias = random_below(2) == 0 ? &with_bias : NULL,
                .n_rows = n_rows,
                .n_blocks = gpt2i_ceil_div(n_in, GPT2I_Q_BLOCK),
                .n_outputs = n_outputs,
            },
        .x_stride = n_in + gap,
        .n_in = n_in,
    };
    size_t y_floats = n_rows == 0 ? 0 : (n_rows - 1) * shape.m.y_stride + n_outputs;
    size_t x_floats = n_rows == 0 ? 0 : (n_rows - 1) * shape.x_stride + n_in;
    float *x;

    if (case_skipped() || (quick && n_rows * n_in * n_outputs > 40000))
        return;
    case_begin("%zu rows, %zu inputs, %zu outputs, gaps of %zu, %s values%s%s", n_rows, n_in,
               n_outputs, gap, values_names[kind], shape.m.bias != NULL ? ", bias" : "",
               shape.m.widened != NULL ? ", workspace" : "");
    fill_canary(case_operand("y", y_floats), y_floats);
    x = case_operand("x", x_floats);
    fill_canary(x, x_floats);
    for (size_t r = 0; r < n_rows; r++)
        fill_values(x + r * shape.x_stride, n_in, kind);
    fill_weights(&shape.m, random_below(2) == 0 ? VALUES_ORDINARY : kind);
    fill_values(case_operand("bias", n_outputs), n_outputs, kind);
    case_run(call_quantised, define_quantised, &shape, 3);
}

void check_quantised(const struct entry *entry)
{
    static const size_t depths[] = {1, 31, 32, 33, 48, 64, 65, 300};
    static const size_t more_rows[] = {18, 19, 20, 27, 28, 29, 43, 64};
    static const size_t widths[] = {768, 1024, 1280, 1600};

    is_q8 = entry->offset == offsetof(struct gpt2i_kernels, matmul_q8);
    for (size_t rows = 0; rows < 18; rows++) {
        for (size_t d = 0; d < sizeof depths / sizeof depths[0]; d++) {
            for (size_t outputs = 1; outputs < 71; outputs += 1 + random_below(3))
                check_shape(rows, depths[d], outputs, random_below(9));
        }
    }
    for (size_t i = 0; i < sizeof more_rows / sizeof more_rows[0]; i++) {
        for (size_t outputs = 1; outputs < 71; outputs += 7)
            check_shape(more_rows[i], 70, outputs, random_below(9));
    }
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        check_shape(1, widths[i], 200, 0);
        check_shape(1, 4 * widths[i], 64, 0);
        check_shape(17, 4 * widths[i], 40, 0);
    }
}

/* Weights of 1 and 0 bring out each activation of a block: d q. */
static void check_one_block(size_t n, size_t kind)
{
    struct shape shape = {
        .m = {.y_stride = GPT2I_Q_BLOCK, .n_rows = 1, .n_blocks = 1, .n_outputs = GPT2I_Q_BLOCK},
        .x_stride = n,
        .n_in = n,
    };
    uint8_t *w;

    if (case_skipped())
        return;
    case_begin("a block of %zu, %s values", n, values_names[kind]);
    fill_canary(case_operand("y", GPT2I_Q_BLOCK), GPT2I_Q_BLOCK);
    fill_values(case_operand("x", n), n, kind);
    w = (uint8_t *)case_operand_halves("w", panel_bytes(&shape.m) / sizeof(uint16_t));
    memset(w, GPT2I_Q_OFFSET, panel_bytes(&shape.m));
    for (size_t o = 0; o < GPT2I_Q_BLOCK; o++) {
        const uint16_t one = 0x3c00;

        memcpy(w + o * sizeof one, &one, sizeof one);
        w[GPT2I_Q_BLOCK * sizeof one + (o / 4 * GPT2I_Q_BLOCK + o) * 4 + o % 4]++;
    }
    case_operand("bias", 0);
    case_run(call_quantised, define_quantised, &shape, 3);
}

void check_quantise(const struct entry *entry)
{
    (void)entry;
    is_q8 = true;
    for (size_t round = 0; round < 20; round++) {
        for (size_t n = 1; n <= GPT2I_Q_BLOCK; n++) {
            for (size_t kind = 0; kind < N_VALUES; kind++)
                check_one_block(n, kind);
        }
    }
}

/* -------------------------------------------------------------------------------------- speed -- */

struct quantised_bench {
    struct shape shape;
    size_t n_panels;
    const float *x;
    char *inputs; /* [n_rows][n_blocks], for any instruction set */
};

static void run_quantise(const struct gpt2i_kernels *kernels, void *argument)
{
    const struct quantised_bench *b = argument;
    size_t row_bytes = b->shape.m.n_blocks * kernels->input_block_bytes;

    for (size_t r = 0; r < b->shape.m.n_rows; r++)
        kernels->quantise(b->inputs + r * row_bytes, b->x + r * b->shape.x_stride, b->shape.n_in);
}

static void run_quantised(const struct gpt2i_kernels *kernels, void *argument)
{
    const struct quantised_bench *b = argument;
    struct gpt2i_quantised_matmul m = b->shape.m;

    run_quantise(kernels, argument);
    m.x = b->inputs;
    m.x_stride_bytes = m.n_blocks * kernels->input_block_bytes;
    for (size_t i = 0; i < b->n_panels; i++, m.y += m.n_outputs) {
        (is_q8 ? kernels->matmul_q8 : kernels->matmul_q4)(&m);
        m.w = (const char *)m.w + panel_bytes(&m);
    }
}

/* GB/s of weights for one row, GFLOP/s for more; the activations are quantised, too. */
static void bench_shape(const struct entry *entry, const char *note, size_t n_rows, size_t n_in,
                        size_t n_outputs, bool only_quantise)
{
    struct quantised_bench b = {
        .shape =
            {
                .m =
                    {
                        .y_stride = n_outputs,
                        .table = gpt2i_iq4_nl_table,
                        .n_rows = n_rows,
                        .n_blocks = n_in / GPT2I_Q_BLOCK,
                        .n_outputs = 64,
                    },
                .x_stride = n_in,
                .n_in = n_in,
            },
        .n_panels = n_outputs / 64,
    };
    size_t w_bytes = b.n_panels * panel_bytes(&b.shape.m);
    float *x = bench_floats(n_rows * n_in);
    float *y = bench_floats(n_rows * n_outputs);
    uint16_t *w = bench_halves(w_bytes / sizeof *w);
    float *inputs = bench_floats(n_rows * n_in); /* more than any form takes */
    float *widened = bench_floats(GPT2I_Q_WORKSPACE / sizeof(float));
    double n_products = (double)(n_rows * n_in * n_outputs);
    struct bench bench = {
        .run = only_quantise ? run_quantise : run_quantised,
        .argument = &b,
        .work = only_quantise ? (double)(n_rows * n_in * sizeof *x)
                : n_rows == 1 ? (double)w_bytes
                              : 2.0 * n_products,
        .unit = only_quantise || n_rows == 1 ? "GB/s" : "GFLOP/s",
    };
    char shape[64];

    b.x = x;
    b.inputs = (char *)inputs;
    b.shape.m.y = y;
    b.shape.m.widened = widened;
    b.shape.m.w = w;
    snprintf(shape, sizeof shape, "%zu x %zu x %zu%s", n_rows, n_in, n_outputs, note);
    bench_run(entry, shape, &bench);
    free(x);
    free(y);
    free(w);
    free(inputs);
    free(widened);
}

void bench_quantised(const struct entry *entry)
{
    is_q8 = entry->offset == offsetof(struct gpt2i_kernels, matmul_q8);
    bench_shape(entry, ", from memory", 1, 768, 50304, false);
    bench_shape(entry, ", from L2", 1, 768, 192, false);
    bench_shape(entry, "", 4, 768, 3072, false);
    bench_shape(entry, "", 32, 768, 3072, false);
    bench_shape(entry, "", 256, 768, 768, false);
    bench_shape(entry, "", 256, 768, 3072, false);
    bench_shape(entry, "", 256, 3072, 768, false);
}

void bench_quantise(const struct entry *entry)
{
    is_q8 = true;
    bench_shape(entry, ", activations", 16, 768, 64, true);
}
