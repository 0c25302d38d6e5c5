/*
 * loading.c: from a folder to an engine that can run texts.
 */
#include "loading.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

enum { N_SCORE_ROWS = 64, N_BATCH = 256 };

static bool complain(struct engine *engine, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(engine->error, sizeof engine->error, format, arguments);
    va_end(arguments);
    return false;
}

static bool load_model(struct engine *engine)
{
    const char *path = engine->options->model;
    gpt2_model_params params;
    const char *bytes, *begin, *end = path + strlen(path);
    size_t n_bytes;

    gpt2_model_params_init(&params, sizeof params);
    params.n_threads = engine->options->n_threads;
    params.weight_type = engine->options->weight_type;
    params.errbuf = engine->error;
    params.errbuf_size = sizeof engine->error;
    if (gpt2_model_load(path, &params, &engine->model) != GPT2_OK)
        return false;
    gpt2_model_info_init(&engine->info, sizeof engine->info);
    (void)gpt2_model_get_info(engine->model, &engine->info);
    engine->tokenizer = gpt2_model_tokenizer(engine->model);
    if (engine->tokenizer == NULL)
        return complain(engine, "%s: wanted a model with a tokenizer%s%s", path,
                        gpt2_model_tokenizer_error(engine->model)[0] == '\0' ? "" : ": ",
                        gpt2_model_tokenizer_error(engine->model));
    for (int32_t id = 0; id < engine->info.n_vocab; id++) {
        if (gpt2_tokenizer_token_bytes(engine->tokenizer, id, &bytes, &n_bytes) == GPT2_OK &&
            n_bytes > engine->max_token_bytes)
            engine->max_token_bytes = n_bytes;
    }
    while (end > path + 1 && end[-1] == '/')
        end--;
    for (begin = end; begin > path && begin[-1] != '/';)
        begin--;
    (void)snprintf(engine->name, sizeof engine->name, "%.*s", (int)(end - begin), begin);
    return true;
}

static bool open_session(struct engine *engine)
{
    const struct options *options = engine->options;
    int32_t per_text = cache_pages((size_t)engine->info.n_positions);
    gpt2_session_params params;

    gpt2_session_params_init(&params, sizeof params);
    params.n_threads = options->n_threads;
    params.n_batch = N_BATCH;
    /* sequence 0, those of the texts that run, and as many that are kept */
    params.n_sequences = 1 + 2 * options->n_texts;
    params.n_logit_rows = options->n_texts > N_SCORE_ROWS ? options->n_texts : N_SCORE_ROWS;
    params.n_pages = options->n_pages > 0 ? options->n_pages : options->n_texts * per_text;
    params.errbuf = engine->error;
    params.errbuf_size = sizeof engine->error;
    if (params.n_pages < per_text)
        return complain(engine, "--kv-pages is %d, wanted %d or more for one text of this model",
                        params.n_pages, per_text);
    if (gpt2_session_create(engine->model, &params, &engine->session) != GPT2_OK)
        return false;
    engine->n_ctx = gpt2_session_n_ctx(engine->session);
    atomic_store(&engine->free_pages, gpt2_session_n_free_pages(engine->session));
    return true;
}

/* Runs a step of the largest size, so that the first client does not wait for memory to be touched. */
static bool warm_up(struct engine *engine)
{
    static const int32_t ids[N_BATCH]; /* zeros */
    size_t n = engine->n_ctx < N_BATCH ? (size_t)engine->n_ctx : N_BATCH;

    if (gpt2_forward(engine->session, ids, n, 1) != GPT2_OK)
        return complain(engine, "%s", gpt2_session_error(engine->session));
    return gpt2_session_reset(engine->session) == GPT2_OK;
}

bool loading_open(struct engine *engine)
{
    size_t n_texts = (size_t)engine->options->n_texts;

    if (!load_model(engine) || !open_session(engine) || !warm_up(engine))
        return false;
    engine->slots = calloc(n_texts, sizeof *engine->slots);
    engine->stepping = calloc(n_texts, sizeof *engine->stepping);
    engine->generators = calloc(n_texts, sizeof *engine->generators);
    engine->results = calloc(n_texts, sizeof *engine->results);
    if (!cache_init(&engine->cache, engine->session, n_texts) || engine->slots == NULL ||
        engine->stepping == NULL || engine->generators == NULL || engine->results == NULL)
        return complain(engine, "no memory for %zu texts", n_texts);
    return true;
}

void loading_close(struct engine *engine)
{
    free(engine->slots);
    free(engine->stepping);
    free(engine->generators);
    free(engine->results);
    cache_destroy(&engine->cache);
    gpt2_session_free(engine->session);
    gpt2_model_free(engine->model);
}
