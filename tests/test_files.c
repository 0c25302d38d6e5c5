/*
 * test_files.c: reading files by offset and as a whole; absent, cut short, too large, no file at all.
 */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "scratch.h"

#define SCRATCH SCRATCH_DIRECTORY "/files-scratch"

static char line[1024];
static struct gpt2i_error error = {line, sizeof line};

static int remove_scratch(void **state)
{
    (void)state;
    (void)unlink(SCRATCH);
    return 0;
}

static void test_files(void **state)
{
    struct gpt2i_file file;
    struct gpt2i_text_file text;
    char bytes[8], path[GPT2I_PATH_BYTES], long_path[GPT2I_PATH_BYTES + 1];

    (void)state;
    assert_int_equal(gpt2i_file_open(&file, SCRATCH_DIRECTORY "/none", &error), GPT2_ERR_FILE);
    assert_non_null(strstr(line, "none: cannot be opened"));
    assert_int_equal(gpt2i_file_open(&file, SCRATCH_DIRECTORY, &error), GPT2_ERR_FILE);
    assert_string_equal(line, SCRATCH_DIRECTORY ": is not a regular file");
    memset(long_path, 'a', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(gpt2i_file_open(&file, long_path, &error), GPT2_ERR_FILE);
    assert_string_equal(line, "path is longer than 4095 bytes");
    assert_int_equal(gpt2i_path_join(path, SCRATCH_DIRECTORY, long_path, &error), GPT2_ERR_FILE);
    assert_int_equal(gpt2i_path_join(path, SCRATCH_DIRECTORY "/", "x", &error), GPT2_OK);
    assert_string_equal(path, SCRATCH_DIRECTORY "/x");

    scratch_write(SCRATCH, "01234567", 8);
    assert_true(gpt2i_file_exists(SCRATCH));
    assert_false(gpt2i_file_exists(SCRATCH_DIRECTORY "/none"));
    assert_int_equal(gpt2i_file_open(&file, SCRATCH, &error), GPT2_OK);
    assert_int_equal(file.size_bytes, 8);
    assert_int_equal(gpt2i_file_read(&file, 2, bytes, 6, &error), GPT2_OK);
    assert_memory_equal(bytes, "234567", 6);
    assert_int_equal(gpt2i_file_read(&file, 8, bytes, 0, &error), GPT2_OK);
    assert_int_equal(gpt2i_file_read(&file, 4, bytes, 6, &error), GPT2_ERR_FILE);
    assert_string_equal(line, SCRATCH ": ends at byte 8, 2 early");
    assert_int_equal(truncate(SCRATCH, 4), 0); /* by someone else, while it is open */
    assert_int_equal(gpt2i_file_read(&file, 0, bytes, 8, &error), GPT2_ERR_FILE);
    gpt2i_file_close(&file);

    assert_int_equal(gpt2i_text_file_read(&text, SCRATCH_DIRECTORY, 100, &error), GPT2_ERR_FILE);
    assert_null(text.text);
    assert_int_equal(gpt2i_text_file_read(&text, SCRATCH, 3, &error), GPT2_ERR_FORMAT);
    assert_string_equal(line, SCRATCH ": has 4 bytes, more than the 3 allowed");
    assert_null(text.text);
    assert_int_equal(gpt2i_text_file_read(&text, SCRATCH, 4, &error), GPT2_OK);
    assert_int_equal(text.file_bytes, 4);
    assert_string_equal(text.text, "0123");
    gpt2i_text_file_free(&text);
    scratch_write(SCRATCH, "", 0);
    assert_int_equal(gpt2i_text_file_read(&text, SCRATCH, 4, &error), GPT2_OK);
    assert_string_equal(text.text, "");
    gpt2i_text_file_free(&text);
}

/* Neither a success nor a failure keeps a descriptor. */
static void test_descriptors(void **state)
{
    struct gpt2i_text_file text;
    struct gpt2i_file file;
    int before = dup(0), after;

    (void)state;
    close(before);
    scratch_write(SCRATCH, "0123", 4);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(gpt2i_file_open(&file, SCRATCH_DIRECTORY, &error), GPT2_ERR_FILE);
        assert_int_equal(gpt2i_text_file_read(&text, SCRATCH, 3, &error), GPT2_ERR_FORMAT);
        assert_int_equal(gpt2i_text_file_read(&text, SCRATCH, 4, &error), GPT2_OK);
        gpt2i_text_file_free(&text);
    }
    after = dup(0);
    close(after);
    assert_int_equal(after, before);
}

/* A named pipe without a writer must not hang whoever opens it. */
static void test_pipe(void **state)
{
    struct gpt2i_file file;

    (void)state;
    (void)unlink(SCRATCH);
    assert_int_equal(mkfifo(SCRATCH, 0666), 0);
    assert_int_equal(gpt2i_file_open(&file, SCRATCH, &error), GPT2_ERR_FILE);
    assert_string_equal(line, SCRATCH ": is not a regular file");
    (void)unlink(SCRATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_pipe),
    };

    return cmocka_run_group_tests_name("files", tests, scratch_set_up, remove_scratch);
}
