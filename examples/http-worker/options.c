/*
 * options.c: the command line of the worker.  A table has the numbers; the help is printed from it.
 */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gpt2.h>

static const struct number {
    const char *name;
    size_t offset;
    int preset, min, max;
    const char *help;
} numbers[] = {
    {"--port", offsetof(struct options, port), 8080, 0, 65535, "TCP port; 0: any free one"},
    {"--threads", offsetof(struct options, n_threads), 0, 0, 256,
     "threads that compute; 0: one per CPU"},
    {"--texts", offsetof(struct options, n_texts), 16, 1, 1024, "texts that run at the same time"},
    {"--kv-pages", offsetof(struct options, n_pages), 0, 0, 1 << 24,
     "pages of the KV cache, each 64 tokens; 0: enough for all texts"},
    {"--chunk", offsetof(struct options, chunk_tokens), 32, 1, 65536,
     "prompt tokens that run in one step beside other texts"},
    {"--queue", offsetof(struct options, n_waiting), 64, 1, 65536, "texts that may wait"},
    {"--max-body", offsetof(struct options, max_body_bytes), 1 << 20, 64, 1 << 30,
     "bytes of a request's body"},
    {"--max-prompt", offsetof(struct options, max_prompt_tokens), 0, 0, 1 << 24,
     "tokens of one prompt; 0: the context"},
    {"--max-tokens", offsetof(struct options, max_tokens), 0, 0, 1 << 24,
     "tokens that a request may ask for; 0: the context"},
    {"--max-n", offsetof(struct options, max_choices), 16, 1, 1024,
     "texts that a request may ask for from one prompt"},
    {"--connections", offsetof(struct options, max_connections), 512, 1, 65536,
     "clients at the same time"},
    {"--read-seconds", offsetof(struct options, read_seconds), 10, 1, 86400,
     "for a client to send a whole request, or to read what it gets"},
    {"--text-seconds", offsetof(struct options, text_seconds), 300, 1, 86400,
     "for a request, time in the queue included"},
    {"--drain-seconds", offsetof(struct options, drain_seconds), 30, 0, 86400,
     "for running requests to end after SIGTERM"},
};

static const size_t n_numbers = sizeof numbers / sizeof *numbers;

static void print_help(void)
{
    printf("usage: http-worker MODEL [OPTION VALUE]...\n\n"
           "Serves the model in the folder MODEL over HTTP.\n\n"
           "  %-16s %s (default: %s)\n  %-16s %s\n  %-16s %s (default: %s)\n",
           "--host", "address to listen on", "127.0.0.1", "--token-file",
           "file with the token that clients must send: Authorization: Bearer TOKEN", "--type",
           "type of the weights in memory: f32, f16, bf16, q8, q4; file: that of the file", "file");
    for (size_t i = 0; i < n_numbers; i++)
        printf("  %-16s %s (default: %d)\n", numbers[i].name, numbers[i].help, numbers[i].preset);
    printf("\nSIGTERM and SIGINT end the worker when what runs has ended; a second one at once.\n");
}

static int *number_at(struct options *options, const struct number *number)
{
    return (int *)((char *)options + number->offset);
}

static bool read_number(struct options *options, const struct number *number, const char *value)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0 || n < number->min || n > number->max) {
        fprintf(stderr, "http-worker: %s is \"%s\", wanted %d to %d\n", number->name, value,
                number->min, number->max);
        return false;
    }
    *number_at(options, number) = (int)n;
    return true;
}

/* The first line of the file, without blanks at its end. */
static bool read_token(struct options *options)
{
    FILE *file = fopen(options->token_file, "r");
    size_t n;

    if (file == NULL || fgets(options->token, sizeof options->token, file) == NULL) {
        fprintf(stderr, "http-worker: %s: no token can be read: %s\n", options->token_file,
                file == NULL ? strerror(errno) : "the file is empty");
        if (file != NULL)
            fclose(file);
        return false;
    }
    fclose(file);
    n = strlen(options->token);
    while (n > 0 && strchr(" \t\r\n", options->token[n - 1]) != NULL)
        options->token[--n] = '\0';
    if (n < 16 || n == sizeof options->token - 1) {
        fprintf(stderr, "http-worker: %s: the token has %zu characters, wanted 16 to %zu\n",
                options->token_file, n, sizeof options->token - 2);
        return false;
    }
    return true;
}

static bool read_type(struct options *options, const char *value)
{
    static const struct {
        const char *name;
        int type;
    } types[] = {{"file", GPT2_TYPE_AS_FILE}, {"f32", GPT2_TYPE_F32}, {"f16", GPT2_TYPE_F16},
                 {"bf16", GPT2_TYPE_BF16},    {"q8", GPT2_TYPE_Q8},   {"q4", GPT2_TYPE_Q4}};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(value, types[i].name) == 0) {
            options->weight_type = types[i].type;
            return true;
        }
    }
    fprintf(stderr, "http-worker: --type is \"%s\", wanted file, f32, f16, bf16, q8 or q4\n",
            value);
    return false;
}

static bool read_option(struct options *options, const char *name, const char *value)
{
    for (size_t i = 0; i < n_numbers; i++) {
        if (strcmp(name, numbers[i].name) == 0)
            return read_number(options, &numbers[i], value);
    }
    if (strcmp(name, "--host") == 0) {
        options->host = value;
        return true;
    }
    if (strcmp(name, "--token-file") == 0) {
        options->token_file = value;
        return read_token(options);
    }
    if (strcmp(name, "--type") == 0)
        return read_type(options, value);
    fprintf(stderr, "http-worker: there is no option %s: see --help\n", name);
    return false;
}

int options_read(struct options *options, int argc, char **argv)
{
    memset(options, 0, sizeof *options);
    options->host = "127.0.0.1";
    options->weight_type = GPT2_TYPE_AS_FILE;
    for (size_t i = 0; i < n_numbers; i++)
        *number_at(options, &numbers[i]) = numbers[i].preset;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help();
            return OPTIONS_DONE;
        }
        if (argv[i][0] != '-' && options->model == NULL) {
            options->model = argv[i];
        } else if (argv[i][0] != '-' || i + 1 == argc) {
            fprintf(stderr, "http-worker: %s \"%s\": see --help\n",
                    argv[i][0] == '-' ? "no value after"
                                      : "one folder is wanted, but there is also",
                    argv[i]);
            return OPTIONS_WRONG;
        } else if (!read_option(options, argv[i], argv[i + 1])) {
            return OPTIONS_WRONG;
        } else {
            i++;
        }
    }
    if (options->model == NULL) {
        fprintf(stderr, "http-worker: the folder of a model is missing: see --help\n");
        return OPTIONS_WRONG;
    }
    return OPTIONS_RUN;
}
