/* llama.cpp as an engine of bench_peers.py, whose protocol worker.py's head tells, and of faithful.py,
 * whose protocol ctranslate2_worker.py's head tells.
 *
 *     llama_worker BACKENDS MODEL_GGUF
 *     llama_worker --quantize FORMAT MODEL_GGUF NEW_GGUF
 *
 * It computes with the CPU backend in the folder BACKENDS that fits the machine best.  For bench_peers.py
 * everything is llama.cpp's default (the cache is f16), with a pool of threads as in its own llama-bench.
 * VERSION is a string for the table.
 * The second form writes the model with the weights in FORMAT, by llama_model_quantize()'s defaults, as
 * llama.cpp's program llama-quantize does. */
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "llama.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N_VOCAB = 50257, N_CTX = 1024, MAX_THREADS = 64, MAX_SEQUENCES = 32 };

static struct llama_model *model;
static struct llama_batch batch;
static ggml_backend_reg_t cpu;

static void fail(const char *what)
{
    fprintf(stderr, "llama_worker: %s\n", what);
    exit(1);
}

static void log_errors(enum ggml_log_level level, const char *text, void *unused)
{
    (void)unused;
    if (level == GGML_LOG_LEVEL_ERROR)
        fputs(text, stderr);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum use { USE_PREFILL, USE_DECODE_LATE, USE_BATCH, N_USES };

/* The context of a use, to run on 'threads'.  (One that decodes at a late position is kept for that,
 * so that nobody waits for its prompt again and again.) */
static struct llama_context *start(enum use use, int threads)
{
    static struct llama_context *contexts[N_USES];
    static struct ggml_threadpool *pools[MAX_THREADS + 1];
    struct llama_context **context = &contexts[use];
    if (!*context) {
        struct llama_context_params params = llama_context_default_params();
        params.n_ctx = N_CTX;
        params.n_seq_max = use == USE_BATCH ? MAX_SEQUENCES : 1;
        *context = llama_init_from_model(model, params);
        if (!*context)
            fail("llama_init_from_model() failed");
    }
    if (threads < 1 || threads > MAX_THREADS)
        fail("too many threads");
    if (!pools[threads]) {
        struct ggml_threadpool_params params = ggml_threadpool_params_default(threads);
        struct ggml_threadpool *(*new_pool)(struct ggml_threadpool_params *);
        *(void **)&new_pool = ggml_backend_reg_get_proc_address(cpu, "ggml_threadpool_new");
        pools[threads] = new_pool(&params);
    }
    llama_attach_threadpool(*context, pools[threads], NULL);
    llama_set_n_threads(*context, threads, threads);
    return *context;
}

static void add(int position, int sequence)
{
    int i = batch.n_tokens++;
    batch.token[i] = (llama_token)((long)position * 7919 % N_VOCAB);
    batch.pos[i] = position;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = sequence;
    batch.logits[i] = 0;
}

/* Runs what has been added; the logits of the last token, in the end. */
static const float *run(struct llama_context *context)
{
    batch.logits[batch.n_tokens - 1] = 1;
    if (llama_decode(context, batch))
        fail("llama_decode() failed");
    batch.n_tokens = 0;
    return llama_get_logits_ith(context, -1);
}

/* Brings the text to a position.  All texts have the same tokens, so one that was longer is cut. */
static void go_to(struct llama_context *context, int position)
{
    llama_memory_t memory = llama_get_memory(context);
    if (llama_memory_seq_pos_max(memory, 0) >= position) {
        llama_memory_seq_rm(memory, 0, position, -1);
        return;
    }
    llama_memory_clear(memory, false);
    for (int i = 0; i < position; i++)
        add(i, 0);
    if (position > 0)
        run(context);
}

static void write_logits(int n_prompt, int n_next, const char *path)
{
    struct llama_context *context = start(USE_PREFILL, 2);
    const float *row = NULL;
    go_to(context, 0);
    go_to(context, n_prompt);
    for (int i = n_prompt; i < n_prompt + n_next; i++) {
        add(i, 0);
        row = run(context);
    }
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(row, sizeof *row, N_VOCAB, file) != N_VOCAB || fclose(file))
        fail("cannot write the logits");
}

/* All logits of the ids "1,2,3", with a cache of f32. */
static void write_all_logits(const char *path, const char *ids)
{
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = (uint32_t)llama_model_n_ctx_train(model);
    params.type_k = params.type_v = GGML_TYPE_F32;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    struct llama_context *context = llama_init_from_model(model, params);
    if (!context)
        fail("llama_init_from_model() failed");
    do {
        add(batch.n_tokens, 0);
        batch.token[batch.n_tokens - 1] = (llama_token)strtol(ids, (char **)&ids, 10);
        batch.logits[batch.n_tokens - 1] = 1;
    } while (*ids++ == ',' && batch.n_tokens < N_CTX);
    int n_rows = batch.n_tokens;
    size_t n_vocab = (size_t)llama_vocab_n_tokens(llama_model_get_vocab(model));
    run(context);
    FILE *file = fopen(path, "wb");
    for (int row = 0; row < n_rows; row++)
        if (!file ||
            fwrite(llama_get_logits_ith(context, row), sizeof(float), n_vocab, file) != n_vocab)
            fail("cannot write the logits");
    if (fclose(file))
        fail("cannot write the logits");
    llama_free(context);
}

/* The ids of a text, special tokens in it included; nothing is put around it. */
static void print_ids(const char *text)
{
    llama_token ids[N_CTX];
    int n = llama_tokenize(llama_model_get_vocab(model), text, (int32_t)strlen(text), ids, N_CTX,
                           false, true);
    if (n < 0)
        fail("the text is too long");
    for (int i = 0; i < n; i++)
        printf("%s%d", i ? "," : "", ids[i]);
    printf("\n");
}

/* The ids that end a text. */
static void print_ends(void)
{
    const struct llama_vocab *vocab = llama_model_get_vocab(model);
    const char *comma = "";
    for (llama_token id = 0; id < llama_vocab_n_tokens(vocab); id++)
        if (llama_vocab_is_eog(vocab, id)) {
            printf("%s%d", comma, id);
            comma = ",";
        }
    printf("\n");
}

static double prefill(int n, int times, int threads)
{
    double seconds = 0;
    for (int i = 0; i < times; i++) {
        struct llama_context *context = start(USE_PREFILL, threads);
        go_to(context, 0);
        double begin = now();
        go_to(context, n);
        seconds += now() - begin;
    }
    return seconds;
}

static double decode(int position, int n, int threads)
{
    struct llama_context *context = start(position ? USE_DECODE_LATE : USE_PREFILL, threads);
    go_to(context, position > 0 ? position - 1 : 0);
    if (position > 0) { /* the last token by itself, so that a cache that is cut is warm, too */
        add(position - 1, 0);
        run(context);
    }
    double begin = now();
    for (int i = position; i < position + n; i++) {
        add(i, 0);
        run(context);
    }
    return now() - begin;
}

static double decode_batch(int n_sequences, int n, int threads)
{
    struct llama_context *context = start(USE_BATCH, threads);
    if (n_sequences > MAX_SEQUENCES)
        fail("too many sequences");
    llama_memory_clear(llama_get_memory(context), false);
    double begin = now();
    for (int i = 0; i < n; i++) {
        for (int s = 0; s < n_sequences; s++) {
            add(i, s);
            batch.logits[batch.n_tokens - 1] = 1;
        }
        run(context);
    }
    return now() - begin;
}

static void quantize(const char *format, const char *from, const char *to)
{
    static const struct {
        const char *name;
        enum llama_ftype ftype;
    } formats[] = {{"F16", LLAMA_FTYPE_MOSTLY_F16},       {"BF16", LLAMA_FTYPE_MOSTLY_BF16},
                   {"Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},     {"Q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},
                   {"IQ4_NL", LLAMA_FTYPE_MOSTLY_IQ4_NL}, {"Q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},
                   {"Q5_0", LLAMA_FTYPE_MOSTLY_Q5_0},     {"Q5_1", LLAMA_FTYPE_MOSTLY_Q5_1},
                   {"Q4_K_M", LLAMA_FTYPE_MOSTLY_Q4_K_M}, {"Q5_K_M", LLAMA_FTYPE_MOSTLY_Q5_K_M},
                   {"Q6_K", LLAMA_FTYPE_MOSTLY_Q6_K}};
    size_t i = 0, n_formats = sizeof formats / sizeof *formats;
    while (i < n_formats && strcmp(formats[i].name, format) != 0)
        i++;
    if (i == n_formats)
        fail("FORMAT: wanted F16, BF16, Q8_0, Q4_0, IQ4_NL, Q4_1, Q5_0, Q5_1, Q4_K_M, Q5_K_M or "
             "Q6_K");
    struct llama_model_quantize_params params = llama_model_quantize_default_params();
    params.ftype = formats[i].ftype;
    if (llama_model_quantize(from, to, &params))
        fail("llama_model_quantize() failed");
}

int main(int argc, char **argv)
{
    char line[4096], path[4096], ids[4096];
    int a, b, c;
    llama_log_set(log_errors, NULL);
    if (argc == 5 && strcmp(argv[1], "--quantize") == 0) {
        quantize(argv[2], argv[3], argv[4]);
        return 0;
    }
    if (argc != 3)
        fail("usage: llama_worker BACKENDS MODEL_GGUF, or --quantize FORMAT MODEL_GGUF NEW_GGUF");
    ggml_backend_load_all_from_path(argv[1]);
    ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    if (!device)
        fail("no CPU backend loads");
    cpu = ggml_backend_dev_backend_reg(device);
    model = llama_model_load_from_file(argv[2], llama_model_default_params());
    if (!model)
        fail("the model does not load");
    batch = llama_batch_init(N_CTX, 0, 1);
    printf("ready %s\n", VERSION);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "logits %d %d %4095s", &a, &b, path) == 3) {
            write_logits(a, b, path);
            printf("done\n");
        } else if (sscanf(line, "prefill %d %d %d", &a, &b, &c) == 3) {
            printf("%.9f\n", prefill(a, b, c));
        } else if (sscanf(line, "decode %d %d %d", &a, &b, &c) == 3) {
            printf("%.9f\n", decode(a, b, c));
        } else if (sscanf(line, "batch %d %d %d", &a, &b, &c) == 3) {
            printf("%.9f\n", decode_batch(a, b, c));
        } else if (sscanf(line, "all-logits %4095s %4095s", ids, path) == 2) {
            write_all_logits(path, ids);
            printf("done\n");
        } else if (strncmp(line, "encode ", 7) == 0) {
            line[strcspn(line, "\n")] = 0;
            print_ids(line + 7);
        } else if (strcmp(line, "ends\n") == 0) {
            print_ends();
        } else if (strcmp(line, "bytes\n") == 0) {
            printf("%" PRIu64 "\n", llama_model_size(model));
        } else {
            fail("a line that is no task");
        }
        fflush(stdout);
    }
    return 0;
}
