/*
 * api_sample.c: logits, and sampling from them.
 */
#include "api_session.h"

#include <math.h>

/* Of a call for logits or a token: the last forward call's item and row, and the kept row that it is. */
struct row {
    struct fuzz_session *session;
    gpt2_session *handle;
    bool of_batch; /* whether the function takes an item */
    size_t item;
    int32_t row;
    const float *logits; /* NULL: there is none */
    int32_t next;        /* position in the text of the token that follows */
};

static void find_row(struct row *row)
{
    const struct fuzz_rows *rows = &row->session->rows[row->item];
    int32_t index = row->row == GPT2_LAST_ROW ? rows->n_rows - 1 : row->row;
    int32_t first = rows->n_rows - rows->n_kept;
    size_t n_before = 0;

    if (row->item >= row->session->n_items || index < first || index >= rows->n_rows)
        return;
    for (size_t i = 0; i < row->item; i++)
        n_before += (size_t)row->session->rows[i].n_kept;
    row->logits = row->handle->logits +
                  (n_before + (size_t)(index - first)) * (size_t)row->session->model->n_vocab;
    row->next = rows->position - (rows->n_rows - 1 - index);
}

static struct row random_row(bool of_batch)
{
    static const int32_t odd[] = {-2, INT32_MIN, INT32_MAX, 0};
    static const size_t odd_items[] = {FUZZ_MAX_TEXTS - 1, FUZZ_MAX_TEXTS, 65536, SIZE_MAX};
    struct row row = {
        .session = fuzz_chance(16) ? NULL : fuzz_pick_session(),
        .of_batch = of_batch,
        .row = GPT2_LAST_ROW,
    };

    fuzz_may(row.session == NULL, GPT2_ERR_ARGUMENT);
    if (row.session == NULL)
        return row;
    row.handle = row.session->handle;
    if (row.of_batch)
        row.item = fuzz_chance(16) ? PICK(odd_items) : fuzz_below(row.session->n_items + 1);
    if (!fuzz_chance(3))
        row.row = fuzz_chance(8) || row.item >= row.session->n_items
                      ? PICK(odd)
                      : (int32_t)fuzz_below((size_t)row.session->rows[row.item].n_rows + 2);
    if (row.item < FUZZ_MAX_TEXTS)
        find_row(&row);
    fuzz_may(row.logits == NULL, GPT2_ERR_ROW);
    return row;
}

static void do_logits(void)
{
    const float *logits = (const float *)fuzz_sessions, **out = fuzz_chance(16) ? NULL : &logits;
    bool of_batch = fuzz_chance(2), ok;
    struct row row;
    int32_t status;

    fuzz_call(of_batch ? FUZZ_gpt2_batch_logits : FUZZ_gpt2_session_logits, " ");
    row = random_row(of_batch);
    fuzz_may(out == NULL, GPT2_ERR_ARGUMENT);
    fuzz_say("%s, item %zu, row %d, out %s", fuzz_name(row.session), row.item, (int)row.row,
             out == NULL ? "NULL" : "given");
    status = row.of_batch ? gpt2_batch_logits(row.handle, row.item, row.row, out)
                          : gpt2_session_logits(row.handle, row.row, out);
    ok = fuzz_result(status);
    if (ok)
        REQUIRE(logits == row.logits, "found another row's logits");
    else
        REQUIRE(out == NULL || logits == NULL, "found logits after a failure, expected NULL");
    if (row.session != NULL)
        fuzz_session_settle(row.session, ok, false);
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

static int32_t sample(const struct row *row, const gpt2_sample_params *params, int32_t *id)
{
    return row->of_batch ? gpt2_batch_sample(row->handle, row->item, row->row, params, id)
                         : gpt2_sample(row->handle, row->row, params, id);
}

/* Of a token that was drawn by these params. */
static void check_id(const struct row *row, gpt2_sample_params known, int32_t best, int32_t id)
{
    int32_t n_vocab = row->session->model->n_vocab, again = 0;

    REQUIRE(id >= 0 && id < n_vocab && !isinf(row->logits[id]), "found id %d", (int)id);
    REQUIRE(known.temperature >= 1e-6f || id == best, "found id %d, expected %d", (int)id,
            (int)best);
    REQUIRE(known.temperature < 1e-6f || known.top_k == 0 ||
                n_above(row->logits, n_vocab, known.temperature, id) < known.top_k,
            "found id %d, which top_k cuts", (int)id);
    known.struct_size = sizeof known;
    if (known.position == -1)
        known.position = row->next;
    REQUIRE(sample(row, &known, &again) == GPT2_OK && again == id,
            "found id %d, then %d from the same numbers", (int)id, (int)again);
}

static void do_sample(void)
{
    int32_t best = 0, id = 77, *out = fuzz_chance(16) ? NULL : &id;
    gpt2_sample_params known;
    bool of_batch = fuzz_chance(2), ok;
    struct fuzz_params params;
    struct row row;

    fuzz_call(of_batch ? FUZZ_gpt2_batch_sample : FUZZ_gpt2_sample, " ");
    row = random_row(of_batch);
    params = fuzz_params_make(&fuzz_sample_params);
    (void)gpt2_sample_params_init(&known, sizeof known);
    if (params.writable) {
        memcpy(&known, params.at, sizeof known);
        fill_sample(&known);
        memcpy(params.at, &known, sizeof known);
        fuzz_may(!params_are_right(&known), GPT2_ERR_ARGUMENT);
    }
    fuzz_may(out == NULL, GPT2_ERR_ARGUMENT);
    fuzz_may(row.logits != NULL &&
                 !can_sample(row.logits, row.session->model->n_vocab, known.temperature, &best),
             GPT2_ERR_NONFINITE);
    fuzz_say("%s, item %zu, row %d, params %s, temperature %g, top_k %d, top_p %g, position %lld, "
             "id %s",
             fuzz_name(row.session), row.item, (int)row.row, params.at == NULL ? "NULL" : "given",
             (double)known.temperature, (int)known.top_k, (double)known.top_p,
             (long long)known.position, out == NULL ? "NULL" : "given");
    ok = fuzz_result(sample(&row, params.at, out));
    if (ok)
        check_id(&row, known, best, id);
    else
        REQUIRE(out == NULL || id == 0, "found id %d after a failure, expected 0", (int)id);
    if (row.session != NULL)
        fuzz_session_settle(row.session, ok, false);
}

const struct fuzz_action fuzz_sample_actions[] = {
    {do_logits, 50},
    {do_sample, 60},
    {NULL, 0},
};
