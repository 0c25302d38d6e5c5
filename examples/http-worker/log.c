/*
 * log.c: the lines of the log: name=value, in one order.
 */
#include "log.h"

#include <stdio.h>
#include <time.h>

#include "http.h"
#include "request.h"
#include "routes.h"

/* What the engine did for a call: sums over its texts, and the longest times. */
static int describe_request(char *line, size_t n_bytes, struct request *request)
{
    size_t n_prompt = 0, n_shared = 0, n_drawn = 0;
    double queue = 0, first = 0;

    pthread_mutex_lock(&request->mutex);
    for (size_t i = 0; i < request->n_texts; i++) {
        const struct text *text = &request->texts[i];
        double text_queue = 1e3 * seconds_between(request->arrived_ns, text->started_ns);
        double text_first = 1e3 * seconds_between(request->arrived_ns, text->first_ns);

        n_prompt += text->n_ids;
        n_shared += text->n_shared;
        n_drawn += text->done.n_tokens;
        queue = text_queue > queue ? text_queue : queue;
        first = text_first > first ? text_first : first;
    }
    pthread_mutex_unlock(&request->mutex);
    return snprintf(
        line, n_bytes,
        " texts=%zu prompt_tokens=%zu shared_tokens=%zu tokens=%zu queue_ms=%.3f first_ms=%.3f",
        request->n_texts, n_prompt, n_shared, n_drawn, queue, first);
}

void log_call(const struct call *call, bool is_whole)
{
    char line[512], when[32];
    struct timespec now;
    struct tm parts;
    int n;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &parts);
    n = snprintf(line, sizeof line,
                 "time=%s.%03ldZ call=%llu method=%s path=%s status=%d whole=%s ms=%.3f", when,
                 now.tv_nsec / 1000000, (unsigned long long)call->number,
                 call->route != NULL ? call->route->method : "-",
                 call->route != NULL ? call->route->path : "-", call->status,
                 is_whole ? "yes" : "no", 1e3 * seconds_between(call->begin_ns, gpt2_clock_ns()));
    if (call->request != NULL)
        n += describe_request(line + n, sizeof line - (size_t)n, call->request);
    (void)snprintf(line + n, sizeof line - (size_t)n, "\n");
    fputs(line, stderr); /* one call, so that lines of several threads do not mix */
}
