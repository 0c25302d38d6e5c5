/*
 * answers.h: from a body to the answer of the engine: whole, or as server-sent events.
 *
 * /execute and /v1/completions differ in the shape of the JSON only.
 */
#ifndef WORKER_ANSWERS_H
#define WORKER_ANSWERS_H

#include <gpt2.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#include "parse.h"

struct call;
struct text;

/* The part of a text that an object is about. */
struct part {
    const struct text *text;
    const gpt2_tokenizer *tokenizer;
    size_t index; /* of the text in its request */
    size_t first_token, end_token, first_byte, end_byte;
    bool echoes; /* the prompt belongs in front */
    bool ends;   /* nothing is left: the reason for the end belongs here */
};

struct shape {
    enum endpoint endpoint;
    json_t *(*part)(const struct part *part);
    /* Takes the array of parts over.  'ends': all texts have ended, and the usage is told. */
    json_t *(*envelope)(const struct call *call, json_t *parts, bool ends);
};

/* Answers a call whose body is a request for texts. */
enum MHD_Result answer_texts(struct call *call, const struct shape *shape);

/* {"prompt_tokens", "completion_tokens", "total_tokens"} of all texts */
json_t *usage_json(const struct call *call);

#endif
