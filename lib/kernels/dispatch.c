/*
 * dispatch.c: filling a table of kernels from the plainest instruction set up.  A larger set replaces
 * only the functions for which it is faster.
 */
#include "dispatch.h"

void gpt2i_kernels_choose(struct gpt2i_kernels *kernels, uint32_t features)
{
    gpt2i_kernels_add_scalar(kernels);
#if defined(__x86_64__)
    if ((features & GPT2_CPU_AVX2) == 0)
        return;
    gpt2i_kernels_add_avx2(kernels);
    if ((features & GPT2_CPU_AVX512) != 0)
        gpt2i_kernels_add_avx512(kernels);
#elif defined(__aarch64__)
    if ((features & GPT2_CPU_NEON) != 0)
        gpt2i_kernels_add_neon(kernels);
#else
    (void)features;
#endif
}
