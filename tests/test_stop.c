/*
 * test_stop.c: stop strings in texts that come in parts.
 */
#include "tiny_model.h"

#include "decode/stop.h"

#define MAX_TEXT    200
#define MAX_STRINGS 5
#define MAX_LENGTH  7

static uint64_t random_state = 1;

static size_t below(size_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(random_state >> 33) % n;
}

static struct gpt2i_stops place(void *memory, size_t memory_bytes, const char *const *strings,
                                size_t n)
{
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);
    struct gpt2i_arena arena = gpt2i_arena_over_unaligned(memory);

    (void)gpt2i_stops_layout(&measure, strings, n);
    assert_true(gpt2i_arena_unaligned_bytes(&measure) <= memory_bytes);
    return gpt2i_stops_layout(&arena, strings, n);
}

/* Where the first stop string is complete that is, and of those the longest; SIZE_MAX: nowhere. */
static size_t plain_begin(const char *text, size_t n_text, const char *const *strings, size_t n)
{
    for (size_t end = 0; end <= n_text; end++) {
        size_t begin = SIZE_MAX;

        for (size_t i = 0; i < n; i++) {
            size_t length = strlen(strings[i]);

            if (length <= end && memcmp(text + end - length, strings[i], length) == 0)
                begin = end - length < begin ? end - length : begin;
        }
        if (begin != SIZE_MAX)
            return begin;
    }
    return SIZE_MAX;
}

/* Whether the first n_shown bytes have a byte that a stop string in a longer text could have. */
static bool shows_too_much(const char *text, size_t n_text, size_t n_shown,
                           const char *const *strings, size_t n)
{
    for (size_t begin = 0; begin < n_shown; begin++) {
        for (size_t i = 0; i < n; i++)
            if (strncmp(text + begin, strings[i], n_text - begin) == 0)
                return true;
    }
    return false;
}

/* Shows what is certain, part by part; returns where the text ended, or SIZE_MAX. */
static size_t stream(struct gpt2i_stops *stops, const char *text, size_t n_text,
                     const char *const *strings)
{
    size_t at = 0, n_shown = 0;

    gpt2i_stops_reset(stops);
    while (at < n_text) {
        size_t n = below(n_text - at < 6 ? n_text - at + 1 : 6), n_read, length;

        length = gpt2i_stops_find(stops, text + at, n, &n_read);
        if (length > 0) {
            assert_true(n_shown <= at + n_read - length);
            return at + n_read - length;
        }
        at += n;
        assert_true(at - gpt2i_stops_n_held(stops) >= n_shown);
        n_shown = at - gpt2i_stops_n_held(stops);
        assert_false(shows_too_much(text, at, n_shown, strings, stops->n));
        /* and not too little: what is held back begins a stop string */
        assert_true(n_shown == at || shows_too_much(text, at, n_shown + 1, strings, stops->n));
    }
    return SIZE_MAX;
}

static void test_random(void **state)
{
    static char memory[8192];
    size_t n_found = 0;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char strings[MAX_STRINGS][MAX_LENGTH + 1], text[MAX_TEXT + 1];
        const char *pointers[MAX_STRINGS];
        size_t n_strings = below(MAX_STRINGS + 1), n_text = below(MAX_TEXT + 1);
        size_t n_letters = 1 + below(4), found;
        struct gpt2i_stops stops;

        for (size_t i = 0; i < n_strings; i++) {
            size_t length = 1 + below(MAX_LENGTH);

            for (size_t k = 0; k < length; k++)
                strings[i][k] = (char)('a' + below(n_letters));
            strings[i][length] = '\0';
            pointers[i] = strings[i];
        }
        for (size_t k = 0; k < n_text; k++)
            text[k] = (char)('a' + below(n_letters + (round % 8 == 0)));
        text[n_text] = '\0';
        stops = place(memory, sizeof memory, pointers, n_strings);
        found = stream(&stops, text, n_text, pointers);
        assert_true(found == plain_begin(text, n_text, pointers, n_strings));
        assert_true(found == stream(&stops, text, n_text, pointers));
        n_found += found != SIZE_MAX;
    }
    assert_true(n_found > 5000 && n_found < 19000);
}

/* The strings of these overlap each other. */
static void test_overlaps(void **state)
{
    static const char *const strings[] = {"abcd", "bc", "aab"};
    static const struct {
        const char *text;
        size_t length; /* of the string that is found */
        size_t n_read;
    } cases[] = {
        {"xabcd", 2, 4},  /* "bc" is complete before "abcd" */
        {"aaab", 3, 4},   /* after "aa" another "a" */
        {"abab", 0, 0},   /* none */
        {"abaabc", 3, 5}, /* "aab" before "bc" */
    };
    char memory[1024];
    struct gpt2i_stops stops = place(memory, sizeof memory, strings, 3);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t n_read = 0;

        gpt2i_stops_reset(&stops);
        assert_int_equal(gpt2i_stops_find(&stops, cases[i].text, strlen(cases[i].text), &n_read),
                         cases[i].length);
        assert_int_equal(n_read, cases[i].n_read);
    }
}

/* Two strings are complete at the same byte: the longer begins earlier. */
static void test_longest(void **state)
{
    static const char *const strings[] = {"d", "abcd", "cd"};
    char memory[1024];
    struct gpt2i_stops stops = place(memory, sizeof memory, strings, 3);
    size_t n_read;

    (void)state;
    assert_int_equal(gpt2i_stops_find(&stops, "xabcd", 5, &n_read), 4);
    assert_int_equal(n_read, 5);
}

/* The text that a pattern with repeats would make quadratic: a million bytes take no time. */
static void test_long(void **state)
{
    enum { LENGTH = 100000 };
    char *string = malloc(LENGTH + 1), *memory = malloc(LENGTH * 10);
    const char *strings[1] = {string};
    struct gpt2i_stops stops;
    size_t n_read;

    (void)state;
    assert_true(string != NULL && memory != NULL);
    memset(string, 'a', LENGTH);
    string[LENGTH - 1] = 'b';
    string[LENGTH] = '\0';
    stops = place(memory, LENGTH * 10, strings, 1);
    for (int i = 0; i < 20; i++) {
        string[LENGTH - 1] = 'a';
        assert_int_equal(gpt2i_stops_find(&stops, string, LENGTH, &n_read), 0);
        assert_int_equal(gpt2i_stops_n_held(&stops), LENGTH - 1);
    }
    assert_int_equal(gpt2i_stops_find(&stops, "b", 1, &n_read), LENGTH);
    free(memory);
    free(string);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_overlaps),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_long),
    };

    return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
