/*
 * api_sample.c: the exported functions of sampling.
 */
#include "api.h"
#include "../base/fpstate.h"
#include "../decode/sampler.h"
#include "../model/batch.h"

#include <math.h>

static const gpt2_sample_params sample_defaults = {
    .struct_size = sizeof(gpt2_sample_params),
    .temperature = 1.0f,
    .top_p = 1.0f,
    .position = -1,
    .typical_p = 1.0f,
    .xtc_threshold = 0.1f,
    .mirostat_eta = 0.1f,
    .repetition_penalty = 1.0f,
    .dry_base = 1.75f,
    .dry_allowed_length = 2,
};

static const struct gpt2i_params_kind sample_params = {
    .name = "gpt2_sample_params",
    .defaults = &sample_defaults,
    .known_bytes = sizeof(gpt2_sample_params),
    .first_bytes = GPT2I_SIZE_TO(gpt2_sample_params, position),
    .errbuf_offset = GPT2I_NO_ERRBUF,
};

int32_t gpt2_sample_params_init(gpt2_sample_params *params, size_t struct_size)
{
    return gpt2i_params_init(params, struct_size, &sample_params);
}

/* A word for a value that is not in the range from 'min' on. */
static const char *found(float value, float min)
{
    if (value != value)
        return "NaN";
    if (value > FLT_MAX || value < -FLT_MAX)
        return "infinite";
    if (value < 0.0f || value == 0.0f)
        return value < 0.0f ? "negative" : "0";
    return value < min ? "too small" : "too large";
}

static int32_t check_numbers(const gpt2_sample_params *params, struct gpt2i_error *error)
{
    const struct {
        const char *name;
        float value, min, max;
        const char *wanted;
    } numbers[] = {
        {"temperature", params->temperature, 0.0f, FLT_MAX, "0 or more"},
        {"top_p", params->top_p, 0.0f, 1.0f, "0 to 1"},
        {"top_n_sigma", params->top_n_sigma, 0.0f, FLT_MAX, "0 or more"},
        {"min_p", params->min_p, 0.0f, 1.0f, "0 to 1"},
        {"typical_p", params->typical_p, 0.0f, 1.0f, "0 to 1"},
        {"xtc_probability", params->xtc_probability, 0.0f, 1.0f, "0 to 1"},
        {"xtc_threshold", params->xtc_threshold, 0.0f, 1.0f, "0 to 1"},
        {"mirostat_tau", params->mirostat_tau, 0.0f, FLT_MAX, "0 or more"},
        {"mirostat_eta", params->mirostat_eta, 0.0f, FLT_MAX, "0 or more"},
        {"repetition_penalty", params->repetition_penalty, FLT_TRUE_MIN, FLT_MAX, "more than 0"},
        {"frequency_penalty", params->frequency_penalty, -FLT_MAX, FLT_MAX, "a finite number"},
        {"presence_penalty", params->presence_penalty, -FLT_MAX, FLT_MAX, "a finite number"},
        {"dry_multiplier", params->dry_multiplier, 0.0f, FLT_MAX, "0 or more"},
        {"dry_base", params->dry_base, 1.0f, FLT_MAX, "1 or more"},
    };
    const struct {
        const char *name;
        int64_t value, min;
    } counts[] = {
        {"top_k", params->top_k, 0},
        {"position", params->position, -1},
        {"penalty_window", params->penalty_window, 0},
        {"dry_allowed_length", params->dry_allowed_length, 0},
        {"no_repeat_ngram_size", params->no_repeat_ngram_size, 0},
    };

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (!(numbers[i].value >= numbers[i].min && numbers[i].value <= numbers[i].max))
            return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "gpt2_sample_params.%s is %s, wanted %s",
                              numbers[i].name, found(numbers[i].value, numbers[i].min),
                              numbers[i].wanted);
    }
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (counts[i].value < counts[i].min)
            return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                              "gpt2_sample_params.%s is %lld, wanted %lld or more", counts[i].name,
                              (long long)counts[i].value, (long long)counts[i].min);
    }
    return gpt2i_check_range("gpt2_sample_params.ignores_prompt", params->ignores_prompt, 0, 1,
                             error);
}

static int32_t check_sample_ids(const gpt2_sample_params *params, int32_t n_vocab,
                                struct gpt2i_error *error)
{
    const struct {
        const char *name;
        const int32_t *ids;
        size_t n;
    } lists[] = {
        {"bias_ids", params->bias_ids, params->n_biases},
        {"history", params->history, params->n_history},
        {"dry_breakers", params->dry_breakers, params->n_dry_breakers},
        {"banned_ids", params->banned_ids, params->n_banned},
        {"allowed_ids", params->allowed_ids, params->n_allowed},
    };

    if (params->n_biases > 0 && params->bias_values == NULL)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_sample_params.bias_values is NULL, but n_biases is %zu",
                          params->n_biases);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (lists[i].n > 0 && lists[i].ids == NULL)
            return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                              "gpt2_sample_params.%s is NULL, but has %zu ids", lists[i].name,
                              lists[i].n);
        for (size_t j = 0; j < lists[i].n; j++) {
            if (lists[i].ids[j] < 0 || lists[i].ids[j] >= n_vocab)
                return gpt2i_fail(error, GPT2_ERR_TOKEN,
                                  "gpt2_sample_params.%s[%zu] is %d, wanted 0 to %d", lists[i].name,
                                  j, lists[i].ids[j], n_vocab - 1);
        }
    }
    return GPT2_OK;
}

int32_t gpt2i_sample_params_take(gpt2_sample_params *known, const gpt2_sample_params *params,
                                 int32_t n_vocab, struct gpt2i_error *error)
{
    int32_t status = gpt2i_params_take(known, params, &sample_params, error);

    known->struct_size = sizeof *known;
    if (status == GPT2_OK)
        status = check_numbers(known, error);
    return status == GPT2_OK ? check_sample_ids(known, n_vocab, error) : status;
}

/* What a call asks for. */
struct request {
    const char *function;
    bool is_of_row; /* of the session; else 'logits' */
    bool draws;     /* for a generator */
    size_t item;
    int32_t row;
    const float *logits;
    bool wants_candidates; /* else 'id' */
    int32_t *id;
    gpt2_candidate *candidates;
    size_t capacity;
    size_t *n_kept;
};

static int32_t check_request(const struct request *request, struct gpt2i_error *error)
{
    const char *missing = !request->is_of_row && request->logits == NULL         ? "logits"
                          : !request->wants_candidates && request->id == NULL    ? "id"
                          : request->wants_candidates && request->n_kept == NULL ? "n_kept"
                          : request->capacity > 0 && request->candidates == NULL ? "candidates"
                                                                                 : NULL;

    if (missing == NULL)
        return GPT2_OK;
    return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: %s is NULL", request->function, missing);
}

/* What params->mirostat_mu points to; a generator has put its own there. */
static int32_t check_mirostat(const gpt2_sample_params *params, struct gpt2i_error *error)
{
    if (params->mirostat_tau == 0.0f)
        return GPT2_OK;
    if (params->mirostat_mu == NULL)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_sample_params.mirostat_mu is NULL, but mirostat_tau is not 0");
    if (!(fabsf(*params->mirostat_mu) <= FLT_MAX))
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_sample_params.mirostat_mu points to a number that is %s, wanted a "
                          "finite one",
                          *params->mirostat_mu != *params->mirostat_mu ? "NaN" : "infinite");
    return GPT2_OK;
}

static int32_t answer(gpt2_session *session, const struct request *request,
                      const gpt2_sample_params *params, uint64_t host_state,
                      struct gpt2i_error *error)
{
    const struct gpt2i_sampler sampler = {
        .kernels = &session->compute.kernels,
        .space = session->sampling,
        .n_vocab = (size_t)session->model->config.n_vocab,
        .host_state = host_state,
    };
    const float *logits = request->logits;
    gpt2_sample_params known;
    int64_t position;
    int32_t status = gpt2i_sample_params_take(&known, params, (int32_t)sampler.n_vocab, error);

    if (status == GPT2_OK)
        status = check_request(request, error);
    if (status == GPT2_OK)
        status = check_mirostat(&known, error);
    position = (int64_t)known.n_history;
    if (status == GPT2_OK && request->is_of_row) {
        size_t kept = 0;
        int32_t next = 0;

        status = gpt2i_batch_find_row(session, request->item, request->row, request->draws, &kept,
                                      &next, error);
        logits = session->logits + kept * sampler.n_vocab;
        position = next;
    }
    if (status != GPT2_OK)
        return status;
    if (known.position < 0)
        known.position = position;
    if (request->wants_candidates)
        return gpt2i_sample_candidates(&sampler, logits, &known, request->candidates,
                                       request->capacity, request->n_kept, error);
    return gpt2i_sample(&sampler, logits, &known, request->id, error);
}

static int32_t call(gpt2_session *session, const struct request *request,
                    const gpt2_sample_params *params)
{
    struct gpt2i_error error;
    uint64_t host_state;
    int32_t status;

    if (request->id != NULL)
        *request->id = 0;
    if (request->n_kept != NULL)
        *request->n_kept = 0;
    status = gpt2i_session_begin(session, &error);
    if (status != GPT2_OK)
        return status;
    host_state = gpt2i_fpstate_enter(); /* params may hold NaN, which traps in some hosts' state */
    session->running = true;            /* the callback must not call functions on this session */
    status = answer(session, request, params, host_state, &error);
    session->running = false;
    gpt2i_fpstate_leave(host_state);
    return status;
}

int32_t gpt2_sample(gpt2_session *session, int32_t row, const gpt2_sample_params *params,
                    int32_t *id)
{
    const struct request request = {
        .function = "gpt2_sample", .is_of_row = true, .row = row, .id = id};

    return call(session, &request, params);
}

int32_t gpt2_batch_sample(gpt2_session *session, size_t item, int32_t row,
                          const gpt2_sample_params *params, int32_t *id)
{
    const struct request request = {
        .function = "gpt2_batch_sample", .is_of_row = true, .item = item, .row = row, .id = id};

    return call(session, &request, params);
}

int32_t gpt2i_draw(gpt2_session *session, size_t item, int32_t row,
                   const gpt2_sample_params *params, int32_t *id)
{
    const struct request request = {.function = "gpt2_generator_step",
                                    .is_of_row = true,
                                    .draws = true,
                                    .item = item,
                                    .row = row,
                                    .id = id};

    return call(session, &request, params);
}

int32_t gpt2_sample_logits(gpt2_session *session, const float *logits,
                           const gpt2_sample_params *params, int32_t *id)
{
    const struct request request = {.function = "gpt2_sample_logits", .logits = logits, .id = id};

    return call(session, &request, params);
}

int32_t gpt2_sample_candidates(gpt2_session *session, const float *logits,
                               const gpt2_sample_params *params, gpt2_candidate *candidates,
                               size_t capacity, size_t *n_kept)
{
    const struct request request = {
        .function = "gpt2_sample_candidates",
        .logits = logits,
        .wants_candidates = true,
        .candidates = candidates,
        .capacity = capacity,
        .n_kept = n_kept,
    };

    return call(session, &request, params);
}
