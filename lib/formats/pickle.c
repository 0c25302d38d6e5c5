/*
 * pickle.c: the stack machine of pickle.h.
 *
 * The opcodes are those that Python's pickle writes for a state_dict, or for a dict of numbers and texts
 * that has one inside, protocols 2 to 5.
 */
#include "pickle.h"

#include <inttypes.h>

#define MARK UINT32_MAX /* on the stack, in place of a value's number */

enum opcode {
    OP_MARK = '(',
    OP_STOP = '.',
    OP_EMPTY_TUPLE = ')',
    OP_BINFLOAT = 'G',
    OP_BININT = 'J',
    OP_BININT1 = 'K',
    OP_BININT2 = 'M',
    OP_NONE = 'N',
    OP_BINPERSID = 'Q',
    OP_REDUCE = 'R',
    OP_BINSTRING = 'T', /* of Python 2 */
    OP_SHORT_BINSTRING = 'U',
    OP_BINUNICODE = 'X',
    OP_EMPTY_LIST = ']',
    OP_APPEND = 'a',
    OP_BUILD = 'b',
    OP_GLOBAL = 'c',
    OP_APPENDS = 'e',
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r',
    OP_SETITEM = 's',
    OP_TUPLE = 't',
    OP_SETITEMS = 'u',
    OP_EMPTY_DICT = '}',
    OP_PROTO = 0x80,
    OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87,
    OP_NEWTRUE = 0x88,
    OP_NEWFALSE = 0x89,
    OP_LONG1 = 0x8a,
    OP_SHORT_BINUNICODE = 0x8c,
    OP_BINUNICODE8 = 0x8d,
    OP_STACK_GLOBAL = 0x93,
    OP_MEMOIZE = 0x94,
    OP_FRAME = 0x95
};

static int32_t fail_pickle(const struct gpt2i_pickle *pickle, const char *what,
                           struct gpt2i_error *error)
{
    return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: before byte %zu of the pickle: %s", pickle->path,
                      pickle->at, what);
}

/* ------------------------------------------------------------------------------------ reading -- */

/* The next n bytes; NULL if there are fewer. */
static const unsigned char *take_bytes(struct gpt2i_pickle *pickle, uint64_t n)
{
    const unsigned char *bytes = pickle->bytes + pickle->at;

    if (n > pickle->n_bytes - pickle->at)
        return NULL;
    pickle->at += (size_t)n;
    return bytes;
}

/* A number of n bytes, at most 8, the lowest first. */
static bool take_number(struct gpt2i_pickle *pickle, size_t n, uint64_t *number)
{
    const unsigned char *bytes = take_bytes(pickle, n);

    *number = 0;
    for (size_t i = n; bytes != NULL && i-- > 0;)
        *number = *number << 8 | bytes[i];
    return bytes != NULL;
}

static int32_t fail_end(const struct gpt2i_pickle *pickle, struct gpt2i_error *error)
{
    return fail_pickle(pickle, "an opcode needs more bytes than there are", error);
}

/* --------------------------------------------------------------------------- stack and values -- */

static struct gpt2i_pickle_value *push(struct gpt2i_pickle *pickle, enum gpt2i_pickle_kind kind)
{
    struct gpt2i_pickle_value *value = &pickle->values[pickle->n_values];

    memset(value, 0, sizeof *value);
    value->kind = kind;
    pickle->stack[pickle->n_stack++] = pickle->n_values++;
    return value;
}

/* The value 'down' below the top; NULL for a mark, and where the stack is not so high. */
static struct gpt2i_pickle_value *peek_value(const struct gpt2i_pickle *pickle, uint32_t down)
{
    uint32_t number = down < pickle->n_stack ? pickle->stack[pickle->n_stack - 1 - down] : MARK;

    return number == MARK ? NULL : &pickle->values[number];
}

/* How many values are above the topmost mark. */
static bool above_mark(const struct gpt2i_pickle *pickle, uint32_t *n)
{
    for (*n = 0; *n < pickle->n_stack; ++*n) {
        if (pickle->stack[pickle->n_stack - 1 - *n] == MARK)
            return true;
    }
    return false;
}

/* Moves the upper n of the stack, none of them a mark, to the end of a container. */
static void move_items(struct gpt2i_pickle *pickle, struct gpt2i_pickle_value *to, uint32_t n)
{
    pickle->n_stack -= n;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t added = pickle->n_items++;

        pickle->items[added].value = pickle->stack[pickle->n_stack + i];
        pickle->items[added].next = 0;
        if (to->n == 0)
            to->first = added;
        else
            pickle->items[to->last].next = added;
        to->last = added;
        to->n++;
    }
}

static int32_t push_int(struct gpt2i_pickle *pickle, size_t n_bytes, struct gpt2i_error *error)
{
    uint64_t number;

    if (!take_number(pickle, n_bytes, &number))
        return fail_end(pickle, error);
    if (n_bytes == 4 && number > INT32_MAX) /* the only width that has a sign */
        number -= (uint64_t)1 << 32;
    push(pickle, GPT2I_PICKLE_INT)->integer = (int64_t)number;
    return GPT2_OK;
}

/* A value of 'length' bytes, whose length takes n_bytes. */
static int32_t push_bytes(struct gpt2i_pickle *pickle, enum gpt2i_pickle_kind kind, size_t n_bytes,
                          struct gpt2i_error *error)
{
    struct gpt2i_pickle_value *value;
    uint64_t length;
    const unsigned char *bytes;

    if (!take_number(pickle, n_bytes, &length) || (bytes = take_bytes(pickle, length)) == NULL)
        return fail_end(pickle, error);
    value = push(pickle, kind);
    value->n = (uint32_t)length;
    value->first = (uint32_t)(bytes - pickle->bytes);
    if (kind != GPT2I_PICKLE_LONG || length > 8)
        return GPT2_OK;
    value->kind = GPT2I_PICKLE_INT; /* in two's complement */
    for (size_t i = 0; i < 8; i++) {
        uint64_t byte = i < length ? bytes[i] : length > 0 && bytes[length - 1] > 0x7f ? 0xff : 0;

        value->integer = (int64_t)((uint64_t)value->integer | byte << 8 * i);
    }
    return GPT2_OK;
}

static int32_t push_tuple(struct gpt2i_pickle *pickle, uint32_t n, struct gpt2i_error *error)
{
    struct gpt2i_pickle_value tuple = {.kind = GPT2I_PICKLE_TUPLE};

    for (uint32_t i = 0; i < n; i++) {
        if (peek_value(pickle, i) == NULL)
            return fail_pickle(pickle, "a tuple needs more values than the stack has", error);
    }
    move_items(pickle, &tuple, n);
    *push(pickle, GPT2I_PICKLE_TUPLE) = tuple;
    return GPT2_OK;
}

static int32_t push_marked_tuple(struct gpt2i_pickle *pickle, struct gpt2i_error *error)
{
    struct gpt2i_pickle_value tuple = {.kind = GPT2I_PICKLE_TUPLE};
    uint32_t n;

    if (!above_mark(pickle, &n))
        return fail_pickle(pickle, "a mark is missing", error);
    move_items(pickle, &tuple, n);
    pickle->n_stack--; /* the mark */
    *push(pickle, GPT2I_PICKLE_TUPLE) = tuple;
    return GPT2_OK;
}

/* APPEND and SETITEM (1 item; a key and a value), APPENDS and SETITEMS (what is above the mark). */
static int32_t extend(struct gpt2i_pickle *pickle, enum gpt2i_pickle_kind kind, bool marked,
                      struct gpt2i_error *error)
{
    bool is_dict = kind == GPT2I_PICKLE_DICT;
    uint32_t n = is_dict ? 2 : 1;
    struct gpt2i_pickle_value *to;

    if (marked && !above_mark(pickle, &n))
        return fail_pickle(pickle, "a mark is missing", error);
    for (uint32_t i = 0; i < n; i++) {
        if (peek_value(pickle, i) == NULL)
            return fail_pickle(pickle, "items need more values than the stack has", error);
    }
    to = peek_value(pickle, n + marked);
    if (to == NULL || to->kind != kind)
        return fail_pickle(
            pickle, is_dict ? "items go to what is no dict" : "items go to what is no list", error);
    if (is_dict && n % 2 != 0)
        return fail_pickle(pickle, "a key has no value", error);
    move_items(pickle, to, n);
    pickle->n_stack -= marked;
    return GPT2_OK;
}

/* --------------------------------------------------------------------------------------- memo -- */

static int32_t put(struct gpt2i_pickle *pickle, uint64_t number, struct gpt2i_error *error)
{
    const struct gpt2i_pickle_value *value = peek_value(pickle, 0);

    if (value == NULL)
        return fail_pickle(pickle, "nothing is on the stack to be kept in the memo", error);
    if (number >= pickle->n_bytes)
        return fail_pickle(pickle, "a number of the memo is larger than the pickle", error);
    if (pickle->memo[number] == 0)
        pickle->n_memo++;
    pickle->memo[number] = pickle->stack[pickle->n_stack - 1] + 1;
    if (number >= pickle->memo_end)
        pickle->memo_end = (uint32_t)number + 1;
    return GPT2_OK;
}

static int32_t put_numbered(struct gpt2i_pickle *pickle, size_t n_bytes, struct gpt2i_error *error)
{
    uint64_t number;

    if (!take_number(pickle, n_bytes, &number))
        return fail_end(pickle, error);
    return put(pickle, number, error);
}

static int32_t get(struct gpt2i_pickle *pickle, size_t n_bytes, struct gpt2i_error *error)
{
    uint64_t number;

    if (!take_number(pickle, n_bytes, &number))
        return fail_end(pickle, error);
    if (number >= pickle->memo_end || pickle->memo[number] == 0)
        return fail_pickle(pickle, "the memo does not have what is taken from it", error);
    pickle->stack[pickle->n_stack++] = pickle->memo[number] - 1;
    return GPT2_OK;
}

/* ------------------------------------------------------------------------------------ objects -- */

/* Puts a value in the place of the upper n of the stack. */
static int32_t replace(struct gpt2i_pickle *pickle, uint32_t n, struct gpt2i_pickle_value value)
{
    pickle->n_stack -= n;
    *push(pickle, value.kind) = value;
    return GPT2_OK;
}

/* A text up to a line feed. */
static bool take_line(struct gpt2i_pickle *pickle, struct gpt2i_pickle_value *line)
{
    const unsigned char *bytes = pickle->bytes + pickle->at;
    const unsigned char *end = memchr(bytes, '\n', pickle->n_bytes - pickle->at);

    if (end == NULL)
        return false;
    line->kind = GPT2I_PICKLE_TEXT;
    line->first = (uint32_t)pickle->at;
    line->n = (uint32_t)(end - bytes);
    pickle->at += line->n + (size_t)1;
    return true;
}

static int32_t push_global(struct gpt2i_pickle *pickle, struct gpt2i_error *error)
{
    struct gpt2i_pickle_value module, name, value;
    int32_t status;

    if (!take_line(pickle, &module) || !take_line(pickle, &name))
        return fail_end(pickle, error);
    status = gpt2i_pickle_name(pickle, &module, &name, &value, error);
    return status == GPT2_OK ? replace(pickle, 0, value) : status;
}

static int32_t push_stack_global(struct gpt2i_pickle *pickle, struct gpt2i_error *error)
{
    const struct gpt2i_pickle_value *name = peek_value(pickle, 0), *module = peek_value(pickle, 1);
    struct gpt2i_pickle_value value;
    int32_t status;

    if (name == NULL || module == NULL || name->kind != GPT2I_PICKLE_TEXT ||
        module->kind != GPT2I_PICKLE_TEXT)
        return fail_pickle(pickle, "a name needs two texts on the stack", error);
    status = gpt2i_pickle_name(pickle, module, name, &value, error);
    return status == GPT2_OK ? replace(pickle, 2, value) : status;
}

/* A call of a name with a tuple. */
static int32_t reduce(struct gpt2i_pickle *pickle, struct gpt2i_error *error)
{
    const struct gpt2i_pickle_value *arguments = peek_value(pickle, 0),
                                    *name = peek_value(pickle, 1);
    struct gpt2i_pickle_value value;
    int32_t status;

    if (arguments == NULL || name == NULL || arguments->kind != GPT2I_PICKLE_TUPLE ||
        name->kind != GPT2I_PICKLE_NAME)
        return fail_pickle(pickle, "a call needs a name and a tuple on the stack", error);
    status = gpt2i_pickle_call(pickle, name, arguments, &value, error);
    return status == GPT2_OK ? replace(pickle, 2, value) : status;
}

static int32_t push_storage(struct gpt2i_pickle *pickle, struct gpt2i_error *error)
{
    struct gpt2i_pickle_value value;
    int32_t status = gpt2i_pickle_storage(pickle, peek_value(pickle, 0), &value, error);

    return status == GPT2_OK ? replace(pickle, 1, value) : status;
}

/* The attributes of a dict, such as the versions of modules, say nothing about tensors. */
static int32_t build_object(struct gpt2i_pickle *pickle, struct gpt2i_error *error)
{
    const struct gpt2i_pickle_value *attributes = peek_value(pickle, 0),
                                    *object = peek_value(pickle, 1);

    if (attributes == NULL || object == NULL || attributes->kind != GPT2I_PICKLE_DICT ||
        object->kind != GPT2I_PICKLE_DICT)
        return fail_pickle(pickle, "attributes are set of what is no dict", error);
    pickle->n_stack--;
    return GPT2_OK;
}

/* ------------------------------------------------------------------------------------ running -- */

/* What a float says is not asked for. */
static int32_t push_float(struct gpt2i_pickle *pickle, struct gpt2i_error *error)
{
    if (take_bytes(pickle, 8) == NULL)
        return fail_end(pickle, error);
    (void)push(pickle, GPT2I_PICKLE_FLOAT);
    return GPT2_OK;
}

static int32_t skip_header(struct gpt2i_pickle *pickle, unsigned opcode, struct gpt2i_error *error)
{
    uint64_t number;

    if (!take_number(pickle, opcode == OP_PROTO ? 1 : 8, &number))
        return fail_end(pickle, error);
    if (opcode == OP_PROTO && (number < 2 || number > 5))
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: the pickle has protocol %" PRIu64 ", wanted 2 to 5", pickle->path,
                          number);
    if (opcode == OP_FRAME && number > pickle->n_bytes - pickle->at)
        return fail_pickle(pickle, "a frame is longer than the pickle", error);
    if (opcode == OP_FRAME && pickle->at < pickle->frame_end)
        return fail_pickle(pickle, "a frame begins inside another", error);
    if (opcode == OP_FRAME)
        pickle->frame_end = pickle->at + (size_t)number;
    return GPT2_OK;
}

static int32_t push_bool(struct gpt2i_pickle *pickle, bool truth)
{
    push(pickle, GPT2I_PICKLE_BOOL)->integer = truth;
    return GPT2_OK;
}

static int32_t push_empty(struct gpt2i_pickle *pickle, enum gpt2i_pickle_kind kind)
{
    (void)push(pickle, kind);
    return GPT2_OK;
}

/* clang-format off */
static int32_t run_opcode(struct gpt2i_pickle *pickle, unsigned opcode, struct gpt2i_error *error)
{
    switch (opcode) {
    case OP_PROTO:
    case OP_FRAME:            return skip_header(pickle, opcode, error);
    case OP_MARK:             pickle->stack[pickle->n_stack++] = MARK; return GPT2_OK;
    case OP_NONE:             return push_empty(pickle, GPT2I_PICKLE_NONE);
    case OP_NEWTRUE:          return push_bool(pickle, true);
    case OP_NEWFALSE:         return push_bool(pickle, false);
    case OP_BININT1:          return push_int(pickle, 1, error);
    case OP_BININT2:          return push_int(pickle, 2, error);
    case OP_BININT:           return push_int(pickle, 4, error);
    case OP_BINFLOAT:         return push_float(pickle, error);
    case OP_LONG1:            return push_bytes(pickle, GPT2I_PICKLE_LONG, 1, error);
    case OP_SHORT_BINSTRING:
    case OP_SHORT_BINUNICODE: return push_bytes(pickle, GPT2I_PICKLE_TEXT, 1, error);
    case OP_BINSTRING:
    case OP_BINUNICODE:       return push_bytes(pickle, GPT2I_PICKLE_TEXT, 4, error);
    case OP_BINUNICODE8:      return push_bytes(pickle, GPT2I_PICKLE_TEXT, 8, error);
    case OP_EMPTY_TUPLE:      return push_empty(pickle, GPT2I_PICKLE_TUPLE);
    case OP_EMPTY_LIST:       return push_empty(pickle, GPT2I_PICKLE_LIST);
    case OP_EMPTY_DICT:       return push_empty(pickle, GPT2I_PICKLE_DICT);
    case OP_TUPLE1:           return push_tuple(pickle, 1, error);
    case OP_TUPLE2:           return push_tuple(pickle, 2, error);
    case OP_TUPLE3:           return push_tuple(pickle, 3, error);
    case OP_TUPLE:            return push_marked_tuple(pickle, error);
    case OP_APPEND:           return extend(pickle, GPT2I_PICKLE_LIST, false, error);
    case OP_APPENDS:          return extend(pickle, GPT2I_PICKLE_LIST, true, error);
    case OP_SETITEM:          return extend(pickle, GPT2I_PICKLE_DICT, false, error);
    case OP_SETITEMS:         return extend(pickle, GPT2I_PICKLE_DICT, true, error);
    case OP_BINPUT:           return put_numbered(pickle, 1, error);
    case OP_LONG_BINPUT:      return put_numbered(pickle, 4, error);
    case OP_MEMOIZE:          return put(pickle, pickle->n_memo, error);
    case OP_BINGET:           return get(pickle, 1, error);
    case OP_LONG_BINGET:      return get(pickle, 4, error);
    case OP_GLOBAL:           return push_global(pickle, error);
    case OP_STACK_GLOBAL:     return push_stack_global(pickle, error);
    case OP_REDUCE:           return reduce(pickle, error);
    case OP_BUILD:            return build_object(pickle, error);
    case OP_BINPERSID:        return push_storage(pickle, error);
    default:
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: before byte %zu of the pickle: opcode 0x%02x is no part of a "
                          "state_dict",
                          pickle->path, pickle->at, opcode);
    }
}
/* clang-format on */

void gpt2i_pickle_layout(struct gpt2i_pickle *pickle, struct gpt2i_arena *arena, size_t n_bytes)
{
    pickle->n_bytes = n_bytes;
    pickle->values = gpt2i_arena_take(arena, n_bytes, sizeof *pickle->values);
    pickle->items = gpt2i_arena_take(arena, n_bytes, sizeof *pickle->items);
    pickle->stack = gpt2i_arena_take(arena, n_bytes, sizeof *pickle->stack);
    pickle->memo = gpt2i_arena_take(arena, n_bytes, sizeof *pickle->memo);
}

int32_t gpt2i_pickle_run(struct gpt2i_pickle *pickle, const struct gpt2i_pickle_value **value,
                         struct gpt2i_error *error)
{
    int32_t status = GPT2_OK;

    memset(pickle->memo, 0, pickle->memo_end * sizeof *pickle->memo);
    pickle->n_stack = pickle->n_memo = pickle->memo_end = 0;
    pickle->frame_end = 0;
    while (status == GPT2_OK) {
        size_t begin = pickle->at, frame_end = pickle->frame_end;
        const unsigned char *opcode = take_bytes(pickle, 1);

        if (opcode == NULL)
            return fail_pickle(pickle, "the pickle has no end", error);
        if (*opcode == OP_STOP && pickle->at < frame_end)
            return fail_pickle(pickle, "the pickle ends inside of a frame", error);
        if (*opcode == OP_STOP)
            break;
        status = run_opcode(pickle, *opcode, error);
        /* readers differ in what they take there, so that a pickle could hide another */
        if (status == GPT2_OK && begin < frame_end && pickle->at > frame_end)
            return fail_pickle(pickle, "an opcode reaches over the end of its frame", error);
    }
    if (status != GPT2_OK)
        return status;
    *value = peek_value(pickle, 0);
    if (*value == NULL || pickle->n_stack != 1)
        return fail_pickle(pickle, "the pickle ends with other than one value on the stack", error);
    return GPT2_OK;
}
