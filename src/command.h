/*
 * command.h: what a command of the program is, and how it can end.
 *
 * A command is one file with one `const struct command`.  To add one, write the file, declare it
 * here and name it in the table of main.c.
 */
#ifndef COMMAND_H
#define COMMAND_H

struct options;

/* The outcomes of 0 and more are exit codes, as the help says. */
enum outcome {
    OUTCOME_DONE = 0,
    OUTCOME_FAILED = 1,        /* a file, a model or the memory; it has been reported */
    OUTCOME_MISUSED = 2,       /* a mistake in the command line; it has been reported */
    OUTCOME_INTERRUPTED = 130, /* Ctrl-C */
    OUTCOME_READER_GONE = -1   /* nobody reads the output any more: end silently with exit code 0 */
};

/* What an argument is that no option's name stands before. */
enum operand {
    OPERAND_NONE,   /* a mistake */
    OPERAND_FILE,   /* what FILE is for the command */
    OPERAND_PROMPT, /* as --prompt */
    OPERAND_IDS     /* as --tokens, if it looks like ids; or else FILE */
};

struct command {
    const char *name;
    const char *summary;    /* one line of `gpt2 --help` */
    const char *synopsis;   /* its usage line after the name */
    const char *help;       /* paragraphs above the list of options */
    const char *examples;   /* paragraphs below it */
    unsigned option_groups; /* OPTIONS_* of options.h */
    enum operand operand;
    enum outcome (*run)(const struct options *options);
};

extern const struct command command_generate;
extern const struct command command_next;
extern const struct command command_score;
extern const struct command command_tokenize;
extern const struct command command_detokenize;
extern const struct command command_trace;
extern const struct command command_info;
extern const struct command command_convert;
extern const struct command command_bench;

#endif
