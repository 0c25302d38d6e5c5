/*
 * test_memory.c: sessions and encoders in memory of the caller's: at any alignment, whatever was
 * there before, and not a byte outside of it.
 */
#include "tiny_model.h"

#define DIRECTORY TINY_DIRECTORY "/memory"
#define FENCE     128 /* bytes on either side that must stay as they are */

static struct tiny_text text;

static int set_up(void **state)
{
    struct tiny_model file = tiny_pages(DIRECTORY);

    (void)state;
    file.tokenizer = true;
    tiny_text_begin(&text, &file);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gpt2_model_free(text.model);
    tiny_remove(DIRECTORY);
    return 0;
}

/* A block whose bytes are all 0xff: as floats, NaN. */
struct room {
    unsigned char *block;
    unsigned char *memory; /* 'past' bytes beyond a multiple of 64 */
    size_t n_bytes;
};

static struct room room_new(size_t n_bytes, size_t past)
{
    struct room room = {.n_bytes = n_bytes};
    size_t all = n_bytes + 2 * FENCE + 64;

    room.block = aligned_alloc(64, (all + 63) / 64 * 64);
    assert_non_null(room.block);
    memset(room.block, 0xff, (all + 63) / 64 * 64);
    room.memory = room.block + FENCE + past;
    return room;
}

static void room_free(struct room room)
{
    for (size_t i = 1; i <= FENCE; i++) {
        assert_int_equal(room.memory[-(ptrdiff_t)i], 0xff);
        assert_int_equal(room.memory[room.n_bytes - 1 + i], 0xff);
    }
    free(room.block);
}

static gpt2_session_params session_params(int32_t n_threads, int32_t n_batch)
{
    gpt2_session_params params;

    assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
    params.n_threads = n_threads;
    params.n_batch = n_batch;
    params.n_logit_rows = INT32_MAX;
    return params;
}

static void test_session(void **state)
{
    static const size_t pasts[] = {0, 1, 8, 63};
    static const size_t chunks[] = {1, 7, 64, 200};

    (void)state;
    for (int i = 0; i < 16; i++) {
        gpt2_session_params params = session_params(1 + i % 3, 1 + 37 * (i % 4));
        size_t n_bytes;
        struct room room;
        gpt2_session *session;

        assert_int_equal(gpt2_session_size(text.model, &params, &n_bytes), GPT2_OK);
        room = room_new(n_bytes, pasts[i % 4]);
        for (int again = 0; again < 2; again++) { /* over what the first one left */
            assert_int_equal(gpt2_session_init(text.model, &params, room.memory, n_bytes, &session),
                             GPT2_OK);
            assert_true((unsigned char *)session >= room.memory &&
                        (unsigned char *)session < room.memory + n_bytes);
            assert_string_equal(gpt2_session_error(session), "");
            assert_int_equal(gpt2_session_position(session), 0);
            assert_true(tiny_run(session, text.ids, text.n_ids, chunks[i / 4], 0) == text.hash);
            gpt2_session_free(session);
        }
        room_free(room);
    }
}

static void test_session_refusals(void **state)
{
    gpt2_session_params params = session_params(1, 16);
    char line[256];
    char wanted[256];
    size_t n_bytes, least;
    struct room room;
    gpt2_session *session;

    (void)state;
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    assert_int_equal(gpt2_session_size(text.model, &params, &least), GPT2_OK);
    room = room_new(least, 0);
    (void)snprintf(wanted, sizeof wanted, "gpt2_session_init: memory_bytes is %zu, wanted %zu",
                   least - 1, least);
    session = (gpt2_session *)room.memory;
    assert_int_equal(gpt2_session_init(text.model, &params, room.memory, least - 1, &session),
                     GPT2_ERR_BUFFER);
    assert_string_equal(line, wanted);
    assert_null(session);
    params.n_threads = -1;
    n_bytes = 77;
    assert_int_equal(gpt2_session_size(text.model, &params, &n_bytes), GPT2_ERR_ARGUMENT);
    assert_string_equal(line, "gpt2_session_params.n_threads is -1, wanted 0 to 256");
    assert_int_equal(n_bytes, 0);
    for (size_t i = 0; i < least; i++)
        assert_int_equal(room.memory[i], 0xff); /* nothing was begun */
    room_free(room);
}

static void check_encoder(gpt2_encoder *encoder)
{
    int32_t ids[8];
    size_t n_ids;

    assert_string_equal(gpt2_encoder_error(encoder), "");
    assert_int_equal(gpt2_encode(encoder, "the", 3, GPT2_ENCODE_MORE, ids, 8, &n_ids), GPT2_OK);
    assert_int_equal(n_ids, 0);
    assert_int_equal(
        gpt2_encode(encoder, "!<|endoftext|>th", 16, GPT2_ENCODE_SPECIAL, ids, 8, &n_ids), GPT2_OK);
    assert_int_equal(n_ids, 4);
    assert_memory_equal(ids, ((int32_t[]){95, 0, 96, 94}), 4 * sizeof ids[0]);
}

static void test_encoder(void **state)
{
    const gpt2_tokenizer *tokenizer = gpt2_model_tokenizer(text.model);
    static const size_t pieces[] = {1, 3, 16, 100, 4097, 100000};
    gpt2_encoder_params params;
    gpt2_encoder *encoder;
    char line[256], wanted[256];
    size_t n_bytes;

    (void)state;
    assert_int_equal(gpt2_encoder_params_init(&params, sizeof params), GPT2_OK);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct room room;

        params.max_piece_bytes = pieces[i] < 3 ? 3 : pieces[i];
        assert_int_equal(gpt2_encoder_size(&params, &n_bytes), GPT2_OK);
        assert_true(n_bytes < 19 * params.max_piece_bytes + 6144);
        room = room_new(n_bytes, 13 * i % 64);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(gpt2_encoder_init(tokenizer, &params, room.memory, n_bytes, &encoder),
                             GPT2_OK);
            check_encoder(encoder);
            gpt2_encoder_free(encoder);
        }
        (void)snprintf(wanted, sizeof wanted, "gpt2_encoder_init: memory_bytes is %zu, wanted %zu",
                       n_bytes - 1, n_bytes);
        assert_int_equal(gpt2_encoder_init(tokenizer, &params, room.memory, n_bytes - 1, &encoder),
                         GPT2_ERR_BUFFER);
        assert_string_equal(line, wanted);
        assert_null(encoder);
        room_free(room);
    }
    params.max_piece_bytes = 0;
    assert_int_equal(gpt2_encoder_size(&params, &n_bytes), GPT2_ERR_ARGUMENT);
    assert_string_equal(line, "gpt2_encoder_params.max_piece_bytes is 0, wanted 1 to 2147483647");
    assert_int_equal(n_bytes, 0);
    assert_int_equal(gpt2_encoder_size(NULL, &n_bytes), GPT2_OK);
    assert_true(n_bytes > 65536);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session),
        cmocka_unit_test(test_session_refusals),
        cmocka_unit_test(test_encoder),
    };

    return cmocka_run_group_tests_name("memory", tests, set_up, tear_down);
}
