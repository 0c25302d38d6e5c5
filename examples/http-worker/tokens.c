/*
 * tokens.c: POST /tokenize, POST /detokenize, GET /tokenizer_info.  The engine is not asked: a tokenizer
 * may be used by any number of threads, each with an encoder of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "handlers.h"
#include "http.h"
#include "textjson.h"

/*
 * Reads the member 'wanted' of the body.  The others may be those of vLLM's clients, which change nothing
 * here: GPT-2 adds no special tokens.
 */
static json_t *read_member(struct call *call, json_t *body, const char *wanted)
{
    json_t *found = NULL, *value;
    const char *name;

    if (body == NULL)
        return NULL;
    json_object_foreach(body, name, value)
    {
        if (strcmp(name, wanted) == 0) {
            found = value;
        } else if (strcmp(name, "model") != 0 && strcmp(name, "add_special_tokens") != 0) {
            refuse(&call->refusal, 400, "there is no parameter \"%.40s\"", name);
            return NULL;
        }
    }
    if (found == NULL)
        refuse(&call->refusal, 400, "%s is missing", wanted);
    return found;
}

enum MHD_Result handle_tokenize(struct call *call)
{
    struct engine *engine = call->http->engine;
    json_t *body = parse_object(call->body, call->n_bytes, &call->refusal);
    const json_t *prompt = read_member(call, body, "prompt");
    json_t *tokens = json_array();
    int32_t *ids = NULL;
    size_t n_ids = 0;

    if (prompt != NULL && !json_is_string(prompt))
        refuse(&call->refusal, 400, "prompt is no string");
    else if (prompt != NULL)
        parse_encode(engine, json_string_value(prompt), json_string_length(prompt), &ids, &n_ids,
                     &call->refusal);
    json_decref(body);
    for (size_t i = 0; i < n_ids; i++)
        json_array_append_new(tokens, json_integer(ids[i]));
    free(ids);
    if (call->refusal.status == 0)
        return answer_json(call, 200,
                           json_pack("{so sI si}", "tokens", tokens, "count", (json_int_t)n_ids,
                                     "max_model_len", engine->n_ctx));
    json_decref(tokens);
    return answer_refusal(call, &call->refusal);
}

enum MHD_Result handle_detokenize(struct call *call)
{
    struct engine *engine = call->http->engine;
    json_t *body = parse_object(call->body, call->n_bytes, &call->refusal);
    const json_t *tokens = read_member(call, body, "tokens");
    int32_t *ids = NULL;
    size_t n_ids = 0;
    json_t *prompt = NULL;

    if (tokens != NULL && !json_is_array(tokens))
        refuse(&call->refusal, 400, "tokens is no list of token ids");
    else if (tokens != NULL && parse_ids(engine, tokens, "tokens", &ids, &n_ids, &call->refusal))
        prompt = json_tokens_text(engine->tokenizer, ids, n_ids, NULL, 0);
    free(ids);
    json_decref(body);
    if (call->refusal.status != 0)
        return answer_refusal(call, &call->refusal);
    return answer_json(call, 200, json_pack("{so}", "prompt", prompt));
}

enum MHD_Result handle_tokenizer_info(struct call *call)
{
    struct engine *engine = call->http->engine;
    int32_t eot = engine->info.eot_token;
    json_t *info = json_pack("{ss si si}", "tokenizer_class", "GPT2Tokenizer", "vocab_size",
                             engine->info.n_vocab, "model_max_length", engine->n_ctx);

    json_object_set_new(info, "eos_token_id", eot >= 0 ? json_integer(eot) : json_null());
    json_object_set_new(info, "eos_token",
                        eot >= 0 ? json_token_text(engine->tokenizer, eot) : json_null());
    json_object_set_new(info, "bos_token",
                        eot >= 0 ? json_token_text(engine->tokenizer, eot) : json_null());
    return answer_json(call, 200, info);
}
