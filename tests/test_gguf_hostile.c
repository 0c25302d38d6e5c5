/*
 * test_gguf_hostile.c: GGUF files that are damaged, or made to harm a reader: each is refused by name,
 * before memory is taken by a number in it.
 *
 * Some are those of published faults of other readers; the comments name them.  test_gguf_published.c
 * has a list of these.
 *
 * WRAP := mmap mmap64 munmap
 */
#include "bounds.h"
#include "gguf_file.h"

#define DIRECTORY TINY_DIRECTORY "/gguf-hostile"

static char line[1024];

/* ------------------------------------------------------------------------------- a small model -- */

static gpt2_model *small;

static int make_small(void **state)
{
    struct tiny_model tiny = tiny_odd(DIRECTORY);

    (void)state;
    tiny.n_vocab = 5;
    tiny.n_positions = 3;
    tiny.n_embd = 4;
    tiny.n_layer = 1;
    tiny.n_head = 2;
    tiny.n_inner = 8;
    tiny.eot = 4;
    small = tiny_load(&tiny);
    tiny_remove(DIRECTORY);
    return 0;
}

static int free_small(void **state)
{
    (void)state;
    gpt2_model_free(small);
    return 0;
}

/* A file with all that a model needs; its first tensor is token_embd.weight [5, 4]. */
static struct gguf_file whole(void)
{
    struct gguf_file file = gguf_begin();

    gguf_add_model(&file, small, GGML_F32);
    return file;
}

/* Frees the file, whose end is made and which must be refused. */
static void check_refused(struct gguf_file *file, int32_t status, const char *words)
{
    gpt2_model *model;
    int32_t found = BOUNDED(gguf_load(file, GPT2_TYPE_AS_FILE, &model, line, sizeof line));

    if (found != status || strstr(line, words) == NULL)
        fail_msg("found status %d and the line \"%s\", wanted %d and \"%s\"", (int)found, line,
                 (int)status, words);
    gguf_free(file);
}

/* Makes the end; then the bytes from 'at' on become a number. */
static void patch(struct gguf_file *file, size_t at, uint64_t number, size_t n_bytes)
{
    gguf_end(file);
    for (size_t i = 0; i < n_bytes; i++)
        file->all.at[at + i] = (unsigned char)(number >> 8 * i);
}

/* ------------------------------------------------------------------------------------- header -- */

static void test_header(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *words;
    } beginnings[] = {
        {"", 0, "model.gguf: has 0 bytes, too few for a GGUF file"},
        {"GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 23, "has 23 bytes, too few"},
        {"GGUX\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24,
         "begins with the bytes 47 47 55 58, wanted those of a GGUF file, \"GGUF\""},
        {"GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, "general.architecture"},
    };
    static const struct {
        size_t at;
        uint64_t number;
        size_t n_bytes;
        int32_t status;
        const char *words;
    } patches[] = {
        {4, 0, 4, GPT2_ERR_UNSUPPORTED, "is a GGUF file of version 0, wanted 2 or 3"},
        {4, 1, 4, GPT2_ERR_UNSUPPORTED, "is a GGUF file of version 1, wanted 2 or 3"},
        {4, 4, 4, GPT2_ERR_UNSUPPORTED, "is a GGUF file of version 4, wanted 2 or 3"},
        {4, 0x03000000, 4, GPT2_ERR_UNSUPPORTED, "is a GGUF file of big-endian numbers, wanted"},
        /* CVE-2024-21836: n_tensors times a size */
        {8, UINT64_MAX, 8, GPT2_ERR_FORMAT, "has 18446744073709551615 tensors, wanted at most"},
        {8, UINT64_MAX / 64 + 1, 8, GPT2_ERR_FORMAT, "has 288230376151711744 tensors, wanted at"},
        {8, 65537, 8, GPT2_ERR_FORMAT, "has 65537 tensors, wanted at most 65536, in "},
        {8, 100, 8, GPT2_ERR_FORMAT, "has 100 tensors, wanted at most 65536, in "},
        {8, 0, 8, GPT2_ERR_FORMAT, "tensor token_embd.weight is missing"},
        /* CVE-2024-23605: n_kv times a size */
        {16, UINT64_MAX, 8, GPT2_ERR_UNSUPPORTED, "has 18446744073709551615 keys, wanted at most"},
        {16, 1025, 8, GPT2_ERR_UNSUPPORTED, "has 1025 keys, wanted at most 1024, a limit of"},
        {16, 1024, 8, GPT2_ERR_FORMAT, "has 1024 keys, too many for its "},
        {16, 0, 8, GPT2_ERR_UNSUPPORTED, "tensor general.architecture has no place in a GPT-2"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(beginnings); i++) {
        struct gguf_file file = gguf_begin();

        gguf_put(&file.all, beginnings[i].bytes, beginnings[i].n);
        check_refused(&file, GPT2_ERR_FORMAT, beginnings[i].words);
    }
    for (size_t i = 0; i < COUNT(patches); i++) {
        struct gguf_file file = whole();

        patch(&file, patches[i].at, patches[i].number, patches[i].n_bytes);
        check_refused(&file, patches[i].status, patches[i].words);
    }
}

/* --------------------------------------------------------------------------------------- keys -- */

/* A key more, behind all others, whose value 'put' writes. */
static void check_key(void (*put)(struct gguf_file *file), int32_t status, const char *words)
{
    struct gguf_file file = whole();

    put(&file);
    gguf_end(&file);
    check_refused(&file, status, words);
}

static void put_long_key(struct gguf_file *file)
{
    gguf_put_number(&file->keys, 1u << 30, 8);
    gguf_put(&file->keys, "key", 3);
    file->n_keys++;
}

static void put_endless_key(struct gguf_file *file)
{
    gguf_put_number(&file->keys, UINT64_MAX, 8); /* CVE-2024-23496: + 1 is 0 */
    file->n_keys++;
}

static void put_empty_key(struct gguf_file *file)
{
    gguf_add_key(file, "", GGUF_U32);
    gguf_put_number(&file->keys, 1, 4);
}

static void put_key_with_nul(struct gguf_file *file)
{
    gguf_put_number(&file->keys, 3, 8);
    gguf_put(&file->keys, "a\0b", 3);
    gguf_put_number(&file->keys, GGUF_U8, 4);
    gguf_put_number(&file->keys, 1, 1);
    file->n_keys++;
}

static void put_same_key(struct gguf_file *file)
{
    gguf_add_text(file, "general.name", "again");
}

static void put_type_13(struct gguf_file *file)
{
    gguf_add_key(file, "key", 13);
    gguf_put_number(&file->keys, 1, 4);
}

static void put_type_max(struct gguf_file *file)
{
    gguf_add_key(file, "key", UINT32_MAX);
}

/* An array of any type and length. */
static void put_array(struct gguf_file *file, uint32_t type, uint64_t n)
{
    gguf_add_key(file, "key", GGUF_ARRAY);
    gguf_put_number(&file->keys, type, 4);
    gguf_put_number(&file->keys, n, 8);
}

static void put_array_of_arrays(struct gguf_file *file)
{
    put_array(file, GGUF_ARRAY, 1); /* a reader that calls itself for each has no bound */
    gguf_put_number(&file->keys, GGUF_U8, 4);
    gguf_put_number(&file->keys, 1, 8);
    gguf_put_number(&file->keys, 1, 1);
}

static void put_array_of_13(struct gguf_file *file)
{
    put_array(file, 13, 1);
}

static void put_wrapping_array(struct gguf_file *file)
{
    put_array(file, GGUF_U64, UINT64_MAX / 8 + 2); /* CVE-2024-21825: times 8 is 8 */
    gguf_put_number(&file->keys, 1, 8);
}

static void put_wrapping_strings(struct gguf_file *file)
{
    put_array(file, GGUF_STRING, UINT64_MAX / 16 + 2);
}

static void put_long_array(struct gguf_file *file)
{
    put_array(file, GGUF_U8, 1u << 30);
}

static void put_string_of_1_gib(struct gguf_file *file)
{
    gguf_add_key(file, "key", GGUF_STRING); /* ggml's issue 1516, gguf-tools' 25 */
    gguf_put_number(&file->keys, 1u << 30, 8);
}

static void put_endless_string(struct gguf_file *file)
{
    gguf_add_key(file, "key", GGUF_STRING);
    gguf_put_number(&file->keys, UINT64_MAX, 8);
}

static void put_string_out_of_array(struct gguf_file *file)
{
    put_array(file, GGUF_STRING, 2);
    gguf_put_text(&file->keys, "one");
    gguf_put_number(&file->keys, 1u << 20, 8);
}

static void test_keys(void **state)
{
    (void)state;
    check_key(put_long_key, GPT2_ERR_FORMAT, " has 1073741824 bytes, wanted 1 to 255");
    check_key(put_endless_key, GPT2_ERR_FORMAT, " has 18446744073709551615 bytes, wanted 1 to 255");
    check_key(put_empty_key, GPT2_ERR_FORMAT, "a key at byte ");
    check_key(put_key_with_nul, GPT2_ERR_FORMAT, " has a NUL inside");
    check_key(put_same_key, GPT2_ERR_FORMAT, "general.name appears twice");
    check_key(put_type_13, GPT2_ERR_FORMAT, "key: found type 13, wanted 0 to 12");
    check_key(put_type_max, GPT2_ERR_FORMAT, "key: found type 4294967295, wanted 0 to 12");
    check_key(put_array_of_arrays, GPT2_ERR_FORMAT,
              "key: found an array of type 9, wanted one whose elements are no arrays");
    check_key(put_array_of_13, GPT2_ERR_FORMAT, "key: found type 13, wanted 0 to 12");
    check_key(put_wrapping_array, GPT2_ERR_FORMAT,
              "key: found 2305843009213693953 elements of 8 bytes or more, but the file has ");
    check_key(put_wrapping_strings, GPT2_ERR_FORMAT,
              "key: found 1152921504606846977 elements of 8 bytes or more, but the file has ");
    check_key(put_long_array, GPT2_ERR_FORMAT, "key: found 1073741824 elements of 1 bytes or more");
    check_key(put_string_of_1_gib, GPT2_ERR_FORMAT, "a string wants 1073741824 bytes from byte ");
    check_key(put_endless_string, GPT2_ERR_FORMAT, "a string wants 18446744073709551615 bytes");
    check_key(put_string_out_of_array, GPT2_ERR_FORMAT, "a string wants 1048576 bytes from byte ");
}

/* A callback that claims a file of 2^63 bytes and counts what is read. */
struct endless {
    struct gguf_bytes beginning;
    uint64_t n_read;
};

static int32_t read_endless(void *user, uint64_t offset, void *bytes, size_t capacity,
                            size_t *n_read)
{
    struct endless *endless = user;

    for (size_t i = 0; i < capacity; i++)
        ((unsigned char *)bytes)[i] =
            offset + i < endless->beginning.n ? endless->beginning.at[offset + i] : 0;
    endless->n_read += capacity;
    *n_read = capacity;
    return 0;
}

/* llama.cpp's test of an array that takes over a terabyte: here no more is read than the limit. */
static void test_endless(void **state)
{
    static const struct {
        uint32_t type;
        uint64_t n;
        const char *words;
    } arrays[] = {
        {GGUF_U64, (uint64_t)1 << 37, "a value ends behind byte 33554432, a limit of libgpt2"},
        {GGUF_STRING, (uint64_t)1 << 40, "a string ends behind byte 33554432, a limit of"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(arrays); i++) {
        struct gguf_file file = whole();
        struct endless endless = {{0}, 0};
        gpt2_source source = {"model.gguf", NULL, (uint64_t)1 << 63, read_endless, &endless};
        gpt2_model_params params;
        gpt2_model *model;

        put_array(&file, arrays[i].type, arrays[i].n);
        gguf_end(&file);
        endless.beginning = file.all;
        assert_int_equal(gpt2_model_params_init(&params, sizeof params), GPT2_OK);
        params.errbuf = line;
        params.errbuf_size = sizeof line;
        assert_int_equal(BOUNDED(gpt2_model_load_sources(&source, 1, &params, &model)),
                         GPT2_ERR_UNSUPPORTED);
        tiny_check_says(line, arrays[i].words);
        assert_true(endless.n_read < (64 << 20));
        gguf_free(&file);
    }
}

/* ------------------------------------------------------------------------------------- config -- */

/* A file whose key has another value: 'type' and 'n_bytes' of 'number', or none. */
static void check_value(const char *key, uint32_t type, uint64_t number, size_t n_bytes,
                        int32_t status, const char *words)
{
    static const char *const keys[] = {
        "gpt2.block_count",
        "gpt2.context_length",
        "gpt2.embedding_length",
        "gpt2.feed_forward_length",
        "gpt2.attention.head_count",
        "general.architecture",
        "gpt2.attention.layer_norm_epsilon",
    };
    static const uint32_t values[] = {1, 3, 4, 8, 2};
    struct gguf_file model = whole(), file = gguf_begin();
    gpt2_model *loaded;

    for (size_t i = 0; i < COUNT(keys); i++) {
        if (strcmp(key, keys[i]) == 0)
            continue;
        if (i == 5)
            gguf_add_text(&file, keys[i], "gpt2");
        else if (i == 6)
            gguf_add_f32(&file, keys[i], 1e-5f);
        else
            gguf_add_u32(&file, keys[i], values[i]);
    }
    if (n_bytes > 0) {
        gguf_add_key(&file, key, type);
        gguf_put_number(&file.keys, number, n_bytes);
    }
    gguf_put(&file.tensors, model.tensors.at, model.tensors.n);
    gguf_put(&file.data, model.data.at, model.data.n);
    file.n_tensors = model.n_tensors;
    gguf_free(&model);
    gguf_end(&file);
    if (status != GPT2_OK) {
        check_refused(&file, status, words);
        return;
    }
    if (gguf_load(&file, GPT2_TYPE_AS_FILE, &loaded, line, sizeof line) != GPT2_OK)
        fail_msg("%s", line);
    gpt2_model_free(loaded);
    gguf_free(&file);
}

static void test_config(void **state)
{
    (void)state;
    check_value("gpt2.block_count", GGUF_U8, 1, 1, GPT2_OK, "");
    check_value("gpt2.block_count", GGUF_I64, 1, 8, GPT2_OK, "");
    check_value("gpt2.block_count", GGUF_U32, 0, 0, GPT2_ERR_FORMAT,
                "gpt2.block_count is missing, wanted an integer");
    check_value("gpt2.block_count", GGUF_I32, UINT32_MAX, 4, GPT2_ERR_FORMAT,
                "gpt2.block_count: found a negative number, wanted 0 or more");
    check_value("gpt2.block_count", GGUF_F32, 0, 4, GPT2_ERR_FORMAT,
                "gpt2.block_count: found f32, wanted an integer");
    check_value("gpt2.block_count", GGUF_STRING, 0, 8, GPT2_ERR_FORMAT,
                "gpt2.block_count: found string, wanted an integer");
    check_value("gpt2.block_count", GGUF_U32, 2, 4, GPT2_ERR_FORMAT,
                "tensor h.1.ln_1.weight is missing");
    check_value("gpt2.block_count", GGUF_U32, 0, 4, GPT2_ERR_FORMAT,
                "n_layer: found 0, wanted 1 to 1024");
    check_value("gpt2.block_count", GGUF_U64, (uint64_t)1 << 40, 8, GPT2_ERR_FORMAT,
                "n_layer: found 1099511627776, wanted 1 to 1024");
    check_value("gpt2.context_length", GGUF_U32, 4, 4, GPT2_ERR_FORMAT,
                "wpe.weight has shape [3, 4], the config wants [4, 4]");
    check_value("gpt2.embedding_length", GGUF_U64, UINT64_MAX, 8, GPT2_ERR_FORMAT, "n_embd: found");
    check_value("gpt2.embedding_length", GGUF_U32, 6, 4, GPT2_ERR_FORMAT,
                "wte.weight has shape [5, 4], the config wants [5, 6]");
    check_value("gpt2.feed_forward_length", GGUF_U32, 7, 4, GPT2_ERR_FORMAT,
                "h.0.mlp.c_fc.weight has shape [8, 4], the config wants [7, 4]");
    check_value("gpt2.attention.head_count", GGUF_U32, 0, 4, GPT2_ERR_FORMAT,
                "n_head: found 0, wanted 1 to ");
    check_value("gpt2.attention.head_count", GGUF_U32, 3, 4, GPT2_ERR_FORMAT, "n_head: found 3");
    check_value("gpt2.attention.head_count_kv", GGUF_U32, 2, 4, GPT2_OK, "");
    check_value("gpt2.attention.head_count_kv", GGUF_U32, 1, 4, GPT2_ERR_FORMAT,
                "h.0.attn.c_attn.weight has shape [12, 4], the config wants [8, 4]");
    check_value("gpt2.attention.head_count_kv", GGUF_U32, 3, 4, GPT2_ERR_UNSUPPORTED,
                "gpt2.attention.head_count_kv: found 3, wanted 1 or 2, gpt2.attention.head_count");
    check_value("gpt2.attention.key_length", GGUF_U32, 4, 4, GPT2_ERR_UNSUPPORTED,
                "gpt2.attention.key_length: found 4, wanted 2");
    check_value("gpt2.attention.value_length", GGUF_U32, 1, 4, GPT2_ERR_UNSUPPORTED,
                "gpt2.attention.value_length: found 1, wanted 2");
    check_value("gpt2.attention.layer_norm_epsilon", GGUF_F32, 0, 0, GPT2_ERR_FORMAT,
                "gpt2.attention.layer_norm_epsilon is missing, wanted an f32");
    check_value("gpt2.attention.layer_norm_epsilon", GGUF_U32, 1, 4, GPT2_ERR_FORMAT,
                "gpt2.attention.layer_norm_epsilon is of another type, wanted an f32");
    check_value("gpt2.attention.layer_norm_epsilon", GGUF_F32, 0x7fc00000, 4, GPT2_ERR_FORMAT,
                "layer_norm_epsilon: found the bits 0x7fc00000, wanted a positive number");
    check_value("gpt2.attention.layer_norm_epsilon", GGUF_F32, 0x80000001, 4, GPT2_ERR_FORMAT,
                "layer_norm_epsilon: found the bits 0x80000001, wanted a positive number");
    check_value("gpt2.attention.layer_norm_epsilon", GGUF_F32, 0x7f7fffff, 4, GPT2_OK, "");
    check_value("gpt2.attention.layer_norm_epsilon", GGUF_F32, 0x00800000, 4, GPT2_OK, "");
    check_value("general.architecture", GGUF_STRING, 0, 0, GPT2_ERR_FORMAT,
                "general.architecture is missing, wanted a string");
    check_value("general.architecture", GGUF_U32, 0, 4, GPT2_ERR_FORMAT,
                "general.architecture: found u32, wanted a string");
    check_value("general.architecture", GGUF_STRING, 0, 8, GPT2_ERR_UNSUPPORTED,
                "general.architecture: found \"\", wanted gpt2 or starcoder");
    check_value("general.alignment", GGUF_U32, 0, 4, GPT2_ERR_FORMAT,
                "general.alignment: found 0, wanted a power of two up to 2^30");
    check_value("general.alignment", GGUF_U32, 48, 4, GPT2_ERR_FORMAT,
                "general.alignment: found 48, wanted a power of two up to 2^30");
    check_value("general.alignment", GGUF_U32, 0x80000000, 4, GPT2_ERR_FORMAT,
                "general.alignment: found 2147483648, wanted a power of two up to 2^30");
    check_value("general.alignment", GGUF_STRING, 0, 8, GPT2_ERR_FORMAT,
                "general.alignment: found string, wanted an integer");
    check_value("tokenizer.ggml.eos_token_id", GGUF_U64, UINT64_MAX, 8, GPT2_OK, "");
}

/* ------------------------------------------------------------------------------------ tensors -- */

/* A file whose only tensor is this one, at an offset, and has 'n_bytes'. */
static void check_tensor(const char *name, uint32_t type, const uint64_t *dims, uint32_t n_dims,
                         uint64_t offset, size_t n_bytes, int32_t status, const char *words)
{
    static const unsigned char zeros[4096];
    struct gguf_file file = whole();
    size_t at;

    file.tensors.n = file.data.n = 0;
    file.n_tensors = 0;
    gguf_add_tensor(&file, name, type, dims, n_dims, zeros, n_bytes);
    at = 24 + file.keys.n + file.tensors.n - 8;
    patch(&file, at, offset, 8);
    check_refused(&file, status, words);
}

static void test_tensors(void **state)
{
    static const uint64_t ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    static const uint64_t shape[2] = {4, 5};
    static const uint64_t row_31[2] = {31, 5}, row_64[2] = {64, 5};
    static const uint64_t zero[2] = {4, 0}, negative[2] = {4, (uint64_t)1 << 63};
    static const uint64_t wraps[2] = {(uint64_t)1 << 32, (uint64_t)1 << 32};
    static const uint64_t wraps_by_type[2] = {(uint64_t)1 << 31, (uint64_t)1 << 31};
    static const uint64_t wraps_thrice[4] = {(uint64_t)1 << 32, (uint64_t)1 << 30, 4, 2};
    static const uint64_t wraps_in_blocks[2] = {(uint64_t)1 << 40, (uint64_t)1 << 28};
    static const char name[] = "token_embd.weight";
    static const struct {
        const char *name;
        uint32_t type;
        const uint64_t *dims;
        uint32_t n_dims;
        uint64_t offset;
        size_t n_bytes;
        int32_t status;
        const char *words;
    } cases[] = {
        /* CVE-2024-21802: more dimensions than there is room for */
        {name, GGML_F32, ones, 5, 0, 4, GPT2_ERR_FORMAT,
         "tensor token_embd.weight: the number of dimensions: found 5, wanted 1 to 4"},
        {name, GGML_F32, ones, 0, 0, 4, GPT2_ERR_FORMAT,
         "the number of dimensions: found 0, wanted 1 to 4"},
        {name, GGML_F32, zero, 2, 0, 0, GPT2_ERR_FORMAT,
         "tensor token_embd.weight: a dimension: found 0, wanted 1 to 2^63 - 1"},
        {name, GGML_F32, negative, 2, 0, 0, GPT2_ERR_FORMAT,
         "a dimension: found 9223372036854775808, wanted 1 to 2^63 - 1"},
        /* CVE-2026-33298: products that wrap to something small */
        {name, GGML_F32, wraps, 2, 0, 0, GPT2_ERR_FORMAT,
         "tensor token_embd.weight: the product of its dimensions is above 2^63 - 1 bytes"},
        {name, GGML_F32, wraps_by_type, 2, 0, 0, GPT2_ERR_FORMAT, "is above 2^63 - 1 bytes"},
        {name, GGML_F16, wraps_thrice, 4, 0, 0, GPT2_ERR_FORMAT, "is above 2^63 - 1 bytes"},
        {name, GGML_Q8_0, wraps_in_blocks, 2, 0, 0, GPT2_ERR_FORMAT, "is above 2^63 - 1 bytes"},
        {name, GGML_Q8_0, row_31, 2, 0, 170, GPT2_ERR_FORMAT,
         "tensor token_embd.weight: rows of 31 elements, wanted a multiple of 32, a block of Q8_0"},
        {name, GGML_Q6_K, row_64, 2, 0, 210, GPT2_ERR_FORMAT,
         "rows of 64 elements, wanted a multiple of 256, a block of Q6_K"},
        {name, GGML_Q2_K, row_64, 2, 0, 84, GPT2_ERR_UNSUPPORTED,
         "tensor token_embd.weight has type Q2_K, wanted F64, F32, F16, BF16, Q8_0"},
        {name, 4, shape, 2, 0, 80, GPT2_ERR_UNSUPPORTED,
         "tensor token_embd.weight: type: found 4, wanted the number of F64"},
        {name, 4000000000, shape, 2, 0, 80, GPT2_ERR_UNSUPPORTED, "type: found 4000000000, wanted"},
        {name, GGML_F32, shape, 2, 4, 80, GPT2_ERR_FORMAT,
         "tensor token_embd.weight: offset: found 4, wanted a multiple of 32, general.alignment"},
        {name, GGML_F32, shape, 2, 32, 80, GPT2_ERR_FORMAT,
         "tensor wte.weight has 80 bytes from byte "},
        {name, GGML_F32, shape, 2, 1u << 30, 80, GPT2_ERR_FORMAT,
         "tensor wte.weight has 80 bytes from byte 107374"},
        /* behind the data's beginning it wraps to the file's first bytes */
        {name, GGML_F32, shape, 2, UINT64_MAX - 31, 80, GPT2_ERR_FORMAT,
         "tensor wte.weight has 80 bytes from byte 18446744073709551615, but the file has "},
        {name, GGML_F32, shape, 2, 0, 79, GPT2_ERR_FORMAT,
         "tensor wte.weight has 80 bytes from byte "},
        {name, GGML_F32, shape, 1, 0, 16, GPT2_ERR_FORMAT,
         "wte.weight has shape [4], the config wants [4, 4]"},
        {"token_embd.bias", GGML_F32, shape, 1, 0, 16, GPT2_ERR_FORMAT,
         "tensor token_embd.weight is missing"},
        {"token_embd", GGML_F32, shape, 2, 0, 80, GPT2_ERR_UNSUPPORTED,
         "tensor token_embd has no place in a GPT-2"},
        {"wte.weight", GGML_F32, shape, 2, 0, 80, GPT2_ERR_UNSUPPORTED, "tensor wte.weight has no"},
        {"blk.0.attn_q.weight", GGML_F32, shape, 2, 0, 80, GPT2_ERR_UNSUPPORTED, "has no place"},
        {"blk.0.attn_norm.weight.x", GGML_F32, shape, 2, 0, 80, GPT2_ERR_UNSUPPORTED,
         "has no place"},
        {"blk.00.attn_norm.weight", GGML_F32, shape, 2, 0, 80, GPT2_ERR_UNSUPPORTED,
         "has no place"},
        {"blk.10000.attn_norm.weight", GGML_F32, shape, 2, 0, 80, GPT2_ERR_UNSUPPORTED, "no place"},
        {"blk..attn_norm.weight", GGML_F32, shape, 2, 0, 80, GPT2_ERR_UNSUPPORTED, "has no place"},
        {"blk.", GGML_F32, shape, 2, 0, 80, GPT2_ERR_UNSUPPORTED, "tensor blk. has no place"},
        {"blk.1", GGML_F32, shape, 2, 0, 80, GPT2_ERR_UNSUPPORTED, "tensor blk.1 has no place"},
        {"", GGML_F32, shape, 2, 0, 80, GPT2_ERR_FORMAT, "the name of a tensor at byte "},
        {"token_embd.weight0123456789012345678901234567890123456789012345678901234567890123456789"
         "token_embd.weight0123456789012345678901234567890123456789012345678901234567890123456789"
         "token_embd.weight0123456789012345678901234567890123456789012345678901234567890123456789",
         GGML_F32, shape, 2, 0, 80, GPT2_ERR_FORMAT, " has 261 bytes, wanted 1 to 255"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_tensor(cases[i].name, cases[i].type, cases[i].dims, cases[i].n_dims, cases[i].offset,
                     cases[i].n_bytes, cases[i].status, cases[i].words);
}

/* A second tensor beside the whole model's. */
static void test_second_tensor(void **state)
{
    static const uint64_t one[1] = {4}, huge[2] = {((uint64_t)1 << 61) - 8, 1};
    static const float four[4];
    struct gguf_file file = whole();

    (void)state;
    gguf_add_tensor(&file, "output_norm.weight", GGML_F32, one, 1, four, sizeof four);
    gguf_end(&file);
    check_refused(&file, GPT2_ERR_FORMAT, "tensor ln_f.weight appears twice");

    file = whole();
    gguf_add_tensor(&file, "blk.1.attn_norm.weight", GGML_F32, one, 1, four, sizeof four);
    gguf_end(&file);
    check_refused(&file, GPT2_ERR_UNSUPPORTED,
                  "tensor h.1.ln_1.weight has no place in a GPT-2 of 1 layers");

    file = whole();
    gguf_add_tensor(&file, "blk.1.attn_norm.weight", GGML_F32, one, 1, four, sizeof four);
    patch(&file, 24 + file.keys.n + file.tensors.n - 8, 0, 8);
    check_refused(&file, GPT2_ERR_FORMAT, ": they overlap");

    /* CVE-2025-53630: sizes whose sum, each padded, wraps */
    file = whole();
    gguf_add_tensor(&file, "blk.1.attn_norm.weight", GGML_F32, huge, 2, four, sizeof four);
    gguf_add_tensor(&file, "blk.1.attn_norm.bias", GGML_F32, huge, 2, four, sizeof four);
    gguf_end(&file);
    check_refused(&file, GPT2_ERR_FORMAT, "tensor h.1.ln_1.weight has 9223372036854775776 bytes");
}

/* -------------------------------------------------------------------------- cut and changed -- */

/* A file with a tokenizer. */
static void make_full(struct gguf_file *file)
{
    static const char *const tokens[] = {"a", "b", "ab", "c", "<|endoftext|>"};

    *file = whole();
    gguf_add_text(file, "tokenizer.ggml.model", "gpt2");
    gguf_add_text(file, "tokenizer.ggml.pre", "gpt-2");
    gguf_add_key(file, "tokenizer.ggml.tokens", GGUF_ARRAY);
    gguf_put_number(&file->keys, GGUF_STRING, 4);
    gguf_put_number(&file->keys, COUNT(tokens), 8);
    for (size_t i = 0; i < COUNT(tokens); i++)
        gguf_put_text(&file->keys, tokens[i]);
    gguf_add_key(file, "tokenizer.ggml.token_type", GGUF_ARRAY);
    gguf_put_number(&file->keys, GGUF_I32, 4);
    gguf_put_number(&file->keys, COUNT(tokens), 8);
    for (size_t i = 0; i < COUNT(tokens); i++)
        gguf_put_number(&file->keys, i == 4 ? 3 : 1, 4);
    gguf_add_key(file, "tokenizer.ggml.merges", GGUF_ARRAY);
    gguf_put_number(&file->keys, GGUF_STRING, 4);
    gguf_put_number(&file->keys, 1, 8);
    gguf_put_text(&file->keys, "a b");
    gguf_end(file);
}

static void test_cut(void **state)
{
    struct gguf_file file;
    gpt2_model *model;
    size_t n;

    (void)state;
    make_full(&file);
    n = file.all.n;
    assert_int_equal(gguf_load(&file, GPT2_TYPE_AS_FILE, &model, line, sizeof line), GPT2_OK);
    assert_non_null(gpt2_model_tokenizer(model));
    gpt2_model_free(model);
    for (file.all.n = 0; file.all.n < n; file.all.n++) {
        if (BOUNDED(gguf_load(&file, GPT2_TYPE_AS_FILE, &model, line, sizeof line)) !=
            GPT2_ERR_FORMAT)
            fail_msg("a file cut to %zu of %zu bytes: %s", file.all.n, n, line);
    }
    print_message("  refused: each of %zu lengths\n", n);
    gguf_free(&file);
}

/* Every byte becomes others: whatever they say, no harm is done, which a sanitizer sees. */
static void test_changed(void **state)
{
    static const unsigned char changes[] = {0x01, 0x80, 0xff, 0x10};
    struct gguf_file file;
    size_t n_loaded = 0;

    (void)state;
    make_full(&file);
    for (size_t at = 0; at < file.all.n; at++) {
        unsigned char saved = file.all.at[at];

        for (size_t i = 0; i < COUNT(changes) + 2; i++) {
            gpt2_model *model;
            int32_t status;

            file.all.at[at] = i < COUNT(changes) ? saved ^ changes[i] : i % 2 == 0 ? 0 : 0xff;
            status = BOUNDED(gguf_load(&file, GPT2_TYPE_AS_FILE, &model, line, sizeof line));
            assert_true(status == GPT2_OK || status == GPT2_ERR_FORMAT ||
                        status == GPT2_ERR_UNSUPPORTED);
            n_loaded += status == GPT2_OK;
            gpt2_model_free(model);
        }
        file.all.at[at] = saved;
    }
    print_message("  changed: each of %zu bytes in %zu ways; %zu files loaded\n", file.all.n,
                  COUNT(changes) + 2, n_loaded);
    gguf_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),  cmocka_unit_test(test_keys),
        cmocka_unit_test(test_endless), cmocka_unit_test(test_config),
        cmocka_unit_test(test_tensors), cmocka_unit_test(test_second_tensor),
        cmocka_unit_test(test_cut),     cmocka_unit_test(test_changed),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, make_small, free_small);
}
