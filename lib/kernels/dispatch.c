/*
 * dispatch.c: filling a table of kernels from the plainest instruction set up.  A larger set replaces
 * only the functions for which it is faster.
 */
#include "dispatch.h"

void gpt2i_kernels_choose(struct gpt2i_kernels *kernels, uint32_t features, bool row_fetches)
{
    gpt2i_kernels_add_scalar(kernels);
    gpt2i_quantised_add_scalar(kernels);
#if defined(__x86_64__)
    if ((features & GPT2_CPU_AVX2) == 0)
        return;
    gpt2i_kernels_add_avx2(kernels);
    gpt2i_quantised_add_avx2(kernels);
#ifdef GPT2I_HAS_AVX_VNNI
    if ((features & GPT2_CPU_AVX_VNNI) != 0)
        gpt2i_quantised_add_avxvnni(kernels);
#endif
    if (row_fetches) /* AVX-512 keeps AVX2's row of floats: avx512.c */
        kernels->matmul_row[GPT2_TYPE_F32] = kernels->matmul_any[GPT2_TYPE_F32];
    if ((features & GPT2_CPU_AVX512) != 0) {
        gpt2i_kernels_add_avx512(kernels);
        if ((features & GPT2_CPU_AVX512_VNNI) != 0)
            gpt2i_quantised_add_avx512vnni(kernels);
    }
    if (row_fetches) {
        kernels->matmul_row[GPT2_TYPE_F16] = kernels->matmul_any[GPT2_TYPE_F16];
        kernels->matmul_row[GPT2_TYPE_BF16] = kernels->matmul_any[GPT2_TYPE_BF16];
    }
#elif defined(GPT2I_HAS_NEON)
    if ((features & GPT2_CPU_NEON) != 0) {
        gpt2i_kernels_add_neon(kernels);
        gpt2i_quantised_add_neon(kernels);
#ifdef GPT2I_HAS_DOTPROD
        if ((features & GPT2_CPU_DOTPROD) != 0)
            gpt2i_quantised_add_dotprod(kernels);
#endif
    }
    (void)row_fetches;
#else
    (void)features;
    (void)row_fetches;
#endif
}
