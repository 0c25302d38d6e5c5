/*
 * api_plain.c: params structs, and functions that work on no object.
 */
#include "api.h"

#define MOST_STRUCT_BYTES 4096 /* lib/base/params.h: no struct will ever be as large */

/* -------------------------------------------------------------------------------- the params -- */

#define SIZE_TO(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))
#define DEFAULT(member, value)                                                              \
    REQUIRE(params->member == (value), "found " #member " %g by default, expected " #value, \
            (double)params->member)

static void model_defaults(const void *at)
{
    const gpt2_model_params *params = at;

    DEFAULT(n_threads, 1);
    DEFAULT(errbuf_size, 0);
    REQUIRE(params->errbuf == NULL, "found an errbuf by default");
    REQUIRE(params->progress == NULL && params->progress_user == NULL,
            "found a progress callback by default");
    if (params->struct_size < sizeof *params)
        return;
    DEFAULT(weight_type, GPT2_TYPE_AS_FILE);
    DEFAULT(file_access, GPT2_FILE_MAP);
    DEFAULT(shortlist, 0);
}

static void info_defaults(const void *at)
{
    const gpt2_model_info *info = at;
    const unsigned char *bytes = at;

    for (size_t i = sizeof(uint32_t); i < sizeof *info && i < info->struct_size; i++)
        REQUIRE(bytes[i] == 0, "found byte %zu set by default", i);
}

static void tokenizer_defaults(const void *at)
{
    const gpt2_tokenizer_params *params = at;

    DEFAULT(reserved, 0);
    DEFAULT(errbuf_size, 0);
    REQUIRE(params->errbuf == NULL, "found an errbuf by default");
}

static void encoder_defaults(const void *at)
{
    const gpt2_encoder_params *params = at;

    DEFAULT(reserved, 0);
    DEFAULT(max_piece_bytes, 65536);
    DEFAULT(errbuf_size, 0);
    REQUIRE(params->errbuf == NULL, "found an errbuf by default");
}

static void session_defaults(const void *at)
{
    const gpt2_session_params *params = at;

    DEFAULT(cpu_mask, GPT2_CPU_ALL);
    DEFAULT(n_threads, 1);
    DEFAULT(n_ctx, 0);
    DEFAULT(n_batch, 256);
    DEFAULT(n_logit_rows, 0);
    DEFAULT(errbuf_size, 0);
    REQUIRE(params->errbuf == NULL, "found an errbuf by default");
    if (params->struct_size < sizeof *params)
        return;
    REQUIRE(params->parallel_for == NULL && params->parallel_for_user == NULL,
            "found a parallel_for by default");
    DEFAULT(n_sequences, 1);
    DEFAULT(n_pages, 0);
    DEFAULT(kv_type, GPT2_TYPE_F32);
    DEFAULT(on_full, GPT2_FULL_STOP);
    DEFAULT(n_keep, 0);
    DEFAULT(reserved, 0);
}

static void sample_defaults(const void *at)
{
    const gpt2_sample_params *params = at;

    DEFAULT(temperature, 1.0f);
    DEFAULT(top_k, 0);
    DEFAULT(top_p, 1.0f);
    DEFAULT(seed, 0);
    DEFAULT(stream, 0);
    DEFAULT(position, -1);
}

static void score_defaults(const void *at)
{
    const gpt2_score_params *params = at;

    REQUIRE(params->n_likeliest == 0 && params->class_mask == NULL,
            "found wrong defaults in gpt2_score_params");
}

static void generator_defaults(const void *at)
{
    const gpt2_generator_params *params = at;

    DEFAULT(ignore_eot, 0);
    DEFAULT(n_stop_ids, 0);
    DEFAULT(n_stop_strings, 0);
    DEFAULT(errbuf_size, 0);
    REQUIRE(params->stop_ids == NULL && params->stop_strings == NULL && params->errbuf == NULL,
            "found a pointer by default");
    if (params->struct_size >= sizeof *params)
        DEFAULT(shortlist, 0);
}

static int32_t model_init(void *params, size_t size)
{
    return gpt2_model_params_init(params, size);
}

static int32_t info_init(void *info, size_t size)
{
    return gpt2_model_info_init(info, size);
}

static int32_t tokenizer_init(void *params, size_t size)
{
    return gpt2_tokenizer_params_init(params, size);
}

static int32_t encoder_init(void *params, size_t size)
{
    return gpt2_encoder_params_init(params, size);
}

static int32_t session_init(void *params, size_t size)
{
    return gpt2_session_params_init(params, size);
}

static int32_t sample_init(void *params, size_t size)
{
    return gpt2_sample_params_init(params, size);
}

static int32_t score_init(void *params, size_t size)
{
    return gpt2_score_params_init(params, size);
}

static int32_t generator_init(void *params, size_t size)
{
    return gpt2_generator_params_init(params, size);
}

#define KIND(what, last, errbuf_at)                 \
    const struct fuzz_kind fuzz_##what##_params = { \
        "gpt2_" #what "_params",                    \
        what##_init,                                \
        FUZZ_gpt2_##what##_params_init,             \
        sizeof(gpt2_##what##_params),               \
        SIZE_TO(gpt2_##what##_params, last),        \
        errbuf_at,                                  \
        what##_defaults,                            \
    }

const struct fuzz_kind fuzz_model_info = {
    "gpt2_model_info",
    info_init,
    FUZZ_gpt2_model_info_init,
    sizeof(gpt2_model_info),
    SIZE_TO(gpt2_model_info, memory_bytes),
    0,
    info_defaults,
};

KIND(model, progress_user, offsetof(gpt2_model_params, errbuf));
KIND(tokenizer, errbuf_size, offsetof(gpt2_tokenizer_params, errbuf));
KIND(encoder, errbuf_size, offsetof(gpt2_encoder_params, errbuf));
KIND(session, errbuf_size, offsetof(gpt2_session_params, errbuf));
KIND(sample, position, 0);
KIND(score, class_mask, 0);
KIND(generator, errbuf_size, offsetof(gpt2_generator_params, errbuf));

static size_t random_struct_size(const struct fuzz_kind *kind)
{
    const size_t sizes[] = {0,
                            1,
                            4,
                            kind->first_bytes - 1,
                            kind->first_bytes,
                            kind->known_bytes,
                            kind->known_bytes + 1,
                            kind->known_bytes + 8,
                            kind->known_bytes + fuzz_below(200),
                            MOST_STRUCT_BYTES,
                            MOST_STRUCT_BYTES + 1,
                            UINT32_MAX};

    return PICK(sizes);
}

static bool size_fits(const struct fuzz_kind *kind, size_t size)
{
    return size >= kind->first_bytes && size <= MOST_STRUCT_BYTES;
}

struct fuzz_params fuzz_params_make(const struct fuzz_kind *kind)
{
    static const size_t line_sizes[] = {0, 1, 2, 16, 300};
    struct fuzz_params params = {0};
    size_t size = fuzz_chance(8) ? random_struct_size(kind) : kind->known_bytes;
    bool is_sized = size_fits(kind, size);
    size_t at_hand = is_sized && size > kind->known_bytes ? size : kind->known_bytes;
    uint32_t struct_size = (uint32_t)size;
    char *bytes;

    if (fuzz_chance(8))
        return params;
    bytes = fuzz_temp(at_hand);
    params.at = bytes;
    params.writable = is_sized && size >= kind->known_bytes;
    REQUIRE(kind->init(bytes, at_hand) == GPT2_OK, "%s_init() failed", kind->name);
    memcpy(bytes, &struct_size, sizeof struct_size);
    fuzz_may(!is_sized, GPT2_ERR_ARGUMENT);
    if (is_sized && size > kind->known_bytes && fuzz_chance(2)) {
        bytes[kind->known_bytes + fuzz_below(size - kind->known_bytes)] =
            (char)(1 << fuzz_below(8));
        fuzz_may(true, GPT2_ERR_UNSUPPORTED);
    }
    if (kind->errbuf_offset != 0 && !fuzz_chance(4)) {
        char *errbuf = NULL;

        params.errbuf_size = PICK(line_sizes);
        if (!fuzz_chance(8)) {
            errbuf = fuzz_temp(params.errbuf_size + 1);
            memset(errbuf, 'x', params.errbuf_size + 1);
        }
        memcpy(bytes + kind->errbuf_offset, &errbuf, sizeof errbuf);
        memcpy(bytes + kind->errbuf_offset + sizeof errbuf, &params.errbuf_size, sizeof(size_t));
        params.errbuf = errbuf;
        if (!is_sized)
            params.errbuf_size = 0; /* the library cannot know that it is there */
    }
    return params;
}

void fuzz_params_check(const struct fuzz_params *params, bool ok)
{
    if (params->errbuf == NULL)
        return;
    REQUIRE(params->errbuf[params->errbuf_size] == 'x', "found errbuf written at its end");
    if (params->errbuf_size == 0)
        return;
    REQUIRE(memchr(params->errbuf, '\0', params->errbuf_size) != NULL, "found no NUL in errbuf");
    if (params->errbuf_size > 1 || ok)
        fuzz_check_line(params->errbuf, ok);
}

static void do_params_init(void)
{
    static const struct fuzz_kind *const kinds[] = {
        &fuzz_model_info,     &fuzz_model_params,  &fuzz_tokenizer_params, &fuzz_encoder_params,
        &fuzz_session_params, &fuzz_sample_params, &fuzz_score_params,     &fuzz_generator_params};
    const struct fuzz_kind *kind = PICK(kinds);
    size_t size = fuzz_chance(16) ? (size_t)fuzz_random() : random_struct_size(kind);
    unsigned char *bytes = NULL;
    uint32_t struct_size;

    fuzz_call(kind->init_function, "size %zu", size);
    fuzz_may(!size_fits(kind, size), GPT2_ERR_ARGUMENT);
    if (fuzz_chance(10)) {
        fuzz_may(true, GPT2_ERR_ARGUMENT);
    } else {
        bytes = fuzz_temp(size_fits(kind, size) ? size : 4);
        memset(bytes, 0xa5, size_fits(kind, size) ? size : 4);
    }
    if (!fuzz_result(kind->init(bytes, size)))
        return;
    memcpy(&struct_size, bytes, sizeof struct_size);
    REQUIRE(struct_size == size, "found struct_size %u, expected %zu", (unsigned)struct_size, size);
    kind->check_defaults(bytes);
    for (size_t i = kind->known_bytes; i < size; i++)
        REQUIRE(bytes[i] == 0, "found byte %zu set", i);
}

/* ---------------------------------------------------------------------------- small functions -- */

static void do_constants(void)
{
    static uint64_t last_ns;
    char version[32];
    uint64_t now_ns;
    uint32_t groups;

    fuzz_call(FUZZ_gpt2_version, " ");
    (void)snprintf(version, sizeof version, "%d.%d.%d", GPT2_VERSION_MAJOR, GPT2_VERSION_MINOR,
                   GPT2_VERSION_PATCH);
    REQUIRE(strcmp(gpt2_version(), version) == 0, "found \"%s\"", gpt2_version());
    fuzz_call(FUZZ_gpt2_cpu_features, " ");
    groups = gpt2_cpu_features();
    REQUIRE((groups & ~UINT32_C(0x3f)) == 0, "found groups 0x%x", (unsigned)groups);
    REQUIRE((groups & GPT2_CPU_AVX512) == 0 || (groups & GPT2_CPU_AVX2) != 0,
            "found AVX-512 without AVX2");
    fuzz_call(FUZZ_gpt2_clock_ns, " ");
    now_ns = gpt2_clock_ns();
    REQUIRE(now_ns > 0 && now_ns >= last_ns, "found a clock that runs back");
    last_ns = now_ns;
}

static void do_strerror(void)
{
    static const int32_t known[] = {0,  -1,  -2,  -3,  -4,  -5,  -6,  -7,  -8,
                                    -9, -20, -21, -40, -41, -42, -60, -61, -80};
    int32_t status = fuzz_chance(2) ? PICK(known) : (int32_t)fuzz_below(200) - 150;
    bool is_known = false;
    const char *text;

    if (fuzz_chance(20))
        status = (int32_t)(uint32_t)fuzz_random();
    for (size_t i = 0; i < COUNT(known); i++)
        is_known |= status == known[i];
    fuzz_call(FUZZ_gpt2_strerror, "%d", (int)status);
    text = gpt2_strerror(status);
    REQUIRE(text != NULL, "found NULL");
    REQUIRE((strcmp(text, gpt2_strerror(1)) == 0) == !is_known, "found \"%s\"", text);
    fuzz_check_line(text, false);
}

static void do_tap_name(void)
{
    static const char *const points[] = {
        "embed", "ln_1",   "attn.qkv", "attn.scores", "attn.probs", "attn.ctx", "attn.out",
        "ln_2",  "mlp.fc", "mlp.act",  "mlp.out",     "block",      "ln_f",     "logits"};
    static const int32_t odd[] = {-1, 14, 31, INT32_MAX, INT32_MIN};
    int32_t kind = fuzz_chance(8) ? PICK(odd) : (int32_t)fuzz_below(14);
    int32_t layer = fuzz_chance(8) ? PICK(odd) : (int32_t)fuzz_below(100);
    size_t capacity = fuzz_chance(2) ? 32 : fuzz_below(32);
    bool in_block = kind > GPT2_TAP_EMBED && kind < GPT2_TAP_LN_F;
    char wanted[64] = "";
    char *name = NULL;

    fuzz_call(FUZZ_gpt2_tap_name, "kind %d, layer %d, capacity %zu", (int)kind, (int)layer,
              capacity);
    fuzz_may(kind < 0 || kind >= GPT2_TAP_COUNT || (in_block && layer < 0), GPT2_ERR_ARGUMENT);
    if (in_block)
        (void)snprintf(wanted, sizeof wanted, "h.%d.%s", (int)layer, points[kind]);
    else if (kind >= 0 && kind < GPT2_TAP_COUNT)
        (void)snprintf(wanted, sizeof wanted, "%s", points[kind]);
    fuzz_may(wanted[0] != '\0' && strlen(wanted) >= capacity, GPT2_ERR_BUFFER);
    if (fuzz_chance(20))
        fuzz_may(true, GPT2_ERR_ARGUMENT);
    else
        name = fuzz_temp(capacity);
    if (fuzz_result(gpt2_tap_name(kind, layer, name, capacity)))
        REQUIRE(strcmp(name, wanted) == 0, "found \"%s\", expected \"%s\"", name, wanted);
}

const struct fuzz_action fuzz_plain_actions[] = {
    {do_params_init, 60}, {do_constants, 20}, {do_strerror, 20}, {do_tap_name, 20}, {NULL, 0},
};
