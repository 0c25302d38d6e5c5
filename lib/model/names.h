/*
 * names.h: which tensor of a file is which weight of a model.
 */
#ifndef GPT2I_NAMES_H
#define GPT2I_NAMES_H

#include "model.h"
#include "../formats/tensors.h"

enum gpt2i_weight_kind {
    GPT2I_WEIGHT_VECTOR, /* [n_columns] */
    GPT2I_WEIGHT_ROWS,   /* [n_rows, n_columns], kept in this order */
    GPT2I_WEIGHT_IN_OUT, /* [n_in, n_out], packed into a matrix; OUT_IN once its tensor is so */
    GPT2I_WEIGHT_OUT_IN  /* [n_out, n_in], packed into a matrix */
};

/* One weight: the tensor that it comes from, and the member of the model that it goes to. */
struct gpt2i_weight {
    enum gpt2i_weight_kind kind;
    bool is_bias;
    bool is_embedding; /* wte, or a head of its own */
    size_t n_rows;     /* in the file; 1 for a vector */
    size_t n_columns;
    const struct gpt2i_tensor *tensor; /* NULL: zeros */
    const struct gpt2i_tensor *copy;   /* NULL, or a tensor that must hold the same numbers */
    struct gpt2i_matrix *matrix;       /* for IN_OUT and OUT_IN */
    float **floats;                    /* for VECTOR and ROWS */
    size_t first_task;                 /* reading.c: its tasks begin here */
    char name[64];                     /* without the file's prefix */
};

struct gpt2i_weight_list {
    const struct gpt2i_tensors *tensors;
    const char *prefix; /* of the names in the file: "transformer." or "" */
    size_t n_weights;
    struct gpt2i_weight *weights;
    bool *is_used; /* [n_tensors]: the tensor is some weight's */
    size_t block_bytes;
};

/*
 * The weights of 'model', none with a tensor.  The list borrows 'model' and 'tensors' (NULL: there is no
 * file); it is freed with gpt2i_weight_list_free().  Errors: GPT2_ERR_MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_weight_list_new(struct gpt2i_weight_list **list, gpt2_model *model,
                                           const struct gpt2i_tensors *tensors,
                                           struct gpt2i_error *error);

/*
 * Settles which class the model of a config.json with "gpt2" is: fine-tuned GPTBigCode models call
 * themselves so, and the shape of their c_attn tells.  Errors: GPT2_ERR_UNSUPPORTED.
 */
GPT2I_HIDDEN int32_t gpt2i_config_settle(struct gpt2i_config *config,
                                         const struct gpt2i_tensors *tensors,
                                         struct gpt2i_error *error);

/*
 * Finds the tensors of all weights and checks their shapes and types.
 * Errors: GPT2_ERR_FORMAT (missing, wrong shape), _UNSUPPORTED (a type, or a tensor of the blocks
 * that GPT-2 does not have).
 */
GPT2I_HIDDEN int32_t gpt2i_weight_list_find(struct gpt2i_weight_list *list,
                                            const struct gpt2i_config *config,
                                            struct gpt2i_error *error);

/* NULL is ignored. */
GPT2I_HIDDEN void gpt2i_weight_list_free(struct gpt2i_weight_list *list);

#endif
