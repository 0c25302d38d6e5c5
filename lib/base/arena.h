/*
 * arena.h: blocks of memory, and the arena that cuts one block into parts.
 *
 * A layout function takes its parts from an arena twice: over a NULL base, to measure, and over the
 * block, to place.  So the size that is asked for cannot drift from the size that is used.
 */
#ifndef GPT2I_ARENA_H
#define GPT2I_ARENA_H

#include "common.h"

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
GPT2I_HIDDEN size_t gpt2i_arena_bytes_anywhere(const struct gpt2i_arena *measured);
GPT2I_HIDDEN struct gpt2i_arena gpt2i_arena_anywhere(void *memory);

/*
 * Takes 'count' elements of 'element_bytes', aligned to GPT2I_ALIGN.
 * Returns NULL while measuring (and after an overflow).
 */
GPT2I_HIDDEN void *gpt2i_arena_take(struct gpt2i_arena *arena, uint64_t count,
                                    size_t element_bytes);

/* The same for what kernels stream through: it begins 128 bytes past a multiple of 256. */
GPT2I_HIDDEN void *gpt2i_arena_take_stream(struct gpt2i_arena *arena, uint64_t count,
                                           size_t element_bytes);

/*
 * A block of 'bytes' zero bytes, aligned to GPT2I_ALIGN; NULL if there is no memory or bytes is 0.
 * Large blocks ask the system for huge pages.  Freed with gpt2i_block_free() and the same size.
 */
GPT2I_HIDDEN void *gpt2i_block_new(size_t bytes);
GPT2I_HIDDEN void gpt2i_block_free(void *block, size_t bytes);

#endif
