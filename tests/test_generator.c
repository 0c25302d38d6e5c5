/*
 * test_generator.c: generators.  Alone and in batches they give the tokens and the text of a plain loop of
 * gpt2_forward(), gpt2_sample() and gpt2_decode(), cut by a plain search.  Each reason to end, and
 * what is refused.
 */
#include "tiny_model.h"

#include "text/unicode.h"

#include <float.h>
#include <math.h>

#define DIRECTORY    TINY_DIRECTORY "/generator"
#define NO_TOKENIZER TINY_DIRECTORY "/generator-ids"
#define MAX_TOKENS   150 /* n_positions are 100 */
#define N_ROWS       40  /* of logits: those of five texts, and drafts */
#define N_VOCAB      9
#define EOT          8 /* by vocab.json; config.json says 2 */

static gpt2_model *model, *bare; /* with a tokenizer and without */
static uint64_t random_state = 1;

static size_t below(size_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(random_state >> 33) % n;
}

static void write_file(const char *name, const char *text)
{
    char path[256];
    FILE *file;

    (void)snprintf(path, sizeof path, DIRECTORY "/%s", name);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
}

/* Few tokens, so that stop strings come by: the three bytes of a character are 3, 4 and 5. */
static int set_up(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);

    (void)state;
    file.n_vocab = N_VOCAB;
    file.n_positions = 100;
    file.eot = 2;
    tiny_write(&file);
    write_file("vocab.json", "{\"a\": 0, \"b\": 1, \"c\": 2, \"\\u00e2\": 3, \"\\u0124\": 4,"
                             " \"\\u00ac\": 5, \"ab\": 6, \"abc\": 7, \"<|endoftext|>\": 8}");
    write_file("merges.txt", "#version: 0.2\na b\nab c\n");
    assert_int_equal(gpt2_model_load(DIRECTORY, NULL, &model), GPT2_OK);
    file.directory = NO_TOKENIZER;
    bare = tiny_load(&file);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gpt2_model_free(model);
    gpt2_model_free(bare);
    return 0;
}

/* A session for one text, which is cut at the end of its context. */
static gpt2_session *shifting_session(int32_t n_ctx, int32_t n_keep)
{
    gpt2_session_params params;
    gpt2_session *session;

    assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
    params.n_ctx = n_ctx;
    params.n_keep = n_keep;
    params.on_full = GPT2_FULL_SHIFT;
    params.n_logit_rows = N_ROWS;
    assert_int_equal(gpt2_session_create(model, &params, &session), GPT2_OK);
    return session;
}

static gpt2_session *session_of_rows(const gpt2_model *of, int32_t n_sequences, int32_t n_ctx,
                                     int32_t n_pages, int32_t on_full, int32_t n_logit_rows)
{
    gpt2_session_params params;
    gpt2_session *session;

    assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
    params.n_sequences = n_sequences;
    params.n_ctx = n_ctx;
    params.n_pages = n_pages;
    params.on_full = on_full;
    params.n_logit_rows = n_logit_rows;
    assert_int_equal(gpt2_session_create(of, &params, &session), GPT2_OK);
    return session;
}

static gpt2_session *session_of(const gpt2_model *of, int32_t n_sequences, int32_t n_ctx,
                                int32_t n_pages, int32_t on_full)
{
    return session_of_rows(of, n_sequences, n_ctx, n_pages, on_full, N_ROWS);
}

/* The right guesses of all generators that were freed. */
static uint64_t n_right_guesses;

static void free_generator(gpt2_generator *generator)
{
    uint64_t n_drafted, n_accepted;

    assert_int_equal(gpt2_generator_drafted(generator, &n_drafted, &n_accepted), GPT2_OK);
    assert_true(n_accepted <= n_drafted);
    n_right_guesses += n_accepted;
    gpt2_generator_free(generator);
}

static void check(const gpt2_session *session, int32_t found, int32_t wanted, const char *line)
{
    assert_string_equal(gpt2_session_error(session), line);
    assert_int_equal(found, wanted);
}

/* ----------------------------------------------------------------------------------- the tasks -- */

/* What is asked of a generator. */
struct task {
    int32_t prompt[8];
    size_t n_prompt;
    int64_t max_tokens;
    gpt2_sample_params sampling;
    int32_t breakers[2];
    bool has_mu; /* mirostat's state is the host's */
    float mu;
    gpt2_generator_params params;
    int32_t stop_ids[2];
    char strings[3][8];
    const char *pointers[3];
};

/* What comes of it. */
struct made {
    int32_t ids[MAX_TOKENS];
    size_t n_ids;
    char text[MAX_TOKENS * 16];
    size_t n_text;
    int32_t finish;
    float mu;
};

/* Samplers that look back, and mirostat. */
static void fill_history(struct task *task)
{
    gpt2_sample_params *sampling = &task->sampling;

    sampling->ignores_prompt = below(2) == 0;
    sampling->penalty_window = below(3) == 0 ? (int32_t)below(20) : 0;
    sampling->repetition_penalty = below(3) == 0 ? 1.3f : 1.0f;
    sampling->frequency_penalty = below(3) == 0 ? 0.2f : 0.0f;
    sampling->presence_penalty = below(3) == 0 ? -0.3f : 0.0f;
    sampling->no_repeat_ngram_size = below(3) == 0 ? 2 + (int32_t)below(2) : 0;
    sampling->dry_multiplier = below(2) == 0 ? 0.9f : 0.0f;
    sampling->dry_allowed_length = 1 + (int32_t)below(2);
    sampling->n_dry_breakers = below(3);
    task->breakers[0] = (int32_t)below(N_VOCAB);
    task->breakers[1] = (int32_t)below(N_VOCAB);
    sampling->mirostat_tau = below(2) == 0 ? 1.5f : 0.0f;
    sampling->mirostat_eta = 0.4f;
    task->has_mu = below(2) == 0;
}

static void random_task(struct task *task)
{
    static const char *const parts[] = {"a", "b", "c", "ab", "\xe2\x82", "\xac", "\xe2", "bc"};

    memset(task, 0, sizeof *task);
    assert_int_equal(gpt2_sample_params_init(&task->sampling, sizeof task->sampling), GPT2_OK);
    assert_int_equal(gpt2_generator_params_init(&task->params, sizeof task->params), GPT2_OK);
    task->n_prompt = 1 + below(8);
    for (size_t i = 0; i < task->n_prompt; i++)
        task->prompt[i] = (int32_t)below(N_VOCAB);
    task->max_tokens = below(4) == 0 ? -1 : (int64_t)below(60) + 1;
    task->sampling.temperature = below(5) == 0 ? 0.0f : 3.0f;
    task->sampling.top_k = below(2) == 0 ? 0 : 5;
    task->sampling.seed = below(1000);
    task->sampling.stream = below(3);
    task->sampling.position = below(4) == 0 ? (int64_t)below(100) : -1;
    if (below(2) == 0)
        fill_history(task);
    task->params.ignore_eot = below(4) != 0;
    task->params.draft_max = below(2) == 0 ? (int32_t)below(32) : 0;
    task->params.n_stop_ids = below(8) == 0;
    task->stop_ids[0] = (int32_t)below(N_VOCAB);
    task->params.n_stop_strings = below(4);
    for (size_t i = 0; i < task->params.n_stop_strings; i++) {
        for (size_t n = 1 + below(3); n > 0; n--)
            (void)strcat(task->strings[i], parts[below(COUNT(parts))]);
    }
}

/* Sets the pointers of a task that lies where it stays. */
static const gpt2_generator_params *params_of(struct task *task)
{
    for (size_t i = 0; i < 3; i++)
        task->pointers[i] = task->strings[i];
    task->params.stop_ids = task->stop_ids;
    task->params.stop_strings = task->pointers;
    return &task->params;
}

/* The same for what its sampling points to, and mirostat's state before the first token. */
static const gpt2_sample_params *sampling_of(struct task *task)
{
    task->mu = 2.0f * task->sampling.mirostat_tau;
    task->sampling.mirostat_mu = task->has_mu ? &task->mu : NULL;
    task->sampling.dry_breakers = task->breakers;
    return &task->sampling;
}

/* ------------------------------------------------------------------------------ the plain loop -- */

/* Where the first stop string is complete that is, and of those the longest; SIZE_MAX: nowhere. */
static size_t plain_begin(const char *text, size_t n_text, const struct task *task)
{
    for (size_t end = 1; end <= n_text; end++) {
        size_t begin = SIZE_MAX;

        for (size_t i = 0; i < task->params.n_stop_strings; i++) {
            size_t length = strlen(task->strings[i]);

            if (length <= end && memcmp(text + end - length, task->strings[i], length) == 0)
                begin = end - length < begin ? end - length : begin;
        }
        if (begin != SIZE_MAX)
            return begin;
    }
    return SIZE_MAX;
}

/* Sets the history of the next draw: the context, or of the tokens that were drawn those in it. */
static void look_back(gpt2_session *session, int32_t n_keep, const struct task *task,
                      const struct made *made, gpt2_sample_params *sampling)
{
    static int32_t seen[MAX_TOKENS];
    size_t n_context, n_cut, n_seen = 0;
    const int32_t *context;

    assert_int_equal(gpt2_sequence_ids(session, 0, &context, &n_context), GPT2_OK);
    sampling->history = context;
    sampling->n_history = n_context;
    if (sampling->ignores_prompt == 0)
        return;
    n_cut = (size_t)gpt2_session_position(session) - n_context;
    for (size_t i = 0; i < made->n_ids; i++) {
        size_t position = task->n_prompt + i;

        if (position < (size_t)n_keep || position >= (size_t)n_keep + n_cut)
            seen[n_seen++] = made->ids[i];
    }
    sampling->history = seen;
    sampling->n_history = n_seen;
}

/* In a session that has no tokens. */
static void run_plain_in(gpt2_session *session, bool shifts, int32_t n_keep, struct task *task,
                         struct made *made)
{
    gpt2_sample_params sampling = *sampling_of(task);

    memset(made, 0, sizeof *made);
    made->mu = task->mu;
    sampling.mirostat_mu = &made->mu;
    assert_int_equal(gpt2_forward(session, task->prompt, task->n_prompt, 1), GPT2_OK);
    while (made->finish == GPT2_FINISH_NOT_YET) {
        int32_t id, status;
        size_t begin;

        look_back(session, n_keep, task, made, &sampling);
        status = gpt2_sample(session, GPT2_LAST_ROW, &sampling, &id);
        if (status == GPT2_ERR_NONFINITE) { /* all are banned */
            made->finish = GPT2_FINISH_ERROR;
            break;
        }
        assert_int_equal(status, GPT2_OK);
        sampling.position += sampling.position >= 0;
        made->ids[made->n_ids] = id;
        if ((id == EOT && task->params.ignore_eot == 0) ||
            (task->params.n_stop_ids > 0 && id == task->stop_ids[0])) {
            made->finish = GPT2_FINISH_TOKEN;
        }
        assert_int_equal(gpt2_decode(gpt2_model_tokenizer(model), made->ids,
                                     made->n_ids + (made->finish == GPT2_FINISH_NOT_YET),
                                     made->text, sizeof made->text, &made->n_text, NULL, 0),
                         GPT2_OK);
        made->n_ids++;
        if (made->finish != GPT2_FINISH_NOT_YET)
            break;
        begin = plain_begin(made->text, made->n_text, task);
        if (begin != SIZE_MAX) {
            made->finish = GPT2_FINISH_STRING;
            made->n_text = begin;
        } else if ((int64_t)made->n_ids == task->max_tokens || made->n_ids == MAX_TOKENS) {
            made->finish = GPT2_FINISH_LENGTH;
        } else if (!shifts && gpt2_session_position(session) == gpt2_session_n_ctx(session)) {
            made->finish = GPT2_FINISH_CONTEXT;
        } else {
            assert_int_equal(gpt2_forward(session, &id, 1, 1), GPT2_OK);
        }
    }
}

static void run_plain(struct task *task, bool shifts, struct made *made)
{
    gpt2_session *session = session_of(model, 1, 0, 0, shifts ? GPT2_FULL_SHIFT : GPT2_FULL_STOP);

    run_plain_in(session, shifts, 0, task, made);
    gpt2_session_free(session);
}

/* How much of the text may be shown: no part of a stop string, and whole characters. */
static size_t plain_certain(const char *text, size_t n_text, const struct task *task)
{
    size_t n_held = 0;

    for (size_t i = 0; i < task->params.n_stop_strings; i++) {
        for (size_t n = strlen(task->strings[i]) - 1; n > n_held; n--)
            if (n <= n_text && memcmp(text + n_text - n, task->strings[i], n) == 0)
                n_held = n;
    }
    n_text -= n_held;
    return n_text - gpt2i_utf8_unfinished((const unsigned char *)text, n_text);
}

/* Takes what a step gave. */
static void take(struct made *made, const gpt2_generated *result, const struct task *task)
{
    char text[sizeof made->text];
    size_t n_text;

    if (made->finish != GPT2_FINISH_NOT_YET) {
        assert_true(result->id == -1 && result->n_bytes == 0 && result->finish == made->finish);
        return;
    }
    if (result->id >= 0)
        made->ids[made->n_ids++] = result->id;
    memcpy(made->text + made->n_text, result->text, result->n_bytes);
    made->n_text += result->n_bytes;
    made->finish = result->finish;
    if (result->finish != GPT2_FINISH_NOT_YET)
        return;
    assert_int_equal(gpt2_decode(gpt2_model_tokenizer(model), made->ids, made->n_ids, text,
                                 sizeof text, &n_text, NULL, 0),
                     GPT2_OK);
    assert_int_equal(made->n_text, plain_certain(text, n_text, task));
}

static void check_same(const struct made *found, const struct made *wanted)
{
    assert_int_equal(found->finish, wanted->finish);
    assert_int_equal(found->n_ids, wanted->n_ids);
    assert_memory_equal(found->ids, wanted->ids, wanted->n_ids * sizeof wanted->ids[0]);
    assert_int_equal(found->n_text, wanted->n_text);
    assert_memory_equal(found->text, wanted->text, wanted->n_text);
}

/* One text at a time; the generator is made anew, or goes on with another text. */
static void test_alone(void **state)
{
    gpt2_session *sessions[2] = {session_of(model, 1, 0, 0, GPT2_FULL_STOP),
                                 session_of(model, 1, 0, 0, GPT2_FULL_SHIFT)};
    static struct made found, wanted;
    size_t n_finished[GPT2_FINISH_ERROR + 1] = {0};

    (void)state;
    n_right_guesses = 0;
    for (int round = 0; round < 600; round++) {
        bool shifts = below(4) == 0;
        gpt2_session *session = sessions[shifts];
        gpt2_generator *generator;
        struct task task, given;

        random_task(&task);
        if (shifts && task.max_tokens < 0)
            task.max_tokens = MAX_TOKENS;
        run_plain(&task, shifts, &wanted);
        given = task;
        assert_int_equal(gpt2_generator_create(session, params_of(&given), &generator), GPT2_OK);
        memset(&given, 'x', sizeof given); /* all is copied */
        for (int again = 0; again < 2; again++) {
            gpt2_generated result;

            memset(&found, 0, sizeof found);
            assert_int_equal(gpt2_session_reset(session), GPT2_OK);
            assert_int_equal(gpt2_generator_start(generator, 0, task.prompt, task.n_prompt,
                                                  task.max_tokens, sampling_of(&task)),
                             GPT2_OK);
            while (found.finish == GPT2_FINISH_NOT_YET) {
                check(session, gpt2_generator_step(&generator, 1, &result), GPT2_OK, "");
                take(&found, &result, &task);
            }
            check_same(&found, &wanted);
            assert_true(!task.has_mu || task.mu == wanted.mu);
            assert_int_equal(gpt2_generator_error(generator)[0] != '\0',
                             wanted.finish == GPT2_FINISH_ERROR);
            /* the last token has not run */
            assert_int_equal(gpt2_session_position(session),
                             task.n_prompt + wanted.n_ids - (wanted.finish != GPT2_FINISH_ERROR));
        }
        n_finished[found.finish]++;
        free_generator(generator);
    }
    assert_true(n_right_guesses > 30);
    for (int finish = GPT2_FINISH_TOKEN; finish <= GPT2_FINISH_CONTEXT; finish++)
        assert_true(n_finished[finish] >= 20);
    gpt2_session_free(sessions[0]);
    gpt2_session_free(sessions[1]);
}

/* ---------------------------------------------------------------------------------------- many -- */

#define N_SLOTS 5

/* Texts begin and end at different steps, in slots of one session. */
static void test_many(void **state)
{
    static struct made found[N_SLOTS], wanted[N_SLOTS];
    static struct task tasks[N_SLOTS];
    gpt2_session *session = session_of(model, N_SLOTS, 0, 0, GPT2_FULL_STOP);
    gpt2_generator *generators[N_SLOTS] = {NULL};
    gpt2_generated results[N_SLOTS];
    size_t n_texts = 0;

    (void)state;
    n_right_guesses = 0;
    for (int32_t i = 1; i < N_SLOTS; i++)
        assert_int_equal(gpt2_sequence_open(session, &(int32_t){0}), GPT2_OK);
    for (int step = 0; n_texts < 300; step++) {
        gpt2_generator *listed[N_SLOTS];
        int32_t slots[N_SLOTS];
        size_t n = 0;

        for (int32_t i = 0; i < N_SLOTS; i++) {
            int32_t slot = (i + step) % N_SLOTS;

            if (generators[slot] == NULL && below(3) == 0) {
                random_task(&tasks[slot]);
                run_plain(&tasks[slot], false, &wanted[slot]);
                memset(&found[slot], 0, sizeof found[slot]);
                assert_int_equal(gpt2_sequence_truncate(session, slot, 0), GPT2_OK);
                assert_int_equal(
                    gpt2_generator_create(session, params_of(&tasks[slot]), &generators[slot]),
                    GPT2_OK);
                assert_int_equal(gpt2_generator_start(generators[slot], slot, tasks[slot].prompt,
                                                      tasks[slot].n_prompt, tasks[slot].max_tokens,
                                                      sampling_of(&tasks[slot])),
                                 GPT2_OK);
            }
            if (generators[slot] != NULL && below(5) > 0) { /* now and then one waits */
                slots[n] = slot;
                listed[n++] = generators[slot];
            }
        }
        if (n == 0)
            continue;
        check(session, gpt2_generator_step(listed, n, results), GPT2_OK, "");
        for (size_t k = 0; k < n; k++) {
            int32_t slot = slots[k];

            if (found[slot].finish != GPT2_FINISH_NOT_YET) { /* it was listed once more */
                take(&found[slot], &results[k], &tasks[slot]);
                free_generator(generators[slot]);
                generators[slot] = NULL;
                continue;
            }
            take(&found[slot], &results[k], &tasks[slot]);
            if (found[slot].finish == GPT2_FINISH_NOT_YET)
                continue;
            check_same(&found[slot], &wanted[slot]);
            n_texts++;
        }
    }
    assert_true(n_right_guesses > 30);
    for (size_t i = 0; i < N_SLOTS; i++)
        gpt2_generator_free(generators[i]);
    gpt2_session_free(session);
}

static const int32_t prompt[100] = {0, 1, 2, 3, 4, 5, 6, 7};

/* ------------------------------------------------------------------------------------- history -- */

/* Texts that are cut several times, also behind tokens that were drawn, or in front of them. */
static void test_history_of_cuts(void **state)
{
    static struct made found, wanted;
    size_t n_cut_drawn = 0;

    (void)state;
    n_right_guesses = 0;
    for (int round = 0; round < 300; round++) {
        int32_t n_ctx = 10 + (int32_t)below(30), n_keep = (int32_t)below((size_t)n_ctx - 3);
        gpt2_session *session = shifting_session(n_ctx, n_keep);
        gpt2_generator_params params;
        gpt2_generator *generator;
        gpt2_generated result;
        struct task task;

        random_task(&task);
        fill_history(&task);
        task.max_tokens = 1 + (int64_t)below(140);
        assert_int_equal(gpt2_generator_params_init(&params, sizeof params), GPT2_OK);
        params.ignore_eot = 1;
        params.draft_max = (int32_t)below(32);
        task.params = params;
        run_plain_in(session, true, n_keep, &task, &wanted);
        n_cut_drawn += gpt2_session_position(session) > n_ctx && task.sampling.ignores_prompt != 0;
        assert_int_equal(gpt2_session_reset(session), GPT2_OK);
        assert_int_equal(gpt2_generator_create(session, &params, &generator), GPT2_OK);
        assert_int_equal(gpt2_generator_start(generator, 0, task.prompt, task.n_prompt,
                                              task.max_tokens, sampling_of(&task)),
                         GPT2_OK);
        memset(&found, 0, sizeof found);
        while (found.finish == GPT2_FINISH_NOT_YET) {
            check(session, gpt2_generator_step(&generator, 1, &result), GPT2_OK, "");
            take(&found, &result, &task);
        }
        check_same(&found, &wanted);
        assert_true(!task.has_mu || task.mu == wanted.mu);
        free_generator(generator);
        gpt2_session_free(session);
    }
    assert_true(n_cut_drawn > 50);
    assert_true(n_right_guesses > 30);
}

/* The text is what it is when a step runs, whatever the host has done to the sequence since. */
static void test_history_of_changed_text(void **state)
{
    static const int32_t text[] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 3};
    gpt2_session *session = session_of(model, 1, 0, 0, GPT2_FULL_STOP);
    gpt2_generator *generator;
    gpt2_generated result;

    (void)state;
    assert_int_equal(gpt2_generator_create(session, NULL, &generator), GPT2_OK);
    for (int ignores = 0; ignores < 2; ignores++) {
        for (int32_t n_left = 0; n_left < 9; n_left++) {
            gpt2_sample_params sampling, plain;
            const int32_t *ids;
            size_t n_ids, n_before;
            int32_t id;

            assert_int_equal(gpt2_sample_params_init(&sampling, sizeof sampling), GPT2_OK);
            sampling.repetition_penalty = 0.01f; /* what is there is drawn again */
            sampling.ignores_prompt = ignores;
            assert_int_equal(gpt2_session_reset(session), GPT2_OK);
            assert_int_equal(gpt2_forward(session, text, 9, 0), GPT2_OK);
            assert_int_equal(gpt2_generator_start(generator, 0, &text[9], 1, -1, &sampling),
                             GPT2_OK);
            for (int step = 0; step < 4; step++) {
                if (step % 2 == 0) /* takes back text of before, and later what was drawn */
                    assert_int_equal(
                        gpt2_sequence_truncate(session, 0, step == 0 ? n_left : n_left / 2),
                        GPT2_OK);
                assert_int_equal(gpt2_generator_step(&generator, 1, &result), GPT2_OK);
                if (result.finish == GPT2_FINISH_TOKEN)
                    break;
                assert_int_equal(result.finish, GPT2_FINISH_NOT_YET);
                plain = sampling;
                assert_int_equal(gpt2_sequence_ids(session, 0, &ids, &n_ids), GPT2_OK);
                n_before = ignores == 0 ? 0 : (size_t)n_left + 1; /* the first draw's position */
                plain.n_history = n_ids > n_before ? n_ids - n_before : 0;
                plain.history = ids + n_ids - plain.n_history;
                assert_int_equal(gpt2_sample(session, GPT2_LAST_ROW, &plain, &id), GPT2_OK);
                assert_int_equal(result.id, id);
            }
        }
    }
    gpt2_generator_free(generator);
    gpt2_session_free(session);
}

/* A prompt of one token, which is in the host's memory alone: nothing is guessed behind it. */
static void test_prompt_of_one(void **state)
{
    static const int32_t text[] = {0, 1, 2, 0, 1, 2, 0, 1};
    gpt2_session *session = session_of(model, 1, 0, 0, GPT2_FULL_STOP);
    int32_t *one = malloc(sizeof *one);
    gpt2_generator_params params;
    gpt2_generator *generator;
    gpt2_generated result;
    uint64_t n_drafted, n_accepted;

    (void)state;
    assert_non_null(one);
    *one = 2;
    assert_int_equal(gpt2_generator_params_init(&params, sizeof params), GPT2_OK);
    params.draft_max = 8;
    params.ignore_eot = 1;
    assert_int_equal(gpt2_generator_create(session, &params, &generator), GPT2_OK);
    assert_int_equal(gpt2_forward(session, text, COUNT(text), 0), GPT2_OK);
    assert_int_equal(gpt2_generator_start(generator, 0, one, 1, -1, NULL), GPT2_OK);
    assert_int_equal(gpt2_generator_step(&generator, 1, &result), GPT2_OK);
    free(one); /* it was borrowed until then */
    assert_int_equal(gpt2_generator_drafted(generator, &n_drafted, &n_accepted), GPT2_OK);
    assert_int_equal(n_drafted, 0);
    assert_int_equal(gpt2_session_position(session), COUNT(text) + 1);
    assert_int_equal(gpt2_generator_step(&generator, 1, &result), GPT2_OK);
    gpt2_generator_free(generator);
    gpt2_session_free(session);
}

/*
 * Rows of logits of a call with guesses: one for each token that was drawn, whose token it gives again.
 * Guesses are dropped where they need pages that are not there.
 */
static void test_rows_of_drafts(void **state)
{
    gpt2_session *session = session_of(model, 1, 0, 1, GPT2_FULL_STOP); /* one page, 64 positions */
    gpt2_sample_params sampling;
    gpt2_generator_params params;
    gpt2_generator *generator;
    gpt2_generated result = {0};
    size_t n_given = 0, n_several = 0;

    (void)state;
    assert_int_equal(gpt2_sample_params_init(&sampling, sizeof sampling), GPT2_OK);
    sampling.temperature = 0.0f;
    assert_int_equal(gpt2_generator_params_init(&params, sizeof params), GPT2_OK);
    params.draft_max = 8;
    params.ignore_eot = 1;
    assert_int_equal(gpt2_generator_create(session, &params, &generator), GPT2_OK);
    assert_int_equal(gpt2_generator_start(generator, 0, prompt, 8, -1, &sampling), GPT2_OK);
    for (;; n_given++) {
        int32_t before = gpt2_session_position(session), rows[9], n_rows = 0, none;

        assert_int_equal(gpt2_generator_step(&generator, 1, &result), GPT2_OK);
        if (result.finish != GPT2_FINISH_NOT_YET)
            break;
        while (n_rows < gpt2_session_position(session) - before && n_given > 0) {
            assert_int_equal(gpt2_sample(session, n_rows, &sampling, &rows[n_rows]), GPT2_OK);
            n_rows++;
        }
        assert_true(n_rows == 0 || gpt2_sample(session, n_rows, &sampling, &none) == GPT2_ERR_ROW);
        n_several += n_rows > 1;
        for (int32_t row = 0; row < n_rows; row++) {
            if (row > 0)
                assert_int_equal(gpt2_generator_step(&generator, 1, &result), GPT2_OK);
            n_given += row > 0;
            assert_int_equal(result.id, rows[row]);
        }
    }
    assert_int_equal(result.finish, GPT2_FINISH_PAGES);
    assert_int_equal(gpt2_session_position(session), 64);
    assert_int_equal(n_given, 64 - 8 + 1);
    assert_true(n_several > 0);
    gpt2_generator_free(generator);
    gpt2_session_free(session);
}

/* A generator with tokens that are ready is listed twice, or its sequence is another's, too, or closed. */
static void test_ready_refused(void **state)
{
    gpt2_session *session = session_of(model, 2, 0, 0, GPT2_FULL_STOP);
    gpt2_generator *generators[2];
    gpt2_generator_params params;
    gpt2_sample_params sampling;
    gpt2_generated results[2];
    int32_t number, before, position;

    (void)state;
    assert_int_equal(gpt2_sequence_open(session, &number), GPT2_OK);
    assert_int_equal(gpt2_sample_params_init(&sampling, sizeof sampling), GPT2_OK);
    sampling.temperature = 0.0f;
    assert_int_equal(gpt2_generator_params_init(&params, sizeof params), GPT2_OK);
    params.draft_max = 8;
    params.ignore_eot = 1;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gpt2_generator_create(session, &params, &generators[i]), GPT2_OK);
        assert_int_equal(gpt2_generator_start(generators[i], number, prompt, 8, -1, &sampling),
                         GPT2_OK);
    }
    do { /* until a step draws several */
        assert_int_equal(gpt2_sequence_position(session, number, &before), GPT2_OK);
        assert_int_equal(gpt2_generator_step(&generators[0], 1, results), GPT2_OK);
        assert_int_equal(results[0].finish, GPT2_FINISH_NOT_YET);
        assert_int_equal(gpt2_sequence_position(session, number, &position), GPT2_OK);
    } while (before == 0 || position - before < 3);
    check(session,
          gpt2_generator_step((gpt2_generator *[]){generators[0], generators[0]}, 2, results),
          GPT2_ERR_ARGUMENT, "gpt2_generator_step: item 1: sequence 1 is in an earlier item, too");
    check(session, gpt2_generator_step(generators, 2, results), GPT2_ERR_ARGUMENT,
          "gpt2_generator_step: item 1: sequence 1 is in an earlier item, too");
    check(session, gpt2_generator_step(&generators[0], 1, results), GPT2_OK, "");
    assert_int_equal(gpt2_sequence_close(session, number), GPT2_OK);
    check(session, gpt2_generator_step(&generators[0], 1, results), GPT2_ERR_SEQUENCE,
          "generators[0]: sequence 1 is not open");
    gpt2_generator_free(generators[0]);
    gpt2_generator_free(generators[1]);
    gpt2_session_free(session);
}

/* Twice the largest tau is no float: mirostat begins with the largest float. */
static void test_mirostat_of_the_largest_tau(void **state)
{
    gpt2_session *session = session_of(model, 1, 0, 0, GPT2_FULL_STOP);
    gpt2_sample_params sampling;
    gpt2_generator_params params;
    gpt2_generator *generator;
    gpt2_generated result;

    (void)state;
    assert_int_equal(gpt2_generator_params_init(&params, sizeof params), GPT2_OK);
    params.ignore_eot = 1;
    assert_int_equal(gpt2_generator_create(session, &params, &generator), GPT2_OK);
    assert_int_equal(gpt2_sample_params_init(&sampling, sizeof sampling), GPT2_OK);
    sampling.mirostat_tau = FLT_MAX;
    assert_int_equal(gpt2_generator_start(generator, 0, prompt, 3, 5, &sampling), GPT2_OK);
    for (int step = 0; step < 5; step++) {
        assert_int_equal(gpt2_generator_step(&generator, 1, &result), GPT2_OK);
        assert_true(result.id >= 0);
    }
    gpt2_generator_free(generator);
    gpt2_session_free(session);
}

/* ------------------------------------------------------------------------------------- finishes -- */

/* Two generators that never end by themselves, over sequences 0 and 1 of a session. */
struct pair {
    gpt2_session *session;
    gpt2_generator *generators[2];
    gpt2_generated results[2];
};

static void begin_pair(struct pair *pair, int32_t n_pages, size_t n_first, size_t n_second)
{
    const size_t n_ids[2] = {n_first, n_second};
    gpt2_generator_params params;
    int32_t number;

    pair->session = session_of(model, 2, 0, n_pages, GPT2_FULL_STOP);
    assert_int_equal(gpt2_generator_params_init(&params, sizeof params), GPT2_OK);
    params.ignore_eot = 1;
    assert_int_equal(gpt2_sequence_open(pair->session, &number), GPT2_OK);
    for (int32_t i = 0; i < 2; i++) {
        assert_int_equal(gpt2_generator_create(pair->session, &params, &pair->generators[i]),
                         GPT2_OK);
        assert_int_equal(gpt2_generator_start(pair->generators[i], i, prompt, n_ids[i], -1, NULL),
                         GPT2_OK);
    }
}

static void step_pair(struct pair *pair)
{
    check(pair->session, gpt2_generator_step(pair->generators, 2, pair->results), GPT2_OK, "");
}

static void end_pair(struct pair *pair)
{
    gpt2_generator_free(pair->generators[0]);
    gpt2_generator_free(pair->generators[1]);
    gpt2_session_free(pair->session);
}

static int32_t position_of(const struct pair *pair, int32_t sequence)
{
    int32_t position;

    assert_int_equal(gpt2_sequence_position(pair->session, sequence, &position), GPT2_OK);
    return position;
}

/* 63 and 64 tokens, then one more each: three pages are wanted, two are there. */
static void test_pages(void **state)
{
    struct pair pair;

    (void)state;
    begin_pair(&pair, 2, 64, 63);
    step_pair(&pair);
    assert_true(pair.results[0].finish == 0 && pair.results[1].finish == 0);
    step_pair(&pair);
    assert_int_equal(pair.results[0].finish, GPT2_FINISH_PAGES);
    assert_int_equal(pair.results[0].id, -1);
    assert_int_equal(pair.results[1].finish, GPT2_FINISH_NOT_YET);
    assert_true(pair.results[1].id >= 0);
    assert_string_equal(gpt2_generator_error(pair.generators[0]),
                        "sequence 0 needs 1 more pages of the KV cache, 0 of 2 are free");
    assert_int_equal(position_of(&pair, 0), 64);
    assert_int_equal(position_of(&pair, 1), 64);
    step_pair(&pair); /* now the other needs one, too */
    assert_int_equal(pair.results[0].finish, GPT2_FINISH_PAGES);
    assert_int_equal(pair.results[1].finish, GPT2_FINISH_PAGES);
    assert_int_equal(pair.results[1].id, -1);
    end_pair(&pair);
    begin_pair(&pair, 2, 63, 65); /* the second is the one that does not fit */
    step_pair(&pair);
    assert_int_equal(pair.results[0].finish, GPT2_FINISH_NOT_YET);
    assert_int_equal(pair.results[1].finish, GPT2_FINISH_PAGES);
    assert_int_equal(position_of(&pair, 1), 0);
    end_pair(&pair);
}

/* One is at the end of its context. */
static void test_context(void **state)
{
    struct pair pair;

    (void)state;
    begin_pair(&pair, 0, 99, 5);
    step_pair(&pair);
    assert_int_equal(pair.results[0].finish, GPT2_FINISH_NOT_YET);
    step_pair(&pair);
    assert_int_equal(pair.results[0].finish, GPT2_FINISH_CONTEXT);
    assert_true(pair.results[0].id >= 0); /* the last token needs no position */
    assert_string_equal(gpt2_generator_error(pair.generators[0]), "");
    assert_int_equal(pair.results[1].finish, GPT2_FINISH_NOT_YET);
    assert_int_equal(position_of(&pair, 0), 100);
    end_pair(&pair);
    begin_pair(&pair, 0, 10, 5); /* a prompt that fitted when it was given */
    assert_int_equal(gpt2_forward(pair.session, prompt, 95, 0), GPT2_OK);
    step_pair(&pair);
    assert_int_equal(pair.results[0].finish, GPT2_FINISH_CONTEXT);
    assert_int_equal(pair.results[0].id, -1);
    tiny_check_says(gpt2_generator_error(pair.generators[0]),
                    "generators[0]: 10 tokens at position 95 do not fit into a context of 100");
    assert_int_equal(pair.results[1].finish, GPT2_FINISH_NOT_YET);
    end_pair(&pair);
}

/* Text that waits for more bytes is given out at the end, whatever the end is. */
static void test_rest(void **state)
{
    static const char *const strings[] = {"aaaaaaaa"};
    gpt2_session *session = session_of(model, 1, 0, 0, GPT2_FULL_STOP);
    gpt2_generator_params params;
    gpt2_generator *generator;
    gpt2_generated result;
    size_t n_waited = 0;

    (void)state;
    assert_int_equal(gpt2_generator_params_init(&params, sizeof params), GPT2_OK);
    params.stop_strings = strings;
    params.n_stop_strings = 1;
    params.ignore_eot = 1;
    assert_int_equal(gpt2_generator_create(session, &params, &generator), GPT2_OK);
    for (uint64_t seed = 0; seed < 60; seed++) {
        gpt2_sample_params sampling;
        int32_t ids[8];
        size_t n_ids = 0, n_text = 0, n_wanted;
        char text[200], wanted[200];

        assert_int_equal(gpt2_sample_params_init(&sampling, sizeof sampling), GPT2_OK);
        sampling.seed = seed;
        sampling.temperature = 3.0f;
        assert_int_equal(gpt2_session_reset(session), GPT2_OK);
        assert_int_equal(gpt2_generator_start(generator, 0, prompt, 3, -1, &sampling), GPT2_OK);
        while (n_ids < 8) {
            assert_int_equal(gpt2_generator_step(&generator, 1, &result), GPT2_OK);
            ids[n_ids++] = result.id;
            memcpy(text + n_text, result.text, result.n_bytes);
            n_text += result.n_bytes;
        }
        assert_int_equal(gpt2_decode(gpt2_model_tokenizer(model), ids, 8, wanted, sizeof wanted,
                                     &n_wanted, NULL, 0),
                         GPT2_OK);
        n_waited += n_text < n_wanted;
        gpt2_session_cancel(session);
        check(session, gpt2_generator_step(&generator, 1, &result), GPT2_OK, "");
        assert_int_equal(result.finish, GPT2_FINISH_CANCELLED);
        memcpy(text + n_text, result.text, result.n_bytes);
        n_text += result.n_bytes;
        assert_int_equal(n_text, n_wanted);
        assert_memory_equal(text, wanted, n_text);
    }
    assert_true(n_waited > 5);
    gpt2_generator_free(generator);
    gpt2_session_free(session);
}

/* A cancel and a deadline finish all; a text that is resumed is the one that it would have been. */
static void test_interrupted(void **state)
{
    struct pair plain, pair;
    int32_t last = 0;

    (void)state;
    for (int by_deadline = 0; by_deadline < 2; by_deadline++) {
        begin_pair(&plain, 0, 8, 20);
        begin_pair(&pair, 0, 8, 20);
        for (int step = 0; step < 20; step++) {
            step_pair(&plain);
            if (step % 7 == 3) {
                int32_t wanted = by_deadline ? GPT2_FINISH_DEADLINE : GPT2_FINISH_CANCELLED;

                if (by_deadline)
                    assert_int_equal(gpt2_session_set_deadline(pair.session, 1), GPT2_OK);
                else
                    gpt2_session_cancel(pair.session);
                step_pair(&pair);
                for (int32_t i = 0; i < 2; i++) {
                    assert_int_equal(pair.results[i].finish, wanted);
                    assert_int_equal(pair.results[i].id, -1);
                    assert_int_equal(position_of(&pair, i), (i == 0 ? 8 : 20) + step - 1);
                }
                tiny_check_says(gpt2_generator_error(pair.generators[1]),
                                by_deadline ? "deadline" : "cancel");
                assert_int_equal(gpt2_generator_start(pair.generators[0], 0, &last, 1, -1, NULL),
                                 GPT2_OK);
                assert_string_equal(gpt2_generator_error(pair.generators[0]), "");
                step_pair(&pair);
                assert_int_equal(pair.results[1].finish, wanted);
                last = plain.results[1].id; /* the second does not go on */
                assert_int_equal(pair.results[0].id, plain.results[0].id);
                break;
            }
            step_pair(&pair);
            for (int i = 0; i < 2; i++)
                assert_int_equal(pair.results[i].id, plain.results[i].id);
            last = pair.results[0].id;
        }
        end_pair(&plain);
        end_pair(&pair);
    }
}

/* A tap for the logits: makes a sequence's NaN. */
static int32_t spoil(void *user, const gpt2_tap *tap)
{
    if (tap->sequence == *(const int32_t *)user)
        tap->data[1] = NAN;
    return 0;
}

static void test_not_finite(void **state)
{
    int32_t spoilt = 0;
    struct pair pair;

    (void)state;
    begin_pair(&pair, 0, 8, 20);
    step_pair(&pair);
    assert_int_equal(
        gpt2_session_set_tap(pair.session, spoil, &spoilt, GPT2_TAP_BIT(GPT2_TAP_LOGITS)), GPT2_OK);
    step_pair(&pair);
    assert_int_equal(pair.results[0].finish, GPT2_FINISH_ERROR);
    assert_int_equal(pair.results[0].id, -1);
    assert_true(gpt2_generator_error(pair.generators[0])[0] != '\0');
    assert_int_equal(pair.results[1].finish, GPT2_FINISH_NOT_YET);
    step_pair(&pair);
    assert_int_equal(pair.results[0].finish, GPT2_FINISH_ERROR);
    assert_true(pair.results[1].id >= 0);
    end_pair(&pair);
}

/* No token at all. */
static void test_no_tokens(void **state)
{
    struct pair pair;

    (void)state;
    begin_pair(&pair, 0, 8, 20);
    assert_int_equal(gpt2_generator_start(pair.generators[0], 0, prompt, 8, 0, NULL), GPT2_OK);
    step_pair(&pair);
    assert_int_equal(pair.results[0].finish, GPT2_FINISH_LENGTH);
    assert_int_equal(pair.results[0].id, -1);
    assert_int_equal(pair.results[0].n_bytes, 0);
    assert_int_equal(position_of(&pair, 0), 0);
    assert_int_equal(position_of(&pair, 1), 20);
    end_pair(&pair);
}

/* Without a tokenizer: ids, and the end by the config's number. */
static void test_bare(void **state)
{
    gpt2_session *session = session_of(bare, 1, 0, 0, GPT2_FULL_STOP);
    static const char *const strings[] = {"a"};
    gpt2_generator_params params;
    gpt2_generator *generator;
    gpt2_generated result;
    char line[200];
    int32_t n_ended = 0;

    (void)state;
    assert_int_equal(gpt2_generator_params_init(&params, sizeof params), GPT2_OK);
    params.stop_strings = strings;
    params.n_stop_strings = 1;
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    assert_int_equal(gpt2_generator_create(session, &params, &generator), GPT2_ERR_ARGUMENT);
    tiny_check_says(line, "n_stop_strings is 1, wanted 0: the model has no tokenizer");
    assert_int_equal(gpt2_generator_create(session, NULL, &generator), GPT2_OK);
    for (uint64_t seed = 0; seed < 20; seed++) {
        gpt2_sample_params sampling;

        assert_int_equal(gpt2_sample_params_init(&sampling, sizeof sampling), GPT2_OK);
        sampling.seed = seed;
        assert_int_equal(gpt2_session_reset(session), GPT2_OK);
        assert_int_equal(gpt2_generator_start(generator, 0, prompt, 3, 40, &sampling), GPT2_OK);
        do {
            assert_int_equal(gpt2_generator_step(&generator, 1, &result), GPT2_OK);
            assert_true(result.n_bytes == 0 && result.text != NULL);
            assert_true((result.finish == GPT2_FINISH_TOKEN) == (result.id == 2));
        } while (result.finish == GPT2_FINISH_NOT_YET);
        n_ended += result.finish == GPT2_FINISH_TOKEN;
    }
    assert_true(n_ended > 3);
    gpt2_generator_free(generator);
    gpt2_session_free(session);
}

/* -------------------------------------------------------------------------------------- refused -- */

static void test_create_refused(void **state)
{
    static const struct {
        int32_t ignore_eot, stop_id, status;
        const char *string;
        const char *words;
    } cases[] = {
        {2, 0, GPT2_ERR_ARGUMENT, "a", "gpt2_generator_params.ignore_eot is 2, wanted 0 to 1"},
        {0, 9, GPT2_ERR_TOKEN, "a", "gpt2_generator_params.stop_ids[0] is 9, wanted 0 to 8"},
        {0, -1, GPT2_ERR_TOKEN, "a", "gpt2_generator_params.stop_ids[0] is -1, wanted 0 to 8"},
        {0, 0, GPT2_ERR_ARGUMENT, "", "stop_strings[0] is empty, wanted 1 byte or more"},
        {0, 0, GPT2_ERR_ARGUMENT, NULL, "stop_strings[0] is NULL, wanted 1 byte or more"},
    };
    gpt2_session *session = session_of(model, 1, 0, 0, GPT2_FULL_STOP);
    gpt2_generator_params params;
    gpt2_generator *generator;
    char line[200];
    size_t n_bytes;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(gpt2_generator_params_init(&params, sizeof params), GPT2_OK);
        params.ignore_eot = cases[i].ignore_eot;
        params.stop_ids = &cases[i].stop_id;
        params.n_stop_ids = 1;
        params.stop_strings = &cases[i].string;
        params.n_stop_strings = 1;
        params.errbuf = line;
        params.errbuf_size = sizeof line;
        assert_int_equal(gpt2_generator_create(session, &params, &generator), cases[i].status);
        tiny_check_says(line, cases[i].words);
        assert_null(generator);
        assert_int_equal(gpt2_generator_size(session, &params, &n_bytes), cases[i].status);
        assert_int_equal(n_bytes, 0);
    }
    assert_int_equal(gpt2_generator_params_init(&params, sizeof params), GPT2_OK);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    params.n_stop_ids = 1;
    assert_int_equal(gpt2_generator_create(session, &params, &generator), GPT2_ERR_ARGUMENT);
    tiny_check_says(line, "stop_ids is NULL, but n_stop_ids is 1");
    params.n_stop_ids = 0;
    params.n_stop_strings = 2;
    assert_int_equal(gpt2_generator_create(session, &params, &generator), GPT2_ERR_ARGUMENT);
    tiny_check_says(line, "stop_strings is NULL, but n_stop_strings is 2");
    params.n_stop_strings = 0;
    params.draft_max = 32;
    assert_int_equal(gpt2_generator_create(session, &params, &generator), GPT2_ERR_ARGUMENT);
    tiny_check_says(line, "gpt2_generator_params.draft_max is 32, wanted 0 to 31");
    gpt2_session_free(session);
    session = session_of_rows(model, 1, 0, 0, GPT2_FULL_STOP, 4);
    params.draft_max = 4;
    assert_int_equal(gpt2_generator_create(session, &params, &generator), GPT2_ERR_ARGUMENT);
    tiny_check_says(
        line, "draft_max is 4, wanted 0 to 3: the session was made with an n_logit_rows of 4");
    gpt2_session_free(session);
}

static void test_start_refused(void **state)
{
    const int32_t wrong[] = {1, 9};
    gpt2_sample_params sampling, looking;
    struct pair pair;

    (void)state;
    begin_pair(&pair, 0, 8, 20);
    assert_int_equal(gpt2_sample_params_init(&sampling, sizeof sampling), GPT2_OK);
    sampling.temperature = NAN;
    assert_int_equal(gpt2_sample_params_init(&looking, sizeof looking), GPT2_OK);
    looking.history = prompt;
    looking.n_history = 3;
    check(pair.session, gpt2_generator_start(pair.generators[0], 0, prompt, 3, -1, &looking),
          GPT2_ERR_ARGUMENT,
          "gpt2_generator_start: gpt2_sample_params.history has 3 tokens, wanted NULL: a generator "
          "takes it from its sequence");
    looking.n_history = 0;
    check(pair.session, gpt2_generator_start(pair.generators[0], 0, prompt, 3, -1, &looking),
          GPT2_ERR_ARGUMENT,
          "gpt2_generator_start: gpt2_sample_params.history has 0 tokens, wanted NULL: a generator "
          "takes it from its sequence");
    looking.history = NULL;
    looking.dry_breakers = wrong;
    looking.n_dry_breakers = 2;
    check(pair.session, gpt2_generator_start(pair.generators[0], 0, prompt, 3, -1, &looking),
          GPT2_ERR_TOKEN, "gpt2_sample_params.dry_breakers[1] is 9, wanted 0 to 8");
    check(pair.session, gpt2_generator_start(pair.generators[0], 0, wrong, 2, -1, NULL),
          GPT2_ERR_TOKEN, "token 1 is 9, wanted 0 to 8");
    check(pair.session, gpt2_generator_start(pair.generators[0], 0, wrong, 0, -1, NULL),
          GPT2_ERR_ARGUMENT, "gpt2_generator_start: n_tokens is 0, wanted 1 or more");
    check(pair.session, gpt2_generator_start(pair.generators[0], 0, NULL, 3, -1, NULL),
          GPT2_ERR_ARGUMENT, "gpt2_generator_start: tokens is NULL");
    check(pair.session, gpt2_generator_start(pair.generators[0], 2, prompt, 3, -1, NULL),
          GPT2_ERR_SEQUENCE, "sequence is 2, wanted 0 to 1");
    check(pair.session, gpt2_generator_start(pair.generators[0], 0, prompt, 101, -1, NULL),
          GPT2_ERR_CONTEXT, "101 tokens at position 0 do not fit into a context of 100 positions");
    check(pair.session, gpt2_generator_start(pair.generators[0], 0, prompt, 3, -2, NULL),
          GPT2_ERR_ARGUMENT,
          "gpt2_generator_start: max_tokens is -2, wanted -1 to 9223372036854775807");
    check(pair.session, gpt2_generator_start(pair.generators[0], 0, prompt, 3, -1, &sampling),
          GPT2_ERR_ARGUMENT, "gpt2_sample_params.temperature is NaN, wanted 0 or more");
    step_pair(&pair); /* with the prompt of the start that was right */
    assert_int_equal(position_of(&pair, 0), 8);
    end_pair(&pair);
}

/* After a step that is refused the generators give what they would have given. */
static void test_step_refused(void **state)
{
    struct pair plain, pair;
    gpt2_generator *fresh, *lists[3];
    gpt2_generated results[3];

    (void)state;
    begin_pair(&plain, 0, 8, 99);
    begin_pair(&pair, 0, 8, 99);
    assert_int_equal(gpt2_generator_create(pair.session, NULL, &fresh), GPT2_OK);
    for (int step = 0; step < 3; step++) {
        lists[0] = pair.generators[0];
        lists[1] = plain.generators[1];
        check(pair.session, gpt2_generator_step(lists, 2, results), GPT2_ERR_ARGUMENT,
              "gpt2_generator_step: generators[1] is of another session than generators[0]");
        assert_null(results[0].text);
        lists[1] = fresh;
        check(pair.session, gpt2_generator_step(lists, 2, results), GPT2_ERR_ARGUMENT,
              "gpt2_generator_step: generators[1] has not been started");
        lists[1] = NULL;
        check(pair.session, gpt2_generator_step(lists, 2, results), GPT2_ERR_ARGUMENT,
              "gpt2_generator_step: generators[1] is NULL");
        lists[1] = lists[2] = lists[0];
        check(pair.session, gpt2_generator_step(lists, 2, results), GPT2_ERR_ARGUMENT,
              "gpt2_generator_step: item 1: sequence 0 is in an earlier item, too");
        check(pair.session, gpt2_generator_step(lists, 3, results), GPT2_ERR_ARGUMENT,
              "gpt2_generator_step: more than 2 generators run, the session has 2 sequences");
        check(pair.session, gpt2_generator_step(lists, 1, NULL), GPT2_ERR_ARGUMENT,
              "gpt2_generator_step: results is NULL");
        assert_int_equal(gpt2_generator_step(NULL, 1, results), GPT2_ERR_ARGUMENT);
        assert_int_equal(gpt2_generator_step(lists, 0, results), GPT2_ERR_ARGUMENT);
        step_pair(&pair);
        step_pair(&plain);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pair.results[i].id, plain.results[i].id);
            assert_int_equal(pair.results[i].finish, plain.results[i].finish);
        }
    }
    assert_int_equal(gpt2_sequence_close(pair.session, 1), GPT2_OK);
    assert_int_equal(gpt2_generator_start(pair.generators[0], 0, prompt, 3, -1, NULL), GPT2_OK);
    gpt2_generator_free(fresh);
    end_pair(&plain);
    end_pair(&pair);
    begin_pair(&pair, 0, 99, 5); /* the first does not fit, the second is closed */
    assert_int_equal(gpt2_forward(pair.session, prompt, 50, 0), GPT2_OK);
    assert_int_equal(gpt2_sequence_close(pair.session, 1), GPT2_OK);
    check(pair.session, gpt2_generator_step(pair.generators, 2, pair.results), GPT2_ERR_SEQUENCE,
          "generators[1]: sequence 1 is not open");
    assert_string_equal(gpt2_generator_error(pair.generators[0]), "");
    end_pair(&pair);
}

/* In memory of the caller, at every alignment; one byte fewer is refused. */
static void test_memory(void **state)
{
    gpt2_session *session = session_of(model, 1, 0, 0, GPT2_FULL_STOP);
    gpt2_generator *generator;
    gpt2_generated result;
    struct task task;
    size_t n_bytes;
    char *block;

    (void)state;
    do
        random_task(&task);
    while (task.params.n_stop_strings < 3);
    assert_int_equal(gpt2_generator_size(session, params_of(&task), &n_bytes), GPT2_OK);
    block = malloc(n_bytes + 64);
    assert_non_null(block);
    for (size_t past = 0; past <= 64; past++) {
        memset(block, 0xa5, n_bytes + 64);
        assert_int_equal(
            gpt2_generator_init(session, &task.params, block + past, n_bytes - 1, &generator),
            GPT2_ERR_BUFFER);
        assert_null(generator);
        assert_int_equal(
            gpt2_generator_init(session, &task.params, block + past, n_bytes, &generator), GPT2_OK);
        assert_int_equal(gpt2_generator_step(&generator, 1, &result), GPT2_ERR_ARGUMENT);
        assert_int_equal(gpt2_session_reset(session), GPT2_OK);
        assert_int_equal(gpt2_generator_start(generator, 0, prompt, 3, 20, NULL), GPT2_OK);
        do
            assert_int_equal(gpt2_generator_step(&generator, 1, &result), GPT2_OK);
        while (result.finish == GPT2_FINISH_NOT_YET);
        gpt2_generator_free(generator); /* does nothing */
        for (size_t i = 0; i < past; i++)
            assert_int_equal((unsigned char)block[i], 0xa5);
        for (size_t i = past + n_bytes; i < n_bytes + 64; i++)
            assert_int_equal((unsigned char)block[i], 0xa5);
    }
    free(block);
    gpt2_session_free(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_context),
        cmocka_unit_test(test_rest),
        cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_no_tokens),
        cmocka_unit_test(test_bare),
        cmocka_unit_test(test_create_refused),
        cmocka_unit_test(test_start_refused),
        cmocka_unit_test(test_step_refused),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_history_of_cuts),
        cmocka_unit_test(test_history_of_changed_text),
        cmocka_unit_test(test_mirostat_of_the_largest_tau),
        cmocka_unit_test(test_prompt_of_one),
        cmocka_unit_test(test_ready_refused),
        cmocka_unit_test(test_rows_of_drafts),
    };

    return cmocka_run_group_tests_name("generator", tests, set_up, tear_down);
}
