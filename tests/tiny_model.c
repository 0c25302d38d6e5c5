/*
 * tiny_model.c: writing small GPT-2 directories, and steps that several suites share.
 */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "tiny_model.h"
#include "model/session.h"

#include <fenv.h>
#include <inttypes.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_TENSORS  12400 /* 1024 layers have 12,290 */
#define HEADER_BYTES (2 << 20)
#define PATH_BYTES   256

struct tensor {
    char name[64]; /* without the prefix */
    const char *dtype;
    uint64_t dims[4];
    int n_dims;
    bool zeros;
};

struct writer {
    const struct tiny_model *model;
    struct tensor tensors[MAX_TENSORS];
    size_t n_tensors;
    FILE *file;
};

struct tiny_model tiny_odd(const char *directory)
{
    struct tiny_model model = {
        .directory = directory,
        .n_vocab = 97,
        .n_positions = 8,
        .n_embd = 35,
        .n_layer = 2,
        .n_head = 7,
        .n_inner = 50,
        .eot = 96,
        .dtype = "F32",
        .prefix = "transformer.",
    };

    return model;
}

struct tiny_model tiny_pages(const char *directory)
{
    struct tiny_model model = tiny_odd(directory);

    model.n_vocab = 333;
    model.n_positions = 200;
    model.n_embd = 70;
    model.n_head = 5;
    model.n_inner = 300;
    return model;
}

/* ------------------------------------------------------------------------------------- values -- */

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

#define RANDOM_STEP 0x9e3779b97f4a7c15

/* SplitMix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += RANDOM_STEP;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint64_t seed_of(const char *name)
{
    uint64_t seed = 0;

    while (*name != '\0')
        seed = (seed ^ (unsigned char)*name++) * 0x100000001b3;
    return seed;
}

/* A weight before it is rounded to a type.  Some are so small that they are denormal in F16. */
static double weight(const struct tiny_model *model, const char *name, uint64_t index,
                     uint64_t seed)
{
    uint64_t state = seed + index * RANDOM_STEP;
    double x = ldexp((double)(next_random(&state) >> 11), -52) - 1.0;

    if (ends_with(name, ".bias") && model->biases == TINY_BIASES_ZERO)
        return 0.0;
    if (strncmp(name, "lm_head.", 8) == 0)
        x = ldexp(x, model->head_exponent);
    if (strstr(name, "ln_") != NULL && ends_with(name, ".weight"))
        return 1.0 + 0.25 * x;
    return index % 7 == 6 ? ldexp(x, -17) : 0.25 * x;
}

/* The bits of the F16 nearest to x, and its value; x is in the range of F16. */
static uint32_t round_f16(double x, float *value)
{
    int exponent = x == 0.0 || ilogb(x) < -14 ? -14 : ilogb(x);
    double steps = nearbyint(ldexp(fabs(x), 10 - exponent)); /* 1024 to 2048, less if denormal */

    *value = (float)copysign(ldexp(steps, exponent - 10), x);
    return (signbit(x) ? 0x8000u : 0) + (uint32_t)((exponent + 14) * 1024 + (int)steps);
}

static uint32_t round_bf16(double x, float *value)
{
    float single = (float)x;
    uint32_t bits;

    memcpy(&bits, &single, sizeof bits);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
    memcpy(value, &bits, sizeof bits);
    return bits >> 16;
}

static uint32_t bits_of_float(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static size_t element_bytes(const char *dtype)
{
    if (strcmp(dtype, "U8") == 0)
        return 1;
    if (strcmp(dtype, "F64") == 0)
        return 8;
    return strcmp(dtype, "F16") == 0 || strcmp(dtype, "BF16") == 0 ? 2 : 4;
}

static uint64_t n_elements(const struct tensor *tensor)
{
    uint64_t n = 1;

    for (int i = 0; i < tensor->n_dims; i++)
        n *= tensor->dims[i];
    return n;
}

static void write_little_endian(FILE *file, uint64_t value, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        assert_int_not_equal(fputc((int)(value >> 8 * i & 0xff), file), EOF);
}

/* Outputs of c_attn. */
static int32_t n_qkv(const struct tiny_model *model)
{
    int32_t head_dim = model->n_embd / model->n_head;

    return model->kv == TINY_KV_SHARED ? model->n_embd + 2 * head_dim : 3 * model->n_embd;
}

/* An output of c_attn as TINY_KV_EACH has it in a GPT-2: q of all heads, then k, then v. */
static uint64_t plain_output(const struct tiny_model *model, uint64_t out)
{
    uint64_t n_embd = (uint64_t)model->n_embd;
    uint64_t head_dim = n_embd / (uint64_t)model->n_head;
    bool is_shared = model->kv == TINY_KV_SHARED;

    if (model->bigcode && !is_shared) /* q, k, v of the first head, then of the next */
        out = out / head_dim % 3 * n_embd + out / (3 * head_dim) * head_dim + out % head_dim;
    if (model->kv == TINY_KV_EACH || out < n_embd)
        return out;
    return n_embd + (out - n_embd) / (is_shared ? head_dim : n_embd) * n_embd + out % head_dim;
}

/* Which value of a plain GPT-2's tensor is the i-th of this one. */
static uint64_t plain_index(const struct tiny_model *model, const struct tensor *tensor, uint64_t i)
{
    bool is_c_attn = strstr(tensor->name, "attn.c_attn.") != NULL;
    bool is_out_in = model->bigcode && tensor->n_dims == 2 && strstr(tensor->name, "c_") != NULL;
    uint64_t n_columns = tensor->dims[tensor->n_dims == 2 ? 1 : 0];
    uint64_t in = is_out_in ? i % n_columns : i / n_columns;
    uint64_t out = is_out_in ? i / n_columns : i % n_columns;
    uint64_t n_out = is_out_in ? tensor->dims[0] : n_columns;

    if (!is_c_attn && !is_out_in)
        return i;
    if (is_c_attn) {
        out = plain_output(model, out);
        n_out = 3 * (uint64_t)model->n_embd;
    }
    return in * n_out + out;
}

static void write_values(const struct writer *writer, const struct tensor *tensor)
{
    const struct tiny_model *model = writer->model;
    size_t n_bytes = element_bytes(tensor->dtype);
    bool is_copy =
        model->head_copy && !model->untied && strcmp(tensor->name, "lm_head.weight") == 0;
    const char *name = is_copy ? "wte.weight" : tensor->name;
    uint64_t seed = seed_of(name);

    for (uint64_t i = 0; i < n_elements(tensor); i++) {
        bool differs = is_copy && model->head_differs && i + 1 == n_elements(tensor);
        double x = tensor->zeros || differs
                       ? 0.0
                       : weight(model, name, plain_index(model, tensor, i), seed);
        float value = (float)x;
        uint64_t bits = 0;

        if (strcmp(model->dtype, "F16") == 0)
            bits = round_f16(x, &value);
        else if (strcmp(model->dtype, "BF16") == 0)
            bits = round_bf16(x, &value);
        if (n_bytes == sizeof value)
            bits = bits_of_float(value);
        else if (n_bytes == sizeof x)
            memcpy(&bits, &x, sizeof bits);
        write_little_endian(writer->file, bits, n_bytes);
    }
}

/* ---------------------------------------------------------------------------------- the files -- */

static FILE *create(const char *directory, const char *name)
{
    char path[PATH_BYTES];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    (void)unlink(path);
    file = fopen(path, "wb");
    if (file == NULL)
        fail_msg("%s: cannot be written", path);
    return file;
}

/* A tensor of one (n_columns 0) or two dimensions, as the options want it. */
static void add(struct writer *writer, const char *layer, const char *name, int32_t n_rows,
                int32_t n_columns)
{
    const struct tiny_model *model = writer->model;
    struct tensor *tensor = &writer->tensors[writer->n_tensors];

    assert_true(writer->n_tensors < MAX_TENSORS);
    (void)snprintf(tensor->name, sizeof tensor->name, "%s%s", layer, name);
    if (ends_with(name, ".bias") && model->biases == TINY_BIASES_MISSING)
        return;
    if (model->without != NULL && strcmp(tensor->name, model->without) == 0)
        return;
    tensor->dtype = model->widened ? "F32" : model->dtype;
    tensor->dims[0] = (uint64_t)n_rows;
    tensor->dims[1] = (uint64_t)n_columns;
    tensor->n_dims = n_columns == 0 ? 1 : 2;
    if (model->odd != NULL && strcmp(tensor->name, model->odd) == 0) {
        tensor->zeros = model->odd_dtype == NULL || strcmp(model->odd_dtype, "F64") != 0;
        if (model->odd_dtype != NULL)
            tensor->dtype = model->odd_dtype;
        if (model->odd_dim != 0)
            tensor->dims[tensor->n_dims - 1] = model->odd_dim;
    }
    writer->n_tensors++;
}

/* A matrix of a block: [n_in, n_out], or in a GPTBigCode [n_out, n_in]. */
static void add_matrix(struct writer *writer, const char *layer, const char *name, int32_t n_in,
                       int32_t n_out)
{
    bool is_out_in = writer->model->bigcode;

    add(writer, layer, name, is_out_in ? n_out : n_in, is_out_in ? n_in : n_out);
}

static void add_masks(struct writer *writer, const char *layer)
{
    uint64_t n_positions = (uint64_t)writer->model->n_positions;
    struct tensor mask = {
        .dtype = "U8", .dims = {1, 1, n_positions, n_positions}, .n_dims = 4, .zeros = true};
    struct tensor masked = {.dtype = "F32", .n_dims = 0, .zeros = true};

    (void)snprintf(mask.name, sizeof mask.name, "%sattn.bias", layer);
    (void)snprintf(masked.name, sizeof masked.name, "%sattn.masked_bias", layer);
    assert_true(writer->n_tensors + 2 <= MAX_TENSORS);
    writer->tensors[writer->n_tensors++] = mask;
    writer->tensors[writer->n_tensors++] = masked;
}

static void list_tensors(struct writer *writer)
{
    const struct tiny_model *model = writer->model;
    int32_t n_embd = model->n_embd;
    char layer[24];

    for (int32_t i = 0; i < model->n_layer; i++) {
        (void)snprintf(layer, sizeof layer, "h.%d.", (int)i);
        add(writer, layer, "attn.c_attn.bias", n_qkv(model), 0);
        add_matrix(writer, layer, "attn.c_attn.weight", n_embd, n_qkv(model));
        add(writer, layer, "attn.c_proj.bias", n_embd, 0);
        add_matrix(writer, layer, "attn.c_proj.weight", n_embd, n_embd);
        add(writer, layer, "ln_1.bias", n_embd, 0);
        add(writer, layer, "ln_1.weight", n_embd, 0);
        add(writer, layer, "ln_2.bias", n_embd, 0);
        add(writer, layer, "ln_2.weight", n_embd, 0);
        add(writer, layer, "mlp.c_fc.bias", model->n_inner, 0);
        add_matrix(writer, layer, "mlp.c_fc.weight", n_embd, model->n_inner);
        add(writer, layer, "mlp.c_proj.bias", n_embd, 0);
        add_matrix(writer, layer, "mlp.c_proj.weight", model->n_inner, n_embd);
        if (model->masks)
            add_masks(writer, layer);
    }
    add(writer, "", "ln_f.bias", n_embd, 0);
    add(writer, "", "ln_f.weight", n_embd, 0);
    add(writer, "", "wpe.weight", model->n_positions, n_embd);
    add(writer, "", "wte.weight", model->n_vocab, n_embd);
    if (model->untied || model->head_copy)
        add(writer, "", "lm_head.weight", model->n_vocab, n_embd);
    if (model->extra != NULL)
        add(writer, "", model->extra, n_embd, 0);
}

/* lm_head has none. */
static const char *prefix_of(const struct writer *writer, const struct tensor *tensor)
{
    return strncmp(tensor->name, "lm_head.", 8) == 0 ? "" : writer->model->prefix;
}

/* Whether a tensor is in the file that is written: a shard, or the only one, 0 of 0. */
static bool is_in_file(const struct writer *writer, size_t tensor, int shard)
{
    int n_shards = writer->model->n_shards;

    return n_shards == 0 || tensor % (size_t)n_shards == (size_t)shard;
}

static void write_weights(struct writer *writer, int shard)
{
    static char header[HEADER_BYTES];
    uint64_t offset = 0;
    int length = snprintf(header, sizeof header, "{\"__metadata__\":{\"format\":\"pt\"}");

    for (size_t i = 0; i < writer->n_tensors; i++) {
        const struct tensor *tensor = &writer->tensors[i];
        uint64_t end = offset + n_elements(tensor) * element_bytes(tensor->dtype);

        if (!is_in_file(writer, i, shard))
            continue;
        length += snprintf(header + length, sizeof header - (size_t)length,
                           ",\"%s%s\":{\"dtype\":\"%s\",\"shape\":[", prefix_of(writer, tensor),
                           tensor->name, tensor->dtype);
        for (int d = 0; d < tensor->n_dims; d++)
            length += snprintf(header + length, sizeof header - (size_t)length, "%s%" PRIu64,
                               d == 0 ? "" : ",", tensor->dims[d]);
        length += snprintf(header + length, sizeof header - (size_t)length,
                           "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", offset, end);
        assert_true((size_t)length < sizeof header - 160);
        offset = end;
    }
    header[length++] = '}';
    write_little_endian(writer->file, (uint64_t)length, 8);
    assert_int_equal(fwrite(header, 1, (size_t)length, writer->file), length);
    for (size_t i = 0; i < writer->n_tensors; i++) {
        if (is_in_file(writer, i, shard))
            write_values(writer, &writer->tensors[i]);
    }
}

const char *tiny_shard_name(int shard)
{
    static char name[40];

    (void)snprintf(name, sizeof name, "model-%05d.safetensors", shard + 1);
    return name;
}

static void write_shards(struct writer *writer)
{
    const struct tiny_model *model = writer->model;
    FILE *file = create(model->directory, "model.safetensors.index.json");

    (void)fprintf(file, "{\"metadata\": {\"total_size\": 0}, \"weight_map\": {\n");
    for (size_t i = 0; i < writer->n_tensors; i++) {
        const struct tensor *tensor = &writer->tensors[i];

        (void)fprintf(file, "%s  \"%s%s\": \"%s\"", i == 0 ? "" : ",\n", prefix_of(writer, tensor),
                      tensor->name, tiny_shard_name((int)(i % (size_t)model->n_shards)));
    }
    (void)fprintf(file, "\n}}\n");
    assert_int_equal(fclose(file), 0);
    for (int i = 0; i < model->n_shards; i++) {
        writer->file = create(model->directory, tiny_shard_name(i));
        write_weights(writer, i);
        assert_int_equal(fclose(writer->file), 0);
    }
}

void tiny_write_config(const struct tiny_model *model, const char *directory)
{
    FILE *file = create(directory, "config.json");
    char eot[16] = "null";
    bool shares = model->kv == TINY_KV_SHARED;

    if (model->eot >= 0)
        (void)snprintf(eot, sizeof eot, "%d", (int)model->eot);
    if (model->bigcode)
        (void)fprintf(file, "{\"model_type\": \"gpt_bigcode\", \"multi_query\": %s, %s\n",
                      shares ? "true" : "false", model->config == NULL ? "" : model->config);
    else
        (void)fprintf(file, "{\"model_type\": \"gpt2\", %s\n",
                      model->config == NULL ? "" : model->config);
    (void)fprintf(
        file,
        " \"vocab_size\": %d, \"n_positions\": %d,\n"
        " \"n_embd\": %d, \"n_layer\": %d, \"n_head\": %d, \"n_inner\": %d,\n"
        " \"layer_norm_epsilon\": 1e-05, \"eos_token_id\": %s, \"tie_word_embeddings\": %s}\n",
        (int)model->n_vocab, (int)model->n_positions, (int)model->n_embd, (int)model->n_layer,
        (int)model->n_head, (int)model->n_inner, eot, model->untied ? "false" : "true");
    assert_int_equal(fclose(file), 0);
}

void tiny_write_tokenizer(const char *directory)
{
    FILE *vocab = create(directory, "vocab.json");
    FILE *merges = create(directory, "merges.txt");

    (void)fputc('{', vocab);
    for (int c = '!'; c <= '~'; c++)
        (void)fprintf(vocab, "\"%s%c\": %d, ", c == '"' || c == '\\' ? "\\" : "", c, c - '!');
    (void)fprintf(vocab, "\"th\": 94, \"the\": 95, \"<|endoftext|>\": 96}\n");
    (void)fprintf(merges, "#version: 0.2\nt h\nth e\n");
    assert_int_equal(fclose(vocab), 0);
    assert_int_equal(fclose(merges), 0);
}

void tiny_remove(const char *directory)
{
    static const char *const names[] = {"config.json", "model.safetensors",
                                        "model.safetensors.index.json", "vocab.json", "merges.txt"};
    char path[PATH_BYTES];
    int shard = 0;

    for (size_t i = 0; i < COUNT(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    do {
        (void)snprintf(path, sizeof path, "%s/%s", directory, tiny_shard_name(shard++));
    } while (unlink(path) == 0);
}

void tiny_write(const struct tiny_model *model)
{
    static struct writer writer;

    memset(&writer, 0, sizeof writer);
    writer.model = model;
    (void)mkdir(TINY_DIRECTORY, 0777);
    (void)mkdir(model->directory, 0777);
    tiny_remove(model->directory);
    tiny_write_config(model, model->directory);
    if (model->tokenizer)
        tiny_write_tokenizer(model->directory);
    list_tensors(&writer);
    if (model->n_shards > 0) {
        write_shards(&writer);
        return;
    }
    writer.file = create(model->directory, "model.safetensors");
    write_weights(&writer, 0);
    assert_int_equal(fclose(writer.file), 0);
}

/* -------------------------------------------------------------------------------- the library -- */

gpt2_model *tiny_load(const struct tiny_model *model)
{
    char line[512] = "";
    gpt2_model_params params;
    gpt2_model *loaded;

    tiny_write(model);
    assert_int_equal(gpt2_model_params_init(&params, sizeof params), GPT2_OK);
    params.n_threads = 1;
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    if (gpt2_model_load(model->directory, &params, &loaded) != GPT2_OK)
        fail_msg("%s", line);
    return loaded;
}

gpt2_session *tiny_session(const gpt2_model *model, uint32_t cpu_mask, int32_t n_threads,
                           int32_t n_batch)
{
    gpt2_model_info info = {.struct_size = sizeof info};
    gpt2_session_params params;
    gpt2_session *session;

    assert_int_equal(gpt2_model_get_info(model, &info), GPT2_OK);
    assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
    params.cpu_mask = cpu_mask;
    params.n_threads = n_threads;
    params.n_batch = n_batch;
    params.n_logit_rows = info.n_positions;
    assert_int_equal(gpt2_session_create(model, &params, &session), GPT2_OK);
    return session;
}

void tiny_ids(int32_t *ids, size_t n_ids, int32_t n_vocab)
{
    uint64_t state = 1;

    for (size_t i = 0; i < n_ids; i++)
        ids[i] = (int32_t)(next_random(&state) % (uint64_t)n_vocab);
}

uint64_t tiny_hash(uint64_t hash, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, x + i, sizeof bits);
        hash = (hash ^ bits) * 0x100000001b3;
        hash ^= hash >> 29;
    }
    return hash;
}

uint64_t tiny_run(gpt2_session *session, const int32_t *ids, size_t n_ids, size_t chunk,
                  uint64_t hash)
{
    size_t n_vocab = (size_t)session->model->config.n_vocab;

    for (size_t done = 0; done < n_ids; done += chunk) {
        size_t n = n_ids - done < chunk ? n_ids - done : chunk;
        const float *first = NULL;

        if (gpt2_forward(session, ids + done, n, n) != GPT2_OK)
            fail_msg("%s", gpt2_session_error(session));
        for (size_t row = 0; row < n; row++) {
            const float *logits;

            assert_int_equal(gpt2_session_logits(session, (int32_t)row, &logits), GPT2_OK);
            first = row == 0 ? logits : first;
            assert_ptr_equal(logits, first + row * n_vocab);
            hash = tiny_hash(hash, logits, n_vocab);
        }
    }
    return hash;
}

void tiny_text_begin(struct tiny_text *text, const struct tiny_model *model)
{
    gpt2_session *session;

    text->n_ids = (size_t)model->n_positions;
    assert_true(text->n_ids <= COUNT(text->ids));
    tiny_ids(text->ids, text->n_ids, model->n_vocab);
    text->model = tiny_load(model);
    session = tiny_session(text->model, 0, 1, 256);
    text->hash = tiny_run(session, text->ids, text->n_ids, text->n_ids, 0);
    gpt2_session_free(session);
}

size_t tiny_cpu_masks(uint32_t masks[4])
{
    static const uint32_t levels[] = {GPT2_CPU_AVX2, GPT2_CPU_AVX2 | GPT2_CPU_AVX512,
                                      GPT2_CPU_NEON};
    size_t n = 0;

    masks[n++] = 0;
    for (size_t i = 0; i < COUNT(levels); i++) {
        if ((levels[i] & ~gpt2_cpu_features()) == 0)
            masks[n++] = levels[i];
    }
    return n;
}

int tiny_rounding(void)
{
    volatile float one = 1.0f, tiny = 0x1p-30f;
    volatile float above = one + tiny, below = one - tiny;

    if (above > one)
        return FE_UPWARD;
    return below == one ? FE_TONEAREST : -one - tiny < -one ? FE_DOWNWARD : FE_TOWARDZERO;
}

void tiny_check_says(const char *line, const char *words)
{
    if (strstr(line, words) == NULL)
        fail_msg("found the line \"%s\", wanted \"%s\" in it", line, words);
}

void tiny_check_call(const gpt2_session *session, int32_t status, int32_t wanted, const char *words)
{
    if (status != wanted)
        fail_msg("found status %d, wanted %d: %s", (int)status, (int)wanted,
                 gpt2_session_error(session));
    tiny_check_says(gpt2_session_error(session), words);
}
