/*
 * execute.c: POST /execute.
 *
 * {"results": [{"index", "text", "tokens", "logprobs", "finish"}, ...], "usage", "timings", "seed"}.  A
 * stream has the same objects: each event one result with what is new, the last one usage and timings.
 */
#include "answers.h"
#include "handlers.h"
#include "http.h"
#include "request.h"
#include "textjson.h"

static const char *finish_name(int finish)
{
    static const char *const names[] = {NULL,      "token", "stop",     "length", "context",
                                        "context", "error", "deadline", "error"};

    return names[finish];
}

/* {"logprob", "likeliest"}; nothing predicts a first token. */
static json_t *logprob_json(double logprob, const gpt2_token_logprob *likeliest, int n)
{
    return json_pack("{so so}", "logprob", json_finite(logprob), "likeliest",
                     json_likeliest(likeliest, n));
}

static json_t *logprobs_json(const struct part *part)
{
    const struct text *text = part->text;
    const struct request *request = text->request;
    size_t n_likeliest = (size_t)request->n_likeliest;
    json_t *array = json_array();

    if (part->echoes) {
        json_array_append_new(array, json_null());
        for (size_t i = 0; i + 1 < text->n_ids; i++)
            json_array_append_new(array, logprob_json(text->prompt_scores[i].logprob,
                                                      text->prompt_likeliest + i * n_likeliest,
                                                      request->n_likeliest));
    }
    for (size_t i = part->first_token; i < part->end_token; i++)
        json_array_append_new(array, logprob_json(text->tokens[i].logprob,
                                                  text->likeliest + i * n_likeliest,
                                                  request->n_likeliest));
    return array;
}

static json_t *tokens_json(const struct part *part)
{
    const struct text *text = part->text;
    json_t *array = json_array();

    for (size_t i = 0; part->echoes && i < text->n_ids; i++)
        json_array_append_new(array, json_integer(text->ids[i]));
    for (size_t i = part->first_token; i < part->end_token; i++)
        json_array_append_new(array, json_integer(text->tokens[i].id));
    return array;
}

static json_t *result_json(const struct part *part)
{
    const struct text *text = part->text;
    json_t *result = json_object();

    json_object_set_new(result, "index", json_integer((json_int_t)part->index));
    json_object_set_new(result, "text",
                        json_tokens_text(part->tokenizer, text->ids, part->echoes ? text->n_ids : 0,
                                         text->bytes + part->first_byte,
                                         part->end_byte - part->first_byte));
    json_object_set_new(result, "tokens", tokens_json(part));
    if (text->request->n_likeliest >= 0)
        json_object_set_new(result, "logprobs", logprobs_json(part));
    if (part->ends)
        json_object_set_new(result, "finish", json_string(finish_name(text->finish)));
    return result;
}

/* Of the text that took longest, from the arrival of the request. */
static json_t *timings_json(const struct request *request)
{
    uint64_t started = 0, first = 0, ended = 0;

    for (size_t i = 0; i < request->n_texts; i++) {
        const struct text *text = &request->texts[i];

        started = text->started_ns > started ? text->started_ns : started;
        first = text->first_ns > first ? text->first_ns : first;
        ended = text->ended_ns > ended ? text->ended_ns : ended;
    }
    return json_pack("{sf sf sf}", "queue_ms", 1e3 * seconds_between(request->arrived_ns, started),
                     "first_token_ms", 1e3 * seconds_between(request->arrived_ns, first),
                     "total_ms", 1e3 * seconds_between(request->arrived_ns, ended));
}

static json_t *execute_json(const struct call *call, json_t *results, bool ends)
{
    json_t *json = json_pack("{so}", "results", results);

    if (!ends)
        return json;
    json_object_set_new(json, "usage", usage_json(call));
    json_object_set_new(json, "timings", timings_json(call->request));
    json_object_set_new(json, "seed", json_integer((json_int_t)call->request->sampling.seed));
    return json;
}

enum MHD_Result handle_execute(struct call *call)
{
    static const struct shape shape = {ENDPOINT_EXECUTE, result_json, execute_json};

    return answer_texts(call, &shape);
}
