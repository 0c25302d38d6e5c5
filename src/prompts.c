/*
 * prompts.c: reads a file of prompts.
 */
#include "prompts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jsonlines.h"
#include "messages.h"

void line_name(char origin[ORIGIN_BYTES], const char *path, size_t number)
{
    bool is_stdin = path == NULL || strcmp(path, "-") == 0;

    snprintf(origin, ORIGIN_BYTES, "%.*s:%zu", PATH_BYTES, is_stdin ? "standard input" : path,
             number);
}

void prompts_name_line(char origin[ORIGIN_BYTES], const struct options *options, size_t number)
{
    line_name(origin, options->prompts, number);
}

/* Reads a whole number from 0 to UINT64_MAX, without a sign, a fraction or an exponent. */
static bool parse_seed(const struct bytes *number, uint64_t *seed)
{
    uint64_t value = 0;

    for (size_t i = 0; i < number->size; i++) {
        uint64_t digit = (uint64_t)(number->data[i] - '0');

        if (number->data[i] < '0' || number->data[i] > '9' || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *seed = value;
    return true;
}

static enum outcome read_json(struct prompt_line *line, const char *origin)
{
    enum { PROMPT, ID, SEED, N_MEMBERS };
    struct json_member members[N_MEMBERS] = {
        [PROMPT] = {.name = "prompt", .kind = JSON_STRING},
        [ID] = {.name = "id", .kind = JSON_ANY},
        [SEED] = {.name = "seed", .kind = JSON_NUMBER},
    };
    char problem[JSON_PROBLEM_BYTES];

    if (!json_read_object(line->text.data, line->text.size, members, N_MEMBERS, problem))
        return complain(OUTCOME_FAILED, "%s: %s", origin, problem);
    if (members[PROMPT].value.data == NULL)
        return complain(OUTCOME_FAILED, "%s: the object has no \"prompt\"", origin);
    if (members[SEED].value.data != NULL) {
        const struct bytes *seed = &members[SEED].value;

        if (!parse_seed(seed, &line->seed))
            return complain(OUTCOME_FAILED,
                            "%s: \"seed\" is %.*s, wanted a whole number from 0 to %" PRIu64,
                            origin, seed->size < 40 ? (int)seed->size : 40, seed->data, UINT64_MAX);
        line->has_seed = true;
    }
    line->id = members[ID].value;
    line->text = members[PROMPT].value;
    json_decode_string(&line->text);
    return OUTCOME_DONE;
}

static bool is_blank(const struct bytes *text)
{
    for (size_t i = 0; i < text->size; i++) {
        if (strchr(" \t\r", text->data[i]) == NULL || text->data[i] == '\0')
            return false;
    }
    return true;
}

static size_t count_lines(const struct bytes *file)
{
    size_t count = 1;

    for (size_t i = 0; i < file->size; i++)
        count += file->data[i] == '\n';
    return count;
}

enum outcome prompts_read(struct prompts *prompts, const struct options *options)
{
    size_t at = 0;
    enum outcome outcome = bytes_read(&prompts->file, options->prompts);

    prompts->lines = NULL;
    prompts->count = 0;
    if (outcome != OUTCOME_DONE)
        return outcome;
    prompts->lines = calloc(count_lines(&prompts->file), sizeof *prompts->lines);
    if (prompts->lines == NULL)
        return complain_memory();
    for (size_t number = 1; at < prompts->file.size && outcome == OUTCOME_DONE; number++) {
        struct prompt_line *line = &prompts->lines[prompts->count];
        char *start = prompts->file.data + at;
        const char *end = memchr(start, '\n', prompts->file.size - at);
        char origin[ORIGIN_BYTES];

        line->number = number;
        line->text.data = start;
        line->text.size = end != NULL ? (size_t)(end - start) : prompts->file.size - at;
        at += line->text.size + 1;
        if (options->jsonl && is_blank(&line->text))
            continue;
        prompts_name_line(origin, options, number);
        if (options->jsonl)
            outcome = read_json(line, origin);
        prompts->count++;
    }
    return outcome;
}

void prompts_encode(struct prompts *prompts, const struct options *options,
                    const gpt2_model_info *info, const gpt2_tokenizer *tokenizer)
{
    for (size_t i = 0; i < prompts->count; i++) {
        struct prompt_line *line = &prompts->lines[i];
        char origin[ORIGIN_BYTES];

        prompts_name_line(origin, options, line->number);
        line->is_refused =
            ids_encode(&line->ids, tokenizer, line->text.data, line->text.size, options->special,
                       origin) != OUTCOME_DONE ||
            prompt_check_length(options, info, line->ids.count, origin) != OUTCOME_DONE;
    }
}

void prompts_free(struct prompts *prompts)
{
    for (size_t i = 0; i < prompts->count; i++)
        free(prompts->lines[i].ids.data);
    free(prompts->lines);
    free(prompts->file.data);
    memset(prompts, 0, sizeof *prompts);
}
