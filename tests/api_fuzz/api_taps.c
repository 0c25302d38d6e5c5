/*
 * api_taps.c: taps that look, change, stop, cancel and call; and the texts run again, with what taps
 * had changed.
 */
#include "api_session.h"

uint64_t fuzz_n_replays;

/* -------------------------------------------------------------------------------------- taps -- */

/* Depends on the row alone, so that any way to run the text gives the same. */
void fuzz_tap_change(float *row)
{
    row[0] = row[0] * 0.5f + 0.0625f;
}

static int32_t columns_of(const struct fuzz_session *session, const gpt2_tap *tap, bool is_cut)
{
    const struct fuzz_model *model = session->model;
    const struct fuzz_text *text = &session->texts[tap->sequence];

    switch (tap->kind) {
    case GPT2_TAP_ATTN_QKV:
        return model->n_qkv;
    case GPT2_TAP_ATTN_SCORES:
    case GPT2_TAP_ATTN_PROBS: /* of the context, which a cut in this call makes shorter */
        return is_cut ? tap->n_columns : tap->first_position - text->n_cut + tap->n_rows;
    case GPT2_TAP_MLP_FC:
    case GPT2_TAP_MLP_ACT:
        return model->n_inner;
    case GPT2_TAP_LOGITS:
        return model->n_vocab;
    default:
        return model->n_embd;
    }
}

static bool is_of_head(int32_t kind)
{
    return kind == GPT2_TAP_ATTN_SCORES || kind == GPT2_TAP_ATTN_PROBS;
}

static bool is_of_block(int32_t kind)
{
    return kind != GPT2_TAP_EMBED && kind != GPT2_TAP_LN_F && kind != GPT2_TAP_LOGITS;
}

static const gpt2_batch_item *find_item(const struct fuzz_session *session, int32_t sequence)
{
    for (size_t i = 0; i < session->n_running; i++) {
        if (session->items[i].sequence == sequence)
            return &session->items[i];
    }
    return NULL;
}

/* The rows are tokens of one item, or of its text again. */
static void check_tap_rows(const struct fuzz_session *session, const gpt2_tap *tap)
{
    const gpt2_batch_item *item = find_item(session, tap->sequence);
    const struct fuzz_text *text;
    int32_t first = 0; /* of the text, that runs */
    bool is_cut;

    REQUIRE(item != NULL && tap->reserved == 0, "found rows of sequence %d", (int)tap->sequence);
    text = &session->texts[tap->sequence];
    is_cut = fuzz_text_is_cut(session, text, item->n_tokens);
    if (!is_cut)
        first = text->n_cut + text->n_cached;
    REQUIRE(tap->first_position == fuzz_text_position(text) + tap->first_row &&
                tap->first_position >= first &&
                tap->first_row + tap->n_rows <= (int32_t)item->n_tokens,
            "found %d rows from row %d on at position %d", (int)tap->n_rows, (int)tap->first_row,
            (int)tap->first_position);
    REQUIRE(tap->n_rows > 0 && tap->n_rows <= session->n_batch &&
                (!is_of_head(tap->kind) || tap->n_rows <= 64),
            "found %d rows in a part of kind %d", (int)tap->n_rows, (int)tap->kind);
    REQUIRE(tap->n_columns == columns_of(session, tap, is_cut) &&
                tap->row_stride >= (size_t)tap->n_columns && tap->n_columns > 0 &&
                (!is_of_head(tap->kind) || tap->n_columns <= session->n_ctx),
            "found %d columns, stride %zu at a tap of kind %d", (int)tap->n_columns,
            tap->row_stride, (int)tap->kind);
}

static void check_tap(const struct fuzz_session *session, const gpt2_tap *tap)
{
    const struct fuzz_model *model = session->model;

    REQUIRE(tap->struct_size == sizeof *tap, "found tap size %u", (unsigned)tap->struct_size);
    REQUIRE(tap->kind >= 0 && tap->kind < GPT2_TAP_COUNT &&
                (session->tap_kinds & GPT2_TAP_BIT(tap->kind)) != 0,
            "found a tap of kind %d, kinds are 0x%x", (int)tap->kind, (unsigned)session->tap_kinds);
    REQUIRE(is_of_block(tap->kind) ? tap->layer >= 0 && tap->layer < model->n_layer
                                   : tap->layer == -1,
            "found layer %d at a tap of kind %d", (int)tap->layer, (int)tap->kind);
    REQUIRE(is_of_head(tap->kind) ? tap->head >= 0 && tap->head < model->n_head : tap->head == -1,
            "found head %d at a tap of kind %d", (int)tap->head, (int)tap->kind);
    check_tap_rows(session, tap);
}

#define REFUSED(function, ...)                                  \
    REQUIRE(function(handle, __VA_ARGS__) == GPT2_ERR_ARGUMENT, \
            "found " #function "() accepted in a callback")

void fuzz_check_refused(const struct fuzz_session *session)
{
    gpt2_session *handle = session->handle;
    gpt2_batch_item item = {0, 0, (const int32_t[]){0}, 1, 1};
    gpt2_token_score score;
    gpt2_score_item scored = {0, 0, (const int32_t[]){0, 0}, 2, 1, &score, NULL};
    const float *logits = (const float *)handle;
    const int32_t *ids = (const int32_t *)handle;
    int32_t id = 77;
    size_t n = 77;

    REFUSED(gpt2_forward, item.tokens, 1, 1);
    REFUSED(gpt2_forward_batch, &item, 1);
    REFUSED(gpt2_session_logits, 0, &logits);
    REFUSED(gpt2_batch_logits, 0, 0, &logits);
    REFUSED(gpt2_sample, 0, NULL, &id);
    REFUSED(gpt2_batch_sample, 0, 0, NULL, &id);
    REFUSED(gpt2_score, &scored, 1, NULL);
    REFUSED(gpt2_score_logits, (const float[]){0.0f}, 0, NULL, &score, NULL);
    REFUSED(gpt2_sequence_open, &id);
    REFUSED(gpt2_sequence_close, 0);
    REFUSED(gpt2_sequence_fork, 0, 0, &id);
    REFUSED(gpt2_sequence_truncate, 0, 0);
    REFUSED(gpt2_sequence_position, 0, &id);
    REFUSED(gpt2_sequence_ids, 0, &ids, &n);
    REFUSED(gpt2_sequence_save, 0, NULL, 0, &n);
    REFUSED(gpt2_sequence_write, 0, NULL, NULL);
    REFUSED(gpt2_sequence_restore, 0, &item, sizeof item);
    REFUSED(gpt2_session_set_deadline, 1);
    REFUSED(gpt2_session_set_tap, NULL, NULL, 0);
    REQUIRE(gpt2_session_reset(handle) == GPT2_ERR_ARGUMENT &&
                gpt2_session_after_fork(handle) == GPT2_ERR_ARGUMENT,
            "found a call accepted in a callback");
    REQUIRE(logits == NULL && ids == NULL && id == 0 && n == 0,
            "found something stored by a call that was refused");
    fuzz_generators_check_refused(session);
    fuzz_check_line(gpt2_session_error(handle), false);
}

int32_t fuzz_on_tap(void *user, const gpt2_tap *tap)
{
    static const int32_t ends[] = {1, -1, INT32_MIN, INT32_MAX, GPT2_ERR_NONFINITE};
    struct fuzz_session *session = user;
    bool is_it;

    check_tap(session, tap);
    session->rows_seen[tap->kind] += (uint64_t)tap->n_rows;
    is_it = session->n_parts++ == session->stop_at;
    for (int32_t row = 0; row < tap->n_rows && session->tap_mode == FUZZ_TAP_CHANGES; row++)
        fuzz_tap_change(tap->data + (size_t)row * tap->row_stride);
    if (is_it && session->tap_mode == FUZZ_TAP_CALLS)
        fuzz_check_refused(session);
    if (is_it && session->tap_mode == FUZZ_TAP_CANCELS) {
        gpt2_session_cancel(session->handle);
        session->cancelled_by_tap = true;
    }
    if (!is_it || session->tap_mode != FUZZ_TAP_STOPS)
        return 0;
    session->stopped = true;
    return ends[session->n_parts % COUNT(ends)];
}

static void do_set_tap(void)
{
    static const uint32_t wrong[] = {GPT2_TAP_ALL + 1, 0x80000000u, 0xffffffffu};
    struct fuzz_session *session = fuzz_chance(16) ? NULL : fuzz_pick_session();
    uint32_t kinds = fuzz_chance(3)   ? 1u << fuzz_below(14)
                     : fuzz_chance(4) ? GPT2_TAP_ALL
                                      : (uint32_t)fuzz_random() & GPT2_TAP_ALL;
    enum fuzz_tap_mode mode = (enum fuzz_tap_mode)fuzz_below(FUZZ_N_TAP_MODES);
    uint64_t stop_at = fuzz_below(40);
    gpt2_tap_callback callback = fuzz_chance(2) ? NULL : fuzz_on_tap;
    bool ok;

    if (fuzz_chance(16))
        kinds = PICK(wrong);
    fuzz_call(FUZZ_gpt2_session_set_tap, "%s, %s, kinds 0x%x, mode %d, at part %d",
              fuzz_name(session), callback == NULL ? "NULL" : "given", (unsigned)kinds, (int)mode,
              (int)stop_at);
    fuzz_may(session == NULL || (kinds & ~GPT2_TAP_ALL) != 0, GPT2_ERR_ARGUMENT);
    ok = fuzz_result(
        gpt2_session_set_tap(session == NULL ? NULL : session->handle, callback, session, kinds));
    if (ok) {
        session->tap_kinds = callback == NULL ? 0 : kinds;
        session->tapped = session->tap_kinds != 0;
        session->tap_mode = mode;
        session->stop_at = stop_at;
    }
    if (session != NULL)
        fuzz_session_settle(session, ok, ok);
}

void fuzz_check_rows_seen(const struct fuzz_session *session)
{
    uint64_t n_rows = 0, n_kept = 0;

    for (size_t i = 0; i < session->n_running; i++) {
        const gpt2_batch_item *item = &session->items[i];

        n_rows += fuzz_rows_to_run(session, item->sequence, item);
        n_kept += item->n_logit_rows < item->n_tokens ? item->n_logit_rows : item->n_tokens;
    }
    for (int32_t kind = 0; kind < GPT2_TAP_COUNT; kind++) {
        uint64_t wanted = kind == GPT2_TAP_LN_F || kind == GPT2_TAP_LOGITS ? n_kept : n_rows;

        if (is_of_block(kind))
            wanted *= (uint64_t)session->model->n_layer;
        if (is_of_head(kind))
            wanted *= (uint64_t)session->model->n_head;
        if ((session->tap_kinds & GPT2_TAP_BIT(kind)) == 0)
            wanted = 0;
        REQUIRE(session->rows_seen[kind] == wanted, "found %d rows at taps of kind %d, expected %d",
                (int)session->rows_seen[kind], (int)kind, (int)wanted);
    }
}

/* ------------------------------------------------------------------------ the texts run again -- */

static int32_t replay_tap(void *user, const gpt2_tap *tap)
{
    const struct fuzz_text *text = user;

    for (int32_t row = 0; row < tap->n_rows; row++) {
        if ((text->changed[tap->first_position + row] & GPT2_TAP_BIT(tap->kind)) != 0)
            fuzz_tap_change(tap->data + (size_t)row * tap->row_stride);
    }
    return 0;
}

/* The kept rows that follow from the text that is there now: '*rows' is the first, in the session. */
static size_t comparable_rows(const struct fuzz_session *session, int32_t sequence,
                              const float **rows)
{
    *rows = session->handle->logits;
    for (size_t i = 0; i < session->n_items; i++) {
        const struct fuzz_rows *item = &session->rows[i];
        int32_t n = fuzz_min(item->n_kept, item->n_after_cut);

        if (item->sequence == sequence && !item->is_past) {
            *rows += (size_t)(item->n_kept - n) * (size_t)session->model->n_vocab;
            return (size_t)n;
        }
        *rows += (size_t)item->n_kept * (size_t)session->model->n_vocab;
    }
    return 0;
}

static void replay(const struct fuzz_session *session, int32_t sequence)
{
    const struct fuzz_text *text = &session->texts[sequence];
    const float *rows;
    size_t n_rows = comparable_rows(session, sequence, &rows);
    size_t n_logits = n_rows * (size_t)session->model->n_vocab;
    uint32_t changed = 0;
    gpt2_session_params params;
    gpt2_session *fresh;

    for (int32_t i = 0; i < text->n_cached; i++)
        changed |= text->changed[i];
    (void)gpt2_session_params_init(&params, sizeof params);
    params.cpu_mask = 0;
    params.n_logit_rows = text->n_cached;
    params.kv_type = session->kv_type;
    REQUIRE(gpt2_session_create(session->model->model, &params, &fresh) == GPT2_OK, "no session");
    if (changed != 0)
        (void)gpt2_session_set_tap(fresh, replay_tap, (void *)text, changed);
    REQUIRE(gpt2_forward(fresh, text->ids, (size_t)text->n_cached, n_rows) == GPT2_OK,
            "the text cannot be run again: %s", gpt2_session_error(fresh));
    REQUIRE(fuzz_hash_kv(fresh, 0, text->n_cached) ==
                fuzz_hash_kv(session->handle, sequence, text->n_cached),
            "%s: found keys or values of other bits than sequence %d run again", fuzz_name(session),
            (int)sequence);
    REQUIRE(fuzz_hash_logits(fresh->logits, n_logits) == fuzz_hash_logits(rows, n_logits),
            "%s: found logits of other bits than sequence %d run again", fuzz_name(session),
            (int)sequence);
    gpt2_session_free(fresh);
    fuzz_n_replays++;
}

void fuzz_replay(const struct fuzz_session *session)
{
    for (int32_t i = 0; i < session->n_sequences; i++) {
        if (session->texts[i].n_cached > 0)
            replay(session, i);
    }
}

static void do_replay(void)
{
    struct fuzz_session *session = fuzz_pick_session();

    if (session == NULL)
        return;
    fuzz_call(FUZZ_gpt2_session_position, "%s", fuzz_name(session));
    REQUIRE(gpt2_session_position(session->handle) == fuzz_text_position(&session->texts[0]),
            "found another position");
    fuzz_replay(session);
}

const struct fuzz_action fuzz_tap_actions[] = {
    {do_set_tap, 24},
    {do_replay, 2},
    {NULL, 0},
};
