/*
 * blocks.c: the library's blocks, made so that AddressSanitizer sees a step outside.
 *
 * A block is from malloc and zeroed, as the system's pages are.  Behind each array in it lies a gap
 * that may not be touched.
 *
 * The linker's --wrap leads the library's calls to here, for each function of this line:
 * WRAP := gpt2i_block_new gpt2i_block_free gpt2i_arena_take
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "blocks.h"
#include "base/arena.h"

#include <stdatomic.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WATCHED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WATCHED 1
#endif
#if defined(WATCHED)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, n) ((void)(at), (void)(n))
#endif

static atomic_size_t n_blocks;
static size_t most_bytes = SIZE_MAX;
static _Thread_local void *latest; /* block of this thread: arrays are placed in it */

size_t blocks_in_use(void)
{
    return atomic_load(&n_blocks);
}

void blocks_refuse_above(size_t n_bytes)
{
    most_bytes = n_bytes;
}

void *__wrap_gpt2i_block_new(size_t bytes);
void __wrap_gpt2i_block_free(void *block, size_t bytes);
void *__real_gpt2i_arena_take(struct gpt2i_arena *arena, uint64_t count, size_t element_bytes);
void *__wrap_gpt2i_arena_take(struct gpt2i_arena *arena, uint64_t count, size_t element_bytes);

void *__wrap_gpt2i_block_new(size_t bytes)
{
    latest = NULL;
    if (bytes == 0 || bytes > most_bytes || posix_memalign(&latest, GPT2I_ALIGN, bytes) != 0)
        return NULL;
    memset(latest, 0, bytes);
    atomic_fetch_add(&n_blocks, 1);
    return latest;
}

void __wrap_gpt2i_block_free(void *block, size_t bytes)
{
    (void)bytes;
    if (block != NULL)
        atomic_fetch_sub(&n_blocks, 1);
    free(block);
}

void *__wrap_gpt2i_arena_take(struct gpt2i_arena *arena, uint64_t count, size_t element_bytes)
{
    unsigned char *taken = __real_gpt2i_arena_take(arena, count, element_bytes);
    unsigned char *gap = __real_gpt2i_arena_take(arena, 1, GPT2I_ALIGN);

    /* a caller's own memory is used again for other things */
    if (taken != NULL && gap != NULL && arena->base == latest) {
        unsigned char *end = taken + (size_t)count * element_bytes;

        ASAN_POISON_MEMORY_REGION(end, (size_t)(gap - end) + GPT2I_ALIGN);
    }
    return taken;
}
