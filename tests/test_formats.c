/*
 * test_formats.c: headers of .safetensors, valid, real and hostile, and what tensors.h checks.
 *
 * Files are written under TESTS_TMP.  Around each call that must fail the address space and
 * the lowest free descriptor are compared, since a sanitizer does not watch mapped blocks and files.
 *
 * WRAP := mmap mmap64 munmap
 */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bounds.h"
#include "formats/tensors.h"
#include "paths.h"
#include "scratch.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define SCRATCH      SCRATCH_DIRECTORY "/formats-scratch"

static char line[1024];
static struct gpt2i_error error = {line, sizeof line};

static int remove_scratch(void **state)
{
    (void)state;
    (void)unlink(SCRATCH);
    return 0;
}

static void check_unchanged(struct footprint before, const char *what)
{
    struct footprint after = footprint_now();

    if (after.descriptor != before.descriptor)
        fail_msg("%s: a file stays open", what);
    if (after.pages != before.pages)
        fail_msg("%s: %ld pages stay allocated", what, after.pages - before.pages);
}

static const char valid[] =
    "{\"__metadata__\": {\"format\": \"pt\"},"
    " \"b\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [8, 32]},"
    " \"a\": {\"data_offsets\": [0, 8], \"shape\": [4], \"dtype\": \"F16\", \"more\": [{}]},"
    " \"none\": {\"dtype\": \"BF16\", \"shape\": [0, 7], \"data_offsets\": [8, 8]},"
    " \"\\u0063\": {\"dtype\": \"I64\", \"shape\": [], \"data_offsets\": [32, 40]}}  ";
#define VALID_DATA 40

/* Length, header, then 'n_data' bytes, into a block to be freed; '*n_bytes' is their sum. */
static unsigned char *safetensors(const char *header, size_t length, size_t n_data, size_t *n_bytes)
{
    unsigned char *bytes = calloc(1, 8 + length + n_data);

    assert_non_null(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(bytes + 8, header, length);
    *n_bytes = 8 + length + n_data;
    return bytes;
}

static int32_t open_scratch(struct gpt2i_tensors *tensors)
{
    struct path split;

    memset(tensors, 0x5a, sizeof *tensors);
    line[0] = '\0';
    path_split(&split, SCRATCH);
    return BOUNDED(gpt2i_safetensors_open(tensors, &split.files, split.name, &error));
}

/* The scratch file must be refused with this status and these words, and leave nothing behind. */
static void check_refused(int32_t wanted, const char *says, const char *what)
{
    static struct gpt2i_tensors tensors;
    struct footprint before = footprint_now();
    int32_t status = open_scratch(&tensors);

    if (status != wanted || strstr(line, says) == NULL ||
        strncmp(line, SCRATCH ": ", sizeof SCRATCH + 1) != 0)
        fail_msg("%s: status %d, %s, wanted %d, ...%s...", what, (int)status, line, (int)wanted,
                 says);
    check_unchanged(before, what);
    gpt2i_tensors_close(&tensors); /* does nothing */
    check_unchanged(before, what);
}

static void test_safetensors_valid(void **state)
{
    static struct gpt2i_tensors tensors;
    static const char *const names[] = {"a", "b", "c", "none"};
    struct footprint before = footprint_now();
    const struct gpt2i_tensor *b, *c;
    size_t n_bytes;
    unsigned char *bytes = safetensors(valid, sizeof valid - 1, VALID_DATA, &n_bytes);

    (void)state;
    scratch_write(SCRATCH, bytes, n_bytes);
    free(bytes);
    before = footprint_now();
    if (open_scratch(&tensors) != GPT2_OK)
        fail_msg("%s", line);
    assert_int_equal(tensors.n_tensors, COUNT(names));
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_string_equal(tensors.items[i].name, names[i]);
        assert_ptr_equal(gpt2i_tensors_find(&tensors, names[i]), &tensors.items[i]);
        assert_ptr_equal(tensors.items[i].source, tensors.source);
    }
    assert_null(gpt2i_tensors_find(&tensors, ""));
    assert_null(gpt2i_tensors_find(&tensors, "z"));
    b = &tensors.items[1];
    assert_int_equal(b->type, GPT2_TYPE_F32);
    assert_int_equal(b->n_dims, 2);
    assert_int_equal(b->dims[0], 2);
    assert_int_equal(b->dims[1], 3);
    assert_int_equal(b->offset, 8 + sizeof valid - 1 + 8);
    assert_int_equal(b->n_bytes, 24);
    c = &tensors.items[2];
    assert_int_equal(c->type, -1);
    assert_string_equal(c->dtype, "I64");
    assert_int_equal(c->n_dims, 0);
    assert_int_equal(c->n_bytes, 8);
    assert_int_equal(tensors.items[3].type, GPT2_TYPE_BF16);
    assert_int_equal(tensors.items[3].n_bytes, 0);
    gpt2i_tensors_close(&tensors);
    check_unchanged(before, "close");
    gpt2i_tensors_close(&tensors);
}

/*
 * What JSON allows around the object, and nothing else: the verdicts are those of safetensors 0.4.5 and
 * 0.8.0, which tests/hf/check_files.py asks.
 */
static void test_safetensors_white_space(void **state)
{
    static struct gpt2i_tensors tensors;
    static const struct {
        const char *before, *after;
        bool accepted;
    } cases[] = {
        {"", "", true},      {" ", "", true},       {"\n \t\r\n", "", true},
        {"", "   ", true},   {"", "\n\t\r ", true}, {"\r", "\n", true},
        {"\v", "", false},   {"", "\f", false},     {"", "\xc2\xa0", false},
        {"", " ,", false},   {"", " {}", false},    {"\xef\xbb\xbf", "", false},
        {"", "\x01", false},
    };
    char header[16 + sizeof valid];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t n_bytes;
        unsigned char *bytes;

        (void)snprintf(header, sizeof header, "%s%s%s", cases[i].before, valid, cases[i].after);
        bytes = safetensors(header, strlen(header), VALID_DATA, &n_bytes);
        scratch_write(SCRATCH, bytes, n_bytes);
        free(bytes);
        if (!cases[i].accepted) {
            check_refused(GPT2_ERR_FORMAT, ": byte ", header);
            continue;
        }
        if (open_scratch(&tensors) != GPT2_OK)
            fail_msg("%s", line);
        assert_int_equal(tensors.items[1].offset, 8 + strlen(header) + 8);
        gpt2i_tensors_close(&tensors);
    }
}

/* Cut at every byte; and one byte too many. */
static void test_safetensors_cut(void **state)
{
    size_t n_bytes;
    unsigned char *bytes = safetensors(valid, sizeof valid - 1, VALID_DATA + 1, &n_bytes);
    char what[32];

    (void)state;
    for (size_t cut = 0; cut <= n_bytes; cut++) {
        if (cut == n_bytes - 1)
            continue; /* this is the valid file */
        scratch_write(SCRATCH, bytes, cut);
        snprintf(what, sizeof what, "cut at %zu", cut);
        check_refused(GPT2_ERR_FORMAT, "", what);
    }
    free(bytes);
}

#define ENTRY(name, dtype, shape, offsets) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define TEN(text) text text text text text text text text text text

/* A header before 8 bytes of data. */
static const struct {
    const char *header;
    int32_t status;
    const char *says;
} refused[] = {
    {"", GPT2_ERR_FORMAT, "wanted a JSON object"},
    {" {}", GPT2_ERR_FORMAT, "the tensors end at byte 11, but the file has 19"},
    {" \n\t[]", GPT2_ERR_FORMAT, "wanted a JSON object"},
    {"[]", GPT2_ERR_FORMAT, "wanted a JSON object"},
    {"{}", GPT2_ERR_FORMAT, "the tensors end at byte 10, but the file has 18"},
    {"{} x", GPT2_ERR_FORMAT, "byte 3: wanted nothing after"},
    {"{" ENTRY("a", "F32", "[2]", "[0,8]") ",}", GPT2_ERR_FORMAT, "wanted a key"},
    {"{\"a\":[]}", GPT2_ERR_FORMAT, "tensor a: the entry: found an array, wanted an object"},
    {"{" ENTRY("a", "F32", "[1]", "[0,4]") "}", GPT2_ERR_FORMAT, "the tensors end at byte"},
    {"{" ENTRY("a", "F32", "[1]", "[4,8]") "}", GPT2_ERR_FORMAT,
     "where the data begin: the bytes between"},
    {"{" ENTRY("a", "U8", "[3]", "[0,3]") "," ENTRY("b", "F32", "[1]", "[4,8]") "}",
     GPT2_ERR_FORMAT, "where the one before ends: a: the bytes between"},
    {"{" ENTRY("a", "F32", "[2]", "[0,8]") "," ENTRY("b", "F32", "[1]", "[4,8]") "}",
     GPT2_ERR_FORMAT, "where the one before ends: a: they overlap"},
    {"{" ENTRY("a", "F32", "[1]", "[0,4]") "," ENTRY("b", "F32", "[1]", "[0,4]") "}",
     GPT2_ERR_FORMAT, "they overlap"},
    {"{" ENTRY("a", "F32", "[1]", "[0,4]") "," ENTRY("\\u0061", "F32", "[1]", "[4,8]") "}",
     GPT2_ERR_FORMAT, "tensor a appears twice"},
    {"{" ENTRY("a", "F32", "[2]", "[0,12]") "}", GPT2_ERR_FORMAT,
     "tensor a: data_offsets: found 0 to 12, wanted a range inside 0 to 8"},
    {"{" ENTRY("a", "F32", "[2]", "[8,0]") "}", GPT2_ERR_FORMAT, "found 8 to 0"},
    {"{" ENTRY("a", "F32", "[2]", "[0,8,8]") "}", GPT2_ERR_FORMAT, "found 3 integers, wanted 2"},
    {"{" ENTRY("a", "F32", "[2]", "[0]") "}", GPT2_ERR_FORMAT, "found 1 integers, wanted 2"},
    {"{" ENTRY("a", "F32", "[2]", "[0,8.0]") "}", GPT2_ERR_FORMAT, "data_offsets: found 8.0"},
    {"{" ENTRY("a", "F32", "[2]", "[0,18446744073709551624]") "}", GPT2_ERR_FORMAT,
     "data_offsets: found 18446744073709551624, wanted an integer"},
    {"{" ENTRY("a", "F32", "[2]", "8") "}", GPT2_ERR_FORMAT, "found 8, wanted an array"},
    {"{" ENTRY("a", "F32", "[3]", "[0,8]") "}", GPT2_ERR_FORMAT,
     "tensor a: data_offsets: found 8 bytes, wanted the 12 of its shape and dtype F32"},
    {"{" ENTRY("a", "F32", "[1]", "[0,8]") "}", GPT2_ERR_FORMAT, "wanted the 4 of"},
    {"{" ENTRY("a", "F64", "[2]", "[0,8]") "}", GPT2_ERR_FORMAT, "wanted the 16 of"},
    {"{" ENTRY("a", "F32", "[-2]", "[0,8]") "}", GPT2_ERR_FORMAT, "shape: found -2"},
    {"{" ENTRY("a", "F32", "[[2]]", "[0,8]") "}", GPT2_ERR_FORMAT, "shape: found an array"},
    {"{" ENTRY("a", "U8", "[1099511627776,1099511627776]", "[0,8]") "}", GPT2_ERR_FORMAT,
     "tensor a: shape: its product is above 2^63 - 1"},
    {"{" ENTRY("a", "F32", "[4611686018427387904]", "[0,8]") "}", GPT2_ERR_FORMAT, "2^63 - 1"},
    {"{" ENTRY("a", "F32", "[4294967296,4294967296,2]", "[0,8]") "}", GPT2_ERR_FORMAT, "2^63 - 1"},
    {"{" ENTRY("a", "F32", "[1,1,1,1,2]", "[0,8]") "}", GPT2_ERR_UNSUPPORTED,
     "tensor a: shape: found 5 dimensions, wanted at most 4"},
    {"{" ENTRY("a", "F4", "[16]", "[0,8]") "}", GPT2_ERR_UNSUPPORTED, "dtype: found \"F4\""},
    {"{" ENTRY("a", "F32\\u0000", "[2]", "[0,8]") "}", GPT2_ERR_UNSUPPORTED, "dtype: found"},
    {"{\"a\":{\"dtype\":4}}", GPT2_ERR_FORMAT, "dtype: found 4, wanted a string"},
    {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", GPT2_ERR_FORMAT, "tensor a: has no dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", GPT2_ERR_FORMAT, "has no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", GPT2_ERR_FORMAT, "has no data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", GPT2_ERR_FORMAT,
     "tensor a: dtype appears twice"},
    {"{\"a\":{\"data_offsets\":[0,8],\"data_offsets\":[0,8]}}", GPT2_ERR_FORMAT,
     "data_offsets appears twice"},
    {"{\"__metadata__\":{\"a\":1}}", GPT2_ERR_FORMAT, "__metadata__: a value: found 1"},
    {"{\"__metadata__\":[]}", GPT2_ERR_FORMAT, "__metadata__: the entry: found an array"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", GPT2_ERR_FORMAT, "appears twice"},
    {"{" ENTRY("a\\u0000", "F32", "[2]", "[0,8]") "}", GPT2_ERR_FORMAT, "wanted no NUL inside"},
    {"{" ENTRY("a\\ud800", "F32", "[2]", "[0,8]") "}", GPT2_ERR_FORMAT, "surrogate"},
    {"{" ENTRY("a\xff", "F32", "[2]", "[0,8]") "}", GPT2_ERR_FORMAT, "valid UTF-8"},
    {"{" ENTRY("a\\x", "F32", "[2]", "[0,8]") "}", GPT2_ERR_FORMAT, "escape"},
    {"{" ENTRY("123456" TEN(TEN("ab")) TEN("12345"), "F32", "[2]", "[0,8]") "}", GPT2_ERR_FORMAT,
     "wanted a shorter string"},
    {"{\"a\":{\"more\":" TEN(TEN("[")), GPT2_ERR_FORMAT, "nested deeper than 64"},
};

static void test_safetensors_refused(void **state)
{
    static const uint64_t lengths[] = {(uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7, 100000001};
    unsigned char *bytes;
    size_t n_bytes;

    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        bytes = safetensors(refused[i].header, strlen(refused[i].header), 8, &n_bytes);
        scratch_write(SCRATCH, bytes, n_bytes);
        free(bytes);
        check_refused(refused[i].status, refused[i].says, refused[i].header);
    }
    (void)unlink(SCRATCH);
    check_refused(GPT2_ERR_FILE, "cannot be opened", "absent");
    for (size_t i = 0; i < COUNT(lengths); i++) {
        bytes = safetensors("{}", 2, 0, &n_bytes);
        for (int j = 0; j < 8; j++)
            bytes[j] = (unsigned char)(lengths[i] >> 8 * j);
        scratch_write(SCRATCH, bytes, n_bytes);
        /* as large as the header claims, without its bytes */
        if (lengths[i] < UINT32_MAX)
            assert_int_equal(truncate(SCRATCH, (off_t)lengths[i] + 8), 0);
        free(bytes);
        check_refused(GPT2_ERR_FORMAT, "the length of the header is", "length");
    }
}

/*
 * The bad files that safetensors itself has, its tests of tensor.rs and of Python and its folder
 * attacks, by name, with the verdict that it gives: each is refused but those with GPT2_OK.
 */
static void test_safetensors_own(void **state)
{
    static const struct {
        const char *name, *header;
        uint64_t length; /* that the file says; 0: the header's */
        size_t n_data;
        int32_t status;
        const char *says;
    } own[] = {
        {"metadata_incomplete_buffer, more", "{" ENTRY("test", "I32", "[2,2]", "[0,16]") "}", 0, 49,
         GPT2_ERR_FORMAT, "the tensors end at byte"},
        {"metadata_incomplete_buffer, less", "{" ENTRY("test", "I32", "[2,2]", "[0,16]") "}", 0, 14,
         GPT2_ERR_FORMAT, "data_offsets: found 0 to 16, wanted a range inside 0 to 14"},
        {"header_too_large", "{" ENTRY("test", "I32", "[2,2]", "[0,16]") "}", 0xffffff000000003c,
         16, GPT2_ERR_FORMAT, "the length of the header is"},
        {"invalid_header_length", "", 60, 0, GPT2_ERR_FORMAT, "the length of the header is 60"},
        {"abuse_attempt_1", "{" ENTRY("weight", "F32", "[2,2]", "[0,16]") "}", 1000, 16,
         GPT2_ERR_FORMAT, "the length of the header is 1000"},
        {"truncated_header_is_rejected", "{\"weight\":{", 100, 0, GPT2_ERR_FORMAT,
         "the length of the header is 100"},
        {"invalid_header_non_utf8", "\xff", 0, 0, GPT2_ERR_FORMAT, "byte 0: "},
        {"invalid_header_not_json", "{", 0, 0, GPT2_ERR_FORMAT, "byte 1: "},
        {"whitespace_padded_header", "{}\r \t\n", 0, 0, GPT2_OK, ""},
        {"whitespace_leading_padded_header", "\t\n{}\r ", 0, 0, GPT2_OK, ""},
        {"zero_sized_tensor", "{" ENTRY("test", "I32", "[2,0]", "[0, 0]") "}", 0, 0, GPT2_OK, ""},
        {"invalid_info", "{" ENTRY("test", "I32", "[2,2]", "[0, 4]") "}", 0, 4, GPT2_ERR_FORMAT,
         "found 4 bytes, wanted the 16 of its shape"},
        {"validation_overflow, of the shape",
         "{" ENTRY("test", "I32", "[2,18446744073709551614]", "[0,16]") "}", 0, 16, GPT2_ERR_FORMAT,
         "tensor test: shape: "},
        {"validation_overflow, of the bytes",
         "{" ENTRY("test", "I32", "[2,9223372036854775807]", "[0,16]") "}", 0, 16, GPT2_ERR_FORMAT,
         "tensor test: shape: "},
        {"data_offset_overflow_is_rejected",
         "{" ENTRY("liar", "F32", "[1024,1024]", "[0,4194304]") "}", 0, 1, GPT2_ERR_FORMAT,
         "data_offsets: found 0 to 4194304, wanted a range inside 0 to 1"},
    };
    static struct gpt2i_tensors tensors;
    static char many[100000];
    unsigned char *bytes;
    size_t n_bytes, used = 1;

    (void)state;
    for (size_t i = 0; i < COUNT(own); i++) {
        bytes = safetensors(own[i].header, strlen(own[i].header), own[i].n_data, &n_bytes);
        for (int j = 0; j < 8 && own[i].length > 0; j++)
            bytes[j] = (unsigned char)(own[i].length >> 8 * j);
        scratch_write(SCRATCH, bytes, n_bytes);
        free(bytes);
        if (own[i].status != GPT2_OK) {
            check_refused(own[i].status, own[i].says, own[i].name);
            continue;
        }
        if (open_scratch(&tensors) != GPT2_OK)
            fail_msg("%s: %s", own[i].name, line);
        gpt2i_tensors_close(&tensors);
    }
    many[0] = '{'; /* abuse_attempt_2 and 3: many tensors of the same bytes */
    for (int i = 0; i < 1000; i++)
        used +=
            (size_t)snprintf(many + used, 100, "%s" ENTRY("weight_%d", "F32", "[2,2]", "[0,16]"),
                             i > 0 ? "," : "", i);
    many[used++] = '}';
    bytes = safetensors(many, used, 16, &n_bytes);
    scratch_write(SCRATCH, bytes, n_bytes);
    free(bytes);
    check_refused(GPT2_ERR_FORMAT, "they overlap", "abuse_attempt_2");
    scratch_write(SCRATCH, "", 0);
    check_refused(GPT2_ERR_FORMAT, "", "header_too_small");
}

/* Names of the greatest length, no tensors at all, and more tensors than are allowed. */
static void test_safetensors_limits(void **state)
{
    static struct gpt2i_tensors tensors;
    static const char longest[] = "12345" TEN(TEN("ab")) TEN("12345");
    static const char header[] =
        "{" ENTRY("12345" TEN(TEN("ab")) TEN("12345"), "F32", "[2]", "[0,8]") "}";
    unsigned char *bytes = safetensors(header, sizeof header - 1, 8, &(size_t){0});
    size_t n_bytes, used = 1;
    char *many = malloc(65537 * 64);

    (void)state;
    assert_int_equal(sizeof longest, GPT2I_TENSOR_NAME_BYTES);
    scratch_write(SCRATCH, bytes, 8 + sizeof header - 1 + 8);
    free(bytes);
    assert_int_equal(open_scratch(&tensors), GPT2_OK);
    assert_non_null(gpt2i_tensors_find(&tensors, longest));
    gpt2i_tensors_close(&tensors);

    bytes = safetensors("{}", 2, 0, &n_bytes);
    scratch_write(SCRATCH, bytes, n_bytes);
    free(bytes);
    assert_int_equal(open_scratch(&tensors), GPT2_OK);
    assert_int_equal(tensors.n_tensors, 0);
    assert_null(gpt2i_tensors_find(&tensors, "a"));
    gpt2i_tensors_close(&tensors);

    assert_non_null(many);
    many[0] = '{';
    for (int i = 0; i <= 65536; i++) {
        unsigned scattered = (unsigned)i * 40503u % 65537u; /* prime: every number once */

        used += (size_t)snprintf(many + used, 64, "%s" ENTRY("%u", "U8", "[]", "[%d,%d]"),
                                 i > 0 ? "," : "", scattered, i, i + 1);
        if (i < 65535)
            continue;
        many[used] = '}';
        bytes = safetensors(many, used + 1, (size_t)i + 1, &n_bytes);
        scratch_write(SCRATCH, bytes, n_bytes);
        free(bytes);
        if (i == 65536) {
            bound_exception = "65537 tensors in a header of 4 MB";
            check_refused(GPT2_ERR_FORMAT, "has more than 65536 tensors", "many");
            continue;
        }
        assert_int_equal(open_scratch(&tensors), GPT2_OK);
        assert_int_equal(tensors.n_tensors, 65536);
        for (size_t j = 1; j < tensors.n_tensors; j++)
            assert_true(strcmp(tensors.items[j - 1].name, tensors.items[j].name) < 0);
        assert_int_equal(gpt2i_tensors_find(&tensors, "40503")->offset, 8 + used + 1 + 1);
        gpt2i_tensors_close(&tensors);
    }
    free(many);
}

/* What other formats allow: gaps, such as padding for alignment; never an overlap. */
static void test_ranges(void **state)
{
    static const struct {
        uint64_t offset[2], n_bytes[2];
        int32_t with_gaps, without;
        const char *says;
    } cases[] = {
        {{10, 20}, {10, 80}, GPT2_OK, GPT2_OK, ""},
        {{20, 10}, {80, 10}, GPT2_OK, GPT2_OK, ""},
        {{10, 10}, {90, 0}, GPT2_OK, GPT2_OK, ""},
        {{12, 40}, {10, 60}, GPT2_OK, GPT2_ERR_FORMAT, "tensor a begins at byte 12, wanted 10"},
        {{10, 40}, {20, 60}, GPT2_OK, GPT2_ERR_FORMAT, "tensor b begins at byte 40, wanted 30"},
        {{10, 20}, {10, 79}, GPT2_OK, GPT2_ERR_FORMAT, "end at byte 99, but the file has 100"},
        {{9, 20}, {11, 80}, GPT2_ERR_FORMAT, GPT2_ERR_FORMAT, "where the data begin: they overlap"},
        {{10, 19}, {10, 81}, GPT2_ERR_FORMAT, GPT2_ERR_FORMAT, "before ends: a: they overlap"},
        {{10, 20},
         {10, 81},
         GPT2_ERR_FORMAT,
         GPT2_ERR_FORMAT,
         "tensor b has 81 bytes from byte 20"},
        {{10, 101}, {91, 0}, GPT2_ERR_FORMAT, GPT2_ERR_FORMAT, "but the file has 100 bytes"},
        {{10, 20}, {10, UINT64_MAX - 4}, GPT2_ERR_FORMAT, GPT2_ERR_FORMAT, "from byte 20"},
        {{10, UINT64_MAX}, {90, 2}, GPT2_ERR_FORMAT, GPT2_ERR_FORMAT, "tensor b"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (int gaps = 0; gaps < 2; gaps++) {
            struct gpt2i_tensor items[2] = {
                {.name = "a", .offset = cases[i].offset[0], .n_bytes = cases[i].n_bytes[0]},
                {.name = "b", .offset = cases[i].offset[1], .n_bytes = cases[i].n_bytes[1]},
            };
            static union {
                struct gpt2i_source open;
                char room[sizeof(struct gpt2i_source) + 8]; /* for its path */
            } source = {.open = {.size_bytes = 100}};
            static struct gpt2i_tensors tensors;

            tensors.n_tensors = 2;
            tensors.items = items;
            tensors.source = &source.open;
            line[0] = '\0';
            assert_int_equal(gpt2i_tensors_check_ranges(&tensors, 10, gaps == 1, &error),
                             gaps == 1 ? cases[i].with_gaps : cases[i].without);
            if (line[0] != '\0')
                assert_non_null(strstr(line, cases[i].says));
        }
    }
}

/* Damaged at random: refused, or still a list of tensors inside the file; never anything left. */
static void test_safetensors_damaged(void **state)
{
    static struct gpt2i_tensors tensors;
    uint32_t random = 1;
    size_t n_bytes;
    unsigned char *bytes = safetensors(valid, sizeof valid - 1, VALID_DATA, &n_bytes);
    unsigned char *damaged = malloc(n_bytes);

    (void)state;
    assert_non_null(damaged);
    for (int i = 0; i < 5000; i++) {
        struct footprint before;

        memcpy(damaged, bytes, n_bytes);
        for (int j = 0; j <= i % 3; j++) {
            random = random * 1664525 + 1013904223;
            damaged[(random >> 8) % (n_bytes - VALID_DATA)] =
                i % 2 == 0 ? (unsigned char)(random >> 24) : (unsigned char)valid[random >> 26];
        }
        scratch_write(SCRATCH, damaged, n_bytes);
        before = footprint_now();
        if (open_scratch(&tensors) == GPT2_OK) {
            for (size_t j = 0; j < tensors.n_tensors; j++)
                assert_true(tensors.items[j].offset + tensors.items[j].n_bytes <= n_bytes);
            gpt2i_tensors_close(&tensors);
        } else {
            assert_true(line[0] != '\0');
        }
        check_unchanged(before, "damaged");
    }
    free(damaged);
    free(bytes);
}

/* A file of the test material; ends the test as skipped where that is absent. */
static const char *shared(const char *name)
{
    static char path[PATH_BYTES];
    const char *directory = getenv("GPT2_SHARED");

    snprintf(path, sizeof path, "%s/%s", directory != NULL ? directory : "../shared", name);
    if (gpt2i_os_kind_of(path) == GPT2I_OS_NOTHING)
        skip();
    return path;
}

static void test_safetensors_real(void **state)
{
    static const struct {
        const char *path;
        size_t n_tensors;
        const char *name;
        int32_t type;
        uint64_t dims[2];
    } files[] = {
        {"models/gpt-by-hand/model.safetensors",
         0,
         "transformer.wte.weight",
         GPT2_TYPE_F32,
         {32, 16}},
        {"models/nano-sort/model.safetensors", 0, "lm_head.weight", GPT2_TYPE_F32, {3, 48}},
        {"models/novels/model.safetensors", 52, "h.3.mlp.c_fc.weight", GPT2_TYPE_F16, {256, 1024}},
        {"models/slm4096/model.safetensors", 0, "transformer.wpe.weight", GPT2_TYPE_F32, {128, 64}},
        {"models/tiny-random-gpt2/model.safetensors",
         0,
         "transformer.h.4.attn.c_attn.weight",
         GPT2_TYPE_F32,
         {32, 96}},
    };
    static struct gpt2i_tensors tensors;

    (void)state;
    for (size_t i = 0; i < COUNT(files); i++) {
        const struct gpt2i_tensor *tensor;
        struct path split;

        path_split(&split, shared(files[i].path));
        if (gpt2i_safetensors_open(&tensors, &split.files, split.name, &error) != GPT2_OK)
            fail_msg("%s", line);
        tensor = gpt2i_tensors_find(&tensors, files[i].name);
        assert_non_null(tensor);
        assert_int_equal(tensor->type, files[i].type);
        assert_int_equal(tensor->n_dims, 2);
        assert_memory_equal(tensor->dims, files[i].dims, sizeof files[i].dims);
        if (files[i].n_tensors > 0)
            assert_int_equal(tensors.n_tensors, files[i].n_tensors);
        gpt2i_tensors_close(&tensors);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_safetensors_valid),
        cmocka_unit_test(test_safetensors_white_space),
        cmocka_unit_test(test_safetensors_cut),
        cmocka_unit_test(test_safetensors_refused),
        cmocka_unit_test(test_safetensors_own),
        cmocka_unit_test(test_safetensors_limits),
        cmocka_unit_test(test_safetensors_damaged),
        cmocka_unit_test(test_safetensors_real),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("formats", tests, scratch_set_up, remove_scratch);
}
