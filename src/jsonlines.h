/*
 * jsonlines.h: JSON lines: one object a line.
 *
 * Reading is strict: it accepts what RFC 8259 calls JSON, and in the object only the members that the
 * caller knows, each at most once.
 */
#ifndef JSONLINES_H
#define JSONLINES_H

#include <stdbool.h>
#include <stddef.h>

#include "command.h"
#include "input.h"

enum json_kind { JSON_STRING, JSON_NUMBER, JSON_ANY };

/* A member that an object may have. */
struct json_member {
    const char *name;
    enum json_kind kind;
    struct bytes
        value; /* its bytes in the line, a string with its quotes; data NULL: it is absent */
};

#define JSON_PROBLEM_BYTES 160

/*
 * Finds the members of the object that is line[0..n_bytes).  The values point into the line.
 * False: 'problem' receives what was found, and what was wanted.
 */
bool json_read_object(char *line, size_t n_bytes, struct json_member *members, size_t n_members,
                      char problem[JSON_PROBLEM_BYTES]);

/* Replaces a string that json_read_object() found by the text that it means, in the same place. */
void json_decode_string(struct bytes *string);

/*
 * The length of the UTF-8 character at 'text', 1 to 4.  If there is none, '*is_whole' is false and the
 * length is that of the bytes that could begin one, at least 1.
 */
size_t json_character(const char *text, size_t n_bytes, bool *is_whole);

/*
 * Writes a text to standard output as a JSON string.  Bytes that are not UTF-8 become U+FFFD, one for
 * each run that could begin a character, as Python's errors="replace" does.
 */
enum outcome json_write_string(const char *text, size_t n_bytes);

#endif
