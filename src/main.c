/*
 * main.c: the gpt2 program: finds the command, prints help and version.
 *
 * The program uses gpt2.h alone, as any other program that links libgpt2 would.
 */
#include <stdio.h>
#include <string.h>

#include <gpt2.h>

#include "command.h"
#include "messages.h"
#include "nearest.h"
#include "options.h"
#include "platform.h"

static const struct command *const commands[] = {
    &command_generate, &command_next, &command_score,   &command_tokenize, &command_detokenize,
    &command_trace,    &command_info, &command_convert, &command_bench,
};

#define N_COMMANDS (sizeof commands / sizeof commands[0])

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static void print_help(FILE *out)
{
    fprintf(out, "gpt2 runs GPT-2 language models.\n\n"
                 "Usage: gpt2 COMMAND [OPTIONS]\n\n"
                 "Commands:\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-12s%s\n", commands[i]->name, commands[i]->summary);
    fprintf(out,
            "  %-12s%s\n\n"
            "Options of most commands:\n",
            "help", "explain a command: gpt2 help COMMAND");
    options_print(OPTIONS_COMMON, out);
    fprintf(
        out,
        "  %-25s%s\n\n"
        "Examples:\n"
        "  gpt2 generate -p 'Once upon a time'\n"
        "  gpt2 next -p 'Once upon a'\n"
        "  gpt2 tokenize -p 'Hello.'\n"
        "  gpt2 info -m models/gpt2\n"
        "  gpt2 bench --shape gpt2-medium\n\n"
        "A model is a directory with the files of Hugging Face: config.json, model.safetensors\n"
        "(or model.safetensors.index.json and its shards), vocab.json and merges.txt, or\n"
        "tokenizer.json; or a native file, which gpt2 convert writes; or a GGUF file, such as\n"
        "llama.cpp's.  --name=value is the same as --name value, and -n2 as -n 2.  After --\n"
        "there are no more options.\n"
        "Results go to standard output.  Errors go to standard error, one line each.  Notes and\n"
        "statistics appear only on a terminal.\n\n"
        "Exit codes:\n"
        "  0    done, or the reader of the output has closed the pipe\n"
        "  1    failed: a file, the model or the memory\n"
        "  2    a mistake in the command line\n"
        "  130  ended by Ctrl-C\n",
        "    --version", "print the version of the program");
}

static void print_command_help(const struct command *command)
{
    printf("gpt2 %s: %s\n\n"
           "Usage: gpt2 %s %s\n\n"
           "%s\n"
           "Options:\n",
           command->name, command->summary, command->name, command->synopsis, command->help);
    options_print(command->option_groups, stdout);
    printf("\n"
           "Examples:\n"
           "%s\n"
           "Exit codes: 0 done, 1 failed, 2 a mistake in the command line, 130 ended by Ctrl-C.\n",
           command->examples);
}

static enum outcome no_command(const char *name)
{
    struct nearest nearest = nearest_to(name, strlen(name));

    for (size_t i = 0; i < N_COMMANDS; i++)
        nearest_try(&nearest, commands[i]->name);
    if (nearest.found[0] != '\0')
        return complain(OUTCOME_MISUSED, "there is no command '%s': did you mean %s?", name,
                        nearest.found);
    return complain(OUTCOME_MISUSED, "there is no command '%s' (see gpt2 --help)", name);
}

static enum outcome help(int argc, char **argv)
{
    const struct command *command;

    if (argc == 0) {
        print_help(stdout);
        return OUTCOME_DONE;
    }
    command = find_command(argv[0]);
    if (command == NULL)
        return no_command(argv[0]);
    if (argc > 1)
        return complain(OUTCOME_MISUSED, "help takes one command, not also '%s'", argv[1]);
    print_command_help(command);
    return OUTCOME_DONE;
}

static enum outcome run(int argc, char **argv)
{
    const struct command *command;
    struct options options;
    enum outcome outcome;
    const char *name;
    int at;

    if (argc < 2) {
        print_help(stderr);
        return OUTCOME_MISUSED;
    }
    at = options_find_command(argc, argv);
    if (at == argc)
        return complain(OUTCOME_MISUSED, "no command is given (see gpt2 --help)");
    name = argv[at];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return help(argc - at - 1, argv + at + 1);
    if (strcmp(name, "--version") == 0) {
        printf("gpt2 %s\n", gpt2_version());
        return OUTCOME_DONE;
    }
    command = find_command(name);
    if (command == NULL)
        return no_command(name);
    memmove(argv + 2, argv + 1, (size_t)(at - 1) * sizeof *argv); /* options before it */
    outcome = options_parse(&options, command, argc - 2, argv + 2);
    if (outcome == OUTCOME_DONE && options.help)
        print_command_help(command);
    else if (outcome == OUTCOME_DONE)
        outcome = command->run(&options);
    options_free(&options);
    return outcome;
}

int main(int argc, char **argv)
{
    platform_start();
    return (int)output_finish(run(argc, argv));
}
