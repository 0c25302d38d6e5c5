/*
 * matmul.c: the matrix product, with weights of each type, against its definition, one output at a time.
 */
#include "checkkernels.h"
#include "kernels/fma.h"
#include "kernels/half.h"
#include "model/compute.h"
#include "model/kvcache.h"
#include "model/matrix.h"

#include <stdlib.h>

/* The operands of a case. */
enum { Y, X, W, BIAS };

static const float with_bias; /* 'bias' of a case is this, or NULL */
static float with_workspace;  /* 'widened' likewise */

/* What is checked, or timed. */
static bool one_row;   /* matmul_row, else matmul_any */
static int32_t w_type; /* GPT2_TYPE_* */

static void choose(const struct entry *entry)
{
    size_t row = offsetof(struct gpt2i_kernels, matmul_row);
    size_t any = offsetof(struct gpt2i_kernels, matmul_any);

    one_row = entry->offset < any;
    w_type = (int32_t)((entry->offset - (one_row ? row : any)) / sizeof(gpt2i_matmul_kernel *));
}

static float *new_workspace(size_t n_outputs)
{
    size_t n_floats = GPT2I_K_BLOCK * gpt2i_round_up(n_outputs, GPT2I_LANES);
    float *space = malloc(gpt2i_max(n_floats, 1) * sizeof *space);

    if (space == NULL)
        abort();
    return space;
}

static void call_matmul(const struct gpt2i_kernels *kernels, void *const *at, const void *argument)
{
    struct gpt2i_matmul m = *(const struct gpt2i_matmul *)argument;

    m.y = at[Y];
    m.x = at[X];
    m.w = at[W];
    if (m.bias != NULL)
        m.bias = at[BIAS];
    if (m.widened != NULL) /* of its exact size, for sanitizers */
        m.widened = new_workspace(m.n_outputs);
    if (one_row)
        kernels->matmul_row[m.w_type](&m);
    else
        kernels->matmul_any[m.w_type](&m);
    free(m.widened);
}

static float define_weight(const struct gpt2i_matmul *m, const void *w, size_t k, size_t o)
{
    size_t i = k * m->w_stride + o;

    if (m->w_type == GPT2_TYPE_F16)
        return gpt2i_float_of_half(((const uint16_t *)w)[i]);
    if (m->w_type == GPT2_TYPE_BF16)
        return gpt2i_float_of_bf16(((const uint16_t *)w)[i]);
    return ((const float *)w)[i];
}

static float define_output(const struct gpt2i_matmul *m, const float *x, const void *w, size_t o,
                           float y)
{
    for (size_t k = 0; k < m->n_k;) {
        size_t end = gpt2i_min(k + GPT2I_K_BLOCK, m->n_k);
        float c = 0.0f;

        for (; k < end; k++)
            c = gpt2i_fma(x[k], define_weight(m, w, k, o), c);
        y = y + c;
    }
    return y;
}

static void define_matmul(const struct gpt2i_kernels *kernels, void *const *at,
                          const void *argument)
{
    const struct gpt2i_matmul *m = argument;
    const float *x = at[X];
    const float *bias = at[BIAS];

    (void)kernels;
    for (size_t r = 0; r < m->n_rows; r++) {
        for (size_t o = 0; o < m->n_outputs; o++) {
            float *y = (float *)at[Y] + r * m->y_stride + o;

            *y = define_output(m, x + r * m->x_stride, at[W], o, m->adds ? *y : 0.0f);
            if (m->bias != NULL)
                *y = *y + bias[o];
        }
    }
}

/* Floats from the first to the last of a matrix whose rows are 'stride' apart. */
static size_t matrix_floats(size_t n_rows, size_t n_columns, size_t stride)
{
    return n_rows == 0 ? 0 : (n_rows - 1) * stride + n_columns;
}

/* Canaries lie between rows. */
static float *matrix(const char *name, size_t n_rows, size_t n_columns, size_t stride, size_t kind)
{
    float *x = case_operand(name, matrix_floats(n_rows, n_columns, stride));

    fill_canary(x, matrix_floats(n_rows, n_columns, stride));
    for (size_t r = 0; r < n_rows; r++)
        fill_values(x + r * stride, n_columns, kind);
    return x;
}

/* w has whole groups in its last row; canaries lie wherever no output has a weight. */
static void weights(const struct gpt2i_matmul *m, size_t kind)
{
    size_t n = m->n_outputs == 0
                   ? 0
                   : (m->n_k - 1) * m->w_stride + gpt2i_round_up(m->n_outputs, GPT2I_LANES);

    if (m->w_type != GPT2_TYPE_F32) {
        uint16_t *w = case_operand_halves("w", n);

        fill_canary_halves(w, n);
        for (size_t k = 0; k < m->n_k; k++)
            (m->w_type == GPT2_TYPE_F16 ? fill_halves : fill_bf16)(w + k * m->w_stride,
                                                                   m->n_outputs, kind);
    } else {
        float *w = case_operand("w", n);

        fill_canary(w, n);
        for (size_t k = 0; k < m->n_k; k++)
            fill_values(w + k * m->w_stride, m->n_outputs, kind);
    }
}

static void check_shape(struct gpt2i_matmul shape, size_t kind)
{
    const struct gpt2i_matmul *m = &shape;
    float *y;

    shape.w_type = w_type;
    shape.adds = random_below(2) == 0;
    shape.bias = random_below(2) == 0 ? &with_bias : NULL;
    shape.widened = m->n_rows > 1 && random_below(4) != 0 ? &with_workspace : NULL;
    /* F16 and BF16 share F32's code: a third of the cases, but all with GPT2_TEST_EVERY_FLOAT */
    if (w_type != GPT2_TYPE_F32 && random_below(3) != 0 && getenv("GPT2_TEST_EVERY_FLOAT") == NULL)
        return;
    if ((one_row && m->n_rows != 1) || case_skipped() ||
        (quick && m->n_rows * m->n_k * m->n_outputs > 40000))
        return;
    case_begin("%zu rows (strides: y %zu, x %zu), %zu k (stride of w: %zu), %zu outputs, "
               "%s values%s%s%s",
               m->n_rows, m->y_stride, m->x_stride, m->n_k, m->w_stride, m->n_outputs,
               values_names[kind], m->adds ? ", adds" : "", m->bias != NULL ? ", bias" : "",
               m->widened != NULL ? ", workspace" : "");
    y = matrix("y", m->n_rows, m->n_outputs, m->y_stride, kind);
    if (!m->adds)
        fill_canary(y, matrix_floats(m->n_rows, m->n_outputs, m->y_stride));
    matrix("x", m->n_rows, m->n_k, m->x_stride, kind);
    weights(m, kind);
    matrix("bias", 1, m->n_outputs, 0, kind);
    case_run(call_matmul, define_matmul, m, 3);
}

/* A panel as lib/model/matrix.c makes them, but of any width; rows 'gap' floats apart. */
static struct gpt2i_matmul packed(size_t n_rows, size_t n_k, size_t n_outputs, size_t gap)
{
    return (struct gpt2i_matmul){
        .y_stride = n_outputs + gap,
        .x_stride = n_k + gap,
        .w_stride = gpt2i_round_up(n_outputs, GPT2I_LANES) + gap,
        .n_rows = n_rows,
        .n_k = n_k,
        .n_outputs = n_outputs,
    };
}

/* As lib/model/attention.c calls for two heads and two pages: queries against a page of keys. */
static struct gpt2i_matmul scores_of_page(size_t n_rows, size_t head_dim, size_t n_positions)
{
    return (struct gpt2i_matmul){
        .y_stride = 2 * GPT2I_PAGE,
        .x_stride = 3 * 2 * head_dim,
        .w_stride = GPT2I_PAGE,
        .n_rows = n_rows,
        .n_k = head_dim,
        .n_outputs = n_positions,
    };
}

/* Likewise, probabilities against a page of values. */
static struct gpt2i_matmul values_of_page(size_t n_rows, size_t head_dim, size_t n_positions)
{
    return (struct gpt2i_matmul){
        .y_stride = 2 * head_dim,
        .x_stride = 2 * GPT2I_PAGE,
        .w_stride = head_dim,
        .n_rows = n_rows,
        .n_k = n_positions,
        .n_outputs = head_dim,
    };
}

static void check_packed(size_t n_rows, size_t n_k, size_t n_outputs, size_t gap, size_t kind)
{
    check_shape(packed(n_rows, n_k, n_outputs, gap), kind);
}

/* 1 times each float of 16 bits is that float, widened exactly. */
static void check_every_half(void)
{
    struct gpt2i_matmul m = packed(1, 1, 0x10000, 0);
    uint16_t *w;

    m.w_type = w_type;
    case_begin("1 times each float of 16 bits");
    fill_canary(case_operand("y", m.n_outputs), m.n_outputs);
    *case_operand("x", 1) = 1.0f;
    w = case_operand_halves("w", m.n_outputs);
    for (size_t i = 0; i < m.n_outputs; i++)
        w[i] = (uint16_t)i;
    case_operand("bias", 0);
    case_run(call_matmul, define_matmul, &m, 3);
}

void check_matmul(const struct entry *entry)
{
    static const size_t depths[] = {1, 2, 3, 13, 63, 64, 65, 131, 257};
    static const size_t wide[] = {79, 80, 81, 95, 96, 127, 128, 129, 144, 200, 257, 271};
    static const size_t more_rows[] = {20, 27, 28, 29, 43, 64};
    static const size_t widths[] = {768, 1024, 1280, 1600};
    static const size_t head_dims[] = {1, 5, 16, 20, 64, 80};
    size_t n_depths = sizeof depths / sizeof depths[0];

    choose(entry);
    if (w_type != GPT2_TYPE_F32)
        check_every_half();
    for (size_t rows = 0; rows < 18; rows++) {
        for (size_t d = 0; d < n_depths; d++) {
            for (size_t outputs = 0; outputs < 71; outputs++)
                check_packed(rows, depths[d], outputs, random_below(9), random_below(N_VALUES));
        }
        for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
            check_packed(rows, 66, wide[i], random_below(9), random_below(N_VALUES));
    }
    for (size_t i = 0; i < sizeof more_rows / sizeof more_rows[0]; i++) {
        for (size_t outputs = 1; outputs < 71; outputs += 7)
            check_packed(more_rows[i], 70, outputs, random_below(9), random_below(N_VALUES));
    }
    for (size_t i = 0; i < sizeof head_dims / sizeof head_dims[0]; i++) {
        for (size_t rows = 1; rows <= 16; rows += 3) {
            for (size_t positions = 1; positions <= GPT2I_PAGE; positions += 3) {
                check_shape(scores_of_page(rows, head_dims[i], positions), random_below(N_VALUES));
                check_shape(values_of_page(rows, head_dims[i], positions), random_below(N_VALUES));
            }
        }
    }
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        size_t n_embd = widths[i];

        check_packed(1, n_embd, 3 * n_embd, 0, VALUES_ORDINARY);
        check_packed(3, n_embd, n_embd, 0, VALUES_ORDINARY);
        check_packed(1, n_embd, 4 * n_embd, 0, VALUES_ORDINARY);
        check_packed(1, 4 * n_embd, n_embd, 0, VALUES_ORDINARY);
        check_packed(17, 4 * n_embd, 40, 0, VALUES_ORDINARY);
    }
    check_packed(1, 64, 50257, 0, VALUES_ORDINARY);
    check_packed(2, 768, 50257 - 49000, 0, VALUES_ORDINARY);
    check_packed(1000, 768, 16, 0, VALUES_ORDINARY);
}

/* -------------------------------------------------------------------------------------- speed -- */

/* n_calls calls of the kernel; from one to the next w and y move on. */
struct matmul_bench {
    struct gpt2i_matmul m;
    size_t n_calls;
    size_t w_apart;
    size_t y_apart;
};

static size_t weight_bytes(void)
{
    return w_type == GPT2_TYPE_F32 ? sizeof(float) : sizeof(uint16_t);
}

static void run_matmul(const struct gpt2i_kernels *kernels, void *argument)
{
    const struct matmul_bench *b = argument;
    struct gpt2i_matmul m = b->m;

    for (size_t i = 0; i < b->n_calls; i++, m.y += b->y_apart) {
        gpt2i_matmul(kernels, &m);
        m.w = (const char *)m.w + b->w_apart * weight_bytes();
    }
}

/* GB/s of weights for one row, GFLOP/s for more. */
static void bench_shape(const struct entry *entry, const char *shape, struct matmul_bench b)
{
    struct gpt2i_matmul *m = &b.m;
    double n_products = (double)(b.n_calls * m->n_rows * m->n_k * m->n_outputs);
    float *y = bench_floats(m->n_rows * m->y_stride);
    float *x = bench_floats(matrix_floats(m->n_rows, m->n_k, m->x_stride));
    size_t n_weights = b.n_calls * b.w_apart + GPT2I_LANES;
    void *w = w_type == GPT2_TYPE_F32 ? (void *)bench_floats(n_weights) : bench_halves(n_weights);
    struct bench bench = {
        .run = run_matmul,
        .argument = &b,
        .work = m->n_rows == 1 ? (double)weight_bytes() * n_products : 2.0 * n_products,
        .unit = m->n_rows == 1 ? "GB/s" : "GFLOP/s",
    };

    if (w_type == GPT2_TYPE_BF16)
        fill_bf16(w, n_weights, VALUES_ORDINARY);
    m->w_type = w_type;
    m->y = y;
    m->x = x;
    m->w = w;
    bench_run(entry, shape, &bench);
    free(y);
    free(x);
    free(w);
}

/* 'n_outputs' is a multiple of GPT2I_PANEL. */
static void bench_packed(const struct entry *entry, const char *note, size_t n_rows, size_t n_k,
                         size_t n_outputs)
{
    struct matmul_bench b = {
        .m = packed(n_rows, n_k, GPT2I_PANEL, 0),
        .n_calls = n_outputs / GPT2I_PANEL,
        .w_apart = n_k * GPT2I_PANEL,
        .y_apart = GPT2I_PANEL,
    };
    char shape[64];

    b.m.x_stride = gpt2i_row_stride(n_k);
    b.m.y_stride = gpt2i_row_stride(n_outputs);
    snprintf(shape, sizeof shape, "%zu x %zu x %zu%s", n_rows, n_k, n_outputs, note);
    b.m.widened = bench_floats(GPT2I_K_BLOCK * GPT2I_PANEL);
    bench_shape(entry, shape, b);
    free(b.m.widened);
}

/* One head of the 124M model against 16 pages: 1024 positions. */
static void bench_attention(const struct entry *entry, size_t n_rows)
{
    enum { HEAD_DIM = 64, N_PAGES = 16 };
    struct matmul_bench scores = {scores_of_page(n_rows, HEAD_DIM, GPT2I_PAGE), N_PAGES,
                                  HEAD_DIM * GPT2I_PAGE, GPT2I_PAGE};
    struct matmul_bench values = {values_of_page(n_rows, HEAD_DIM, GPT2I_PAGE), N_PAGES,
                                  HEAD_DIM * GPT2I_PAGE, 0};
    char shape[64];

    scores.m.y_stride = gpt2i_row_stride(N_PAGES * GPT2I_PAGE);
    snprintf(shape, sizeof shape, "%zu x 64 x 64, scores, 16 pages", n_rows);
    bench_shape(entry, shape, scores);
    snprintf(shape, sizeof shape, "%zu x 64 x 64, values, 16 pages", n_rows);
    bench_shape(entry, shape, values);
}

void bench_matmul(const struct entry *entry)
{
    choose(entry);
    if (one_row) {
        bench_packed(entry, ", from memory", 1, 768, 50304);
        bench_packed(entry, ", from L2", 1, 768, 192);
        bench_attention(entry, 1);
        return;
    }
    bench_packed(entry, "", 4, 768, 3072);
    bench_packed(entry, "", 256, 768, 768);
    bench_packed(entry, "", 256, 768, 3072);
    bench_packed(entry, "", 256, 3072, 768);
    bench_attention(entry, tables[0].attention_rows);
}
