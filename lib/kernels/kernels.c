/*
 * kernels.c: the choice of a kernel table.
 */
#include "kernels.h"

const struct gpt2i_kernels *gpt2i_kernels_choose(uint32_t features)
{
    static const struct gpt2i_kernels *const best_first[] = {
#if defined(__x86_64__)
        &gpt2i_kernels_avx512,
        &gpt2i_kernels_avx2,
#elif defined(__aarch64__)
        &gpt2i_kernels_neon,
#endif
        &gpt2i_kernels_scalar,
    };
    size_t i = 0;

    while ((best_first[i]->features & ~features) != 0)
        i++;
    return best_first[i];
}
