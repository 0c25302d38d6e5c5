/*
 * options.c: the table of options, and the parser and the help that read it.
 */
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gpt2.h>

#include "messages.h"
#include "option.h"

static const struct word cpu_words[] = {
    {"scalar", 0},
    {"avx2", GPT2_CPU_AVX2},
    {"avx512", GPT2_CPU_AVX2 | GPT2_CPU_AVX512},
    {"avxvnni", GPT2_CPU_AVX2 | GPT2_CPU_AVX_VNNI},
    {"avx512vnni", GPT2_CPU_AVX2 | GPT2_CPU_AVX512 | GPT2_CPU_AVX512_VNNI},
    {"neon", GPT2_CPU_NEON},
    {"dotprod", GPT2_CPU_NEON | GPT2_CPU_DOTPROD},
    {NULL, 0},
};

static const struct word type_words[] = {
    {"file", GPT2_TYPE_AS_FILE},
    {"f32", GPT2_TYPE_F32},
    {"f16", GPT2_TYPE_F16},
    {"bf16", GPT2_TYPE_BF16},
    {"q8", GPT2_TYPE_Q8},
    {"q4", GPT2_TYPE_Q4},
    {NULL, 0},
};

static const struct word format_words[] = {{"native", FORMAT_NATIVE},
                                           {"safetensors", FORMAT_SAFETENSORS},
                                           {"gguf", FORMAT_GGUF},
                                           {NULL, 0}};

static const struct word shape_words[] = {
    {"gpt2", SHAPE_GPT2},
    {"gpt2-medium", SHAPE_GPT2_MEDIUM},
    {"gpt2-large", SHAPE_GPT2_LARGE},
    {"gpt2-xl", SHAPE_GPT2_XL},
    {NULL, 0},
};

static const struct word empty_words[] = {
    {"endoftext", EMPTY_ENDOFTEXT},
    {"uniform", EMPTY_UNIFORM},
    {NULL, 0},
};

static const struct word by_words[] = {
    {"token", BY_TOKEN},
    {"word", BY_WORD},
    {"line", BY_LINE},
    {NULL, 0},
};

static const struct word base_words[] = {
    {"2", 2},
    {"e", BASE_E},
    {NULL, 0},
};

#define MAX_TEXTS 65535 /* at a time: a session has at most 65536 sequences */

/* In the order of the help. */
static const struct option table[] = {
    {OPTIONS_TEXT, 'p', "prompt", NULL, "TEXT", TEXT(prompt), "the text to work on"},
    {OPTIONS_TEXT, 'f', "file", NULL, "FILE", TEXT(prompt_file),
     "read the text from FILE; - means standard input"},
    {OPTIONS_GENERATE, 0, "prompts", NULL, "FILE", TEXT(prompts),
     "continue many texts: each line of FILE is a prompt;\n"
     "- means standard input"},
    {OPTIONS_GENERATE, 0, "jsonl", NULL, NULL, FLAG(jsonl),
     "write a JSON object a line; lines of --prompts are JSON\n"
     "objects, too"},
    {OPTIONS_GENERATE, 0, "parallel", NULL, "N", INT(n_parallel, 1, MAX_TEXTS),
     "run N texts at a time (default: 8 of --prompts, all of\n"
     "--n-choices)"},
    {OPTIONS_GENERATE, 0, "n-choices", NULL, "K", INT(n_choices, 1, MAX_TEXTS),
     "continue the prompt in K ways (default: 1)"},
    {OPTIONS_TOKENS, 0, "tokens", NULL, "IDS", TEXT(tokens),
     "give token ids instead of a text, for example 15496,13"},
    {OPTIONS_TEXT, 0, "special", NULL, NULL, FLAG(special),
     "read <|endoftext|> in the text as that one token\n"
     "(default: as 13 ordinary characters)"},
    {OPTIONS_GENERATE, 'n', "n-predict", "predict", "N", INT(n_predict, -1, INT32_MAX),
     "generate at most N tokens; -1 means until the context\n"
     "is full, without end if --context-shift is given\n"
     "(default: 128)"},
    {OPTIONS_NEXT, 'n', "n-likeliest", NULL, "N", INT(n_likeliest, 1, INT32_MAX),
     "show the N likeliest tokens (default: 10)"},
    {OPTIONS_NEXT, 0, "jsonl", NULL, NULL, FLAG(jsonl), "write a JSON object a line"},
    {OPTIONS_GENERATE, 'r', "stop", "reverse-prompt", "STRING", TEXTS(stops),
     "end the text before STRING; may be given several times"},
    {OPTIONS_GENERATE, 0, "logprobs", NULL, "N", INT(n_logprobs, 0, INT32_MAX),
     "tell the log-probability and the rank of each token, and\n"
     "the N likeliest tokens in its place"},
    {OPTIONS_GENERATE, 0, "empty-prompt", NULL, "HOW", WORD(empty_prompt, empty_words),
     "how to begin without a prompt. endoftext: after the token\n"
     "<|endoftext|>; uniform: with any token, all equally\n"
     "likely (default: endoftext)"},
    {OPTIONS_GENERATE, 0, "ignore-eos", NULL, NULL, FLAG(ignore_eos),
     "do not stop at <|endoftext|>"},
    {OPTIONS_GENERATE, 0, "no-echo", NULL, NULL, FLAG(no_echo),
     "print only the continuation, not the prompt"},
    {OPTIONS_CONTEXT, 'c', "ctx-size", NULL, "N", INT(n_ctx, 0, INT32_MAX),
     "use a context of N tokens; 0 means as many as the model\n"
     "has (default: 0)"},
    {OPTIONS_SCORE, 0, "by", NULL, "UNIT", WORD(by, by_words),
     "write a table with a row for each token, word or line"},
    {OPTIONS_SCORE, 0, "pairs", NULL, "FILE", TEXT(pairs),
     "say which of two texts is likelier: each line of FILE is\n"
     "TEXT, a tab, TEXT; - means standard input"},
    {OPTIONS_SCORE, 0, "choices", NULL, "FILE", TEXT(choices),
     "say which continuation is the likeliest: each line of\n"
     "FILE is a context, a tab, a continuation, a tab, ...;\n"
     "- means standard input"},
    {OPTIONS_SCORE, 0, "html", NULL, "FILE", TEXT(html),
     "write FILE, a page that shows the text shaded by\n"
     "surprisal"},
    {OPTIONS_SCORE, 0, "jsonl", NULL, NULL, FLAG(jsonl),
     "write the table as JSON objects, one a line"},
    {OPTIONS_SCORE, 0, "base", NULL, "BASE", WORD(base, base_words),
     "base of logarithms. 2: bits; e: nats (default: 2, but e\n"
     "with --pairs and --choices)"},
    {OPTIONS_SCORE, 0, "top", NULL, "N", INT(n_top, 0, INT32_MAX),
     "with --by token and --html: add the N likeliest tokens at\n"
     "each place (default: 0, but 5 with --html)"},
    {OPTIONS_SCORE, 0, "word-correction", NULL, NULL, FLAG(word_correction),
     "with --by word: add the surprisal that counts the end of\n"
     "a word to that word, not to the next one"},
    {OPTIONS_SCORE, 0, "prefix", NULL, "TEXT", TEXT(prefix),
     "put TEXT in front of each text.  It is not scored"},
    {OPTIONS_SCORE, 0, "no-bos", NULL, NULL, FLAG(no_bos),
     "do not put <|endoftext|> in front of each text.  Without\n"
     "--prefix the first token is then not scored"},
    {OPTIONS_SCORE, 0, "stride", NULL, "N", INT(stride, 1, INT32_MAX),
     "let windows overlap: each begins N tokens after the one\n"
     "before"},
    {OPTIONS_GENERATE, 0, "context-shift", NULL, NULL, FLAG(context_shift),
     "go on when the context is full: keep the newest half of\n"
     "the text"},
    {OPTIONS_GENERATE, 0, "keep", NULL, "N", INT(n_keep, 0, INT32_MAX),
     "with --context-shift: keep the first N tokens as well\n"
     "(default: 0)"},
    {OPTIONS_OUTPUT, 'o', "output", NULL, "FILE", TEXT(output),
     "write to FILE; an old FILE stays until the new one is\n"
     "complete"},
    {OPTIONS_CONVERT, 0, "format", NULL, "FORMAT", WORD(format, format_words),
     "write a file for libgpt2 (native), a directory for\n"
     "transformers (safetensors), or a file for llama.cpp\n"
     "(gguf) (default: native)"},
    {OPTIONS_BENCH, 0, "shape", NULL, "SHAPE", WORD(shape, shape_words),
     "measure random weights of this size: gpt2, gpt2-medium,\n"
     "gpt2-large or gpt2-xl (default: gpt2)"},
    {OPTIONS_BENCH, 'm', "model", NULL, "MODEL", TEXT(model),
     "measure the model in this directory, native or GGUF file"},
    {OPTIONS_BENCH, 0, "json", NULL, NULL, FLAG(json), "print the results as one JSON object"},
    {OPTIONS_MODEL, 'm', "model", NULL, "MODEL", TEXT(model),
     "read the model from the directory MODEL, or open that\n"
     "native or GGUF file (default: the demo model)"},
    {OPTIONS_GENERATE | OPTIONS_CONVERT, 0, "shortlist", NULL, NULL, FLAG(shortlist),
     "keep an 8-bit copy of the head, too: greedy and top-k\n"
     "sampling then read a quarter of its bytes, for the same\n"
     "text"},
    {OPTIONS_INFO, 0, "verify", NULL, NULL, FLAG(verify),
     "read the whole native file and compare its checksum"},
    {OPTIONS_MODEL | OPTIONS_BENCH, 0, "type", NULL, "TYPE", WORD(weight_type, type_words),
     "keep the weights as TYPE in memory: f32, f16, bf16, q8,\n"
     "q4, or file for that of the file (default: file).  q8 and\n"
     "q4 have 8 and 4 bits a weight, rounded when the model\n"
     "loads: for gpt2 134.9 and 92.4 MB, where f32 has 497.8"},
    {OPTIONS_RUN, 't', "threads", NULL, "N", INT(n_threads, 0, 256),
     "use N threads, at most 256; 0 means one for each CPU\n"
     "(default: 0)"},
    {OPTIONS_RUN, 0, "cpu", NULL, "LEVEL", WORD(cpu_mask, cpu_words),
     "use the instructions of LEVEL: scalar, avx2, avx512 or\n"
     "neon; avxvnni, avx512vnni and dotprod add instructions\n"
     "that only q8 and q4 need (default: the fastest that the\n"
     "CPU has)"},
    {OPTIONS_MODEL, 'b', "batch-size", NULL, "N", INT(n_batch, 0, INT32_MAX),
     "run N tokens at a time; 0 means all at once, but 64 in\n"
     "score (default: 0)"},
    {OPTIONS_RUN, 'h', "help", NULL, NULL, FLAG(help), "print this help"},
};

#define N_OWN     (sizeof table / sizeof table[0])
#define N_OPTIONS (N_OWN + N_SAMPLING_OPTIONS)

static const struct option *option_at(size_t i)
{
    return i < N_OWN ? &table[i] : &sampling_options[i - N_OWN];
}

/* The option that 'argument' names, without its "=value"; NULL if the command does not have it. */
static const struct option *find_option(const char *argument, unsigned groups)
{
    bool is_long = argument[1] == '-';
    const char *name = argument + (is_long ? 2 : 1);
    size_t length = is_long ? strcspn(name, "=") : strlen(name);

    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *option = option_at(i);

        if ((option->group & groups) == 0)
            continue;
        if (!is_long) {
            if (option->letter != 0 && length == 1 && option->letter == name[0])
                return option;
            continue;
        }
        if (strlen(option->name) == length && memcmp(option->name, name, length) == 0)
            return option;
        if (option->alias != NULL && strlen(option->alias) == length &&
            memcmp(option->alias, name, length) == 0)
            return option;
    }
    return NULL;
}

/* The strto* functions also read leading spaces, a plus, hexadecimals and "nan".  We do not. */
static bool looks_like_number(const char *text, bool has_fraction)
{
    const char *digits = text[0] == '-' ? text + 1 : text;

    return digits[0] != '\0' &&
           strspn(digits, has_fraction ? "0123456789.eE+-" : "0123456789") == strlen(digits);
}

static bool parse_int(const char *text, double min, double max, int32_t *value)
{
    char *end;
    long long number;

    if (!looks_like_number(text, false))
        return false;
    errno = 0;
    number = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || (double)number < min || (double)number > max)
        return false;
    *value = (int32_t)number;
    return true;
}

static bool parse_float(const char *text, double min, double max, float *value)
{
    char *end;
    double number;

    if (!looks_like_number(text, true))
        return false;
    number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= min && number <= max))
        return false;
    *value = (float)number;
    return true;
}

static bool parse_seed(const char *text, struct options *options)
{
    char *end;
    unsigned long long number;

    options->seed_is_random = strcmp(text, "-1") == 0;
    if (options->seed_is_random)
        return true;
    if (text[0] == '-' || !looks_like_number(text, false))
        return false;
    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || number > UINT64_MAX)
        return false;
    options->seed = number;
    return true;
}

static bool parse_word(const char *text, const struct word *words, int64_t *value)
{
    for (; words->name != NULL; words++) {
        if (strcmp(words->name, text) == 0) {
            *value = words->value;
            return true;
        }
    }
    return false;
}

/* Makes room for one more item behind the 'count' of a list. */
static bool grow(void **items, size_t count, size_t item_bytes)
{
    void *grown = realloc(*items, (count + 1) * item_bytes);

    if (grown == NULL)
        return false;
    *items = grown;
    return true;
}

static enum outcome add_text(struct text_list *list, const char *text)
{
    void *data = list->data;
    bool has_room = grow(&data, list->count, sizeof *list->data);

    list->data = data;
    if (!has_room)
        return complain_memory();
    list->data[list->count++] = text;
    return OUTCOME_DONE;
}

/* Reads ID+VALUE or ID-VALUE, as llama.cpp does. */
static bool parse_bias(const char *text, double max, struct bias *bias)
{
    size_t n_digits = strspn(text, "0123456789");
    const char *value = text + n_digits + 1;
    char id[16];

    if (n_digits == 0 || n_digits >= sizeof id || strchr("+-", text[n_digits]) == NULL ||
        text[n_digits] == '\0')
        return false;
    memcpy(id, text, n_digits);
    id[n_digits] = '\0';
    if (!parse_int(id, 0, INT32_MAX, &bias->id))
        return false;
    if (text[n_digits] == '-' && strcmp(value, "inf") == 0)
        bias->value = INFINITY;
    else if (!parse_float(value, 0, max, &bias->value))
        return false;
    if (text[n_digits] == '-')
        bias->value = -bias->value;
    return true;
}

static enum outcome add_bias(struct bias_list *list, const struct bias *bias)
{
    void *ids = list->ids, *values = list->values;
    bool has_room = grow(&ids, list->count, sizeof *list->ids);

    list->ids = ids;
    has_room = has_room && grow(&values, list->count, sizeof *list->values);
    list->values = values;
    if (!has_room)
        return complain_memory();
    list->ids[list->count] = bias->id;
    list->values[list->count++] = bias->value;
    return OUTCOME_DONE;
}

static enum outcome bad_value(const struct option *option, const char *written, const char *value)
{
    int length = (int)strcspn(written, "=");
    char words[128] = "";

    switch (option->kind) {
    case KIND_INT:
        return complain(OUTCOME_MISUSED, "%.*s takes a whole number from %.0f to %.0f, not '%s'",
                        length, written, option->min, option->max, value);
    case KIND_FLOAT:
        return complain(OUTCOME_MISUSED, "%.*s takes a number from %g to %g, not '%s'", length,
                        written, option->min, option->max, value);
    case KIND_TEXTS:
        return complain(OUTCOME_MISUSED, "%.*s takes at least one byte, not '%s'", length, written,
                        value);
    case KIND_BIAS:
        return complain(OUTCOME_MISUSED,
                        "%.*s takes ID+VALUE or ID-VALUE with a value from 0 to %g, or ID-inf, not "
                        "'%s'",
                        length, written, option->max, value);
    case KIND_SEED:
        return complain(OUTCOME_MISUSED,
                        "%.*s takes -1 or a whole number from 0 to %" PRIu64 ", not '%s'", length,
                        written, UINT64_MAX, value);
    default:
        for (const struct word *word = option->words; word->name != NULL; word++) {
            if (words[0] != '\0')
                strcat(words, word[1].name != NULL ? ", " : " or ");
            strcat(words, word->name);
        }
        return complain(OUTCOME_MISUSED, "%.*s takes %s, not '%s'", length, written, words, value);
    }
}

static enum outcome set_option(struct options *options, const struct option *option,
                               const char *written, const char *value)
{
    void *field = (char *)options + option->offset;
    struct bias bias;
    bool is_good = true;

    switch (option->kind) {
    case KIND_FLAG:
        *(bool *)field = true;
        break;
    case KIND_TEXT:
        *(const char **)field = value;
        break;
    case KIND_TEXTS:
        is_good = value[0] != '\0';
        if (is_good)
            return add_text(field, value);
        break;
    case KIND_BIAS:
        is_good = parse_bias(value, option->max, &bias);
        if (is_good)
            return add_bias(field, &bias);
        break;
    case KIND_INT:
        is_good = parse_int(value, option->min, option->max, field);
        break;
    case KIND_FLOAT:
        is_good = parse_float(value, option->min, option->max, field);
        break;
    case KIND_WORD:
        is_good = parse_word(value, option->words, field);
        break;
    case KIND_SEED:
        is_good = parse_seed(value, options);
        break;
    }
    return is_good ? OUTCOME_DONE : bad_value(option, written, value);
}

static enum outcome set_operand(struct options *options, const struct command *command,
                                const char *argument)
{
    if (command->takes_file && options->operand == NULL) {
        options->operand = argument;
        return OUTCOME_DONE;
    }
    return complain(OUTCOME_MISUSED, "%s does not take the argument '%s' (see gpt2 %s --help)",
                    command->name, argument, command->name);
}

/* Checks that need more than one option, or the CPU. */
static enum outcome check(const struct options *options)
{
    int n_texts = (options->prompt != NULL) + (options->prompt_file != NULL) +
                  (options->tokens != NULL) + (options->operand != NULL) +
                  (options->prompts != NULL) + (options->pairs != NULL) +
                  (options->choices != NULL);
    uint32_t cpu_mask = (uint32_t)options->cpu_mask;

    if (n_texts > 1)
        return complain(OUTCOME_MISUSED, "give one input only: a text, a file or ids");
    if (options->prompts != NULL && options->n_choices > 1)
        return complain(OUTCOME_MISUSED, "--n-choices takes one prompt, not --prompts");
    if (options->n_parallel > 0 && options->prompts == NULL && options->n_choices == 1)
        return complain(OUTCOME_MISUSED, "--parallel needs --prompts or --n-choices");
    if (options->stops.count > 0 && options->tokens != NULL)
        return complain(OUTCOME_MISUSED, "--stop needs a text, not --tokens");
    if (options->n_keep > 0 && !options->context_shift)
        return complain(OUTCOME_MISUSED, "--keep needs --context-shift");
    if (options->cpu_mask >= 0 && (gpt2_cpu_features() & cpu_mask) != cpu_mask) {
        const struct word *word = cpu_words;

        while (word->value != options->cpu_mask)
            word++;
        return complain(OUTCOME_MISUSED, "this CPU cannot run the %s kernels of --cpu", word->name);
    }
    return OUTCOME_DONE;
}

/* Reads the option at argv[*at], and its value if that is the next argument. */
static enum outcome parse_option(struct options *options, const struct command *command, int argc,
                                 char **argv, int *at)
{
    const char *written = argv[*at];
    const struct option *option = find_option(written, command->option_groups);
    const char *equals = written[1] == '-' ? strchr(written, '=') : NULL;
    const char *value = equals != NULL ? equals + 1 : NULL;

    if (option == NULL)
        return complain(OUTCOME_MISUSED, "%s has no option '%s' (see gpt2 %s --help)",
                        command->name, written, command->name);
    if (option->kind == KIND_FLAG && value != NULL)
        return complain(OUTCOME_MISUSED, "--%s takes no value", option->name);
    if (option->kind != KIND_FLAG && value == NULL) {
        if (*at + 1 == argc)
            return complain(OUTCOME_MISUSED, "%s takes a value, %s (see gpt2 %s --help)", written,
                            option->value, command->name);
        value = argv[++*at];
    }
    return set_option(options, option, written, value);
}

enum outcome options_parse(struct options *options, const struct command *command,
                           const char *program, int argc, char **argv)
{
    bool options_have_ended = false;
    enum outcome outcome = OUTCOME_DONE;

    memset(options, 0, sizeof *options);
    options->program = program;
    options->n_predict = 128;
    options->n_choices = 1;
    options->n_logprobs = -1;
    options->n_likeliest = 10;
    set_sampling_defaults(options, (command->option_groups & OPTIONS_NEXT) != 0);
    options->empty_prompt = EMPTY_ENDOFTEXT;
    options->n_top = -1;
    options->cpu_mask = -1;
    options->weight_type = GPT2_TYPE_AS_FILE;
    options->shape = -1;
    options->seed_is_random = true;
    for (int i = 0; i < argc && outcome == OUTCOME_DONE && !options->help; i++) {
        if (options_have_ended || argv[i][0] != '-' || argv[i][1] == '\0')
            outcome = set_operand(options, command, argv[i]);
        else if (strcmp(argv[i], "--") == 0)
            options_have_ended = true;
        else
            outcome = parse_option(options, command, argc, argv, &i);
    }
    if (outcome != OUTCOME_DONE || options->help)
        return outcome;
    return check(options);
}

void options_free(struct options *options)
{
    free(options->stops.data);
    free(options->biases.ids);
    free(options->biases.values);
}

const char *weight_type_name(int32_t type)
{
    /* of files alone: no choice for memory */
    static const struct word file_words[] = {
        {"f64", GPT2_TYPE_F64},   {"q4_0", GPT2_TYPE_Q4_0}, {"q4_1", GPT2_TYPE_Q4_1},
        {"q5_0", GPT2_TYPE_Q5_0}, {"q5_1", GPT2_TYPE_Q5_1}, {"q4_k", GPT2_TYPE_Q4_K},
        {"q5_k", GPT2_TYPE_Q5_K}, {"q6_k", GPT2_TYPE_Q6_K}, {NULL, 0},
    };
    const struct word *word = type <= GPT2_TYPE_Q4 ? type_words : file_words;

    while (word->name != NULL && word->value != type)
        word++;
    return word->name != NULL ? word->name : "unknown";
}

void options_print(unsigned groups, FILE *out)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *option = option_at(i);
        const char *line = option->help;
        char names[64];
        char letter[8] = "    ";

        if (i == N_OWN && (groups & OPTIONS_SAMPLING) != 0)
            fprintf(out, "\nOptions of sampling, in the order in which they apply:\n");
        if ((option->group & groups) == 0)
            continue;
        if (option->letter != 0)
            snprintf(letter, sizeof letter, "-%c, ", option->letter);
        snprintf(names, sizeof names, "%s--%s%s%s", letter, option->name,
                 option->value != NULL ? " " : "", option->value != NULL ? option->value : "");
        fprintf(out, "  %-25s", names);
        if (strlen(names) >= 25)
            fprintf(out, "\n  %-25s", "");
        for (;;) {
            int length = (int)strcspn(line, "\n");

            fprintf(out, "%.*s\n", length, line);
            if (line[length] == '\0')
                break;
            line += length + 1;
            fprintf(out, "  %-25s", "");
        }
    }
}
