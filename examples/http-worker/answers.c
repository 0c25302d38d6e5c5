/*
 * answers.c: waits for the engine, and tells what it gives.
 */
#include "answers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "http.h"
#include "request.h"

enum { LOOK_MS = 100, EVENT_BYTES = 16 * 1024 }; /* how often a silent client is looked at */

/* What has been told of a request's texts. */
struct teller {
    struct call *call;
    const struct shape *shape;
    struct progress *told;   /* [n_texts] */
    struct progress *looked; /* [n_texts] what there was when it looked last */
    struct request *request;

    /* of a stream */
    char *event; /* that is being sent; NULL: none */
    size_t n_bytes, n_sent;
    enum { TELLS_TEXTS, TELLS_USAGE, TELLS_DONE, TELLS_NOTHING } state;
};

json_t *usage_json(const struct call *call)
{
    struct request *request = call->request;
    json_int_t n_prompt = 0, n_drawn = 0;

    for (size_t i = 0; i < request->n_texts; i++) {
        n_prompt += request->texts[i].choice == 0 ? (json_int_t)request->texts[i].n_ids : 0;
        n_drawn += (json_int_t)request_look(request, &request->texts[i]).n_tokens;
    }
    return json_pack("{sI sI sI}", "prompt_tokens", n_prompt, "completion_tokens", n_drawn,
                     "total_tokens", n_prompt + n_drawn);
}

/* ------------------------------------------------------------------------------------ waiting -- */

/* Waits until the engine has more than was told; false: the client has left. */
static bool wait_for_more(struct teller *teller)
{
    if (guard_has_left(teller->call->guarded)) {
        atomic_store(&teller->request->is_gone, true);
        return false;
    }
    request_wait(teller->request, teller->looked, LOOK_MS);
    for (size_t i = 0; i < teller->request->n_texts; i++)
        teller->looked[i] = request_look(teller->request, &teller->request->texts[i]);
    return true;
}

/* The first text that failed, or NULL. */
static const struct text *failed_text(struct request *request)
{
    for (size_t i = 0; i < request->n_texts; i++) {
        const struct text *text = &request->texts[i];

        if (request_look(request, text).has_ended && text->status != 0)
            return text;
    }
    return NULL;
}

static void refuse_failed(struct refusal *refusal, const struct text *text)
{
    refuse(refusal, text->status, "%s", text->error);
}

static bool has_begun(struct request *request)
{
    bool has_begun = false;

    for (size_t i = 0; i < request->n_texts && !has_begun; i++) {
        struct progress done = request_look(request, &request->texts[i]);

        has_begun = done.n_tokens > 0 || done.has_ended;
    }
    return has_begun;
}

/* -------------------------------------------------------------------------------------- parts -- */

/* What is new of text i, up to the next token with text, and counts it as told.  False: nothing. */
static bool next_part(struct teller *teller, size_t i, bool is_whole, struct part *part)
{
    const struct text *text = &teller->request->texts[i];
    struct progress *told = &teller->told[i];
    struct progress done = request_look(teller->request, text);
    size_t n = told->n_tokens;

    if (told->has_ended)
        return false;
    while (n < done.n_tokens && (is_whole || text->tokens[n].end_byte == told->n_bytes))
        n++;
    *part = (struct part){.text = text,
                          .tokenizer = teller->call->http->engine->tokenizer,
                          .index = i,
                          .first_token = told->n_tokens,
                          .first_byte = told->n_bytes};
    part->echoes = teller->request->echo && told->n_tokens == 0 && told->n_bytes == 0;
    if (n < done.n_tokens) { /* a token with text */
        part->end_token = n + 1;
        part->end_byte = text->tokens[n].end_byte;
    } else if (done.has_ended) {
        part->end_token = done.n_tokens;
        part->end_byte = done.n_bytes;
    } else {
        return false;
    }
    part->ends =
        done.has_ended && part->end_token == done.n_tokens && part->end_byte == done.n_bytes;
    *told = (struct progress){part->end_token, part->end_byte, part->ends};
    return true;
}

/* -------------------------------------------------------------------------------------- whole -- */

static enum MHD_Result answer_whole(struct teller *teller)
{
    struct call *call = teller->call;
    const struct text *failed;
    json_t *parts;
    struct part part;

    while (!request_has_ended(teller->request) && failed_text(teller->request) == NULL) {
        if (!wait_for_more(teller))
            return MHD_NO;
    }
    failed = failed_text(teller->request);
    if (failed != NULL) {
        refuse_failed(&call->refusal, failed);
        return answer_refusal(call, &call->refusal);
    }
    parts = json_array();
    for (size_t i = 0; i < teller->request->n_texts; i++) {
        if (next_part(teller, i, true, &part))
            json_array_append_new(parts, teller->shape->part(&part));
    }
    return answer_json(call, 200, teller->shape->envelope(call, parts, true));
}

/* ------------------------------------------------------------------------------------- stream -- */

/* Makes "data: JSON\n\n" the event to send; takes the JSON over.  False without memory. */
static bool set_event(struct teller *teller, json_t *json)
{
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    size_t n = text == NULL ? 0 : strlen(text);

    json_decref(json);
    free(teller->event);
    teller->event = text == NULL ? NULL : malloc(n + 8);
    if (teller->event != NULL) {
        memcpy(teller->event, "data: ", 6);
        memcpy(teller->event + 6, text, n);
        memcpy(teller->event + 6 + n, "\n\n", 2);
        teller->n_bytes = n + 8;
        teller->n_sent = 0;
    }
    free(text);
    return teller->event != NULL;
}

/* The next event of the texts, if there is one now. */
static bool make_text_event(struct teller *teller, bool *is_made)
{
    struct part part;

    *is_made = true;
    for (size_t i = 0; i < teller->request->n_texts; i++) {
        const struct text *failed = failed_text(teller->request);

        if (failed != NULL) {
            refuse_failed(&teller->call->refusal, failed);
            teller->state = TELLS_NOTHING;
            return set_event(teller, error_json(&teller->call->refusal));
        }
        if (next_part(teller, i, false, &part))
            return set_event(
                teller, teller->shape->envelope(
                            teller->call, json_pack("[o]", teller->shape->part(&part)), false));
    }
    *is_made = false;
    return true;
}

static bool all_told(const struct teller *teller)
{
    for (size_t i = 0; i < teller->request->n_texts; i++) {
        if (!teller->told[i].has_ended)
            return false;
    }
    return true;
}

/* Makes the next event, for which it may wait.  False: the connection ends, with an error. */
static bool next_event(struct teller *teller)
{
    bool is_made = false;

    while (teller->state == TELLS_TEXTS) {
        if (all_told(teller)) {
            teller->state = TELLS_USAGE;
            break;
        }
        if (!make_text_event(teller, &is_made))
            return false;
        if (is_made)
            return true;
        if (!wait_for_more(teller))
            return false;
    }
    if (teller->state == TELLS_USAGE) {
        teller->state = TELLS_DONE;
        if (teller->shape->endpoint == ENDPOINT_EXECUTE || teller->request->includes_usage)
            return set_event(teller, teller->shape->envelope(teller->call, json_array(), true));
    }
    free(teller->event);
    teller->event = NULL;
    if (teller->state == TELLS_DONE) {
        static const char done[] = "data: [DONE]\n\n";

        teller->event = strdup(done);
        teller->n_bytes = sizeof done - 1;
        teller->n_sent = 0;
        teller->state = TELLS_NOTHING;
        return teller->event != NULL;
    }
    return true; /* no event: the end */
}

/* libmicrohttpd asks for the next bytes. */
static ssize_t read_stream(void *user, uint64_t position, char *bytes, size_t max)
{
    struct teller *teller = user;
    size_t n;

    (void)position;
    if (teller->event == NULL || teller->n_sent == teller->n_bytes) {
        bool is_made;

        guard_wait(&teller->call->http->guard, teller->call->guarded, false);
        is_made = next_event(teller);
        guard_wait(&teller->call->http->guard, teller->call->guarded, true);
        if (!is_made)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (teller->event == NULL)
            return MHD_CONTENT_READER_END_OF_STREAM;
    }
    n = teller->n_bytes - teller->n_sent;
    n = n < max ? n : max;
    memcpy(bytes, teller->event + teller->n_sent, n);
    teller->n_sent += n;
    return (ssize_t)n;
}

static void free_teller(void *user)
{
    struct teller *teller = user;

    request_release(teller->request);
    free(teller->told);
    free(teller->looked);
    free(teller->event);
    free(teller);
}

/* Waits for the first token, so that what is wrong with the request is still told by the status. */
static enum MHD_Result answer_stream(struct teller *teller)
{
    struct MHD_Response *response;
    const struct text *failed;

    while (!has_begun(teller->request)) {
        if (!wait_for_more(teller)) {
            free_teller(teller);
            return MHD_NO;
        }
    }
    failed = failed_text(teller->request);
    if (failed != NULL) {
        struct call *call = teller->call;

        refuse_failed(&call->refusal, failed);
        free_teller(teller);
        return answer_refusal(call, &call->refusal);
    }
    response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, EVENT_BYTES, read_stream, teller,
                                                 free_teller);
    if (response == NULL) {
        free_teller(teller);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, "Content-Type", "text/event-stream");
    (void)MHD_add_response_header(response, "Cache-Control", "no-cache");
    return answer(teller->call, 200, response);
}

/* --------------------------------------------------------------------------------------- both -- */

static struct teller *new_teller(struct call *call, const struct shape *shape)
{
    struct teller *teller = calloc(1, sizeof *teller);

    if (teller == NULL)
        return NULL;
    *teller = (struct teller){.call = call, .shape = shape, .request = call->request};
    teller->told = calloc(call->request->n_texts, sizeof *teller->told);
    teller->looked = calloc(call->request->n_texts, sizeof *teller->looked);
    atomic_fetch_add(&call->request->n_owners, 1);
    if (teller->told != NULL && teller->looked != NULL)
        return teller;
    free_teller(teller);
    return NULL;
}

enum MHD_Result answer_texts(struct call *call, const struct shape *shape)
{
    struct engine *engine = call->http->engine;
    json_t *body = parse_object(call->body, call->n_bytes, &call->refusal);
    struct teller *teller;
    enum MHD_Result result;

    if (body != NULL)
        call->request = parse_request(engine, body, shape->endpoint, &call->refusal);
    json_decref(body);
    if (call->request == NULL)
        return answer_refusal(call, &call->refusal);
    if (!queue_add(&engine->queue, call->request)) {
        refuse(&call->refusal, 429, "%zu texts wait already, at most %d may",
               queue_length(&engine->queue), call->http->options->n_waiting);
        return answer_refusal(call, &call->refusal);
    }
    teller = new_teller(call, shape);
    if (teller == NULL)
        return MHD_NO;
    if (call->request->streams)
        return answer_stream(teller);
    result = answer_whole(teller);
    free_teller(teller);
    return result;
}
