/*
 * arena.h: the arena, which cuts one block of memory into parts.
 *
 * A layout function takes its parts from an arena twice: over a NULL base, to measure, and over the
 * block, to place.  So the size that is asked for cannot drift from the size that is used.
 */
#ifndef GPT2I_ARENA_H
#define GPT2I_ARENA_H

#include "os.h"

struct gpt2i_arena {
    unsigned char *base; /* NULL while measuring */
    size_t used_bytes;
    bool overflow; /* a size did not fit into size_t: the layout cannot be placed */
};

/* An arena over 'base', which is aligned to GPT2I_ALIGN, or NULL to measure. */
GPT2I_HIDDEN struct gpt2i_arena gpt2i_arena_over(void *base);

/*
 * A block that the caller provides, of any alignment: what a measured layout needs there (0 after an
 * overflow), and the arena over it.
 */
GPT2I_HIDDEN size_t gpt2i_arena_unaligned_bytes(const struct gpt2i_arena *measured);
GPT2I_HIDDEN struct gpt2i_arena gpt2i_arena_over_unaligned(void *memory);

/*
 * Takes 'count' elements of 'element_bytes', aligned to GPT2I_ALIGN.
 * Returns NULL while measuring (and after an overflow).
 */
GPT2I_HIDDEN void *gpt2i_arena_take(struct gpt2i_arena *arena, uint64_t count,
                                    size_t element_bytes);

/*
 * The same for what kernels read in rows of 64 floats, from front to end: it begins 64 bytes past a
 * multiple of 256.  On Intel's Sapphire Rapids such rows come at 1.2 to 1.4 times the rate of rows that
 * begin at multiples of 256 (docs/performance.md).
 */
static inline void *gpt2i_arena_take_stream(struct gpt2i_arena *arena, uint64_t count,
                                            size_t element_bytes)
{
    size_t past = arena->used_bytes % 256;

    (void)gpt2i_arena_take(arena, past <= 64 ? 64 - past : 320 - past, 1);
    return gpt2i_arena_take(arena, count, element_bytes);
}

#endif
