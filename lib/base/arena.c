/*
 * arena.c: cutting a block into parts.
 */
#include "arena.h"

struct gpt2i_arena gpt2i_arena_over(void *base)
{
    struct gpt2i_arena arena = {.base = base};

    return arena;
}

size_t gpt2i_arena_unaligned_bytes(const struct gpt2i_arena *measured)
{
    return measured->overflow ? 0 : measured->used_bytes + GPT2I_ALIGN - 1;
}

struct gpt2i_arena gpt2i_arena_over_unaligned(void *memory)
{
    size_t past = (size_t)((uintptr_t)memory % GPT2I_ALIGN);

    return gpt2i_arena_over((unsigned char *)memory + (past == 0 ? 0 : GPT2I_ALIGN - past));
}

void *gpt2i_arena_take(struct gpt2i_arena *arena, uint64_t count, size_t element_bytes)
{
    const size_t max_bytes = SIZE_MAX - 2 * GPT2I_ALIGN; /* room to align the end, and the base */
    uint64_t bytes = 0;
    size_t offset = arena->used_bytes;

    if (!gpt2i_mul_u64(count, element_bytes, &bytes) || bytes > max_bytes ||
        offset > max_bytes - (size_t)bytes)
        arena->overflow = true;
    if (arena->overflow)
        return NULL;
    arena->used_bytes = gpt2i_round_up(offset + (size_t)bytes, GPT2I_ALIGN);
    return arena->base == NULL ? NULL : arena->base + offset;
}
