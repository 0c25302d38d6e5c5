/*
 * test_checkpoint_files.c: what the programs that train GPT-2 write: nanoGPT's ckpt.pt, minGPT's
 * model.pt, llm.c's files.  Each has the logits of the same weights in model.safetensors, and what is
 * wrong in it is refused.
 *
 * WRAP := mmap mmap64 munmap
 */
#include "bounds.h"
#include "checkpoint_file.h"

#define DIRECTORY TINY_DIRECTORY "/checkpoint_files"

static struct bytes pickle, file;
static char line[512];

/* The sizes as all three have them: n_inner is 4 n_embd. */
static struct tiny_model sizes(void)
{
    struct tiny_model tiny = tiny_odd(DIRECTORY);

    tiny.n_inner = 4 * tiny.n_embd;
    return tiny;
}

static void write_bytes(const char *path, const void *bytes, size_t n)
{
    FILE *to = fopen(path, "wb");

    assert_non_null(to);
    assert_int_equal(fwrite(bytes, 1, n, to), n);
    assert_int_equal(fclose(to), 0);
}

/* config.json of the tiny model, with an activation. */
static void write_config(const struct tiny_model *tiny, const char *activation)
{
    char text[400];

    (void)snprintf(
        text, sizeof text,
        "{\"vocab_size\":%d,\"n_positions\":%d,\"n_embd\":%d,\"n_layer\":%d,\"n_head\":%d,"
        "\"n_inner\":%d,\"activation_function\":\"%s\",\"tie_word_embeddings\":%s}",
        tiny->n_vocab, tiny->n_positions, tiny->n_embd, tiny->n_layer, tiny->n_head, tiny->n_inner,
        activation, tiny->untied ? "false" : "true");
    write_bytes(DIRECTORY "/config.json", text, strlen(text));
}

static const char *path = DIRECTORY;

static int32_t load(gpt2_model **model)
{
    gpt2_model_params params;

    line[0] = '\0';
    (void)gpt2_model_params_init(&params, sizeof params);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    return gpt2_model_load(path, &params, model);
}

static uint64_t logits_hash(void)
{
    gpt2_model *model;
    gpt2_session *session;
    int32_t ids[8];
    uint64_t hash;

    if (load(&model) != GPT2_OK)
        fail_msg("%s", line);
    session = tiny_session(model, GPT2_CPU_ALL, 1, 8);
    tiny_ids(ids, COUNT(ids), 97);
    hash = tiny_run(session, ids, COUNT(ids), COUNT(ids), 0);
    gpt2_session_free(session);
    gpt2_model_free(model);
    return hash;
}

static void check_refused(int32_t status, const char *says)
{
    gpt2_model *model;
    int32_t found = BOUNDED(load(&model));

    if (found != status || strstr(line, says) == NULL)
        fail_msg("status %d, \"%s\", wanted %d, \"%s\"", (int)found, line, (int)status, says);
    assert_null(model);
}

/* The hash of what is in the directory; then model.safetensors and config.json are gone. */
static uint64_t wanted_hash(const struct tiny_model *tiny, const char *activation)
{
    write_config(tiny, activation);
    return logits_hash();
}

static void remove_hf_files(void)
{
    (void)remove(DIRECTORY "/config.json");
    (void)remove(DIRECTORY "/model.safetensors");
}

/* ----------------------------------------------------------------------------------- nanoGPT -- */

static void make_nanogpt(const struct tiny_model *tiny, const char *prefix, const char *without)
{
    checkpoint_nanogpt(&file, tiny, prefix, without);
    write_bytes(DIRECTORY "/ckpt.pt", file.at, file.n);
}

static void test_nanogpt(void **state)
{
    struct tiny_model tiny = sizes();
    gpt2_model *model;
    gpt2_source source = {"ckpt.pt", file.at, 0, NULL, NULL};
    uint64_t wanted;

    (void)state;
    for (int i = 0; i < 3; i++) {
        tiny.biases = i == 1 ? TINY_BIASES_MISSING : TINY_BIASES;
        tiny.head_copy = i != 1;
        tiny_write(&tiny);
        wanted = wanted_hash(&tiny, "gelu");
        make_nanogpt(&tiny, i == 2 ? "_orig_mod." : "", "");
        remove_hf_files();
        assert_int_equal(logits_hash(), wanted);
    }
    source.n_bytes = file.n;
    assert_int_equal(gpt2_model_load_sources(&source, 1, NULL, &model), GPT2_OK);
    gpt2_model_free(model);
    tiny_write(&tiny);
    make_nanogpt(&tiny, "", "n_head");
    remove_hf_files();
    check_refused(GPT2_ERR_FORMAT, "ckpt.pt: model_args: n_head is missing, wanted a number");
    tiny.n_head = 6;
    tiny_write(&tiny);
    make_nanogpt(&tiny, "", "");
    remove_hf_files();
    check_refused(GPT2_ERR_FORMAT, "n_head");
    pickle.n = 0;
    ADD(&pickle, "\x80\2}X\5\0\0\0model}s.");
    pytorch_wrap(&file, &pickle, NULL, 0, false);
    write_bytes(DIRECTORY "/ckpt.pt", file.at, file.n);
    check_refused(GPT2_ERR_UNSUPPORTED, "ckpt.pt: is no checkpoint of nanoGPT: wanted a dict with "
                                        "the dicts \"model\" and \"model_args\"");
    (void)remove(DIRECTORY "/ckpt.pt");
}

/* ------------------------------------------------------------------------------------ minGPT -- */

static void write_mingpt_config(const char *model)
{
    char text[300];

    (void)snprintf(text, sizeof text,
                   "{\"system\":{\"seed\":3407},\"data\":{},\"model\":%s,\"trainer\":{\"x\":[{}]}}",
                   model);
    write_bytes(DIRECTORY "/config.json", text, strlen(text));
}

static void test_mingpt(void **state)
{
    struct tiny_model tiny = sizes();
    uint64_t wanted;

    (void)state;
    tiny.untied = true;
    tiny.masks = true;
    tiny.n_embd = 36;
    tiny.n_inner = 4 * tiny.n_embd;
    tiny.n_head = 4;
    tiny_write(&tiny);
    wanted = wanted_hash(&tiny, "gelu_new");
    pickle.n = 0;
    ADD(&pickle, "\x80\2");
    pytorch_add_model(&pickle, DIRECTORY, false, true, "");
    ADD(&pickle, ".");
    pytorch_wrap_model(&file, &pickle, false);
    remove_hf_files();
    write_bytes(DIRECTORY "/model.pt", file.at, file.n);
    write_mingpt_config("{\"model_type\":null,\"n_layer\":2,\"n_head\":4,\"n_embd\":36}");
    assert_int_equal(logits_hash(), wanted);
    write_mingpt_config("{\"model_type\":\"gpt-micro\",\"n_head\":null,\"vocab_size\":null}");
    assert_int_equal(logits_hash(), wanted);
    write_mingpt_config("{\"model_type\":\"gpt-nano\",\"n_head\":null}");
    assert_int_not_equal(logits_hash(), wanted);
    write_mingpt_config("{\"model_type\":\"gpt5\"}");
    check_refused(GPT2_ERR_UNSUPPORTED, "config.json: model: model_type: found \"gpt5\"");
    write_mingpt_config("{\"n_layer\":2}");
    check_refused(GPT2_ERR_FORMAT, "config.json: the object \"model\" with n_head or model_type");
    write_mingpt_config("[4]");
    check_refused(GPT2_ERR_FORMAT, "wanted an object");
    write_mingpt_config("{\"n_head\":4}}");
    check_refused(GPT2_ERR_FORMAT, "config.json");
    write_mingpt_config("{\"n_head\":-4}");
    check_refused(GPT2_ERR_FORMAT, "config.json");
    (void)remove(DIRECTORY "/config.json");
    check_refused(GPT2_ERR_FILE, "config.json");
    (void)remove(DIRECTORY "/model.pt");
}

/* ------------------------------------------------------------------------------------- llm.c -- */

static void test_llmc(void **state)
{
    struct tiny_model tiny = sizes();

    (void)state;
    tiny.prefix = "";
    for (uint32_t n_padding = 0; n_padding < 64; n_padding += 31) {
        for (int i = 0; i < 2; i++) {
            uint64_t wanted;

            tiny.dtype = i == 0 ? "F32" : "BF16";
            tiny_write(&tiny);
            wanted = wanted_hash(&tiny, "gelu_new");
            checkpoint_llmc(&file, &tiny, n_padding);
            remove_hf_files();
            write_bytes(DIRECTORY "/model.bin", file.at, file.n);
            assert_int_equal(logits_hash(), wanted);
            (void)remove(DIRECTORY "/model.bin");
        }
    }
}

static int32_t open_llmc(size_t n)
{
    gpt2_source source = {"model.bin", malloc(n + 1), n, NULL, NULL}; /* a sanitizer sees its end */
    gpt2_model_params params;
    gpt2_model *model;
    int32_t status;

    assert_non_null(source.bytes);
    memcpy((void *)source.bytes, file.at, n);
    (void)gpt2_model_params_init(&params, sizeof params);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    status = BOUNDED(gpt2_model_load_sources(&source, 1, &params, &model));
    gpt2_model_free(model);
    free((void *)source.bytes);
    return status;
}

/* Each number of the header changed, and the file cut and longer. */
static void test_llmc_refused(void **state)
{
    static const struct {
        size_t at;
        uint32_t number;
        int32_t status;
        const char *says;
    } changes[] = {
        {LLMC_MAGIC, 20240327, GPT2_ERR_FORMAT, "begins with the number 20240327, wanted 20240326"},
        {LLMC_VERSION, 1, GPT2_ERR_UNSUPPORTED, "of version 1, wanted 3 (float32) or 5 (bfloat16)"},
        {LLMC_VERSION, 5, GPT2_ERR_FORMAT, "by its header"},
        {LLMC_POSITIONS, 0, GPT2_ERR_FORMAT, "max_seq_len is 0, wanted 1 to 16777216"},
        {LLMC_POSITIONS, 9, GPT2_ERR_FORMAT, "by its header"},
        {LLMC_POSITIONS, UINT32_MAX, GPT2_ERR_FORMAT, "max_seq_len is 4294967295"},
        {LLMC_VOCAB, 129, GPT2_ERR_FORMAT, "padded_vocab_size is 128, less than vocab_size, 129"},
        {LLMC_VOCAB, 1 << 25, GPT2_ERR_FORMAT, "vocab_size is 33554432"},
        {LLMC_VOCAB_PADDED, 1 << 24, GPT2_ERR_FORMAT, "by its header"},
        {LLMC_LAYER, 5461, GPT2_ERR_FORMAT, "by its header"},
        {LLMC_LAYER, 5462, GPT2_ERR_FORMAT, "num_layers is 5462, wanted 1 to 5461"},
        {LLMC_HEAD, 3, GPT2_ERR_FORMAT, "n_head"},
        {LLMC_HEAD, 0, GPT2_ERR_FORMAT, "num_heads is 0"},
        {LLMC_EMBD, 1 << 20, GPT2_ERR_FORMAT, "by its header"},
        {LLMC_EMBD, 1U << 31, GPT2_ERR_FORMAT, "channels is 2147483648"},
    };
    struct tiny_model tiny = sizes();

    (void)state;
    tiny.prefix = "";
    tiny_write(&tiny);
    for (size_t i = 0; i < COUNT(changes); i++) {
        checkpoint_llmc(&file, &tiny, 31);
        for (size_t j = 0; j < 4; j++)
            file.at[4 * changes[i].at + j] = (unsigned char)(changes[i].number >> 8 * j);
        if (open_llmc(file.n) != changes[i].status || strstr(line, changes[i].says) == NULL)
            fail_msg("%zu: \"%s\", wanted \"%s\"", i, line, changes[i].says);
    }
    checkpoint_llmc(&file, &tiny, 31);
    assert_int_equal(open_llmc(file.n), GPT2_OK);
    for (size_t n = 0; n < file.n; n += n < 1100 ? 1 : 997)
        assert_int_equal(open_llmc(n), GPT2_ERR_FORMAT);
    bytes_add_number(&file, 0, 1);
    assert_int_equal(open_llmc(file.n), GPT2_ERR_FORMAT);
    remove_hf_files();
}

/* A file by its path, under any name; the rest comes from its directory. */
static void test_paths(void **state)
{
    struct tiny_model tiny = sizes();
    uint64_t wanted;

    (void)state;
    tiny.prefix = "";
    tiny_write(&tiny);
    wanted = wanted_hash(&tiny, "gelu_new");
    checkpoint_llmc(&file, &tiny, 31);
    remove_hf_files();
    path = DIRECTORY "/gpt2_tiny.bin";
    write_bytes(path, file.at, file.n);
    assert_int_equal(logits_hash(), wanted);
    (void)remove(path);
    tiny.head_copy = true;
    for (int i = 0; i < 3;
         i++) { /* both forms of Hugging Face's, beside a config.json; nanoGPT's */
        static const char *const paths[] = {DIRECTORY "/half.bin", DIRECTORY "/old.weights",
                                            DIRECTORY "/ckpt-5.pt"};

        path = DIRECTORY;
        tiny.prefix = "transformer.";
        tiny_write(&tiny);
        wanted = wanted_hash(&tiny, i == 2 ? "gelu" : "gelu_new");
        if (i < 2) {
            pickle.n = 0;
            ADD(&pickle, "\x80\2");
            pytorch_add_model(&pickle, DIRECTORY, i == 1, false, "");
            ADD(&pickle, ".");
            pytorch_wrap_model(&file, &pickle, i == 1);
            (void)remove(DIRECTORY "/model.safetensors");
        } else {
            make_nanogpt(&tiny, "", "");
            (void)remove(DIRECTORY "/ckpt.pt");
            remove_hf_files();
        }
        path = paths[i];
        write_bytes(path, file.at, file.n);
        assert_int_equal(logits_hash(), wanted);
        (void)remove(DIRECTORY "/config.json");
        if (i < 2)
            check_refused(GPT2_ERR_FILE, DIRECTORY "/config.json: cannot be opened");
        (void)remove(path);
    }
    path = DIRECTORY "/text.pt";
    write_bytes(path, "PK no zip file", 14);
    check_refused(GPT2_ERR_FORMAT, DIRECTORY "/text.pt: zip file: ");
    write_bytes(path, "no file of weights", 18);
    check_refused(GPT2_ERR_FORMAT, DIRECTORY "/text.pt: ");
    (void)remove(path);
    path = DIRECTORY;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nanogpt), cmocka_unit_test(test_mingpt),
        cmocka_unit_test(test_llmc),    cmocka_unit_test(test_llmc_refused),
        cmocka_unit_test(test_paths),   cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("checkpoint files", tests, NULL, NULL);
}
