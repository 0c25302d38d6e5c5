/*
 * random.h: random numbers as a function of where they are used, with no state to keep.
 */
#ifndef GPT2I_RANDOM_H
#define GPT2I_RANDOM_H

#include "../base/common.h"

/*
 * Philox4x32-10: four 32-bit words for a counter of (position, stream) under the key 'seed', low
 * halves first.  Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
 */
GPT2I_HIDDEN void gpt2i_philox(uint32_t words[4], uint64_t seed, uint64_t position,
                               uint64_t stream);

/* A float in [0, 1) from one word: its upper 24 bits. */
static inline float gpt2i_uniform(uint32_t word)
{
    return (float)(word >> 8) * 0x1p-24f;
}

#endif
