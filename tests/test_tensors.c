/*
 * test_tensors.c: weights that are read back: the numbers of the file, whatever holds them in memory.
 */
#include "reference.h"
#include "tiny_model.h"

#include "kernels/half.h"
#include "kernels/quantised.h"

#include <fenv.h>

#define DIRECTORY TINY_DIRECTORY "/tensors"

/* The tensors of tiny_odd(): how many dimensions, and which. */
static const struct {
    const char *name;
    int64_t shape[2];
} tensors[] = {
    {"wte.weight", {97, 35}},
    {"wpe.weight", {8, 35}},
    {"h.0.ln_1.weight", {35, 1}},
    {"h.0.ln_1.bias", {35, 1}},
    {"h.0.attn.c_attn.weight", {35, 105}},
    {"h.0.attn.c_attn.bias", {105, 1}},
    {"h.0.attn.c_proj.weight", {35, 35}},
    {"h.0.mlp.c_fc.weight", {35, 50}},
    {"h.1.attn.c_attn.weight", {35, 105}},
    {"h.1.ln_2.weight", {35, 1}},
    {"h.1.mlp.c_proj.weight", {50, 35}},
    {"h.1.mlp.c_proj.bias", {35, 1}},
    {"ln_f.weight", {35, 1}},
    {"ln_f.bias", {35, 1}},
    {"lm_head.weight", {97, 35}},
};

static gpt2_model *load(int32_t weight_type)
{
    gpt2_model_params params;
    gpt2_model *model;

    (void)gpt2_model_params_init(&params, sizeof params);
    params.weight_type = weight_type;
    assert_int_equal(gpt2_model_load(DIRECTORY, &params, &model), GPT2_OK);
    return model;
}

/* All numbers of a tensor, which the caller frees. */
static float *values_of(const gpt2_model *model, const char *name, int64_t shape[2])
{
    char line[200] = "x";
    float *values;
    size_t n;

    assert_int_equal(gpt2_model_tensor(model, name, shape, NULL, 0, line, sizeof line), GPT2_OK);
    assert_string_equal(line, "");
    n = (size_t)(shape[0] * shape[1]);
    values = malloc((n + 1) * sizeof *values);
    assert_non_null(values);
    values[n] = 77.0f;
    assert_int_equal(gpt2_model_tensor(model, name, shape, values, n, NULL, 0), GPT2_OK);
    assert_true(values[n] == 77.0f);
    return values;
}

static void check_tensors(const gpt2_model *model, const char *prefix, bool is_tied)
{
    struct gpt2i_tensors file;

    reference_tensors_open(&file, DIRECTORY "/model.safetensors");
    for (size_t i = 0; i < COUNT(tensors); i++) {
        const char *name = tensors[i].name;
        size_t n = (size_t)(tensors[i].shape[0] * tensors[i].shape[1]);
        bool is_head = strcmp(name, "lm_head.weight") == 0;
        char in_file[80], with_prefix[80];
        float *wanted, *found;
        int64_t shape[2] = {0, 0};

        (void)snprintf(in_file, sizeof in_file, "%s%s", is_head && !is_tied ? "" : prefix,
                       is_head && is_tied ? "wte.weight" : name);
        (void)snprintf(with_prefix, sizeof with_prefix, "transformer.%s", name);
        wanted = reference_tensor(&file, in_file, 0, 1, n);
        for (int with = 0; with < (is_head ? 1 : 2); with++) {
            found = values_of(model, with ? with_prefix : name, shape);
            assert_memory_equal(shape, tensors[i].shape, sizeof shape);
            assert_memory_equal(found, wanted, n * sizeof *found);
            free(found);
        }
        free(wanted);
    }
    gpt2i_tensors_close(&file);
}

/* The file's numbers, from memory of each type that holds them. */
static void test_the_numbers_of_the_file(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    static const char *const dtypes[] = {"F32", "F16", "BF16"};

    (void)state;
    for (int32_t type = GPT2_TYPE_F32; type <= GPT2_TYPE_BF16; type++) {
        for (int untied = 0; untied < 2; untied++) {
            gpt2_model *model;

            file.dtype = dtypes[type];
            file.widened = type != GPT2_TYPE_F32;
            file.untied = untied;
            file.prefix = untied ? "" : "transformer.";
            tiny_write(&file);
            for (int32_t in_memory = 0; in_memory < 2; in_memory++) {
                model = load(in_memory ? type : GPT2_TYPE_F32);
                check_tensors(model, file.prefix, !untied);
                gpt2_model_free(model);
            }
        }
    }
}

/* Scale times integer, of blocks of 32 inputs of an output; biases that are missing are zeros. */
static void test_quantised(void **state)
{
    enum { N_IN = 50, N_OUT = 35 };
    struct tiny_model file = tiny_odd(DIRECTORY);
    int64_t shape[2];
    float *exact, *found;
    gpt2_model *model;

    (void)state;
    file.biases = TINY_BIASES_MISSING;
    tiny_write(&file);
    model = load(GPT2_TYPE_F32);
    exact = values_of(model, "h.1.mlp.c_proj.weight", shape);
    gpt2_model_free(model);
    for (int32_t type = GPT2_TYPE_Q8; type <= GPT2_TYPE_Q4; type++) {
        model = load(type);
        assert_int_equal(fesetround(FE_UPWARD), 0); /* a host's own */
        found = values_of(model, "h.1.mlp.c_proj.weight", shape);
        assert_int_equal(fesetround(FE_TONEAREST), 0);
        for (size_t out = 0; out < N_OUT; out++) {
            for (size_t first = 0; first < N_IN; first += GPT2I_Q_BLOCK) {
                size_t n = N_IN - first < GPT2I_Q_BLOCK ? N_IN - first : GPT2I_Q_BLOCK;
                struct gpt2i_q_weights weights;
                float block[GPT2I_Q_BLOCK];

                for (size_t i = 0; i < n; i++)
                    block[i] = exact[(first + i) * N_OUT + out];
                if (type == GPT2_TYPE_Q8)
                    gpt2i_quantise_q8(&weights, block, n);
                else
                    gpt2i_quantise_q4(&weights, block, n);
                for (size_t i = 0; i < n; i++) {
                    int q = type == GPT2_TYPE_Q8 ? weights.q[i] : gpt2i_iq4_nl_table[weights.q[i]];
                    float wanted = gpt2i_float_of_half(weights.d) * (float)(q - GPT2I_Q_OFFSET);

                    assert_memory_equal(&found[(first + i) * N_OUT + out], &wanted, sizeof wanted);
                }
            }
        }
        free(found);
        found = values_of(model, "h.0.mlp.c_fc.bias", shape);
        for (size_t i = 0; i < 50; i++)
            assert_true(found[i] == 0.0f);
        free(found);
        gpt2_model_free(model);
    }
    free(exact);
}

/* Nothing is written, and the line says what is wrong. */
static void test_errors(void **state)
{
    static const char *const wrong[] = {
        "",
        "wte",
        "wte.weight ",
        "transformer.",
        "transformer.lm_head.weight",
        "h.2.ln_1.weight",
        "h.-1.ln_1.weight",
        "h.00.ln_1.weight",
        "lm_head.bias",
        "attn.bias",
    };
    struct tiny_model file = tiny_odd(DIRECTORY);

    (void)state;
    for (int untied = 0; untied < 2; untied++) {
        float values[35] = {1.0f};
        int64_t shape[2] = {-5, -6};
        gpt2_model *model;
        char line[200];

        file.untied = untied;
        tiny_write(&file);
        model = load(GPT2_TYPE_AS_FILE);
        for (size_t i = 0; i < COUNT(wrong); i++) {
            assert_int_equal(
                gpt2_model_tensor(model, wrong[i], shape, values, 35, line, sizeof line),
                GPT2_ERR_ARGUMENT);
            tiny_check_says(line, "wanted that of a weight of this model, such as wte.weight or "
                                  "h.1.attn.c_attn.weight");
        }
        assert_int_equal(
            gpt2_model_tensor(model, "wte.weight", shape, values, 35, line, sizeof line),
            GPT2_ERR_ARGUMENT);
        assert_string_equal(line,
                            "gpt2_model_tensor: n_values is 35, but wte.weight has 3395 numbers");
        assert_int_equal(
            gpt2_model_tensor(model, "ln_f.bias", shape, values, 34, line, sizeof line),
            GPT2_ERR_ARGUMENT);
        assert_true(shape[0] == -5 && shape[1] == -6 && values[0] == 1.0f && values[1] == 0.0f);
        assert_int_equal(
            gpt2_model_tensor(model, "ln_f.bias", shape, values, 35, line, sizeof line), GPT2_OK);
        gpt2_model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_numbers_of_the_file),
        cmocka_unit_test(test_quantised),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests_name("tensors", tests, NULL, NULL);
}
