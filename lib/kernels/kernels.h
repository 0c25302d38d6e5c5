/*
 * kernels.h: the arithmetic that every number of the library comes from, as one table of functions.
 *
 * Each instruction set's file fills in the functions that it has.  All give the same bits:
 * docs/numerics.md defines each operation, scalar.c is its plainest form.  Kernels know no model.
 * They read and write nothing past the ends they are given, except that a matrix product reads whole
 * groups of 16 outputs of w.
 */
#ifndef GPT2I_KERNELS_H
#define GPT2I_KERNELS_H

#include "../base/common.h"

#define GPT2I_LANES   16 /* outputs that a kernel takes together, lanes of a tree sum */
#define GPT2I_K_BLOCK 64 /* length of one chain of a matrix product; docs/numerics.md */

/* Rows of logits are looked at in blocks of as many: their sums are the steps of a draw. */
#define GPT2I_VOCAB_BLOCK 64

/* The types that gpt2i_matmul reads weights in: GPT2_TYPE_F32, GPT2_TYPE_F16 and GPT2_TYPE_BF16. */
#define GPT2I_WEIGHT_TYPES 3

/* Not on a big-endian aarch64: a vector's lanes seen as another type are in another order there. */
#if defined(__aarch64__) && !defined(__AARCH64EB__)
#define GPT2I_HAS_NEON
#endif

/*
 * y[r][o] = total + bias[o], where total starts at 0, or at y[r][o] if 'adds', and grows by the sum
 * over k of x[r][k] * w(k, o), in chains of GPT2I_K_BLOCK along k: each chain starts at 0 and is added
 * to the total when it ends.
 *
 * w(k, o) is w[k * w_stride + o]: a panel of a weight matrix, or a page of the KV cache.  A row of w
 * is read in groups of 16 outputs, the last one whole; what is past n_outputs is dropped.
 * 'next' has weights that the calling thread is likely to read after these, as many or more: the first
 * of them are fetched into its cache.  NULL if there are none.
 * y must not overlap x or w.  Strides count elements.  Weights of F16 and BF16 give the bits that the
 * same weights as floats give.
 */
struct gpt2i_matmul {
    float *y; /* [n_rows, n_outputs] */
    size_t y_stride;
    const float *x; /* [n_rows, n_k] */
    size_t x_stride;
    const void *w; /* [n_k, n_outputs]: float, or uint16_t for F16 and BF16 */
    size_t w_stride;
    const void *next;
    size_t next_row_bytes; /* from a row of 'next' to the following one */
    int32_t w_type;        /* GPT2_TYPE_*, below GPT2I_WEIGHT_TYPES */
    float *widened;    /* workspace, [GPT2I_K_BLOCK, n_outputs rounded up to 16], or NULL: weights
                              of F16 and BF16 for many rows are widened here once */
    const float *bias; /* [n_outputs], or NULL: nothing is added */
    size_t n_rows;
    size_t n_k; /* at least 1 */
    size_t n_outputs;
    bool adds;
};

#define GPT2I_Q_OUTPUTS   64    /* of a product with a workspace, at most */
#define GPT2I_Q_WORKSPACE 16384 /* bytes, aligned to GPT2I_ALIGN */

/*
 * y[r][o] = total + bias[o], where total starts at 0 and grows by (d_w d_x) times the integer sum of each
 * block of 32 along k: docs/numerics.md.  Weights lie as quantised.h says.  'next' as in gpt2i_matmul.
 */
struct gpt2i_quantised_matmul {
    float *y; /* [n_rows, n_outputs] */
    size_t y_stride;
    const void *x;         /* [n_rows]: rows that quantise() made */
    size_t x_stride_bytes; /* a multiple of input_block_bytes */
    const void *w;
    const void *next;
    const uint8_t *table; /* [16] of weights of 4 bits */
    void *widened;     /* workspace of GPT2I_Q_WORKSPACE bytes, for at most GPT2I_Q_OUTPUTS outputs,
                             or NULL: for many rows some kernels unpack weights here once */
    const float *bias; /* [n_outputs], or NULL */
    size_t n_rows;
    size_t n_blocks; /* at least 1 */
    size_t n_outputs;
};

/* What the score of a token needs of a row of logits x, with e = exp(x - max x).  docs/numerics.md */
struct gpt2i_row_sums {
    double e;        /* sum of e */
    double weighted; /* sum of e (x - max x) */
    double in_class; /* sum of e over the ids of a class */
    double n_larger; /* logits that are larger than the token's */
};

typedef void gpt2i_matmul_kernel(const struct gpt2i_matmul *matmul);
typedef void gpt2i_quantised_kernel(const struct gpt2i_quantised_matmul *matmul);

struct gpt2i_kernels {
    const char *name; /* of the largest instruction set among them */

    size_t matmul_rows;    /* rows in one task of a matrix product: a multiple of the tiles' rows */
    size_t attention_rows; /* queries in one task of attention, at most 64 */
    size_t input_block_bytes; /* of what quantise() makes of 32 activations */

    /* matrix products by the type of the weights: of one row, and of any number of rows */
    gpt2i_matmul_kernel *matmul_row[GPT2I_WEIGHT_TYPES];
    gpt2i_matmul_kernel *matmul_any[GPT2I_WEIGHT_TYPES];

    /* quantises n activations x into blocks of 32 of input_block_bytes; the last one has zeros at its end */
    void (*quantise)(void *blocks, const float *x, size_t n);

    /* products with quantised weights of 8 and 4 bits */
    gpt2i_quantised_kernel *matmul_q8;
    gpt2i_quantised_kernel *matmul_q4;

    /* y[i] += x[i] for n elements */
    void (*add)(float *y, const float *x, size_t n);

    /* x[i] *= factor for n elements */
    void (*scale)(float *x, float factor, size_t n);

    /* y[i] = x[i] as F16 for n elements: rounded to nearest even, infinite from 65520 on */
    void (*to_f16)(uint16_t *y, const float *x, size_t n);

    /* y = (x - mean) / sqrt(variance + epsilon) * gain + bias over n >= 1 elements */
    void (*layer_norm)(float *y, const float *x, const float *gain, const float *bias, size_t n,
                       float epsilon);

    /* x = exp(x - max x) / sum of them over n >= 1 elements */
    void (*softmax)(float *x, size_t n);

    /* The largest of n elements, -FLT_MAX if all are -infinity; NaN if one is NaN or +infinity. */
    float (*largest)(const float *x, size_t n);

    /* y[j] = the largest of block j of x, of n elements without NaN */
    void (*block_max)(float *y, const float *x, size_t n);

    /* y[j] = the sum of block j of x: 16 lanes, folded */
    void (*block_sums)(float *y, const float *x, size_t n);

    /* Stores the indices, ascending, of those of n elements that are not below 'least': how many. */
    size_t (*collect)(int32_t *indices, const float *x, float least, size_t n);

    /* y = exp(x / temperature - max) for n elements; y may be x */
    void (*weigh)(float *y, const float *x, float temperature, float max, size_t n);

    /*
     * The sums over n >= 1 logits x, of which 'max' is what largest() gives; sums->e is NaN if one of them, or
     * max, is NaN or +infinity.  Bit i % 8 of class_mask[i / 8] says whether i is in the class;
     * NULL: none is.
     */
    void (*row_sums)(struct gpt2i_row_sums *sums, const float *x, size_t n, float max, float logit,
                     const uint8_t *class_mask);

    /* x = activation(x) for n elements, by GPT2_ACT_* */
    void (*activation[9])(float *x, size_t n);
};

static inline void gpt2i_matmul(const struct gpt2i_kernels *kernels,
                                const struct gpt2i_matmul *matmul)
{
    if (matmul->n_rows == 1)
        kernels->matmul_row[matmul->w_type](matmul);
    else
        kernels->matmul_any[matmul->w_type](matmul);
}

/* Each instruction set's file defines one: it puts its functions into a table, over plainer ones. */
GPT2I_HIDDEN void gpt2i_kernels_add_scalar(struct gpt2i_kernels *kernels);
#if defined(__x86_64__)
GPT2I_HIDDEN void gpt2i_kernels_add_avx2(struct gpt2i_kernels *kernels);
GPT2I_HIDDEN void gpt2i_kernels_add_avx512(struct gpt2i_kernels *kernels);
#elif defined(GPT2I_HAS_NEON)
GPT2I_HIDDEN void gpt2i_kernels_add_neon(struct gpt2i_kernels *kernels);
#endif

/* Likewise for quantised weights: quantise() and the two products. */
GPT2I_HIDDEN void gpt2i_quantised_add_scalar(struct gpt2i_kernels *kernels);
#if defined(__x86_64__)
GPT2I_HIDDEN void gpt2i_quantised_add_avx2(struct gpt2i_kernels *kernels);
GPT2I_HIDDEN void gpt2i_quantised_add_avx512vnni(struct gpt2i_kernels *kernels);
#if (defined(__clang__) && __clang_major__ >= 12) || (!defined(__clang__) && __GNUC__ >= 11)
#define GPT2I_HAS_AVX_VNNI
GPT2I_HIDDEN void gpt2i_quantised_add_avxvnni(struct gpt2i_kernels *kernels);
#endif
#elif defined(GPT2I_HAS_NEON)
GPT2I_HIDDEN void gpt2i_quantised_add_neon(struct gpt2i_kernels *kernels);
#if !defined(__clang__) || __clang_major__ >= 16
#define GPT2I_HAS_DOTPROD
GPT2I_HIDDEN void gpt2i_quantised_add_dotprod(struct gpt2i_kernels *kernels);
#endif
#endif

#endif
