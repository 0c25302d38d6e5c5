/*
 * parse.h: from the JSON body of a client to a request with its texts.
 */
#ifndef WORKER_PARSE_H
#define WORKER_PARSE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "request.h"

struct engine;

/* What parsing says if the body is wrong: a status of HTTP and one line for the client. */
struct refusal {
    int status; /* 0: nothing is wrong */
    char line[ERROR_BYTES];
};

/* Writes the line; returns false. */
bool refuse(struct refusal *refusal, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Reads an object; NULL if the body is none. */
json_t *parse_object(const char *body, size_t n_bytes, struct refusal *refusal);

/* Encodes a text, in which <|endoftext|> is that token; false if that is refused.  The caller frees '*ids'. */
bool parse_encode(const struct engine *engine, const char *text, size_t n_bytes, int32_t **ids,
                  size_t *n_ids, struct refusal *refusal);

/* Copies ids of the vocabulary out of an array; 'name' is what the client calls it. */
bool parse_ids(const struct engine *engine, const json_t *array, const char *name, int32_t **ids,
               size_t *n_ids, struct refusal *refusal);

/* Which fields a request may have; bits of a set. */
enum endpoint {
    ENDPOINT_EXECUTE = 1, /* /execute */
    ENDPOINT_OPENAI = 2,  /* /v1/completions */
    ENDPOINT_SCORE = 4    /* /score */
};

/* Makes a request from a body; or NULL. */
struct request *parse_request(const struct engine *engine, const json_t *body,
                              enum endpoint endpoint, struct refusal *refusal);

#endif
