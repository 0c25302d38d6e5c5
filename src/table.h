/*
 * table.h: writes a table to standard output: lines with tabs between the columns below a line of their
 * names, or JSON objects, one a line.
 *
 * A row is written by calls that each name a column.  For the line of names the same calls are made
 * once with any values, between table_begin() and table_end_row().  A failed write is remembered.
 */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "command.h"

struct table {
    bool is_json;
    bool is_in_bits;  /* logarithms are to base 2, else natural */
    bool is_head;     /* the next row is the line of names */
    size_t column;    /* of the row, from 0 */
    const char *list; /* that the cells belong to; NULL: none */
    size_t item;      /* of that list, from 1 */
    enum outcome outcome;
};

/*
 * True: the caller now makes the calls of one row for the line of names.  JSON has none.
 */
bool table_begin(struct table *table, bool is_json, bool is_in_bits);

void table_integer(struct table *table, const char *name, int64_t value);

/* The same for a value that may be unknown: an empty cell, null in JSON. */
void table_optional(struct table *table, const char *name, bool is_known, int64_t value);

/* An amount in nats, written in the unit of the table, which ends the column's name.  NAN: unknown. */
void table_amount(struct table *table, const char *name, double nats);

/*
 * A text.  With tabs a backslash begins an escape: \t \n \r \\, and \xHH for other control characters
 * and for bytes that are not UTF-8.
 */
void table_text(struct table *table, const char *name, const char *text, size_t n_bytes);

/*
 * A list: table_list(), for each item table_item() and its cells, table_list_end().  In JSON it is an
 * array of objects, with tabs a column for each cell: NAME1_CELL, NAME2_CELL.
 */
void table_list(struct table *table, const char *name);
void table_item(struct table *table);
void table_list_end(struct table *table);

enum outcome table_end_row(struct table *table);

#endif
