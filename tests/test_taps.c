/*
 * test_taps.c: what a tap shows, when and where, that looking changes nothing, that changing has the
 * effect it should, and that a call which a tap ends has not happened.
 */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "tiny_model.h"

#include <math.h>
#include <pthread.h>

#include "model/model.h"

#define MAX_RECORDS 4096

static struct tiny_text odd, pages;

/* What a callback does and has seen. */
static struct watch {
    gpt2_tap records[MAX_RECORDS]; /* data is a copy, to be freed */
    size_t n_records;
    pthread_t thread; /* where it must run */
    bool wrong_thread;
    int32_t only;   /* the kind that count() may get */
    size_t stop_at; /* the call, from 1, that returns non-zero; 0: none */
    size_t n_calls;
} watch;

static void forget(void)
{
    for (size_t i = 0; i < watch.n_records; i++)
        free(watch.records[i].data);
    memset(&watch, 0, sizeof watch);
    watch.thread = pthread_self();
}

/* Keeps a copy, without the space between rows. */
static int32_t record(void *user, const gpt2_tap *tap)
{
    size_t n_columns = (size_t)tap->n_columns;
    gpt2_tap *copy = &watch.records[watch.n_records];

    watch.wrong_thread |= user != &watch || !pthread_equal(pthread_self(), watch.thread);
    if (++watch.n_calls == watch.stop_at || watch.n_records == MAX_RECORDS)
        return -1;
    *copy = *tap;
    copy->data = malloc((size_t)tap->n_rows * n_columns * sizeof(float));
    assert_non_null(copy->data);
    for (size_t r = 0; r < (size_t)tap->n_rows; r++)
        memcpy(copy->data + r * n_columns, tap->data + r * tap->row_stride,
               n_columns * sizeof(float));
    copy->row_stride = n_columns;
    watch.n_records++;
    return 0;
}

static int set_up(void **state)
{
    struct tiny_model odd_file = tiny_odd(TINY_DIRECTORY "/taps-odd");
    struct tiny_model pages_file = tiny_pages(TINY_DIRECTORY "/taps-pages");

    (void)state;
    tiny_text_begin(&odd, &odd_file);
    tiny_text_begin(&pages, &pages_file);
    forget();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    forget();
    gpt2_model_free(odd.model);
    gpt2_model_free(pages.model);
    return 0;
}

static void set_tap(gpt2_session *session, gpt2_tap_callback callback, uint32_t kinds)
{
    assert_int_equal(gpt2_session_set_tap(session, callback, &watch, kinds), GPT2_OK);
}

/* -------------------------------------------------------------------------------------- order -- */

static size_t next_record;

static void check_next(int32_t kind, int32_t layer, int32_t head, int32_t first_row, int32_t n_rows,
                       int32_t n_columns, int32_t past)
{
    const gpt2_tap *tap = &watch.records[next_record++];

    assert_true(next_record <= watch.n_records);
    assert_int_equal(tap->struct_size, sizeof *tap);
    if (tap->kind != kind || tap->layer != layer)
        fail_msg("call %zu: found kind %d, layer %d, wanted %d, %d", next_record, (int)tap->kind,
                 (int)tap->layer, (int)kind, (int)layer);
    assert_int_equal(tap->head, head);
    assert_int_equal(tap->first_row, first_row);
    assert_int_equal(tap->first_position, past + first_row);
    assert_int_equal(tap->n_rows, n_rows);
    assert_int_equal(tap->n_columns, n_columns);
}

/* The calls of one step of n rows of the odd model; the last n_kept have logits. */
static void check_step(int32_t past, int32_t row, int32_t n, int32_t n_kept)
{
    int32_t kept = row + n - n_kept;

    check_next(GPT2_TAP_EMBED, -1, -1, row, n, 35, past);
    for (int32_t layer = 0; layer < 2; layer++) {
        check_next(GPT2_TAP_LN_1, layer, -1, row, n, 35, past);
        check_next(GPT2_TAP_ATTN_QKV, layer, -1, row, n, 105, past);
        for (int32_t head = 0; head < 7; head++) {
            check_next(GPT2_TAP_ATTN_SCORES, layer, head, row, n, past + row + n, past);
            check_next(GPT2_TAP_ATTN_PROBS, layer, head, row, n, past + row + n, past);
        }
        check_next(GPT2_TAP_ATTN_CTX, layer, -1, row, n, 35, past);
        check_next(GPT2_TAP_ATTN_OUT, layer, -1, row, n, 35, past);
        check_next(GPT2_TAP_LN_2, layer, -1, row, n, 35, past);
        check_next(GPT2_TAP_MLP_FC, layer, -1, row, n, 50, past);
        check_next(GPT2_TAP_MLP_ACT, layer, -1, row, n, 50, past);
        check_next(GPT2_TAP_MLP_OUT, layer, -1, row, n, 35, past);
        check_next(GPT2_TAP_BLOCK, layer, -1, row, n, 35, past);
    }
    if (n_kept > 0) {
        check_next(GPT2_TAP_LN_F, -1, -1, kept, n_kept, 35, past);
        check_next(GPT2_TAP_LOGITS, -1, -1, kept, n_kept, 97, past);
    }
}

static void test_order(void **state)
{
    gpt2_session *session = tiny_session(odd.model, GPT2_CPU_ALL, 3, 2);

    (void)state;
    set_tap(session, record, GPT2_TAP_ALL);
    assert_int_equal(gpt2_forward(session, odd.ids, 3, 0), GPT2_OK);
    assert_int_equal(gpt2_forward(session, odd.ids + 3, 5, 2), GPT2_OK);
    next_record = 0;
    check_step(0, 0, 2, 0);
    check_step(0, 2, 1, 0);
    check_step(3, 0, 2, 0);
    check_step(3, 2, 2, 1); /* rows 3 and 4 of this call have logits */
    check_step(3, 4, 1, 1);
    assert_int_equal(next_record, watch.n_records);
    assert_false(watch.wrong_thread);
    forget();
    gpt2_session_free(session);
}

/* Scores and probs of long steps: pieces of at most 64 rows that cover each head's rows. */
static void test_pieces(void **state)
{
    gpt2_session *session = tiny_session(pages.model, GPT2_CPU_ALL, 2, 150);
    size_t i = 0;

    (void)state;
    assert_int_equal(gpt2_forward(session, pages.ids, 30, 1), GPT2_OK);
    set_tap(session, record,
            GPT2_TAP_BIT(GPT2_TAP_ATTN_SCORES) | GPT2_TAP_BIT(GPT2_TAP_ATTN_PROBS));
    assert_int_equal(gpt2_forward(session, pages.ids + 30, 170, 1), GPT2_OK);
    for (int32_t group = 0; group < 2 * 2 * 5; group++) { /* steps of 150 and 20, layers, heads */
        int32_t row = group < 10 ? 0 : 150, end = group < 10 ? 150 : 170;

        while (row < end) {
            const gpt2_tap *scores = &watch.records[i], *probs = &watch.records[i + 1];

            assert_true(i + 2 <= watch.n_records);
            assert_true(scores->n_rows >= 1 && scores->n_rows <= 64);
            next_record = i;
            check_next(GPT2_TAP_ATTN_SCORES, group / 5 % 2, group % 5, row, scores->n_rows,
                       30 + row + scores->n_rows, 30);
            check_next(GPT2_TAP_ATTN_PROBS, group / 5 % 2, group % 5, row, scores->n_rows,
                       30 + row + scores->n_rows, 30);
            for (int32_t r = 0; r < scores->n_rows; r++) {
                double sum = 0.0;

                for (int32_t c = 0; c < probs->n_columns; c++) {
                    bool masked = c > probs->first_position + r;
                    float p = probs->data[r * probs->n_columns + c];

                    assert_true(masked == (scores->data[r * probs->n_columns + c] == -INFINITY));
                    assert_true(masked ? p == 0.0f : p > 0.0f);
                    sum += (double)p;
                }
                assert_true(fabs(sum - 1.0) < 1e-5);
            }
            row += scores->n_rows;
            i += 2;
        }
        assert_int_equal(row, end);
    }
    assert_int_equal(i, watch.n_records);
    forget();
    gpt2_session_free(session);
}

/* ------------------------------------------------------------------------------------- values -- */

/* The record of a kind (and layer; head 0 where it has heads) in a call of one step. */
static const gpt2_tap *find(int32_t kind, int32_t layer)
{
    for (size_t i = 0; i < watch.n_records; i++) {
        const gpt2_tap *tap = &watch.records[i];

        if (tap->kind == kind && tap->layer == layer && tap->head <= 0)
            return tap;
    }
    fail_msg("no call for kind %d, layer %d", (int)kind, (int)layer);
    return NULL; /* not reached */
}

static void check_close(double found, double wanted, const char *what)
{
    if (!(fabs(found - wanted) <= 1e-5 * (1.0 + fabs(wanted))))
        fail_msg("%s: found %.9g, wanted %.9g", what, found, wanted);
}

/* block = (residual + attn.out) + mlp.out, in floats and to the bit */
static void check_residual(const gpt2_tap *block, const gpt2_tap *residual, int32_t layer)
{
    const gpt2_tap *attn = find(GPT2_TAP_ATTN_OUT, layer), *mlp = find(GPT2_TAP_MLP_OUT, layer);

    for (size_t i = 0; i < 8 * 35; i++) {
        float sum = residual->data[i] + attn->data[i];

        sum += mlp->data[i];
        assert_true(block->data[i] == sum);
    }
}

/* Head 0, columns 0 to 4 of each of q, k and v. */
static void check_attention(int32_t layer)
{
    const gpt2_tap *qkv = find(GPT2_TAP_ATTN_QKV, layer), *ctx = find(GPT2_TAP_ATTN_CTX, layer);
    const gpt2_tap *scores = find(GPT2_TAP_ATTN_SCORES, layer);
    const gpt2_tap *probs = find(GPT2_TAP_ATTN_PROBS, layer);

    for (size_t r = 0; r < 8; r++) {
        double total = 0.0;

        for (size_t c = 0; c <= r; c++) {
            double score = 0.0;

            for (size_t d = 0; d < 5; d++)
                score += (double)qkv->data[r * 105 + d] * (double)qkv->data[c * 105 + 35 + d];
            check_close((double)scores->data[r * 8 + c], score / sqrt(5.0), "scores");
            total += exp((double)scores->data[r * 8 + c]);
        }
        for (size_t c = 0; c <= r; c++)
            check_close((double)probs->data[r * 8 + c],
                        exp((double)scores->data[r * 8 + c]) / total, "probs");
        for (size_t d = 0; d < 5; d++) {
            double sum = 0.0;

            for (size_t c = 0; c <= r; c++)
                sum += (double)probs->data[r * 8 + c] * (double)qkv->data[c * 105 + 70 + d];
            check_close((double)ctx->data[r * 35 + d], sum, "ctx");
        }
    }
}

/* Embedding, attention and residuals, from the activations before them. */
static void test_values(void **state)
{
    gpt2_session *session = tiny_session(odd.model, GPT2_CPU_ALL, 1, 8);
    const gpt2_tap *residual;

    (void)state;
    set_tap(session, record, GPT2_TAP_ALL);
    assert_true(tiny_run(session, odd.ids, 8, 8, 0) == odd.hash);
    residual = find(GPT2_TAP_EMBED, -1);
    for (size_t i = 0; i < 8 * 35; i++) {
        float wte[35];

        gpt2i_matrix_unpack(wte, 1, &odd.model->wte, (size_t)odd.ids[i / 35]);
        assert_true(residual->data[i] == wte[i % 35] + odd.model->wpe[i]);
    }
    for (int32_t layer = 0; layer < 2; layer++) {
        check_attention(layer);
        check_residual(find(GPT2_TAP_BLOCK, layer), residual, layer);
        residual = find(GPT2_TAP_BLOCK, layer);
    }
    assert_true(tiny_hash(0, find(GPT2_TAP_LOGITS, -1)->data, 8 * 97) == odd.hash);
    forget();
    gpt2_session_free(session);
}

/* ------------------------------------------------------------------------------------ effects -- */

static int32_t count(void *user, const gpt2_tap *tap)
{
    assert_int_equal(tap->kind, ((struct watch *)user)->only);
    watch.n_calls++;
    return 0;
}

/* Looking on changes no bit; each kind comes when asked for and only then. */
static void test_looking_on(void **state)
{
    (void)state;
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
        gpt2_session *session = tiny_session(pages.model, GPT2_CPU_ALL, n_threads, 64);

        set_tap(session, record, GPT2_TAP_ALL);
        assert_true(tiny_run(session, pages.ids, 200, 90, 0) == pages.hash);
        assert_true(watch.n_records >= 5 * (1 + 2 * (9 + 2 * 5) + 2)); /* 5 steps */
        assert_false(watch.wrong_thread);
        forget();
        for (watch.only = 0; watch.only < GPT2_TAP_COUNT; watch.only++) {
            assert_int_equal(gpt2_session_reset(session), GPT2_OK);
            watch.n_calls = 0;
            set_tap(session, count, GPT2_TAP_BIT(watch.only));
            assert_true(tiny_run(session, pages.ids, 200, 200, 0) == pages.hash);
            assert_true(watch.n_calls >= 4); /* steps of 64, 64, 64 and 8 */
        }
        forget();
        assert_int_equal(gpt2_session_set_tap(session, record, NULL, GPT2_TAP_ALL + 1),
                         GPT2_ERR_ARGUMENT);
        tiny_check_says(gpt2_session_error(session), "GPT2_TAP_ALL");
        for (int way = 0; way < 2; way++) { /* both ways to switch off */
            set_tap(session, way == 0 ? NULL : count, way == 0 ? GPT2_TAP_ALL : 0);
            assert_int_equal(gpt2_session_reset(session), GPT2_OK);
            assert_true(tiny_run(session, pages.ids, 200, 50, 0) == pages.hash);
        }
        assert_int_equal(watch.n_calls, 0);
        gpt2_session_free(session);
    }
}

static void fill(const gpt2_tap *tap, float value)
{
    for (int32_t r = 0; r < tap->n_rows; r++) {
        for (int32_t c = 0; c < tap->n_columns; c++)
            tap->data[(size_t)r * tap->row_stride + (size_t)c] = value;
    }
}

/* The layers add nothing; row 2's logits are 0 but for token 11. */
static int32_t change_rows(void *user, const gpt2_tap *tap)
{
    if (tap->kind == GPT2_TAP_ATTN_OUT || tap->kind == GPT2_TAP_MLP_OUT ||
        tap->kind == GPT2_TAP_LOGITS)
        fill(tap, 0.0f);
    for (int32_t r = 0; r < tap->n_rows && tap->kind == GPT2_TAP_LOGITS; r++)
        tap->data[(size_t)r * tap->row_stride + 11 + (size_t)(tap->first_row + r)] = 1.0f;
    return record(user, tap);
}

/* Every query sees position 1 alone, or 0 where it is the first; what is masked has no effect. */
static int32_t change_attention(void *user, const gpt2_tap *tap)
{
    for (int32_t r = 0; r < tap->n_rows && tap->head >= 0; r++) {
        int32_t position = tap->first_position + r;
        float *row = tap->data + (size_t)r * tap->row_stride;

        for (int32_t c = 0; c < tap->n_columns; c++) {
            if (c > position)
                row[c] = 1000.0f;
            else if (tap->kind == GPT2_TAP_ATTN_PROBS)
                row[c] = c == (position > 0 ? 1 : 0) ? 1.0f : 0.0f;
        }
    }
    return record(user, tap);
}

static void test_changes(void **state)
{
    gpt2_session *session = tiny_session(odd.model, GPT2_CPU_ALL, 2, 3);
    gpt2_sample_params greedy;
    const gpt2_tap *qkv, *ctx;
    int32_t id;

    (void)state;
    assert_int_equal(gpt2_sample_params_init(&greedy, sizeof greedy), GPT2_OK);
    greedy.temperature = 0.0f;
    set_tap(session, change_rows, GPT2_TAP_ALL);
    assert_int_equal(gpt2_forward(session, odd.ids, 3, 3), GPT2_OK);
    for (int32_t layer = 0; layer < 2; layer++)
        assert_memory_equal(find(GPT2_TAP_BLOCK, layer)->data, find(GPT2_TAP_EMBED, -1)->data,
                            3 * 35 * sizeof(float));
    for (int32_t row = 0; row < 3; row++) {
        const float *logits;

        assert_int_equal(gpt2_session_logits(session, row, &logits), GPT2_OK);
        for (int32_t i = 0; i < 97; i++)
            assert_true(logits[i] == (i == 11 + row ? 1.0f : 0.0f));
        assert_int_equal(gpt2_sample(session, row, &greedy, &id), GPT2_OK);
        assert_int_equal(id, 11 + row);
    }
    forget();
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    set_tap(session, change_attention, GPT2_TAP_ALL);
    assert_int_equal(gpt2_forward(session, odd.ids, 3, 0), GPT2_OK);
    qkv = find(GPT2_TAP_ATTN_QKV, 0);
    ctx = find(GPT2_TAP_ATTN_CTX, 0);
    for (size_t i = 0; i < 3 * 35; i++) /* v of position 0, then of position 1 */
        assert_true(ctx->data[i] == qkv->data[(i < 35 ? 0 : 105) + 70 + i % 35]);
    forget();
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    set_tap(session, change_attention, GPT2_TAP_BIT(GPT2_TAP_ATTN_SCORES)); /* the masked ones */
    assert_true(tiny_run(session, odd.ids, 8, 8, 0) == odd.hash);
    forget();
    gpt2_session_free(session);
}

/* ------------------------------------------------------------------------------------- ending -- */

/* A tap ends the call at each of its points, one after another. */
static void check_stops(int32_t n_threads)
{
    gpt2_session *session = tiny_session(odd.model, GPT2_CPU_ALL, n_threads, 3);
    gpt2_tap points[2 * (1 + 2 * (9 + 2 * 7) + 2)]; /* of two steps, each with logits */

    (void)tiny_run(session, odd.ids, 2, 2, 0);
    set_tap(session, record, GPT2_TAP_ALL);
    assert_int_equal(gpt2_forward(session, odd.ids + 2, 6, 6), GPT2_OK);
    assert_int_equal(watch.n_records, COUNT(points));
    memcpy(points, watch.records, sizeof points);
    set_tap(session, NULL, 0);
    for (size_t i = 0; i < COUNT(points); i++) {
        char name[32], words[64];
        const float *logits;
        uint64_t hash;

        assert_int_equal(gpt2_session_reset(session), GPT2_OK);
        hash = tiny_run(session, odd.ids, 2, 2, 0);
        forget();
        watch.stop_at = i + 1;
        set_tap(session, record, GPT2_TAP_ALL);
        assert_int_equal(gpt2_forward(session, odd.ids + 2, 6, 6), GPT2_ERR_CANCELLED);
        assert_int_equal(watch.n_calls, i + 1); /* none after it */
        assert_int_equal(gpt2_tap_name(points[i].kind, points[i].layer, name, sizeof name),
                         GPT2_OK);
        (void)snprintf(words, sizeof words, "cancelled by the tap at %s", name);
        assert_string_equal(gpt2_session_error(session), words);
        assert_int_equal(gpt2_session_position(session), 2);
        assert_int_equal(gpt2_session_logits(session, GPT2_LAST_ROW, &logits), GPT2_ERR_ROW);
        set_tap(session, NULL, 0);
        assert_true(tiny_run(session, odd.ids + 2, 6, 6, hash) == odd.hash);
    }
    forget();
    gpt2_session_free(session);
}

static void test_stop(void **state)
{
    (void)state;
    for (int32_t n_threads = 1; n_threads <= 3; n_threads += 2)
        check_stops(n_threads);
}

static void test_names(void **state)
{
    static const char *const names[GPT2_TAP_COUNT] = {
        "embed",        "h.7.ln_1",     "h.7.attn.qkv", "h.7.attn.scores", "h.7.attn.probs",
        "h.7.attn.ctx", "h.7.attn.out", "h.7.ln_2",     "h.7.mlp.fc",      "h.7.mlp.act",
        "h.7.mlp.out",  "h.7.block",    "ln_f",         "logits"};
    char name[32], longest[32];

    (void)state;
    for (int32_t kind = 0; kind < GPT2_TAP_COUNT; kind++) {
        bool in_block = names[kind][0] == 'h';
        size_t length = strlen(names[kind]);

        assert_int_equal(gpt2_tap_name(kind, 7, name, sizeof name), GPT2_OK);
        assert_string_equal(name, names[kind]);
        assert_int_equal(gpt2_tap_name(kind, INT32_MAX, longest, sizeof longest), GPT2_OK);
        assert_int_equal(gpt2_tap_name(kind, -1, name, sizeof name),
                         in_block ? GPT2_ERR_ARGUMENT : GPT2_OK);
        for (size_t capacity = 0; capacity <= length; capacity++) {
            memset(name, 0x5a, sizeof name);
            assert_int_equal(gpt2_tap_name(kind, 7, name, capacity), GPT2_ERR_BUFFER);
            assert_int_equal(name[capacity], 0x5a);
        }
        assert_int_equal(gpt2_tap_name(kind, 7, name, length + 1), GPT2_OK);
        assert_string_equal(name, names[kind]);
        assert_int_equal(gpt2_tap_name(kind, 7, NULL, 0), GPT2_ERR_ARGUMENT);
    }
    assert_int_equal(gpt2_tap_name(-1, 0, name, sizeof name), GPT2_ERR_ARGUMENT);
    assert_int_equal(gpt2_tap_name(GPT2_TAP_COUNT, 0, name, sizeof name), GPT2_ERR_ARGUMENT);
    assert_int_equal(gpt2_tap_name(INT32_MIN, 0, name, sizeof name), GPT2_ERR_ARGUMENT);
    assert_int_equal(GPT2_TAP_ALL, (1u << GPT2_TAP_COUNT) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),   cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_values),  cmocka_unit_test(test_looking_on),
        cmocka_unit_test(test_changes), cmocka_unit_test(test_stop),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests_name("taps", tests, set_up, tear_down);
}
