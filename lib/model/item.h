/*
 * item.h: one sequence's part of a forward call.
 */
#ifndef GPT2I_ITEM_H
#define GPT2I_ITEM_H

#include "sequence.h"

/*
 * What runs between two cuts of a text: new tokens behind what is then in the context.  A call that does
 * not reach the end of the context has one window.
 */
struct gpt2i_window {
    size_t n_cut;       /* of the text, at that time */
    size_t n_before;    /* tokens of the context before the new ones */
    size_t first_token; /* of the call */
    size_t n_tokens;
};

/* One sequence's part of a call. */
struct gpt2i_item {
    struct gpt2i_sequence *sequence;
    const int32_t *tokens;
    size_t n_tokens;
    size_t n_kept;              /* the last of them, whose logits are kept */
    size_t n_top;               /* the largest logits of a row that are wanted; 0: all */
    struct gpt2i_window window; /* which runs now */
    size_t next;                /* position in the context of its next row */
    bool is_short;              /* there were too few free pages for it */
};

/* What is remembered of an item: where its rows of logits are. */
struct gpt2i_kept_rows {
    int32_t n_rows;    /* tokens of the item */
    int32_t n_kept;    /* the last of them */
    int32_t position;  /* in the text, after the call */
    size_t first_kept; /* among all kept rows of the call */
    bool is_partial;   /* only the largest logits of a row may be there */
};

#endif
