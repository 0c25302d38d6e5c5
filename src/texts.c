/*
 * texts.c: texts that grow, and how they are printed: plain, or as lines of JSON.
 */
#include "texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jsonlines.h"
#include "messages.h"

/* Makes room for 'n' more items of 'item_bytes' behind the 'count' in *data. */
static enum outcome reserve(void **data, size_t *capacity, size_t count, size_t n,
                            size_t item_bytes)
{
    size_t wanted = *capacity;
    void *grown;

    while (wanted < count + n)
        wanted = wanted == 0 ? 64 : 2 * wanted;
    if (wanted == *capacity)
        return OUTCOME_DONE;
    grown = realloc(*data, wanted * item_bytes);
    if (grown == NULL)
        return complain_memory();
    *data = grown;
    *capacity = wanted;
    return OUTCOME_DONE;
}

enum outcome text_append_bytes(struct text *text, const char *bytes, size_t n_bytes)
{
    void *data = text->bytes.data;
    enum outcome outcome = reserve(&data, &text->bytes_capacity, text->bytes.size, n_bytes, 1);

    text->bytes.data = data;
    if (outcome != OUTCOME_DONE || n_bytes == 0)
        return outcome;
    memcpy(text->bytes.data + text->bytes.size, bytes, n_bytes);
    text->bytes.size += n_bytes;
    return OUTCOME_DONE;
}

enum outcome text_append_id(struct text *text, int32_t id)
{
    void *data = text->ids.data;
    enum outcome outcome = reserve(&data, &text->ids_capacity, text->ids.count, 1, sizeof id);

    text->ids.data = data;
    if (outcome == OUTCOME_DONE)
        text->ids.data[text->ids.count++] = id;
    return outcome;
}

void text_free(struct text *text)
{
    free(text->ids.data);
    free(text->bytes.data);
    logprobs_free(&text->logprobs);
    text->ids = (struct ids){NULL, 0};
    text->bytes = (struct bytes){NULL, 0};
}

/* The tokenizer that names tokens; NULL: they are printed as ids. */
static const gpt2_tokenizer *namer(const struct text_printer *printer)
{
    return printer->is_in_ids ? NULL : printer->tokenizer;
}

static enum outcome write_words(const char *words)
{
    return output_write(words, strlen(words));
}

static enum outcome write_ids(const struct ids *ids)
{
    enum outcome outcome = OUTCOME_DONE;

    for (size_t i = 0; i < ids->count && outcome == OUTCOME_DONE; i++) {
        char text[16] = " ";
        size_t n = 1 + id_format(ids->data[i], text + 1);

        outcome = output_write(i == 0 ? text + 1 : text, i == 0 ? n - 1 : n);
    }
    return outcome;
}

/* "==> line 3 <==", the text, and a newline; between two texts an empty line. */
static enum outcome print_plain(const struct text_printer *printer, const struct text *text)
{
    const struct prompt_line *prompt = text->prompt;
    bool has_prompt = !printer->options->no_echo && !prompt->is_refused;
    bool is_line = printer->options->prompts != NULL;
    char header[64];
    enum outcome outcome;

    snprintf(header, sizeof header, "%s==> %s %zu <==\n", text->index > 0 ? "\n" : "",
             is_line ? "line" : "choice", is_line ? prompt->number : text->index + 1);
    outcome = write_words(header);
    if (printer->is_table)
        return outcome == OUTCOME_DONE ? logprobs_write_table(&text->logprobs, namer(printer), 0)
                                       : outcome;
    if (outcome == OUTCOME_DONE && has_prompt)
        outcome = printer->is_in_ids ? write_ids(&prompt->ids)
                                     : output_write(prompt->text.data, prompt->text.size);
    if (outcome == OUTCOME_DONE && printer->is_in_ids && has_prompt && prompt->ids.count > 0 &&
        text->ids.count > 0)
        outcome = write_words(" ");
    if (outcome == OUTCOME_DONE)
        outcome = printer->is_in_ids ? write_ids(&text->ids)
                                     : output_write(text->bytes.data, text->bytes.size);
    return outcome == OUTCOME_DONE ? write_words("\n") : outcome;
}

/* Writes a string of JSON: a text, or ids with single spaces between. */
static enum outcome write_member(const struct text_printer *printer, const char *name,
                                 const struct bytes *bytes, const struct ids *ids)
{
    enum outcome outcome = write_words(name);

    if (outcome != OUTCOME_DONE || !printer->is_in_ids)
        return outcome == OUTCOME_DONE ? json_write_string(bytes->data, bytes->size) : outcome;
    outcome = write_words("\"");
    if (outcome == OUTCOME_DONE)
        outcome = write_ids(ids);
    return outcome == OUTCOME_DONE ? write_words("\"") : outcome;
}

static enum outcome print_json(const struct text_printer *printer, const struct text *text)
{
    static const char *const stops[] = {[STOP_EOT] = "eot",
                                        [STOP_STRING] = "string",
                                        [STOP_LENGTH] = "length",
                                        [STOP_CONTEXT] = "context",
                                        [STOP_ERROR] = "error"};
    const struct prompt_line *prompt = text->prompt;
    enum outcome outcome = OUTCOME_DONE;

    output_printf(&outcome, "{\"index\": %zu", text->index);
    if (outcome == OUTCOME_DONE && prompt->id.data != NULL) {
        outcome = write_words(", \"id\": ");
        if (outcome == OUTCOME_DONE)
            outcome = output_write(prompt->id.data, prompt->id.size);
    }
    if (outcome == OUTCOME_DONE && !printer->options->no_echo)
        outcome = write_member(printer, ", \"prompt\": ", &prompt->text, &prompt->ids);
    if (outcome == OUTCOME_DONE)
        outcome = write_member(printer, ", \"text\": ", &text->bytes, &text->ids);
    output_printf(&outcome, ", \"n_tokens\": %zu, \"stop\": \"%s\"", text->ids.count,
                  stops[text->stop]);
    if (printer->options->n_logprobs >= 0) {
        output_printf(&outcome, ", \"logprobs\": ");
        if (outcome == OUTCOME_DONE)
            outcome = logprobs_write_json(&text->logprobs, namer(printer), &text->bytes);
    }
    output_printf(&outcome, "}\n");
    return outcome;
}

/* Writes ids of a text that streams, from number 'first' on, with a space between two. */
static enum outcome stream_ids(struct text_printer *printer, const struct ids *ids, size_t first)
{
    enum outcome outcome = OUTCOME_DONE;

    for (size_t i = first; i < ids->count && outcome == OUTCOME_DONE; i++) {
        const struct ids one = {&ids->data[i], 1};

        if (printer->has_ids)
            outcome = write_words(" ");
        if (outcome == OUTCOME_DONE)
            outcome = write_ids(&one);
        printer->has_ids = true;
    }
    return outcome;
}

static enum outcome stream_prompt(struct text_printer *printer, const struct prompt_line *prompt)
{
    if (printer->has_begun || printer->options->no_echo || printer->is_table)
        return OUTCOME_DONE;
    return printer->is_in_ids ? stream_ids(printer, &prompt->ids, 0)
                              : output_write(prompt->text.data, prompt->text.size);
}

enum outcome text_stream(struct text_printer *printer, const struct text *text)
{
    enum outcome outcome = stream_prompt(printer, text->prompt);

    printer->has_begun = true;
    if (outcome == OUTCOME_DONE && printer->is_table)
        outcome = logprobs_write_table(&text->logprobs, namer(printer), printer->n_ids_shown);
    else if (outcome == OUTCOME_DONE && printer->is_in_ids)
        outcome = stream_ids(printer, &text->ids, printer->n_ids_shown);
    else if (outcome == OUTCOME_DONE && text->bytes.size > printer->n_bytes_shown)
        outcome = output_write(text->bytes.data + printer->n_bytes_shown,
                               text->bytes.size - printer->n_bytes_shown);
    printer->n_ids_shown = text->ids.count;
    printer->n_bytes_shown = text->bytes.size;
    return outcome == OUTCOME_DONE ? output_flush() : outcome;
}

static enum outcome end_stream(struct text_printer *printer, const struct text *text)
{
    enum outcome outcome = text_stream(printer, text);

    return outcome == OUTCOME_DONE && !printer->is_table ? write_words("\n") : outcome;
}

enum outcome text_print(struct text_printer *printer, const struct text *text)
{
    enum outcome outcome = printer->streams          ? end_stream(printer, text)
                           : printer->options->jsonl ? print_json(printer, text)
                                                     : print_plain(printer, text);

    return outcome == OUTCOME_DONE ? output_flush() : outcome;
}
