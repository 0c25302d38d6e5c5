/*
 * bounds.h: what the refusal of a file may cost: 50 ms of CPU and 64 MiB of memory.
 *
 * Whoever includes this has the line "WRAP := mmap mmap64 munmap" in its head, see the Makefile, puts
 * the calls that read a file into BOUNDED(), and has test_bounds() as its last test.  Sanitizers and
 * Valgrind take their own time, and memory elsewhere: there nothing is measured.
 */
#ifndef BOUNDS_H
#define BOUNDS_H

#include "mapped.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#define BOUND_SECONDS 0.05
#define BOUND_BYTES   ((size_t)64 << 20)

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BOUNDS_OFF 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(WATCH_BLOCKS)
#define BOUNDS_OFF 1
#endif

/* The largest of all refusals. */
static struct bounds {
    double seconds;
    size_t bytes, n;
} bounds;

static double bound_start_seconds;
static size_t bound_start_bytes;

/* Why the next refusal may take longer: its file is large; NULL: it may not. */
static const char *bound_exception;

/* Of CPU, all threads together. */
static double bound_clock(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void bound_begin(void)
{
    bound_start_bytes = atomic_load(&mapped_bytes);
    atomic_store(&max_mapped_bytes, bound_start_bytes);
    bound_start_seconds = bound_clock();
}

static int32_t bound_end(int32_t status)
{
    double seconds = bound_clock() - bound_start_seconds;
    size_t bytes = atomic_load(&max_mapped_bytes) - bound_start_bytes;

    if (status == 0)
        return status;
    if (bound_exception != NULL) {
        print_message("  excepted: %s: %.0f ms\n", bound_exception, 1e3 * seconds);
        bound_exception = NULL;
        seconds = 0;
    }
    bounds.n++;
    bounds.seconds = seconds > bounds.seconds ? seconds : bounds.seconds;
    bounds.bytes = bytes > bounds.bytes ? bytes : bounds.bytes;
#if !defined(BOUNDS_OFF)
    if (seconds > BOUND_SECONDS || bytes > BOUND_BYTES)
        fail_msg("a refusal took %.1f ms and %zu bytes, wanted at most %.0f ms and %zu bytes",
                 1e3 * seconds, bytes, 1e3 * BOUND_SECONDS, BOUND_BYTES);
#endif
    return status;
}

/* The status of a call; one that is not GPT2_OK keeps the bounds. */
#define BOUNDED(call) (bound_begin(), bound_end(call))

static void test_bounds(void **state)
{
    (void)state;
    assert_true(bounds.n > 0);
#if !defined(BOUNDS_OFF)
    print_message("  %zu refusals: at most %.2f ms of CPU and %zu KiB\n", bounds.n,
                  1e3 * bounds.seconds, bounds.bytes >> 10);
#endif
}

#endif
