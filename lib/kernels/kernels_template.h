/*
 * kernels_template.h: the arithmetic, written once, on groups of 16 lanes.
 *
 * An instruction set's file defines the type v16 and the operations below, then includes this file,
 * which defines its kernels and puts them into a table.  So an expression cannot differ between
 * instruction sets.  Matrix products are in matmul_template.h, once for each type of weights.
 *
 *     SET              the set's name: its functions' names end with it (set_names.h)
 *     TARGET           function attribute that switches the instruction set on
 *     v16              16 floats
 *     v16_set1 v16_load v16_store           of one float; of 16 floats at any alignment
 *     v16_load_f16 v16_load_bf16            of 16 floats of 16 bits, at any alignment
 *     v16_store_f16                         rounds to nearest even
 *     v16_load_n v16_store_n                of the first n < 16 lanes; a load zeros the others
 *     v16_add _sub _mul _div _fma           lane by lane, each rounded once; fma(a, b, c) = a b + c
 *     v16_max v16_min                       a > b ? a : b, a < b ? a : b; so NaN in b stays
 *     v16_where_negative(x, a, b)           x < 0 ? a : b
 *     v16_not_below(x, y)                   bit l is set where lane l has x >= y
 *     v16_where_bits(bits, x)               x where the lane's bit of 16 is 1, else 0
 *     v16_scale_pow2(x, n)                  x 2^n, rounded once, for 0.5 < x < 2 and integral n in
 *                                           [-152, 128] (n is a float)
 *     v16_fold_add v16_fold_max             16 -> 8 -> 4 -> 2 -> 1, lane l with l + 8, l + 4, ...
 *     TILES(ROW)                            the sizes of register tiles, largest rows first
 *     EVEN_TILES(ROW)                       sizes that few rows prefer where no row is left over
 *     MATMUL_ROWS ATTENTION_ROWS            matmul_rows and attention_rows of the table
 *     KEEPS_MATMUL_ROW_F32                  if defined: the plainer set's matmul_row of F32 is faster
 */

#include "lanes.h"

/* --------------------------------------------------------------------------- matrix products -- */

/* y += v, or y = 0 + v, for the first n <= 16 lanes. */
TARGET_INLINE void add_to_total(float *y, size_t n, bool from_zero, v16 v)
{
    v16 total = from_zero ? v16_set1(0.0f) : load_upto(y, 0, n);

    store_upto(y, 0, n, v16_add(total, v));
}

#define W_TYPE        f32
#define W_ELEMENT     float
#define W_LOAD(w)     v16_load(w)
#define W_FETCH_STEPS 4 /* 1 KiB in a panel */
#ifdef KEEPS_MATMUL_ROW_F32
#define W_WITHOUT_ROW
#endif
#include "matmul_template.h"

#define W_TYPE        f16
#define W_ELEMENT     uint16_t
#define W_LOAD(w)     v16_load_f16(w)
#define W_FETCH_STEPS 16 /* 2 KiB */
#define W_WIDENS
#include "matmul_template.h"

#define W_TYPE        bf16
#define W_ELEMENT     uint16_t
#define W_LOAD(w)     v16_load_bf16(w)
#define W_FETCH_STEPS 16
#define W_WIDENS
#include "matmul_template.h"

/* -------------------------------------------------------------------------- element by element -- */

static TARGET void OF_SET(scale)(float *x, float factor, size_t n)
{
    for (size_t i = 0; i < n; i += GPT2I_LANES)
        store_upto(x, i, n, v16_mul(load_upto(x, i, n), v16_set1(factor)));
}

static TARGET void OF_SET(to_f16)(uint16_t *y, const float *x, size_t n)
{
    size_t i;

    for (i = 0; i + GPT2I_LANES <= n; i += GPT2I_LANES)
        v16_store_f16(y + i, v16_load(x + i));
    if (i < n) {
        uint16_t tail[GPT2I_LANES];

        v16_store_f16(tail, v16_load_n(x + i, n - i));
        memcpy(y + i, tail, (n - i) * sizeof tail[0]);
    }
}

/*
 * For x = n ln 2 + r with |r| <= ln(2) / 2 and x in [-104, 89]: exp(r) - 1, and n in 'whole'.
 * It is r + r^2 q(r), q of least relative error (3e-9) by tests/fit_polynomials.py.
 */
TARGET_INLINE v16 exp_of_rest_minus_1(v16 x, v16 *whole)
{
    const v16 round = v16_set1(0x1.8p23f); /* adding it rounds to an integer */
    v16 n, r, q;

    n = v16_sub(v16_fma(x, v16_set1(0x1.715476p+0f), round), round); /* log2(e) */
    r = v16_fma(n, v16_set1(-0x1.62e4p-1f), x);                      /* ln 2, its upper bits */
    r = v16_fma(n, v16_set1(-0x1.7f7d1cp-20f), r);                   /* ln 2, its lower bits */
    *whole = n;
    q = v16_set1(0x1.6a23d0p-10f);
    q = v16_fma(q, r, v16_set1(0x1.123a20p-7f));
    q = v16_fma(q, r, v16_set1(0x1.5558f2p-5f));
    q = v16_fma(q, r, v16_set1(0x1.555492p-3f));
    q = v16_fma(q, r, v16_set1(0x1.fffffcp-2f));
    return v16_fma(v16_mul(q, r), r, r);
}

/*
 * exp(x) for x in [-104, 89], at most 1.1 units in the last place off, denormal results included; 0 at
 * -104, infinity above 88.73.
 */
TARGET_INLINE v16 v16_exp_in_range(v16 x)
{
    v16 n;
    v16 q = exp_of_rest_minus_1(x, &n);

    return v16_scale_pow2(v16_add(q, v16_set1(1.0f)), n);
}

/* The same for every x: 0 below -104. */
TARGET_INLINE v16 v16_exp(v16 x)
{
    return v16_exp_in_range(v16_min(v16_set1(89.0f), v16_max(v16_set1(-104.0f), x)));
}

/* 0.5 x (1 + tanh(u)) with u = sqrt(2/pi) (x + 0.044715 x^3), which is x / (1 + exp(-2 u)). */
TARGET_INLINE v16 gelu_tanh_16(v16 x)
{
    const float c = 1.5957691216057308f; /* 2 sqrt(2/pi) */
    v16 inner = v16_fma(v16_mul(x, x), v16_set1(0.044715f * 1.5957691216057308f), v16_set1(c));
    v16 e = v16_exp(v16_mul(v16_sub(v16_set1(0.0f), x), inner));

    return v16_div(x, v16_add(e, v16_set1(1.0f)));
}

/*
 * 0.5 x (1 + erf(z)) with z = x / sqrt(2).  Half of erfc(|z|) is exp(-z^2) P(t), where
 * t = (|z| - 3) / (|z| + 3) and P(t) fits half of exp(z^2) erfc(z) for z in [0, 10.5], of least
 * relative error (1.5e-9) by tests/fit_polynomials.py.  z^2 = x^2 / 2 is taken with its rounding
 * error, which the exponential would multiply.
 */
TARGET_INLINE v16 gelu_erf_16(v16 x)
{
    v16 absolute = v16_where_negative(x, v16_sub(v16_set1(0.0f), x), x);
    v16 z = v16_min(v16_set1(20.0f), v16_mul(absolute, v16_set1(0.70710678118654752f)));
    v16 t = v16_div(v16_sub(z, v16_set1(3.0f)), v16_add(z, v16_set1(3.0f)));
    v16 bounded = v16_min(v16_set1(20.0f), absolute);
    v16 square = v16_mul(bounded, bounded);
    v16 error = v16_fma(bounded, bounded, v16_sub(v16_set1(0.0f), square));
    v16 e = v16_exp(v16_mul(square, v16_set1(-0.5f)));
    v16 p = v16_set1(0x1.d630cep-16f);

    e = v16_fma(v16_mul(error, v16_set1(-0.5f)), e, e);
    p = v16_fma(p, t, v16_set1(0x1.e9ce80p-17f));
    p = v16_fma(p, t, v16_set1(-0x1.37a728p-12f));
    p = v16_fma(p, t, v16_set1(0x1.772bd4p-12f));
    p = v16_fma(p, t, v16_set1(0x1.17c202p-9f));
    p = v16_fma(p, t, v16_set1(-0x1.8facbep-7f));
    p = v16_fma(p, t, v16_set1(0x1.258b20p-5f));
    p = v16_fma(p, t, v16_set1(-0x1.336fe8p-4f));
    p = v16_fma(p, t, v16_set1(0x1.f6ff20p-4f));
    p = v16_fma(p, t, v16_set1(-0x1.4e102cp-3f));
    p = v16_fma(p, t, v16_set1(0x1.6e9828p-4f));
    e = v16_mul(p, e);
    return v16_mul(x, v16_where_negative(x, e, v16_sub(v16_set1(1.0f), e)));
}

TARGET_INLINE v16 relu_16(v16 x)
{
    return v16_max(v16_set1(0.0f), x);
}

TARGET_INLINE v16 silu_16(v16 x)
{
    v16 e = v16_exp(v16_sub(v16_set1(0.0f), x));

    return v16_div(x, v16_add(e, v16_set1(1.0f)));
}

TARGET_INLINE v16 quick_gelu_16(v16 x)
{
    v16 e = v16_exp(v16_mul(x, v16_set1(-1.702f)));

    return v16_div(x, v16_add(e, v16_set1(1.0f)));
}

/* -m / (m + 2) with m = exp(-2 |x|) - 1, whose relative error is small near 0 too. */
TARGET_INLINE v16 tanh_16(v16 x)
{
    v16 absolute = v16_where_negative(x, v16_sub(v16_set1(0.0f), x), x);
    v16 n;
    v16 q = exp_of_rest_minus_1(v16_mul(v16_min(v16_set1(20.0f), absolute), v16_set1(-2.0f)), &n);
    v16 power = v16_scale_pow2(v16_set1(1.0f), n);
    v16 m = v16_fma(power, q, v16_sub(power, v16_set1(1.0f)));
    v16 t = v16_div(m, v16_add(m, v16_set1(2.0f)));

    return v16_where_negative(x, t, v16_sub(v16_set1(0.0f), t));
}

/* x tanh(log(1 + e)) with e = exp(x), which is x n / (n + 2) with n = e^2 + 2 e. */
TARGET_INLINE v16 mish_16(v16 x)
{
    v16 e = v16_exp(v16_min(v16_set1(40.0f), x)); /* from there on n / (n + 2) is 1 */
    v16 n = v16_fma(e, e, v16_add(e, e));

    return v16_mul(x, v16_div(n, v16_add(n, v16_set1(2.0f))));
}

#define DEFINE_ACTIVATION(name)                                    \
    static TARGET void OF_SET(activate_##name)(float *x, size_t n) \
    {                                                              \
        for (size_t i = 0; i < n; i += GPT2I_LANES)                \
            store_upto(x, i, n, name##_16(load_upto(x, i, n)));    \
    }
DEFINE_ACTIVATION(gelu_tanh)
DEFINE_ACTIVATION(gelu_erf)
DEFINE_ACTIVATION(relu)
DEFINE_ACTIVATION(silu)
DEFINE_ACTIVATION(quick_gelu)
DEFINE_ACTIVATION(tanh)
DEFINE_ACTIVATION(mish)

/* --------------------------------------------------------------------------- sums over elements -- */

/* The tree: lane j takes elements j, j + 16, ...; then the lanes fold. */
static TARGET void OF_SET(layer_norm)(float *y, const float *x, const float *gain,
                                      const float *bias, size_t n, float epsilon)
{
    v16 lanes = v16_set1(0.0f);
    v16 mean;
    v16 r;
    float variance;
    size_t i;

    for (i = 0; i < n; i += GPT2I_LANES)
        lanes = v16_add(lanes, load_upto(x, i, n));
    mean = v16_set1(v16_fold_add(lanes) / (float)n);

    lanes = v16_set1(0.0f);
    for (i = 0; i + GPT2I_LANES <= n; i += GPT2I_LANES) {
        v16 d = v16_sub(v16_load(x + i), mean);

        lanes = v16_fma(d, d, lanes);
    }
    if (i < n) {
        float tail[GPT2I_LANES] = {0.0f}; /* missing elements have d = 0 */
        v16 d = v16_sub(v16_load_n(x + i, n - i), mean);

        v16_store_n(tail, n - i, d);
        d = v16_load(tail);
        lanes = v16_fma(d, d, lanes);
    }
    variance = v16_fold_add(lanes) / (float)n;
    /* 1 / sqrt(infinity) is 0, which would give finite numbers; NaN, as PyTorch gives in the end */
    r = v16_set1(variance < INFINITY ? 1.0f / sqrtf(variance + epsilon) : NAN);

    for (i = 0; i < n; i += GPT2I_LANES) {
        v16 d = v16_sub(load_upto(x, i, n), mean);

        store_upto(y, i, n, v16_fma(v16_mul(d, r), load_upto(gain, i, n), load_upto(bias, i, n)));
    }
}

static TARGET void OF_SET(softmax)(float *x, size_t n)
{
    v16 lanes = v16_set1(-INFINITY);
    v16 max;
    v16 inverse;
    size_t i;

    for (i = 0; i + GPT2I_LANES <= n; i += GPT2I_LANES)
        lanes = v16_max(lanes, v16_load(x + i));
    for (; i < n; i++)
        lanes = v16_max(lanes, v16_set1(x[i]));
    max = v16_set1(v16_fold_max(lanes));

    lanes = v16_set1(0.0f);
    for (i = 0; i + GPT2I_LANES <= n; i += GPT2I_LANES) {
        v16 e = v16_exp(v16_sub(v16_load(x + i), max));

        v16_store(x + i, e);
        lanes = v16_add(lanes, e);
    }
    if (i < n) {
        v16_store_n(x + i, n - i, v16_exp(v16_sub(v16_load_n(x + i, n - i), max)));
        lanes = v16_add(lanes, v16_load_n(x + i, n - i)); /* missing elements add 0 */
    }
    inverse = v16_set1(1.0f / v16_fold_add(lanes));

    for (i = 0; i < n; i += GPT2I_LANES)
        store_upto(x, i, n, v16_mul(load_upto(x, i, n), inverse));
}

/* ------------------------------------------------------------------------------ rows of logits -- */

/* As x[i..], with 'missing' in the lanes from n on, where v16_load_n() gives 0. */
TARGET_INLINE v16 load_upto_or(const float *x, size_t i, size_t n, float missing)
{
    if (n - i >= GPT2I_LANES)
        return v16_load(x + i);
    return v16_add(v16_load_n(x + i, n - i), v16_where_bits(0xffffu << (n - i), v16_set1(missing)));
}

static TARGET float OF_SET(largest)(const float *x, size_t n)
{
    const v16 least = v16_set1(-FLT_MAX);
    v16 max[4];
    v16 bad[4]; /* becomes NaN with NaN or infinity */
    float found;

    UNROLL
    for (size_t j = 0; j < 4; j++) {
        max[j] = least;
        bad[j] = v16_set1(0.0f);
    }
    for (size_t i = 0; i < n; i += 4 * GPT2I_LANES) {
        UNROLL
        for (size_t j = 0; j < 4; j++) {
            size_t first = gpt2i_min(i + j * GPT2I_LANES, n);
            v16 v = v16_max(least, load_upto_or(x, first, n, -FLT_MAX));

            max[j] = v16_max(max[j], v);
            bad[j] = v16_fma(v, v16_set1(0.0f), bad[j]);
        }
    }
    found = v16_fold_max(v16_max(v16_max(max[0], max[1]), v16_max(max[2], max[3])));
    return found + v16_fold_add(v16_add(v16_add(bad[0], bad[1]), v16_add(bad[2], bad[3])));
}

static TARGET void OF_SET(block_max)(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += GPT2I_VOCAB_BLOCK) {
        size_t end = gpt2i_min(i + GPT2I_VOCAB_BLOCK, n);
        v16 max = load_upto_or(x, i, end, -INFINITY);

        for (size_t k = i + GPT2I_LANES; k < end; k += GPT2I_LANES)
            max = v16_max(max, load_upto_or(x, k, end, -INFINITY));
        y[i / GPT2I_VOCAB_BLOCK] = v16_fold_max(max);
    }
}

static TARGET void OF_SET(block_sums)(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += GPT2I_VOCAB_BLOCK) {
        size_t end = gpt2i_min(i + GPT2I_VOCAB_BLOCK, n);
        v16 lanes = v16_set1(0.0f);

        for (size_t k = i; k < end; k += GPT2I_LANES)
            lanes = v16_add(lanes, load_upto(x, k, end));
        y[i / GPT2I_VOCAB_BLOCK] = v16_fold_add(lanes);
    }
}

static TARGET size_t OF_SET(collect)(int32_t *indices, const float *x, float least, size_t n)
{
    const v16 all_least = v16_set1(least);
    size_t n_found = 0;
    size_t i;

    for (i = 0; i + GPT2I_LANES <= n; i += GPT2I_LANES) {
        uint32_t found = v16_not_below(v16_load(x + i), all_least);

        for (size_t l = i; found != 0; l++, found >>= 1) {
            if (found & 1)
                indices[n_found++] = (int32_t)l;
        }
    }
    for (; i < n; i++) {
        if (x[i] >= least)
            indices[n_found++] = (int32_t)i;
    }
    return n_found;
}

static TARGET void OF_SET(weigh)(float *y, const float *x, float temperature, float max, size_t n)
{
    for (size_t i = 0; i < n; i += GPT2I_LANES) {
        v16 scaled = v16_div(load_upto(x, i, n), v16_set1(temperature));

        store_upto(y, i, n, v16_exp(v16_sub(scaled, v16_set1(max))));
    }
}

/* ------------------------------------------------------------------------------ long sums -- */

#define CHAIN 8 /* elements of a lane that are added before the total changes */

/* In each lane a sum of many numbers: chains, their total, and what rounding took from the total. */
struct long_sum {
    v16 chain;
    v16 total;
    v16 lost;
};

TARGET_INLINE void end_chain(struct long_sum *sum)
{
    v16 total = v16_add(sum->total, sum->chain);
    v16 added = v16_sub(total, sum->total);
    v16 lost = v16_add(v16_sub(sum->total, v16_sub(total, added)), v16_sub(sum->chain, added));

    sum->lost = v16_add(sum->lost, lost);
    sum->total = total;
    sum->chain = v16_set1(0.0f);
}

static TARGET double fold_in_double(v16 total, v16 lost)
{
    float totals[GPT2I_LANES];
    float losts[GPT2I_LANES];
    double lanes[GPT2I_LANES];

    v16_store(totals, total);
    v16_store(losts, lost);
    for (size_t l = 0; l < GPT2I_LANES; l++)
        lanes[l] = (double)totals[l] + (double)losts[l];
    for (size_t half = GPT2I_LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++)
            lanes[l] += lanes[l + half];
    }
    return lanes[0];
}

struct row_lanes {
    struct long_sum e, weighted, in_class;
    v16 n_larger; /* integers, exact up to 2^24 */
};

/* The next 16 logits. */
TARGET_INLINE void add_logits(struct row_lanes *lanes, v16 x, v16 max, v16 logit,
                              const uint8_t *class_bits)
{
    /* exp(-104) is 0; beside a NaN, which the sums keep, max may not be the largest */
    v16 d = v16_min(v16_set1(0.0f), v16_max(v16_set1(-104.0f), v16_sub(x, max)));
    v16 e = v16_exp_in_range(d);
    v16 is_larger = v16_where_negative(v16_sub(logit, x), v16_set1(1.0f), v16_set1(0.0f));

    lanes->e.chain = v16_add(lanes->e.chain, e);
    lanes->weighted.chain = v16_fma(e, d, lanes->weighted.chain);
    lanes->n_larger = v16_add(lanes->n_larger, is_larger);
    if (class_bits != NULL) {
        uint32_t bits = class_bits[0] | (uint32_t)class_bits[1] << 8;

        lanes->in_class.chain = v16_add(lanes->in_class.chain, v16_where_bits(bits, e));
    }
}

TARGET_INLINE void end_chains(struct row_lanes *lanes)
{
    end_chain(&lanes->e);
    end_chain(&lanes->weighted);
    end_chain(&lanes->in_class);
}

static TARGET void OF_SET(row_sums)(struct gpt2i_row_sums *sums, const float *x, size_t n,
                                    float max, float logit, const uint8_t *class_mask)
{
    const struct long_sum zero = {v16_set1(0.0f), v16_set1(0.0f), v16_set1(0.0f)};
    struct row_lanes lanes = {zero, zero, zero, zero.total};
    float tail[GPT2I_LANES]; /* the last logits; those that are missing are -infinity */
    uint8_t tail_bits[2] = {0, 0};

    for (size_t i = 0; i < n; i += GPT2I_LANES) {
        const float *at = x + i;
        const uint8_t *bits = class_mask == NULL ? NULL : class_mask + i / 8;

        if (n - i < GPT2I_LANES) {
            v16_store(tail, v16_set1(-INFINITY));
            memcpy(tail, at, (n - i) * sizeof tail[0]);
            at = tail;
            if (bits != NULL)
                bits = memcpy(tail_bits, bits, gpt2i_ceil_div(n - i, 8));
        }
        add_logits(&lanes, v16_load(at), v16_set1(max), v16_set1(logit), bits);
        if (i / GPT2I_LANES % CHAIN == CHAIN - 1 || n - i <= GPT2I_LANES)
            end_chains(&lanes);
    }
    sums->e = fold_in_double(lanes.e.total, lanes.e.lost);
    sums->weighted = fold_in_double(lanes.weighted.total, lanes.weighted.lost);
    sums->in_class = fold_in_double(lanes.in_class.total, lanes.in_class.lost);
    sums->n_larger = fold_in_double(lanes.n_larger, v16_set1(0.0f));
}

void OF_SET(gpt2i_kernels_add)(struct gpt2i_kernels *kernels)
{
    kernels->name = SET_TEXT;
    kernels->matmul_rows = MATMUL_ROWS;
    kernels->attention_rows = ATTENTION_ROWS;
#ifndef KEEPS_MATMUL_ROW_F32
    kernels->matmul_row[GPT2_TYPE_F32] = OF_SET(matmul_row_f32);
#endif
    kernels->matmul_row[GPT2_TYPE_F16] = OF_SET(matmul_row_f16);
    kernels->matmul_row[GPT2_TYPE_BF16] = OF_SET(matmul_row_bf16);
    kernels->matmul_any[GPT2_TYPE_F32] = OF_SET(matmul_any_f32);
    kernels->matmul_any[GPT2_TYPE_F16] = OF_SET(matmul_any_f16);
    kernels->matmul_any[GPT2_TYPE_BF16] = OF_SET(matmul_any_bf16);
    kernels->add = add_floats;
    kernels->scale = OF_SET(scale);
    kernels->to_f16 = OF_SET(to_f16);
    kernels->layer_norm = OF_SET(layer_norm);
    kernels->softmax = OF_SET(softmax);
    kernels->largest = OF_SET(largest);
    kernels->block_max = OF_SET(block_max);
    kernels->block_sums = OF_SET(block_sums);
    kernels->collect = OF_SET(collect);
    kernels->weigh = OF_SET(weigh);
    kernels->row_sums = OF_SET(row_sums);
    kernels->activation[GPT2_ACT_GELU_NEW] = OF_SET(activate_gelu_tanh);
    kernels->activation[GPT2_ACT_GELU] = OF_SET(activate_gelu_erf);
    kernels->activation[GPT2_ACT_GELU_FAST] = OF_SET(activate_gelu_tanh);
    kernels->activation[GPT2_ACT_GELU_PYTORCH_TANH] = OF_SET(activate_gelu_tanh);
    kernels->activation[GPT2_ACT_RELU] = OF_SET(activate_relu);
    kernels->activation[GPT2_ACT_SILU] = OF_SET(activate_silu);
    kernels->activation[GPT2_ACT_QUICK_GELU] = OF_SET(activate_quick_gelu);
    kernels->activation[GPT2_ACT_TANH] = OF_SET(activate_tanh);
    kernels->activation[GPT2_ACT_MISH] = OF_SET(activate_mish);
}
