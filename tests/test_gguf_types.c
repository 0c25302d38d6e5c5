/*
 * test_gguf_types.c: ggml's types of matrices: the numbers that their blocks stand for, and what they
 * become in memory.
 */
#include "gguf_file.h"
#include "kernels/half.h"
#include "kernels/widen.h"

#define DIRECTORY TINY_DIRECTORY "/gguf-types"

static char line[512];

static const struct type {
    const char *name;
    uint32_t number;   /* ggml's */
    int32_t file_type; /* GPT2_TYPE_* */
    int32_t memory_type;
    size_t n, n_bytes; /* of a block */
    uint64_t hash;     /* of the numbers that gguf-py makes of random blocks */
} types[] = {
    {"Q8_0", GGML_Q8_0, GPT2_TYPE_Q8, GPT2_TYPE_Q8, 32, 34, 0xbd1fef67fbc3ca74},
    {"IQ4_NL", GGML_IQ4_NL, GPT2_TYPE_Q4, GPT2_TYPE_Q4, 32, 18, 0x70af26d95adc5dbb},
    {"Q4_0", GGML_Q4_0, GPT2_TYPE_Q4_0, GPT2_TYPE_Q4, 32, 18, 0xa274324a63fb1dc5},
    {"Q4_1", GGML_Q4_1, GPT2_TYPE_Q4_1, GPT2_TYPE_Q8, 32, 20, 0xd2e0240ee7922c51},
    {"Q5_0", GGML_Q5_0, GPT2_TYPE_Q5_0, GPT2_TYPE_Q8, 32, 22, 0xd701967456cde058},
    {"Q5_1", GGML_Q5_1, GPT2_TYPE_Q5_1, GPT2_TYPE_Q8, 32, 24, 0x5be32141c5afa8fd},
    {"Q4_K", GGML_Q4_K, GPT2_TYPE_Q4_K, GPT2_TYPE_Q8, 256, 144, 0xc095d18b6c27b940},
    {"Q5_K", GGML_Q5_K, GPT2_TYPE_Q5_K, GPT2_TYPE_Q8, 256, 176, 0x672ef96f0486f9b2},
    {"Q6_K", GGML_Q6_K, GPT2_TYPE_Q6_K, GPT2_TYPE_Q8, 256, 210, 0xf30932d5ab3a1194},
};

/* --------------------------------------------------------------------------- one block, by hand -- */

static void widen(float *values, const struct type *type, const unsigned char *bytes, size_t n)
{
    memcpy(gpt2i_widen_place(values, type->file_type, n), bytes, n / type->n * type->n_bytes);
    gpt2i_widen(values, type->file_type, n);
}

/* Blocks whose numbers can be worked out on paper; 0x3c00 is the F16 1, 0x3800 0.5, 0xc000 -2. */
static void test_paper(void **state)
{
    static const unsigned char q8_0[34] = {0x00, 0x38, 0x80, 0x7f, 0xff, 0x01};
    static const unsigned char q4_0[18] = {0x00, 0x3c, 0x1f, 0xf0};
    static const unsigned char q4_1[20] = {0x00, 0x38, 0x00, 0xc0, 0x1f, 0xf0};
    static const unsigned char q5_0[22] = {0x00, 0x3c, 0x01, 0x00, 0x02, 0x00, 0x1f, 0xf0};
    static const unsigned char q5_1[24] = {0x00, 0x38, 0x00, 0xc0, 0x01,
                                           0x00, 0x02, 0x00, 0x1f, 0xf0};
    static const struct {
        int type; /* index in types[] */
        const unsigned char *block;
        float first, second, at_16, at_17, last;
    } cases[] = {
        {0, q8_0, -64.0f, 63.5f, 0.0f, 0.0f, 0.0f},
        {1, q4_0, 113.0f, -127.0f, -104.0f, 113.0f, -127.0f},
        {2, q4_0, 7.0f, -8.0f, -7.0f, 7.0f, -8.0f},
        {3, q4_1, 5.5f, -2.0f, -1.5f, 5.5f, -2.0f},
        {4, q5_0, 15.0f, -16.0f, -15.0f, 15.0f, -16.0f},
        {5, q5_1, 13.5f, -2.0f, -1.5f, 13.5f, -2.0f},
    };
    float values[256];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        widen(values, &types[cases[i].type], cases[i].block, 32);
        if (values[0] != cases[i].first || values[1] != cases[i].second ||
            values[16] != cases[i].at_16 || values[17] != cases[i].at_17 ||
            values[31] != cases[i].last)
            fail_msg("%s: found %g %g, %g %g, %g", types[cases[i].type].name, (double)values[0],
                     (double)values[1], (double)values[16], (double)values[17], (double)values[31]);
    }
}

/* Every value of each type in a block of 256: the scale 1, the least weight 2, the small scales 1 to 8. */
static void test_paper_k(void **state)
{
    unsigned char q4_k[144] = {0x00, 0x3c, 0x00, 0x40}, q5_k[176] = {0x00, 0x3c, 0x00, 0x40};
    unsigned char q6_k[210] = {0};
    float values[256];

    (void)state;
    for (size_t j = 0; j < 4; j++) { /* run j has the scale j + 1 and the least j + 2 */
        unsigned char *packed = q4_k + 4;

        packed[j] = (unsigned char)(j + 1);
        packed[j + 4] = (unsigned char)(j + 2);
        packed[j + 8] = (unsigned char)((j + 5) | (j + 6) << 4);
    }
    memcpy(q5_k + 4, q4_k + 4, 12);
    q4_k[16 + 2 * 32 + 3] = 0x9c; /* weights 3 of runs 4 and 5 */
    q5_k[48 + 2 * 32 + 3] = 0x9c;
    q5_k[16 + 3] = 1 << 4; /* the highest bit of the former */
    widen(values, &types[6], q4_k, 256);
    assert_true(values[4 * 32 + 3] == 5 * 12 - 2 * 6 && values[5 * 32 + 3] == 6 * 9 - 2 * 7);
    assert_true(values[0] == -2 * 2 && values[255] == -2 * 9);
    widen(values, &types[7], q5_k, 256);
    assert_true(values[4 * 32 + 3] == 5 * 28 - 2 * 6 && values[5 * 32 + 3] == 6 * 9 - 2 * 7);

    q6_k[209] = 0x3c;
    for (size_t i = 0; i < 16; i++)
        q6_k[192 + i] = (unsigned char)(i - 8);
    q6_k[64 + 5] = 0xa3;       /* weights 128 + 5 and 128 + 64 + 5 */
    q6_k[128 + 32 + 5] = 0x21; /* with the upper bits 1 and 2 */
    widen(values, &types[8], q6_k, 256);
    assert_true(values[128 + 5] == 0 * (16 + 3 - 32) && values[128 + 64 + 5] == 4 * (32 + 10 - 32));
    assert_true(values[0] == -8 * -32 && values[255] == 7 * -32);
}

/* xorshift64 */
static unsigned char random_byte(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (unsigned char)(*state >> 32);
}

/* The bytes of a block that begin F16: all but those of its integers. */
static void make_scales_finite(const struct type *type, unsigned char *block)
{
    size_t first = type->number == GGML_Q6_K ? 208 : 0;
    bool has_least = type->number == GGML_Q4_1 || type->number == GGML_Q5_1 ||
                     type->number == GGML_Q4_K || type->number == GGML_Q5_K;

    block[first + 1] &= 0xbf;
    if (has_least)
        block[first + 3] &= 0xbf;
}

/* 1000 blocks of any bits give the numbers that ggml's own package, gguf 0.19.0, makes of them. */
static void test_hashes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        uint64_t random = 0x9e3779b97f4a7c15, hash = 0;

        for (int b = 0; b < 1000; b++) {
            unsigned char block[256];
            float values[256];

            for (size_t j = 0; j < types[i].n_bytes; j++)
                block[j] = random_byte(&random);
            make_scales_finite(&types[i], block);
            widen(values, &types[i], block, types[i].n);
            hash = tiny_hash(hash, values, types[i].n);
        }
        if (hash != types[i].hash)
            fail_msg("%s: found the hash 0x%016llx, wanted 0x%016llx", types[i].name,
                     (unsigned long long)hash, (unsigned long long)types[i].hash);
    }
}

/* ------------------------------------------------------------------------------------- models -- */

static struct tiny_model wide_model(void)
{
    struct tiny_model tiny = tiny_odd(DIRECTORY);

    tiny.n_embd = 256;
    tiny.n_head = 4;
    tiny.n_inner = 512;
    return tiny;
}

static void make_file(struct gguf_file *file, uint32_t type)
{
    struct tiny_model tiny = wide_model();
    gpt2_model *model = tiny_load(&tiny);

    *file = gguf_begin();
    gguf_add_model(file, model, type);
    gguf_end(file);
    gpt2_model_free(model);
}

static gpt2_model *load(const struct gguf_file *file, int32_t weight_type)
{
    gpt2_model *model;

    if (gguf_load(file, weight_type, &model, line, sizeof line) != GPT2_OK)
        fail_msg("%s", line);
    return model;
}

static float *values_of(const gpt2_model *model, const char *name, size_t *n)
{
    int64_t shape[2];
    float *values;

    assert_int_equal(gpt2_model_tensor(model, name, shape, NULL, 0, NULL, 0), GPT2_OK);
    *n = (size_t)(shape[0] * shape[1]);
    values = malloc(*n * sizeof *values);
    assert_non_null(values);
    assert_int_equal(gpt2_model_tensor(model, name, shape, values, *n, NULL, 0), GPT2_OK);
    return values;
}

static const char *const matrices[] = {
    "wte.weight",          "h.0.attn.c_attn.weight", "h.1.attn.c_proj.weight",
    "h.1.mlp.c_fc.weight", "h.0.mlp.c_proj.weight",
};

/* The squared error of 'found' over the square of 'wanted'; 0: the same bits. */
static double error_of(const gpt2_model *found, const gpt2_model *wanted, const char *name)
{
    double error = 0, square = 0;
    size_t n, n_wanted;
    float *a = values_of(found, name, &n), *b = values_of(wanted, name, &n_wanted);

    assert_int_equal(n, n_wanted);
    for (size_t i = 0; i < n; i++) {
        error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        square += (double)b[i] * (double)b[i];
    }
    error = memcmp(a, b, n * sizeof *a) == 0 ? 0 : error / square;
    free(a);
    free(b);
    return error;
}

/* Weights that kernels have stay as they are, the others lose next to nothing in Q8. */
static void test_types_in_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        bool is_kept =
            types[i].memory_type == types[i].file_type || types[i].file_type == GPT2_TYPE_Q4_0;
        struct gguf_file file;
        gpt2_model *exact, *model;
        gpt2_model_info info;

        make_file(&file, types[i].number);
        exact = load(&file, GPT2_TYPE_F32);
        model = load(&file, GPT2_TYPE_AS_FILE);
        assert_int_equal(gpt2_model_info_init(&info, sizeof info), GPT2_OK);
        assert_int_equal(gpt2_model_get_info(model, &info), GPT2_OK);
        assert_int_equal(info.weight_type, types[i].file_type);
        assert_int_equal(info.memory_type, types[i].memory_type);
        for (size_t j = 0; j < COUNT(matrices); j++) {
            double error = error_of(model, exact, matrices[j]);

            if (is_kept ? error != 0 : error == 0 || error > 1e-4)
                fail_msg("%s: %s: the squared error is %g of the square", types[i].name,
                         matrices[j], error);
        }
        assert_true(error_of(model, exact, "wpe.weight") == 0);
        gpt2_model_free(model);
        gpt2_model_free(exact);
        gguf_free(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paper),
        cmocka_unit_test(test_paper_k),
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_types_in_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
