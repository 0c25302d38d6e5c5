/*
 * api_sources.c: loading from sources: memory and read callbacks, right and wrong.
 */
#include "../tiny_model.h"
#undef COUNT
#include "api.h"
#include "model/model.h"

#define N_BASES     (FUZZ_N_MODELS + 1) /* the models of the fuzzer, and one of several megabytes */
#define N_NAMES     4
#define MAX_SOURCES 8

enum { CONFIG, WEIGHTS, VOCAB, MERGES };

static const char *const names[N_NAMES] = {"config.json", "model.safetensors", "vocab.json",
                                           "merges.txt"};

/* A model's files in memory, and the model as a directory gave it. */
static struct base {
    const gpt2_model *model;
    gpt2_model *own; /* what is freed at the end */
    unsigned char *bytes[N_NAMES];
    size_t n_bytes[N_NAMES]; /* 0: it has no such file */
} bases[N_BASES];

/* ----------------------------------------------------------------------------------- opening -- */

static void read_base(struct base *base, const char *directory)
{
    for (size_t i = 0; i < N_NAMES; i++) {
        char path[300];
        FILE *file;
        long length;

        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        file = fopen(path, "rb");
        if (file == NULL)
            continue;
        REQUIRE(fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) > 0, "%s: no size", path);
        rewind(file);
        base->n_bytes[i] = (size_t)length;
        base->bytes[i] = malloc(base->n_bytes[i]);
        REQUIRE(base->bytes[i] != NULL &&
                    fread(base->bytes[i], 1, base->n_bytes[i], file) == base->n_bytes[i] &&
                    fclose(file) == 0,
                "%s cannot be read", path);
    }
    REQUIRE(gpt2_model_load(directory, NULL, &base->own) == GPT2_OK, "%s cannot be loaded",
            directory);
    base->model = base->own;
}

void fuzz_sources_open(void)
{
    for (size_t i = 0; i < FUZZ_N_MODELS; i++)
        read_base(&bases[i], fuzz_models[i].directory);
    read_base(&bases[FUZZ_N_MODELS], "examples/demo-model");
}

void fuzz_sources_close(void)
{
    for (size_t i = 0; i < N_BASES; i++) {
        gpt2_model_free(bases[i].own);
        for (size_t j = 0; j < N_NAMES; j++)
            free(bases[i].bytes[j]);
    }
}

/* ----------------------------------------------------------------------------------- reading -- */

enum read_kind { READ_WELL, READ_SHORT, READ_FAIL, READ_TOO_MUCH, READ_EARLY_END, N_READ_KINDS };

/* What a read callback gives.  Several threads read one, so it never changes. */
struct reader {
    const unsigned char *bytes;
    size_t n_bytes;
    enum read_kind kind;
    size_t wrong_at; /* READ_FAIL and later: the byte that cannot be read */
};

static int32_t read_source(void *user, uint64_t offset, void *bytes, size_t capacity,
                           size_t *n_read)
{
    const struct reader *reader = user;
    size_t end = reader->n_bytes, n;
    bool is_wrong = offset <= reader->wrong_at && reader->wrong_at - offset < capacity;

    REQUIRE(capacity > 0 && capacity <= SIZE_MAX / 2, "found a read of %zu bytes", capacity);
    if (reader->kind == READ_EARLY_END && end > reader->wrong_at)
        end = reader->wrong_at;
    n = offset >= end ? 0 : end - (size_t)offset;
    if (n > capacity)
        n = capacity;
    if (reader->kind == READ_SHORT && n > 1)
        n = 1 + (size_t)(offset * 7919 + 31) % (n < 3000 ? n : 3000);
    if (n > 0)
        memcpy(bytes, reader->bytes + offset, n);
    *n_read = n;
    if (reader->kind == READ_TOO_MUCH && is_wrong)
        *n_read = capacity + 1;
    return reader->kind == READ_FAIL && is_wrong ? -1 : 0; /* all the bytes are right */
}

/* ---------------------------------------------------------------------------------- progress -- */

struct progress {
    uint64_t n_calls, cancel_at, n_bytes_done, n_bytes_total;
    bool is_wrong;
};

static int32_t show_progress(void *user, uint64_t n_bytes_done, uint64_t n_bytes_total)
{
    struct progress *progress = user;

    progress->is_wrong |= n_bytes_done <= progress->n_bytes_done || n_bytes_done > n_bytes_total ||
                          (progress->n_calls > 0 && n_bytes_total != progress->n_bytes_total);
    progress->n_bytes_done = n_bytes_done;
    progress->n_bytes_total = n_bytes_total;
    return ++progress->n_calls == progress->cancel_at ? INT32_MIN : 0;
}

/* ------------------------------------------------------------------------------- the sources -- */

/* The sources of one call, and what is known of them. */
struct plan {
    const struct base *base;
    gpt2_source *sources; /* NULL: the call gets NULL */
    size_t n_sources;
    int32_t status[N_NAMES]; /* what reading this file gives; GPT2_ERR_FILE if it is missing */
    bool is_there[N_NAMES];
    bool is_wrong; /* an argument is */
};

/* Bytes that the format of this file does not allow. */
static void break_bytes(size_t name, const unsigned char **bytes, size_t *n_bytes)
{
    static const char line[] = "#version: 0.2\nno-such-token x\n";

    if (name == MERGES) {
        *bytes = (const unsigned char *)line;
        *n_bytes = sizeof line - 1;
    } else {
        *n_bytes = fuzz_chance(4) ? 0 : fuzz_below(*n_bytes - 1);
    }
}

/* One file, in memory or through a callback, mostly right. */
static gpt2_source make_source(struct plan *plan, size_t name)
{
    const unsigned char *bytes = plan->base->bytes[name];
    size_t n_bytes = plan->base->n_bytes[name];
    gpt2_source source = {.name = names[name]};
    struct reader *reader;

    plan->is_there[name] = true;
    plan->status[name] = GPT2_OK;
    if (fuzz_chance(16)) {
        break_bytes(name, &bytes, &n_bytes);
        plan->status[name] = GPT2_ERR_FORMAT;
    }
    source.n_bytes = n_bytes;
    if (fuzz_chance(2)) {
        unsigned char *copy = fuzz_temp(n_bytes); /* exactly so many */

        if (n_bytes > 0)
            memcpy(copy, bytes, n_bytes);
        source.bytes = n_bytes > 0 ? (const void *)copy : "";
        return source;
    }
    reader = fuzz_temp(sizeof *reader);
    *reader = (struct reader){bytes, n_bytes, READ_WELL, 0};
    source.read = read_source;
    source.user = reader;
    if (fuzz_chance(3))
        reader->kind = READ_SHORT;
    if (plan->status[name] != GPT2_OK)
        return source;
    if (fuzz_chance(12)) {
        reader->kind = READ_FAIL + (enum read_kind)fuzz_below(N_READ_KINDS - READ_FAIL);
        reader->wrong_at = fuzz_chance(2) ? n_bytes - 1 : fuzz_below(2) * (n_bytes / 2);
        plan->status[name] = GPT2_ERR_FILE;
    } else if (fuzz_chance(24)) { /* it has fewer bytes than the struct says */
        source.n_bytes = fuzz_chance(2) ? UINT64_MAX : n_bytes + 1;
        plan->status[name] =
            name == WEIGHTS || source.n_bytes == UINT64_MAX ? GPT2_ERR_FORMAT : GPT2_ERR_FILE;
    }
    return source;
}

/* Makes an argument wrong. */
static void spoil(struct plan *plan)
{
    static const char *const unknown[] = {
        "", "config.jsom", "Config.json", "./config.json", "config.json ", "model.onnx"};
    gpt2_source *source;

    plan->is_wrong = true;
    if (plan->n_sources == 0 || fuzz_chance(6)) {
        plan->sources = NULL;
        return;
    }
    source = &plan->sources[fuzz_below(plan->n_sources)];
    switch (fuzz_below(5)) {
    case 0:
        source->name = NULL;
        break;
    case 1:
        source->name = PICK(unknown);
        break;
    case 2: /* twice */
        plan->sources[plan->n_sources++] = *source;
        break;
    case 3: /* neither */
        source->bytes = NULL;
        source->read = NULL;
        break;
    default: /* both */
        source->bytes = "";
        source->read = read_source;
        break;
    }
}

static struct plan make_plan(void)
{
    struct plan plan = {.base = fuzz_chance(8) ? &bases[FUZZ_N_MODELS] : &PICK(bases)};

    plan.sources = fuzz_temp(MAX_SOURCES * sizeof *plan.sources);
    for (size_t i = 0; i < N_NAMES; i++) {
        plan.status[i] = GPT2_ERR_FILE;
        if (plan.base->n_bytes[i] == 0 || fuzz_chance(24))
            continue;
        plan.sources[plan.n_sources++] = make_source(&plan, i);
    }
    for (size_t i = plan.n_sources; i > 1; i--) { /* in any order */
        size_t j = fuzz_below(i);
        gpt2_source last = plan.sources[i - 1];

        plan.sources[i - 1] = plan.sources[j];
        plan.sources[j] = last;
    }
    if (fuzz_chance(8))
        spoil(&plan);
    fuzz_may(plan.is_wrong, GPT2_ERR_ARGUMENT);
    return plan;
}

static void may_fail(const struct plan *plan, size_t name)
{
    fuzz_may(plan->status[name] != GPT2_OK, plan->status[name]);
}

/* ------------------------------------------------------------------------------------- calls -- */

static void check_model(const struct plan *plan, const gpt2_model *model, bool has_tokenizer)
{
    const gpt2_model *wanted = plan->base->model;

    REQUIRE(model->weights_bytes == wanted->weights_bytes &&
                memcmp(model->weights, wanted->weights, wanted->weights_bytes) == 0,
            "found other weights than from the directory");
    REQUIRE((gpt2_model_tokenizer(model) != NULL) == has_tokenizer,
            "found a tokenizer where its files are not, or none");
}

static void do_model_load_sources(void)
{
    static const int32_t odd_threads[] = {-1, 257, INT32_MAX, INT32_MIN};
    gpt2_model *model = (gpt2_model *)bases, **out = fuzz_chance(24) ? NULL : &model;
    struct progress progress = {.cancel_at = fuzz_chance(4) ? 1 + fuzz_below(3) : 0};
    struct fuzz_params params;
    struct plan plan;
    bool has_tokenizer, is_shown = false, ok;
    int32_t status;

    fuzz_call(FUZZ_gpt2_model_load_sources, " ");
    plan = make_plan();
    params = fuzz_params_make(&fuzz_model_params);
    if (params.writable) {
        gpt2_model_params *known = params.at;

        known->n_threads = fuzz_chance(12) ? PICK(odd_threads) : (int32_t)fuzz_below(4);
        fuzz_may(known->n_threads < 0 || known->n_threads > 256, GPT2_ERR_ARGUMENT);
        is_shown = fuzz_chance(2);
        known->progress = is_shown ? show_progress : NULL;
        known->progress_user = &progress;
    }
    has_tokenizer = plan.is_there[VOCAB] && plan.is_there[MERGES];
    may_fail(&plan, CONFIG);
    may_fail(&plan, WEIGHTS);
    if (has_tokenizer) {
        may_fail(&plan, VOCAB);
        may_fail(&plan, MERGES);
    }
    fuzz_may(out == NULL, GPT2_ERR_ARGUMENT);
    fuzz_say("%zu sources%s of base %d, params %s, progress %s, out %s", plan.n_sources,
             plan.sources == NULL ? " (NULL)" : "", (int)(plan.base - bases),
             params.at == NULL ? "NULL" : "given", is_shown ? "given" : "NULL",
             out == NULL ? "NULL" : "given");
    status = gpt2_model_load_sources(plan.sources, plan.n_sources, params.at, out);
    fuzz_may(is_shown && progress.cancel_at > 0 && progress.n_calls == progress.cancel_at,
             GPT2_ERR_CANCELLED);
    ok = fuzz_result(status);
    fuzz_params_check(&params, ok);
    REQUIRE(!progress.is_wrong, "found a progress that does not grow up to the total");
    REQUIRE(status != GPT2_ERR_CANCELLED || progress.n_calls == progress.cancel_at,
            "found a call of progress after it ended the load");
    if (!ok) {
        REQUIRE(out == NULL || model == NULL, "found a model after a failure, expected NULL");
        return;
    }
    REQUIRE(is_shown == (progress.n_calls > 0) && progress.n_bytes_done == progress.n_bytes_total,
            "found that progress ends at %llu of %llu", (unsigned long long)progress.n_bytes_done,
            (unsigned long long)progress.n_bytes_total);
    check_model(&plan, model, has_tokenizer);
    gpt2_model_free(model);
}

static void do_tokenizer_load_sources(void)
{
    gpt2_tokenizer *tokenizer = (gpt2_tokenizer *)bases;
    gpt2_tokenizer **out = fuzz_chance(24) ? NULL : &tokenizer;
    struct fuzz_params params;
    struct plan plan;
    bool ok;

    fuzz_call(FUZZ_gpt2_tokenizer_load_sources, " ");
    plan = make_plan();
    params = fuzz_params_make(&fuzz_tokenizer_params);
    if (params.writable && fuzz_chance(12)) {
        ((gpt2_tokenizer_params *)params.at)->reserved = 1u << fuzz_below(32);
        fuzz_may(true, GPT2_ERR_ARGUMENT);
    }
    may_fail(&plan, VOCAB);
    may_fail(&plan, MERGES);
    fuzz_may(out == NULL, GPT2_ERR_ARGUMENT);
    fuzz_say("%zu sources%s of base %d, params %s, out %s", plan.n_sources,
             plan.sources == NULL ? " (NULL)" : "", (int)(plan.base - bases),
             params.at == NULL ? "NULL" : "given", out == NULL ? "NULL" : "given");
    ok = fuzz_result(gpt2_tokenizer_load_sources(plan.sources, plan.n_sources, params.at, out));
    fuzz_params_check(&params, ok);
    if (!ok) {
        REQUIRE(out == NULL || tokenizer == NULL,
                "found a tokenizer after a failure, expected NULL");
        return;
    }
    REQUIRE(gpt2_tokenizer_n_vocab(tokenizer) > 0, "found an empty tokenizer");
    gpt2_tokenizer_free(tokenizer);
}

const struct fuzz_action fuzz_source_actions[] = {
    {do_model_load_sources, 3},
    {do_tokenizer_load_sources, 2},
    {NULL, 0},
};
