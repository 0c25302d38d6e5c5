/*
 * api_library.c: the exported functions about the library itself.
 */
#include "../base/threads.h"
#include "../kernels/cpu.h"

const char *gpt2_version(void)
{
    return GPT2I_VERSION;
}

uint32_t gpt2_cpu_features(void)
{
    return gpt2i_cpu_features();
}

uint64_t gpt2_clock_ns(void)
{
    return gpt2i_monotonic_ns();
}
