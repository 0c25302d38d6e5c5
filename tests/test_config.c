/*
 * test_config.c: config.json: defaults, the variants that are run, and those refused by name.
 *
 * WRAP := mmap mmap64 munmap
 */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bounds.h"
#include "model/config.h"
#include "paths.h"
#include "scratch.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define SCRATCH      SCRATCH_DIRECTORY "/config-scratch"

static char line[1024];
static struct gpt2i_error error = {line, sizeof line};

static const struct gpt2i_config defaults = {
    .n_vocab = 50257,
    .n_positions = 1024,
    .n_embd = 768,
    .n_layer = 12,
    .n_head = 12,
    .n_inner = 3072,
    .activation_function = GPT2_ACT_GELU_NEW,
    .layer_norm_epsilon = 1e-5f,
    .scale_attn_weights = true,
    .tie_word_embeddings = true,
    .eos_token_id = -1,
};

static int remove_scratch(void **state)
{
    (void)state;
    (void)unlink(SCRATCH);
    return 0;
}

static int32_t read_text(const char *text, struct gpt2i_config *config)
{
    const gpt2_source source = {.name = "config.json", .bytes = text, .n_bytes = strlen(text)};
    const struct gpt2i_files files = {.list = &source, .n_list = 1};

    memset(config, 0x5a, sizeof *config);
    line[0] = '\0';
    return BOUNDED(gpt2i_config_read(config, &files, &error));
}

static void check_equal(const struct gpt2i_config *found, const struct gpt2i_config *wanted)
{
    assert_int_equal(found->n_vocab, wanted->n_vocab);
    assert_int_equal(found->n_positions, wanted->n_positions);
    assert_int_equal(found->n_embd, wanted->n_embd);
    assert_int_equal(found->n_layer, wanted->n_layer);
    assert_int_equal(found->n_head, wanted->n_head);
    assert_int_equal(found->n_kv_head, wanted->n_kv_head == 0 ? found->n_head : wanted->n_kv_head);
    assert_int_equal(found->is_bigcode, wanted->is_bigcode);
    assert_int_equal(found->n_inner, wanted->n_inner);
    assert_int_equal(found->activation_function, wanted->activation_function);
    assert_true(found->layer_norm_epsilon == wanted->layer_norm_epsilon);
    assert_int_equal(found->scale_attn_weights, wanted->scale_attn_weights);
    assert_int_equal(found->scale_attn_by_inverse_layer_idx,
                     wanted->scale_attn_by_inverse_layer_idx);
    assert_int_equal(found->tie_word_embeddings, wanted->tie_word_embeddings);
    assert_int_equal(found->eos_token_id, wanted->eos_token_id);
}

static void check_text(const char *text, const struct gpt2i_config *wanted)
{
    struct gpt2i_config config;

    if (read_text(text, &config) != GPT2_OK)
        fail_msg("%s: %s", text, line);
    check_equal(&config, wanted);
}

static void test_defaults(void **state)
{
    (void)state;
    check_text("{}", &defaults);
    check_text("{\"model_type\": \"gpt2\", \"n_inner\": null, \"n_ctx\": null, \"eos_token_id\": "
               "null, \"quantization_config\": null, \"add_cross_attention\": false, "
               "\"reorder_and_upcast_attn\": true, \"pruned_heads\": {}, \"torch_dtype\": \"x\", "
               "\"task_specific_params\": {\"n_head\": {\"n_layer\": [1, {}]}}}",
               &defaults);
}

/* Every key away from its default; escapes in keys and values; the last of two wins. */
static void test_values(void **state)
{
    static const struct gpt2i_config wanted = {
        .n_vocab = 100,
        .n_positions = 33,
        .n_embd = 30,
        .n_layer = 3,
        .n_head = 5,
        .n_inner = 77,
        .activation_function = GPT2_ACT_GELU_FAST,
        .layer_norm_epsilon = 0.25f,
        .scale_attn_weights = false,
        .scale_attn_by_inverse_layer_idx = true,
        .tie_word_embeddings = false,
        .eos_token_id = 99,
    };

    (void)state;
    check_text("{\"vocab_size\": 100, \"n_positions\": 33, \"n_ctx\": 44, \"n_embd\": 30, "
               "\"n_layer\": 7, \"n_layer\": 3, \"\\u006e_head\": 5, \"n_inner\": 77, "
               "\"activation_function\": \"gelu\\u005ffast\", \"layer_norm_epsilon\": 25e-2, "
               "\"scale_attn_weights\": false, \"scale_attn_by_inverse_layer_idx\": true, "
               "\"tie_word_embeddings\": false, \"eos_token_id\": [99, 3, 4], "
               "\"model_type\": \"gpt2\"}",
               &wanted);
}

static void test_variants(void **state)
{
    static const struct {
        const char *name;
        int32_t id;
    } activations[] = {
        {"gelu_new", GPT2_ACT_GELU_NEW},
        {"gelu", GPT2_ACT_GELU},
        {"gelu_fast", GPT2_ACT_GELU_FAST},
        {"gelu_pytorch_tanh", GPT2_ACT_GELU_PYTORCH_TANH},
        {"gelu_accurate", GPT2_ACT_GELU_NEW},
        {"gelu_python", GPT2_ACT_GELU},
        {"quick_gelu", GPT2_ACT_QUICK_GELU},
        {"relu", GPT2_ACT_RELU},
        {"silu", GPT2_ACT_SILU},
        {"swish", GPT2_ACT_SILU},
        {"tanh", GPT2_ACT_TANH},
        {"mish", GPT2_ACT_MISH},
    };
    static const struct {
        const char *text;
        int32_t eos;
    } ends[] = {
        {"50256", 50256}, {"0", 0},     {"50257", -1}, {"9000000000", -1},
        {"-1", -1},       {"[]", -1},   {"[7]", 7},    {"[50257, 3]", -1},
        {"[-1]", -1},     {"null", -1}, {"[7, 8]", 7},
    };
    struct gpt2i_config wanted = defaults;
    char text[200];

    (void)state;
    for (size_t i = 0; i < COUNT(activations); i++) {
        snprintf(text, sizeof text, "{\"activation_function\": \"%s\"}", activations[i].name);
        wanted.activation_function = activations[i].id;
        check_text(text, &wanted);
    }
    wanted = defaults;
    for (size_t i = 0; i < COUNT(ends); i++) {
        snprintf(text, sizeof text, "{\"eos_token_id\": %s}", ends[i].text);
        wanted.eos_token_id = ends[i].eos;
        check_text(text, &wanted);
    }
    wanted = defaults;
    wanted.n_positions = 44;
    check_text("{\"n_ctx\": 44}", &wanted);
    check_text("{\"n_positions\": 44, \"n_ctx\": 55}", &wanted);
    check_text("{\"max_position_embeddings\": 44, \"n_positions\": 55}", &wanted);
    wanted = defaults;
    wanted.n_embd = 24;
    wanted.n_inner = 96;
    wanted.n_head = 2;
    wanted.n_layer = 1;
    check_text("{\"hidden_size\": 24, \"num_attention_heads\": 2, \"num_hidden_layers\": 1, "
               "\"n_inner\": 7, \"n_inner\": null}",
               &wanted);
    wanted = defaults;
    wanted.n_vocab = 1 << 22;
    wanted.n_positions = 1 << 20;
    wanted.n_embd = 1 << 16;
    wanted.n_layer = 1 << 10;
    wanted.n_head = 1 << 16;
    wanted.n_inner = 1 << 20;
    check_text("{\"vocab_size\": 4194304, \"n_positions\": 1048576, \"n_embd\": 65536, "
               "\"n_layer\": 1024, \"n_head\": 65536, \"n_inner\": 1048576}",
               &wanted);
}

/* GPTBigCodeConfig has defaults of its own, wherever model_type stands. */
static void test_bigcode(void **state)
{
    struct gpt2i_config wanted = defaults;

    (void)state;
    wanted.is_bigcode = true;
    wanted.n_kv_head = 1;
    wanted.activation_function = GPT2_ACT_GELU_PYTORCH_TANH;
    check_text("{\"model_type\": \"gpt_bigcode\"}", &wanted);
    check_text("{\"multi_query\": true, \"attention_softmax_in_fp32\": true, "
               "\"scale_attention_softmax_in_fp32\": false, \"model_type\": \"gpt_bigcode\"}",
               &wanted);
    check_text("{\"scale_attn_by_inverse_layer_idx\": true, \"model_type\": \"gpt_bigcode\"}",
               &wanted);
    wanted.activation_function = GPT2_ACT_TANH;
    wanted.scale_attn_weights = false;
    check_text("{\"activation_function\": \"tanh\", \"scale_attn_weights\": false, "
               "\"model_type\": \"gpt_bigcode\"}",
               &wanted);
    wanted = defaults;
    wanted.is_bigcode = true;
    wanted.activation_function = GPT2_ACT_GELU_PYTORCH_TANH;
    check_text("{\"model_type\": \"gpt_bigcode\", \"multi_query\": false}", &wanted);
    wanted = defaults;
    check_text("{\"model_type\": \"gpt_bigcode\", \"model_type\": \"gpt2\"}", &wanted);
    wanted.n_kv_head = 1; /* a native file may have it so */
    check_text("{\"model_type\": \"gpt2\", \"multi_query\": true}", &wanted);
}

static const struct {
    const char *text;
    int32_t status;
    const char *says;
} refused[] = {
    {"", GPT2_ERR_FORMAT, "byte 0: the text ends"},
    {"[]", GPT2_ERR_FORMAT, "the file: found an array, wanted an object"},
    {"{", GPT2_ERR_FORMAT, "byte 1: wanted a key"},
    {"{} {}", GPT2_ERR_FORMAT, "byte 3: wanted nothing after"},
    {"{\"n_layer\": 2,}", GPT2_ERR_FORMAT, "wanted a key"},
    {"{\"x\": NaN}", GPT2_ERR_FORMAT, "wanted a value"},
    {"{\"model_type\": \"gpt_bigcode\", \"add_cross_attention\": true}", GPT2_ERR_UNSUPPORTED,
     "add_cross_attention: found true, wanted false"},
    {"{\"model_type\": \"gpt_bigcode\", \"multi_query\": 1}", GPT2_ERR_FORMAT,
     "multi_query: found 1, wanted true or false"},
    {"{\"model_type\": \"gpt_neo\"}", GPT2_ERR_UNSUPPORTED,
     "model_type: found \"gpt_neo\", wanted \"gpt2\" or \"gpt_bigcode\""},
    {"{\"model_type\": \"llama\"}", GPT2_ERR_UNSUPPORTED, "\"llama\""},
    {"{\"model_type\": 2}", GPT2_ERR_FORMAT, "model_type: found 2, wanted \"gpt2\""},
    {"{\"activation_function\": \"relu2\"}", GPT2_ERR_UNSUPPORTED,
     "activation_function: found \"relu2\", wanted gelu_new, gelu, gelu_fast, gelu_pytorch_tanh, "
     "gelu_accurate, gelu_python, quick_gelu, relu, silu, swish, tanh or mish"},
    {"{\"activation_function\": \"gelu_10\"}", GPT2_ERR_UNSUPPORTED, "found \"gelu_10\""},
    {"{\"activation_function\": \"\"}", GPT2_ERR_UNSUPPORTED, "found \"\", wanted gelu_new"},
    {"{\"activation_function\": null}", GPT2_ERR_FORMAT, "found null, wanted a string"},
    {"{\"add_cross_attention\": true}", GPT2_ERR_UNSUPPORTED,
     "add_cross_attention: found true, wanted false"},
    {"{\"quantization_config\": {\"bits\": 4}}", GPT2_ERR_UNSUPPORTED,
     "quantization_config: found an object, wanted none"},
    {"{\"pruned_heads\": {\"1\": [0]}}", GPT2_ERR_UNSUPPORTED, "pruned_heads: found"},
    {"{\"pruned_heads\": 1}", GPT2_ERR_FORMAT, "pruned_heads: found 1, wanted an object"},
    {"{\"n_layer\": \"12\"}", GPT2_ERR_FORMAT, "n_layer: found \"12\", wanted an integer"},
    {"{\"n_layer\": 12.0}", GPT2_ERR_FORMAT, "n_layer: found 12.0"},
    {"{\"n_layer\": -1}", GPT2_ERR_FORMAT, "n_layer: found -1"},
    {"{\"n_layer\": null}", GPT2_ERR_FORMAT, "n_layer: found null"},
    {"{\"n_layer\": [12]}", GPT2_ERR_FORMAT, "n_layer: found an array"},
    {"{\"n_layer\": 0}", GPT2_ERR_FORMAT, "n_layer: found 0, wanted 1 to 1024, a limit of libgpt2"},
    {"{\"n_layer\": 1025}", GPT2_ERR_FORMAT, "n_layer: found 1025"},
    {"{\"num_hidden_layers\": 1025}", GPT2_ERR_FORMAT, "num_hidden_layers: found 1025"},
    {"{\"n_layer\": 4294967297}", GPT2_ERR_FORMAT, "n_layer: found 4294967297"},
    {"{\"n_layer\": 99999999999999999999}", GPT2_ERR_FORMAT, "found 99999999999999999999"},
    {"{\"vocab_size\": 4194305}", GPT2_ERR_FORMAT, "vocab_size: found 4194305, wanted 1 to"},
    {"{\"vocab_size\": 0}", GPT2_ERR_FORMAT, "vocab_size: found 0"},
    {"{\"n_positions\": 1048577}", GPT2_ERR_FORMAT, "n_positions: found 1048577"},
    {"{\"n_ctx\": 0}", GPT2_ERR_FORMAT, "n_ctx: found 0"},
    {"{\"n_embd\": 65537}", GPT2_ERR_FORMAT, "n_embd: found 65537"},
    {"{\"n_inner\": 1048577}", GPT2_ERR_FORMAT, "n_inner: found 1048577"},
    {"{\"n_inner\": 0}", GPT2_ERR_FORMAT, "n_inner: found 0"},
    {"{\"n_head\": 7}", GPT2_ERR_FORMAT, "n_head: found 7, wanted a divisor of n_embd, 768"},
    {"{\"n_head\": 1536}", GPT2_ERR_FORMAT, "n_head: found 1536"},
    {"{\"n_head\": 0}", GPT2_ERR_FORMAT, "n_head: found 0"},
    {"{\"layer_norm_epsilon\": 0}", GPT2_ERR_FORMAT, "layer_norm_epsilon: found 0, wanted a posit"},
    {"{\"layer_norm_epsilon\": -1e-5}", GPT2_ERR_FORMAT, "layer_norm_epsilon: found -1e-5"},
    {"{\"layer_norm_epsilon\": 1e-60}", GPT2_ERR_FORMAT, "layer_norm_epsilon: found 1e-60"},
    {"{\"layer_norm_epsilon\": 1e39}", GPT2_ERR_FORMAT, "layer_norm_epsilon: found 1e39"},
    {"{\"layer_norm_epsilon\": 1e999}", GPT2_ERR_FORMAT, "layer_norm_epsilon: found 1e999"},
    {"{\"layer_norm_epsilon\": \"1e-5\"}", GPT2_ERR_FORMAT, "found \"1e-5\""},
    {"{\"layer_norm_epsilon\": null}", GPT2_ERR_FORMAT, "found null"},
    {"{\"tie_word_embeddings\": 1}", GPT2_ERR_FORMAT,
     "tie_word_embeddings: found 1, wanted true or false"},
    {"{\"scale_attn_weights\": \"true\"}", GPT2_ERR_FORMAT, "scale_attn_weights: found"},
    {"{\"scale_attn_by_inverse_layer_idx\": null}", GPT2_ERR_FORMAT, "inverse_layer_idx: found"},
    {"{\"add_cross_attention\": 0}", GPT2_ERR_FORMAT, "add_cross_attention: found 0"},
    {"{\"eos_token_id\": \"x\"}", GPT2_ERR_FORMAT, "eos_token_id: found \"x\""},
    {"{\"eos_token_id\": 1.5}", GPT2_ERR_FORMAT, "eos_token_id: found 1.5"},
    {"{\"eos_token_id\": {}}", GPT2_ERR_FORMAT, "eos_token_id: found an object"},
    {"{\"eos_token_id\": [null]}", GPT2_ERR_FORMAT, "eos_token_id: found null"},
    {"{\"eos_token_id\": [[1]]}", GPT2_ERR_FORMAT, "eos_token_id: found an array"},
    {"{\"eos_token_id\": [1, \"x\"]}", GPT2_ERR_FORMAT, "found \"x\", wanted a list of ids"},
};

static void test_refused(void **state)
{
    const struct gpt2i_files none = {.directory = "none"};
    static const struct gpt2i_config zero;
    struct gpt2i_config config;

    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        int32_t status = read_text(refused[i].text, &config);

        if (status != refused[i].status || strstr(line, refused[i].says) == NULL ||
            strncmp(line, "config.json: ", 13) != 0)
            fail_msg("%s: status %d, %s", refused[i].text, (int)status, line);
        check_equal(&config, &zero);
    }
    assert_int_equal(gpt2i_config_read(&config, &none, &error), GPT2_ERR_FILE);
    assert_string_equal(line, "none/config.json: cannot be opened: there is no such file");
}

/* No prefix is read as a whole file. */
static void test_cut(void **state)
{
    static const char text[] = "{\"n_layer\": 2, \"eos_token_id\": [1, 2], \"x\": {\"y\": [null]}, "
                               "\"layer_norm_epsilon\": 1e-5, \"pruned_heads\": {}}";
    char cut[sizeof text];
    struct gpt2i_config config;

    (void)state;
    for (size_t length = 0; length < sizeof text - 1; length++) {
        memcpy(cut, text, length);
        cut[length] = '\0';
        assert_int_equal(read_text(cut, &config), GPT2_ERR_FORMAT);
    }
    assert_int_equal(read_text(text, &config), GPT2_OK);
}

static void test_real(void **state)
{
    static const struct {
        const char *model;
        int32_t n_vocab, n_positions, n_embd, n_layer, n_head, activation, eos;
        bool tied;
    } models[] = {
        {"gpt-by-hand", 32, 8, 16, 2, 2, GPT2_ACT_GELU, -1, true},
        {"nano-sort", 3, 11, 48, 3, 3, GPT2_ACT_GELU_NEW, -1, false},
        {"novels", 50257, 1024, 256, 4, 4, GPT2_ACT_GELU_NEW, 50256, true},
        {"slm4096", 54, 128, 64, 4, 4, GPT2_ACT_GELU, -1, true},
        {"tiny-random-gpt2", 1000, 512, 32, 5, 4, GPT2_ACT_GELU_NEW, 98, true},
    };
    const char *directory = getenv("GPT2_SHARED");

    (void)state;
    for (size_t i = 0; i < COUNT(models); i++) {
        struct gpt2i_config config, wanted = defaults;
        char path[PATH_BYTES];
        struct path split;

        snprintf(path, sizeof path, "%s/models/%s/config.json",
                 directory != NULL ? directory : "../shared", models[i].model);
        if (gpt2i_os_kind_of(path) == GPT2I_OS_NOTHING)
            skip();
        path_split(&split, path);
        if (gpt2i_config_read(&config, &split.files, &error) != GPT2_OK)
            fail_msg("%s", line);
        wanted.n_vocab = models[i].n_vocab;
        wanted.n_positions = models[i].n_positions;
        wanted.n_embd = models[i].n_embd;
        wanted.n_inner = 4 * models[i].n_embd;
        wanted.n_layer = models[i].n_layer;
        wanted.n_head = models[i].n_head;
        wanted.activation_function = models[i].activation;
        wanted.tie_word_embeddings = models[i].tied;
        wanted.eos_token_id = models[i].eos;
        check_equal(&config, &wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_values),
        cmocka_unit_test(test_variants), cmocka_unit_test(test_bigcode),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_cut),
        cmocka_unit_test(test_real),     cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("config", tests, scratch_set_up, remove_scratch);
}
