/*
 * samples.h: measurements of one thing, and their median.
 */
#ifndef SAMPLES_H
#define SAMPLES_H

#define MAX_SAMPLES 768

struct samples {
    double values[MAX_SAMPLES];
    int count;
};

void samples_add(struct samples *samples, double value);

/* The middle one, or the mean of the two in the middle; 0 if there are none. */
double samples_median(const struct samples *samples);

#endif
