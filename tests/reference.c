/*
 * reference.c: reading reference files through the library's own readers, and comparing numbers.
 */
#include "reference.h"

#define MOST_JSON_BYTES (16u << 20)

static char line[1024];
static struct gpt2i_error error = {line, sizeof line};

static void must(int32_t status)
{
    if (status != GPT2_OK)
        fail_msg("%s (%s)", line, gpt2_strerror(status));
}

void *reference_allocate(size_t n, size_t bytes)
{
    void *block = calloc(n, bytes);

    assert_non_null(block);
    return block;
}

bool reference_shared(char path[PATH_BYTES], const char *name)
{
    const char *directory = getenv("GPT2_SHARED");

    if (directory == NULL)
        directory = "../shared";
    (void)snprintf(path, PATH_BYTES, "%s/%s", directory, name);
    return gpt2i_os_kind_of(path) != GPT2I_OS_NOTHING;
}

/* --------------------------------------------------------------------------------------- JSON -- */

void reference_json_open(struct reference_json *json, const char *path)
{
    struct path split;

    path_split(&split, path);
    (void)snprintf(json->path, sizeof json->path, "%s", path);
    must(gpt2i_text_read(&json->file, &split.files, split.name, MOST_JSON_BYTES, &error));
}

void reference_json_close(struct reference_json *json)
{
    gpt2i_text_free(&json->file);
}

static struct gpt2i_json_event next(struct gpt2i_json *parser)
{
    struct gpt2i_json_event event;

    must(gpt2i_json_next(parser, &event, &error));
    return event;
}

/* Goes to the member 'key' of the object, or element of the array, that is next. */
static bool enter(struct gpt2i_json *parser, const char *key)
{
    struct gpt2i_json_event event = next(parser);

    if (event.type == GPT2I_JSON_OBJECT_BEGIN) {
        for (event = next(parser); event.type == GPT2I_JSON_KEY; event = next(parser)) {
            if (gpt2i_json_equal(&event, key))
                return true;
            must(gpt2i_json_skip(parser, &error));
        }
    } else if (event.type == GPT2I_JSON_ARRAY_BEGIN) {
        unsigned long index = strtoul(key, NULL, 10);

        while (index > 0 && gpt2i_json_skip(parser, &error) == GPT2_OK)
            index--;
        return index == 0;
    }
    return false;
}

struct reference_value reference_json(const struct reference_json *json, const char *name, ...)
{
    struct reference_value value = {.found = true};
    char keys[128];
    va_list args;
    int length;

    va_start(args, name);
    length = vsnprintf(keys, sizeof keys, name, args);
    va_end(args);
    assert_in_range(length, 1, sizeof keys - 1);
    gpt2i_json_begin(&value.parser, json->file.text, json->file.n_bytes, json->path);
    for (char *key = keys, *dot; key != NULL && value.found; key = dot) {
        dot = strchr(key, '.');
        if (dot != NULL)
            *dot++ = '\0';
        value.found = enter(&value.parser, key);
    }
    if (value.found)
        value.event = next(&value.parser);
    return value;
}

static void must_be(const struct reference_value *value, enum gpt2i_json_type type)
{
    if (!value->found)
        fail_msg("%s: a value is missing", value->parser.path);
    assert_int_equal(value->event.type, type);
}

double reference_number(struct reference_value value)
{
    double number;

    must_be(&value, GPT2I_JSON_NUMBER);
    must(gpt2i_json_double(&value.parser, &value.event, &number, &error));
    return number;
}

size_t reference_length(struct reference_value value)
{
    size_t n = 0;

    must_be(&value, GPT2I_JSON_ARRAY_BEGIN);
    while (gpt2i_json_skip(&value.parser, &error) == GPT2_OK)
        n++;
    assert_true(n > 0);
    return n;
}

float *reference_floats(struct reference_value value, size_t *n)
{
    float *floats;

    *n = reference_length(value);
    floats = reference_allocate(*n, sizeof *floats);
    for (size_t i = 0; i < *n; i++) {
        value.event = next(&value.parser);
        floats[i] = (float)reference_number(value);
    }
    return floats;
}

int32_t *reference_ids(struct reference_value value, size_t *n)
{
    int32_t *ids;

    *n = reference_length(value);
    ids = reference_allocate(*n, sizeof *ids);
    for (size_t i = 0; i < *n; i++) {
        uint64_t id;

        value.event = next(&value.parser);
        must_be(&value, GPT2I_JSON_NUMBER);
        must(gpt2i_json_u64(&value.parser, &value.event, INT32_MAX, &id, &error));
        ids[i] = (int32_t)id;
    }
    return ids;
}

char *reference_string(struct reference_value value)
{
    size_t n_bytes;
    char *text;

    must_be(&value, GPT2I_JSON_STRING);
    text = reference_allocate(value.event.length + 1, 1);
    must(
        gpt2i_json_string(&value.parser, &value.event, text, value.event.length, &n_bytes, &error));
    return text;
}

/* ------------------------------------------------------------------------------------ tensors -- */

void reference_tensors_open(struct gpt2i_tensors *tensors, const char *path)
{
    struct path split;

    path_split(&split, path);
    must(gpt2i_safetensors_open(tensors, &split.files, split.name, &error));
}

float *reference_tensor(const struct gpt2i_tensors *tensors, const char *name, size_t part,
                        size_t n_parts, size_t n_floats)
{
    const struct gpt2i_tensor *tensor = gpt2i_tensors_find(tensors, name);
    size_t n_bytes = n_floats * sizeof(float);
    unsigned char *bytes = reference_allocate(n_floats, sizeof(float));
    float *floats = reference_allocate(n_floats, sizeof(float));

    if (tensor == NULL)
        fail_msg("%s: there is no %s", tensors->source->path, name);
    if (tensor->type != GPT2_TYPE_F32 || tensor->n_bytes != n_parts * n_bytes)
        fail_msg("%s: %s is not F32 of %zu x %zu numbers", tensors->source->path, name, n_parts,
                 n_floats);
    if (n_parts > 1)
        assert_int_equal(tensor->dims[0], n_parts);
    must(
        gpt2i_source_read(tensor->source, tensor->offset + part * n_bytes, bytes, n_bytes, &error));
    for (size_t i = 0; i < n_floats; i++) {
        uint32_t bits = gpt2i_load_le32(bytes + i * sizeof(float));

        memcpy(&floats[i], &bits, sizeof bits);
    }
    free(bytes);
    return floats;
}

int32_t *reference_to_ids(float *floats, size_t n)
{
    int32_t *ids = reference_allocate(n, sizeof *ids);

    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)floats[i];
    free(floats);
    return ids;
}

/* ---------------------------------------------------------------------------------- comparing -- */

void reference_compare(struct reference_difference *difference, const float *ours,
                       const float *theirs, size_t n)
{
    difference->n_compared += n;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)ours[i] - (double)theirs[i]);

        if (isinf(ours[i]) && ours[i] == theirs[i])
            difference->n_infinite++;
        else if (isnan(d))
            difference->largest = INFINITY;
        else if (d > difference->largest)
            difference->largest = d;
    }
}

void reference_check(const struct reference_difference *difference, const char *who,
                     const char *what, double limit, size_t n)
{
    print_message("  %s: %s: largest difference %.2g of %zu numbers, limit %g\n", who, what,
                  difference->largest, difference->n_compared, limit);
    assert_true(n > 0);
    assert_int_equal(difference->n_compared, n);
    if (!(difference->largest <= limit))
        fail_msg("%s: %s differs by %g, more than %g", who, what, difference->largest, limit);
}

int32_t reference_argmax(const float *logits, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        best = logits[i] > logits[best] ? i : best;
    return (int32_t)best;
}

double reference_top2_gap(const float *logits, size_t n)
{
    size_t best = (size_t)reference_argmax(logits, n);
    double gap = INFINITY;

    for (size_t i = 0; i < n; i++)
        gap = i == best ? gap : fmin(gap, (double)logits[best] - (double)logits[i]);
    return gap;
}

void reference_softmax(const float *logits, float *probs, size_t n)
{
    float max = logits[reference_argmax(logits, n)];
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - (double)max);
    for (size_t i = 0; i < n; i++)
        probs[i] = (float)(exp((double)logits[i] - (double)max) / sum);
}

/* ------------------------------------------------------------------------------------- models -- */

gpt2_model *reference_model(const char *directory, gpt2_model_info *info)
{
    gpt2_model_params params;
    gpt2_model *model;

    must(gpt2_model_params_init(&params, sizeof params));
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    must(gpt2_model_load(directory, &params, &model));
    info->struct_size = sizeof *info;
    must(gpt2_model_get_info(model, info));
    return model;
}

gpt2_session *reference_session(const gpt2_model *model, int32_t n_threads, int32_t n_logit_rows)
{
    gpt2_session_params params;
    gpt2_session *session;

    must(gpt2_session_params_init(&params, sizeof params));
    params.n_threads = n_threads;
    params.n_logit_rows = n_logit_rows;
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    must(gpt2_session_create(model, &params, &session));
    return session;
}

const float *reference_forward(gpt2_session *session, const int32_t *ids, size_t n_ids,
                               size_t n_logit_rows)
{
    const float *logits = NULL;

    assert_in_range(n_logit_rows, 1, n_ids);
    if (gpt2_forward(session, ids, n_ids, n_logit_rows) != GPT2_OK ||
        gpt2_session_logits(session, (int32_t)(n_ids - n_logit_rows), &logits) != GPT2_OK)
        fail_msg("%s", gpt2_session_error(session));
    return logits;
}

void reference_greedy(gpt2_session *session, int32_t *ids, size_t n_prompt, size_t n_ids)
{
    gpt2_sample_params params;

    assert_int_equal(gpt2_sample_params_init(&params, sizeof params), GPT2_OK);
    params.temperature = 0;
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    for (size_t done = 0, n = n_prompt; n < n_ids; n++) {
        (void)reference_forward(session, ids + done, n - done, 1);
        assert_int_equal(gpt2_sample(session, GPT2_LAST_ROW, &params, &ids[n]), GPT2_OK);
        done = n;
    }
}

char *reference_text(const gpt2_tokenizer *tokenizer, const int32_t *ids, size_t n_ids)
{
    size_t n_bytes;
    char *text;

    assert_non_null(tokenizer);
    assert_int_equal(gpt2_decode(tokenizer, ids, n_ids, NULL, 0, &n_bytes, NULL, 0),
                     GPT2_ERR_BUFFER);
    text = reference_allocate(n_bytes + 1, 1);
    assert_int_equal(gpt2_decode(tokenizer, ids, n_ids, text, n_bytes, &n_bytes, NULL, 0), GPT2_OK);
    return text;
}

static bool by_head(int32_t kind)
{
    return kind == GPT2_TAP_ATTN_SCORES || kind == GPT2_TAP_ATTN_PROBS;
}

static bool in_block(int32_t kind)
{
    return kind >= GPT2_TAP_LN_1 && kind <= GPT2_TAP_BLOCK;
}

static int32_t tap_columns(const struct reference_run *run, int32_t kind)
{
    if (by_head(kind))
        return run->n_tokens;
    if (kind == GPT2_TAP_ATTN_QKV)
        return (run->info.n_head + 2 * run->info.n_kv_head) * (run->info.n_embd / run->info.n_head);
    if (kind == GPT2_TAP_MLP_FC || kind == GPT2_TAP_MLP_ACT)
        return run->info.n_inner;
    return kind == GPT2_TAP_LOGITS ? run->info.n_vocab : run->info.n_embd;
}

size_t reference_run_floats(const struct reference_run *run, int32_t kind)
{
    return (size_t)(by_head(kind) ? run->info.n_head : 1) * (size_t)run->n_tokens *
           (size_t)tap_columns(run, kind);
}

/* The tap: copies a piece to its place in the run. */
static int32_t keep(void *user, const gpt2_tap *tap)
{
    struct reference_run *run = user;
    int32_t layer = in_block(tap->kind) ? tap->layer : tap->layer + 1;
    int32_t head = by_head(tap->kind) ? tap->head : tap->head + 1;
    int32_t columns = tap_columns(run, tap->kind);
    float masked = tap->kind == GPT2_TAP_ATTN_SCORES ? -INFINITY : 0.0f;
    int32_t row = head * run->n_tokens + tap->first_position;

    if (layer < 0 || layer >= run->info.n_layer || head < 0 || head >= run->info.n_head ||
        tap->first_position + tap->n_rows > run->n_tokens || tap->n_columns > columns ||
        (!by_head(tap->kind) && tap->n_columns != columns))
        return 1;
    for (int32_t r = 0; r < tap->n_rows; r++) {
        const float *from = tap->data + (size_t)r * tap->row_stride;
        float *to = run->taps[layer][tap->kind] + (size_t)(row + r) * (size_t)columns;

        for (int32_t c = 0; c < columns; c++)
            to[c] = c < tap->n_columns ? from[c] : masked;
    }
    return 0;
}

void reference_run(struct reference_run *run, gpt2_session *session, const gpt2_model_info *info,
                   const int32_t *ids, int32_t n_ids, int32_t step, uint32_t kinds)
{
    *run = (struct reference_run){.info = *info, .n_tokens = n_ids};
    assert_in_range(info->n_layer, 1, REFERENCE_LAYERS);
    for (int32_t layer = 0; layer < info->n_layer; layer++) {
        for (int32_t kind = 0; kind < GPT2_TAP_COUNT; kind++) {
            size_t n = reference_run_floats(run, kind);

            if ((kinds & GPT2_TAP_BIT(kind)) == 0 || (layer > 0 && !in_block(kind)))
                continue;
            run->taps[layer][kind] = reference_allocate(n, sizeof(float));
            for (size_t i = 0; i < n; i++)
                run->taps[layer][kind][i] = NAN; /* close to nothing, if the tap leaves it out */
        }
    }
    assert_int_equal(gpt2_session_reset(session), GPT2_OK);
    assert_int_equal(gpt2_session_set_tap(session, keep, run, kinds), GPT2_OK);
    for (int32_t done = 0; done < n_ids; done += step) {
        size_t n = gpt2i_min((size_t)step, (size_t)(n_ids - done));

        if (gpt2_forward(session, ids + done, n, n) != GPT2_OK)
            fail_msg("%s", gpt2_session_error(session));
    }
    assert_int_equal(gpt2_session_set_tap(session, NULL, NULL, 0), GPT2_OK);
}

void reference_run_free(struct reference_run *run)
{
    for (int32_t layer = 0; layer < REFERENCE_LAYERS; layer++) {
        for (int32_t kind = 0; kind < GPT2_TAP_COUNT; kind++)
            free(run->taps[layer][kind]);
    }
}
