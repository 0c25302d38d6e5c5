/*
 * gguf.h: the directory of a GGUF file: its metadata, as keys and values, and where the list of its
 * tensors begins.
 *
 *     "GGUF", the version, how many tensors and keys     u32, u32, u64, u64
 *     keys and values                                    a string, a type (u32), a value
 *     tensors                                            gguf_tensors.c
 *     padding to a multiple of general.alignment
 *     the bytes of the tensors
 *
 * A string is its length (u64) and its bytes; an array is the type of its elements (u32), their number
 * (u64) and the elements.  Versions 2 and 3 are the same where numbers are little-endian.
 */
#ifndef GPT2I_GGUF_H
#define GPT2I_GGUF_H

#include "../base/source.h"

#define GPT2I_GGUF_KEYS       1024               /* limit of libgpt2; models have about 40 */
#define GPT2I_GGUF_NAME_BYTES 255                /* longest key or name, likewise */
#define GPT2I_GGUF_MAX_BYTES  ((size_t)32 << 20) /* of the directory, likewise */

/* Types of values, by their numbers in the file. */
enum gpt2i_gguf_type {
    GPT2I_GGUF_U8,
    GPT2I_GGUF_I8,
    GPT2I_GGUF_U16,
    GPT2I_GGUF_I16,
    GPT2I_GGUF_U32,
    GPT2I_GGUF_I32,
    GPT2I_GGUF_F32,
    GPT2I_GGUF_BOOL,
    GPT2I_GGUF_STRING,
    GPT2I_GGUF_ARRAY,
    GPT2I_GGUF_U64,
    GPT2I_GGUF_I64,
    GPT2I_GGUF_F64,
    GPT2I_GGUF_TYPES
};

/* What tokenizer.ggml.token_type says of a token. */
enum {
    GPT2I_GGUF_NORMAL = 1,
    GPT2I_GGUF_CONTROL = 3,
    GPT2I_GGUF_USER_DEFINED = 4,
    GPT2I_GGUF_UNUSED = 5, /* the id has no token */
    GPT2I_GGUF_LAST_TOKEN_TYPE = 6
};

/* Bytes of the file, without a NUL behind them. */
struct gpt2i_gguf_string {
    const char *text;
    size_t length;
};

static inline bool gpt2i_gguf_equal(struct gpt2i_gguf_string string, const char *text)
{
    return string.length == strlen(text) && memcmp(string.text, text, string.length) == 0;
}

/* How much of it an error line shows, for "%.*s". */
static inline int gpt2i_gguf_shown(struct gpt2i_gguf_string string)
{
    return (int)gpt2i_min(string.length, 40);
}

struct gpt2i_gguf_value {
    struct gpt2i_gguf_string key;
    uint32_t type; /* of the value, or of each element of an array */
    bool is_array;
    uint32_t element_bytes;     /* of a string: the least */
    size_t n_elements;          /* 1 if it is no array */
    const unsigned char *bytes; /* of all elements; they have been checked to be there */
};

struct gpt2i_gguf {
    struct gpt2i_source *source;
    const unsigned char *bytes; /* the beginning of the file, directory included, or NULL */
    size_t n_bytes;
    uint64_t n_tensors;
    size_t tensors_at; /* the byte where their list begins */
    size_t n_values;
    struct gpt2i_gguf_value *values;
    void *block; /* what 'bytes' and 'values' lie in */
    size_t block_bytes;
};

/* Walks through bytes of the directory.  After a failure it stays where it is. */
struct gpt2i_gguf_reader {
    const struct gpt2i_gguf *gguf;
    struct gpt2i_error *error;
    size_t at;
    bool is_cut; /* what comes next ends behind gguf->bytes, and inside the file */
};

/* Reads what comes after the metadata; it may find the bytes cut. */
typedef int32_t gpt2i_gguf_read(struct gpt2i_gguf_reader *reader, void *user);

/*
 * Opens a file and reads its metadata, then calls 'read' (NULL: nobody) with the reader at the list of
 * tensors; and all of that again, with more bytes, while bytes are cut.
 * The caller frees 'gguf' with gpt2i_gguf_close(); after a failure nothing stays open.
 * Errors: GPT2_ERR_FILE, _FORMAT, _UNSUPPORTED (a version, big-endian numbers), _MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_gguf_open(struct gpt2i_gguf *gguf, const struct gpt2i_files *files,
                                     const char *name, gpt2i_gguf_read *read, void *user,
                                     struct gpt2i_error *error);

/* Whether the files are one file that begins as GGUF does; false if it cannot be read. */
GPT2I_HIDDEN bool gpt2i_gguf_is(const struct gpt2i_files *files);

/* Does nothing if all is zero. */
GPT2I_HIDDEN void gpt2i_gguf_close(struct gpt2i_gguf *gguf);

/* Passes over n bytes that the file has; 'what' is for the error line. */
GPT2I_HIDDEN int32_t gpt2i_gguf_take(struct gpt2i_gguf_reader *reader, const char *what, uint64_t n,
                                     const unsigned char **bytes);

/* A string of 1 to GPT2I_GGUF_NAME_BYTES bytes, none of them NUL. */
GPT2I_HIDDEN int32_t gpt2i_gguf_take_name(struct gpt2i_gguf_reader *reader, const char *what,
                                          struct gpt2i_gguf_string *name);

/* The name in a GGUF file of a weight, by Hugging Face's name without "transformer.". */
GPT2I_HIDDEN void gpt2i_gguf_name(const char *name, char file_name[GPT2I_GGUF_NAME_BYTES]);

/* ggml's number of GPT2_TYPE_*. */
GPT2I_HIDDEN uint32_t gpt2i_gguf_type_number(int32_t type);

#endif
