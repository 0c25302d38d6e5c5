/*
 * test_torture.c: everything that the library asks of the system is refused, call by call.
 *
 * For each scenario and each way to refuse, the first call of the kind is refused, then the second,
 * and so on until a run has come to its end without; once with the one refusal, once with all later
 * calls refused too.  After each: the status, its line, nothing left behind, what existed before
 * goes on with the same bits, and the next try gives the bits of a run that nobody disturbed.
 *
 * The linker's --wrap leads the library's calls to here, for each function of these lines:
 * WRAP := mmap mmap64 munmap madvise stat stat64 open open64 fstat fstat64 pread pread64 close
 * WRAP := pthread_create pthread_join pthread_mutex_init pthread_mutex_destroy
 * WRAP := pthread_cond_init pthread_cond_destroy pthread_sigmask
 * WRAP := sched_getaffinity sysconf clock_gettime
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "refusals.h"

#define DEMO     "examples/demo-model"
#define TINY     TINY_DIRECTORY "/torture"
#define TINY_F16 TINY "-f16"
#define N_TOKENS 8

/* Fails with where it is. */
#define WANT(condition)                                    \
    do {                                                   \
        if (!(condition))                                  \
            fail_msg("%s: not so: %s", place, #condition); \
    } while (0)

static char place[256];

/* ----------------------------------------------------------------------------------- what fails -- */

static const struct kind kinds[] = {
    {"mmap ENOMEM", MMAP, REFUSE, GPT2_ERR_MEMORY, "no memory for "},
    {"munmap EINVAL", MUNMAP, REFUSE, GPT2_OK, ""},
    {"madvise EINVAL", MADVISE, REFUSE, GPT2_OK, ""},
    {"stat EIO", STAT, REFUSE, GPT2_OK, ""},
    {"open EMFILE", OPEN, REFUSE, GPT2_ERR_FILE, ": cannot be opened: too many open files"},
    {"open EINTR", OPEN, INTERRUPT, GPT2_OK, ""},
    {"fstat EIO", FSTAT, REFUSE, GPT2_ERR_FILE, ": its size cannot be read"},
    {"pread EIO", PREAD, REFUSE, GPT2_ERR_FILE, ": cannot be read at byte "},
    {"pread at the end", PREAD, END, GPT2_ERR_FILE, ": ends at byte "},
    {"pread of a half", PREAD, SHORT, GPT2_OK, ""},
    {"pread EINTR", PREAD, INTERRUPT, GPT2_OK, ""},
    {"close EIO", CLOSE, REFUSE, GPT2_OK, ""},
    {"pthread_create EAGAIN", THREAD, REFUSE, GPT2_ERR_THREAD, "thread "},
    {"pthread_mutex_init ENOMEM", MUTEX, REFUSE, GPT2_ERR_THREAD,
     "a mutex or condition could not be made"},
    {"pthread_cond_init ENOMEM", CONDITION, REFUSE, GPT2_ERR_THREAD,
     "a mutex or condition could not be made"},
    {"pthread_sigmask EPERM", SIGMASK, REFUSE, GPT2_OK, ""},
    {"sched_getaffinity, sysconf", CPUS, REFUSE, GPT2_OK, ""},
};
static const struct kind shrinking = {"a file shrinks", FSTAT, SHRINK, GPT2_ERR_FILE,
                                      ": ends at byte "};
static const struct kind no_clock = {"clock_gettime EPERM", CLOCK, REFUSE, GPT2_OK, ""};

/* ----------------------------------------------------------------------------------- scenarios -- */

static gpt2_model *resident; /* loaded before anything is refused, and the others over it */
static gpt2_session *resident_sessions[2]; /* of 1 and 2 threads, at position 3 */
static gpt2_encoder *resident_encoder;
static uint64_t resident_hash, resident_text_hash, run_hash;
static struct tiny_model tiny; /* the files of it */
static int32_t ids[N_TOKENS];

/* A call that makes something. */
struct scenario {
    const char *name;
    int32_t (*make)(const struct scenario *scenario, void **made, char *line, size_t line_bytes);
    uint64_t (*use_and_free)(void *made); /* the hash of what it computes */
    const char *directory;
    int32_t n_threads;
};

static uint64_t text_hash(gpt2_encoder *encoder)
{
    static const char text[] = "thethat's<|endoftext|>theory";
    int32_t found[sizeof text];
    uint64_t hash = 1;
    size_t n;

    assert_int_equal(
        gpt2_encode(encoder, text, sizeof text - 1, GPT2_ENCODE_SPECIAL, found, COUNT(found), &n),
        GPT2_OK);
    for (size_t i = 0; i < n; i++)
        hash = hash * 0x100000001b3 + (uint64_t)found[i];
    return hash;
}

static uint64_t use_encoder(void *made)
{
    uint64_t hash = text_hash(made);

    gpt2_encoder_free(made);
    return hash;
}

static uint64_t use_text(const gpt2_tokenizer *tokenizer)
{
    gpt2_encoder *encoder;

    assert_int_equal(gpt2_encoder_create(tokenizer, NULL, &encoder), GPT2_OK);
    return use_encoder(encoder);
}

static uint64_t use_tokenizer(void *made)
{
    uint64_t hash = use_text(made);

    gpt2_tokenizer_free(made);
    return hash;
}

static uint64_t use_session(void *made)
{
    uint64_t hash = tiny_run(made, ids, N_TOKENS, N_TOKENS, 0);

    gpt2_session_free(made);
    return hash;
}

static uint64_t use_model(void *made)
{
    uint64_t hash = use_session(tiny_session(made, GPT2_CPU_ALL, 1, 256));

    hash ^= use_text(gpt2_model_tokenizer(made));
    gpt2_model_free(made);
    return hash;
}

static int32_t make_model(const struct scenario *scenario, void **made, char *line, size_t n)
{
    gpt2_model_params params;
    gpt2_model *model = *made;
    int32_t status;

    (void)gpt2_model_params_init(&params, sizeof params);
    params.n_threads = scenario->n_threads;
    params.errbuf = line;
    params.errbuf_size = n;
    status = gpt2_model_load(scenario->directory, &params, &model);
    *made = model;
    return status;
}

static int32_t make_tokenizer(const struct scenario *scenario, void **made, char *line, size_t n)
{
    gpt2_tokenizer_params params;
    gpt2_tokenizer *tokenizer = *made;
    int32_t status;

    (void)gpt2_tokenizer_params_init(&params, sizeof params);
    params.errbuf = line;
    params.errbuf_size = n;
    status = gpt2_tokenizer_load(scenario->directory, &params, &tokenizer);
    *made = tokenizer;
    return status;
}

static int32_t make_encoder(const struct scenario *scenario, void **made, char *line, size_t n)
{
    gpt2_encoder_params params;
    gpt2_encoder *encoder = *made;
    int32_t status;

    (void)scenario;
    (void)gpt2_encoder_params_init(&params, sizeof params);
    params.errbuf = line;
    params.errbuf_size = n;
    params.max_piece_bytes = 200000; /* over 2 MiB: advice is asked for */
    status = gpt2_encoder_create(gpt2_model_tokenizer(resident), &params, &encoder);
    *made = encoder;
    return status;
}

static int32_t make_session(const struct scenario *scenario, void **made, char *line, size_t n)
{
    gpt2_session_params params;
    gpt2_session *session = *made;
    int32_t status;

    (void)gpt2_session_params_init(&params, sizeof params);
    params.n_threads = scenario->n_threads;
    params.n_logit_rows = N_TOKENS;
    params.errbuf = line;
    params.errbuf_size = n;
    status = gpt2_session_create(resident, &params, &session);
    *made = session;
    return status;
}

/* In a block that is there already: a thread is all that can be refused. */
static int32_t make_session_here(const struct scenario *scenario, void **made, char *line, size_t n)
{
    static _Alignas(64) unsigned char memory[1 << 20];
    gpt2_session_params params;
    gpt2_session *session = *made;
    int32_t status;

    (void)gpt2_session_params_init(&params, sizeof params);
    params.n_threads = scenario->n_threads;
    params.n_logit_rows = N_TOKENS;
    params.errbuf = line;
    params.errbuf_size = n;
    status = gpt2_session_init(resident, &params, memory, sizeof memory, &session);
    *made = session;
    return status;
}

static const struct scenario scenarios[] = {
    {"F32 model, 1 thread", make_model, use_model, TINY, 1},
    {"F32 model, 4 threads", make_model, use_model, TINY, 4},
    {"F16 model, 4 threads", make_model, use_model, TINY_F16, 4},
    {"demo model, 1 thread", make_model, use_model, DEMO, 1},
    {"tokenizer", make_tokenizer, use_tokenizer, DEMO, 0},
    {"encoder", make_encoder, use_encoder, NULL, 0},
    {"session, 1 thread", make_session, use_session, NULL, 1},
    {"session, 2 threads", make_session, use_session, NULL, 2},
    {"session, 4 threads", make_session, use_session, NULL, 4},
    {"session, a thread for each CPU", make_session, use_session, NULL, 0},
    {"session in the caller's memory", make_session_here, use_session, NULL, 3},
};

static uint64_t hashes[COUNT(scenarios)]; /* of runs that nobody disturbed */

/* ----------------------------------------------------------------------------------- the test -- */

/* What existed before goes on where it was. */
static void check_residents(void)
{
    for (size_t i = 0; i < COUNT(resident_sessions); i++) {
        gpt2_session *session = resident_sessions[i];

        WANT(gpt2_session_position(session) == 3);
        WANT(tiny_run(session, ids + 3, N_TOKENS - 3, N_TOKENS, 3) == resident_hash);
        WANT(gpt2_session_reset(session) == GPT2_OK);
        WANT(gpt2_forward(session, ids, 3, 0) == GPT2_OK);
    }
    WANT(text_hash(resident_encoder) == resident_text_hash);
}

/* One line that says what was refused, and names the file, or how much was asked for. */
static void check_line(const struct kind *kind, const char *line)
{
    size_t length = strlen(plan.path);

    if (strstr(line, kind->words) == NULL || strchr(line, '\n') != NULL)
        fail_msg("%s: found the line \"%s\", wanted \"%s\" in it", place, line, kind->words);
    if (kind->status == GPT2_ERR_FILE)
        WANT(strncmp(line, plan.path, length) == 0 && line[length] == ':');
    if (kind->status == GPT2_ERR_MEMORY || kind->call == THREAD)
        WANT(line[strcspn(line, "0123456789")] != '\0');
}

/* One run under the plan.  Returns its status; *n_refused calls were refused. */
static int32_t run(const struct scenario *scenario, const struct kind *kind, int first,
                   bool persists, uint64_t wanted, int *n_refused)
{
    char line[512] = "before";
    void *made = line; /* not NULL */
    struct ledger before = ledger;
    sigset_t mask_before, mask_after;
    int32_t status;

    (void)snprintf(place, sizeof place, "%s, %s %d%s", scenario->name, kind->name, first,
                   persists ? " and later" : "");
    (void)__real_pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
    begin_plan(kind, first, persists);
    status = scenario->make(scenario, &made, line, sizeof line);
    plan.kind = NULL;
    *n_refused = atomic_load(&plan.n_refused);
    (void)__real_pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
    for (int i = 1; i < SIGRTMIN; i++)
        WANT(sigismember(&mask_after, i) == sigismember(&mask_before, i));
    if (status != GPT2_OK) {
        WANT(made == NULL);
        WANT(*n_refused > 0 && status == kind->status);
        check_line(kind, line);
    } else {
        WANT(made != NULL);
        assert_string_equal(line, "");
        WANT(scenario->use_and_free(made) == wanted);
    }
    if (!same_ledger(&before))
        fail_msg("%s: %zu blocks, files, threads or locks, before the call %zu; wrong return: %s",
                 place, ledger.n, before.n, wrong_return == NULL ? "none" : wrong_return);
    return status;
}

/* Refuses every call of a kind in its turn.  Returns how many there are. */
static int refuse_each(const struct scenario *scenario, const struct kind *kind, uint64_t hash)
{
    int n_refused, n_calls;

    WANT(run(scenario, kind, INT32_MAX, false, hash, &n_refused) == GPT2_OK);
    n_calls = atomic_load(&plan.n_calls);
    for (int way = 0; way < 2; way++) {
        int n_survived = 0, n = 0;

        do {
            int32_t status = run(scenario, kind, ++n, way == 1, hash, &n_refused);

            if (status == GPT2_OK && n_refused > 0 && kind->status != GPT2_OK)
                n_survived++;
            if (status == GPT2_OK && n_refused == 0)
                break;
            check_residents();
            (void)run(scenario, kind, INT32_MAX, false, hash, &n_refused);
        } while (n <= n_calls);
        WANT(n - 1 == n_calls); /* each was reached, and the run after them had none left */
        WANT(n_survived == 0);
    }
    return n_calls;
}

static void test_refusals(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT(kinds); k++) {
        int n_calls = 0;

        for (size_t i = 0; i < COUNT(scenarios); i++)
            n_calls += refuse_each(&scenarios[i], &kinds[k], hashes[i]);
        WANT(n_calls > 0);
        print_message("%s%d of %s%s", k % 4 == 0 ? "  each refused: " : "", n_calls, kinds[k].name,
                      k % 4 == 3 || k + 1 == COUNT(kinds) ? "\n" : ", ");
    }
}

/* A file loses its end, or all, after its size was asked for. */
static void test_shrinking(void **state)
{
    static const int divisors[] = {1 << 30, 2, 4};
    struct scenario scenario = {"F32 model", make_model, use_model, TINY, 2};
    int n = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(divisors); i++) {
        int n_refused = 1;

        plan.divisor = divisors[i];
        for (n = 0; n_refused > 0;) {
            int32_t status = run(&scenario, &shrinking, ++n, false, hashes[0], &n_refused);

            WANT((status == GPT2_OK) == (n_refused == 0));
            check_residents();
            tiny_write(&tiny);
        }
        WANT(n == 4 + 1);
    }
    print_message("  shrunk: each of %d files, in %zu ways\n", n - 1, COUNT(divisors));
}

/* A clock that does not go: the deadline does not come, and no bit changes. */
static void test_clock(void **state)
{
    int n_calls = 0;

    (void)state;
    for (int n = 1, n_refused = 1; n_refused > 0; n++) {
        for (int persists = 0; persists < 2; persists++) {
            gpt2_session *session = tiny_session(resident, GPT2_CPU_ALL, 2, 3);

            WANT(gpt2_session_set_deadline(session, UINT64_MAX) == GPT2_OK);
            begin_plan(&no_clock, n, persists == 1);
            WANT(use_session(session) == run_hash);
            plan.kind = NULL;
            n_refused = atomic_load(&plan.n_refused);
        }
        n_calls += n_refused > 0;
    }
    WANT(n_calls > 2); /* how many there are depends on when the threads take their tasks */
    print_message("  each of about %d calls of the clock refused in its turn\n", n_calls);
}

static int set_up(void **state)
{
    (void)state;
    tiny = tiny_odd(TINY);
    tiny.tokenizer = true;
    tiny.dtype = "F16";
    tiny.directory = TINY_F16;
    tiny_write(&tiny);
    tiny.dtype = "F32";
    tiny.directory = TINY;
    resident = tiny_load(&tiny);
    tiny_ids(ids, N_TOKENS, tiny.n_vocab);
    for (size_t i = 0; i < COUNT(resident_sessions); i++) {
        gpt2_session *session = tiny_session(resident, GPT2_CPU_ALL, (int32_t)i + 1, 8);

        resident_sessions[i] = session;
        run_hash = tiny_run(session, ids, N_TOKENS, N_TOKENS, 0);
        WANT(gpt2_session_reset(session) == GPT2_OK);
        WANT(gpt2_forward(session, ids, 3, 0) == GPT2_OK);
        resident_hash = tiny_run(session, ids + 3, N_TOKENS - 3, N_TOKENS, 3);
        WANT(gpt2_session_reset(session) == GPT2_OK);
        WANT(gpt2_forward(session, ids, 3, 0) == GPT2_OK);
    }
    WANT(gpt2_encoder_create(gpt2_model_tokenizer(resident), NULL, &resident_encoder) == GPT2_OK);
    resident_text_hash = text_hash(resident_encoder);
    for (size_t i = 0; i < COUNT(scenarios); i++) {
        void *made = NULL;

        (void)scenarios[i].make(&scenarios[i], &made, place, sizeof place);
        hashes[i] = scenarios[i].use_and_free(made);
        WANT(scenarios[i].make != make_session || hashes[i] == run_hash);
    }
    WANT(hashes[0] == hashes[1] && hashes[0] != hashes[2]); /* threads, types */
    return 0;
}

/* Nothing is left when the last is gone. */
static int tear_down(void **state)
{
    (void)state;
    gpt2_encoder_free(resident_encoder);
    for (size_t i = 0; i < COUNT(resident_sessions); i++)
        gpt2_session_free(resident_sessions[i]);
    gpt2_model_free(resident);
    return ledger.n == 0 && wrong_return == NULL ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_shrinking),
        cmocka_unit_test(test_clock),
    };

    return cmocka_run_group_tests_name("torture", tests, set_up, tear_down);
}
