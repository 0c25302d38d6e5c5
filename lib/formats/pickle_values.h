/*
 * pickle_values.h: what the pickle of a PyTorch state_dict is made of.
 *
 * A pickle may name a short list of classes and functions, each of which stands for a kind of value;
 * every other name is refused.
 */
#ifndef GPT2I_PICKLE_VALUES_H
#define GPT2I_PICKLE_VALUES_H

#include "../base/status.h"

enum gpt2i_pickle_kind {
    GPT2I_PICKLE_NONE,
    GPT2I_PICKLE_BOOL,
    GPT2I_PICKLE_INT,
    GPT2I_PICKLE_LONG, /* of more than 8 bytes */
    GPT2I_PICKLE_FLOAT,
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
    size_t frame_end;                  /* of the last frame; 0: there was none */
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

/* Whether a value is this text. */
GPT2I_HIDDEN bool gpt2i_pickle_is_text(const struct gpt2i_pickle *pickle,
                                       const struct gpt2i_pickle_value *value, const char *text);

/* Item i of a short tuple: of a storage, a tensor, or sizes. */
GPT2I_HIDDEN const struct gpt2i_pickle_value *
gpt2i_pickle_part(const struct gpt2i_pickle *pickle, const struct gpt2i_pickle_value *whole,
                  uint32_t i);

/* The value of pickle->items[item]. */
GPT2I_HIDDEN const struct gpt2i_pickle_value *gpt2i_pickle_item(const struct gpt2i_pickle *pickle,
                                                                uint32_t item);

/* Copies a TEXT that has no NUL inside and ends it with one; false if it is none or has no room. */
GPT2I_HIDDEN bool gpt2i_pickle_copy(const struct gpt2i_pickle *pickle,
                                    const struct gpt2i_pickle_value *text, char *to,
                                    size_t capacity);

/* What a DICT has under a key, the last one set; NULL if it does not have the key. */
GPT2I_HIDDEN const struct gpt2i_pickle_value *
gpt2i_pickle_find(const struct gpt2i_pickle *pickle, const struct gpt2i_pickle_value *dict,
                  const char *key);

/* The type of a storage's elements. */
GPT2I_HIDDEN struct gpt2i_pickle_dtype
gpt2i_pickle_dtype_of(const struct gpt2i_pickle *pickle, const struct gpt2i_pickle_value *storage);

/* What an error line calls a value: "a tuple". */
GPT2I_HIDDEN const char *gpt2i_pickle_show(const struct gpt2i_pickle_value *value);

/* Each of these makes one value, which the machine of pickle.c puts on its stack. */

/* A class or function of the short list.  Errors: GPT2_ERR_UNSUPPORTED, for every other name. */
GPT2I_HIDDEN int32_t gpt2i_pickle_name(const struct gpt2i_pickle *pickle,
                                       const struct gpt2i_pickle_value *module,
                                       const struct gpt2i_pickle_value *name,
                                       struct gpt2i_pickle_value *value, struct gpt2i_error *error);

/* What a call of a NAME with a TUPLE would give. */
GPT2I_HIDDEN int32_t gpt2i_pickle_call(const struct gpt2i_pickle *pickle,
                                       const struct gpt2i_pickle_value *name,
                                       const struct gpt2i_pickle_value *arguments,
                                       struct gpt2i_pickle_value *value, struct gpt2i_error *error);

/*
 * The storage of a persistent id (NULL: there is none), ('storage', torch.FloatStorage, '0', 'cpu', 6);
 * before torch 1.6 a None follows.
 */
GPT2I_HIDDEN int32_t gpt2i_pickle_storage(const struct gpt2i_pickle *pickle,
                                          const struct gpt2i_pickle_value *id,
                                          struct gpt2i_pickle_value *value,
                                          struct gpt2i_error *error);

#endif
