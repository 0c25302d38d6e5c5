/*
 * option.h: an option of the command line, for the tables of options.c and sampling_options.c.
 */
#ifndef OPTION_H
#define OPTION_H

#include <stddef.h>

#include "options.h"

enum kind {
    KIND_FLAG,  /* bool */
    KIND_TEXT,  /* const char * */
    KIND_TEXTS, /* struct text_list, to which each use adds */
    KIND_BIAS,  /* struct bias_list, to which each use adds */
    KIND_INT,   /* int32_t, min..max */
    KIND_FLOAT, /* float, min..max */
    KIND_WORD,  /* int64_t, one of 'words' */
    KIND_SEED   /* uint64_t, or -1 for options->seed_is_random */
};

struct word {
    const char *name; /* NULL ends a list */
    int64_t value;
};

struct option {
    unsigned group;
    char letter; /* 0: none */
    const char *name;
    const char *alias; /* another long name, or NULL */
    const char *value; /* the name of its value in the help; NULL for a flag */
    enum kind kind;
    size_t offset; /* in struct options */
    double min, max;
    const struct word *words;
    const char *help; /* lines after the first are indented by the printer */
};

#define FIELD(name)            offsetof(struct options, name)
#define FLAG(field)            KIND_FLAG, FIELD(field), 0, 0, NULL
#define TEXT(field)            KIND_TEXT, FIELD(field), 0, 0, NULL
#define TEXTS(field)           KIND_TEXTS, FIELD(field), 0, 0, NULL
#define BIAS(field, max)       KIND_BIAS, FIELD(field), 0, max, NULL
#define INT(field, min, max)   KIND_INT, FIELD(field), min, max, NULL
#define FLOAT(field, min, max) KIND_FLOAT, FIELD(field), min, max, NULL
#define WORD(field, words)     KIND_WORD, FIELD(field), 0, 0, words
#define SEED(field)            KIND_SEED, FIELD(field), 0, 0, NULL

/* Of all options, in the order of the help; NULL behind the last one. */
const struct option *option_at(size_t i);

/* 'is_plain': as in set_sampling_defaults(). */
void options_default(struct options *options, bool is_plain);

/* How the next token is chosen. */
#define N_SAMPLING_OPTIONS 26
extern const struct option sampling_options[N_SAMPLING_OPTIONS];

/* All filters and penalties are off.  'is_plain': temperature 1, and top-k and top-p are off, too. */
void set_sampling_defaults(struct options *options, bool is_plain);

#endif
