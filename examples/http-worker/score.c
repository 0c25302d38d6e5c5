/*
 * score.c: POST /score: what the model says about each token of a text, as gpt2_score() tells it.
 */
#include "answers.h"
#include "handlers.h"
#include "http.h"
#include "request.h"
#include "textjson.h"

/* {"id", "text", "logprob", "rank", "entropy", "likeliest"}; a first token has only the first two. */
static json_t *token_json(const struct part *part, size_t i)
{
    const struct text *text = part->text;
    const gpt2_token_score *score = i > 0 ? &text->prompt_scores[i - 1] : NULL;
    int n = text->request->n_likeliest;
    json_t *json = json_pack("{si so}", "id", text->ids[i], "text",
                             json_token_text(part->tokenizer, text->ids[i]));

    if (score == NULL)
        return json;
    json_object_set_new(json, "logprob", json_finite(score->logprob));
    json_object_set_new(json, "rank", json_integer(score->rank));
    json_object_set_new(json, "entropy", json_finite(score->entropy));
    if (n > 0)
        json_object_set_new(json, "likeliest",
                            json_likeliest(text->prompt_likeliest + (i - 1) * (size_t)n, n));
    return json;
}

/* The sums are over all tokens but the first. */
static json_t *result_json(const struct part *part)
{
    const struct text *text = part->text;
    json_t *tokens = json_array();
    double logprob = 0;

    for (size_t i = 0; i < text->n_ids; i++) {
        json_array_append_new(tokens, token_json(part, i));
        logprob += i > 0 ? text->prompt_scores[i - 1].logprob : 0;
    }
    return json_pack("{sI so so}", "index", (json_int_t)part->index, "logprob",
                     json_finite(logprob), "tokens", tokens);
}

static json_t *scores_json(const struct call *call, json_t *results, bool ends)
{
    (void)ends; /* there are no streams */
    return json_pack("{so so}", "results", results, "usage", usage_json(call));
}

enum MHD_Result handle_score(struct call *call)
{
    static const struct shape shape = {ENDPOINT_SCORE, result_json, scores_json};

    return answer_texts(call, &shape);
}
