/*
 * fuzz_json.c: lib/formats/json.h on any bytes.
 *
 * It accepts just what a second, recursive recogniser of RFC 8259 accepts; its events nest; strings
 * are what a second reading of their escapes gives; numbers are what the C library makes of them;
 * skipping a value and reading it come to the same.
 */
#include "fuzz.h"
#include "formats/json.h"
#include "text/unicode.h"

#include <errno.h>
#include <math.h>

#define MOST_DEPTH 64

/* ---------------------------------------------------------------------------------- recogniser -- */

struct text {
    const char *at, *end;
};

static bool take(struct text *text, char c)
{
    if (text->at == text->end || *text->at != c)
        return false;
    text->at++;
    return true;
}

static bool take_any(struct text *text, const char *set)
{
    if (text->at == text->end || *text->at == '\0' || strchr(set, *text->at) == NULL)
        return false;
    text->at++;
    return true;
}

static void take_blanks(struct text *text)
{
    while (take_any(text, " \t\r\n"))
        continue;
}

static bool take_digits(struct text *text)
{
    bool found = false;

    while (take_any(text, "0123456789"))
        found = true;
    return found;
}

static bool take_number(struct text *text)
{
    (void)take(text, '-');
    if (!take(text, '0') && !take_digits(text))
        return false;
    if (take(text, '.') && !take_digits(text))
        return false;
    if (take_any(text, "eE")) {
        (void)take_any(text, "+-");
        return take_digits(text);
    }
    return true;
}

static bool take_string(struct text *text)
{
    if (!take(text, '"'))
        return false;
    while (!take(text, '"')) {
        if (text->at == text->end || (unsigned char)*text->at < 0x20)
            return false;
        if (!take(text, '\\')) {
            text->at++;
        } else if (take(text, 'u')) {
            for (int i = 0; i < 4; i++) {
                if (!take_any(text, "0123456789abcdefABCDEF"))
                    return false;
            }
        } else if (!take_any(text, "\"\\/bfnrt")) {
            return false;
        }
    }
    return true;
}

static bool take_word(struct text *text, const char *word)
{
    while (*word != '\0' && take(text, *word))
        word++;
    return *word == '\0';
}

static bool take_value(struct text *text, int depth)
{
    bool object;

    take_blanks(text);
    if (text->at == text->end)
        return false;
    switch (*text->at) {
    case '"':
        return take_string(text);
    case 't':
        return take_word(text, "true");
    case 'f':
        return take_word(text, "false");
    case 'n':
        return take_word(text, "null");
    case '{':
    case '[':
        break;
    default:
        return take_number(text);
    }
    object = *text->at++ == '{';
    if (depth == MOST_DEPTH)
        return false;
    take_blanks(text);
    if (take(text, object ? '}' : ']'))
        return true;
    do {
        take_blanks(text);
        if (object) {
            if (!take_string(text))
                return false;
            take_blanks(text);
            if (!take(text, ':'))
                return false;
        }
        if (!take_value(text, depth + 1))
            return false;
        take_blanks(text);
    } while (take(text, ','));
    return take(text, object ? '}' : ']');
}

static bool is_json(const char *bytes, size_t n_bytes)
{
    struct text text = {bytes, bytes + n_bytes};

    if (!take_value(&text, 0))
        return false;
    take_blanks(&text);
    return text.at == text.end;
}

/* ------------------------------------------------------------------------------------- strings -- */

static uint32_t hex4(const char *digits)
{
    char copy[5] = {digits[0], digits[1], digits[2], digits[3], '\0'};

    return (uint32_t)strtoul(copy, NULL, 16);
}

static size_t put_character(uint32_t c, char *to)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 0x3f));
        to[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 0x3f));
    to[2] = (char)(0x80 | (c >> 6 & 0x3f));
    to[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* The string that an event's text stands for, in out[length]; false if it is not one. */
static bool unescape(const char *text, size_t length, char *out, size_t *n_out)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";

    *n_out = 0;
    for (size_t at = 0; at < length;) {
        uint32_t c = (unsigned char)text[at];

        if (c != '\\') {
            size_t n = gpt2i_utf8_read((const unsigned char *)text + at, length - at, &c);

            if (n == 0)
                return false;
            at += n;
        } else if (text[at + 1] != 'u') {
            c = (unsigned char)meant[strchr(letters, text[at + 1]) - letters];
            at += 2;
        } else {
            c = hex4(text + at + 2);
            at += 6;
            if (c >= 0xdc00 && c < 0xe000)
                return false;
            if (c >= 0xd800 && c < 0xdc00) {
                uint32_t low = 0;

                if (length - at >= 6 && text[at] == '\\' && text[at + 1] == 'u')
                    low = hex4(text + at + 2);
                if (low < 0xdc00 || low >= 0xe000)
                    return false;
                c = 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00));
                at += 6;
            }
        }
        *n_out += put_character(c, out + *n_out);
    }
    return true;
}

static void check_string(const struct gpt2i_json *json, const struct gpt2i_json_event *event)
{
    char *wanted = take_bytes(event->length + 1), *found;
    size_t n_wanted, n_found;
    bool valid = unescape(event->text, event->length, wanted, &n_wanted);

    found = take_bytes(valid ? n_wanted : event->length);
    CHECK(gpt2i_json_string(json, event, found, valid ? n_wanted : event->length, &n_found, NULL) ==
          (valid ? GPT2_OK : GPT2_ERR_FORMAT));
    if (valid) {
        CHECK(n_found == n_wanted && memcmp(found, wanted, n_wanted) == 0);
        wanted[n_wanted] = '\0';
        CHECK(gpt2i_json_equal(event, wanted) == (strlen(wanted) == n_wanted));
        if (n_wanted > 0) {
            CHECK(gpt2i_json_string(json, event, found, n_wanted - 1, &n_found, NULL) ==
                  GPT2_ERR_FORMAT);
            wanted[n_wanted - 1] ^= 1;
            CHECK(!gpt2i_json_equal(event, wanted));
        }
    } else {
        CHECK(!gpt2i_json_equal(event, ""));
    }
    free(found);
    free(wanted);
}

/* ------------------------------------------------------------------------------------- numbers -- */

static void check_number(const struct gpt2i_json *json, const struct gpt2i_json_event *event)
{
    static const uint64_t limits[] = {0, 999, INT64_MAX, UINT64_MAX};
    char *copy = take_bytes(event->length + 1);
    double wanted, found;
    bool digits = true;
    unsigned long long number;

    memcpy(copy, event->text, event->length);
    copy[event->length] = '\0';
    wanted = strtod(copy, NULL);
    CHECK(gpt2i_json_double(json, event, &found, NULL) ==
          (isinf(wanted) ? GPT2_ERR_FORMAT : GPT2_OK));
    CHECK(isinf(wanted) || memcmp(&found, &wanted, sizeof found) == 0);

    for (size_t i = 0; i < event->length; i++)
        digits = digits && copy[i] >= '0' && copy[i] <= '9';
    errno = 0;
    number = strtoull(copy, NULL, 10);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        bool fits = digits && errno == 0 && number <= limits[i];
        uint64_t value;

        CHECK(gpt2i_json_u64(json, event, limits[i], &value, NULL) ==
              (fits ? GPT2_OK : GPT2_ERR_FORMAT));
        CHECK(value == (fits ? number : 0));
    }
    free(copy);
}

/* -------------------------------------------------------------------------------------- events -- */

static void check_event(const struct gpt2i_json *json, const struct gpt2i_json_event *event)
{
    bool is_string = event->type == GPT2I_JSON_KEY || event->type == GPT2I_JSON_STRING;
    char shown[GPT2I_JSON_SHOWN_BYTES];
    char byte;
    size_t n_bytes;
    uint64_t integer;
    double number;

    CHECK(gpt2i_json_show(event, shown) == shown);
    CHECK(memchr(shown, '\0', sizeof shown) != NULL);
    if (is_string || event->type == GPT2I_JSON_NUMBER)
        CHECK(event->text >= json->text && event->text + event->length <= json->text + json->at);
    if (is_string) {
        check_string(json, event);
    } else {
        CHECK(gpt2i_json_string(json, event, &byte, 1, &n_bytes, NULL) == GPT2_ERR_FORMAT);
        CHECK(!gpt2i_json_equal(event, ""));
    }
    if (event->type == GPT2I_JSON_NUMBER) {
        check_number(json, event);
    } else {
        CHECK(gpt2i_json_u64(json, event, UINT64_MAX, &integer, NULL) == GPT2_ERR_FORMAT);
        CHECK(gpt2i_json_double(json, event, &number, NULL) == GPT2_ERR_FORMAT);
    }
}

static int32_t next(struct gpt2i_json *json, struct gpt2i_json_event *event)
{
    char line[160] = "";
    struct gpt2i_error error = {line, sizeof line};
    size_t before = json->at;
    int32_t status = gpt2i_json_next(json, event, &error);

    CHECK(json->at >= before && json->at <= json->length);
    CHECK(json->depth >= 0 && json->depth <= MOST_DEPTH);
    CHECK(status == GPT2_OK || status == GPT2_ERR_FORMAT);
    CHECK((status == GPT2_OK) == (line[0] == '\0'));
    CHECK(status == GPT2_OK || strncmp(line, "x.json: byte ", 13) == 0);
    return status;
}

/* The value that begins with 'event', by its events; 'skips': every second value of an object is
   passed over instead. */
static int32_t read_value(struct gpt2i_json *json, const struct gpt2i_json_event *event, bool skips)
{
    bool object = event->type == GPT2I_JSON_OBJECT_BEGIN;
    int32_t depth = json->depth;

    check_event(json, event);
    if (!object && event->type != GPT2I_JSON_ARRAY_BEGIN) {
        CHECK(event->type >= GPT2I_JSON_STRING);
        return GPT2_OK;
    }
    for (size_t i = 0;; i++) {
        struct gpt2i_json_event inside;
        int32_t status;

        CHECK(json->depth == depth);
        status = next(json, &inside);
        if (status != GPT2_OK)
            return status;
        if (inside.type == (object ? GPT2I_JSON_OBJECT_END : GPT2I_JSON_ARRAY_END)) {
            check_event(json, &inside);
            return GPT2_OK;
        }
        if (object) {
            CHECK(inside.type == GPT2I_JSON_KEY);
            check_event(json, &inside);
            if (skips && i % 2 == 1) {
                status = gpt2i_json_skip(json, NULL);
                if (status != GPT2_OK)
                    return status;
                continue;
            }
            status = next(json, &inside);
            if (status != GPT2_OK)
                return status;
        }
        status = read_value(json, &inside, skips);
        if (status != GPT2_OK)
            return status;
    }
}

static int32_t read_end(struct gpt2i_json *json)
{
    for (int i = 0; i < 2; i++) { /* it comes as often as one asks */
        struct gpt2i_json_event event;
        int32_t status = next(json, &event);

        if (status != GPT2_OK)
            return status;
        CHECK(event.type == GPT2I_JSON_END && json->depth == 0);
        check_event(json, &event);
    }
    return GPT2_OK;
}

static bool read_all(const char *text, size_t length, bool skips)
{
    struct gpt2i_json json;
    struct gpt2i_json_event event;

    gpt2i_json_begin(&json, text, length, "x.json");
    return next(&json, &event) == GPT2_OK && read_value(&json, &event, skips) == GPT2_OK &&
           read_end(&json) == GPT2_OK;
}

static bool skip_all(const char *text, size_t length)
{
    struct gpt2i_json json;

    gpt2i_json_begin(&json, text, length, "x.json");
    return gpt2i_json_skip(&json, NULL) == GPT2_OK && read_end(&json) == GPT2_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    bool wanted = is_json(text, size);

    CHECK(read_all(text, size, false) == wanted);
    CHECK(read_all(text, size, true) == wanted);
    CHECK(skip_all(text, size) == wanted);
    return 0;
}
