/*
 * arena.c: blocks and arenas; with file.c and threads.c the only callers of the operating system.
 */
#if !defined(_WIN32) && !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, madvise */
#endif

#include "arena.h"

#if defined(_WIN32)
#include <windows.h>
#elif !defined(__wasm__)
#include <sys/mman.h>
#else
#include <stdlib.h>
#endif

struct gpt2i_arena gpt2i_arena_over(void *base)
{
    struct gpt2i_arena arena = {.base = base};

    return arena;
}

size_t gpt2i_arena_bytes_anywhere(const struct gpt2i_arena *measured)
{
    return measured->overflow ? 0 : measured->used_bytes + GPT2I_ALIGN - 1;
}

struct gpt2i_arena gpt2i_arena_anywhere(void *memory)
{
    size_t past = (size_t)((uintptr_t)memory % GPT2I_ALIGN);

    return gpt2i_arena_over((unsigned char *)memory + (past == 0 ? 0 : GPT2I_ALIGN - past));
}

void *gpt2i_arena_take(struct gpt2i_arena *arena, uint64_t count, size_t element_bytes)
{
    const size_t most_bytes = SIZE_MAX - 2 * GPT2I_ALIGN; /* room to align the end, and the base */
    uint64_t bytes = 0;
    size_t offset = arena->used_bytes;

    if (!gpt2i_mul_u64(count, element_bytes, &bytes) || bytes > most_bytes ||
        offset > most_bytes - (size_t)bytes)
        arena->overflow = true;
    if (arena->overflow)
        return NULL;
    arena->used_bytes = gpt2i_round_up(offset + (size_t)bytes, GPT2I_ALIGN);
    return arena->base == NULL ? NULL : arena->base + offset;
}

/*
 * Rows of 64 floats, read from front to end, come at 1.2 to 1.4 times the rate on Intel's Sapphire
 * Rapids if each lies in two blocks of 256 bytes; elsewhere it makes no difference.
 */
void *gpt2i_arena_take_stream(struct gpt2i_arena *arena, uint64_t count, size_t element_bytes)
{
    size_t past = arena->used_bytes % 256;

    (void)gpt2i_arena_take(arena, past <= 128 ? 128 - past : 384 - past, 1);
    return gpt2i_arena_take(arena, count, element_bytes);
}

#if defined(_WIN32)

void *gpt2i_block_new(size_t bytes)
{
    return bytes == 0 ? NULL : VirtualAlloc(NULL, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void gpt2i_block_free(void *block, size_t bytes)
{
    (void)bytes;
    if (block != NULL)
        VirtualFree(block, 0, MEM_RELEASE);
}

#elif defined(__wasm__)

void *gpt2i_block_new(size_t bytes)
{
    void *block;

    if (bytes == 0 || bytes > SIZE_MAX - GPT2I_ALIGN)
        return NULL;
    block = aligned_alloc(GPT2I_ALIGN, gpt2i_round_up(bytes, GPT2I_ALIGN));
    if (block != NULL)
        memset(block, 0, bytes);
    return block;
}

void gpt2i_block_free(void *block, size_t bytes)
{
    (void)bytes;
    free(block);
}

#else

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

void *gpt2i_block_new(size_t bytes)
{
    void *block;

    if (bytes == 0)
        return NULL;
    block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    /* advice: where the system declines it, the block is as good, only slower to fill */
    if (bytes >= HUGE_PAGE_BYTES)
        (void)madvise(block, bytes, MADV_HUGEPAGE);
#endif
    return block;
}

void gpt2i_block_free(void *block, size_t bytes)
{
    if (block != NULL)
        (void)munmap(block, bytes);
}

#endif
