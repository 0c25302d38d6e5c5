/*
 * test_zip.c: zip files that deceive: one number changed in the end, the directory or a local header.
 *
 * The published tricks are here by their change: bombs (compressed entries, entries that share bytes),
 * paths out of the folder, another file for readers of the local headers, encryption, several disks,
 * bytes before and behind the file.
 *
 * WRAP := mmap mmap64 munmap
 */
#include "bounds.h"
#include "pytorch_file.h"

#define END   0x06054b50
#define ENTRY 0x02014b50 /* of the directory */
#define LOCAL 0x04034b50

static struct bytes pickle, file;
static char line[512];
static struct gpt2i_error error = {line, sizeof line};

/* Two entries, a/data.pkl and a/data/0, and a/byteorder. */
static void make(void)
{
    static const float values[2] = {1, 2};
    static const struct pytorch_storage storage = {"0", "FloatStorage", 2, values, sizeof values};
    static const uint64_t dims[] = {2};

    pickle.n = 0;
    ADD(&pickle, "\x80\2}");
    bytes_add_text(&pickle, "x");
    pytorch_add_tensor(&pickle, &storage, false, 0, dims, 1);
    ADD(&pickle, "s.");
    pytorch_wrap(&file, &pickle, &storage, 1, false);
}

static uint64_t number(size_t at, size_t n)
{
    uint64_t found = 0;

    for (size_t i = n; i-- > 0;)
        found = found << 8 | file.at[at + i];
    return found;
}

/* Where the header of a kind begins, the i-th from 0. */
static size_t find(uint32_t signature, int i)
{
    for (size_t at = 0; at + 4 <= file.n; at++) {
        if (number(at, 4) == signature && i-- == 0)
            return at;
    }
    fail_msg("no header %08x", (unsigned)signature);
    return 0;
}

static int32_t open_file(void)
{
    gpt2_source source = {"pytorch_model.bin", file.at, file.n, NULL, NULL};
    const struct gpt2i_files files = {.list = &source, .n_list = 1};
    struct gpt2i_tensors tensors;
    int32_t status;

    line[0] = '\0';
    status = BOUNDED(gpt2i_pytorch_open(&tensors, &files, "pytorch_model.bin", &error));
    gpt2i_tensors_close(&tensors);
    return status;
}

static void check_refused(size_t i, int32_t status, const char *says)
{
    int32_t found = open_file();

    if (found != status || strstr(line, says) == NULL)
        fail_msg("%zu: status %d, \"%s\", wanted \"%s\"", i, (int)found, line, says);
}

/* A number of n bytes at 'at' of the i-th header of a kind. */
static const struct {
    uint32_t header;
    int i;
    size_t at;
    uint64_t number;
    size_t n;
    int32_t status;
    const char *says;
} changes[] = {
    {END, 0, 4, 1, 2, GPT2_ERR_UNSUPPORTED, "is on several disks"},
    {END, 0, 6, 1, 2, GPT2_ERR_UNSUPPORTED, "is on several disks"},
    {END, 0, 8, 2, 2, GPT2_ERR_UNSUPPORTED, "is on several disks"},
    {END, 0, 8, 0x00020002, 4, GPT2_ERR_FORMAT, "has more entries than its end says"},
    {END, 0, 8, 0x00040004, 4, GPT2_ERR_FORMAT, "has fewer entries than its end says"},
    {END, 0, 8, 0xffffffff, 4, GPT2_ERR_FORMAT, "wanted at most 8192"},
    {END, 0, 12, 0, 4, GPT2_ERR_FORMAT, "does not reach from its offset to the end"},
    {END, 0, 12, 0xffffffff, 4, GPT2_ERR_FORMAT, "does not reach from its offset to the end"},
    {END, 0, 16, 0, 4, GPT2_ERR_FORMAT, "does not reach from its offset to the end"},
    {END, 0, 16, 0xffffffff, 4, GPT2_ERR_FORMAT, "does not reach from its offset to the end"},
    {END, 0, 20, 1, 2, GPT2_ERR_FORMAT, "no end of a directory"},
    {ENTRY, 1, 8, 1, 2, GPT2_ERR_UNSUPPORTED, "entry a/data/0: is encrypted"},
    {ENTRY, 1, 10, 8, 2, GPT2_ERR_UNSUPPORTED, "entry a/data/0: is compressed"},
    {ENTRY, 1, 20, 7, 4, GPT2_ERR_FORMAT, "entry a/data/0: its two sizes differ"},
    {ENTRY, 1, 20, 0x0000000700000007, 8, GPT2_ERR_FORMAT, "its local header is not"},
    {ENTRY, 1, 20, 0xfffffffeffffffff, 8, GPT2_ERR_FORMAT, "its extra fields are damaged"},
    {ENTRY, 1, 20, 0xfffffffefffffffe, 8, GPT2_ERR_FORMAT, "its local header is not"},
    {ENTRY, 1, 28, 0, 2, GPT2_ERR_FORMAT, "the name is no plain path"},
    {ENTRY, 1, 28, 0xffff, 2, GPT2_ERR_FORMAT, "an entry is longer than the directory"},
    {ENTRY, 2, 30, 0xffff, 2, GPT2_ERR_FORMAT, "an entry is longer than the directory"},
    {ENTRY, 2, 32, 1, 2, GPT2_ERR_FORMAT, "an entry is longer than the directory"},
    {ENTRY, 1, 34, 1, 2, GPT2_ERR_UNSUPPORTED, "entry a/data/0: is on another disk"},
    {ENTRY, 1, 42, 0, 4, GPT2_ERR_FORMAT, "entry a/data/0: its local header is not"},
    {ENTRY, 1, 42, 0xfffffffe, 4, GPT2_ERR_FORMAT, "entry a/data/0: begins behind the directory"},
    {ENTRY, 1, 42, 0xffffffff, 4, GPT2_ERR_FORMAT, "its extra fields are damaged"},
    {ENTRY, 1, 46, '/', 1, GPT2_ERR_FORMAT, "the name is no plain path"},
    {ENTRY, 1, 47, '\\', 1, GPT2_ERR_FORMAT, "the name is no plain path"},
    {ENTRY, 1, 47, ':', 1, GPT2_ERR_FORMAT, "the name is no plain path"},
    {ENTRY, 1, 47, '\n', 1, GPT2_ERR_FORMAT, "the name is no plain path"},
    {ENTRY, 1, 46, 0x2e2e, 2, GPT2_ERR_FORMAT, "the name is no plain path"},
    {LOCAL, 1, 0, 0, 4, GPT2_ERR_FORMAT, "its local header is not"},
    {LOCAL, 1, 6, 1, 2, GPT2_ERR_FORMAT, "its local header is not"},
    {LOCAL, 1, 8, 8, 2, GPT2_ERR_FORMAT, "its local header is not"},
    {LOCAL, 1, 18, 7, 4, GPT2_ERR_FORMAT, "its local header is not"},
    {LOCAL, 1, 26, 7, 2, GPT2_ERR_FORMAT, "its local header is not"},
    {LOCAL, 1, 28, 0xffff, 2, GPT2_ERR_FORMAT, "ends behind the directory's begin"},
    {LOCAL, 1, 30, 'b', 1, GPT2_ERR_FORMAT, "its local header is not"},
};

static void test_changes(void **state)
{
    (void)state;
    make();
    assert_int_equal(open_file(), GPT2_OK);
    for (size_t i = 0; i < COUNT(changes); i++) {
        size_t at;

        make();
        at = find(changes[i].header, changes[i].i) + changes[i].at;
        for (size_t j = 0; j < changes[i].n; j++)
            file.at[at + j] = (unsigned char)(changes[i].number >> 8 * j);
        check_refused(i, changes[i].status, changes[i].says);
    }
}

/* Both headers of an entry changed alike. */
static void test_both_headers(void **state)
{
    size_t local, entry;

    (void)state;
    make(); /* out of the folder */
    file.at[find(LOCAL, 1) + 30] = 'b';
    file.at[find(ENTRY, 1) + 46] = 'b';
    check_refused(0, GPT2_ERR_FORMAT, "the entries are in several folders");
    make(); /* one byte longer: into the next header */
    local = find(LOCAL, 1) + 18;
    entry = find(ENTRY, 1) + 20;
    for (size_t i = 0; i < 8; i += 4) {
        file.at[local + i]++;
        file.at[entry + i]++;
    }
    check_refused(1, GPT2_ERR_FORMAT, "they overlap");
    make(); /* the directory has an entry twice */
    entry = find(ENTRY, 1);
    memcpy(pickle.at, file.at + entry, find(ENTRY, 2) - entry);
    pickle.n = find(ENTRY, 2) - entry;
    memmove(file.at + entry + pickle.n, file.at + entry, file.n - entry);
    memcpy(file.at + entry, pickle.at, pickle.n);
    file.n += pickle.n;
    for (size_t i = 8; i < 12; i += 2)
        file.at[find(END, 0) + i]++;
    file.at[find(END, 0) + 12] = (unsigned char)(file.at[find(END, 0) + 12] + pickle.n);
    check_refused(2, GPT2_ERR_FORMAT, "they overlap");
}

/* Bytes before the first entry belong to none; behind the end nothing may come. */
static void test_more_bytes(void **state)
{
    (void)state;
    make();
    memmove(file.at + 1, file.at, file.n++);
    file.at[0] = 'P';
    check_refused(0, GPT2_ERR_FORMAT, "begins neither as a zip file");
    make();
    ADD(&file, "\0");
    check_refused(1, GPT2_ERR_FORMAT, "no end of a directory");
    make();
    file.n = 21;
    check_refused(2, GPT2_ERR_FORMAT, "is too short to have an end");
    memcpy(file.at, "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22);
    file.n = 22;
    check_refused(3, GPT2_ERR_FORMAT, "wanted a folder with data.pkl in it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_both_headers),
        cmocka_unit_test(test_more_bytes),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("zip", tests, NULL, NULL);
}
