/*
 * fpstate.h: the floating-point state that the numbers are defined in.
 *
 * A host may have flushed denormals (-ffast-math links code that does) or changed the rounding.
 * Each call that computes enters our state and puts the host's back; so does each worker thread.
 */
#ifndef GPT2I_FPSTATE_H
#define GPT2I_FPSTATE_H

#include "common.h"

#if defined(__x86_64__) || defined(__SSE2__)
#include <xmmintrin.h>

/* Round to nearest, denormals kept, all exceptions masked; returns the state to put back. */
static inline uint64_t gpt2i_fpstate_enter(void)
{
    uint64_t host = _mm_getcsr();

    _mm_setcsr(0x1f80);
    return host;
}

static inline void gpt2i_fpstate_leave(uint64_t host)
{
    _mm_setcsr((uint32_t)host);
}

#elif defined(__aarch64__)

static inline uint64_t gpt2i_fpstate_enter(void)
{
    uint64_t host;

    __asm__ volatile("mrs %0, fpcr" : "=r"(host));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
    return host;
}

static inline void gpt2i_fpstate_leave(uint64_t host)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(host));
}

#else

/* WebAssembly has one state only; on other processors the host's state is taken as it is. */
static inline uint64_t gpt2i_fpstate_enter(void)
{
    return 0;
}

static inline void gpt2i_fpstate_leave(uint64_t host)
{
    (void)host;
}

#endif

#endif
