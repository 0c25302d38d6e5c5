/*
 * test_kernels.c: the FMA, the accuracy of activations, softmax and log, half floats, packing.
 * tests/checkkernels compares the instruction sets.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "kernels/cpu.h"
#include "kernels/fma.h"
#include "kernels/dispatch.h"
#include "kernels/log.h"
#include "kernels/widen.h"
#include "model/matrix.h"

/* The instruction sets, whether this CPU has them or not. */
static const uint32_t sets[] = {0, GPT2_CPU_AVX2, GPT2_CPU_AVX2 | GPT2_CPU_AVX512, GPT2_CPU_NEON};

static uint64_t random_state;

static uint32_t random_bits(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 32);
}

static size_t random_below(size_t n)
{
    return (size_t)random_bits() * n >> 32;
}

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)random_below(1000) - 500.0f;
}

/* ----------------------------------------------------------------------------------- the FMA -- */

static void test_fma_is_exact(void **state)
{
    size_t n_checked = 0;

    (void)state;
    random_state = 1;
    for (size_t i = 0; i < 3000000; i++) {
        uint32_t bits[3] = {random_bits(), random_bits(), random_bits()};
        float x[3];
        float ours;
        float theirs;

        if (i % 2 == 0) { /* the sum near the product, where rounding twice goes wrong */
            uint32_t exponent = (bits[0] >> 23 & 255) + (bits[1] >> 23 & 255) - 127;

            exponent += (uint32_t)random_below(60) - 30;
            bits[2] = (bits[2] & 0x807fffff) | (exponent & 255) << 23;
        }
        if (i % 3 == 0) { /* short factors, so that products lie halfway between floats */
            bits[0] &= 0xfffff000;
            bits[1] &= 0xffffe000;
        }
        memcpy(x, bits, sizeof x);
        theirs = fmaf(x[0], x[1], x[2]);
        ours = gpt2i_fma(x[0], x[1], x[2]);
        if (isnan(theirs)) {
            assert_true(isnan(ours));
            continue;
        }
        assert_memory_equal(&ours, &theirs, sizeof ours);
        n_checked++;
    }
    assert_true(n_checked > 2000000);
}

/* ------------------------------------------------------------------------------------ accuracy -- */

/* |found - wanted| in units in the last place of the wanted float (of a normal one at least). */
static double ulps(float found, double wanted)
{
    double least = 0x1p-126;
    double size = fabs(wanted) > least ? fabs(wanted) : least;

    return fabs((double)found - wanted) / ldexp(1.0, ilogb(size) - 23);
}

static double true_gelu_tanh(double x)
{
    return x / (1.0 + exp(-2.0 * sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double true_gelu_erf(double x)
{
    return 0.5 * x * erfc(-x / sqrt(2.0));
}

static double true_silu(double x)
{
    return x / (1.0 + exp(-x));
}

static double true_quick_gelu(double x)
{
    return x / (1.0 + exp(-1.702 * x));
}

static double true_mish(double x)
{
    return x * tanh(log1p(exp(x)));
}

/*
 * Largest error of an activation over every 'stride'-th float of [low, high), in ulps and absolute.
 * Environment: GPT2_TEST_EVERY_FLOAT=1 takes every float (minutes).
 */
static void check_activation(const char *name, int32_t activation, double (*truth)(double),
                             float low, float high, double most_ulps, double most_absolute)
{
    struct gpt2i_kernels kernels;
    uint32_t stride = getenv("GPT2_TEST_EVERY_FLOAT") != NULL ? 1 : 997;
    double worst_ulps = 0.0;
    double worst_absolute = 0.0;
    size_t n_checked = 0;

    gpt2i_kernels_choose(&kernels, gpt2i_cpu_features(), false);
    for (uint64_t bits = 0; bits <= UINT32_MAX;) {
        float in[256];
        float out[256];
        size_t n = 0;

        for (; n < 256 && bits <= UINT32_MAX; bits += stride) {
            uint32_t b = (uint32_t)bits;

            memcpy(&in[n], &b, sizeof b);
            if (in[n] >= low && in[n] < high)
                n++;
        }
        memcpy(out, in, sizeof out);
        kernels.activation[activation](out, n);
        for (size_t i = 0; i < n; i++) {
            double wanted = truth((double)in[i]);

            worst_ulps = fmax(worst_ulps, ulps(out[i], wanted));
            worst_absolute = fmax(worst_absolute, fabs((double)out[i] - wanted));
        }
        n_checked += n;
    }
    print_message("  %s on [%g, %g): %zu floats, at most %.2f ulp, %.2g absolute\n", name,
                  (double)low, (double)high, n_checked, worst_ulps, worst_absolute);
    assert_true(n_checked > 1000);
    assert_true(worst_ulps <= most_ulps);
    assert_true(worst_absolute <= most_absolute);
}

static void test_activations_are_accurate(void **state)
{
    (void)state;
    check_activation("gelu_new", GPT2_ACT_GELU_NEW, true_gelu_tanh, -4.0f, 100.0f, 18.5, 6e-7);
    check_activation("gelu_new", GPT2_ACT_GELU_NEW, true_gelu_tanh, -100.0f, -4.0f, INFINITY,
                     1e-10);
    check_activation("gelu", GPT2_ACT_GELU, true_gelu_erf, -4.0f, 100.0f, 6.0, 4e-7);
    check_activation("gelu", GPT2_ACT_GELU, true_gelu_erf, -100.0f, -4.0f, 11.0, 3.5e-11);
    check_activation("silu", GPT2_ACT_SILU, true_silu, -87.0f, 100.0f, 2.5, 1.3e-6);
    check_activation("silu", GPT2_ACT_SILU, true_silu, -1000.0f, -87.0f, INFINITY, 3e-37);
    check_activation("quick_gelu", GPT2_ACT_QUICK_GELU, true_quick_gelu, -4.0f, 100.0f, 6.5, 8e-7);
    check_activation("quick_gelu", GPT2_ACT_QUICK_GELU, true_quick_gelu, -1000.0f, -4.0f, INFINITY,
                     1.9e-9);
    check_activation("tanh", GPT2_ACT_TANH, tanh, -FLT_MAX, FLT_MAX, 2.5, 2e-7);
    check_activation("mish", GPT2_ACT_MISH, true_mish, -87.0f, 100.0f, 4.0, 7e-7);
    check_activation("mish", GPT2_ACT_MISH, true_mish, -1000.0f, -87.0f, INFINITY, 2e-43);
}

/* In units in the last place, against long double. */
static double log_error(double x)
{
    double wanted = (double)logl((long double)x);
    double unit = nextafter(wanted, INFINITY) - wanted;

    return fabs((double)((long double)gpt2i_log(x) - logl((long double)x))) / unit;
}

/*
 * What a row's sum of exponentials may be: from 1 on, and less where the largest logit was left out.  And
 * the ends of each power of 2.
 */
static void test_log_is_accurate(void **state)
{
    double worst = 0.0;

    (void)state;
    assert_true(gpt2i_log(1.0) == 0.0);
    for (double step = 0x1p-52; step < 1e6; step *= 1.5) {
        for (int i = 1; i <= 20000; i++)
            worst = fmax(worst, log_error(1.0 + i * step));
    }
    for (double step = 0x1p-53; step < 1.0; step *= 1.25) {
        for (int i = 1; i <= 20000; i++)
            worst = fmax(worst, log_error(1.0 - step / i));
    }
    for (double x = 1e-300; x < 1.0; x *= 1.001)
        worst = fmax(worst, log_error(x));
    for (double power = 0x1p-1022; power < 1e300; power *= 2.0) {
        if (power != 1.0)
            worst = fmax(worst, log_error(power));
        worst = fmax(worst, log_error(nextafter(power, INFINITY)));
        worst = fmax(worst, power > 0x1p-1022 ? log_error(nextafter(power, 0.0)) : 0.0);
    }
    print_message("  log: at most %.2f ulp\n", worst);
    assert_true(worst <= 3.0);
}

/* exp through softmax: of (0, x) the second is e^x / (1 + e^x), for x <= 0. */
static void test_softmax_is_accurate(void **state)
{
    struct gpt2i_kernels kernels;
    float ends[2] = {0.0f, -104.1f};
    double worst = 0.0;

    (void)state;
    gpt2i_kernels_choose(&kernels, gpt2i_cpu_features(), false);
    for (uint32_t bits = 0x80000000u; bits < 0xc2d00000u; bits += 499) { /* -0 to -104 */
        float x[2] = {0.0f, 0.0f};
        double wanted;

        memcpy(&x[1], &bits, sizeof bits);
        wanted = exp((double)x[1]) / (1.0 + exp((double)x[1]));
        kernels.softmax(x, 2);
        worst = fmax(worst, ulps(x[1], wanted));
    }
    kernels.softmax(ends, 2);
    assert_true(ends[1] == 0.0f);
    print_message("  softmax of two: at most %.2f ulp\n", worst);
    assert_true(worst <= 2.5);
}

/* A variance that overflows gives NaN, not the bias; one just below does not. */
static void test_layer_norm_of_huge_values(void **state)
{
    enum { N = 40 };
    float gain[N];
    float bias[N] = {0.0f};

    (void)state;
    for (size_t i = 0; i < N; i++)
        gain[i] = 1.0f;
    for (size_t s = 0; s < sizeof sets / sizeof sets[0]; s++) {
        struct gpt2i_kernels kernels;
        float x[N] = {0.0f};
        float y[N];

        if ((sets[s] & ~gpt2i_cpu_features()) != 0)
            continue;
        gpt2i_kernels_choose(&kernels, sets[s], false);
        x[3] = 1.8e19f;
        kernels.layer_norm(y, x, gain, bias, N, 1e-5f);
        for (size_t i = 0; i < N; i++)
            assert_true(isfinite(y[i]));
        x[3] = 2e20f;
        kernels.layer_norm(y, x, gain, bias, N, 1e-5f);
        for (size_t i = 0; i < N; i++)
            assert_true(isnan(y[i]));
    }
}

/* ------------------------------------------------------------------------------------- packing -- */

static void test_widen_is_exact(void **state)
{
    float buffer[2];

    (void)state;
    for (uint32_t half = 0; half < 0x10000; half++) {
        unsigned char raw[2] = {(unsigned char)half, (unsigned char)(half >> 8)};
        int exponent = (int)(half >> 10 & 31);
        double mantissa = (double)(half & 1023);
        double wanted =
            exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024.0 + mantissa, exponent - 25);
        uint32_t bits;

        if (exponent == 31)
            wanted = mantissa == 0.0 ? HUGE_VAL : NAN;
        memcpy((unsigned char *)buffer + 2, raw, 2);
        gpt2i_widen(buffer, GPT2_TYPE_F16, 1);
        if (isnan(wanted))
            assert_true(isnan(buffer[0]));
        else
            assert_true((double)buffer[0] == ((half & 0x8000) != 0 ? -wanted : wanted));
        assert_int_equal(signbit(buffer[0]) != 0, half >> 15);

        memcpy((unsigned char *)buffer + 2, raw, 2);
        gpt2i_widen(buffer, GPT2_TYPE_BF16, 1);
        memcpy(&bits, buffer, sizeof bits);
        assert_int_equal(bits, half << 16);
    }
}

/* To the nearest float, the even one where two are as near; beyond the range to infinity. */
static void test_widen_f64(void **state)
{
    static const struct {
        double x;
        float wanted;
    } cases[] = {
        {0.0, 0.0f},
        {-0.0, -0.0f},
        {1.0, 1.0f},
        {0x1.000001p0, 1.0f},
        {0x1.0000010000001p0, 0x1.000002p0f},
        {-0x1.000003p0, -0x1.000004p0f},
        {0x1.0000029p0, 0x1.000002p0f},
        {0x1.fffffep127, 0x1.fffffep127f},
        {0x1.fffffeffffffp127, 0x1.fffffep127f},
        {0x1.ffffffp127, HUGE_VALF},
        {-0x1p128, -HUGE_VALF},
        {1e300, HUGE_VALF},
        {0x1p-126, 0x1p-126f},
        {0x1.fffffffp-127, 0x1p-126f},
        {0x1p-149, 0x1p-149f},
        {-0x1p-150, -0.0f},
        {0x1.0000000000001p-150, 0x1p-149f},
        {0x1.8p-149, 0x1p-148f},
        {0x1p-1074, 0.0f},
        {HUGE_VAL, HUGE_VALF},
    };
    size_t n = sizeof cases / sizeof cases[0];
    float *floats = malloc(n * sizeof(double));

    (void)state;
    assert_non_null(floats);
    for (size_t i = 0; i < n; i++) {
        uint64_t bits;

        memcpy(&bits, &cases[i].x, sizeof bits);
        gpt2i_store_le((unsigned char *)floats + i * sizeof bits, bits, sizeof bits);
    }
    assert_ptr_equal(gpt2i_widen_place(floats, GPT2_TYPE_F64, n), floats);
    gpt2i_widen(floats, GPT2_TYPE_F64, n);
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&floats[i], &cases[i].wanted, sizeof(float)) != 0)
            fail_msg("%a became %a, wanted %a", cases[i].x, (double)floats[i],
                     (double)cases[i].wanted);
    }
    memset(floats, 0xff, sizeof(double)); /* a NaN */
    gpt2i_widen(floats, GPT2_TYPE_F64, 1);
    assert_true(isnan(floats[0]));
    free(floats);
}

/* The nearer of the two BF16 around a finite x, the even one where both are as near. */
static uint16_t define_bf16(float x)
{
    uint32_t bits, above;
    float low, high;
    double to_low, to_high;

    memcpy(&bits, &x, sizeof bits);
    above = (bits | 0xffff) + 1; /* of larger magnitude; behind the largest BF16, infinity */
    bits &= 0xffff0000u;
    memcpy(&low, &bits, sizeof low);
    memcpy(&high, &above, sizeof high);
    to_low = fabs((double)x - (double)low);
    to_high = isinf(high) ? 0x1p128 - fabs((double)x) : fabs((double)high - (double)x);
    if (to_low != to_high)
        return (uint16_t)((to_low < to_high ? bits : above) >> 16);
    return (uint16_t)(((bits >> 16 & 1) == 0 ? bits : above) >> 16);
}

static void test_narrow(void **state)
{
    static const uint32_t ties[] = {0x3f808000, 0x3f818000, 0xbf808000, 0x00008000,
                                    0x00018000, 0x7f7f7fff, 0x7f7f8000, 0xff7fffff};
    float buffer[3];
    uint16_t halves[3];

    (void)state;
    for (uint32_t i = 0; i < 400000; i++) {
        uint32_t bits = i < sizeof ties / sizeof ties[0] ? ties[i] : i * 2654435761u;
        float x;

        memcpy(&x, &bits, sizeof x);
        if (!isfinite(x))
            continue;
        for (int j = 0; j < 3; j++)
            buffer[j] = x;
        halves[0] = define_bf16(x);
        assert_int_equal(gpt2i_narrow(buffer, GPT2_TYPE_BF16, 3),
                         (halves[0] & 0x7fff) == 0x7f80 ? 0 : 3);
        memcpy(halves + 1, buffer, 2 * sizeof *halves);
        if (halves[1] != halves[0] || halves[2] != halves[0])
            fail_msg("%a becomes %04x, wanted %04x", (double)x, halves[1], halves[0]);
    }
    buffer[0] = NAN;
    buffer[1] = -INFINITY;
    buffer[2] = 65520.0f;
    assert_int_equal(gpt2i_narrow(buffer, GPT2_TYPE_F16, 3), 2); /* the first that is lost */
    memcpy(halves, buffer, sizeof halves);
    assert_int_equal(halves[0] & 0x7e00, 0x7e00);
    assert_int_equal(halves[1], 0xfc00);
    assert_int_equal(halves[2], 0x7c00);
    buffer[0] = NAN;
    assert_int_equal(gpt2i_narrow(buffer, GPT2_TYPE_BF16, 1), 1);
    memcpy(halves, buffer, sizeof *halves);
    assert_true((halves[0] & 0x7f80) == 0x7f80 && (halves[0] & 0x7f) != 0);
}

/* What struct.pack("<e", x) of Python 3.11 gives, and what it refuses. */
static void test_to_f16_of_python(void **state)
{
    static const struct {
        uint32_t x;
        uint16_t half;
    } rows[] = {
        {0x00000000, 0x0000},                       /* 0 */
        {0x80000000, 0x8000},                       /* -0 */
        {0x00000001, 0x0000},                       /* the least float */
        {0x807fffff, 0x8000}, {0x33000000, 0x0000}, /* 2^-25: halfway from 0 to the least half */
        {0x33000001, 0x0001}, {0xb3000001, 0x8001}, {0x337fffff, 0x0001},
        {0x33bfffff, 0x0001},                       /* 1.5 * 2^-24 and below */
        {0x33c00000, 0x0002}, {0x34200000, 0x0002}, /* 2.5 * 2^-24 */
        {0x387fc000, 0x03ff},                       /* the largest denormal half */
        {0x387fdfff, 0x03ff}, {0x387fe000, 0x0400}, /* halfway to the least normal half */
        {0x387fffff, 0x0400}, {0x38800000, 0x0400}, /* the least normal half */
        {0x38801000, 0x0400}, {0x38801001, 0x0401}, {0xb8802fff, 0x8401},
        {0x38803000, 0x0402}, {0x3f800000, 0x3c00},                       /* 1 */
        {0xbf801000, 0xbc00}, {0x3f803000, 0x3c02}, {0x3eaaaaab, 0x3555}, /* 1/3 */
        {0x3dcccccd, 0x2e66},                                             /* 0.1 */
        {0x40490fdb, 0x4248},                                             /* pi */
        {0x477fdfff, 0x7bff}, {0x477fe000, 0x7bff},                       /* 65504 */
        {0xc77fefff, 0xfbff},                                             /* just below 65520 */
        {0x477ff000, 0x7c00}, /* 65520, which Python refuses: infinity, as are these */
        {0xc7800000, 0xfc00}, {0x7f7fffff, 0x7c00}, {0xff800000, 0xfc00},
    };
    enum { N = sizeof rows / sizeof rows[0] };
    float x[N];
    uint16_t halves[N];

    (void)state;
    for (size_t i = 0; i < N; i++)
        memcpy(&x[i], &rows[i].x, sizeof x[i]);
    for (size_t s = 0; s < sizeof sets / sizeof sets[0]; s++) {
        struct gpt2i_kernels kernels;
        float nan = NAN;

        if ((sets[s] & ~gpt2i_cpu_features()) != 0)
            continue;
        gpt2i_kernels_choose(&kernels, sets[s], false);
        kernels.to_f16(halves, x, N);
        for (size_t i = 0; i < N; i++)
            assert_int_equal(halves[i], rows[i].half);
        kernels.to_f16(halves, &nan, 1);
        assert_int_equal(halves[0] & 0x7e00, 0x7e00); /* quiet */
    }
}

static void test_pack_and_unpack(void **state)
{
    enum { N_IN = 19, N_OUT = 101 }; /* a panel of 64 and one of 37, filled up to 48 */
    float matrix[N_OUT * N_IN];
    float transposed[N_IN * N_OUT];
    float panels[2][N_IN * 112] = {{0.0f}};
    float row[N_IN];
    struct gpt2i_matrix by_outputs = {panels[0], GPT2_TYPE_F32, N_IN, N_OUT, {0}};
    struct gpt2i_matrix by_inputs = {panels[1], GPT2_TYPE_F32, N_IN, N_OUT, {0}};

    (void)state;
    random_state = 4;
    fill(matrix, N_OUT * N_IN);
    for (size_t o = 0; o < N_OUT; o++) {
        for (size_t k = 0; k < N_IN; k++)
            transposed[k * N_OUT + o] = matrix[o * N_IN + k];
    }
    assert_int_equal(gpt2i_matrix_bytes(&by_outputs), sizeof panels[0]);
    gpt2i_matrix_pack_outputs(&by_outputs, matrix, 0, 16);
    gpt2i_matrix_pack_outputs(&by_outputs, matrix + 16 * N_IN, 16, N_OUT - 16);
    gpt2i_matrix_pack_inputs(&by_inputs, transposed, 0, 5);
    gpt2i_matrix_pack_inputs(&by_inputs, transposed + 5 * N_OUT, 5, N_IN - 5);
    assert_memory_equal(panels[0], panels[1], sizeof panels[0]);
    for (size_t k = 0; k < N_IN; k++) {
        for (size_t i = 0; i < 64; i++)
            assert_true(panels[0][k * 64 + i] == matrix[i * N_IN + k]);
        for (size_t i = 0; i < 48; i++)
            assert_true(panels[0][N_IN * 64 + k * 48 + i] ==
                        (i < 37 ? matrix[(64 + i) * N_IN + k] : 0.0f));
    }
    for (size_t o = 0; o < N_OUT; o++) {
        gpt2i_matrix_unpack(row, 1, &by_outputs, o);
        assert_memory_equal(row, matrix + o * N_IN, sizeof row);
    }
}

/* Weights of 16 bits lie where floats lie, and are the same numbers. */
static void test_pack_16(void **state)
{
    enum { N_IN = 19, N_OUT = 101 };
    uint16_t matrix[N_OUT * N_IN], transposed[N_IN * N_OUT];
    uint16_t panels[2][N_IN * 112] = {{0}};
    float row[N_IN];

    (void)state;
    for (int32_t type = GPT2_TYPE_F16; type <= GPT2_TYPE_BF16; type++) {
        struct gpt2i_matrix by_outputs = {panels[0], type, N_IN, N_OUT, {0}};
        struct gpt2i_matrix by_inputs = {panels[1], type, N_IN, N_OUT, {0}};

        for (size_t i = 0; i < N_OUT * N_IN; i++) {
            matrix[i] = (uint16_t)(i * 13 % 0x7c00);
            transposed[i % N_IN * N_OUT + i / N_IN] = matrix[i];
        }
        assert_int_equal(gpt2i_matrix_bytes(&by_outputs), sizeof panels[0]);
        gpt2i_matrix_pack_outputs(&by_outputs, matrix, 0, N_OUT);
        gpt2i_matrix_pack_inputs(&by_inputs, transposed, 0, N_IN);
        assert_memory_equal(panels[0], panels[1], sizeof panels[0]);
        assert_int_equal(panels[0][N_IN * 64 + 48], matrix[64 * N_IN + 1]);
        for (size_t o = 0; o < N_OUT; o++) {
            gpt2i_matrix_unpack(row, 1, &by_outputs, o);
            for (size_t k = 0; k < N_IN; k++) {
                float wanted[1];

                memcpy((char *)wanted + 2, &matrix[o * N_IN + k], 2);
                gpt2i_order_16((char *)wanted + 2, 1); /* to little-endian, as in a file */
                gpt2i_widen(wanted, type, 1);
                assert_memory_equal(&row[k], wanted, sizeof *wanted);
            }
        }
    }
}

/* Packed by inputs or by outputs, each weight is near to its own, and a block of zeros is zeros. */
static void test_quantised(void **state)
{
    enum { N_IN = 83, N_OUT = 101, N_BLOCKS = 3 };
    static float matrix[N_OUT * N_IN], transposed[N_IN * N_OUT];
    static uint8_t panels[2][N_BLOCKS * 112 * 34];
    float row[N_IN];

    (void)state;
    random_state = 5;
    fill(matrix, N_OUT * N_IN);
    for (size_t k = 0; k < N_IN; k++)
        matrix[7 * N_IN + k] = k < 32 ? 0.0f : k < 64 ? -1.0f : k < 80 ? 1e-42f : 1e-38f;
    for (size_t i = 0; i < N_OUT * N_IN; i++)
        transposed[i % N_IN * N_OUT + i / N_IN] = matrix[i];
    for (int32_t type = GPT2_TYPE_Q8; type <= GPT2_TYPE_Q4; type++) {
        struct gpt2i_matrix by_outputs = {panels[0], type, N_IN, N_OUT, {0}};
        struct gpt2i_matrix by_inputs = {panels[1], type, N_IN, N_OUT, {0}};
        double largest_error = type == GPT2_TYPE_Q8 ? 0.01 : 0.16; /* the largest are cut */
        double error = 0.0;
        double all = 0.0;

        memset(panels, 0, sizeof panels);
        memcpy(by_outputs.table, gpt2i_iq4_nl_table, sizeof by_outputs.table);
        assert_int_equal(gpt2i_matrix_bytes(&by_outputs),
                         N_BLOCKS * 112 * (type == GPT2_TYPE_Q8 ? 34 : 18));
        gpt2i_matrix_pack_outputs(&by_outputs, matrix, 0, 64);
        gpt2i_matrix_pack_outputs(&by_outputs, matrix + 64 * N_IN, 64, N_OUT - 64);
        gpt2i_matrix_pack_inputs(&by_inputs, transposed, 0, 64);
        gpt2i_matrix_pack_inputs(&by_inputs, transposed + 64 * N_OUT, 64, N_IN - 64);
        assert_memory_equal(panels[0], panels[1], sizeof panels[0]);
        for (size_t o = 0; o < N_OUT; o++) {
            gpt2i_matrix_unpack(row, 1, &by_outputs, o);
            for (size_t first = 0; first < N_IN; first += 32) {
                size_t end = first + 32 < N_IN ? first + 32 : N_IN;
                double largest = 0.0;

                for (size_t k = first; k < end; k++)
                    largest = fmax(largest, fabs((double)matrix[o * N_IN + k]));
                for (size_t k = first; k < end; k++) {
                    double wanted = (double)matrix[o * N_IN + k];

                    assert_true(fabs((double)row[k] - wanted) <= largest_error * largest + 1e-7);
                    error += (row[k] - wanted) * (row[k] - wanted);
                    all += wanted * wanted;
                }
            }
        }
        /* evenly spread weights and a scale of the largest over 127 have 1 / 127 / sqrt(12) * sqrt(3) =
           3.9e-3 */
        assert_true(sqrt(error / all) < (type == GPT2_TYPE_Q8 ? 3.5e-3 : 6.5e-2));
        for (size_t k = 0; k < N_IN; k++) {
            gpt2i_matrix_unpack(row, 1, &by_outputs, 7);
            assert_true(k < 32 || k >= 64 ? row[k] == 0.0f : fabsf(row[k] + 1.0f) < 4e-4f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fma_is_exact),     cmocka_unit_test(test_activations_are_accurate),
        cmocka_unit_test(test_log_is_accurate),  cmocka_unit_test(test_softmax_is_accurate),
        cmocka_unit_test(test_widen_is_exact),   cmocka_unit_test(test_widen_f64),
        cmocka_unit_test(test_to_f16_of_python), cmocka_unit_test(test_pack_and_unpack),
        cmocka_unit_test(test_narrow),           cmocka_unit_test(test_quantised),
        cmocka_unit_test(test_pack_16),          cmocka_unit_test(test_layer_norm_of_huge_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
