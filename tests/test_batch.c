/*
 * test_batch.c: batches and sequences call by call: what is refused and with which words, that a refused
 * call changes nothing, which pages are used, what taps and samples see.  tests/test_sequences.c has
 * the random schedules.
 */
#include "tiny_model.h"
#include "scratch.h"

#include "model/session.h"

#define DIRECTORY TINY_DIRECTORY "/batch"

static struct tiny_text text; /* 200 positions */

static int load_model(void **state)
{
    struct tiny_model kind = tiny_pages(DIRECTORY);

    if (scratch_set_up(state) != 0)
        return 1;
    tiny_text_begin(&text, &kind);
    return 0;
}

static int free_model(void **state)
{
    (void)state;
    gpt2_model_free(text.model);
    return 0;
}

static gpt2_session *session_of(int32_t n_sequences, int32_t n_pages, int32_t n_logit_rows)
{
    gpt2_session_params params;
    gpt2_session *session;

    assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
    params.n_sequences = n_sequences;
    params.n_pages = n_pages;
    params.n_logit_rows = n_logit_rows;
    params.n_batch = 50;
    assert_int_equal(gpt2_session_create(text.model, &params, &session), GPT2_OK);
    return session;
}

static gpt2_batch_item item_of(int32_t sequence, size_t first, size_t n_tokens, size_t n_kept)
{
    gpt2_batch_item item = {sequence, 0, text.ids + first, n_tokens, n_kept};

    return item;
}

static uint64_t row_hash(gpt2_session *session, size_t item, int32_t row)
{
    const float *logits;

    assert_int_equal(gpt2_batch_logits(session, item, row, &logits), GPT2_OK);
    return tiny_hash(0, logits, 333);
}

/* Everything that is refused, in a session where sequences 0, 1 and 2 of 4 are open. */
static void test_refused(void **state)
{
    gpt2_session *session = session_of(4, 0, 5);
    const int32_t bad_id = 333;
    const float *logits;
    int32_t number, id;
    uint64_t before;
    gpt2_batch_item good = item_of(1, 5, 1, 1), items[5];
    const struct {
        gpt2_batch_item item;
        int32_t status;
        const char *words;
    } cases[] = {
        {{-1, 0, text.ids, 1, 0}, GPT2_ERR_SEQUENCE, "item 1: sequence is -1, wanted 0 to 3"},
        {{4, 0, text.ids, 1, 0}, GPT2_ERR_SEQUENCE, "item 1: sequence is 4, wanted 0 to 3"},
        {{3, 0, text.ids, 1, 0}, GPT2_ERR_SEQUENCE, "item 1: sequence 3 is not open"},
        {{0, 1, text.ids, 1, 0}, GPT2_ERR_ARGUMENT, "item 1: reserved is 1, wanted 0"},
        {{0, 0, text.ids, 0, 0}, GPT2_ERR_ARGUMENT, "item 1: n_tokens is 0, wanted 1 or more"},
        {{0, 0, NULL, 1, 0}, GPT2_ERR_ARGUMENT, "item 1: tokens is NULL"},
        {{0, 0, &bad_id, 1, 0}, GPT2_ERR_TOKEN, "item 1: token 0 is 333, wanted 0 to 332"},
        {{0, 0, text.ids, 199, 0},
         GPT2_ERR_CONTEXT,
         "item 1: 199 tokens at position 2 do not fit into a context of 200 positions"},
        {{0, 0, text.ids, SIZE_MAX, 0}, GPT2_ERR_CONTEXT, "item 1: 18446744073709551615 tokens"},
        {{1, 0, text.ids, 1, 0},
         GPT2_ERR_ARGUMENT,
         "gpt2_forward_batch: item 1: sequence 1 is in an earlier item, too"},
        {{0, 0, text.ids, 10, 5},
         GPT2_ERR_ARGUMENT,
         "gpt2_forward_batch: n_logit_rows is 6, the session was made for 5"},
        {{0, 0, text.ids, 10, SIZE_MAX},
         GPT2_ERR_ARGUMENT,
         "gpt2_forward_batch: n_logit_rows is 11, the session was made for 5"},
    };

    (void)state;
    assert_int_equal(gpt2_forward(session, text.ids, 2, 1), GPT2_OK);
    assert_int_equal(gpt2_sequence_open(session, &number), GPT2_OK);
    assert_int_equal(number, 1);
    assert_int_equal(gpt2_sequence_fork(session, 0, 1, &number), GPT2_OK);
    assert_int_equal(number, 2);
    before = row_hash(session, 0, 1);
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (sizeof(size_t) < 8 && cases[i].item.n_tokens == SIZE_MAX)
            continue; /* the words have another number there */
        items[0] = good;
        items[1] = cases[i].item;
        tiny_check_call(session, gpt2_forward_batch(session, items, 2), cases[i].status,
                        cases[i].words);
        assert_true(row_hash(session, 0, 1) == before); /* the kept rows stay */
    }
    items[0] = good;
    tiny_check_call(session, gpt2_forward_batch(session, NULL, 1), GPT2_ERR_ARGUMENT,
                    "items is NULL");
    tiny_check_call(session, gpt2_forward_batch(session, items, 0), GPT2_ERR_ARGUMENT,
                    "n_items is 0, wanted 1 to 4");
    tiny_check_call(session, gpt2_forward_batch(session, items, 5), GPT2_ERR_ARGUMENT,
                    "n_items is 5, wanted 1 to 4");
    tiny_check_call(session, gpt2_batch_logits(session, 1, 0, &logits), GPT2_ERR_ROW,
                    "item is 1, the last forward call had 1");
    tiny_check_call(session, gpt2_batch_logits(session, SIZE_MAX, 0, &logits), GPT2_ERR_ROW,
                    "item is");
    tiny_check_call(session, gpt2_batch_sample(session, 1, 0, NULL, &id), GPT2_ERR_ROW,
                    "item is 1");
    tiny_check_call(session, gpt2_batch_sample(session, 0, 0, NULL, NULL), GPT2_ERR_ARGUMENT,
                    "gpt2_batch_sample: id is NULL");
    tiny_check_call(session, gpt2_sequence_fork(session, 0, 3, &number), GPT2_ERR_CONTEXT,
                    "position is 3, sequence 0 has 2 tokens");
    tiny_check_call(session, gpt2_sequence_fork(session, 0, -1, &number), GPT2_ERR_CONTEXT,
                    "position is -1");
    tiny_check_call(session, gpt2_sequence_truncate(session, 3, 0), GPT2_ERR_SEQUENCE,
                    "sequence 3 is not open");
    tiny_check_call(session, gpt2_sequence_open(session, &number), GPT2_OK, "");
    tiny_check_call(session, gpt2_sequence_open(session, &number), GPT2_ERR_SEQUENCE,
                    "all 4 sequences of the session are open");
    tiny_check_call(session, gpt2_sequence_fork(session, 0, 1, &number), GPT2_ERR_SEQUENCE,
                    "all 4 sequences of the session are open");
    assert_int_equal(gpt2_session_position(session), 2);
    gpt2_session_free(session);
}

/* The shortage is named; every sequence stays, and goes on when there is room. */
static void test_full_cache(void **state)
{
    gpt2_session *session = session_of(3, 4, 3);
    gpt2_batch_item items[2] = {item_of(0, 64, 1, 1), item_of(1, 64, 65, 1)};
    int32_t number;
    uint64_t wanted;

    (void)state;
    assert_int_equal(gpt2_forward(session, text.ids, 64, 1), GPT2_OK);
    assert_int_equal(gpt2_session_n_free_pages(session), 3);
    assert_int_equal(gpt2_sequence_fork(session, 0, 64, &number), GPT2_OK);
    assert_int_equal(gpt2_session_n_free_pages(session), 3);
    assert_int_equal(gpt2_forward(session, text.ids + 64, 1, 1), GPT2_OK);
    wanted = row_hash(session, 0, 0);
    assert_int_equal(gpt2_sequence_truncate(session, 0, 64), GPT2_OK);
    assert_int_equal(gpt2_session_n_free_pages(session), 3);
    items[1].n_tokens = 129;
    tiny_check_call(session, gpt2_forward_batch(session, items, 2), GPT2_ERR_PAGES,
                    "sequence 1 needs 3 more pages of the KV cache, 2 of 4 are free");
    assert_int_equal(gpt2_session_n_free_pages(session), 3); /* item 0's page is given back */
    assert_true(row_hash(session, 0, 0) == wanted);          /* nothing had begun */
    items[1].n_tokens = 65;
    assert_int_equal(gpt2_forward_batch(session, items, 2), GPT2_OK);
    assert_int_equal(gpt2_session_n_free_pages(session), 0);
    assert_true(row_hash(session, 0, GPT2_LAST_ROW) == wanted);
    assert_int_equal(gpt2_sequence_close(session, 1), GPT2_OK);
    assert_int_equal(gpt2_session_n_free_pages(session), 2);
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    assert_int_equal(gpt2_session_n_free_pages(session), 4);
    gpt2_session_free(session);
}

/* Forks at the end of a page share all of it; within a page all but the last writer get a copy. */
static void test_forks_use_few_pages(void **state)
{
    enum { N_FORKS = 50 };
    gpt2_session *session = session_of(N_FORKS + 1, 0, 0);
    gpt2_batch_item items[N_FORKS];
    int32_t n_pages = gpt2_session_n_free_pages(session), forks[N_FORKS];

    (void)state;
    for (int32_t length = 128; length <= 132; length += 4) {
        assert_int_equal(gpt2_session_reset(session), GPT2_OK);
        assert_int_equal(gpt2_forward(session, text.ids, (size_t)length, 0), GPT2_OK);
        for (size_t i = 0; i < N_FORKS; i++) {
            assert_int_equal(gpt2_sequence_fork(session, 0, length, &forks[i]), GPT2_OK);
            items[i] = item_of(forks[i], 140 + i, 1, 0);
        }
        assert_int_equal(n_pages - gpt2_session_n_free_pages(session), length == 128 ? 2 : 3);
        assert_int_equal(gpt2_forward_batch(session, items, N_FORKS), GPT2_OK);
        assert_int_equal(n_pages - gpt2_session_n_free_pages(session),
                         (length == 128 ? 2 : 3) + N_FORKS);
        assert_int_equal(gpt2_sequence_close(session, 0), GPT2_OK);
        for (size_t i = 0; i + 1 < N_FORKS; i++)
            assert_int_equal(gpt2_sequence_close(session, forks[i]), GPT2_OK);
        assert_int_equal(n_pages - gpt2_session_n_free_pages(session), 3);
    }
    gpt2_session_free(session);
}

/* The last owner of a half-filled page writes in place. */
static void test_one_owner_writes_in_place(void **state)
{
    gpt2_session *session = session_of(2, 0, 1);
    const struct gpt2i_sequence *first = &session->sequences.all[0];
    int32_t page, fork;

    (void)state;
    assert_int_equal(gpt2_forward(session, text.ids, 70, 0), GPT2_OK);
    page = first->pages[1];
    assert_int_equal(gpt2_sequence_fork(session, 0, 70, &fork), GPT2_OK);
    assert_int_equal(gpt2_sequence_close(session, fork), GPT2_OK);
    assert_int_equal(gpt2_forward(session, text.ids + 70, 1, 0), GPT2_OK);
    assert_int_equal(first->pages[1], page);
    assert_int_equal(gpt2_sequence_fork(session, 0, 71, &fork), GPT2_OK);
    assert_int_equal(gpt2_forward(session, text.ids + 71, 1, 0), GPT2_OK);
    assert_int_not_equal(first->pages[1], page);
    assert_int_equal(first->pages[0], session->sequences.all[fork].pages[0]);
    assert_int_equal(session->sequences.all[fork].pages[1], page);
    gpt2_session_free(session);
}

struct seen {
    int32_t n_rows[4]; /* of embed, by sequence */
    int32_t first_row[4];
    int32_t n_logits;
};

static int32_t look(void *user, const gpt2_tap *tap)
{
    struct seen *seen = user;

    assert_in_range(tap->sequence, 1, 3);
    assert_int_equal(tap->reserved, 0);
    if (tap->kind == GPT2_TAP_EMBED) {
        assert_int_equal(tap->first_row, seen->n_rows[tap->sequence]);
        assert_int_equal(tap->first_position, tap->first_row + (tap->sequence == 2 ? 10 : 0));
        seen->n_rows[tap->sequence] += tap->n_rows;
    } else if (tap->kind == GPT2_TAP_LOGITS) {
        seen->n_logits += tap->n_rows;
        assert_int_equal(tap->first_row + tap->n_rows, tap->sequence == 1 ? 60 : 1);
    }
    return 0;
}

/* A tap sees each row once, with its sequence, never two sequences in one part. */
static void test_taps(void **state)
{
    gpt2_session *session = session_of(4, 0, 4);
    struct seen seen = {{0}, {0}, 0};
    gpt2_batch_item items[3];
    int32_t number;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(gpt2_sequence_open(session, &number), GPT2_OK);
    items[0] = item_of(2, 0, 10, 0);
    assert_int_equal(gpt2_forward_batch(session, items, 1), GPT2_OK);
    items[0] = item_of(2, 10, 1, 1);
    items[1] = item_of(1, 0, 60, 2);
    items[2] = item_of(3, 0, 1, 1);
    assert_int_equal(gpt2_session_set_tap(session, look, &seen, GPT2_TAP_ALL), GPT2_OK);
    assert_int_equal(gpt2_forward_batch(session, items, 3), GPT2_OK);
    assert_int_equal(seen.n_rows[1], 60);
    assert_int_equal(seen.n_rows[2], 1);
    assert_int_equal(seen.n_rows[3], 1);
    assert_int_equal(seen.n_logits, 4);
    gpt2_session_free(session);
}

static int32_t list_part(void *user, const gpt2_tap *tap)
{
    char *list = user, part[64];

    (void)snprintf(part, sizeof part, "%d+%d at %d, ", tap->first_row, tap->n_rows,
                   tap->first_position);
    (void)strcat(list, part);
    return 0;
}

/* The tokens that a cut keeps have their own positions, not those of tokens that were cut off. */
static void test_taps_of_cut_text(void **state)
{
    gpt2_session_params params;
    gpt2_session *session;
    char list[256] = "";

    (void)state;
    assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
    params.n_ctx = 20;
    params.on_full = GPT2_FULL_SHIFT;
    params.n_keep = 4;
    assert_int_equal(gpt2_session_create(text.model, &params, &session), GPT2_OK);
    assert_int_equal(gpt2_session_set_tap(session, list_part, list, GPT2_TAP_BIT(GPT2_TAP_EMBED)),
                     GPT2_OK);
    assert_int_equal(gpt2_forward(session, text.ids, 30, 0), GPT2_OK);
    assert_string_equal(list, "0+4 at 0, 20+10 at 20, ");
    list[0] = '\0';
    assert_int_equal(gpt2_forward(session, text.ids + 30, 7, 0), GPT2_OK);
    assert_string_equal(list, "-2+9 at 28, ");
    gpt2_session_free(session);
}

/* A sample in a batch draws the number of its own text's position, whatever item it is. */
static void test_samples(void **state)
{
    gpt2_session *session = session_of(3, 0, 3), *alone = session_of(1, 0, 1);
    gpt2_sample_params params;
    gpt2_batch_item items[2];
    int32_t number, id, wanted;

    (void)state;
    assert_int_equal(gpt2_sample_params_init(&params, sizeof params), GPT2_OK);
    assert_int_equal(gpt2_sequence_open(session, &number), GPT2_OK);
    items[0] = item_of(0, 50, 7, 1);
    items[1] = item_of(number, 0, 33, 1);
    assert_int_equal(gpt2_forward_batch(session, items, 2), GPT2_OK);
    assert_int_equal(gpt2_forward(alone, text.ids, 33, 1), GPT2_OK);
    for (params.seed = 0; params.seed < 20; params.seed++) {
        assert_int_equal(gpt2_sample(alone, GPT2_LAST_ROW, &params, &wanted), GPT2_OK);
        assert_int_equal(gpt2_batch_sample(session, 1, 32, &params, &id), GPT2_OK);
        assert_int_equal(id, wanted);
    }
    gpt2_session_free(alone);
    gpt2_session_free(session);
}

/* 100,000 tokens through a context of 200: the last window alone runs, with the bits of a fresh run. */
static void test_long_prompt(void **state)
{
    enum { N = 100000, N_CTX = 200, N_KEEP = 10, N_AFTER_CUT = N_KEEP + (N_CTX - N_KEEP) / 2 };
    static int32_t ids[N];
    int32_t context[N_CTX], n_context = 0;
    gpt2_session_params params;
    gpt2_session *session, *alone = session_of(1, 0, 1);
    int32_t position;

    (void)state;
    for (int32_t i = 0; i < N; i++) {
        ids[i] = (int32_t)((uint32_t)i * 2654435761u % 333);
        if (n_context == N_CTX) {
            memmove(context + N_KEEP, context + N_CTX - (N_AFTER_CUT - N_KEEP),
                    (N_AFTER_CUT - N_KEEP) * sizeof context[0]);
            n_context = N_AFTER_CUT;
        }
        context[n_context++] = ids[i];
    }
    assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
    params.on_full = GPT2_FULL_SHIFT;
    params.n_keep = N_KEEP;
    assert_int_equal(gpt2_session_create(text.model, &params, &session), GPT2_OK);
    assert_int_equal(gpt2_forward(session, ids, N, 1), GPT2_OK);
    assert_int_equal(gpt2_session_position(session), N);
    assert_int_equal(gpt2_forward(alone, context, (size_t)n_context, 1), GPT2_OK);
    assert_true(row_hash(session, 0, N - 1) == row_hash(alone, 0, n_context - 1));
    tiny_check_call(session, gpt2_sequence_truncate(session, 0, N - n_context + N_KEEP - 1),
                    GPT2_ERR_CONTEXT, "of sequence 0 were cut off");
    assert_int_equal(gpt2_sequence_truncate(session, 0, N - n_context + N_KEEP), GPT2_OK);
    assert_int_equal(gpt2_sequence_position(session, 0, &position), GPT2_OK);
    assert_int_equal(position, N - n_context + N_KEEP);
    gpt2_session_free(session);
    gpt2_session_free(alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_full_cache),
        cmocka_unit_test(test_forks_use_few_pages),
        cmocka_unit_test(test_one_owner_writes_in_place),
        cmocka_unit_test(test_taps),
        cmocka_unit_test(test_taps_of_cut_text),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_long_prompt),
    };

    return cmocka_run_group_tests(tests, load_model, free_model);
}
