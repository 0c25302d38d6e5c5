/*
 * bench.c: timing a kernel.
 */
#include "checkkernels.h"

#include <stdlib.h>
#include <time.h>

#define MAX_SAMPLES    101
#define MIN_SAMPLES    5
#define SECONDS_ENOUGH 0.2
#define BYTES_ALIGNED  4096 /* the library's own blocks begin at pages */

static void *aligned_bytes(size_t n)
{
    void *block = aligned_alloc(BYTES_ALIGNED, gpt2i_round_up(n, BYTES_ALIGNED));

    if (block == NULL) {
        fprintf(stderr, "checkkernels: no memory for %zu bytes\n", n);
        exit(1);
    }
    return block;
}

float *bench_floats(size_t n)
{
    float *x = aligned_bytes(n * sizeof(float));

    fill_values(x, n, VALUES_ORDINARY);
    return x;
}

uint16_t *bench_halves(size_t n)
{
    uint16_t *x = aligned_bytes(n * sizeof(uint16_t));

    fill_halves(x, n, VALUES_ORDINARY);
    return x;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The median of the seconds that a run takes. */
static double measure(const struct bench *bench, const struct gpt2i_kernels *kernels)
{
    double samples[MAX_SAMPLES];
    double start = now();
    size_t n = 0;

    bench->run(kernels, bench->argument); /* so that memory and caches are as later */
    while (n < MIN_SAMPLES || (n < MAX_SAMPLES && now() - start < SECONDS_ENOUGH)) {
        double began;

        if (bench->prepare != NULL)
            bench->prepare(bench->argument);
        began = now();
        bench->run(kernels, bench->argument);
        samples[n++] = now() - began;
    }
    qsort(samples, n, sizeof samples[0], compare);
    return samples[n / 2];
}

void bench_run(const struct entry *entry, const char *shape, const struct bench *bench)
{
    double below = 0.0;
    size_t t_below = 0;

    for (size_t t = 0; t < n_tables; t++) {
        double speed;

        if (!is_own(entry, t))
            continue;
        speed = bench->work / measure(bench, &tables[t]) * 1e-9;
        printf("%-32s %-36s %-10s %8.2f %s", entry->name, shape, tables[t].name, speed,
               bench->unit);
        if (t > 0)
            printf("  %.2f x %s", speed / below, tables[t_below].name);
        printf("\n");
        fflush(stdout);
        below = speed;
        t_below = t;
    }
}
