/*
 * engine.c: the turns of the engine.
 */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loading.h"
#include "request.h"

enum { IDLE_CHUNK_TOKENS = 256 }; /* when no text waits for its next token */

/* --------------------------------------------------------------------------- a text's end -- */

static void release(struct engine *engine, struct slot *slot)
{
    cache_end(&engine->cache, slot->sequence, slot->n_pages, true);
    gpt2_generator_free(slot->generator);
    request_release(slot->text->request);
    slot->text = NULL; /* remove_ended() takes the place away */
}

static void end(struct engine *engine, struct slot *slot, int finish, const gpt2_generated *left)
{
    text_end(slot->text, finish, left != NULL ? left->text : NULL,
             left != NULL ? left->n_bytes : 0);
    release(engine, slot);
}

/* The line of a wrong parameter begins with the names of the library: clients know the last one. */
static const char *client_line(const char *line)
{
    static const char *const prefixes[] = {"gpt2_sample_params.", "gpt2_generator_params.",
                                           "gpt2_generator_start: "};

    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (strncmp(line, prefixes[i], strlen(prefixes[i])) == 0)
            return line + strlen(prefixes[i]);
    }
    return line;
}

static void fail(struct engine *engine, struct slot *slot, int status, const char *line)
{
    text_fail(slot->text, status, client_line(line));
    release(engine, slot);
}

/* 400 for what a client can correct. */
static int http_status(int32_t status)
{
    return status == GPT2_ERR_ARGUMENT || status == GPT2_ERR_TOKEN || status == GPT2_ERR_CONTEXT ||
                   status == GPT2_ERR_NONFINITE
               ? 400
               : 500;
}

static void remove_ended(struct engine *engine)
{
    int n = atomic_load(&engine->n_running), n_left = 0;

    for (int i = 0; i < n; i++) {
        if (engine->slots[i].text != NULL)
            engine->slots[n_left++] = engine->slots[i];
    }
    atomic_store(&engine->n_running, n_left);
    atomic_store(&engine->free_pages, gpt2_session_n_free_pages(engine->session));
}

/* Drops texts whose clients have left, and ends those whose time is over. */
static void drop_late(struct engine *engine)
{
    uint64_t now = gpt2_clock_ns();
    struct text *text;

    while ((text = queue_take_late(&engine->queue, now)) != NULL) {
        text_fail(text, 503, "the time was over before there was a place for the text");
        request_release(text->request);
    }
    for (int i = 0; i < atomic_load(&engine->n_running); i++) {
        struct slot *slot = &engine->slots[i];
        struct request *request = slot->text->request;

        if (atomic_load(&request->is_gone))
            fail(engine, slot, 499, "the client has left");
        else if (now >= request->deadline_ns)
            end(engine, slot, GPT2_FINISH_DEADLINE, NULL);
    }
    remove_ended(engine);
}

/* ------------------------------------------------------------------------- a text's beginning -- */

/* Makes the generator, and checks what the client wants: sequence 0 is open, and empty for ever. */
static int32_t make_generator(struct engine *engine, struct slot *slot, char *line)
{
    struct text *text = slot->text;
    gpt2_generator_params params = text->request->ending;
    gpt2_sample_params sampling = text->request->sampling;
    int32_t status;

    params.errbuf = line;
    params.errbuf_size = ERROR_BYTES;
    status = gpt2_generator_create(engine->session, &params, &slot->generator);
    if (status != GPT2_OK)
        return status;
    status = gpt2_generator_start(slot->generator, 0, text->ids, text->n_ids,
                                  text->request->max_tokens, &sampling);
    if (status != GPT2_OK)
        (void)snprintf(line, ERROR_BYTES, "%s", gpt2_session_error(engine->session));
    return status;
}

/* Gives texts of the queue a place, in their order, while there are places and pages. */
static void admit(struct engine *engine)
{
    struct text *text;

    while (atomic_load(&engine->n_running) < engine->options->n_texts &&
           (text = queue_look(&engine->queue)) != NULL) {
        struct slot *slot = &engine->slots[atomic_load(&engine->n_running)];
        char line[ERROR_BYTES] = "";
        int32_t status;

        *slot = (struct slot){.text = text, .sequence = -1};
        /* the last token that is drawn does not run */
        slot->n_pages = cache_pages(text->n_ids + text->capacity - (text->capacity > 0));
        if (!cache_reserve(&engine->cache, slot->n_pages))
            return;
        queue_take(&engine->queue);
        text_start(text);
        status = make_generator(engine, slot, line);
        atomic_fetch_add(&engine->n_running, 1);
        if (status != GPT2_OK)
            fail(engine, slot, http_status(status), line);
        else if (text->capacity == 0 && !text->request->scores_prompt)
            end(engine, slot, GPT2_FINISH_LENGTH, NULL);
        remove_ended(engine);
    }
}

static size_t common(const struct text *a, const struct text *b)
{
    size_t n = 0;

    while (n < a->n_ids && n < b->n_ids && a->ids[n] == b->ids[n])
        n++;
    return n;
}

/*
 * Opens the sequence of a text.  If another text has run the same beginning, the sequence is forked from
 * it; if another one is running it, the text waits.
 */
static void place(struct engine *engine, struct slot *slot)
{
    struct text *text = slot->text;
    size_t n_most = text->n_ids - 1; /* the last token must run, for its logits */
    size_t n_shared = 0, n_soon = 0;
    int32_t sequence = -1, status;

    if (!text->request->scores_prompt)
        sequence = cache_find(&engine->cache, text->ids, n_most, &n_shared);
    for (int i = 0; i < atomic_load(&engine->n_running) && !text->request->scores_prompt; i++) {
        const struct slot *other = &engine->slots[i];
        size_t n;

        if (other->text == NULL || other->sequence < 0)
            continue;
        n = cache_common(&engine->cache, other->sequence, text->ids, n_most);
        if (n > n_shared) {
            n_shared = n;
            sequence = other->sequence;
        }
        n = common(text, other->text);
        n_soon = n > n_soon ? n : n_soon;
    }
    n_soon = n_soon < n_most ? n_soon : n_most;
    if (n_soon >= n_shared + MIN_SHARED_TOKENS)
        return;
    slot->n_run = n_shared >= MIN_SHARED_TOKENS ? n_shared : 0;
    text_share(text, slot->n_run);
    status = cache_open(&engine->cache, sequence, slot->n_run, &slot->sequence);
    if (status != GPT2_OK) {
        slot->sequence = -1;
        fail(engine, slot, 500, gpt2_session_error(engine->session));
    }
}

/* ----------------------------------------------------------------------------------- a turn -- */

/*
 * Gives the generator the next tokens of the prompt, at most '*budget'.  A chunk that is not the last one
 * runs as a text of one token, which is not used.
 */
static void give_chunk(struct engine *engine, struct slot *slot, size_t *budget)
{
    struct text *text = slot->text;
    const struct request *request = text->request;
    size_t n_left = text->n_ids - slot->n_run;
    size_t n = n_left < *budget ? n_left : *budget;
    gpt2_sample_params sampling;
    int32_t status;

    if (n == 0)
        return;
    if (n == n_left) {
        sampling = request->sampling;
        sampling.stream = text->choice;
    } else {
        gpt2_sample_params_init(&sampling, sizeof sampling);
        sampling.temperature = 0;
    }
    status = gpt2_generator_start(slot->generator, slot->sequence, text->ids + slot->n_run, n,
                                  n == n_left ? request->max_tokens : 1, &sampling);
    if (status != GPT2_OK) {
        fail(engine, slot, http_status(status), gpt2_session_error(engine->session));
        return;
    }
    *budget -= n;
    slot->n_run += n;
    slot->draws = n == n_left;
    slot->runs = true;
}

/* Scores the next tokens of a prompt, which run for it.  The last token is only predicted. */
static void score_chunk(struct engine *engine, struct slot *slot, size_t *budget)
{
    struct text *text = slot->text;
    size_t n_left = text->n_ids - 1 - slot->n_run;
    size_t n = n_left < *budget ? n_left : *budget;
    int n_likeliest = text->request->n_likeliest > 0 ? text->request->n_likeliest : 0;
    gpt2_score_item item = {slot->sequence,
                            0,
                            text->ids + slot->n_run,
                            n + 1,
                            1,
                            text->prompt_scores + slot->n_run,
                            NULL};
    gpt2_score_params params;
    int32_t status;

    if (n == 0)
        return;
    gpt2_score_params_init(&params, sizeof params);
    params.n_likeliest = n_likeliest;
    if (n_likeliest > 0)
        item.likeliest = text->prompt_likeliest + slot->n_run * (size_t)n_likeliest;
    status = gpt2_score(engine->session, &item, 1, &params);
    *budget -= n;
    slot->n_run += n;
    if (status != GPT2_OK)
        fail(engine, slot, 500, gpt2_session_error(engine->session));
    else if (n == n_left && text->capacity == 0)
        end(engine, slot, GPT2_FINISH_LENGTH, NULL);
}

/* Places texts and runs the next chunks of prompts that are scored, or gives them to the generators. */
static void run_prompts(struct engine *engine)
{
    size_t budget = IDLE_CHUNK_TOKENS;
    int n = atomic_load(&engine->n_running);

    for (int i = 0; i < n; i++) {
        if (engine->slots[i].draws)
            budget = (size_t)engine->options->chunk_tokens;
    }
    for (int i = 0; i < n; i++) {
        struct slot *slot = &engine->slots[i];

        if (slot->sequence < 0)
            place(engine, slot);
        if (slot->text == NULL || slot->sequence < 0 || slot->draws)
            continue;
        if (slot->text->request->scores_prompt && slot->n_run + 1 < slot->text->n_ids)
            score_chunk(engine, slot, &budget);
        else if (slot->text->capacity == 0)
            end(engine, slot, GPT2_FINISH_LENGTH, NULL); /* a prompt of one token has no scores */
        else
            give_chunk(engine, slot, &budget);
    }
    remove_ended(engine);
}

/*
 * The natural logarithm of the probability of a text's next token, before any sampling parameter.  The
 * likeliest tokens go into the text.  The logits were drawn from, so they are finite.
 */
static double log_probability(struct engine *engine, struct text *text, const float *logits,
                              int32_t id)
{
    size_t n_likeliest = (size_t)text->request->n_likeliest;
    gpt2_score_params params;
    gpt2_token_score score;

    gpt2_score_params_init(&params, sizeof params);
    params.n_likeliest = text->request->n_likeliest;
    (void)gpt2_score_logits(engine->session, logits, id, &params, &score,
                            n_likeliest > 0 ? text->likeliest + text->done.n_tokens * n_likeliest
                                            : NULL);
    return score.logprob;
}

/* Hands a text what its generator gave; 'logits' are those that the token was drawn from. */
static void deliver(struct engine *engine, struct slot *slot, const gpt2_generated *result,
                    const float *logits)
{
    struct text *text = slot->text;
    const gpt2_generated *left = result;
    int finish = result->finish;

    if (finish == GPT2_FINISH_PAGES || finish == GPT2_FINISH_CANCELLED ||
        finish == GPT2_FINISH_ERROR) {
        if (slot->draws || finish != GPT2_FINISH_ERROR)
            fail(engine, slot, finish == GPT2_FINISH_ERROR ? 400 : 500,
                 gpt2_generator_error(slot->generator));
        return;
    }
    if (!slot->draws)
        return;
    if (result->id >= 0 && finish != GPT2_FINISH_TOKEN) {
        double logprob = 0;

        if (text->request->n_likeliest >= 0)
            logprob = log_probability(engine, text, logits, result->id);
        text_add(text, result->id, logprob, result->text, result->n_bytes);
        left = NULL;
    }
    if (finish != GPT2_FINISH_NOT_YET)
        end(engine, slot, finish, left);
}

/* Runs all generators that have tokens to run. */
static void step(struct engine *engine)
{
    size_t n = 0, item = 0;
    char line[ERROR_BYTES];
    int32_t status;

    for (int i = 0; i < atomic_load(&engine->n_running); i++) {
        struct slot *slot = &engine->slots[i];

        if (!slot->runs)
            continue;
        engine->stepping[n] = slot;
        engine->generators[n++] = slot->generator;
    }
    if (n == 0)
        return;
    status = gpt2_generator_step(engine->generators, n, engine->results);
    (void)snprintf(line, sizeof line, "%s", gpt2_session_error(engine->session));
    for (size_t i = 0; i < n; i++) {
        const gpt2_generated *result = &engine->results[i];
        const float *logits = NULL;

        engine->stepping[i]->runs = engine->stepping[i]->draws;
        if (status != GPT2_OK) {
            fail(engine, engine->stepping[i], 500, line);
            continue;
        }
        if (result->id >= 0 || result->finish == GPT2_FINISH_ERROR)
            (void)gpt2_batch_logits(engine->session, item++, GPT2_LAST_ROW, &logits);
        deliver(engine, engine->stepping[i], result, logits);
    }
    remove_ended(engine);
}

/* ---------------------------------------------------------------------------------- the thread -- */

static void fail_all(struct engine *engine)
{
    struct text *text;

    for (int i = 0; i < atomic_load(&engine->n_running); i++)
        fail(engine, &engine->slots[i], 503, "the worker stops");
    remove_ended(engine);
    while ((text = queue_look(&engine->queue)) != NULL) {
        queue_take(&engine->queue);
        text_fail(text, 503, "the worker stops");
        request_release(text->request);
    }
}

static void *run(void *argument)
{
    struct engine *engine = argument;

    if (!loading_open(engine)) {
        atomic_store(&engine->state, ENGINE_FAILED);
    } else {
        atomic_store(&engine->state, ENGINE_READY);
        while (!queue_is_closed(&engine->queue)) {
            if (atomic_load(&engine->n_running) == 0 && !queue_wait(&engine->queue))
                break;
            drop_late(engine);
            admit(engine);
            run_prompts(engine);
            step(engine);
        }
        fail_all(engine);
    }
    return NULL;
}

int engine_start(struct engine *engine, const struct options *options)
{
    memset(engine, 0, sizeof *engine);
    engine->options = options;
    atomic_init(&engine->state, ENGINE_LOADING);
    queue_init(&engine->queue, (size_t)options->n_waiting);
    return pthread_create(&engine->thread, NULL, run, engine);
}

void engine_stop(struct engine *engine)
{
    queue_close(&engine->queue);
    pthread_join(engine->thread, NULL);
}

void engine_free(struct engine *engine)
{
    loading_close(engine);
    queue_destroy(&engine->queue);
}
