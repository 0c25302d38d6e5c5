/*
 * test_no_allocation.c: what the library takes from its host, and what it leaves alone.
 *
 * After load and creation there is no allocation, no file, no thread and, on one thread, no lock and
 * no system call.  Each handle is one block.  The host's floating-point state counts for nothing and
 * is put back.
 *
 * The linker's --wrap leads the library's calls to here, for each function of these lines:
 * WRAP := malloc calloc realloc free aligned_alloc posix_memalign mmap mmap64 munmap madvise
 * WRAP := stat stat64 open open64 openat read pread pread64 fstat fstat64 close fopen getenv
 * WRAP := pthread_create pthread_join pthread_mutex_init pthread_mutex_lock pthread_mutex_unlock
 * WRAP := pthread_cond_init pthread_cond_wait pthread_cond_signal pthread_cond_broadcast
 * WRAP := pthread_sigmask sched_getaffinity sysconf clock_gettime
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "tiny_model.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__linux__)
#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#define DIRECTORY    TINY_DIRECTORY "/no-allocation"
#define THREAD_START 100000 /* microseconds: under sanitizers a thread calls much as it starts */

/* ---------------------------------------------------------------------------------- the calls -- */

/* From pthread_mutex_lock on: what a pool of threads may use while it works. */
/* clang-format off */
#define CALLS(X)                                                                                \
    X(malloc) X(calloc) X(realloc) X(free) X(aligned_alloc) X(posix_memalign) X(mmap) X(munmap) \
    X(madvise) X(stat) X(open) X(openat) X(read) X(pread) X(fstat) X(close) X(fopen) X(getenv)          \
    X(pthread_create) X(pthread_join) X(pthread_mutex_init) X(pthread_cond_init) X(sysconf)     \
    X(pthread_sigmask) X(sched_getaffinity) X(clock_gettime) X(pthread_mutex_lock)              \
    X(pthread_mutex_unlock) X(pthread_cond_wait) X(pthread_cond_signal) X(pthread_cond_broadcast)
/* clang-format on */

#define ENUMERATOR(name) CALL_##name,
#define NAME(name)       #name,
enum { CALLS(ENUMERATOR) N_CALLS };
static const char *const call_names[] = {CALLS(NAME)};

static atomic_int counts[N_CALLS];

/* clang's sanitizers lie in the program, so that their calls come here too, from their very start. */
#if defined(__clang__)
#define PLAIN __attribute__((disable_sanitizer_instrumentation))
#else
#define PLAIN
#endif

/* Counts a call. */
#define WRAP(type, symbol, call, parameters, arguments)                              \
    type __real_##symbol parameters;                                                 \
    type __wrap_##symbol parameters;                                                 \
    PLAIN type __wrap_##symbol parameters                                            \
    {                                                                                \
        return atomic_fetch_add(&counts[CALL_##call], 1), __real_##symbol arguments; \
    }

WRAP(void *, malloc, malloc, (size_t n), (n))
WRAP(void *, calloc, calloc, (size_t n, size_t bytes), (n, bytes))
WRAP(void *, realloc, realloc, (void *p, size_t n), (p, n))
WRAP(void *, aligned_alloc, aligned_alloc, (size_t alignment, size_t n), (alignment, n))
WRAP(int, posix_memalign, posix_memalign, (void **p, size_t alignment, size_t n), (p, alignment, n))
WRAP(void *, mmap, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t offset),
     (at, n, prot, flags, fd, offset))
WRAP(int, stat, stat, (const char *path, struct stat *info), (path, info))
WRAP(int, munmap, munmap, (void *p, size_t n), (p, n))
WRAP(int, madvise, madvise, (void *p, size_t n, int advice), (p, n, advice))
WRAP(int, open, open, (const char *path, int flags, ...), (path, flags))
WRAP(int, openat, openat, (int at, const char *path, int flags, ...), (at, path, flags))
WRAP(ssize_t, pread, pread, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(ssize_t, read, read, (int fd, void *p, size_t n), (fd, p, n))
WRAP(int, fstat, fstat, (int fd, struct stat *info), (fd, info))
#if defined(__GLIBC__)
WRAP(void *, mmap64, mmap, (void *at, size_t n, int prot, int flags, int fd, off64_t offset),
     (at, n, prot, flags, fd, offset))
WRAP(int, stat64, stat, (const char *path, struct stat64 *info), (path, info))
WRAP(int, open64, open, (const char *path, int flags, ...), (path, flags))
WRAP(ssize_t, pread64, pread, (int fd, void *p, size_t n, off64_t at), (fd, p, n, at))
WRAP(int, fstat64, fstat, (int fd, struct stat64 *info), (fd, info))
#endif
WRAP(int, close, close, (int fd), (fd))
WRAP(FILE *, fopen, fopen, (const char *path, const char *mode), (path, mode))
WRAP(char *, getenv, getenv, (const char *name), (name))
WRAP(int, pthread_create, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument),
     (thread, attributes, start, argument))
WRAP(int, pthread_join, pthread_join, (pthread_t thread, void **value), (thread, value))
WRAP(int, pthread_mutex_init, pthread_mutex_init,
     (pthread_mutex_t * mutex, const pthread_mutexattr_t *attributes), (mutex, attributes))
WRAP(int, pthread_cond_init, pthread_cond_init,
     (pthread_cond_t * condition, const pthread_condattr_t *attributes), (condition, attributes))
WRAP(int, pthread_mutex_lock, pthread_mutex_lock, (pthread_mutex_t * mutex), (mutex))
WRAP(int, pthread_mutex_unlock, pthread_mutex_unlock, (pthread_mutex_t * mutex), (mutex))
WRAP(int, pthread_cond_wait, pthread_cond_wait,
     (pthread_cond_t * condition, pthread_mutex_t *mutex), (condition, mutex))
WRAP(int, pthread_cond_signal, pthread_cond_signal, (pthread_cond_t * condition), (condition))
WRAP(int, pthread_cond_broadcast, pthread_cond_broadcast, (pthread_cond_t * condition), (condition))
WRAP(int, pthread_sigmask, pthread_sigmask, (int how, const sigset_t *set, sigset_t *old),
     (how, set, old))
WRAP(int, sched_getaffinity, sched_getaffinity, (pid_t pid, size_t n, cpu_set_t *set),
     (pid, n, set))
WRAP(long, sysconf, sysconf, (int name), (name))
WRAP(int, clock_gettime, clock_gettime, (clockid_t clock, struct timespec *now), (clock, now))

void __real_free(void *p);
void __wrap_free(void *p);
PLAIN void __wrap_free(void *p)
{
    atomic_fetch_add(&counts[CALL_free], 1);
    __real_free(p);
}

static void forget(void)
{
    for (int i = 0; i < N_CALLS; i++)
        atomic_store(&counts[i], 0);
}

static int count_of(int call)
{
    return atomic_load(&counts[call]);
}

/* No call before 'end' since forget(). */
static void check_none(int end)
{
    for (int i = 0; i < end; i++)
        if (count_of(i) != 0)
            fail_msg("%d calls of %s", count_of(i), call_names[i]);
}

/* ------------------------------------------------------------------------------------- the use -- */

/* All that a text needs. */
struct host {
    gpt2_model *model;
    gpt2_encoder *encoder;
    gpt2_session *session;
    gpt2_generator *generator;
};

/* A host's pool without threads. */
static void in_order(void *user, int32_t n_workers, void (*worker)(void *argument, int32_t index),
                     void *argument)
{
    (void)user;
    for (int32_t i = 0; i < n_workers; i++)
        worker(argument, i);
}

static int32_t draft_max; /* of the next generator */

static int32_t create_generator(struct host *host)
{
    static const char *const strings[] = {"the end", "]]"};
    static const int32_t stop_id = 3;
    gpt2_generator_params params;

    (void)gpt2_generator_params_init(&params, sizeof params);
    params.stop_ids = &stop_id;
    params.n_stop_ids = 1;
    params.stop_strings = strings;
    params.n_stop_strings = 2;
    params.draft_max = draft_max;
    return gpt2_generator_create(host->session, &params, &host->generator);
}

static int32_t create(struct host *host, int32_t n_threads, gpt2_parallel_for parallel_for)
{
    gpt2_model_params load;
    gpt2_session_params params;
    int32_t status;

    (void)gpt2_model_params_init(&load, sizeof load);
    load.n_threads = n_threads;
    status = gpt2_model_load(DIRECTORY, &load, &host->model);
    if (status != GPT2_OK)
        return status;
    (void)gpt2_session_params_init(&params, sizeof params);
    params.n_threads = n_threads;
    params.parallel_for = parallel_for;
    params.n_logit_rows = 8;
    params.n_sequences = 4;
    params.n_pages = 3;
    params.on_full = GPT2_FULL_SHIFT;
    params.n_keep = 1;
    status = gpt2_session_create(host->model, &params, &host->session);
    if (status == GPT2_OK)
        status = create_generator(host);
    return status == GPT2_OK
               ? gpt2_encoder_create(gpt2_model_tokenizer(host->model), NULL, &host->encoder)
               : status;
}

static void destroy(struct host *host)
{
    gpt2_generator_free(host->generator);
    gpt2_session_free(host->session);
    gpt2_encoder_free(host->encoder);
    gpt2_model_free(host->model);
    memset(host, 0, sizeof *host);
}

static int32_t look(void *user, const gpt2_tap *tap)
{
    *(size_t *)user += (size_t)tap->n_rows;
    return 0;
}

/* Collects a state; n_bytes is what there is so far. */
struct written {
    unsigned char bytes[16384];
    size_t n_bytes;
};

static int32_t collect(void *user, const void *bytes, size_t n_bytes)
{
    struct written *written = user;

    if (n_bytes > sizeof written->bytes - written->n_bytes)
        return 1;
    memcpy(written->bytes + written->n_bytes, bytes, n_bytes);
    written->n_bytes += n_bytes;
    return 0;
}

/* Several texts: forks, batches beyond the context, states. */
static bool use_sequences(gpt2_session *session, const int32_t *ids)
{
    static struct written written;
    gpt2_batch_item items[2] = {{0, 0, ids, 3, 2}, {0, 0, ids, 7, 1}};
    const int32_t *found;
    const float *logits;
    int32_t position, id, extra, last;
    size_t n_bytes, n_ids;
    bool good = true;

    written.n_bytes = 0;
    good &= gpt2_forward(session, ids, 4, 1) == GPT2_OK;
    good &= gpt2_sequence_fork(session, 0, 2, &items[1].sequence) == GPT2_OK;
    good &= gpt2_forward_batch(session, items, 2) == GPT2_OK; /* copies a page, and cuts a text */
    good &= gpt2_batch_logits(session, 1, 6, &logits) == GPT2_OK;
    good &= gpt2_batch_sample(session, 0, 1, NULL, &id) == GPT2_OK;
    good &= gpt2_batch_sample(session, 2, 0, NULL, &id) == GPT2_ERR_ROW;
    good &= gpt2_sequence_open(session, &extra) == GPT2_OK;
    good &= gpt2_sequence_open(session, &last) == GPT2_OK;
    good &= gpt2_sequence_open(session, &id) == GPT2_ERR_SEQUENCE;
    good &= gpt2_sequence_position(session, items[1].sequence, &position) == GPT2_OK;
    good &= position == 9;
    good &= gpt2_sequence_ids(session, items[1].sequence, &found, &n_ids) == GPT2_OK;
    good &= gpt2_sequence_write(session, items[1].sequence, collect, &written) == GPT2_OK;
    good &= gpt2_sequence_save(session, items[1].sequence, NULL, 0, &n_bytes) == GPT2_ERR_BUFFER;
    good &= gpt2_sequence_save(session, items[1].sequence, written.bytes, sizeof written.bytes,
                               &n_bytes) == GPT2_OK;
    good &= n_bytes == written.n_bytes;
    good &= gpt2_sequence_restore(session, extra, written.bytes, n_bytes - 1) == GPT2_ERR_STATE;
    good &= gpt2_sequence_restore(session, extra, written.bytes, n_bytes) == GPT2_OK;
    good &= gpt2_sequence_restore(session, last, written.bytes, n_bytes) == GPT2_ERR_PAGES;
    good &= gpt2_sequence_truncate(session, 0, 0) == GPT2_OK;
    good &= gpt2_session_n_free_pages(session) == 1;
    items[0].sequence = extra;
    gpt2_session_cancel(session);
    good &= gpt2_forward_batch(session, items, 2) == GPT2_ERR_CANCELLED;
    return good && gpt2_sequence_close(session, extra) == GPT2_OK;
}

/* Scores of one token and its likeliest, by logits and of sequence 0, which then is as before. */
static bool use_scores(gpt2_session *session, const int32_t *ids, const float *logits)
{
    static const uint8_t class_mask[128] = {0x5a};
    gpt2_token_score score;
    gpt2_token_logprob likeliest[3];
    gpt2_score_item item = {0, 0, ids, 2, 1, &score, likeliest};
    gpt2_score_params params;
    int32_t position = gpt2_session_position(session);
    bool good = gpt2_score_params_init(&params, sizeof params) == GPT2_OK;

    params.n_likeliest = 3;
    params.class_mask = class_mask;
    good &= gpt2_score_logits(session, logits, ids[1], &params, &score, likeliest) == GPT2_OK;
    good &= gpt2_score_logits(session, logits, -1, &params, &score, likeliest) == GPT2_ERR_TOKEN;
    good &= gpt2_score(session, &item, 1, &params) == GPT2_OK && score.rank > 0;
    good &= gpt2_score(session, &item, 1, NULL) == GPT2_OK;
    item.n_prefix = 2;
    good &= gpt2_score(session, &item, 1, NULL) == GPT2_ERR_ARGUMENT;
    return good && gpt2_sequence_truncate(session, 0, position) == GPT2_OK;
}

/* Texts up to their end, and steps that are refused or cancelled. */
static bool use_generator(const struct host *host, const int32_t *ids)
{
    gpt2_generator *generator = host->generator;
    gpt2_generated result = {0};
    gpt2_sample_params sampling;
    bool good = gpt2_sample_params_init(&sampling, sizeof sampling) == GPT2_OK;

    sampling.ignores_prompt = 1;
    sampling.dry_multiplier = 0.5f;
    sampling.mirostat_tau = 4.0f;
    good &= gpt2_generator_start(generator, 7, ids, 4, -1, NULL) == GPT2_ERR_SEQUENCE;
    good &= gpt2_generator_start(generator, 0, ids, 4, 30, &sampling) == GPT2_OK;
    for (int i = 0; i < 30 && result.finish == GPT2_FINISH_NOT_YET; i++)
        good &= gpt2_generator_step(&generator, 1, &result) == GPT2_OK;
    good &= result.finish != GPT2_FINISH_NOT_YET;
    good &= gpt2_generator_step(&generator, 1, NULL) == GPT2_ERR_ARGUMENT;
    good &= gpt2_generator_start(generator, 0, ids, 4, 30, NULL) == GPT2_OK;
    gpt2_session_cancel(host->session);
    good &= gpt2_generator_step(&generator, 1, &result) == GPT2_OK;
    good &= result.finish == GPT2_FINISH_CANCELLED && gpt2_generator_error(generator)[0] != '\0';
    return good;
}

/* Everything that is called between creation and the end, its failures too; true if all went well. */
static bool use(const struct host *host)
{
    static const char text[] = "thethat'sthe<|endoftext|>theory";
    const gpt2_tokenizer *tokenizer = gpt2_model_tokenizer(host->model);
    gpt2_session *session = host->session;
    gpt2_sample_params params;
    const float *logits;
    float mu = 8.0f;
    const char *bytes;
    size_t n_ids = 0, n_part = 0, n_bytes, n_looks = 0;
    gpt2_decode_state held = {0};
    gpt2_offsets offsets[sizeof text];
    char decoded[sizeof text];
    int32_t ids[sizeof text], id = -1;
    bool good = true;

    (void)gpt2_sample_params_init(&params, sizeof params);
    params.top_k = 20;
    params.top_p = 0.9f;
    params.min_p = 0.001f;
    params.typical_p = 0.99f;
    params.repetition_penalty = 1.1f;
    params.no_repeat_ngram_size = 2;
    params.dry_multiplier = 0.5f;
    params.dry_allowed_length = 1;
    params.dry_breakers = ids;
    params.n_dry_breakers = 1;
    params.mirostat_tau = 4.0f;
    params.mirostat_mu = &mu;
    params.history = ids;
    params.n_history = 5;
    good &= gpt2_encode(host->encoder, "a b", 3, 0, ids, 8, &n_bytes) == GPT2_ERR_TOKEN;
    good &= gpt2_encode(host->encoder, text, 4, 0, NULL, 0, &n_bytes) == GPT2_ERR_BUFFER;
    good &= gpt2_encode(host->encoder, text, sizeof text - 1, GPT2_ENCODE_SPECIAL, ids, sizeof text,
                        &n_ids) == GPT2_OK;
    good &=
        gpt2_decode(tokenizer, ids, n_ids, decoded, sizeof decoded, &n_bytes, NULL, 0) == GPT2_OK;
    good &= n_bytes == sizeof text - 1 && memcmp(decoded, text, n_bytes) == 0;
    good &= gpt2_token_offsets(tokenizer, ids, n_ids, offsets) == GPT2_OK;
    good &= offsets[n_ids - 1].end_char == sizeof text - 1;
    good &= gpt2_encode(host->encoder, text, 5, GPT2_ENCODE_MORE, ids, 8, &n_part) == GPT2_OK;
    good &= gpt2_encode(host->encoder, text + 5, sizeof text - 6, GPT2_ENCODE_SPECIAL, ids + n_part,
                        sizeof text - n_part, &n_bytes) == GPT2_OK;
    good &= n_part + n_bytes == n_ids && gpt2_encoder_reset(host->encoder) == GPT2_OK;
    good &= gpt2_decode_part(tokenizer, &held, ids, n_ids, GPT2_DECODE_MORE, decoded,
                             sizeof decoded, &n_bytes, NULL, 0) == GPT2_OK;
    good &= gpt2_tokenizer_token_bytes(tokenizer, 95, &bytes, &n_bytes) == GPT2_OK && n_bytes == 3;
    for (int round = 0; round < 2; round++) { /* the second with taps */
        if (round == 1)
            good &= gpt2_session_set_tap(session, look, &n_looks, GPT2_TAP_ALL) == GPT2_OK;
        good &= gpt2_forward(session, NULL, 0, 1) == GPT2_ERR_ARGUMENT;
        good &= gpt2_forward(session, ids, 5, 5) == GPT2_OK;
        good &= gpt2_session_logits(session, 2, &logits) == GPT2_OK;
        good &= gpt2_sample(session, 2, NULL, &id) == GPT2_OK;
        good &= gpt2_sample(session, GPT2_LAST_ROW, &params, &id) == GPT2_OK;
        good &= gpt2_sample_logits(session, logits, &params, &id) == GPT2_OK;
        good &= gpt2_sample_candidates(session, logits, &params, NULL, 0, &n_part) == GPT2_OK;
        good &= use_scores(session, ids, logits);
        good &= gpt2_forward(session, &id, 1, 1) == GPT2_OK;
        good &= gpt2_forward(session, ids, SIZE_MAX, 1) == GPT2_ERR_CONTEXT;
        good &= gpt2_session_error(session)[0] != '\0';
        gpt2_session_cancel(session);
        good &= gpt2_forward(session, ids, 1, 1) == GPT2_ERR_CANCELLED;
        good &= gpt2_session_reset(session) == GPT2_OK;
        good &= use_sequences(session, ids);
        good &= use_generator(host, ids);
        good &= gpt2_session_reset(session) == GPT2_OK;
    }
    good &= gpt2_session_set_tap(session, NULL, NULL, 0) == GPT2_OK;
    return good && n_looks > 100 && mu < 8.0f;
}

static int set_up(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);

    (void)state;
    file.tokenizer = true;
    tiny_write(&file);
    return 0;
}

static void test_calls(void **state)
{
    struct host host = {NULL, NULL, NULL, NULL};

    (void)state;
    forget();
    assert_int_equal(create(&host, 1, NULL), GPT2_OK);
    assert_true(count_of(CALL_mmap) > 3 && count_of(CALL_open) >= 4); /* so they are counted */
    assert_true(count_of(CALL_pread) >= 4 && count_of(CALL_munmap) > 0);
    assert_int_equal(count_of(CALL_malloc) + count_of(CALL_pthread_create), 0);
    forget();
    assert_true(use(&host));
    check_none(N_CALLS);
    destroy(&host);
    forget();
    assert_int_equal(create(&host, 3, NULL), GPT2_OK);
    assert_int_equal(count_of(CALL_pthread_create), 2 + 2); /* to load, and the session's */
    assert_int_equal(count_of(CALL_pthread_join), 2);
    (void)usleep(THREAD_START);
    forget();
    for (int i = 0; i < 20; i++)
        assert_true(use(&host));
    check_none(CALL_pthread_mutex_lock);
    destroy(&host);
    assert_int_equal(create(&host, 3, in_order), GPT2_OK);
    forget();
    assert_true(use(&host));
    check_none(N_CALLS);
    destroy(&host);
    draft_max = 4;
    assert_int_equal(create(&host, 3, in_order), GPT2_OK);
    draft_max = 0;
    forget();
    assert_true(use(&host));
    check_none(CALL_clock_gettime); /* which measures what drafts cost */
    assert_true(count_of(CALL_clock_gettime) > 0);
    destroy(&host);
}

/* One block for each handle, two for a model, and nothing else that lasts. */
static void test_blocks(void **state)
{
    struct host host = {NULL, NULL, NULL, NULL};

    (void)state;
    forget();
    assert_int_equal(gpt2_model_load(DIRECTORY, NULL, &host.model), GPT2_OK);
    assert_int_equal(count_of(CALL_mmap) - count_of(CALL_munmap), 3); /* its tokenizer is one */
    forget();
    assert_int_equal(gpt2_session_create(host.model, NULL, &host.session), GPT2_OK);
    assert_int_equal(gpt2_encoder_create(gpt2_model_tokenizer(host.model), NULL, &host.encoder),
                     GPT2_OK);
    assert_int_equal(create_generator(&host), GPT2_OK);
    assert_int_equal(count_of(CALL_mmap), 3);
    check_none(CALL_mmap);
    assert_int_equal(count_of(CALL_munmap) + count_of(CALL_open), 0);
    forget();
    destroy(&host);
    assert_int_equal(count_of(CALL_munmap), 6);
}

/* ------------------------------------------------------------------------------- system calls -- */

#if defined(__linux__)

/* Whether all threads of this process but this one sleep; true where there is no /proc. */
static bool others_sleep(void)
{
    DIR *tasks = opendir("/proc/self/task");
    bool asleep = true;

    for (struct dirent *task; tasks != NULL && (task = readdir(tasks)) != NULL;) {
        char path[300], text[128] = "";
        const char *end;
        FILE *file;

        (void)snprintf(path, sizeof path, "/proc/self/task/%s/stat", task->d_name);
        file = task->d_name[0] == '.' || atol(task->d_name) == syscall(SYS_gettid)
                   ? NULL
                   : fopen(path, "r");
        if (file == NULL)
            continue;
        if (fgets(text, sizeof text, file) != NULL && (end = strrchr(text, ')')) != NULL)
            asleep = asleep && end[2] == 'S'; /* "tid (name) state" */
        (void)fclose(file);
    }
    if (tasks != NULL)
        (void)closedir(tasks);
    return asleep;
}

/*
 * From here on, in any thread, a system call other than exit_group, and futex where there is a pool,
 * ends the process.
 */
static bool confine(bool pool)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, pool ? SYS_futex : SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {COUNT(code), code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

/* Uses the library in a confined child; one of 0 threads offends.  Returns how the child ended. */
static int run_confined(int32_t n_threads, gpt2_parallel_for parallel_for)
{
    int wait_status = -1;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct host host = {NULL, NULL, NULL, NULL};
        bool good = create(&host, n_threads > 0 ? n_threads : 1, parallel_for) == GPT2_OK;

        (void)usleep(n_threads > 1 ? THREAD_START : 0);
        for (int i = 0; i < 1000 && !others_sleep(); i++)
            (void)usleep(10000); /* a thread that has not come to its function yet */
        good = good && confine(n_threads > 1 && parallel_for == NULL);
        if (n_threads == 0)
            (void)syscall(SYS_getppid);
        for (int i = 0; i < 20 && good; i++)
            good = use(&host);
        (void)syscall(SYS_exit_group, good ? 0 : 1); /* _exit() does more under sanitizers */
    }
    assert_int_equal(waitpid(child, &wait_status, 0), child);
    return wait_status;
}

#endif

static void test_system_calls(void **state)
{
    (void)state;
#if defined(__linux__)
    int end = run_confined(0, NULL);
    bool caught = WIFSIGNALED(end) && WTERMSIG(end) == SIGSYS;

    for (int32_t n_threads = 1; n_threads <= 4 && caught; n_threads++) {
        end = run_confined(n_threads, n_threads == 4 ? in_order : NULL);
        if (end != 0)
            fail_msg("%d threads: the child ended with 0x%x", (int)n_threads, (unsigned)end);
    }
    if (caught)
        return;
#endif
    print_message("  skipped: system calls are not watched, this system has no seccomp for us\n");
    skip();
}

/* ----------------------------------------------------------------------- floating-point state -- */

#if defined(__x86_64__)

#define USUAL        0x1f80u
#define FLUSH_AND_UP 0xdfc0u /* denormals are zero and become zero, rounding up */
#define TRAPS        0x1900u /* invalid, division by zero and overflow raise SIGFPE */

static int32_t put_nan(void *user, const gpt2_tap *tap)
{
    memcpy(tap->data + 3, user, sizeof tap->data[0]);
    return 0;
}

static void check_state(uint32_t wanted)
{
    uint32_t found = _mm_getcsr();

    _mm_setcsr(USUAL);
    if (found != wanted)
        fail_msg("MXCSR is 0x%x, wanted 0x%x", found, wanted);
    _mm_setcsr(wanted);
}

/* Loads, runs and samples under a state: a hash of logits that are denormal, and of tokens. */
static uint64_t run_under(uint32_t host_state, const char *directory)
{
    gpt2_model_info info = {.struct_size = sizeof info};
    uint32_t nan_bits = 0x7fc00000;
    gpt2_sample_params params;
    gpt2_session *session;
    gpt2_model *model;
    int32_t ids[200], id = 0;
    gpt2_token_score scores[90];
    gpt2_score_item item = {0, 0, ids, 100, 10, scores, NULL};
    const uint32_t denormal_bits = 0x00012345;
    gpt2_generator *generator;
    gpt2_generated result;
    uint64_t hash;

    (void)gpt2_sample_params_init(&params, sizeof params);
    tiny_ids(ids, COUNT(ids), 1000);
    _mm_setcsr(host_state);
    assert_int_equal(gpt2_model_load(directory, NULL, &model), GPT2_OK);
    (void)gpt2_model_get_info(model, &info);
    session = tiny_session(model, GPT2_CPU_ALL, 3, 50); /* its threads begin in this state */
    hash = tiny_run(session, ids, COUNT(ids), 80, tiny_hash(0, &info.layer_norm_epsilon, 1));
    check_state(host_state);
    for (params.position = 0; params.position < 80; params.position++) {
        memset(&params.temperature, params.position < 40 ? 0 : 0x3f, sizeof params.temperature);
        assert_int_equal(gpt2_sample(session, (int32_t)params.position % 40, &params, &id), 0);
        check_state(host_state);
        hash = hash * 31 + (uint64_t)id;
    }
    assert_int_equal(gpt2_session_reset(session) + gpt2_score(session, &item, 1, NULL), GPT2_OK);
    check_state(host_state);
    for (size_t i = 0; i < COUNT(scores); i++)
        hash = tiny_hash(hash, (const float *)&scores[i], sizeof scores[i] / sizeof(float));
    memcpy(&params.mirostat_tau, &denormal_bits, sizeof denormal_bits);
    params.position = -1;
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    assert_int_equal(gpt2_generator_create(session, NULL, &generator), GPT2_OK);
    assert_int_equal(gpt2_generator_start(generator, 0, ids, 5, 20, &params), GPT2_OK);
    check_state(host_state);
    do {
        assert_int_equal(gpt2_generator_step(&generator, 1, &result), GPT2_OK);
        check_state(host_state);
        hash = hash * 31 + (uint64_t)result.id;
    } while (result.finish == GPT2_FINISH_NOT_YET);
    gpt2_generator_free(generator);
    (void)gpt2_session_set_tap(session, put_nan, &nan_bits, GPT2_TAP_BIT(GPT2_TAP_LOGITS));
    assert_int_equal(gpt2_session_reset(session) + gpt2_forward(session, ids, 1, 1), GPT2_OK);
    assert_int_equal(gpt2_sample(session, 0, NULL, &id), GPT2_ERR_NONFINITE);
    memcpy(&params.temperature, &nan_bits, sizeof nan_bits);
    assert_int_equal(gpt2_sample(session, 0, &params, &id), GPT2_ERR_ARGUMENT);
    check_state(host_state);
    _mm_setcsr(USUAL);
    gpt2_session_free(session);
    gpt2_model_free(model);
    return hash;
}

#endif

static void test_host_state(void **state)
{
    (void)state;
#if defined(__x86_64__)
    struct tiny_model file = tiny_pages(DIRECTORY "-state");
    uint64_t usual;

    file.n_vocab = 1000;
    file.untied = true;
    file.head_exponent = -138;
    tiny_write(&file);
    usual = run_under(USUAL, file.directory);
    assert_true(run_under(FLUSH_AND_UP, file.directory) == usual);
    assert_true(run_under(TRAPS, file.directory) == usual);
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_system_calls),
        cmocka_unit_test(test_host_state),
    };

    return cmocka_run_group_tests_name("no_allocation", tests, set_up, NULL);
}
