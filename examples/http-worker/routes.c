/*
 * routes.c: the table of paths.
 */
#include "routes.h"

#include <string.h>

#include "handlers.h"

static const struct route routes[] = {
    {"GET", "/", true, false, handle_page},
    {"GET", "/health", true, false, handle_health},
    {"POST", "/execute", false, true, handle_execute},
    {"POST", "/score", false, true, handle_score},
    {"POST", "/tokenize", false, true, handle_tokenize},
    {"POST", "/detokenize", false, true, handle_detokenize},
    {"GET", "/tokenizer_info", false, true, handle_tokenizer_info},
    {"POST", "/v1/completions", false, true, handle_completions},
    {"GET", "/metrics", false, false, handle_metrics},
    {"GET", "/v1/models", false, true, handle_models},
};

const struct route *routes_find(const char *path, const char *method, bool *is_path)
{
    *is_path = false;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(path, routes[i].path) != 0)
            continue;
        *is_path = true;
        if (strcmp(method, routes[i].method) == 0)
            return &routes[i];
    }
    return NULL;
}
