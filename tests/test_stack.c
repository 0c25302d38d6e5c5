/*
 * test_stack.c: how much stack each public function needs, on a thread whose stack is painted.
 *
 * The stack's bytes all have one value before the call.  The lowest byte that has another one after
 * the call tells how deep the call went.  What the linker needs to find a function of libc at its
 * first call is a part of it.
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "scratch.h"
#include "tiny_model.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Sanitizers make larger frames. */
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

#define DIRECTORY     TINY_DIRECTORY "/stack"
#define F16_DIRECTORY TINY_DIRECTORY "/stack-f16"
#define BAD_DIRECTORY TINY_DIRECTORY "/stack-bad"
#define NATIVE_PATH   TINY_DIRECTORY "/stack-native"
#define LIMIT_BYTES   12288 /* include/gpt2.h promises fewer */
#define STACK_BYTES   ((size_t)256 << 10)
#define SMALL_BYTES   ((size_t)16 << 10)
#define PAINT         0x5a
#define N_TOKENS      150

/* ---------------------------------------------------------------------------------- the thread -- */

static const char *wrong; /* the first thing that was not as it should be */

/* For threads, where cmocka's checks do not work. */
#define WANT(condition)         \
    do {                        \
        if (!(condition))       \
            wrong = #condition; \
    } while (0)

struct painted {
    void (*call)(void);
    const unsigned char *stack;
    size_t n_bytes; /* that the call used */
};

static void *run_painted(void *argument)
{
    struct painted *painted = argument;
    const volatile unsigned char *lowest = painted->stack;
    volatile unsigned char here = 0;

    painted->call();
    while (*lowest == PAINT)
        lowest++;
    painted->n_bytes = (size_t)(&here - lowest);
    return NULL;
}

/* The bytes of stack that a call uses. */
static size_t stack_of(void (*call)(void))
{
    struct painted painted = {.call = call};
    pthread_attr_t attributes;
    pthread_t thread;
    void *stack =
        mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(stack != MAP_FAILED);
    memset(stack, PAINT, STACK_BYTES);
    painted.stack = stack;
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK_BYTES), 0);
    assert_int_equal(pthread_create(&thread, &attributes, run_painted, &painted), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)pthread_attr_destroy(&attributes);
    (void)munmap(stack, STACK_BYTES);
    return painted.n_bytes;
}

/* ----------------------------------------------------------------------------------- the calls -- */

/* What the calls make and use. */
static gpt2_model *model;
static gpt2_tokenizer *tokenizer;
static gpt2_encoder *encoder;
static gpt2_session *session;
static uint32_t cpu_mask = GPT2_CPU_ALL;
static int32_t n_threads = 1;
static int32_t ids[N_TOKENS];
static gpt2_source sources[4];
static char sources_bytes[4][1 << 20];
static const char *load_path = DIRECTORY;
static int32_t load_status; /* that is wanted */
static char long_path[3000];
static int32_t file_access;
static _Alignas(64) char native_bytes[4 << 20];
static gpt2_source native = {.name = "native.safetensors", .bytes = native_bytes};
static char line[8192];
static char text[1 << 16];
static size_t n_text;
static int32_t text_ids[1 << 16];
static _Alignas(64) char memory[8 << 20];
static int32_t kv_type; /* of the sessions */
static char state_bytes[1 << 20];
static size_t n_state_bytes;

static int32_t on_progress(void *user, uint64_t n_bytes_done, uint64_t n_bytes_total)
{
    (void)user;
    return n_bytes_done > n_bytes_total;
}

static void set_model_params(gpt2_model_params *params)
{
    (void)gpt2_model_params_init(params, sizeof *params);
    params->n_threads = n_threads;
    params->errbuf = line;
    params->errbuf_size = sizeof line;
    params->progress = on_progress;
    params->file_access = file_access;
}

static void call_model_load(void)
{
    gpt2_model_params params;

    set_model_params(&params);
    WANT(gpt2_model_load(load_path, &params, &model) == load_status);
}

static void call_model_load_sources(void)
{
    gpt2_model_params params;

    set_model_params(&params);
    WANT(gpt2_model_load_sources(sources, 4, &params, &model) == load_status);
}

static void call_native_load(void)
{
    gpt2_model_params params;

    set_model_params(&params);
    WANT(gpt2_model_load_sources(&native, 1, &params, &model) == load_status);
}

static void call_native_tokenizer(void)
{
    WANT(gpt2_tokenizer_load_sources(&native, 1, NULL, &tokenizer) == load_status);
}

static int32_t keep(void *user, const void *bytes, size_t n_bytes)
{
    size_t *n_kept = user;

    if (n_bytes > sizeof native_bytes - *n_kept)
        return 1;
    memcpy(native_bytes + *n_kept, bytes, n_bytes);
    *n_kept += n_bytes;
    return 0;
}

static void call_model_write(void)
{
    size_t n_kept = sizeof native_bytes;

    WANT(gpt2_model_write(model, "native.safetensors", keep, &n_kept, line, sizeof line) ==
         GPT2_ERR_CANCELLED);
    n_kept = 0;
    WANT(gpt2_model_write(model, "native.safetensors", keep, &n_kept, line, sizeof line) ==
         GPT2_OK);
    native.n_bytes = n_kept;
}

static void call_model_tensor(void)
{
    static float values[333 * 70];
    int64_t shape[2];

    WANT(gpt2_model_tensor(model, "none", shape, NULL, 0, line, sizeof line) == GPT2_ERR_ARGUMENT);
    WANT(gpt2_model_tensor(model, "wte.weight", shape, values, COUNT(values), line, sizeof line) ==
         GPT2_OK);
}

static void call_model_free(void)
{
    gpt2_model_free(model);
    model = NULL;
}

static void call_tokenizer_load(void)
{
    gpt2_tokenizer_params params;

    (void)gpt2_tokenizer_params_init(&params, sizeof params);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    WANT(gpt2_tokenizer_load(load_path, &params, &tokenizer) == load_status);
}

static void call_tokenizer_load_sources(void)
{
    WANT(gpt2_tokenizer_load_sources(sources, 4, NULL, &tokenizer) == GPT2_OK);
}

/* The same with the files beside them: in a good one, and in one whose last token is damaged. */
static void call_tokenizer_load_more(void)
{
    static const char config[] = "{\"added_tokens_decoder\": {\"97\": {\"content\": \"<p>\"}}, "
                                 "\"additional_special_tokens\": [{\"content\": \"<q>\"}]}";
    static const char map[] = "{\"pad_token\": {\"content\": \"<p>\", \"lstrip\": 7}}";
    gpt2_source more[5];

    memcpy(more, sources, 4 * sizeof *more);
    more[4] = (gpt2_source){"tokenizer_config.json", config, sizeof config - 1, NULL, NULL};
    WANT(gpt2_tokenizer_load_sources(more, 5, NULL, &tokenizer) == GPT2_OK);
    gpt2_tokenizer_free(tokenizer);
    more[4] = (gpt2_source){"special_tokens_map.json", map, sizeof map - 1, NULL, NULL};
    WANT(gpt2_tokenizer_load_sources(more, 5, NULL, &tokenizer) == GPT2_ERR_FORMAT);
}

static void call_tokenizer_free(void)
{
    gpt2_tokenizer_free(tokenizer);
    tokenizer = NULL;
}

static void call_encoder_create(void)
{
    WANT(gpt2_encoder_create(gpt2_model_tokenizer(model), NULL, &encoder) == GPT2_OK);
}

static void call_encoder_init(void)
{
    size_t n_bytes;

    WANT(gpt2_encoder_size(NULL, &n_bytes) == GPT2_OK && n_bytes <= sizeof memory);
    WANT(gpt2_encoder_init(gpt2_model_tokenizer(model), NULL, memory, sizeof memory, &encoder) ==
         GPT2_OK);
}

static void call_encoder_free(void)
{
    gpt2_encoder_free(encoder);
    encoder = NULL;
}

static void call_encode(void)
{
    size_t n_ids;

    WANT(gpt2_encode(encoder, text, n_text, GPT2_ENCODE_SPECIAL, text_ids, COUNT(text_ids),
                     &n_ids) == GPT2_OK);
}

static void call_encode_in_vain(void)
{
    size_t n_ids;

    WANT(gpt2_encode(encoder, "a b", 3, 0, text_ids, COUNT(text_ids), &n_ids) == GPT2_ERR_TOKEN);
    WANT(gpt2_encoder_error(encoder)[0] != '\0' && gpt2_encoder_reset(encoder) == GPT2_OK);
}

static void call_decode(void)
{
    static gpt2_offsets offsets[90];
    gpt2_decode_state state = {0};
    size_t n_bytes;

    WANT(gpt2_token_offsets(gpt2_model_tokenizer(model), ids, 90, offsets) == GPT2_OK);
    WANT(gpt2_decode(gpt2_model_tokenizer(model), ids, 90, text, sizeof text, &n_bytes, line,
                     sizeof line) == GPT2_OK);
    WANT(gpt2_decode_part(gpt2_model_tokenizer(model), &state, ids, 90, 0, text, sizeof text,
                          &n_bytes, NULL, 0) == GPT2_OK);
    text_ids[0] = 70000;
    WANT(gpt2_decode(gpt2_model_tokenizer(model), text_ids, 1, text, sizeof text, &n_bytes, line,
                     sizeof line) == GPT2_ERR_TOKEN);
}

static void set_session_params(gpt2_session_params *params)
{
    (void)gpt2_session_params_init(params, sizeof *params);
    params->cpu_mask = cpu_mask;
    params->n_threads = n_threads;
    params->n_logit_rows = N_TOKENS;
    params->n_sequences = 3;
    params->n_pages = 7;
    params->kv_type = kv_type;
    params->errbuf = line;
    params->errbuf_size = sizeof line;
}

static void call_session_create(void)
{
    gpt2_session_params params;

    set_session_params(&params);
    WANT(gpt2_session_create(model, &params, &session) == GPT2_OK);
}

static void call_session_init(void)
{
    gpt2_session_params params;
    size_t n_bytes;

    set_session_params(&params);
    WANT(gpt2_session_size(model, &params, &n_bytes) == GPT2_OK && n_bytes <= sizeof memory);
    WANT(gpt2_session_init(model, &params, memory, sizeof memory, &session) == GPT2_OK);
}

static void call_session_free(void)
{
    gpt2_session_free(session);
    session = NULL;
}

/* Every number of rows up to 20, which kernels have code of their own for, and many. */
static void call_forward(void)
{
    WANT(gpt2_session_reset(session) == GPT2_OK);
    for (size_t n = 1, at = 0; n <= 16; at += n, n++)
        WANT(gpt2_forward(session, ids + at, n, n) == GPT2_OK);
    WANT(gpt2_session_reset(session) == GPT2_OK);
    WANT(gpt2_forward(session, ids, N_TOKENS, N_TOKENS) == GPT2_OK);
}

static void call_forward_in_vain(void)
{
    int32_t id = 70000;

    WANT(gpt2_forward(session, &id, 1, 1) == GPT2_ERR_TOKEN);
    WANT(gpt2_forward(session, ids, 100, 1) == GPT2_ERR_CONTEXT);
    WANT(gpt2_session_error(session)[0] != '\0');
}

/* A fork and its source write to the page that they share. */
static void call_forward_batch(void)
{
    gpt2_batch_item items[2] = {{0, 0, ids, 20, 20}, {0, 0, ids, 30, 5}};

    WANT(gpt2_session_reset(session) == GPT2_OK);
    WANT(gpt2_forward(session, ids, 100, 1) == GPT2_OK);
    WANT(gpt2_sequence_fork(session, 0, 90, &items[1].sequence) == GPT2_OK);
    WANT(gpt2_forward_batch(session, items, 2) == GPT2_OK);
    items[1].sequence = 0;
    WANT(gpt2_forward_batch(session, items, 2) == GPT2_ERR_ARGUMENT);
    items[1].sequence = 2;
    WANT(gpt2_forward_batch(session, items, 2) == GPT2_ERR_SEQUENCE);
}

/* Sequence 1 stays; it has 120 tokens. */
static void call_sequences(void)
{
    const int32_t *found;
    int32_t number;
    size_t n_ids;

    WANT(gpt2_sequence_open(session, &number) == GPT2_OK && number == 2);
    WANT(gpt2_sequence_open(session, &number) == GPT2_ERR_SEQUENCE);
    WANT(gpt2_sequence_close(session, 2) == GPT2_OK);
    WANT(gpt2_sequence_fork(session, 1, 110, &number) == GPT2_OK && number == 2);
    WANT(gpt2_sequence_fork(session, 1, 121, &number) == GPT2_ERR_CONTEXT);
    WANT(gpt2_sequence_truncate(session, 2, 70) == GPT2_OK);
    WANT(gpt2_sequence_position(session, 2, &number) == GPT2_OK && number == 70);
    WANT(gpt2_sequence_ids(session, 1, &found, &n_ids) == GPT2_OK && n_ids == 120);
    WANT(gpt2_sequence_close(session, 2) == GPT2_OK);
}

static int32_t take(void *user, const void *bytes, size_t n_bytes)
{
    *(size_t *)user += n_bytes;
    return bytes == NULL;
}

static void call_states(void)
{
    size_t n_written = 0;

    WANT(gpt2_sequence_save(session, 1, state_bytes, 0, &n_state_bytes) == GPT2_ERR_BUFFER);
    WANT(gpt2_sequence_save(session, 1, state_bytes, sizeof state_bytes, &n_state_bytes) ==
         GPT2_OK);
    WANT(gpt2_sequence_write(session, 1, take, &n_written) == GPT2_OK &&
         n_written == n_state_bytes);
    WANT(gpt2_sequence_restore(session, 0, state_bytes, n_state_bytes) == GPT2_OK);
    WANT(gpt2_sequence_restore(session, 0, state_bytes, n_state_bytes - 1) == GPT2_ERR_STATE);
    state_bytes[n_state_bytes - 1] ^= 1;
    WANT(gpt2_sequence_restore(session, 0, state_bytes, n_state_bytes) == GPT2_ERR_STATE);
}

static int32_t look(void *user, const gpt2_tap *tap)
{
    (void)user;
    return tap->n_rows <= 0;
}

static void call_set_tap(void)
{
    WANT(gpt2_session_set_tap(session, look, NULL, GPT2_TAP_ALL) == GPT2_OK);
}

static void call_sample(void)
{
    gpt2_candidate candidate;
    gpt2_sample_params params;
    const float *logits;
    size_t n_kept;
    float mu = 6.0f;
    int32_t id;

    (void)gpt2_sample_params_init(&params, sizeof params);
    WANT(gpt2_sample(session, GPT2_LAST_ROW, NULL, &id) == GPT2_OK);
    params.top_k = 20;
    WANT(gpt2_sample(session, GPT2_LAST_ROW, &params, &id) == GPT2_OK);
    params.top_p = 0.9f;
    WANT(gpt2_sample(session, GPT2_LAST_ROW, &params, &id) == GPT2_OK);
    params.top_k = 0;
    WANT(gpt2_sample(session, GPT2_LAST_ROW, &params, &id) == GPT2_OK);
    params.top_n_sigma = 1.0f;
    params.min_p = 0.01f;
    params.typical_p = 0.5f;
    params.xtc_probability = 1.0f;
    params.repetition_penalty = 1.5f;
    params.history = &id;
    params.n_history = 1;
    params.no_repeat_ngram_size = 1;
    WANT(gpt2_sample(session, GPT2_LAST_ROW, &params, &id) == GPT2_OK);
    params.history = ids;
    params.n_history = 100;
    params.dry_multiplier = 1.0f;
    params.dry_allowed_length = 1;
    params.dry_breakers = &id;
    params.n_dry_breakers = 1;
    params.mirostat_tau = 3.0f;
    params.mirostat_mu = &mu;
    WANT(gpt2_sample(session, GPT2_LAST_ROW, &params, &id) == GPT2_OK && mu != 6.0f);
    WANT(gpt2_session_logits(session, GPT2_LAST_ROW, &logits) == GPT2_OK);
    WANT(gpt2_sample_logits(session, logits, &params, &id) == GPT2_OK);
    WANT(gpt2_sample_candidates(session, logits, &params, &candidate, 1, &n_kept) == GPT2_OK);
    params.top_p = 2;
    WANT(gpt2_sample(session, GPT2_LAST_ROW, &params, &id) == GPT2_ERR_ARGUMENT);
    WANT(gpt2_batch_sample(session, 0, GPT2_LAST_ROW, NULL, &id) == GPT2_OK);
}

/* The session is then as after call_forward(). */
static void call_score(void)
{
    static gpt2_token_score scores[2][N_TOKENS];
    static gpt2_token_logprob likeliest[2][N_TOKENS][9];
    gpt2_score_item items[2] = {{0, 0, ids, N_TOKENS, 1, scores[0], likeliest[0][0]},
                                {0, 0, ids, 20, 3, scores[1], likeliest[1][0]}};
    gpt2_score_params params;
    const float *logits;

    (void)gpt2_score_params_init(&params, sizeof params);
    params.n_likeliest = 9;
    params.class_mask = (const uint8_t *)memory;
    WANT(gpt2_session_logits(session, GPT2_LAST_ROW, &logits) == GPT2_OK);
    WANT(gpt2_score_logits(session, logits, 0, &params, scores[0], likeliest[0][0]) == GPT2_OK);
    WANT(gpt2_session_reset(session) == GPT2_OK);
    WANT(gpt2_sequence_open(session, &items[1].sequence) == GPT2_OK);
    WANT(gpt2_score(session, items, 2, &params) == GPT2_OK);
    WANT(gpt2_score(session, items, 2, &params) == GPT2_ERR_CONTEXT);
    WANT(gpt2_session_reset(session) == GPT2_OK);
    WANT(gpt2_forward(session, ids, N_TOKENS, N_TOKENS) == GPT2_OK);
}

/* Two generators: one in its own memory, one in 'memory'. */
static void call_generator(void)
{
    static const char *const strings[] = {"the end", "]]"};
    gpt2_generator_params params;
    gpt2_generated results[2];
    gpt2_generator *generators[2];
    size_t n_bytes;

    WANT(gpt2_generator_params_init(&params, sizeof params) == GPT2_OK);
    params.stop_strings = strings;
    params.n_stop_strings = 2;
    WANT(gpt2_generator_create(session, &params, &generators[0]) == GPT2_OK);
    WANT(gpt2_generator_size(session, &params, &n_bytes) == GPT2_OK && n_bytes <= sizeof memory);
    WANT(gpt2_generator_init(session, &params, memory, n_bytes, &generators[1]) == GPT2_OK);
    WANT(gpt2_session_reset(session) == GPT2_OK);
    WANT(gpt2_generator_start(generators[0], 0, ids, 100, 20, NULL) == GPT2_OK);
    WANT(gpt2_generator_start(generators[1], 1, ids, 30, 20, NULL) == GPT2_ERR_SEQUENCE);
    WANT(gpt2_sequence_fork(session, 0, 0, &(int32_t){0}) == GPT2_OK);
    WANT(gpt2_generator_start(generators[1], 1, ids, 30, 20, NULL) == GPT2_OK);
    for (int i = 0; i < 21; i++)
        WANT(gpt2_generator_step(generators, 2, results) == GPT2_OK);
    WANT(results[0].finish != GPT2_FINISH_NOT_YET && results[1].finish != GPT2_FINISH_NOT_YET);
    WANT(gpt2_generator_error(generators[0])[0] == '\0');
    WANT(gpt2_generator_step(generators, 2, NULL) == GPT2_ERR_ARGUMENT);
    gpt2_generator_free(generators[0]);
    gpt2_generator_free(generators[1]);
}

/* The others, which are small. */
static void call_others(void)
{
    const gpt2_tokenizer *borrowed = gpt2_model_tokenizer(model);
    gpt2_encoder_params params;
    gpt2_model_info info;
    const float *logits;
    const char *bytes;
    size_t n_bytes;
    char name[32];

    WANT(gpt2_version()[0] != '\0' && gpt2_strerror(GPT2_ERR_FILE)[0] != '\0');
    WANT(gpt2_cpu_features() != GPT2_CPU_ALL && gpt2_clock_ns() != 0);
    WANT(gpt2_model_info_init(&info, sizeof info) == GPT2_OK);
    WANT(gpt2_model_get_info(model, &info) == GPT2_OK);
    WANT(gpt2_encoder_params_init(&params, sizeof params) == GPT2_OK);
    WANT(gpt2_tokenizer_n_vocab(borrowed) == 97 && gpt2_tokenizer_eot(borrowed) == 96);
    WANT(gpt2_tokenizer_is_added(borrowed, 5) == 0);
    WANT(gpt2_tokenizer_token_bytes(borrowed, 5, &bytes, &n_bytes) == GPT2_OK);
    WANT(gpt2_session_position(session) > 0 && gpt2_session_n_ctx(session) > 0);
    WANT(gpt2_session_kernels(session)[0] != '\0');
    WANT(gpt2_session_logits(session, 0, &logits) == GPT2_OK);
    WANT(gpt2_session_logits(session, 5000, &logits) == GPT2_ERR_ROW);
    WANT(gpt2_batch_logits(session, 0, 0, &logits) == GPT2_OK);
    WANT(gpt2_session_n_free_pages(session) > 0);
    WANT(gpt2_session_set_deadline(session, 0) == GPT2_OK);
    gpt2_session_cancel(session);
    WANT(gpt2_session_after_fork(session) == GPT2_OK);
    WANT(gpt2_tap_name(GPT2_TAP_BLOCK, 3, name, sizeof name) == GPT2_OK);
}

/* ------------------------------------------------------------------------------------- figures -- */

/* The functions in the order of the lines, and the most that a call of each used. */
enum function {
    MODEL_LOAD,
    MODEL_LOAD_SOURCES,
    MODEL_WRITE,
    TOKENIZER_LOAD,
    TOKENIZER_LOAD_SOURCES,
    SESSION_CREATE,
    SESSION_INIT,
    FORWARD,
    FORWARD_BATCH,
    SEQUENCES,
    STATES,
    SAMPLE,
    SCORE,
    GENERATOR,
    ENCODER_CREATE,
    ENCODE,
    DECODE,
    FREE,
    OTHERS,
    N_FUNCTIONS
};
static const char *const names[N_FUNCTIONS] = {
    "gpt2_model_load",
    "gpt2_model_load_sources",
    "gpt2_model_write, gpt2_model_tensor",
    "gpt2_tokenizer_load",
    "gpt2_tokenizer_load_sources",
    "gpt2_session_create",
    "gpt2_session_size, gpt2_session_init",
    "gpt2_forward",
    "gpt2_forward_batch",
    "gpt2_sequence_open, _close, _fork ...",
    "gpt2_sequence_save, _write, _restore",
    "gpt2_sample, _batch_sample, _sample_logits ...",
    "gpt2_score, gpt2_score_logits",
    "gpt2_generator_create, _start, _step ...",
    "gpt2_encoder_create, _size, _init",
    "gpt2_encode",
    "gpt2_decode, gpt2_decode_part, gpt2_token_offsets",
    "gpt2_*_free",
    "the others",
};
static size_t max_bytes[N_FUNCTIONS];

static void measure(enum function function, void (*call)(void))
{
    size_t n_bytes = stack_of(call);

    if (wrong != NULL)
        fail_msg("%s: not so: %s", names[function], wrong);
    if (n_bytes > max_bytes[function])
        max_bytes[function] = n_bytes;
}

static void measure_failed_load(const char *path, int32_t status)
{
    load_path = path;
    load_status = status;
    measure(MODEL_LOAD, call_model_load);
    load_path = DIRECTORY;
    load_status = GPT2_OK;
}

/* The model that is loaded is written; its file is loaded by path and from memory, right and wrong. */
static void measure_native(void)
{
    measure(MODEL_WRITE, call_model_write);
    measure(MODEL_WRITE, call_model_tensor);
    measure(FREE, call_model_free);
    scratch_write(NATIVE_PATH, native_bytes, (size_t)native.n_bytes);
    load_path = NATIVE_PATH;
    for (int32_t access = GPT2_FILE_MAP; access <= GPT2_FILE_READ; access++) {
        file_access = access;
        measure(MODEL_LOAD, call_model_load);
        measure(FREE, call_model_free);
        measure(MODEL_LOAD_SOURCES, call_native_load);
        measure(FREE, call_model_free);
    }
    measure(TOKENIZER_LOAD, call_tokenizer_load);
    measure(FREE, call_tokenizer_free);
    native_bytes[native.n_bytes - 1] ^= 1; /* of the last checksum */
    load_status = GPT2_ERR_FORMAT;
    measure(MODEL_LOAD_SOURCES, call_native_load);
    native_bytes[100] ^= 1; /* of the header */
    measure(TOKENIZER_LOAD_SOURCES, call_native_tokenizer);
    file_access = GPT2_FILE_MAP;
    load_path = DIRECTORY;
    load_status = GPT2_OK;
}

static void measure_loads(void)
{
    for (n_threads = 1; n_threads <= 3; n_threads += 2) {
        measure(MODEL_LOAD_SOURCES, call_model_load_sources);
        measure(FREE, call_model_free);
        load_path = F16_DIRECTORY;
        measure(MODEL_LOAD, call_model_load);
        measure(FREE, call_model_free);
        measure_failed_load(BAD_DIRECTORY, GPT2_ERR_FORMAT);
    }
    n_threads = 1;
    measure_failed_load(long_path, GPT2_ERR_FILE);
    sources[0].n_bytes = 30;
    load_status = GPT2_ERR_FORMAT;
    measure(MODEL_LOAD_SOURCES, call_model_load_sources);
    load_status = GPT2_OK;
    measure(MODEL_LOAD, call_model_load);
    measure_native();
    measure(MODEL_LOAD, call_model_load); /* the model that stays */
    measure(TOKENIZER_LOAD, call_tokenizer_load);
    measure(FREE, call_tokenizer_free);
    measure(TOKENIZER_LOAD_SOURCES, call_tokenizer_load_more);
    measure(TOKENIZER_LOAD_SOURCES, call_tokenizer_load_sources);
    measure(FREE, call_tokenizer_free);
    load_path = long_path;
    load_status = GPT2_ERR_FILE;
    measure(TOKENIZER_LOAD, call_tokenizer_load);
}

static void measure_texts(void)
{
    measure(ENCODER_CREATE, call_encoder_init);
    measure(FREE, call_encoder_free);
    measure(ENCODER_CREATE, call_encoder_create);
    memcpy(text, "thethat'sthe<|endoftext|>theory", n_text = 31);
    measure(ENCODE, call_encode);
    memset(text, 'h', n_text = 60000); /* one piece */
    text[0] = 't';
    measure(ENCODE, call_encode);
    measure(ENCODE, call_encode_in_vain);
    measure(DECODE, call_decode);
    measure(FREE, call_encoder_free);
}

static void measure_sessions(void)
{
    uint32_t masks[4];
    size_t n_masks = tiny_cpu_masks(masks);

    for (size_t i = 0; i < n_masks; i++) {
        cpu_mask = masks[i];
        for (n_threads = 1; n_threads <= 3; n_threads += 2) {
            measure(SESSION_INIT, call_session_init);
            measure(FREE, call_session_free);
            kv_type = n_threads == 1 ? GPT2_TYPE_F32 : GPT2_TYPE_F16;
            measure(SESSION_CREATE, call_session_create);
            measure(FORWARD_BATCH, call_forward_batch);
            measure(SEQUENCES, call_sequences);
            measure(STATES, call_states);
            measure(GENERATOR, call_generator);
            measure(FORWARD, call_forward);
            measure(SAMPLE, call_sample);
            measure(SCORE, call_score);
            measure(FORWARD, call_forward_in_vain);
            measure(OTHERS, call_set_tap);
            measure(FORWARD_BATCH, call_forward_batch);
            measure(FORWARD, call_forward);
            if (n_threads == 1)
                measure(OTHERS, call_others);
            measure(FREE, call_session_free);
        }
    }
}

static void test_each_call(void **state)
{
    (void)state;
    if (SANITIZED)
        skip(); /* sanitizers make larger frames */
    measure_loads();
    measure_texts();
    measure_sessions();
    for (size_t i = 0; i < N_FUNCTIONS; i++)
        print_message("  stack: %-40s %4.1f KB\n", names[i], (double)max_bytes[i] / 1024);
    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        if (max_bytes[i] >= LIMIT_BYTES)
            fail_msg("%s needs %zu bytes of stack, wanted fewer than %d", names[i], max_bytes[i],
                     LIMIT_BYTES);
    }
    gpt2_model_free(model);
    model = NULL;
}

/* ------------------------------------------------------------------------------ a small thread -- */

static void *use_all(void *argument)
{
    call_model_load();
    call_model_write();
    call_model_free();
    call_native_load();
    call_encoder_create();
    memcpy(text, "thethat's", n_text = 9);
    call_encode();
    call_session_create();
    call_forward_batch();
    call_sequences();
    call_states();
    call_generator();
    call_forward();
    call_sample();
    call_score();
    call_session_free();
    call_encoder_free();
    call_model_free();
    return argument;
}

/* A thread of 16 KB above a page that must not be touched; libc has its part of the 16 KB. */
static void test_small_thread(void **state)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    pthread_attr_t attributes;
    int wait_status = -1;
    char *block;
    pid_t child;

    (void)state;
    if (SANITIZED)
        skip(); /* sanitizers make larger frames */
    block = mmap(NULL, page_bytes + SMALL_BYTES, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(block != MAP_FAILED);
    assert_int_equal(mprotect(block, page_bytes, PROT_NONE), 0);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    if (pthread_attr_setstack(&attributes, block + page_bytes, SMALL_BYTES) != 0) {
        print_message("  skipped: this system has no threads of 16 KB\n");
        skip();
    }
    load_path = DIRECTORY;
    load_status = GPT2_OK;
    cpu_mask = GPT2_CPU_ALL;
    n_threads = 1;
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        pthread_t thread;
        int result = pthread_create(&thread, &attributes, use_all, NULL);

        if (result == 0)
            result = pthread_join(thread, NULL);
        _exit(result != 0 ? 2 : wrong != NULL ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &wait_status, 0), child);
    if (wait_status != 0)
        fail_msg("the child ended with 0x%x", (unsigned)wait_status);
    (void)pthread_attr_destroy(&attributes);
    (void)munmap(block, page_bytes + SMALL_BYTES);
}

/* -------------------------------------------------------------------------------------- set-up -- */

static void read_source(gpt2_source *source, char *bytes, const char *name)
{
    char path[256];
    FILE *stream;

    (void)snprintf(path, sizeof path, DIRECTORY "/%s", name);
    stream = fopen(path, "rb");
    assert_non_null(stream);
    source->name = name;
    source->bytes = bytes;
    source->n_bytes = fread(bytes, 1, sizeof sources_bytes[0], stream);
    assert_true(source->n_bytes < sizeof sources_bytes[0]);
    (void)fclose(stream);
}

static int set_up(void **state)
{
    static const char *const file_names[] = {"config.json", "model.safetensors", "vocab.json",
                                             "merges.txt"};
    struct tiny_model file = tiny_pages(DIRECTORY);

    (void)state;
    file.tokenizer = true;
    file.head_copy = true;
    tiny_write(&file);
    for (size_t i = 0; i < COUNT(file_names); i++)
        read_source(&sources[i], sources_bytes[i], file_names[i]);
    file.directory = BAD_DIRECTORY;
    file.head_differs = true;
    tiny_write(&file);
    file = tiny_pages(F16_DIRECTORY);
    file.dtype = "F16";
    tiny_write(&file);
    tiny_ids(ids, N_TOKENS, 90);
    memset(long_path, 'p', sizeof long_path - 1);
    for (size_t i = 0; i < sizeof long_path; i += 100)
        long_path[i] = '/';
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_call),
        cmocka_unit_test(test_small_thread),
    };

    return cmocka_run_group_tests_name("stack", tests, set_up, NULL);
}
