/*
 * handlers.h: one function for each path.
 */
#ifndef WORKER_HANDLERS_H
#define WORKER_HANDLERS_H

#include <microhttpd.h>

struct call;

enum MHD_Result handle_page(struct call *call);     /* page.c */
enum MHD_Result handle_health(struct call *call);   /* health.c */
enum MHD_Result handle_execute(struct call *call);  /* execute.c */
enum MHD_Result handle_score(struct call *call);    /* score.c */
enum MHD_Result handle_tokenize(struct call *call); /* tokens.c */
enum MHD_Result handle_detokenize(struct call *call);
enum MHD_Result handle_tokenizer_info(struct call *call);
enum MHD_Result handle_completions(struct call *call); /* completions.c */
enum MHD_Result handle_models(struct call *call);
enum MHD_Result handle_metrics(struct call *call); /* metrics.c */

#endif
