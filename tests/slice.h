/*
 * slice.h: how much of a long check runs.
 */
#ifndef SLICE_H
#define SLICE_H

#include <stddef.h>
#include <stdlib.h>

/* Of many ways to do the same, each Nth is taken: GPT2_TEST_SLICE=N, as under sanitizers; or each. */
static inline size_t slice_step(void)
{
    const char *wanted = getenv("GPT2_TEST_SLICE");

    return wanted == NULL ? 1 : (size_t)strtoull(wanted, NULL, 10);
}

#endif
