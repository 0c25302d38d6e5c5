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
    (void)state;
    n_checked = n_undecided = 0;
    for (uint32_t mask = 0; mask < 64; mask++) {
        gpt2_sample_params params = defaults;

        params.temperature = 0.8f;
        params.top_n_sigma = mask & 1 ? 1.5f : 0.0f;
        params.top_k = mask & 2 ? 30 : 0;
        params.top_p = mask & 4 ? 0.95f : 1.0f;
        params.min_p = mask & 8 ? 0.02f : 0.0f;
        params.typical_p = mask & 16 ? 0.8f : 1.0f;
        params.xtc_probability = mask & 32 ? 0.7f : 0.0f;
        params.xtc_threshold = 0.05f;
        check_rows(params);
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
        cmocka_unit_test(test_bias),
        cmocka_unit_test(test_penalties),
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
