/*
 * api_sample.c: the exported functions of sampling.
 */
#include "api.h"
#include "../base/fpstate.h"
#include "../decode/sampler.h"
#include "../model/batch.h"

static const gpt2_sample_params sample_defaults = {
    .struct_size = sizeof(gpt2_sample_params),
    .temperature = 1.0f,
    .top_p = 1.0f,
    .position = -1,
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

static int32_t check_sample_params(const gpt2_sample_params *params, struct gpt2i_error *error)
{
    if (!(params->temperature >= 0.0f && params->temperature <= FLT_MAX))
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_sample_params.temperature is %s, wanted 0 or more",
                          params->temperature < 0.0f ? "negative" : "not finite");
    if (params->top_k < 0)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_sample_params.top_k is %d, wanted 0 or more", params->top_k);
    if (!(params->top_p >= 0.0f && params->top_p <= 1.0f))
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "gpt2_sample_params.top_p is outside 0 to 1");
    if (params->position < -1)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "gpt2_sample_params.position is %lld, wanted -1 or more",
                          (long long)params->position);
    return GPT2_OK;
}

int32_t gpt2i_sample_params_take(gpt2_sample_params *known, const gpt2_sample_params *params,
                                 struct gpt2i_error *error)
{
    int32_t status = gpt2i_params_take(known, params, &sample_params, error);

    known->struct_size = sizeof *known;
    return status == GPT2_OK ? check_sample_params(known, error) : status;
}

static int32_t sample(gpt2_session *session, size_t item, int32_t row,
                      const gpt2_sample_params *params, int32_t *id, const char *function,
                      struct gpt2i_error *error)
{
    const struct gpt2i_sampler sampler = {
        .kernels = &session->compute.kernels,
        .weights = session->sample_weights,
        .order = session->sample_order,
        .n_vocab = (size_t)session->model->config.n_vocab,
    };
    gpt2_sample_params known;
    size_t kept;
    int32_t position;
    int32_t status = gpt2i_sample_params_take(&known, params, error);

    if (status == GPT2_OK && id == NULL)
        status = gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: id is NULL", function);
    if (status == GPT2_OK)
        status = gpt2i_batch_find_row(session, item, row, &kept, &position, error);
    if (status != GPT2_OK)
        return status;
    if (known.position < 0)
        known.position = position;
    return gpt2i_sample(&sampler, session->logits + kept * sampler.n_vocab, &known, id, error);
}

static int32_t sample_row(gpt2_session *session, size_t item, int32_t row,
                          const gpt2_sample_params *params, int32_t *id, const char *function)
{
    struct gpt2i_error error;
    uint64_t host_state;
    int32_t status;

    if (id != NULL)
        *id = 0;
    status = gpt2i_session_begin(session, &error);
    if (status != GPT2_OK)
        return status;
    host_state = gpt2i_fpstate_enter(); /* params may hold NaN, which traps in some hosts' state */
    status = sample(session, item, row, params, id, function, &error);
    gpt2i_fpstate_leave(host_state);
    return status;
}

int32_t gpt2_sample(gpt2_session *session, int32_t row, const gpt2_sample_params *params,
                    int32_t *id)
{
    return sample_row(session, 0, row, params, id, "gpt2_sample");
}

int32_t gpt2_batch_sample(gpt2_session *session, size_t item, int32_t row,
                          const gpt2_sample_params *params, int32_t *id)
{
    return sample_row(session, item, row, params, id, "gpt2_batch_sample");
}
