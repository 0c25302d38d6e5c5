/*
 * measure.h: the speed of one model, each piece of work beside the limits of the machine.
 *
 * All figures are measured once in each of several rounds, and just before and after every piece of
 * work the limit that bounds it, the better of which counts.  What is reported are medians.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdint.h>

#include <gpt2.h>

#include "../options.h"

#define N_FIGURES 10
#define N_ROUNDS  5
#define N_DECODED 128 /* tokens of one decode */
#define N_SLICE   16  /* of them, between two looks at the limit */

/* Of one kind: no figure looks at a limit more often than a decode. */
#define MOST_SAMPLES (N_ROUNDS * N_FIGURES * (N_DECODED / N_SLICE + 1))

struct samples {
    double values[MOST_SAMPLES];
    int count;
};

enum work {
    WORK_PREFILL, /* tokens in one call, the logits of the last; bounded by multiplication */
    WORK_DECODE,  /* tokens one by one; bounded by reading */
    WORK_BATCH    /* a token for each of several texts; bounded by the slower of the two */
};

struct figure {
    enum work work;
    int32_t n;             /* tokens of a prefill, position of a decode, texts of a batch */
    const char *key;       /* "decode_895" */
    const char *label;     /* for people */
    struct samples rates;  /* tokens per second; none if the model's context is too short */
    struct samples ratios; /* to the rate that the limits allow */
};

struct measurements {
    struct figure figures[N_FIGURES];
    struct samples reading;     /* bytes per second */
    struct samples multiplying; /* floating-point operations per second */
    struct samples loading;     /* seconds */
    gpt2_model_info info;
    double
        position_bytes; /* of a session for each position: its keys and values, and little else */
    char kernels[16];
};

/* The middle one, or the mean of the two in the middle; 0 of none. */
double samples_median(const struct samples *samples);

/* Bytes of the weights that one token needs: the model's share without the embeddings, of which it
   needs one row. */
uint64_t token_bytes(const gpt2_model_info *info);

/* Positions of the session that is measured: the model's, if they are fewer than 1024. */
int32_t measured_context(const gpt2_model_info *info);

/* Loads the model of options->model and measures it on options->n_threads threads, which is not 0. */
enum outcome measure_model(const struct options *options, struct measurements *measurements);

/* Loads it, fills its context and ends: to be run in a process whose memory is watched. */
enum outcome measure_memory(const struct options *options);

#endif
