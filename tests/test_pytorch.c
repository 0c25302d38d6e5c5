/*
 * test_pytorch.c: pytorch_model.bin in both forms, built byte by byte: valid, cut, changed, hostile;
 * and the same model from it as from model.safetensors.
 *
 * WRAP := mmap mmap64 munmap
 */
#include "bounds.h"
#include "pytorch_file.h"
#include "formats/tensors.h"

#define DIRECTORY TINY_DIRECTORY "/pytorch"

static char line[512];
static struct gpt2i_error error = {line, sizeof line};

static int32_t open_bytes(struct gpt2i_tensors *tensors, const struct bytes *file, size_t n)
{
    unsigned char *copy = malloc(n + (n == 0)); /* a sanitizer sees its end */
    gpt2_source source = {"pytorch_model.bin", copy, n, NULL, NULL};
    struct gpt2i_files files = {.list = &source, .n_list = 1};
    int32_t status;

    assert_non_null(copy);
    memcpy(copy, file->at, n);
    line[0] = '\0';
    status = BOUNDED(gpt2i_pytorch_open(tensors, &files, "pytorch_model.bin", &error));
    if (status != GPT2_OK)
        assert_true(line[0] != '\0' && tensors->source == NULL && tensors->block == NULL);
    free(copy);
    return status;
}

/* ---------------------------------------------------------------------------------- the tests -- */

static struct bytes pickle, file, changed;
static const float values[6] = {1, 2, 3, 4, 5, 6};
static const struct pytorch_storage small_storages[] = {
    {"0", "FloatStorage", 6, values, sizeof values}, {"mask", "ByteStorage", 4, "\1\0\1\1", 4}};

/* Two tensors of one storage, and a mask. */
static void make_small(bool stream)
{
    static const uint64_t whole[] = {2, 3}, mask[] = {1, 1, 2, 2};

    pickle.n = 0;
    ADD(&pickle, "\x80\2ccollections\nOrderedDict\n)Rq\0(");
    bytes_add_text(&pickle, "wte.weight");
    pytorch_add_tensor(&pickle, &small_storages[0], stream, 0, whole, 2);
    bytes_add_text(&pickle, "part");
    pytorch_add_tensor(&pickle, &small_storages[0], stream, 2, whole, 1);
    bytes_add_text(&pickle, "mask");
    pytorch_add_tensor(&pickle, &small_storages[1], stream, 0, mask, 4);
    ADD(&pickle, "u}");
    bytes_add_text(&pickle, "_metadata");
    ADD(&pickle, "h\0sb.");
    pytorch_wrap(&file, &pickle, small_storages, 2, stream);
}

static void test_valid(void **state)
{
    (void)state;
    for (int stream = 0; stream < 2; stream++) {
        struct gpt2i_tensors tensors;

        make_small(stream == 1);
        if (open_bytes(&tensors, &file, file.n) != GPT2_OK)
            fail_msg("%s", line);
        assert_int_equal(tensors.n_tensors, 3);
        assert_string_equal(tensors.items[0].name, "mask");
        assert_int_equal(tensors.items[0].type, -1);
        assert_string_equal(tensors.items[0].dtype, "U8");
        assert_int_equal(tensors.items[0].n_dims, 4);
        assert_memory_equal(file.at + tensors.items[0].offset, "\1\0\1\1", 4);
        assert_int_equal(tensors.items[1].n_bytes, 8);
        assert_memory_equal(file.at + tensors.items[1].offset, values + 2, 8);
        assert_int_equal(tensors.items[2].type, GPT2_TYPE_F32);
        assert_int_equal(tensors.items[2].dims[1], 3);
        assert_memory_equal(file.at + tensors.items[2].offset, values, sizeof values);
        gpt2i_tensors_close(&tensors);
    }
}

/* As torch before 0.4 wrote it: without requires_grad and hooks. */
static void test_old_tensor(void **state)
{
    struct gpt2i_tensors tensors;

    (void)state;
    pickle.n = 0;
    ADD(&pickle, "\x80\2}X\1\0\0\0xctorch._utils\n_rebuild_tensor\n((X\7\0\0\0storage"
                 "ctorch\nFloatStorage\nX\1\0\0\0"
                 "0X\3\0\0\0cpuK\6NtQK\2K\4\x85K\1\x85tRs.");
    pytorch_wrap(&file, &pickle, small_storages, 1, true);
    if (open_bytes(&tensors, &file, file.n) != GPT2_OK)
        fail_msg("%s", line);
    assert_int_equal(tensors.n_tensors, 1);
    assert_int_equal(tensors.items[0].dims[0], 4);
    assert_memory_equal(file.at + tensors.items[0].offset, values + 2, 16);
    gpt2i_tensors_close(&tensors);
}

static void test_cut(void **state)
{
    struct gpt2i_tensors tensors;

    (void)state;
    for (int stream = 0; stream < 2; stream++) {
        make_small(stream == 1);
        for (size_t n = 0; n < file.n; n++)
            assert_int_not_equal(open_bytes(&tensors, &file, n), GPT2_OK);
        ADD(&file, "\0");
        assert_int_equal(open_bytes(&tensors, &file, file.n), GPT2_ERR_FORMAT);
    }
}

/* Every byte changed in several ways: an error, or tensors inside the file. */
static void test_flips(void **state)
{
    static const unsigned char flips[] = {0x01, 0x20, 0x80, 0xff};
    size_t n_refused = 0;

    (void)state;
    for (int stream = 0; stream < 2; stream++) {
        make_small(stream == 1);
        for (size_t i = 0; i < file.n * COUNT(flips); i++) {
            struct gpt2i_tensors tensors;

            changed.n = 0;
            bytes_add(&changed, file.at, file.n);
            changed.at[i / COUNT(flips)] ^= flips[i % COUNT(flips)];
            if (open_bytes(&tensors, &changed, changed.n) != GPT2_OK) {
                n_refused++;
                continue;
            }
            assert_true(tensors.n_tensors <= 3);
            for (size_t j = 0; j < tensors.n_tensors; j++)
                assert_true(tensors.items[j].offset <= file.n &&
                            tensors.items[j].n_bytes <= file.n - tensors.items[j].offset);
            gpt2i_tensors_close(&tensors);
        }
    }
    assert_true(n_refused > file.n);
}

#define HOSTILE(bytes, status, says)           \
    {                                          \
        bytes, sizeof(bytes) - 1, status, says \
    }
#define BAD GPT2_ERR_FORMAT
#define NOT GPT2_ERR_UNSUPPORTED

/* Pickles in data.pkl. */
static const struct {
    const char *bytes;
    size_t n;
    int32_t status;
    const char *says;
} hostile[] = {
    HOSTILE("\x80\2cos\nsystem\nX\2\0\0\0ls\x85R.", NOT,
            "the pickle names os.system, which is no part of a state_dict"),
    HOSTILE("\x80\4\x8c\2os\x94\x8c\6system\x94\x93.", NOT, "names os.system"),
    HOSTILE("\x80\4\x8c\2os\x94\x8c\6system\x94h\0h\1\x93.", NOT, "names os.system"),
    HOSTILE("\x80\4\x8c\5torch\x8c\x19_utils._rebuild_tensor_v2\x93.", NOT, "names torch._utils"),
    HOSTILE("\x80\2ctorch.storage\n_load_from_bytes\n.", NOT, "torch.storage._load_from_bytes"),
    HOSTILE("\x80\2cbuiltins\neval\n.", NOT, "builtins.eval"),
    HOSTILE("\x80\2(ios\nsystem\n.", NOT, "opcode 0x69"),
    HOSTILE("\x80\2(cos\nsystem\no.", NOT, "os.system"),
    HOSTILE("\x80\2ccollections\nOrderedDict\n)\x81.", NOT, "opcode 0x81"),
    HOSTILE("\x80\2\x82\1.", NOT, "opcode 0x82"),
    HOSTILE("\x80\2P1\n.", NOT, "opcode 0x50"),
    HOSTILE("\x80\2](2e.", NOT, "opcode 0x32"),
    HOSTILE("\x80\2\x8b\0\0\0\x80.", NOT, "opcode 0x8b"),
    HOSTILE("\x80\2ccollections\nOrderedDict\nK\1\x85R.", NOT, "OrderedDict is called"),
    HOSTILE("\x80\2ctorch._utils\n_rebuild_tensor_v2\n)R.", NOT, "_rebuild_tensor_v2 is called"),
    HOSTILE("\x80\2ctorch._utils\n_rebuild_parameter\n)R.", NOT, "_rebuild_parameter is called"),
    HOSTILE("\x80\2ctorch\nFloatStorage\n)R.", NOT, "FloatStorage is called"),
    HOSTILE("\x80\2X\1\0\0\0xQ.", NOT, "no storage"),
    HOSTILE("\x80\2)Q.", NOT, "no storage"),
    HOSTILE("\x80\4\x8d\0\0\0\0\0\0\0\x80.", BAD, "needs more bytes"),
    HOSTILE("\x80\2X\xff\xff\xff\xff.", BAD, "needs more bytes"),
    HOSTILE("\x80\4\x95\xff\xff\xff\xff\xff\xff\xff\xff}.", BAD, "a frame is longer"),
    HOSTILE("\x80\2}r\xff\xff\xff\xff.", BAD, "a number of the memo"),
    HOSTILE("\x80\2j\xff\xff\xff\xff.", BAD, "the memo does not have"),
    HOSTILE("\x80\2h\1.", BAD, "the memo does not have"),
    HOSTILE("\x80\2q\1.", BAD, "nothing is on the stack"),
    HOSTILE("\x80\2(q\1.", BAD, "nothing is on the stack"),
    HOSTILE("\x80\2R.", BAD, "a call needs"),
    HOSTILE("\x80\2t.", BAD, "a mark is missing"),
    HOSTILE("\x80\2e.", BAD, "a mark is missing"),
    HOSTILE("\x80\2u.", BAD, "a mark is missing"),
    HOSTILE("\x80\2\x87.", BAD, "a tuple needs"),
    HOSTILE("\x80\2K\1(\x86.", BAD, "a tuple needs"),
    HOSTILE("\x80\2)K\1a.", BAD, "no list"),
    HOSTILE("\x80\2]K\1K\1s.", BAD, "no dict"),
    HOSTILE("\x80\2}(K\1u.", BAD, "a key has no value"),
    HOSTILE("\x80\2)}b.", BAD, "no dict"),
    HOSTILE("\x80\2.", BAD, "other than one value"),
    HOSTILE("\x80\2}}.", BAD, "other than one value"),
    HOSTILE("\x80\2(.", BAD, "other than one value"),
    HOSTILE("\x80\2}", BAD, "has no end"),
    HOSTILE("\x80\2}.}", BAD, "goes on behind"),
    HOSTILE("\x80\6}.", NOT, "protocol 6"),
    HOSTILE("\x80\2]q\0h\0a.", NOT, "holds a list"),
    HOSTILE("\x80\2}K\1K\2s.", NOT, "a key of the dict"),
    HOSTILE("\x80\2}X\5\0\0\0model}s.", NOT, "\"model\" is a dict"),
    HOSTILE("\x80\2}q\0X\1\0\0\0xh\0s.", NOT, "\"x\" is a dict"),
    HOSTILE("", BAD, "0 bytes"),
};

static void test_hostile(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(hostile); i++) {
        struct gpt2i_tensors tensors;
        int32_t status;

        pickle.n = 0;
        bytes_add(&pickle, hostile[i].bytes, hostile[i].n);
        pytorch_wrap(&file, &pickle, NULL, 0, false);
        status = open_bytes(&tensors, &file, file.n);
        if (status != hostile[i].status || strstr(line, hostile[i].says) == NULL)
            fail_msg("%zu: status %d, %s, wanted %s", i, (int)status, line, hostile[i].says);
    }
}

#define MAGIC "\x80\2\x8a\xa\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."

/* The pickles before the dict in the stream form. */
static void test_hostile_prologue(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        int32_t status;
        const char *says;
    } prologues[] = {
        HOSTILE("\x80\2}.", NOT, "does not begin with the magic number"),
        HOSTILE("\x80\2(.", BAD, "other than one value"),
        HOSTILE(MAGIC, BAD, "the pickle has no end"),
        HOSTILE(MAGIC "\x80\2(.", BAD, "other than one value"),
        HOSTILE(MAGIC "\x80\2M\xe8\3.", NOT, "its protocol is not 1001"),
        HOSTILE(MAGIC "\x80\2M\xe9\3.\x80\2(.", BAD, "other than one value"),
        HOSTILE(MAGIC "\x80\2M\xe9\3.\x80\2}(.", BAD, "other than one value"),
        HOSTILE(MAGIC "\x80\2M\xe9\3.\x80\2].", BAD, "has no dict of facts"),
        HOSTILE(MAGIC "\x80\2M\xe9\3.\x80\2}.\x80\2(.", BAD, "other than one value"),
        HOSTILE(MAGIC "\x80\2M\xe9\3.\x80\2}.\x80\2}.\x80\2(.", BAD, "other than one value"),
        HOSTILE(MAGIC "\x80\2M\xe9\3.\x80\2}.\x80\2}.\x80\2}.", BAD, ""),
    };
    struct gpt2i_tensors tensors;

    (void)state;
    for (size_t i = 0; i < COUNT(prologues); i++) {
        file.n = 0;
        bytes_add(&file, prologues[i].bytes, prologues[i].n);
        assert_int_equal(open_bytes(&tensors, &file, file.n), prologues[i].status);
        tiny_check_says(line, prologues[i].says);
    }
}

/* A tensor that is wrong: by its place in the storage, its name, its strides. */
static void test_wrong_tensors(void **state)
{
    static const uint64_t whole[] = {2, 3}, huge[] = {0x7fffffff, 0x7fffffff, 0x7fffffff};
    struct gpt2i_tensors tensors;

    (void)state;
    for (int i = 0; i < 4; i++) {
        static const char *const says[] = {"reaches out of its storage", "appears twice",
                                           "above 2^64 - 1", "its elements do not follow on"};

        pickle.n = 0;
        ADD(&pickle, "\x80\2}(");
        bytes_add_text(&pickle, "x");
        pytorch_add_tensor(&pickle, &small_storages[0], false, i == 0, i == 2 ? huge : whole,
                           i == 2 ? 3 : 2);
        if (i == 3)
            pickle.at[pickle.n - 35] = 7; /* the last stride */
        if (i == 1) {
            bytes_add_text(&pickle, "x");
            pytorch_add_tensor(&pickle, &small_storages[0], false, 0, whole, 2);
        }
        ADD(&pickle, "u.");
        pytorch_wrap(&file, &pickle, small_storages, 1, false);
        assert_int_not_equal(open_bytes(&tensors, &file, file.n), GPT2_OK);
        tiny_check_says(line, says[i]);
    }
}

/* ------------------------------------------------------------------------------- whole models -- */

static int32_t read_file(void *user, uint64_t offset, void *to, size_t n, size_t *n_read)
{
    const struct bytes *from = user;

    *n_read = n > 1000 ? 1000 : n; /* in parts */
    memcpy(to, from->at + offset, *n_read);
    return 0;
}

static void convert(bool is_stream)
{
    pickle.n = 0;
    ADD(&pickle, "\x80\2");
    pytorch_add_model(&pickle, DIRECTORY, is_stream, false, "");
    ADD(&pickle, ".");
    pytorch_wrap_model(&file, &pickle, is_stream);
}

static uint64_t logits_hash(gpt2_model *model)
{
    gpt2_session *session = tiny_session(model, GPT2_CPU_ALL, 1, 8);
    int32_t ids[8];
    uint64_t hash;

    tiny_ids(ids, COUNT(ids), 97);
    hash = tiny_run(session, ids, COUNT(ids), COUNT(ids), 0);
    gpt2_session_free(session);
    gpt2_model_free(model);
    return hash;
}

static void check_loaded(int32_t status, gpt2_model **model, uint64_t wanted)
{
    if (status != GPT2_OK)
        fail_msg("%s", line);
    assert_int_equal(logits_hash(*model), wanted);
}

static void test_same_model(void **state)
{
    static const char *const dtypes[] = {"F32", "F16", "BF16", "F64"};

    (void)state;
    for (size_t i = 0; i < 2 * COUNT(dtypes); i++) {
        struct tiny_model tiny = tiny_odd(DIRECTORY);
        gpt2_model_params params;
        gpt2_model *model;
        uint64_t wanted;
        gpt2_source sources[2] = {{"config.json", NULL, 0, NULL, NULL},
                                  {"pytorch_model.bin", file.at, 0, NULL, NULL}};
        static char config[1000];
        FILE *written;

        tiny.dtype = dtypes[i / 2];
        wanted = logits_hash(tiny_load(&tiny));
        convert(i % 2 == 1);
        tiny_remove(DIRECTORY);
        tiny_write_config(&tiny, DIRECTORY);
        written = fopen(DIRECTORY "/pytorch_model.bin", "wb");
        assert_non_null(written);
        assert_int_equal(fwrite(file.at, 1, file.n, written), file.n);
        assert_int_equal(fclose(written), 0);
        (void)gpt2_model_params_init(&params, sizeof params);
        params.errbuf = line;
        params.errbuf_size = sizeof line;
        check_loaded(gpt2_model_load(DIRECTORY, &params, &model), &model, wanted);
        written = fopen(DIRECTORY "/config.json", "rb");
        assert_non_null(written);
        sources[0].n_bytes = fread(config, 1, sizeof config, written);
        (void)fclose(written);
        sources[0].bytes = config;
        sources[1].n_bytes = file.n;
        check_loaded(gpt2_model_load_sources(sources, 2, &params, &model), &model, wanted);
        sources[1].bytes = NULL;
        sources[1].read = read_file;
        sources[1].user = &file;
        check_loaded(gpt2_model_load_sources(sources, 2, &params, &model), &model, wanted);
        (void)remove(DIRECTORY "/pytorch_model.bin");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),         cmocka_unit_test(test_cut),
        cmocka_unit_test(test_old_tensor),    cmocka_unit_test(test_flips),
        cmocka_unit_test(test_hostile),       cmocka_unit_test(test_hostile_prologue),
        cmocka_unit_test(test_wrong_tensors), cmocka_unit_test(test_same_model),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("pytorch", tests, NULL, NULL);
}
