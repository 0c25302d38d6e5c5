/*
 * workspace.h: the memory of a session in which a token is chosen from a row of logits.
 */
#ifndef GPT2I_WORKSPACE_H
#define GPT2I_WORKSPACE_H

#include "../kernels/kernels.h"

/* A token that may be chosen. */
struct gpt2i_candidate {
    int32_t id;
    float key;    /* candidates are ranked by it: the logit, unless a filter says otherwise */
    float weight; /* proportional to the probability */
};

struct gpt2i_workspace {
    float *logits;                      /* [n_vocab] a row that has been changed */
    float *weights;                     /* [n_vocab] by id, 0 for what is not kept */
    int32_t *ids;                       /* [n_vocab] */
    struct gpt2i_candidate *candidates; /* [n_vocab] */
    float *blocks;                      /* [n_vocab / GPT2I_VOCAB_BLOCK, rounded up] */
};

#endif
