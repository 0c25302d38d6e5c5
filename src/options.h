/*
 * options.h: the command line of every command, in llama.cpp's words.
 *
 * Two tables hold all options, in options.c and sampling_options.c: they drive parsing (parse_options.c),
 * error messages and the help.  An option belongs to a group, and a command says which groups it takes.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "command.h"

#define OPTIONS_ALL      (~0u)   /* --help */
#define OPTIONS_RUN      0x01u   /* --cpu, --batch-size */
#define OPTIONS_TEXT     0x02u   /* --prompt, --file, --special */
#define OPTIONS_TOKENS   0x04u   /* --tokens */
#define OPTIONS_CONTEXT  0x08u   /* --ctx-size */
#define OPTIONS_SAMPLING 0x10u   /* --seed, --min-p and others, without --temp, --top-k, --top-p */
#define OPTIONS_GENERATE 0x20u   /* --n-predict, --temp and other options of generate alone */
#define OPTIONS_OUTPUT   0x40u   /* --output */
#define OPTIONS_MODEL    0x80u   /* --model (default: the demo model) */
#define OPTIONS_BENCH    0x100u  /* --model (default: a random one of --shape), --json */
#define OPTIONS_SCORE    0x200u  /* --stride and other options of score alone */
#define OPTIONS_INFO     0x400u  /* --verify */
#define OPTIONS_CONVERT  0x800u  /* --format, --shortlist */
#define OPTIONS_NEXT     0x1000u /* --n-likeliest, --temp and other options of next alone */
#define OPTIONS_WEIGHTS  0x2000u /* --threads, --type */
#define OPTIONS_COMMON   (OPTIONS_MODEL | OPTIONS_WEIGHTS | OPTIONS_RUN)

/* How a text without a prompt begins. */
enum empty_prompt {
    EMPTY_ENDOFTEXT, /* with <|endoftext|>; uniform if the model has none */
    EMPTY_UNIFORM,   /* with any token: all are equally likely */
};

/* What a row of score's table is about; 0 if no table was asked for. */
enum score_by { BY_NOTHING, BY_TOKEN, BY_WORD, BY_LINE };

/* Where the tokens come from that are guessed ahead. */
enum draft { DRAFT_NONE, DRAFT_NGRAM };

#define BASE_E 1 /* of logarithms; the other is 2 */

/* What `convert` writes. */
enum format { FORMAT_NATIVE, FORMAT_SAFETENSORS, FORMAT_GGUF };

/* The models of `bench`: GPT-2 in its four sizes. */
enum shape { SHAPE_GPT2, SHAPE_GPT2_MEDIUM, SHAPE_GPT2_LARGE, SHAPE_GPT2_XL };

/* What an option that may be given several times has gathered. */
struct text_list {
    const char **data; /* of the command line */
    size_t count;
};

struct bias {
    int32_t id;
    float value;
};

struct bias_list {
    int32_t *ids; /* [count] tokens, and what is added to the logit of each */
    float *values;
    size_t count;
};

struct options {
    const char *model; /* NULL: the demo model, or that of 'shape' */
    const char *prompt;
    const char *prompt_file; /* "-" is standard input */
    const char *prompts;     /* a file of prompts; "-" is standard input */
    const char *tokens;      /* ids as text */
    const char *pairs;       /* a file of pairs of texts; "-" is standard input */
    const char *choices;     /* a file of contexts and continuations; "-" is standard input */
    const char *html;        /* the page that score writes */
    const char *prefix;      /* tokens before a text that are not scored */
    const char *output;
    const char *operand; /* what has no option's name before it: FILE; NULL: none was given */
    int32_t n_predict;   /* -1: until the context is full */
    int32_t n_choices;   /* texts that begin with one prompt */
    int32_t n_parallel;  /* texts at a time; 0: generate chooses */
    int32_t n_keep;      /* first tokens that stay when a text is cut */
    int32_t stream;      /* of the random numbers; of several texts, that of the first */
    int32_t n_ctx;       /* 0: the model's */
    int32_t stride;      /* of windows; 0: they do not overlap */
    int32_t n_top;       /* likeliest tokens that score adds; -1: it chooses */
    int32_t n_threads;   /* 0: one per CPU */
    int32_t n_batch;     /* tokens per forward call; 0: all at once */
    int32_t n_logprobs;  /* likeliest tokens to tell for each token; -1: no log-probabilities */
    int32_t n_likeliest; /* tokens that next shows */
    int32_t draft_max;   /* tokens to guess at a time; 0: generate chooses */
    struct text_list stops;
    struct bias_list biases;
    int32_t repeat_last_n; /* 0: no penalties; -1: all tokens of the context */
    bool ignore_prompt;
    float repeat_penalty;
    float frequency_penalty;
    float presence_penalty;
    float dry_multiplier;
    float dry_base;
    int32_t dry_allowed_length;
    int32_t no_repeat_ngram;
    float temperature;
    float top_n_sigma;
    int32_t top_k;
    float top_p;
    float min_p;
    float typical_p;
    float xtc_probability;
    float xtc_threshold;
    int64_t mirostat; /* 0 or 2 */
    float mirostat_ent;
    float mirostat_lr;
    int64_t empty_prompt; /* EMPTY_* */
    int64_t by;           /* BY_* */
    int64_t base;         /* 2 or BASE_E; 0: score chooses */
    int64_t cpu_mask;     /* GPT2_CPU_*; -1: all that the CPU has */
    int64_t draft;        /* DRAFT_* */
    int64_t shape;        /* SHAPE_*; -1: none was named */
    int64_t format;       /* FORMAT_* */
    int64_t weight_type;  /* GPT2_TYPE_* */
    uint64_t seed;
    bool seed_is_random; /* no --seed, or --seed -1 */
    bool special;
    bool verify;
    bool shortlist;
    bool no_echo;
    bool no_bos;
    bool word_correction;
    bool json;
    bool jsonl;
    bool context_shift;
    bool ignore_eos;
    bool help;
};

/*
 * Fills 'options' from the arguments after the command's name.  Returns OUTCOME_DONE, even if
 * options->help asks for the help instead; or reports a mistake and returns OUTCOME_MISUSED.  The
 * caller calls options_free() in any case.
 */
enum outcome options_parse(struct options *options, const struct command *command, int argc,
                           char **argv);

void options_free(struct options *options);

/*
 * The index of the command in argv[argc], behind options that are written before it, or of --help or what
 * is no option; argc if there is none.
 */
int options_find_command(int argc, char **argv);

/* GPT2_TYPE_* as --type calls it. */
const char *weight_type_name(int32_t type);

/* Prints the list of the options in 'groups', with their defaults. */
void options_print(unsigned groups, FILE *out);

#endif
