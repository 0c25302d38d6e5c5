/*
 * api_sample.c: logits, and sampling from them.
 */
#include "api_session.h"

#include <math.h>

/* The rule of a row; if it fits, which of the kept rows it is. */
static bool row_fits(const struct fuzz_session *session, int32_t row, int32_t *kept)
{
    int32_t first = session->n_rows - session->n_kept;

    if (row == GPT2_LAST_ROW)
        row = session->n_rows - 1;
    if (session->n_kept == 0 || row < first || row >= session->n_rows)
        return false;
    *kept = row - first;
    return true;
}

static int32_t random_row(const struct fuzz_session *session)
{
    static const int32_t odd[] = {-2, INT32_MIN, INT32_MAX, 0};

    if (session == NULL || fuzz_chance(3))
        return GPT2_LAST_ROW;
    return fuzz_chance(8) ? PICK(odd) : (int32_t)fuzz_below((size_t)session->n_rows + 2);
}

static void do_logits(void)
{
    struct fuzz_session *session = fuzz_chance(16) ? NULL : fuzz_pick_session();
    const float *logits = (const float *)fuzz_sessions, **out = fuzz_chance(16) ? NULL : &logits;
    int32_t row = random_row(session), kept = 0;
    bool ok;

    fuzz_call(FUZZ_gpt2_session_logits, "%s, row %d, out %s", fuzz_name(session), (int)row,
              out == NULL ? "NULL" : "given");
    fuzz_may(session == NULL || out == NULL, GPT2_ERR_ARGUMENT);
    fuzz_may(session != NULL && !row_fits(session, row, &kept), GPT2_ERR_ROW);
    ok = fuzz_result(gpt2_session_logits(session == NULL ? NULL : session->handle, row, out));
    if (ok)
        REQUIRE(logits == session->handle->logits + (size_t)kept * (size_t)session->model->n_vocab,
                "found another row's logits");
    else
        REQUIRE(out == NULL || logits == NULL, "found logits after a failure, expected NULL");
    if (session != NULL)
        fuzz_session_settle(session, ok, false);
}

static bool params_are_right(const gpt2_sample_params *known)
{
    return known->temperature >= 0.0f && !isinf(known->temperature) && known->top_k >= 0 &&
           known->top_p >= 0.0f && known->top_p <= 1.0f && known->position >= -1;
}

static void fill_sample(gpt2_sample_params *known)
{
    static const float temperatures[] = {1.0f, 0.7f, 0.0f, 1e-7f, 1e-6f, 3e-39f, 1e30f, 3.4e38f};
    static const float wrong[] = {-1.0f, NAN, INFINITY, -INFINITY, -1e-30f};
    static const float top_ps[] = {1.0f, 0.9f, 0.0f, 1e-30f, 0.5f};
    static const int32_t top_ks[] = {0, 1, 2, 5, 40, INT32_MAX};
    static const int64_t positions[] = {-1, 0, 5, INT64_MAX};

    known->temperature = PICK(temperatures);
    known->top_k = PICK(top_ks);
    known->top_p = PICK(top_ps);
    known->seed = fuzz_random();
    known->stream = fuzz_below(3);
    known->position = PICK(positions);
    switch (fuzz_below(24)) {
    case 0:
        known->temperature = PICK(wrong);
        break;
    case 1:
        known->top_k = fuzz_chance(2) ? -1 : INT32_MIN;
        break;
    case 2:
        known->top_p = fuzz_chance(2) ? 1.0000001f : PICK(wrong);
        break;
    case 3:
        known->position = fuzz_chance(2) ? -2 : INT64_MIN;
        break;
    default:
        break;
    }
}

/* The rule of GPT2_ERR_NONFINITE; the largest logit's lowest id if there is one. */
static bool can_sample(const float *logits, int32_t n, float temperature, int32_t *best)
{
    bool bad = false;

    *best = -1;
    for (int32_t i = 0; i < n; i++) {
        bad |= isnan(logits[i]) || (isinf(logits[i]) && logits[i] > 0.0f);
        if (!isinf(logits[i]) && (*best < 0 || logits[i] > logits[*best]))
            *best = i;
    }
    if (bad || *best < 0)
        return false;
    return temperature < 1e-6f || !isinf(logits[*best] / temperature);
}

/* How many tokens are likelier than 'id'. */
static int32_t n_above(const float *logits, int32_t n, float temperature, int32_t id)
{
    int32_t above = 0;

    for (int32_t i = 0; i < n; i++)
        above += logits[i] / temperature > logits[id] / temperature;
    return above;
}

static void do_sample(void)
{
    struct fuzz_session *session = fuzz_chance(16) ? NULL : fuzz_pick_session();
    int32_t row = random_row(session), kept = 0, best = 0, id = 77, again = 0;
    int32_t *out = fuzz_chance(16) ? NULL : &id;
    gpt2_session *handle = session == NULL ? NULL : session->handle;
    const float *logits = NULL;
    gpt2_sample_params known;
    struct fuzz_params params;
    bool ok;

    fuzz_call(FUZZ_gpt2_sample, " ");
    params = fuzz_params_make(&fuzz_sample_params);
    (void)gpt2_sample_params_init(&known, sizeof known);
    if (params.writable) {
        memcpy(&known, params.at, sizeof known);
        fill_sample(&known);
        memcpy(params.at, &known, sizeof known);
        fuzz_may(!params_are_right(&known), GPT2_ERR_ARGUMENT);
    }
    fuzz_may(session == NULL || out == NULL, GPT2_ERR_ARGUMENT);
    if (session != NULL && row_fits(session, row, &kept)) {
        logits = handle->logits + (size_t)kept * (size_t)session->model->n_vocab;
        fuzz_may(!can_sample(logits, session->model->n_vocab, known.temperature, &best),
                 GPT2_ERR_NONFINITE);
    }
    fuzz_may(session != NULL && logits == NULL, GPT2_ERR_ROW);
    fuzz_say("%s, row %d, params %s, temperature %g, top_k %d, top_p %g, position %lld, id %s",
             fuzz_name(session), (int)row, params.at == NULL ? "NULL" : "given",
             (double)known.temperature, (int)known.top_k, (double)known.top_p,
             (long long)known.position, out == NULL ? "NULL" : "given");
    ok = fuzz_result(gpt2_sample(handle, row, params.at, out));
    if (ok) {
        REQUIRE(id >= 0 && id < session->model->n_vocab && !isinf(logits[id]), "found id %d",
                (int)id);
        REQUIRE(known.temperature >= 1e-6f || id == best, "found id %d, expected %d", (int)id,
                (int)best);
        REQUIRE(known.temperature < 1e-6f || known.top_k == 0 ||
                    n_above(logits, session->model->n_vocab, known.temperature, id) < known.top_k,
                "found id %d, which top_k cuts", (int)id);
        REQUIRE(gpt2_sample(handle, row, params.at, &again) == GPT2_OK && again == id,
                "found id %d, then %d from the same numbers", (int)id, (int)again);
    } else {
        REQUIRE(out == NULL || id == 0, "found id %d after a failure, expected 0", (int)id);
    }
    if (session != NULL)
        fuzz_session_settle(session, ok, false);
}

const struct fuzz_action fuzz_sample_actions[] = {
    {do_logits, 50},
    {do_sample, 60},
    {NULL, 0},
};
