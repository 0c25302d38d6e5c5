/*
 * sequence.c: opening, forking and closing texts, and giving them pages.
 */
#include "sequence.h"
#include "kvcache.h"

static int32_t pages_for(int32_t n_positions)
{
    return (int32_t)gpt2i_ceil_div((size_t)n_positions, GPT2I_PAGE);
}

void gpt2i_sequences_layout(struct gpt2i_sequences *sequences, struct gpt2i_arena *arena)
{
    uint64_t n_sequences = (uint64_t)sequences->n_sequences;
    uint64_t n_ctx = (uint64_t)sequences->n_ctx;
    uint64_t max_pages = (uint64_t)sequences->max_pages;
    int32_t *ids;
    int32_t *pages;

    sequences->all = gpt2i_arena_take(arena, n_sequences, sizeof *sequences->all);
    ids = gpt2i_arena_take(arena, n_sequences * n_ctx, sizeof *ids);
    pages = gpt2i_arena_take(arena, n_sequences * max_pages * 2, sizeof *pages);
    gpt2i_pages_layout(&sequences->pages, arena);
    if (sequences->all == NULL)
        return;
    for (int32_t i = 0; i < sequences->n_sequences; i++) {
        struct gpt2i_sequence sequence = {
            .number = i,
            .ids = ids + (uint64_t)i * n_ctx,
            .pages = pages + (uint64_t)i * max_pages * 2,
            .running_pages = pages + (uint64_t)i * max_pages * 2 + max_pages,
        };

        sequences->all[i] = sequence;
    }
}

static void empty(struct gpt2i_sequence *sequence)
{
    sequence->n_ids = 0;
    sequence->n_cached = 0;
    sequence->n_cut = 0;
    sequence->n_pages = 0;
}

void gpt2i_sequences_reset(struct gpt2i_sequences *sequences)
{
    for (int32_t i = 0; i < sequences->n_sequences; i++) {
        struct gpt2i_sequence *sequence = &sequences->all[i];

        empty(sequence);
        sequence->is_open = i == 0;
        sequence->is_running = false;
        sequence->next_closed = i + 1 < sequences->n_sequences ? i + 1 : -1;
    }
    sequences->first_closed = sequences->all[0].next_closed;
    gpt2i_pages_reset(&sequences->pages);
}

int32_t gpt2i_sequences_find(const struct gpt2i_sequences *sequences, int32_t number,
                             const char *label, struct gpt2i_sequence **sequence,
                             struct gpt2i_error *error)
{
    if (number < 0 || number >= sequences->n_sequences)
        return gpt2i_fail(error, GPT2_ERR_SEQUENCE, "%ssequence is %d, wanted 0 to %d", label,
                          number, sequences->n_sequences - 1);
    if (!sequences->all[number].is_open)
        return gpt2i_fail(error, GPT2_ERR_SEQUENCE, "%ssequence %d is not open", label, number);
    *sequence = &sequences->all[number];
    return GPT2_OK;
}

int32_t gpt2i_sequence_open(struct gpt2i_sequences *sequences, struct gpt2i_sequence **sequence,
                            struct gpt2i_error *error)
{
    if (sequences->first_closed < 0)
        return gpt2i_fail(
            error, GPT2_ERR_SEQUENCE,
            "all %d sequences of the session are open: close one, or raise n_sequences",
            sequences->n_sequences);
    *sequence = &sequences->all[sequences->first_closed];
    sequences->first_closed = (*sequence)->next_closed;
    (*sequence)->is_open = true;
    empty(*sequence);
    return GPT2_OK;
}

/* Gives back the pages from index 'first' on. */
static void drop_pages(struct gpt2i_sequences *sequences, struct gpt2i_sequence *sequence,
                       int32_t first)
{
    for (; sequence->n_pages > first; sequence->n_pages--)
        gpt2i_pages_release(&sequences->pages, sequence->pages[sequence->n_pages - 1]);
}

void gpt2i_sequence_close(struct gpt2i_sequences *sequences, struct gpt2i_sequence *sequence)
{
    drop_pages(sequences, sequence, 0);
    empty(sequence);
    if (sequence->number == 0)
        return;
    sequence->is_open = false;
    sequence->next_closed = sequences->first_closed;
    sequences->first_closed = sequence->number;
}

/* Fails unless a position of the text is in the context, where it is n_cut less. */
static int32_t check_position(const struct gpt2i_sequences *sequences,
                              const struct gpt2i_sequence *sequence, int32_t position,
                              struct gpt2i_error *error)
{
    int32_t cut_end = sequence->n_cut > 0 ? sequence->n_cut + sequences->n_keep : 0;
    int32_t end = gpt2i_sequence_position(sequence);

    if (position < 0 || position > end)
        return gpt2i_fail(error, GPT2_ERR_CONTEXT, "position is %d, sequence %d has %d tokens",
                          position, sequence->number, end);
    if (position < cut_end)
        return gpt2i_fail(error, GPT2_ERR_CONTEXT,
                          "position is %d, the tokens before %d of sequence %d were cut off",
                          position, cut_end, sequence->number);
    return GPT2_OK;
}

int32_t gpt2i_sequence_fork(struct gpt2i_sequences *sequences,
                            const struct gpt2i_sequence *sequence, int32_t position,
                            struct gpt2i_sequence **fork, struct gpt2i_error *error)
{
    int32_t status = check_position(sequences, sequence, position, error);
    int32_t n_ids;

    if (status == GPT2_OK)
        status = gpt2i_sequence_open(sequences, fork, error);
    if (status != GPT2_OK)
        return status;
    n_ids = position - sequence->n_cut;
    (*fork)->n_ids = n_ids;
    (*fork)->n_cached = (int32_t)gpt2i_min((size_t)n_ids, (size_t)sequence->n_cached);
    (*fork)->n_cut = sequence->n_cut;
    (*fork)->n_pages = pages_for((*fork)->n_cached);
    memcpy((*fork)->ids, sequence->ids, (size_t)n_ids * sizeof *sequence->ids);
    for (int32_t i = 0; i < (*fork)->n_pages; i++) {
        (*fork)->pages[i] = sequence->pages[i];
        gpt2i_pages_share(&sequences->pages, sequence->pages[i]);
    }
    return GPT2_OK;
}

int32_t gpt2i_sequence_truncate(struct gpt2i_sequences *sequences, struct gpt2i_sequence *sequence,
                                int32_t position, struct gpt2i_error *error)
{
    int32_t status = check_position(sequences, sequence, position, error);

    if (status == GPT2_OK)
        gpt2i_sequence_drop_last(sequences, sequence, gpt2i_sequence_position(sequence) - position);
    return status;
}

void gpt2i_sequence_drop_last(struct gpt2i_sequences *sequences, struct gpt2i_sequence *sequence,
                              int32_t n_ids)
{
    sequence->n_ids -= n_ids;
    sequence->n_cached = (int32_t)gpt2i_min((size_t)sequence->n_ids, (size_t)sequence->n_cached);
    drop_pages(sequences, sequence, pages_for(sequence->n_cached));
}

/* Whether page i can be written in place. */
static bool is_own(const struct gpt2i_sequences *sequences, const struct gpt2i_sequence *sequence,
                   int32_t i)
{
    return i < sequence->n_pages && sequences->pages.n_owners[sequence->pages[i]] == 1;
}

/*
 * Where page i is wished for: behind the page before it, if that is the sequence's alone.  Else in the
 * part of the cache that is the sequence's own as long as there are pages for all.
 */
static int32_t wish_for(const struct gpt2i_sequences *sequences,
                        const struct gpt2i_sequence *sequence, int32_t i)
{
    int64_t home = (int64_t)sequence->number * sequences->max_pages;

    if (i > 0 && sequences->pages.n_owners[sequence->running_pages[i - 1]] == 1)
        return sequence->running_pages[i - 1] + 1;
    return (int32_t)((home + i) % sequences->pages.n_pages);
}

int32_t gpt2i_sequence_reserve(struct gpt2i_sequences *sequences, struct gpt2i_sequence *sequence,
                               size_t first, size_t end, struct gpt2i_error *error)
{
    int32_t first_written = (int32_t)(first / GPT2I_PAGE);
    int32_t n_pages = pages_for((int32_t)end);
    int32_t n_wanted = 0;

    for (int32_t i = first_written; i < n_pages; i++)
        n_wanted += !is_own(sequences, sequence, i);
    if (n_wanted > sequences->pages.n_free)
        return gpt2i_fail(error, GPT2_ERR_PAGES,
                          "sequence %d needs %d more pages of the KV cache, %d of %d are free",
                          sequence->number, n_wanted, sequences->pages.n_free,
                          sequences->pages.n_pages);
    for (int32_t i = 0; i < n_pages; i++) {
        bool stays = i < first_written || is_own(sequences, sequence, i);

        sequence->running_pages[i] =
            stays ? sequence->pages[i]
                  : gpt2i_pages_take(&sequences->pages, wish_for(sequences, sequence, i));
    }
    sequence->n_running_pages = n_pages;
    sequence->is_running = true;
    return GPT2_OK;
}

/* Gives back the pages of 'list' that 'other' has not at the same place. */
static void drop_others(struct gpt2i_sequences *sequences, const int32_t *list, int32_t n,
                        const int32_t *other, int32_t n_other)
{
    for (int32_t i = 0; i < n; i++) {
        if (i >= n_other || list[i] != other[i])
            gpt2i_pages_release(&sequences->pages, list[i]);
    }
}

void gpt2i_sequence_commit(struct gpt2i_sequences *sequences, struct gpt2i_sequence *sequence,
                           int32_t n_ids, int32_t n_cut)
{
    drop_others(sequences, sequence->pages, sequence->n_pages, sequence->running_pages,
                sequence->n_running_pages);
    sequence->n_pages = sequence->n_running_pages;
    memcpy(sequence->pages, sequence->running_pages,
           (size_t)sequence->n_pages * sizeof *sequence->pages);
    sequence->is_running = false;
    sequence->n_ids = n_ids;
    sequence->n_cached = n_ids;
    sequence->n_cut = n_cut;
    drop_pages(sequences, sequence, pages_for(n_ids));
}

void gpt2i_sequence_rollback(struct gpt2i_sequences *sequences, struct gpt2i_sequence *sequence,
                             int32_t n_intact)
{
    drop_others(sequences, sequence->running_pages, sequence->n_running_pages, sequence->pages,
                sequence->n_pages);
    sequence->is_running = false;
    sequence->n_cached = (int32_t)gpt2i_min((size_t)n_intact, (size_t)sequence->n_cached);
    drop_pages(sequences, sequence, pages_for(sequence->n_cached));
}
