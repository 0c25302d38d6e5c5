/*
 * request.h: what a client asks of the engine, and what the engine has answered so far.
 *
 * A request has one text for each prompt and choice.  The HTTP thread fills in what is wanted and puts
 * the texts into the queue; from then on the wanted part is constant.  The engine adds tokens; the HTTP
 * thread waits for them.  The arrays do not move, and what is below n_tokens and n_bytes does not
 * change: it may be read without the lock after request_look().
 */
#ifndef WORKER_REQUEST_H
#define WORKER_REQUEST_H

#include <gpt2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { ERROR_BYTES = 512 };

struct token {
    int32_t id;
    double logprob;  /* if the request has n_likeliest >= 0 */
    size_t end_byte; /* of the text that was certain after this token */
};

/* How far a text is. */
struct progress {
    size_t n_tokens, n_bytes;
    bool has_ended;
};

struct text {
    struct request *request;
    struct text *next; /* in the queue */
    uint64_t choice;   /* 0 to n - 1, of its prompt */
    int32_t *ids;      /* the prompt; the choices of a prompt share it */
    size_t n_ids;
    size_t capacity; /* of tokens: as many as can be drawn */

    struct progress done; /* guarded by request->mutex, as all below */
    struct token *tokens;
    char *bytes;
    gpt2_token_logprob *likeliest;           /* [capacity, n_likeliest] */
    gpt2_token_score *prompt_scores;         /* [n_ids - 1], if scores_prompt */
    gpt2_token_logprob *prompt_likeliest;    /* [n_ids - 1, n_likeliest] */
    int finish;                              /* GPT2_FINISH_* */
    int status;                              /* of HTTP, if it failed: else 0 */
    char error[ERROR_BYTES];                 /* the line for it */
    size_t n_shared;                         /* of n_ids: they were computed for another text */
    uint64_t started_ns, first_ns, ended_ns; /* out of the queue, first token; 0: not yet */
};

struct request {
    atomic_int n_owners; /* the HTTP thread, and the engine once for each text */
    atomic_bool is_gone; /* the client has left: the engine drops the texts */
    pthread_mutex_t mutex;
    pthread_cond_t changed;

    int64_t max_tokens;
    gpt2_sample_params sampling; /* its arrays belong to the request */
    gpt2_generator_params ending;
    int n_likeliest; /* tokens told beside each; -1: no log-probabilities */
    bool scores_prompt, echo, streams, includes_usage;
    size_t n_choices;
    uint64_t arrived_ns, deadline_ns;

    size_t n_texts;
    struct text *texts;
};

/* 0 if the end has not come. */
double seconds_between(uint64_t begin_ns, uint64_t end_ns);

/* An empty request with the defaults, or NULL without memory.  The caller owns it. */
struct request *request_new(void);

/*
 * Makes the texts: 'n_choices' for each of the prompts ids[i] with n_ids[i] ids, which the request takes
 * over.  'max_token_bytes' is the length of the longest token.  False without memory.
 */
bool request_make_texts(struct request *request, int32_t **ids, const size_t *n_ids,
                        size_t n_prompts, int32_t n_ctx, size_t max_token_bytes);

/* Gives up one owner's part; the last one frees the request.  NULL is ignored. */
void request_release(struct request *request);

/* The engine's calls. */

/* The text has left the queue. */
void text_start(struct text *text);

/* The text's place has the first n_shared tokens of its prompt. */
void text_share(struct text *text, size_t n_shared);

/* Adds a token, and what has become certain of the text. */
void text_add(struct text *text, int32_t id, double logprob, const char *bytes, size_t n_bytes);

/* Ends a text, with text that is left. */
void text_end(struct text *text, int finish, const char *bytes, size_t n_bytes);

/* Ends a text that cannot be served, with a status of HTTP and a line. */
void text_fail(struct text *text, int status, const char *line);

/* The HTTP thread's calls. */

struct progress request_look(struct request *request, const struct text *text);

/*
 * Waits until text i of the request has more than seen[i], for any i, or 'milliseconds' have passed.
 */
void request_wait(struct request *request, const struct progress *seen, int milliseconds);

bool request_has_ended(struct request *request);

#endif
