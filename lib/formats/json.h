/*
 * json.h: a pull parser over the caller's bytes.
 *
 * No allocation and no recursion; hostile input gives GPT2_ERR_FORMAT.  It accepts what RFC 8259
 * accepts, nested at most 64 deep.
 */
#ifndef GPT2I_JSON_H
#define GPT2I_JSON_H

#include "../base/status.h"

enum gpt2i_json_type {
    GPT2I_JSON_END, /* of the text, after the outermost value */
    GPT2I_JSON_OBJECT_BEGIN,
    GPT2I_JSON_OBJECT_END,
    GPT2I_JSON_ARRAY_BEGIN,
    GPT2I_JSON_ARRAY_END,
    GPT2I_JSON_KEY, /* a string before a colon; the next event begins its value */
    GPT2I_JSON_STRING,
    GPT2I_JSON_NUMBER,
    GPT2I_JSON_TRUE,
    GPT2I_JSON_FALSE,
    GPT2I_JSON_NULL
};

struct gpt2i_json_event {
    enum gpt2i_json_type type;
    const char *text; /* a key's or string's inside, escapes still in it; a number's digits */
    size_t length;
};

struct gpt2i_json {
    const char *path; /* for error lines */
    const char *text;
    size_t length;
    size_t at;
    uint64_t is_object; /* bit d: the container at depth d is an object */
    int32_t depth;
    int32_t expect; /* private to json.c */
};

/* 'text' and 'path' are borrowed for as long as the parser is used. */
GPT2I_HIDDEN void gpt2i_json_begin(struct gpt2i_json *json, const char *text, size_t length,
                                   const char *path);

/* The next event.  Errors: GPT2_ERR_FORMAT, naming path and byte; the parser is of no use then. */
GPT2I_HIDDEN int32_t gpt2i_json_next(struct gpt2i_json *json, struct gpt2i_json_event *event,
                                     struct gpt2i_error *error);

/* Passes over one whole value, whatever it is; to be called where a value is next. */
GPT2I_HIDDEN int32_t gpt2i_json_skip(struct gpt2i_json *json, struct gpt2i_error *error);

/*
 * The text of a key or string with its escapes resolved, as UTF-8 (a lone surrogate is
 * GPT2_ERR_FORMAT), into buffer[capacity]; '*n_bytes' receives its length.  Not NUL-terminated.
 * Longer than capacity: GPT2_ERR_FORMAT.
 */
GPT2I_HIDDEN int32_t gpt2i_json_string(const struct gpt2i_json *json,
                                       const struct gpt2i_json_event *event, char *buffer,
                                       size_t capacity, size_t *n_bytes, struct gpt2i_error *error);

/* True if a key or string, escapes resolved, is exactly the NUL-terminated 'text'. */
GPT2I_HIDDEN bool gpt2i_json_equal(const struct gpt2i_json_event *event, const char *text);

/* A number as a non-negative integer up to 'max'; a fraction, exponent or sign: GPT2_ERR_FORMAT. */
GPT2I_HIDDEN int32_t gpt2i_json_u64(const struct gpt2i_json *json,
                                    const struct gpt2i_json_event *event, uint64_t max,
                                    uint64_t *value, struct gpt2i_error *error);

/* A number, correctly rounded to double, whatever the host's locale. */
GPT2I_HIDDEN int32_t gpt2i_json_double(const struct gpt2i_json *json,
                                       const struct gpt2i_json_event *event, double *value,
                                       struct gpt2i_error *error);

#define GPT2I_JSON_SHOWN_BYTES 48

/*
 * What an error line says was found: a number's digits, a string in quotes (as the file writes it,
 * cut if long), "true", "an object".  Returns 'shown'.
 */
GPT2I_HIDDEN const char *gpt2i_json_show(const struct gpt2i_json_event *event,
                                         char shown[GPT2I_JSON_SHOWN_BYTES]);

/* Fails with GPT2_ERR_FORMAT at the parser's place: "PATH: byte N: WHAT". */
GPT2I_HIDDEN int32_t gpt2i_json_fail(const struct gpt2i_json *json, const char *what,
                                     struct gpt2i_error *error);

#endif
