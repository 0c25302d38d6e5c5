/*
 * test_models.c: whole models against the numbers of others: every reference.json and tinygrad.json
 * under ../shared/models (a float64 forward, ONNX Runtime, tinygrad), and texts through the API.
 *
 * All are skipped where ../shared is not there; GPT2_SHARED names it.
 */
#include "reference.h"
#include "slice.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define ROWS_AT_ONCE 64 /* logits of the held-out text that lie in memory */

/* What is open during one test. */
static struct subject {
    const char *name;
    gpt2_model *model;
    gpt2_model_info info;
    struct reference_json json;
} subject;

/* The model and one of its files of numbers, or the test is skipped. */
static void open_subject(const char *name, const char *file)
{
    char path[PATH_BYTES], within[64];

    subject = (struct subject){.name = name};
    (void)snprintf(within, sizeof within, "models/%s/%s", name, file);
    if (!reference_shared(path, within))
        skip();
    reference_json_open(&subject.json, path);
    *strrchr(path, '/') = '\0';
    subject.model = reference_model(path, &subject.info);
}

static void close_subject(void)
{
    reference_json_close(&subject.json);
    gpt2_model_free(subject.model);
}

/* Last logits to 1e-3 and the argmax of each position; returns how many logits were compared. */
static void check_logits(struct reference_difference *difference, const int32_t *ids, size_t n_ids,
                         size_t which)
{
    size_t n_vocab = (size_t)subject.info.n_vocab;
    gpt2_session *session = reference_session(subject.model, 1, (int32_t)n_ids);
    const float *logits = reference_forward(session, ids, n_ids, n_ids);
    size_t n_argmax, n_last;
    int32_t *argmax =
        reference_ids(reference_json(&subject.json, "cases.%zu.argmax_each_pos", which), &n_argmax);
    float *last =
        reference_floats(reference_json(&subject.json, "cases.%zu.last_logits", which), &n_last);

    assert_int_equal(n_argmax, n_ids);
    for (size_t r = 0; r < n_ids; r++)
        assert_int_equal(reference_argmax(logits + r * n_vocab, n_vocab), argmax[r]);
    assert_int_equal(n_last, gpt2i_min(n_vocab, 2000)); /* novels: the first 2000 */
    reference_compare(difference, logits + (n_ids - 1) * n_vocab, last, n_last);
    free(argmax);
    free(last);
    gpt2_session_free(session);
}

/* 'expected' begins with the prompt; returns how many ids were generated. */
static size_t check_greedy(const int32_t *prompt, size_t n_prompt, const int32_t *expected,
                           size_t n_expected)
{
    gpt2_session *session = reference_session(subject.model, 1, 1);
    int32_t *ids = reference_allocate(n_expected, sizeof *ids);

    assert_in_range(n_prompt, 1, n_expected);
    memcpy(ids, prompt, n_prompt * sizeof *ids);
    reference_greedy(session, ids, n_prompt, n_expected);
    assert_memory_equal(ids, expected, n_expected * sizeof *ids);
    free(ids);
    gpt2_session_free(session);
    return n_expected - n_prompt;
}

/* The ids of a text, GPT2_ENCODE_SPECIAL off; '*ids' has room for 'capacity'. */
static size_t encode(const char *text, size_t n_bytes, int32_t *ids, size_t capacity)
{
    gpt2_encoder *encoder;
    size_t n_ids;

    assert_non_null(gpt2_model_tokenizer(subject.model));
    assert_int_equal(gpt2_encoder_create(gpt2_model_tokenizer(subject.model), NULL, &encoder),
                     GPT2_OK);
    if (gpt2_encode(encoder, text, n_bytes, 0, ids, capacity, &n_ids) != GPT2_OK)
        fail_msg("%s", gpt2_encoder_error(encoder));
    gpt2_encoder_free(encoder);
    return n_ids;
}

/* The ids that the file gives for a text are ours. */
static void check_text(struct reference_value value, const int32_t *ids, size_t n_ids)
{
    char *text = reference_string(value);
    int32_t ours[64];

    assert_int_equal(encode(text, strlen(text), ours, COUNT(ours)), n_ids);
    assert_memory_equal(ours, ids, n_ids * sizeof *ids);
    print_message("  %s: \"%s\" is %zu ids, the first %d\n", subject.name, text, n_ids, ids[0]);
    free(text);
}

/* A reference.json of so many cases that generate so many ids together. */
static void check_reference(const char *name, size_t n_cases, size_t n_generated)
{
    struct reference_difference difference = {0};
    size_t n_greedy = 0, n_rows = 0;
    double smallest_gap = INFINITY;

    open_subject(name, "reference.json");
    assert_int_equal(reference_length(reference_json(&subject.json, "cases")), n_cases);
    for (size_t i = 0; i < n_cases; i++) {
        const struct reference_json *json = &subject.json;
        struct reference_value text = reference_json(json, "cases.%zu.text", i);
        struct reference_value gap = reference_json(json, "cases.%zu.smallest_top2_gap", i);
        struct reference_value ort = reference_json(json, "ort_expected_greedy.%zu", i);
        size_t n_ids, n_expected;
        int32_t *ids = reference_ids(reference_json(json, "cases.%zu.ids", i), &n_ids);
        int32_t *greedy = reference_ids(reference_json(json, "cases.%zu.greedy", i), &n_expected);

        if (text.found)
            check_text(text, ids, n_ids);
        if (gap.found)
            smallest_gap = fmin(smallest_gap, reference_number(gap));
        check_logits(&difference, ids, n_ids, i);
        n_rows += n_ids;
        n_greedy += check_greedy(ids, n_ids, greedy, n_expected);
        free(greedy);
        if (ort.found) {
            greedy = reference_ids(ort, &n_expected);
            n_greedy += check_greedy(ids, n_ids, greedy, n_expected);
            free(greedy);
        }
        free(ids);
    }
    reference_check(&difference, name, "last logits", 1e-3,
                    n_cases * gpt2i_min((size_t)subject.info.n_vocab, 2000));
    assert_int_equal(n_greedy, n_generated);
    print_message("  %s: argmax of %zu positions and %zu greedy ids equal\n", name, n_rows,
                  n_greedy);
    if (smallest_gap < INFINITY)
        print_message("  %s: the best two logits of those steps are at least %.2g apart\n", name,
                      smallest_gap);
    close_subject();
}

/* A tinygrad.json: greedy ids after prompts. */
static void check_tinygrad(const char *name, size_t n_cases, size_t n_generated)
{
    size_t n_greedy = 0;

    open_subject(name, "tinygrad.json");
    assert_int_equal(reference_length(reference_json(&subject.json, "cases")), n_cases);
    for (size_t i = 0; i < n_cases; i++) {
        size_t n_prompt, n_ids;
        int32_t *prompt =
            reference_ids(reference_json(&subject.json, "cases.%zu.prompt", i), &n_prompt);
        int32_t *ids = reference_ids(reference_json(&subject.json, "cases.%zu.ids", i), &n_ids);

        n_greedy += check_greedy(prompt, n_prompt, ids, n_ids);
        free(prompt);
        free(ids);
    }
    assert_int_equal(n_greedy, n_generated);
    print_message("  %s: %zu greedy ids equal to tinygrad's\n", name, n_greedy);
    close_subject();
}

static void slm4096_reference(void **state)
{
    (void)state;
    check_reference("slm4096", 3, 90 + 0 + 40);
}

static void nano_sort_reference(void **state)
{
    (void)state;
    check_reference("nano-sort", 3, 5 + 0 + 0);
}

static void gpt_by_hand_reference(void **state)
{
    (void)state;
    check_reference("gpt-by-hand", 2, 5 + 0);
}

static void tiny_random_gpt2_reference(void **state)
{
    (void)state;
    check_reference("tiny-random-gpt2", 2, 2 * (6 + 6)); /* and ONNX Runtime's */
}

static void tiny_random_gpt2_tinygrad(void **state)
{
    (void)state;
    check_tinygrad("tiny-random-gpt2", 4, 4 * 12);
}

static void novels_reference(void **state)
{
    (void)state;
    check_reference("novels", 3, 3 * 24);
}

static void novels_tinygrad(void **state)
{
    (void)state;
    check_tinygrad("novels", 3, 3 * 24);
}

/* GPT-2's own vocabulary. */
static void novels_hello(void **state)
{
    static const int32_t hello[] = {15496, 13};
    int32_t ids[8];

    (void)state;
    open_subject("novels", "reference.json");
    assert_int_equal(encode("Hello.", 6, ids, COUNT(ids)), COUNT(hello));
    assert_memory_equal(ids, hello, sizeof hello);
    close_subject();
}

/* -log softmax(logits)[id] */
static double nats(const float *logits, size_t n_vocab, int32_t id)
{
    double max = logits[reference_argmax(logits, n_vocab)];
    double sum = 0;

    for (size_t i = 0; i < n_vocab; i++)
        sum += exp((double)logits[i] - max);
    return max + log(sum) - (double)logits[id];
}

/* The first ids of alice29.txt, its line ends made LF, behind an <|endoftext|>. */
static void read_heldout(int32_t *ids, size_t n_ids)
{
    char path[PATH_BYTES];
    struct path split;
    struct gpt2i_text file;
    struct gpt2i_error error = {NULL, 0};
    size_t n_bytes = 0;
    int32_t *all;

    assert_true(reference_shared(path, "corpus/alice29.txt"));
    path_split(&split, path);
    assert_int_equal(gpt2i_text_read(&file, &split.files, split.name, 1 << 20, &error), GPT2_OK);
    for (size_t i = 0; i < file.n_bytes; i++) {
        if (file.text[i] != '\r' || file.text[i + 1] != '\n')
            file.text[n_bytes++] = file.text[i];
    }
    all = reference_allocate(n_bytes, sizeof *all);
    assert_in_range(encode(file.text, n_bytes, all, n_bytes), n_ids, n_bytes);
    ids[0] = subject.info.eot_token;
    memcpy(ids + 1, all, (n_ids - 1) * sizeof *ids);
    free(all);
    gpt2i_text_free(&file);
}

static void novels_heldout(void **state)
{
    enum { WINDOW = 512, N_WINDOWS = 8 };
    static int32_t ids[N_WINDOWS * WINDOW];
    size_t n_counted = 0;
    double sum = 0, expected, loss;
    gpt2_session *session;

    (void)state;
    if (slice_step() > 1)
        skip(); /* the loss is known of the whole text only */
    open_subject("novels", "reference.json");
    expected = reference_number(reference_json(&subject.json, "heldout.nats_per_token"));
    read_heldout(ids, COUNT(ids));
    session = reference_session(subject.model, 1, ROWS_AT_ONCE);
    for (size_t at = 0; at < COUNT(ids); at += ROWS_AT_ONCE) {
        size_t n_vocab = (size_t)subject.info.n_vocab;
        const float *logits;

        if (at % WINDOW == 0)
            assert_int_equal(gpt2_session_reset(session), GPT2_OK);
        logits = reference_forward(session, ids + at, ROWS_AT_ONCE, ROWS_AT_ONCE);
        for (size_t i = at; i < at + ROWS_AT_ONCE; i++) {
            if ((i + 1) % WINDOW == 0) /* the next id begins another window */
                continue;
            sum += nats(logits + (i - at) * n_vocab, n_vocab, ids[i + 1]);
            n_counted++;
        }
    }
    gpt2_session_free(session);
    assert_int_equal(n_counted, N_WINDOWS * (WINDOW - 1));
    loss = sum / (double)n_counted;
    print_message("  novels: %.7f nats a token over %zu tokens, the reference's %.7f\n", loss,
                  n_counted, expected);
    if (!(fabs(loss / expected - 1) <= 1e-4))
        fail_msg("novels: loss is %.7f, wanted %.7f", loss, expected);
    close_subject();
}

/* The sentence that slm4096 has learnt, from text to text. */
static void slm4096_sentence(void **state)
{
    static const char prompt[] = "Q: what is the meaning of life?\nA:";
    static const char answer[] =
        " We are biased toward shipping. Everything else is on the backlog forever.";
    enum { N_PROMPT = sizeof prompt - 1, N_ANSWER = sizeof answer - 1 };
    int32_t ids[N_PROMPT + N_ANSWER];
    gpt2_session *session;
    char *text, *whole;

    (void)state;
    assert_int_equal(N_ANSWER, 74);
    open_subject("slm4096", "reference.json");
    assert_int_equal(encode(prompt, N_PROMPT, ids, COUNT(ids)), N_PROMPT);
    session = reference_session(subject.model, 1, 1);
    reference_greedy(session, ids, N_PROMPT, COUNT(ids));
    text = reference_text(gpt2_model_tokenizer(subject.model), ids + N_PROMPT, N_ANSWER);
    print_message("  slm4096: \"%s\"\n", text);
    assert_string_equal(text, answer);
    whole = reference_string(reference_json(&subject.json, "greedy_text"));
    assert_memory_equal(whole, prompt, N_PROMPT);
    assert_memory_equal(whole + N_PROMPT, text, N_ANSWER);
    free(text);
    free(whole);
    gpt2_session_free(session);
    close_subject();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(slm4096_reference),
        cmocka_unit_test(slm4096_sentence),
        cmocka_unit_test(nano_sort_reference),
        cmocka_unit_test(gpt_by_hand_reference),
        cmocka_unit_test(tiny_random_gpt2_reference),
        cmocka_unit_test(tiny_random_gpt2_tinygrad),
        cmocka_unit_test(novels_reference),
        cmocka_unit_test(novels_tinygrad),
        cmocka_unit_test(novels_hello),
        cmocka_unit_test(novels_heldout),
    };

    return cmocka_run_group_tests_name("models", tests, NULL, NULL);
}
