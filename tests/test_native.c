/*
 * test_native.c: native files: the same model from a mapped file, a copied one, memory and callbacks;
 * every byte that differs, every length that is too short, and tables made to deceive.
 *
 * WRAP := mmap mmap64 munmap
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "scratch.h"
#include "bounds.h"
#include "tiny_model.h"

#include "base/checksum.h"

#include <fenv.h>
#include <locale.h>
#include <unistd.h>

#define DIRECTORY TINY_DIRECTORY "/native"
#define FILE_PATH TINY_DIRECTORY "/native.file"
#define TEXT      "thethat'sthe<|endoftext|>theory"
#define N_TOKENS  8

/* A whole native file, at a multiple of 64. */
struct image {
    unsigned char *bytes;
    size_t n_bytes;
    size_t capacity;
};

static char line[512]; /* of the last load */

static uint64_t number_at(const unsigned char *bytes)
{
    uint64_t number;

    memcpy(&number, bytes, sizeof number);
    return number;
}

/* A gpt2_write_callback. */
static int32_t add_part(void *user, const void *bytes, size_t n_bytes)
{
    struct image *image = user;

    if (image->n_bytes + n_bytes > image->capacity)
        return 1;
    memcpy(image->bytes + image->n_bytes, bytes, n_bytes);
    image->n_bytes += n_bytes;
    return 0;
}

static struct image write_model(const gpt2_model *model)
{
    struct image image = {NULL, 0, (size_t)8 << 20};
    char errbuf[128] = "before";

    image.bytes = aligned_alloc(64, image.capacity);
    assert_non_null(image.bytes);
    assert_int_equal(
        gpt2_model_write(model, "native.safetensors", add_part, &image, errbuf, sizeof errbuf),
        GPT2_OK);
    assert_string_equal(errbuf, "");
    return image;
}

static struct image write_tiny(const struct tiny_model *file, int32_t type)
{
    gpt2_model_params params;
    gpt2_model *model;
    struct image image;

    tiny_write(file);
    (void)gpt2_model_params_init(&params, sizeof params);
    params.weight_type = type;
    assert_int_equal(gpt2_model_load(file->directory, &params, &model), GPT2_OK);
    image = write_model(model);
    gpt2_model_free(model);
    return image;
}

static gpt2_source source_of(const struct image *image)
{
    const gpt2_source source = {
        .name = "native.safetensors", .bytes = image->bytes, .n_bytes = image->n_bytes};

    return source;
}

static int32_t load_params(gpt2_model_params *params, int32_t access)
{
    (void)gpt2_model_params_init(params, sizeof *params);
    params->file_access = access;
    params->errbuf = line;
    params->errbuf_size = sizeof line;
    return access;
}

static int32_t load_image(const struct image *image, int32_t access, gpt2_model **model)
{
    const gpt2_source source = source_of(image);
    gpt2_model_params params;

    (void)load_params(&params, access);
    return gpt2_model_load_sources(&source, 1, &params, model);
}

static int32_t load_file(const char *path, int32_t access, gpt2_model **model)
{
    gpt2_model_params params;

    (void)load_params(&params, access);
    return gpt2_model_load(path, &params, model);
}

/* A hash of the ids of a text. */
static uint64_t hash_text(const gpt2_tokenizer *tokenizer)
{
    int32_t ids[sizeof TEXT];
    gpt2_encoder *encoder;
    uint64_t hash = 1;
    size_t n;

    assert_int_equal(gpt2_encoder_create(tokenizer, NULL, &encoder), GPT2_OK);
    assert_int_equal(
        gpt2_encode(encoder, TEXT, sizeof TEXT - 1, GPT2_ENCODE_SPECIAL, ids, COUNT(ids), &n),
        GPT2_OK);
    for (size_t i = 0; i < n; i++)
        hash = hash * 0x100000001b3 + (uint64_t)ids[i];
    gpt2_encoder_free(encoder);
    return hash;
}

/* A hash of logits, ids and facts. */
static uint64_t hash_model(const gpt2_model *model)
{
    const gpt2_tokenizer *tokenizer = gpt2_model_tokenizer(model);
    gpt2_session *session = tiny_session(model, GPT2_CPU_ALL, 1, 256);
    gpt2_model_info info;
    int32_t ids[N_TOKENS];
    uint64_t hash;

    (void)gpt2_model_info_init(&info, sizeof info);
    assert_int_equal(gpt2_model_get_info(model, &info), GPT2_OK);
    tiny_ids(ids, N_TOKENS, info.n_vocab);
    hash = tiny_run(session, ids, N_TOKENS, N_TOKENS, 0);
    if (tokenizer != NULL)
        hash ^= hash_text(tokenizer);
    hash = hash * 31 + (uint64_t)info.eot_token;
    hash = hash * 31 + info.n_parameters;
    hash = hash * 31 + (uint64_t)info.memory_type;
    hash = hash * 31 + (uint64_t)info.n_inner;
    hash = hash * 31 + (uint64_t)info.activation;
    hash = tiny_hash(hash, &info.layer_norm_epsilon, 1);
    gpt2_session_free(session);
    return hash;
}

static void check_hash(gpt2_model *model, uint64_t wanted)
{
    assert_string_equal(line, "");
    assert_true(hash_model(model) == wanted);
    gpt2_model_free(model);
}

/* ----------------------------------------------------------------------------------- the same -- */

/* A gpt2_read_callback over an image: at most 1000 bytes at a time. */
static int32_t read_part(void *user, uint64_t offset, void *bytes, size_t capacity, size_t *n_read)
{
    const struct image *image = user;
    size_t left = offset < image->n_bytes ? image->n_bytes - (size_t)offset : 0;
    size_t n = left < capacity ? left : capacity;

    *n_read = n < 1000 ? n : 1000;
    memcpy(bytes, image->bytes + offset, *n_read);
    return 0;
}

/* One model by every way of access; written again it is the same file. */
static void check_ways(const struct image *image, uint64_t hash)
{
    struct image moved = {malloc(image->n_bytes + 8), image->n_bytes, 0};
    gpt2_source source = source_of(image);
    gpt2_model_params params;
    gpt2_model *model;
    struct image again;

    scratch_write(FILE_PATH, image->bytes, image->n_bytes);
    for (int32_t access = GPT2_FILE_MAP; access <= GPT2_FILE_READ; access++) {
        assert_int_equal(load_file(FILE_PATH, access, &model), GPT2_OK);
        check_hash(model, hash);
        assert_int_equal(load_image(image, access, &model), GPT2_OK);
        again = write_model(model);
        check_hash(model, hash);
        assert_true(again.n_bytes == image->n_bytes);
        assert_memory_equal(again.bytes, image->bytes, image->n_bytes);
        free(again.bytes);
    }
    moved.bytes += 4; /* not aligned: copied, so the memory may go */
    memcpy(moved.bytes, image->bytes, image->n_bytes);
    assert_int_equal(load_image(&moved, GPT2_FILE_MAP, &model), GPT2_OK);
    memset(moved.bytes, 0xff, moved.n_bytes);
    free(moved.bytes - 4);
    check_hash(model, hash);
    source.bytes = NULL;
    source.read = read_part;
    source.user = (void *)image;
    (void)load_params(&params, GPT2_FILE_MAP);
    assert_int_equal(gpt2_model_load_sources(&source, 1, &params, &model), GPT2_OK);
    check_hash(model, hash);
}

static void test_same_model(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        for (int32_t type = GPT2_TYPE_F32; type <= GPT2_TYPE_Q4; type++) {
            struct tiny_model file = variant == 0 ? tiny_pages(DIRECTORY) : tiny_odd(DIRECTORY);
            gpt2_model_params params;
            gpt2_model *model;
            struct image image;

            file.untied = variant == 2;
            file.biases = variant == 3 ? TINY_BIASES_MISSING : TINY_BIASES;
            file.tokenizer = variant != 0;
            file.eot = variant == 1 ? 5 : -1;
            image = write_tiny(&file, type);
            (void)load_params(&params, GPT2_FILE_MAP);
            params.weight_type = type;
            assert_int_equal(gpt2_model_load(DIRECTORY, &params, &model), GPT2_OK);
            check_ways(&image, hash_model(model));
            gpt2_model_free(model);
            free(image.bytes);
        }
    }
}

/* The header holds numbers as JSON has them, and is the same, whatever the host has set. */
static void test_host_settings(void **state)
{
    static const char *const locales[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "C"};
    struct tiny_model file = tiny_odd(DIRECTORY);
    gpt2_model *model = tiny_load(&file);
    struct image plain = write_model(model), image;

    (void)state;
    assert_non_null(memmem(plain.bytes, plain.n_bytes, "layer_norm_epsilon\\\":1e-5,", 26));
    for (size_t i = 0; i < COUNT(locales); i++) {
        if (setlocale(LC_ALL, locales[i]) == NULL)
            continue;
        (void)fesetround(FE_UPWARD);
        image = write_model(model);
        assert_int_equal(fegetround(), FE_UPWARD);
        (void)fesetround(FE_TONEAREST);
        assert_true(image.n_bytes == plain.n_bytes);
        assert_memory_equal(image.bytes, plain.bytes, plain.n_bytes);
        free(image.bytes);
    }
    free(plain.bytes);
    gpt2_model_free(model);
}

/* Every epsilon that is accepted is written as one that is; the largest ones are rounded to FLT_MAX. */
static void test_epsilons(void **state)
{
    static const char *const epsilons[] = {"1.17549435e-38", "1.1754944e-38", "3.4028234e38",
                                           "3.4028235e38",   "0.1",           "1234567.9"};
    struct tiny_model file = tiny_odd(DIRECTORY);

    (void)state;
    for (size_t i = 0; i < COUNT(epsilons); i++) {
        gpt2_model_info info, info_again;
        char config[200];
        gpt2_model *model;
        struct image image;
        int n;

        tiny_write(&file);
        n = snprintf(config, sizeof config,
                     "{\"vocab_size\":97,\"n_positions\":8,\"n_embd\":35,\"n_layer\":2,"
                     "\"n_head\":7,\"n_inner\":50,\"layer_norm_epsilon\":%s}",
                     epsilons[i]);
        scratch_write(DIRECTORY "/config.json", config, (size_t)n);
        assert_int_equal(load_file(DIRECTORY, GPT2_FILE_MAP, &model), GPT2_OK);
        (void)gpt2_model_info_init(&info, sizeof info);
        assert_int_equal(gpt2_model_get_info(model, &info), GPT2_OK);
        image = write_model(model);
        gpt2_model_free(model);
        assert_int_equal(load_image(&image, GPT2_FILE_MAP, &model), GPT2_OK);
        (void)gpt2_model_info_init(&info_again, sizeof info_again);
        assert_int_equal(gpt2_model_get_info(model, &info_again), GPT2_OK);
        assert_true(info.layer_norm_epsilon == info_again.layer_norm_epsilon);
        gpt2_model_free(model);
        free(image.bytes);
    }
}

/* A header that needs no white space behind it. */
static void test_full_header(void **state)
{
    static const char config[] =
        "{\"model_type\":\"gpt2\",\"vocab_size\":16,\"n_positions\":8,\"n_embd\":32,"
        "\"n_layer\":5,\"n_head\":16,\"n_inner\":32,\"activation_function\":\"gelu_new\","
        "\"layer_norm_epsilon\":1.2345675e-5}";
    struct tiny_model file = tiny_odd(DIRECTORY);
    struct image image;
    gpt2_model *model;

    (void)state;
    file.n_vocab = 16;
    file.n_positions = 8;
    file.n_embd = file.n_inner = 32;
    file.n_layer = 5;
    file.n_head = 16;
    tiny_write(&file);
    scratch_write(DIRECTORY "/config.json", config, sizeof config - 1);
    assert_int_equal(load_file(DIRECTORY, GPT2_FILE_MAP, &model), GPT2_OK);
    image = write_model(model);
    gpt2_model_free(model);
    assert_int_equal(image.bytes[8 + number_at(image.bytes) - 1], '}');
    assert_int_equal(load_image(&image, GPT2_FILE_MAP, &model), GPT2_OK);
    gpt2_model_free(model);
    free(image.bytes);
}

/* The tokenizer alone, from the file and from memory; and from a file that has none. */
static void test_tokenizer(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    gpt2_tokenizer *from_text, *tokenizer;
    gpt2_tokenizer_params params;
    struct image image;
    gpt2_source source;

    (void)state;
    file.tokenizer = true;
    image = write_tiny(&file, GPT2_TYPE_Q8);
    assert_int_equal(gpt2_tokenizer_load(DIRECTORY, NULL, &from_text), GPT2_OK);
    scratch_write(FILE_PATH, image.bytes, image.n_bytes);
    assert_int_equal(gpt2_tokenizer_load(FILE_PATH, NULL, &tokenizer), GPT2_OK);
    assert_true(hash_text(tokenizer) == hash_text(from_text));
    assert_int_equal(gpt2_tokenizer_eot(tokenizer), gpt2_tokenizer_eot(from_text));
    assert_int_equal(gpt2_tokenizer_n_vocab(tokenizer), gpt2_tokenizer_n_vocab(from_text));
    for (int32_t id = -1; id <= gpt2_tokenizer_n_vocab(from_text); id++)
        assert_int_equal(gpt2_tokenizer_is_added(tokenizer, id),
                         gpt2_tokenizer_is_added(from_text, id));
    gpt2_tokenizer_free(tokenizer);
    source = source_of(&image);
    assert_int_equal(gpt2_tokenizer_load_sources(&source, 1, NULL, &tokenizer), GPT2_OK);
    assert_true(hash_text(tokenizer) == hash_text(from_text));
    gpt2_tokenizer_free(tokenizer);
    gpt2_tokenizer_free(from_text);
    free(image.bytes);

    file.tokenizer = false;
    image = write_tiny(&file, GPT2_TYPE_F32);
    source = source_of(&image);
    (void)gpt2_tokenizer_params_init(&params, sizeof params);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    assert_int_equal(gpt2_tokenizer_load_sources(&source, 1, &params, &tokenizer), GPT2_ERR_FORMAT);
    tiny_check_says(line, "native.safetensors: has no tokenizer");
    free(image.bytes);
}

/* -------------------------------------------------------------------------------------- damage -- */

/* Where the directory ends; its checksum is 8 bytes behind. */
static unsigned char *sums_of(const struct image *image)
{
    return image->bytes + image->n_bytes - 24;
}

static void check_refused(const struct image *image, int32_t access)
{
    gpt2_model *model = (gpt2_model *)line;
    int32_t status = BOUNDED(load_image(image, access, &model));

    assert_true(status == GPT2_ERR_FORMAT || status == GPT2_ERR_UNSUPPORTED ||
                status == GPT2_ERR_FILE);
    assert_null(model);
    assert_true(strncmp(line, "native.safetensors: ", 20) == 0 && strchr(line, '\n') == NULL);
}

/* Each byte of the directory is looked at when a file is opened, each other one when it is read. */
static void test_flipped_bytes(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    struct image image;
    gpt2_model *model;
    size_t directory_bytes, n_checked = 0;

    (void)state;
    file.tokenizer = true;
    file.n_embd = 10;
    file.n_head = 2;
    file.n_inner = 5;
    image = write_tiny(&file, GPT2_TYPE_Q4);
    directory_bytes = (size_t)number_at(sums_of(&image));
    assert_true(directory_bytes > 4096 && directory_bytes < image.n_bytes);
    for (size_t i = 0; i < image.n_bytes; i++) {
        bool is_directory =
            i < directory_bytes || (i >= image.n_bytes - 24 && i < image.n_bytes - 8);

        image.bytes[i] ^= (unsigned char)(1 << i % 8);
        check_refused(&image, GPT2_FILE_READ);
        if (is_directory) {
            check_refused(&image, GPT2_FILE_MAP);
        } else {
            assert_int_equal(load_image(&image, GPT2_FILE_MAP, &model), GPT2_OK);
            gpt2_model_free(model);
        }
        n_checked += is_directory;
        image.bytes[i] ^= (unsigned char)(1 << i % 8);
    }
    assert_true(n_checked == directory_bytes + 16);
    free(image.bytes);
}

static void test_lengths(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    struct image image = write_tiny(&file, GPT2_TYPE_F16);
    size_t n_bytes = image.n_bytes;

    (void)state;
    for (image.n_bytes = 0; image.n_bytes < n_bytes; image.n_bytes += image.n_bytes < 9000 ? 1 : 97)
        check_refused(&image, GPT2_FILE_MAP);
    image.n_bytes = n_bytes + 1;
    check_refused(&image, GPT2_FILE_MAP);
    free(image.bytes);
}

/* ------------------------------------------------------------------------------------ deception -- */

/* Makes the checksums right. */
static void settle_sums(struct image *image)
{
    unsigned char *sums = sums_of(image);
    size_t directory_bytes = (size_t)number_at(sums);
    uint64_t sum = gpt2i_checksum(0, image->bytes, directory_bytes);

    assert_true(directory_bytes <= (size_t)1 << 20);
    memcpy(sums + 8, &sum, sizeof sum);
}

/* The bytes of a tensor, found as a reader that knows nothing of the library would. */
static unsigned char *find_tensor(const struct image *image, const char *name)
{
    char key[64];
    size_t header_bytes = (size_t)number_at(image->bytes), offset;
    const char *at;

    (void)snprintf(key, sizeof key, "\"%s\":{", name);
    at = memmem(image->bytes + 8, header_bytes, key, strlen(key));
    assert_non_null(at);
    at = strstr(at, "\"data_offsets\":[");
    assert_non_null(at);
    assert_int_equal(sscanf(at + 16, "%zu", &offset), 1);
    return image->bytes + 8 + header_bytes + offset;
}

static void check_deception(const struct image *image, const char *words)
{
    check_refused(image, GPT2_FILE_MAP);
    tiny_check_says(line, words);
}

/* The same with up to 64 bytes changed, which are put back. */
static void check_change(struct image *image, unsigned char *at, const void *bytes, size_t n,
                         const char *words)
{
    unsigned char saved[64];

    assert_true(n <= sizeof saved);
    memcpy(saved, at, n);
    memcpy(at, bytes, n);
    settle_sums(image);
    check_deception(image, words);
    memcpy(at, saved, n);
}

/* Tables that would lead outside of other tables. */
static void test_tables(void **state)
{
    static const struct {
        const char *tensor;
        size_t element_bytes;
        size_t index;
        uint64_t value;
        const char *words;
    } cases[] = {
        {"tokenizer.offsets", 4, 3, 1u << 30, "tokenizer.offsets: an offset: found 1073741824"},
        {"tokenizer.offsets", 4, 97, 100,
         "tokenizer.bytes has 112 elements, the last offset wants 100"},
        {"tokenizer.offsets", 4, 97, 113,
         "tokenizer.bytes has 112 elements, the last offset wants 113"},
        {"tokenizer.merge_ids", 4, 0, 97, "tokenizer.merge_ids: an id: found 97, wanted 0 to 96"},
        {"tokenizer.merge_ids", 4, 1, UINT32_MAX,
         "tokenizer.merge_ids: an id: found -1, wanted 0 to 96"},
        {"tokenizer.byte_ids", 4, 255, 97, "tokenizer.byte_ids: an id: found 97, wanted -1 to 96"},
        {"tokenizer.byte_ids", 4, 0, (uint32_t)-2,
         "tokenizer.byte_ids: an id: found -2, wanted -1 to 96"},
        {"tokenizer.eot", 4, 0, 97, "tokenizer.eot: an id: found 97"},
        {"tokenizer.bos", 4, 0, 97, "tokenizer.bos: an id: found 97"},
        {"tokenizer.cut_rules", 4, 0, 32,
         "tokenizer.cut_rules: rules: found 32, wanted at most 31"},
        {"tokenizer.added_tokens", 4, 0, 1, "tokenizer.added_tokens: an offset: found 1"},
        {"tokenizer.added_tokens", 4, 1, 0, "tokenizer.added_tokens: a length: found 0"},
        {"tokenizer.added_tokens", 4, 1, 257, "tokenizer.added_tokens: a length: found 257"},
        {"tokenizer.added_tokens", 4, 2, 97, "tokenizer.added_tokens: an id: found 97"},
        {"tokenizer.added_tokens", 4, 3, 32, "tokenizer.added_tokens: flags: found 32"},
        {"tokenizer.piece_slots", 4, 7, 98, "tokenizer.piece_slots: an id: found 97"},
        {"tokenizer.is_added", 1, 96, 2, "tokenizer.is_added: a truth: found 2, wanted at most 1"},
        {"tokenizer.merge_slots", 8, 2, 3,
         "tokenizer.merge_slots: a rank: found 3, wanted at most 2"},
    };
    struct tiny_model file = tiny_odd(DIRECTORY);
    struct image image;

    (void)state;
    file.tokenizer = true;
    image = write_tiny(&file, GPT2_TYPE_F32);
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t n = cases[i].element_bytes;

        check_change(&image, find_tensor(&image, cases[i].tensor) + cases[i].index * n,
                     &cases[i].value, n, cases[i].words);
    }
    free(image.bytes);
}

/* A gpt2_write_callback that only counts. */
static int32_t count_bytes(void *user, const void *bytes, size_t n_bytes)
{
    (void)bytes;
    *(size_t *)user += n_bytes;
    return 0;
}

/* Tables that load and that contradict each other: no other file is written of them. */
static void test_contradictions(void **state)
{
    static const struct {
        const char *tensor;
        size_t element_bytes, index;
        uint64_t value;
        const char *words;
    } cases[] = {
        {"tokenizer.merge_ids", 4, 0, 95,
         "cannot have the merge of 83 and 71: its rank or the token that it makes is another"},
        {"tokenizer.merge_ids", 4, 1, 0, "cannot have the merge of 94 and 68"},
        {"tokenizer.byte_ids", 4, 'A', 1, "cannot have the token 32: as one character"},
        {"tokenizer.byte_ids", 4, 0, 1, "cannot have the token 1: it is a byte's token"},
        {"tokenizer.byte_ids", 4, 0, 96, "cannot have the token 96: it is a byte's token"},
        {"tokenizer.added_tokens", 4, 2, 95, "cannot have the token 95: its bytes are not those"},
        {"tokenizer.added_text", 1, 3, 0xff, "cannot have the token 96: its bytes are not those"},
        {"tokenizer.bytes", 1, 1, '!', "cannot have the token 1: as one character"},
        {"tokenizer.seed", 8, 0, 7, "cannot have the merge of"},
    };
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json", "model.gguf"};
    struct tiny_model file = tiny_odd(DIRECTORY);
    struct image image;

    (void)state;
    file.tokenizer = true;
    image = write_tiny(&file, GPT2_TYPE_F32);
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char *at =
            find_tensor(&image, cases[i].tensor) + cases[i].index * cases[i].element_bytes;
        unsigned char saved[8];
        gpt2_model *model;

        memcpy(saved, at, cases[i].element_bytes);
        memcpy(at, &cases[i].value, cases[i].element_bytes);
        settle_sums(&image);
        assert_int_equal(load_image(&image, GPT2_FILE_MAP, &model), GPT2_OK);
        for (size_t name = 0; name < COUNT(names); name++) {
            size_t n_bytes = 0;

            assert_int_equal(
                gpt2_model_write(model, names[name], count_bytes, &n_bytes, line, sizeof line),
                GPT2_ERR_UNSUPPORTED);
            tiny_check_says(line, cases[i].words);
            assert_int_equal(n_bytes, 0);
        }
        gpt2_model_free(model);
        memcpy(at, saved, cases[i].element_bytes);
    }
    free(image.bytes);
}

/* Headers that say something else, with the right checksum. */
static void test_headers(void **state)
{
    static const struct {
        const char *from;
        const char *to; /* of the same length */
        const char *words;
    } cases[] = {
        {"\"libgpt2\":\"2\"", "\"libgpt2\":\"1\"", "is a native file of version 1, wanted 2"},
        {"\"libgpt2\":\"2\"", "\"libgpt3\":\"2\"", "is not a native file of libgpt2"},
        {"\"config\":", "\"Config\":", "is not a native file of libgpt2"},
        {"vocab_size\\\":97", "vocab_size\\\":96", "wte.panels has "},
        {"\\\"n_layer\\\":2", "\\\"n_layer\\\":3", "tensor h.2.ln_1.weight is missing"},
        {"\\\"n_head\\\":7", "\\\"n_head\\\":6", "n_head: found 6, wanted a divisor of n_embd"},
        {"gelu_new", "gelu_odd", "activation_function: found \"gelu_odd\""},
        {"\"wte.panels\":{\"dtype\":\"F32\"", "\"wte.panels\":{\"dtype\":\"U32\"",
         "which is no type of"},
        {"\"wpe.weight\":{\"dtype\":\"F32\"", "\"wpe.weight\":{\"dtype\":\"U32\"",
         "tensor wpe.weight has type U32, wanted F32"},
        {"\"h.1.ln_2.bias\"", "\"h.1.ln_2.Bias\"", "tensor h.1.ln_2.bias is missing"},
        {"\"tokenizer.seed\"", "\"tokenizer.Seed\"", "tensor tokenizer.seed is missing"},
        {"\"n_parameters\"", "\"n_Parameters\"", "tensor n_parameters is missing"},
        {"\"checksums\"", "\"Checksums\"", "tensor checksums has 0 bytes, wanted 24"},
        {"\"shape\":[256]", "\"shape\":[255]", "data_offsets: found 1024 bytes"},
    };
    struct tiny_model file = tiny_odd(DIRECTORY);
    struct image image;

    (void)state;
    file.tokenizer = true;
    image = write_tiny(&file, GPT2_TYPE_F32);
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t length = strlen(cases[i].from);
        unsigned char *at =
            memmem(image.bytes, (size_t)number_at(image.bytes) + 8, cases[i].from, length);

        assert_non_null(at);
        assert_int_equal(strlen(cases[i].to), length);
        check_change(&image, at, cases[i].to, length, cases[i].words);
    }
    free(image.bytes);
}

static int32_t load_tokenizer(const struct image *image)
{
    const gpt2_source source = source_of(image);
    gpt2_tokenizer_params params;
    gpt2_tokenizer *tokenizer;
    int32_t status;

    (void)gpt2_tokenizer_params_init(&params, sizeof params);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    status = BOUNDED(gpt2_tokenizer_load_sources(&source, 1, &params, &tokenizer));
    assert_int_equal(status == GPT2_OK, tokenizer != NULL);
    gpt2_tokenizer_free(tokenizer);
    return status;
}

/* Takes white space from the end of the header, which moves all tensors. */
static void move_tensors(struct image *image, size_t n_bytes)
{
    uint64_t header_bytes = number_at(image->bytes) - n_bytes, directory_bytes;
    unsigned char *end = image->bytes + 8 + header_bytes;

    for (size_t i = 0; i < n_bytes; i++)
        assert_int_equal(end[i], ' ');
    memmove(end, end + n_bytes, (size_t)(image->bytes + image->n_bytes - end) - n_bytes);
    image->n_bytes -= n_bytes;
    memcpy(image->bytes, &header_bytes, sizeof header_bytes);
    directory_bytes = number_at(sums_of(image)) - n_bytes;
    memcpy(sums_of(image), &directory_bytes, sizeof directory_bytes);
    settle_sums(image);
}

/* Tensors at other places than the library puts them, and a directory that ends before its tables. */
static void test_places(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    struct image image;
    uint64_t data_offset;

    (void)state;
    file.tokenizer = true;
    image = write_tiny(&file, GPT2_TYPE_F16);
    data_offset = 8 + number_at(image.bytes);
    memcpy(sums_of(&image), &data_offset, sizeof data_offset);
    settle_sums(&image);
    assert_int_equal(load_tokenizer(&image), GPT2_ERR_FORMAT);
    tiny_check_says(line, "tensor tokenizer.merge_slots is not in the directory");
    check_deception(&image, ", wanted a place in the directory, which has ");
    data_offset--;
    memcpy(sums_of(&image), &data_offset, sizeof data_offset);
    settle_sums(&image);
    check_deception(&image, "the length of its directory is ");
    free(image.bytes);

    image = write_tiny(&file, GPT2_TYPE_F16);
    move_tensors(&image, 4);
    assert_int_equal(load_tokenizer(&image), GPT2_ERR_FORMAT);
    tiny_check_says(line, "tensor tokenizer.merge_slots begins at byte ");
    tiny_check_says(line, ", wanted a multiple of 8");
    check_deception(&image, ", wanted a multiple of 64");
    move_tensors(&image, 4);
    assert_int_equal(load_tokenizer(&image), GPT2_OK);
    check_deception(&image, ".panels begins at byte ");
    free(image.bytes);
}

/* ------------------------------------------------------------------------------------- refusals -- */

struct progress {
    uint64_t n_bytes_done;
    int n_calls;
    bool cancels;
};

static int32_t show_progress(void *user, uint64_t n_bytes_done, uint64_t n_bytes_total)
{
    struct progress *progress = user;

    assert_true(n_bytes_done > progress->n_bytes_done && n_bytes_done <= n_bytes_total);
    progress->n_bytes_done = n_bytes_done;
    progress->n_calls++;
    return progress->cancels;
}

static void test_progress(void **state)
{
    struct tiny_model file = tiny_pages(DIRECTORY);
    struct progress progress = {0};
    gpt2_model_params params;
    struct image image;
    gpt2_source source;
    gpt2_model *model;

    (void)state;
    file.n_embd = 320;
    file.n_vocab = 2001;
    image = write_tiny(&file, GPT2_TYPE_F16);
    source = source_of(&image);
    (void)load_params(&params, GPT2_FILE_READ);
    params.progress = show_progress;
    params.progress_user = &progress;
    assert_int_equal(gpt2_model_load_sources(&source, 1, &params, &model), GPT2_OK);
    assert_true(progress.n_calls > 3 && progress.n_bytes_done == image.n_bytes);
    gpt2_model_free(model);
    progress = (struct progress){.cancels = true};
    assert_int_equal(gpt2_model_load_sources(&source, 1, &params, &model), GPT2_ERR_CANCELLED);
    tiny_check_says(line, "native.safetensors: cancelled by the progress callback");
    assert_null(model);
    free(image.bytes);
}

static void test_misuse(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    struct image image = write_tiny(&file, GPT2_TYPE_Q8), no_room = {NULL, 0, 0};
    gpt2_source source = source_of(&image);
    gpt2_model_params params;
    gpt2_model *model;
    char words[128];

    (void)state;
    (void)load_params(&params, GPT2_FILE_MAP);
    params.weight_type = GPT2_TYPE_Q8;
    assert_int_equal(gpt2_model_load_sources(&source, 1, &params, &model), GPT2_OK);
    assert_int_equal(
        gpt2_model_write(NULL, "native.safetensors", add_part, &image, words, sizeof words),
        GPT2_ERR_ARGUMENT);
    assert_string_equal(words, "gpt2_model_write: model is NULL");
    assert_int_equal(
        gpt2_model_write(model, "native.safetensors", NULL, &image, words, sizeof words),
        GPT2_ERR_ARGUMENT);
    assert_string_equal(words, "gpt2_model_write: write is NULL");
    assert_int_equal(
        gpt2_model_write(model, "native.safetensors", add_part, &no_room, words, sizeof words),
        GPT2_ERR_CANCELLED);
    assert_string_equal(words, "cancelled by the write callback");
    assert_int_equal(gpt2_model_write(model, "native.safetensors", add_part, &no_room, NULL, 0),
                     GPT2_ERR_CANCELLED);
    gpt2_model_free(model);
    params.weight_type = GPT2_TYPE_F32;
    assert_int_equal(gpt2_model_load_sources(&source, 1, &params, &model), GPT2_ERR_UNSUPPORTED);
    tiny_check_says(line, "a native file keeps its type: found q8, wanted f32");

    /* a native file in the place of weights, and weights in the place of a native file */
    scratch_write(DIRECTORY "/model.safetensors", image.bytes, image.n_bytes);
    assert_int_equal(load_file(DIRECTORY, GPT2_FILE_MAP, &model), GPT2_ERR_FORMAT);
    tiny_check_says(line, "/model.safetensors: is a native file");
    tiny_write(&file);
    assert_int_equal(load_file(DIRECTORY "/model.safetensors", GPT2_FILE_MAP, &model),
                     GPT2_ERR_FORMAT);
    tiny_check_says(line, "is not a native file of libgpt2; wanted one, or the directory of");
    assert_int_equal(load_file(DIRECTORY "/config.json", GPT2_FILE_MAP, &model), GPT2_ERR_FORMAT);
    tiny_check_says(line, "config.json: the length of the header is ");
    free(image.bytes);
}

static int tear_down(void **state)
{
    (void)state;
    tiny_remove(DIRECTORY);
    (void)unlink(FILE_PATH);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_model),     cmocka_unit_test(test_host_settings),
        cmocka_unit_test(test_epsilons),       cmocka_unit_test(test_full_header),
        cmocka_unit_test(test_tokenizer),      cmocka_unit_test(test_flipped_bytes),
        cmocka_unit_test(test_lengths),        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_contradictions), cmocka_unit_test(test_headers),
        cmocka_unit_test(test_places),         cmocka_unit_test(test_progress),
        cmocka_unit_test(test_misuse),         cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, scratch_set_up, tear_down);
}
