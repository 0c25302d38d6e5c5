/*
 * api_session.h: what the API fuzzer knows of a session: the texts that it should hold, and hashes of
 * all that a call which fails must leave as it was.
 */
#ifndef FUZZ_API_SESSION_H
#define FUZZ_API_SESSION_H

#include "api.h"
#include "model/session.h"

enum {
    FUZZ_MAX_TOKENS = 200, /* the longest n_positions of fuzz_models */
    FUZZ_MAX_PAGES = 4,    /* that so many tokens need */
    FUZZ_MAX_TEXTS = 6,    /* sequences of a session */
};

enum fuzz_tap_mode {
    FUZZ_TAP_LOOKS,
    FUZZ_TAP_CHANGES, /* as fuzz_tap_change() does */
    FUZZ_TAP_STOPS,   /* at part stop_at */
    FUZZ_TAP_CANCELS, /* the session, at part stop_at */
    FUZZ_TAP_CALLS,   /* functions on its session, at part stop_at */
    FUZZ_N_TAP_MODES
};

/* A sequence: the tokens of its context, and the pages of those that are in the KV cache. */
struct fuzz_text {
    bool is_open;
    int32_t n_ids, n_cached, n_cut;
    int32_t ids[FUZZ_MAX_TOKENS];
    uint32_t changed[FUZZ_MAX_TOKENS]; /* the kinds that a tap changed when the token ran */
    uint64_t pages[FUZZ_MAX_PAGES];    /* equal numbers: texts share the page */
};

/* What is known of the logits of an item of the last forward call. */
struct fuzz_rows {
    int32_t sequence;
    int32_t n_rows, n_kept;
    int32_t n_after_cut; /* the last of n_rows, which ran in the context that is there now */
    int32_t position;    /* of the text, after the call */
    bool is_past;        /* the sequence has changed since */
};

struct fuzz_hashes {
    uint64_t settings;           /* all but what follows, and what the record has itself */
    uint64_t kv[FUZZ_MAX_TEXTS]; /* keys and values of each text */
    uint64_t logits;             /* the rows that are kept; 0: none */
};

struct fuzz_session {
    gpt2_session *handle; /* NULL: a free place */
    unsigned char *block; /* that it was made in; NULL: its own */
    struct fuzz_model *model;
    int32_t n_ctx, n_batch, n_logit_rows, n_threads;
    int32_t n_sequences, n_pages, kv_type, n_keep;
    bool shifts;

    struct fuzz_text texts[FUZZ_MAX_TEXTS];
    uint64_t n_pages_taken; /* since it was made: the next page's number */
    struct fuzz_rows rows[FUZZ_MAX_TEXTS];
    size_t n_items; /* of the last call, whose rows are kept; 0: it failed */
    bool cancelled;
    uint64_t deadline_ns;
    char line[512]; /* what gpt2_session_error() is to say */
    struct fuzz_hashes hashes;

    bool tapped;
    enum fuzz_tap_mode tap_mode;
    uint32_t tap_kinds;
    uint64_t stop_at;

    const gpt2_batch_item *items; /* of the forward call that runs */
    size_t n_running;
    uint64_t n_parts; /* that taps saw */
    uint64_t rows_seen[GPT2_TAP_COUNT];
    bool stopped, cancelled_by_tap;
};

#define FUZZ_N_SESSIONS 8

extern struct fuzz_session fuzz_sessions[FUZZ_N_SESSIONS];

/* A session, if possible one that is there; for a 'handle', sometimes NULL. */
struct fuzz_session *fuzz_pick_session(void);

/* In words. */
const char *fuzz_name(const struct fuzz_session *session);

uint64_t fuzz_hash_kv(const gpt2_session *session, int32_t sequence, int32_t n_positions);
uint64_t fuzz_hash_logits(const float *logits, size_t n);

/*
 * After a call on the session: the error line fits, everything is as this record says and, unless it
 * 'changes', as before.  The record's hashes are taken again.
 */
void fuzz_session_settle(struct fuzz_session *session, bool ok, bool changes);

/* Calls gpt2_session_reset(). */
void fuzz_reset(struct fuzz_session *session);

/* From a callback: every function on the session that returns a status refuses the call. */
void fuzz_check_refused(const struct fuzz_session *session);

/* Before a forward call: taps and the outcome will look at its items. */
void fuzz_forward_begin(struct fuzz_session *session, const gpt2_batch_item *items, size_t n_items);

/* The record after a call that was right. */
void fuzz_forward_append(struct fuzz_session *session);

/*
 * After a call that failed.  One that was ended may have taken the logits with it, and a cancel and a
 * deadline that were pending are used up.
 */
void fuzz_forward_keep(struct fuzz_session *session, int32_t status);

/* Frees the generators of a session. */
void fuzz_generators_free(const struct fuzz_session *session);

/* From a callback: generators of the session refuse to start and to step. */
void fuzz_generators_check_refused(const struct fuzz_session *session);

/* ---------------------------------------------------------------------------------- the texts -- */

static inline int32_t fuzz_min(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* All closed but sequence 0; all empty. */
void fuzz_texts_reset(struct fuzz_session *session);

static inline int32_t fuzz_text_position(const struct fuzz_text *text)
{
    return text->n_ids + text->n_cut;
}

/* Pages of the first n_positions. */
int32_t fuzz_pages_for(int32_t n_positions);

int32_t fuzz_n_free_pages(const struct fuzz_session *session);

/* Whether so many more tokens cut the text. */
bool fuzz_text_is_cut(const struct fuzz_session *session, const struct fuzz_text *text,
                      size_t n_tokens);

/* The pages that a forward call with so many tokens takes, or a restore of so many. */
int32_t fuzz_pages_to_run(const struct fuzz_session *session, int32_t sequence, size_t n_tokens);
int32_t fuzz_pages_to_restore(const struct fuzz_session *session, int32_t sequence, int32_t n_ids);

/* The rows of all steps of a forward call. */
uint64_t fuzz_rows_to_run(const struct fuzz_session *session, int32_t sequence,
                          const gpt2_batch_item *item);

/* Appends tokens; returns how many of them came after the last cut. */
int32_t fuzz_text_append(struct fuzz_session *session, int32_t sequence,
                         const gpt2_batch_item *item);

/* Keeps the first n_ids tokens of the context. */
void fuzz_text_shorten(struct fuzz_text *text, int32_t n_ids);

/* Makes it what was saved. */
void fuzz_text_restore(struct fuzz_session *session, int32_t sequence,
                       const struct fuzz_text *saved);

/* The kept rows of a sequence are no longer those of its text. */
void fuzz_rows_are_past(struct fuzz_session *session, int32_t sequence);

/* A sequence, mostly an open one; says with fuzz_may() if it is not.  0 for NULL. */
int32_t fuzz_pick_sequence(const struct fuzz_session *session);

/* -------------------------------------------------------------------------- running them again -- */

/*
 * Runs the session's texts again, each alone in a new session, by scalar kernels on one thread in one
 * call, and compares bits.
 */
void fuzz_replay(const struct fuzz_session *session);

/* What FUZZ_TAP_CHANGES does to a row of an activation, whichever way the text is run. */
void fuzz_tap_change(float *row);

/* The tap of all sessions; 'user' is the record. */
int32_t fuzz_on_tap(void *user, const gpt2_tap *tap);

/* Every row of every activation that was wanted came by, once.  Before the record has the call. */
void fuzz_check_rows_seen(const struct fuzz_session *session);

#endif
