/*
 * engine.h: the one thread that owns the session and runs all texts together.
 *
 * In each turn it gives waiting texts a place, runs a chunk of the prompts that have not run yet and the
 * last token of every other text in one batch, and hands each text its next token.  Each text gets the
 * tokens that it gets alone.
 */
#ifndef WORKER_ENGINE_H
#define WORKER_ENGINE_H

#include <gpt2.h>
#include <pthread.h>
#include <stdatomic.h>

#include "cache.h"
#include "options.h"
#include "queue.h"

struct text;

/* A place for one text. */
struct slot {
    struct text *text;
    int32_t sequence; /* -1: the text waits for a beginning that another one runs */
    int32_t n_pages;  /* reserved */
    size_t n_run;     /* tokens of the prompt that have run, or do in this turn */
    gpt2_generator *generator;
    bool runs;  /* the generator has tokens to run */
    bool draws; /* the last token of the prompt among them, so that what it draws is the text's */
};

enum { ENGINE_LOADING, ENGINE_READY, ENGINE_FAILED };

struct engine {
    const struct options *options;
    struct queue queue;
    atomic_int state;      /* ENGINE_*; after READY the next block is constant */
    atomic_int n_running;  /* texts that have a place */
    atomic_int free_pages; /* of the KV cache */

    gpt2_model *model;
    gpt2_model_info info;
    const gpt2_tokenizer *tokenizer;
    int32_t n_ctx;
    size_t max_token_bytes;        /* of the longest token */
    char name[256];                /* of the model: its folder without the path */
    char error[GPT2_ERRBUF_BYTES]; /* why it has FAILED */

    /* the engine thread's own */
    gpt2_session *session;
    struct cache cache;
    struct slot *slots;     /* [n_texts], the first n_running in the order of their arrival */
    struct slot **stepping; /* those of a step, with their generators and results */
    gpt2_generator **generators;
    gpt2_generated *results;
    pthread_t thread;
};

/* Starts the thread, which loads the model and then serves the queue.  0, or an errno. */
int engine_start(struct engine *engine, const struct options *options);

/* Ends the thread: texts that have not ended fail with 503, and so do later ones. */
void engine_stop(struct engine *engine);

/* Frees the model and all else; no HTTP thread may run any more. */
void engine_free(struct engine *engine);

#endif
