/*
 * cpu.c: CPU features, asked from the CPU or the system at each call: there is no state to set up.
 */
#include "cpu.h"
#include "../base/os.h"
#include "kernels.h"

#if defined(__x86_64__)

#include <cpuid.h>

/* The registers that the operating system saves for us: XCR0. */
static uint64_t saved_registers(void)
{
    uint32_t low;
    uint32_t high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static bool has_all(uint32_t value, uint32_t bits)
{
    return (value & bits) == bits;
}

uint32_t gpt2i_cpu_features(void)
{
    const uint32_t need_1_ecx = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
    const uint32_t need_7_ebx = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    const uint32_t need_7_1_eax = 1u << 4; /* AVX-VNNI */
    const uint64_t ymm = 0x6;              /* XMM and the upper halves of YMM */
    const uint64_t zmm = 0xe6;             /* also mask registers and ZMM */
    uint32_t eax, ebx, ecx, edx;
    uint32_t features = 0;
    uint64_t saved;

    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !has_all(ecx, need_1_ecx))
        return 0;
    saved = saved_registers();
    if ((saved & ymm) != ymm || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        return 0;
    if (has_all(ebx, bit_AVX2))
        features |= GPT2_CPU_AVX2;
    if (features != 0 && has_all(ebx, need_7_ebx) && (saved & zmm) == zmm) {
        features |= GPT2_CPU_AVX512;
        if (has_all(ecx, bit_AVX512VNNI))
            features |= GPT2_CPU_AVX512_VNNI;
    }
    if (features != 0 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) &&
        has_all(eax, need_7_1_eax))
        features |= GPT2_CPU_AVX_VNNI;
    return features;
}

bool gpt2i_cpu_row_fetches(void)
{
    uint32_t eax, ebx, ecx, edx;

    return __get_cpuid(0, &eax, &ebx, &ecx, &edx) && ebx == signature_INTEL_ebx;
}

#else

#if defined(GPT2I_HAS_NEON)

/* Also without the system's word, if this code is compiled for such CPUs only. */
static bool has_dotprod(void)
{
#if defined(__ARM_FEATURE_DOTPROD)
    return true;
#else
    return gpt2i_os_has_dotprod();
#endif
}

/* NEON is part of every aarch64. */
uint32_t gpt2i_cpu_features(void)
{
    return GPT2_CPU_NEON | (has_dotprod() ? GPT2_CPU_DOTPROD : 0);
}

#else

uint32_t gpt2i_cpu_features(void)
{
    return 0;
}

#endif

bool gpt2i_cpu_row_fetches(void)
{
    return false;
}

#endif
