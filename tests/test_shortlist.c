/*
 * test_shortlist.c: the shortlist of the head: the same tokens as from all logits, whatever the weights,
 * the inputs and the ties; and rows that have no logits to read.
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "scratch.h"
#include "tiny_model.h"

#include "model/layers.h"
#include "model/session.h"
#include "model/shortlist.h"

#include <math.h>
#include <unistd.h>

#define DIRECTORY TINY_DIRECTORY "/shortlist"
#define FILE_PATH TINY_DIRECTORY "/shortlist.file"
#define N_VOCAB   1930 /* 31 panels, the last one of 10 */
#define N_EMBD    70
#define N_STEPS   40

static const int32_t prompt[] = {5, 3, 1700};

/* A model with several panels of outputs. */
static struct tiny_model many_tokens(void)
{
    struct tiny_model file = tiny_odd(DIRECTORY);

    file.n_vocab = N_VOCAB;
    file.n_embd = N_EMBD;
    file.n_head = 7;
    file.n_positions = 64;
    file.untied = true;
    return file;
}

static gpt2_model *load(const char *path, int32_t type, int32_t n_threads)
{
    gpt2_model_params params;
    gpt2_model *model;
    char line[512];

    (void)gpt2_model_params_init(&params, sizeof params);
    params.shortlist = 1;
    params.weight_type = type;
    params.n_threads = n_threads;
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    if (gpt2_model_load(path, &params, &model) != GPT2_OK)
        fail_msg("%s", line);
    return model;
}

static gpt2_session *open_session(const gpt2_model *model, uint32_t cpu_mask, int32_t n_threads)
{
    gpt2_session_params params;
    gpt2_session *session;

    (void)gpt2_session_params_init(&params, sizeof params);
    params.cpu_mask = cpu_mask;
    params.n_threads = n_threads;
    params.n_sequences = 2;
    assert_int_equal(gpt2_session_create(model, &params, &session), GPT2_OK);
    return session;
}

static gpt2_generator *open_generator(gpt2_session *session, int32_t shortlist)
{
    gpt2_generator_params params;
    gpt2_generator *generator;

    (void)gpt2_generator_params_init(&params, sizeof params);
    params.shortlist = shortlist;
    params.ignore_eot = 1;
    assert_int_equal(gpt2_generator_create(session, &params, &generator), GPT2_OK);
    return generator;
}

/* ------------------------------------------------------------------------------- the same tokens -- */

/* Continues the prompt; returns how many of the steps left no logits to read. */
static int generate(gpt2_session *session, int32_t shortlist, const gpt2_sample_params *sampling,
                    int32_t ids[N_STEPS])
{
    gpt2_generator *generator = open_generator(session, shortlist);
    int n_partial = 0;

    assert_int_equal(gpt2_generator_start(generator, 0, prompt, COUNT(prompt), N_STEPS, sampling),
                     GPT2_OK);
    for (int i = 0; i < N_STEPS; i++) {
        const float *logits;
        gpt2_generated step;
        int32_t status;

        assert_int_equal(gpt2_generator_step(&generator, 1, &step), GPT2_OK);
        assert_int_equal(step.finish, i + 1 < N_STEPS ? GPT2_FINISH_NOT_YET : GPT2_FINISH_LENGTH);
        ids[i] = step.id;
        status = gpt2_session_logits(session, GPT2_LAST_ROW, &logits);
        assert_true(status == GPT2_OK || status == GPT2_ERR_ROW);
        n_partial += status == GPT2_ERR_ROW;
    }
    gpt2_generator_free(generator);
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    return n_partial;
}

static const struct {
    float temperature;
    int32_t top_k;
    float top_p, min_p, typical, top_n_sigma, repetition_penalty;
    bool is_partial; /* the shortlist is enough */
} samplings[] = {
    {0.0f, 0, 1.0f, 0.0f, 1.0f, 0.0f, 1.0f, true},
    {1.0f, 1, 1.0f, 0.0f, 1.0f, 0.0f, 1.0f, true},
    {1.0f, 7, 1.0f, 0.0f, 1.0f, 0.0f, 1.0f, true},
    {0.7f, 20, 0.9f, 0.0f, 1.0f, 0.0f, 1.0f, true},
    {3.0f, 31, 1.0f, 0.05f, 0.9f, 0.0f, 1.0f, true},
    {1.0f, 32, 1.0f, 0.0f, 1.0f, 0.0f, 1.0f, true}, /* more than panels: all are computed */
    {1.0f, 5000, 1.0f, 0.0f, 1.0f, 0.0f, 1.0f, true},
    {1.0f, 0, 0.9f, 0.0f, 1.0f, 0.0f, 1.0f, false},
    {1.0f, 7, 1.0f, 0.0f, 1.0f, 2.0f, 1.0f, false},
    {0.0f, 0, 1.0f, 0.0f, 1.0f, 0.0f, 1.2f, false},
};

static gpt2_sample_params sampling_of(size_t i)
{
    gpt2_sample_params params;

    (void)gpt2_sample_params_init(&params, sizeof params);
    params.temperature = samplings[i].temperature;
    params.top_k = samplings[i].top_k;
    params.top_p = samplings[i].top_p;
    params.min_p = samplings[i].min_p;
    params.typical_p = samplings[i].typical;
    params.top_n_sigma = samplings[i].top_n_sigma;
    params.repetition_penalty = samplings[i].repetition_penalty;
    params.seed = i;
    return params;
}

/* Every kind of sampling, kernels and threads: the ids of a generator that computes all logits. */
static void test_same_tokens(void **state)
{
    struct tiny_model file = many_tokens();
    uint32_t masks[4];
    size_t n_masks = tiny_cpu_masks(masks);

    (void)state;
    for (size_t i = 0; i < 2 * n_masks; i++) {
        int32_t n_threads = 1 + (int32_t)(i % 3);
        gpt2_session *session;
        gpt2_model *model;

        file.untied = i % 2 == 0;
        tiny_write(&file);
        model = load(DIRECTORY, GPT2_TYPE_F32, n_threads);
        session = open_session(model, masks[i / 2], n_threads);
        for (size_t j = 0; j < COUNT(samplings); j++) {
            gpt2_sample_params params = sampling_of(j);
            int32_t wanted[N_STEPS], ids[N_STEPS];

            assert_int_equal(generate(session, 0, &params, wanted), 0);
            assert_int_equal(generate(session, 1, &params, ids),
                             samplings[j].is_partial ? N_STEPS : 0);
            assert_memory_equal(ids, wanted, sizeof wanted);
        }
        gpt2_session_free(session);
        gpt2_model_free(model);
    }
}

/* ------------------------------------------------------------------------------------- the bound -- */

static uint64_t random_state = 77;

/* In [-1, 1). */
static float random_float(void)
{
    random_state = random_state * 0x5851f42d4c957f2d + 0x14057b7ef767814f;
    return (float)((double)(int32_t)(random_state >> 32) * 0x1p-31);
}

/* Inputs of all kinds: even, with outliers, tiny, huge, sparse, zeros, at the borders of rounding. */
static void make_inputs(float *x, int kind)
{
    static const float scales[] = {1.0f,   1e-3f,  1e4f,   1e-20f, 1e15f,
                                   1e-35f, 1e-24f, 1e-26f, 1e-28f};

    for (size_t k = 0; k < N_EMBD; k++) {
        float r = random_float();

        x[k] = r * scales[(size_t)kind % COUNT(scales)];
        if (kind % 5 == 1)
            x[k] *= k % 13 == 3 ? 100.0f : 0.01f;
        if (kind % 5 == 2)
            x[k] = k % 9 == (size_t)kind % 9 ? x[k] : 0.0f;
        if (kind % 5 == 3) /* halves of a step of the block's scale */
            x[k] = k % 32 == 0 ? 127.0f : floorf(r * 126.0f) + 0.5f;
        if (kind % 50 == 4)
            x[k] = 0.0f;
        if (kind % 50 == 9)
            x[k] = k == 7 ? (kind % 100 == 9 ? NAN : INFINITY) : x[k];
    }
}

/* The weights of a model get wider scales: outputs of all magnitudes, zeros, and equal ones. */
static void spread_weights(gpt2_model *model)
{
    static const float scales[] = {1.0f, 1.0f, 30.0f, 1e-3f, 1e-12f, 1e5f, 0.0f, 1e-30f};
    const struct gpt2i_matrix *head = &model->lm_head.weight;

    for (size_t out = 0; out < head->n_out; out++) {
        float row[N_EMBD];

        gpt2i_matrix_unpack(row, 1, head, out % 10 == 9 ? out - 5 : out); /* some are equal */
        for (size_t k = 0; k < N_EMBD && out % 10 != 9; k++)
            row[k] *= scales[out / 3 % COUNT(scales)];
        gpt2i_matrix_pack_outputs(head, row, out, 1);
    }
}

/* What must be in a row of the shortlist: the n_top largest, and what equals the last of them. */
static void check_row(const float *logits, const float *all, size_t n_top)
{
    float least = -INFINITY;
    size_t n_finite = 0;

    for (size_t i = 0; i < N_VOCAB; i++) { /* the n_top-th largest: n_top - 1 are larger, at most */
        size_t n_larger = 0;

        for (size_t j = 0; j < N_VOCAB && n_larger < n_top; j++)
            n_larger += all[j] > all[i];
        if (n_larger < n_top && (least == -INFINITY || all[i] < least))
            least = all[i];
    }
    for (size_t i = 0; i < N_VOCAB; i++) {
        bool is_missing = logits[i] == -INFINITY && all[i] != -INFINITY;

        n_finite += !is_missing;
        if (is_missing ? all[i] >= least : memcmp(&logits[i], &all[i], sizeof all[i]) != 0)
            fail_msg("id %zu of top %zu: found %g, all logits have %g, the last is %g", i, n_top,
                     (double)logits[i], (double)all[i], (double)least);
    }
    assert_true(n_finite >= n_top);
}

static void test_bound(void **state)
{
    static const size_t tops[] = {1, 2, 5, 20, 30, 31};
    static float logits[N_VOCAB], all[N_VOCAB];
    struct tiny_model file = many_tokens();
    gpt2_model *model;
    gpt2_session *session;
    float x[128] = {0};
    size_t n_computed = 0;
    char line[256];
    struct gpt2i_error error = {line, sizeof line};

    (void)state;
    tiny_write(&file);
    assert_int_equal(gpt2_model_load(DIRECTORY, NULL, &model), GPT2_OK);
    spread_weights(model);
    assert_int_equal(gpt2i_shortlist_make(model, 2, &error), GPT2_OK);
    assert_true(gpt2i_has_shortlist(model));
    session = open_session(model, GPT2_CPU_ALL, 2);
    for (int kind = 0; kind < 600; kind++) {
        size_t n_top = tops[(size_t)kind % COUNT(tops)];

        make_inputs(x, kind);
        gpt2i_linear_rows(&session->compute, all, N_VOCAB, x, &model->lm_head, 1);
        gpt2i_linear_rows(&session->compute, logits, N_VOCAB, x, &model->shortlist.copy, 1);
        gpt2i_shortlist_row(&session->compute, &session->sampling, model, logits, x, n_top);
        if (kind % 50 == 9) { /* not finite: nothing is left out */
            assert_true(isnan(all[0]) ? isnan(logits[0]) : logits[0] == all[0]);
            continue;
        }
        check_row(logits, all, n_top);
        for (size_t i = 0; n_top == 1 && kind % 5 == 0 && i < N_VOCAB; i++)
            n_computed += logits[i] != -INFINITY;
    }
    print_message("  of even inputs, a top 1 computes %.1f of %d logits\n",
                  (double)n_computed / 20.0, N_VOCAB);
    assert_true(n_computed < 20 * N_VOCAB / 4);
    gpt2_session_free(session);
    gpt2_model_free(model);
}

/* Sets an output of the copy, which holds these weights exactly, and of the head. */
static void set_output(gpt2_model *model, size_t id, const float *copy, const float *weights)
{
    float *norms = model->shortlist.norms + 2 * id;
    double square = 0.0, error = 0.0;

    gpt2i_matrix_pack_outputs(&model->shortlist.copy.weight, copy, id, 1);
    gpt2i_matrix_pack_outputs(&model->lm_head.weight, weights, id, 1);
    for (size_t k = 0; k < N_EMBD; k++) {
        square += (double)copy[k] * (double)copy[k];
        error += ((double)weights[k] - (double)copy[k]) * ((double)weights[k] - (double)copy[k]);
    }
    norms[0] = (float)(sqrt(square) * 1.00001);
    norms[1] = (float)(sqrt(error) * 1.00001);
}

/* Two tokens, of which the copy prefers the wrong one by as much as an error can hide. */
static void check_two(gpt2_session *session, gpt2_model *model, const float *x, size_t wrong,
                      size_t right)
{
    static float logits[N_VOCAB], all[N_VOCAB];

    gpt2i_linear_rows(&session->compute, all, N_VOCAB, x, &model->lm_head, 1);
    gpt2i_linear_rows(&session->compute, logits, N_VOCAB, x, &model->shortlist.copy, 1);
    assert_true(logits[wrong] > logits[right] && all[wrong] < all[right]);
    gpt2i_shortlist_row(&session->compute, &session->sampling, model, logits, x, 1);
    check_row(logits, all, 1);
}

/* Errors that all point the same way: of the inputs' rounding, then of the weights'. */
static void test_worst_errors(void **state)
{
    struct tiny_model file = many_tokens();
    float copy[2][N_EMBD], weights[2][N_EMBD], zeros[N_EMBD] = {0}, x[128] = {0};
    gpt2_session *session;
    gpt2_model *model;
    int sum = 0;

    (void)state;
    tiny_write(&file);
    model = load(DIRECTORY, GPT2_TYPE_F32, 1);
    session = open_session(model, GPT2_CPU_ALL, 1);
    for (size_t id = 0; id < N_VOCAB; id++)
        set_output(model, id, zeros, zeros);

    /* inputs of integers q and 0.49 in the direction of the right token's weights, whose sum of
       products with q is a little below 0; q falls, so that it ends near 0 */
    for (size_t k = 0; k < N_EMBD; k++) {
        int q = 90 - (int)k, sign = sum > 0 ? -1 : 1;

        if (k % 32 == 0) { /* the largest of a block */
            x[k] = 127.0f;
            copy[0][k] = copy[1][k] = 0.0f;
            continue;
        }
        sum += sign * q;
        x[k] = (float)q + 0.49f * (float)sign;
        copy[0][k] = (float)sign * -127.0f / 128.0f;
        copy[1][k] = (float)sign * 127.0f / 128.0f;
    }
    assert_true(sum != 0 && abs(sum) < 30);
    for (size_t k = 0; sum > 0 && k < N_EMBD; k++) { /* the other way round: the sum is below 0 */
        x[k] = 2.0f * rintf(x[k]) - x[k];
        copy[0][k] = -copy[0][k];
        copy[1][k] = -copy[1][k];
    }
    set_output(model, 100, copy[0], copy[0]);
    set_output(model, 900, copy[1], copy[1]);
    check_two(session, model, x, 100, 900);

    /* inputs that are exact, weights that are off by half a step */
    for (size_t k = 0; k < N_EMBD; k++) {
        x[k] = k % 2 == 0 ? 127.0f : -127.0f;
        for (size_t i = 0; i < 2; i++) {
            copy[i][k] = k % 32 == 0 ? 127.0f / 128.0f : 0.0f;
            weights[i][k] =
                copy[i][k] + (x[k] > 0.0f ? 1.0f : -1.0f) * (i == 0 ? -1.0f : 1.0f) / 256.0f;
        }
    }
    for (size_t k = 2; k < N_EMBD; k += 2) { /* a step more for the wrong one, where x is above 0 */
        copy[0][k] += k % 32 == 0 ? 0.0f : 1.0f / 128.0f;
        weights[0][k] += k % 32 == 0 ? 0.0f : 1.0f / 128.0f;
    }
    set_output(model, 100, copy[0], weights[0]);
    set_output(model, 900, copy[1], weights[1]);
    check_two(session, model, x, 100, 900);
    gpt2_session_free(session);
    gpt2_model_free(model);
}

/* -------------------------------------------------------------------------------------- the rows -- */

static int32_t count_logits(void *user, const gpt2_tap *tap)
{
    size_t *n_finite = user;

    for (int32_t i = 0; i < tap->n_columns; i++)
        *n_finite += tap->data[i] > -INFINITY;
    return 0;
}

/* A row without logits is not read; a tap sees all; two rows have all. */
static void test_rows(void **state)
{
    struct tiny_model file = many_tokens();
    gpt2_sample_params greedy = sampling_of(0);
    gpt2_generator *generators[2];
    gpt2_generated steps[2];
    gpt2_session *session;
    gpt2_model *model;
    const float *logits;
    size_t n_finite = 0;
    int32_t id, second;

    (void)state;
    tiny_write(&file);
    model = load(DIRECTORY, GPT2_TYPE_AS_FILE, 1);
    session = open_session(model, GPT2_CPU_ALL, 1);
    for (int i = 0; i < 2; i++)
        generators[i] = open_generator(session, 1);
    assert_int_equal(gpt2_sequence_open(session, &second), GPT2_OK);
    assert_int_equal(gpt2_generator_start(generators[0], 0, prompt, 3, -1, &greedy), GPT2_OK);
    assert_int_equal(gpt2_generator_step(generators, 1, steps), GPT2_OK);
    tiny_check_call(session, gpt2_session_logits(session, GPT2_LAST_ROW, &logits), GPT2_ERR_ROW,
                    "the row may have only its largest logits: its generator was made with");
    tiny_check_call(session, gpt2_sample(session, GPT2_LAST_ROW, NULL, &id), GPT2_ERR_ROW,
                    "only its largest logits");
    tiny_check_call(session, gpt2_batch_sample(session, 0, GPT2_LAST_ROW, NULL, &id), GPT2_ERR_ROW,
                    "only its largest logits");
    assert_int_equal(gpt2_generator_start(generators[1], second, prompt, 2, -1, &greedy), GPT2_OK);
    assert_int_equal(gpt2_generator_step(generators, 2, steps), GPT2_OK);
    assert_int_equal(
        gpt2_session_set_tap(session, count_logits, &n_finite, GPT2_TAP_BIT(GPT2_TAP_LOGITS)),
        GPT2_OK);
    assert_int_equal(gpt2_generator_step(generators, 1, steps), GPT2_OK);
    assert_int_equal(n_finite, N_VOCAB);
    assert_int_equal(gpt2_session_set_tap(session, NULL, NULL, 0), GPT2_OK);
    assert_int_equal(gpt2_forward(session, prompt, 1, 1), GPT2_OK); /* as ever */
    assert_int_equal(gpt2_session_logits(session, GPT2_LAST_ROW, &logits), GPT2_OK);
    for (size_t i = 0; i < N_VOCAB; i++)
        assert_true(logits[i] > -INFINITY);
    for (int i = 0; i < 2; i++)
        gpt2_generator_free(generators[i]);
    gpt2_session_free(session);
    gpt2_model_free(model);
}

/* ---------------------------------------------------------------------------------------- models -- */

static bool has_copy(gpt2_model *model, int32_t shortlist)
{
    gpt2_session *session = open_session(model, GPT2_CPU_ALL, 1);
    gpt2_sample_params greedy = sampling_of(0);
    int32_t ids[N_STEPS];
    bool is_partial = generate(session, shortlist, &greedy, ids) > 0;

    gpt2_session_free(session);
    return is_partial;
}

static int32_t to_file(void *user, const void *bytes, size_t n_bytes)
{
    return fwrite(bytes, 1, n_bytes, user) == n_bytes ? 0 : 1;
}

static void test_models(void **state)
{
    struct tiny_model file = many_tokens();
    gpt2_model_info plain, copied;
    gpt2_model_params params;
    gpt2_model *model;
    FILE *stream;
    char line[512];

    (void)state;
    tiny_write(&file);
    (void)gpt2_model_info_init(&plain, sizeof plain);
    (void)gpt2_model_info_init(&copied, sizeof copied);
    assert_int_equal(gpt2_model_load(DIRECTORY, NULL, &model), GPT2_OK);
    assert_int_equal(gpt2_model_get_info(model, &plain), GPT2_OK);
    assert_false(has_copy(model, 1)); /* it was not asked for */
    gpt2_model_free(model);

    model = load(DIRECTORY, GPT2_TYPE_F32, 1);
    assert_int_equal(gpt2_model_get_info(model, &copied), GPT2_OK);
    assert_true(copied.memory_bytes > plain.memory_bytes + N_VOCAB * N_EMBD);
    assert_true(has_copy(model, 1));
    assert_false(has_copy(model, 0));
    stream = fopen(FILE_PATH, "wb"); /* a native file keeps it */
    assert_non_null(stream);
    assert_int_equal(gpt2_model_write(model, "native.safetensors", to_file, stream, NULL, 0),
                     GPT2_OK);
    assert_int_equal(fclose(stream), 0);
    gpt2_model_free(model);
    assert_int_equal(gpt2_model_load(FILE_PATH, NULL, &model), GPT2_OK);
    assert_true(has_copy(model, 1));
    assert_int_equal(gpt2_model_get_info(model, &copied), GPT2_OK);
    assert_true(copied.memory_bytes > plain.memory_bytes + N_VOCAB * N_EMBD);
    gpt2_model_free(model);

    for (int32_t type = GPT2_TYPE_F16; type <= GPT2_TYPE_Q4; type++) { /* the head is not F32 */
        model = load(DIRECTORY, type, 1);
        assert_false(has_copy(model, 1));
        gpt2_model_free(model);
    }
    file.head_exponent = 60; /* beyond what 8 bits hold */
    tiny_write(&file);
    model = load(DIRECTORY, GPT2_TYPE_F32, 2);
    assert_false(has_copy(model, 1));
    gpt2_model_free(model);

    (void)gpt2_model_params_init(&params, sizeof params);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    params.shortlist = 2;
    assert_int_equal(gpt2_model_load(DIRECTORY, &params, &model), GPT2_ERR_ARGUMENT);
    tiny_check_says(line, "gpt2_model_params.shortlist is 2, wanted 0 to 1");
}

static int tear_down(void **state)
{
    (void)state;
    tiny_remove(DIRECTORY);
    (void)unlink(FILE_PATH);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_tokens),  cmocka_unit_test(test_bound),
        cmocka_unit_test(test_worst_errors), cmocka_unit_test(test_rows),
        cmocka_unit_test(test_models),
    };

    return cmocka_run_group_tests(tests, scratch_set_up, tear_down);
}
