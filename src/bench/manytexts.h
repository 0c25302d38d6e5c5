/*
 * manytexts.h: one session with many texts, for the benchmark.  All texts have the same tokens, each
 * as many of them as it needs, and each in pages of its own.
 */
#ifndef MANYTEXTS_H
#define MANYTEXTS_H

#include <stddef.h>
#include <stdint.h>

#include <gpt2.h>

#include "../command.h"
#include "../options.h"

#define N_TEXTS        32
#define PROMPT         N_TEXTS /* the place of one more text, which is run as a prompt */
#define PAGE_POSITIONS 64      /* of one text in a page of the KV cache */
#define MAX_PARTS      (N_TEXTS + 1)

struct many_texts {
    gpt2_session *session;
    const int32_t *ids;         /* of every text; borrowed */
    int32_t texts[N_TEXTS + 1]; /* their sequences */
};

/* Part of one call: the next tokens of a sequence. */
struct part {
    int32_t sequence;
    int32_t n_tokens;
};

struct many_sizes {
    int32_t n_ctx;
    int32_t n_sequences; /* N_TEXTS + 1 at least */
    int32_t n_pages;
    int32_t kv_type;
};

/* Bytes of such a session; 0 if there is no such session. */
double many_bytes(const struct options *options, const gpt2_model *model,
                  const struct many_sizes *sizes);

/* Opens N_TEXTS + 1 empty texts.  The caller calls many_close(), after a failure too. */
enum outcome many_open(struct many_texts *many, const struct options *options,
                       const gpt2_model *model, const struct many_sizes *sizes, const int32_t *ids);
void many_close(struct many_texts *many);

/* One call: runs the parts together, and computes the logits of each part's last token. */
enum outcome many_run(struct many_texts *many, const struct part *parts, int32_t n_parts);

/* Brings the first n texts to a position: cuts those that are longer, runs what is missing. */
enum outcome many_go_to(struct many_texts *many, int32_t n, int32_t position);

/* Runs n_steps calls with one token for each of the first n texts. */
enum outcome many_step(struct many_texts *many, int32_t n, int32_t n_steps);

/* Gives the first N_TEXTS texts n_tokens tokens each: runs them once, and copies the state. */
enum outcome many_fill(struct many_texts *many, int32_t n_tokens);

#endif
