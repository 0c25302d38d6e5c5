/*
 * test_scores.c: gpt2_score() and gpt2_score_logits(): their numbers against double, their bits in every
 * batch, chunk, number of threads and instruction set, what they refuse, and that a refused call changes
 * nothing.
 */
#include "tiny_model.h"
#include "scratch.h"
#include "slice.h"

#include <math.h>

#include "decode/scorer.h"
#include "kernels/cpu.h"
#include "kernels/dispatch.h"
#include "model/session.h"

#define DIRECTORY   TINY_DIRECTORY "/scores"
#define N_VOCAB     333 /* of the model of files */
#define N_LARGE     50257
#define N_LIKELIEST 5

static struct tiny_text text; /* 200 positions */
static uint8_t class_mask[N_LARGE / 8 + 1];

static void make_definition(void);

static int load_model(void **state)
{
    struct tiny_model kind = tiny_pages(DIRECTORY);

    if (scratch_set_up(state) != 0)
        return 1;
    tiny_text_begin(&text, &kind);
    for (size_t i = 0; i < sizeof class_mask; i++)
        class_mask[i] = (uint8_t)(i * 167 >> 2);
    make_definition();
    return 0;
}

static int free_model(void **state)
{
    (void)state;
    gpt2_model_free(text.model);
    return 0;
}

static bool is_in_class(int32_t id)
{
    return (class_mask[id / 8] >> (id % 8) & 1) != 0;
}

/* ------------------------------------------------------------------------------------ accuracy -- */

/* What a row says about a token, in double. */
struct reference {
    double logprob, entropy, class_prob;
    int32_t rank;
};

static struct reference reference_of(const float *logits, size_t n, int32_t id)
{
    struct reference reference = {.rank = 1};
    double max = -INFINITY, sum = 0.0, weighted = 0.0, in_class = 0.0;

    for (size_t i = 0; i < n; i++) {
        max = fmax(max, (double)logits[i]);
        reference.rank += logits[i] > logits[id];
    }
    for (size_t i = 0; i < n; i++) {
        double d = (double)logits[i] - max;
        double e = exp(d);

        sum += e;
        weighted += e > 0.0 ? e * d : 0.0;
        in_class += is_in_class((int32_t)i) ? e : 0.0;
    }
    reference.logprob = (double)logits[id] - max - log(sum);
    reference.entropy = log(sum) - weighted / sum;
    reference.class_prob = in_class / sum;
    return reference;
}

/* The difference, relative above 1. */
static double difference(float found, double wanted)
{
    if (isinf(wanted) && (double)found == wanted)
        return 0.0;
    return fabs((double)found - wanted) / fmax(1.0, fabs(wanted));
}

/* The n likeliest of all, one by one. */
static void check_likeliest(const gpt2_token_logprob *found, const float *logits, size_t n_vocab)
{
    static bool is_taken[N_LARGE];

    memset(is_taken, 0, sizeof is_taken);
    for (size_t k = 0; k < N_LIKELIEST; k++) {
        size_t best = 0;

        while (is_taken[best])
            best++;
        for (size_t i = best; i < n_vocab; i++) {
            if (!is_taken[i] && logits[i] > logits[best])
                best = i;
        }
        is_taken[best] = true;
        assert_int_equal(found[k].id, best);
        assert_true(difference(found[k].logprob,
                               reference_of(logits, n_vocab, found[k].id).logprob) <= 1e-6);
    }
}

static uint64_t random_state = 1;

static double random_unit(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(random_state >> 11) * 0x1p-53;
}

/* Rows of several kinds, n logits each; the last kinds are what sums of floats are bad at. */
enum { N_KINDS = 9 };

static void make_row(float *logits, size_t n, int kind)
{
    for (size_t i = 0; i < n; i++) {
        double u = random_unit();

        switch (kind) {
        case 0: /* random */
            logits[i] = (float)(20.0 * u - 10.0);
            break;
        case 1: /* likely tokens are few */
            logits[i] = (float)(-100.0 + 2.0 * log(1.0 / (u + 1e-9)));
            break;
        case 2: /* tied */
            logits[i] = (float)floor(6.0 * u) * 0.5f;
            break;
        case 3: /* far apart: most of them count as 0 */
            logits[i] = (float)(3000.0 * u);
            break;
        case 4: /* some are -infinity */
            logits[i] = u < 0.5 && i > 0 ? -INFINITY : (float)(8.0 * u);
            break;
        case 5: /* all equal */
            logits[i] = -33.7f;
            break;
        case 6: /* each exponential is just lost beside 1 */
            logits[i] = i == 3 ? 0.0f : -16.65f;
            break;
        case 7: /* one at 0, the others share as much */
            logits[i] = i == 3 ? 0.0f : -10.83f;
            break;
        default: /* each sum is rounded the same way */
            logits[i] = i == 3 ? 0.0f : -0.3567f;
        }
    }
}

static struct gpt2i_scorer scorer_of(const struct gpt2i_kernels *kernels, size_t n_vocab)
{
    struct gpt2i_scorer scorer = {kernels, n_vocab, N_LIKELIEST, class_mask};

    return scorer;
}

static void test_numbers(void **state)
{
    static float logits[N_LARGE];
    static const size_t sizes[] = {N_LIKELIEST, 17, N_VOCAB, N_LARGE};
    double worst[3] = {0.0};
    struct gpt2i_kernels kernels;

    (void)state;
    gpt2i_kernels_choose(&kernels, gpt2i_cpu_features(), false);
    for (size_t i = 0; i < COUNT(sizes) * N_KINDS * 10; i++) {
        size_t n = sizes[i % COUNT(sizes)];
        struct gpt2i_scorer scorer = scorer_of(&kernels, n);
        gpt2_token_logprob likeliest[N_LIKELIEST];

        make_row(logits, n, (int)(i / COUNT(sizes) % N_KINDS));
        for (int32_t k = 0; k < 4; k++) { /* number 3 is special in some kinds */
            int32_t id = k < 1 ? 3 : (int32_t)(random_unit() * (double)n);
            struct reference wanted = reference_of(logits, n, id);
            gpt2_token_score score;

            if (!gpt2i_score_row(&scorer, logits, id, &score, likeliest))
                fail_msg("row %zu cannot be scored", i);
            assert_int_equal(score.id, id);
            assert_int_equal(score.rank, wanted.rank);
            worst[0] = fmax(worst[0], difference(score.logprob, wanted.logprob));
            worst[1] = fmax(worst[1], difference(score.entropy, wanted.entropy));
            worst[2] = fmax(worst[2], difference(score.class_prob, wanted.class_prob));
        }
        check_likeliest(likeliest, logits, n);
    }
    print_message("  against double: log-probability %.2e, entropy %.2e, class %.2e\n", worst[0],
                  worst[1], worst[2]);
    assert_true(worst[0] <= 1e-6 && worst[1] <= 2e-6 && worst[2] <= 1e-6);
}

/* A place of each kind of number that no score can come from, anywhere in the row. */
static void test_unscorable_rows(void **state)
{
    uint32_t masks[4];
    size_t n_masks = tiny_cpu_masks(masks);
    float logits[300];
    gpt2_token_logprob likeliest[N_LIKELIEST];
    gpt2_token_score score;

    (void)state;
    for (size_t m = 0; m < n_masks; m++) {
        struct gpt2i_kernels kernels;
        struct gpt2i_scorer scorer = scorer_of(&kernels, COUNT(logits));

        gpt2i_kernels_choose(&kernels, masks[m], false);
        for (size_t i = 0; i < COUNT(logits); i++) {
            make_row(logits, COUNT(logits), 0);
            logits[(i + 16) % COUNT(logits)] = 1e30f;
            assert_true(gpt2i_score_row(&scorer, logits, 7, &score, likeliest));
            logits[i] = NAN;
            assert_false(gpt2i_score_row(&scorer, logits, 7, &score, likeliest));
            logits[i] = INFINITY;
            assert_false(gpt2i_score_row(&scorer, logits, 7, &score, likeliest));
            logits[i] = -INFINITY;
            assert_true(gpt2i_score_row(&scorer, logits, 7, &score, likeliest));
        }
        for (size_t i = 0; i < COUNT(logits); i++)
            logits[i] = -INFINITY;
        assert_false(gpt2i_score_row(&scorer, logits, 7, &score, likeliest));
    }
}

/* ---------------------------------------------------------------------------------------- bits -- */

#define N_TEXTS 3

/* What a call gives for N_TEXTS pieces of the text, the first up to the end of its context. */
static const size_t n_tokens[N_TEXTS] = {200, 70, 2};
static const size_t n_prefix[N_TEXTS] = {1, 65, 1};

struct results {
    gpt2_token_score scores[N_TEXTS][200];
    gpt2_token_logprob likeliest[N_TEXTS][200][N_LIKELIEST];
};

static struct results by_definition, results;

static gpt2_score_item item_of(struct results *to, size_t i, int32_t sequence)
{
    gpt2_score_item item = {
        sequence, 0, text.ids + i, n_tokens[i], n_prefix[i], to->scores[i], to->likeliest[i][0]};

    return item;
}

static gpt2_score_params params_of(int32_t n_likeliest)
{
    gpt2_score_params params;

    assert_int_equal(gpt2_score_params_init(&params, sizeof params), GPT2_OK);
    params.n_likeliest = n_likeliest;
    params.class_mask = class_mask;
    return params;
}

static gpt2_session *session_of(uint32_t cpu_mask, int32_t n_threads, int32_t n_batch,
                                int32_t n_logit_rows)
{
    gpt2_session_params params;
    gpt2_session *session;

    assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
    params.cpu_mask = cpu_mask;
    params.n_threads = n_threads;
    params.n_batch = n_batch;
    params.n_logit_rows = n_logit_rows;
    params.n_sequences = N_TEXTS;
    assert_int_equal(gpt2_session_create(text.model, &params, &session), GPT2_OK);
    return session;
}

/* From the logits that a forward call keeps, row by row, by scalar kernels. */
static void make_definition(void)
{
    gpt2_session *session = session_of(0, 1, 256, 200);
    struct gpt2i_scorer scorer = scorer_of(&session->compute.kernels, N_VOCAB);

    memset(&by_definition, 0, sizeof by_definition);
    for (size_t t = 0; t < N_TEXTS; t++) {
        assert_int_equal(gpt2_session_reset(session), GPT2_OK);
        assert_int_equal(gpt2_forward(session, text.ids + t, n_tokens[t] - 1, 200), GPT2_OK);
        for (size_t i = n_prefix[t]; i < n_tokens[t]; i++) {
            size_t k = i - n_prefix[t];
            const float *logits;

            assert_int_equal(gpt2_session_logits(session, (int32_t)i - 1, &logits), GPT2_OK);
            assert_true(gpt2i_score_row(&scorer, logits, text.ids[t + i],
                                        &by_definition.scores[t][k],
                                        by_definition.likeliest[t][k]));
        }
    }
    gpt2_session_free(session);
}

static void check_results(void)
{
    assert_memory_equal(&results, &by_definition, sizeof results);
    memset(&results, 0, sizeof results);
}

/* All texts in one call. */
static void score_together(gpt2_session *session)
{
    gpt2_score_params params = params_of(N_LIKELIEST);
    gpt2_score_item items[N_TEXTS];

    for (size_t i = 0; i < N_TEXTS; i++) {
        int32_t sequence = 0;

        if (i > 0)
            assert_int_equal(gpt2_sequence_open(session, &sequence), GPT2_OK);
        items[i] = item_of(&results, i, sequence);
    }
    tiny_check_call(session, gpt2_score(session, items, N_TEXTS, &params), GPT2_OK, "");
    for (size_t i = 0; i < N_TEXTS; i++) {
        int32_t position;

        assert_int_equal(gpt2_sequence_position(session, items[i].sequence, &position), GPT2_OK);
        assert_int_equal(position, n_tokens[i] - 1);
    }
    check_results();
}

/* The first text in calls that each begin with the last token of the one before; then the others. */
static void score_in_parts(gpt2_session *session, size_t part)
{
    gpt2_score_params params = params_of(N_LIKELIEST);

    for (size_t t = 0; t < N_TEXTS; t++) {
        size_t step = t == 0 ? part : n_tokens[t] - 1;

        assert_int_equal(gpt2_session_reset(session), GPT2_OK);
        for (size_t from = 0; from < n_tokens[t] - 1; from += step) {
            gpt2_score_item item = item_of(&results, t, 0);

            item.tokens += from;
            item.n_tokens = 1 + (step < n_tokens[t] - 1 - from ? step : n_tokens[t] - 1 - from);
            item.scores += from;
            item.likeliest += from * N_LIKELIEST;
            tiny_check_call(session, gpt2_score(session, &item, 1, &params), GPT2_OK, "");
        }
    }
    check_results();
}

static void test_equal_bits(void **state)
{
    static const int32_t chunks[] = {1, 3, 64, 500}, batches[] = {1, 50, 256};
    uint32_t masks[4];
    size_t n_masks = tiny_cpu_masks(masks);

    (void)state;
    for (size_t i = 0; i < n_masks * COUNT(chunks) * COUNT(batches) * 2; i += slice_step()) {
        size_t rest = i / n_masks;
        int32_t n_threads = 1 + (int32_t)(rest % 2);
        int32_t chunk = chunks[rest / 2 % COUNT(chunks)];
        gpt2_session *session =
            session_of(masks[i % n_masks], n_threads, batches[rest / 2 / COUNT(chunks)], chunk);

        score_together(session);
        score_in_parts(session, 199);
        score_in_parts(session, 20);
        gpt2_session_free(session);
    }
}

/* The logits of a forward call give the bits that gpt2_score() gives for the same token. */
static void test_logits(void **state)
{
    gpt2_session *session = session_of(GPT2_CPU_ALL, 1, 256, 200);
    gpt2_score_params params = params_of(N_LIKELIEST);
    const float *logits;

    (void)state;
    assert_int_equal(gpt2_forward(session, text.ids, n_tokens[0] - 1, SIZE_MAX), GPT2_OK);
    for (size_t i = 0; i + 1 < n_tokens[0]; i++) {
        assert_int_equal(gpt2_session_logits(session, (int32_t)i, &logits), GPT2_OK);
        tiny_check_call(session,
                        gpt2_score_logits(session, logits, text.ids[i + 1], &params,
                                          &results.scores[0][i], results.likeliest[0][i]),
                        GPT2_OK, "");
    }
    assert_memory_equal(results.scores[0], by_definition.scores[0],
                        (n_tokens[0] - 1) * sizeof(gpt2_token_score));
    assert_memory_equal(results.likeliest[0], by_definition.likeliest[0],
                        (n_tokens[0] - 1) * sizeof results.likeliest[0][0]);
    memset(&results, 0, sizeof results);
    gpt2_session_free(session);
}

static void test_logits_refused(void **state)
{
    gpt2_session *session = session_of(GPT2_CPU_ALL, 1, 50, 5);
    gpt2_score_params params = params_of(N_LIKELIEST);
    gpt2_token_logprob likeliest[N_LIKELIEST];
    gpt2_token_score score;
    float logits[N_VOCAB];

    (void)state;
    make_row(logits, N_VOCAB, 0);
    for (int32_t id = -1; id <= N_VOCAB; id += N_VOCAB + 1) {
        tiny_check_call(session, gpt2_score_logits(session, logits, id, &params, &score, likeliest),
                        GPT2_ERR_TOKEN,
                        id < 0 ? "gpt2_score_logits: token is -1, wanted 0 to 332" : "333");
    }
    params.n_likeliest = N_VOCAB + 1;
    tiny_check_call(session, gpt2_score_logits(session, logits, 1, &params, &score, likeliest),
                    GPT2_ERR_ARGUMENT, "gpt2_score_params.n_likeliest is 334");
    logits[5] = NAN;
    tiny_check_call(session, gpt2_score_logits(session, logits, 1, NULL, &score, NULL),
                    GPT2_ERR_NONFINITE, "gpt2_score_logits: the logits hold NaN or +infinity");
    logits[5] = -INFINITY;
    tiny_check_call(session, gpt2_score_logits(session, logits, 5, NULL, &score, NULL), GPT2_OK,
                    "");
    assert_true(score.rank == N_VOCAB && isinf(score.logprob));
    gpt2_session_free(session);
}

/* The common beginning runs once, without its last token; each fork is scored with it. */
static void test_forks(void **state)
{
    gpt2_session *session = session_of(GPT2_CPU_ALL, 1, 256, 64);
    gpt2_score_params params = params_of(N_LIKELIEST);
    gpt2_score_item items[2];

    (void)state;
    assert_int_equal(gpt2_forward(session, text.ids + 1, n_prefix[1] - 1, 1), GPT2_OK);
    for (size_t i = 0; i < 2; i++) {
        items[i] = item_of(&results, i == 0 ? 1 : 0, 0);
        items[i].tokens = text.ids + n_prefix[1];
        items[i].n_tokens = n_tokens[1] - n_prefix[1] + 1;
        items[i].n_prefix = 1;
        assert_int_equal(
            gpt2_sequence_fork(session, 0, (int32_t)n_prefix[1] - 1, &items[i].sequence), GPT2_OK);
    }
    tiny_check_call(session, gpt2_score(session, items, 2, &params), GPT2_OK, "");
    for (size_t i = 0; i < 2; i++)
        assert_memory_equal(items[i].scores, by_definition.scores[1],
                            (n_tokens[1] - n_prefix[1]) * sizeof(gpt2_token_score));
    memset(&results, 0, sizeof results);
    gpt2_session_free(session);
}

/* At the end of the context a text is cut, with the bits of a forward call that is cut. */
static void test_cut_text(void **state)
{
    gpt2_session_params settings;
    gpt2_score_params params = params_of(N_LIKELIEST);
    gpt2_score_item item = item_of(&results, 0, 0);
    struct gpt2i_scorer scorer;
    gpt2_session *session;

    (void)state;
    assert_int_equal(gpt2_session_params_init(&settings, sizeof settings), GPT2_OK);
    settings.n_ctx = 40;
    settings.n_logit_rows = 200;
    settings.on_full = GPT2_FULL_SHIFT;
    settings.n_keep = 3;
    assert_int_equal(gpt2_session_create(text.model, &settings, &session), GPT2_OK);
    scorer = scorer_of(&session->compute.kernels, N_VOCAB);
    item.n_prefix = 150;
    tiny_check_call(session, gpt2_score(session, &item, 1, &params), GPT2_OK, "");
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    for (size_t i = 0; i < 199; i++) {
        gpt2_token_score score;
        gpt2_token_logprob likeliest[N_LIKELIEST];
        const float *logits;

        assert_int_equal(gpt2_forward(session, text.ids + i, 1, 1), GPT2_OK);
        assert_int_equal(gpt2_session_logits(session, 0, &logits), GPT2_OK);
        assert_true(gpt2i_score_row(&scorer, logits, text.ids[i + 1], &score, likeliest));
        if (i >= 149) {
            assert_memory_equal(&score, &results.scores[0][i - 149], sizeof score);
            assert_memory_equal(likeliest, results.likeliest[0][i - 149], sizeof likeliest);
        }
    }
    memset(&results, 0, sizeof results);
    gpt2_session_free(session);
}

/* ------------------------------------------------------------------------------------- refusals -- */

static void test_refused(void **state)
{
    gpt2_session *session = session_of(GPT2_CPU_ALL, 1, 50, 5);
    static const int32_t bad_ids[2] = {1, N_VOCAB};
    gpt2_score_params params = params_of(N_LIKELIEST);
    gpt2_score_item good = item_of(&results, 2, 0), items[4];
    gpt2_token_score *scores = results.scores[0];
    gpt2_token_logprob *likeliest = results.likeliest[0][0];
    const struct {
        gpt2_score_item item;
        int32_t status;
        const char *words;
    } cases[] = {
        {{2, 0, text.ids, 2, 1, scores, likeliest}, GPT2_ERR_SEQUENCE, "item 1: sequence 2 is not"},
        {{1, 8, text.ids, 2, 1, scores, likeliest}, GPT2_ERR_ARGUMENT, "item 1: reserved is 8"},
        {{1, 0, text.ids, 1, 1, scores, likeliest},
         GPT2_ERR_ARGUMENT,
         "gpt2_score: item 1: n_tokens is 1, wanted 2 or more"},
        {{1, 0, text.ids, 0, 0, scores, likeliest}, GPT2_ERR_ARGUMENT, "n_tokens is 0"},
        {{1, 0, text.ids, 9, 0, scores, likeliest},
         GPT2_ERR_ARGUMENT,
         "gpt2_score: item 1: n_prefix is 0, wanted 1 to 8"},
        {{1, 0, text.ids, 9, 9, scores, likeliest}, GPT2_ERR_ARGUMENT, "n_prefix is 9"},
        {{1, 0, NULL, 2, 1, scores, likeliest}, GPT2_ERR_ARGUMENT, "item 1: tokens is NULL"},
        {{1, 0, text.ids, 2, 1, NULL, likeliest}, GPT2_ERR_ARGUMENT, "item 1: scores is NULL"},
        {{1, 0, text.ids, 2, 1, scores, NULL},
         GPT2_ERR_ARGUMENT,
         "item 1: likeliest is NULL, but n_likeliest is 5"},
        {{1, 0, bad_ids, 2, 1, scores, likeliest},
         GPT2_ERR_TOKEN,
         "item 1: token 1 is 333, wanted 0 to 332"},
        {{1, 0, text.ids, 202, 1, scores, likeliest},
         GPT2_ERR_CONTEXT,
         "item 1: 201 tokens at position 0 do not fit into a context of 200 positions"},
        {{0, 0, text.ids, 2, 1, scores, likeliest},
         GPT2_ERR_ARGUMENT,
         "gpt2_score: item 1: sequence 0 is in an earlier item, too"},
    };
    const float *logits;
    int32_t number;

    (void)state;
    assert_int_equal(gpt2_sequence_open(session, &number), GPT2_OK);
    assert_int_equal(gpt2_forward(session, text.ids, 3, 2), GPT2_OK);
    for (size_t i = 0; i < COUNT(cases); i++) {
        items[0] = good;
        items[1] = cases[i].item;
        tiny_check_call(session, gpt2_score(session, items, 2, &params), cases[i].status,
                        cases[i].words);
        assert_int_equal(gpt2_session_position(session), 3);
        assert_int_equal(gpt2_session_logits(session, 1, &logits), GPT2_OK); /* they stay */
    }
    tiny_check_call(session, gpt2_score(session, NULL, 1, &params), GPT2_ERR_ARGUMENT,
                    "items is NULL");
    tiny_check_call(session, gpt2_score(session, items, 0, NULL), GPT2_ERR_ARGUMENT,
                    "n_items is 0, wanted 1");
    tiny_check_call(session, gpt2_score(session, items, 4, NULL), GPT2_ERR_ARGUMENT,
                    "n_items is 4");
    assert_int_equal(gpt2_score(NULL, items, 1, NULL), GPT2_ERR_ARGUMENT);
    for (int32_t n = -1; n <= N_VOCAB + 1; n += N_VOCAB + 2) {
        params.n_likeliest = n;
        tiny_check_call(session, gpt2_score(session, &good, 1, &params), GPT2_ERR_ARGUMENT,
                        "gpt2_score_params.n_likeliest is");
    }
    tiny_check_call(session, gpt2_score(session, &good, 1, NULL), GPT2_OK, "");
    tiny_check_call(session, gpt2_session_logits(session, GPT2_LAST_ROW, &logits), GPT2_ERR_ROW,
                    "no logits are kept");
    memset(&results, 0, sizeof results);
    gpt2_session_free(session);
}

/* In the logits of one token. */
struct spoiler {
    int32_t sequence, row;
    float value;
    int32_t result;
};

static int32_t spoil(void *user, const gpt2_tap *tap)
{
    const struct spoiler *spoiler = user;
    int32_t row = spoiler->row - tap->first_row;

    if (tap->sequence != spoiler->sequence || row < 0 || row >= tap->n_rows)
        return 0;
    tap->data[(size_t)row * tap->row_stride + 100] = spoiler->value;
    return spoiler->result;
}

/* A row that cannot be scored, and a tap that ends the call: sequences are as before, in every chunk. */
static void test_all_or_nothing(void **state)
{
    for (int32_t n_rows = 1; n_rows <= 64; n_rows += 9) {
        gpt2_session *session = session_of(GPT2_CPU_ALL, 2, 50, n_rows);
        struct spoiler spoiler = {1, 67, NAN, 0};
        gpt2_score_item items[2] = {item_of(&results, 2, 0), item_of(&results, 1, 1)};
        gpt2_score_params params = params_of(N_LIKELIEST);
        int32_t position, number, n_free = gpt2_session_n_free_pages(session);

        (void)state;
        assert_int_equal(gpt2_sequence_open(session, &number), GPT2_OK);
        assert_int_equal(
            gpt2_session_set_tap(session, spoil, &spoiler, GPT2_TAP_BIT(GPT2_TAP_LOGITS)), GPT2_OK);
        tiny_check_call(session, gpt2_score(session, items, 2, &params), GPT2_ERR_NONFINITE,
                        "item 1: the logits for token 68 hold NaN");
        spoiler = (struct spoiler){1, 67, 0.0f, 1};
        tiny_check_call(session, gpt2_score(session, items, 2, &params), GPT2_ERR_CANCELLED, "h");
        assert_int_equal(gpt2_session_set_tap(session, NULL, NULL, 0), GPT2_OK);
        gpt2_session_cancel(session);
        tiny_check_call(session, gpt2_score(session, items, 2, &params), GPT2_ERR_CANCELLED,
                        "cancelled");
        for (int32_t i = 0; i < 2; i++) {
            assert_int_equal(gpt2_sequence_position(session, i, &position), GPT2_OK);
            assert_int_equal(position, 0);
        }
        assert_int_equal(gpt2_session_n_free_pages(session), n_free);
        tiny_check_call(session, gpt2_score(session, items, 2, &params), GPT2_OK, "");
        assert_memory_equal(results.scores[1], by_definition.scores[1], sizeof results.scores[1]);
        memset(&results, 0, sizeof results);
        gpt2_session_free(session);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits),         cmocka_unit_test(test_logits_refused),
        cmocka_unit_test(test_numbers),        cmocka_unit_test(test_unscorable_rows),
        cmocka_unit_test(test_equal_bits),     cmocka_unit_test(test_forks),
        cmocka_unit_test(test_cut_text),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_all_or_nothing),
    };

    return cmocka_run_group_tests_name("scores", tests, load_model, free_model);
}
