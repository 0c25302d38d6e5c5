/*
 * test_gguf.c: models in GGUF files: the same as from model.safetensors, from a file, memory and a
 * callback; files that are cut, changed and hostile.
 */
#include "gguf_file.h"

#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY TINY_DIRECTORY "/gguf"

static char line[512];

/* The hash of all logits of a text that fills the context. */
static uint64_t run(const gpt2_model *model)
{
    gpt2_session *session = tiny_session(model, GPT2_CPU_ALL, 1, 256);
    gpt2_model_info info;
    int32_t ids[200];
    uint64_t hash;
    size_t n;

    assert_int_equal(gpt2_model_info_init(&info, sizeof info), GPT2_OK);
    assert_int_equal(gpt2_model_get_info(model, &info), GPT2_OK);
    n = (size_t)info.n_positions < COUNT(ids) ? (size_t)info.n_positions : COUNT(ids);
    tiny_ids(ids, n, info.n_vocab);
    hash = tiny_run(session, ids, n, n, 0);
    gpt2_session_free(session);
    return hash;
}

static gpt2_model *load(const struct gguf_file *file, int32_t weight_type)
{
    gpt2_model *model;

    if (gguf_load(file, weight_type, &model, line, sizeof line) != GPT2_OK)
        fail_msg("%s", line);
    return model;
}

/* -------------------------------------------------------------------------------- the same model -- */

/* Both models have the same native file, so the same config, numbers and types. */
static int32_t keep(void *user, const void *bytes, size_t n_bytes)
{
    gguf_put(user, bytes, n_bytes);
    return 0;
}

static void check_same(const gpt2_model *a, const gpt2_model *b)
{
    struct gguf_bytes native[2] = {{0}};

    assert_int_equal(gpt2_model_write(a, "native.safetensors", keep, &native[0], line, sizeof line),
                     GPT2_OK);
    assert_int_equal(gpt2_model_write(b, "native.safetensors", keep, &native[1], line, sizeof line),
                     GPT2_OK);
    assert_int_equal(native[0].n, native[1].n);
    assert_memory_equal(native[0].at, native[1].at, native[0].n);
    assert_true(run(a) == run(b));
    free(native[0].at);
    free(native[1].at);
}

static void test_same_model(void **state)
{
    static const struct {
        const char *dtype;
        uint32_t type;
        bool untied;
        bool shared; /* keys and values: a starcoder */
    } cases[] = {
        {"F32", GGML_F32, false, false},   {"F16", GGML_F16, false, false},
        {"BF16", GGML_BF16, false, false}, {"F32", GGML_F32, true, false},
        {"F16", GGML_F16, true, false},    {"F32", GGML_F32, false, true},
        {"BF16", GGML_BF16, true, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tiny_model tiny = tiny_odd(DIRECTORY);
        struct gguf_file file = gguf_begin();
        gpt2_model *model, *same;

        tiny.dtype = cases[i].dtype;
        tiny.untied = cases[i].untied;
        tiny.bigcode = cases[i].shared;
        tiny.kv = cases[i].shared ? TINY_KV_SHARED : TINY_KV_EACH;
        model = tiny_load(&tiny);
        gguf_add_model(&file, model, cases[i].type);
        for (file.version = 2; file.version <= 3; file.version++) {
            gguf_end(&file);
            same = load(&file, GPT2_TYPE_AS_FILE);
            check_same(model, same);
            gpt2_model_free(same);
        }
        gpt2_model_free(model);
        gguf_free(&file);
    }
}

/* ----------------------------------------------------------------------------- where it is -- */

static void write_file(const char *path, const struct gguf_bytes *bytes, size_t n)
{
    FILE *file;

    (void)mkdir(TINY_DIRECTORY, 0777);
    (void)mkdir(DIRECTORY, 0777);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes->at, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static int32_t load_path(const char *path, gpt2_model **model)
{
    gpt2_model_params params;

    assert_int_equal(gpt2_model_params_init(&params, sizeof params), GPT2_OK);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    return gpt2_model_load(path, &params, model);
}

/* Gives a few bytes at a time. */
static int32_t read_some(void *user, uint64_t offset, void *bytes, size_t capacity, size_t *n_read)
{
    const struct gguf_bytes *file = user;

    assert_true(offset <= file->n);
    *n_read = file->n - (size_t)offset;
    if (*n_read > capacity)
        *n_read = capacity;
    if (*n_read > 1000)
        *n_read = 1000;
    memcpy(bytes, file->at + offset, *n_read);
    return 0;
}

static void test_places(void **state)
{
    static const char *const paths[] = {DIRECTORY "/model.gguf", DIRECTORY, DIRECTORY "/any-name"};
    struct tiny_model tiny = tiny_odd(DIRECTORY);
    struct gguf_file file = gguf_begin();
    gpt2_model *model = tiny_load(&tiny), *same;
    gpt2_source source = {"model.gguf", NULL, 0, read_some, &file.all};

    (void)state;
    gguf_add_model(&file, model, GGML_F32);
    gguf_end(&file);
    tiny_remove(DIRECTORY);
    write_file(paths[0], &file.all, file.all.n);
    write_file(paths[2], &file.all, file.all.n);
    for (size_t i = 0; i < COUNT(paths); i++) {
        if (load_path(paths[i], &same) != GPT2_OK)
            fail_msg("%s", line);
        check_same(model, same);
        gpt2_model_free(same);
    }
    source.n_bytes = file.all.n;
    assert_int_equal(gpt2_model_load_sources(&source, 1, NULL, &same), GPT2_OK);
    check_same(model, same);
    gpt2_model_free(same);

    write_file(paths[2], &file.all, 100);
    assert_int_equal(load_path(paths[2], &same), GPT2_ERR_FORMAT);
    tiny_check_says(line, "any-name: ");
    write_file(paths[2], &file.all, 3); /* too short to be told from a native file */
    assert_int_equal(load_path(paths[2], &same), GPT2_ERR_FORMAT);
    tiny_check_says(line, "any-name: has 3 bytes");
    assert_int_equal(unlink(paths[0]) | unlink(paths[2]), 0);
    gpt2_model_free(model);
    gguf_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_model),
        cmocka_unit_test(test_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
