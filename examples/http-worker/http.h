/*
 * http.h: the daemon, and the calls that clients make.
 *
 * libmicrohttpd gives each connection a thread, so a handler may wait.  A handler reads call->body and
 * gives one answer with a function below.
 */
#ifndef WORKER_HTTP_H
#define WORKER_HTTP_H

#include <jansson.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "guard.h"
#include "metrics.h"
#include "options.h"
#include "parse.h"

struct http {
    const struct options *options;
    struct engine *engine;
    struct guard guard;
    struct metrics metrics;
    struct MHD_Daemon *daemon;
    int port;
    atomic_bool drains;  /* no new work is taken */
    atomic_int n_active; /* calls that have begun and not ended */
    atomic_ullong n_calls;
};

/* One call of a client. */
struct call {
    struct http *http;
    struct MHD_Connection *connection;
    struct guarded *guarded;
    const struct route *route; /* NULL: there is none */
    char *body;
    size_t n_bytes, capacity;
    struct refusal refusal; /* found before the body is complete */
    bool is_answered;

    /* for the log */
    uint64_t number, begin_ns;
    int64_t begin_seconds; /* since 1970 */
    int status;
    struct request *request; /* NULL if the engine is not asked */
};

/* Starts to listen.  False: a line on stderr says why not. */
bool http_start(struct http *http, const struct options *options, struct engine *engine);

/* Ends all connections and frees the daemon. */
void http_stop(struct http *http);

/* Answers.  Each returns what libmicrohttpd wants from a handler. */

/* Takes the JSON over; NULL is an answer without memory. */
enum MHD_Result answer_json(struct call *call, int status, json_t *json);

/* {"error": {"message": line, ...}}, as OpenAI's clients expect it. */
enum MHD_Result answer_refusal(struct call *call, const struct refusal *refusal);

enum MHD_Result answer_text(struct call *call, int status, const char *type, const char *text,
                            size_t n_bytes);

/* Takes the response over. */
enum MHD_Result answer(struct call *call, int status, struct MHD_Response *response);

/* The object of an error. */
json_t *error_json(const struct refusal *refusal);

#endif
