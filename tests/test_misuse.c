/*
 * test_misuse.c: wrong calls, by name: each returns its status and says what was found and wanted,
 * and the session goes on with the same bits.  NULL for every pointer of every function of gpt2.h.
 */
#include "tiny_model.h"

#include <ctype.h>

#define DIRECTORY TINY_DIRECTORY "/misuse"

static gpt2_model *model; /* of 1024 positions and 97 tokens, with a tokenizer */
static int32_t ids[1024];

static int set_up(void **state)
{
    struct tiny_model file = tiny_odd(DIRECTORY);

    (void)state;
    file.n_positions = 1024;
    file.tokenizer = true;
    model = tiny_load(&file);
    tiny_ids(ids, COUNT(ids), file.n_vocab);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gpt2_model_free(model);
    return 0;
}

/* --------------------------------------------------------------------------------------- by name -- */

static gpt2_session *session_of(int32_t n_ctx, int32_t n_logit_rows)
{
    gpt2_session_params params;
    gpt2_session *session;

    assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
    params.n_ctx = n_ctx;
    params.n_logit_rows = n_logit_rows;
    assert_int_equal(gpt2_session_create(model, &params, &session), GPT2_OK);
    return session;
}

static void check(gpt2_session *session, int32_t found, int32_t wanted, const char *line)
{
    assert_string_equal(gpt2_session_error(session), line);
    assert_int_equal(found, wanted);
}

/* All wrong calls of a session at position 4 of 64 that keeps 2 rows. */
static void misuse(gpt2_session *session)
{
    const int32_t too_large[] = {1, 60000}, negative[] = {-1};
    gpt2_sample_params params;
    const float *logits;
    int32_t id;

    check(session, gpt2_forward(session, too_large, 2, 1), GPT2_ERR_TOKEN,
          "token 1 is 60000, wanted 0 to 96");
    check(session, gpt2_forward(session, negative, 1, 1), GPT2_ERR_TOKEN,
          "token 0 is -1, wanted 0 to 96");
    check(session, gpt2_forward(session, ids, 65, 1), GPT2_ERR_CONTEXT,
          "65 tokens at position 4 do not fit into a context of 64 positions");
    check(session, gpt2_forward(session, ids, 3, 3), GPT2_ERR_ARGUMENT,
          "gpt2_forward: n_logit_rows is 3, the session was made for 2");
    check(session, gpt2_session_logits(session, 1, &logits), GPT2_ERR_ROW,
          "row is 1, the last forward kept the logits of rows 2 to 3");
    check(session, gpt2_session_logits(session, 4, &logits), GPT2_ERR_ROW,
          "row is 4, the last forward kept the logits of rows 2 to 3");
    check(session, gpt2_sample(session, -2, NULL, &id), GPT2_ERR_ROW,
          "row is -2, the last forward kept the logits of rows 2 to 3");
    assert_int_equal(gpt2_sample_params_init(&params, sizeof params), GPT2_OK);
    params.position = -2;
    check(session, gpt2_sample(session, 3, &params, &id), GPT2_ERR_ARGUMENT,
          "gpt2_sample_params.position is -2, wanted -1 or more");
}

/* A session that was misused at every step gives the bits of one that was not. */
static void test_same_bits(void **state)
{
    gpt2_session *plain = session_of(64, 2), *misused = session_of(64, 2);
    const float *logits;

    (void)state;
    for (int text = 0; text < 2; text++) {
        uint64_t hashes[2] = {0, 0};

        check(misused, gpt2_session_logits(misused, GPT2_LAST_ROW, &logits), GPT2_ERR_ROW,
              "no logits are kept: the last forward asked for none, or it failed");
        assert_int_equal(gpt2_forward(misused, ids, 4, 2), GPT2_OK);
        assert_int_equal(gpt2_forward(plain, ids, 4, 2), GPT2_OK);
        for (int i = 0; i < 2; i++) {
            misuse(misused);
            assert_int_equal(gpt2_session_position(misused), 4);
        }
        for (int i = 0; i < 2; i++) { /* what was kept before, and what comes after */
            gpt2_session *session = i == 0 ? misused : plain;

            for (int32_t row = 2; row < 4; row++) {
                assert_int_equal(gpt2_session_logits(session, row, &logits), GPT2_OK);
                assert_string_equal(gpt2_session_error(session), "");
                hashes[i] = tiny_hash(hashes[i], logits, 97);
            }
            hashes[i] = tiny_run(session, ids + 4, 60, 2, hashes[i]);
            assert_int_equal(gpt2_session_reset(session), GPT2_OK);
        }
        assert_true(hashes[0] == hashes[1]);
    }
    gpt2_session_free(misused);
    gpt2_session_free(plain);
}

/* Position 1024 of a model of 1024 positions, whatever context was asked for. */
static void test_last_position(void **state)
{
    static const int32_t contexts[] = {0, 1024, 1025, INT32_MAX};

    (void)state;
    for (size_t i = 0; i < COUNT(contexts); i++) {
        gpt2_session *session = session_of(contexts[i], 1);

        assert_int_equal(gpt2_session_n_ctx(session), 1024);
        check(session, gpt2_forward(session, ids, 1025, 1), GPT2_ERR_CONTEXT,
              "1025 tokens at position 0 do not fit into a context of 1024 positions");
        check(session, gpt2_forward(session, ids, 1023, 1), GPT2_OK, "");
        check(session, gpt2_forward(session, ids, 2, 1), GPT2_ERR_CONTEXT,
              "2 tokens at position 1023 do not fit into a context of 1024 positions");
        check(session, gpt2_forward(session, ids, 1, 1), GPT2_OK, "");
        check(session, gpt2_forward(session, ids, 1, 1), GPT2_ERR_CONTEXT,
              "1 tokens at position 1024 do not fit into a context of 1024 positions");
        assert_int_equal(gpt2_session_position(session), 1024);
        gpt2_session_free(session);
    }
}

/* ------------------------------------------------------------------------------------------ NULL -- */

static char covered[8192]; /* " function.parameter" of each below */

/* 'argument' was NULL: the call returned 'found' and said 'line'. */
static void null(const char *argument, int64_t found, int64_t wanted, const char *line,
                 const char *wanted_line)
{
    assert_true(strlen(covered) + strlen(argument) + 2 < sizeof covered);
    (void)strcat(strcat(covered, " "), argument);
    if (found != wanted || strcmp(line, wanted_line) != 0)
        fail_msg("%s: found %lld, \"%s\", wanted %lld, \"%s\"", argument, (long long)found, line,
                 (long long)wanted, wanted_line);
}

/* That a function without a result has ended is what there is to check. */
#define IGNORED(argument, call) ((call), null(argument, 0, 0, "", ""))
#define REFUSED(argument, call) null(argument, call, GPT2_ERR_ARGUMENT, "", "")

static void null_handles(void)
{
    gpt2_model_info info;

    assert_int_equal(gpt2_model_info_init(&info, sizeof info), GPT2_OK);
    IGNORED("gpt2_model_free.model", gpt2_model_free(NULL));
    IGNORED("gpt2_tokenizer_free.tokenizer", gpt2_tokenizer_free(NULL));
    IGNORED("gpt2_encoder_free.encoder", gpt2_encoder_free(NULL));
    IGNORED("gpt2_session_free.session", gpt2_session_free(NULL));
    IGNORED("gpt2_session_cancel.session", gpt2_session_cancel(NULL));
    REFUSED("gpt2_model_get_info.model", gpt2_model_get_info(NULL, &info));
    REFUSED("gpt2_model_get_info.info", gpt2_model_get_info(model, NULL));
    null("gpt2_model_tokenizer.model", gpt2_model_tokenizer(NULL) == NULL, 1, "", "");
    null("gpt2_model_tokenizer_error.model", 0, 0, gpt2_model_tokenizer_error(NULL), "");
    null("gpt2_tokenizer_n_vocab.tokenizer", gpt2_tokenizer_n_vocab(NULL), 0, "", "");
    null("gpt2_tokenizer_eot.tokenizer", gpt2_tokenizer_eot(NULL), -1, "", "");
    null("gpt2_tokenizer_bos.tokenizer", gpt2_tokenizer_bos(NULL), -1, "", "");
    null("gpt2_tokenizer_is_added.tokenizer", gpt2_tokenizer_is_added(NULL, 0), 0, "", "");
    null("gpt2_encoder_error.encoder", 0, 0, gpt2_encoder_error(NULL), "");
    null("gpt2_session_position.session", gpt2_session_position(NULL), 0, "", "");
    null("gpt2_session_n_ctx.session", gpt2_session_n_ctx(NULL), 0, "", "");
    null("gpt2_session_n_free_pages.session", gpt2_session_n_free_pages(NULL), 0, "", "");
    null("gpt2_session_kernels.session", 0, 0, gpt2_session_kernels(NULL), "");
    null("gpt2_session_error.session", 0, 0, gpt2_session_error(NULL), "");
    REFUSED("gpt2_session_reset.session", gpt2_session_reset(NULL));
    REFUSED("gpt2_session_set_deadline.session", gpt2_session_set_deadline(NULL, 1));
    REFUSED("gpt2_session_after_fork.session", gpt2_session_after_fork(NULL));
    REFUSED("gpt2_encoder_reset.encoder", gpt2_encoder_reset(NULL));
    REFUSED("gpt2_tap_name.name", gpt2_tap_name(0, 0, NULL, 32));
    REFUSED("gpt2_model_info_init.info", gpt2_model_info_init(NULL, sizeof info));
    REFUSED("gpt2_model_params_init.params",
            gpt2_model_params_init(NULL, sizeof(gpt2_model_params)));
    REFUSED("gpt2_tokenizer_params_init.params",
            gpt2_tokenizer_params_init(NULL, sizeof(gpt2_tokenizer_params)));
    REFUSED("gpt2_encoder_params_init.params",
            gpt2_encoder_params_init(NULL, sizeof(gpt2_encoder_params)));
    REFUSED("gpt2_session_params_init.params",
            gpt2_session_params_init(NULL, sizeof(gpt2_session_params)));
    REFUSED("gpt2_sample_params_init.params",
            gpt2_sample_params_init(NULL, sizeof(gpt2_sample_params)));
}

/* A file of DIRECTORY in memory, which the caller frees. */
static gpt2_source source_of(const char *name)
{
    char path[200];
    FILE *file;
    long n_bytes;
    void *bytes;

    (void)snprintf(path, sizeof path, DIRECTORY "/%s", name);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    n_bytes = ftell(file);
    assert_true(n_bytes > 0);
    rewind(file);
    bytes = malloc((size_t)n_bytes);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
    return (gpt2_source){.name = name, .bytes = bytes, .n_bytes = (uint64_t)n_bytes};
}

/* The defaults. */
static void null_params_of_sources(void)
{
    const gpt2_source sources[] = {source_of("config.json"), source_of("model.safetensors"),
                                   source_of("vocab.json"), source_of("merges.txt")};
    gpt2_tokenizer *tokenizer;
    gpt2_model *loaded;

    null("gpt2_model_load_sources.params", gpt2_model_load_sources(sources, 4, NULL, &loaded), 0,
         "", "");
    null("gpt2_tokenizer_load_sources.params",
         gpt2_tokenizer_load_sources(sources, 4, NULL, &tokenizer), 0, "", "");
    gpt2_tokenizer_free(tokenizer);
    gpt2_model_free(loaded);
    for (size_t i = 0; i < COUNT(sources); i++)
        free((void *)sources[i].bytes);
}

/* MAKE(model_load, path, NULL, &p, &out): a creating call that says why in the errbuf of p. */
#define MAKE(kind, argument, ...)                                                        \
    null("gpt2_" #kind "." #argument, gpt2_##kind(__VA_ARGS__), GPT2_ERR_ARGUMENT, line, \
         "gpt2_" #kind ": " #argument " is NULL")

static void null_creation(void)
{
    char line[256] = "";
    gpt2_model_params load = {.struct_size = 0};
    gpt2_tokenizer_params tokens;
    gpt2_encoder_params encode;
    gpt2_session_params create;
    gpt2_model *no_model = model, *other_model;
    gpt2_tokenizer *no_tokenizer = (gpt2_tokenizer *)line, *tokenizer;
    gpt2_encoder *no_encoder = (gpt2_encoder *)line, *encoder;
    gpt2_session *no_session = (gpt2_session *)line, *session;
    void *memory;
    size_t n;

    (void)gpt2_model_params_init(&load, sizeof load);
    (void)gpt2_tokenizer_params_init(&tokens, sizeof tokens);
    (void)gpt2_encoder_params_init(&encode, sizeof encode);
    (void)gpt2_session_params_init(&create, sizeof create);
    load.errbuf = tokens.errbuf = encode.errbuf = create.errbuf = line;
    load.errbuf_size = tokens.errbuf_size = encode.errbuf_size = create.errbuf_size = sizeof line;
    MAKE(model_load, path, NULL, &load, &no_model);
    MAKE(model_load, model, DIRECTORY, &load, NULL);
    MAKE(tokenizer_load, path, NULL, &tokens, &no_tokenizer);
    MAKE(tokenizer_load, tokenizer, DIRECTORY, &tokens, NULL);
    MAKE(model_load_sources, sources, NULL, 1, &load, &no_model);
    MAKE(model_load_sources, model, &(gpt2_source){0}, 1, &load, NULL);
    MAKE(tokenizer_load_sources, sources, NULL, 1, &tokens, &no_tokenizer);
    MAKE(tokenizer_load_sources, tokenizer, &(gpt2_source){0}, 1, &tokens, NULL);
    MAKE(encoder_create, tokenizer, NULL, &encode, &no_encoder);
    MAKE(encoder_create, encoder, gpt2_model_tokenizer(model), &encode, NULL);
    MAKE(session_create, model, NULL, &create, &no_session);
    MAKE(session_create, session, model, &create, NULL);
    assert_true(no_model == NULL && no_tokenizer == NULL);
    assert_true(no_encoder == NULL && no_session == NULL);

    n = 7;
    no_encoder = (gpt2_encoder *)line;
    no_session = (gpt2_session *)line;
    MAKE(session_size, model, NULL, &create, &n);
    assert_int_equal(n, 0);
    MAKE(session_size, n_bytes, model, &create, NULL);
    MAKE(session_init, model, NULL, &create, line, sizeof line, &no_session);
    assert_null(no_session);
    MAKE(session_init, memory, model, &create, NULL, sizeof line, &no_session);
    MAKE(session_init, session, model, &create, line, sizeof line, NULL);
    MAKE(encoder_size, n_bytes, &encode, NULL);
    MAKE(encoder_init, tokenizer, NULL, &encode, line, sizeof line, &no_encoder);
    assert_null(no_encoder);
    MAKE(encoder_init, memory, gpt2_model_tokenizer(model), &encode, NULL, 1, &no_encoder);
    MAKE(encoder_init, encoder, gpt2_model_tokenizer(model), &encode, line, sizeof line, NULL);

    /* the defaults */
    null("gpt2_session_size.params", gpt2_session_size(model, NULL, &n), 0, "", "");
    memory = malloc(n);
    null("gpt2_session_init.params", gpt2_session_init(model, NULL, memory, n, &session), 0, "",
         "");
    gpt2_session_free(session);
    free(memory);
    null("gpt2_encoder_size.params", gpt2_encoder_size(NULL, &n), 0, "", "");
    memory = malloc(n);
    null("gpt2_encoder_init.params",
         gpt2_encoder_init(gpt2_model_tokenizer(model), NULL, memory, n, &encoder), 0, "", "");
    free(memory);
    null("gpt2_model_load.params", gpt2_model_load(DIRECTORY, NULL, &other_model), 0, "", "");
    null("gpt2_tokenizer_load.params", gpt2_tokenizer_load(DIRECTORY, NULL, &tokenizer), 0, "", "");
    null("gpt2_encoder_create.params", gpt2_encoder_create(tokenizer, NULL, &encoder), 0, "", "");
    null("gpt2_session_create.params", gpt2_session_create(other_model, NULL, &session), 0, "", "");
    gpt2_session_free(session);
    gpt2_encoder_free(encoder);
    gpt2_tokenizer_free(tokenizer);
    gpt2_model_free(other_model);
}

static int32_t fail_write(void *user, const void *bytes, size_t n_bytes)
{
    (void)bytes;
    return user == NULL && n_bytes > 0;
}

static void null_writing(void)
{
    char line[64];

    MAKE(model_write, model, NULL, "native.safetensors", fail_write, line, line, sizeof line);
    MAKE(model_write, write, model, "native.safetensors", NULL, line, line, sizeof line);
    MAKE(model_write, name, model, NULL, fail_write, line, line, sizeof line);
    null("gpt2_model_write.user",
         gpt2_model_write(model, "native.safetensors", fail_write, NULL, line, sizeof line),
         GPT2_ERR_CANCELLED, line, "cancelled by the write callback");
    null("gpt2_model_write.errbuf",
         gpt2_model_write(model, "native.safetensors", fail_write, NULL, NULL, 9),
         GPT2_ERR_CANCELLED, "", "");
}

static void null_tensor(void)
{
    char line[64];
    float values[128];
    int64_t shape[2];

    MAKE(model_tensor, model, NULL, "ln_f.bias", shape, values, 128, line, sizeof line);
    MAKE(model_tensor, name, model, NULL, shape, values, 128, line, sizeof line);
    MAKE(model_tensor, shape, model, "ln_f.bias", NULL, values, 128, line, sizeof line);
    null("gpt2_model_tensor.values",
         gpt2_model_tensor(model, "ln_f.bias", shape, NULL, 0, line, sizeof line), 0, line, "");
    null("gpt2_model_tensor.errbuf", gpt2_model_tensor(model, "", shape, values, 128, NULL, 9),
         GPT2_ERR_ARGUMENT, "", "");
}

static void null_text(void)
{
    const gpt2_tokenizer *tokenizer = gpt2_model_tokenizer(model);
    const char *bytes = "";
    gpt2_decode_state state = {0};
    gpt2_encoder *encoder;
    int32_t some[4] = {0};
    gpt2_offsets offsets;
    char text[8];
    size_t n = 7;

    REFUSED("gpt2_tokenizer_token_bytes.tokenizer",
            gpt2_tokenizer_token_bytes(NULL, 0, &bytes, &n));
    assert_true(bytes == NULL && n == 0);
    REFUSED("gpt2_tokenizer_token_bytes.bytes", gpt2_tokenizer_token_bytes(tokenizer, 0, NULL, &n));
    REFUSED("gpt2_tokenizer_token_bytes.n_bytes",
            gpt2_tokenizer_token_bytes(tokenizer, 0, &bytes, NULL));
    REFUSED("gpt2_token_offsets.tokenizer", gpt2_token_offsets(NULL, some, 1, &offsets));
    REFUSED("gpt2_token_offsets.ids", gpt2_token_offsets(tokenizer, NULL, 1, &offsets));
    REFUSED("gpt2_token_offsets.offsets", gpt2_token_offsets(tokenizer, some, 1, NULL));
    n = 7;
    REFUSED("gpt2_decode.tokenizer", gpt2_decode(NULL, some, 1, text, sizeof text, &n, NULL, 0));
    assert_int_equal(n, 0);
    REFUSED("gpt2_decode.ids", gpt2_decode(tokenizer, NULL, 1, text, sizeof text, &n, NULL, 0));
    REFUSED("gpt2_decode.text", gpt2_decode(tokenizer, some, 1, NULL, 1, &n, NULL, 0));
    REFUSED("gpt2_decode.n_bytes",
            gpt2_decode(tokenizer, some, 1, text, sizeof text, NULL, NULL, 0));
    null("gpt2_decode.errbuf", gpt2_decode(tokenizer, some, 1, text, sizeof text, &n, NULL, 9),
         GPT2_OK, "", "");
    null("gpt2_decode_part.errbuf",
         gpt2_decode_part(tokenizer, &state, some, 1, 0, text, sizeof text, &n, NULL, 9), GPT2_OK,
         "", "");
    n = 7;
    REFUSED("gpt2_decode_part.tokenizer",
            gpt2_decode_part(NULL, &state, some, 1, 0, text, 8, &n, NULL, 0));
    assert_int_equal(n, 0);
    REFUSED("gpt2_decode_part.state",
            gpt2_decode_part(tokenizer, NULL, some, 1, 0, text, 8, &n, NULL, 0));
    REFUSED("gpt2_decode_part.ids",
            gpt2_decode_part(tokenizer, &state, NULL, 1, 0, text, 8, &n, NULL, 0));
    REFUSED("gpt2_decode_part.text",
            gpt2_decode_part(tokenizer, &state, some, 1, 0, NULL, 8, &n, NULL, 0));
    REFUSED("gpt2_decode_part.n_bytes",
            gpt2_decode_part(tokenizer, &state, some, 1, 0, text, 8, NULL, NULL, 0));

    assert_int_equal(gpt2_encoder_create(tokenizer, NULL, &encoder), GPT2_OK);
    n = 7;
    REFUSED("gpt2_encode.encoder", gpt2_encode(NULL, "a", 1, 0, some, 4, &n));
    assert_int_equal(n, 0);
    null("gpt2_encode.text", gpt2_encode(encoder, NULL, 2, 0, some, 4, &n), GPT2_ERR_ARGUMENT,
         gpt2_encoder_error(encoder), "gpt2_encode: text is NULL, but n_bytes is 2");
    null("gpt2_encode.ids", gpt2_encode(encoder, "a", 1, 0, NULL, 4, &n), GPT2_ERR_ARGUMENT,
         gpt2_encoder_error(encoder), "gpt2_encode: ids is NULL, but capacity is 4");
    null("gpt2_encode.n_ids", gpt2_encode(encoder, "a", 1, 0, some, 4, NULL), GPT2_ERR_ARGUMENT,
         gpt2_encoder_error(encoder), "gpt2_encode: n_ids is NULL");
    gpt2_encoder_free(encoder);
}

static int32_t fail_call(void *user, const gpt2_tap *tap)
{
    (void)tap;
    return user == NULL;
}

/* A NULL that a function of a session names. */
#define NAMED(function, argument, ...)                                           \
    null("gpt2_" #function "." #argument, gpt2_##function(session, __VA_ARGS__), \
         GPT2_ERR_ARGUMENT, gpt2_session_error(session),                         \
         "gpt2_" #function ": " #argument " is NULL")

static void null_sampling(gpt2_session *session)
{
    const char *line = gpt2_session_error(session);
    const float *logits;
    gpt2_candidate candidate;
    size_t n_kept;
    int32_t id;

    assert_int_equal(gpt2_session_logits(session, 0, &logits), GPT2_OK);
    REFUSED("gpt2_sample_logits.session", gpt2_sample_logits(NULL, logits, NULL, &id));
    NAMED(sample_logits, logits, NULL, NULL, &id);
    NAMED(sample_logits, id, logits, NULL, NULL);
    null("gpt2_sample_logits.params", gpt2_sample_logits(session, logits, NULL, &id), GPT2_OK, line,
         "");
    REFUSED("gpt2_sample_candidates.session",
            gpt2_sample_candidates(NULL, logits, NULL, &candidate, 1, &n_kept));
    NAMED(sample_candidates, logits, NULL, NULL, &candidate, 1, &n_kept);
    NAMED(sample_candidates, candidates, logits, NULL, NULL, 1, &n_kept);
    NAMED(sample_candidates, n_kept, logits, NULL, &candidate, 1, NULL);
    null("gpt2_sample_candidates.params",
         gpt2_sample_candidates(session, logits, NULL, NULL, 0, &n_kept), GPT2_OK, line, "");
}

static void null_scoring(gpt2_session *session)
{
    const char *line = gpt2_session_error(session);
    const float *logits;
    gpt2_score_params params;
    gpt2_token_score score;

    assert_int_equal(gpt2_score_params_init(&params, sizeof params), GPT2_OK);
    assert_int_equal(gpt2_session_logits(session, 0, &logits), GPT2_OK);
    REFUSED("gpt2_score_logits.session", gpt2_score_logits(NULL, logits, 0, NULL, &score, NULL));
    NAMED(score_logits, logits, NULL, 0, NULL, &score, NULL);
    NAMED(score_logits, score, logits, 0, NULL, NULL, NULL);
    null("gpt2_score_logits.params", gpt2_score_logits(session, logits, 0, NULL, &score, NULL),
         GPT2_OK, line, "");
    params.n_likeliest = 1;
    NAMED(score_logits, likeliest, logits, 0, &params, &score, NULL);
}

static void null_session(void)
{
    gpt2_session *session = session_of(8, 1);
    const char *line = gpt2_session_error(session);
    const float *logits = (const float *)session;
    int32_t id = 5;

    REFUSED("gpt2_forward.session", gpt2_forward(NULL, ids, 1, 1));
    null("gpt2_forward.tokens", gpt2_forward(session, NULL, 1, 1), GPT2_ERR_ARGUMENT, line,
         "gpt2_forward: tokens is NULL");
    assert_int_equal(gpt2_session_position(session), 0);
    assert_int_equal(gpt2_forward(session, ids, 1, 1), GPT2_OK);
    REFUSED("gpt2_session_logits.session", gpt2_session_logits(NULL, 0, &logits));
    assert_null(logits);
    null("gpt2_session_logits.logits", gpt2_session_logits(session, 0, NULL), GPT2_ERR_ARGUMENT,
         line, "gpt2_session_logits: logits is NULL");
    REFUSED("gpt2_sample.session", gpt2_sample(NULL, 0, NULL, &id));
    assert_int_equal(id, 0);
    null("gpt2_sample.id", gpt2_sample(session, 0, NULL, NULL), GPT2_ERR_ARGUMENT, line,
         "gpt2_sample: id is NULL");
    null("gpt2_sample.params", gpt2_sample(session, 0, NULL, &id), GPT2_OK, line, "");
    null_sampling(session);
    null_scoring(session);
    REFUSED("gpt2_session_set_tap.session", gpt2_session_set_tap(NULL, fail_call, ids, 1));
    null("gpt2_session_set_tap.user", gpt2_session_set_tap(session, fail_call, NULL, 1), GPT2_OK,
         line, "");
    assert_int_equal(gpt2_forward(session, ids, 1, 1), GPT2_ERR_CANCELLED); /* it came through */
    null("gpt2_session_set_tap.callback", gpt2_session_set_tap(session, NULL, ids, 1), GPT2_OK,
         line, "");
    assert_int_equal(gpt2_forward(session, ids, 1, 1), GPT2_OK);
    gpt2_session_free(session);
}

static void null_sequences(void)
{
    gpt2_session *session = session_of(8, 1);
    gpt2_batch_item item = {0, 0, ids, 1, 1};
    gpt2_token_score score;
    gpt2_score_item scored = {0, 0, ids, 2, 1, &score, NULL};
    const int32_t *found = ids;
    const float *logits = (const float *)session;
    int32_t number = 5;
    char bytes[8];
    size_t n = 5;

    REFUSED("gpt2_forward_batch.session", gpt2_forward_batch(NULL, &item, 1));
    NAMED(forward_batch, items, NULL, 1);
    item.tokens = NULL;
    assert_int_equal(gpt2_forward_batch(session, &item, 1), GPT2_ERR_ARGUMENT);
    assert_string_equal(gpt2_session_error(session), "gpt2_forward_batch: item 0: tokens is NULL");
    assert_int_equal(gpt2_forward(session, ids, 1, 1), GPT2_OK);
    REFUSED("gpt2_batch_logits.session", gpt2_batch_logits(NULL, 0, 0, &logits));
    NAMED(batch_logits, logits, 0, 0, NULL);
    REFUSED("gpt2_batch_sample.session", gpt2_batch_sample(NULL, 0, 0, NULL, &number));
    NAMED(batch_sample, id, 0, 0, NULL, NULL);
    null("gpt2_batch_sample.params", gpt2_batch_sample(session, 0, 0, NULL, &number), GPT2_OK,
         gpt2_session_error(session), "");
    REFUSED("gpt2_score_params_init.params",
            gpt2_score_params_init(NULL, sizeof(gpt2_score_params)));
    REFUSED("gpt2_score.session", gpt2_score(NULL, &scored, 1, NULL));
    NAMED(score, items, NULL, 1, NULL);
    null("gpt2_score.params", gpt2_score(session, &scored, 1, NULL), GPT2_OK,
         gpt2_session_error(session), "");
    REFUSED("gpt2_sequence_open.session", gpt2_sequence_open(NULL, &number));
    NAMED(sequence_open, sequence, NULL);
    REFUSED("gpt2_sequence_close.session", gpt2_sequence_close(NULL, 0));
    REFUSED("gpt2_sequence_fork.session", gpt2_sequence_fork(NULL, 0, 0, &number));
    NAMED(sequence_fork, fork, 0, 0, NULL);
    REFUSED("gpt2_sequence_truncate.session", gpt2_sequence_truncate(NULL, 0, 0));
    REFUSED("gpt2_sequence_position.session", gpt2_sequence_position(NULL, 0, &number));
    NAMED(sequence_position, position, 0, NULL);
    REFUSED("gpt2_sequence_ids.session", gpt2_sequence_ids(NULL, 0, &found, &n));
    assert_true(number == 0 && logits == NULL && found == NULL && n == 0);
    NAMED(sequence_ids, ids, 0, NULL, &n);
    NAMED(sequence_ids, n_ids, 0, &found, NULL);
    REFUSED("gpt2_sequence_save.session", gpt2_sequence_save(NULL, 0, bytes, 8, &n));
    null("gpt2_sequence_save.bytes", gpt2_sequence_save(session, 0, NULL, 8, &n), GPT2_ERR_ARGUMENT,
         gpt2_session_error(session), "gpt2_sequence_save: bytes is NULL, but capacity is 8");
    NAMED(sequence_save, n_bytes, 0, bytes, 8, NULL);
    REFUSED("gpt2_sequence_write.session", gpt2_sequence_write(NULL, 0, fail_write, bytes));
    NAMED(sequence_write, write, 0, NULL, bytes);
    null("gpt2_sequence_write.user", gpt2_sequence_write(session, 0, fail_write, NULL),
         GPT2_ERR_CANCELLED, gpt2_session_error(session), "cancelled by the write callback");
    REFUSED("gpt2_sequence_restore.session", gpt2_sequence_restore(NULL, 0, bytes, 8));
    NAMED(sequence_restore, bytes, 0, NULL, 8);
    gpt2_session_free(session);
}

static void null_generator(void)
{
    gpt2_session *session = session_of(8, 1);
    const char *line = gpt2_session_error(session);
    gpt2_generator *generator = (gpt2_generator *)session;
    gpt2_generator_params make;
    gpt2_generated result;
    char made[256] = "", memory[4096];
    uint64_t drafted = 0;
    size_t n = 7;

    (void)gpt2_generator_params_init(&make, sizeof make);
    make.errbuf = made;
    make.errbuf_size = sizeof made;
    REFUSED("gpt2_generator_params_init.params",
            gpt2_generator_params_init(NULL, sizeof(gpt2_generator_params)));
    IGNORED("gpt2_generator_free.generator", gpt2_generator_free(NULL));
    null("gpt2_generator_error.generator", 0, 0, gpt2_generator_error(NULL), "");
#define MAKE_GENERATOR(function, argument, ...)                                             \
    null("gpt2_generator_" #function "." #argument, gpt2_generator_##function(__VA_ARGS__), \
         GPT2_ERR_ARGUMENT, made, "gpt2_generator_" #function ": " #argument " is NULL")
    MAKE_GENERATOR(size, session, NULL, &make, &n);
    assert_int_equal(n, 0);
    MAKE_GENERATOR(size, n_bytes, session, &make, NULL);
    MAKE_GENERATOR(create, session, NULL, &make, &generator);
    assert_null(generator);
    MAKE_GENERATOR(create, generator, session, &make, NULL);
    MAKE_GENERATOR(init, session, NULL, &make, memory, sizeof memory, &generator);
    MAKE_GENERATOR(init, memory, session, &make, NULL, sizeof memory, &generator);
    MAKE_GENERATOR(init, generator, session, &make, memory, sizeof memory, NULL);
    null("gpt2_generator_size.params", gpt2_generator_size(session, NULL, &n), 0, "", "");
    assert_true(n <= sizeof memory);
    null("gpt2_generator_init.params", gpt2_generator_init(session, NULL, memory, n, &generator), 0,
         "", "");
    null("gpt2_generator_create.params", gpt2_generator_create(session, NULL, &generator), 0, "",
         "");
    REFUSED("gpt2_generator_start.generator", gpt2_generator_start(NULL, 0, ids, 1, -1, NULL));
    null("gpt2_generator_start.ids", gpt2_generator_start(generator, 0, NULL, 1, -1, NULL),
         GPT2_ERR_ARGUMENT, line, "gpt2_generator_start: tokens is NULL");
    null("gpt2_generator_start.sampling", gpt2_generator_start(generator, 0, ids, 1, -1, NULL), 0,
         line, "");
    REFUSED("gpt2_generator_drafted.generator", gpt2_generator_drafted(NULL, &drafted, &drafted));
    REFUSED("gpt2_generator_drafted.n_drafted", gpt2_generator_drafted(generator, NULL, &drafted));
    REFUSED("gpt2_generator_drafted.n_accepted", gpt2_generator_drafted(generator, &drafted, NULL));
    REFUSED("gpt2_generator_step.generators", gpt2_generator_step(NULL, 1, &result));
    null("gpt2_generator_step.results", gpt2_generator_step(&generator, 1, NULL), GPT2_ERR_ARGUMENT,
         line, "gpt2_generator_step: results is NULL");
    gpt2_generator_free(generator);
    gpt2_session_free(session);
}

/* The pointers of one declaration of gpt2.h, "GPT2_API ... name(parameters);".  Returns how many. */
static int check_covered(char *declaration)
{
    char *open = strchr(declaration, '('), *name = open;
    int n_pointers = 0;

    assert_non_null(open);
    while (isalnum((unsigned char)name[-1]) || name[-1] == '_')
        name--;
    *open++ = '\0';
    for (char *part = strtok(open, ",)"); part != NULL; part = strtok(NULL, ",)")) {
        char *end = part + strlen(part), wanted[128];

        if (strchr(part, '*') == NULL && strstr(part, "callback") == NULL)
            continue;
        while (isalnum((unsigned char)end[-1]) || end[-1] == '_')
            end--;
        (void)snprintf(wanted, sizeof wanted, " %s.%s ", name, end);
        if (strstr(covered, wanted) == NULL)
            fail_msg("no case for%s", wanted);
        n_pointers++;
    }
    return n_pointers;
}

static void test_null(void **state)
{
    static char header[131072];
    FILE *file = fopen("include/gpt2.h", "r");
    int n_pointers = 0, n_covered = 0;

    (void)state;
    assert_non_null(file);
    header[fread(header, 1, sizeof header - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    covered[0] = '\0';
    null_handles();
    null_creation();
    null_params_of_sources();
    null_writing();
    null_tensor();
    null_text();
    null_session();
    null_sequences();
    null_generator();
    for (const char *c = covered; *c != '\0'; c++)
        n_covered += *c == ' ';
    (void)strcat(covered, " ");
    for (char *next = header; (next = strstr(next, "\nGPT2_API")) != NULL;) {
        char *end = strchr(next, ';');

        assert_non_null(end);
        *end = '\0';
        n_pointers += check_covered(next);
        next = end + 1;
    }
    assert_int_equal(n_pointers, n_covered);
    print_message("  NULL: each of the %d pointers that functions of gpt2.h take\n", n_pointers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_last_position),
        cmocka_unit_test(test_null),
    };

    return cmocka_run_group_tests_name("misuse", tests, set_up, tear_down);
}
