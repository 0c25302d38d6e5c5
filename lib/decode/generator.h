/*
 * generator.h: what continues one text: the tokens that must run next, and what becomes of a token that
 * was drawn: an end, or text.
 *
 *     text: [ given out by the last step | ready | kept back | room for the bytes of a token ]
 *           0                            n_given n_ready     n_text
 *
 * What is kept back may be a part of a stop string, or begins a UTF-8 character.  Where guesses were right,
 * a step draws several tokens.  It gives out the first; the others are ready for the next steps.
 */
#ifndef GPT2I_GENERATOR_H
#define GPT2I_GENERATOR_H

#include "draft.h"
#include "stop.h"
#include "../model/session.h"

/* A token that was drawn, and that a later step gives out. */
struct gpt2i_ready {
    int32_t id;
    int32_t finish;
    size_t n_bytes;
};

struct gpt2_generator {
    gpt2_session *session;
    const gpt2_tokenizer *tokenizer; /* NULL: there is no text */
    size_t block_bytes;              /* 0: in the caller's memory */

    const int32_t *stop_ids; /* [n_stop_ids] */
    size_t n_stop_ids;
    struct gpt2i_stops stops;
    int32_t eot;         /* the token that ends every text; -1: none */
    bool uses_shortlist; /* computes only the logits that a draw looks at */

    bool is_started;
    int32_t finish; /* GPT2_FINISH_* */
    int32_t sequence;
    const int32_t *pending; /* [n_pending] tokens to run: the prompt, or draft.tokens */
    size_t n_pending;
    struct gpt2i_draft draft;
    size_t n_drafted;       /* tokens of 'pending' that are guesses */
    int64_t n_left;         /* tokens to draw; -1: no limit */
    int32_t first_position; /* in the text, of the first token that is drawn; -1: none is yet */
    gpt2_sample_params sampling; /* for the next token */
    float mirostat_mu;           /* unless the host has one */

    struct gpt2i_ready *ready; /* [draft.max]; those from next_ready on are not given out yet */
    size_t n_ready_tokens;     /* 0 when all are */
    size_t next_ready;

    char *text;
    size_t n_given;
    size_t n_ready;
    size_t n_text;
    char error[GPT2I_ERROR_BYTES];
};

/*
 * Places a generator in the arena; over a NULL arena it only measures, and returns NULL.  'params' are
 * complete and in range.
 */
GPT2I_HIDDEN gpt2_generator *gpt2i_generator_layout(struct gpt2i_arena *arena,
                                                    const gpt2_session *session,
                                                    const gpt2_generator_params *params);

/* As gpt2_generator_start(), whose arguments have been checked. */
GPT2I_HIDDEN void gpt2i_generator_begin(gpt2_generator *generator, int32_t sequence,
                                        const int32_t *ids, size_t n_ids, int64_t max_tokens,
                                        const gpt2_sample_params *sampling);

/*
 * The history that the next draw sees: the tokens of the context but the last n_behind, or of these those
 * that were drawn.
 */
GPT2I_HIDDEN void gpt2i_generator_look_back(gpt2_generator *generator,
                                            const struct gpt2i_sequence *sequence,
                                            int32_t n_behind);

/* Gives out a token that is ready. */
GPT2I_HIDDEN void gpt2i_generator_give_ready(gpt2_generator *generator, gpt2_generated *result);

/*
 * Takes the token that was drawn, and gives it out; with a NULL result it becomes ready.  'is_full': it
 * cannot run, because the context is full.
 */
GPT2I_HIDDEN void gpt2i_generator_take(gpt2_generator *generator, int32_t id, bool is_full,
                                       gpt2_generated *result);

/*
 * Ends the text without a token; the error line is set.  'result' as in gpt2i_generator_take().  A text that
 * has ended stays as it is.
 */
GPT2I_HIDDEN void gpt2i_generator_end(gpt2_generator *generator, int32_t finish,
                                      gpt2_generated *result);

#endif
