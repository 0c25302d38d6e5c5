/*
 * scalar.c: the kernels in plain C, for any CPU.  They are the definition that the others equal.
 */
#include "kernels.h"
#include "fma.h"
#include "half.h"
#include "set_names.h"

#include <math.h>

#define SET scalar
#define TARGET

typedef struct {
    float lane[GPT2I_LANES];
} v16;

#define FOR_LANES for (size_t l = 0; l < GPT2I_LANES; l++)

GPT2I_INLINE v16 v16_set1(float x)
{
    v16 out;

    FOR_LANES
    out.lane[l] = x;
    return out;
}

GPT2I_INLINE v16 v16_load(const float *x)
{
    v16 out;

    memcpy(out.lane, x, sizeof out.lane);
    return out;
}

GPT2I_INLINE void v16_store(float *x, v16 v)
{
    memcpy(x, v.lane, sizeof v.lane);
}

GPT2I_INLINE v16 v16_load_f16(const uint16_t *x)
{
    v16 out;

    FOR_LANES
    out.lane[l] = gpt2i_float_of_half(x[l]);
    return out;
}

GPT2I_INLINE v16 v16_load_bf16(const uint16_t *x)
{
    v16 out;

    FOR_LANES
    out.lane[l] = gpt2i_float_of_bf16(x[l]);
    return out;
}

GPT2I_INLINE void v16_store_f16(uint16_t *x, v16 v)
{
    FOR_LANES
    x[l] = gpt2i_half_of_float(v.lane[l]);
}

GPT2I_INLINE v16 v16_load_n(const float *x, size_t n)
{
    v16 out = {{0.0f}};

    for (size_t l = 0; l < n; l++)
        out.lane[l] = x[l];
    return out;
}

GPT2I_INLINE void v16_store_n(float *x, size_t n, v16 v)
{
    for (size_t l = 0; l < n; l++)
        x[l] = v.lane[l];
}

#define DEFINE_LANEWISE(name, expression) \
    GPT2I_INLINE v16 name(v16 a, v16 b)   \
    {                                     \
        v16 out;                          \
                                          \
        FOR_LANES                         \
        out.lane[l] = expression;         \
        return out;                       \
    }
DEFINE_LANEWISE(v16_add, a.lane[l] + b.lane[l])
DEFINE_LANEWISE(v16_sub, a.lane[l] - b.lane[l])
DEFINE_LANEWISE(v16_mul, a.lane[l] * b.lane[l])
DEFINE_LANEWISE(v16_div, a.lane[l] / b.lane[l])
DEFINE_LANEWISE(v16_max, a.lane[l] > b.lane[l] ? a.lane[l] : b.lane[l])
DEFINE_LANEWISE(v16_min, a.lane[l] < b.lane[l] ? a.lane[l] : b.lane[l])

GPT2I_INLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
    v16 out;

    FOR_LANES
    out.lane[l] = gpt2i_fma(a.lane[l], b.lane[l], c.lane[l]);
    return out;
}

GPT2I_INLINE v16 v16_where_negative(v16 x, v16 a, v16 b)
{
    v16 out;

    FOR_LANES
    out.lane[l] = x.lane[l] < 0.0f ? a.lane[l] : b.lane[l];
    return out;
}

GPT2I_INLINE uint32_t v16_not_below(v16 x, v16 y)
{
    uint32_t bits = 0;

    FOR_LANES
    bits |= (uint32_t)(x.lane[l] >= y.lane[l]) << l;
    return bits;
}

GPT2I_INLINE v16 v16_where_bits(uint32_t bits, v16 x)
{
    v16 out;

    FOR_LANES
    out.lane[l] = (bits >> l & 1) != 0 ? x.lane[l] : 0.0f;
    return out;
}

/* 2^n as a float, for -126 <= n <= 127 */
GPT2I_INLINE float pow2(int32_t n)
{
    return gpt2i_float_of_bits((uint32_t)(n + 127) << 23);
}

/* In two factors, of which the first is exact, so that the result is rounded once. */
GPT2I_INLINE v16 v16_scale_pow2(v16 x, v16 n)
{
    v16 out;

    FOR_LANES
    {
        /* NaN, which has no integer, keeps its lane through x */
        int32_t whole = n.lane[l] == n.lane[l] ? (int32_t)n.lane[l] : 0;
        int32_t first = whole / 2;

        out.lane[l] = x.lane[l] * pow2(first) * pow2(whole - first);
    }
    return out;
}

GPT2I_INLINE float v16_fold_add(v16 v)
{
    for (size_t half = GPT2I_LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++)
            v.lane[l] += v.lane[l + half];
    }
    return v.lane[0];
}

GPT2I_INLINE float v16_fold_max(v16 v)
{
    for (size_t half = GPT2I_LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++)
            v.lane[l] = v.lane[l] > v.lane[l + half] ? v.lane[l] : v.lane[l + half];
    }
    return v.lane[0];
}

#define TILES(ROW) ROW(4, 1) ROW(1, 2)
#define EVEN_TILES(ROW)
#define TILE_MAX_SUMS   4
#define TILE_MAX_GROUPS 2

#define MATMUL_ROWS    128
#define ATTENTION_ROWS 28

#include "kernels_template.h"

/* -------------------------------------------------------------------------- quantised weights -- */

#include "quantised.h"

typedef struct {
    int32_t lane[GPT2I_LANES];
} v16i;

GPT2I_INLINE v16i v16i_set1(int32_t x)
{
    v16i out;

    FOR_LANES
    out.lane[l] = x;
    return out;
}

GPT2I_INLINE v16 v16_of_ints(v16i x)
{
    v16 out;

    FOR_LANES
    out.lane[l] = (float)x.lane[l];
    return out;
}

typedef struct {
    uint8_t of[GPT2I_LANES][4];
} q_quads;

GPT2I_INLINE q_quads q_load(const char *bytes)
{
    q_quads out;

    memcpy(out.of, bytes, sizeof out.of);
    return out;
}

typedef const uint8_t *q_table;

GPT2I_INLINE q_table q_load_table(const uint8_t table[GPT2I_Q_TABLE])
{
    return table;
}

GPT2I_INLINE q_quads q_low(q_table table, q_quads quads)
{
    FOR_LANES
    {
        for (size_t i = 0; i < 4; i++)
            quads.of[l][i] = table[quads.of[l][i] & 15];
    }
    return quads;
}

GPT2I_INLINE q_quads q_high(q_table table, q_quads quads)
{
    FOR_LANES
    {
        for (size_t i = 0; i < 4; i++)
            quads.of[l][i] = table[quads.of[l][i] >> 4];
    }
    return quads;
}

typedef q_quads q_weights;

GPT2I_INLINE q_weights q_weights_of(q_quads quads)
{
    return quads;
}

#define Q_INPUT int8_t

GPT2I_INLINE void q_store(Q_INPUT *to, v16 x)
{
    FOR_LANES
    to[l] = (int8_t)x.lane[l];
}

typedef const Q_INPUT *q_input;

GPT2I_INLINE q_input q_input_of(const Q_INPUT *q)
{
    return q;
}

GPT2I_INLINE v16i q_dot(v16i sums, q_weights weights, q_input input)
{
    FOR_LANES
    {
        for (size_t i = 0; i < 4; i++)
            sums.lane[l] += weights.of[l][i] * input[i];
    }
    return sums;
}

#define Q_UNROLL_QUADS
#define Q_TILES(ROW) ROW(2, 1) ROW(1, 1)
#define Q_MAX_SUMS   2
#define Q_MAX_GROUPS 1

#include "quantised_template.h"
