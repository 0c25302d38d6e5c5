/*
 * json.c: the pull parser, and what turns its strings and numbers into C values.
 *
 * The parser is a state machine of four states.  One bit for each open container says whether it is
 * an object, so nesting needs neither recursion nor memory.  Strings and numbers are checked where
 * they are passed over and converted only where someone asks, so that skipping costs one look at
 * each byte.
 */
#include "json.h"
#include "decimal.h"

#include <inttypes.h>

#define MAX_DEPTH 64 /* bits in gpt2i_json.is_object */

enum {
    EXPECT_VALUE,
    EXPECT_KEY,
    EXPECT_FIRST, /* of a container: a key or an element, or its end */
    EXPECT_NEXT   /* after a value: a comma, the end of the container, the end of the text */
};

/* The byte at the parser's place, -1 at the end. */
static int peek(const struct gpt2i_json *json)
{
    return json->at < json->length ? (unsigned char)json->text[json->at] : -1;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static void skip_space(struct gpt2i_json *json)
{
    for (int c = peek(json); c == ' ' || c == '\n' || c == '\r' || c == '\t'; c = peek(json))
        json->at++;
}

static bool in_object(const struct gpt2i_json *json)
{
    return (json->is_object >> (json->depth - 1) & 1) != 0;
}

int32_t gpt2i_json_fail(const struct gpt2i_json *json, const char *what, struct gpt2i_error *error)
{
    return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: byte %zu: %s", json->path, json->at, what);
}

void gpt2i_json_begin(struct gpt2i_json *json, const char *text, size_t length, const char *path)
{
    memset(json, 0, sizeof *json);
    json->path = path;
    json->text = text;
    json->length = length;
    json->expect = EXPECT_VALUE;
}

/* From an opening quote to behind the closing one. */
static int32_t scan_string(struct gpt2i_json *json, struct gpt2i_json_event *event,
                           struct gpt2i_error *error)
{
    size_t begin = ++json->at;

    for (;;) {
        int c = peek(json);

        while (c >= 0x20 && c != '"' && c != '\\') {
            json->at++;
            c = peek(json);
        }
        if (c == '"')
            break;
        if (c < 0x20)
            return gpt2i_json_fail(json,
                                   c < 0 ? "the text ends inside a string"
                                         : "a control character inside a string",
                                   error);
        json->at++; /* the backslash */
        c = peek(json);
        if (c <= 0 || strchr("\"\\/bfnrtu", c) == NULL)
            return gpt2i_json_fail(json, "an escape that JSON does not have", error);
        json->at++;
        for (int i = 0; c == 'u' && i < 4; i++, json->at++) {
            int digit = peek(json);

            if (!is_digit(digit) && !((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f'))
                return gpt2i_json_fail(json, "wanted four hex digits after \\u", error);
        }
    }
    event->text = json->text + begin;
    event->length = json->at - begin;
    json->at++;
    return GPT2_OK;
}

/* One or more digits. */
static bool scan_digits(struct gpt2i_json *json)
{
    size_t begin = json->at;

    while (is_digit(peek(json)))
        json->at++;
    return json->at > begin;
}

static int32_t scan_number(struct gpt2i_json *json, struct gpt2i_json_event *event,
                           struct gpt2i_error *error)
{
    size_t begin = json->at;

    if (peek(json) == '-')
        json->at++;
    if (peek(json) == '0')
        json->at++; /* a digit after it is an error of the next event */
    else if (!scan_digits(json))
        return gpt2i_json_fail(json, "wanted a digit", error);
    if (peek(json) == '.') {
        json->at++;
        if (!scan_digits(json))
            return gpt2i_json_fail(json, "wanted a digit after the decimal point", error);
    }
    if (peek(json) == 'e' || peek(json) == 'E') {
        json->at++;
        if (peek(json) == '+' || peek(json) == '-')
            json->at++;
        if (!scan_digits(json))
            return gpt2i_json_fail(json, "wanted a digit in the exponent", error);
    }
    event->type = GPT2I_JSON_NUMBER;
    event->text = json->text + begin;
    event->length = json->at - begin;
    return GPT2_OK;
}

static int32_t open_container(struct gpt2i_json *json, struct gpt2i_json_event *event,
                              struct gpt2i_error *error)
{
    bool object = peek(json) == '{';

    if (json->depth == MAX_DEPTH)
        return gpt2i_json_fail(json, "nested deeper than 64", error);
    json->is_object &= ~((uint64_t)1 << json->depth);
    json->is_object |= (uint64_t)object << json->depth;
    json->depth++;
    json->at++;
    json->expect = EXPECT_FIRST;
    event->type = object ? GPT2I_JSON_OBJECT_BEGIN : GPT2I_JSON_ARRAY_BEGIN;
    return GPT2_OK;
}

static int32_t close_container(struct gpt2i_json *json, struct gpt2i_json_event *event)
{
    event->type = in_object(json) ? GPT2I_JSON_OBJECT_END : GPT2I_JSON_ARRAY_END;
    json->depth--;
    json->at++;
    json->expect = EXPECT_NEXT;
    return GPT2_OK;
}

/* A key and its colon. */
static int32_t read_key(struct gpt2i_json *json, struct gpt2i_json_event *event,
                        struct gpt2i_error *error)
{
    int32_t status;

    if (peek(json) != '"')
        return gpt2i_json_fail(json, "wanted a key in double quotes", error);
    status = scan_string(json, event, error);
    if (status != GPT2_OK)
        return status;
    skip_space(json);
    if (peek(json) != ':')
        return gpt2i_json_fail(json, "wanted ':' after a key", error);
    json->at++;
    json->expect = EXPECT_VALUE;
    event->type = GPT2I_JSON_KEY;
    return GPT2_OK;
}

static int32_t read_literal(struct gpt2i_json *json, struct gpt2i_json_event *event,
                            enum gpt2i_json_type type, const char *literal,
                            struct gpt2i_error *error)
{
    size_t length = strlen(literal);

    if (json->length - json->at < length || memcmp(json->text + json->at, literal, length) != 0)
        return gpt2i_json_fail(json, "wanted a value", error);
    json->at += length;
    event->type = type;
    return GPT2_OK;
}

static int32_t read_value(struct gpt2i_json *json, struct gpt2i_json_event *event,
                          struct gpt2i_error *error)
{
    json->expect = EXPECT_NEXT;
    switch (peek(json)) {
    case '{':
    case '[':
        return open_container(json, event, error);
    case '"':
        event->type = GPT2I_JSON_STRING;
        return scan_string(json, event, error);
    case 't':
        return read_literal(json, event, GPT2I_JSON_TRUE, "true", error);
    case 'f':
        return read_literal(json, event, GPT2I_JSON_FALSE, "false", error);
    case 'n':
        return read_literal(json, event, GPT2I_JSON_NULL, "null", error);
    case -1:
        return gpt2i_json_fail(json, "the text ends where a value is wanted", error);
    default:
        if (peek(json) == '-' || is_digit(peek(json)))
            return scan_number(json, event, error);
        return gpt2i_json_fail(json, "wanted a value", error);
    }
}

int32_t gpt2i_json_next(struct gpt2i_json *json, struct gpt2i_json_event *event,
                        struct gpt2i_error *error)
{
    event->type = GPT2I_JSON_END;
    event->text = "";
    event->length = 0;
    skip_space(json);
    if (json->depth == 0 && json->expect == EXPECT_NEXT) {
        if (json->at < json->length)
            return gpt2i_json_fail(json, "wanted nothing after the outermost value", error);
        return GPT2_OK;
    }
    if (json->expect == EXPECT_FIRST || json->expect == EXPECT_NEXT) {
        bool object = in_object(json);

        if (peek(json) == (object ? '}' : ']'))
            return close_container(json, event);
        if (json->expect == EXPECT_NEXT) {
            if (peek(json) != ',')
                return gpt2i_json_fail(json, object ? "wanted ',' or '}'" : "wanted ',' or ']'",
                                       error);
            json->at++;
            skip_space(json);
        }
        json->expect = object ? EXPECT_KEY : EXPECT_VALUE;
    }
    return json->expect == EXPECT_KEY ? read_key(json, event, error)
                                      : read_value(json, event, error);
}

int32_t gpt2i_json_skip(struct gpt2i_json *json, struct gpt2i_error *error)
{
    int32_t depth = json->depth;

    do {
        struct gpt2i_json_event event;
        int32_t status = gpt2i_json_next(json, &event, error);

        if (status != GPT2_OK)
            return status;
        if (json->depth < depth || event.type == GPT2I_JSON_END)
            return gpt2i_json_fail(json, "wanted a value", error);
    } while (json->depth > depth);
    return GPT2_OK;
}

const char *gpt2i_json_show(const struct gpt2i_json_event *event,
                            char shown[GPT2I_JSON_SHOWN_BYTES])
{
    static const char names[][12] = {"nothing",  "an object", "}",    "an array", "]",   "a key",
                                     "a string", "a number",  "true", "false",    "null"};
    bool quoted = event->type == GPT2I_JSON_KEY || event->type == GPT2I_JSON_STRING;
    size_t room = GPT2I_JSON_SHOWN_BYTES - sizeof "\"...\"";
    size_t n_bytes = gpt2i_min(event->length, room);
    char *to = shown;

    if (!quoted && event->type != GPT2I_JSON_NUMBER) {
        memcpy(shown, names[event->type], sizeof names[0]);
        return shown;
    }
    if (quoted)
        *to++ = '"';
    memcpy(to, event->text, n_bytes);
    to += n_bytes;
    if (n_bytes < event->length) {
        memcpy(to, "...", 3);
        to += 3;
    }
    if (quoted)
        *to++ = '"';
    *to = '\0';
    return shown;
}

/* ------------------------------------------------------------------------------------ strings -- */

static uint32_t hex4(const char *digits)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++) {
        uint32_t c = (unsigned char)digits[i];

        value = value << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

static size_t put_utf8(uint32_t code, char utf8[4])
{
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        utf8[i] = (char)(0x80 | (code & 0x3f));
    utf8[0] = (char)(lead[n] | code);
    return n;
}

/* An escape, whose form scan_string() has checked. */
static size_t take_escape(const struct gpt2i_json_event *event, size_t *at, char utf8[4])
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *text = event->text + *at;
    const char *found = strchr(from, text[1]);
    size_t left = event->length - *at;
    uint32_t code, low;

    if (text[1] != 'u') {
        *at += 2;
        utf8[0] = found != NULL ? to[found - from] : text[1];
        return 1;
    }
    code = hex4(text + 2);
    *at += 6;
    if (code >= 0xd800 && code <= 0xdfff) {
        if (code >= 0xdc00 || left < 12 || text[6] != '\\' || text[7] != 'u')
            return 0;
        low = hex4(text + 8);
        if (low < 0xdc00 || low > 0xdfff)
            return 0;
        code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
        *at += 6;
    }
    return put_utf8(code, utf8);
}

/* A character of two to four bytes, as RFC 3629 allows: shortest form, no surrogates. */
static size_t take_multibyte(const struct gpt2i_json_event *event, size_t *at, char utf8[4])
{
    const unsigned char *text = (const unsigned char *)event->text + *at;
    size_t left = event->length - *at;
    unsigned char lead = text[0];
    size_t n = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    unsigned char second_min = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char second_max = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;

    if (lead < 0xc2 || lead > 0xf4 || left < n || text[1] < second_min || text[1] > second_max)
        return 0;
    for (size_t i = 2; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    memcpy(utf8, text, n);
    *at += n;
    return n;
}

/* The next character of a string: its bytes in UTF-8, or 0 if it is not one. */
static size_t take_character(const struct gpt2i_json_event *event, size_t *at, char utf8[4])
{
    char c = event->text[*at];

    if (c == '\\')
        return take_escape(event, at, utf8);
    if ((unsigned char)c >= 0x80)
        return take_multibyte(event, at, utf8);
    utf8[0] = c;
    ++*at;
    return 1;
}

/* Where an event begins, for error lines; the parser has passed it already. */
static size_t place_of(const struct gpt2i_json *json, const struct gpt2i_json_event *event)
{
    return event->length > 0 ? (size_t)(event->text - json->text) : json->at;
}

static int32_t fail_at(const struct gpt2i_json *json, const struct gpt2i_json_event *event,
                       const char *wanted, struct gpt2i_error *error)
{
    char shown[GPT2I_JSON_SHOWN_BYTES];

    return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: byte %zu: found %s, wanted %s", json->path,
                      place_of(json, event), gpt2i_json_show(event, shown), wanted);
}

int32_t gpt2i_json_string(const struct gpt2i_json *json, const struct gpt2i_json_event *event,
                          char *buffer, size_t capacity, size_t *n_bytes, struct gpt2i_error *error)
{
    size_t used = 0;

    *n_bytes = 0;
    if (event->type != GPT2I_JSON_KEY && event->type != GPT2I_JSON_STRING)
        return fail_at(json, event, "a string", error);
    for (size_t at = 0; at < event->length;) {
        char utf8[4];
        size_t n = take_character(event, &at, utf8);

        if (n == 0)
            return fail_at(json, event, "valid UTF-8 and whole surrogate pairs", error);
        if (n > capacity - used)
            return fail_at(json, event, "a shorter string", error);
        for (size_t i = 0; i < n; i++)
            buffer[used++] = utf8[i];
    }
    *n_bytes = used;
    return GPT2_OK;
}

bool gpt2i_json_equal(const struct gpt2i_json_event *event, const char *text)
{
    if (event->type != GPT2I_JSON_KEY && event->type != GPT2I_JSON_STRING)
        return false;
    for (size_t at = 0; at < event->length;) {
        char utf8[4];
        size_t n = take_character(event, &at, utf8);

        if (n == 0)
            return false;
        for (size_t i = 0; i < n; i++, text++) {
            if (*text == '\0' || *text != utf8[i])
                return false;
        }
    }
    return *text == '\0';
}

/* ------------------------------------------------------------------------------------ numbers -- */

int32_t gpt2i_json_u64(const struct gpt2i_json *json, const struct gpt2i_json_event *event,
                       uint64_t max, uint64_t *value, struct gpt2i_error *error)
{
    char shown[GPT2I_JSON_SHOWN_BYTES];
    uint64_t sum = 0;
    bool fits = event->type == GPT2I_JSON_NUMBER;

    *value = 0;
    for (size_t i = 0; fits && i < event->length; i++) {
        fits = is_digit(event->text[i]) && gpt2i_mul_u64(sum, 10, &sum) &&
               gpt2i_add_u64(sum, (uint64_t)(event->text[i] - '0'), &sum) && sum <= max;
    }
    if (!fits)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: byte %zu: found %s, wanted an integer from 0 to %" PRIu64,
                          json->path, place_of(json, event), gpt2i_json_show(event, shown), max);
    *value = sum;
    return GPT2_OK;
}

int32_t gpt2i_json_double(const struct gpt2i_json *json, const struct gpt2i_json_event *event,
                          double *value, struct gpt2i_error *error)
{
    *value = 0;
    if (event->type != GPT2I_JSON_NUMBER)
        return fail_at(json, event, "a number", error);
    if (!gpt2i_decimal_to_double(event->text, event->length, value))
        return fail_at(json, event, "a number that a double can hold", error);
    return GPT2_OK;
}
