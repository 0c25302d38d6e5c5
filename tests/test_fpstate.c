/*
 * test_fpstate.c: a callback is the host's code: it runs in the host's floating-point state, may
 * change that state, and changes no bit by doing so.
 */
#include "tiny_model.h"
#include "model/model.h"

#include <fenv.h>

struct watcher {
    int leave; /* the rounding that the callback leaves behind */
    int found; /* the one it finds at its first call, then those that differ from what it left */
    int n_calls;
    int n_strange;
};

/* What every callback here does: it looks at the state that the one before it left. */
static int32_t watch_state(struct watcher *watcher)
{
    if (watcher->n_calls++ == 0)
        watcher->found = tiny_rounding();
    else if (tiny_rounding() != watcher->leave)
        watcher->n_strange++;
    return fesetround(watcher->leave) != 0;
}

static int32_t watch(void *user, const gpt2_tap *tap)
{
    (void)tap;
    return watch_state(user);
}

static void test_callback_has_the_hosts_state(void **state)
{
    struct tiny_text text;
    struct tiny_model file = tiny_odd(TINY_DIRECTORY "/fpstate");

    (void)state;
    tiny_text_begin(&text, &file);
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
        gpt2_session *session = tiny_session(text.model, GPT2_CPU_ALL, n_threads, 256);
        struct watcher watcher = {.leave = FE_UPWARD};

        assert_int_equal(gpt2_session_set_tap(session, watch, &watcher, GPT2_TAP_ALL), GPT2_OK);
        assert_int_equal(fesetround(FE_TOWARDZERO), 0);
        assert_true(tiny_run(session, text.ids, text.n_ids, text.n_ids, 0) == text.hash);
        assert_int_equal(tiny_rounding(), FE_UPWARD);
        assert_int_equal(fesetround(FE_TONEAREST), 0);
        assert_int_equal(watcher.found, FE_TOWARDZERO);
        assert_int_equal(watcher.n_strange, 0);
        assert_true(watcher.n_calls > GPT2_TAP_COUNT);
        gpt2_session_free(session);
    }
    gpt2_model_free(text.model);
}

#define DIRECTORY TINY_DIRECTORY "/fpstate-load"

static int32_t watch_progress(void *user, uint64_t n_bytes_done, uint64_t n_bytes_total)
{
    (void)n_bytes_done;
    (void)n_bytes_total;
    return watch_state(user);
}

struct watched_file {
    struct watcher *watcher;
    FILE *stream;
};

static int32_t watch_read(void *user, uint64_t offset, void *bytes, size_t capacity, size_t *n_read)
{
    struct watched_file *file = user;

    if (fseek(file->stream, (long)offset, SEEK_SET) != 0)
        return 1;
    *n_read = fread(bytes, 1, capacity, file->stream);
    return watch_state(file->watcher);
}

static void test_load_callbacks_have_the_hosts_state(void **state)
{
    static const char *const names[] = {"config.json", "model.safetensors"};
    struct watcher watcher = {.leave = FE_UPWARD};
    struct watched_file files[COUNT(names)];
    gpt2_source sources[COUNT(names)];
    gpt2_model_info info, wanted_info;
    struct tiny_text text;
    struct tiny_model file = tiny_odd(DIRECTORY);
    gpt2_model_params params;
    gpt2_session *session;
    gpt2_model *model;

    (void)state;
    file.dtype = "F64"; /* whose numbers are rounded */
    tiny_text_begin(&text, &file);
    memset(sources, 0, sizeof sources);
    for (size_t i = 0; i < COUNT(names); i++) {
        char path[256];
        long n_bytes;

        (void)snprintf(path, sizeof path, "%s/%s", DIRECTORY, names[i]);
        files[i].watcher = &watcher;
        files[i].stream = fopen(path, "rb");
        assert_non_null(files[i].stream);
        assert_int_equal(fseek(files[i].stream, 0, SEEK_END), 0);
        n_bytes = ftell(files[i].stream);
        assert_true(n_bytes > 0);
        sources[i].name = names[i];
        sources[i].n_bytes = (uint64_t)n_bytes;
        sources[i].read = watch_read;
        sources[i].user = &files[i];
    }
    (void)gpt2_model_params_init(&params, sizeof params);
    params.progress = watch_progress;
    params.progress_user = &watcher;
    assert_int_equal(fesetround(FE_TOWARDZERO), 0);
    assert_int_equal(gpt2_model_load_sources(sources, COUNT(sources), &params, &model), GPT2_OK);
    assert_int_equal(tiny_rounding(), FE_UPWARD);
    assert_int_equal(fesetround(FE_TONEAREST), 0);
    assert_int_equal(watcher.found, FE_TOWARDZERO);
    assert_int_equal(watcher.n_strange, 0);
    assert_true(watcher.n_calls > 3);
    (void)gpt2_model_info_init(&info, sizeof info);
    (void)gpt2_model_info_init(&wanted_info, sizeof wanted_info);
    assert_int_equal(gpt2_model_get_info(model, &info), GPT2_OK);
    assert_int_equal(gpt2_model_get_info(text.model, &wanted_info), GPT2_OK);
    assert_memory_equal(&info.layer_norm_epsilon, &wanted_info.layer_norm_epsilon, sizeof(float));
    session = tiny_session(model, GPT2_CPU_ALL, 1, 256);
    assert_true(tiny_run(session, text.ids, text.n_ids, text.n_ids, 0) == text.hash);
    gpt2_session_free(session);
    gpt2_model_free(model);
    gpt2_model_free(text.model);
    for (size_t i = 0; i < COUNT(files); i++)
        (void)fclose(files[i].stream);
}

static int32_t watch_write(void *user, const void *bytes, size_t n_bytes)
{
    (void)bytes;
    (void)n_bytes;
    return watch_state(user);
}

/* test_native.c compares the file that is written under another rounding. */
static void test_write_callback_has_the_hosts_state(void **state)
{
    struct watcher watcher = {.leave = FE_UPWARD};
    struct tiny_model file = tiny_odd(DIRECTORY);
    gpt2_model *model = tiny_load(&file);

    (void)state;
    assert_int_equal(fesetround(FE_TOWARDZERO), 0);
    assert_int_equal(gpt2_model_write(model, "native.safetensors", watch_write, &watcher, NULL, 0),
                     GPT2_OK);
    assert_int_equal(tiny_rounding(), FE_UPWARD);
    assert_int_equal(fesetround(FE_TONEAREST), 0);
    assert_int_equal(watcher.found, FE_TOWARDZERO);
    assert_int_equal(watcher.n_strange, 0);
    assert_true(watcher.n_calls > 2);
    gpt2_model_free(model);
}

static gpt2_model *load_quantised(int32_t type, int rounding)
{
    gpt2_model_params params;
    gpt2_model *model;

    (void)gpt2_model_params_init(&params, sizeof params);
    params.weight_type = type;
    assert_int_equal(fesetround(rounding), 0);
    assert_int_equal(gpt2_model_load(DIRECTORY, &params, &model), GPT2_OK);
    assert_int_equal(tiny_rounding(), rounding);
    assert_int_equal(fesetround(FE_TONEAREST), 0);
    return model;
}

/* Weights are quantised alike whatever the host's rounding is. */
static void test_quantising(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);

    (void)state;
    tiny_write(&file);
    for (int32_t type = GPT2_TYPE_Q8; type <= GPT2_TYPE_Q4; type++) {
        gpt2_model *model = load_quantised(type, FE_TONEAREST);
        gpt2_model *other = load_quantised(type, FE_UPWARD);

        assert_int_equal(model->weights_bytes, other->weights_bytes);
        assert_memory_equal(model->weights, other->weights, model->weights_bytes);
        gpt2_model_free(model);
        gpt2_model_free(other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_callback_has_the_hosts_state),
        cmocka_unit_test(test_quantising),
        cmocka_unit_test(test_load_callbacks_have_the_hosts_state),
        cmocka_unit_test(test_write_callback_has_the_hosts_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
