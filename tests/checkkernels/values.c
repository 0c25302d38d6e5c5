/*
 * values.c: numbers to try kernels on.
 */
#include "checkkernels.h"
#include "kernels/half.h"

#include <math.h>

const char *const values_names[N_VALUES] = {"ordinary", "mixed", "large",      "special",
                                            "bits",     "equal", "alternating"};

static uint64_t state;

void random_seed(uint64_t seed)
{
    state = seed;
}

static uint32_t random_bits(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 32);
}

size_t random_below(size_t n)
{
    return (size_t)((uint64_t)random_bits() * n >> 32);
}

/* [-1, 1) */
static float random_unit(void)
{
    return ((float)(random_bits() >> 8) * 0x1p-24f - 0.5f) * 2.0f;
}

/* Zeros, denormals, infinities, NaN, and where exp and the GELUs change their ways. */
static float random_special(void)
{
    static const float specials[] = {
        0.0f,
        -0.0f,
        0x1p-149f,
        -0x1p-149f,
        0x1.fffffcp-127f,
        -0x1.fffffcp-127f,
        0x1p-126f,
        -0x1p-126f,
        FLT_MAX,
        -FLT_MAX,
        INFINITY,
        -INFINITY,
        NAN,
        1.0f,
        -1.0f,
        88.72f,
        88.73f,
        -87.33f,
        -87.34f,
        -103.9f,
        -104.0f,
        -104.1f,
        -103.97f,
        89.0f,
        89.1f,
        20.0f,
        -20.0f,
        10.5f,
        -10.5f,
        0x1p-24f,
        0x1p+24f,
        0x1.8p+23f,
        28.3f,
        -28.3f,
        -6.0f,
    };

    return specials[random_below(sizeof specials / sizeof specials[0])];
}

static float random_from_bits(void)
{
    uint32_t bits = random_bits();
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

void fill_values(float *x, size_t n, size_t kind)
{
    float scale = ldexpf(1.0f, (int)random_below(24) - 12);
    float value = random_unit() * scale;

    for (size_t i = 0; i < n; i++) {
        float unit = random_unit();

        switch (kind) {
        case VALUES_MIXED: /* finite: zeros, denormals, larger ones */
            x[i] = unit * scale;
            if (random_below(8) == 0)
                x[i] = unit * ldexpf(1.0f, -150 + 25 * (int)random_below(8));
            if (random_below(16) == 0)
                x[i] = unit < 0.0f ? -0.0f : 0.0f;
            break;
        case VALUES_LARGE: /* products and sums overflow, some of them */
            x[i] = unit * ldexpf(1.0f, 50 + (int)random_below(78));
            break;
        case VALUES_SPECIAL:
            x[i] = random_below(gpt2i_min(n, 64)) == 0 ? random_special() : unit * scale;
            break;
        case VALUES_BITS: /* every exponent */
            x[i] = random_from_bits();
            break;
        case VALUES_EQUAL:
            x[i] = value;
            break;
        case VALUES_ALTERNATING: /* what is left after they cancel is small */
            x[i] = (i % 2 == 0 ? 1.0f : -1.0f) * (scale + unit * scale * 0x1p-20f);
            break;
        default:
            x[i] = unit * scale;
        }
    }
}

/* Zeros, denormals, the largest, infinities, NaN. */
static uint16_t random_special_half(void)
{
    static const uint16_t specials[] = {0x0000, 0x0001, 0x03ff, 0x0400, 0x0401,
                                        0x3c00, 0x7bff, 0x7c00, 0x7c01, 0x7e00};

    return (uint16_t)(specials[random_below(sizeof specials / sizeof specials[0])] |
                      (random_bits() & 0x8000));
}

void fill_halves(uint16_t *x, size_t n, size_t kind)
{
    float values[64];

    for (size_t i = 0; i < n; i++) {
        uint32_t bits = random_bits();

        if (i % 64 == 0)
            fill_values(values, 64, kind);
        x[i] = gpt2i_half_of_float(values[i % 64]);
        switch (kind) {
        case VALUES_MIXED: /* finite: zeros, denormals */
            if (random_below(8) == 0 || (x[i] & 0x7c00) == 0x7c00)
                x[i] = (uint16_t)(bits & 0x83ff);
            break;
        case VALUES_LARGE:
            x[i] = (uint16_t)(0x7000 | (bits & 0x8bff));
            break;
        case VALUES_SPECIAL:
            if (random_below(gpt2i_min(n, 64)) == 0)
                x[i] = random_special_half();
            break;
        case VALUES_BITS: /* every half */
            x[i] = (uint16_t)bits;
            break;
        default:
            break;
        }
    }
}

void fill_bf16(uint16_t *x, size_t n, size_t kind)
{
    float values[64];

    for (size_t i = 0; i < n; i++) {
        if (i % 64 == 0)
            fill_values(values, 64, kind);
        x[i] = gpt2i_bf16_of_float(values[i % 64]);
    }
}
