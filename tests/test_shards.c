/*
 * test_shards.c: weights in several files with an index: the reader, valid and hostile, and models in
 * a directory, in memory and behind callbacks.
 *
 * WRAP := mmap mmap64 munmap
 */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "bounds.h"
#include "tiny_model.h"
#include "scratch.h"

#include "formats/tensors.h"

#include <unistd.h>

#define DIRECTORY TINY_DIRECTORY "/shards"
#define INDEX     "model.safetensors.index.json"
#define N_TOKENS  8
#define MOST      200 /* sources in memory */

static char line[GPT2_ERRBUF_BYTES];
static struct gpt2i_error error = {line, sizeof line};

/* ------------------------------------------------------------------------------------ the reader -- */

static gpt2_source sources[MOST];
static struct gpt2i_files files = {.list = sources};

static void put_source(const char *name, const void *bytes, size_t n_bytes)
{
    assert_true(files.n_list < MOST);
    sources[files.n_list++] = (gpt2_source){.name = name, .bytes = bytes, .n_bytes = n_bytes};
}

#define ENTRY(name, range) \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":" range "}"

/* A file of safetensors around a header, in 'bytes'. */
static void put_shard(const char *name, const char *header, unsigned char bytes[256])
{
    size_t length = strlen(header);

    assert_true(8 + length + 4 <= 256);
    memset(bytes, 0, 256);
    bytes[0] = (unsigned char)length;
    memcpy(bytes + 8, header, length);
    put_source(name, bytes, 8 + length + (strstr(header, "[1,2]") != NULL ? 2 : 1));
}

/* Two shards, with a and b, and with c; the index is the source 0. */
static void put_shards(const char *index)
{
    static unsigned char one[256], two[256];

    files.n_list = 0;
    put_source(INDEX, index, strlen(index));
    put_shard("one", "{" ENTRY("b", "[0,1]") "," ENTRY("a", "[1,2]") "}", one);
    put_shard("two", "{" ENTRY("c", "[0,1]") "}", two);
}

static int32_t open_index(struct gpt2i_tensors *tensors)
{
    memset(tensors, 0x5a, sizeof *tensors);
    line[0] = '\0';
    return BOUNDED(gpt2i_shards_open(tensors, &files, INDEX, gpt2i_safetensors_open, &error));
}

/* The index must be refused with this status and these words, and leave nothing behind. */
static void check_refused(const char *index, int32_t wanted, const char *says)
{
    static struct gpt2i_tensors tensors;
    struct footprint before = footprint_now(), after;
    int32_t status = open_index(&tensors);

    after = footprint_now();
    if (status != wanted || strstr(line, says) == NULL)
        fail_msg("%.200s: status %d, %s, wanted %d, ...%s...", index, (int)status, line,
                 (int)wanted, says);
    assert_int_equal(after.pages, before.pages);
    gpt2i_tensors_close(&tensors); /* does nothing */
}

/* The tensors of all shards are one list; what the index leaves out counts. */
static void test_valid(void **state)
{
    static const char *const indexes[] = {
        "{\"metadata\":{\"total_size\":3},\"weight_map\":{\"a\":\"one\",\"b\":\"one\",\"c\":"
        "\"two\"}}",
        " {\"weight_map\" : {\"c\":\"two\", \"\\u0061\":\"o\\u006ee\"}, \"more\": [{}]}\n",
    };
    static const char *const names[] = {"a", "b", "c"};
    static struct gpt2i_tensors tensors;
    static unsigned char end[256];

    (void)state;
    for (size_t i = 0; i < COUNT(indexes); i++) {
        struct footprint before = footprint_now();

        put_shards(indexes[i]);
        if (open_index(&tensors) != GPT2_OK)
            fail_msg("%s", line);
        assert_string_equal(tensors.source->path, INDEX);
        assert_int_equal(tensors.n_tensors, COUNT(names));
        for (size_t j = 0; j < COUNT(names); j++) {
            assert_string_equal(tensors.items[j].name, names[j]);
            assert_ptr_equal(gpt2i_tensors_find(&tensors, names[j]), &tensors.items[j]);
            assert_string_equal(tensors.items[j].source->path, j == 2 ? "two" : "one");
        }
        assert_int_equal(tensors.items[1].offset + 1, tensors.items[0].offset);
        gpt2i_tensors_close(&tensors);
        assert_int_equal(footprint_now().pages, before.pages);
        gpt2i_tensors_close(&tensors);
    }
    put_shards("{\"weight_map\":{\"a\":\"one\",\"d\":\"e\",\"c\":\"two\"}}");
    put_shard("e", "{" ENTRY("d", "[0,1]") "}", end); /* the end of another's name */
    if (open_index(&tensors) != GPT2_OK)
        fail_msg("%s", line);
    assert_string_equal(gpt2i_tensors_find(&tensors, "d")->source->path, "e");
    gpt2i_tensors_close(&tensors);
    put_shards("{\"weight_map\":{}}"); /* no shard, no tensor */
    assert_int_equal(open_index(&tensors), GPT2_OK);
    assert_int_equal(tensors.n_tensors, 0);
    assert_null(gpt2i_tensors_find(&tensors, "a"));
    gpt2i_tensors_close(&tensors);
}

#define MAP(text) "{\"weight_map\":{" text "}}"

static void test_refused(void **state)
{
    static const struct {
        const char *index;
        int32_t status;
        const char *says;
    } cases[] = {
        {"", GPT2_ERR_FORMAT, INDEX ": byte 0: "},
        {"[]", GPT2_ERR_FORMAT, INDEX ": byte 1: wanted a JSON object as the index"},
        {"model", GPT2_ERR_FORMAT, INDEX ": byte 0: wanted a value"},
        {"{}", GPT2_ERR_FORMAT, INDEX ": has no weight_map"},
        {"{\"metadata\":{\"weight_map\":{}}}", GPT2_ERR_FORMAT, "has no weight_map"},
        {MAP("") " x", GPT2_ERR_FORMAT, "wanted nothing after"},
        {"{\"weight_map\":[]}", GPT2_ERR_FORMAT,
         INDEX ": weight_map: found an array, wanted an object"},
        {"{\"weight_map\":null}", GPT2_ERR_FORMAT, "weight_map: found null, wanted an object"},
        {"{\"weight_map\":{},\"weight_map\":{}}", GPT2_ERR_FORMAT, "weight_map appears twice"},
        {MAP("\"a\":1"), GPT2_ERR_FORMAT, INDEX ": tensor a: found 1, wanted the name of a file"},
        {MAP("\"a\":[\"one\"]"), GPT2_ERR_FORMAT, "tensor a: found an array, wanted the name"},
        {MAP("\"a\":\"three\""), GPT2_ERR_FILE, "three: is not among the sources"},
        {MAP("\"a\":\"one\",\"c\":\"One\""), GPT2_ERR_FILE, "One: is not among the sources"},
        {MAP("\"a\":\"one\",\"c\":\"one\""), GPT2_ERR_FORMAT, INDEX ": tensor c is not in one"},
        {MAP("\"a\":\"one\",\"d\":\"two\""), GPT2_ERR_FORMAT, INDEX ": tensor d is not in two"},
        {MAP("\"a\":\"one\",\"\":\"two\""), GPT2_ERR_FORMAT, INDEX ": tensor  is not in two"},
        {MAP("\"a\":\"one\",\"b\":\"one\",\"a\":\"one\""), GPT2_ERR_FORMAT,
         INDEX ": tensor a appears twice"},
        {MAP("\"a\":\"one\",\"a\":\"two\""), GPT2_ERR_FORMAT, "tensor a is not in two"},
        {MAP("\"a\":\"one\",\"\\u0061\":\"one\""), GPT2_ERR_FORMAT, "tensor a appears twice"},
        {MAP("\"c\":\"two\",\"a\":\"twin\""), GPT2_ERR_FORMAT, INDEX ": tensor c is both in tw"},
        {MAP("\"c\":\"two\",\"a\":\"" INDEX "\""), GPT2_ERR_FORMAT,
         INDEX ": the length of the header is "},
        {MAP("\"a\":\"\""), GPT2_ERR_FORMAT,
         INDEX ": tensor a: found the file \"\", wanted the name of a file in the same directory"},
        {MAP("\"a\":\".\""), GPT2_ERR_FORMAT, "found the file \".\", wanted"},
        {MAP("\"a\":\"..\""), GPT2_ERR_FORMAT, "found the file \"..\", wanted"},
        {MAP("\"a\":\"../one\""), GPT2_ERR_FORMAT, "found the file \"../one\", wanted"},
        {MAP("\"a\":\"./one\""), GPT2_ERR_FORMAT, "found the file \"./one\", wanted"},
        {MAP("\"a\":\"/one\""), GPT2_ERR_FORMAT, "found the file \"/one\", wanted"},
        {MAP("\"a\":\"\\/one\""), GPT2_ERR_FORMAT, "found the file \"/one\", wanted"},
        {MAP("\"a\":\"in/one\""), GPT2_ERR_FORMAT, "found the file \"in/one\", wanted"},
        {MAP("\"a\":\"one/\""), GPT2_ERR_FORMAT, "found the file \"one/\", wanted"},
        {MAP("\"a\":\"in\\\\one\""), GPT2_ERR_FORMAT, "found the file \"in\\one\", wanted"},
        {MAP("\"a\":\"c:one\""), GPT2_ERR_FORMAT, "found the file \"c:one\", wanted"},
        {MAP("\"a\":\"one\\u0000\""), GPT2_ERR_FORMAT, "wanted no NUL inside a name"},
        {MAP("\"a\\u0000\":\"one\""), GPT2_ERR_FORMAT, "wanted no NUL inside a name"},
        {MAP("\"a\":\"one\\ud800\""), GPT2_ERR_FORMAT, "surrogate"},
        {MAP("\"a\":\"one\xff\""), GPT2_ERR_FORMAT, "valid UTF-8"},
    };
    static unsigned char twin[256];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        put_shards(cases[i].index);
        put_shard("twin", "{" ENTRY("c", "[0,1]") "," ENTRY("a", "[1,2]") "}", twin);
        check_refused(cases[i].index, cases[i].status, cases[i].says);
    }
    files.n_list = 0;
    check_refused("none", GPT2_ERR_FILE, INDEX ": is not among the sources");
}

/* Cut at every byte. */
static void test_cut(void **state)
{
    static const char index[] = MAP("\"a\":\"one\",\"c\":\"two\"");
    static struct gpt2i_tensors tensors;

    (void)state;
    put_shards(index);
    assert_int_equal(open_index(&tensors), GPT2_OK);
    gpt2i_tensors_close(&tensors);
    for (size_t cut = 0; cut < sizeof index - 1; cut++) {
        sources[0].n_bytes = cut;
        check_refused(index, GPT2_ERR_FORMAT, INDEX ": byte ");
    }
}

/* Every byte of the index becomes another: never more than a status and a line. */
static void test_damaged(void **state)
{
    static const char bytes[] = "\"\\{}[],:/.0ea\xff";
    char index[] = MAP("\"a\":\"one\",\"c\":\"two\"");
    static struct gpt2i_tensors tensors;
    struct footprint before = footprint_now();
    int n_valid = 0;

    (void)state;
    put_shards(index);
    for (size_t i = 0; i < sizeof index - 1; i++) {
        char saved = index[i];

        for (size_t j = 0; j < sizeof bytes; j++) {
            int32_t status;

            index[i] = bytes[j];
            status = open_index(&tensors);
            assert_true(status == GPT2_OK || status == GPT2_ERR_FORMAT || status == GPT2_ERR_FILE);
            assert_true((status == GPT2_OK) == (line[0] == '\0'));
            n_valid += status == GPT2_OK;
            gpt2i_tensors_close(&tensors);
        }
        index[i] = saved;
    }
    assert_int_equal(footprint_now().pages, before.pages);
    assert_in_range(n_valid, 1, 40); /* such as "b" and "c" for "a" */
}

/* The largest number of shards, of tensors and of bytes of an index. */
static void test_limits(void **state)
{
    static char index[17 << 20], names[129][16];
    static unsigned char bytes[129][256];
    static struct gpt2i_tensors tensors;
    char header[64], *many;
    size_t used, n_bytes;

    (void)state;
    for (int n_shards = 128; n_shards <= 129; n_shards++) {
        used = (size_t)snprintf(index, sizeof index, "{\"weight_map\":{");
        files.n_list = 0;
        put_source(INDEX, index, 0);
        for (int i = 0; i < n_shards; i++) {
            (void)snprintf(names[i], sizeof names[i], "shard%d", i);
            (void)snprintf(header, sizeof header, "{" ENTRY("t%d", "[0,1]") "}", i);
            put_shard(names[i], header, bytes[i]);
            used += (size_t)snprintf(index + used, 64, "%s\"t%d\":\"%s\"", i == 0 ? "" : ",", i,
                                     names[i]);
        }
        used += (size_t)snprintf(index + used, 64, "}}");
        sources[0].n_bytes = used;
        if (n_shards == 129) {
            check_refused("129 shards", GPT2_ERR_UNSUPPORTED, INDEX ": names more than 128 files");
            continue;
        }
        if (open_index(&tensors) != GPT2_OK)
            fail_msg("%s", line);
        assert_int_equal(tensors.n_tensors, 128);
        gpt2i_tensors_close(&tensors);
    }

    put_shards(MAP("\"c\":\"two\",\"0\":\"many\""));
    for (int n = 65535; n <= 65536; n++) {
        many = malloc((size_t)n * 80);
        assert_non_null(many);
        used = 8;
        for (int i = 0; i < n; i++)
            used += (size_t)snprintf(many + used, 80, "%c" ENTRY("%d", "[%d,%d]"),
                                     i == 0 ? '{' : ',', i, i, i + 1);
        many[used++] = '}';
        for (int i = 0; i < 8; i++)
            many[i] = (char)((uint64_t)(used - 8) >> 8 * i);
        memset(many + used, 0, (size_t)n);
        n_bytes = used + (size_t)n;
        put_source("many", many, n_bytes);
        if (n == 65535) {
            if (open_index(&tensors) != GPT2_OK)
                fail_msg("%s", line);
            assert_int_equal(tensors.n_tensors, 65536);
            gpt2i_tensors_close(&tensors);
        } else {
            bound_exception = "65537 tensors in a header of 4 MB";
            check_refused("many tensors", GPT2_ERR_FORMAT, INDEX ": has more than 65536 tensors");
        }
        files.n_list--;
        free(many);
    }

    memset(index, ' ', sizeof index);
    memcpy(index, "{\"weight_map\":{}}", 17);
    files.n_list = 0;
    put_source(INDEX, index, 16 << 20);
    assert_int_equal(open_index(&tensors), GPT2_OK);
    gpt2i_tensors_close(&tensors);
    sources[0].n_bytes++;
    check_refused("large", GPT2_ERR_FORMAT,
                  INDEX ": has 16777217 bytes, more than the 16777216 allowed");
}

/* ---------------------------------------------------------------------------------------- models -- */

static uint64_t one_file_hash; /* of a model in one file */

static uint64_t use(gpt2_model *model)
{
    gpt2_session *session = tiny_session(model, GPT2_CPU_ALL, 1, 256);
    int32_t ids[N_TOKENS];
    uint64_t hash;

    tiny_ids(ids, N_TOKENS, 97);
    hash = tiny_run(session, ids, N_TOKENS, N_TOKENS, 0);
    gpt2_session_free(session);
    gpt2_model_free(model);
    return hash;
}

static int set_up(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);

    (void)state;
    one_file_hash = use(tiny_load(&file));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tiny_remove(DIRECTORY);
    return 0;
}

/* The same model from one file and from any number of shards; each tensor in its own is the most. */
static void test_directory(void **state)
{
    static const int counts[] = {1, 2, 7, 28};
    struct tiny_model file = tiny_odd(DIRECTORY);

    (void)state;
    for (size_t i = 0; i < COUNT(counts); i++) {
        struct footprint before = footprint_now();

        file.n_shards = counts[i];
        tiny_write(&file);
        for (int32_t n_threads = 1; n_threads <= 3; n_threads += 2) {
            gpt2_model_params params;
            gpt2_model *model;

            (void)gpt2_model_params_init(&params, sizeof params);
            params.n_threads = n_threads;
            params.errbuf = line;
            params.errbuf_size = sizeof line;
            if (gpt2_model_load(DIRECTORY, &params, &model) != GPT2_OK)
                fail_msg("%d shards: %s", counts[i], line);
            assert_int_equal(footprint_now().descriptor, before.descriptor);
            assert_true(use(model) == one_file_hash);
        }
    }
}

static void check_load(int32_t wanted, const char *words)
{
    struct footprint before = footprint_now(), after;
    gpt2_model_params params;
    gpt2_model *model = (gpt2_model *)(void *)line;
    int32_t status;

    (void)gpt2_model_params_init(&params, sizeof params);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    status = BOUNDED(gpt2_model_load(DIRECTORY, &params, &model));
    after = footprint_now();
    if (status != wanted)
        fail_msg("found status %d, wanted %d: %s", (int)status, (int)wanted, line);
    tiny_check_says(line, words);
    assert_null(model);
    assert_int_equal(after.descriptor, before.descriptor);
    assert_int_equal(after.pages, before.pages);
}

/* As in transformers the file with all tensors comes before the index, whatever that is. */
static void test_which(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);
    gpt2_model *model;

    (void)state;
    tiny_write(&file);
    scratch_write(DIRECTORY "/" INDEX, "no JSON", 7);
    assert_int_equal(gpt2_model_load(DIRECTORY, NULL, &model), GPT2_OK);
    assert_true(use(model) == one_file_hash);
    assert_int_equal(unlink(DIRECTORY "/model.safetensors"), 0);
    check_load(GPT2_ERR_FORMAT, DIRECTORY "/" INDEX ": byte 0: wanted a value");
    scratch_write(DIRECTORY "/pytorch_model.bin", "", 0); /* comes after the index */
    check_load(GPT2_ERR_FORMAT, DIRECTORY "/" INDEX ": byte 0: wanted a value");
    assert_int_equal(unlink(DIRECTORY "/pytorch_model.bin"), 0);
}

/* What a model lacks is said of the index, what is wrong in a shard of the shard. */
static void test_errors(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);

    (void)state;
    file.n_shards = 3;
    tiny_write(&file);
    assert_int_equal(unlink(DIRECTORY "/model-00002.safetensors"), 0);
    check_load(GPT2_ERR_FILE, DIRECTORY "/model-00002.safetensors: cannot be opened: there is no");
    scratch_write(DIRECTORY "/model-00002.safetensors", "", 0);
    check_load(GPT2_ERR_FORMAT, DIRECTORY "/model-00002.safetensors: has 0 bytes, too few");
    file.without = "h.1.ln_2.weight";
    tiny_write(&file);
    check_load(GPT2_ERR_FORMAT,
               DIRECTORY "/" INDEX ": tensor transformer.h.1.ln_2.weight is missing");
    file.without = NULL;
    file.extra = "h.7.ln_1.weight";
    tiny_write(&file);
    check_load(GPT2_ERR_UNSUPPORTED,
               DIRECTORY "/" INDEX ": tensor transformer.h.7.ln_1.weight has no place in a GPT-2");
    file.extra = NULL;
    file.odd = "h.0.attn.c_attn.weight"; /* the second */
    file.odd_dtype = "I32";
    tiny_write(&file);
    check_load(GPT2_ERR_UNSUPPORTED, DIRECTORY
               "/model-00002.safetensors: transformer.h.0.attn.c_attn.weight has type I32");
}

/* A source that is read by a callback; the call of the number 'fault_at' fails. */
struct file {
    char name[40];
    unsigned char *bytes;
    size_t n_bytes;
};

static int n_calls, fault_at;
static const struct file *at_fault;

static int32_t read_source(void *user, uint64_t offset, void *bytes, size_t capacity,
                           size_t *n_read)
{
    const struct file *file = user;

    if (++n_calls == fault_at) {
        at_fault = file;
        return 1;
    }
    *n_read = capacity < 700 ? capacity : 700;
    if (*n_read > file->n_bytes - offset)
        *n_read = (size_t)(file->n_bytes - offset);
    memcpy(bytes, file->bytes + offset, *n_read);
    return 0;
}

static void read_file(struct file *file, const char *name)
{
    char path[256];
    FILE *stream;

    (void)snprintf(file->name, sizeof file->name, "%s", name);
    (void)snprintf(path, sizeof path, DIRECTORY "/%s", name);
    stream = fopen(path, "rb");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, 0, SEEK_END), 0);
    file->n_bytes = (size_t)ftell(stream);
    file->bytes = malloc(file->n_bytes);
    assert_non_null(file->bytes);
    rewind(stream);
    assert_int_equal(fread(file->bytes, 1, file->n_bytes, stream), file->n_bytes);
    (void)fclose(stream);
}

/* Shards in memory and behind callbacks have any names, in any order; each read fails in its turn. */
static void test_sources(void **state)
{
    struct file held[5];
    gpt2_source given[COUNT(held)];
    struct tiny_model file = tiny_odd(DIRECTORY);
    struct footprint before;
    gpt2_model_params params;
    gpt2_model *model;
    int32_t status = GPT2_ERR_FILE;

    (void)state;
    file.n_shards = 3;
    tiny_write(&file);
    for (size_t i = 0; i < 3; i++)
        read_file(&held[i], tiny_shard_name((int)i));
    read_file(&held[3], INDEX);
    read_file(&held[4], "config.json");
    for (int with_callback = 0; with_callback < 2; with_callback++) {
        for (size_t i = 0; i < COUNT(held); i++) {
            given[i] = (gpt2_source){.name = held[i].name, .n_bytes = held[i].n_bytes};
            if (with_callback == 0)
                given[i].bytes = held[i].bytes;
            else
                given[i].read = read_source;
            given[i].user = &held[i];
        }
        assert_int_equal(gpt2_model_load_sources(given, COUNT(held), NULL, &model), GPT2_OK);
        assert_true(use(model) == one_file_hash);
    }
    (void)gpt2_model_params_init(&params, sizeof params);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    before = footprint_now();
    for (fault_at = 1; status != GPT2_OK; fault_at++) {
        n_calls = 0;
        status = gpt2_model_load_sources(given, COUNT(held), &params, &model);
        if (status == GPT2_OK)
            break;
        assert_int_equal(status, GPT2_ERR_FILE);
        assert_memory_equal(line, at_fault->name, strlen(at_fault->name));
        tiny_check_says(line, ": cannot be read at byte ");
        assert_null(model);
        assert_int_equal(footprint_now().pages, before.pages);
    }
    assert_in_range(fault_at, 40, n_calls + 1); /* config, index, 3 headers, 28 tensors, ... */
    assert_int_equal(fault_at, n_calls + 1);
    gpt2_model_free(model);
    fault_at = 0;

    given[1].name = "model-2.safetensors"; /* so the second is missing */
    assert_int_equal(gpt2_model_load_sources(given, COUNT(held), &params, &model), GPT2_ERR_FILE);
    tiny_check_says(line, "model-00002.safetensors: is not among the sources");
    given[3].name = "model.safetensors"; /* without an index the other names are wrong */
    assert_int_equal(gpt2_model_load_sources(given, COUNT(held), &params, &model),
                     GPT2_ERR_ARGUMENT);
    tiny_check_says(line, "source 0 is \"model-00001.safetensors\", wanted config.json, ");
    for (size_t i = 0; i < COUNT(held); i++)
        free(held[i].bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_cut),     cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_limits),  cmocka_unit_test(test_directory),
        cmocka_unit_test(test_which),   cmocka_unit_test(test_errors),
        cmocka_unit_test(test_sources), cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("shards", tests, set_up, tear_down);
}
