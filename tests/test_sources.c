/*
 * test_sources.c: models and tokenizers from blocks of memory and from read callbacks, and the
 * progress of loading.
 *
 * The same bits as from a directory, without access to any file; and each call of a callback fails,
 * ends early or claims too much in its turn, alone and together with each refused mmap.
 *
 * The linker's --wrap leads the library's calls to here, for each function of these lines:
 * WRAP := mmap mmap64 munmap
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "tiny_model.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

/* A sanitizer makes system calls of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#if !defined(SANITIZED)
#define SANITIZED false
#endif

#define DIRECTORY     TINY_DIRECTORY "/sources"
#define BIG_DIRECTORY TINY_DIRECTORY "/sources-big"
#define N_FILES       4
#define N_TOKENS      8
#define TEXT          "thethat'sthe<|endoftext|>theory"

/* clang's sanitizers lie in the program, so that their calls come here too, from their very start. */
#if defined(__clang__)
#define PLAIN __attribute__((disable_sanitizer_instrumentation))
#else
#define PLAIN
#endif

static atomic_int n_mapped;       /* blocks that are mapped */
static atomic_int refuse_mapping; /* this mmap is refused, counted down to 1; 0: none */
static atomic_int n_refused;

/* 32 and 64 bits of off_t, where they have names of their own */
#define WRAP_MMAP(symbol, offset_type)                                                          \
    void *__real_##symbol(void *at, size_t n, int prot, int flags, int fd, offset_type offset); \
    void *__wrap_##symbol(void *at, size_t n, int prot, int flags, int fd, offset_type offset); \
    PLAIN void *__wrap_##symbol(void *at, size_t n, int prot, int flags, int fd,                \
                                offset_type offset)                                             \
    {                                                                                           \
        if (atomic_load(&refuse_mapping) > 0 && atomic_fetch_sub(&refuse_mapping, 1) == 1) {    \
            atomic_fetch_add(&n_refused, 1);                                                    \
            return MAP_FAILED;                                                                  \
        }                                                                                       \
        atomic_fetch_add(&n_mapped, 1);                                                         \
        return __real_##symbol(at, n, prot, flags, fd, offset);                                 \
    }

WRAP_MMAP(mmap, off_t)
#if defined(__GLIBC__)
WRAP_MMAP(mmap64, off64_t)
#endif

int __real_munmap(void *block, size_t n);
int __wrap_munmap(void *block, size_t n);
PLAIN int __wrap_munmap(void *block, size_t n)
{
    atomic_fetch_sub(&n_mapped, 1);
    return __real_munmap(block, n);
}

/* ----------------------------------------------------------------------------------- the files -- */

struct file {
    const char *name;
    unsigned char *bytes;
    size_t n_bytes;
};

static struct file files[N_FILES] = {
    {"config.json", NULL, 0},
    {"model.safetensors", NULL, 0},
    {"vocab.json", NULL, 0},
    {"merges.txt", NULL, 0},
};
static uint64_t directory_hash; /* of what a model of the directory computes and encodes */
static int n_lasting;           /* blocks that a loaded model keeps */

static void read_file(struct file *file, const char *directory)
{
    char path[256];
    FILE *stream;

    (void)snprintf(path, sizeof path, "%s/%s", directory, file->name);
    stream = fopen(path, "rb");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, 0, SEEK_END), 0);
    file->n_bytes = (size_t)ftell(stream);
    file->bytes = malloc(file->n_bytes);
    assert_non_null(file->bytes);
    rewind(stream);
    assert_int_equal(fread(file->bytes, 1, file->n_bytes, stream), file->n_bytes);
    (void)fclose(stream);
}

/* Continues a hash with the ids of a text. */
static bool encode(const gpt2_tokenizer *tokenizer, uint64_t *hash)
{
    int32_t found[sizeof TEXT];
    gpt2_encoder *encoder;
    size_t n = 0;
    bool good = gpt2_encoder_create(tokenizer, NULL, &encoder) == GPT2_OK &&
                gpt2_encode(encoder, TEXT, sizeof TEXT - 1, GPT2_ENCODE_SPECIAL, found,
                            COUNT(found), &n) == GPT2_OK;

    for (size_t i = 0; i < n; i++)
        *hash = *hash * 0x100000001b3 + (uint64_t)found[i];
    gpt2_encoder_free(encoder);
    return good && n > 4;
}

/* The hash of the logits and of the ids of a text; 0 on failure.  Frees the model. */
static uint64_t use(gpt2_model *model)
{
    int32_t ids[N_TOKENS];
    gpt2_session *session;
    uint64_t hash;
    bool good;

    tiny_ids(ids, N_TOKENS, 97);
    session = tiny_session(model, GPT2_CPU_ALL, 1, 256);
    hash = tiny_run(session, ids, N_TOKENS, N_TOKENS, 0);
    good = encode(gpt2_model_tokenizer(model), &hash);
    gpt2_session_free(session);
    gpt2_model_free(model);
    return good ? hash : 0;
}

static int set_up(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    gpt2_model *model;
    int before;

    (void)state;
    file.tokenizer = true;
    tiny_write(&file);
    for (size_t i = 0; i < N_FILES; i++)
        read_file(&files[i], DIRECTORY);
    before = atomic_load(&n_mapped);
    assert_int_equal(gpt2_model_load(DIRECTORY, NULL, &model), GPT2_OK);
    n_lasting = atomic_load(&n_mapped) - before;
    directory_hash = use(model);
    assert_true(directory_hash != 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FILES; i++)
        free(files[i].bytes);
    return 0;
}

/* The files as blocks of memory. */
static void as_blocks(gpt2_source sources[N_FILES])
{
    memset(sources, 0, N_FILES * sizeof sources[0]);
    for (size_t i = 0; i < N_FILES; i++) {
        sources[i].name = files[i].name;
        sources[i].bytes = files[i].bytes;
        sources[i].n_bytes = files[i].n_bytes;
    }
}

/* ------------------------------------------------------------------------------------- memory -- */

static uint64_t load_blocks(int32_t n_threads)
{
    gpt2_source sources[N_FILES];
    gpt2_model_params params;
    gpt2_model *model;

    as_blocks(sources);
    (void)gpt2_model_params_init(&params, sizeof params);
    params.n_threads = n_threads;
    if (gpt2_model_load_sources(sources, N_FILES, &params, &model) != GPT2_OK)
        return 0;
    return use(model);
}

/* In any order of the sources. */
static void test_blocks(void **state)
{
    gpt2_source sources[N_FILES], turned[N_FILES];
    int before = atomic_load(&n_mapped);
    gpt2_tokenizer *tokenizer;
    gpt2_model *model;
    uint64_t ids_hash = 1, wanted = 1;

    (void)state;
    assert_true(load_blocks(1) == directory_hash);
    assert_true(load_blocks(3) == directory_hash);
    as_blocks(sources);
    for (size_t i = 0; i < N_FILES; i++) {
        for (size_t j = 0; j < N_FILES; j++)
            turned[j] = sources[(i + j) % N_FILES];
        assert_int_equal(gpt2_model_load_sources(turned, N_FILES, NULL, &model), GPT2_OK);
        assert_int_equal(atomic_load(&n_mapped) - before, n_lasting);
        assert_true(use(model) == directory_hash);
    }
    assert_int_equal(gpt2_tokenizer_load(DIRECTORY, NULL, &tokenizer), GPT2_OK);
    assert_true(encode(tokenizer, &wanted));
    gpt2_tokenizer_free(tokenizer);
    for (size_t first = 0; first <= 2; first += 2) { /* others are ignored */
        ids_hash = 1;
        assert_int_equal(
            gpt2_tokenizer_load_sources(sources + first, N_FILES - first, NULL, &tokenizer),
            GPT2_OK);
        assert_true(encode(tokenizer, &ids_hash) && ids_hash == wanted);
        gpt2_tokenizer_free(tokenizer);
    }
    assert_int_equal(atomic_load(&n_mapped), before);
}

#if defined(__linux__)

/* What memory and threads need; every other system call ends the process. */
static bool confine(void)
{
#define ALLOW(number)                                    \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_exit_group),
        ALLOW(SYS_exit),
        ALLOW(SYS_mmap),
        ALLOW(SYS_munmap),
        ALLOW(SYS_madvise),
        ALLOW(SYS_mprotect),
        ALLOW(SYS_brk),
        ALLOW(SYS_futex),
        ALLOW(SYS_rt_sigprocmask),
        ALLOW(SYS_sched_getaffinity),
        ALLOW(SYS_set_robust_list),
        ALLOW(SYS_clone),
#if defined(SYS_clone3)
        ALLOW(SYS_clone3),
#endif
#if defined(SYS_rseq)
        ALLOW(SYS_rseq),
#endif
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {COUNT(code), code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

/* Loads in a confined child, from the directory if n_threads is 0.  Returns how the child ended. */
static int load_confined(int32_t n_threads)
{
    int wait_status = -1;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        gpt2_model *model;
        bool good = confine();

        if (good && n_threads == 0)
            good = gpt2_model_load(DIRECTORY, NULL, &model) == GPT2_OK;
        else if (good)
            good = load_blocks(n_threads) == directory_hash;
        (void)syscall(SYS_exit_group, good ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &wait_status, 0), child);
    return wait_status;
}

#endif

static void test_no_files(void **state)
{
    (void)state;
#if defined(__linux__)
    int end = SANITIZED ? 0 : load_confined(0);

    if (WIFSIGNALED(end) && WTERMSIG(end) == SIGSYS) { /* so a file would be noticed */
        for (int32_t n_threads = 1; n_threads <= 3; n_threads += 2) {
            end = load_confined(n_threads);
            if (end != 0)
                fail_msg("%d threads: the child ended with 0x%x", (int)n_threads, (unsigned)end);
        }
        return;
    }
#endif
    print_message("  skipped: system calls are not watched here\n");
    skip();
}

/* ---------------------------------------------------------------------------------- callbacks -- */

enum fault { NONE, FAIL, END, EXCESS, N_FAULTS };

/* How the callbacks of one load behave. */
struct reader {
    size_t max_bytes; /* of one call; 0: any; SIZE_MAX: a random number */
    enum fault fault; /* of the call number 'fault_at', from 1 */
    int fault_at;
    atomic_int n_calls;
    atomic_int n_faults;
    const char *_Atomic name; /* of the source whose call had the fault */
};

/* A source's user. */
struct reading {
    struct reader *reader;
    const struct file *file;
};

static int32_t read_source(void *user, uint64_t offset, void *bytes, size_t capacity,
                           size_t *n_read)
{
    const struct reading *reading = user;
    struct reader *reader = reading->reader;
    const struct file *file = reading->file;
    size_t n = capacity;

    if (atomic_fetch_add(&reader->n_calls, 1) + 1 == reader->fault_at && reader->fault != NONE) {
        atomic_fetch_add(&reader->n_faults, 1);
        atomic_store(&reader->name, file->name);
        *n_read = reader->fault == EXCESS ? capacity + 1 : reader->fault == END ? 0 : capacity;
        return reader->fault == FAIL ? -7 : 0;
    }
    if (capacity == 0 || offset >= file->n_bytes)
        return 1; /* what the library must not ask */
    if (reader->max_bytes == SIZE_MAX)
        n = 1 + (size_t)((offset + 1) * 0x9e3779b97f4a7c15u >> 40) % capacity;
    else if (reader->max_bytes > 0 && n > reader->max_bytes)
        n = reader->max_bytes;
    if (n > file->n_bytes - offset)
        n = (size_t)(file->n_bytes - offset);
    memcpy(bytes, file->bytes + offset, n);
    *n_read = n;
    return 0;
}

/* Loads a model through callbacks. */
static int32_t load_through(struct reader *reader, int32_t n_threads, gpt2_model **model,
                            char line[GPT2_ERRBUF_BYTES])
{
    struct reading readings[N_FILES];
    gpt2_source sources[N_FILES];
    gpt2_model_params params;

    memset(sources, 0, sizeof sources);
    for (size_t i = 0; i < N_FILES; i++) {
        readings[i].reader = reader;
        readings[i].file = &files[i];
        sources[i].name = files[i].name;
        sources[i].n_bytes = files[i].n_bytes;
        sources[i].read = read_source;
        sources[i].user = &readings[i];
    }
    (void)gpt2_model_params_init(&params, sizeof params);
    params.n_threads = n_threads;
    params.errbuf = line;
    params.errbuf_size = GPT2_ERRBUF_BYTES;
    line[0] = '\0';
    *model = (gpt2_model *)(void *)line; /* so that NULL is the call's doing */
    return gpt2_model_load_sources(sources, N_FILES, &params, model);
}

static void test_short_reads(void **state)
{
    static const size_t max_bytes[] = {0, 1, 7, SIZE_MAX};
    char line[GPT2_ERRBUF_BYTES];
    gpt2_model *model;

    (void)state;
    for (size_t i = 0; i < COUNT(max_bytes); i++) {
        for (int32_t n_threads = 1; n_threads <= 3; n_threads += 2) {
            struct reader reader = {.max_bytes = max_bytes[i]};

            assert_int_equal(load_through(&reader, n_threads, &model, line), GPT2_OK);
            assert_true(use(model) == directory_hash);
        }
    }
}

/* Returns false if the load came to its end before the fault and the refusal. */
static bool load_with(enum fault fault, int fault_at, int refused, int32_t n_threads,
                      size_t max_bytes)
{
    static const char *const words[N_FAULTS] = {"", ": cannot be read at byte ", ": ends at byte ",
                                                ": cannot be read at byte "};
    struct reader reader = {.max_bytes = max_bytes, .fault = fault, .fault_at = fault_at};
    int before = atomic_load(&n_mapped);
    char line[GPT2_ERRBUF_BYTES];
    gpt2_model *model;
    int32_t status;
    bool was_refused;

    atomic_store(&n_refused, 0);
    atomic_store(&refuse_mapping, refused);
    status = load_through(&reader, n_threads, &model, line);
    atomic_store(&refuse_mapping, 0);
    was_refused = atomic_load(&n_refused) > 0;
    if (status == GPT2_OK) {
        assert_false(was_refused);
        assert_int_equal(atomic_load(&reader.n_faults), 0);
        assert_int_equal(atomic_load(&n_mapped) - before, n_lasting);
        gpt2_model_free(model);
        assert_int_equal(atomic_load(&n_mapped), before);
        return false;
    }
    assert_null(model);
    assert_int_equal(atomic_load(&n_mapped), before);
    assert_null(strchr(line, '\n'));
    if (was_refused) {
        assert_int_equal(status, GPT2_ERR_MEMORY);
        tiny_check_says(line, "no memory ");
    } else {
        assert_int_equal(status, GPT2_ERR_FILE);
        assert_int_equal(atomic_load(&reader.n_faults), 1);
        assert_memory_equal(line, reader.name, strlen(reader.name));
        tiny_check_says(line, words[fault]);
    }
    return true;
}

static void test_faults(void **state)
{
    (void)state;
    for (int fault = FAIL; fault < N_FAULTS; fault++) {
        for (int32_t n_threads = 1; n_threads <= 3; n_threads += 2) {
            int whole = 1, parts = 1;

            while (load_with((enum fault)fault, whole, 0, n_threads, 0))
                whole++;
            while (load_with((enum fault)fault, parts, 0, n_threads, 1500))
                parts++;
            assert_true(whole > 20 && parts > whole + 20); /* config, header, 28 tensors, ... */
        }
    }
}

/* Memory is refused, too; then whichever comes first ends the load. */
static void test_faults_and_refusals(void **state)
{
    int refused = 1, n_loads = 0;

    (void)state;
    while (load_with(NONE, 0, refused, 1, 0)) {
        for (int fault = FAIL; fault < N_FAULTS; fault++) {
            for (int at = 1; at < 50; at++, n_loads++)
                (void)load_with((enum fault)fault, at, refused, 1, 0);
        }
        refused++;
    }
    assert_true(refused > 8);
    print_message("  %d mappings refused, each with each of 3 faults at 49 reads\n", refused - 1);
}

/* ----------------------------------------------------------------------------------- progress -- */

struct progress {
    pthread_t thread; /* that loads */
    int n_calls;
    int cancel_at; /* 0: never */
    uint64_t n_bytes_done, n_bytes_total;
    bool is_wrong; /* another thread, or fewer bytes than before, or another total */
};

static int32_t on_progress(void *user, uint64_t n_bytes_done, uint64_t n_bytes_total)
{
    struct progress *progress = user;

    progress->is_wrong |= !pthread_equal(pthread_self(), progress->thread) ||
                          n_bytes_done <= progress->n_bytes_done || n_bytes_done > n_bytes_total ||
                          (progress->n_calls > 0 && n_bytes_total != progress->n_bytes_total);
    progress->n_bytes_done = n_bytes_done;
    progress->n_bytes_total = n_bytes_total;
    return ++progress->n_calls == progress->cancel_at ? 5 : 0;
}

static int32_t load_with_progress(struct progress *progress, int32_t n_threads, int cancel_at,
                                  gpt2_model **model, char *line, size_t line_bytes)
{
    gpt2_model_params params;

    memset(progress, 0, sizeof *progress);
    progress->thread = pthread_self();
    progress->cancel_at = cancel_at;
    (void)gpt2_model_params_init(&params, sizeof params);
    assert_null(params.progress);
    params.n_threads = n_threads;
    params.errbuf = line;
    params.errbuf_size = line_bytes;
    params.progress = on_progress;
    params.progress_user = progress;
    return gpt2_model_load(BIG_DIRECTORY, &params, model);
}

static void test_progress(void **state)
{
    static const char *const dtypes[] = {"F32", "BF16", "F64"};
    struct tiny_model file = tiny_odd(BIG_DIRECTORY);
    char line[GPT2_ERRBUF_BYTES];
    gpt2_model *model;

    (void)state;
    file.n_vocab = 40000; /* 5.6 MB in F32 */
    for (size_t i = 0; i < 2 * COUNT(dtypes); i++) {
        struct file tensors = {"model.safetensors", NULL, 0};
        uint64_t n_header_bytes = 0;
        struct progress progress;

        file.dtype = dtypes[i / 2];
        file.head_copy = i % 2 == 1; /* it is read and compared with wte */
        tiny_write(&file);
        read_file(&tensors, BIG_DIRECTORY);
        for (size_t b = 8; b-- > 0;)
            n_header_bytes = n_header_bytes << 8 | tensors.bytes[b];
        free(tensors.bytes);
        for (int32_t n_threads = 1; n_threads <= 3; n_threads += 2) {
            int before = atomic_load(&n_mapped), n_calls;

            assert_int_equal(load_with_progress(&progress, n_threads, 0, &model, line, sizeof line),
                             GPT2_OK);
            assert_false(progress.is_wrong);
            assert_int_equal(progress.n_bytes_done, progress.n_bytes_total);
            assert_int_equal(progress.n_bytes_total, tensors.n_bytes - 8 - n_header_bytes);
            n_calls = progress.n_calls;
            assert_true(n_threads > 1 || n_calls >= (i / 2 == 1 ? 2 : 4));
            gpt2_model_free(model);
            for (int n = 1; n_threads == 1 && n <= n_calls; n++) {
                model = (gpt2_model *)(void *)line;
                assert_int_equal(
                    load_with_progress(&progress, n_threads, n, &model, line, sizeof line),
                    GPT2_ERR_CANCELLED);
                assert_null(model);
                assert_int_equal(progress.n_calls, n); /* the last */
                assert_string_equal(line, BIG_DIRECTORY
                                    "/model.safetensors: cancelled by the progress callback");
                assert_int_equal(atomic_load(&n_mapped), before);
            }
            assert_int_equal(load_with_progress(&progress, n_threads, 1, &model, line, sizeof line),
                             GPT2_ERR_CANCELLED);
            assert_int_equal(progress.n_calls, 1);
            assert_int_equal(atomic_load(&n_mapped), before);
        }
    }
}

/* -------------------------------------------------------------------------------- wrong lists -- */

static gpt2_source list[N_FILES + 1];
static char list_line[GPT2_ERRBUF_BYTES];

/* Both functions, or the model's alone. */
static void check_list(size_t n_sources, bool model_alone, int32_t status, const char *words)
{
    int before = atomic_load(&n_mapped);
    gpt2_model *model = (gpt2_model *)(void *)list;
    gpt2_tokenizer *tokenizer = (gpt2_tokenizer *)(void *)list;
    gpt2_model_params params;
    gpt2_tokenizer_params tokenizer_params;

    (void)gpt2_model_params_init(&params, sizeof params);
    params.errbuf = list_line;
    params.errbuf_size = sizeof list_line;
    assert_int_equal(gpt2_model_load_sources(list, n_sources, &params, &model), status);
    assert_null(model);
    tiny_check_says(list_line, words);
    if (!model_alone) {
        (void)gpt2_tokenizer_params_init(&tokenizer_params, sizeof tokenizer_params);
        tokenizer_params.errbuf = list_line;
        tokenizer_params.errbuf_size = sizeof list_line;
        assert_int_equal(
            gpt2_tokenizer_load_sources(list, n_sources, &tokenizer_params, &tokenizer), status);
        assert_null(tokenizer);
        tiny_check_says(list_line, words);
    }
    assert_int_equal(atomic_load(&n_mapped), before);
    as_blocks(list);
    memset(&list[N_FILES], 0, sizeof list[N_FILES]);
}

static void test_wrong_lists(void **state)
{
    gpt2_model *model;

    (void)state;
    as_blocks(list);
    list[2].name = NULL;
    check_list(4, false, GPT2_ERR_ARGUMENT, "the name of source 2 is NULL");
    list[3].name = "vocab.txt";
    check_list(4, false, GPT2_ERR_ARGUMENT, "source 3 is \"vocab.txt\", wanted config.json, ");
    list[0].name = "dir/config.json";
    check_list(4, false, GPT2_ERR_ARGUMENT, "source 0 is \"dir/config.json\"");
    list[1].name = "";
    check_list(4, false, GPT2_ERR_ARGUMENT, "source 1 is \"\"");
    list[N_FILES] = list[1];
    check_list(5, false, GPT2_ERR_ARGUMENT, "sources 1 and 4 are both model.safetensors");
    list[1].bytes = NULL;
    check_list(4, false, GPT2_ERR_ARGUMENT,
               "model.safetensors has neither bytes nor a read callback, wanted one of them");
    list[2].read = read_source;
    check_list(4, false, GPT2_ERR_ARGUMENT,
               "vocab.json has both bytes and a read callback, wanted one of them");
    check_list(0, true, GPT2_ERR_FILE, "config.json: is not among the sources");
    check_list(1, true, GPT2_ERR_FILE, "model.safetensors: is not among the sources");
    list[0] = list[2];
    check_list(2, true, GPT2_ERR_FILE, "config.json: is not among the sources");
    list[0].n_bytes = 0;
    check_list(4, true, GPT2_ERR_FORMAT, "config.json");
    list[1].n_bytes--;
    check_list(4, true, GPT2_ERR_FORMAT, "model.safetensors");
    /* without one of its files there is no tokenizer */
    for (size_t i = 2; i < N_FILES; i++) {
        gpt2_tokenizer *tokenizer;

        list[2] = list[i];
        assert_int_equal(gpt2_model_load_sources(list, 3, NULL, &model), GPT2_OK);
        assert_null(gpt2_model_tokenizer(model));
        gpt2_model_free(model);
        assert_int_equal(gpt2_tokenizer_load_sources(list, 3, NULL, &tokenizer), GPT2_ERR_FILE);
        assert_null(tokenizer);
        as_blocks(list);
    }
}

/* ------------------------------------------------------------------------- files by other names -- */

static void check_directory(const char *path, int32_t status, const char *words)
{
    gpt2_model *model;
    gpt2_model_params params;

    (void)gpt2_model_params_init(&params, sizeof params);
    params.errbuf = list_line;
    params.errbuf_size = sizeof list_line;
    assert_int_equal(gpt2_model_load(path, &params, &model), status);
    assert_null(model);
    tiny_check_says(list_line, words);
}

static void touch(const char *path)
{
    FILE *stream = fopen(path, "wb");

    assert_non_null(stream);
    (void)fclose(stream);
}

/* What lies there and cannot be read is named. */
static void test_other_files(void **state)
{
    static const char *const others[] = {"tf_model.h5", "flax_model.msgpack"};
    static const char directory[] = TINY_DIRECTORY "/sources-other";
    struct tiny_model file = tiny_odd(directory);
    gpt2_tokenizer_params params;
    gpt2_tokenizer *tokenizer;
    gpt2_model *model;
    char path[256], words[256];

    (void)state;
    tiny_write(&file);
    assert_int_equal(remove(TINY_DIRECTORY "/sources-other/model.safetensors"), 0);
    check_directory(directory, GPT2_ERR_FILE, "/model.safetensors: cannot be opened");
    for (size_t i = 0; i < COUNT(others); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, others[i]);
        (void)snprintf(words, sizeof words,
                       "model.safetensors is missing; %s is there, which "
                       "libgpt2 %s cannot read",
                       others[i], gpt2_version());
        touch(path);
        check_directory(directory, GPT2_ERR_UNSUPPORTED, words);
        assert_int_equal(remove(path), 0);
    }
    tiny_write(&file); /* a model that is complete is not disturbed by them */
    (void)snprintf(path, sizeof path, "%s/pytorch_model.bin", directory);
    touch(path);
    assert_int_equal(gpt2_model_load(directory, NULL, &model), GPT2_OK);
    assert_null(gpt2_model_tokenizer(model));
    gpt2_model_free(model);
    touch(TINY_DIRECTORY "/sources-other/tokenizer.json"); /* a tokenizer is read where one is */
    check_directory(directory, GPT2_ERR_FORMAT, "/tokenizer.json: byte 0: the text ends");
    (void)gpt2_tokenizer_params_init(&params, sizeof params);
    params.errbuf = list_line;
    params.errbuf_size = sizeof list_line;
    assert_int_equal(gpt2_tokenizer_load(directory, &params, &tokenizer), GPT2_ERR_FORMAT);
    assert_null(tokenizer);
    tiny_check_says(list_line, "/tokenizer.json: byte 0: the text ends where a value is wanted");
    assert_int_equal(remove(path) + remove(TINY_DIRECTORY "/sources-other/tokenizer.json"), 0);
    check_directory("", GPT2_ERR_ARGUMENT, "gpt2_model_load: path is empty, wanted a directory");
    check_directory(DIRECTORY "/config.json", GPT2_ERR_FORMAT,
                    "/config.json: the length of the header is ");
    assert_int_equal(gpt2_tokenizer_load("", &params, &tokenizer), GPT2_ERR_ARGUMENT);
    tiny_check_says(list_line, "gpt2_tokenizer_load: path is empty, wanted a directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_no_files),
        cmocka_unit_test(test_short_reads),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_faults_and_refusals),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_wrong_lists),
        cmocka_unit_test(test_other_files),
    };

    return cmocka_run_group_tests_name("sources", tests, set_up, tear_down);
}
