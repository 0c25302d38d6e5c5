/*
 * reference.h: what tests of whole models share: reading files of numbers that other programs
 * computed, running a model, and how far its numbers are from theirs.
 *
 * Whatever goes wrong fails the running test with a line that says what; nothing here returns a
 * status.  Arrays are malloc'd; the caller frees them.
 */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "formats/json.h"
#include "formats/tensors.h"
#include "paths.h"

/* n elements, all zero. */
void *reference_allocate(size_t n, size_t bytes);

/*
 * The path of a file in the folder of models and texts beside the project, which GPT2_SHARED names
 * ("../shared" if it is not set).  False if there is no such file.
 */
bool reference_shared(char path[PATH_BYTES], const char *name);

/* --------------------------------------------------------------------------------------- JSON -- */

struct reference_json {
    char path[PATH_BYTES];
    struct gpt2i_text file;
};

void reference_json_open(struct reference_json *json, const char *path);
void reference_json_close(struct reference_json *json);

/* A value in the file; the functions below fail the test if it is of another type, or absent. */
struct reference_value {
    bool found;
    struct gpt2i_json parser;      /* behind the value's first event */
    struct gpt2i_json_event event; /* its first event */
};

/* 'name', made by printf's rules, leads to the value: "cases.%zu.ids". */
struct reference_value reference_json(const struct reference_json *json, const char *name, ...)
    GPT2I_FORMAT(2, 3);

double reference_number(struct reference_value value);
size_t reference_length(struct reference_value value); /* of an array, never 0 */
float *reference_floats(struct reference_value value, size_t *n);
int32_t *reference_ids(struct reference_value value, size_t *n);
char *reference_string(struct reference_value value); /* UTF-8, a NUL behind it */

/* ------------------------------------------------------------------------------------ tensors -- */

void reference_tensors_open(struct gpt2i_tensors *tensors, const char *path);

/*
 * Part 'part' of the 'n_parts' along the first dimension of an F32 tensor, each of exactly
 * 'n_floats' numbers; n_parts of 1: the whole tensor, whatever its dimensions.
 */
float *reference_tensor(const struct gpt2i_tensors *tensors, const char *name, size_t part,
                        size_t n_parts, size_t n_floats);

/* Token ids out of a tensor, which it frees. */
int32_t *reference_to_ids(float *floats, size_t n);

/* ---------------------------------------------------------------------------------- comparing -- */

struct reference_difference {
    double largest;    /* INFINITY where a NaN, or an infinity of only one side, was met */
    size_t n_compared; /* numbers, the infinite ones included */
    size_t n_infinite; /* infinities, equal on both sides */
};

/* Takes n more numbers into '*difference', which begins as all zero. */
void reference_compare(struct reference_difference *difference, const float *ours,
                       const float *theirs, size_t n);

/* Prints "WHO: WHAT: ..." and fails unless exactly n numbers were compared and all are close. */
void reference_check(const struct reference_difference *difference, const char *who,
                     const char *what, double limit, size_t n);

/* The largest of n logits, the first one on ties. */
int32_t reference_argmax(const float *logits, size_t n);

/* softmax in double */
void reference_softmax(const float *logits, float *probs, size_t n);

/* The largest less the second largest. */
double reference_top2_gap(const float *logits, size_t n);

/* ------------------------------------------------------------------------------------- models -- */

gpt2_model *reference_model(const char *directory, gpt2_model_info *info);
gpt2_session *reference_session(const gpt2_model *model, int32_t n_threads, int32_t n_logit_rows);

/* gpt2_forward(), and the logits it kept: n_logit_rows rows. */
const float *reference_forward(gpt2_session *session, const int32_t *ids, size_t n_ids,
                               size_t n_logit_rows);

/* A new text: runs ids[0 .. n_prompt) and writes the greedy ids that follow up to ids[n_ids). */
void reference_greedy(gpt2_session *session, int32_t *ids, size_t n_prompt, size_t n_ids);

/* The text of tokens, with a NUL behind it. */
char *reference_text(const gpt2_tokenizer *tokenizer, const int32_t *ids, size_t n_ids);

#define REFERENCE_LAYERS 8 /* most layers of a model whose activations are kept */

/* The activations of one text, as docs name and shape them; NULL for points not asked for. */
struct reference_run {
    gpt2_model_info info;
    int32_t n_tokens;
    float *taps[REFERENCE_LAYERS][GPT2_TAP_COUNT]; /* points outside blocks: in layer 0's place */
};

/* How many numbers a point has. */
size_t reference_run_floats(const struct reference_run *run, int32_t kind);

/* Runs a new text in calls of 'step' tokens and keeps the points of 'kinds', GPT2_TAP_BIT each. */
void reference_run(struct reference_run *run, gpt2_session *session, const gpt2_model_info *info,
                   const int32_t *ids, int32_t n_ids, int32_t step, uint32_t kinds);

void reference_run_free(struct reference_run *run);

#endif
