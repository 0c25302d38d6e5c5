/*
 * handlers.h: one function for each path.
 */
#ifndef WORKER_HANDLERS_H
#define WORKER_HANDLERS_H

#include <microhttpd.h>

struct call;

enum MHD_Result handle_health(struct call *call);  /* health.c */
enum MHD_Result handle_execute(struct call *call); /* execute.c */

#endif
