/*
 * test_vocab.c: vocab.json and merges.txt: what is accepted, and what is refused with which line.
 * No file may bring the library down, so whole ones are also cut and changed everywhere.
 *
 * WRAP := mmap mmap64 munmap
 */
#define DIRECTORY TESTS_TMP "/vocab"
#include "bounds.h"
#include "text_helpers.h"

#define VOCAB "{\"a\": 0, \"b\": 1, \"c\": 2, \"ab\": 3, \"abc\": 4}"

/* The ids of a text by the vocabulary written last. */
static void check_text(const char *text, size_t n_bytes, const int32_t *wanted, size_t n_wanted)
{
    struct pair pair = open_pair(DIRECTORY);

    check_ids(pair, text, n_bytes, GPT2_ENCODE_SPECIAL, wanted, n_wanted);
    close_pair(pair);
}

static void test_accepted(void **state)
{
    static const int32_t abc[] = {4}, ab_c[] = {3, 2}, a_b_c[] = {0, 1, 2}, a_bc[] = {0, 5};
    static const struct {
        const char *merges;
        const int32_t *ids; /* of "abc" */
        size_t n;
    } cases[] = {
        {"#version: 0.2\na b\nab c\n", abc, 1},
        {"a b\nab c\n", abc, 1},                      /* no line of version */
        {"a b\nab c", abc, 1},                        /* no newline at the end */
        {"#version: 0.2\r\na b\r\nab c\r\n", abc, 1}, /* CR LF */
        {"a b\n#version x\nab c\n", abc, 1},          /* as Hugging Face: anywhere */
        {"ab c\na b\n", abc, 1},                      /* a merge before what it merges */
        {"a b\n", ab_c, 2},
        {"", a_b_c, 3},
        {"#version: 0.2\n", a_b_c, 3},
        {"a b\nb c\nab c\n", abc, 1},
        {"a b\nb c\na b\nab c\n", a_bc, 2}, /* a line that stands twice: the later place counts */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        put_vocabulary("{\"a\": 0, \"b\": 1, \"c\": 2, \"ab\": 3, \"abc\": 4, \"bc\": 5}",
                       cases[i].merges);
        check_text("abc", 3, cases[i].ids, cases[i].n);
    }
}

/* Symbols: escapes of JSON, GPT-2's alphabet, and characters outside it. */
static void test_symbols(void **state)
{
    static const struct {
        int32_t id;
        const char *bytes;
        size_t n_bytes;
    } wanted[] = {
        {0, " ", 1},
        {1, "\n", 1},
        {2, "\xe9", 1},
        {3, "\xad", 1},
        {4, "\x7f", 1},
        {5, "\xa0", 1},
        {6, "\0", 1},
        {7, "<|endoftext|>", 13},
        {8, "\"\\", 2},
        {9, "", 0},                      /* a hole: no symbol has this id */
        {10, "\xe6\xbc\xa2", 3},         /* outside the alphabet: its UTF-8 */
        {11, "a b", 3},                  /* likewise: a plain space */
        {12, "\xc4\xa0\xe6\xbc\xa2", 5}, /* likewise, all of it, as Hugging Face has it */
        {13, "", 0},                     /* an empty symbol */
        {14, "\xf0\x9f\x91\x8b", 4},     /* a surrogate pair */
        {15, "\xf0\x9f\x91\x8b", 4},     /* the same bytes in the alphabet */
    };
    static const int32_t ids[] = {0, 1, 2, 3, 4, 5, 6, 7};
    struct pair pair;

    (void)state;
    put_vocabulary(
        "{\"\\u0120\":0,\"\\u010a\":1,\"\xc3\xa9\":2,\"\xc5\x83\":3,\"\xc4\xa1\":4,"
        "\"\\u0142\":5,\"\xc4\x80\":6,\"<|endoftext|>\":7,\"\\\"\\\\\":8,\"\xe6\xbc\xa2\""
        ":10,\"a b\":11,\"\xc4\xa0\xe6\xbc\xa2\":12,\"\":13,\"\\ud83d\\udc4b\":14,"
        "\"\xc3\xb0\xc5\x81\xc4\xb3\xc4\xad\":15}",
        "");
    pair = open_pair(DIRECTORY);
    assert_int_equal(gpt2_tokenizer_n_vocab(pair.tokenizer), 16);
    assert_int_equal(gpt2_tokenizer_eot(pair.tokenizer), 7);
    for (size_t i = 0; i < COUNT(wanted); i++) {
        const char *bytes;
        size_t n_bytes;

        assert_int_equal(gpt2_tokenizer_token_bytes(pair.tokenizer, wanted[i].id, &bytes, &n_bytes),
                         GPT2_OK);
        assert_non_null(bytes);
        if (n_bytes != wanted[i].n_bytes || memcmp(bytes, wanted[i].bytes, n_bytes) != 0)
            fail_msg("token %d has other bytes", (int)wanted[i].id);
    }
    check_ids(pair, " \n\xe9\xad\x7f\xa0\0<|endoftext|>", 20, GPT2_ENCODE_SPECIAL, ids, COUNT(ids));
    close_pair(pair);
}

/* Bytes without a token, in a short and in a long piece. */
static void test_missing_bytes(void **state)
{
    struct pair pair;
    char text[100];
    size_t n_ids = 7;

    (void)state;
    put_vocabulary(VOCAB, "a b\n");
    pair = open_pair(DIRECTORY);
    memset(text, 'a', sizeof text);
    for (size_t n = 1; n <= sizeof text; n++) {
        for (size_t at = 0; at < n; at++) {
            char wanted[128];

            text[at] = 'z';
            assert_int_equal(gpt2_encode(pair.encoder, text, n, 0, NULL, 0, &n_ids),
                             GPT2_ERR_TOKEN);
            text[at] = 'a';
            assert_int_equal(n_ids, 0);
            (void)sprintf(wanted,
                          "byte 0x7a at offset %zu of the text has no token in this "
                          "vocabulary",
                          at);
            assert_string_equal(gpt2_encoder_error(pair.encoder), wanted);
        }
    }
    assert_int_equal(gpt2_encode(pair.encoder, "\x00", 1, 0, NULL, 0, &n_ids), GPT2_ERR_TOKEN);
    assert_non_null(strstr(gpt2_encoder_error(pair.encoder), "byte 0x00 at offset 0"));
    close_pair(pair);
}

static void test_refused(void **state)
{
    static const struct {
        const char *vocab;
        const char *merges;
        int32_t status;
        const char *fragments[3];
    } cases[] = {
        {NULL, "", GPT2_ERR_FILE, {"vocab.json: cannot be opened"}},
        {VOCAB, NULL, GPT2_ERR_FILE, {"merges.txt: cannot be opened"}},
        {"", "", GPT2_ERR_FORMAT, {"vocab.json: byte 0"}},
        {"{}", "", GPT2_ERR_FORMAT, {"vocab.json: has no tokens"}},
        {"[]", "", GPT2_ERR_FORMAT, {"vocab.json: byte 1", "wanted an object"}},
        {"3", "", GPT2_ERR_FORMAT, {"wanted an object"}},
        {"{\"a\": 0", "", GPT2_ERR_FORMAT, {"vocab.json: byte 7"}},
        {"{\"a\": 0} x", "", GPT2_ERR_FORMAT, {"vocab.json: byte 9"}},
        {"{\"a\": 0,}", "", GPT2_ERR_FORMAT, {"vocab.json: byte 8"}},
        {"{\"a\": -1}", "", GPT2_ERR_FORMAT, {"found -1", "an integer from 0 to 2097151"}},
        {"{\"a\": 1.5}", "", GPT2_ERR_FORMAT, {"found 1.5", "an integer from 0 to 2097151"}},
        {"{\"a\": 1e3}", "", GPT2_ERR_FORMAT, {"found 1e3"}},
        {"{\"a\": 2097152}", "", GPT2_ERR_FORMAT, {"found 2097152", "0 to 2097151"}},
        {"{\"a\": 99999999999999999999999}", "", GPT2_ERR_FORMAT, {"found 9999999"}},
        {"{\"a\": \"0\"}", "", GPT2_ERR_FORMAT, {"found \"0\"", "an integer"}},
        {"{\"a\": null}", "", GPT2_ERR_FORMAT, {"found null"}},
        {"{\"a\": {\"b\": 0}}", "", GPT2_ERR_FORMAT, {"an integer"}},
        {"{\"a\": 0, \"a\": 1}", "", GPT2_ERR_FORMAT, {"\"a\" appears twice", "ids 0 and 1"}},
        {"{\"a\": 0, \"\\u0061\": 1}", "", GPT2_ERR_FORMAT, {"\"a\" appears twice"}},
        {"{\"a\": 7, \"b\": 7}", "", GPT2_ERR_FORMAT, {"\"a\" and \"b\" both have the id 7"}},
        {"{\"a\xff\": 0}", "", GPT2_ERR_FORMAT, {"vocab.json: byte", "UTF-8"}},
        {"{\"\\ud800\": 0}", "", GPT2_ERR_FORMAT, {"surrogate"}},
        {"{\"\\x\": 0}", "", GPT2_ERR_FORMAT, {"vocab.json: byte"}},
        {VOCAB, "a\n", GPT2_ERR_FORMAT, {"merges.txt: line 1", "found \"a\"", "two symbols"}},
        {VOCAB, "a b\n\n", GPT2_ERR_FORMAT, {"merges.txt: line 2", "found \"\""}},
        {VOCAB, "a b c\n", GPT2_ERR_FORMAT, {"line 1: found \"a b c\""}},
        {VOCAB, "a  b\n", GPT2_ERR_FORMAT, {"line 1: found \"a  b\""}},
        {VOCAB, "#version\na b\nab z\n", GPT2_ERR_FORMAT, {"line 3: symbol \"z\" is not in"}},
        {VOCAB, "z a\n", GPT2_ERR_FORMAT, {"line 1: symbol \"z\" is not in vocab.json"}},
        {VOCAB, "b c\n", GPT2_ERR_FORMAT, {"line 1: the merge makes a symbol that \"bc\" is not"}},
        {VOCAB, "a \n", GPT2_ERR_FORMAT, {"line 1: symbol \"\" is not"}},
        {VOCAB, "a \xff\n", GPT2_ERR_FORMAT, {"line 1: symbol \"?\" is not"}},
        {VOCAB, "a b\r", GPT2_ERR_FORMAT, {"line 1: symbol \"b?\" is not"}},
    };
    char shown[4096];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        gpt2_tokenizer *tokenizer = (gpt2_tokenizer *)&shown;
        int32_t status;

        put_vocabulary(cases[i].vocab, cases[i].merges);
        status = BOUNDED(load(DIRECTORY, &tokenizer));
        assert_null(tokenizer);
        if (status != cases[i].status)
            fail_msg("case %zu: status %d: %s", i, (int)status, line);
        for (size_t f = 0; f < COUNT(cases[i].fragments) && cases[i].fragments[f] != NULL; f++) {
            if (strstr(line, cases[i].fragments[f]) == NULL)
                fail_msg("case %zu: \"%s\" without \"%s\"", i, line, cases[i].fragments[f]);
        }
        assert_ptr_equal(strstr(line, DIRECTORY), line); /* the file's name comes first */
    }
}

static void test_paths(void **state)
{
    gpt2_tokenizer *tokenizer;
    static char path[5000];
    FILE *file;

    (void)state;
    assert_int_equal(load("build/no such folder", &tokenizer), GPT2_ERR_FILE);
    assert_non_null(strstr(line, "build/no such folder/vocab.json"));
    assert_int_equal(load("Makefile", &tokenizer), GPT2_ERR_FORMAT); /* no native file */
    assert_int_equal(load("", &tokenizer), GPT2_ERR_ARGUMENT);
    assert_string_equal(
        line, "gpt2_tokenizer_load: path is empty, wanted a directory, a native or a GGUF file");
    memset(path, 'x', sizeof path - 1);
    assert_int_equal(load(path, &tokenizer), GPT2_ERR_FILE);
    put_vocabulary(VOCAB, "a b\n");
    assert_int_equal(load(DIRECTORY "/", &tokenizer), GPT2_OK); /* a slash at the end */
    gpt2_tokenizer_free(tokenizer);
    for (int i = 0; i < 2; i++) { /* 64 MB and one byte, a hole in the file system */
        put_vocabulary(VOCAB, "a b\n");
        file = fopen(i == 0 ? DIRECTORY "/vocab.json" : DIRECTORY "/merges.txt", "ab");
        assert_non_null(file);
        assert_int_equal(ftruncate(fileno(file), (64 << 20) + 1), 0);
        (void)fclose(file);
        assert_int_equal(BOUNDED(load(DIRECTORY, &tokenizer)), GPT2_ERR_FORMAT);
        assert_non_null(strstr(line, "67108865 bytes"));
    }
    (void)unlink(DIRECTORY "/vocab.json");
    assert_int_equal(mkdir(DIRECTORY "/vocab.json", 0777), 0);
    assert_int_equal(BOUNDED(load(DIRECTORY, &tokenizer)), GPT2_ERR_FILE);
    assert_int_equal(rmdir(DIRECTORY "/vocab.json"), 0);
}

/* The ids at the edges of what is allowed, and a token much longer than a short piece. */
static void test_limits(void **state)
{
    static char vocab[5000], text[2000];
    const char *bytes;
    size_t n_bytes, n;
    struct pair pair;

    (void)state;
    memset(text, 'q', sizeof text);
    n = (size_t)sprintf(vocab, "{\"q\": 0, \"last\": 2097151, \"");
    memset(vocab + n, 'q', sizeof text);
    (void)sprintf(vocab + n + sizeof text, "\": 1}");
    put_vocabulary(vocab, "");
    pair = open_pair(DIRECTORY);
    assert_int_equal(gpt2_tokenizer_n_vocab(pair.tokenizer), 2097152);
    assert_int_equal(gpt2_tokenizer_token_bytes(pair.tokenizer, 1, &bytes, &n_bytes), GPT2_OK);
    assert_int_equal(n_bytes, sizeof text);
    assert_memory_equal(bytes, text, n_bytes);
    assert_int_equal(gpt2_tokenizer_token_bytes(pair.tokenizer, 2097151, &bytes, &n_bytes),
                     GPT2_OK);
    assert_int_equal(n_bytes, 4);
    assert_int_equal(gpt2_tokenizer_token_bytes(pair.tokenizer, 2097150, &bytes, &n_bytes),
                     GPT2_OK);
    assert_int_equal(n_bytes, 0);
    /* no merge makes it, so no text has it */
    assert_int_equal(gpt2_encode(pair.encoder, text, sizeof text, 0, NULL, 0, &n), GPT2_ERR_BUFFER);
    assert_int_equal(n, sizeof text);
    close_pair(pair);
}

/* Which tokens encoding never gives. */
static void test_added(void **state)
{
    static const int32_t wanted[] = {0, 0, 0, 0, 1, 0, 1, 0, 0};
    gpt2_tokenizer *tokenizer;

    (void)state;
    put_vocabulary("{\"a\": 0, \"b\": 1, \"ab\": 2, \"\": 3, \"<|pad|>\": 4, "
                   "\"<|endoftext|>\": 5, \"ba\": 6, \"c\": 8}",
                   "a b\n");
    assert_int_equal(BOUNDED(load(DIRECTORY, &tokenizer)), GPT2_OK);
    for (int32_t id = 0; id < (int32_t)COUNT(wanted); id++)
        assert_int_equal(gpt2_tokenizer_is_added(tokenizer, id), wanted[id]);
    assert_int_equal(gpt2_tokenizer_is_added(tokenizer, -1), 0);
    assert_int_equal(gpt2_tokenizer_is_added(tokenizer, 9), 0);
    assert_int_equal(gpt2_tokenizer_is_added(tokenizer, INT32_MAX), 0);
    gpt2_tokenizer_free(tokenizer);
}

/* A hash of 16 bytes without a seed: everybody can make texts that collide. */
static uint64_t known_hash(const char *bytes, size_t n)
{
    const uint64_t k = 0x9e3779b97f4a7c15;
    uint64_t hash = n * k, words[2];

    memcpy(words, bytes, n); /* 16 bytes, little-endian */
    hash = (hash ^ words[0]) * k;
    hash ^= hash >> 32;
    hash = (hash ^ words[1]) * k;
    hash ^= hash >> 29;
    hash *= k;
    return hash ^ hash >> 32;
}

/*
 * 1000 symbols whose hashes end in the same 11 bits load, in the vocabulary and as added tokens: no file
 * can know its own seed.
 */
static void test_crafted_symbols(void **state)
{
    static char vocab[64 << 10];
    size_t n = (size_t)sprintf(vocab, "{\"first\": 0");
    gpt2_tokenizer *tokenizer;
    uint64_t number = 0;

    (void)state;
    for (int id = 1; id <= 1000; number++) {
        char symbol[17];

        (void)sprintf(symbol, "%016llx", (unsigned long long)number);
        if ((known_hash(symbol, 16) & 2047) == 0)
            n += (size_t)sprintf(vocab + n, ", \"%s\": %d", symbol, id++);
    }
    n += (size_t)sprintf(vocab + n, "}");
    for (int added = 0; added < 2; added++) {
        put_vocabulary(added == 0 ? vocab : "{\"first\": 0}", "");
        put_file(DIRECTORY "/added_tokens.json", added == 0 ? NULL : vocab, n);
        if (load(DIRECTORY, &tokenizer) != GPT2_OK)
            fail_msg("%s", line);
        gpt2_tokenizer_free(tokenizer);
    }
    put_file(DIRECTORY "/added_tokens.json", NULL, 0);
}

/*
 * The same for pairs of ids: 600 merges whose home would be the first slot of 2048, if it were
 * (left id | right id) * k >> 53.
 */
static void test_crafted_pairs(void **state)
{
    enum { N_PAIRS = 600 };
    static char vocab[256 << 10], merges[64 << 10];
    const uint64_t k = 0x9e3779b97f4a7c15;
    size_t n = (size_t)sprintf(vocab, "{\"last\": 2097151"), m = 0;
    gpt2_tokenizer *tokenizer;
    uint64_t found = 0;

    (void)state;
    /* left ids count up from 1000; the right one is searched for, from 500000 on */
    for (uint64_t left = 1000, right = 500000; found < N_PAIRS; left++) {
        while ((left << 21 | right) * k >> 53 != 0)
            right++;
        n += (size_t)sprintf(vocab + n, ", \"l%d\": %d, \"r%d\": %d, \"l%dr%d\": %d", (int)found,
                             (int)left, (int)found, (int)right, (int)found, (int)found,
                             (int)(1000000 + found));
        m += (size_t)sprintf(merges + m, "l%d r%d\n", (int)found, (int)found);
        found++;
        right++;
    }
    (void)sprintf(vocab + n, "}");
    put_vocabulary(vocab, merges);
    if (BOUNDED(load(DIRECTORY, &tokenizer)) != GPT2_OK)
        fail_msg("%s", line);
    gpt2_tokenizer_free(tokenizer);
}

/* Loads the vocabulary written last: it is refused with a line, or it loads and encodes. */
static void check_survives(void)
{
    gpt2_tokenizer *tokenizer;
    gpt2_encoder *encoder;
    int32_t status = BOUNDED(load(DIRECTORY, &tokenizer));
    int32_t ids[64];
    size_t n_ids;

    if (status != GPT2_OK) {
        assert_int_equal(status, GPT2_ERR_FORMAT);
        assert_null(tokenizer);
        assert_ptr_equal(strstr(line, DIRECTORY), line);
        return;
    }
    assert_int_equal(gpt2_encoder_create(tokenizer, NULL, &encoder), GPT2_OK);
    status = gpt2_encode(encoder, "the abc \n\xc3\xa9" EOT, 24, GPT2_ENCODE_SPECIAL, ids,
                         COUNT(ids), &n_ids);
    assert_true(status == GPT2_OK || status == GPT2_ERR_TOKEN);
    for (size_t i = 0; i < n_ids; i++)
        assert_true(ids[i] >= 0 && ids[i] < gpt2_tokenizer_n_vocab(tokenizer));
    gpt2_encoder_free(encoder);
    gpt2_tokenizer_free(tokenizer);
}

static void test_cut_and_changed(void **state)
{
    static const char special[] = "\"\\{}:,0 9-#\n\r\xff\xc4\0u";
    static const char vocab[] = "{\"a\": 0, \"b\": 1, \"c\": 2, \"ab\": 3, \"abc\": 4, \"h\": 5, "
                                "\"\\u0120\": 6, \"t\": 7, \"\xc4\xa0t\": 8, \"e\": 9, "
                                "\"<|endoftext|>\": 10}";
    static const char merges[] = "#version: 0.2\na b\nab c\n\xc4\xa0 t\n";
    char changed[512];

    (void)state;
    for (size_t n = 0; n < sizeof vocab; n++) {
        put_vocabulary(vocab, merges);
        put_file(DIRECTORY "/vocab.json", vocab, n);
        check_survives();
    }
    for (size_t n = 0; n < sizeof merges; n++) {
        put_vocabulary(vocab, merges);
        put_file(DIRECTORY "/merges.txt", merges, n);
        check_survives();
    }
    for (int round = 0; round < 6000; round++) {
        bool in_vocab = round % 3 != 0;
        size_t n = in_vocab ? sizeof vocab - 1 : sizeof merges - 1;

        memcpy(changed, in_vocab ? vocab : merges, n);
        for (uint32_t i = random_below(3) + 1; i > 0; i--)
            changed[random_below((uint32_t)n)] = random_below(2) == 0
                                                     ? (char)random_below(256)
                                                     : special[random_below(sizeof special - 1)];
        put_vocabulary(vocab, merges);
        put_file(in_vocab ? DIRECTORY "/vocab.json" : DIRECTORY "/merges.txt", changed, n);
        check_survives();
    }
}

/* The demo model's own files, cut short at many places. */
static void test_demo_cut(void **state)
{
    size_t n_vocab, n_merges;
    char *vocab = get_file(DEMO, "vocab.json", &n_vocab);
    char *merges = get_file(DEMO, "merges.txt", &n_merges);

    (void)state;
    assert_non_null(vocab);
    assert_non_null(merges);
    put_file(DIRECTORY "/merges.txt", merges, n_merges);
    for (size_t n = 0; n < n_vocab; n += 1 + n_vocab / 97) {
        gpt2_tokenizer *tokenizer;

        put_file(DIRECTORY "/vocab.json", vocab, n);
        assert_int_equal(BOUNDED(load(DIRECTORY, &tokenizer)), GPT2_ERR_FORMAT);
        assert_null(tokenizer);
    }
    put_file(DIRECTORY "/vocab.json", vocab, n_vocab);
    for (size_t n = 0; n < n_merges; n += 1 + n_merges / 97) {
        put_file(DIRECTORY "/merges.txt", merges, n);
        check_survives();
    }
    free(vocab);
    free(merges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),      cmocka_unit_test(test_symbols),
        cmocka_unit_test(test_missing_bytes), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_paths),         cmocka_unit_test(test_limits),
        cmocka_unit_test(test_added),         cmocka_unit_test(test_crafted_symbols),
        cmocka_unit_test(test_crafted_pairs), cmocka_unit_test(test_cut_and_changed),
        cmocka_unit_test(test_demo_cut),      cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("vocab", tests, make_directory, remove_directory);
}
