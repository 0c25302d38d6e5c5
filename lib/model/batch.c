/*
 * batch.c: running a forward call step by step, all or nothing.
 *
 * A step takes rows of the items in order, up to n_batch of them.  An item that goes on after a cut, or
 * in the next step, ends the step: so the kept rows of a call are computed in the order in which
 * they lie in memory.
 */
#include "batch.h"
#include "forward.h"
#include "shortlist.h"
#include "../base/fpstate.h"

/* ------------------------------------------------------------------------------------ windows -- */

/* Whether the window's rows change the result: it is the last one, or some of its logits are kept. */
static bool is_needed(const struct gpt2i_item *item, const struct gpt2i_window *window)
{
    size_t end = window->first_token + window->n_tokens;

    return end == item->n_tokens || (window->n_tokens > 0 && end > item->n_tokens - item->n_kept);
}

/* The window behind a cut. */
static void next_window(const struct gpt2i_sequences *sequences, const struct gpt2i_item *item,
                        struct gpt2i_window *window)
{
    size_t n_left = (size_t)gpt2i_sequences_n_after_cut(sequences);
    size_t n_ctx = (size_t)sequences->n_ctx;

    window->n_cut += n_ctx - n_left;
    window->n_before = n_left;
    window->first_token += window->n_tokens;
    window->n_tokens = gpt2i_min(item->n_tokens - window->first_token, n_ctx - n_left);
}

/* Goes on to the next window that is needed, from 'window' on. */
static void begin_window(const struct gpt2i_sequences *sequences, struct gpt2i_item *item,
                         struct gpt2i_window window)
{
    const struct gpt2i_sequence *sequence = item->sequence;

    while (!is_needed(item, &window))
        next_window(sequences, item, &window);
    item->window = window;
    item->next = (size_t)sequence->n_cached;
    if (window.n_cut != (size_t)sequence->n_cut)
        item->next = gpt2i_min(item->next, (size_t)sequences->n_keep);
}

static size_t window_end(const struct gpt2i_window *window)
{
    return window->n_before + window->n_tokens;
}

static bool is_complete(const struct gpt2i_item *item)
{
    return item->window.first_token + item->window.n_tokens == item->n_tokens &&
           item->next == window_end(&item->window);
}

/* The token at a position of the context, as the window has it. */
static int32_t token_at(const struct gpt2i_sequences *sequences, const struct gpt2i_item *item,
                        size_t position)
{
    const struct gpt2i_sequence *sequence = item->sequence;
    size_t n_keep = (size_t)sequences->n_keep;
    size_t n_text = (size_t)gpt2i_sequence_position(sequence);
    size_t n_cut = (size_t)sequence->n_cut;

    if (item->window.n_cut > 0 && position >= n_keep)
        position += item->window.n_cut; /* now one in the text */
    if (position >= n_text)
        return item->tokens[position - n_text];
    return sequence->ids[n_cut > 0 && position >= n_keep ? position - n_cut : position];
}

/* -------------------------------------------------------------------------------------- steps -- */

/* Adds the next rows of an item to a step. */
static void add_span(gpt2_session *session, struct gpt2i_step *step, struct gpt2i_item *item)
{
    struct gpt2i_window *window = &item->window;
    size_t n_keep = (size_t)session->sequences.n_keep;
    bool is_kept = window->n_cut > 0 && item->next < n_keep; /* in front of what was cut off */
    size_t n_left = (is_kept ? n_keep : window_end(window)) - item->next;
    size_t n = gpt2i_min(n_left, (size_t)session->n_batch - step->t);
    size_t end = item->next + n;
    /* the first token of this window whose logits are kept */
    size_t first_kept = gpt2i_max(item->n_tokens - item->n_kept, window->first_token);
    size_t kept_from = window->n_before + first_kept - window->first_token;
    struct gpt2i_span *span = &session->spans[step->n_spans++];

    span->sequence = item->sequence;
    span->first_position = item->next;
    span->n_cut = is_kept ? 0 : window->n_cut;
    span->first_row = step->t;
    span->first_tile = step->n_tiles;
    span->n_rows = n;
    span->n_top = item->n_top;
    span->n_kept = end > kept_from ? gpt2i_min(end - kept_from, n) : 0;
    step->n_tiles += gpt2i_attention_tiles(&session->attention, n);
    for (; item->next < end; item->next++) {
        session->step_tokens[step->t] = token_at(&session->sequences, item, item->next);
        session->step_positions[step->t++] = (int32_t)item->next;
    }
}

/* Fills the next step from item '*first' on.  An item that is complete is left behind. */
static void fill_step(gpt2_session *session, struct gpt2i_step *step, size_t *first, size_t n_items)
{
    while (*first < n_items && step->t < (size_t)session->n_batch) {
        struct gpt2i_item *item = &session->items[*first];

        if (item->next == window_end(&item->window)) {
            struct gpt2i_window window = item->window;

            next_window(&session->sequences, item, &window);
            begin_window(&session->sequences, item, window);
        }
        add_span(session, step, item);
        if (!is_complete(item))
            return;
        ++*first;
    }
}

static int32_t run_steps(gpt2_session *session, size_t n_items)
{
    float *logits = session->logits;
    size_t first = 0;
    int32_t status = GPT2_OK;

    while (first < n_items && status == GPT2_OK) {
        struct gpt2i_step step = {
            .tokens = session->step_tokens,
            .positions = session->step_positions,
            .spans = session->spans,
            .logits = logits,
        };

        fill_step(session, &step, &first, n_items);
        status = gpt2i_run_step(session, &step);
        for (size_t i = 0; i < step.n_spans && session->taker.take == NULL; i++)
            logits += step.spans[i].n_kept * (size_t)session->model->config.n_vocab;
    }
    return status == GPT2_OK ? gpt2i_interrupted(session) : status;
}

/* -------------------------------------------------------------------------------------- pages -- */

struct copy_job {
    const struct gpt2i_kvcache *kv;
    size_t to;
    size_t from;
};

/* Task = (layer, head). */
static void copy_task(void *argument, size_t task, size_t worker)
{
    const struct copy_job *job = argument;

    (void)worker;
    gpt2i_kvcache_copy_page(job->kv, task / job->kv->n_head, task % job->kv->n_head, job->to,
                            job->from);
}

/* Takes pages for all that the call writes. */
static int32_t reserve(gpt2_session *session, size_t n_items)
{
    struct gpt2i_sequences *sequences = &session->sequences;
    size_t n_ctx = (size_t)sequences->n_ctx;
    int32_t status = GPT2_OK;

    for (size_t i = 0; i < n_items && status == GPT2_OK; i++) {
        struct gpt2i_item *item = &session->items[i];
        const struct gpt2i_sequence *sequence = item->sequence;
        struct gpt2i_window window = {
            .n_cut = (size_t)sequence->n_cut,
            .n_before = (size_t)sequence->n_ids,
            .n_tokens = gpt2i_min(item->n_tokens, n_ctx - (size_t)sequence->n_ids),
        };
        bool is_cut = window.n_tokens < item->n_tokens;
        size_t first;

        begin_window(sequences, item, window);
        first = is_cut ? gpt2i_min(item->next, (size_t)sequences->n_keep) : item->next;
        status = gpt2i_sequence_reserve(sequences, item->sequence, first,
                                        is_cut ? n_ctx : window_end(&window), &session->taps.error);
        item->is_short = status != GPT2_OK;
    }
    return status;
}

/* Copies the positions that stay from pages that other sequences use, too. */
static void copy_shared_pages(gpt2_session *session, const struct gpt2i_item *item)
{
    const struct gpt2i_kvcache *kv = &session->kv;
    const struct gpt2i_sequence *sequence = item->sequence;

    for (size_t i = 0; i < gpt2i_ceil_div(item->next, GPT2I_PAGE); i++) {
        struct copy_job job = {kv, (size_t)sequence->running_pages[i], (size_t)sequence->pages[i]};

        if (job.to != job.from)
            gpt2i_pool_run(session->compute.pool, copy_task, &job, kv->n_layer * kv->n_head);
    }
}

/* ------------------------------------------------------------------------------------ outcome -- */

/* The kept rows of the item follow the first n_kept of the call. */
static void commit(gpt2_session *session, size_t i, size_t n_kept)
{
    const struct gpt2i_item *item = &session->items[i];
    struct gpt2i_kept_rows *kept = &session->kept[i];
    struct gpt2i_sequence *sequence = item->sequence;
    size_t end = window_end(&item->window);
    bool is_cut = item->window.n_cut != (size_t)sequence->n_cut;

    /* forwards: a token that a cut moves comes from behind */
    for (size_t k = is_cut ? 0 : (size_t)sequence->n_ids; k < end; k++)
        sequence->ids[k] = token_at(&session->sequences, item, k);
    gpt2i_sequence_commit(&session->sequences, sequence, (int32_t)end, (int32_t)item->window.n_cut);
    kept->n_rows = (int32_t)item->n_tokens;
    kept->n_kept = (int32_t)item->n_kept;
    kept->position = gpt2i_sequence_position(sequence);
    kept->first_kept = n_kept;
    kept->is_partial = item->n_top > 0 && gpt2i_has_shortlist(session->model);
}

static void roll_back(gpt2_session *session, const struct gpt2i_item *item, bool has_run)
{
    struct gpt2i_sequence *sequence = item->sequence;
    bool is_cut = has_run && item->window.n_cut != (size_t)sequence->n_cut;

    if (sequence->is_running)
        gpt2i_sequence_rollback(&session->sequences, sequence,
                                is_cut ? session->sequences.n_keep : sequence->n_cached);
}

/* A cancel and a deadline end one call.  They are used up even if something else has ended it. */
static void forget_interruptions(gpt2_session *session)
{
    atomic_store(&session->cancelled, false);
    if (session->deadline_ns != 0 && gpt2i_monotonic_ns() >= session->deadline_ns)
        session->deadline_ns = 0;
}

/* All rows, in the library's floating-point state. */
static int32_t run_batch(gpt2_session *session, size_t n_items)
{
    int32_t status;

    session->n_items_kept = 0; /* their rows are about to be overwritten */
    session->host_state = gpt2i_fpstate_enter();
    session->running = true;
    for (size_t i = 0; i < n_items; i++)
        copy_shared_pages(session, &session->items[i]);
    status = run_steps(session, n_items);
    session->running = false;
    gpt2i_fpstate_leave(session->host_state);
    if (status != GPT2_OK)
        forget_interruptions(session);
    return status;
}

int32_t gpt2i_batch_run(gpt2_session *session, size_t n_items)
{
    size_t n_kept = 0;
    int32_t status = reserve(session, n_items);
    bool has_run = status == GPT2_OK;

    if (status == GPT2_OK)
        status = run_batch(session, n_items);
    if (status != GPT2_OK) {
        for (size_t i = 0; i < n_items; i++)
            roll_back(session, &session->items[i], has_run);
        return status;
    }
    for (size_t i = 0; i < n_items; i++) {
        commit(session, i, n_kept);
        n_kept += session->items[i].n_kept;
    }
    session->n_items_kept = session->taker.take == NULL ? n_items : 0;
    gpt2i_error_clear(&session->taps.error); /* calls from a tap may have failed */
    return GPT2_OK;
}

void gpt2i_batch_take_back(gpt2_session *session, size_t item, size_t n_rows)
{
    struct gpt2i_sequence *sequence = session->items[item].sequence;
    struct gpt2i_kept_rows *kept = &session->kept[item];

    kept->n_rows -= (int32_t)n_rows;
    kept->n_kept -= (int32_t)n_rows;
    kept->position -= (int32_t)n_rows;
    gpt2i_sequence_drop_last(&session->sequences, sequence, (int32_t)n_rows);
}

int32_t gpt2i_batch_find_row(const gpt2_session *session, size_t item, int32_t row, bool draws,
                             size_t *kept, int32_t *position, struct gpt2i_error *error)
{
    const struct gpt2i_kept_rows *rows;
    int32_t first_kept;

    if (item >= gpt2i_max(session->n_items_kept, 1))
        return gpt2i_fail(error, GPT2_ERR_ROW, "item is %zu, the last forward call had %zu", item,
                          session->n_items_kept);
    rows = &session->kept[item];
    if (session->n_items_kept == 0 || rows->n_kept == 0)
        return gpt2i_fail(error, GPT2_ERR_ROW,
                          "no logits are kept: the last forward asked for none, or it failed");
    if (rows->is_partial && !draws)
        return gpt2i_fail(error, GPT2_ERR_ROW,
                          "the row may have only its largest logits: its generator was made with "
                          "gpt2_generator_params.shortlist");
    if (row == GPT2_LAST_ROW)
        row = rows->n_rows - 1;
    first_kept = rows->n_rows - rows->n_kept;
    if (row < first_kept || row >= rows->n_rows)
        return gpt2i_fail(error, GPT2_ERR_ROW,
                          "row is %d, the last forward kept the logits of rows %d to %d", row,
                          first_kept, rows->n_rows - 1);
    *kept = rows->first_kept + (size_t)(row - first_kept);
    *position = rows->position - (rows->n_rows - 1 - row);
    return GPT2_OK;
}
