/*
 * test_gguf_tokenizer.c: tokenizers in the metadata of GGUF files: the same as from vocab.json and
 * merges.txt; those of other kinds; damaged ones.
 *
 * WRAP := mmap mmap64 munmap
 */
#include "bounds.h"
#include "gguf_file.h"

#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY TINY_DIRECTORY "/gguf-tokenizer"
#define N_TOKENS  97 /* of tiny_write_tokenizer() */

static char line[1024];

/* What a file says of its tokenizer; NULL and 0: nothing. */
struct keys {
    const char *model, *pre;
    const char *const *merges;
    size_t n_merges;
    size_t n_types;    /* how many types; 0: no key */
    int32_t last_type; /* of the last token */
    const char *last;  /* the last token */
    bool adds_space;
    uint32_t tokens_type; /* of the array; 0: strings */
    int32_t eos;          /* the id; 0: the last one's */
};

static const char *const two_merges[] = {"t h", "th e"};

static struct keys plain(void)
{
    struct keys keys = {.model = "gpt2",
                        .pre = "gpt-2",
                        .merges = two_merges,
                        .n_merges = 2,
                        .n_types = N_TOKENS,
                        .last_type = 3,
                        .last = "<|endoftext|>"};

    return keys;
}

static void add_array(struct gguf_file *file, const char *key, uint32_t type, size_t n)
{
    gguf_add_key(file, key, GGUF_ARRAY);
    gguf_put_number(&file->keys, type, 4);
    gguf_put_number(&file->keys, n, 8);
}

static void add_keys(struct gguf_file *file, const struct keys *keys)
{
    if (keys->model != NULL)
        gguf_add_text(file, "tokenizer.ggml.model", keys->model);
    if (keys->pre != NULL)
        gguf_add_text(file, "tokenizer.ggml.pre", keys->pre);
    if (keys->adds_space) {
        gguf_add_key(file, "tokenizer.ggml.add_space_prefix", GGUF_BOOL);
        gguf_put_number(&file->keys, 1, 1);
    }
    if (keys->tokens_type != 0) {
        add_array(file, "tokenizer.ggml.tokens", keys->tokens_type, 0);
    } else {
        add_array(file, "tokenizer.ggml.tokens", GGUF_STRING, N_TOKENS);
        for (int c = '!'; c <= '~'; c++) {
            char text[2] = {(char)c, '\0'};

            gguf_put_text(&file->keys, text);
        }
        gguf_put_text(&file->keys, "th");
        gguf_put_text(&file->keys, "the");
        gguf_put_text(&file->keys, keys->last);
    }
    if (keys->merges != NULL) {
        add_array(file, "tokenizer.ggml.merges", GGUF_STRING, keys->n_merges);
        for (size_t i = 0; i < keys->n_merges; i++)
            gguf_put_text(&file->keys, keys->merges[i]);
    }
    if (keys->n_types > 0) {
        add_array(file, "tokenizer.ggml.token_type", GGUF_I32, keys->n_types);
        for (size_t i = 0; i < keys->n_types; i++)
            gguf_put_number(&file->keys, i + 1 < keys->n_types ? 1 : (uint32_t)keys->last_type, 4);
    }
}

static struct gguf_file make_file(const struct keys *keys)
{
    struct tiny_model tiny = tiny_odd(DIRECTORY);
    struct gguf_file file = gguf_begin();
    gpt2_model *model;

    if (keys->eos != 0)
        tiny.eot = keys->eos;
    model = tiny_load(&tiny);
    gguf_add_model(&file, model, GGML_F32);
    add_keys(&file, keys);
    gguf_end(&file);
    gpt2_model_free(model);
    return file;
}

static int32_t load_tokenizer(const struct gguf_file *file, gpt2_tokenizer **tokenizer)
{
    const gpt2_source source = {"model.gguf", file->all.at, file->all.n, NULL, NULL};
    gpt2_tokenizer_params params;

    assert_int_equal(gpt2_tokenizer_params_init(&params, sizeof params), GPT2_OK);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    return gpt2_tokenizer_load_sources(&source, 1, &params, tokenizer);
}

static size_t encode(const gpt2_tokenizer *tokenizer, const char *text, int32_t ids[64])
{
    gpt2_encoder *encoder;
    size_t n_ids;

    assert_int_equal(gpt2_encoder_create(tokenizer, NULL, &encoder), GPT2_OK);
    assert_int_equal(gpt2_encode(encoder, text, strlen(text), GPT2_ENCODE_SPECIAL, ids, 64, &n_ids),
                     GPT2_OK);
    gpt2_encoder_free(encoder);
    return n_ids;
}

static void check_same(const gpt2_tokenizer *found, const gpt2_tokenizer *wanted)
{
    static const char text[] = "the\"other\\three<|endoftext|>{theth}";
    int32_t ids[2][64];
    size_t n = encode(wanted, text, ids[0]);

    assert_non_null(found);
    assert_int_equal(gpt2_tokenizer_n_vocab(found), gpt2_tokenizer_n_vocab(wanted));
    assert_int_equal(gpt2_tokenizer_eot(found), gpt2_tokenizer_eot(wanted));
    assert_int_equal(encode(found, text, ids[1]), n);
    assert_memory_equal(ids[0], ids[1], n * sizeof ids[0][0]);
    for (int32_t id = 0; id < gpt2_tokenizer_n_vocab(wanted); id++) {
        const char *bytes[2];
        size_t n_bytes[2];

        assert_int_equal(gpt2_tokenizer_token_bytes(found, id, &bytes[0], &n_bytes[0]), GPT2_OK);
        assert_int_equal(gpt2_tokenizer_token_bytes(wanted, id, &bytes[1], &n_bytes[1]), GPT2_OK);
        assert_int_equal(n_bytes[0], n_bytes[1]);
        assert_memory_equal(bytes[0], bytes[1], n_bytes[0]);
    }
}

/* The tokenizer of the model, and one without a model, by memory and by path. */
static void test_same_tokenizer(void **state)
{
    static const char path[] = DIRECTORY "/model.gguf";
    struct keys keys = plain();
    struct gguf_file file = make_file(&keys);
    gpt2_tokenizer *wanted, *found;
    gpt2_model *model;
    FILE *stream;

    (void)state;
    tiny_remove(DIRECTORY);
    stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(file.all.at, 1, file.all.n, stream), file.all.n);
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(gpt2_tokenizer_load(path, NULL, &found), GPT2_OK);
    gpt2_tokenizer_free(found);
    assert_int_equal(gpt2_tokenizer_load(DIRECTORY, NULL, &found), GPT2_OK);
    tiny_write_tokenizer(DIRECTORY); /* where it is, it comes first */
    assert_int_equal(gpt2_tokenizer_load(DIRECTORY, NULL, &wanted), GPT2_OK);
    check_same(found, wanted);
    gpt2_tokenizer_free(found);
    assert_int_equal(load_tokenizer(&file, &found), GPT2_OK);
    check_same(found, wanted);
    gpt2_tokenizer_free(found);
    assert_int_equal(gguf_load(&file, GPT2_TYPE_AS_FILE, &model, line, sizeof line), GPT2_OK);
    check_same(gpt2_model_tokenizer(model), wanted);
    assert_string_equal(gpt2_model_tokenizer_error(model), "");
    gpt2_model_free(model);
    gpt2_tokenizer_free(wanted);
    assert_int_equal(unlink(path), 0);
    tiny_remove(DIRECTORY);
    gguf_free(&file);
}

/* Converters leave these out. */
static void test_absent_keys(void **state)
{
    struct keys keys = plain();
    struct gguf_file file;
    gpt2_tokenizer *tokenizer;
    gpt2_model *model;

    (void)state;
    keys.pre = NULL;
    keys.n_types = 0;
    file = make_file(&keys);
    assert_int_equal(load_tokenizer(&file, &tokenizer), GPT2_OK);
    assert_int_equal(gpt2_tokenizer_n_vocab(tokenizer), N_TOKENS);
    gpt2_tokenizer_free(tokenizer);
    gguf_free(&file);

    keys = plain();
    keys.last_type = 5; /* unused: an id without a token */
    keys.last = "[PAD96]";
    file = make_file(&keys);
    assert_int_equal(load_tokenizer(&file, &tokenizer), GPT2_OK);
    assert_int_equal(gpt2_tokenizer_n_vocab(tokenizer), N_TOKENS - 1);
    gpt2_tokenizer_free(tokenizer);
    gguf_free(&file);

    keys.model = NULL;
    file = make_file(&keys);
    assert_int_equal(load_tokenizer(&file, &tokenizer), GPT2_ERR_FORMAT);
    assert_null(tokenizer);
    tiny_check_says(line, "model.gguf: has no tokenizer");
    assert_int_equal(gguf_load(&file, GPT2_TYPE_AS_FILE, &model, line, sizeof line), GPT2_OK);
    assert_null(gpt2_model_tokenizer(model));
    gpt2_model_free(model);
    gguf_free(&file);
}

/* The number in the file counts, not the word; the token of the word is an added one then. */
static void test_end_of_text(void **state)
{
    static const int32_t ends[] = {0, N_TOKENS - 1, 7};

    (void)state;
    for (size_t i = 0; i < COUNT(ends); i++) {
        struct keys keys = plain();
        struct gguf_file file;
        gpt2_tokenizer *tokenizer;

        keys.eos = ends[i];
        file = make_file(&keys);
        assert_int_equal(load_tokenizer(&file, &tokenizer), GPT2_OK);
        assert_int_equal(gpt2_tokenizer_eot(tokenizer), ends[i] == 7 ? 7 : N_TOKENS - 1);
        assert_int_equal(gpt2_tokenizer_is_added(tokenizer, 7), 0);
        assert_int_equal(gpt2_tokenizer_is_added(tokenizer, N_TOKENS - 1), ends[i] == 7);
        gpt2_tokenizer_free(tokenizer);
        gguf_free(&file);
    }
}

/* Tokenizers that are not run: the model works on ids.  Damaged ones: it does not load. */
static void test_refused(void **state)
{
    static const char *const one_symbol[] = {"t h", "the"};
    static const char *const unknown[] = {"t h", "th a"};
    enum { MODEL, PRE, SPACE, TOKENS, MERGES, NO_MERGES, SYMBOL, N_TYPES, TYPE, TWICE, UTF8 };
    static const struct {
        int what;
        int32_t status;
        const char *words;
    } cases[] = {
        {MODEL, GPT2_ERR_UNSUPPORTED, "tokenizer.ggml.model: found \"llama\", wanted gpt2"},
        {PRE, GPT2_ERR_UNSUPPORTED, "tokenizer.ggml.pre: found \"llama-bpe\", wanted gpt-2"},
        {SPACE, GPT2_ERR_UNSUPPORTED, "tokenizer.ggml.add_space_prefix: found true"},
        {TOKENS, GPT2_ERR_FORMAT,
         "tokenizer.ggml.tokens: found an array of u32, wanted an array of string"},
        {MERGES, GPT2_ERR_FORMAT, "model.gguf: the metadata as tokenizer.json: "},
        {NO_MERGES, GPT2_ERR_FORMAT, "tokenizer.ggml.merges is missing, wanted an array of string"},
        {SYMBOL, GPT2_ERR_FORMAT, "the merge makes a symbol that \"tha\" is not in"},
        {N_TYPES, GPT2_ERR_FORMAT, "token_type: found 96 types, wanted 97, one for each token"},
        {TYPE, GPT2_ERR_FORMAT, "token_type: found 7 for the token 96, wanted 1 to 6"},
        {TWICE, GPT2_ERR_FORMAT, "\"the\" appears twice, with the ids 95 and 96"},
        {UTF8, GPT2_ERR_FORMAT, "model.gguf: the metadata as tokenizer.json: "},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct keys keys = plain();
        struct gguf_file file;
        gpt2_tokenizer *tokenizer;
        gpt2_model *model;
        int32_t status;

        switch (cases[i].what) {
        case MODEL:
            keys.model = "llama";
            break;
        case PRE:
            keys.pre = "llama-bpe";
            break;
        case SPACE:
            keys.adds_space = true;
            break;
        case TOKENS:
            keys.tokens_type = GGUF_U32;
            break;
        case MERGES:
            keys.merges = one_symbol;
            break;
        case NO_MERGES:
            keys.merges = NULL;
            break;
        case SYMBOL:
            keys.merges = unknown;
            break;
        case N_TYPES:
            keys.n_types--;
            break;
        case TYPE:
            keys.last_type = 7;
            break;
        case TWICE:
            keys.last = "the";
            keys.last_type = 1;
            break;
        default:
            keys.last = "\xff";
            keys.last_type = 1;
        }
        file = make_file(&keys);
        status = BOUNDED(load_tokenizer(&file, &tokenizer));
        tiny_check_says(line, cases[i].words);
        if (status != cases[i].status)
            fail_msg("found status %d, wanted %d: %s", (int)status, (int)cases[i].status, line);
        assert_null(tokenizer);
        status = BOUNDED(gguf_load(&file, GPT2_TYPE_AS_FILE, &model, line, sizeof line));
        if (cases[i].status == GPT2_ERR_UNSUPPORTED) {
            assert_int_equal(status, GPT2_OK);
            assert_null(gpt2_model_tokenizer(model));
            tiny_check_says(gpt2_model_tokenizer_error(model), cases[i].words);
            gpt2_model_free(model);
        } else {
            assert_int_equal(status, cases[i].status);
            tiny_check_says(line, cases[i].words);
        }
        gguf_free(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_tokenizer), cmocka_unit_test(test_absent_keys),
        cmocka_unit_test(test_end_of_text),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
