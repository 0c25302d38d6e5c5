/*
 * checksum.c: a checksum at the speed of memory.
 *
 * Four lanes take words of 8 bytes in turns, so that the multiplications overlap.  Each step maps
 * lane values one to one, so a lane that differs once differs until the end.
 */
#include "checksum.h"

#define N_LANES 4

static inline uint64_t mix(uint64_t lane, uint64_t word)
{
    lane = (lane ^ word) * 0x9e3779b97f4a7c15u;
    return lane << 31 | lane >> 33;
}

uint64_t gpt2i_checksum(uint64_t before, const void *bytes, size_t n)
{
    const unsigned char *from = bytes;
    uint64_t lanes[N_LANES] = {before, 1, 2, 3};
    uint64_t sum = n;
    size_t i = 0;

    for (; n - i >= 8 * N_LANES; i += 8 * N_LANES) {
        for (size_t lane = 0; lane < N_LANES; lane++)
            lanes[lane] = mix(lanes[lane], gpt2i_load_le64(from + i + 8 * lane));
    }
    for (size_t lane = 0; i < n; i += 8, lane++) {
        unsigned char last[8] = {0};

        memcpy(last, from + i, gpt2i_min(n - i, 8));
        lanes[lane] = mix(lanes[lane], gpt2i_load_le64(last));
    }
    for (size_t lane = 0; lane < N_LANES; lane++)
        sum = mix(sum, lanes[lane]);
    return sum;
}
