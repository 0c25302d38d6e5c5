/*
 * test_states.c: saved states: what is in them, where they can be restored, and what is refused.
 */
#include "tiny_model.h"
#include "scratch.h"

#include "model/session.h"

#define DIRECTORY TINY_DIRECTORY "/states"

static struct tiny_text pages; /* 200 positions */
static struct tiny_text odd;   /* 8 positions */

static int load_models(void **state)
{
    struct tiny_model pages_kind = tiny_pages(DIRECTORY "-pages");
    struct tiny_model odd_kind = tiny_odd(DIRECTORY "-odd");

    if (scratch_set_up(state) != 0)
        return 1;
    tiny_text_begin(&pages, &pages_kind);
    tiny_text_begin(&odd, &odd_kind);
    return 0;
}

static int free_models(void **state)
{
    (void)state;
    gpt2_model_free(pages.model);
    gpt2_model_free(odd.model);
    return 0;
}

static gpt2_session_params defaults(void)
{
    gpt2_session_params params;

    assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
    params.n_logit_rows = 200;
    return params;
}

static gpt2_session *create(const gpt2_model *model, const gpt2_session_params *params)
{
    gpt2_session *session;

    assert_int_equal(gpt2_session_create(model, params, &session), GPT2_OK);
    return session;
}

struct saved {
    unsigned char *bytes;
    size_t n_bytes;
};

static struct saved save(gpt2_session *session, int32_t sequence)
{
    struct saved saved;
    size_t n_bytes;

    assert_int_equal(gpt2_sequence_save(session, sequence, NULL, 0, &saved.n_bytes),
                     GPT2_ERR_BUFFER);
    tiny_check_says(gpt2_session_error(session), "the buffer has room for 0");
    saved.bytes = malloc(saved.n_bytes);
    assert_non_null(saved.bytes);
    assert_int_equal(
        gpt2_sequence_save(session, sequence, saved.bytes, saved.n_bytes - 1, &n_bytes),
        GPT2_ERR_BUFFER);
    assert_int_equal(n_bytes, saved.n_bytes);
    assert_int_equal(gpt2_sequence_save(session, sequence, saved.bytes, saved.n_bytes, &n_bytes),
                     GPT2_OK);
    assert_int_equal(n_bytes, saved.n_bytes);
    return saved;
}

/* The hash of the logits of every row from token 'first' on. */
static uint64_t run_from(gpt2_session *session, size_t first)
{
    return tiny_run(session, pages.ids + first, pages.n_ids - first, 7, 0);
}

/* Each length continues with the bits of the text that was not saved, on every kind of session. */
static void test_continues(void **state)
{
    static const size_t lengths[] = {0, 1, 63, 64, 65, 128, 150};
    gpt2_session_params params = defaults();
    uint32_t masks[4];
    size_t n_masks = tiny_cpu_masks(masks);

    (void)state;
    for (int32_t kv_type = GPT2_TYPE_F32; kv_type <= GPT2_TYPE_F16; kv_type++) {
        for (size_t i = 0; i < COUNT(lengths); i++) {
            gpt2_session *session;
            struct saved saved;
            uint64_t wanted;

            params = defaults();
            params.kv_type = kv_type;
            session = create(pages.model, &params);
            if (lengths[i] > 0)
                assert_int_equal(gpt2_forward(session, pages.ids, lengths[i], 0), GPT2_OK);
            saved = save(session, 0);
            wanted = run_from(session, lengths[i]);
            gpt2_session_free(session);
            for (size_t m = 0; m < n_masks; m++) {
                const float *logits;
                int32_t sequence;

                params.cpu_mask = masks[m];
                params.n_threads = 1 + (int32_t)m;
                params.n_batch = 5 + (int32_t)m * 50;
                params.n_sequences = 3;
                params.n_pages = 9;
                session = create(pages.model, &params);
                assert_int_equal(gpt2_forward(session, pages.ids + 9, 100, 1), GPT2_OK);
                assert_int_equal(gpt2_sequence_fork(session, 0, 100, &sequence), GPT2_OK);
                assert_int_equal(gpt2_sequence_restore(session, 0, saved.bytes, saved.n_bytes),
                                 GPT2_OK);
                assert_int_equal(gpt2_session_position(session), lengths[i]);
                /* the row of the last call is still that of the last call */
                assert_int_equal(gpt2_session_logits(session, 99, &logits), GPT2_OK);
                assert_true(run_from(session, lengths[i]) == wanted);
                /* the fork, which shared pages with what was replaced */
                assert_int_equal(gpt2_sequence_close(session, 0), GPT2_OK);
                assert_int_equal(gpt2_forward(session, pages.ids + 9, 101, 1), GPT2_OK);
                gpt2_session_free(session);
            }
            free(saved.bytes);
        }
    }
}

struct collected {
    unsigned char bytes[1 << 20];
    size_t n_bytes;
    int refuse_at; /* calls; -1: never */
    gpt2_session *session;
};

static int32_t collect(void *user, const void *bytes, size_t n_bytes)
{
    struct collected *collected = user;
    int32_t position;

    assert_int_equal(gpt2_sequence_position(collected->session, 0, &position), GPT2_ERR_ARGUMENT);
    if (collected->refuse_at-- == 0)
        return 1;
    memcpy(collected->bytes + collected->n_bytes, bytes, n_bytes);
    collected->n_bytes += n_bytes;
    return 0;
}

/* The callback gets the bytes of gpt2_sequence_save(), or ends the call at each n-th part. */
static void test_write(void **state)
{
    static struct collected collected;
    gpt2_session_params params = defaults();
    gpt2_session *session = create(pages.model, &params);
    struct saved saved;
    int n_parts = 0;

    (void)state;
    assert_int_equal(gpt2_forward(session, pages.ids, 70, 0), GPT2_OK);
    saved = save(session, 0);
    collected.session = session;
    collected.refuse_at = -1;
    assert_int_equal(gpt2_sequence_write(session, 0, collect, &collected), GPT2_OK);
    assert_string_equal(gpt2_session_error(session), ""); /* though a call in collect() failed */
    assert_int_equal(collected.n_bytes, saved.n_bytes);
    assert_memory_equal(collected.bytes, saved.bytes, saved.n_bytes);
    for (int32_t status = GPT2_ERR_CANCELLED; status != GPT2_OK; n_parts++) {
        collected.n_bytes = 0;
        collected.refuse_at = n_parts;
        status = gpt2_sequence_write(session, 0, collect, &collected);
        assert_true(status == GPT2_OK || status == GPT2_ERR_CANCELLED);
    }
    assert_true(n_parts > 4);
    assert_int_equal(gpt2_session_position(session), 70);
    free(saved.bytes);
    gpt2_session_free(session);
}

/* A text that was made in another way, in other pages, has the same bytes. */
static void test_equal_bytes(void **state)
{
    gpt2_session_params params = defaults();
    gpt2_session *session;
    struct saved one, other;
    int32_t fork, again;

    (void)state;
    params.n_sequences = 4;
    session = create(pages.model, &params);
    assert_int_equal(gpt2_forward(session, pages.ids, 130, 0), GPT2_OK);
    one = save(session, 0);
    assert_int_equal(gpt2_forward(session, pages.ids + 7, 60, 0), GPT2_OK);
    assert_int_equal(gpt2_sequence_fork(session, 0, 66, &fork), GPT2_OK);
    assert_int_equal(gpt2_sequence_truncate(session, fork, 65), GPT2_OK);
    for (size_t i = 65; i < 130; i++) {
        gpt2_batch_item item = {fork, 0, pages.ids + i, 1, 0};

        assert_int_equal(gpt2_forward_batch(session, &item, 1), GPT2_OK);
    }
    other = save(session, fork);
    assert_int_equal(one.n_bytes, other.n_bytes);
    assert_memory_equal(one.bytes, other.bytes, one.n_bytes);
    assert_int_equal(gpt2_sequence_open(session, &again), GPT2_OK);
    assert_int_equal(gpt2_sequence_restore(session, again, one.bytes, one.n_bytes), GPT2_OK);
    free(other.bytes);
    other = save(session, again);
    assert_memory_equal(one.bytes, other.bytes, one.n_bytes);
    free(one.bytes);
    free(other.bytes);
    gpt2_session_free(session);
}

/* Every flipped bit, and every other length, is refused, and the text stays. */
static void test_damage(void **state)
{
    gpt2_session_params params = defaults();
    gpt2_session *session = create(odd.model, &params);
    const int32_t *ids;
    struct saved saved;
    size_t n_ids;

    (void)state;
    assert_int_equal(gpt2_forward(session, odd.ids, 5, 0), GPT2_OK);
    saved = save(session, 0);
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    assert_int_equal(gpt2_forward(session, odd.ids, 2, 0), GPT2_OK);
    for (size_t bit = 0; bit < 8 * saved.n_bytes; bit++) {
        int32_t status;

        saved.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        status = gpt2_sequence_restore(session, 0, saved.bytes, saved.n_bytes);
        if (status != GPT2_ERR_STATE && status != GPT2_ERR_CONTEXT)
            fail_msg("bit %zu: found status %d", bit, (int)status);
        assert_true(gpt2_session_error(session)[0] != '\0');
        saved.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    for (size_t n_bytes = 0; n_bytes < saved.n_bytes; n_bytes++) {
        unsigned char *cut = malloc(n_bytes + (n_bytes == 0)); /* a step outside would be seen */

        assert_non_null(cut);
        memcpy(cut, saved.bytes, n_bytes);
        assert_int_equal(gpt2_sequence_restore(session, 0, cut, n_bytes), GPT2_ERR_STATE);
        free(cut);
    }
    assert_int_equal(gpt2_sequence_ids(session, 0, &ids, &n_ids), GPT2_OK);
    assert_int_equal(n_ids, 2);
    assert_memory_equal(ids, odd.ids, 2 * sizeof ids[0]);
    assert_int_equal(gpt2_sequence_restore(session, 0, saved.bytes, saved.n_bytes), GPT2_OK);
    assert_int_equal(gpt2_session_position(session), 5);
    free(saved.bytes);
    gpt2_session_free(session);
}

static void check_refused(const gpt2_model *model, const gpt2_session_params *params,
                          const struct saved *saved, int32_t status, const char *words)
{
    gpt2_session *session = create(model, params);

    assert_int_equal(gpt2_sequence_restore(session, 0, saved->bytes, saved->n_bytes), status);
    tiny_check_says(gpt2_session_error(session), words);
    assert_int_equal(gpt2_session_position(session), 0);
    gpt2_session_free(session);
}

static gpt2_model *load_f16(const char *directory)
{
    gpt2_model_params params;
    gpt2_model *model;

    assert_int_equal(gpt2_model_params_init(&params, sizeof params), GPT2_OK);
    params.weight_type = GPT2_TYPE_F16;
    assert_int_equal(gpt2_model_load(directory, &params, &model), GPT2_OK);
    return model;
}

/* What does not fit is named; another n_ctx or n_batch fits. */
static void test_other_sessions(void **state)
{
    struct tiny_model scaled = tiny_pages(DIRECTORY "-scaled");
    gpt2_session_params params = defaults();
    gpt2_session *session = create(pages.model, &params);
    gpt2_model *other;
    struct saved saved;

    (void)state;
    assert_int_equal(gpt2_forward(session, pages.ids, 100, 0), GPT2_OK);
    saved = save(session, 0);
    gpt2_session_free(session);
    params.kv_type = GPT2_TYPE_F16;
    check_refused(pages.model, &params, &saved, GPT2_ERR_STATE, "kv_type 0, the session 1");
    params = defaults();
    check_refused(odd.model, &params, &saved, GPT2_ERR_STATE, "another model");
    scaled.untied = true; /* the same shapes, other numbers in the head alone */
    other = tiny_load(&scaled);
    check_refused(other, &params, &saved, GPT2_ERR_STATE, "another model");
    gpt2_model_free(other);
    other = load_f16(DIRECTORY "-pages"); /* the same file in another type */
    check_refused(other, &params, &saved, GPT2_ERR_STATE, "weights have another type");
    gpt2_model_free(other);
    params.n_ctx = 99;
    check_refused(pages.model, &params, &saved, GPT2_ERR_CONTEXT,
                  "100 tokens, the session's context 99 positions");
    params.n_ctx = 0;
    params.n_pages = 1;
    check_refused(pages.model, &params, &saved, GPT2_ERR_PAGES,
                  "needs 2 more pages of the KV cache, 1 of 1 are free");
    params.n_pages = 2;
    params.n_ctx = 100;
    session = create(pages.model, &params);
    assert_int_equal(gpt2_sequence_restore(session, 0, saved.bytes, saved.n_bytes), GPT2_OK);
    gpt2_session_free(session);
    free(saved.bytes);
}

/* Calls on the session are refused, and the worker with index 0 does all the work. */
static void one_worker(void *user, int32_t n_workers, void (*worker)(void *argument, int32_t index),
                       void *argument)
{
    gpt2_session **session = user;
    int32_t position;

    (void)n_workers;
    if (*session != NULL)
        assert_int_equal(gpt2_sequence_position(*session, 0, &position), GPT2_ERR_ARGUMENT);
    worker(argument, 0);
}

/* A cancel and a deadline are for forward calls: saving and restoring run to their end. */
static void test_not_cancelled(void **state)
{
    gpt2_session_params params = defaults();
    gpt2_session *user = NULL;
    gpt2_session *session = create(pages.model, &params);
    struct saved wanted, found;

    (void)state;
    assert_int_equal(gpt2_forward(session, pages.ids, 70, 0), GPT2_OK);
    wanted = save(session, 0);
    gpt2_session_free(session);
    params.n_threads = 3;
    params.parallel_for = one_worker;
    params.parallel_for_user = &user;
    for (int on_host = 0; on_host < 2; on_host++) {
        params.parallel_for = on_host ? one_worker : NULL;
        session = create(pages.model, &params);
        user = session;
        gpt2_session_cancel(session);
        assert_int_equal(gpt2_session_set_deadline(session, 1), GPT2_OK);
        assert_int_equal(gpt2_sequence_restore(session, 0, wanted.bytes, wanted.n_bytes), GPT2_OK);
        found = save(session, 0);
        assert_int_equal(found.n_bytes, wanted.n_bytes);
        assert_memory_equal(found.bytes, wanted.bytes, wanted.n_bytes);
        free(found.bytes);
        assert_int_equal(gpt2_forward(session, pages.ids + 70, 1, 0), GPT2_ERR_CANCELLED);
        assert_int_equal(gpt2_forward(session, pages.ids + 70, 1, 0), GPT2_OK);
        gpt2_session_free(session);
    }
    free(wanted.bytes);
}

/* A text that was cut keeps its place in the whole text. */
static void test_cut_text(void **state)
{
    gpt2_session_params params = defaults();
    gpt2_session *session;
    struct saved saved;
    uint64_t wanted;
    int32_t id, again;

    (void)state;
    params.on_full = GPT2_FULL_SHIFT;
    params.n_ctx = 80;
    params.n_keep = 4;
    session = create(pages.model, &params);
    assert_int_equal(gpt2_forward(session, pages.ids, 120, 1), GPT2_OK);
    assert_int_equal(gpt2_session_position(session), 120);
    saved = save(session, 0);
    wanted = run_from(session, 120);
    assert_int_equal(gpt2_sample(session, GPT2_LAST_ROW, NULL, &id), GPT2_OK);
    gpt2_session_free(session);
    session = create(pages.model, &params);
    assert_int_equal(gpt2_sequence_restore(session, 0, saved.bytes, saved.n_bytes), GPT2_OK);
    assert_int_equal(gpt2_session_position(session), 120);
    assert_true(run_from(session, 120) == wanted);
    assert_int_equal(gpt2_sample(session, GPT2_LAST_ROW, NULL, &again), GPT2_OK);
    assert_int_equal(id, again); /* the same random number: the position is that of the text */
    gpt2_session_free(session);
    params.n_keep = 5;
    check_refused(pages.model, &params, &saved, GPT2_ERR_STATE, "n_keep 4, the session has 5");
    free(saved.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_continues),      cmocka_unit_test(test_write),
        cmocka_unit_test(test_equal_bytes),    cmocka_unit_test(test_damage),
        cmocka_unit_test(test_other_sessions), cmocka_unit_test(test_cut_text),
        cmocka_unit_test(test_not_cancelled),
    };

    return cmocka_run_group_tests(tests, load_models, free_models);
}
