/*
 * loading.h: the model, the session and the arrays of the engine.
 */
#ifndef WORKER_LOADING_H
#define WORKER_LOADING_H

#include <stdbool.h>

struct engine;

/* Loads and makes all that the engine needs; false: the engine's 'error' says why not. */
bool loading_open(struct engine *engine);

/* Frees what loading_open() made, also if it failed. */
void loading_close(struct engine *engine);

#endif
