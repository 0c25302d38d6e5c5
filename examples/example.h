/*
 * example.h: what autocomplete.c and rescore.c share: loading a model, and errors, which end the
 * program.  minimal.c loads a model without it.
 */
#include <ctype.h>
#include <gpt2.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gpt2_model *model;
static gpt2_model_info info;
static const gpt2_tokenizer *tokenizer; /* the model's */
static gpt2_encoder *encoder;
static gpt2_session_params params;     /* load() fills in the defaults, the program changes some */
static gpt2_score_params score_params; /* likewise */
static gpt2_session *session;
static char line[GPT2_ERRBUF_BYTES]; /* why a load or create failed */

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void check(int32_t status)
{
    if (status != GPT2_OK)
        fail(gpt2_strerror(status), *line ? line : gpt2_session_error(session));
}

/* How many ids from the first on are the same in both. */
static size_t n_common_ids(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    size_t n = 0;

    while (n < n_a && n < n_b && a[n] == b[n])
        n++;
    return n;
}

/* Loads a model with its tokenizer, and makes an encoder. */
static void load(const char *path)
{
    gpt2_model_params files;

    gpt2_model_params_init(&files, sizeof files);
    gpt2_session_params_init(&params, sizeof params);
    gpt2_score_params_init(&score_params, sizeof score_params);
    gpt2_model_info_init(&info, sizeof info);
    files.errbuf = params.errbuf = line;
    files.errbuf_size = params.errbuf_size = sizeof line;
    check(gpt2_model_load(path, &files, &model));
    check(gpt2_model_get_info(model, &info));
    tokenizer = gpt2_model_tokenizer(model);
    if (tokenizer == NULL || info.eot_token < 0)
        fail(path, "wanted a tokenizer with <|endoftext|>");
    check(gpt2_encoder_create(tokenizer, NULL, &encoder));
}

/* Makes the session from params, on all CPUs. */
static void start(void)
{
    params.n_threads = 0; /* one for each CPU */
    check(gpt2_session_create(model, &params, &session));
}

static void finish(void)
{
    gpt2_session_free(session);
    gpt2_encoder_free(encoder);
    gpt2_model_free(model);
}
