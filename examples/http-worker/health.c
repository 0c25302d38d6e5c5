/*
 * health.c: GET /health, for whoever starts, stops and watches workers.
 */
#include "handlers.h"
#include "http.h"

enum MHD_Result handle_health(struct call *call)
{
    struct engine *engine = call->http->engine;
    int state = atomic_load(&engine->state);
    bool drains = atomic_load(&call->http->drains);

    if (state != ENGINE_READY)
        return answer_json(call, 503, json_pack("{ss}", "status", "loading"));
    return answer_json(call, drains ? 503 : 200,
                       json_pack("{ss ss si si si sI si si}", "status", drains ? "draining" : "ok",
                                 "model", engine->name, "context", engine->n_ctx, "texts_running",
                                 atomic_load(&engine->n_running), "texts_max",
                                 call->http->options->n_texts, "texts_waiting",
                                 (json_int_t)queue_length(&engine->queue), "pages_free",
                                 atomic_load(&engine->free_pages), "pages", engine->cache.n_pages));
}
