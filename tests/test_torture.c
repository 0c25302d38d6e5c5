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

#include "checkpoint_file.h"
#include "gguf_file.h"
#include "refusals.h"
#include "scratch.h"

#define DEMO     "examples/demo-model"
#define TINY     TINY_DIRECTORY "/torture"
#define TINY_F16 TINY "-f16"
#define SHARDS   TINY "-shards"
#define ZIP      TINY "-zip"
#define STREAM   TINY "-stream"
#define NATIVE   TINY "-native"
#define GGUF     TINY "-gguf"
#define LLMC     TINY "-llmc"
#define NANOGPT  TINY "-nanogpt"
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
/* What stat cannot tell is taken for a directory, in which there is nothing to open. */
static const struct kind stat_of_native = {"stat EIO", STAT, REFUSE, GPT2_ERR_FILE,
                                           ": cannot be opened: there is no such file"};
static const struct kind shrinking = {"a file shrinks", FSTAT, SHRINK, GPT2_ERR_FILE,
                                      ": ends at byte "};
static const struct kind no_clock = {"clock_gettime EPERM", CLOCK, REFUSE, GPT2_OK, ""};

/* ----------------------------------------------------------------------------------- scenarios -- */

static gpt2_model *resident; /* loaded before anything is refused, and the others over it */
static gpt2_session *resident_sessions[2]; /* of 1 and 2 threads, at position 3 */
static gpt2_encoder *resident_encoder;
static uint64_t resident_hash, resident_text_hash, run_hash;
static struct tiny_model tiny, shards; /* the files of it */
static int32_t ids[N_TOKENS];

/* A call that makes something. */
struct scenario {
    const char *name;
    int32_t (*make)(const struct scenario *scenario, void **made, char *line, size_t line_bytes);
    uint64_t (*use_and_free)(void *made); /* the hash of what it computes */
    const char *path;
    int32_t n_threads;
    int32_t file_access;
    bool maps_file; /* where that alone is refused, the file is read */
};

/* A native file in memory; '*made' of a write points here. */
static struct image {
    unsigned char bytes[1 << 20];
    size_t n_bytes;
} native, written;

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
    params.file_access = scenario->file_access;
    params.errbuf = line;
    params.errbuf_size = n;
    status = gpt2_model_load(scenario->path, &params, &model);
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
    status = gpt2_tokenizer_load(scenario->path, &params, &tokenizer);
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

/* A gpt2_write_callback. */
static int32_t add_part(void *user, const void *bytes, size_t n_bytes)
{
    struct image *image = user;

    assert_true(n_bytes <= sizeof image->bytes - image->n_bytes);
    memcpy(image->bytes + image->n_bytes, bytes, n_bytes);
    image->n_bytes += n_bytes;
    return 0;
}

static int32_t make_native(const struct scenario *scenario, void **made, char *line, size_t n)
{
    int32_t status;

    (void)scenario;
    written.n_bytes = 0;
    status = gpt2_model_write(resident, "native.safetensors", add_part, &written, line, n);
    *made = status == GPT2_OK ? &written : NULL;
    WANT(status == GPT2_OK || written.n_bytes == 0);
    return status;
}

static uint64_t use_native(void *made)
{
    const struct image *image = made;

    WANT(image->n_bytes == native.n_bytes);
    assert_memory_equal(image->bytes, native.bytes, native.n_bytes);
    return 1;
}

static const struct scenario scenarios[] = {
    {"F32 model, 1 thread", make_model, use_model, TINY, 1, 0, false},
    {"F32 model, 4 threads", make_model, use_model, TINY, 4, 0, false},
    {"F16 model, 4 threads", make_model, use_model, TINY_F16, 4, 0, false},
    {"demo model, 1 thread", make_model, use_model, DEMO, 1, 0, false},
    {"3 shards, 1 thread", make_model, use_model, SHARDS, 1, 0, false},
    {"zip form of PyTorch, 1 thread", make_model, use_model, ZIP, 1, 0, false},
    {"stream form of PyTorch, 1 thread", make_model, use_model, STREAM, 1, 0, false},
    {"GGUF file, 1 thread", make_model, use_model, GGUF, 1, 0, false},
    {"llm.c's file, 1 thread", make_model, use_model, LLMC, 1, 0, false},
    {"nanoGPT's checkpoint, 1 thread", make_model, use_model, NANOGPT, 1, 0, false},
    {"native file, mapped", make_model, use_model, NATIVE, 0, GPT2_FILE_MAP, true},
    {"native file, read", make_model, use_model, NATIVE, 0, GPT2_FILE_READ, false},
    {"tokenizer", make_tokenizer, use_tokenizer, DEMO, 0, 0, false},
    {"tokenizer of a native file", make_tokenizer, use_tokenizer, NATIVE, 0, 0, false},
    {"writing a native file", make_native, use_native, NULL, 0, 0, false},
    {"encoder", make_encoder, use_encoder, NULL, 0, 0, false},
    {"session, 1 thread", make_session, use_session, NULL, 1, 0, false},
    {"session, 2 threads", make_session, use_session, NULL, 2, 0, false},
    {"session, 4 threads", make_session, use_session, NULL, 4, 0, false},
    {"session, a thread for each CPU", make_session, use_session, NULL, 0, 0, false},
    {"session in the caller's memory", make_session_here, use_session, NULL, 3, 0, false},
};

/* Directories with one of these files, and a tokenizer. */
enum { IN_GGUF, IN_LLMC, IN_NANOGPT, N_OTHERS };
static const char *const other_directories[N_OTHERS] = {GGUF, LLMC, NANOGPT};
static struct bytes others[N_OTHERS];

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
        WANT(strncmp(line, plan.path, length) == 0 &&
             (line[length] == ':' || (kind->call == STAT && line[length] == '/')));
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

/* How many runs of refuse_each() succeed although a call was refused that can end a load. */
static int n_survivors(const struct scenario *scenario, const struct kind *kind, bool persists,
                       int n_calls)
{
    if (kind == &stat_of_native)
        return n_calls - 1; /* the first decides */
    return kind->call == MMAP && scenario->maps_file && !persists;
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
        WANT(n_survived == n_survivors(scenario, kind, way == 1, n_calls));
    }
    return n_calls;
}

static void test_refusals(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT(kinds); k++) {
        int n_calls = 0;

        for (size_t i = 0; i < COUNT(scenarios); i++) {
            const char *path = scenarios[i].path == NULL ? "" : scenarios[i].path;
            const struct kind *kind = kinds[k].call != STAT       ? &kinds[k]
                                      : strcmp(path, NATIVE) == 0 ? &stat_of_native
                                                                  : &kinds[k];

            n_calls += refuse_each(&scenarios[i], kind, hashes[i]);
        }
        WANT(n_calls > 0);
        print_message("%s%d of %s%s", k % 4 == 0 ? "  each refused: " : "", n_calls, kinds[k].name,
                      k % 4 == 3 || k + 1 == COUNT(kinds) ? "\n" : ", ");
    }
}

static void write_others(void)
{
    static const char *const names[N_OTHERS] = {"model.gguf", "model.bin", "ckpt.pt"};
    char path[256];

    for (size_t i = 0; i < N_OTHERS; i++) {
        tiny_write_tokenizer(other_directories[i]);
        (void)snprintf(path, sizeof path, "%s/%s", other_directories[i], names[i]);
        scratch_write(path, others[i].at, others[i].n);
    }
}

/* A file loses its end, or all, after its size was asked for.  Returns how many files there are. */
static int shrink_each(const struct scenario *scenario, uint64_t hash)
{
    int n_refused = 1, n = 0;

    while (n_refused > 0) {
        int32_t status = run(scenario, &shrinking, ++n, false, hash, &n_refused);

        WANT((status == GPT2_OK) == (n_refused == 0));
        check_residents();
        tiny_write(&tiny);
        tiny_write(&shards);
        scratch_write(NATIVE, native.bytes, native.n_bytes);
        write_others();
    }
    return n - 1;
}

static void test_shrinking(void **state)
{
    static const int divisors[] = {1 << 30, 2, 4};
    const struct scenario model = {"F32 model", make_model, use_model, TINY, 2, 0, false};
    const struct scenario parts = {"3 shards", make_model, use_model, SHARDS, 2, 0, false};
    const struct scenario read = {"native file",  make_model, use_model, NATIVE, 2,
                                  GPT2_FILE_READ, false};
    int n = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(divisors); i++) {
        plan.divisor = divisors[i];
        n = shrink_each(&model, hashes[0]) + shrink_each(&parts, hashes[0]) +
            shrink_each(&read, hashes[0]);
        WANT(n == 4 + 7 + 1);
        for (size_t j = 0; j < COUNT(scenarios); j++) {
            const char *path = scenarios[j].path == NULL ? "" : scenarios[j].path;

            for (size_t k = 0; k < N_OTHERS; k++) {
                if (strcmp(path, other_directories[k]) == 0)
                    n += shrink_each(&scenarios[j], hashes[j]);
            }
        }
        WANT(n == 4 + 7 + 1 + 3 * N_OTHERS);
    }
    print_message("  shrunk: each of %d files, in %zu ways\n", n, COUNT(divisors));
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

/* The tiny model's weights as torch.save() has them. */
static void write_pytorch(const char *directory, bool is_stream)
{
    static struct bytes pickle, file;
    struct tiny_model copy = tiny;
    char path[256];

    copy.directory = directory;
    tiny_write(&copy);
    pickle.n = 0;
    ADD(&pickle, "\x80\2");
    pytorch_add_model(&pickle, directory, is_stream, false, "");
    ADD(&pickle, ".");
    pytorch_wrap_model(&file, &pickle, is_stream);
    (void)snprintf(path, sizeof path, "%s/model.safetensors", directory);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof path, "%s/pytorch_model.bin", directory);
    scratch_write(path, file.at, file.n);
}

/* The tiny model as a GGUF file; models with n_inner = 4 n_embd as the others have it. */
static void make_others(void)
{
    struct gguf_file gguf = gguf_begin();
    struct tiny_model copy = tiny;

    gguf_add_model(&gguf, resident, GGML_F32);
    gguf_end(&gguf);
    bytes_add(&others[IN_GGUF], gguf.all.at, gguf.all.n);
    gguf_free(&gguf);
    copy.n_inner = 4 * copy.n_embd;
    copy.prefix = "";
    for (size_t i = 0; i < N_OTHERS; i++) {
        copy.directory = other_directories[i];
        tiny_write(&copy);
        if (i == IN_LLMC)
            checkpoint_llmc(&others[i], &copy, 31);
        else if (i == IN_NANOGPT)
            checkpoint_nanogpt(&others[i], &copy, "", "");
        tiny_remove(copy.directory);
    }
    write_others();
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
    shards = tiny;
    shards.directory = SHARDS;
    shards.n_shards = 3;
    tiny_write(&shards);
    write_pytorch(ZIP, false);
    write_pytorch(STREAM, true);
    resident = tiny_load(&tiny);
    make_others();
    assert_int_equal(gpt2_model_write(resident, "native.safetensors", add_part, &native, NULL, 0),
                     GPT2_OK);
    scratch_write(NATIVE, native.bytes, native.n_bytes);
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
    for (size_t i = 4; i < 12; i++) /* shards, PyTorch's, GGUF, native files */
        WANT((hashes[0] == hashes[i]) == (i != 8 && i != 9));
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
    (void)unlink(NATIVE);
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
