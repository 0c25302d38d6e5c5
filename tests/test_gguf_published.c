/*
 * test_gguf_published.c: the GGUF files of published holes and of the tests that other readers have, each
 * made anew here, and refused as those readers refuse it now.
 *
 * Of CVEs the rows say what is wrong in the file.  Where llama.cpp's own test-gguf.cpp (of 2026)
 * has another verdict than this library, the row says so.
 *
 * WRAP := mmap mmap64 munmap
 */
#include "bounds.h"
#include "gguf_file.h"

#define BAD GPT2_ERR_FORMAT
#define NOT GPT2_ERR_UNSUPPORTED

static char line[1024];

/* The keys of a small GPT-2, and no tensor. */
static struct gguf_file begin(void)
{
    struct gguf_file file = gguf_begin();

    gguf_add_text(&file, "general.architecture", "gpt2");
    gguf_add_u32(&file, "gpt2.block_count", 1);
    gguf_add_u32(&file, "gpt2.context_length", 3);
    gguf_add_u32(&file, "gpt2.embedding_length", 4);
    gguf_add_u32(&file, "gpt2.feed_forward_length", 8);
    gguf_add_u32(&file, "gpt2.attention.head_count", 2);
    gguf_add_f32(&file, "gpt2.attention.layer_norm_epsilon", 1e-5f);
    return file;
}

/* Frees the file. */
static void check(const char *name, struct gguf_file *file, int32_t status, const char *words)
{
    gpt2_model *model;
    int32_t found = BOUNDED(gguf_load(file, GPT2_TYPE_AS_FILE, &model, line, sizeof line));

    if (found != status || strstr(line, words) == NULL)
        fail_msg("%s: found status %d and the line \"%s\", wanted %d and \"%s\"", name, (int)found,
                 line, (int)status, words);
    gguf_free(file);
}

/* ------------------------------------------------------------------------------------ headers -- */

/* A header alone, filled up to 32 bytes. */
static void test_headers(void **state)
{
    static const struct {
        const char *name, *magic;
        uint32_t version;
        uint64_t n_tensors, n_keys;
        int32_t status;
        const char *words;
    } rows[] = {
        {"test-gguf HEADER_BAD_MAGIC", "FUGG", 3, 0, 0, BAD, "begins with the bytes 46 55 47 47"},
        {"test-gguf HEADER_BAD_VERSION_0", "GGUF", 0, 0, 0, NOT, "of version 0, wanted 2 or 3"},
        {"test-gguf HEADER_BAD_VERSION_1", "GGUF", 1, 0, 0, NOT, "of version 1, wanted 2 or 3"},
        {"test-gguf HEADER_BAD_VERSION_FUTURE", "GGUF", 4, 0, 0, NOT,
         "of version 4, wanted 2 or 3"},
        {"test-gguf HEADER_BAD_N_TENSORS", "GGUF", 3, UINT64_MAX, 0, BAD,
         "has 18446744073709551615 tensors, wanted at most"},
        {"test-gguf HEADER_BAD_N_KV", "GGUF", 3, 0, UINT64_MAX, NOT,
         "has 18446744073709551615 keys, wanted at most"},
        {"test-gguf HEADER_EMPTY, which llama.cpp opens: here it is no model", "GGUF", 3, 0, 0, BAD,
         "general.architecture is missing"},
        {"CVE-2024-21836: the number of tensors times a size wraps", "GGUF", 3, UINT64_MAX / 80 + 2,
         0, BAD, " tensors, wanted at most"},
        {"CVE-2024-23605: the number of keys times a size wraps", "GGUF", 3, 0, UINT64_MAX / 48 + 2,
         NOT, " keys, wanted at most"},
        {"llama.cpp's 27188: 2^63 tensors", "GGUF", 3, (uint64_t)1 << 63, 0, BAD,
         "has 9223372036854775808 tensors"},
        {"llama.cpp's 27188: 2^63 keys", "GGUF", 3, 0, (uint64_t)1 << 63, NOT,
         "has 9223372036854775808 keys"},
        {"llama.cpp's 15711: as many tensors as an array holds, not a context", "GGUF", 3,
         INT64_MAX / 80, 0, BAD, " tensors, wanted at most"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct gguf_file file = gguf_begin();

        gguf_put(&file.all, rows[i].magic, 4);
        gguf_put_number(&file.all, rows[i].version, 4);
        gguf_put_number(&file.all, rows[i].n_tensors, 8);
        gguf_put_number(&file.all, rows[i].n_keys, 8);
        gguf_put_number(&file.all, 0, 8);
        check(rows[i].name, &file, rows[i].status, rows[i].words);
    }
}

/* --------------------------------------------------------------------------------------- keys -- */

#define SCALAR UINT32_MAX

/* One key more, whose name may have another length than it says. */
static void test_keys(void **state)
{
    static const struct {
        const char *name, *key;
        uint64_t key_bytes;
        uint32_t type, array_type; /* of the elements; SCALAR: it is no array */
        uint64_t n;                /* the number, or how many elements or bytes follow */
        size_t n_bytes;            /* that there are */
        int32_t status;
        const char *words;
    } rows[] = {
        {"test-gguf KV_BAD_KEY_SIZE", "key", UINT64_MAX, GGUF_U8, SCALAR, 1, 1, BAD,
         "has 18446744073709551615 bytes, wanted 1 to 255"},
        {"CVE-2024-23496: the length of a text + 1 is 0", "key", 3, GGUF_STRING, SCALAR, UINT64_MAX,
         0, BAD, "a string wants 18446744073709551615 bytes"},
        {"test-gguf KV_EMPTY_KEY; llama.cpp's 24884", "", 0, GGUF_U8, SCALAR, 1, 1, BAD,
         "a key at byte "},
        {"test-gguf KV_BAD_TYPE", "key", 3, 13, SCALAR, 1, 1, BAD, "key: found type 13"},
        {"test-gguf KV_BAD_VALUE_SIZE, removed there since it took over 1 TB", "key", 3,
         GGUF_STRING, SCALAR, (uint64_t)1 << 41, 16, BAD, "a string wants 2199023255552 bytes"},
        {"test-gguf KV_BAD_VALUE_SIZE, an array", "key", 3, GGUF_ARRAY, GGUF_U64, (uint64_t)1 << 41,
         16, BAD, "key: found 2199023255552 elements of 8 bytes"},
        {"test-gguf KV_DUPLICATE_KEY", "gpt2.block_count", 16, GGUF_U32, SCALAR, 1, 4, BAD,
         "gpt2.block_count appears twice"},
        {"test-gguf KV_BAD_ALIGN", "general.alignment", 17, GGUF_U32, SCALAR, 13, 4, BAD,
         "general.alignment: found 13, wanted a power of two"},
        {"test-gguf KV_WRONG_TYPE_ALIGN", "general.alignment", 17, GGUF_I32, SCALAR, 32, 4, BAD,
         "general.alignment: found type 5, wanted 4, u32"},
        {"gguf-tools' 27: a division by 0", "general.alignment", 17, GGUF_U32, SCALAR, 0, 4, BAD,
         "general.alignment: found 0, wanted a power of two"},
        {"llama.cpp's 24997: padding wraps in 32 bits", "general.alignment", 17, GGUF_U32, SCALAR,
         0x80000000, 4, BAD, "general.alignment: found 2147483648"},
        {"ggml's 1516: a text of 1 GiB in 160 bytes", "key", 3, GGUF_STRING, SCALAR, 1u << 30, 8,
         BAD, "a string wants 1073741824 bytes"},
        {"ggml's 1516: an array of 1 Gi elements", "key", 3, GGUF_ARRAY, GGUF_U8, 1u << 30, 8, BAD,
         "key: found 1073741824 elements"},
        {"ggml's 1516: tensors 1 GiB apart, of which there are none", "general.alignment", 17,
         GGUF_U32, SCALAR, 1u << 30, 4, BAD, "tensor token_embd.weight is missing"},
        {"gguf-tools' 25: a text beyond the file", "key", 3, GGUF_STRING, SCALAR, 4096, 0, BAD,
         "a string wants 4096 bytes"},
        {"gguf-tools' 25: a key beyond the file", "key", 200, GGUF_U8, SCALAR, 1, 1, BAD,
         "a key wants 200 bytes"},
        {"CVE-2024-21825: the bytes of an array wrap", "key", 3, GGUF_ARRAY, GGUF_U64,
         UINT64_MAX / 8 + 2, 8, BAD, "key: found 2305843009213693953 elements of 8 bytes"},
        {"CVE-2024-21825: the texts of an array wrap", "key", 3, GGUF_ARRAY, GGUF_STRING,
         UINT64_MAX / 16 + 2, 16, BAD, "key: found 1152921504606846977 elements of 8 bytes"},
        {"llama.cpp's 27188: an array of 2^63 in 43 bytes", "key", 3, GGUF_ARRAY, GGUF_U8,
         (uint64_t)1 << 63, 0, BAD, "key: found 9223372036854775808 elements"},
        {"llama.cpp's 27188: an array of arrays", "key", 3, GGUF_ARRAY, GGUF_ARRAY,
         (uint64_t)1 << 62, 8, BAD, "key: found an array of type 9"},
        {"gguf-py test_array_length_bounded_by_element_size", "arr", 3, GGUF_ARRAY, GGUF_F64,
         5000000, 5200008, BAD, "arr: found 5000000 elements of 8 bytes"},
        {"gguf-py test_array_of_minimum_size_elements: read, then no tensor", "arr", 3, GGUF_ARRAY,
         GGUF_U8, 64, 64, BAD, "tensor token_embd.weight is missing"},
        {"gguf-py test_array_of_minimum_size_elements, empty", "arr", 3, GGUF_ARRAY, GGUF_F64, 0, 0,
         BAD, "tensor token_embd.weight is missing"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct gguf_file file = begin();
        bool has_length = rows[i].array_type != SCALAR || rows[i].type == GGUF_STRING;

        gguf_put_number(&file.keys, rows[i].key_bytes, 8);
        gguf_put(&file.keys, rows[i].key, strlen(rows[i].key));
        gguf_put_number(&file.keys, rows[i].type, 4);
        if (rows[i].array_type != SCALAR)
            gguf_put_number(&file.keys, rows[i].array_type, 4);
        gguf_put_number(&file.keys, rows[i].n, has_length ? 8 : rows[i].n_bytes);
        for (size_t j = 0; has_length && j < rows[i].n_bytes; j++)
            gguf_put_number(&file.keys, 1, 1);
        file.n_keys++;
        gguf_end(&file);
        check(rows[i].name, &file, rows[i].status, rows[i].words);
    }
}

/* ------------------------------------------------------------------------------------ tensors -- */

/* One tensor, or two of the same shape and other names, with 64 bytes of data. */
static void test_tensors(void **state)
{
    static const struct {
        const char *name;
        const char *tensors[2];
        uint32_t type, n_dims;
        uint64_t dims[4], offset;
        int32_t status;
        const char *words;
    } rows[] = {
        {"test-gguf TENSORS_BAD_NAME_SIZE, which is no bound here",
         {"my_tensor_0_with_a_very_long_name_which_is_longer_than_what_is_allowed_there"},
         GGML_F32,
         1,
         {4},
         0,
         NOT,
         "has no place in a GPT-2"},
        {"test-gguf TENSORS_BAD_N_DIMS",
         {"token_embd.weight"},
         GGML_F32,
         5,
         {4, 1, 1, 1},
         0,
         BAD,
         "the number of dimensions: found 5, wanted 1 to 4"},
        {"CVE-2024-21802: more dimensions than there is room for",
         {"token_embd.weight"},
         GGML_F32,
         100,
         {4, 1, 1, 1},
         0,
         BAD,
         "the number of dimensions: found 100"},
        {"gguf-tools' 25: more than 8 dimensions",
         {"token_embd.weight"},
         GGML_F32,
         9,
         {4, 1, 1, 1},
         0,
         BAD,
         "the number of dimensions: found 9"},
        {"gguf-py test_n_dims_upper_bound",
         {"token_embd.weight"},
         GGML_F32,
         1000000,
         {1, 1, 1, 1},
         0,
         BAD,
         "the number of dimensions: found 1000000"},
        {"llama.cpp's 25378: 2^32 - 1 dimensions",
         {"token_embd.weight"},
         GGML_F32,
         UINT32_MAX,
         {1, 1, 1, 1},
         0,
         BAD,
         "the number of dimensions: found 4294967295"},
        {"test-gguf TENSORS_BAD_SHAPE",
         {"token_embd.weight"},
         GGML_F32,
         1,
         {UINT64_MAX},
         0,
         BAD,
         "a dimension: found 18446744073709551615"},
        {"test-gguf TENSORS_ZERO_DIM, which llama.cpp opens",
         {"token_embd.weight"},
         GGML_F32,
         2,
         {4, 0},
         0,
         BAD,
         "a dimension: found 0, wanted 1 to 2^63 - 1"},
        {"llama.cpp's 26946: a division by 0",
         {"token_embd.weight"},
         GGML_F32,
         2,
         {4, 0},
         0,
         BAD,
         "a dimension: found 0, wanted 1 to 2^63 - 1"},
        {"test-gguf TENSORS_NE_TOO_BIG",
         {"token_embd.weight"},
         GGML_F32,
         2,
         {8589934588, 8589934588},
         0,
         BAD,
         "is above 2^63 - 1 bytes"},
        {"test-gguf TENSORS_NBYTES_TOO_BIG",
         {"token_embd.weight"},
         GGML_F64,
         2,
         {1533699700, 1533699700},
         0,
         BAD,
         "is above 2^63 - 1 bytes"},
        {"CVE-2026-33298: elements that fit, bytes that wrap to 0",
         {"token_embd.weight"},
         GGML_F32,
         2,
         {(uint64_t)1 << 31, (uint64_t)1 << 31},
         0,
         BAD,
         "is above 2^63 - 1 bytes"},
        {"CVE-2026-33298: a row that wraps",
         {"token_embd.weight"},
         GGML_F16,
         3,
         {1024, ((uint64_t)1 << 42) + 1, 2048},
         0,
         BAD,
         "is above 2^63 - 1 bytes"},
        {"llama.cpp's 27200: bytes of Q4_0 that wrap to 2",
         {"token_embd.weight"},
         GGML_Q4_0,
         1,
         {5124095576030431008},
         0,
         BAD,
         "tensor wte.weight has 2882303761517117442 bytes"},
        {"gguf-py test_dims_product_no_uint64_wraparound",
         {"token_embd.weight"},
         GGML_F32,
         3,
         {4194305, 4194305, 211106198978564},
         0,
         BAD,
         "is above 2^63 - 1 bytes"},
        {"llama.cpp's 24759: padding wraps to 0",
         {"token_embd.weight"},
         GGML_F32,
         1,
         {UINT64_MAX / 4},
         0,
         BAD,
         "is above 2^63 - 1 bytes"},
        {"CVE-2025-53630: the sum of the sizes wraps",
         {"token_embd.weight", "output.weight"},
         GGML_F32,
         1,
         {((uint64_t)1 << 61) - 8},
         0,
         BAD,
         "has 9223372036854775776 bytes from byte "},
        {"CVE-2026-27940, test-gguf DATA_MEM_SIZE_OVERFLOW: the sum fits, with the context it "
         "wraps",
         {"token_embd.weight", "output.weight"},
         GGML_F16,
         1,
         {0x3fffffffffffffe0},
         0,
         BAD,
         "has 9223372036854775744 bytes from byte "},
        {"CVE-2026-7482 (Ollama's): a shape larger than the file",
         {"token_embd.weight"},
         GGML_F16,
         2,
         {1024, 1024},
         0,
         BAD,
         "tensor wte.weight has 2097152 bytes from byte "},
        {"test-gguf TENSORS_BAD_TYPE",
         {"token_embd.weight"},
         1000,
         1,
         {4},
         0,
         NOT,
         "type: found 1000, wanted the number of"},
        {"a type that ggml has removed",
         {"token_embd.weight"},
         4,
         1,
         {32},
         0,
         NOT,
         "type: found 4, wanted the number of"},
        {"test-gguf TENSORS_BAD_OFFSET",
         {"token_embd.weight"},
         GGML_F32,
         1,
         {4},
         UINT64_MAX,
         BAD,
         "offset: found 18446744073709551615, wanted a multiple of 32"},
        {"an offset that wraps to the header",
         {"token_embd.weight"},
         GGML_F32,
         1,
         {4},
         UINT64_MAX - 31,
         BAD,
         "but the file has "},
        {"test-gguf TENSORS_DUPLICATE_NAME",
         {"token_embd.weight", "token_embd.weight"},
         GGML_F32,
         1,
         {4},
         0,
         BAD,
         "appears twice"},
        {"test-gguf TENSORS_INCONSISTENT_ALIGN",
         {"token_embd.weight"},
         GGML_F32,
         1,
         {4},
         4,
         BAD,
         "offset: found 4, wanted a multiple of 32"},
        {"test-gguf DATA_NOT_ENOUGH_DATA",
         {"token_embd.weight"},
         GGML_F32,
         2,
         {4, 5},
         0,
         BAD,
         "tensor wte.weight has 80 bytes from byte "},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct gguf_file file = begin();

        for (size_t t = 0; t < 2 && rows[i].tensors[t] != NULL; t++) {
            gguf_put_text(&file.tensors, rows[i].tensors[t]);
            gguf_put_number(&file.tensors, rows[i].n_dims, 4);
            for (uint32_t d = 0; d < 4 && d < rows[i].n_dims; d++)
                gguf_put_number(&file.tensors, rows[i].dims[d], 8);
            gguf_put_number(&file.tensors, rows[i].type, 4);
            gguf_put_number(&file.tensors, rows[i].offset + 32 * t, 8);
            file.n_tensors++;
        }
        for (int j = 0; j < 8; j++)
            gguf_put_number(&file.data, 0, 8);
        gguf_end(&file);
        check(rows[i].name, &file, rows[i].status, rows[i].words);
    }
}

/* llama.cpp's 26690: types of tokens in bytes, read as if they were numbers of 32 bits. */
static void test_token_types(void **state)
{
    struct gguf_file file = begin();

    (void)state;
    gguf_add_text(&file, "tokenizer.ggml.model", "gpt2");
    gguf_add_key(&file, "tokenizer.ggml.tokens", GGUF_ARRAY);
    gguf_put_number(&file.keys, GGUF_STRING, 4);
    gguf_put_number(&file.keys, 2, 8);
    gguf_put_text(&file.keys, "a");
    gguf_put_text(&file.keys, "b");
    gguf_add_key(&file, "tokenizer.ggml.merges", GGUF_ARRAY);
    gguf_put_number(&file.keys, GGUF_STRING, 4);
    gguf_put_number(&file.keys, 0, 8);
    gguf_add_key(&file, "tokenizer.ggml.token_type", GGUF_ARRAY);
    gguf_put_number(&file.keys, GGUF_U8, 4);
    gguf_put_number(&file.keys, 2, 8);
    gguf_put_number(&file.keys, 0x0101, 2);
    gguf_end(&file);
    {
        const gpt2_source source = {"model.gguf", file.all.at, file.all.n, NULL, NULL};
        gpt2_tokenizer_params params;
        gpt2_tokenizer *tokenizer;

        assert_int_equal(gpt2_tokenizer_params_init(&params, sizeof params), GPT2_OK);
        params.errbuf = line;
        params.errbuf_size = sizeof line;
        assert_int_equal(BOUNDED(gpt2_tokenizer_load_sources(&source, 1, &params, &tokenizer)),
                         BAD);
        tiny_check_says(line,
                        "tokenizer.ggml.token_type: found an array of u8, wanted an array of i32");
    }
    gguf_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers), cmocka_unit_test(test_keys),
        cmocka_unit_test(test_tensors), cmocka_unit_test(test_token_types),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("gguf_published", tests, NULL, NULL);
}
