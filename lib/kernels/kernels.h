/*
 * kernels.h: the arithmetic that every number of the library comes from, as one table for each
 * instruction set.
 *
 * All tables give the same bits: docs/numerics.md defines each operation, scalar.c is its plainest
 * form.  Kernels know no model.  They read and write nothing past the ends they are given, except
 * that matmul reads whole groups of 16 outputs of w.
 */
#ifndef GPT2I_KERNELS_H
#define GPT2I_KERNELS_H

#include "../base/common.h"

/*
 * y[r][o] = total + bias[o], where total starts at 0, or at y[r][o] if 'adds', and grows by the sum
 * over k of x[r][k] * w(k, o), in chains of GPT2I_K_BLOCK along k: each chain starts at 0 and is added
 * to the total when it ends.
 *
 * w(k, o) is w[k * w_stride + o]: a panel of pack.h, or a page of kvcache.h.  A row of w is read in
 * groups of 16 outputs, the last one whole; what is past n_outputs is dropped.
 * y must not overlap x or w.  Strides count floats.
 */
struct gpt2i_matmul {
    float *y; /* [n_rows, n_outputs] */
    size_t y_stride;
    const float *x; /* [n_rows, n_k] */
    size_t x_stride;
    const float *w; /* [n_k, n_outputs] */
    size_t w_stride;
    const float *bias; /* [n_outputs], or NULL: nothing is added */
    size_t n_rows;
    size_t n_k; /* at least 1 */
    size_t n_outputs;
    bool adds;
};

struct gpt2i_kernels {
    const char *name;
    uint32_t features; /* GPT2_CPU_* groups this table needs */

    void (*matmul)(const struct gpt2i_matmul *matmul);

    /* y[i] += x[i] for n elements */
    void (*add)(float *y, const float *x, size_t n);

    /* x[i] *= factor for n elements */
    void (*scale)(float *x, float factor, size_t n);

    /* y = (x - mean) / sqrt(variance + epsilon) * gain + bias over n >= 1 elements */
    void (*layer_norm)(float *y, const float *x, const float *gain, const float *bias, size_t n,
                       float epsilon);

    /* x = exp(x - max x) / sum of them over n >= 1 elements */
    void (*softmax)(float *x, size_t n);

    /* x = activation(x) for n elements, by GPT2_ACT_* */
    void (*activation[5])(float *x, size_t n);
};

/* The best table whose features are all in 'features'. */
GPT2I_HIDDEN const struct gpt2i_kernels *gpt2i_kernels_choose(uint32_t features);

extern GPT2I_HIDDEN const struct gpt2i_kernels gpt2i_kernels_scalar;
#if defined(__x86_64__)
extern GPT2I_HIDDEN const struct gpt2i_kernels gpt2i_kernels_avx2;
extern GPT2I_HIDDEN const struct gpt2i_kernels gpt2i_kernels_avx512;
#elif defined(__aarch64__)
extern GPT2I_HIDDEN const struct gpt2i_kernels gpt2i_kernels_neon;
#endif

#endif
