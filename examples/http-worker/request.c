/*
 * request.c: the memory of a request, and its hand-over between the engine and an HTTP thread.
 */
#include "request.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

double seconds_between(uint64_t begin_ns, uint64_t end_ns)
{
    return end_ns > begin_ns ? (double)(end_ns - begin_ns) / 1e9 : 0;
}

struct request *request_new(void)
{
    struct request *request = calloc(1, sizeof *request);
    pthread_condattr_t monotonic;

    if (request == NULL)
        return NULL;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&request->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&request->mutex, NULL);
    atomic_init(&request->n_owners, 1);
    atomic_init(&request->is_gone, false);
    gpt2_sample_params_init(&request->sampling, sizeof request->sampling);
    gpt2_generator_params_init(&request->ending, sizeof request->ending);
    request->n_likeliest = -1;
    request->n_choices = 1;
    request->arrived_ns = gpt2_clock_ns();
    return request;
}

/* At least one byte, so that NULL always means that there is no memory. */
static void *new_array(size_t n, size_t item_bytes)
{
    return calloc(n > 0 ? n : 1, item_bytes > 0 ? item_bytes : 1);
}

static bool make_text(const struct request *request, struct text *text, int32_t n_ctx,
                      size_t max_token_bytes)
{
    size_t n_likeliest = request->n_likeliest > 0 ? (size_t)request->n_likeliest : 0;
    size_t room = (size_t)n_ctx + 1 - text->n_ids; /* the last token that is drawn does not run */

    text->capacity = (uint64_t)request->max_tokens < room ? (size_t)request->max_tokens : room;
    text->tokens = new_array(text->capacity, sizeof *text->tokens);
    text->bytes = new_array(text->capacity, max_token_bytes);
    text->likeliest = new_array(text->capacity * n_likeliest, sizeof *text->likeliest);
    if (request->scores_prompt) {
        text->prompt_scores = new_array(text->n_ids, sizeof *text->prompt_scores);
        text->prompt_likeliest =
            new_array(text->n_ids * n_likeliest, sizeof *text->prompt_likeliest);
        if (text->prompt_scores == NULL || text->prompt_likeliest == NULL)
            return false;
    }
    return text->tokens != NULL && text->bytes != NULL && text->likeliest != NULL;
}

bool request_make_texts(struct request *request, int32_t **ids, const size_t *n_ids,
                        size_t n_prompts, int32_t n_ctx, size_t max_token_bytes)
{
    bool is_made = true;

    request->n_texts = n_prompts * request->n_choices;
    request->texts = new_array(request->n_texts, sizeof *request->texts);
    if (request->texts == NULL) {
        request->n_texts = 0;
        for (size_t i = 0; i < n_prompts; i++)
            free(ids[i]);
        return false;
    }
    for (size_t i = 0; i < request->n_texts; i++) {
        struct text *text = &request->texts[i];

        text->request = request;
        text->choice = i % request->n_choices;
        text->ids = ids[i / request->n_choices];
        text->n_ids = n_ids[i / request->n_choices];
        is_made = is_made && make_text(request, text, n_ctx, max_token_bytes);
    }
    return is_made;
}

static void free_request(struct request *request)
{
    for (size_t i = 0; i < request->n_texts; i++) {
        struct text *text = &request->texts[i];

        if (text->choice == 0)
            free(text->ids);
        free(text->tokens);
        free(text->bytes);
        free(text->likeliest);
        free(text->prompt_scores);
        free(text->prompt_likeliest);
    }
    for (size_t i = 0; i < request->ending.n_stop_strings; i++)
        free((void *)request->ending.stop_strings[i]);
    free((void *)request->ending.stop_strings);
    free((void *)request->ending.stop_ids);
    free((void *)request->sampling.bias_ids);
    free((void *)request->sampling.bias_values);
    free((void *)request->sampling.dry_breakers);
    free((void *)request->sampling.banned_ids);
    free((void *)request->sampling.allowed_ids);
    free(request->texts);
    pthread_cond_destroy(&request->changed);
    pthread_mutex_destroy(&request->mutex);
    free(request);
}

void request_release(struct request *request)
{
    if (request != NULL && atomic_fetch_sub(&request->n_owners, 1) == 1)
        free_request(request);
}

/* ------------------------------------------------------------------------------- the engine's -- */

/* The caller holds the lock. */
static void add_bytes(struct text *text, const char *bytes, size_t n_bytes)
{
    if (n_bytes > 0)
        memcpy(text->bytes + text->done.n_bytes, bytes, n_bytes);
    text->done.n_bytes += n_bytes;
}

void text_start(struct text *text)
{
    pthread_mutex_lock(&text->request->mutex);
    text->started_ns = gpt2_clock_ns();
    pthread_mutex_unlock(&text->request->mutex);
}

void text_share(struct text *text, size_t n_shared)
{
    pthread_mutex_lock(&text->request->mutex);
    text->n_shared = n_shared;
    pthread_mutex_unlock(&text->request->mutex);
}

void text_add(struct text *text, int32_t id, double logprob, const char *bytes, size_t n_bytes)
{
    struct request *request = text->request;

    pthread_mutex_lock(&request->mutex);
    add_bytes(text, bytes, n_bytes);
    text->tokens[text->done.n_tokens++] = (struct token){id, logprob, text->done.n_bytes};
    if (text->first_ns == 0)
        text->first_ns = gpt2_clock_ns();
    pthread_mutex_unlock(&request->mutex);
    /* a thread that is woken while the lock is held would only wait for it */
    pthread_cond_signal(&request->changed);
}

/* The caller holds the lock; this gives it back.  The engine still owns the request. */
static void end_and_unlock(struct text *text, int finish)
{
    struct request *request = text->request;

    text->finish = finish;
    text->ended_ns = gpt2_clock_ns();
    text->done.has_ended = true;
    pthread_mutex_unlock(&request->mutex);
    pthread_cond_signal(&request->changed);
}

void text_end(struct text *text, int finish, const char *bytes, size_t n_bytes)
{
    pthread_mutex_lock(&text->request->mutex);
    add_bytes(text, bytes, n_bytes);
    end_and_unlock(text, finish);
}

void text_fail(struct text *text, int status, const char *line)
{
    size_t n = strlen(line);

    pthread_mutex_lock(&text->request->mutex);
    n = n < sizeof text->error ? n : sizeof text->error - 1;
    memcpy(text->error, line, n);
    text->error[n] = '\0';
    text->status = status;
    end_and_unlock(text, GPT2_FINISH_ERROR);
}

/* -------------------------------------------------------------------------- the HTTP thread's -- */

struct progress request_look(struct request *request, const struct text *text)
{
    struct progress done;

    pthread_mutex_lock(&request->mutex);
    done = text->done;
    pthread_mutex_unlock(&request->mutex);
    return done;
}

/* The caller holds the lock. */
static bool has_more(const struct request *request, const struct progress *seen)
{
    for (size_t i = 0; i < request->n_texts; i++) {
        const struct progress *done = &request->texts[i].done;

        if (done->n_tokens > seen[i].n_tokens || done->has_ended != seen[i].has_ended)
            return true;
    }
    return false;
}

void request_wait(struct request *request, const struct progress *seen, int milliseconds)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += milliseconds * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&request->mutex);
    while (!has_more(request, seen)) {
        if (pthread_cond_timedwait(&request->changed, &request->mutex, &until) != 0)
            break;
    }
    pthread_mutex_unlock(&request->mutex);
}

bool request_has_ended(struct request *request)
{
    bool has_ended = true;

    pthread_mutex_lock(&request->mutex);
    for (size_t i = 0; i < request->n_texts; i++)
        has_ended = has_ended && request->texts[i].done.has_ended;
    pthread_mutex_unlock(&request->mutex);
    return has_ended;
}
