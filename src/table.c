/*
 * table.c: rows with tabs between the columns, or as JSON lines.
 */
#include "table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jsonlines.h"
#include "messages.h"

static void write_bytes(struct table *table, const char *bytes, size_t n_bytes)
{
    if (table->outcome == OUTCOME_DONE)
        table->outcome = output_write(bytes, n_bytes);
}

static void write_words(struct table *table, const char *words)
{
    write_bytes(table, words, strlen(words));
}

bool table_begin(struct table *table, bool is_json, bool is_in_bits)
{
    *table = (struct table){.is_json = is_json, .is_in_bits = is_in_bits, .is_head = !is_json};
    return table->is_head;
}

/* What stands before a value.  False: there is no value, since this is the line of names. */
static bool begin_cell(struct table *table, const char *name, const char *unit)
{
    char words[96];
    bool is_first = table->column++ == 0;

    if (table->is_json) {
        snprintf(words, sizeof words, "%s\"%s%s\": ", is_first ? "{" : ", ", name, unit);
        write_words(table, words);
        return true;
    }
    if (!is_first)
        write_words(table, "\t");
    if (!table->is_head)
        return true;
    if (table->list != NULL)
        snprintf(words, sizeof words, "%s%zu_%s%s", table->list, table->item, name, unit);
    else
        snprintf(words, sizeof words, "%s%s", name, unit);
    write_words(table, words);
    return false;
}

void table_optional(struct table *table, const char *name, bool is_known, int64_t value)
{
    char words[32];

    if (is_known)
        snprintf(words, sizeof words, "%" PRId64, value);
    else
        snprintf(words, sizeof words, "%s", table->is_json ? "null" : "");
    if (begin_cell(table, name, ""))
        write_words(table, words);
}

void table_integer(struct table *table, const char *name, int64_t value)
{
    table_optional(table, name, true, value);
}

void table_amount(struct table *table, const char *name, double nats)
{
    double value = table->is_in_bits ? nats / log(2.0) : nats;
    char words[40];

    if (!begin_cell(table, name, table->is_in_bits ? "_bits" : "_nats"))
        return;
    if (isnan(value) || (table->is_json && isinf(value)))
        snprintf(words, sizeof words, "%s", table->is_json ? "null" : "");
    else
        snprintf(words, sizeof words, "%.9g", value);
    write_words(table, words);
}

/* A text between tabs. */
static void write_escaped(struct table *table, const char *text, size_t n_bytes)
{
    static const char controls[] = "\t\n\r\\", letters[] = "tnr\\";

    for (size_t at = 0; at < n_bytes;) {
        const char *control = text[at] != '\0' ? strchr(controls, text[at]) : NULL;
        bool is_whole;
        size_t length = utf8_length(text + at, n_bytes - at, &is_whole);
        unsigned char first = (unsigned char)text[at];
        char words[8];

        if (control != NULL) {
            snprintf(words, sizeof words, "\\%c", letters[control - controls]);
            write_words(table, words);
        } else if (!is_whole || first < 0x20 || first == 0x7f) {
            length = 1;
            snprintf(words, sizeof words, "\\x%02x", (unsigned)first);
            write_words(table, words);
        } else {
            write_bytes(table, text + at, length);
        }
        at += length;
    }
}

void table_text(struct table *table, const char *name, const char *text, size_t n_bytes)
{
    if (!begin_cell(table, name, ""))
        return;
    if (!table->is_json)
        write_escaped(table, text, n_bytes);
    else if (table->outcome == OUTCOME_DONE)
        table->outcome = json_write_string(text, n_bytes);
}

void table_list(struct table *table, const char *name)
{
    table->list = name;
    table->item = 0;
    if (!table->is_json)
        return;
    (void)begin_cell(table, name, "");
    write_words(table, "[");
}

void table_item(struct table *table)
{
    table->item++;
    if (!table->is_json)
        return;
    if (table->item > 1)
        write_words(table, "}, ");
    table->column = 0;
}

void table_list_end(struct table *table)
{
    table->list = NULL;
    if (table->is_json)
        write_words(table, table->item > 0 ? "}]" : "]");
}

enum outcome table_end_row(struct table *table)
{
    write_words(table, table->is_json ? "}\n" : "\n");
    table->column = 0;
    table->is_head = false;
    return table->outcome;
}
