/*
 * test_bigcode.c: GPTBigCode, with multi-query attention and without.
 *
 * A model whose heads share keys and values must have the bits of a GPT-2 whose heads have equal ones;
 * and where each head has its own, those of the GPT-2 with the same numbers in its order.
 */
#include "reference.h"
#include "tiny_model.h"

#include "model/fingerprint.h"
#include "model/session.h"

#define DIRECTORY TINY_DIRECTORY "/bigcode"

#define N_HEAD   5
#define HEAD_DIM 14
#define N_EMBD   (N_HEAD * HEAD_DIM)
#define N_SHARED (N_EMBD + 2 * HEAD_DIM)

/* Models that must have the same bits, the plain GPT-2 first; 200 positions. */
static struct tiny_model variant(bool shares, size_t number)
{
    static const char *const directories[] = {DIRECTORY "-0", DIRECTORY "-1", DIRECTORY "-2",
                                              DIRECTORY "-3"};
    struct tiny_model model = tiny_pages(directories[number]);

    if (shares)
        model.kv = number == 0 ? TINY_KV_REPEATED : TINY_KV_SHARED;
    model.bigcode = number == 1;
    return model;
}

/* Of N_VARIANTS(shares): 0 GPT-2, 1 GPTBigCode, 2 shared keys and values in GPT-2's orientation. */
#define N_VARIANTS(shares) ((shares) ? (size_t)3 : (size_t)2)

static gpt2_model *load(const struct tiny_model *file, int32_t weight_type)
{
    char line[512] = "";
    gpt2_model_params params;
    gpt2_model *model = NULL;

    tiny_write(file);
    assert_int_equal(gpt2_model_params_init(&params, sizeof params), GPT2_OK);
    params.weight_type = weight_type;
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    if (gpt2_model_load(file->directory, &params, &model) != GPT2_OK)
        fail_msg("%s", line);
    return model;
}

static gpt2_session *create(const gpt2_model *model, uint32_t cpu_mask, int32_t n_threads,
                            int32_t n_batch, int32_t kv_type)
{
    gpt2_session_params params;
    gpt2_session *session;

    assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
    params.cpu_mask = cpu_mask;
    params.n_threads = n_threads;
    params.n_batch = n_batch;
    params.n_logit_rows = 200;
    params.n_sequences = 3;
    params.kv_type = kv_type;
    assert_int_equal(gpt2_session_create(model, &params, &session), GPT2_OK);
    return session;
}

static void check_hash(const gpt2_model *model, uint32_t cpu_mask, int32_t n_threads, size_t chunk,
                       int32_t kv_type, uint64_t wanted)
{
    gpt2_session *session = create(model, cpu_mask, n_threads, 64, kv_type);
    int32_t ids[200];
    uint64_t hash;

    tiny_ids(ids, COUNT(ids), model->config.n_vocab);
    hash = tiny_run(session, ids, COUNT(ids), chunk, 0);
    if (hash != wanted)
        fail_msg("found other bits with cpu_mask %u, %d threads, chunks of %zu, kv_type %d",
                 (unsigned)cpu_mask, (int)n_threads, chunk, (int)kv_type);
    gpt2_session_free(session);
}

static uint64_t hash_of(const gpt2_model *model, int32_t kv_type)
{
    gpt2_session *session = create(model, 0, 1, 256, kv_type);
    int32_t ids[200];
    uint64_t hash;

    tiny_ids(ids, COUNT(ids), model->config.n_vocab);
    hash = tiny_run(session, ids, COUNT(ids), COUNT(ids), 0);
    gpt2_session_free(session);
    return hash;
}

/* However the text is cut, on any kernels and threads, which change how heads are put into tasks. */
static void check_cuts(const gpt2_model *model, int32_t kv_type, uint64_t wanted)
{
    uint32_t masks[4];
    size_t n_masks = tiny_cpu_masks(masks);

    for (size_t m = 0; m < n_masks; m++) {
        check_hash(model, masks[m], 1, 200, kv_type, wanted);
        check_hash(model, masks[m], 2, 1, kv_type, wanted);
        check_hash(model, masks[m], 3, 7, kv_type, wanted);
        check_hash(model, masks[m], 8, 3, kv_type, wanted);
    }
}

static void test_same_bits(void **state)
{
    static const int32_t types[] = {GPT2_TYPE_AS_FILE, GPT2_TYPE_F16, GPT2_TYPE_Q8, GPT2_TYPE_Q4};

    (void)state;
    for (int shares = 0; shares <= 1; shares++) {
        for (size_t t = 0; t < COUNT(types); t++) {
            uint64_t wanted[2];

            for (size_t v = 0; v < N_VARIANTS(shares); v++) {
                struct tiny_model file = variant(shares, v);
                gpt2_model *model;

                file.untied = t == 0;
                model = load(&file, types[t]);
                for (int32_t kv = GPT2_TYPE_F32; kv <= GPT2_TYPE_F16; kv++) {
                    if (v == 0)
                        wanted[kv] = hash_of(model, kv);
                    else if (t == 0)
                        check_cuts(model, kv, wanted[kv]);
                    else
                        check_hash(model, GPT2_CPU_ALL, 2, 70, kv, wanted[kv]);
                }
                gpt2_model_free(model);
            }
            assert_true(wanted[GPT2_TYPE_F32] != wanted[GPT2_TYPE_F16]);
        }
    }
}

/* Heads that need more than one tile on every kind of kernels; one head is no multi-query attention. */
static void test_numbers_of_heads(void **state)
{
    static const int32_t n_heads[] = {70, 35, 2, 1};

    (void)state;
    for (size_t i = 0; i < COUNT(n_heads); i++) {
        struct tiny_model plain = variant(true, 0);
        struct tiny_model shared = variant(true, 1);
        gpt2_model *model;
        uint64_t wanted;

        plain.n_head = shared.n_head = n_heads[i];
        model = load(&plain, GPT2_TYPE_AS_FILE);
        wanted = hash_of(model, GPT2_TYPE_F32);
        gpt2_model_free(model);
        model = load(&shared, GPT2_TYPE_AS_FILE);
        assert_int_equal(model->config.n_kv_head, 1);
        check_cuts(model, GPT2_TYPE_F32, wanted);
        gpt2_model_free(model);
    }
}

/* Texts of several lengths in one call, and forks, against each text alone. */
static void test_batch_and_forks(void **state)
{
    struct tiny_model file = variant(true, 1);
    gpt2_model *model = load(&file, GPT2_TYPE_AS_FILE);
    gpt2_session *alone = create(model, GPT2_CPU_ALL, 1, 64, GPT2_TYPE_F32);
    gpt2_session *session = create(model, GPT2_CPU_ALL, 2, 64, GPT2_TYPE_F32);
    int32_t ids[200];
    int32_t second, fork;

    (void)state;
    tiny_ids(ids, COUNT(ids), file.n_vocab);
    assert_int_equal(gpt2_sequence_open(session, &second), GPT2_OK);
    {
        const gpt2_batch_item items[] = {{0, 0, ids, 90, 1}, {second, 0, ids + 50, 33, 1}};
        const int32_t one = ids[3];

        assert_int_equal(gpt2_forward_batch(session, items, 2), GPT2_OK);
        assert_int_equal(gpt2_sequence_fork(session, 0, 70, &fork), GPT2_OK);
        {
            const gpt2_batch_item step[] = {
                {fork, 0, ids + 100, 20, 1}, {0, 0, &one, 1, 1}, {second, 0, &one, 1, 1}};
            const size_t lengths[] = {70, 90, 33};
            const int32_t *const starts[] = {ids, ids, ids + 50};

            assert_int_equal(gpt2_forward_batch(session, step, 3), GPT2_OK);
            for (size_t i = 0; i < 3; i++) {
                const float *found, *wanted;

                assert_int_equal(gpt2_session_reset(alone), GPT2_OK);
                assert_int_equal(gpt2_forward(alone, starts[i], lengths[i], 0), GPT2_OK);
                assert_int_equal(gpt2_forward(alone, step[i].tokens, step[i].n_tokens, 1), GPT2_OK);
                assert_int_equal(gpt2_session_logits(alone, GPT2_LAST_ROW, &wanted), GPT2_OK);
                assert_int_equal(gpt2_batch_logits(session, i, GPT2_LAST_ROW, &found), GPT2_OK);
                assert_memory_equal(found, wanted, (size_t)file.n_vocab * sizeof *found);
            }
        }
    }
    gpt2_session_free(alone);
    gpt2_session_free(session);
    gpt2_model_free(model);
}

/* The cache has one head: so do its bytes, and those of a state. */
static void test_cache_and_states(void **state)
{
    enum { N_IDS = 130, KV_BYTES = 2 * 2 * HEAD_DIM * 4 /* of a position: layers, k and v */ };
    struct tiny_model shared_file = variant(true, 1);
    struct tiny_model plain_file = variant(true, 0);
    gpt2_model *shared = load(&shared_file, GPT2_TYPE_AS_FILE);
    gpt2_model *plain = load(&plain_file, GPT2_TYPE_AS_FILE);
    gpt2_session *session = create(shared, GPT2_CPU_ALL, 2, 64, GPT2_TYPE_F32);
    gpt2_session *plain_session = create(plain, GPT2_CPU_ALL, 1, 64, GPT2_TYPE_F32);
    unsigned char *bytes = malloc(N_IDS * (size_t)(KV_BYTES + 4) + 48);
    size_t n_bytes, n_plain_bytes;
    int32_t ids[200];
    uint64_t wanted;

    (void)state;
    assert_non_null(bytes);
    tiny_ids(ids, COUNT(ids), shared_file.n_vocab);
    assert_int_equal(gpt2_forward(session, ids, N_IDS, 0), GPT2_OK);
    assert_int_equal(
        gpt2_sequence_save(session, 0, bytes, N_IDS * (size_t)(KV_BYTES + 4) + 48, &n_bytes),
        GPT2_OK);
    assert_int_equal(n_bytes, N_IDS * (KV_BYTES + 4) + 48);
    wanted = tiny_run(session, ids + N_IDS, 70, 9, 0);
    assert_int_equal(gpt2_sequence_restore(session, 0, bytes, n_bytes), GPT2_OK);
    assert_true(tiny_run(session, ids + N_IDS, 70, 70, 0) == wanted);

    assert_int_equal(gpt2_forward(plain_session, ids, N_IDS, 0), GPT2_OK);
    assert_int_equal(gpt2_sequence_save(plain_session, 0, NULL, 0, &n_plain_bytes),
                     GPT2_ERR_BUFFER);
    assert_int_equal(n_plain_bytes, N_IDS * (N_HEAD * KV_BYTES + 4) + 48);
    tiny_check_call(plain_session, gpt2_sequence_restore(plain_session, 0, bytes, n_bytes),
                    GPT2_ERR_STATE, "the state is of another model");
    gpt2_session_free(session);
    gpt2_session_free(plain_session);

    wanted = gpt2i_fingerprint(plain); /* the same bytes, with another meaning */
    plain->config.is_bigcode = true;
    assert_true(gpt2i_fingerprint(plain) != wanted);
    plain->config.is_bigcode = false;
    plain->config.n_kv_head = 1;
    assert_true(gpt2i_fingerprint(plain) != wanted);
    gpt2_model_free(shared);
    gpt2_model_free(plain);
    free(bytes);
}

struct image {
    unsigned char *bytes;
    size_t n_bytes;
};

static int32_t add_part(void *user, const void *bytes, size_t n_bytes)
{
    struct image *image = user;

    assert_true(image->n_bytes + n_bytes <= (size_t)8 << 20);
    memcpy(image->bytes + image->n_bytes, bytes, n_bytes);
    image->n_bytes += n_bytes;
    return 0;
}

/* The c_attn of the last layer, which is [n_rows, n_columns]. */
static void read_c_attn(const gpt2_model *model, int64_t n_rows, int64_t n_columns, float *values)
{
    int64_t shape[2];

    assert_int_equal(gpt2_model_tensor(model, "h.1.attn.c_attn.weight", shape, values,
                                       (size_t)(n_rows * n_columns), NULL, 0),
                     GPT2_OK);
    assert_int_equal(shape[0], n_rows);
    assert_int_equal(shape[1], n_columns);
}

/* Whether 'found', of GPTBigCode, has the numbers of 'plain' [n_embd, 3 n_embd], whose heads may share. */
static void check_c_attn(const float *found, const float *plain, bool shares, bool is_out_in)
{
    size_t n_out = shares ? N_SHARED : 3 * N_EMBD;

    for (size_t out = 0; out < n_out; out++) {
        size_t head = out / (3 * HEAD_DIM), part = out / HEAD_DIM % 3, d = out % HEAD_DIM;
        size_t from = part * N_EMBD + head * HEAD_DIM + d;

        if (shares)
            from = out < N_EMBD ? out : N_EMBD + (out - N_EMBD) / HEAD_DIM * N_EMBD + d;
        for (size_t in = 0; in < N_EMBD; in++)
            assert_true(found[is_out_in ? out * N_EMBD + in : in * n_out + out] ==
                        plain[in * 3 * N_EMBD + from]);
    }
}

/* A native file keeps class, bits and orientation. */
static void test_native_and_tensors(void **state)
{
    static float plain_values[3 * N_EMBD * N_EMBD], values[3 * N_EMBD * N_EMBD];

    (void)state;
    for (int shares = 0; shares <= 1; shares++) {
        struct tiny_model plain_file = variant(shares, 0);
        gpt2_model *plain = load(&plain_file, GPT2_TYPE_AS_FILE);
        uint64_t wanted = hash_of(plain, GPT2_TYPE_F32);

        read_c_attn(plain, N_EMBD, 3 * N_EMBD, plain_values);
        for (size_t v = 1; v < N_VARIANTS(shares); v++) {
            struct tiny_model file = variant(shares, v);
            gpt2_model *model = load(&file, GPT2_TYPE_AS_FILE);
            struct image image = {aligned_alloc(64, (size_t)8 << 20), 0};
            bool is_out_in = v == 1;
            int64_t n_qkv = shares ? N_SHARED : 3 * N_EMBD;
            int64_t n_rows = is_out_in ? n_qkv : N_EMBD;
            int64_t n_columns = is_out_in ? N_EMBD : n_qkv;
            gpt2_source source = {.name = "native.safetensors"};

            read_c_attn(model, n_rows, n_columns, values);
            check_c_attn(values, plain_values, shares, is_out_in);
            assert_non_null(image.bytes);
            assert_int_equal(
                gpt2_model_write(model, "native.safetensors", add_part, &image, NULL, 0), GPT2_OK);
            gpt2_model_free(model);
            source.bytes = (const char *)image.bytes;
            source.n_bytes = image.n_bytes;
            assert_int_equal(gpt2_model_load_sources(&source, 1, NULL, &model), GPT2_OK);
            assert_int_equal(model->config.n_kv_head, shares ? 1 : N_HEAD);
            check_hash(model, GPT2_CPU_ALL, 2, 50, GPT2_TYPE_F32, wanted);
            read_c_attn(model, n_rows, n_columns, values);
            check_c_attn(values, plain_values, shares, is_out_in);
            gpt2_model_free(model);
            free(image.bytes);
        }
        gpt2_model_free(plain);
    }
}

/* Every tap of every layer, where the shapes are the same; qkv has the outputs of c_attn. */
static void test_taps(void **state)
{
    enum { N_IDS = 100 };
    int32_t ids[N_IDS];

    (void)state;
    tiny_ids(ids, N_IDS, 333);
    for (int shares = 0; shares <= 1; shares++) {
        struct reference_run plain = {0};

        for (size_t v = 0; v < N_VARIANTS(shares); v++) {
            struct tiny_model file = variant(shares, v);
            gpt2_model *model = load(&file, GPT2_TYPE_AS_FILE);
            gpt2_session *session = create(model, GPT2_CPU_ALL, 2, 64, GPT2_TYPE_F32);
            gpt2_model_info info = {.struct_size = sizeof info};
            struct reference_run run;

            assert_int_equal(gpt2_model_get_info(model, &info), GPT2_OK);
            assert_int_equal(info.n_kv_head, shares && v > 0 ? 1 : N_HEAD);
            reference_run(&run, session, &info, ids, N_IDS, 40, GPT2_TAP_ALL);
            for (int32_t kind = 0; v > 0 && kind < GPT2_TAP_COUNT; kind++) {
                for (int32_t layer = 0; layer < 2; layer++) {
                    size_t n = reference_run_floats(&run, kind);

                    if (plain.taps[layer][kind] != NULL && kind != GPT2_TAP_ATTN_QKV)
                        assert_memory_equal(run.taps[layer][kind], plain.taps[layer][kind],
                                            n * sizeof(float));
                }
            }
            assert_int_equal(reference_run_floats(&run, GPT2_TAP_ATTN_QKV),
                             N_IDS * (shares && v > 0 ? N_SHARED : 3 * N_EMBD));
            if (v == 0)
                plain = run;
            else
                reference_run_free(&run);
            gpt2_session_free(session);
            gpt2_model_free(model);
        }
        reference_run_free(&plain);
    }
}

/* A fine-tuned GPTBigCode whose config.json says gpt2: the shape of c_attn tells. */
static void test_called_gpt2(void **state)
{
    struct tiny_model plain = variant(true, 0);
    struct tiny_model file = variant(true, 1);
    struct tiny_model gpt2 = variant(false, 0);
    gpt2_model *model = load(&plain, GPT2_TYPE_AS_FILE);
    uint64_t wanted = hash_of(model, GPT2_TYPE_F32);

    (void)state;
    gpt2_model_free(model);
    tiny_write(&file);
    tiny_write_config(&gpt2, file.directory);
    assert_int_equal(gpt2_model_load(file.directory, NULL, &model), GPT2_OK);
    assert_true(model->config.is_bigcode);
    assert_true(hash_of(model, GPT2_TYPE_F32) == wanted);
    gpt2_model_free(model);

    gpt2.config = "\"multi_query\": true,"; /* which Hugging Face's GPT-2 does not look at */
    model = load(&gpt2, GPT2_TYPE_AS_FILE);
    assert_int_equal(model->config.n_kv_head, N_HEAD);
    gpt2_model_free(model);
}

/* Writes the files of 'file' with the config.json of 'config', and loads them. */
static void check_refused(const struct tiny_model *file, const struct tiny_model *config,
                          int32_t wanted, const char *words)
{
    char line[512] = "";
    gpt2_model_params params;
    gpt2_model *model = NULL;

    tiny_write(file);
    tiny_write_config(config, file->directory);
    assert_int_equal(gpt2_model_params_init(&params, sizeof params), GPT2_OK);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    assert_int_equal(gpt2_model_load(file->directory, &params, &model), wanted);
    assert_null(model);
    tiny_check_says(line, words);
}

static void test_refused(void **state)
{
    struct tiny_model shared = variant(true, 1);
    struct tiny_model each = variant(false, 1);
    struct tiny_model in_out = variant(true, 2);
    struct tiny_model gpt2 = variant(false, 0);
    struct tiny_model inverse = gpt2;

    (void)state;
    check_refused(&shared, &each, GPT2_ERR_FORMAT,
                  "h.0.attn.c_attn.weight has shape [98, 70], the config wants [210, 70]");
    check_refused(&each, &shared, GPT2_ERR_FORMAT,
                  "h.0.attn.c_attn.weight has shape [210, 70], the config wants [98, 70]");
    check_refused(&in_out, &shared, GPT2_ERR_FORMAT,
                  "h.0.attn.c_attn.weight has shape [70, 98], the config wants [98, 70]");
    check_refused(&each, &gpt2, GPT2_ERR_FORMAT,
                  "h.0.attn.c_attn.weight has shape [210, 70], the config wants [70, 210]");
    inverse.config = "\"scale_attn_by_inverse_layer_idx\": true,";
    check_refused(&shared, &inverse, GPT2_ERR_UNSUPPORTED,
                  "h.0.attn.c_attn.weight has the shape of GPTBigCode, which does not know "
                  "scale_attn_by_inverse_layer_idx");
    in_out.without = "h.0.attn.c_attn.weight"; /* as SantaCoder's own code has it */
    in_out.extra = "h.0.attn.kv_attn.weight";
    check_refused(&in_out, &gpt2, GPT2_ERR_UNSUPPORTED,
                  "found tensor transformer.h.0.attn.kv_attn.weight, wanted c_attn.weight");
    shared.odd = "h.1.attn.c_attn.weight";
    shared.odd_dim = 71;
    check_refused(&shared, &shared, GPT2_ERR_FORMAT,
                  "h.1.attn.c_attn.weight has shape [98, 71], the config wants [98, 70]");
    shared.odd = NULL;
    shared.without = "h.1.attn.c_attn.weight";
    check_refused(&shared, &shared, GPT2_ERR_FORMAT, "h.1.attn.c_attn.weight is missing");
}

static int remove_models(void **state)
{
    (void)state;
    for (size_t v = 0; v < 3; v++)
        tiny_remove(variant(false, v).directory);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),          cmocka_unit_test(test_numbers_of_heads),
        cmocka_unit_test(test_batch_and_forks),    cmocka_unit_test(test_cache_and_states),
        cmocka_unit_test(test_native_and_tensors), cmocka_unit_test(test_taps),
        cmocka_unit_test(test_called_gpt2),        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests_name("bigcode", tests, NULL, remove_models);
}
