/*
 * test_load.c: loading: the variants of a model directory, and what is wrong with others; the structs
 * that grow; statuses, version, kernels.
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "tiny_model.h"
#include "scratch.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY TINY_DIRECTORY "/load"
#define WEIGHTS   DIRECTORY "/model.safetensors"
#define NEXT      64 /* bytes by which a newer release's structs are longer */

static gpt2_model *shared_model;     /* the plain one */
static gpt2_session *shared_session; /* over it, with a row of logits */
static uint64_t odd_hash;            /* of its logits */

static int32_t load(const char *directory, int32_t n_threads, gpt2_model **model, char line[512])
{
    gpt2_model_params params;

    assert_int_equal(gpt2_model_params_init(&params, sizeof params), GPT2_OK);
    params.n_threads = n_threads;
    params.errbuf = line;
    params.errbuf_size = 512;
    return gpt2_model_load(directory, &params, model);
}

static uint64_t text_hash(const struct tiny_model *file)
{
    struct tiny_text text;

    tiny_text_begin(&text, file);
    gpt2_model_free(text.model);
    return text.hash;
}

static int set_up(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    struct tiny_text text;

    (void)state;
    tiny_text_begin(&text, &file);
    shared_model = text.model;
    odd_hash = text.hash;
    shared_session = tiny_session(shared_model, GPT2_CPU_ALL, 1, 8);
    return gpt2_forward(shared_session, text.ids, 1, 1);
}

static int tear_down(void **state)
{
    (void)state;
    gpt2_session_free(shared_session);
    gpt2_model_free(shared_model);
    return 0;
}

/* ------------------------------------------------------------------------------------ variants -- */

/* Files that hold the same model give the same bits; those that do not, do not. */
static void test_variants(void **state)
{
    struct tiny_model plain = tiny_odd(DIRECTORY), file = plain;
    static const char *const dtypes[] = {"F16", "BF16"};
    static const char *const in_f64[] = {"wte.weight", "lm_head.weight", "h.1.ln_1.bias"};
    uint64_t zero_biases;

    (void)state;
    file.prefix = "";
    assert_true(text_hash(&file) == odd_hash);
    file.masks = true;
    assert_true(text_hash(&file) == odd_hash);
    file.prefix = "transformer.";
    file.head_copy = true;
    file.tokenizer = true;
    assert_true(text_hash(&file) == odd_hash);
    for (size_t i = 0; i < COUNT(in_f64); i++) {
        file.odd = in_f64[i];
        file.odd_dtype = "F64";
        assert_true(text_hash(&file) == odd_hash);
    }
    file.odd = file.odd_dtype = NULL;
    file.without = "wte.weight"; /* as safetensors.torch.save_model() writes it */
    assert_true(text_hash(&file) == odd_hash);
    file.without = NULL;
    file.untied = true;
    assert_true(text_hash(&file) != odd_hash);

    file = plain;
    file.biases = TINY_BIASES_ZERO;
    zero_biases = text_hash(&file);
    assert_true(zero_biases != odd_hash);
    file.biases = TINY_BIASES_MISSING;
    file.masks = true; /* attn.bias is no bias */
    assert_true(text_hash(&file) == zero_biases);
    for (size_t i = 0; i < COUNT(dtypes); i++) {
        uint64_t hash;

        file = plain;
        file.untied = i == 1;
        file.dtype = dtypes[i];
        hash = text_hash(&file);
        file.widened = true;
        assert_true(text_hash(&file) == hash);
        file.dtype = "F32";
        assert_true(text_hash(&file) != hash);
    }
}

/* However many threads pack a model of several megabytes, it is the same, and from F64 too. */
static void test_threads(void **state)
{
    static const int32_t threads[] = {0, 1, 2, 3, 8, 256, 1, 2};
    struct tiny_model file = tiny_pages(DIRECTORY);
    uint64_t first = 0;

    (void)state;
    file.n_embd = 320;
    file.n_vocab = 3001;
    file.untied = true;
    tiny_write(&file);
    for (size_t i = 0; i < COUNT(threads); i++) {
        gpt2_session *session;
        gpt2_model *model;
        int32_t ids[20];
        char line[512];
        uint64_t hash;

        if (i == 6) {
            file.dtype = "F64";
            tiny_write(&file);
        }
        if (load(DIRECTORY, threads[i], &model, line) != GPT2_OK)
            fail_msg("%s", line);
        assert_string_equal(line, "");
        session = tiny_session(model, GPT2_CPU_ALL, 1, 256);
        tiny_ids(ids, COUNT(ids), file.n_vocab);
        hash = tiny_run(session, ids, COUNT(ids), COUNT(ids), 0);
        first = i == 0 ? hash : first;
        assert_true(hash == first);
        gpt2_session_free(session);
        gpt2_model_free(model);
    }
}

/* Every id of a model decodes, though its tokenizer may have fewer. */
static void test_ids_beyond_the_tokenizer(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    const gpt2_tokenizer *tokenizer;
    const char *bytes;
    gpt2_model *model;
    size_t n_bytes;

    (void)state;
    file.n_vocab = 100;
    tiny_write(&file);
    tiny_write_tokenizer(DIRECTORY);
    assert_int_equal(gpt2_model_load(DIRECTORY, NULL, &model), GPT2_OK);
    tokenizer = gpt2_model_tokenizer(model);
    assert_int_equal(gpt2_tokenizer_n_vocab(tokenizer), 97);
    for (int32_t id = 0; id < 100; id++) {
        assert_int_equal(gpt2_tokenizer_token_bytes(tokenizer, id, &bytes, &n_bytes), GPT2_OK);
        assert_non_null(bytes);
        assert_true(n_bytes == 0 ? id >= 97 : id < 97);
    }
    assert_int_equal(gpt2_tokenizer_token_bytes(tokenizer, 100, &bytes, &n_bytes), GPT2_ERR_TOKEN);
    gpt2_model_free(model);
}

static void test_info(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    const uint64_t block = 2 * 35 + 35 * 105 + 105 + 35 * 35 + 35 + 2 * 35 + 2 * 35 * 50 + 50 + 35;
    struct {
        gpt2_model_info info;
        unsigned char more[NEXT];
    } room;
    gpt2_model_info *info = &room.info;
    gpt2_model *model;

    (void)state;
    for (int untied = 0; untied < 2; untied++) {
        file.untied = untied == 1;
        file.dtype = untied == 1 ? "BF16" : "F16";
        file.eot = untied == 1 ? -1 : 96;
        file.tokenizer = untied == 0;
        model = tiny_load(&file);
        memset(&room, 0x5a, sizeof room);
        info->struct_size = sizeof room;
        assert_int_equal(gpt2_model_get_info(model, info), GPT2_OK);
        assert_int_equal(info->struct_size, sizeof room);
        assert_int_equal(info->n_vocab, 97);
        assert_int_equal(info->n_positions, 8);
        assert_int_equal(info->n_embd, 35);
        assert_int_equal(info->n_layer, 2);
        assert_int_equal(info->n_head, 7);
        assert_int_equal(info->n_inner, 50);
        assert_int_equal(info->activation, GPT2_ACT_GELU_NEW);
        assert_int_equal(info->tied_head, !untied);
        assert_int_equal(info->weight_type, untied == 1 ? GPT2_TYPE_BF16 : GPT2_TYPE_F16);
        assert_int_equal(info->eot_token, file.eot);
        assert_true(info->layer_norm_epsilon == 1e-5f);
        assert_int_equal(info->n_parameters,
                         2 * block + 2 * 35 + (8 + 97 + 97 * (uint64_t)untied) * 35);
        assert_int_equal(info->memory_type, info->weight_type);
        assert_in_range(info->memory_bytes, info->n_parameters * 2, info->n_parameters * 4);
        for (size_t i = 0; i < NEXT; i++) /* fields of a later release are 0 */
            assert_int_equal(room.more[i], 0);
        assert_true((gpt2_model_tokenizer(model) != NULL) == file.tokenizer);

        memset(&room, 0x5a, sizeof room);
        info->struct_size = sizeof *info;
        assert_int_equal(gpt2_model_get_info(model, info), GPT2_OK);
        assert_int_equal(info->n_vocab, 97);
        assert_int_equal(room.more[0], 0x5a);
        info->struct_size = offsetof(gpt2_model_info, memory_type); /* of the first release */
        assert_int_equal(gpt2_model_get_info(model, info), GPT2_OK);
        for (info->struct_size = 0; info->struct_size < offsetof(gpt2_model_info, memory_type);
             info->struct_size++)
            assert_int_equal(gpt2_model_get_info(model, info), GPT2_ERR_ARGUMENT);
        assert_int_equal(gpt2_model_get_info(model, NULL), GPT2_ERR_ARGUMENT);
        assert_int_equal(gpt2_model_get_info(NULL, info), GPT2_ERR_ARGUMENT);
        gpt2_model_free(model);
    }
    assert_null(gpt2_model_tokenizer(NULL));
    gpt2_model_free(NULL);
}

/* --------------------------------------------------------------------------------------- types -- */

static gpt2_model *load_type(int32_t weight_type, gpt2_model_info *info)
{
    gpt2_model_params params;
    gpt2_model *model;

    assert_int_equal(gpt2_model_params_init(&params, sizeof params), GPT2_OK);
    assert_int_equal(params.weight_type, GPT2_TYPE_AS_FILE);
    params.weight_type = weight_type;
    assert_int_equal(gpt2_model_load(DIRECTORY, &params, &model), GPT2_OK);
    assert_int_equal(gpt2_model_info_init(info, sizeof *info), GPT2_OK);
    assert_int_equal(gpt2_model_get_info(model, info), GPT2_OK);
    return model;
}

/* Of the logits of 8 tokens at once. */
static uint64_t logits_hash(gpt2_model *model)
{
    gpt2_session *session = tiny_session(model, GPT2_CPU_ALL, 1, 8);
    const int32_t ids[8] = {1, 96, 5, 17, 40, 2, 63, 88};
    uint64_t hash = 0;
    const float *row;

    assert_int_equal(gpt2_forward(session, ids, 8, 8), GPT2_OK);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(gpt2_session_logits(session, (int64_t)i, &row), GPT2_OK);
        for (size_t o = 0; o < 97; o++) {
            uint32_t bits;

            memcpy(&bits, &row[o], sizeof bits);
            hash = (hash ^ bits) * 0x9e3779b97f4a7c15u;
        }
    }
    gpt2_session_free(session);
    gpt2_model_free(model);
    return hash;
}

/* The same numbers in a file of their type, in one of F32, and in memory of each type that holds them. */
static void test_weight_types(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    static const char *const names[] = {NULL, "F16", "BF16"};
    uint64_t hash, f32_bytes;
    gpt2_model_info info;

    (void)state;
    for (int copy = 0; copy < 3; copy++) {
        file.untied = copy == 1;
        file.head_copy = copy == 2;
        for (int32_t type = GPT2_TYPE_F16; type <= GPT2_TYPE_BF16; type++) {
            gpt2_model *model;

            file.dtype = names[type];
            file.widened = true;
            tiny_write(&file);
            model = load_type(GPT2_TYPE_AS_FILE, &info);
            assert_int_equal(info.weight_type, GPT2_TYPE_F32);
            assert_int_equal(info.memory_type, GPT2_TYPE_F32);
            f32_bytes = info.memory_bytes;
            hash = logits_hash(model);
            model = load_type(type, &info);
            assert_int_equal(info.weight_type, GPT2_TYPE_F32);
            assert_int_equal(info.memory_type, type);
            assert_true(info.memory_bytes < f32_bytes * 7 / 10);
            assert_true(logits_hash(model) == hash);
            file.widened = false;
            tiny_write(&file);
            model = load_type(GPT2_TYPE_AS_FILE, &info);
            assert_int_equal(info.weight_type, type);
            assert_int_equal(info.memory_type, type);
            assert_true(logits_hash(model) == hash);
            model = load_type(GPT2_TYPE_F32, &info);
            assert_int_equal(info.weight_type, type);
            assert_int_equal(info.memory_type, GPT2_TYPE_F32);
            assert_int_equal(info.memory_bytes, f32_bytes);
            assert_true(logits_hash(model) == hash);
            /* the other type of 16 bits has not all of these numbers */
            model = load_type(GPT2_TYPE_F16 + GPT2_TYPE_BF16 - type, &info);
            assert_true(logits_hash(model) != hash);
        }
    }
}

/* F64 is rounded to F32 when it is read, and goes on as F32 does. */
static void test_f64(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    gpt2_model_info info;
    gpt2_session *session;
    gpt2_model *large;
    const float *row;

    (void)state;
    for (int copy = 0; copy < 3; copy++) {
        uint64_t hashes[GPT2_TYPE_Q4 + 2][2];

        file.untied = copy == 1;
        file.head_copy = copy == 2;
        for (int is_f64 = 0; is_f64 < 2; is_f64++) {
            file.dtype = is_f64 == 1 ? "F64" : "F32";
            tiny_write(&file);
            for (int32_t type = GPT2_TYPE_AS_FILE; type <= GPT2_TYPE_Q4; type++) {
                gpt2_model *model = load_type(type, &info);

                assert_int_equal(info.weight_type, is_f64 == 1 ? GPT2_TYPE_F64 : GPT2_TYPE_F32);
                assert_int_equal(info.memory_type,
                                 type == GPT2_TYPE_AS_FILE ? GPT2_TYPE_F32 : type);
                hashes[type + 1][is_f64] = logits_hash(model);
            }
        }
        for (int32_t type = GPT2_TYPE_AS_FILE; type <= GPT2_TYPE_Q4; type++)
            assert_true(hashes[type + 1][0] == hashes[type + 1][1]);
        assert_true(hashes[0][1] == hashes[1][1] && hashes[0][1] != hashes[2][1]);
    }

    file.head_copy = false;
    file.untied = true;
    file.head_exponent = 200; /* beyond the range of F32 */
    tiny_write(&file);
    large = load_type(GPT2_TYPE_AS_FILE, &info);
    session = tiny_session(large, GPT2_CPU_ALL, 1, 8);
    assert_int_equal(gpt2_forward(session, &(int32_t){1}, 1, 1), GPT2_OK);
    assert_int_equal(gpt2_session_logits(session, 0, &row), GPT2_OK);
    assert_false(isfinite(row[0]));
    gpt2_session_free(session);
    gpt2_model_free(large);
}

/* Whatever type the file has, its numbers are quantised alike, and the memory is as documented. */
static void test_quantised_types(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    gpt2_model_info info;

    (void)state;
    for (int untied = 0; untied < 2; untied++) {
        uint64_t hashes[2][2];
        uint64_t f32_bytes;

        file.untied = untied == 1;
        file.dtype = "F16";
        for (int widened = 0; widened < 2; widened++) {
            file.widened = widened == 1;
            tiny_write(&file);
            gpt2_model_free(load_type(GPT2_TYPE_F32, &info));
            f32_bytes = info.memory_bytes;
            for (int32_t type = GPT2_TYPE_Q8; type <= GPT2_TYPE_Q4; type++) {
                gpt2_model *model = load_type(type, &info);

                assert_int_equal(info.memory_type, type);
                assert_int_equal(info.weight_type, widened == 1 ? GPT2_TYPE_F32 : GPT2_TYPE_F16);
                assert_true(info.memory_bytes < f32_bytes * 6 / 10);
                hashes[widened][type - GPT2_TYPE_Q8] = logits_hash(model);
            }
        }
        assert_true(hashes[0][0] == hashes[1][0]);
        assert_true(hashes[0][1] == hashes[1][1]);
        assert_true(hashes[0][0] != hashes[0][1]);
    }
}

static void test_weight_type_refusals(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    gpt2_model_params params;
    gpt2_model *model;
    char line[512] = "";

    (void)state;
    file.untied = true;
    file.head_exponent = 100;
    tiny_write(&file);
    assert_int_equal(gpt2_model_params_init(&params, sizeof params), GPT2_OK);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    params.weight_type = GPT2_TYPE_F16;
    assert_int_equal(gpt2_model_load(DIRECTORY, &params, &model), GPT2_ERR_UNSUPPORTED);
    tiny_check_says(line, WEIGHTS ": lm_head.weight has a number in row 0, column ");
    tiny_check_says(line, " that is too large for f16");
    assert_null(model);
    params.weight_type = GPT2_TYPE_BF16;
    assert_int_equal(gpt2_model_load(DIRECTORY, &params, &model), GPT2_OK);
    gpt2_model_free(model);
    params.weight_type = GPT2_TYPE_Q8;
    assert_int_equal(gpt2_model_load(DIRECTORY, &params, &model), GPT2_ERR_UNSUPPORTED);
    tiny_check_says(line, WEIGHTS ": lm_head.weight has ");
    tiny_check_says(line, ", which q8 cannot hold, wanted f32");
    file.dtype = "F64";
    file.head_exponent = 200; /* infinities when they are F32 */
    tiny_write(&file);
    assert_int_equal(gpt2_model_load(DIRECTORY, &params, &model), GPT2_ERR_UNSUPPORTED);
    tiny_check_says(line, WEIGHTS ": lm_head.weight has ");
    tiny_check_says(line, "inf in row 0, column ");
    params.weight_type = GPT2_TYPE_F64; /* of files alone */
    assert_int_equal(gpt2_model_load(DIRECTORY, &params, &model), GPT2_ERR_ARGUMENT);
    tiny_check_says(line, "gpt2_model_params.weight_type is 5, wanted -1 to 4");
    params.weight_type = -2;
    assert_int_equal(gpt2_model_load(DIRECTORY, &params, &model), GPT2_ERR_ARGUMENT);
    params.weight_type = 0;
    params.file_access = 2;
    assert_int_equal(gpt2_model_load(DIRECTORY, &params, &model), GPT2_ERR_ARGUMENT);
    tiny_check_says(line, "gpt2_model_params.file_access is 2, wanted 0 to 1");
}

/* ------------------------------------------------------------------------------------- refusals -- */

static void check_refused(const char *path, int32_t status, const char *words)
{
    gpt2_model *model = (gpt2_model *)&model;
    struct footprint before = footprint_now(), after;
    char line[512] = "";
    int32_t found = load(path, 1, &model, line);

    after = footprint_now();
    if (found != status)
        fail_msg("found status %d, wanted %d and \"%s\": %s", (int)found, (int)status, words, line);
    tiny_check_says(line, words);
    assert_null(model);
    assert_int_equal(after.descriptor, before.descriptor);
    if (after.pages != before.pages)
        fail_msg("%s: %ld pages stay", line, after.pages - before.pages);
}

static void test_tensors(void **state)
{
    static const struct {
        const char *without, *extra, *odd, *odd_dtype;
        uint64_t odd_dim;
        int32_t status;
        const char *words;
    } cases[] = {
#define FILE_PATH WEIGHTS ": "
        {"wpe.weight", NULL, NULL, NULL, 0, GPT2_ERR_FORMAT,
         FILE_PATH "tensor transformer.wpe.weight is missing"},
        {"wte.weight", NULL, NULL, NULL, 0, GPT2_ERR_FORMAT, "wte.weight is missing"},
        {"h.1.ln_2.weight", NULL, NULL, NULL, 0, GPT2_ERR_FORMAT, "h.1.ln_2.weight is missing"},
        {"h.0.attn.c_attn.bias", NULL, NULL, NULL, 0, GPT2_ERR_FORMAT,
         "tensor transformer.h.0.attn.c_attn.bias is missing"},
        {"h.0.mlp.c_fc.weight", NULL, NULL, NULL, 0, GPT2_ERR_FORMAT, "c_fc.weight is missing"},
        {NULL, "h.7.ln_1.weight", NULL, NULL, 0, GPT2_ERR_UNSUPPORTED,
         "transformer.h.7.ln_1.weight has no place in a GPT-2 of 2 layers"},
        {NULL, "h.1.attn.q_attn.weight", NULL, NULL, 0, GPT2_ERR_UNSUPPORTED, "q_attn.weight"},
        {NULL, NULL, "h.1.attn.c_proj.weight", NULL, 36, GPT2_ERR_FORMAT,
         "c_proj.weight has shape [35, 36], the config wants [35, 35]"},
        {NULL, NULL, "ln_f.bias", NULL, 34, GPT2_ERR_FORMAT,
         "ln_f.bias has shape [34], the config wants [35]"},
        {NULL, NULL, "h.0.attn.c_attn.weight", "I32", 0, GPT2_ERR_UNSUPPORTED,
         "transformer.h.0.attn.c_attn.weight has type I32, wanted F64, F32, F16 or BF16"},
        {NULL, NULL, "h.0.ln_1.bias", "U8", 0, GPT2_ERR_UNSUPPORTED, "has type U8"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tiny_model file = tiny_odd(DIRECTORY);

        file.without = cases[i].without;
        file.extra = cases[i].extra;
        file.odd = cases[i].odd;
        file.odd_dtype = cases[i].odd_dtype;
        file.odd_dim = cases[i].odd_dim;
        tiny_write(&file);
        check_refused(DIRECTORY, cases[i].status, cases[i].words);
    }
}

/* A tied head may have a tensor of its own only if it is equal to wte. */
static void test_tied_head(void **state)
{
    static const char *const dtypes[] = {"F32", "F16"};

    (void)state;
    for (size_t i = 0; i < COUNT(dtypes); i++) {
        struct tiny_model file = tiny_odd(DIRECTORY);

        file.dtype = dtypes[i];
        file.head_copy = file.head_differs = true;
        tiny_write(&file);
        check_refused(DIRECTORY, GPT2_ERR_FORMAT,
                      WEIGHTS ": lm_head.weight differs from transformer.wte.weight in row 96, but "
                              "config.json ties them");
        file.head_differs = false;
        file.odd = "lm_head.weight";
        file.odd_dim = 34;
        tiny_write(&file);
        check_refused(DIRECTORY, GPT2_ERR_FORMAT, "lm_head.weight has shape [97, 34]");
    }
}

static void test_config(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);

    (void)state;
    tiny_write(&file);
    file.n_layer = 1;
    tiny_write_config(&file, DIRECTORY);
    check_refused(DIRECTORY, GPT2_ERR_UNSUPPORTED, "has no place in a GPT-2 of 1 layers");
    file.n_layer = 3;
    tiny_write_config(&file, DIRECTORY);
    check_refused(DIRECTORY, GPT2_ERR_FORMAT, "transformer.h.2.ln_1.weight is missing");
    file = tiny_odd(DIRECTORY);
    file.n_vocab = 98;
    tiny_write_config(&file, DIRECTORY);
    check_refused(DIRECTORY, GPT2_ERR_FORMAT, "has shape [97, 35], the config wants [98, 35]");
    file = tiny_odd(DIRECTORY);
    file.untied = true;
    tiny_write_config(&file, DIRECTORY);
    check_refused(DIRECTORY, GPT2_ERR_FORMAT, "tensor lm_head.weight is missing");
    file = tiny_odd(DIRECTORY);
    file.n_head = 6;
    tiny_write_config(&file, DIRECTORY);
    check_refused(DIRECTORY, GPT2_ERR_FORMAT, "config.json: n_head: found 6");
}

static void test_files(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    static char long_path[8192];
    gpt2_tokenizer *tokenizer;
    gpt2_model *model = (gpt2_model *)&model;
    struct stat info;
    char line[512];

    (void)state;
    memset(long_path, 'a', sizeof long_path - 1);
    check_refused(long_path, GPT2_ERR_FILE, "aaaaaaaa");
    check_refused(TINY_DIRECTORY "/none", GPT2_ERR_FILE, "/none/config.json: cannot be opened");
    check_refused("", GPT2_ERR_ARGUMENT, "gpt2_model_load: path is empty, wanted a directory");
    tiny_write(&file);
    check_refused(WEIGHTS, GPT2_ERR_FORMAT,
                  WEIGHTS ": is not a native file of libgpt2; wanted one, or the directory of");
    assert_int_equal(stat(WEIGHTS, &info), 0);
    for (off_t cut = 1; cut <= info.st_size; cut += cut < 20 ? 1 : cut * 2 / 3) {
        tiny_write(&file);
        assert_int_equal(truncate(WEIGHTS, info.st_size - cut), 0);
        check_refused(DIRECTORY, GPT2_ERR_FORMAT, WEIGHTS);
    }
    assert_int_equal(truncate(WEIGHTS, 0), 0);
    check_refused(DIRECTORY, GPT2_ERR_FORMAT, WEIGHTS);
    assert_int_equal(unlink(WEIGHTS), 0);
    check_refused(DIRECTORY, GPT2_ERR_FILE, WEIGHTS ": cannot be opened");
    tiny_remove(DIRECTORY);
    tiny_write_tokenizer(DIRECTORY);
    check_refused(DIRECTORY, GPT2_ERR_FILE, DIRECTORY "/config.json: cannot be opened");
    assert_int_equal(gpt2_tokenizer_load(DIRECTORY, NULL, &tokenizer), GPT2_OK);
    assert_int_equal(gpt2_tokenizer_n_vocab(tokenizer), 97);
    gpt2_tokenizer_free(tokenizer);
    tiny_write(&file);
    tiny_write_tokenizer(DIRECTORY);
    assert_int_equal(truncate(DIRECTORY "/vocab.json", 50), 0);
    check_refused(DIRECTORY, GPT2_ERR_FORMAT, DIRECTORY "/vocab.json");
    assert_int_equal(gpt2_model_load(NULL, NULL, &model), GPT2_ERR_ARGUMENT);
    assert_null(model);
    assert_int_equal(gpt2_model_load(DIRECTORY, NULL, NULL), GPT2_ERR_ARGUMENT);
    assert_int_equal(load(DIRECTORY, -1, &model, line), GPT2_ERR_ARGUMENT);
    tiny_check_says(line, "n_threads is -1, wanted 0 to 256");
    assert_int_equal(load(DIRECTORY, 257, &model, line), GPT2_ERR_ARGUMENT);
}

/* A tokenizer of another kind leaves a model that works on ids; a damaged one leaves none. */
static void test_other_tokenizer(void **state)
{
    static const char word_piece[] = "{\"version\": \"1.0\", \"normalizer\": null, \"model\": "
                                     "{\"type\": \"WordPiece\", \"vocab\": {\"a\": 0}}}";
    const char *const stops[] = {"a"};
    struct tiny_model file = tiny_odd(DIRECTORY);
    gpt2_generator_params params;
    gpt2_generator *generator;
    gpt2_session *session;
    gpt2_tokenizer *tokenizer;
    gpt2_model *model;
    char line[512];

    (void)state;
    assert_string_equal(gpt2_model_tokenizer_error(shared_model), "");
    tiny_write(&file);
    scratch_write(DIRECTORY "/tokenizer.json", word_piece, sizeof word_piece - 1);
    assert_int_equal(load(DIRECTORY, 1, &model, line), GPT2_OK);
    assert_null(gpt2_model_tokenizer(model));
    tiny_check_says(gpt2_model_tokenizer_error(model), DIRECTORY
                    "/tokenizer.json: byte 68: model.type: found \"WordPiece\", wanted BPE");
    session = tiny_session(model, GPT2_CPU_ALL, 1, 8);
    assert_int_equal(gpt2_forward(session, &(const int32_t){7}, 1, 1), GPT2_OK);
    assert_int_equal(gpt2_generator_params_init(&params, sizeof params), GPT2_OK);
    params.stop_strings = stops;
    params.n_stop_strings = 1;
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    assert_int_equal(gpt2_generator_create(session, &params, &generator), GPT2_ERR_ARGUMENT);
    tiny_check_says(line, "has no tokenizer: " DIRECTORY "/tokenizer.json: byte 68: model.type");
    gpt2_session_free(session);
    gpt2_model_free(model);
    assert_int_equal(gpt2_tokenizer_load(DIRECTORY, NULL, &tokenizer), GPT2_ERR_UNSUPPORTED);
    scratch_write(DIRECTORY "/tokenizer.json", word_piece, 20);
    check_refused(DIRECTORY, GPT2_ERR_FORMAT, DIRECTORY "/tokenizer.json: byte 20: the text ends");
    assert_int_equal(unlink(DIRECTORY "/tokenizer.json"), 0);
}

/* ------------------------------------------------------------------------------------- structs -- */

static int32_t init_load(void *params, size_t struct_size)
{
    return gpt2_model_params_init(params, struct_size);
}

static int32_t init_session(void *params, size_t struct_size)
{
    return gpt2_session_params_init(params, struct_size);
}

static int32_t init_sample(void *params, size_t struct_size)
{
    return gpt2_sample_params_init(params, struct_size);
}

static int32_t use_load(const void *params)
{
    gpt2_model *model;
    int32_t status = gpt2_model_load(DIRECTORY, params, &model);

    gpt2_model_free(model);
    return status;
}

static int32_t use_session(const void *params)
{
    gpt2_session *other;
    int32_t status = gpt2_session_create(shared_model, params, &other);

    gpt2_session_free(other);
    return status;
}

static int32_t use_sample(const void *params)
{
    int32_t id;

    return gpt2_sample(shared_session, 0, params, &id);
}

static void check_bytes(const unsigned char *bytes, size_t n, unsigned char value)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(bytes[i], value);
}

/* The rules of docs/abi.md: as long as in the first release, shorter, longer with zeros or not. */
static void test_growth(void **state)
{
    static const struct {
        size_t first_size; /* in the first release */
        size_t size;
        int32_t (*init)(void *params, size_t struct_size);
        int32_t (*use)(const void *params);
    } kinds[] = {
        {offsetof(gpt2_model_params, weight_type), sizeof(gpt2_model_params), init_load, use_load},
        {offsetof(gpt2_session_params, parallel_for), sizeof(gpt2_session_params), init_session,
         use_session},
        {offsetof(gpt2_sample_params, top_n_sigma), sizeof(gpt2_sample_params), init_sample,
         use_sample},
    };

    (void)state;
    for (size_t k = 0; k < COUNT(kinds); k++) {
        _Alignas(8) unsigned char bytes[512];
        size_t size = kinds[k].size;
        uint32_t said;

        assert_int_equal(kinds[k].init(NULL, size), GPT2_ERR_ARGUMENT);
        memset(bytes, 0x5a, sizeof bytes);
        for (size_t small = 0; small < kinds[k].first_size; small++)
            assert_int_equal(kinds[k].init(bytes, small), GPT2_ERR_ARGUMENT);
        check_bytes(bytes, sizeof bytes, 0x5a);
        for (size_t older = kinds[k].first_size; older < size; older++)
            assert_true(kinds[k].init(bytes, older) == 0 && kinds[k].use(bytes) == 0);
        assert_int_equal(kinds[k].init(bytes, size), GPT2_OK);
        assert_int_equal(kinds[k].use(bytes), GPT2_OK); /* what lies behind it is not its own */
        check_bytes(bytes + size, sizeof bytes - size, 0x5a);
        for (said = 0; said < kinds[k].first_size; said++) { /* no release had less */
            memcpy(bytes, &said, sizeof said);
            assert_int_equal(kinds[k].use(bytes), GPT2_ERR_ARGUMENT);
        }
        assert_int_equal(kinds[k].init(bytes, size + NEXT), GPT2_OK);
        memcpy(&said, bytes, sizeof said);
        assert_int_equal(said, size + NEXT);
        check_bytes(bytes + size, NEXT, 0);
        check_bytes(bytes + size + NEXT, sizeof bytes - size - NEXT, 0x5a);
        assert_int_equal(kinds[k].use(bytes), GPT2_OK);
        for (size_t i = size; i < size + NEXT; i++) { /* a newer release's field is set */
            bytes[i] = 0x80;
            assert_int_equal(kinds[k].use(bytes), GPT2_ERR_UNSUPPORTED);
            bytes[i] = 0;
        }
    }
    tiny_check_says(gpt2_session_error(shared_session), "gpt2_sample_params: byte 287 is set");
}

static void test_texts(void **state)
{
    static const int32_t statuses[] = {GPT2_OK, -1,  -2,  -3,  -4,  -5,  -6,  -7,        -8,
                                       -9,      -20, -21, -40, -41, -42, -60, -61,       -80,
                                       1,       -10, -19, -22, -43, -62, -81, INT32_MAX, INT32_MIN};
    char version[48];

    (void)state;
    for (size_t i = 0; i < COUNT(statuses); i++) { /* 18 that have a text, and some of no meaning */
        const char *text = gpt2_strerror(statuses[i]);

        assert_true(i < 18 ? strlen(text) > 4 : strcmp(text, "unknown status") == 0);
        for (size_t j = 0; j < i && j < 18; j++)
            assert_string_not_equal(text, gpt2_strerror(statuses[j]));
    }
    (void)snprintf(version, sizeof version, "%d.%d.%d", GPT2_VERSION_MAJOR, GPT2_VERSION_MINOR,
                   GPT2_VERSION_PATCH);
    assert_string_equal(gpt2_version(), version);
}

static void test_kernels(void **state)
{
    uint32_t have = gpt2_cpu_features();

    (void)state;
    for (uint32_t mask = 0; mask < 64; mask++) {
        gpt2_session *session = tiny_session(shared_model, mask, 1, 8);
        uint32_t both = have & mask;
        const char *wanted = (both & 0x24) == 0x24   ? "dotprod"
                             : (both & 0x04) == 0x04 ? "neon"
                             : (both & 0x0b) == 0x0b ? "avx512vnni"
                             : (both & 0x03) == 0x03 ? "avx512"
                             : (both & 0x11) == 0x11 ? "avxvnni"
                             : (both & 0x01) == 0x01 ? "avx2"
                                                     : "scalar";

        assert_string_equal(gpt2_session_kernels(session), wanted);
        gpt2_session_free(session);
    }
    if ((have & GPT2_CPU_AVX512) != 0)
        assert_true((have & GPT2_CPU_AVX2) != 0);
    assert_int_equal(have & ~UINT32_C(0x3f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_weight_types),
        cmocka_unit_test(test_f64),
        cmocka_unit_test(test_quantised_types),
        cmocka_unit_test(test_weight_type_refusals),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_tied_head),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_other_tokenizer),
        cmocka_unit_test(test_ids_beyond_the_tokenizer),
    };

    return cmocka_run_group_tests_name("load", tests, set_up, tear_down);
}
