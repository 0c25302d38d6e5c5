/*
 * setup.h: from options to a model, a tokenizer, a prompt and a session.
 */
#ifndef SETUP_H
#define SETUP_H

#include <stdbool.h>

#include <gpt2.h>

#include "input.h"
#include "options.h"

#define PATH_BYTES     4096
#define PAGE_POSITIONS 64 /* of one text in a page of the KV cache */
#define SCORING_ROWS   64 /* of logits that gpt2_score() computes at a time, at most */

/* What --model names, or "the demo model". */
enum outcome model_path(const struct options *options, char path[PATH_BYTES]);

/* Loads the model and describes it; the caller frees it with gpt2_model_free(). */
enum outcome model_open(const struct options *options, gpt2_model **model, gpt2_model_info *info);

/* True if there is a model: a directory with a config.json, or a native file. */
bool model_is_present(const struct options *options);

/* Loads only the tokenizer, no weights.  The caller frees it with gpt2_tokenizer_free(). */
enum outcome tokenizer_open(const struct options *options, gpt2_tokenizer **tokenizer);

/* The token that a text without a beginning begins with: the tokenizer's, or else the model's
   <|endoftext|>; -1: none. */
int32_t begin_token(const gpt2_model *model, const gpt2_model_info *info);

/* For a model without a tokenizer: says which of its files is missing or cannot be read, and 'so'. */
enum outcome complain_no_tokenizer(const struct options *options, const char *so);

/*
 * Reads the text, or the ids, that a command works on: 'given' on the command line, or else FILE,
 * --file or standard input.  The caller frees input->data.
 */
enum outcome input_read(struct bytes *input, const struct options *options, const char *given);

struct prompt {
    struct bytes text; /* empty for a prompt in ids */
    struct ids ids;
    bool is_in_ids; /* --tokens, or a model without a tokenizer */
};

/* Reads --prompt, --file or --tokens; the caller frees it with prompt_free(). */
enum outcome prompt_read(struct prompt *prompt, const struct options *options,
                         const gpt2_model *model, const gpt2_model_info *info);
void prompt_free(struct prompt *prompt);

/*
 * Reports a prompt that is longer than the context, unless --context-shift cuts it.  'origin' names it
 * as in ids_encode().
 */
enum outcome prompt_check_length(const struct options *options, const gpt2_model_info *info,
                                 size_t n_tokens, const char *origin);

/*
 * A session whose forward calls may keep the logits of 'n_logit_rows' rows.  Ctrl-C cancels it until
 * session_close(), which ignores NULL.
 */
enum outcome session_open(const struct options *options, const gpt2_model *model, int32_t n_ctx,
                          int32_t n_logit_rows, gpt2_session **session);

/*
 * A session of 'n_sequences' texts, which may keep the logits of one row of each, and of 'n_drafts' more.
 * 'n_positions' is how many positions each of them needs at most; 0: the whole context.
 */
enum outcome session_open_many(const struct options *options, const gpt2_model *model,
                               int32_t n_sequences, int32_t n_positions, int32_t n_drafts,
                               gpt2_session **session);

/*
 * A session for gpt2_score().  Its KV cache has one page for each sequence, and no more unless one
 * text of the whole context, 'n_ctx' positions, needs more.
 */
enum outcome session_open_scoring(const struct options *options, const gpt2_model *model,
                                  int32_t n_ctx, int32_t n_sequences, gpt2_session **session);
void session_close(gpt2_session *session);

/*
 * Appends ids in calls of --batch-size tokens.  Keeps the logits of the last row, or with
 * 'keep_all' those of every row of each call.
 */
enum outcome session_feed(const struct options *options, gpt2_session *session,
                          const struct ids *ids, bool keep_all);

/* Reports a failed call on a session, but not Ctrl-C. */
enum outcome session_complain(const gpt2_session *session, int32_t status);

#endif
