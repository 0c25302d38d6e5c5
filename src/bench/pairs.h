/*
 * pairs.h: pairs of work for many texts whose two sides differ in one thing.  What counts is how much
 * faster one side is than the other in the same minute.
 */
#ifndef PAIRS_H
#define PAIRS_H

#include <stdbool.h>
#include <stdint.h>

#include <gpt2.h>

#include "manytexts.h"

/* Of each pair the side with the same place in this comment is side 0, the other is side 1. */
enum pair_kind {
    PAIR_LENGTHS,  /* texts of random lengths; texts of equal lengths and the same sum */
    PAIR_TOGETHER, /* a prompt and a token for each text in one call; in two calls */
    PAIR_CACHE,    /* a cache of f16; of f32 */
    N_PAIRS
};

#define PROMPT_TOKENS  512
#define CACHE_POSITION 895 /* of the first tokens with which the caches are compared */

struct pairs {
    struct many_texts *few;     /* short texts, borrowed; no session: no PAIR_TOGETHER */
    struct many_texts many_f32; /* long texts; no session: neither of the other two */
    struct many_texts many_f16;
    int32_t lengths[2][N_TEXTS]; /* the sides of PAIR_LENGTHS */
};

/*
 * Opens and fills the long texts, unless the model has too few positions or the sessions take more
 * than max_bytes.  'few' and 'ids' are borrowed.  The caller calls pairs_close(), after a failure too.
 */
enum outcome pairs_open(struct pairs *pairs, const struct options *options, const gpt2_model *model,
                        const gpt2_model_info *info, struct many_texts *few, const int32_t *ids,
                        double max_bytes);
void pairs_close(struct pairs *pairs);

/* Whether pairs_run() can run it. */
bool pairs_have(const struct pairs *pairs, enum pair_kind kind);

/* Runs one side once, and adds its time to '*seconds'. */
enum outcome pairs_run(struct pairs *pairs, enum pair_kind kind, int side, double *seconds);

/* How many positions all texts of PAIR_CACHE have together, as a mean over the calls. */
double pairs_cache_positions(void);

#endif
