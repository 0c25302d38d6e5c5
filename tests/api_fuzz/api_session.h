/*
 * api_session.h: what the API fuzzer knows of a session: the text it should hold, and hashes of all
 * that a call which fails must leave as it was.
 */
#ifndef FUZZ_API_SESSION_H
#define FUZZ_API_SESSION_H

#include "api.h"
#include "model/session.h"

#define FUZZ_MOST_TOKENS 200 /* the longest n_positions of fuzz_models */

enum fuzz_tap_mode {
    FUZZ_TAP_LOOKS,
    FUZZ_TAP_CHANGES, /* as fuzz_tap_change() does */
    FUZZ_TAP_STOPS,   /* at piece stop_at */
    FUZZ_TAP_CANCELS, /* the session, at piece stop_at */
};

struct fuzz_hashes {
    uint64_t
        settings;    /* all but what follows, a pending cancel, the error line and the workspace */
    uint64_t kv;     /* the positions that are filled */
    uint64_t logits; /* the rows that are kept; 0: none */
};

struct fuzz_session {
    gpt2_session *handle; /* NULL: a free place */
    unsigned char *block; /* that it was made in; NULL: its own */
    struct fuzz_model *model;
    int32_t n_ctx, n_batch, n_logit_rows, n_threads;

    int32_t tokens[FUZZ_MOST_TOKENS];
    uint32_t changed[FUZZ_MOST_TOKENS]; /* the kinds that a tap changed when the token ran */
    int32_t n_past, n_rows, n_kept;
    bool cancelled;
    uint64_t deadline_ns;
    char line[512]; /* what gpt2_session_error() is to say */
    struct fuzz_hashes hashes;

    bool tapped;
    enum fuzz_tap_mode tap_mode;
    uint32_t tap_kinds;
    uint64_t stop_at;
    uint64_t n_pieces; /* this forward's */
    uint64_t rows_seen[GPT2_TAP_COUNT];
    bool stopped, cancelled_by_tap;
};

#define FUZZ_N_SESSIONS 8

extern struct fuzz_session fuzz_sessions[FUZZ_N_SESSIONS];

/* A session, if possible one that is there; for a 'handle', sometimes NULL. */
struct fuzz_session *fuzz_pick_session(void);

/* In words. */
const char *fuzz_name(const struct fuzz_session *session);

uint64_t fuzz_hash_kv(const gpt2_session *session, int32_t n_positions);
struct fuzz_hashes fuzz_hashes_of(const gpt2_session *session);

/*
 * After a call on the session: the error line fits, and everything is as before or, if it 'changes',
 * is as this record says, whose hashes are taken anew.
 */
void fuzz_session_settle(struct fuzz_session *session, bool ok, bool changes);

/* Calls gpt2_session_reset(). */
void fuzz_reset(struct fuzz_session *session);

/* Runs the session's text anew, by scalar kernels on one thread in one call, and compares bits. */
void fuzz_replay(const struct fuzz_session *session);

/* What FUZZ_TAP_CHANGES does to a row of an activation at a position. */
void fuzz_tap_change(float *row, int32_t position);

#endif
