/*
 * test_write.c: gpt2_model_write(): what is written as model.safetensors and as model.gguf loads as the same
 * model, with the same tokenizer; what a file cannot say is refused.
 */
#include "scratch.h"
#include "tiny_model.h"

#define DIRECTORY TINY_DIRECTORY "/write"
#define COPY      TINY_DIRECTORY "/write-copy"
#define LEVEL     "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}"

static char line[512];

struct sink {
    char *bytes;
    size_t n_bytes;
    int n_calls; /* until it refuses; negative: never */
};

static int32_t take(void *user, const void *bytes, size_t n_bytes)
{
    struct sink *sink = user;

    if (sink->n_calls == 0)
        return 1;
    sink->n_calls--;
    sink->bytes = realloc(sink->bytes, sink->n_bytes + n_bytes);
    assert_non_null(sink->bytes);
    memcpy(sink->bytes + sink->n_bytes, bytes, n_bytes);
    sink->n_bytes += n_bytes;
    return 0;
}

static int32_t write_file(const gpt2_model *model, const char *name, struct sink *sink)
{
    *sink = (struct sink){NULL, 0, -1};
    line[0] = '\0';
    return gpt2_model_write(model, name, take, sink, line, sizeof line);
}

/* Writes the files into COPY, which has no others then, and loads that. */
static gpt2_model *write_and_load(const gpt2_model *model, const char *const *names, size_t n_names)
{
    static const char *const all[] = {"config.json", "model.safetensors", "tokenizer.json",
                                      "tokenizer_config.json", "model.gguf"};
    gpt2_model_params params;
    gpt2_model *loaded;
    char path[256];

    for (size_t i = 0; i < COUNT(all); i++) {
        (void)snprintf(path, sizeof path, COPY "/%s", all[i]);
        (void)remove(path);
    }
    for (size_t i = 0; i < n_names; i++) {
        struct sink sink;

        if (write_file(model, names[i], &sink) != GPT2_OK)
            fail_msg("%s: %s", names[i], line);
        (void)snprintf(path, sizeof path, COPY "/%s", names[i]);
        scratch_write(path, sink.bytes, sink.n_bytes);
        free(sink.bytes);
    }
    (void)gpt2_model_params_init(&params, sizeof params);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    if (gpt2_model_load(COPY, &params, &loaded) != GPT2_OK)
        fail_msg("%s", line);
    return loaded;
}

static gpt2_model *load(int32_t weight_type)
{
    gpt2_model_params params;
    gpt2_model *model;

    (void)gpt2_model_params_init(&params, sizeof params);
    params.weight_type = weight_type;
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    if (gpt2_model_load(DIRECTORY, &params, &model) != GPT2_OK)
        fail_msg("%s", line);
    return model;
}

static uint64_t logits_hash(const gpt2_model *model)
{
    gpt2_session *session = tiny_session(model, GPT2_CPU_ALL, 1, 8);
    int32_t ids[8];
    uint64_t hash;

    tiny_ids(ids, COUNT(ids), 97);
    hash = tiny_run(session, ids, COUNT(ids), COUNT(ids), 0);
    gpt2_session_free(session);
    return hash;
}

/* The numbers of a weight. */
static uint64_t tensor_hash(const gpt2_model *model, const char *name)
{
    static float values[100000];
    int64_t shape[2];

    assert_int_equal(gpt2_model_tensor(model, name, shape, values, COUNT(values), NULL, 0),
                     GPT2_OK);
    return tiny_hash(tiny_hash(0, (float[]){(float)shape[0]}, 1), values,
                     (size_t)(shape[0] * shape[1]));
}

static void check_same_weights(const gpt2_model *a, const gpt2_model *b)
{
    static const char *const names[] = {
        "wte.weight",
        "wpe.weight",
        "h.0.ln_1.weight",
        "h.1.ln_2.bias",
        "h.0.attn.c_attn.weight",
        "h.1.attn.c_attn.bias",
        "h.1.attn.c_proj.weight",
        "h.0.mlp.c_fc.weight",
        "h.1.mlp.c_proj.weight",
        "ln_f.weight",
        "lm_head.weight",
    };

    for (size_t i = 0; i < COUNT(names); i++) {
        if (tensor_hash(a, names[i]) != tensor_hash(b, names[i]))
            fail_msg("%s differs", names[i]);
    }
}

static void check_same_text(const gpt2_model *a, const gpt2_model *b)
{
    static const char text[] = "the<|endoftext|>that'stheory!";
    const gpt2_model *const models[] = {a, b};
    int32_t ids[2][64];
    size_t n[2];

    for (int i = 0; i < 2; i++) {
        gpt2_encoder *encoder;

        assert_int_equal(gpt2_encoder_create(gpt2_model_tokenizer(models[i]), NULL, &encoder),
                         GPT2_OK);
        assert_int_equal(gpt2_encode(encoder, text, sizeof text - 1, GPT2_ENCODE_SPECIAL, ids[i],
                                     COUNT(ids[i]), &n[i]),
                         GPT2_OK);
        gpt2_encoder_free(encoder);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(ids[0], ids[1], n[0] * sizeof ids[0][0]);
    assert_int_equal(gpt2_tokenizer_eot(gpt2_model_tokenizer(a)),
                     gpt2_tokenizer_eot(gpt2_model_tokenizer(b)));
}

/* Sizes that blocks of 32 divide, and 97 tokens. */
static struct tiny_model even(void)
{
    struct tiny_model tiny = tiny_odd(DIRECTORY);

    tiny.n_embd = 64;
    tiny.n_head = 2;
    tiny.n_inner = 96;
    tiny.tokenizer = true;
    tiny.eot = 96;
    return tiny;
}

static void test_same_model(void **state)
{
    static const char *const hf[] = {"config.json", "model.safetensors", "tokenizer.json",
                                     "tokenizer_config.json"};
    static const char *const gguf[] = {"model.gguf"};
    static const int32_t types[] = {GPT2_TYPE_F32, GPT2_TYPE_F16, GPT2_TYPE_BF16, GPT2_TYPE_Q8,
                                    GPT2_TYPE_Q4};

    (void)state;
    for (size_t i = 0; i < 2 * COUNT(types); i++) {
        struct tiny_model tiny = even();
        gpt2_model *model, *loaded;
        bool is_quantised = types[i / 2] >= GPT2_TYPE_Q8;

        tiny.untied = i % 2 == 1;
        tiny_write(&tiny);
        model = load(types[i / 2]);
        loaded = write_and_load(model, hf, COUNT(hf));
        check_same_weights(model, loaded);
        check_same_text(model, loaded);
        if (!is_quantised) /* activations are quantised for such weights */
            assert_int_equal(logits_hash(model), logits_hash(loaded));
        gpt2_model_free(loaded);
        loaded = write_and_load(model, gguf, COUNT(gguf));
        check_same_weights(model, loaded);
        check_same_text(model, loaded);
        assert_int_equal(logits_hash(model), logits_hash(loaded));
        gpt2_model_free(loaded);
        gpt2_model_free(model);
    }
}

/* Odd sizes, no tokenizer, no biases; rows that blocks do not divide become F32 in a GGUF file. */
static void test_odd(void **state)
{
    static const char *const hf[] = {"config.json", "model.safetensors"};
    static const char *const gguf[] = {"model.gguf"};

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct tiny_model tiny = tiny_odd(DIRECTORY);
        gpt2_model *model, *loaded;
        struct sink sink;

        tiny_remove(DIRECTORY);
        tiny.biases = i % 2 == 0 ? TINY_BIASES : TINY_BIASES_MISSING;
        tiny_write(&tiny);
        model = load(i < 2 ? GPT2_TYPE_AS_FILE : GPT2_TYPE_Q8);
        loaded = write_and_load(model, hf, COUNT(hf));
        check_same_weights(model, loaded);
        gpt2_model_free(loaded);
        loaded = write_and_load(model, gguf, COUNT(gguf));
        check_same_weights(model, loaded);
        assert_null(gpt2_model_tokenizer(loaded));
        gpt2_model_free(loaded);
        assert_int_equal(write_file(model, "tokenizer.json", &sink), GPT2_ERR_UNSUPPORTED);
        tiny_check_says(line, "tokenizer.json: the model has no tokenizer");
        gpt2_model_free(model);
    }
}

/* Another text for config.json. */
static void change_config(const struct tiny_model *tiny, const char *more)
{
    char text[400];

    (void)snprintf(
        text, sizeof text,
        "{\"vocab_size\":%d,\"n_positions\":%d,\"n_embd\":%d,\"n_layer\":%d,\"n_head\":%d,"
        "\"n_inner\":%d,%s}",
        tiny->n_vocab, tiny->n_positions, tiny->n_embd, tiny->n_layer, tiny->n_head, tiny->n_inner,
        more);
    scratch_write(DIRECTORY "/config.json", text, strlen(text));
}

static void test_refused(void **state)
{
    static const struct {
        const char *config;
        const char *says;
    } variants[] = {
        {"\"activation_function\":\"gelu\"",
         "activation_function is gelu: llama.cpp runs gelu_new"},
        {"\"scale_attn_weights\":false", "scale_attn_weights is false"},
        {"\"scale_attn_by_inverse_layer_idx\":true", "scale_attn_by_inverse_layer_idx is true"},
    };
    static const char *const hf[] = {"config.json", "model.safetensors"};
    struct tiny_model tiny = even();
    gpt2_model *model, *loaded;
    struct sink sink;

    (void)state;
    tiny_write(&tiny);
    for (size_t i = 0; i < COUNT(variants); i++) {
        change_config(&tiny, variants[i].config);
        model = load(GPT2_TYPE_AS_FILE);
        assert_int_equal(write_file(model, "model.gguf", &sink), GPT2_ERR_UNSUPPORTED);
        tiny_check_says(line, variants[i].says);
        assert_int_equal(sink.n_bytes, 0);
        loaded = write_and_load(model, hf, COUNT(hf)); /* config.json says it */
        assert_int_equal(logits_hash(model), logits_hash(loaded));
        gpt2_model_free(loaded);
        gpt2_model_free(model);
    }
    tiny_write(&tiny);
    model = load(GPT2_TYPE_AS_FILE);
    assert_int_equal(write_file(model, "model.bin", &sink), GPT2_ERR_ARGUMENT);
    tiny_check_says(line, "name is \"model.bin\", wanted native.safetensors");
    assert_int_equal(gpt2_model_write(model, NULL, take, &sink, line, sizeof line),
                     GPT2_ERR_ARGUMENT);
    tiny_check_says(line, "name is NULL");
    for (size_t i = 0; i < COUNT(hf); i++) {
        sink = (struct sink){NULL, 0, 0};
        assert_int_equal(gpt2_model_write(model, hf[i], take, &sink, line, sizeof line),
                         GPT2_ERR_CANCELLED);
        tiny_check_says(line, "cancelled by the write callback");
    }
    gpt2_model_free(model);
}

/* Tokenizers that a file would not be read as again: no file of them is written. */
static void test_unwritable_tokenizers(void **state)
{
    static const struct {
        const char *added, *vocab, *merges;
        const char *says; /* NULL: they are written */
    } cases[] = {
        {"", "\"a\": 0, \"b\": 1, \"ab\": 2", "\"a b\"", NULL},
        {"{\"id\": 2, \"content\": \"ab\"}", "\"a\": 0, \"b\": 1, \"ab\": 2", "\"a b\"", NULL},
        {"{\"id\": 1, \"content\": \" a\"}", "\"\u0120a\": 0", "", NULL},
        {"", "\" a\": 0, \"\u0120a\": 1", "",
         "cannot have the tokens 0 and 1: both would be written with the same 2 bytes"},
        {"", "\"a\": 0, \" \": 1", "",
         "cannot have the token 1: as one character, it would become a byte's token"},
        {"{\"id\": 1, \"content\": \"x\"}", "\"a\": 0", "",
         "cannot have the token 1: as one character, it would become a byte's token"},
    };
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json", "model.gguf"};
    struct tiny_model tiny = even();

    (void)state;
    tiny.tokenizer = false;
    tiny_remove(DIRECTORY);
    tiny_write(&tiny);
    for (size_t i = 0; i < COUNT(cases); i++) {
        gpt2_model *model;
        char json[800];

        (void)snprintf(json, sizeof json,
                       "{\"added_tokens\": [%s], \"pre_tokenizer\": " LEVEL ", \"decoder\": " LEVEL
                       ", \"model\": {\"vocab\": {%s}, \"merges\": [%s]}}",
                       cases[i].added, cases[i].vocab, cases[i].merges);
        scratch_write(DIRECTORY "/tokenizer.json", json, strlen(json));
        model = load(GPT2_TYPE_AS_FILE);
        for (size_t name = 0; name < COUNT(names); name++) {
            struct sink sink;
            int32_t status = write_file(model, names[name], &sink);

            if (status != (cases[i].says == NULL ? GPT2_OK : GPT2_ERR_UNSUPPORTED))
                fail_msg("case %zu, %s: status %d: %s", i, names[name], (int)status, line);
            if (cases[i].says != NULL)
                tiny_check_says(line, cases[i].says);
            free(sink.bytes);
        }
        gpt2_model_free(model);
    }
    (void)remove(DIRECTORY "/tokenizer.json");
}

/* Multi-query attention: GPTBigCode in Hugging Face's files, starcoder in GGUF. */
static void test_bigcode(void **state)
{
    static const char *const hf[] = {"config.json", "model.safetensors"};
    static const char *const gguf[] = {"model.gguf"};
    struct tiny_model tiny = even();
    gpt2_model *model, *loaded;
    struct sink sink;

    (void)state;
    for (int i = 0; i < 2; i++) {
        tiny.tokenizer = false;
        tiny.bigcode = true;
        tiny.kv = i == 0 ? TINY_KV_SHARED : TINY_KV_EACH;
        tiny_remove(DIRECTORY);
        tiny_write(&tiny);
        model = load(GPT2_TYPE_AS_FILE);
        loaded = write_and_load(model, hf, COUNT(hf));
        assert_int_equal(logits_hash(model), logits_hash(loaded));
        gpt2_model_free(loaded);
        if (i == 0) {
            loaded = write_and_load(model, gguf, COUNT(gguf));
            assert_int_equal(logits_hash(model), logits_hash(loaded));
            gpt2_model_free(loaded);
        } else {
            assert_int_equal(write_file(model, "model.gguf", &sink), GPT2_ERR_UNSUPPORTED);
            tiny_check_says(line, "multi_query of a GPTBigCode is false");
        }
        gpt2_model_free(model);
    }
}

static int set_up(void **state)
{
    struct tiny_model tiny = tiny_odd(COPY);

    (void)state;
    tiny_write(&tiny); /* makes the directory */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_model), cmocka_unit_test(test_odd),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_unwritable_tokenizers),
        cmocka_unit_test(test_bigcode),
    };

    return cmocka_run_group_tests_name("write", tests, set_up, NULL);
}
