/*
 * tiny_model.h: GPT-2 directories with pseudo-random weights, small enough to be written by a test,
 * and what the suites of models and sessions do with them.
 *
 * A weight depends on the name of its tensor and its place in it alone, so that variants of a file
 * hold the same model.  What goes wrong in here fails the cmocka test that called.
 */
#ifndef TINY_MODEL_H
#define TINY_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gpt2.h"

#define COUNT(array)   (sizeof(array) / sizeof(array)[0])
#define TINY_DIRECTORY TESTS_TMP

enum tiny_biases { TINY_BIASES, TINY_BIASES_ZERO, TINY_BIASES_MISSING };

/* Keys and values.  The last two are the same model. */
enum tiny_kv {
    TINY_KV_EACH,     /* each head has its own */
    TINY_KV_REPEATED, /* each head has its own, all equal to the first head's of TINY_KV_EACH */
    TINY_KV_SHARED    /* all heads share the first head's: multi-query attention */
};

/* What is written.  Names of tensors are without the prefix. */
struct tiny_model {
    const char *directory;
    int32_t n_vocab;
    int32_t n_positions;
    int32_t n_embd;
    int32_t n_layer;
    int32_t n_head;
    int32_t n_inner;
    int32_t eot;        /* eos_token_id; -1: null */
    const char *dtype;  /* of the weights: "F64", "F32", "F16" or "BF16" */
    bool widened;       /* the values that dtype gives, in a file of F32 */
    const char *prefix; /* of the tensors' names: "transformer." or "" */
    bool untied;        /* lm_head has weights of its own */
    bool head_copy;     /* lm_head is in the file although it is tied, equal to wte */
    bool head_differs;  /* but for its last value */
    int head_exponent;  /* lm_head's values are multiplied by 2 to this */
    bool masks;         /* attn.bias and attn.masked_bias, as old files have them */
    int n_shards;       /* tensor i is in the shard i % n_shards; 0: all in model.safetensors */
    bool tokenizer;     /* vocab.json and merges.txt: 97 tokens, see tiny_write_tokenizer() */
    enum tiny_biases biases;
    enum tiny_kv kv;
    bool bigcode;          /* the same model as a GPTBigCode has it */
    const char *config;    /* members more of config.json, each with a comma behind it; or NULL */
    const char *without;   /* a tensor that is left out */
    const char *extra;     /* a tensor [n_embd] more */
    const char *odd;       /* a tensor that differs from what it should be: */
    const char *odd_dtype; /* its type, zeros but for F64; NULL: as it should be */
    uint64_t odd_dim;      /* its last dimension; 0: as it should be */
};

/* 2 layers, all shapes odd: head_dim 5, n_embd 35, n_vocab 97, n_inner 50, 8 positions. */
struct tiny_model tiny_odd(const char *directory);

/* 2 layers, 4 pages of positions, and enough outputs for several tasks in every layer. */
struct tiny_model tiny_pages(const char *directory);

/* Writes the directory; files of an earlier model in it are gone. */
void tiny_write(const struct tiny_model *model);

/* Writes config.json alone: that of 'model', into 'directory'. */
void tiny_write_config(const struct tiny_model *model, const char *directory);

/*
 * Writes vocab.json and merges.txt: the printable ASCII characters '!' to '~' are tokens 0 to 93,
 * "th" 94, "the" 95, <|endoftext|> 96.
 */
void tiny_write_tokenizer(const char *directory);

/* The name of a shard, from 0, in a buffer that the next call fills anew. */
const char *tiny_shard_name(int shard);

/* Removes the files of a model; the directory stays. */
void tiny_remove(const char *directory);

/* Writes and loads; the caller frees the model. */
gpt2_model *tiny_load(const struct tiny_model *model);

/* A session that can keep the logits of every row. */
gpt2_session *tiny_session(const gpt2_model *model, uint32_t cpu_mask, int32_t n_threads,
                           int32_t n_batch);

/* Pseudo-random ids, the same for every call. */
void tiny_ids(int32_t *ids, size_t n_ids, int32_t n_vocab);

/* Continues a hash (0: begins one) with the bits of n floats. */
uint64_t tiny_hash(uint64_t hash, const float *x, size_t n);

/* Runs n_ids tokens, 'chunk' in each call, and continues the hash with the logits of every row. */
uint64_t tiny_run(gpt2_session *session, const int32_t *ids, size_t n_ids, size_t chunk,
                  uint64_t hash);

/* A loaded model and a text that fills its context. */
struct tiny_text {
    gpt2_model *model;
    int32_t ids[200];
    size_t n_ids;
    uint64_t hash; /* as tiny_run() gives it, by scalar kernels on one thread in one call */
};

/* Writes and loads the model; the caller frees it. */
void tiny_text_begin(struct tiny_text *text, const struct tiny_model *model);

/* The cpu_masks that choose different kernels on this CPU, scalar first; returns how many. */
size_t tiny_cpu_masks(uint32_t masks[4]);

/* The rounding that arithmetic on floats has: FE_*.  (fegetround() tells that of the x87.) */
int tiny_rounding(void);

/* The line must hold the words. */
void tiny_check_says(const char *line, const char *words);

/* A call on a session has given the wanted status, and the session's line holds the words. */
void tiny_check_call(const gpt2_session *session, int32_t status, int32_t wanted,
                     const char *words);

#endif
