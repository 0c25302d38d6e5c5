/*
 * test_cost.c: what loading costs where a file is made to cost much: time, and memory beside the
 * model.
 *
 * WRAP := mmap mmap64 munmap
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "mapped.h"
#include "tiny_model.h"

#include <time.h>

#define DIRECTORY TINY_DIRECTORY "/cost"

static gpt2_model *load(int32_t n_threads)
{
    gpt2_model_params params;
    gpt2_model *model;
    char line[512] = "";

    assert_int_equal(gpt2_model_params_init(&params, sizeof params), GPT2_OK);
    params.n_threads = n_threads;
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    if (gpt2_model_load(DIRECTORY, &params, &model) != GPT2_OK)
        fail_msg("%s", line);
    return model;
}

/* 256 threads, and rows as wide as the limits allow: 12 MB of weights. */
static void test_memory_of_wide_rows(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    gpt2_model_info info = {.struct_size = sizeof info};
    gpt2_model *model;

    (void)state;
    file.n_embd = 1;
    file.n_head = 1;
    file.n_layer = 1;
    file.n_inner = 1 << 20;
    file.dtype = "F16";
    tiny_write(&file);
    atomic_store(&mapped_bytes, 0);
    atomic_store(&max_mapped_bytes, 0);
    model = load(256);
    assert_int_equal(gpt2_model_get_info(model, &info), GPT2_OK);
    gpt2_model_free(model);
    print_message("  a model of %.0f MB: at most %.0f MB while 256 threads load it\n",
                  1e-6 * (double)info.memory_bytes, 1e-6 * (double)atomic_load(&max_mapped_bytes));
    assert_in_range(atomic_load(&max_mapped_bytes), 1, 4 * info.memory_bytes);
    assert_int_equal(atomic_load(&mapped_bytes), 0);
}

static double load_seconds(int32_t n_layer)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    struct timespec start, end;
    double least = 1e9;

    file.n_embd = file.n_head = file.n_inner = 1;
    file.n_layer = n_layer;
    tiny_write(&file);
    for (int round = 0; round < 3; round++) {
        double seconds;

        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
        gpt2_model_free(load(1));
        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
        seconds =
            (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
        least = seconds < least ? seconds : least;
    }
    return least;
}

/* 8 times the layers take some 8 times as long, not 64 times. */
static void test_time_of_many_layers(void **state)
{
    double few = load_seconds(128);
    double many = load_seconds(1024);

    (void)state;
    print_message("  128 layers load in %.1f ms, 1024 in %.1f ms\n", 1e3 * few, 1e3 * many);
    assert_true(many < 24.0 * few);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_of_wide_rows),
        cmocka_unit_test(test_time_of_many_layers),
    };

    return cmocka_run_group_tests_name("cost", tests, NULL, NULL);
}
