/*
 * test_sampler.c: the random numbers and the choice of a token.
 *
 * Logits are put into a session by a tap, so it is gpt2_sample() that is tested.  The one look
 * inside is at the weights that it leaves behind: which tokens were kept.  test_filters.c has the other
 * filters, and the changes to logits.
 */
#include "tiny_model.h"

#include <float.h>
#include <math.h>

#include "decode/random.h"
#include "model/session.h"

#define N_VOCAB 97
#define N_DRAWS 120000

static gpt2_model *model;
static gpt2_session *session; /* 8 positions, 8 rows */
static gpt2_sample_params defaults;
static float wanted[N_VOCAB]; /* the logits that every row gets */
static float noise[N_VOCAB];  /* between -3 and 3 */
static float ties[N_VOCAB];   /* the same in steps of 1/2 */

static int32_t put(void *user, const gpt2_tap *tap)
{
    for (int32_t r = 0; r < tap->n_rows; r++)
        memcpy(tap->data + (size_t)r * tap->row_stride, user, sizeof wanted);
    return 0;
}

/* A text of one token whose logits are 'logits'; NULL: those in 'wanted'. */
static void put_logits(const float *logits)
{
    const int32_t id = 1;

    if (logits != NULL)
        memcpy(wanted, logits, sizeof wanted);
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    assert_int_equal(gpt2_forward(session, &id, 1, 1), GPT2_OK);
}

/* All logits are 'value'. */
static void put_all(float value)
{
    for (size_t i = 0; i < N_VOCAB; i++)
        wanted[i] = value;
    put_logits(NULL);
}

static int set_up(void **state)
{
    struct tiny_model file = tiny_odd(TINY_DIRECTORY "/sampler");

    (void)state;
    model = tiny_load(&file);
    session = tiny_session(model, GPT2_CPU_ALL, 1, 8);
    assert_int_equal(gpt2_session_set_tap(session, put, wanted, GPT2_TAP_BIT(GPT2_TAP_LOGITS)),
                     GPT2_OK);
    assert_int_equal(gpt2_sample_params_init(&defaults, sizeof defaults), GPT2_OK);
    for (size_t i = 0; i < N_VOCAB; i++) {
        uint32_t words[4];

        gpt2i_philox(words, 7, i, 0);
        noise[i] = 6.0f * gpt2i_uniform(words[0]) - 3.0f;
        ties[i] = floorf(2.0f * noise[i]) / 2.0f;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gpt2_session_free(session);
    gpt2_model_free(model);
    return 0;
}

static int32_t sample(const gpt2_sample_params *params)
{
    int32_t id = -1;

    if (gpt2_sample(session, GPT2_LAST_ROW, params, &id) != GPT2_OK)
        fail_msg("%s", gpt2_session_error(session));
    assert_in_range(id, 0, N_VOCAB - 1);
    return id;
}

/* ------------------------------------------------------------------------------------ numbers -- */

/* Two sets of numbers give the same text only if they are equal. */
static void test_determinism(void **state)
{
    const gpt2_sample_params plain = defaults;
    gpt2_sample_params all[6];
    int32_t ids[COUNT(all)][64];

    (void)state;
    put_logits(noise);
    for (size_t i = 0; i < COUNT(all); i++)
        all[i] = plain;
    all[1].seed = 1;
    all[2].seed = (uint64_t)1 << 32;
    all[3].stream = 1;
    all[4].stream = (uint64_t)1 << 63;
    for (size_t i = 0; i < COUNT(all); i++) { /* the last: positions above 2^32 */
        for (int64_t j = 0; j < 64; j++) {
            all[i].position = j + (i == 5 ? (int64_t)1 << 32 : 0);
            ids[i][j] = sample(&all[i]);
        }
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(ids[i], ids[k], sizeof ids[i]);
    }
    for (int64_t j = 63; j >= 0; j--) { /* in any order, as often as one likes */
        all[1].position = j;
        assert_int_equal(sample(&all[1]), ids[1][j]);
    }
}

/* The position that is drawn for is the one after the row, and the same everywhere. */
static void test_position(void **state)
{
    static const int32_t text[8] = {3, 1, 4, 1, 5, 9, 2, 6};
    gpt2_sample_params params = defaults;
    int32_t by_position[9], id;

    (void)state;
    params.seed = 3;
    put_logits(noise);
    for (int32_t i = 0; i <= 8; i++) {
        params.position = i;
        by_position[i] = sample(&params);
    }
    params.position = -1;
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    for (int32_t past = 0; past < 8; past += 4) { /* calls of 4 rows, of which 3 are kept */
        assert_int_equal(gpt2_forward(session, text + past, 4, 3), GPT2_OK);
        for (int32_t row = 1; row < 4; row++) {
            assert_int_equal(gpt2_sample(session, row, &params, &id), GPT2_OK);
            assert_int_equal(id, by_position[past + row + 1]);
        }
        assert_int_equal(sample(&params), by_position[past + 4]);
    }
    params = defaults;
    assert_int_equal(sample(NULL), sample(&params));
    assert_int_equal(gpt2_session_position(session), 8); /* sampling does not move it */
}

/* ------------------------------------------------------------------------------------- greedy -- */

static void test_greedy(void **state)
{
    gpt2_sample_params greedy = defaults;
    bool seen[2] = {false, false};

    (void)state;
    greedy.temperature = 0.0f;
    put_all(-FLT_MAX);
    assert_int_equal(sample(&greedy), 0);
    wanted[60] = wanted[41] = wanted[96] = 2.0f;
    put_logits(NULL);
    for (greedy.position = 0; greedy.position < 50; greedy.position++)
        assert_int_equal(sample(&greedy), 41); /* of equal ones the lowest id */
    greedy.temperature = 9.9e-7f;
    greedy.top_k = 7;
    greedy.top_p = 0.1f;
    assert_int_equal(sample(&greedy), 41);
    greedy = defaults;
    greedy.temperature = 1e-5f; /* no longer greedy: ties are drawn from */
    for (greedy.position = 0; greedy.position < 50; greedy.position++)
        seen[sample(&greedy) != 41] = true;
    assert_true(seen[0] && seen[1]);
    greedy.temperature = 0.0f;
    put_all(0.0f);
    wanted[50] = 1e-45f; /* the smallest denormal is larger than 0, and -0 is equal to it */
    wanted[3] = -0.0f;
    put_logits(NULL);
    assert_int_equal(sample(&greedy), 50);
}

/* ----------------------------------------------------------------------------- top-k and top-p -- */

struct candidate {
    double p;
    int32_t id;
};

/* Ascending; of equal ones the higher id first, as the less likely. */
static int by_p(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->p != y->p)
        return x->p < y->p ? -1 : 1;
    return y->id - x->id;
}

/*
 * Probabilities as Hugging Face's warpers define them, one after another: 0 for what is removed.
 * 'doubtful' receives the tokens whose cumulative sum is 1 - top_p but for rounding.
 */
static void reference(const float *logits, const gpt2_sample_params *params, double *p,
                      bool *doubtful)
{
    struct candidate sorted[N_VOCAB];
    double total = 0.0, cumulative = 0.0;
    size_t k = params->top_k > 0 && params->top_k < N_VOCAB ? (size_t)params->top_k : N_VOCAB;

    for (int32_t i = 0; i < N_VOCAB; i++) {
        sorted[i].p = (double)(logits[i] / params->temperature);
        sorted[i].id = i;
        doubtful[i] = false;
    }
    qsort(sorted, N_VOCAB, sizeof sorted[0], by_p);
    for (size_t i = 0; i < N_VOCAB; i++) { /* below the k-th largest: out */
        double x = sorted[i].p < sorted[N_VOCAB - k].p ? 0.0 : exp(sorted[i].p);

        p[sorted[i].id] = x;
        total += x;
    }
    for (size_t i = 0; i < N_VOCAB; i++) {
        sorted[i].p = p[sorted[i].id] / total;
        cumulative += sorted[i].p;
        p[sorted[i].id] = sorted[i].p;
        if (params->top_p >= 1.0f || i == N_VOCAB - 1)
            continue;
        doubtful[sorted[i].id] = fabs(cumulative - (1.0 - (double)params->top_p)) < 1e-6;
        if (cumulative <= 1.0 - (double)params->top_p)
            p[sorted[i].id] = 0.0;
    }
    total = 0.0;
    for (size_t i = 0; i < N_VOCAB; i++)
        total += p[i];
    for (size_t i = 0; i < N_VOCAB; i++)
        p[i] /= total;
}

/* One draw: the kept set is the reference's, and u falls into the token's share, but for rounding. */
static int check_draw(const float *logits, const gpt2_sample_params *params)
{
    const float *weights = session->sampling.weights;
    double p[N_VOCAB], total = 0.0, before = 0.0, u;
    bool doubtful[N_VOCAB];
    uint32_t words[4];
    int32_t id = sample(params);
    int n_doubtful = 0;

    reference(logits, params, p, doubtful);
    for (size_t j = 0; j < N_VOCAB; j++) {
        n_doubtful += doubtful[j];
        if ((p[j] > 0.0) != (weights[j] > 0.0f) && !doubtful[j])
            fail_msg("temperature %g, top_k %d, top_p %g: token %zu, logit %g, is %s",
                     (double)params->temperature, (int)params->top_k, (double)params->top_p, j,
                     (double)logits[j], p[j] > 0.0 ? "lost" : "kept");
        total += (double)weights[j];
    }
    gpt2i_philox(words, params->seed, (uint64_t)params->position, params->stream);
    u = (double)(words[0] >> 8) / 16777216.0;
    for (int32_t i = 0; i < id; i++)
        before += (double)weights[i] / total;
    assert_true(weights[id] > 0.0f && u >= before - 1e-6 &&
                u <= before + (double)weights[id] / total + 1e-6);
    return n_doubtful;
}

static void test_kept_sets(void **state)
{
    static const float temperatures[] = {0.6f, 1.0f, 1.7f};
    static const int32_t top_ks[] = {0, 1, 2, 5, 40, 96, 97, 98, INT32_MAX};
    static const float top_ps[] = {0.0f, 1e-6f, 0.05f, 0.3f, 0.5f, 0.9f, 0.99f, 0.999999f, 1.0f};
    const float *const inputs[] = {noise, ties};
    int n_doubtful = 0;

    (void)state;
    for (size_t i = 0; i < 2 * 3 * 9 * 9; i++) {
        gpt2_sample_params params = defaults;

        params.temperature = temperatures[i / 81 % 3];
        params.top_k = top_ks[i / 9 % 9];
        params.top_p = top_ps[i % 9];
        put_logits(inputs[i / 243]);
        for (params.position = 0; params.position < 20; params.position++)
            n_doubtful += check_draw(inputs[i / 243], &params);
    }
    assert_in_range(n_doubtful, 0, 20 * 40); /* of 20 * 486 draws */
}

static void check_distribution(float temperature, int32_t top_k, float top_p)
{
    int32_t counts[N_VOCAB] = {0};
    gpt2_sample_params params = defaults;
    double p[N_VOCAB], chi_square = 0.0;
    bool doubtful[N_VOCAB];
    int freedom = -1;

    params.temperature = temperature;
    params.top_k = top_k;
    params.top_p = top_p;
    params.seed = 42;
    reference(noise, &params, p, doubtful);
    for (params.position = 0; params.position < N_DRAWS; params.position++)
        counts[sample(&params)]++;
    for (size_t i = 0; i < N_VOCAB; i++) {
        if (p[i] == 0.0) {
            assert_int_equal(counts[i], 0);
            continue;
        }
        chi_square += pow(counts[i] - p[i] * N_DRAWS, 2.0) / (p[i] * N_DRAWS);
        freedom++;
    }
    if (chi_square > freedom + 4.0 * sqrt(2.0 * freedom)) /* by chance once in some 3000 */
        fail_msg("temperature %g, top_k %d, top_p %g: chi square is %g of %d", (double)temperature,
                 (int)top_k, (double)top_p, chi_square, freedom);
}

static void test_distribution(void **state)
{
    (void)state;
    put_logits(noise);
    check_distribution(1.0f, 0, 1.0f);
    check_distribution(0.7f, 0, 1.0f);
    check_distribution(1.0f, 12, 1.0f);
    check_distribution(1.0f, 0, 0.8f);
    check_distribution(1.5f, 30, 0.6f);
}

/* ------------------------------------------------------------------------------------- errors -- */

static void check_fails(const gpt2_sample_params *params, int32_t status, const char *words)
{
    int32_t id = 5;

    assert_int_equal(gpt2_sample(session, GPT2_LAST_ROW, params, &id), status);
    assert_int_equal(id, 0);
    tiny_check_says(gpt2_session_error(session), words);
}

static void test_not_numbers(void **state)
{
    static const float bad[] = {NAN, -NAN, INFINITY};
    gpt2_sample_params params = defaults;

    (void)state;
    for (size_t i = 0; i < COUNT(bad) * N_VOCAB * 2; i++) {
        params.temperature = (float)(i % 2);
        memcpy(wanted, noise, sizeof wanted);
        wanted[i / 2 % N_VOCAB] = bad[i / 2 / N_VOCAB];
        put_logits(NULL);
        check_fails(&params, GPT2_ERR_NONFINITE, "NaN or +infinity");
    }
    put_all(-INFINITY);
    check_fails(&params, GPT2_ERR_NONFINITE, "nothing but -infinity");
    wanted[8] = -3e38f; /* the only one left, however small */
    put_logits(NULL);
    assert_int_equal(sample(&params), 8);
    params.top_k = 50;
    params.top_p = 0.5f;
    assert_int_equal(sample(&params), 8);
    wanted[9] = 3e38f; /* farther apart than a float can say */
    put_logits(NULL);
    for (params.position = 0; params.position < 100; params.position++)
        assert_int_equal(sample(&params), 9);
    params.temperature = 0.5f; /* 6e38 is no float */
    check_fails(&params, GPT2_ERR_NONFINITE, "temperature");
    put_all(-FLT_MAX); /* nor is twice that */
    check_fails(&params, GPT2_ERR_NONFINITE, "temperature");
}

static void test_ranges(void **state)
{
    static const struct {
        float temperature;
        int32_t top_k;
        float top_p;
        int64_t position;
        const char *words;
    } bad[] = {
        {-1e-30f, 0, 1.0f, -1, "temperature is negative"},
        {NAN, 0, 1.0f, -1, "temperature is NaN, wanted 0 or more"},
        {INFINITY, 0, 1.0f, -1, "temperature is infinite"},
        {1.0f, -1, 1.0f, -1, "top_k is -1, wanted 0 or more"},
        {1.0f, 0, -0.1f, -1, "top_p is negative, wanted 0 to 1"},
        {1.0f, 0, 1.0001f, -1, "top_p is too large, wanted 0 to 1"},
        {1.0f, 0, NAN, -1, "top_p is NaN, wanted 0 to 1"},
        {0.0f, 0, 1.0f, -2, "position is -2, wanted -1 or more"},
    };
    gpt2_sample_params params = defaults;

    (void)state;
    put_logits(noise);
    for (size_t i = 0; i < COUNT(bad); i++) {
        params.temperature = bad[i].temperature;
        params.top_k = bad[i].top_k;
        params.top_p = bad[i].top_p;
        params.position = bad[i].position;
        check_fails(&params, GPT2_ERR_ARGUMENT, bad[i].words);
    }
}

/* ------------------------------------------------------------------------------- equal logits -- */

static int32_t make_logits_equal(void *user, const gpt2_tap *tap)
{
    (void)user;
    for (int32_t i = 0; i < tap->n_columns; i++)
        tap->data[i] = 1.0f;
    return 0;
}

/* A tap changes what is sampled from: here a text that begins with any token. */
static void test_equal_logits(void **state)
{
    struct tiny_model file = tiny_odd(TINY_DIRECTORY "/sampler-equal");
    gpt2_sample_params params = defaults;
    bool seen[N_VOCAB] = {false};
    const int32_t any_token = 0;
    gpt2_session *session;
    struct tiny_text text;
    int32_t id = -1;

    (void)state;
    tiny_text_begin(&text, &file);
    session = tiny_session(text.model, GPT2_CPU_ALL, 1, 8);
    assert_int_equal(
        gpt2_session_set_tap(session, make_logits_equal, NULL, GPT2_TAP_BIT(GPT2_TAP_LOGITS)),
        GPT2_OK);
    assert_int_equal(gpt2_forward(session, &any_token, 1, 1), GPT2_OK);
    for (params.position = 0; params.position < 2000; params.position++) {
        assert_int_equal(gpt2_sample(session, GPT2_LAST_ROW, &params, &id), GPT2_OK);
        seen[id] = true;
    }
    for (size_t i = 0; i < N_VOCAB; i++) /* by chance one is left out once in 10^7 */
        assert_true(seen[i]);
    params.temperature = 0.0f;
    assert_int_equal(gpt2_sample(session, GPT2_LAST_ROW, &params, &id), GPT2_OK);
    assert_int_equal(id, 0);
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    assert_int_equal(gpt2_session_set_tap(session, NULL, NULL, 0), GPT2_OK);
    assert_true(tiny_run(session, text.ids, 8, 3, 0) == text.hash);
    gpt2_session_free(session);
    gpt2_model_free(text.model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_determinism),  cmocka_unit_test(test_position),
        cmocka_unit_test(test_greedy),       cmocka_unit_test(test_kept_sets),
        cmocka_unit_test(test_distribution), cmocka_unit_test(test_not_numbers),
        cmocka_unit_test(test_ranges),       cmocka_unit_test(test_equal_logits),
    };

    return cmocka_run_group_tests_name("sampler", tests, set_up, tear_down);
}
