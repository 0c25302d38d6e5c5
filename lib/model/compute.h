/*
 * compute.h: what layers compute with, and how the rows of activations lie in memory.
 */
#ifndef GPT2I_COMPUTE_H
#define GPT2I_COMPUTE_H

#include "../base/threads.h"
#include "../kernels/kernels.h"

struct gpt2i_compute {
    struct gpt2i_kernels kernels;
    struct gpt2i_pool *pool;
    /* workspace of gpt2i_linear_rows() */
    float *panels;  /* [n_threads][GPT2I_PANEL_ROWS, GPT2I_PANEL] */
    float *widened; /* [n_threads][GPT2I_K_BLOCK, GPT2I_PANEL] */
    void *inputs;   /* [n_batch] rows of quantised activations; NULL without quantised weights */
};

/*
 * Floats from one row of 'n_columns' activations to the next.  Rows begin at cache lines, and never
 * lie a multiple of 2048 bytes apart: the rows that a kernel reads together would then contend for
 * the same sets of a cache.
 */
static inline size_t gpt2i_row_stride(size_t n_columns)
{
    size_t n_lines = gpt2i_ceil_div(n_columns, GPT2I_LANES);

    return (n_lines % 32 == 0 ? n_lines + 16 : n_lines) * GPT2I_LANES;
}

#endif
