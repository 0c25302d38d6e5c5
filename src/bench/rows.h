/*
 * rows.h: the time of what one row of logits is for: a draw, or the score of a token.
 */
#ifndef ROWS_H
#define ROWS_H

#include <gpt2.h>

#include "../command.h"

enum row_kind {
    ROW_ARGMAX,      /* the likeliest token */
    ROW_TEMPERATURE, /* a draw from all tokens */
    ROW_TOP_P,       /* a draw behind top-k 40 and top-p 0.95 */
    ROW_SCORE,       /* log-probability, rank and entropy */
    N_ROW_KINDS
};

/* Uses the logits of the session's last row many times, and gives the mean time of one. */
enum outcome rows_time(gpt2_session *session, enum row_kind kind, double *seconds);

#endif
