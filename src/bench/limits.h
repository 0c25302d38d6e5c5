/*
 * limits.h: how fast this machine reads memory and multiplies: the limits of any model on it.
 *
 * Each measurement runs for a short time on all threads.  Measure again with every piece of work,
 * because other programs on the machine change the limits.
 */
#ifndef LIMITS_H
#define LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "../command.h"

struct limits {
    int32_t n_threads;
    uint32_t cpu; /* GPT2_CPU_* that may be used */
    float *buffer;
    size_t n_bytes; /* in it */
    size_t reader;  /* which of the ways to read is the fastest here */
};

/* Makes a buffer of n_bytes, and finds the fastest way to read it in about 20 readings.  The caller
   frees it with limits_free(), after a failure too. */
enum outcome limits_create(struct limits *limits, int32_t n_threads, uint32_t cpu,
                           uint64_t n_bytes);
void limits_free(struct limits *limits);

/* Sums up the buffer again and again: bytes per second. */
enum outcome limits_read(const struct limits *limits, double *bytes_per_second);

/* Multiplies and adds in registers: operations per second, two for each multiply-add. */
enum outcome limits_multiply(const struct limits *limits, double *flops_per_second);

#endif
