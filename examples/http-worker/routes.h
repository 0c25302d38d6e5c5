/*
 * routes.h: which handler answers which path.
 */
#ifndef WORKER_ROUTES_H
#define WORKER_ROUTES_H

#include <microhttpd.h>
#include <stdbool.h>

struct call;

struct route {
    const char *method, *path;
    bool is_public;    /* no token is asked for */
    bool needs_engine; /* 503 while the model is loading and while the worker drains */
    enum MHD_Result (*handle)(struct call *call);
};

/* NULL if there is none; '*is_path' tells whether the path has one for another method. */
const struct route *routes_find(const char *path, const char *method, bool *is_path);

#endif
