/*
 * core.c: one hash for each model, over every way of computing its logits.
 *
 *     core [--quick | --brief] MODEL...
 *
 * runs each model, a directory or a native file, over kernels, threads and ways of cutting the tokens into
 * calls, and prints "HASH MODEL" of the first tokens and of all, once all ways agree.  Then the same for
 * each type of weights, in two ways for each instruction set: in one call, and one token in each.
 * --quick takes fewer tokens, a third of the ways, and the first tokens only where a type has one in each
 * call.  --brief takes two ways always, and the first tokens only but for one call with the file's type.
 * It needs no test library and no file but the model, so that it runs wherever the library does; builds
 * are compared by comparing what it prints.  Exit status: 0, or 1 where two ways differ or something fails.
 */
#include "gpt2.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_TOKENS  200 /* more than three pages of 64 positions */
#define QUICK_TOKENS 71  /* across one page, no multiple of anything */
#define FIRST_TOKENS 9   /* more rows than a tile has */

/* FNV-1a over the bits of the logits, so that 0 and -0 differ. */
static uint64_t hash_floats(uint64_t hash, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, &x[i], sizeof bits);
        for (int shift = 0; shift < 32; shift += 8)
            hash = (hash ^ (bits >> shift & 0xff)) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* Ids that any machine makes alike. */
static void make_tokens(int32_t *tokens, size_t n_tokens, int32_t n_vocab)
{
    uint32_t state = 1;

    for (size_t i = 0; i < n_tokens; i++) {
        state = state * 1664525u + 1013904223u;
        tokens[i] = (int32_t)((uint64_t)state * (uint32_t)n_vocab >> 32);
    }
}

struct way {
    uint32_t cpu_mask;
    int32_t n_threads;
    size_t n_together; /* tokens of a call */
    size_t n_tokens;
};

/* The hash of all rows of logits, computed in one way, and of the first rows. */
static int run(const gpt2_model *model, const struct way *way, const int32_t *tokens,
               int32_t n_vocab, uint64_t *hash, uint64_t *first_hash)
{
    gpt2_session_params params;
    gpt2_session *session;
    int32_t status;

    (void)gpt2_session_params_init(&params, sizeof params);
    params.cpu_mask = way->cpu_mask;
    params.n_threads = way->n_threads;
    params.n_logit_rows = (int32_t)way->n_together;
    status = gpt2_session_create(model, &params, &session);
    *hash = *first_hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < way->n_tokens && status == GPT2_OK; i += way->n_together) {
        size_t n = way->n_tokens - i < way->n_together ? way->n_tokens - i : way->n_together;

        status = gpt2_forward(session, tokens + i, n, n);
        for (size_t row = 0; row < n && status == GPT2_OK; row++) {
            const float *logits;

            status = gpt2_session_logits(session, (int32_t)row, &logits);
            if (status == GPT2_OK)
                *hash = hash_floats(*hash, logits, (size_t)n_vocab);
            if (i + row < FIRST_TOKENS)
                *first_hash = *hash;
        }
    }
    if (status != GPT2_OK)
        fprintf(stderr, "core: %s\n", gpt2_strerror(status));
    gpt2_session_free(session);
    return status == GPT2_OK ? 0 : 1;
}

static const char *const type_names[] = {" f32", " f16", " bf16", " q8", " q4"};

static void print_hash(uint64_t hash, const char *path, size_t n_tokens, int32_t type)
{
    printf("%016" PRIx64 " %s %zu tokens%s\n", hash, path, n_tokens,
           type == GPT2_TYPE_AS_FILE ? "" : type_names[type]);
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* All ways to run a model, whose weights have a type. */
static int check_ways(const gpt2_model *model, const char *path, int32_t type, bool quick,
                      bool brief, const gpt2_model_info *info)
{
    static const uint32_t float_masks[] = {GPT2_CPU_ALL, GPT2_CPU_AVX2, 0};
    /* of quantised weights; AVX-512 without VNNI has none of its own */
    static const uint32_t quantised_masks[] = {GPT2_CPU_ALL, GPT2_CPU_AVX2 | GPT2_CPU_AVX_VNNI,
                                               GPT2_CPU_AVX2 | GPT2_CPU_NEON, 0};
    const uint32_t *masks = type < GPT2_TYPE_Q8 ? float_masks : quantised_masks;
    size_t n_masks = type < GPT2_TYPE_Q8 ? sizeof float_masks / sizeof float_masks[0]
                                         : sizeof quantised_masks / sizeof quantised_masks[0];
#if defined(__wasm__) /* one thread is all there is */
    static const int32_t threads[] = {1};
#else
    static const int32_t threads[] = {1, 2, 3, 8, 4, 5, 6, 7};
#endif
    const bool two_ways = brief || type != GPT2_TYPE_AS_FILE;
    int32_t tokens[MOST_TOKENS];
    size_t n_tokens = quick ? QUICK_TOKENS : MOST_TOKENS;
    uint64_t wanted = 0;
    uint64_t wanted_first = 0;
    int n_ways = 0;
    int failed = 0;

    if (brief && type != GPT2_TYPE_AS_FILE)
        n_tokens = FIRST_TOKENS;
    n_tokens = min_size(n_tokens, (size_t)info->n_positions);
    make_tokens(tokens, n_tokens, info->n_vocab);
    for (size_t m = 0; m < n_masks; m++) {
        const size_t together[] = {n_tokens, 1, 7};

        if (m > 0 && ((masks[m] ^ masks[m - 1]) & gpt2_cpu_features()) == 0)
            continue; /* the same kernels again */
        for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
            for (size_t k = 0; k < sizeof together / sizeof together[0]; k++) {
                struct way way = {masks[m], threads[t], together[k], n_tokens};
                uint64_t hash;
                uint64_t first_hash;

                if (way.n_threads >= 4 && way.n_threads <= 7 && k > 0)
                    continue;
                if (two_ways ? t != k || k > 1 : quick && n_ways > 0 && (m + t + k) % 3 != 0)
                    continue;
                if (quick && two_ways && k == 1)
                    way.n_tokens = min_size(n_tokens, FIRST_TOKENS);
                failed |= run(model, &way, tokens, info->n_vocab, &hash, &first_hash);
                if (n_ways++ == 0) {
                    wanted = hash;
                    wanted_first = first_hash;
                }
                if (first_hash == wanted_first && (hash == wanted || way.n_tokens < n_tokens))
                    continue;
                fprintf(stderr,
                        "core: %s%s: %016" PRIx64 " with mask %08" PRIx32
                        ", %d threads, %zu tokens a call, not %016" PRIx64 "\n",
                        path, type == GPT2_TYPE_AS_FILE ? "" : type_names[type], hash, way.cpu_mask,
                        way.n_threads, way.n_together,
                        way.n_tokens < n_tokens ? wanted_first : wanted);
                failed = 1;
            }
        }
    }
    if (failed)
        return 1;
    print_hash(wanted_first, path, min_size(n_tokens, FIRST_TOKENS), type);
    if (n_tokens > FIRST_TOKENS)
        print_hash(wanted, path, n_tokens, type);
    return 0;
}

static int check_model(const char *path, int32_t type, bool quick, bool brief)
{
    gpt2_model_info info = {.struct_size = sizeof info};
    gpt2_model_params params;
    gpt2_model *model = NULL;
    int32_t status = gpt2_model_params_init(&params, sizeof params);
    int failed = 0;

    params.weight_type = type;
    if (status == GPT2_OK)
        status = gpt2_model_load(path, &params, &model);
    if (status != GPT2_OK || gpt2_model_get_info(model, &info) != GPT2_OK) {
        fprintf(stderr, "core: %s: %s\n", path, gpt2_strerror(status));
        return 1;
    }
    if (type != info.weight_type) /* that is GPT2_TYPE_AS_FILE */
        failed = check_ways(model, path, type, quick, brief, &info);
    gpt2_model_free(model);
    return failed;
}

int main(int argc, char **argv)
{
    bool brief = argc > 1 && strcmp(argv[1], "--brief") == 0;
    bool quick = brief || (argc > 1 && strcmp(argv[1], "--quick") == 0);
    int failed = argc - quick < 2;

    for (int i = 1 + quick; i < argc; i++) {
        /* a native file has one type */
        int32_t last = strstr(argv[i], ".safetensors") != NULL ? GPT2_TYPE_AS_FILE : GPT2_TYPE_Q4;

        for (int32_t type = GPT2_TYPE_AS_FILE; type <= last; type++)
            failed |= check_model(argv[i], type, quick, brief);
    }
    return failed;
}
