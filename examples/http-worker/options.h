/*
 * options.h: the command line of the worker.
 */
#ifndef WORKER_OPTIONS_H
#define WORKER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct options {
    const char *model; /* the folder */
    const char *host;
    int port; /* 0: any free one */
    const char *token_file;
    char token[257]; /* from the file; "": none is asked for */
    int weight_type; /* GPT2_TYPE_* */
    int n_threads;
    int n_texts; /* that run at the same time */
    int n_pages; /* of the KV cache; 0: enough for n_texts of full length */
    int chunk_tokens;
    int n_waiting; /* texts in the queue */
    int max_body_bytes;
    int max_prompt_tokens; /* of one prompt; 0: the context */
    int max_tokens;        /* a request may ask for; 0: the context */
    int max_choices;       /* 'n' of a request */
    int max_connections;
    int read_seconds;  /* for a client to send a request, or to take what is sent */
    int text_seconds;  /* for a request, queue included */
    int drain_seconds; /* for what runs, after SIGTERM */
};

enum { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_WRONG };

/*
 * Reads the command line and the token's file.  OPTIONS_DONE: the help was asked for and printed;
 * OPTIONS_WRONG: a line on stderr says what is wrong.
 */
int options_read(struct options *options, int argc, char **argv);

#endif
