/*
 * measure.h: the speed of one model, and its ratio to the limits of the machine.
 *
 * Each round measures every figure once.  There are fewer rounds where they take long.  The limit of
 * the work is measured just before and just after it, and the better one counts.  The results are
 * medians.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdint.h>

#include <gpt2.h>

#include "../options.h"
#include "pairs.h"
#include "rows.h"
#include "samples.h"

#define N_FIGURES 11
#define N_ROUNDS  5
#define N_DECODED 128 /* tokens of one decode; a quarter of that with a large model */
#define MAX_STEPS 64  /* calls of one batch; a quarter of that with a large model */
#define N_SLICE   16  /* tokens of a decode between two measurements of the limit */

/* Each limit is measured around each slice and each pair, at most. */
#define MAX_LIMITS (N_ROUNDS * (N_FIGURES * (N_DECODED / N_SLICE + 1) + 2 * N_PAIRS))
_Static_assert(MAX_LIMITS <= MAX_SAMPLES, "samples have room for all rounds");

enum work {
    WORK_PREFILL, /* tokens in one call, the logits of the last; limited by multiplying */
    WORK_SCORE,   /* tokens in one call, the score of each; limited by multiplying */
    WORK_DECODE,  /* tokens one by one; limited by reading */
    WORK_BATCH    /* a token for each of several texts in one call; limited by both */
};

struct figure {
    enum work work;
    int32_t n;         /* tokens of a prefill or a score, position of a decode, texts of a batch */
    const char *key;   /* "decode_895" */
    const char *label; /* for people */
    struct samples rates;  /* tokens per second; none if the model's context is too short */
    struct samples ratios; /* of that to the rate that the limits allow */
};

/* One of enum row_kind. */
struct row_figure {
    const char *key;
    const char *label;
    struct samples seconds;
};

/* One of enum pair_kind. */
struct comparison {
    const char *key;
    const char *label;
    struct samples ratios; /* none if it was not measured */
    struct samples limits; /* of PAIR_CACHE: the ratio that the limits allow */
    struct samples of_limits;
};

struct measurements {
    struct figure figures[N_FIGURES];
    struct row_figure rows[N_ROW_KINDS];
    struct comparison comparisons[N_PAIRS];
    int rounds;
    int32_t decode_tokens;      /* of one decode */
    int32_t batch_steps;        /* calls of one batch */
    struct samples reading;     /* bytes per second */
    struct samples multiplying; /* floating-point operations per second */
    struct samples loading;     /* seconds */
    gpt2_model_info info;
    double position_bytes; /* of a session for each position: its keys and values, little else */
    double half_position_bytes; /* of one with a cache of f16 */
    char kernels[16];
};

/* Sets which figures there are, and their names. */
void name_figures(struct measurements *results);

/* Positions of the session that is measured: 1024, or those of the model if they are fewer. */
int32_t measured_context(const gpt2_model_info *info);

/*
 * Loads the model of options->model and measures it on options->n_threads threads, which is not 0.
 * 'start' is when the command began, as platform_seconds().
 */
enum outcome measure_model(const struct options *options, double start,
                           struct measurements *measurements);

/* Loads the model, fills its context and returns, in a process whose memory is measured. */
enum outcome measure_memory(const struct options *options);

#endif
