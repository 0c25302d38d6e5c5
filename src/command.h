/*
 * command.h: what a command of the program is, and how it can end.
 *
 * A command is one file with one `const struct command`.  To add one, write the file, declare it
 * here and name it in the table of main.c.
 */
#ifndef COMMAND_H
#define COMMAND_H

struct options;

/* The positive ones are exit codes, promised in the help. */
enum outcome {
    OUTCOME_DONE = 0,
    OUTCOME_FAILED = 1,        /* a file, a model, the memory; has been reported */
    OUTCOME_MISUSED = 2,       /* the command line; has been reported */
    OUTCOME_INTERRUPTED = 130, /* Ctrl-C */
    OUTCOME_READER_GONE = -1   /* nobody reads our output any more: end quietly, exit code 0 */
};

struct command {
    const char *name;
    const char *summary;    /* one line of `gpt2 --help` */
    const char *synopsis;   /* what follows the name in its usage line */
    const char *help;       /* paragraphs above the list of options */
    const char *examples;   /* paragraphs below it */
    unsigned option_groups; /* OPTIONS_* of options.h that it takes */
    int takes_file;         /* 1: one operand, FILE */
    enum outcome (*run)(const struct options *options);
};

extern const struct command command_generate;
extern const struct command command_score;
extern const struct command command_tokenize;
extern const struct command command_detokenize;
extern const struct command command_trace;
extern const struct command command_info;
extern const struct command command_bench;

#endif
