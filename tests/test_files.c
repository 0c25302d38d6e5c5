/*
 * test_files.c: sources: files read by offset and as a whole; absent, cut short, too large, no file at
 * all; blocks of memory and callbacks.
 */
#if !defined(_XOPEN_SOURCE)
#define _XOPEN_SOURCE 700 /* posix_openpt */
#endif

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/source.h"
#include "scratch.h"

#define NAME    "files-scratch"
#define SCRATCH SCRATCH_DIRECTORY "/" NAME

static const struct gpt2i_files scratch = {.directory = SCRATCH_DIRECTORY};
static char line[1024];
static struct gpt2i_error error = {line, sizeof line};

static int remove_scratch(void **state)
{
    (void)state;
    (void)unlink(SCRATCH);
    return 0;
}

static int32_t open_source(struct gpt2i_source **source, const char *name)
{
    *source = (struct gpt2i_source *)&scratch; /* must become NULL or the source */
    return gpt2i_source_open(source, &scratch, name, &error);
}

static bool exists(const struct gpt2i_files *files, const char *name)
{
    bool there;

    assert_int_equal(gpt2i_source_exists(files, name, &there, &error), GPT2_OK);
    return there;
}

static void test_files(void **state)
{
    const struct gpt2i_files with_slash = {.directory = SCRATCH_DIRECTORY "/"};
    struct gpt2i_source *source;
    struct gpt2i_text text;
    char bytes[8];
    static char long_name[5000];

    (void)state;
    assert_int_equal(open_source(&source, "none"), GPT2_ERR_FILE);
    assert_null(source);
    assert_string_equal(line, SCRATCH_DIRECTORY "/none: cannot be opened: there is no such file");
    assert_int_equal(open_source(&source, "."), GPT2_ERR_FILE);
    assert_string_equal(line, SCRATCH_DIRECTORY "/.: is not a regular file");
    memset(long_name, 'a', sizeof long_name - 1);
    assert_int_equal(open_source(&source, long_name), GPT2_ERR_FILE);
    assert_null(source);

    scratch_write(SCRATCH, "01234567", 8);
    assert_true(exists(&scratch, NAME));
    assert_false(exists(&scratch, "none"));
    assert_int_equal(gpt2i_source_open(&source, &with_slash, NAME, &error), GPT2_OK);
    assert_string_equal(source->path, SCRATCH);
    gpt2i_source_close(source);
    assert_int_equal(open_source(&source, NAME), GPT2_OK);
    assert_int_equal(source->size_bytes, 8);
    assert_int_equal(gpt2i_source_read(source, 2, bytes, 6, &error), GPT2_OK);
    assert_memory_equal(bytes, "234567", 6);
    assert_int_equal(gpt2i_source_read(source, 8, bytes, 0, &error), GPT2_OK);
    assert_int_equal(gpt2i_source_read(source, 4, bytes, 6, &error), GPT2_ERR_FILE);
    assert_string_equal(line, SCRATCH ": ends at byte 8, 2 bytes too early");
    assert_int_equal(truncate(SCRATCH, 4), 0); /* by someone else, while it is open */
    assert_int_equal(gpt2i_source_read(source, 0, bytes, 8, &error), GPT2_ERR_FILE);
    gpt2i_source_close(source);

    assert_int_equal(gpt2i_text_read(&text, &scratch, ".", 100, &error), GPT2_ERR_FILE);
    assert_null(text.text);
    assert_int_equal(gpt2i_text_read(&text, &scratch, NAME, 3, &error), GPT2_ERR_FORMAT);
    assert_string_equal(line, SCRATCH ": has 4 bytes, more than the 3 allowed");
    assert_null(text.text);
    assert_int_equal(gpt2i_text_read(&text, &scratch, NAME, 4, &error), GPT2_OK);
    assert_int_equal(text.n_bytes, 4);
    assert_string_equal(text.text, "0123");
    gpt2i_text_free(&text);
    scratch_write(SCRATCH, "", 0);
    assert_int_equal(gpt2i_text_read(&text, &scratch, NAME, 4, &error), GPT2_OK);
    assert_string_equal(text.text, "");
    gpt2i_text_free(&text);
}

/* Neither a success nor a failure keeps a descriptor. */
static void test_descriptors(void **state)
{
    struct gpt2i_source *source;
    struct gpt2i_text text;
    int before = dup(0), after;

    (void)state;
    close(before);
    scratch_write(SCRATCH, "0123", 4);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(open_source(&source, "."), GPT2_ERR_FILE);
        assert_int_equal(gpt2i_text_read(&text, &scratch, NAME, 3, &error), GPT2_ERR_FORMAT);
        assert_int_equal(gpt2i_text_read(&text, &scratch, NAME, 4, &error), GPT2_OK);
        gpt2i_text_free(&text);
    }
    after = dup(0);
    close(after);
    assert_int_equal(after, before);
}

/* A named pipe without a writer must not hang whoever opens it. */
static void test_pipe(void **state)
{
    struct gpt2i_source *source;

    (void)state;
    (void)unlink(SCRATCH);
    assert_int_equal(mkfifo(SCRATCH, 0666), 0);
    assert_int_equal(open_source(&source, NAME), GPT2_ERR_FILE);
    assert_string_equal(line, SCRATCH ": is not a regular file");
    (void)unlink(SCRATCH);
}

/* Opening a link to a terminal must not make it the process's own.  In the child: 0 if it did not. */
static int open_terminal(void)
{
    struct gpt2i_source *source;
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    const char *name;

    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0 || setsid() < 0)
        return 77;
    name = ptsname(terminal);
    if (name == NULL || symlink(name, SCRATCH) != 0)
        return 77;
    if (open_source(&source, NAME) != GPT2_ERR_FILE)
        return 1;
    return open("/dev/tty", O_RDWR) >= 0 ? 2 : 0;
}

static void test_terminal(void **state)
{
    pid_t child;
    int status;

    (void)state;
    (void)unlink(SCRATCH);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(open_terminal());
    assert_int_equal(waitpid(child, &status, 0), child);
    (void)unlink(SCRATCH);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ------------------------------------------------------------------------------ lists of sources -- */

struct reader {
    const char *bytes;
    size_t n_bytes;
    size_t max_bytes; /* of one call */
    size_t n_calls;
    size_t fails_at; /* from 1 */
    bool claims_too_much;
};

static int32_t read_bytes(void *user, uint64_t offset, void *bytes, size_t capacity, size_t *n_read)
{
    struct reader *reader = user;
    size_t left = offset < reader->n_bytes ? reader->n_bytes - (size_t)offset : 0;
    size_t n = capacity < reader->max_bytes ? capacity : reader->max_bytes;

    if (++reader->n_calls == reader->fails_at)
        return 5;
    n = n < left ? n : left;
    memcpy(bytes, reader->bytes + (n == 0 ? 0 : offset), n);
    *n_read = reader->claims_too_much ? capacity + 1 : n;
    return 0;
}

static void test_list(void **state)
{
    struct reader reader = {.bytes = "01234567", .n_bytes = 8, .max_bytes = 3};
    const gpt2_source list[] = {
        {.name = "a", .bytes = "abc", .n_bytes = 3},
        {.name = "b", .n_bytes = 8, .read = read_bytes, .user = &reader},
    };
    const struct gpt2i_files files = {.list = list, .n_list = 2};
    struct gpt2i_source *source;
    struct gpt2i_text text;
    char bytes[16];

    (void)state;
    assert_true(exists(&files, "a"));
    assert_false(exists(&files, "c"));
    assert_int_equal(gpt2i_source_open(&source, &files, "c", &error), GPT2_ERR_FILE);
    assert_string_equal(line, "c: is not among the sources");
    assert_int_equal(gpt2i_source_open(&source, &files, "a", &error), GPT2_OK);
    assert_int_equal(gpt2i_source_read(source, 1, bytes, 2, &error), GPT2_OK);
    assert_memory_equal(bytes, "bc", 2);
    assert_int_equal(gpt2i_source_read(source, 1, bytes, 3, &error), GPT2_ERR_FILE);
    assert_string_equal(line, "a: ends at byte 3, 1 bytes too early");
    gpt2i_source_close(source);

    assert_int_equal(gpt2i_text_read(&text, &files, "b", 100, &error), GPT2_OK);
    assert_string_equal(text.text, "01234567");
    assert_int_equal(reader.n_calls, 3);
    gpt2i_text_free(&text);
    reader.fails_at = 5;
    assert_int_equal(gpt2i_text_read(&text, &files, "b", 100, &error), GPT2_ERR_FILE);
    assert_string_equal(line, "b: cannot be read at byte 3");
    reader.fails_at = 0;
    reader.n_bytes = 7;
    assert_int_equal(gpt2i_text_read(&text, &files, "b", 100, &error), GPT2_ERR_FILE);
    assert_string_equal(line, "b: ends at byte 7, 1 bytes too early");
    reader.claims_too_much = true;
    assert_int_equal(gpt2i_text_read(&text, &files, "b", 100, &error), GPT2_ERR_FILE);
    assert_string_equal(line, "b: cannot be read at byte 0");
}

/* -------------------------------------------------------------------------------------- lines -- */

/* One line for every reader, whole characters. */
static void test_lines(void **state)
{
    static const char *const cases[][2] = {
        {"a\nb\rc\td\x1b[1m\x7f", "a?b?c?d?[1m?"},
        {"a\xc2\x85z", "a?z"},                          /* U+0085, next line */
        {"a\xc2\x80\xc2\x9f\xc2\xa0z", "a??\xc2\xa0z"}, /* C1 controls, and a space that is none */
        {"a\xe2\x80\xa8z\xe2\x80\xa9", "a?z?"},         /* separators of lines and paragraphs */
        {"\xe2\x80\xa7\xe2\x80\xaa", "\xe2\x80\xa7\xe2\x80\xaa"},
        {"a\xc2", "a?"}, /* no UTF-8: a byte that is C1 for some readers must not pass */
        {"\xe2\x80", "??"},
        {"\x9b[31m", "?[31m"},
        {"\xed\xa0\x80\xc0\x80\xf4\x90\x80\x80z", "?????????z"},
    };
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"; /* 1, 2, 3, 4, 1 bytes */
    static const size_t wholes[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
    char small[16];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(gpt2i_fail(&error, GPT2_ERR_FILE, "%s", cases[i][0]), GPT2_ERR_FILE);
        assert_string_equal(line, cases[i][1]);
    }
    for (size_t n = 0; n < sizeof wholes / sizeof wholes[0]; n++) {
        struct gpt2i_error cut = {small, n + 1};

        (void)gpt2i_fail(&cut, GPT2_ERR_FILE, "%s", text);
        assert_int_equal(strlen(small), wholes[n]);
        assert_memory_equal(small, text, wholes[n]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files), cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_pipe),  cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_list),  cmocka_unit_test(test_lines),
    };

    return cmocka_run_group_tests_name("files", tests, scratch_set_up, remove_scratch);
}
