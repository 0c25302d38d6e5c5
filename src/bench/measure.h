/*
 * measure.h: the speed of one model, and its ratio to the limits of the machine.
 *
 * Each of several rounds measures every figure once.  The limit of the work is measured just before
 * and just after it, and the better one counts.  The results are medians.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdint.h>

#include <gpt2.h>

#include "../options.h"

#define N_FIGURES 10
#define N_ROUNDS  5
#define N_DECODED 128 /* tokens of one decode */
#define N_SLICE   16  /* tokens of a decode between two measurements of the limit */

/* Of one kind: no figure measures a limit more often than a decode. */
#define MAX_SAMPLES (N_ROUNDS * N_FIGURES * (N_DECODED / N_SLICE + 1))

struct samples {
    double values[MAX_SAMPLES];
    int count;
};

enum work {
    WORK_PREFILL, /* tokens in one call, the logits of the last; limited by multiplying */
    WORK_DECODE,  /* tokens one by one; limited by reading */
    WORK_BATCH    /* a token for each of several texts; limited by the slower of the two */
};

struct figure {
    enum work work;
    int32_t n;             /* tokens of a prefill, position of a decode, texts of a batch */
    const char *key;       /* "decode_895" */
    const char *label;     /* for people */
    struct samples rates;  /* tokens per second; none if the model's context is too short */
    struct samples ratios; /* of that to the rate that the limits allow */
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

/* The middle one, or the mean of the two in the middle; 0 if there are none. */
double samples_median(const struct samples *samples);

/* Bytes of the weights that one token needs: the model without the embeddings, because a token needs
   only one row of these. */
uint64_t token_bytes(const gpt2_model_info *info);

/* Positions of the session that is measured: 1024, or those of the model if they are fewer. */
int32_t measured_context(const gpt2_model_info *info);

/* Loads the model of options->model and measures it on options->n_threads threads, which is not 0. */
enum outcome measure_model(const struct options *options, struct measurements *measurements);

/* Loads the model, fills its context and returns, in a process whose memory is measured. */
enum outcome measure_memory(const struct options *options);

#endif
