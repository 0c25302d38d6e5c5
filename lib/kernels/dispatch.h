/*
 * dispatch.h: the fastest kernels for a set of CPU features.
 */
#ifndef GPT2I_DISPATCH_H
#define GPT2I_DISPATCH_H

#include "kernels.h"

/*
 * Fills a table for a CPU that has 'features', GPT2_CPU_*.  With 'row_fetches', one row is multiplied by
 * matmul_any(), which fetches weights ahead.
 */
GPT2I_HIDDEN void gpt2i_kernels_choose(struct gpt2i_kernels *kernels, uint32_t features,
                                       bool row_fetches);

#endif
