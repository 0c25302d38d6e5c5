/*
 * http.c: the daemon: who may ask, how much, and which handler answers.
 */
#include "http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "request.h"
#include "routes.h"

enum { HEADER_BYTES = 32 * 1024 };

/* ------------------------------------------------------------------------------------ answers -- */

enum MHD_Result answer(struct call *call, int status, struct MHD_Response *response)
{
    enum MHD_Result result;

    if (response == NULL)
        return MHD_NO; /* no memory: the connection is closed */
    if (status == 429 || status == 503)
        (void)MHD_add_response_header(response, "Retry-After", "1");
    if (status == 401)
        (void)MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    call->status = status;
    call->is_answered = true;
    guard_wait(&call->http->guard, call->guarded, true);
    result = MHD_queue_response(call->connection, (unsigned int)status, response);
    MHD_destroy_response(response);
    return result;
}

/* 'how' says whether libmicrohttpd copies the text, or frees it. */
static enum MHD_Result answer_bytes(struct call *call, int status, const char *type, char *text,
                                    size_t n_bytes, enum MHD_ResponseMemoryMode how)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(n_bytes, text, how);

    if (response != NULL)
        (void)MHD_add_response_header(response, "Content-Type", type);
    return answer(call, status, response);
}

enum MHD_Result answer_text(struct call *call, int status, const char *type, const char *text,
                            size_t n_bytes)
{
    return answer_bytes(call, status, type, (char *)(uintptr_t)text, n_bytes,
                        MHD_RESPMEM_MUST_COPY);
}

enum MHD_Result answer_json(struct call *call, int status, json_t *json)
{
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);

    json_decref(json);
    if (text == NULL)
        return MHD_NO;
    return answer_bytes(call, status, "application/json", text, strlen(text),
                        MHD_RESPMEM_MUST_FREE);
}

json_t *error_json(const struct refusal *refusal)
{
    return json_pack("{s{ss ss sn sn}}", "error", "message", refusal->line, "type",
                     refusal->status < 500 ? "invalid_request_error" : "server_error", "param",
                     "code");
}

enum MHD_Result answer_refusal(struct call *call, const struct refusal *refusal)
{
    return answer_json(call, refusal->status, error_json(refusal));
}

/* -------------------------------------------------------------------------------- who may ask -- */

/* The time that this takes depends on the length of 'given' only. */
static bool is_token(const char *token, const char *given)
{
    size_t n = strlen(token);
    unsigned char difference = strlen(given) != n;

    for (size_t i = 0; given[i] != '\0'; i++)
        difference |= (unsigned char)(given[i] ^ token[n > 0 ? i % n : 0]);
    return difference == 0;
}

static bool is_loopback_name(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);

        if (strncmp(host, names[i], n) == 0 && (host[n] == '\0' || host[n] == ':'))
            return true;
    }
    return false;
}

/*
 * A page of another site must not use the worker through the browser of someone who may: it sends the
 * Origin of that site, or a Host whose name points here.
 */
static bool check_browser(struct call *call)
{
    const char *host = MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, "Host");
    const char *origin = MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, "Origin");

    if (call->http->options->token[0] == '\0' && host != NULL && !is_loopback_name(host))
        return refuse(&call->refusal, 403, "Host is \"%.60s\", wanted localhost or 127.0.0.1",
                      host);
    if (origin != NULL &&
        (host == NULL || strncmp(origin, "http", 4) != 0 || strstr(origin, "://") == NULL ||
         strcmp(strstr(origin, "://") + 3, host) != 0))
        return refuse(&call->refusal, 403, "the Origin \"%.60s\" is another site", origin);
    return true;
}

static bool check_token(struct call *call)
{
    const char *token = call->http->options->token;
    const char *given =
        MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, "Authorization");

    if (token[0] == '\0' || call->route->is_public)
        return true;
    if (given == NULL || strncmp(given, "Bearer ", 7) != 0)
        return refuse(&call->refusal, 401, "wanted a header Authorization: Bearer TOKEN");
    return is_token(token, given + 7) || refuse(&call->refusal, 401, "the token is wrong");
}

/* What can be refused before the body comes. */
static bool check_head(struct call *call, const char *path, const char *method)
{
    const char *length =
        MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, "Content-Length");
    bool is_path = false;
    int state = atomic_load(&call->http->engine->state);

    call->route = routes_find(path, method, &is_path);
    if (!check_browser(call))
        return false;
    if (call->route == NULL)
        return is_path ? refuse(&call->refusal, 405, "%.40s does not take %.10s", path, method)
                       : refuse(&call->refusal, 404, "there is no %.40s", path);
    if (!check_token(call))
        return false;
    if (length != NULL &&
        strtoull(length, NULL, 10) > (unsigned long long)call->http->options->max_body_bytes)
        return refuse(&call->refusal, 413, "the body has %.20s bytes, wanted at most %d", length,
                      call->http->options->max_body_bytes);
    if (call->route->needs_engine && state != ENGINE_READY)
        return refuse(&call->refusal, 503, "the model is loading");
    if (call->route->needs_engine && atomic_load(&call->http->drains))
        return refuse(&call->refusal, 503, "the worker stops");
    return true;
}

/* ---------------------------------------------------------------------------- one call's life -- */

static struct call *begin_call(struct http *http, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct call *call;

    if (info == NULL || info->socket_context == NULL)
        return NULL;
    call = calloc(1, sizeof *call);
    if (call == NULL)
        return NULL;
    call->http = http;
    call->connection = connection;
    call->guarded = info->socket_context;
    call->begin_ns = gpt2_clock_ns();
    call->begin_seconds = (int64_t)time(NULL);
    call->number = atomic_fetch_add(&http->n_calls, 1) + 1;
    atomic_fetch_add(&http->n_active, 1);
    return call;
}

/* Adds a part of the body; what is too much is dropped. */
static void add_body(struct call *call, const char *bytes, size_t n_bytes)
{
    size_t max = (size_t)call->http->options->max_body_bytes;

    if (call->refusal.status != 0)
        return;
    if (n_bytes > max - call->n_bytes) {
        refuse(&call->refusal, 413, "the body has more than %zu bytes", max);
        return;
    }
    if (call->capacity - call->n_bytes < n_bytes) {
        size_t capacity = 2 * call->capacity + n_bytes;
        char *body = realloc(call->body, capacity);

        if (body == NULL) {
            refuse(&call->refusal, 503, "no memory for the body");
            return;
        }
        call->body = body;
        call->capacity = capacity;
    }
    memcpy(call->body + call->n_bytes, bytes, n_bytes);
    call->n_bytes += n_bytes;
}

static enum MHD_Result on_call(void *user, struct MHD_Connection *connection, const char *path,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_bytes, void **call_pointer)
{
    struct http *http = user;
    struct call *call = *call_pointer;

    (void)version;
    if (call == NULL) {
        *call_pointer = call = begin_call(http, connection);
        if (call == NULL)
            return MHD_NO;
        return check_head(call, path, method) ? MHD_YES : answer_refusal(call, &call->refusal);
    }
    if (*upload_bytes > 0) {
        add_body(call, upload, *upload_bytes);
        *upload_bytes = 0;
        return MHD_YES;
    }
    if (call->is_answered)
        return MHD_YES;
    if (call->refusal.status != 0)
        return answer_refusal(call, &call->refusal);
    guard_wait(&http->guard, call->guarded, false);
    return call->route->handle(call);
}

static void on_completed(void *user, struct MHD_Connection *connection, void **call_pointer,
                         enum MHD_RequestTerminationCode why)
{
    struct http *http = user;
    struct call *call = *call_pointer;

    (void)connection;
    if (call == NULL)
        return;
    if (call->request != NULL)
        atomic_store(&call->request->is_gone, true);
    guard_wait(&http->guard, call->guarded, true);
    log_call(call, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    metrics_count(&http->metrics, call, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    request_release(call->request);
    free(call->body);
    free(call);
    *call_pointer = NULL;
    atomic_fetch_sub(&http->n_active, 1);
}

static void on_connection(void *user, struct MHD_Connection *connection, void **guarded,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http *http = user;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    if (what == MHD_CONNECTION_NOTIFY_STARTED && info != NULL) {
        *guarded = guard_add(&http->guard, info->connect_fd);
    } else if (what == MHD_CONNECTION_NOTIFY_CLOSED && *guarded != NULL) {
        guard_remove(&http->guard, *guarded);
        *guarded = NULL;
    }
}

/* ---------------------------------------------------------------------------------- the daemon -- */

/* libmicrohttpd's own lines are about clients, whose calls are in our log. */
static void ignore_line(void *user, const char *format, va_list arguments)
{
    (void)user;
    (void)format;
    (void)arguments;
}

bool http_start(struct http *http, const struct options *options, struct engine *engine)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options->port)};
    const union MHD_DaemonInfo *info;

    memset(http, 0, sizeof *http);
    http->options = options;
    http->engine = engine;
    if (inet_pton(AF_INET, options->host, &address.sin_addr) != 1) {
        fprintf(stderr, "http-worker: --host is \"%s\", wanted an address such as 127.0.0.1\n",
                options->host);
        return false;
    }
    if (ntohl(address.sin_addr.s_addr) >> 24 != 127 && options->token[0] == '\0') {
        fprintf(stderr,
                "http-worker: --host %s can be reached from other machines: wanted a "
                "--token-file, too\n",
                options->host);
        return false;
    }
    guard_init(&http->guard, options->read_seconds);
    metrics_init(&http->metrics);
    http->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
            MHD_USE_ERROR_LOG,
        (uint16_t)options->port, NULL, NULL, on_call, http, MHD_OPTION_EXTERNAL_LOGGER, ignore_line,
        NULL, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned int)options->max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HEADER_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
    if (http->daemon == NULL) {
        fprintf(stderr, "http-worker: cannot listen on %s:%d\n", options->host, options->port);
        metrics_destroy(&http->metrics);
        guard_destroy(&http->guard);
        return false;
    }
    info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    http->port = info != NULL ? info->port : options->port;
    return true;
}

void http_stop(struct http *http)
{
    MHD_stop_daemon(http->daemon);
    metrics_destroy(&http->metrics);
    guard_destroy(&http->guard);
}
