/*
 * texts.c: prints texts: plain, or as lines of JSON.
 */
#include "texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jsonlines.h"
#include "messages.h"

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

/* The bytes of these tokens; the caller frees them. */
static enum outcome decode(const struct text_printer *printer, const struct ids *ids,
                           struct bytes *bytes)
{
    char detail[GPT2_ERRBUF_BYTES] = "";
    int32_t status = gpt2_decode(printer->tokenizer, ids->data, ids->count, NULL, 0, &bytes->size,
                                 detail, sizeof detail);

    if (status == GPT2_ERR_BUFFER) {
        bytes->data = malloc(bytes->size);
        if (bytes->data == NULL)
            return complain_memory();
        status = gpt2_decode(printer->tokenizer, ids->data, ids->count, bytes->data, bytes->size,
                             &bytes->size, detail, sizeof detail);
    }
    return status == GPT2_OK ? OUTCOME_DONE : complain_status(status, detail);
}

/* "==> line 3 <==", the text, and a newline; between two texts an empty line. */
static enum outcome print_plain(const struct text_printer *printer, const struct text *text,
                                const struct bytes *bytes)
{
    const struct prompt_line *prompt = text->prompt;
    bool has_prompt = !printer->options->no_echo && !prompt->is_refused;
    bool is_line = printer->options->prompts != NULL;
    char header[64];
    enum outcome outcome;

    snprintf(header, sizeof header, "%s==> %s %zu <==\n", text->index > 0 ? "\n" : "",
             is_line ? "line" : "choice", is_line ? prompt->number : text->index + 1);
    outcome = write_words(header);
    if (outcome == OUTCOME_DONE && has_prompt)
        outcome = printer->is_in_ids ? write_ids(&prompt->ids)
                                     : output_write(prompt->text.data, prompt->text.size);
    if (outcome == OUTCOME_DONE && printer->is_in_ids && has_prompt && prompt->ids.count > 0 &&
        text->ids.count > 0)
        outcome = write_words(" ");
    if (outcome == OUTCOME_DONE)
        outcome =
            printer->is_in_ids ? write_ids(&text->ids) : output_write(bytes->data, bytes->size);
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

static enum outcome print_json(const struct text_printer *printer, const struct text *text,
                               const struct bytes *bytes)
{
    static const char *const stops[] = {[STOP_EOT] = "eot",
                                        [STOP_LENGTH] = "length",
                                        [STOP_CONTEXT] = "context",
                                        [STOP_ERROR] = "error"};
    const struct prompt_line *prompt = text->prompt;
    char words[96];
    enum outcome outcome;

    snprintf(words, sizeof words, "{\"index\": %zu", text->index);
    outcome = write_words(words);
    if (outcome == OUTCOME_DONE && prompt->id.data != NULL) {
        outcome = write_words(", \"id\": ");
        if (outcome == OUTCOME_DONE)
            outcome = output_write(prompt->id.data, prompt->id.size);
    }
    if (outcome == OUTCOME_DONE && !printer->options->no_echo)
        outcome = write_member(printer, ", \"prompt\": ", &prompt->text, &prompt->ids);
    if (outcome == OUTCOME_DONE)
        outcome = write_member(printer, ", \"text\": ", bytes, &text->ids);
    snprintf(words, sizeof words, ", \"n_tokens\": %zu, \"stop\": \"%s\"}\n", text->ids.count,
             stops[text->stop]);
    return outcome == OUTCOME_DONE ? write_words(words) : outcome;
}

enum outcome text_print(const struct text_printer *printer, const struct text *text)
{
    struct bytes bytes = {NULL, 0};
    enum outcome outcome = OUTCOME_DONE;

    if (!printer->is_in_ids)
        outcome = decode(printer, &text->ids, &bytes);
    if (outcome == OUTCOME_DONE)
        outcome = printer->options->jsonl ? print_json(printer, text, &bytes)
                                          : print_plain(printer, text, &bytes);
    free(bytes.data);
    return outcome == OUTCOME_DONE ? output_flush() : outcome;
}
