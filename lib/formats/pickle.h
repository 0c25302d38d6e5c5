/*
 * pickle.h: Python's pickles of a PyTorch state_dict, interpreted as data.
 *
 * A pickle is a program for a stack machine that can call whatever Python can.  Here nothing is
 * called or looked up: a pickle may name a short list of classes and functions, each of which stands
 * for a kind of value, and every other name and opcode is refused.  No value is copied, so that
 * memory and time are bounded by the length of the pickle.
 */
#ifndef GPT2I_PICKLE_H
#define GPT2I_PICKLE_H

#include "../base/arena.h"
#include "../base/status.h"

enum gpt2i_pickle_kind {
    GPT2I_PICKLE_NONE,
    GPT2I_PICKLE_BOOL,
    GPT2I_PICKLE_INT,
    GPT2I_PICKLE_LONG, /* of more than 8 bytes */
    GPT2I_PICKLE_TEXT,
    GPT2I_PICKLE_NAME, /* a class or a function */
    GPT2I_PICKLE_TUPLE,
    GPT2I_PICKLE_LIST,
    GPT2I_PICKLE_DICT,    /* its items are keys and values in turn */
    GPT2I_PICKLE_STORAGE, /* 'storage', its type, key, place, number of elements */
    GPT2I_PICKLE_TENSOR   /* a storage, offset, sizes, strides, ... */
};

struct gpt2i_pickle_value {
    enum gpt2i_pickle_kind kind;
    uint32_t n;     /* items; bytes of a TEXT or LONG; the number of a NAME */
    uint32_t first; /* the first item; the first byte of a TEXT or LONG */
    uint32_t last;
    int64_t integer; /* of an INT */
};

/* A value in a tuple, list or dict. */
struct gpt2i_pickle_item {
    uint32_t value;
    uint32_t next;
};

/* One value for each opcode, and one item for each value that leaves the stack, are enough. */
struct gpt2i_pickle {
    const char *path; /* for error lines */
    const unsigned char *bytes;
    size_t n_bytes;
    size_t at;                         /* of the next opcode */
    struct gpt2i_pickle_value *values; /* [n_bytes] */
    struct gpt2i_pickle_item *items;   /* [n_bytes] */
    uint32_t *stack;                   /* [n_bytes] */
    uint32_t *memo;                    /* [n_bytes]: a value's number + 1; 0: nothing */
    uint32_t n_values, n_items, n_stack, n_memo;
    uint32_t memo_end; /* behind the highest number in the memo */
};

/* What a storage's type says of its elements. */
struct gpt2i_pickle_dtype {
    const char *dtype;
    int32_t type; /* GPT2_TYPE_*, or -1 */
    uint32_t n_bytes;
};

/* Places the machine for pickles that are together in 'n_bytes' (below 2^31) in an arena. */
GPT2I_HIDDEN void gpt2i_pickle_layout(struct gpt2i_pickle *pickle, struct gpt2i_arena *arena,
                                      size_t n_bytes);

/*
 * Runs the pickle that begins at pickle->at, up to its end; '*value' receives what it says.  Values
 * of earlier pickles in the same bytes stay.  Errors: GPT2_ERR_FORMAT, _UNSUPPORTED (a name or an
 * opcode that is no part of a state_dict).
 */
GPT2I_HIDDEN int32_t gpt2i_pickle_run(struct gpt2i_pickle *pickle,
                                      const struct gpt2i_pickle_value **value,
                                      struct gpt2i_error *error);

/* Item i of a short tuple: of a storage, a tensor, or sizes. */
GPT2I_HIDDEN const struct gpt2i_pickle_value *
gpt2i_pickle_part(const struct gpt2i_pickle *pickle, const struct gpt2i_pickle_value *whole,
                  uint32_t i);

/* The type of a storage's elements. */
GPT2I_HIDDEN struct gpt2i_pickle_dtype
gpt2i_pickle_dtype_of(const struct gpt2i_pickle *pickle, const struct gpt2i_pickle_value *storage);

/* What an error line calls a value: "a tuple". */
GPT2I_HIDDEN const char *gpt2i_pickle_show(const struct gpt2i_pickle_value *value);

#endif
