/*
 * avx512.c: the kernels on AVX-512: a group of 16 lanes is one register.
 */
#include "kernels.h"

#if defined(__x86_64__)

#define SET    avx512
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))

#include "v16_avx512.h"

/* 32 registers: up to 28 sums, the weights of a step and a broadcast */
#define TILES(ROW)      ROW(7, 4) ROW(4, 4) ROW(2, 4) ROW(1, 4)
#define EVEN_TILES(ROW) ROW(8, 2)
#define TILE_MAX_SUMS   28
#define TILE_MAX_GROUPS 4

#define MATMUL_ROWS    126 /* a multiple of 7 and 6 */
#define ATTENTION_ROWS 28

/*
 * One row of floats waits for memory, and AVX2 reads that faster on Zen 4: half a cache line at a time.
 * 16 half floats are half a cache line.
 */
#define KEEPS_MATMUL_ROW_F32

#include "kernels_template.h"

#endif
