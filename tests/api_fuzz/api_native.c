/*
 * api_native.c: native files: writing models, and loading these files by path and from memory, whole and
 * damaged.
 */
#include "api.h"

#define ALIGN_BYTES 64
#define MOST_BYTES  ((size_t)1 << 20) /* of a file */
#define SUMS_BYTES  24                /* at its end; the last 8 are the checksum of the weights */

/* What each model of the fuzzer is written as. */
static struct native {
    char path[200];
    unsigned char *bytes; /* [MOST_BYTES], aligned */
    size_t n_bytes;
} natives[FUZZ_N_MODELS];

/* ----------------------------------------------------------------------------------- writing -- */

struct writing {
    unsigned char *bytes;
    size_t n_bytes, capacity;
    size_t n_calls, stop_at; /* SIZE_MAX: never */
    bool refused;
};

static int32_t on_write(void *user, const void *bytes, size_t n_bytes)
{
    struct writing *writing = user;

    REQUIRE(!writing->refused, "found a call of the callback after it had refused");
    REQUIRE(n_bytes > 0 && n_bytes <= writing->capacity - writing->n_bytes,
            "found more bytes than the file has, or none");
    memcpy(writing->bytes + writing->n_bytes, bytes, n_bytes);
    writing->n_bytes += n_bytes;
    writing->refused = writing->n_calls++ == writing->stop_at;
    return writing->refused ? (int32_t)(writing->n_calls % 5) - 7 : 0;
}

/* A model gives the same file every time, wherever it was loaded from. */
static void check_written(size_t at, const struct writing *writing)
{
    const struct native *native = &natives[at];

    REQUIRE(writing->n_bytes <= native->n_bytes &&
                memcmp(writing->bytes, native->bytes, writing->n_bytes) == 0,
            "found another file of the model %s than before", fuzz_models[at].directory);
    REQUIRE(writing->refused || writing->n_bytes == native->n_bytes,
            "found %zu bytes, expected %zu", writing->n_bytes, native->n_bytes);
}

/* The files that are not native; what is in them test_write.c looks at. */
static const char *const other_names[] = {"model.safetensors",     "config.json", "tokenizer.json",
                                          "tokenizer_config.json", "model.gguf",  "vocab.json"};

static void do_model_write(void)
{
    static const size_t line_sizes[] = {0, 1, 2, 40, 200};
    const char *name = fuzz_chance(3)    ? PICK(other_names)
                       : fuzz_chance(20) ? NULL
                                         : "native.safetensors";
    bool is_native = name != NULL && strcmp(name, "native.safetensors") == 0;
    size_t at = fuzz_below(FUZZ_N_MODELS), line_size = PICK(line_sizes);
    const gpt2_model *model = fuzz_chance(12) ? NULL : fuzz_models[at].model;
    gpt2_write_callback write = fuzz_chance(24) ? NULL : on_write;
    struct writing writing = {.capacity = is_native ? natives[at].n_bytes : MOST_BYTES,
                              .stop_at = fuzz_chance(3) ? fuzz_below(4) : SIZE_MAX};
    char *line = NULL;
    int32_t status;
    bool ok;

    fuzz_call(FUZZ_gpt2_model_write, "%s, %s, write %s, refuses call %d, a line of %zu",
              model == NULL ? "NULL" : fuzz_models[at].directory, name == NULL ? "NULL" : name,
              write == NULL ? "NULL" : "given", (int)writing.stop_at, line_size);
    writing.bytes = fuzz_temp(writing.capacity);
    if (!fuzz_chance(16)) {
        line = fuzz_temp(line_size + 1);
        memset(line, 'x', line_size + 1);
    }
    fuzz_may(model == NULL || write == NULL || name == NULL || strcmp(name, "vocab.json") == 0,
             GPT2_ERR_ARGUMENT);
    status = gpt2_model_write(model, name, write, &writing, line, line_size);
    fuzz_may(status == GPT2_ERR_UNSUPPORTED && name != NULL &&
                 (strcmp(name, "model.gguf") == 0 ||
                  (strncmp(name, "tokenizer", 9) == 0 && !fuzz_models[at].tokenizer)),
             GPT2_ERR_UNSUPPORTED);
    fuzz_may(writing.refused, GPT2_ERR_CANCELLED);
    ok = fuzz_result(status);
    if (line != NULL) {
        REQUIRE(line[line_size] == 'x', "found the line written at its end");
        if (line_size > 1)
            fuzz_check_line(line, ok);
    }
    if (is_native && (ok || writing.refused))
        check_written(at, &writing);
    else if (ok)
        REQUIRE(writing.n_bytes > 0, "found an empty file");
    else if (writing.refused)
        return;
    else
        REQUIRE(writing.n_calls == 0, "found a call of the callback");
}

/* ----------------------------------------------------------------------------------- opening -- */

void fuzz_natives_open(void)
{
    for (size_t i = 0; i < FUZZ_N_MODELS; i++) {
        struct native *native = &natives[i];
        struct writing writing = {.capacity = MOST_BYTES, .stop_at = SIZE_MAX};
        char line[200];
        FILE *file;

        writing.bytes = native->bytes = aligned_alloc(ALIGN_BYTES, MOST_BYTES);
        REQUIRE(native->bytes != NULL, "no memory for a test");
        REQUIRE(gpt2_model_write(fuzz_models[i].model, "native.safetensors", on_write, &writing,
                                 line, sizeof line) == GPT2_OK,
                "%s", line);
        native->n_bytes = writing.n_bytes;
        (void)snprintf(native->path, sizeof native->path, "%s.native", fuzz_models[i].directory);
        file = fopen(native->path, "wb");
        REQUIRE(file != NULL &&
                    fwrite(native->bytes, 1, native->n_bytes, file) == native->n_bytes &&
                    fclose(file) == 0,
                "%s cannot be written", native->path);
    }
}

void fuzz_natives_close(void)
{
    for (size_t i = 0; i < FUZZ_N_MODELS; i++)
        free(natives[i].bytes);
}

void fuzz_native_load(size_t at)
{
    const struct native *native = &natives[at];
    const gpt2_source source = {"native.safetensors", native->bytes, native->n_bytes, NULL, NULL};
    bool is_path = fuzz_chance(2);
    gpt2_model_params params;
    char line[512];
    int32_t status;

    (void)gpt2_model_params_init(&params, sizeof params);
    params.file_access = (int32_t)fuzz_below(2);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    fuzz_call(is_path ? FUZZ_gpt2_model_load : FUZZ_gpt2_model_load_sources, "%s, access %d",
              native->path, (int)params.file_access);
    status = is_path ? gpt2_model_load(native->path, &params, &fuzz_models[at].model)
                     : gpt2_model_load_sources(&source, 1, &params, &fuzz_models[at].model);
    REQUIRE(fuzz_result(status), "%s", line);
}

/* ----------------------------------------------------------------------------------- loading -- */

enum damage { WHOLE, DIRECTORY, WEIGHTS, SHORT };

static uint64_t directory_bytes(const struct native *native)
{
    uint64_t n;

    memcpy(&n, native->bytes + native->n_bytes - SUMS_BYTES, sizeof n);
    return n;
}

/* A copy in memory of the call, aligned or not, with a damage. */
static gpt2_source make_source(const struct native *native, enum damage damage)
{
    size_t n_bytes = damage == SHORT ? fuzz_below(native->n_bytes) : native->n_bytes;
    unsigned char *room = fuzz_temp(n_bytes + ALIGN_BYTES);
    unsigned char *bytes = room + (-(uintptr_t)room & (ALIGN_BYTES - 1));
    size_t n_directory = (size_t)directory_bytes(native);
    size_t at = n_directory + fuzz_below(native->n_bytes - SUMS_BYTES - n_directory);

    if (damage != WEIGHTS && fuzz_chance(3))
        bytes = room + fuzz_below(ALIGN_BYTES);
    memcpy(bytes, native->bytes, n_bytes);
    if (damage == DIRECTORY)
        at = fuzz_chance(4) ? n_bytes - SUMS_BYTES + fuzz_below(16) : fuzz_below(n_directory);
    if (damage == DIRECTORY || damage == WEIGHTS)
        bytes[at] ^= (unsigned char)(1 + fuzz_below(255));
    return (gpt2_source){"native.safetensors", bytes, n_bytes, NULL, NULL};
}

static enum damage random_damage(void)
{
    return fuzz_chance(2) ? WHOLE : (enum damage)fuzz_below(4);
}

static void may_be_damaged(enum damage damage, bool is_read_whole)
{
    fuzz_may(damage == DIRECTORY || damage == SHORT || (damage == WEIGHTS && is_read_whole),
             GPT2_ERR_FORMAT);
    fuzz_may(damage == DIRECTORY, GPT2_ERR_UNSUPPORTED); /* the version may be the byte */
}

static int32_t memory_type(const gpt2_model *model)
{
    gpt2_model_info info = {.struct_size = sizeof info};

    REQUIRE(gpt2_model_get_info(model, &info) == GPT2_OK, "found no info");
    return info.memory_type;
}

static void check_loaded(size_t at, const gpt2_model *model)
{
    struct writing writing = {.capacity = natives[at].n_bytes, .stop_at = SIZE_MAX};

    writing.bytes = fuzz_temp(writing.capacity);
    REQUIRE(gpt2_model_write(model, "native.safetensors", on_write, &writing, NULL, 0) == GPT2_OK,
            "found that a loaded model cannot be written");
    check_written(at, &writing);
    REQUIRE((gpt2_model_tokenizer(model) != NULL) == fuzz_models[at].tokenizer,
            "found a tokenizer where there is none, or none");
}

static void do_native_model(void)
{
    static const int32_t odd_accesses[] = {-1, 2, INT32_MAX, INT32_MIN};
    size_t at = fuzz_below(FUZZ_N_MODELS);
    const struct native *native = &natives[at];
    bool is_path = fuzz_chance(3), ok;
    enum damage damage = is_path ? WHOLE : random_damage();
    int32_t access = GPT2_FILE_MAP, type = GPT2_TYPE_AS_FILE;
    gpt2_model *model = (gpt2_model *)natives, **out = fuzz_chance(24) ? NULL : &model;
    struct fuzz_params params;
    gpt2_source source;

    fuzz_call(is_path ? FUZZ_gpt2_model_load : FUZZ_gpt2_model_load_sources, " ");
    source = make_source(native, damage);
    params = fuzz_params_make(&fuzz_model_params);
    if (params.writable &&
        ((gpt2_model_params *)params.at)->struct_size >= sizeof(gpt2_model_params)) {
        gpt2_model_params *known = params.at;

        known->file_access = access = fuzz_chance(8) ? PICK(odd_accesses) : (int32_t)fuzz_below(2);
        fuzz_may(access < GPT2_FILE_MAP || access > GPT2_FILE_READ, GPT2_ERR_ARGUMENT);
        known->weight_type = type = fuzz_chance(4) ? (int32_t)fuzz_below(5) : GPT2_TYPE_AS_FILE;
        fuzz_may(type != GPT2_TYPE_AS_FILE && type != memory_type(fuzz_models[at].model),
                 GPT2_ERR_UNSUPPORTED);
    }
    may_be_damaged(damage, access != GPT2_FILE_MAP);
    fuzz_may(out == NULL, GPT2_ERR_ARGUMENT);
    fuzz_say("%s %s, damage %d, access %d, type %d, params %s, out %s", native->path,
             is_path ? "by path" : "in memory", (int)damage, (int)access, (int)type,
             params.at == NULL ? "NULL" : "given", out == NULL ? "NULL" : "given");
    ok = fuzz_result(is_path ? gpt2_model_load(native->path, params.at, out)
                             : gpt2_model_load_sources(&source, 1, params.at, out));
    fuzz_params_check(&params, ok);
    if (!ok) {
        REQUIRE(out == NULL || model == NULL, "found a model after a failure, expected NULL");
        return;
    }
    if (damage == WHOLE)
        check_loaded(at, model);
    gpt2_model_free(model);
}

/* The tokenizer alone, of a file that may have none.  The weights do not count. */
static void do_native_tokenizer(void)
{
    size_t at = fuzz_below(FUZZ_N_MODELS);
    const struct native *native = &natives[at];
    bool is_path = fuzz_chance(3), ok;
    enum damage damage = is_path ? WHOLE : random_damage();
    gpt2_tokenizer *tokenizer = (gpt2_tokenizer *)natives;
    struct fuzz_params params;
    gpt2_source source;

    fuzz_call(is_path ? FUZZ_gpt2_tokenizer_load : FUZZ_gpt2_tokenizer_load_sources, " ");
    source = make_source(native, damage);
    params = fuzz_params_make(&fuzz_tokenizer_params);
    may_be_damaged(damage, false);
    fuzz_may(!fuzz_models[at].tokenizer, GPT2_ERR_FORMAT);
    fuzz_say("%s %s, damage %d, params %s", native->path, is_path ? "by path" : "in memory",
             (int)damage, params.at == NULL ? "NULL" : "given");
    ok = fuzz_result(is_path ? gpt2_tokenizer_load(native->path, params.at, &tokenizer)
                             : gpt2_tokenizer_load_sources(&source, 1, params.at, &tokenizer));
    fuzz_params_check(&params, ok);
    if (!ok) {
        REQUIRE(tokenizer == NULL, "found a tokenizer after a failure, expected NULL");
        return;
    }
    REQUIRE(gpt2_tokenizer_n_vocab(tokenizer) ==
                gpt2_tokenizer_n_vocab(gpt2_model_tokenizer(fuzz_models[at].model)),
            "found %d ids", (int)gpt2_tokenizer_n_vocab(tokenizer));
    gpt2_tokenizer_free(tokenizer);
}

const struct fuzz_action fuzz_native_actions[] = {
    {do_model_write, 3},
    {do_native_model, 3},
    {do_native_tokenizer, 2},
    {NULL, 0},
};
