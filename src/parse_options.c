/*
 * parse_options.c: reads a command line.
 */
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gpt2.h>

#include "messages.h"
#include "nearest.h"
#include "option.h"

/* Whether written[length] is this name; an underscore counts as a dash. */
static bool is_name(const char *name, const char *written, size_t length)
{
    if (name == NULL || strlen(name) != length)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (name[i] != (written[i] == '_' ? '-' : written[i]))
            return false;
    }
    return true;
}

/* The option that 'argument' names, without its value; NULL if none of the groups has it. */
static const struct option *find_option(const char *argument, unsigned groups)
{
    bool is_long = argument[1] == '-';
    const char *name = argument + (is_long ? 2 : 1);
    size_t length = is_long ? strcspn(name, "=") : strlen(name);
    const struct option *option;

    for (size_t i = 0; (option = option_at(i)) != NULL; i++) {
        if ((option->group & groups) == 0)
            continue;
        if (!is_long && option->letter != 0 && option->letter == name[0] &&
            (length == 1 || option->kind != KIND_FLAG))
            return option;
        if (is_long &&
            (is_name(option->name, name, length) || is_name(option->alias, name, length)))
            return option;
    }
    return NULL;
}

/* The value in the argument itself: --name=value, -n2; NULL: it has none. */
static const char *own_value(const char *argument)
{
    const char *equals = strchr(argument, '=');

    if (argument[1] == '-')
        return equals != NULL ? equals + 1 : NULL;
    return argument[2] != '\0' ? argument + 2 : NULL;
}

static enum outcome no_option(const struct command *command, const char *written)
{
    struct nearest nearest = nearest_to(written, strcspn(written, "="));
    const struct option *option;
    char name[64];

    for (size_t i = 0; (option = option_at(i)) != NULL && written[1] == '-'; i++) {
        if ((option->group & command->option_groups) == 0)
            continue;
        snprintf(name, sizeof name, "--%s", option->name);
        nearest_try(&nearest, name);
    }
    if (nearest.found[0] != '\0')
        return complain(OUTCOME_MISUSED, "%s has no option '%s': did you mean %s?", command->name,
                        written, nearest.found);
    return complain(OUTCOME_MISUSED, "%s has no option '%s' (see gpt2 %s --help)", command->name,
                    written, command->name);
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
    if (command->operand == OPERAND_NONE)
        return complain(OUTCOME_MISUSED, "%s does not take the argument '%s' (see gpt2 %s --help)",
                        command->name, argument, command->name);
    if (options->operand != NULL && command->operand == OPERAND_PROMPT)
        return complain(OUTCOME_MISUSED, "%s takes one text: put '%s' and '%s' in quotes together",
                        command->name, options->operand, argument);
    if (options->operand != NULL)
        return complain(OUTCOME_MISUSED, "%s takes one argument, '%s', not also '%s'",
                        command->name, options->operand, argument);
    options->operand = argument;
    return OUTCOME_DONE;
}

/* Makes the operand what it stands for, unless it is FILE. */
static void use_operand(struct options *options, const struct command *command)
{
    const char *text = options->operand;
    bool is_ids = text != NULL && text[0] != '\0' && text[strspn(text, "0123456789, ")] == '\0';

    if (text == NULL || (command->operand == OPERAND_IDS && !is_ids) ||
        command->operand == OPERAND_FILE)
        return;
    if (command->operand == OPERAND_PROMPT)
        options->prompt = text;
    else
        options->tokens = text;
    options->operand = NULL;
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
    if (options->draft != DRAFT_NONE && options->n_logprobs >= 0)
        return complain(OUTCOME_MISUSED, "--draft cannot go with --logprobs");
    if (options->draft == DRAFT_NONE && options->draft_max > 0)
        return complain(OUTCOME_MISUSED, "--draft-max needs --draft");
    if (options->cpu_mask >= 0 && (gpt2_cpu_features() & cpu_mask) != cpu_mask) {
        const struct word *word = find_option("--cpu", OPTIONS_RUN)->words;

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
    const char *value = own_value(written);

    if (option == NULL)
        return no_option(command, written);
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

enum outcome options_parse(struct options *options, const struct command *command, int argc,
                           char **argv)
{
    bool options_have_ended = false;
    enum outcome outcome = OUTCOME_DONE;

    options_default(options, (command->option_groups & OPTIONS_NEXT) != 0);
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
    outcome = check(options);
    use_operand(options, command);
    return outcome;
}

int options_find_command(int argc, char **argv)
{
    int at = 1;

    while (at < argc && argv[at][0] == '-') {
        const struct option *option = find_option(argv[at], OPTIONS_ALL);

        if (option == NULL || strcmp(option->name, "help") == 0)
            break;
        at += option->kind != KIND_FLAG && own_value(argv[at]) == NULL ? 2 : 1;
    }
    return at < argc ? at : argc;
}

void options_free(struct options *options)
{
    free(options->stops.data);
    free(options->biases.ids);
    free(options->biases.values);
}
