/*
 * parse_request.c: the fields of /execute, /v1/completions and /score.
 *
 * Each field has one row in the table.  A name that is not there is refused: a parameter with a typing
 * error would change nothing, and nobody would see it.  null is the same as no field.
 */
#include "parse.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "engine.h"

enum {
    MAX_LIKELIEST = 100,
    MAX_STOPS = 16,
    EXECUTE_TOKENS = 64, /* max_tokens if the client says nothing */
    OPENAI_TOKENS = 16
};

/* The request that is made, and what is wrong with it. */
struct parser {
    const struct engine *engine;
    struct request *request;
    struct refusal *refusal;
    const char *name; /* of the field that is read */
    enum endpoint endpoint;
};

/* ------------------------------------------------------------------------------------- values -- */

static bool read_integer(struct parser *parser, const json_t *value, int64_t min, int64_t max,
                         int64_t *n)
{
    if (!json_is_integer(value))
        return refuse(parser->refusal, 400, "%s is no whole number", parser->name);
    *n = json_integer_value(value);
    if (*n >= min && *n <= max)
        return true;
    return refuse(parser->refusal, 400, "%s is %lld, wanted %lld to %lld", parser->name,
                  (long long)*n, (long long)min, (long long)max);
}

static bool read_float(struct parser *parser, const json_t *value, float *x)
{
    double wide = json_number_value(value);

    if (!json_is_number(value))
        return refuse(parser->refusal, 400, "%s is no number", parser->name);
    if (!(wide >= -1e30 && wide <= 1e30))
        return refuse(parser->refusal, 400, "%s is %g, wanted -1e30 to 1e30", parser->name, wide);
    *x = (float)wide;
    return true;
}

static bool read_bool(struct parser *parser, const json_t *value, bool *is_true)
{
    if (!json_is_boolean(value))
        return refuse(parser->refusal, 400, "%s is neither true nor false", parser->name);
    *is_true = json_is_true(value);
    return true;
}

/* Numbers of gpt2_sample_params: the library checks their ranges. */
#define MEMBER(name) offsetof(gpt2_sample_params, name)

static bool read_sampling_float(struct parser *parser, const json_t *value, size_t offset)
{
    return read_float(parser, value, (float *)((char *)&parser->request->sampling + offset));
}

static bool read_sampling_int(struct parser *parser, const json_t *value, size_t offset)
{
    int64_t n = 0;

    if (!read_integer(parser, value, INT32_MIN, INT32_MAX, &n))
        return false;
    *(int32_t *)((char *)&parser->request->sampling + offset) = (int32_t)n;
    return true;
}

static bool read_flag(struct parser *parser, const json_t *value, size_t offset)
{
    return read_bool(parser, value, (bool *)((char *)parser->request + offset));
}

/* Token ids, and their number in the member behind them. */
static bool read_id_list(struct parser *parser, const json_t *value, int32_t **ids, size_t *n_ids)
{
    if (!json_is_array(value))
        return refuse(parser->refusal, 400, "%s is no list of token ids", parser->name);
    return parse_ids(parser->engine, value, parser->name, ids, n_ids, parser->refusal);
}

static bool read_sampling_ids(struct parser *parser, const json_t *value, size_t offset)
{
    gpt2_sample_params *sampling = &parser->request->sampling;
    int32_t *ids;
    size_t n_ids;

    if (!read_id_list(parser, value, &ids, &n_ids))
        return false;
    if (offset == MEMBER(banned_ids)) {
        sampling->banned_ids = ids;
        sampling->n_banned = n_ids;
    } else if (offset == MEMBER(allowed_ids)) {
        sampling->allowed_ids = ids;
        sampling->n_allowed = n_ids;
    } else {
        sampling->dry_breakers = ids;
        sampling->n_dry_breakers = n_ids;
    }
    return true;
}

/* ------------------------------------------------------------------------------------- fields -- */

static bool read_seed(struct parser *parser, const json_t *value, size_t offset)
{
    int64_t seed = 0;

    (void)offset;
    if (!read_integer(parser, value, 0, INT64_MAX, &seed))
        return false;
    parser->request->sampling.seed = (uint64_t)seed;
    return true;
}

static bool read_max_tokens(struct parser *parser, const json_t *value, size_t offset)
{
    int max = parser->engine->options->max_tokens;

    (void)offset;
    return read_integer(parser, value, 0, max > 0 ? max : parser->engine->n_ctx,
                        &parser->request->max_tokens);
}

static bool read_n(struct parser *parser, const json_t *value, size_t offset)
{
    int64_t n = 0;

    (void)offset;
    if (!read_integer(parser, value, 1, parser->engine->options->max_choices, &n))
        return false;
    parser->request->n_choices = (size_t)n;
    return true;
}

static bool read_logprobs(struct parser *parser, const json_t *value, size_t offset)
{
    int32_t n_vocab = parser->engine->info.n_vocab;
    int64_t n = 0;

    (void)offset;
    if (!read_integer(parser, value, 0, n_vocab < MAX_LIKELIEST ? n_vocab : MAX_LIKELIEST, &n))
        return false;
    parser->request->n_likeliest = (int)n;
    return true;
}

static bool read_ignore_eot(struct parser *parser, const json_t *value, size_t offset)
{
    bool is_true = false;

    (void)offset;
    if (!read_bool(parser, value, &is_true))
        return false;
    parser->request->ending.ignore_eot = is_true;
    return true;
}

/* One string, or a list of them. */
static bool read_stop(struct parser *parser, const json_t *value, size_t offset)
{
    gpt2_generator_params *ending = &parser->request->ending;
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    char **strings;

    (void)offset;
    if (n > MAX_STOPS)
        return refuse(parser->refusal, 400, "stop has %zu strings, wanted at most %d", n,
                      MAX_STOPS);
    strings = calloc(n + 1, sizeof *strings);
    ending->stop_strings = (const char *const *)strings;
    for (size_t i = 0; i < n && strings != NULL; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
        const char *string = json_string_value(item);

        if (string == NULL || *string == '\0' || strlen(string) != json_string_length(item))
            return refuse(parser->refusal, 400,
                          "stop %zu is no string of 1 or more characters without NUL", i);
        strings[i] = strdup(string);
        if (strings[i] == NULL)
            return refuse(parser->refusal, 503, "no memory for a stop string");
        ending->n_stop_strings = i + 1;
    }
    return strings != NULL || refuse(parser->refusal, 503, "no memory for %zu stop strings", n);
}

static bool read_stop_ids(struct parser *parser, const json_t *value, size_t offset)
{
    int32_t *ids;
    size_t n_ids;

    (void)offset;
    if (!read_id_list(parser, value, &ids, &n_ids))
        return false;
    parser->request->ending.stop_ids = ids;
    parser->request->ending.n_stop_ids = n_ids;
    return true;
}

/* {"id": bias, ...} */
static bool read_logit_bias(struct parser *parser, const json_t *value, size_t offset)
{
    gpt2_sample_params *sampling = &parser->request->sampling;
    size_t n = json_object_size(value), i = 0;
    const char *key;
    json_t *bias;
    int32_t *ids;
    float *values;

    (void)offset;
    if (!json_is_object(value))
        return refuse(parser->refusal, 400, "logit_bias is no object of ids and numbers");
    sampling->bias_ids = ids = calloc(n + 1, sizeof *ids);
    sampling->bias_values = values = calloc(n + 1, sizeof *values);
    if (ids == NULL || values == NULL)
        return refuse(parser->refusal, 503, "no memory for %zu biases", n);
    json_object_foreach((json_t *)(uintptr_t)value, key, bias)
    {
        char *end;
        long id = strtol(key, &end, 10);

        if (end == key || *end != '\0' || id < 0 || id >= parser->engine->info.n_vocab)
            return refuse(parser->refusal, 400, "logit_bias has \"%.20s\", wanted ids 0 to %d", key,
                          parser->engine->info.n_vocab - 1);
        ids[i] = (int32_t)id;
        if (!read_float(parser, bias, &values[i++]))
            return false;
    }
    sampling->n_biases = n;
    return true;
}

/* OpenAI's {"include_usage": true} */
static bool read_stream_options(struct parser *parser, const json_t *value, size_t offset)
{
    const json_t *include = json_object_get(value, "include_usage");

    (void)offset;
    if (!json_is_object(value))
        return refuse(parser->refusal, 400, "stream_options is no object");
    parser->request->includes_usage = json_is_true(include);
    return true;
}

/* What OpenAI's clients may send and what changes nothing here. */
static bool ignore_string(struct parser *parser, const json_t *value, size_t offset)
{
    (void)offset;
    return json_is_string(value) || refuse(parser->refusal, 400, "%s is no string", parser->name);
}

/* Completions of which the best ones are told; one is nothing to choose from. */
static bool read_best_of(struct parser *parser, const json_t *value, size_t offset)
{
    int64_t n = 0;

    (void)offset;
    return read_integer(parser, value, 1, 1, &n);
}

enum {
    TEXTS = ENDPOINT_EXECUTE | ENDPOINT_OPENAI,
    ALL = TEXTS | ENDPOINT_SCORE,
};

static const struct field {
    const char *name;
    int endpoints;
    bool (*read)(struct parser *parser, const json_t *value, size_t offset);
    size_t offset;
} fields[] = {
    {"max_tokens", TEXTS, read_max_tokens, 0},
    {"n", TEXTS, read_n, 0},
    {"logprobs", ALL, read_logprobs, 0},
    {"echo", TEXTS, read_flag, offsetof(struct request, echo)},
    {"stream", TEXTS, read_flag, offsetof(struct request, streams)},
    {"stop", TEXTS, read_stop, 0},
    {"stop_ids", TEXTS, read_stop_ids, 0},
    {"ignore_eot", TEXTS, read_ignore_eot, 0},
    {"seed", TEXTS, read_seed, 0},
    {"temperature", TEXTS, read_sampling_float, MEMBER(temperature)},
    {"top_k", TEXTS, read_sampling_int, MEMBER(top_k)},
    {"top_p", TEXTS, read_sampling_float, MEMBER(top_p)},
    {"top_n_sigma", TEXTS, read_sampling_float, MEMBER(top_n_sigma)},
    {"min_p", TEXTS, read_sampling_float, MEMBER(min_p)},
    {"typical_p", TEXTS, read_sampling_float, MEMBER(typical_p)},
    {"xtc_probability", TEXTS, read_sampling_float, MEMBER(xtc_probability)},
    {"xtc_threshold", TEXTS, read_sampling_float, MEMBER(xtc_threshold)},
    {"mirostat_tau", TEXTS, read_sampling_float, MEMBER(mirostat_tau)},
    {"mirostat_eta", TEXTS, read_sampling_float, MEMBER(mirostat_eta)},
    {"penalty_window", TEXTS, read_sampling_int, MEMBER(penalty_window)},
    {"ignores_prompt", TEXTS, read_sampling_int, MEMBER(ignores_prompt)},
    {"repetition_penalty", TEXTS, read_sampling_float, MEMBER(repetition_penalty)},
    {"frequency_penalty", TEXTS, read_sampling_float, MEMBER(frequency_penalty)},
    {"presence_penalty", TEXTS, read_sampling_float, MEMBER(presence_penalty)},
    {"dry_multiplier", TEXTS, read_sampling_float, MEMBER(dry_multiplier)},
    {"dry_base", TEXTS, read_sampling_float, MEMBER(dry_base)},
    {"dry_allowed_length", TEXTS, read_sampling_int, MEMBER(dry_allowed_length)},
    {"no_repeat_ngram_size", TEXTS, read_sampling_int, MEMBER(no_repeat_ngram_size)},
    {"dry_breakers", TEXTS, read_sampling_ids, MEMBER(dry_breakers)},
    {"banned_ids", TEXTS, read_sampling_ids, MEMBER(banned_ids)},
    {"allowed_ids", TEXTS, read_sampling_ids, MEMBER(allowed_ids)},
    {"logit_bias", TEXTS, read_logit_bias, 0},
    {"stream_options", ENDPOINT_OPENAI, read_stream_options, 0},
    {"best_of", ENDPOINT_OPENAI, read_best_of, 0},
    {"model", ENDPOINT_OPENAI, ignore_string, 0},
    {"user", ENDPOINT_OPENAI, ignore_string, 0},
};

static bool read_field(struct parser *parser, const char *name, const json_t *value)
{
    if (strcmp(name, "prompt") == 0 ||
        (parser->endpoint != ENDPOINT_OPENAI && strcmp(name, "tokens") == 0))
        return true; /* read_prompts() does */
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const struct field *field = &fields[i];

        if (strcmp(name, field->name) != 0 || (field->endpoints & parser->endpoint) == 0)
            continue;
        parser->name = field->name;
        return json_is_null(value) || field->read(parser, value, field->offset);
    }
    return refuse(parser->refusal, 400, "there is no parameter \"%.40s\"", name);
}

/* ------------------------------------------------------------------------------------ prompts -- */

struct prompts {
    int32_t **ids;
    size_t *n_ids;
    size_t n;
};

/* Adds one prompt: a string or a list of ids. */
static bool add_prompt(struct parser *parser, struct prompts *prompts, const json_t *value)
{
    const struct engine *engine = parser->engine;
    int max = engine->options->max_prompt_tokens;
    int32_t **ids = &prompts->ids[prompts->n];
    size_t *n_ids = &prompts->n_ids[prompts->n];
    bool is_read;

    if (max == 0 || max > engine->n_ctx)
        max = engine->n_ctx;
    if (json_is_string(value))
        is_read = parse_encode(engine, json_string_value(value), json_string_length(value), ids,
                               n_ids, parser->refusal);
    else if (json_is_array(value))
        is_read = parse_ids(engine, value, parser->name, ids, n_ids, parser->refusal);
    else
        return refuse(parser->refusal, 400, "%s %zu is neither a string nor a list of token ids",
                      parser->name, prompts->n);
    if (!is_read)
        return false;
    prompts->n++;
    if (*n_ids > (size_t)max)
        return refuse(parser->refusal, 400, "%s %zu has %zu tokens, wanted at most %d",
                      parser->name, prompts->n - 1, *n_ids, max);
    if (*n_ids > 0)
        return true;
    if (engine->info.eot_token < 0)
        return refuse(parser->refusal, 400, "%s %zu is empty, wanted 1 token or more", parser->name,
                      prompts->n - 1);
    (*ids)[0] = engine->info.eot_token; /* there is room for one */
    *n_ids = 1;
    return true;
}

static bool read_prompts(struct parser *parser, struct prompts *prompts, const json_t *body)
{
    const json_t *text = json_object_get(body, "prompt");
    const json_t *tokens =
        parser->endpoint == ENDPOINT_OPENAI ? NULL : json_object_get(body, "tokens");
    const json_t *value = tokens != NULL ? tokens : text;
    const json_t *first = json_array_get(value, 0);
    size_t n, max = (size_t)parser->engine->options->n_waiting / parser->request->n_choices;
    bool is_list = json_is_string(first) || json_is_array(first);

    parser->name = tokens != NULL ? "tokens" : "prompt";
    if (value == NULL || (text != NULL && tokens != NULL))
        return refuse(parser->refusal, 400, "%s",
                      text != NULL                          ? "both prompt and tokens are there"
                      : parser->endpoint == ENDPOINT_OPENAI ? "prompt is missing"
                                                            : "prompt or tokens is missing");
    if (tokens != NULL && (!json_is_array(tokens) || json_is_string(first)))
        return refuse(parser->refusal, 400, "tokens is no list of token ids");
    n = is_list ? json_array_size(value) : 1;
    if (n > max)
        return refuse(parser->refusal, 400, "%zu prompts times n %zu are more than %d texts", n,
                      parser->request->n_choices, parser->engine->options->n_waiting);
    prompts->ids = calloc(n, sizeof *prompts->ids);
    prompts->n_ids = calloc(n, sizeof *prompts->n_ids);
    if (prompts->ids == NULL || prompts->n_ids == NULL)
        return refuse(parser->refusal, 503, "no memory for %zu prompts", n);
    for (size_t i = 0; i < n; i++) {
        if (!add_prompt(parser, prompts, is_list ? json_array_get(value, i) : value))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------------------------ request -- */

static bool read_fields(struct parser *parser, const json_t *body)
{
    struct request *request = parser->request;
    const char *name;
    json_t *value;
    int max = parser->engine->options->max_tokens;

    request->max_tokens = parser->endpoint == ENDPOINT_OPENAI ? OPENAI_TOKENS : EXECUTE_TOKENS;
    if (max > 0 && request->max_tokens > max)
        request->max_tokens = max;
    if (getrandom(&request->sampling.seed, sizeof request->sampling.seed, 0) < 0)
        request->sampling.seed = gpt2_clock_ns();
    request->sampling.seed >>= 11; /* below 2^53: every JSON reader keeps it */
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        if (!read_field(parser, name, value))
            return false;
    }
    request->scores_prompt = request->echo && request->n_likeliest >= 0;
    if (parser->endpoint == ENDPOINT_SCORE) {
        request->scores_prompt = true;
        request->max_tokens = 0;
    }
    request->deadline_ns =
        request->arrived_ns + (uint64_t)parser->engine->options->text_seconds * 1000000000u;
    return true;
}

struct request *parse_request(const struct engine *engine, const json_t *body,
                              enum endpoint endpoint, struct refusal *refusal)
{
    struct parser parser = {engine, request_new(), refusal, "", endpoint};
    struct prompts prompts = {0};
    bool is_made;

    if (parser.request == NULL) {
        refuse(refusal, 503, "no memory for a request");
        return NULL;
    }
    is_made = read_fields(&parser, body) && read_prompts(&parser, &prompts, body);
    if (is_made) {
        is_made = request_make_texts(parser.request, prompts.ids, prompts.n_ids, prompts.n,
                                     engine->n_ctx, engine->max_token_bytes) ||
                  refuse(refusal, 503, "no memory for %zu prompts", prompts.n);
    } else {
        for (size_t i = 0; i < prompts.n; i++)
            free(prompts.ids[i]);
    }
    free(prompts.ids);
    free(prompts.n_ids);
    if (is_made)
        return parser.request;
    request_release(parser.request);
    return NULL;
}
