/*
 * completions.c: POST /v1/completions and GET /v1/models, as OpenAI's clients expect them.
 *
 * The numbers of token_logprobs and top_logprobs are floats: clients compare them for equality.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "answers.h"
#include "handlers.h"
#include "http.h"
#include "request.h"
#include "textjson.h"

static json_t *finish_json(const struct part *part)
{
    if (!part->ends)
        return json_null();
    return json_string(part->text->finish == GPT2_FINISH_TOKEN ||
                               part->text->finish == GPT2_FINISH_STRING
                           ? "stop"
                           : "length");
}

/* The four lists of "logprobs". */
struct lists {
    json_t *tokens, *logprobs, *likeliest, *offsets;
    const gpt2_tokenizer *tokenizer;
    int n_likeliest;
};

/* Adds a token; 'likeliest' is NULL for a first token, which nothing predicts. */
static void add_token(struct lists *lists, int32_t id, double logprob,
                      const gpt2_token_logprob *likeliest, size_t offset)
{
    json_t *token = json_token_text(lists->tokenizer, id), *top = json_null();

    json_array_append_new(lists->offsets, json_integer((json_int_t)offset));
    json_array_append_new(lists->logprobs,
                          likeliest == NULL ? json_null() : json_finite((float)logprob));
    if (likeliest != NULL) {
        top = json_object();
        for (int i = 0; i < lists->n_likeliest; i++) {
            json_t *name = json_token_text(lists->tokenizer, likeliest[i].id);

            json_object_set_new(top, json_string_value(name), json_finite(likeliest[i].logprob));
            json_decref(name);
        }
        /* the token itself is always there */
        json_object_set_new(top, json_string_value(token), json_finite((float)logprob));
    }
    json_array_append_new(lists->likeliest, top);
    json_array_append_new(lists->tokens, token);
}

/* Where each token of the prompt and the text begins, in characters; NULL without memory. */
static gpt2_offsets *find_offsets(const struct part *part)
{
    const struct text *text = part->text;
    size_t n = text->n_ids + part->end_token;
    gpt2_offsets *offsets = calloc(n, sizeof *offsets);
    int32_t *ids = malloc(n * sizeof *ids);

    if (offsets != NULL && ids != NULL) {
        memcpy(ids, text->ids, text->n_ids * sizeof *ids);
        for (size_t i = 0; i < part->end_token; i++)
            ids[text->n_ids + i] = text->tokens[i].id;
        (void)gpt2_token_offsets(part->tokenizer, ids, n, offsets);
    }
    free(ids);
    return offsets;
}

static json_t *logprobs_json(const struct part *part)
{
    const struct text *text = part->text;
    int n = text->request->n_likeliest;
    gpt2_offsets *offsets = n >= 0 ? find_offsets(part) : NULL;
    struct lists lists = {json_array(), json_array(),    json_array(),
                          json_array(), part->tokenizer, n};

    if (n >= 0 && part->echoes && offsets != NULL) {
        add_token(&lists, text->ids[0], 0, NULL, 0);
        for (size_t i = 1; i < text->n_ids; i++)
            add_token(&lists, text->ids[i], text->prompt_scores[i - 1].logprob,
                      text->prompt_likeliest + (i - 1) * (size_t)n, offsets[i].first_char);
    }
    for (size_t i = part->first_token; i < part->end_token && offsets != NULL; i++)
        add_token(&lists, text->tokens[i].id, text->tokens[i].logprob,
                  text->likeliest + i * (size_t)n, offsets[text->n_ids + i].first_char);
    free(offsets);
    if (n >= 0)
        return json_pack("{so so so so}", "tokens", lists.tokens, "token_logprobs", lists.logprobs,
                         "top_logprobs", lists.likeliest, "text_offset", lists.offsets);
    json_decref(lists.tokens);
    json_decref(lists.logprobs);
    json_decref(lists.likeliest);
    json_decref(lists.offsets);
    return json_null();
}

static json_t *choice_json(const struct part *part)
{
    const struct text *text = part->text;

    return json_pack("{sI so so so}", "index", (json_int_t)part->index, "text",
                     json_tokens_text(part->tokenizer, text->ids, part->echoes ? text->n_ids : 0,
                                      text->bytes + part->first_byte,
                                      part->end_byte - part->first_byte),
                     "logprobs", logprobs_json(part), "finish_reason", finish_json(part));
}

static json_t *completion_json(const struct call *call, json_t *choices, bool ends)
{
    char id[40];
    json_t *json;

    (void)snprintf(id, sizeof id, "cmpl-%llx-%llx", (unsigned long long)call->begin_ns,
                   (unsigned long long)call->number);
    json = json_pack("{ss ss sI ss so}", "id", id, "object", "text_completion", "created",
                     (json_int_t)call->begin_seconds, "model", call->http->engine->name, "choices",
                     choices);
    if (ends)
        json_object_set_new(json, "usage", usage_json(call));
    return json;
}

enum MHD_Result handle_completions(struct call *call)
{
    static const struct shape shape = {ENDPOINT_OPENAI, choice_json, completion_json};

    return answer_texts(call, &shape);
}

enum MHD_Result handle_models(struct call *call)
{
    return answer_json(call, 200,
                       json_pack("{ss s[{ss ss sI ss}]}", "object", "list", "data", "id",
                                 call->http->engine->name, "object", "model", "created",
                                 (json_int_t)call->begin_seconds, "owned_by", "libgpt2"));
}
