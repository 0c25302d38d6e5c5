/*
 * common.h: what every file of the library includes first.
 *
 * It pins down the arithmetic, whatever flags an application compiles these files with: a product
 * and a sum are two roundings unless the code says fma, and every float operation is a float one.
 */
#ifndef GPT2I_COMMON_H
#define GPT2I_COMMON_H

#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || \
    defined(__NO_SIGNED_ZEROS__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0)
#error "libgpt2 promises exact bits: compile it without -ffast-math and its parts"
#endif

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wignored-pragmas" /* WebAssembly has no such control */
#pragma float_control(precise, on) /* clang does not tell which parts of -ffast-math are on */
#pragma clang diagnostic pop
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#include <float.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0
#error "libgpt2 needs float rounded to float: -msse2 -mfpmath=sse or -fexcess-precision=fast"
#endif

#include "gpt2.h"

#define GPT2I_TEXT_OF(x) #x
#define GPT2I_DOTTED(major, minor, patch) \
    GPT2I_TEXT_OF(major) "." GPT2I_TEXT_OF(minor) "." GPT2I_TEXT_OF(patch)
#define GPT2I_VERSION GPT2I_DOTTED(GPT2_VERSION_MAJOR, GPT2_VERSION_MINOR, GPT2_VERSION_PATCH)

#define GPT2I_ALIGN 64 /* bytes: a cache line, and the widest vector */

/*
 * Internal functions and tables stay out of the shared library, whatever the flags are.  Where the whole
 * library is one file (amalgamate.sh) the functions are static.
 */
#if defined(__GNUC__) && !defined(_WIN32)
#define GPT2I_HIDDEN_TABLE __attribute__((visibility("hidden")))
#else
#define GPT2I_HIDDEN_TABLE
#endif
#if defined(GPT2I_ONE_FILE)
#define GPT2I_HIDDEN static
#else
#define GPT2I_HIDDEN GPT2I_HIDDEN_TABLE
#endif

#if defined(__GNUC__)
#define GPT2I_FORMAT(string_index, first_argument) \
    __attribute__((format(printf, string_index, first_argument)))
#define GPT2I_INLINE              static inline __attribute__((always_inline))
#define GPT2I_FETCH(address)      __builtin_prefetch(address, 0, 2) /* into the second cache */
#define GPT2I_FETCH_SOON(address) __builtin_prefetch(address, 0, 3) /* into the first cache */
#else
#define GPT2I_FORMAT(string_index, first_argument)
#define GPT2I_INLINE              static inline
#define GPT2I_FETCH(address)      ((void)(address))
#define GPT2I_FETCH_SOON(address) ((void)(address))
#endif

static inline size_t gpt2i_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t gpt2i_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* ceil(count / unit), for unit > 0 */
static inline size_t gpt2i_ceil_div(size_t count, size_t unit)
{
    return count / unit + (count % unit != 0);
}

static inline size_t gpt2i_round_up(size_t count, size_t unit)
{
    return gpt2i_ceil_div(count, unit) * unit;
}

/* Checked arithmetic: false, and '*out' is not written, where the result does not fit. */
static inline bool gpt2i_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b != 0 && a > UINT64_MAX / b)
        return false;
    *out = a * b;
    return true;
}

static inline bool gpt2i_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a > UINT64_MAX - b)
        return false;
    *out = a + b;
    return true;
}

static inline bool gpt2i_is_little_endian(void)
{
    const uint16_t one = 1;
    unsigned char first;

    memcpy(&first, &one, 1);
    return first == 1;
}

/* Little-endian loads, from any alignment. */
static inline uint16_t gpt2i_load_le16(const unsigned char *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline uint32_t gpt2i_load_le32(const unsigned char *bytes)
{
    return (uint32_t)gpt2i_load_le16(bytes) | (uint32_t)gpt2i_load_le16(bytes + 2) << 16;
}

static inline uint64_t gpt2i_load_le64(const unsigned char *bytes)
{
    return (uint64_t)gpt2i_load_le32(bytes) | (uint64_t)gpt2i_load_le32(bytes + 4) << 32;
}

/* Stores the n lower bytes of a number, the lowest first. */
static inline void gpt2i_store_le(unsigned char *bytes, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(value >> 8 * i);
}

#endif
