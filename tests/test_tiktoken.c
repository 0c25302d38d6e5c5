/*
 * test_tiktoken.c: tiktoken's file of tokens and ranks: the ids of vocab.json and merges.txt, and what is
 * refused with which line.  A file cut or changed anywhere gives an error or a tokenizer.
 *
 * WRAP := mmap mmap64 munmap
 */
#define DIRECTORY TESTS_TMP "/tiktoken"
#include "bounds.h"
#include "text_helpers.h"

#define PATH DIRECTORY "/r50k_base.tiktoken"

/* a 0, b 1, c 2, " " 3, "ab" 4, "abc" 5, " a" 7; 6 is <|endoftext|>, the first that is free */
#define SMALL "YQ== 0\nYg== 1\nYw== 2\nIA== 3\nYWI= 4\nYWJj 5\nIGE= 7\n"

static int remove_all(void **state)
{
    (void)unlink(PATH);
    return remove_directory(state);
}

static void put_text(const char *text)
{
    put_file(PATH, text, strlen(text));
}

/* ------------------------------------------------------------------------------------- the same -- */

static size_t put_base64(char *text, const char *bytes, size_t n_bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;

    for (size_t i = 0; i < n_bytes; i += 3) {
        uint32_t group = 0;

        for (size_t j = 0; j < 3; j++)
            group = group << 8 | (i + j < n_bytes ? (unsigned char)bytes[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            text[n++] = i + j <= n_bytes ? digits[group >> (18 - 6 * j) & 63] : '=';
    }
    return n;
}

/* The ranks of a vocabulary whose merges are in the order of their ids, as GPT-2's are. */
static void put_ranks(const gpt2_tokenizer *tokenizer)
{
    int32_t n_vocab = gpt2_tokenizer_n_vocab(tokenizer);
    char *text = malloc((size_t)n_vocab * 512);
    size_t n = 0;

    assert_non_null(text);
    for (int32_t id = 0; id < n_vocab; id++) {
        const char *bytes;
        size_t n_bytes;

        if (id == gpt2_tokenizer_eot(tokenizer))
            continue;
        assert_int_equal(gpt2_tokenizer_token_bytes(tokenizer, id, &bytes, &n_bytes), GPT2_OK);
        assert_true(n_bytes > 0 && n_bytes < 300);
        n += put_base64(text + n, bytes, n_bytes);
        n += (size_t)sprintf(text + n, " %d\n", (int)id);
    }
    put_file(PATH, text, n);
    free(text);
}

static void check_same(const char *directory)
{
    struct pair wanted = open_pair(directory), found;
    size_t n_bytes;
    char *text = get_file("tests/data", "alice.txt", &n_bytes);

    assert_non_null(text);
    memcpy(text + n_bytes / 2, EOT, strlen(EOT));
    put_ranks(wanted.tokenizer);
    found = open_pair(DIRECTORY);
    assert_int_equal(gpt2_tokenizer_n_vocab(found.tokenizer),
                     gpt2_tokenizer_n_vocab(wanted.tokenizer));
    assert_int_equal(gpt2_tokenizer_eot(found.tokenizer), gpt2_tokenizer_eot(wanted.tokenizer));
    for (size_t i = 0; i < 200; i++) { /* the whole, then parts with any bytes between */
        size_t from = i == 0 ? 0 : random_below((uint32_t)n_bytes - 1);
        size_t n = n_bytes - from, n_ids;
        int32_t *ids;

        n = i > 0 && n > 2000 ? 2000 : n;
        for (size_t j = 0; i > 0 && j < n / 20; j++)
            text[from + random_below((uint32_t)n)] = (char)random_below(256);
        ids = encode(wanted, text + from, n, GPT2_ENCODE_SPECIAL, &n_ids);
        check_ids(found, text + from, n, GPT2_ENCODE_SPECIAL, ids, n_ids);
        free(ids);
    }
    close_pair(found);
    close_pair(wanted);
    free(text);
}

static void test_demo(void **state)
{
    (void)state;
    check_same(DEMO);
}

static void test_gpt2(void **state)
{
    const char *shared = getenv("GPT2_SHARED");
    char directory[1024];

    (void)state;
    (void)snprintf(directory, sizeof directory, "%s/tokenizer",
                   shared != NULL ? shared : "../shared");
    if (access(directory, R_OK) != 0)
        skip();
    check_same(directory);
}

/* ------------------------------------------------------------------------------------- accepted -- */

static void test_accepted(void **state)
{
    static const int32_t wanted[] = {3, 4, 5, 6, 4}; /* " a" has a later rank than "ab" */
    static const char *const files[] = {
        SMALL,
        "\n" SMALL "\r\n",
        "IGE= 7\r\nYWJj 5\r\nYWI= 4\r\nIA== 3\r\nYw== 2\r\nYg== 1\r\nYQ== 0",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(files); i++) {
        struct pair pair;

        put_text(files[i]);
        pair = open_pair(DIRECTORY);
        check_ids(pair, " ababc" EOT "ab", 21, GPT2_ENCODE_SPECIAL, wanted, COUNT(wanted));
        close_pair(pair);
    }
}

/* -------------------------------------------------------------------------------------- refused -- */

static void test_refused(void **state)
{
    static const struct {
        const char *file;
        int32_t status;
        const char *fragment;
    } cases[] = {
        {"", GPT2_ERR_FORMAT, "has no tokens"},
        {"\n\r\n", GPT2_ERR_FORMAT, "has no tokens"},
        {"YQ== 0\nYg==1\n", GPT2_ERR_FORMAT, "line 2: found \"Yg==1\", wanted a token of 1 to 256"},
        {"YQ==\n", GPT2_ERR_FORMAT, "line 1: found \"YQ==\""},
        {"YQ== \n", GPT2_ERR_FORMAT, "line 1"},
        {" 1\n", GPT2_ERR_FORMAT, "line 1"},
        {"YQ= 0\n", GPT2_ERR_FORMAT, "line 1"},
        {"Y=== 0\n", GPT2_ERR_FORMAT, "line 1"},
        {"==== 0\n", GPT2_ERR_FORMAT, "line 1"},
        {"YQ==YQ== 0\n", GPT2_ERR_FORMAT, "line 1"},
        {"Y-== 0\n", GPT2_ERR_FORMAT, "line 1"},
        {"YQ== -1\n", GPT2_ERR_FORMAT, "line 1"},
        {"YQ== 0x1\n", GPT2_ERR_FORMAT, "line 1"},
        {"YQ== 1 2\n", GPT2_ERR_FORMAT, "line 1"},
        {"YQ== 12345678\n", GPT2_ERR_FORMAT, "line 1"},
        {"YQ== 9999999\n", GPT2_ERR_UNSUPPORTED, "line 1: the rank: found 9999999, wanted at most"},
        {"YQ== 0\nYg== 0\n", GPT2_ERR_FORMAT, "line 2: a second token has rank 0"},
        {"YQ== 0\nYQ== 1\n", GPT2_ERR_FORMAT, "line 2: its token has a rank already"},
        {"YQ== 0\nYWFh 1\n", GPT2_ERR_UNSUPPORTED,
         "the token of rank 1 is 3 tokens of lower ranks, wanted two"},
        {"YWE= 0\n", GPT2_ERR_FORMAT, "its ranks as tokenizer.json: "},
        {"PHxlbmRvZnRleHR8Pg== 0\n", GPT2_ERR_UNSUPPORTED, "the token of rank 0 is 13 tokens"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        gpt2_tokenizer *tokenizer;
        int32_t status;

        put_text(cases[i].file);
        status = BOUNDED(load(DIRECTORY, &tokenizer));
        assert_null(tokenizer);
        if (status != cases[i].status || strstr(line, cases[i].fragment) == NULL)
            fail_msg("case %zu: status %d: \"%s\" without \"%s\"", i, (int)status, line,
                     cases[i].fragment);
        assert_ptr_equal(strstr(line, PATH), line); /* the file's name comes first */
    }
}

/* Tokens of 1, 2, 4 ... 256 bytes, each of two of the one before; then one of 257 bytes. */
static void test_long(void **state)
{
    char bytes[257], text[4096];
    int32_t wanted[] = {8, 8, 0};
    size_t n = 0;
    gpt2_tokenizer *tokenizer;
    struct pair pair;

    (void)state;
    memset(bytes, 'a', sizeof bytes);
    for (int rank = 0; rank <= 8; rank++) {
        n += put_base64(text + n, bytes, (size_t)1 << rank);
        n += (size_t)sprintf(text + n, " %d\n", rank);
    }
    put_file(PATH, text, n);
    pair = open_pair(DIRECTORY);
    memset(text + 2048, 'a', 513);
    check_ids(pair, text + 2048, 513, 0, wanted, COUNT(wanted));
    close_pair(pair);

    n += put_base64(text + n, bytes, 257);
    n += (size_t)sprintf(text + n, " 9\n");
    put_file(PATH, text, n);
    assert_int_equal(BOUNDED(load(DIRECTORY, &tokenizer)), GPT2_ERR_FORMAT);
    assert_non_null(strstr(line, "line 10: found"));

    n = put_base64(text, bytes, 256);
    n += (size_t)sprintf(text + n, " 0\n");
    put_file(PATH, text, n);
    assert_int_equal(BOUNDED(load(DIRECTORY, &tokenizer)), GPT2_ERR_UNSUPPORTED);
    assert_non_null(strstr(line, "is 256 tokens of lower ranks"));
}

static void test_changed(void **state)
{
    char text[] = SMALL;

    (void)state;
    for (size_t i = 0; i < strlen(SMALL); i++) {
        for (int value = 0; value < 256; value += 3) {
            gpt2_tokenizer *tokenizer;

            memcpy(text, SMALL, sizeof text);
            text[i] = (char)value;
            put_file(PATH, text, sizeof text - 1);
            if (BOUNDED(load(DIRECTORY, &tokenizer)) == GPT2_OK)
                gpt2_tokenizer_free(tokenizer);
        }
        put_file(PATH, SMALL, i);
        {
            gpt2_tokenizer *tokenizer;

            if (BOUNDED(load(DIRECTORY, &tokenizer)) == GPT2_OK)
                gpt2_tokenizer_free(tokenizer);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_demo),     cmocka_unit_test(test_gpt2),
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long),     cmocka_unit_test(test_changed),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("tiktoken", tests, make_directory, remove_all);
}
