/*
 * test_text.c: text to token ids and back: published vectors, the order of merging, special tokens,
 * and hostile text.
 *
 * Runs in the root of the checkout.  What needs GPT-2's own vocabulary takes it from the folder
 * $GPT2_SHARED (default ../shared) and is skipped where that is absent.
 */
#define DIRECTORY TESTS_TMP "/text"
#include "text_helpers.h"

#include <time.h>

/* ----------------------------------------------------------------------------------- vectors -- */

/* From GPT-3-Encoder's Encoder.test.js (latitudegames/GPT-3-Encoder@9df47fc6, MIT). */
static void test_vectors_gpt3_encoder(void **state)
{
    static const struct {
        const char *text;
        size_t n;
        int32_t ids[12];
    } vectors[] = {
        {"", 0, {0}},
        {" ", 1, {220}},
        {"\t", 1, {197}},
        {"This is some text", 4, {1212, 318, 617, 2420}},
        {"indivisible", 3, {521, 452, 12843}},
        {"hello \xf0\x9f\x91\x8b world \xf0\x9f\x8c\x8d",
         7,
         {31373, 50169, 233, 995, 12520, 234, 235}},
        {"toString constructor hasOwnProperty valueOf",
         8,
         {1462, 10100, 23772, 468, 23858, 21746, 1988, 5189}},
    };
    const char *directory = shared("tokenizer");
    struct pair pair;

    (void)state;
    if (directory == NULL)
        skip();
    pair = open_pair(directory);
    assert_int_equal(gpt2_tokenizer_n_vocab(pair.tokenizer), 50257);
    assert_int_equal(gpt2_tokenizer_eot(pair.tokenizer), 50256);
    for (size_t i = 0; i < COUNT(vectors); i++)
        check_ids(pair, vectors[i].text, strlen(vectors[i].text), 0, vectors[i].ids, vectors[i].n);
    close_pair(pair);
}

/* llama.cpp's ggml-vocab-gpt-2.gguf.inp and .out (llama.cpp@c392e509, MIT). */
static void test_vectors_llama_cpp(void **state)
{
    static const char separator[] = "\n__ggml_vocab_test__\n";
    const char *directory = shared("tokenizer");
    size_t n_inp, n_out, n_vectors = 0;
    char *inp, *out, *text, *numbers;
    struct pair pair;

    (void)state;
    if (directory == NULL)
        skip();
    inp = get_file(directory, "ggml-vocab-gpt-2.gguf.inp", &n_inp);
    out = get_file(directory, "ggml-vocab-gpt-2.gguf.out", &n_out);
    assert_non_null(inp);
    assert_non_null(out);
    pair = open_pair(directory);
    text = inp;
    numbers = out;
    for (char *end; (end = strstr(text, separator)) != NULL; text = end + sizeof separator - 1) {
        int32_t wanted[1024];
        size_t n = 0;

        while (*numbers != '\n') {
            assert_true(n < COUNT(wanted));
            wanted[n++] = (int32_t)strtol(numbers, &numbers, 10);
            while (*numbers == ' ')
                numbers++;
        }
        numbers++;
        check_ids(pair, text, (size_t)(end - text), 0, wanted, n);
        n_vectors++;
    }
    assert_int_equal(n_vectors, 46);
    free(inp);
    free(out);
    close_pair(pair);
}

/* The character model: 54 characters, no merges, no <|endoftext|>. */
static void test_few_symbols(void **state)
{
    static const int32_t wanted[] = {10, 1, 28, 0};
    const char *directory = shared("models/slm4096");
    struct pair pair;
    int32_t ids[8];
    size_t n_ids = 7;

    (void)state;
    if (directory == NULL)
        skip();
    pair = open_pair(directory);
    assert_int_equal(gpt2_tokenizer_n_vocab(pair.tokenizer), 54);
    assert_int_equal(gpt2_tokenizer_eot(pair.tokenizer), -1);
    check_ids(pair, "A a\n", 4, 0, wanted, COUNT(wanted));
    check_ids(pair, "A a\n", 4, GPT2_ENCODE_SPECIAL, wanted, COUNT(wanted));
    assert_int_equal(gpt2_encode(pair.encoder, "A a;b", 5, 0, ids, COUNT(ids), &n_ids),
                     GPT2_ERR_TOKEN);
    assert_int_equal(n_ids, 0);
    assert_string_equal(gpt2_encoder_error(pair.encoder),
                        "byte 0x3b at offset 3 of the text has no token in this vocabulary");
    close_pair(pair);
}

/* ----------------------------------------------------------------------------------- merging -- */

/* Merges that no training would give: in odd order, made from symbols of later lines, one line
   twice (its last place counts).  The first 256 ids are the bytes 'a', 'b', 'c' and all others. */
static const char *const odd_merges[][2] = {
    {"ab", "c"},  {"b", "c"},   {"aa", "aa"}, {"a", "b"},   {"c", "c"},    {"b", "c"},
    {"a", "a"},   {"abc", "a"}, {"cc", "cc"}, {"bc", "bc"}, {"aaaa", "b"}, {"c", "ab"},
    {"ccc", "c"}, {"bb", "b"},  {"ab", "ab"}, {"b", "a"},   {"cc", "c"},
};

static struct pair open_odd(void)
{
    char vocab[4096] = "{\"a\":0,\"b\":1,\"c\":2,\"bb\":3", merges[1024] = "#version: 0.2\n";
    char made[COUNT(odd_merges)][16];
    size_t n_vocab = strlen(vocab), n_merges = strlen(merges), id = 4;

    for (size_t i = 0; i < COUNT(odd_merges); i++) {
        const char *left = odd_merges[i][0], *right = odd_merges[i][1];
        bool again = false;

        (void)snprintf(made[i], sizeof made[i], "%s%s", left, right);
        n_merges += (size_t)sprintf(merges + n_merges, "%s %s\n", left, right);
        for (size_t j = 0; j < i; j++)
            again = again || strcmp(made[i], made[j]) == 0;
        if (!again)
            n_vocab += (size_t)sprintf(vocab + n_vocab, ",\"%s\":%zu", made[i], id++);
    }
    (void)sprintf(vocab + n_vocab, "}");
    put_vocabulary(vocab, merges);
    return open_pair(DIRECTORY);
}

/* Merging as it is defined, on strings, one merge at a time. */
static size_t merge_by_definition(const char *text, size_t n_bytes, char (*symbols)[16])
{
    size_t n = n_bytes;

    for (size_t i = 0; i < n; i++)
        (void)sprintf(symbols[i], "%c", text[i]);
    for (;;) {
        size_t best = n, best_rank = COUNT(odd_merges), at;

        for (size_t i = 0; i + 1 < n; i++) {
            size_t rank = COUNT(odd_merges);

            for (size_t m = 0; m < COUNT(odd_merges); m++) {
                if (strcmp(odd_merges[m][0], symbols[i]) == 0 &&
                    strcmp(odd_merges[m][1], symbols[i + 1]) == 0)
                    rank = m; /* the last one */
            }
            if (rank < best_rank) {
                best_rank = rank;
                best = i;
            }
        }
        if (best == n)
            return n;
        at = strlen(symbols[best]);
        memcpy(symbols[best] + at, symbols[best + 1], sizeof symbols[0] - at);
        n--;
        for (size_t i = best + 1; i < n; i++)
            memcpy(symbols[i], symbols[i + 1], sizeof symbols[i]);
    }
}

static void check_merging(struct pair pair, const char *text, size_t n_bytes)
{
    static char symbols[700][16];
    size_t n_wanted = merge_by_definition(text, n_bytes, symbols), n_ids;
    int32_t *ids = encode(pair, text, n_bytes, 0, &n_ids);

    if (n_ids != n_wanted)
        fail_msg("\"%.*s\": %zu ids, wanted %zu", (int)n_bytes, text, n_ids, n_wanted);
    for (size_t i = 0; i < n_ids; i++) {
        const char *bytes;
        size_t length;

        assert_int_equal(gpt2_tokenizer_token_bytes(pair.tokenizer, ids[i], &bytes, &length),
                         GPT2_OK);
        if (length != strlen(symbols[i]) || memcmp(bytes, symbols[i], length) != 0)
            fail_msg("\"%.*s\": token %zu is \"%.*s\", wanted \"%s\"", (int)n_bytes, text, i,
                     (int)length, bytes, symbols[i]);
    }
    free(ids);
}

static void test_merge_order(void **state)
{
    struct pair pair = open_odd();
    char text[700];

    (void)state;
    for (size_t length = 1; length <= 8; length++) { /* all texts of a, b, c */
        size_t n_texts = 1;

        for (size_t i = 0; i < length; i++)
            n_texts *= 3;
        for (size_t number = 0; number < n_texts; number++) {
            size_t rest = number;

            for (size_t i = 0; i < length; i++, rest /= 3)
                text[i] = (char)('a' + rest % 3);
            check_merging(pair, text, length);
        }
    }
    for (int round = 0; round < 300; round++) {
        static const size_t lengths[] = {15, 16, 17, 31, 32, 33, 34, 48, 255, 256, 257, 258, 600};
        size_t length = lengths[(size_t)round % COUNT(lengths)];
        uint32_t letters = 1 + random_below(3);

        for (size_t i = 0; i < length; i++)
            text[i] = (char)('a' + random_below(letters));
        check_merging(pair, text, length);
    }
    close_pair(pair);
}

/* ------------------------------------------------------------------------------ hostile text -- */

static void test_random_bytes(void **state)
{
    struct pair pair = open_pair(DEMO);
    char text[400];

    (void)state;
    for (int round = 0; round < 20000; round++) {
        static const char chosen[] = "'sedrlvtm \n\t1<|>\x80\xbf\xc3\xa9\xe2\x80\xf0\x9f\xff";
        size_t length = random_below(round % 100 == 0 ? sizeof text : 24), n_ids;

        for (size_t i = 0; i < length; i++)
            text[i] = random_below(3) == 0 ? (char)random_below(256)
                                           : chosen[random_below(sizeof chosen - 1)];
        free(encode(pair, text, length, round % 2 == 0 ? GPT2_ENCODE_SPECIAL : 0, &n_ids));
    }
    for (int first = 0; first < 256; first++) {
        for (int second = 0; second < 256; second++) {
            size_t n_ids;

            text[0] = (char)first;
            text[1] = (char)second;
            free(encode(pair, text, 2, 0, &n_ids));
        }
    }
    close_pair(pair);
}

static void check_million(struct pair pair, const char *what, size_t n_what, uint32_t flags)
{
    char *text = malloc(MILLION);
    size_t n_ids;
    clock_t begin = clock();
    double seconds;

    assert_non_null(text);
    for (size_t i = 0; i < MILLION; i++)
        text[i] = what[i % n_what];
    free(encode(pair, text, MILLION, flags, &n_ids));
    free(text);
    seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    /* two encodings take 0.2 s, with sanitizers 2 s; quadratic time would take an hour */
    if (seconds > 60)
        fail_msg("a million bytes of \"%.*s\" take %g s", (int)n_what, what, seconds);
}

static void test_million_bytes(void **state)
{
    static const char *const patterns[] = {
        "a",
        " ",
        "\n",
        "\t",
        "\r\n",
        "1",
        "-",
        "'",
        "'s",
        "'r",
        "<",
        "<|",
        "<|endoftext",
        EOT,
        " a",
        "a ",
        " \n",
        "  x",
        "\xff",
        "\xf0\x9f",
        "\xf0\x9f\x91\x8b",
        "\xe3\x80\x80",
        "ab",
        "the",
    };
    struct pair pair = open_pair(DEMO);
    char *letters = malloc(MILLION);

    (void)state;
    assert_non_null(letters);
    for (size_t i = 0; i < COUNT(patterns); i++)
        check_million(pair, patterns[i], strlen(patterns[i]), i % 2 == 0 ? GPT2_ENCODE_SPECIAL : 0);
    check_million(pair, EOT, sizeof EOT - 1, GPT2_ENCODE_SPECIAL);
    check_million(pair, "\0", 1, 0);
    for (size_t i = 0; i < MILLION; i++)
        letters[i] = (char)('a' + random_below(26));
    check_million(pair, letters, MILLION, 0);
    for (size_t i = 0; i < MILLION; i++)
        letters[i] = ' ';
    letters[MILLION - 1] = 'a'; /* a run of white space with its end at the very end */
    check_million(pair, letters, MILLION, 0);
    free(letters);
    close_pair(pair);
}

/* ----------------------------------------------------------------------------------- special -- */

/* The text before, between and after special tokens is encoded as so many texts of their own. */
static void test_special(void **state)
{
    static const char *const parts[] = {"",   "a",    "  ",          " b", "it",
                                        "'s", "\n\n", "<|endoftext", "|>"};
    struct pair pair = open_pair(DEMO);
    int32_t eot = gpt2_tokenizer_eot(pair.tokenizer);
    const char *bytes;
    size_t n_bytes, n_ids;
    int32_t *ids;

    (void)state;
    assert_true(eot >= 0);
    assert_int_equal(gpt2_tokenizer_token_bytes(pair.tokenizer, eot, &bytes, &n_bytes), GPT2_OK);
    assert_int_equal(n_bytes, sizeof EOT - 1);
    assert_memory_equal(bytes, EOT, n_bytes);
    for (size_t i = 0; i < COUNT(parts) * COUNT(parts); i++) {
        const char *left = parts[i / COUNT(parts)], *right = parts[i % COUNT(parts)];
        char text[64];
        size_t n_left, n_right, n_both;
        int32_t *left_ids = encode(pair, left, strlen(left), 0, &n_left);
        int32_t *right_ids = encode(pair, right, strlen(right), 0, &n_right), *both;

        (void)sprintf(text, "%s" EOT "%s", left, right);
        both = encode(pair, text, strlen(text), GPT2_ENCODE_SPECIAL, &n_both);
        assert_int_equal(n_both, n_left + 1 + n_right);
        assert_memory_equal(both, left_ids, n_left * sizeof *both);
        assert_int_equal(both[n_left], eot);
        assert_memory_equal(both + n_left + 1, right_ids, n_right * sizeof *both);
        free(both);
        both = encode(pair, text, strlen(text), 0, &n_both); /* plain text */
        for (size_t k = 0; k < n_both; k++)
            assert_int_not_equal(both[k], eot);
        free(both);
        free(left_ids);
        free(right_ids);
    }
    ids = encode(pair, EOT EOT, 2 * (sizeof EOT - 1), GPT2_ENCODE_SPECIAL, &n_ids);
    assert_int_equal(n_ids, 2);
    assert_int_equal(ids[0] == eot && ids[1] == eot, 1);
    free(ids);
    close_pair(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_gpt3_encoder),
        cmocka_unit_test(test_vectors_llama_cpp),
        cmocka_unit_test(test_few_symbols),
        cmocka_unit_test(test_merge_order),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_million_bytes),
        cmocka_unit_test(test_special),
    };

    return cmocka_run_group_tests_name("text", tests, make_directory, remove_directory);
}
