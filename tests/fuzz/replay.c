/*
 * replay.c: the main function of a fuzz target where there is no libFuzzer: runs the target once on
 * each file named, or on each file of each folder named.
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

static size_t n_runs;

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat info;
    uint8_t *bytes;

    (void)printf("%s\n", path); /* the last line names the culprit */
    (void)fflush(stdout);
    CHECK(file != NULL && fstat(fileno(file), &info) == 0);
    bytes = take_bytes((size_t)info.st_size);
    CHECK(fread(bytes, 1, (size_t)info.st_size, file) == (size_t)info.st_size);
    (void)fclose(file);
    (void)LLVMFuzzerTestOneInput(bytes, (size_t)info.st_size);
    free(bytes);
    n_runs++;
}

static void run_folder(const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);

    CHECK(n >= 0);
    for (int i = 0; i < n; i++) {
        char inside[4096];

        (void)snprintf(inside, sizeof inside, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            run_file(inside);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct stat info;

        CHECK(stat(argv[i], &info) == 0);
        if (S_ISDIR(info.st_mode))
            run_folder(argv[i]);
        else
            run_file(argv[i]);
    }
    return n_runs > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
