/*
 * metrics.c: GET /metrics.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "handlers.h"
#include "http.h"
#include "metrics.h"
#include "request.h"
#include "routes.h"

static const double limits[N_BUCKETS] = {0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3,
                                         1,      3,     10,    30,   100,  300};

void metrics_init(struct metrics *metrics)
{
    *metrics = (struct metrics){0};
    pthread_mutex_init(&metrics->mutex, NULL);
}

void metrics_destroy(struct metrics *metrics)
{
    pthread_mutex_destroy(&metrics->mutex);
}

/* ----------------------------------------------------------------------------------- counting -- */

static void observe(struct histogram *histogram, double seconds)
{
    int i = 0;

    while (i < N_BUCKETS && seconds > limits[i])
        i++;
    histogram->counts[i]++;
    histogram->sum += seconds;
}

static void count_answer(struct metrics *metrics, const struct call *call)
{
    int i = 0;

    while (i < metrics->n_answers &&
           (metrics->answers[i].route != call->route || metrics->answers[i].status != call->status))
        i++;
    if (i == MAX_ANSWERS)
        return; /* more than the routes have */
    if (i == metrics->n_answers)
        metrics->n_answers++;
    metrics->answers[i].route = call->route;
    metrics->answers[i].status = call->status;
    metrics->answers[i].n++;
}

static void count_text(struct metrics *metrics, const struct text *text)
{
    uint64_t arrived_ns = text->request->arrived_ns;

    metrics->n_texts++;
    metrics->n_tokens += text->done.n_tokens;
    if (text->started_ns > 0) {
        metrics->n_prompt_tokens += text->n_ids;
        metrics->n_shared_tokens += text->n_shared;
        observe(&metrics->queue, seconds_between(arrived_ns, text->started_ns));
    }
    if (text->first_ns > 0)
        observe(&metrics->first_token, seconds_between(arrived_ns, text->first_ns));
    if (text->done.has_ended && text->done.n_tokens > 1)
        observe(&metrics->token, seconds_between(text->first_ns, text->ended_ns) /
                                     (double)(text->done.n_tokens - 1));
}

void metrics_count(struct metrics *metrics, const struct call *call, bool is_whole)
{
    struct request *request = call->request;

    pthread_mutex_lock(&metrics->mutex);
    count_answer(metrics, call);
    metrics->n_unread += !is_whole;
    if (request != NULL) {
        pthread_mutex_lock(&request->mutex);
        for (size_t i = 0; i < request->n_texts; i++)
            count_text(metrics, &request->texts[i]);
        pthread_mutex_unlock(&request->mutex);
    }
    pthread_mutex_unlock(&metrics->mutex);
}

/* ------------------------------------------------------------------------------------ telling -- */

static void tell_head(FILE *page, const char *name, const char *type, const char *help)
{
    fprintf(page, "# HELP gpt2_%s %s\n# TYPE gpt2_%s %s\n", name, help, name, type);
}

static void tell(FILE *page, const char *name, const char *type, const char *help, double value)
{
    tell_head(page, name, type, help);
    fprintf(page, "gpt2_%s %.17g\n", name, value);
}

static void tell_histogram(FILE *page, const char *name, const char *help,
                           const struct histogram *histogram)
{
    uint64_t n = 0;

    tell_head(page, name, "histogram", help);
    for (int i = 0; i < N_BUCKETS; i++) {
        n += histogram->counts[i];
        fprintf(page, "gpt2_%s_bucket{le=\"%g\"} %llu\n", name, limits[i], (unsigned long long)n);
    }
    n += histogram->counts[N_BUCKETS];
    fprintf(page, "gpt2_%s_bucket{le=\"+Inf\"} %llu\ngpt2_%s_sum %.17g\ngpt2_%s_count %llu\n", name,
            (unsigned long long)n, name, histogram->sum, name, (unsigned long long)n);
}

static void tell_answers(FILE *page, const struct metrics *metrics)
{
    tell_head(page, "requests_total", "counter", "Calls that have ended, by path and status.");
    for (int i = 0; i < metrics->n_answers; i++)
        fprintf(page, "gpt2_requests_total{path=\"%s\",status=\"%d\"} %llu\n",
                metrics->answers[i].route != NULL ? metrics->answers[i].route->path : "other",
                metrics->answers[i].status, (unsigned long long)metrics->answers[i].n);
}

static void tell_all(FILE *page, struct http *http)
{
    struct metrics *metrics = &http->metrics;
    struct engine *engine = http->engine;

    pthread_mutex_lock(&metrics->mutex);
    tell_answers(page, metrics);
    tell(page, "requests_unread_total", "counter", "Calls whose clients left before the end.",
         (double)metrics->n_unread);
    tell(page, "texts_total", "counter", "Texts of calls that have ended.",
         (double)metrics->n_texts);
    tell(page, "prompt_tokens_total", "counter", "Tokens of their prompts.",
         (double)metrics->n_prompt_tokens);
    tell(page, "shared_tokens_total", "counter",
         "Of these, the ones that were computed for another text before.",
         (double)metrics->n_shared_tokens);
    tell(page, "tokens_total", "counter", "Tokens drawn for them.", (double)metrics->n_tokens);
    tell_histogram(page, "queue_seconds", "From the arrival of a text to its place.",
                   &metrics->queue);
    tell_histogram(page, "first_token_seconds", "From the arrival of a text to its first token.",
                   &metrics->first_token);
    tell_histogram(page, "token_seconds", "Mean time of a text for each token after the first.",
                   &metrics->token);
    pthread_mutex_unlock(&metrics->mutex);
    tell(page, "calls_active", "gauge", "Calls that have begun and not ended.",
         atomic_load(&http->n_active));
    tell(page, "texts_running", "gauge", "Texts that have a place.",
         atomic_load(&engine->n_running));
    tell(page, "texts_waiting", "gauge", "Texts in the queue.",
         (double)queue_length(&engine->queue));
    tell(page, "kv_pages", "gauge", "Pages of the KV cache; 0 while the model is loading.",
         atomic_load(&engine->state) == ENGINE_READY ? engine->cache.n_pages : 0);
    tell(page, "kv_pages_free", "gauge", "Pages that no sequence has.",
         atomic_load(&engine->free_pages));
}

enum MHD_Result handle_metrics(struct call *call)
{
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *page = open_memstream(&text, &n_bytes);
    enum MHD_Result result = MHD_NO;

    if (page == NULL)
        return MHD_NO;
    tell_all(page, call->http);
    if (fclose(page) == 0)
        result = answer_text(call, 200, "text/plain; version=0.0.4", text, n_bytes);
    free(text);
    return result;
}
