/*
 * pickle_values.c: the values of pickles, and what names, calls and persistent ids stand for.
 */
#include "pickle_values.h"

#include <inttypes.h>

#define SHOWN_BYTES 80 /* of a name, in an error line */

enum meaning { ORDERED_DICT, REBUILD_TENSOR, REBUILD_TENSOR_V2, REBUILD_PARAMETER, STORAGE };

/* All that a pickle may name. */
static const struct known_name {
    char module[16];
    char name[20];
    enum meaning meaning;
    struct gpt2i_pickle_dtype dtype;
} known_names[] = {
    {"collections", "OrderedDict", ORDERED_DICT, {"", -1, 0}},
    {"torch._utils", "_rebuild_tensor_v2", REBUILD_TENSOR_V2, {"", -1, 0}},
    {"torch._utils", "_rebuild_tensor", REBUILD_TENSOR, {"", -1, 0}},
    {"torch._utils", "_rebuild_parameter", REBUILD_PARAMETER, {"", -1, 0}},
    {"torch", "FloatStorage", STORAGE, {"F32", GPT2_TYPE_F32, 4}},
    {"torch", "HalfStorage", STORAGE, {"F16", GPT2_TYPE_F16, 2}},
    {"torch", "BFloat16Storage", STORAGE, {"BF16", GPT2_TYPE_BF16, 2}},
    {"torch", "DoubleStorage", STORAGE, {"F64", GPT2_TYPE_F64, 8}},
    {"torch", "BoolStorage", STORAGE, {"BOOL", -1, 1}},
    {"torch", "ByteStorage", STORAGE, {"U8", -1, 1}},
    {"torch", "CharStorage", STORAGE, {"I8", -1, 1}},
    {"torch", "ShortStorage", STORAGE, {"I16", -1, 2}},
    {"torch", "IntStorage", STORAGE, {"I32", -1, 4}},
    {"torch", "LongStorage", STORAGE, {"I64", -1, 8}},
};

/* -------------------------------------------------------------------------------------- parts -- */

const struct gpt2i_pickle_value *gpt2i_pickle_part(const struct gpt2i_pickle *pickle,
                                                   const struct gpt2i_pickle_value *whole,
                                                   uint32_t i)
{
    uint32_t item = whole->first;

    while (i-- > 0)
        item = pickle->items[item].next;
    return &pickle->values[pickle->items[item].value];
}

/* Whether the items of a tuple, at least n, begin with these kinds. */
static bool parts_are(const struct gpt2i_pickle *pickle, const struct gpt2i_pickle_value *tuple,
                      const enum gpt2i_pickle_kind *kinds, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (tuple->n <= i || gpt2i_pickle_part(pickle, tuple, i)->kind != kinds[i])
            return false;
    }
    return true;
}

bool gpt2i_pickle_is_text(const struct gpt2i_pickle *pickle, const struct gpt2i_pickle_value *value,
                          const char *text)
{
    return value->kind == GPT2I_PICKLE_TEXT && value->n == strlen(text) &&
           memcmp(pickle->bytes + value->first, text, value->n) == 0;
}

const struct gpt2i_pickle_value *gpt2i_pickle_item(const struct gpt2i_pickle *pickle, uint32_t item)
{
    return &pickle->values[pickle->items[item].value];
}

bool gpt2i_pickle_copy(const struct gpt2i_pickle *pickle, const struct gpt2i_pickle_value *text,
                       char *to, size_t capacity)
{
    if (text->kind != GPT2I_PICKLE_TEXT || text->n >= capacity)
        return false;
    memcpy(to, pickle->bytes + text->first, text->n);
    to[text->n] = '\0';
    return strlen(to) == text->n;
}

const struct gpt2i_pickle_value *gpt2i_pickle_find(const struct gpt2i_pickle *pickle,
                                                   const struct gpt2i_pickle_value *dict,
                                                   const char *key)
{
    const struct gpt2i_pickle_value *found = NULL;
    uint32_t item = dict->first;

    for (uint32_t i = 0; i < dict->n; i += 2) {
        bool is_key = gpt2i_pickle_is_text(pickle, gpt2i_pickle_item(pickle, item), key);

        item = pickle->items[item].next;
        if (is_key)
            found = gpt2i_pickle_item(pickle, item);
        item = pickle->items[item].next;
    }
    return found;
}

/* -------------------------------------------------------------------------- names and objects -- */

int32_t gpt2i_pickle_name(const struct gpt2i_pickle *pickle,
                          const struct gpt2i_pickle_value *module,
                          const struct gpt2i_pickle_value *name, struct gpt2i_pickle_value *value,
                          struct gpt2i_error *error)
{
    memset(value, 0, sizeof *value);
    value->kind = GPT2I_PICKLE_NAME;
    for (uint32_t i = 0; i < sizeof known_names / sizeof known_names[0]; i++) {
        value->n = i;
        if (gpt2i_pickle_is_text(pickle, module, known_names[i].module) &&
            gpt2i_pickle_is_text(pickle, name, known_names[i].name))
            return GPT2_OK;
    }
    return gpt2i_fail(
        error, GPT2_ERR_UNSUPPORTED,
        "%s: the pickle names %.*s.%.*s, which is no part of a state_dict", pickle->path,
        (int)gpt2i_min(module->n, SHOWN_BYTES), (const char *)pickle->bytes + module->first,
        (int)gpt2i_min(name->n, SHOWN_BYTES), (const char *)pickle->bytes + name->first);
}

int32_t gpt2i_pickle_call(const struct gpt2i_pickle *pickle, const struct gpt2i_pickle_value *name,
                          const struct gpt2i_pickle_value *arguments,
                          struct gpt2i_pickle_value *value, struct gpt2i_error *error)
{
    static const enum gpt2i_pickle_kind tensor_kinds[] = {GPT2I_PICKLE_STORAGE, GPT2I_PICKLE_INT,
                                                          GPT2I_PICKLE_TUPLE, GPT2I_PICKLE_TUPLE,
                                                          GPT2I_PICKLE_BOOL};
    static const enum gpt2i_pickle_kind parameter_kinds[] = {GPT2I_PICKLE_TENSOR,
                                                             GPT2I_PICKLE_BOOL};
    bool fits = false;

    memset(value, 0, sizeof *value);
    switch (known_names[name->n].meaning) {
    case ORDERED_DICT:
        fits = arguments->n == 0;
        value->kind = GPT2I_PICKLE_DICT;
        break;
    case REBUILD_TENSOR: /* before torch 0.4 */
        fits = arguments->n == 4 && parts_are(pickle, arguments, tensor_kinds, 4);
        *value = *arguments;
        value->kind = GPT2I_PICKLE_TENSOR;
        break;
    case REBUILD_TENSOR_V2:
        fits = (arguments->n == 6 || arguments->n == 7) &&
               parts_are(pickle, arguments, tensor_kinds, 5);
        *value = *arguments;
        value->kind = GPT2I_PICKLE_TENSOR;
        break;
    case REBUILD_PARAMETER:
        fits = arguments->n == 3 && parts_are(pickle, arguments, parameter_kinds, 2);
        if (fits)
            *value = *gpt2i_pickle_part(pickle, arguments, 0);
        break;
    case STORAGE:
        break;
    }
    if (fits)
        return GPT2_OK;
    return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                      "%s: before byte %zu of the pickle: %s is called with other arguments than a "
                      "state_dict has",
                      pickle->path, pickle->at, known_names[name->n].name);
}

int32_t gpt2i_pickle_storage(const struct gpt2i_pickle *pickle, const struct gpt2i_pickle_value *id,
                             struct gpt2i_pickle_value *value, struct gpt2i_error *error)
{
    static const enum gpt2i_pickle_kind kinds[] = {GPT2I_PICKLE_TEXT, GPT2I_PICKLE_NAME,
                                                   GPT2I_PICKLE_TEXT, GPT2I_PICKLE_TEXT,
                                                   GPT2I_PICKLE_INT,  GPT2I_PICKLE_NONE};

    if (id == NULL || id->kind != GPT2I_PICKLE_TUPLE || (id->n != 5 && id->n != 6) ||
        !parts_are(pickle, id, kinds, id->n) ||
        !gpt2i_pickle_is_text(pickle, gpt2i_pickle_part(pickle, id, 0), "storage") ||
        known_names[gpt2i_pickle_part(pickle, id, 1)->n].meaning != STORAGE)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: before byte %zu of the pickle: a persistent id is no storage of a "
                          "state_dict",
                          pickle->path, pickle->at);
    *value = *id;
    value->kind = GPT2I_PICKLE_STORAGE;
    return GPT2_OK;
}

struct gpt2i_pickle_dtype gpt2i_pickle_dtype_of(const struct gpt2i_pickle *pickle,
                                                const struct gpt2i_pickle_value *storage)
{
    return known_names[gpt2i_pickle_part(pickle, storage, 1)->n].dtype;
}

const char *gpt2i_pickle_show(const struct gpt2i_pickle_value *value)
{
    static const char *const shown[] = {
        [GPT2I_PICKLE_NONE] = "None",
        [GPT2I_PICKLE_BOOL] = "a bool",
        [GPT2I_PICKLE_INT] = "a number",
        [GPT2I_PICKLE_LONG] = "a number",
        [GPT2I_PICKLE_FLOAT] = "a float",
        [GPT2I_PICKLE_TEXT] = "a text",
        [GPT2I_PICKLE_NAME] = "a class or function",
        [GPT2I_PICKLE_TUPLE] = "a tuple",
        [GPT2I_PICKLE_LIST] = "a list",
        [GPT2I_PICKLE_DICT] = "a dict",
        [GPT2I_PICKLE_STORAGE] = "a storage",
        [GPT2I_PICKLE_TENSOR] = "a tensor",
    };

    return shown[value->kind];
}
