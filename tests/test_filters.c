/*
 * test_filters.c: the filters of a draw, the changes to logits before them, and candidates.
 *
 * Each is compared with its definition, written plainly in double, on rows that the caller holds.
 */
#include "tiny_model.h"

#include <float.h>
#include <math.h>

#include "decode/random.h"

#define N_VOCAB 1000 /* 15 blocks of 64, and 40 */
#define N_ROWS  40

static gpt2_model *model;
static gpt2_session *session;
static gpt2_sample_params defaults;
static float logits[N_VOCAB];
static gpt2_candidate found[N_VOCAB];
static size_t n_found;

static int set_up(void **state)
{
    struct tiny_model file = tiny_odd(TINY_DIRECTORY "/filters");

    (void)state;
    file.n_vocab = N_VOCAB;
    file.tokenizer = false;
    file.eot = -1;
    model = tiny_load(&file);
    session = tiny_session(model, GPT2_CPU_ALL, 1, 8);
    return gpt2_sample_params_init(&defaults, sizeof defaults);
}

static int tear_down(void **state)
{
    (void)state;
    gpt2_session_free(session);
    gpt2_model_free(model);
    return 0;
}

/* Row 'seed': flat, peaked, with many ties, with -infinity, or far apart. */
static void fill(uint64_t seed)
{
    static const float widths[] = {1.0f, 20.0f, 4.0f, 8.0f, 200.0f};
    uint64_t kind = seed % 5;

    for (size_t i = 0; i < N_VOCAB; i++) {
        uint32_t words[4];

        gpt2i_philox(words, seed, i, 99);
        logits[i] = widths[kind] * (gpt2i_uniform(words[0]) - 0.5f);
        if (kind == 1)
            logits[i] *= gpt2i_uniform(words[1]) * gpt2i_uniform(words[2]);
        if (kind == 2)
            logits[i] = floorf(2.0f * logits[i]) / 2.0f;
        if (kind == 3 && words[3] % 3 > 0)
            logits[i] = -INFINITY;
    }
}

static void find(const gpt2_sample_params *params)
{
    if (gpt2_sample_candidates(session, logits, params, found, N_VOCAB, &n_found) != GPT2_OK)
        fail_msg("%s", gpt2_session_error(session));
    assert_in_range(n_found, 1, N_VOCAB);
}

/* ------------------------------------------------------------------------- filters by definition -- */

/* What is kept of a row, by the definitions. */
struct row {
    double x[N_VOCAB];      /* scaled logits; -infinity: not kept */
    double p[N_VOCAB];      /* their probabilities */
    bool doubtful[N_VOCAB]; /* near a threshold, where rounding decides */
};

static void normalize(struct row *row)
{
    double max = -INFINITY, total = 0.0;

    for (size_t i = 0; i < N_VOCAB; i++)
        max = fmax(max, row->x[i]);
    for (size_t i = 0; i < N_VOCAB; i++)
        total += row->p[i] = exp(row->x[i] - max);
    for (size_t i = 0; i < N_VOCAB; i++)
        row->p[i] /= total;
}

static const double *sort_keys;

/* The largest key first, of equal ones the lowest id. */
static int by_key(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

    if (sort_keys[x] != sort_keys[y])
        return sort_keys[x] > sort_keys[y] ? -1 : 1;
    return x - y;
}

static void sort(int32_t *order, const double *keys)
{
    for (int32_t i = 0; i < N_VOCAB; i++)
        order[i] = i;
    sort_keys = keys;
    qsort(order, N_VOCAB, sizeof order[0], by_key);
}

static void drop(struct row *row, size_t id)
{
    row->x[id] = -INFINITY;
}

static void define_top_n_sigma(struct row *row, const gpt2_sample_params *params)
{
    double sum = 0.0, squares = 0.0, max = -INFINITY, mean, least;
    int n = 0;

    for (size_t i = 0; i < N_VOCAB; i++) {
        if (isinf(logits[i]))
            continue;
        sum += (double)logits[i];
        max = fmax(max, (double)logits[i]);
        n++;
    }
    mean = sum / n;
    for (size_t i = 0; i < N_VOCAB; i++)
        squares += isinf(logits[i]) ? 0.0 : pow((double)logits[i] - mean, 2.0);
    least = max - (double)params->top_n_sigma * sqrt(squares / n);
    for (size_t i = 0; i < N_VOCAB; i++) {
        row->doubtful[i] |= fabs((double)logits[i] - least) < 1e-5;
        if ((double)logits[i] < least)
            drop(row, i);
    }
}

static void define_top_k(struct row *row, const gpt2_sample_params *params)
{
    int32_t order[N_VOCAB];
    double least;

    if (params->top_k >= N_VOCAB)
        return;
    sort(order, row->x);
    least = row->x[order[params->top_k - 1]];
    for (size_t i = 0; i < N_VOCAB; i++) {
        if (row->x[i] < least)
            drop(row, i);
    }
}

/* Keeps in 'order' until 'mass' is reached; keys that equal the last one's stay, too, if with_ties. */
static void keep_mass(struct row *row, const double *keys, double mass, bool with_ties)
{
    int32_t order[N_VOCAB];
    double kept = 0.0;
    double last = 0.0;

    sort(order, keys);
    for (size_t i = 0; i < N_VOCAB; i++) {
        int32_t id = order[i];

        if (i > 0 && kept >= mass && !(with_ties && keys[id] == last))
            drop(row, (size_t)id);
        else if (kept < mass || i == 0)
            last = keys[id];
        row->doubtful[id] |= fabs(kept - mass) < 1e-5;
        kept += row->p[id];
    }
}

static void define_top_p(struct row *row, const gpt2_sample_params *params)
{
    double keys[N_VOCAB];

    memcpy(keys, row->x, sizeof keys);
    keep_mass(row, keys, (double)params->top_p, false);
}

static void define_min_p(struct row *row, const gpt2_sample_params *params)
{
    double max = 0.0;

    for (size_t i = 0; i < N_VOCAB; i++)
        max = fmax(max, row->p[i]);
    for (size_t i = 0; i < N_VOCAB; i++) {
        row->doubtful[i] |= fabs(row->p[i] / max - (double)params->min_p) < 1e-5 && row->p[i] < max;
        if (row->p[i] < (double)params->min_p * max)
            drop(row, i);
    }
}

static void define_typical(struct row *row, const gpt2_sample_params *params)
{
    double keys[N_VOCAB], entropy = 0.0;

    for (size_t i = 0; i < N_VOCAB; i++)
        entropy -= row->p[i] > 0.0 ? row->p[i] * log(row->p[i]) : 0.0;
    for (size_t i = 0; i < N_VOCAB; i++)
        keys[i] = -fabs(-log(row->p[i]) - entropy);
    keep_mass(row, keys, (double)params->typical_p, true);
}

static void define_xtc(struct row *row, const gpt2_sample_params *params)
{
    int32_t order[N_VOCAB], n_top = 0;
    uint32_t words[4];

    gpt2i_philox(words, params->seed, (uint64_t)params->position, params->stream);
    if (!(gpt2i_uniform(words[1]) < params->xtc_probability))
        return;
    sort(order, row->x);
    for (size_t i = 0; i < N_VOCAB; i++) {
        n_top += row->p[i] >= (double)params->xtc_threshold;
        row->doubtful[i] |= fabs(row->p[i] - (double)params->xtc_threshold) < 1e-6;
    }
    for (int32_t i = 0; i < n_top - 1; i++)
        drop(row, (size_t)order[i]);
}

static void define_mirostat(struct row *row, const gpt2_sample_params *params)
{
    double mu = (double)*params->mirostat_mu, most = 0.0;
    int32_t order[N_VOCAB];

    sort(order, row->x);
    for (size_t i = 0; i < N_VOCAB; i++)
        most = fmax(most, row->p[i]);
    for (size_t i = 0; i < N_VOCAB; i++) {
        double surprise = -log2(row->p[i]);

        row->doubtful[i] |= fabs(surprise - mu) < 1e-5;
        row->doubtful[i] |= fabs(row->p[i] / most / 0x1p-150 - 1.0) < 1e-3;
        if (row->p[i] < 0x1p-150 * most) /* as a float its weight is 0 */
            drop(row, i);
        if (surprise > mu && !(-log2(most) > mu && (int32_t)i == order[0]))
            drop(row, i);
    }
}

static void define(struct row *row, const gpt2_sample_params *params)
{
    const struct {
        bool is_on;
        void (*apply)(struct row *row, const gpt2_sample_params *params);
    } filters[] = {
        {params->top_n_sigma > 0.0f, define_top_n_sigma},
        {params->top_k > 0, define_top_k},
        {params->top_p < 1.0f, define_top_p},
        {params->min_p > 0.0f, define_min_p},
        {params->typical_p < 1.0f, define_typical},
        {params->xtc_probability > 0.0f, define_xtc},
        {params->mirostat_tau > 0.0f, define_mirostat},
    };

    memset(row->doubtful, 0, sizeof row->doubtful);
    for (size_t i = 0; i < N_VOCAB; i++)
        row->x[i] = (double)(logits[i] / params->temperature);
    normalize(row);
    for (size_t i = 0; i < COUNT(filters); i++) {
        if (filters[i].is_on)
            filters[i].apply(row, params);
        normalize(row);
    }
}

/* Whether candidates are as defined; false if rounding decides about one. */
static bool check_found(const struct row *row)
{
    bool kept[N_VOCAB] = {false};
    double sum = 0.0;

    for (size_t i = 0; i < N_VOCAB; i++) {
        if (row->doubtful[i])
            return false;
    }
    for (size_t i = 0; i < n_found; i++) {
        int32_t id = found[i].id;

        assert_in_range(id, 0, N_VOCAB - 1);
        assert_false(kept[id]);
        kept[id] = true;
        sum += (double)found[i].probability;
        assert_true(fabs((double)found[i].probability - row->p[id]) < 2e-6);
        if (i > 0)
            assert_true(logits[found[i - 1].id] > logits[id] ||
                        (logits[found[i - 1].id] == logits[id] && found[i - 1].id < id));
    }
    for (size_t i = 0; i < N_VOCAB; i++) {
        if (kept[i] != !isinf(row->x[i]) && !(kept[i] && isinf(logits[i])))
            fail_msg("token %zu, logit %g, is %s", i, (double)logits[i], kept[i] ? "kept" : "lost");
    }
    assert_true(fabs(sum - 1.0) < 1e-5);
    return true;
}

/* Whether a drawn token is one that is kept; false if rounding decides about one. */
static bool check_kept_id(const struct row *row, int32_t id)
{
    for (size_t i = 0; i < N_VOCAB; i++) {
        if (row->doubtful[i])
            return false;
    }
    assert_true(row->p[id] > 0.0);
    return true;
}

static int n_checked, n_undecided;

static void check_rows(gpt2_sample_params params)
{
    static struct row row;

    for (uint64_t seed = 0; seed < N_ROWS; seed++) {
        fill(seed);
        params.position = (int64_t)seed;
        find(&params);
        define(&row, &params);
        n_checked++;
        n_undecided += !check_found(&row);
    }
}

static void test_each_filter(void **state)
{
    static const float shares[] = {0.0f, 1e-4f, 0.1f, 0.5f, 0.9f, 0.99f, 0.9999f};
    static const int32_t top_ks[] = {1, 2, 15, 16, 17, 40, 500, 999, 1000, 5000};
    static const float sigmas[] = {0.01f, 0.5f, 1.0f, 2.0f, 5.0f};
    static const float temperatures[] = {0.5f, 1.0f, 1.7f};
    static float mus[] = {-3.0f, 0.0f, 0.3f, 2.0f, 5.5f, 8.0f, 11.0f, 30.0f, 1e30f};

    (void)state;
    n_checked = n_undecided = 0;
    for (size_t t = 0; t < COUNT(temperatures); t++) {
        gpt2_sample_params base = defaults;

        base.temperature = temperatures[t];
        check_rows(base);
        for (size_t i = 0; i < COUNT(top_ks); i++) {
            gpt2_sample_params params = base;

            params.top_k = top_ks[i];
            check_rows(params);
        }
        for (size_t i = 0; i < COUNT(sigmas); i++) {
            gpt2_sample_params params = base;

            params.top_n_sigma = sigmas[i];
            check_rows(params);
        }
        for (size_t i = 0; i < COUNT(mus); i++) {
            gpt2_sample_params params = base;

            params.mirostat_tau = 5.0f;
            params.mirostat_mu = &mus[i];
            check_rows(params);
        }
        for (size_t i = 0; i < COUNT(shares); i++) {
            gpt2_sample_params top_p = base, min_p = base, typical = base, xtc = base;

            top_p.top_p = typical.typical_p = min_p.min_p = xtc.xtc_threshold = shares[i];
            xtc.xtc_probability = 0.5f;
            check_rows(top_p);
            check_rows(min_p);
            check_rows(typical);
            check_rows(xtc);
        }
    }
    print_message("  %d rows, %d of them undecided\n", n_checked, n_undecided);
    assert_in_range(n_undecided, 0, n_checked / 10);
}

static void test_filters_together(void **state)
{
    static float mu = 3.0f;

    (void)state;
    n_checked = n_undecided = 0;
    for (uint32_t mask = 0; mask < 128; mask++) {
        gpt2_sample_params params = defaults;

        params.temperature = 0.8f;
        params.top_n_sigma = mask & 1 ? 1.5f : 0.0f;
        params.top_k = mask & 2 ? 30 : 0;
        params.top_p = mask & 4 ? 0.95f : 1.0f;
        params.min_p = mask & 8 ? 0.02f : 0.0f;
        params.typical_p = mask & 16 ? 0.8f : 1.0f;
        params.xtc_probability = mask & 32 ? 0.7f : 0.0f;
        params.xtc_threshold = 0.05f;
        params.mirostat_tau = mask & 64 ? 2.0f : 0.0f;
        params.mirostat_mu = &mu;
        check_rows(params);
        assert_true(mu == 3.0f); /* candidates are not a draw */
    }
    print_message("  %d rows, %d of them undecided\n", n_checked, n_undecided);
    assert_in_range(n_undecided, 0, n_checked / 10);
}

/* At any temperature top-p of 0 keeps the largest logit alone, also where the quotients are equal. */
static void test_rank_is_by_logit(void **state)
{
    static const float temperatures[] = {1e-5f, 1.0f, 1e30f, 3.4e38f};
    gpt2_sample_params params = defaults;

    (void)state;
    params.top_p = 0.0f;
    for (size_t t = 0; t < COUNT(temperatures); t++) {
        params.temperature = temperatures[t];
        fill(0);
        logits[700] = 1.0f + 0x1p-23f;
        logits[300] = 1.0f;
        find(&params);
        assert_int_equal(n_found, 1);
        assert_int_equal(found[0].id, 700);
    }
    params.top_p = 1.0f; /* equal quotients are ties of top-k, as in Hugging Face's */
    params.top_k = 1;
    params.temperature = 3.0f;
    for (size_t i = 0; i < N_VOCAB; i++)
        logits[i] = -1.0f;
    logits[700] = 1.0f + 0x1p-23f;
    logits[300] = 1.0f;
    find(&params);
    assert_int_equal(n_found, logits[700] / 3.0f == logits[300] / 3.0f ? 2 : 1);
}

/* A token whose weight is too small for a float is never drawn, though XTC ranks it last. */
static void test_xtc_of_tiny_weights(void **state)
{
    gpt2_sample_params params = defaults;
    int32_t id;

    (void)state;
    for (size_t i = 0; i < N_VOCAB; i++)
        logits[i] = -300.0f;
    logits[10] = 1.0f;
    logits[20] = 0.5f;
    params.xtc_probability = 1.0f;
    params.xtc_threshold = 0.0f;
    for (params.position = 0; params.position < 100; params.position++) {
        assert_int_equal(gpt2_sample_logits(session, logits, &params, &id), GPT2_OK);
        assert_int_equal(id, 20);
    }
}

/* After each draw, mu is that of the rule, from the probability of the token among those kept. */
static void test_mirostat_learns(void **state)
{
    static struct row row;
    gpt2_sample_params params = defaults;
    float mu = 2.0f * 3.0f;
    int n_moved = 0;

    (void)state;
    params.mirostat_tau = 3.0f;
    params.mirostat_mu = &mu;
    for (uint64_t step = 0; step < 600; step++) {
        float before = mu;
        double wanted;
        int32_t id;

        fill(step % 40);
        params.position = (int64_t)step;
        params.temperature = step % 3 == 0 ? 1.0f : 1.6f;
        params.mirostat_eta = step % 7 == 0 ? 0.0f : 0.3f;
        params.top_k = step % 4 == 0 ? 50 : 0;
        params.xtc_probability = step % 5 == 0 ? 1.0f : 0.0f;
        define(&row, &params);
        assert_int_equal(gpt2_sample_logits(session, logits, &params, &id), GPT2_OK);
        if (check_kept_id(&row, id)) {
            wanted = (double)before - (double)params.mirostat_eta * (-log2(row.p[id]) - 3.0);
            if (fabs((double)mu - wanted) > 1e-5)
                fail_msg("step %d: mu is %.7g, wanted %.7g", (int)step, (double)mu, wanted);
            n_moved += mu != before;
        }
    }
    assert_true(n_moved > 300);
}

/* What must leave mu alone, and the ends of its range. */
static void test_mirostat_mu(void **state)
{
    gpt2_sample_params params = defaults;
    float mu = 2.5f;
    int32_t id, best = 0;

    (void)state;
    fill(0);
    for (int32_t i = 1; i < N_VOCAB; i++)
        best = logits[i] > logits[best] ? i : best;
    params.mirostat_mu = &mu;
    assert_int_equal(gpt2_sample_logits(session, logits, &params, &id), GPT2_OK); /* off */
    assert_true(mu == 2.5f);
    params.mirostat_tau = 1.0f;
    params.temperature = 9e-7f;
    assert_int_equal(gpt2_sample_logits(session, logits, &params, &id), GPT2_OK);
    assert_true(mu == 2.5f && id == best);
    params.temperature = 1.0f;
    params.bias_ids = &best;
    params.bias_values = &(float){INFINITY};
    params.n_biases = 1;
    assert_int_equal(gpt2_sample_logits(session, logits, &params, &id), GPT2_ERR_NONFINITE);
    assert_true(mu == 2.5f);
    params.n_biases = 0;
    params.mirostat_eta = FLT_MAX; /* a surprise of 0: mu - eta (0 - tau) is beyond a float */
    params.top_k = 1;
    params.mirostat_tau = 2.0f;
    assert_int_equal(gpt2_sample_logits(session, logits, &params, &id), GPT2_OK);
    assert_true(mu == FLT_MAX);
    params.top_k = 0;
    params.mirostat_tau = 1e-3f;
    assert_int_equal(gpt2_sample_logits(session, logits, &params, &id), GPT2_OK);
    assert_true(mu == -FLT_MAX);
    assert_int_equal(gpt2_sample_logits(session, logits, &params, &id), GPT2_OK);
    assert_int_equal(id, best);
}

/* ---------------------------------------------------------------------------- changes to logits -- */

/* The logits that are drawn from, by a callback that sees them last. */
static float seen[N_VOCAB];
static int64_t seen_position;
static int32_t callback_result;

static int32_t see(void *user, int64_t position, float *row, int32_t n_vocab)
{
    assert_ptr_equal(user, seen);
    assert_int_equal(n_vocab, N_VOCAB);
    assert_int_equal(gpt2_session_reset(session), GPT2_ERR_ARGUMENT);
    memcpy(seen, row, sizeof seen);
    seen_position = position;
    row[77] = 1000.0f;
    return callback_result;
}

/* Runs the changes; 'wanted' is what the callback must see. */
static void check_changes(gpt2_sample_params params, const float *wanted)
{
    float before[N_VOCAB];
    int32_t id;

    params.callback = see;
    params.callback_user = seen;
    callback_result = 0;
    memcpy(before, logits, sizeof before);
    if (gpt2_sample_logits(session, logits, &params, &id) != GPT2_OK)
        fail_msg("%s", gpt2_session_error(session));
    assert_int_equal(id, 77);
    assert_memory_equal(seen, wanted, sizeof seen);
    assert_memory_equal(logits, before, sizeof before);
}

static const int32_t history[] = {5, 9, 5, 3, 5, 9, 5};

static void test_bias(void **state)
{
    static const int32_t ids[] = {3, 999, 3};
    static const float values[] = {0.5f, -2.0f, 0.25f};
    static float dense[N_VOCAB];
    gpt2_sample_params params = defaults;
    float wanted[N_VOCAB];

    (void)state;
    fill(0);
    for (size_t i = 0; i < N_VOCAB; i++)
        dense[i] = (float)i * 0.25f;
    dense[8] = -INFINITY;
    params.bias_ids = ids;
    params.bias_values = values;
    params.n_biases = COUNT(ids);
    memcpy(wanted, logits, sizeof wanted);
    wanted[3] += 0.5f;
    wanted[999] += -2.0f;
    wanted[3] += 0.25f;
    check_changes(params, wanted);
    assert_int_equal(seen_position, 0);
    params.bias = dense;
    for (size_t i = 0; i < N_VOCAB; i++)
        wanted[i] = logits[i] + dense[i];
    wanted[3] += 0.5f;
    wanted[999] += -2.0f;
    wanted[3] += 0.25f;
    check_changes(params, wanted);
}

static void test_penalties(void **state)
{
    gpt2_sample_params params = defaults;
    float wanted[N_VOCAB];

    (void)state;
    fill(0);
    logits[5] = 2.0f;
    logits[9] = -2.0f;
    logits[3] = -INFINITY;
    params.history = history;
    params.n_history = COUNT(history);
    params.repetition_penalty = 1.25f;
    memcpy(wanted, logits, sizeof wanted);
    wanted[5] = 2.0f / 1.25f;
    wanted[9] = -2.0f * 1.25f;
    check_changes(params, wanted);
    assert_int_equal(seen_position, 7);
    params.frequency_penalty = 0.5f;
    params.presence_penalty = 0.125f;
    wanted[5] -= 4.0f * 0.5f + 0.125f;
    wanted[9] -= 2.0f * 0.5f + 0.125f;
    check_changes(params, wanted);
    params.penalty_window = 2; /* 9, 5 */
    wanted[5] = 2.0f / 1.25f - (0.5f + 0.125f);
    wanted[9] = -2.0f * 1.25f - (0.5f + 0.125f);
    check_changes(params, wanted);
    params.penalty_window = 1;
    wanted[9] = -2.0f;
    check_changes(params, wanted);
    params.n_history = 0;
    wanted[5] = 2.0f;
    check_changes(params, wanted);
}

/* How many tokens right before window[end] are also the last of the window, breakers left out. */
static int32_t repeated_before(const int32_t *window, int32_t n, int32_t end,
                               const gpt2_sample_params *params)
{
    int32_t longest = 0;

    for (int32_t length = 1; length <= 50 && length <= end; length++) {
        bool is_broken = false;

        for (int32_t i = n - length; i < n; i++)
            for (size_t j = 0; j < params->n_dry_breakers; j++)
                is_broken |= window[i] == params->dry_breakers[j];
        if (!is_broken && memcmp(window + end - length, window + n - length,
                                 (size_t)length * sizeof window[0]) == 0)
            longest = length;
    }
    return longest;
}

/* DRY's rule, plainly: what it subtracts from the logit of 'id'. */
static double define_dry(int32_t id, const gpt2_sample_params *params)
{
    int32_t n = (int32_t)params->n_history, longest = 0;
    const int32_t *window = params->history;

    if (params->penalty_window > 0 && params->penalty_window < n) {
        window += n - params->penalty_window;
        n = params->penalty_window;
    }
    for (size_t j = 0; j < params->n_dry_breakers; j++) {
        if (params->dry_breakers[j] == id)
            return 0.0;
    }
    for (int32_t i = 0; i < n; i++) {
        int32_t length = window[i] == id ? repeated_before(window, n, i, params) : 0;

        longest = length > longest ? length : longest;
    }
    if (longest == 0 || longest < params->dry_allowed_length)
        return 0.0;
    return (double)params->dry_multiplier *
           pow((double)params->dry_base, longest - params->dry_allowed_length);
}

/* Histories of few tokens, with parts of them again, some longer than 50. */
static void test_dry(void **state)
{
    static const float bases[] = {1.0f, 1.1f, 1.75f};
    static int32_t text[300], breakers[2];
    gpt2_sample_params params = defaults;
    int n_penalized = 0, n_broken = 0, n_longest = 0;

    (void)state;
    params.callback = see;
    params.callback_user = seen;
    callback_result = 0;
    for (uint64_t round = 0; round < 3000; round++) {
        uint32_t words[4];
        size_t n, n_again;
        int32_t id;

        gpt2i_philox(words, round, 0, 7);
        n = words[0] % 4 == 0 ? words[0] / 4 % 4 : words[0] / 4 % 200;
        for (size_t i = 0; i < n; i++) {
            uint32_t more[4];

            gpt2i_philox(more, round, i, 8);
            text[i] = (int32_t)(more[0] % (2 + words[1] % 4)) * 200;
        }
        n_again = n == 0 ? 0 : words[1] / 8 % (n + 1) % 90;
        memmove(text + n, text + words[2] % (n - n_again + 1), n_again * sizeof text[0]);
        n += n_again;
        breakers[0] = (int32_t)(words[2] / 512 % 5) * 200;
        breakers[1] = 999;
        params.history = text;
        params.n_history = n;
        params.dry_breakers = breakers;
        params.n_dry_breakers = words[3] % 3;
        params.dry_multiplier = words[3] / 4 % 2 ? 0.8f : 2.0f;
        params.dry_base = bases[words[3] / 8 % 3];
        params.dry_allowed_length = (int32_t)(words[3] / 32 % 5);
        params.penalty_window = words[3] / 256 % 3 == 0 ? (int32_t)(words[3] / 1024 % 120) : 0;
        fill(0);
        if (gpt2_sample_logits(session, logits, &params, &id) != GPT2_OK)
            fail_msg("%s", gpt2_session_error(session));
        for (int32_t i = 0; i < N_VOCAB; i++) {
            double less = i % 200 == 0 ? define_dry(i, &params) : 0.0;
            double wanted = (double)logits[i] - less;

            n_penalized += less > 0.0;
            n_longest += less > 0.9 * 2.0 * pow(1.75, 46.0);
            if (less == 0.0)
                assert_true(seen[i] == logits[i]);
            else if (fabs((double)seen[i] - wanted) > 1e-5 * fmax(1.0, fabs(wanted)))
                fail_msg("round %d: logit %d is %g, wanted %g", (int)round, (int)i, (double)seen[i],
                         wanted);
        }
        n_broken += params.n_dry_breakers > 0;
    }
    print_message("  %d logits penalized, %d of them for 50 tokens\n", n_penalized, n_longest);
    assert_true(n_penalized > 1000 && n_broken > 1000 && n_longest > 5);
}

/* By hand; its place is after the penalties, and before the n-grams. */
static void test_dry_by_hand(void **state)
{
    static const int32_t breaker[] = {9};
    gpt2_sample_params params = defaults;
    float wanted[N_VOCAB];

    (void)state;
    fill(0);
    logits[5] = 2.0f;
    logits[9] = -2.0f;
    params.history = history; /* 5 9 5 3 5 9 5: after "5 9 5" came 3, after "5" came 9 */
    params.n_history = COUNT(history);
    params.dry_multiplier = 0.5f;
    params.dry_base = 3.0f;
    memcpy(wanted, logits, sizeof wanted);
    wanted[3] -= 0.5f * 3.0f;
    check_changes(params, wanted);
    params.dry_allowed_length = 1;
    wanted[3] = logits[3] - 0.5f * 3.0f * 3.0f;
    wanted[9] = logits[9] - 0.5f;
    check_changes(params, wanted);
    params.repetition_penalty = 1.25f;
    params.penalty_window = 4; /* 3 5 9 5 */
    wanted[3] = logits[3] < 0.0f ? logits[3] * 1.25f : logits[3] / 1.25f;
    wanted[5] = 2.0f / 1.25f;
    wanted[9] = -2.0f * 1.25f - 0.5f;
    check_changes(params, wanted);
    params.no_repeat_ngram_size = 3; /* of the whole history */
    wanted[3] = -INFINITY;
    check_changes(params, wanted);
    params = defaults;
    params.history = history;
    params.n_history = COUNT(history);
    params.dry_multiplier = 0.5f;
    params.dry_allowed_length = 1;
    params.dry_breakers = breaker;
    params.n_dry_breakers = 1;
    memcpy(wanted, logits, sizeof wanted);
    wanted[3] -= 0.5f;
    check_changes(params, wanted);
    params.n_dry_breakers = 0;
    params.dry_base = 3e38f; /* 3: 0.5 times its square is beyond a float */
    wanted[3] = -INFINITY;
    wanted[9] -= 0.5f;
    check_changes(params, wanted);
    params.n_history = 1;
    check_changes(params, logits);
    params.n_history = 0;
    check_changes(params, logits);
}

static void test_ngrams(void **state)
{
    gpt2_sample_params params = defaults;
    float wanted[N_VOCAB];

    (void)state;
    fill(0);
    params.history = history;
    params.n_history = COUNT(history);
    params.no_repeat_ngram_size = 3; /* ... 9, 5 was followed by 3 */
    memcpy(wanted, logits, sizeof wanted);
    wanted[3] = -INFINITY;
    check_changes(params, wanted);
    params.no_repeat_ngram_size = 2; /* 5 was followed by 9, 3 and 9 */
    wanted[9] = -INFINITY;
    check_changes(params, wanted);
    params.no_repeat_ngram_size = 1;
    wanted[5] = -INFINITY;
    check_changes(params, wanted);
    params.no_repeat_ngram_size = 8; /* longer than the history */
    check_changes(params, logits);
    params.no_repeat_ngram_size = INT32_MAX;
    check_changes(params, logits);
    params.no_repeat_ngram_size = 3;
    params.n_history = 1;
    check_changes(params, logits);
}

static void test_banned_and_allowed(void **state)
{
    static const int32_t allowed[] = {4, 900, 4, 12};
    static const int32_t banned[] = {900, 0};
    gpt2_sample_params params = defaults;
    float wanted[N_VOCAB];

    (void)state;
    fill(0);
    params.banned_ids = banned;
    params.n_banned = COUNT(banned);
    memcpy(wanted, logits, sizeof wanted);
    wanted[0] = wanted[900] = -INFINITY;
    check_changes(params, wanted);
    params.allowed_ids = allowed;
    params.n_allowed = COUNT(allowed);
    for (size_t i = 0; i < N_VOCAB; i++)
        wanted[i] = i == 4 || i == 12 ? logits[i] : -INFINITY;
    check_changes(params, wanted);
    find(&params);
    for (size_t i = 0; i < 2; i++)
        assert_true(found[i].id == 4 || found[i].id == 12);
    params.temperature = 0.0f;
    find(&params);
    assert_true(found[0].probability < 1.0f); /* counts as 1 */
}

/* Greedy choices see the changes, too, and no filter. */
static void test_greedy(void **state)
{
    static const int32_t banned[] = {77};
    gpt2_sample_params params = defaults;
    int32_t id;

    (void)state;
    fill(0);
    logits[77] = 5.0f;
    logits[640] = logits[641] = 4.0f;
    params.temperature = 0.0f;
    params.xtc_probability = 1.0f;
    params.xtc_threshold = 0.0f;
    assert_int_equal(gpt2_sample_logits(session, logits, &params, &id), GPT2_OK);
    assert_int_equal(id, 77);
    params.banned_ids = banned;
    params.n_banned = 1;
    assert_int_equal(gpt2_sample_logits(session, logits, &params, &id), GPT2_OK);
    assert_int_equal(id, 640);
}

/* ------------------------------------------------------------------------------- the whole call -- */

static void test_same_bits(void **state)
{
    uint32_t masks[4];
    size_t n_masks = tiny_cpu_masks(masks);
    static gpt2_candidate first[N_VOCAB];

    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        gpt2_sample_params params = defaults;
        int32_t first_id = -1;

        fill(seed);
        params.seed = seed;
        params.temperature = 0.9f;
        params.top_k = seed % 2 ? 100 : 0;
        params.top_p = seed % 3 ? 0.9f : 1.0f;
        params.typical_p = seed % 5 ? 1.0f : 0.7f;
        for (size_t m = 0; m < n_masks; m++) {
            gpt2_session *other = tiny_session(model, masks[m], 1, 8);
            size_t n_kept = 0;
            int32_t id = -1;

            assert_int_equal(gpt2_sample_logits(other, logits, &params, &id), GPT2_OK);
            assert_int_equal(
                gpt2_sample_candidates(other, logits, &params, found, N_VOCAB, &n_kept), GPT2_OK);
            if (m == 0) {
                first_id = id;
                n_found = n_kept;
                memcpy(first, found, n_kept * sizeof found[0]);
            }
            assert_int_equal(id, first_id);
            assert_int_equal(n_kept, n_found);
            assert_memory_equal(found, first, n_kept * sizeof found[0]);
            gpt2_session_free(other);
        }
    }
}

static void test_capacity(void **state)
{
    gpt2_candidate few[3] = {{-1, -1.0f}, {-1, -1.0f}, {-1, -1.0f}};
    gpt2_sample_params params = defaults;
    size_t n_kept = 99;

    (void)state;
    fill(1);
    params.top_k = 50;
    find(&params);
    assert_int_equal(gpt2_sample_candidates(session, logits, &params, NULL, 0, &n_kept), GPT2_OK);
    assert_int_equal(n_kept, n_found);
    assert_int_equal(gpt2_sample_candidates(session, logits, &params, few, 2, &n_kept), GPT2_OK);
    assert_int_equal(n_kept, n_found);
    assert_memory_equal(few, found, 2 * sizeof few[0]);
    assert_int_equal(few[2].id, -1);
}

/* A row that the session keeps, and the caller's copy of it, give the same token. */
static void test_rows_of_the_session(void **state)
{
    static const int32_t text[] = {1, 2, 3};
    gpt2_sample_params params = defaults;
    const float *row;
    int32_t id, copied;

    (void)state;
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    assert_int_equal(gpt2_forward(session, text, 3, 1), GPT2_OK);
    assert_int_equal(gpt2_session_logits(session, GPT2_LAST_ROW, &row), GPT2_OK);
    params.history = text;
    params.n_history = 3;
    params.repetition_penalty = 1.5f;
    for (params.seed = 0; params.seed < 50; params.seed++) {
        assert_int_equal(gpt2_sample(session, GPT2_LAST_ROW, &params, &id), GPT2_OK);
        assert_int_equal(gpt2_sample_logits(session, row, &params, &copied), GPT2_OK);
        assert_int_equal(id, copied);
    }
}

/* ------------------------------------------------------------------------------------- errors -- */

static void check_fails(const gpt2_sample_params *params, int32_t status, const char *words)
{
    int32_t id = 5;
    size_t n_kept = 5;

    assert_int_equal(gpt2_sample_logits(session, logits, params, &id), status);
    assert_int_equal(id, 0);
    tiny_check_says(gpt2_session_error(session), words);
    assert_int_equal(gpt2_sample_candidates(session, logits, params, found, 1, &n_kept), status);
    assert_int_equal(n_kept, 0);
    tiny_check_says(gpt2_session_error(session), words);
}

#define CHECK_FIELD(field, value, status, words) \
    do {                                         \
        gpt2_sample_params params = defaults;    \
                                                 \
        params.field = value;                    \
        check_fails(&params, status, words);     \
    } while (0)

static void test_errors(void **state)
{
    static const int32_t outside[] = {0, 1000}, below[] = {-1}, good[] = {4};
    static const float bad_bias[] = {NAN};
    static float bad_mus[] = {NAN, INFINITY, -INFINITY};
    gpt2_sample_params params = defaults;

    (void)state;
    fill(0);
    CHECK_FIELD(top_n_sigma, -1.0f, GPT2_ERR_ARGUMENT, "top_n_sigma is negative, wanted 0 or more");
    CHECK_FIELD(min_p, 1.5f, GPT2_ERR_ARGUMENT, "min_p is too large, wanted 0 to 1");
    CHECK_FIELD(typical_p, NAN, GPT2_ERR_ARGUMENT, "typical_p is NaN, wanted 0 to 1");
    CHECK_FIELD(xtc_probability, -0.1f, GPT2_ERR_ARGUMENT, "xtc_probability is negative");
    CHECK_FIELD(xtc_threshold, 2.0f, GPT2_ERR_ARGUMENT, "xtc_threshold is too large");
    CHECK_FIELD(repetition_penalty, 0.0f, GPT2_ERR_ARGUMENT,
                "repetition_penalty is 0, wanted more");
    CHECK_FIELD(frequency_penalty, INFINITY, GPT2_ERR_ARGUMENT, "frequency_penalty is infinite");
    CHECK_FIELD(presence_penalty, NAN, GPT2_ERR_ARGUMENT, "presence_penalty is NaN");
    CHECK_FIELD(penalty_window, -1, GPT2_ERR_ARGUMENT, "penalty_window is -1, wanted 0 or more");
    CHECK_FIELD(no_repeat_ngram_size, -2, GPT2_ERR_ARGUMENT, "no_repeat_ngram_size is -2");
    CHECK_FIELD(mirostat_tau, -1.0f, GPT2_ERR_ARGUMENT, "mirostat_tau is negative");
    CHECK_FIELD(mirostat_eta, INFINITY, GPT2_ERR_ARGUMENT, "mirostat_eta is infinite");
    CHECK_FIELD(mirostat_tau, 3.0f, GPT2_ERR_ARGUMENT,
                "mirostat_mu is NULL, but mirostat_tau is not 0");
    CHECK_FIELD(dry_multiplier, NAN, GPT2_ERR_ARGUMENT, "dry_multiplier is NaN, wanted 0 or more");
    CHECK_FIELD(dry_base, 0.99f, GPT2_ERR_ARGUMENT, "dry_base is too small, wanted 1 or more");
    CHECK_FIELD(dry_base, -2.0f, GPT2_ERR_ARGUMENT, "dry_base is negative, wanted 1 or more");
    CHECK_FIELD(dry_base, 0.0f, GPT2_ERR_ARGUMENT, "dry_base is 0, wanted 1 or more");
    CHECK_FIELD(dry_allowed_length, -1, GPT2_ERR_ARGUMENT,
                "dry_allowed_length is -1, wanted 0 or more");
    CHECK_FIELD(ignores_prompt, 2, GPT2_ERR_ARGUMENT, "ignores_prompt is 2, wanted 0 to 1");
    CHECK_FIELD(n_dry_breakers, 2, GPT2_ERR_ARGUMENT, "dry_breakers is NULL, but has 2 ids");
    for (size_t i = 0; i < COUNT(bad_mus); i++) {
        params = defaults;
        params.mirostat_mu = &bad_mus[i];
        params.mirostat_tau = 1.0f;
        check_fails(&params, GPT2_ERR_ARGUMENT,
                    isnan(bad_mus[i])
                        ? "mirostat_mu points to a number that is NaN, wanted a finite"
                        : "mirostat_mu points to a number that is infinite");
    }
    params = defaults;
    params.dry_breakers = outside;
    params.n_dry_breakers = 2;
    check_fails(&params, GPT2_ERR_TOKEN, "dry_breakers[1] is 1000, wanted 0 to 999");
    params = defaults;
    params.bias_ids = below;
    params.bias_values = bad_bias;
    params.n_biases = 1;
    check_fails(&params, GPT2_ERR_TOKEN, "bias_ids[0] is -1, wanted 0 to 999");
    params = defaults;
    CHECK_FIELD(n_history, 3, GPT2_ERR_ARGUMENT, "history is NULL, but has 3 ids");
    CHECK_FIELD(n_banned, 1, GPT2_ERR_ARGUMENT, "banned_ids is NULL, but has 1 ids");
    CHECK_FIELD(n_allowed, 1, GPT2_ERR_ARGUMENT, "allowed_ids is NULL, but has 1 ids");
    CHECK_FIELD(n_biases, 1, GPT2_ERR_ARGUMENT, "bias_values is NULL, but n_biases is 1");
    params.history = outside;
    params.n_history = 2;
    check_fails(&params, GPT2_ERR_TOKEN, "history[1] is 1000, wanted 0 to 999");
    params = defaults;
    params.banned_ids = below;
    params.n_banned = 1;
    check_fails(&params, GPT2_ERR_TOKEN, "banned_ids[0] is -1, wanted 0 to 999");
    params = defaults;
    params.bias_ids = good;
    params.bias_values = bad_bias;
    params.n_biases = 1;
    check_fails(&params, GPT2_ERR_NONFINITE, "NaN or +infinity");
    params = defaults;
    params.allowed_ids = params.banned_ids = good;
    params.n_allowed = params.n_banned = 1;
    check_fails(&params, GPT2_ERR_NONFINITE, "nothing but -infinity");
    params = defaults;
    params.callback = see;
    params.callback_user = seen;
    callback_result = 1;
    check_fails(&params, GPT2_ERR_CANCELLED, "the callback of the sampling ended the call");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_filter),
        cmocka_unit_test(test_filters_together),
        cmocka_unit_test(test_rank_is_by_logit),
        cmocka_unit_test(test_xtc_of_tiny_weights),
        cmocka_unit_test(test_mirostat_learns),
        cmocka_unit_test(test_mirostat_mu),
        cmocka_unit_test(test_bias),
        cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_dry),
        cmocka_unit_test(test_dry_by_hand),
        cmocka_unit_test(test_ngrams),
        cmocka_unit_test(test_banned_and_allowed),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_capacity),
        cmocka_unit_test(test_rows_of_the_session),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests_name("filters", tests, set_up, tear_down);
}
