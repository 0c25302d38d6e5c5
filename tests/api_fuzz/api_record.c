/*
 * api_record.c: the plain model of a session's texts: tokens, cuts, and pages of the KV cache.
 */
#include "api_session.h"

void fuzz_texts_reset(struct fuzz_session *session)
{
    memset(session->texts, 0, sizeof session->texts);
    session->texts[0].is_open = true;
    session->n_items = 0;
}

/* -------------------------------------------------------------------------------------- pages -- */

int32_t fuzz_pages_for(int32_t n_positions)
{
    return (n_positions + 63) / 64;
}

/* How many sequences use the page, which is page i of each of them. */
static int32_t n_owners(const struct fuzz_session *session, uint64_t page, int32_t i)
{
    int32_t n = 0;

    for (int32_t k = 0; k < session->n_sequences; k++) {
        const struct fuzz_text *text = &session->texts[k];

        n += i < fuzz_pages_for(text->n_cached) && text->pages[i] == page;
    }
    return n;
}

int32_t fuzz_n_free_pages(const struct fuzz_session *session)
{
    int32_t n_used = 0;

    for (int32_t k = 0; k < session->n_sequences; k++) {
        const struct fuzz_text *text = &session->texts[k];

        for (int32_t i = 0; i < fuzz_pages_for(text->n_cached); i++) {
            bool is_first = true; /* of the sequences that share the page */

            for (int32_t other = 0; other < k; other++)
                is_first &= i >= fuzz_pages_for(session->texts[other].n_cached) ||
                            session->texts[other].pages[i] != text->pages[i];
            n_used += is_first;
        }
    }
    return session->n_pages - n_used;
}

/* Whether page i can be written in place. */
static bool is_own(const struct fuzz_session *session, const struct fuzz_text *text, int32_t i)
{
    return i < fuzz_pages_for(text->n_cached) && n_owners(session, text->pages[i], i) == 1;
}

static int32_t n_new_pages(const struct fuzz_session *session, const struct fuzz_text *text,
                           int32_t first, int32_t end)
{
    int32_t n = 0;

    for (int32_t i = first / 64; i < fuzz_pages_for(end); i++)
        n += !is_own(session, text, i);
    return n;
}

static void take_pages(struct fuzz_session *session, struct fuzz_text *text, int32_t first,
                       int32_t end)
{
    for (int32_t i = first / 64; i < fuzz_pages_for(end); i++) {
        if (!is_own(session, text, i))
            text->pages[i] = session->n_pages_taken++;
    }
}

/* ------------------------------------------------------------------------------------- tokens -- */

bool fuzz_text_is_cut(const struct fuzz_session *session, const struct fuzz_text *text,
                      size_t n_tokens)
{
    return session->shifts && n_tokens > (size_t)(session->n_ctx - text->n_ids);
}

/* Tokens of the context after a cut. */
static int32_t n_after_cut(const struct fuzz_session *session)
{
    return session->n_keep + (session->n_ctx - session->n_keep) / 2;
}

/* The first position of the context that a forward call writes. */
static int32_t first_written(const struct fuzz_session *session, const struct fuzz_text *text,
                             bool is_cut)
{
    return is_cut ? fuzz_min(text->n_cached, session->n_keep) : text->n_cached;
}

static int32_t end_written(const struct fuzz_session *session, const struct fuzz_text *text,
                           size_t n_tokens)
{
    return n_tokens > (size_t)(session->n_ctx - text->n_ids) ? session->n_ctx
                                                             : text->n_ids + (int32_t)n_tokens;
}

int32_t fuzz_pages_to_run(const struct fuzz_session *session, int32_t sequence, size_t n_tokens)
{
    const struct fuzz_text *text = &session->texts[sequence];
    bool is_cut = fuzz_text_is_cut(session, text, n_tokens);

    return n_new_pages(session, text, first_written(session, text, is_cut),
                       end_written(session, text, n_tokens));
}

int32_t fuzz_pages_to_restore(const struct fuzz_session *session, int32_t sequence, int32_t n_ids)
{
    return n_new_pages(session, &session->texts[sequence], 0, n_ids);
}

uint64_t fuzz_rows_to_run(const struct fuzz_session *session, int32_t sequence,
                          const gpt2_batch_item *item)
{
    const struct fuzz_text *text = &session->texts[sequence];
    size_t n_left = item->n_tokens;
    int32_t n_before = text->n_ids;
    uint64_t n_rows = 0;

    for (bool is_cut = false;; is_cut = true, n_before = n_after_cut(session)) {
        int32_t n = session->n_ctx - n_before;

        if ((size_t)n > n_left)
            n = (int32_t)n_left;
        n_left -= (size_t)n;
        if (n_left == 0 || (n > 0 && n_left < item->n_logit_rows))
            n_rows += (uint64_t)(n_before + n - first_written(session, text, is_cut));
        if (n_left == 0)
            return n_rows;
    }
}

int32_t fuzz_text_append(struct fuzz_session *session, int32_t sequence,
                         const gpt2_batch_item *item)
{
    struct fuzz_text *text = &session->texts[sequence];
    bool is_cut = fuzz_text_is_cut(session, text, item->n_tokens);
    int32_t first = first_written(session, text, is_cut);
    int32_t n_since = 0;

    take_pages(session, text, first, end_written(session, text, item->n_tokens));
    for (size_t i = 0; i < item->n_tokens; i++) {
        if (text->n_ids == session->n_ctx) {
            int32_t n_dropped = session->n_ctx - n_after_cut(session);

            text->n_ids -= n_dropped;
            text->n_cut += n_dropped;
            memmove(text->ids + session->n_keep, text->ids + session->n_keep + n_dropped,
                    (size_t)(text->n_ids - session->n_keep) * sizeof text->ids[0]);
            n_since = 0;
        }
        text->ids[text->n_ids++] = item->tokens[i];
        n_since++;
    }
    text->n_cached = text->n_ids;
    for (int32_t i = first; i < text->n_ids; i++)
        text->changed[i] =
            session->tapped && session->tap_mode == FUZZ_TAP_CHANGES ? session->tap_kinds : 0;
    return n_since;
}

void fuzz_text_shorten(struct fuzz_text *text, int32_t n_ids)
{
    text->n_ids = n_ids;
    text->n_cached = fuzz_min(text->n_cached, n_ids);
}

void fuzz_text_restore(struct fuzz_session *session, int32_t sequence,
                       const struct fuzz_text *saved)
{
    struct fuzz_text *text = &session->texts[sequence];
    struct fuzz_text restored = *saved;

    take_pages(session, text, 0, saved->n_ids);
    memcpy(restored.pages, text->pages, sizeof text->pages);
    restored.is_open = true;
    *text = restored;
}

void fuzz_rows_are_past(struct fuzz_session *session, int32_t sequence)
{
    for (size_t i = 0; i < session->n_items; i++)
        session->rows[i].is_past |= session->rows[i].sequence == sequence;
}

int32_t fuzz_pick_sequence(const struct fuzz_session *session)
{
    static const int32_t odd[] = {-1, INT32_MIN, INT32_MAX, 65536};
    int32_t sequence;

    if (session == NULL)
        return 0;
    sequence = (int32_t)fuzz_below((size_t)session->n_sequences);
    if (fuzz_chance(24))
        sequence = fuzz_chance(2) ? session->n_sequences : PICK(odd);
    else
        for (int i = 0; i < 4 && !session->texts[sequence].is_open; i++)
            sequence = (int32_t)fuzz_below((size_t)session->n_sequences);
    fuzz_may(sequence < 0 || sequence >= session->n_sequences || !session->texts[sequence].is_open,
             GPT2_ERR_SEQUENCE);
    return sequence;
}
