/*
 * jsonlines.c: a small JSON reader for one object a line, and a writer of strings.
 */
#include "jsonlines.h"

#include <stdio.h>
#include <stdint.h>
#include <string.h>

#include "messages.h"

#define MAX_DEPTH 64 /* of arrays and objects in a value */

size_t json_character(const char *text, size_t n_bytes, bool *is_whole)
{
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned char first = bytes[0], min = 0x80, max = 0xbf; /* of the second byte */
    size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    size_t i = 1;

    *is_whole = false;
    if ((first >= 0x80 && first < 0xc2) || first > 0xf4)
        return 1;
    if (first == 0xe0)
        min = 0xa0; /* less would have a shorter form */
    else if (first == 0xed)
        max = 0x9f; /* more is a surrogate */
    else if (first == 0xf0)
        min = 0x90;
    else if (first == 0xf4)
        max = 0x8f; /* more is beyond U+10FFFF */
    while (i < length && i < n_bytes && bytes[i] >= min && bytes[i] <= max) {
        min = 0x80;
        max = 0xbf;
        i++;
    }
    *is_whole = i == length;
    return i;
}

static size_t utf8_write(uint32_t code, char *text)
{
    if (code < 0x80) {
        text[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        text[0] = (char)(0xc0 | code >> 6);
        text[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        text[0] = (char)(0xe0 | code >> 12);
        text[1] = (char)(0x80 | (code >> 6 & 0x3f));
        text[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    text[0] = (char)(0xf0 | code >> 18);
    text[1] = (char)(0x80 | (code >> 12 & 0x3f));
    text[2] = (char)(0x80 | (code >> 6 & 0x3f));
    text[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* ------------------------------------------------------------------------------------- reading -- */

struct reader {
    char *line;
    size_t n_bytes;
    size_t at;
    const char *wanted; /* at 'at'; set by the first failure */
};

static bool want(struct reader *reader, const char *wanted)
{
    reader->wanted = wanted;
    return false;
}

/* The byte at 'at', or 0 at the end; a 0 in the line is no part of any JSON, so it fails as well. */
static char peek(const struct reader *reader)
{
    return reader->at < reader->n_bytes ? reader->line[reader->at] : '\0';
}

static bool take(struct reader *reader, char c)
{
    if (peek(reader) != c)
        return false;
    reader->at++;
    return true;
}

static void skip_space(struct reader *reader)
{
    while (peek(reader) == ' ' || peek(reader) == '\t' || peek(reader) == '\r' ||
           peek(reader) == '\n')
        reader->at++;
}

static bool take_digits(struct reader *reader)
{
    if (peek(reader) < '0' || peek(reader) > '9')
        return want(reader, "a digit");
    while (peek(reader) >= '0' && peek(reader) <= '9')
        reader->at++;
    return true;
}

static bool read_number(struct reader *reader)
{
    take(reader, '-');
    if (!take(reader, '0') && !take_digits(reader))
        return false;
    if (take(reader, '.') && !take_digits(reader))
        return false;
    if (take(reader, 'e') || take(reader, 'E')) {
        if (!take(reader, '+'))
            take(reader, '-');
        return take_digits(reader);
    }
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The four digits of \uXXXX, which are known to be there. */
static uint32_t hex4_value(const char *text)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++)
        value = value << 4 | (uint32_t)hex_value(text[i]);
    return value;
}

static bool read_hex4(struct reader *reader, uint32_t *value)
{
    size_t start = reader->at;

    for (int i = 0; i < 4; i++) {
        if (hex_value(peek(reader)) < 0)
            return want(reader, "four hexadecimal digits");
        reader->at++;
    }
    *value = hex4_value(reader->line + start);
    return true;
}

/* What follows a backslash. */
static bool read_escape(struct reader *reader)
{
    static const char second_half[] = "the second half of a surrogate pair, \\uDC00 to \\uDFFF";
    uint32_t code;

    if (peek(reader) != '\0' && strchr("\"\\/bfnrt", peek(reader)) != NULL) {
        reader->at++;
        return true;
    }
    if (!take(reader, 'u'))
        return want(reader, "an escape: \\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\uXXXX");
    if (!read_hex4(reader, &code))
        return false;
    if (code < 0xd800 || code > 0xdfff)
        return true;
    if (code >= 0xdc00) {
        reader->at -= 6;
        return want(reader, "the first half of a surrogate pair before the second");
    }
    if (!take(reader, '\\') || !take(reader, 'u'))
        return want(reader, second_half);
    if (!read_hex4(reader, &code))
        return false;
    if (code >= 0xdc00 && code <= 0xdfff)
        return true;
    reader->at -= 6;
    return want(reader, second_half);
}

static bool read_string(struct reader *reader)
{
    if (!take(reader, '"'))
        return want(reader, "a string");
    while (!take(reader, '"')) {
        bool is_whole;
        size_t length;

        if (reader->at == reader->n_bytes)
            return want(reader, "'\"' at the end of the string");
        if ((unsigned char)peek(reader) < 0x20)
            return want(reader, "an escape such as \\n for a control character");
        if (take(reader, '\\')) {
            if (!read_escape(reader))
                return false;
            continue;
        }
        length = json_character(reader->line + reader->at, reader->n_bytes - reader->at, &is_whole);
        if (!is_whole)
            return want(reader, "UTF-8");
        reader->at += length;
    }
    return true;
}

static bool read_word(struct reader *reader, const char *word)
{
    size_t length = strlen(word);

    if (reader->n_bytes - reader->at < length ||
        memcmp(reader->line + reader->at, word, length) != 0)
        return want(reader, "a value");
    reader->at += length;
    return true;
}

static bool read_value(struct reader *reader, int depth);

/* The elements of an array, or the members of an object, up to 'end'. */
static bool read_elements(struct reader *reader, char end, int depth)
{
    reader->at++;
    if (depth == MAX_DEPTH)
        return want(reader, "fewer arrays and objects in each other");
    skip_space(reader);
    if (take(reader, end))
        return true;
    for (;;) {
        skip_space(reader);
        if (end == '}') {
            if (!read_string(reader))
                return false;
            skip_space(reader);
            if (!take(reader, ':'))
                return want(reader, "':'");
            skip_space(reader);
        }
        if (!read_value(reader, depth + 1))
            return false;
        skip_space(reader);
        if (take(reader, end))
            return true;
        if (!take(reader, ','))
            return want(reader, end == '}' ? "',' or '}'" : "',' or ']'");
    }
}

static bool read_value(struct reader *reader, int depth)
{
    switch (peek(reader)) {
    case '"':
        return read_string(reader);
    case '[':
        return read_elements(reader, ']', depth);
    case '{':
        return read_elements(reader, '}', depth);
    case 't':
        return read_word(reader, "true");
    case 'f':
        return read_word(reader, "false");
    case 'n':
        return read_word(reader, "null");
    default:
        if (peek(reader) != '-' && (peek(reader) < '0' || peek(reader) > '9'))
            return want(reader, "a value");
        return read_number(reader);
    }
}

static bool has_kind(enum json_kind kind, char first)
{
    return kind == JSON_ANY ||
           (kind == JSON_STRING ? first == '"' : first == '-' || (first >= '0' && first <= '9'));
}

/* The member whose name is the string at 'start'; NULL if there is none. */
static struct json_member *find_member(const struct reader *reader, size_t start,
                                       struct json_member *members, size_t n_members)
{
    char name[128];
    struct bytes string = {name, reader->at - start};

    if (string.size > sizeof name)
        return NULL;
    memcpy(name, reader->line + start, string.size);
    json_decode_string(&string);
    for (size_t i = 0; i < n_members; i++) {
        if (strlen(members[i].name) == string.size &&
            memcmp(members[i].name, string.data, string.size) == 0)
            return &members[i];
    }
    return NULL;
}

/* Says that the member whose name is text[0..n_bytes) is not one of those wanted. */
static void describe_unknown(const char *text, int n_bytes, const struct json_member *members,
                             size_t n_members, char problem[JSON_PROBLEM_BYTES])
{
    size_t n = (size_t)snprintf(problem, JSON_PROBLEM_BYTES, "found the member %.*s, wanted",
                                n_bytes, text);

    for (size_t i = 0; i < n_members && n < JSON_PROBLEM_BYTES; i++)
        n += (size_t)snprintf(problem + n, JSON_PROBLEM_BYTES - n, "%s \"%s\"",
                              i == 0 ? "" : (i + 1 == n_members ? " or" : ","), members[i].name);
}

/* Reads a member.  False: 'wanted' is set, or 'problem'. */
static bool read_member(struct reader *reader, struct json_member *members, size_t n_members,
                        char problem[JSON_PROBLEM_BYTES])
{
    struct json_member *member;
    size_t start;

    skip_space(reader);
    start = reader->at;
    if (!read_string(reader))
        return false;
    member = find_member(reader, start, members, n_members);
    if (member == NULL) {
        size_t n_bytes = reader->at - start;

        describe_unknown(reader->line + start, n_bytes < 40 ? (int)n_bytes : 40, members, n_members,
                         problem);
        return false;
    }
    if (member->value.data != NULL) {
        snprintf(problem, JSON_PROBLEM_BYTES, "found \"%s\" twice, wanted it once", member->name);
        return false;
    }
    skip_space(reader);
    if (!take(reader, ':'))
        return want(reader, "':'");
    skip_space(reader);
    start = reader->at;
    if (!has_kind(member->kind, peek(reader)))
        return want(reader, member->kind == JSON_STRING ? "a string" : "a number");
    if (!read_value(reader, 0))
        return false;
    member->value.data = reader->line + start;
    member->value.size = reader->at - start;
    return true;
}

static bool read_object(struct reader *reader, struct json_member *members, size_t n_members,
                        char problem[JSON_PROBLEM_BYTES])
{
    skip_space(reader);
    if (!take(reader, '{'))
        return want(reader, "'{'");
    skip_space(reader);
    if (!take(reader, '}')) {
        do {
            if (!read_member(reader, members, n_members, problem))
                return false;
            skip_space(reader);
        } while (take(reader, ','));
        if (!take(reader, '}'))
            return want(reader, "',' or '}'");
    }
    skip_space(reader);
    return reader->at == reader->n_bytes || want(reader, "the end of the line");
}

bool json_read_object(char *line, size_t n_bytes, struct json_member *members, size_t n_members,
                      char problem[JSON_PROBLEM_BYTES])
{
    struct reader reader = {.line = line, .n_bytes = n_bytes};
    unsigned char found;

    for (size_t i = 0; i < n_members; i++)
        members[i].value = (struct bytes){NULL, 0};
    if (read_object(&reader, members, n_members, problem))
        return true;
    if (reader.wanted == NULL)
        return false;
    if (reader.at == n_bytes) {
        snprintf(problem, JSON_PROBLEM_BYTES, "the line ends, wanted %s", reader.wanted);
        return false;
    }
    found = (unsigned char)line[reader.at];
    if (found > 0x20 && found < 0x7f)
        snprintf(problem, JSON_PROBLEM_BYTES, "found '%c' at byte %zu, wanted %s", found,
                 reader.at + 1, reader.wanted);
    else
        snprintf(problem, JSON_PROBLEM_BYTES, "found the byte 0x%02x at byte %zu, wanted %s",
                 (unsigned)found, reader.at + 1, reader.wanted);
    return false;
}

void json_decode_string(struct bytes *string)
{
    static const char escapes[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    char *out = string->data;
    const char *in = string->data + 1; /* behind the quote */
    const char *end = string->data + string->size - 1;

    while (in < end) {
        const char *escape;
        uint32_t code;

        if (*in != '\\') {
            *out++ = *in++;
            continue;
        }
        in += 2;
        escape = strchr(escapes, in[-1]);
        if (escape != NULL) {
            *out++ = meanings[escape - escapes];
            continue;
        }
        if (in[-1] != 'u') {
            *out++ = in[-1];
            continue;
        }
        code = hex4_value(in);
        in += 4;
        if (code >= 0xd800 && code <= 0xdbff) {
            code = 0x10000 + ((code - 0xd800) << 10) + (hex4_value(in + 2) - 0xdc00);
            in += 6;
        }
        out += utf8_write(code, out); /* at most 4 bytes for 6, or 3 */
    }
    string->size = (size_t)(out - string->data);
}

/* ------------------------------------------------------------------------------------- writing -- */

/* Writes the escape of a character that a JSON string cannot hold as it is. */
static enum outcome write_escape(unsigned char c)
{
    static const char letters[] = "btn?fr"; /* of \b = 8 to \r = 13; 11 has none */
    char text[8];

    if (c == '"' || c == '\\')
        snprintf(text, sizeof text, "\\%c", c);
    else if (c >= 8 && c <= 13 && c != 11)
        snprintf(text, sizeof text, "\\%c", letters[c - 8]);
    else
        snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
    return output_write(text, strlen(text));
}

enum outcome json_write_string(const char *text, size_t n_bytes)
{
    enum outcome outcome = output_write("\"", 1);
    size_t at = 0;

    while (at < n_bytes && outcome == OUTCOME_DONE) {
        unsigned char c = (unsigned char)text[at];
        bool is_whole;
        size_t length = json_character(text + at, n_bytes - at, &is_whole);

        if (!is_whole)
            outcome = output_write("\xef\xbf\xbd", 3);
        else if (c < 0x20 || c == '"' || c == '\\')
            outcome = write_escape(c);
        else
            outcome = output_write(text + at, length);
        at += length;
    }
    return outcome == OUTCOME_DONE ? output_write("\"", 1) : outcome;
}
