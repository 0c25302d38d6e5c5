/*
 * api_models.c: models: those that sessions run, and loading from good and broken folders.
 */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "../tiny_model.h"
#undef COUNT
#include "api.h"
#include "model/model.h"

#include <sys/stat.h>
#include <unistd.h>

struct fuzz_model fuzz_models[FUZZ_N_MODELS];

static uint64_t model_hashes[FUZZ_N_MODELS];
static uint64_t model_parameters[FUZZ_N_MODELS];

/* Folders that cannot be loaded, and what is then to be found. */
static const struct {
    const char *name;
    int32_t model_status;
    int32_t tokenizer_status;
} broken[] = {
    {"missing", GPT2_ERR_FILE, GPT2_ERR_FILE},   {"empty", GPT2_ERR_FILE, GPT2_ERR_FILE},
    {"config", GPT2_ERR_FORMAT, GPT2_OK},        {"activation", GPT2_ERR_UNSUPPORTED, GPT2_OK},
    {"short", GPT2_ERR_FORMAT, GPT2_OK},         {"without", GPT2_ERR_FORMAT, GPT2_OK},
    {"vocab", GPT2_ERR_FORMAT, GPT2_ERR_FORMAT}, {"merges", GPT2_OK, GPT2_ERR_FILE},
    {"folder", GPT2_ERR_FILE, GPT2_OK},
};

/* ----------------------------------------------------------------------------------- folders -- */

static void path_of(char path[200], const char *folder, const char *file)
{
    (void)snprintf(path, 200, FUZZ_DIRECTORY "/%s/%s", folder, file);
}

static void write_file(const char *folder, const char *file, const char *text)
{
    char path[200];
    FILE *out;

    path_of(path, folder, file);
    out = fopen(path, "w");
    REQUIRE(out != NULL && fputs(text, out) >= 0 && fclose(out) == 0, "%s cannot be written", path);
}

static void write_broken(void)
{
    (void)rmdir(FUZZ_DIRECTORY "/folder/model.safetensors"); /* of an earlier run */
    for (size_t i = 2; i < COUNT(broken); i++) {
        char directory[200];
        struct tiny_model file;

        path_of(directory, broken[i].name, "");
        directory[strlen(directory) - 1] = '\0';
        file = tiny_odd(directory);
        file.tokenizer = true;
        file.without = strcmp(broken[i].name, "without") == 0 ? "ln_f.weight" : NULL;
        tiny_write(&file);
    }
    (void)mkdir(FUZZ_DIRECTORY "/empty", 0777);
    write_file("config", "config.json", "{\"model_type\": \"gpt2\", \"n_embd\": 3");
    write_file("activation", "config.json",
               "{\"model_type\": \"gpt2\", \"vocab_size\": 97, \"n_positions\": 8, \"n_embd\": 35,"
               " \"n_layer\": 2, \"n_head\": 7, \"n_inner\": 50,"
               " \"activation_function\": \"relu6\"}");
    REQUIRE(truncate(FUZZ_DIRECTORY "/short/model.safetensors", 5000) == 0, "no truncate()");
    write_file("vocab", "vocab.json", "{\"a\": 0, \"b\": 0}");
    (void)unlink(FUZZ_DIRECTORY "/merges/merges.txt");
    (void)unlink(FUZZ_DIRECTORY "/folder/model.safetensors");
    (void)mkdir(FUZZ_DIRECTORY "/folder/model.safetensors", 0777);
    (void)mkdir(FUZZ_HOLES, 0777);
    write_file("holes", "vocab.json",
               "{\"a\": 0, \"b\": 2, \"c\": 5, \"ab\": 7, \"\xc4\xa0\": 8, \"\xc4\xa0\xc4\xa0\": 9,"
               " \"<|endoftext|>\": 10}");
    write_file("holes", "merges.txt", "#version: 0.2\na b\n\xc4\xa0 \xc4\xa0\n");
}

/* ------------------------------------------------------------------------------------ models -- */

/* Small, and all different: pages, heads, types, a head of its own, a tokenizer, no <|endoftext|>. */
static void describe(struct tiny_model files[FUZZ_N_MODELS])
{
    static const char *const directories[FUZZ_N_MODELS] = {
        FUZZ_DIRECTORY "/odd",   FUZZ_DIRECTORY "/point", FUZZ_DIRECTORY "/page",
        FUZZ_DIRECTORY "/pages", FUZZ_DIRECTORY "/half",  FUZZ_DIRECTORY "/infinite",
        FUZZ_DIRECTORY "/query", FUZZ_DIRECTORY "/heads",
    };

    for (size_t i = 0; i < FUZZ_N_MODELS; i++)
        files[i] = tiny_odd(directories[i]);
    files[0].tokenizer = true;

    files[1].n_vocab = 3; /* the smallest of all */
    files[1].n_positions = files[1].n_embd = files[1].n_layer = files[1].n_head = 1;
    files[1].n_inner = 2;
    files[1].eot = -1;

    files[2].n_vocab = 17; /* a page and a bit */
    files[2].n_positions = 70;
    files[2].n_embd = 6;
    files[2].n_layer = 1;
    files[2].n_head = 2;
    files[2].n_inner = 9;
    files[2].eot = -1;
    files[2].biases = TINY_BIASES_MISSING;

    files[3].n_vocab = 40; /* several pages */
    files[3].n_positions = 200;
    files[3].n_embd = 16;
    files[3].n_head = 2;
    files[3].n_inner = 40;
    files[3].eot = 7;
    files[3].untied = true;

    files[4].n_positions = 24; /* enough outputs for several threads */
    files[4].n_vocab = 130;
    files[4].n_embd = 48;
    files[4].n_head = 3;
    files[4].n_inner = 80;
    files[4].dtype = "F16";
    files[4].tokenizer = true;

    files[5].n_vocab = 33; /* logits of which some are infinite or NaN */
    files[5].n_positions = 12;
    files[5].n_embd = 20;
    files[5].n_head = 1;
    files[5].n_inner = 20;
    files[5].untied = true;
    files[5].head_exponent = 128;
    files[5].eot = -1;

    files[6].n_positions = 150; /* multi-query attention, with more heads than a tile has rows */
    files[6].n_embd = 60;
    files[6].n_head = 30;
    files[6].kv = TINY_KV_SHARED;
    files[6].bigcode = true;

    files[7].n_positions = 70; /* q, k and v head by head */
    files[7].n_embd = 20;
    files[7].n_head = 4;
    files[7].bigcode = true;
    files[7].untied = true;
    files[7].eot = -1;
}

static void load(struct fuzz_model *model)
{
    char line[512] = "";
    gpt2_model_params params;

    (void)gpt2_model_params_init(&params, sizeof params);
    params.n_threads = 1;
    params.weight_type = model->weight_type;
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    REQUIRE(gpt2_model_load(model->directory, &params, &model->model) == GPT2_OK, "%s", line);
}

/* The structs have pointers, which differ from load to load: the hash is of one load. */
static uint64_t hash_of(const struct fuzz_model *model)
{
    uint64_t structs = fuzz_hash(0, model->model, model->model->struct_bytes);

    if (model->model->weights == NULL)
        return fuzz_hash(structs, model->model->image.bytes, model->model->image.n_bytes);
    return fuzz_hash(structs, model->model->weights, model->model->weights_bytes);
}

void fuzz_models_open(void)
{
    struct tiny_model files[FUZZ_N_MODELS];

    (void)mkdir(TINY_DIRECTORY, 0777);
    (void)mkdir(FUZZ_DIRECTORY, 0777);
    describe(files);
    for (size_t i = 0; i < FUZZ_N_MODELS; i++) {
        const struct tiny_model *file = &files[i];
        int32_t n_kv_head = file->kv == TINY_KV_SHARED ? 1 : file->n_head;

        tiny_write(file);
        fuzz_models[i] = (struct fuzz_model){
            .directory = file->directory,
            .n_vocab = file->n_vocab,
            .n_positions = file->n_positions,
            .n_embd = file->n_embd,
            .n_layer = file->n_layer,
            .n_head = file->n_head,
            .n_kv_head = n_kv_head,
            .n_qkv = (file->n_head + 2 * n_kv_head) * (file->n_embd / file->n_head),
            .bigcode = file->bigcode,
            .n_inner = file->n_inner,
            .eot = file->eot,
            .tokenizer = file->tokenizer,
            .weight_type = i == 2   ? GPT2_TYPE_Q4
                           : i == 3 ? GPT2_TYPE_Q8
                                    : GPT2_TYPE_AS_FILE,
        };
        load(&fuzz_models[i]);
        model_hashes[i] = hash_of(&fuzz_models[i]);
        model_parameters[i] = fuzz_models[i].model->n_parameters;
    }
    write_broken();
}

void fuzz_models_check(void)
{
    for (size_t i = 0; i < FUZZ_N_MODELS; i++)
        REQUIRE(hash_of(&fuzz_models[i]) == model_hashes[i], "found the model %s changed",
                fuzz_models[i].directory);
}

void fuzz_models_close(void)
{
    for (size_t i = 0; i < FUZZ_N_MODELS; i++)
        gpt2_model_free(fuzz_models[i].model);
}

static void do_get_info(void)
{
    static const size_t sizes[] = {0, 4, 63, 64, 65, 200, 4096, 4097, UINT32_MAX};
    size_t at = fuzz_below(FUZZ_N_MODELS);
    const struct fuzz_model *model = &fuzz_models[at];
    const gpt2_model *handle = fuzz_chance(12) ? NULL : model->model;
    size_t size = fuzz_chance(3) ? PICK(sizes) : sizeof(gpt2_model_info);
    bool fits = size >= 64 && size <= 4096; /* 64 bytes in release 0.1 */
    gpt2_model_info *info = NULL;
    gpt2_model_info before, found = {0};

    fuzz_call(FUZZ_gpt2_model_get_info, "%s, size %zu", handle == NULL ? "NULL" : model->directory,
              size);
    fuzz_may(handle == NULL || !fits, GPT2_ERR_ARGUMENT);
    if (fuzz_chance(20)) {
        fuzz_may(true, GPT2_ERR_ARGUMENT);
    } else {
        info = fuzz_temp(fits && size > sizeof *info ? size : sizeof *info);
        memset(info, 0xa5, fits ? size : sizeof *info);
        info->struct_size = (uint32_t)size;
        before = *info;
    }
    if (!fuzz_result(gpt2_model_get_info(handle, info))) {
        REQUIRE(info == NULL || memcmp(info, &before, sizeof before) == 0,
                "found info changed by a call that failed");
        return;
    }
    memcpy(&found, info, size < sizeof found ? size : sizeof found);
    REQUIRE(found.struct_size == size && found.n_vocab == model->n_vocab &&
                found.n_positions == model->n_positions && found.n_embd == model->n_embd &&
                found.n_layer == model->n_layer && found.n_head == model->n_head &&
                (size < offsetof(gpt2_model_info, n_kv_head) + 4 ||
                 found.n_kv_head == model->n_kv_head) &&
                found.n_inner == model->n_inner && found.eot_token == model->eot &&
                found.n_parameters == model_parameters[at] && found.memory_bytes > 0,
            "found numbers that are not the model's");
    for (size_t i = sizeof found; i < size; i++)
        REQUIRE(((const char *)info)[i] == 0, "found byte %zu set", i);
}

static void do_model_tensor(void)
{
    const struct fuzz_model *model = &PICK(fuzz_models);
    const int64_t n_embd = model->n_embd;
    const int64_t n_inner = model->n_inner;
    const int64_t n_qkv = model->n_qkv;
    const bool is_out_in = model->bigcode;
    const struct {
        const char *name;
        int64_t shape[2];
    } tensors[] = {
        {"wte.weight", {model->n_vocab, n_embd}},
        {"transformer.wpe.weight", {model->n_positions, n_embd}},
        {"h.0.attn.c_attn.weight", {is_out_in ? n_qkv : n_embd, is_out_in ? n_embd : n_qkv}},
        {"transformer.h.0.mlp.c_proj.weight",
         {is_out_in ? n_embd : n_inner, is_out_in ? n_inner : n_embd}},
        {"h.0.mlp.c_fc.bias", {n_inner, 1}},
        {"lm_head.weight", {model->n_vocab, n_embd}},
        {"h.99.ln_1.weight", {-1, -1}},
        {"", {-1, -1}},
    };
    size_t at = fuzz_below(COUNT(tensors));
    const gpt2_model *handle = fuzz_chance(12) ? NULL : model->model;
    const char *name = fuzz_chance(24) ? NULL : tensors[at].name;
    size_t n = (size_t)(tensors[at].shape[0] * tensors[at].shape[1]);
    size_t room = fuzz_chance(4) ? fuzz_below(n + 2) : n;
    bool is_shape = fuzz_chance(4);
    float *values = NULL;
    int64_t shape[2] = {-2, -3};
    char *line;

    fuzz_call(FUZZ_gpt2_model_tensor, "%s, %s, room for %zu",
              handle == NULL ? "NULL" : model->directory, name == NULL ? "NULL" : name, room);
    fuzz_may(handle == NULL || name == NULL || tensors[at].shape[0] < 0, GPT2_ERR_ARGUMENT);
    fuzz_may(!is_shape && room < n, GPT2_ERR_ARGUMENT);
    line = fuzz_temp(100);
    if (!is_shape) {
        values = fuzz_temp((room + 1) * sizeof *values);
        memset(values, 0xa5, (room + 1) * sizeof *values);
    }
    if (!fuzz_result(gpt2_model_tensor(handle, name, shape, values, room, line, 100))) {
        fuzz_check_line(line, false);
        REQUIRE(shape[0] == -2 && shape[1] == -3, "found the shape changed");
        n = 0;
    } else {
        REQUIRE(memcmp(shape, tensors[at].shape, sizeof shape) == 0, "found another shape");
    }
    for (size_t i = values == NULL ? room + 1 : n; i <= room; i++) {
        uint32_t bits;

        memcpy(&bits, &values[i], sizeof bits);
        REQUIRE(bits == 0xa5a5a5a5u, "found float %zu of %zu written", i, n);
    }
}

/* A model's tokenizer, which decodes every id of the model, those beyond its vocabulary to nothing. */
static void do_model_tokenizer(void)
{
    const struct fuzz_model *model = &PICK(fuzz_models);
    bool none = fuzz_chance(4);
    int32_t id = (int32_t)fuzz_below((size_t)model->n_vocab + 2);
    const gpt2_tokenizer *tokenizer;
    const char *bytes;
    size_t n_bytes;

    fuzz_call(FUZZ_gpt2_model_tokenizer, "%s", none ? "NULL" : model->directory);
    tokenizer = gpt2_model_tokenizer(none ? NULL : model->model);
    REQUIRE((tokenizer != NULL) == (!none && model->tokenizer),
            "found a tokenizer where there is none, or none");
    fuzz_call(FUZZ_gpt2_model_tokenizer_error, "%s", none ? "NULL" : model->directory);
    REQUIRE(strcmp(gpt2_model_tokenizer_error(none ? NULL : model->model), "") == 0,
            "found a line about a tokenizer");
    if (tokenizer == NULL)
        return;
    fuzz_call(FUZZ_gpt2_tokenizer_token_bytes, "that of %s, id %d", model->directory, (int)id);
    fuzz_may(id >= model->n_vocab, GPT2_ERR_TOKEN);
    if (fuzz_result(gpt2_tokenizer_token_bytes(tokenizer, id, &bytes, &n_bytes)))
        REQUIRE((n_bytes > 0) == (id < 97) && bytes != NULL, "found %zu bytes", n_bytes);
}

/* A path, and the status that its folder is to give; text_status is gpt2_tokenizer_load()'s. */
static const char *random_path(int32_t *model_status, int32_t *text_status)
{
    size_t i = fuzz_below(COUNT(broken));
    char *path = fuzz_temp(9000);

    if (fuzz_chance(10)) {
        *model_status = *text_status = GPT2_ERR_ARGUMENT;
        return NULL;
    }
    if (fuzz_chance(10)) {
        size_t length = fuzz_below(9000);

        *model_status = *text_status = GPT2_ERR_FILE;
        memset(path, 'p', length);
        path[length] = '\0';
        return path;
    }
    if (fuzz_chance(3)) {
        size_t at = fuzz_below(FUZZ_N_MODELS);

        *model_status = GPT2_OK;
        *text_status = fuzz_models[at].tokenizer ? GPT2_OK : GPT2_ERR_FILE;
        (void)strcpy(path, fuzz_models[at].directory);
        return path;
    }
    *model_status = broken[i].model_status;
    *text_status = broken[i].tokenizer_status;
    path_of(path, broken[i].name, "");
    return path;
}

static void do_model_load(void)
{
    static const int32_t odd_threads[] = {-1, 257, INT32_MAX, INT32_MIN};
    static const int32_t odd_types[] = {-2, 3, INT32_MAX, INT32_MIN};
    gpt2_model *model = (gpt2_model *)fuzz_models, **out = fuzz_chance(16) ? NULL : &model;
    struct fuzz_params params;
    int32_t status, unused;
    const char *path;
    bool ok;

    fuzz_call(FUZZ_gpt2_model_load, " ");
    path = random_path(&status, &unused);
    params = fuzz_params_make(&fuzz_model_params);
    if (params.writable) {
        gpt2_model_params *known = params.at;

        known->n_threads = fuzz_chance(8) ? PICK(odd_threads) : 1 + (int32_t)fuzz_below(3);
        fuzz_may(known->n_threads < 0 || known->n_threads > 256, GPT2_ERR_ARGUMENT);
        if (known->struct_size >= sizeof *known) {
            known->weight_type = fuzz_chance(8) ? PICK(odd_types) : (int32_t)fuzz_below(6) - 1;
            fuzz_may(known->weight_type < -1 || known->weight_type > 4, GPT2_ERR_ARGUMENT);
            fuzz_may(known->weight_type != GPT2_TYPE_F32 && known->weight_type != GPT2_TYPE_BF16 &&
                         known->weight_type != GPT2_TYPE_AS_FILE && path != NULL &&
                         strcmp(path, fuzz_models[5].directory) == 0,
                     GPT2_ERR_UNSUPPORTED); /* its head is beyond F16 and scales of F16 */
            known->file_access = fuzz_chance(8) ? PICK(odd_types) : (int32_t)fuzz_below(2);
            fuzz_may(known->file_access < 0 || known->file_access > 1, GPT2_ERR_ARGUMENT);
            known->shortlist = fuzz_chance(8) ? PICK(odd_types) : (int32_t)fuzz_below(2);
            fuzz_may(known->shortlist < 0 || known->shortlist > 1, GPT2_ERR_ARGUMENT);
        }
    }
    fuzz_may(status != GPT2_OK, status);
    fuzz_may(out == NULL, GPT2_ERR_ARGUMENT);
    fuzz_say("path %.80s, params %s, out %s", path == NULL ? "NULL" : path,
             params.at == NULL ? "NULL" : "given", out == NULL ? "NULL" : "given");
    ok = fuzz_result(gpt2_model_load(path, params.at, out));
    fuzz_params_check(&params, ok);
    if (ok) {
        fuzz_call(FUZZ_gpt2_model_free, "a model just loaded");
        gpt2_model_free(model);
    } else if (out != NULL) {
        REQUIRE(model == NULL, "found a model after a failure, expected NULL");
    }
}

static void do_tokenizer_load(void)
{
    gpt2_tokenizer *tokenizer = (gpt2_tokenizer *)fuzz_models;
    gpt2_tokenizer **out = fuzz_chance(16) ? NULL : &tokenizer;
    struct fuzz_params params;
    int32_t status, unused;
    const char *path;
    bool ok;

    fuzz_call(FUZZ_gpt2_tokenizer_load, " ");
    path = random_path(&unused, &status);
    params = fuzz_params_make(&fuzz_tokenizer_params);
    if (params.writable && fuzz_chance(8)) {
        ((gpt2_tokenizer_params *)params.at)->reserved = 1u << fuzz_below(32);
        fuzz_may(true, GPT2_ERR_ARGUMENT);
    }
    fuzz_may(status != GPT2_OK, status);
    fuzz_may(out == NULL, GPT2_ERR_ARGUMENT);
    fuzz_say("path %.80s, params %s, out %s", path == NULL ? "NULL" : path,
             params.at == NULL ? "NULL" : "given", out == NULL ? "NULL" : "given");
    ok = fuzz_result(gpt2_tokenizer_load(path, params.at, out));
    fuzz_params_check(&params, ok);
    if (ok) {
        fuzz_call(FUZZ_gpt2_tokenizer_free, "a tokenizer just loaded");
        gpt2_tokenizer_free(tokenizer);
    } else if (out != NULL) {
        REQUIRE(tokenizer == NULL, "found a tokenizer after a failure, expected NULL");
    }
}

/*
 * The models that no session uses are loaded anew: sessions then meet one at another address, or in a
 * native file.
 */
static void do_reload(void)
{
    size_t at = fuzz_below(FUZZ_N_MODELS);
    struct fuzz_model *model = &fuzz_models[at];

    fuzz_call(FUZZ_gpt2_model_free, "%s", model->n_sessions == 0 ? model->directory : "NULL");
    if (model->n_sessions > 0) {
        gpt2_model_free(NULL);
        return;
    }
    REQUIRE(hash_of(model) == model_hashes[at], "found the model %s changed", model->directory);
    gpt2_model_free(model->model);
    if (fuzz_chance(2)) {
        fuzz_native_load(at);
    } else {
        fuzz_call(FUZZ_gpt2_model_load, "%s", model->directory);
        load(model);
    }
    model_hashes[at] = hash_of(model);
}

const struct fuzz_action fuzz_model_actions[] = {
    {do_get_info, 20},  {do_model_tokenizer, 10}, {do_model_tensor, 10},
    {do_model_load, 2}, {do_tokenizer_load, 2},   {do_reload, 1},
    {NULL, 0},
};
