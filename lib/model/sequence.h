/*
 * sequence.h: the texts of a session: their tokens, and the pages that hold their keys and values.
 * sequence.c alone changes them.
 *
 * A forward call changes a sequence in three steps.  gpt2i_sequence_reserve() takes the pages that the
 * call writes to, gpt2i_sequence_commit() makes them the sequence's, gpt2i_sequence_rollback() gives
 * them back.  Until the commit 'pages' and all pages that other sequences use stay as they are.
 */
#ifndef GPT2I_SEQUENCE_H
#define GPT2I_SEQUENCE_H

#include "pages.h"
#include "../base/status.h"

/*
 * A text that was cut lacks n_cut tokens behind its first n_keep.  What is left are the tokens of its
 * context.  A position in the context is also a position in the KV cache.
 */
struct gpt2i_sequence {
    int32_t number;
    bool is_open;
    bool is_running;     /* a forward call has reserved pages for it */
    int32_t next_closed; /* the list of closed sequences; -1 ends it */
    int32_t n_ids;       /* tokens of the context */
    int32_t n_cached;    /* the first of them, whose keys and values are in the cache: all, unless a
                            call has failed after a cut */
    int32_t n_cut;
    int32_t n_pages; /* of the n_cached positions */
    int32_t n_running_pages;
    int32_t *ids;           /* [n_ctx] */
    int32_t *pages;         /* [max_pages] */
    int32_t *running_pages; /* [max_pages] while a call runs: with room for its tokens */
};

struct gpt2i_sequences {
    struct gpt2i_sequence *all; /* [n_sequences] */
    int32_t n_sequences;
    int32_t first_closed; /* -1: all are open */
    int32_t n_ctx;
    int32_t max_pages; /* pages of n_ctx positions */
    bool shifts;       /* at the end of the context a text is cut */
    int32_t n_keep;    /* first tokens that a cut keeps */
    struct gpt2i_pages pages;
};

/* Rows of a step that are one sequence's, at consecutive positions. */
struct gpt2i_span {
    const struct gpt2i_sequence *sequence; /* as it was before the forward call */
    size_t first_position;                 /* of its first row, in the context */
    size_t n_cut;                          /* what is added for the position in the text */
    size_t first_row;                      /* in the activations of the step */
    size_t first_tile;                     /* of attention, in the step */
    size_t n_rows;
    size_t n_kept; /* the last of its rows, whose logits are wanted */
    size_t n_top;  /* the largest logits of a row that are wanted; 0: all */
};

/* The position of the next token in the whole text. */
static inline int32_t gpt2i_sequence_position(const struct gpt2i_sequence *sequence)
{
    return sequence->n_ids + sequence->n_cut;
}

/* Tokens of the context right after a cut. */
static inline int32_t gpt2i_sequences_n_after_cut(const struct gpt2i_sequences *sequences)
{
    return sequences->n_keep + (sequences->n_ctx - sequences->n_keep) / 2;
}

/* Measures or places; the sizes are set. */
GPT2I_HIDDEN void gpt2i_sequences_layout(struct gpt2i_sequences *sequences,
                                         struct gpt2i_arena *arena);

/* Sequence 0 is open and empty, the others are closed.  Also sets up what was just placed. */
GPT2I_HIDDEN void gpt2i_sequences_reset(struct gpt2i_sequences *sequences);

/* An open sequence.  An error's line begins with 'label'.  Errors: GPT2_ERR_SEQUENCE. */
GPT2I_HIDDEN int32_t gpt2i_sequences_find(const struct gpt2i_sequences *sequences, int32_t number,
                                          const char *label, struct gpt2i_sequence **sequence,
                                          struct gpt2i_error *error);

/* Errors: GPT2_ERR_SEQUENCE. */
GPT2I_HIDDEN int32_t gpt2i_sequence_open(struct gpt2i_sequences *sequences,
                                         struct gpt2i_sequence **sequence,
                                         struct gpt2i_error *error);

GPT2I_HIDDEN void gpt2i_sequence_close(struct gpt2i_sequences *sequences,
                                       struct gpt2i_sequence *sequence);

/* As gpt2_sequence_fork() and gpt2_sequence_truncate(); 'position' is one in the text. */
GPT2I_HIDDEN int32_t gpt2i_sequence_fork(struct gpt2i_sequences *sequences,
                                         const struct gpt2i_sequence *sequence, int32_t position,
                                         struct gpt2i_sequence **fork, struct gpt2i_error *error);
GPT2I_HIDDEN int32_t gpt2i_sequence_truncate(struct gpt2i_sequences *sequences,
                                             struct gpt2i_sequence *sequence, int32_t position,
                                             struct gpt2i_error *error);

/* The same for the last n_ids tokens, which no cut has moved. */
GPT2I_HIDDEN void gpt2i_sequence_drop_last(struct gpt2i_sequences *sequences,
                                           struct gpt2i_sequence *sequence, int32_t n_ids);

/*
 * Takes pages so that positions [first, end) of the context can be written.  A page that another
 * sequence uses, too, is replaced: running_pages then differs from 'pages'.  Errors: GPT2_ERR_PAGES,
 * and the sequence is as before.
 */
GPT2I_HIDDEN int32_t gpt2i_sequence_reserve(struct gpt2i_sequences *sequences,
                                            struct gpt2i_sequence *sequence, size_t first,
                                            size_t end, struct gpt2i_error *error);

/* The reserved pages become the sequence's, as far as its n_ids positions, all cached, need them. */
GPT2I_HIDDEN void gpt2i_sequence_commit(struct gpt2i_sequences *sequences,
                                        struct gpt2i_sequence *sequence, int32_t n_ids,
                                        int32_t n_cut);

/* The reserved pages are given back.  Positions from n_intact on have been written. */
GPT2I_HIDDEN void gpt2i_sequence_rollback(struct gpt2i_sequences *sequences,
                                          struct gpt2i_sequence *sequence, int32_t n_intact);

#endif
