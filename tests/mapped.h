/*
 * mapped.h: how much memory the library has from the system, and how much it had at most.
 *
 * Whoever includes this has the line "WRAP := mmap mmap64 munmap" in its head, see the Makefile.
 */
#ifndef MAPPED_H
#define MAPPED_H

#include "wrap.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>

static atomic_size_t mapped_bytes, max_mapped_bytes;

static PLAIN void note_mapped(size_t n_bytes)
{
    size_t now = atomic_fetch_add(&mapped_bytes, n_bytes) + n_bytes;

    if (now > atomic_load(&max_mapped_bytes))
        atomic_store(&max_mapped_bytes, now);
}

/* 32 and 64 bits of off_t where they have names of their own */
#define WRAP_MMAP(symbol, offset_type)                                                      \
    WRAP(void *, symbol,                                                                    \
         (void *at, size_t n_bytes, int protection, int flags, int fd, offset_type offset)) \
    {                                                                                       \
        note_mapped(n_bytes);                                                               \
        return __real_##symbol(at, n_bytes, protection, flags, fd, offset);                 \
    }

WRAP_MMAP(mmap, off_t)
#if defined(__GLIBC__)
WRAP_MMAP(mmap64, off64_t)
#endif

WRAP(int, munmap, (void *at, size_t n_bytes))
{
    atomic_fetch_sub(&mapped_bytes, n_bytes);
    return __real_munmap(at, n_bytes);
}

#endif
