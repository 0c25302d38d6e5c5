/*
 * api_sample.c: logits, and sampling from them.
 */
#include "api_session.h"

#include <math.h>

#define MAX_VOCAB 130 /* of the models */

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

/* 'missing' is the status that the call gives if there is no such row. */
static struct row random_row(bool of_batch, int32_t missing)
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
    fuzz_may(row.logits == NULL, missing);
    return row;
}

static void do_logits(void)
{
    const float *logits = (const float *)fuzz_sessions, **out = fuzz_chance(16) ? NULL : &logits;
    bool of_batch = fuzz_chance(2), ok;
    struct row row;
    int32_t status;

    fuzz_call(of_batch ? FUZZ_gpt2_batch_logits : FUZZ_gpt2_session_logits, " ");
    row = random_row(of_batch, GPT2_ERR_ROW);
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

static bool is_share(float value)
{
    return value >= 0.0f && value <= 1.0f;
}

static bool params_are_right(const gpt2_sample_params *known)
{
    return known->temperature >= 0.0f && !isinf(known->temperature) && known->top_k >= 0 &&
           is_share(known->top_p) && known->position >= -1 && known->top_n_sigma >= 0.0f &&
           !isinf(known->top_n_sigma) && is_share(known->min_p) && is_share(known->typical_p) &&
           is_share(known->xtc_probability) && is_share(known->xtc_threshold) &&
           known->repetition_penalty > 0.0f && !isinf(known->repetition_penalty) &&
           isfinite(known->frequency_penalty) && isfinite(known->presence_penalty) &&
           known->penalty_window >= 0 && known->no_repeat_ngram_size >= 0 &&
           known->ignores_prompt >= 0 && known->ignores_prompt <= 1 &&
           known->dry_multiplier >= 0.0f && !isinf(known->dry_multiplier) &&
           known->dry_base >= 1.0f && !isinf(known->dry_base) && known->dry_allowed_length >= 0 &&
           (known->n_dry_breakers == 0 || known->dry_breakers != NULL) &&
           known->mirostat_tau >= 0.0f && !isinf(known->mirostat_tau) &&
           known->mirostat_eta >= 0.0f && !isinf(known->mirostat_eta) &&
           (known->mirostat_tau == 0.0f ||
            (known->mirostat_mu != NULL && isfinite(*known->mirostat_mu))) &&
           (known->n_history == 0 || known->history != NULL) &&
           (known->n_banned == 0 || known->banned_ids != NULL) &&
           (known->n_allowed == 0 || known->allowed_ids != NULL) &&
           (known->n_biases == 0 || (known->bias_ids != NULL && known->bias_values != NULL));
}

/* Whether a list has an id outside the vocabulary. */
static bool has_wrong_id(const gpt2_sample_params *known, int32_t n_vocab)
{
    const int32_t *const lists[] = {known->history, known->dry_breakers, known->banned_ids,
                                    known->allowed_ids, known->bias_ids};
    const size_t sizes[] = {known->n_history, known->n_dry_breakers, known->n_banned,
                            known->n_allowed, known->n_biases};
    bool wrong = false;

    for (size_t i = 0; i < COUNT(lists); i++) {
        for (size_t j = 0; lists[i] != NULL && j < sizes[i]; j++)
            wrong |= lists[i][j] < 0 || lists[i][j] >= n_vocab;
    }
    return wrong;
}

static float foretold[MAX_VOCAB]; /* what a callback should see */

/* A logits callback that ends the call if its user says so. */
static int32_t look_at_logits(void *user, int64_t position, float *logits, int32_t n_vocab)
{
    (void)position;
    for (int32_t i = 0; i < n_vocab; i++)
        REQUIRE(logits[i] == foretold[i] || (isnan(logits[i]) && isnan(foretold[i])),
                "found logit %d changed to %g, expected %g", (int)i, (double)logits[i],
                (double)foretold[i]);
    for (int32_t i = 0; i < n_vocab; i++)
        logits[i] = logits[i] > 1e30f ? 1e30f : logits[i];
    return user != NULL;
}

static float mirostat_mu; /* of the params that are tried */

/* Mirostat, and DRY with a history of 'n_ids'. */
static void fill_newer(gpt2_sample_params *known, const int32_t *ids, size_t n_ids)
{
    static const float numbers[] = {0.0f, 0.1f, 2.0f, 3e38f, -1.0f, NAN, INFINITY};
    static const float mus[] = {4.0f, 0.0f, -1.0f, 3e38f, NAN, INFINITY, -INFINITY};
    static const float bases[] = {1.0f, 1.75f, 3e38f, 0.5f, NAN, INFINITY};

    known->mirostat_tau = numbers[fuzz_below(fuzz_chance(24) ? COUNT(numbers) : 4)];
    known->mirostat_eta = numbers[fuzz_below(fuzz_chance(24) ? COUNT(numbers) : 4)];
    mirostat_mu = mus[fuzz_below(fuzz_chance(24) ? COUNT(mus) : 4)];
    known->mirostat_mu = fuzz_chance(24) ? NULL : &mirostat_mu;
    known->ignores_prompt = fuzz_chance(24) ? 2 : (int32_t)fuzz_below(2);
    known->dry_multiplier = numbers[fuzz_below(fuzz_chance(24) ? COUNT(numbers) : 4)];
    known->dry_base = bases[fuzz_below(fuzz_chance(24) ? COUNT(bases) : 3)];
    known->dry_allowed_length = fuzz_chance(24) ? -1 : (int32_t)fuzz_below(4);
    known->dry_breakers = fuzz_chance(24) ? NULL : ids;
    known->n_dry_breakers = fuzz_chance(2) ? 0 : fuzz_below(fuzz_chance(4) ? n_ids + 1 : 2);
}

/* Filters and changes: some of them, sometimes with a value that is wrong. */
static void fill_changes(gpt2_sample_params *known)
{
    static const float shares[] = {0.0f, 0.3f, 0.9f, 1.0f, 1.5f};
    static const float numbers[] = {0.0f, 0.5f, 1.0f, 1.3f, -1.0f, NAN, INFINITY};
    static const int32_t small_ids[] = {0, 1, 2, 1, 0, 1, 2};
    static const int32_t wrong_ids[] = {0, INT32_MAX, -1};
    static const float values[] = {0.5f, -3.0f, -INFINITY, 1.0f, 0.0f, 2.0f, 0.0f};
    const int32_t *ids = fuzz_chance(24) ? wrong_ids : small_ids;
    size_t n_ids = ids == wrong_ids ? COUNT(wrong_ids) : COUNT(small_ids);

    if (fuzz_chance(3))
        known->min_p = shares[fuzz_below(fuzz_chance(24) ? COUNT(shares) : 4)];
    if (fuzz_chance(3))
        known->typical_p = shares[fuzz_below(fuzz_chance(24) ? COUNT(shares) : 4)];
    if (fuzz_chance(3))
        known->top_n_sigma = numbers[fuzz_below(fuzz_chance(24) ? COUNT(numbers) : 4)];
    if (fuzz_chance(3)) {
        known->xtc_probability = shares[fuzz_below(fuzz_chance(24) ? COUNT(shares) : 4)];
        known->xtc_threshold = shares[fuzz_below(fuzz_chance(24) ? COUNT(shares) : 4)];
    }
    if (fuzz_chance(2))
        return;
    if (fuzz_chance(2))
        fill_newer(known, ids, n_ids);
    known->repetition_penalty = numbers[1 + fuzz_below(fuzz_chance(24) ? COUNT(numbers) - 1 : 3)];
    known->frequency_penalty = numbers[fuzz_below(fuzz_chance(24) ? COUNT(numbers) : 5)];
    known->presence_penalty = numbers[fuzz_below(fuzz_chance(24) ? COUNT(numbers) : 5)];
    known->penalty_window = fuzz_chance(24) ? -1 : (int32_t)fuzz_below(9);
    known->no_repeat_ngram_size = fuzz_chance(24) ? INT32_MIN : (int32_t)fuzz_below(4);
    known->history = fuzz_chance(24) ? NULL : ids;
    known->n_history = fuzz_below(n_ids + 1);
    if (fuzz_chance(3)) {
        known->bias_ids = fuzz_chance(24) ? NULL : ids;
        known->bias_values = fuzz_chance(24) ? NULL : values;
        known->n_biases = fuzz_below(n_ids + 1);
    }
    if (fuzz_chance(3)) {
        known->banned_ids = fuzz_chance(24) ? NULL : ids;
        known->n_banned = fuzz_below(n_ids + 1);
    }
    if (fuzz_chance(3)) {
        known->allowed_ids = fuzz_chance(24) ? NULL : ids;
        known->n_allowed = fuzz_below(n_ids + 1);
    }
    if (fuzz_chance(3)) {
        known->callback = look_at_logits;
        known->callback_user = fuzz_chance(8) ? known : NULL;
    }
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

/* DRY, for each token from the longest repetition down. */
static void penalize_repetitions(float *x, int32_t n_vocab, const gpt2_sample_params *known,
                                 const int32_t *window, size_t n)
{
    for (int32_t id = 0; id < n_vocab; id++) {
        float penalty = known->dry_multiplier;
        size_t longest = 0;
        bool is_breaker = false;

        for (size_t i = 0; i < known->n_dry_breakers; i++)
            is_breaker |= known->dry_breakers[i] == id;
        for (size_t end = 0; end < n; end++) {
            for (size_t length = end; window[end] == id && length > longest; length--) {
                bool same = true;

                for (size_t i = 1; i <= length; i++) {
                    same &= window[end - i] == window[n - i];
                    for (size_t j = 0; j < known->n_dry_breakers; j++)
                        same &= known->dry_breakers[j] != window[n - i];
                }
                longest = same ? length : longest;
            }
        }
        if (is_breaker || longest == 0 || longest < (size_t)known->dry_allowed_length)
            continue;
        for (size_t i = (size_t)known->dry_allowed_length; i < longest; i++)
            penalty *= known->dry_base;
        x[id] -= penalty;
    }
}

/* What 'known', which is right, makes of a row. */
static void change_logits(float *x, int32_t n, const gpt2_sample_params *known)
{
    size_t n_history = known->n_history, window = (size_t)known->penalty_window;
    size_t first = window > 0 && window < n_history ? n_history - window : 0;
    size_t before = (size_t)known->no_repeat_ngram_size - 1;

    for (size_t i = 0; i < known->n_biases; i++)
        x[known->bias_ids[i]] += known->bias_values[i];
    for (int32_t id = 0; id < n; id++) {
        int32_t count = 0;

        for (size_t i = first; i < n_history; i++)
            count += known->history[i] == id;
        if (count == 0)
            continue;
        x[id] =
            x[id] < 0.0f ? x[id] * known->repetition_penalty : x[id] / known->repetition_penalty;
        x[id] -= (float)count * known->frequency_penalty + known->presence_penalty;
    }
    if (known->dry_multiplier > 0.0f && n_history > 0)
        penalize_repetitions(x, n, known, known->history + first, n_history - first);
    for (size_t end = before; known->no_repeat_ngram_size > 0 && end < n_history; end++) {
        bool same = true;

        for (size_t i = 0; i < before; i++)
            same &= known->history[end - 1 - i] == known->history[n_history - 1 - i];
        if (same)
            x[known->history[end]] = -INFINITY;
    }
    for (size_t i = 0; i < known->n_banned; i++)
        x[known->banned_ids[i]] = -INFINITY;
    for (int32_t id = 0; id < n && known->n_allowed > 0; id++) {
        bool allowed = false;

        for (size_t i = 0; i < known->n_allowed; i++)
            allowed |= known->allowed_ids[i] == id;
        x[id] = allowed ? x[id] : -INFINITY;
    }
    memcpy(foretold, x, (size_t)n * sizeof x[0]);
    if (known->callback != NULL)
        (void)known->callback(NULL, 0, x, n);
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

/* How a token is asked for. */
enum way { BY_ROW, BY_ITEM, BY_LOGITS, AS_CANDIDATES, N_WAYS };

static int32_t sample(enum way way, const struct row *row, const gpt2_sample_params *params,
                      int32_t *id)
{
    gpt2_candidate candidate = {77, 0.0f};
    size_t n_kept = 77;
    int32_t status;

    switch (way) {
    case BY_ROW:
        return gpt2_sample(row->handle, row->row, params, id);
    case BY_ITEM:
        return gpt2_batch_sample(row->handle, row->item, row->row, params, id);
    case BY_LOGITS:
        return gpt2_sample_logits(row->handle, row->logits, params, id);
    default:
        break;
    }
    status = gpt2_sample_candidates(row->handle, row->logits, params, &candidate, 1,
                                    id == NULL ? NULL : &n_kept);
    REQUIRE(status == GPT2_OK ? n_kept > 0 : id == NULL || n_kept == 0, "found %zu kept", n_kept);
    if (id != NULL)
        *id = status == GPT2_OK ? candidate.id : 0;
    return status;
}

/* Mirostat's state after a draw of 'id' that found it at 'before', by the probability of the id. */
static void check_mu(enum way way, const struct row *row, gpt2_sample_params known, float before,
                     int32_t id)
{
    static gpt2_candidate kept[MAX_VOCAB];
    float after = mirostat_mu;
    double p = 0.0, wanted;
    size_t n_kept;

    if (way == AS_CANDIDATES || known.temperature < 1e-6f || known.mirostat_tau == 0.0f) {
        REQUIRE(after == before || (isnan(after) && isnan(before)), "found another mu");
        return;
    }
    mirostat_mu = before;
    REQUIRE(gpt2_sample_candidates(row->handle, row->logits, &known, kept, MAX_VOCAB, &n_kept) ==
                GPT2_OK,
            "found no candidates");
    for (size_t i = 0; i < n_kept; i++)
        p = kept[i].id == id ? (double)kept[i].probability : p;
    REQUIRE(p > 0.0 && isfinite(after), "found probability %g and mu %g", p, (double)after);
    wanted = (double)before - (double)known.mirostat_eta * (-log2(p) - (double)known.mirostat_tau);
    wanted = fmin(fmax(wanted, -3.4028234663852886e38), 3.4028234663852886e38);
    REQUIRE(fabs((double)after - wanted) <=
                    1e-4 * (1.0 + (double)known.mirostat_eta + fabs(wanted)) ||
                p < 1e-37,
            "found mu %g, expected %g", (double)after, wanted);
}

/* Of a token that was drawn by these params from 'logits', with the changes that they ask for. */
static void check_id(enum way way, const struct row *row, const float *logits,
                     gpt2_sample_params known, float mu, int32_t best, int32_t id)
{
    int32_t n_vocab = row->session->model->n_vocab, again = 0;

    REQUIRE(id >= 0 && id < n_vocab && !isinf(logits[id]), "found id %d", (int)id);
    REQUIRE(way == AS_CANDIDATES || known.temperature >= 1e-6f || id == best,
            "found id %d, expected %d", (int)id, (int)best);
    REQUIRE(known.temperature < 1e-6f || known.top_k == 0 ||
                n_above(logits, n_vocab, known.temperature, id) < known.top_k,
            "found id %d, which top_k cuts", (int)id);
    known.struct_size = sizeof known;
    if (known.position == -1)
        known.position = way == BY_ROW || way == BY_ITEM ? row->next : (int64_t)known.n_history;
    check_mu(way, row, known, mu, id);
    mirostat_mu = mu;
    REQUIRE(sample(way, row, &known, &again) == GPT2_OK && again == id,
            "found id %d, then %d from the same numbers", (int)id, (int)again);
}

static void do_sample(void)
{
    static const enum fuzz_function functions[] = {FUZZ_gpt2_sample, FUZZ_gpt2_batch_sample,
                                                   FUZZ_gpt2_sample_logits,
                                                   FUZZ_gpt2_sample_candidates};
    enum way way = (enum way)fuzz_below(N_WAYS);
    int32_t best = 0, id = 77, *out = fuzz_chance(16) ? NULL : &id;
    float changed[MAX_VOCAB], mu;
    gpt2_sample_params known;
    bool ok, right = true;
    struct fuzz_params params;
    struct row row;

    fuzz_call(functions[way], " ");
    row = random_row(way == BY_ITEM, way >= BY_LOGITS ? GPT2_ERR_ARGUMENT : GPT2_ERR_ROW);
    params = fuzz_params_make(&fuzz_sample_params);
    (void)gpt2_sample_params_init(&known, sizeof known);
    if (params.writable) {
        memcpy(&known, params.at, sizeof known);
        fill_sample(&known);
        fill_changes(&known);
        memcpy(params.at, &known, sizeof known);
        right = params_are_right(&known);
        fuzz_may(!right, GPT2_ERR_ARGUMENT);
    }
    fuzz_may(out == NULL, GPT2_ERR_ARGUMENT);
    if (row.logits != NULL) {
        int32_t n_vocab = row.session->model->n_vocab;
        bool has_ids = !has_wrong_id(&known, n_vocab);

        fuzz_may(!has_ids, GPT2_ERR_TOKEN);
        memcpy(changed, row.logits, (size_t)n_vocab * sizeof changed[0]);
        if (right && has_ids) {
            change_logits(changed, n_vocab, &known);
            fuzz_may(known.callback != NULL && known.callback_user != NULL, GPT2_ERR_CANCELLED);
            fuzz_may(!can_sample(changed, n_vocab,
                                 way == AS_CANDIDATES && known.temperature < 1e-6f
                                     ? 1.0f
                                     : known.temperature,
                                 &best),
                     GPT2_ERR_NONFINITE);
        }
    } else if (row.session != NULL) {
        fuzz_may(has_wrong_id(&known, row.session->model->n_vocab), GPT2_ERR_TOKEN);
    }
    fuzz_say("%s, item %zu, row %d, params %s, temperature %g, top_k %d, top_p %g, position %lld, "
             "id %s",
             fuzz_name(row.session), row.item, (int)row.row, params.at == NULL ? "NULL" : "given",
             (double)known.temperature, (int)known.top_k, (double)known.top_p,
             (long long)known.position, out == NULL ? "NULL" : "given");
    mu = mirostat_mu;
    ok = fuzz_result(sample(way, &row, params.at, out));
    if (ok)
        check_id(way, &row, changed, known, mu, best, id);
    else
        REQUIRE(memcmp(&mirostat_mu, &mu, sizeof mu) == 0, "found another mu after a failure");
    if (!ok)
        REQUIRE(out == NULL || id == 0, "found id %d after a failure, expected 0", (int)id);
    if (row.session != NULL)
        fuzz_session_settle(row.session, ok, false);
}

/* ---------------------------------------------------------------------------------- one score -- */

/* Of token 'id' by logits [n]: the rank and the log-probability in double, and the likeliest token. */
static void check_score(const float *logits, int32_t n, int32_t id, const gpt2_token_score *score,
                        const gpt2_token_logprob *likeliest)
{
    double max = -INFINITY, sum = 0.0, wanted;
    int32_t rank = 1, best = 0;

    for (int32_t i = 0; i < n; i++) {
        max = fmax(max, (double)logits[i]);
        rank += logits[i] > logits[id];
        best = logits[i] > logits[best] ? i : best;
    }
    for (int32_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    wanted = (double)logits[id] - max - log(sum);
    REQUIRE(score->id == id && score->rank == rank && score->entropy >= 0.0,
            "found id %d, rank %d, entropy %g, expected id %d, rank %d", (int)score->id,
            (int)score->rank, score->entropy, (int)id, (int)rank);
    REQUIRE(score->logprob == wanted || fabs(score->logprob - wanted) <= 1e-6 * (1.0 - wanted),
            "found logprob %.9g, expected %.9g", score->logprob, wanted);
    REQUIRE(likeliest == NULL || likeliest->id == best, "found likeliest %d, expected %d",
            (int)likeliest->id, (int)best);
}

static void do_score_logits(void)
{
    gpt2_token_score score, *out = fuzz_chance(24) ? NULL : &score;
    gpt2_token_logprob *likeliest = NULL;
    int32_t token = 0, n_vocab, n_likeliest = 0;
    struct fuzz_params params;
    struct row row;
    bool ok;

    fuzz_call(FUZZ_gpt2_score_logits, " ");
    row = random_row(false, GPT2_ERR_ARGUMENT);
    n_vocab = row.session == NULL ? 3 : row.session->model->n_vocab;
    params = fuzz_params_make(&fuzz_score_params);
    if (params.at != NULL && params.writable) {
        gpt2_score_params *known = params.at;

        known->class_mask = NULL;
        n_likeliest = fuzz_chance(32) ? n_vocab + 1 : (int32_t)fuzz_below((size_t)n_vocab + 1);
        known->n_likeliest = n_likeliest;
    }
    fuzz_may(n_likeliest > n_vocab, GPT2_ERR_ARGUMENT);
    if (n_likeliest > 0 && !fuzz_chance(24))
        likeliest = fuzz_temp((size_t)n_likeliest * sizeof *likeliest);
    token =
        fuzz_chance(24) ? (fuzz_chance(2) ? -1 : n_vocab) : (int32_t)fuzz_below((size_t)n_vocab);
    fuzz_may(token < 0 || token >= n_vocab, GPT2_ERR_TOKEN);
    fuzz_may(out == NULL || (n_likeliest > 0 && likeliest == NULL), GPT2_ERR_ARGUMENT);
    fuzz_may(row.logits != NULL && !can_sample(row.logits, n_vocab, 0.0f, &(int32_t){0}),
             GPT2_ERR_NONFINITE);
    fuzz_say("%s, token %d, n_likeliest %d, score %s", fuzz_name(row.session), (int)token,
             (int)n_likeliest, out == NULL ? "NULL" : "given");
    ok = fuzz_result(gpt2_score_logits(row.handle, row.logits, token, params.at, out, likeliest));
    if (ok)
        check_score(row.logits, n_vocab, token, &score, likeliest);
    if (row.session != NULL)
        fuzz_session_settle(row.session, ok, false);
}

const struct fuzz_action fuzz_sample_actions[] = {
    {do_logits, 50},
    {do_sample, 60},
    {do_score_logits, 20},
    {NULL, 0},
};
