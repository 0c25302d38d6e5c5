/*
 * test_text_api.c: the exported functions of tokenizers and encoders: what they refuse, what they
 * say then, and what they leave behind.
 */
#define DIRECTORY TESTS_TMP "/text-api"
#include "text_helpers.h"

static void test_buffers(void **state)
{
    struct pair pair = open_pair(DEMO);
    static const char text[] = "A text of several tokens, whatever they are.";
    size_t n_ids, n, n_bytes;
    int32_t *ids = encode(pair, text, sizeof text - 1, 0, &n_ids);

    (void)state;
    assert_true(n_ids > 4);
    for (size_t capacity = 0; capacity <= n_ids + 1; capacity++) {
        int32_t *some = malloc((capacity + 1) * sizeof *some);

        assert_non_null(some);
        some[capacity] = -77;
        n = 0;
        assert_int_equal(gpt2_encode(pair.encoder, text, sizeof text - 1, 0, some, capacity, &n),
                         capacity < n_ids ? GPT2_ERR_BUFFER : GPT2_OK);
        assert_int_equal(n, n_ids);
        assert_int_equal(some[capacity], -77);
        if (capacity < n_ids)
            assert_non_null(strstr(gpt2_encoder_error(pair.encoder), "the buffer has room for"));
        else
            assert_string_equal(gpt2_encoder_error(pair.encoder), "");
        free(some);
    }
    for (size_t capacity = 0; capacity <= sizeof text; capacity++) {
        char *some = malloc(capacity + 1);

        assert_non_null(some);
        some[capacity] = 77;
        assert_int_equal(gpt2_decode(pair.tokenizer, ids, n_ids, some, capacity, &n_bytes, NULL, 0),
                         capacity < sizeof text - 1 ? GPT2_ERR_BUFFER : GPT2_OK);
        assert_int_equal(n_bytes, sizeof text - 1);
        assert_int_equal(some[capacity], 77);
        free(some);
    }
    assert_int_equal(gpt2_decode(pair.tokenizer, ids, n_ids, NULL, 0, &n_bytes, NULL, 0),
                     GPT2_ERR_BUFFER);
    assert_int_equal(n_bytes, sizeof text - 1);
    assert_int_equal(gpt2_decode(pair.tokenizer, NULL, 0, NULL, 0, &n_bytes, NULL, 0), GPT2_OK);
    assert_int_equal(n_bytes, 0);
    assert_int_equal(gpt2_encode(pair.encoder, NULL, 0, 0, NULL, 0, &n), GPT2_OK);
    assert_int_equal(n, 0);
    free(ids);
    close_pair(pair);
}

/* By hand: whole characters, parts of them, ill-formed bytes; ids in any order, or without bytes. */
static void test_offsets(void **state)
{
    static const struct {
        const char *text;
        size_t n_bytes;
        int32_t ids[8];
        size_t n_ids;
        gpt2_offsets wanted[8];
    } cases[] = {
        {"a\xe2\x82\xac"
         "b",
         5,
         {0, 2, 3, 4, 1},
         5,
         {{0, 1, 0, 1}, {1, 2, 1, 2}, {2, 3, 1, 2}, {3, 4, 1, 2}, {4, 5, 2, 3}}},
        {"a\xe2\x82\xac"
         "b",
         5,
         {5, 6},
         2,
         {{0, 3, 0, 2}, {3, 5, 1, 3}}},
        {"a\xe2\x82"
         "a\xe2\x82",
         6,
         {5, 5},
         2,
         {{0, 3, 0, 3}, {3, 6, 3, 6}}},
        {"\xe2\x82", 2, {2, 3}, 2, {{0, 1, 0, 1}, {1, 2, 1, 2}}},
        {"\xe2\xac\x82\xac"
         "b",
         5,
         {2, 4, 3, 6},
         4,
         {{0, 1, 0, 1}, {1, 2, 0, 1}, {2, 3, 0, 1}, {3, 5, 1, 3}}},
        {"\xe2\x82\xac",
         3,
         {2, 8, 3, 8, 4, 8},
         6,
         {{0, 1, 0, 1}, {1, 1, 0, 0}, {1, 2, 0, 1}, {2, 2, 0, 0}, {2, 3, 0, 1}, {3, 3, 1, 1}}},
        {EOT "b" EOT, 27, {7, 1, 7}, 3, {{0, 13, 0, 13}, {13, 14, 13, 14}, {14, 27, 14, 27}}},
        {"", 0, {8}, 1, {{0, 0, 0, 0}}},
        {"", 0, {0}, 0, {{0, 0, 0, 0}}},
    };
    gpt2_offsets found[8];
    gpt2_tokenizer *tokenizer;
    int32_t ids[] = {0, 1, 10, 2};

    (void)state;
    put_vocabulary("{\"a\": 0, \"b\": 1, \"\\u00e2\": 2, \"\\u0124\": 3, \"\\u00ac\": 4,"
                   " \"a\\u00e2\\u0124\": 5, \"\\u00acb\": 6, \"" EOT "\": 7, "
                   " \"\\u00e2\\u0124\": 9}",
                   "#version: 0.2\n\xc3\xa2 \xc4\xa4\n"
                   "a \xc3\xa2\xc4\xa4\n\xc2\xac"
                   " b\n");
    if (load(DIRECTORY, &tokenizer) != GPT2_OK)
        fail_msg("%s", line);
    for (size_t i = 0; i < COUNT(cases); i++) {
        memset(found, 0xff, sizeof found);
        assert_int_equal(gpt2_token_offsets(tokenizer, cases[i].ids, cases[i].n_ids, found),
                         GPT2_OK);
        assert_memory_equal(found, cases[i].wanted, cases[i].n_ids * sizeof found[0]);
        check_offsets(tokenizer, cases[i].text, cases[i].n_bytes, cases[i].ids, cases[i].n_ids);
    }
    assert_int_equal(gpt2_token_offsets(tokenizer, NULL, 0, NULL), GPT2_OK);
    assert_int_equal(gpt2_token_offsets(tokenizer, ids, 4, found), GPT2_ERR_TOKEN);
    ids[2] = -1;
    assert_int_equal(gpt2_token_offsets(tokenizer, ids, 4, found), GPT2_ERR_TOKEN);
    assert_int_equal(gpt2_token_offsets(tokenizer, ids, 2, found), GPT2_OK);
    gpt2_tokenizer_free(tokenizer);
}

static void test_piece(void **state)
{
    struct pair pair = open_pair(DEMO);
    static const size_t lengths[] = {1, 2, 16, 31, 32, 33, 100, 256, 257, 4097};
    char text[5000];
    int32_t ids[5000];
    size_t n_ids;

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        gpt2_encoder_params params;
        gpt2_encoder *encoder;
        char wanted[256];

        assert_int_equal(gpt2_encoder_params_init(&params, sizeof params), GPT2_OK);
        assert_int_equal(params.max_piece_bytes, 65536);
        params.max_piece_bytes = lengths[i];
        assert_int_equal(gpt2_encoder_create(pair.tokenizer, &params, &encoder), GPT2_OK);
        assert_string_equal(gpt2_encoder_error(encoder), "");
        assert_int_equal(gpt2_encode(encoder, text, lengths[i], 0, ids, COUNT(ids), &n_ids), 0);
        assert_true(n_ids > 0);
        text[0] = '1'; /* one byte, then a piece that is too long */
        assert_int_equal(gpt2_encode(encoder, text, lengths[i] + 2, 0, ids, COUNT(ids), &n_ids),
                         GPT2_ERR_PIECE);
        text[0] = 'x';
        assert_int_equal(n_ids, 0);
        (void)sprintf(wanted,
                      "the piece at offset 1 of the text has %zu bytes, wanted at most "
                      "max_piece_bytes, which is %zu",
                      lengths[i] + 1, lengths[i]);
        assert_string_equal(gpt2_encoder_error(encoder), wanted);
        /* the encoder goes on working, and its line ends with the next call */
        assert_int_equal(gpt2_encode(encoder, text, lengths[i], 0, ids, COUNT(ids), &n_ids), 0);
        assert_string_equal(gpt2_encoder_error(encoder), "");
        gpt2_encoder_free(encoder);
    }
    close_pair(pair);
}

static void test_arguments(void **state)
{
    struct pair pair = open_pair(DEMO);
    int32_t id = 0, n_vocab = gpt2_tokenizer_n_vocab(pair.tokenizer), beyond[3];
    gpt2_encoder *encoder;
    const char *bytes = "";
    size_t n = 7;
    char text[16];

    (void)state;
    beyond[0] = -1;
    beyond[1] = n_vocab;
    beyond[2] = INT32_MIN;
    for (size_t i = 0; i < COUNT(beyond); i++) {
        bytes = "";
        n = 7;
        assert_int_equal(gpt2_tokenizer_token_bytes(pair.tokenizer, beyond[i], &bytes, &n),
                         GPT2_ERR_TOKEN);
        assert_null(bytes);
        assert_int_equal(n, 0);
        n = 7;
        assert_int_equal(gpt2_decode(pair.tokenizer, beyond + i, 1, text, sizeof text, &n, NULL, 0),
                         GPT2_ERR_TOKEN);
        assert_int_equal(n, 0);
    }
    for (int32_t i = 0; i < n_vocab; i++) {
        assert_int_equal(gpt2_tokenizer_token_bytes(pair.tokenizer, i, &bytes, &n), GPT2_OK);
        assert_true(n > 0);
    }

    assert_int_equal(gpt2_encoder_create(pair.tokenizer, NULL, &encoder), GPT2_OK);
    n = 7;
    assert_int_equal(gpt2_encode(encoder, "a", 1, 6, &id, 1, &n), GPT2_ERR_ARGUMENT);
    assert_int_equal(n, 0);
    assert_non_null(strstr(gpt2_encoder_error(encoder), "flags is 0x6, wanted none but 0x3"));
    gpt2_encoder_free(encoder);
    close_pair(pair);
}

/* A struct of a caller from the future: the one we know and 16 bytes more. */
union newer_params {
    gpt2_tokenizer_params tokenizer;
    gpt2_encoder_params encoder;
    unsigned char bytes[sizeof(gpt2_encoder_params) + 16];
};

static void test_tokenizer_params(void **state)
{
    union newer_params newer;
    gpt2_tokenizer_params *params = &newer.tokenizer;
    gpt2_tokenizer *tokenizer;
    size_t size = sizeof *params;

    (void)state;
    assert_int_equal(gpt2_tokenizer_params_init(NULL, size), GPT2_ERR_ARGUMENT);
    assert_int_equal(gpt2_tokenizer_params_init(params, size - 1), GPT2_ERR_ARGUMENT);
    memset(&newer, 0xaa, sizeof newer);
    assert_int_equal(gpt2_tokenizer_params_init(params, size + 16), GPT2_OK);
    assert_int_equal(params->struct_size, size + 16);
    assert_true(params->reserved == 0 && params->errbuf == NULL && params->errbuf_size == 0);
    params->errbuf = line;
    params->errbuf_size = sizeof line;
    assert_int_equal(gpt2_tokenizer_load(DEMO, params, &tokenizer), GPT2_OK);
    gpt2_tokenizer_free(tokenizer);
    newer.bytes[size + 15] = 1; /* a wish that this library does not know */
    assert_int_equal(gpt2_tokenizer_load(DEMO, params, &tokenizer), GPT2_ERR_UNSUPPORTED);
    assert_null(tokenizer);
    assert_non_null(strstr(line, "gpt2_tokenizer_params"));
    newer.bytes[size + 15] = 0;
    params->reserved = 1;
    assert_int_equal(gpt2_tokenizer_load(DEMO, params, &tokenizer), GPT2_ERR_ARGUMENT);
    assert_string_equal(line, "gpt2_tokenizer_params.reserved is 1, wanted 0");
    params->reserved = 0;
    params->struct_size = 8;
    assert_int_equal(gpt2_tokenizer_load(DEMO, params, &tokenizer), GPT2_ERR_ARGUMENT);
    assert_null(tokenizer);
}

static void test_encoder_params(void **state)
{
    struct pair pair = open_pair(DEMO);
    static const size_t refused[] = {0, (size_t)INT32_MAX + 1, SIZE_MAX};
    union newer_params newer;
    gpt2_encoder_params *params = &newer.encoder;
    gpt2_encoder *encoder;
    size_t size = sizeof *params;

    (void)state;
    assert_int_equal(gpt2_encoder_params_init(NULL, size), GPT2_ERR_ARGUMENT);
    assert_int_equal(gpt2_encoder_params_init(params, size - 1), GPT2_ERR_ARGUMENT);
    memset(&newer, 0xaa, sizeof newer);
    assert_int_equal(gpt2_encoder_params_init(params, size + 16), GPT2_OK);
    assert_true(params->struct_size == size + 16 && params->reserved == 0);
    params->errbuf = line;
    params->errbuf_size = sizeof line;
    assert_int_equal(gpt2_encoder_create(pair.tokenizer, params, &encoder), GPT2_OK);
    gpt2_encoder_free(encoder);
    newer.bytes[size] = 1;
    assert_int_equal(gpt2_encoder_create(pair.tokenizer, params, &encoder), GPT2_ERR_UNSUPPORTED);
    assert_null(encoder);
    assert_non_null(strstr(line, "gpt2_encoder_params"));
    newer.bytes[size] = 0;
    params->reserved = 2;
    assert_int_equal(gpt2_encoder_create(pair.tokenizer, params, &encoder), GPT2_ERR_ARGUMENT);
    assert_string_equal(line, "gpt2_encoder_params.reserved is 2, wanted 0");
    params->reserved = 0;
    for (size_t i = 0; i < COUNT(refused); i++) {
        params->max_piece_bytes = refused[i];
        assert_int_equal(gpt2_encoder_create(pair.tokenizer, params, &encoder), GPT2_ERR_ARGUMENT);
        assert_null(encoder);
        assert_non_null(strstr(line, "max_piece_bytes is "));
    }
    params->struct_size = 0;
    assert_int_equal(gpt2_encoder_create(pair.tokenizer, params, &encoder), GPT2_ERR_ARGUMENT);
    close_pair(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_piece),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_tokenizer_params),
        cmocka_unit_test(test_encoder_params),
    };

    return cmocka_run_group_tests_name("text_api", tests, make_directory, remove_directory);
}
