/*
 * samples.c: the median of measurements.
 */
#include "samples.h"

#include <stdlib.h>

void samples_add(struct samples *samples, double value)
{
    samples->values[samples->count++] = value;
}

static int compare_values(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

double samples_median(const struct samples *samples)
{
    struct samples sorted = *samples;
    int middle = sorted.count / 2;

    if (sorted.count == 0)
        return 0;
    qsort(sorted.values, (size_t)sorted.count, sizeof sorted.values[0], compare_values);
    if (sorted.count % 2 == 1)
        return sorted.values[middle];
    return (sorted.values[middle - 1] + sorted.values[middle]) / 2;
}
