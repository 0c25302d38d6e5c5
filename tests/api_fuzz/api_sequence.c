/*
 * api_sequence.c: opening, forking, cutting short and closing sequences, and what they tell.
 */
#include "api_session.h"

static gpt2_session *handle_of(const struct fuzz_session *session)
{
    fuzz_may(session == NULL, GPT2_ERR_ARGUMENT);
    return session == NULL ? NULL : session->handle;
}

static void settle(struct fuzz_session *session, bool ok, bool changes)
{
    if (session != NULL)
        fuzz_session_settle(session, ok, changes && ok);
}

/* The text behind a number, or NULL. */
static struct fuzz_text *find_text(struct fuzz_session *session, int32_t sequence)
{
    if (session == NULL || sequence < 0 || sequence >= session->n_sequences ||
        !session->texts[sequence].is_open)
        return NULL;
    return &session->texts[sequence];
}

/* All are open: no other can be. */
static void may_be_full(const struct fuzz_session *session)
{
    bool is_full = session != NULL;

    for (int32_t i = 0; is_full && i < session->n_sequences; i++)
        is_full = session->texts[i].is_open;
    fuzz_may(is_full, GPT2_ERR_SEQUENCE);
}

/* The number that an open or a fork has stored. */
static void check_new(const struct fuzz_session *session, int32_t number, bool ok)
{
    REQUIRE(ok || number == 0, "found sequence %d stored after a failure, expected 0", (int)number);
    REQUIRE(!ok || (number > 0 && number < session->n_sequences && !session->texts[number].is_open),
            "found the new sequence %d", (int)number);
}

static void do_open(void)
{
    struct fuzz_session *session = fuzz_chance(16) ? NULL : fuzz_pick_session();
    int32_t number = 77, *out = fuzz_chance(16) ? NULL : &number;
    gpt2_session *handle;
    bool ok;

    fuzz_call(FUZZ_gpt2_sequence_open, "%s, out %s", fuzz_name(session),
              out == NULL ? "NULL" : "given");
    handle = handle_of(session);
    may_be_full(session);
    fuzz_may(out == NULL, GPT2_ERR_ARGUMENT);
    ok = fuzz_result(gpt2_sequence_open(handle, out));
    if (out != NULL)
        check_new(session, number, ok);
    if (ok) {
        memset(&session->texts[number], 0, sizeof session->texts[number]);
        session->texts[number].is_open = true;
    }
    settle(session, ok, true);
}

static void do_close(void)
{
    struct fuzz_session *session = fuzz_chance(16) ? NULL : fuzz_pick_session();
    gpt2_session *handle;
    int32_t sequence;
    bool ok;

    fuzz_call(FUZZ_gpt2_sequence_close, " ");
    handle = handle_of(session);
    sequence = fuzz_pick_sequence(session);
    fuzz_say("%s, sequence %d", fuzz_name(session), (int)sequence);
    ok = fuzz_result(gpt2_sequence_close(handle, sequence));
    if (ok) {
        memset(&session->texts[sequence], 0, sizeof session->texts[sequence]);
        session->texts[sequence].is_open = sequence == 0;
        fuzz_rows_are_past(session, sequence);
    }
    settle(session, ok, true);
}

/* One in the text, mostly; says if it is not, or is in front of a cut. */
static int32_t random_position(const struct fuzz_session *session, const struct fuzz_text *text)
{
    static const int32_t odd[] = {-1, INT32_MIN, INT32_MAX};
    int32_t first, position;

    if (text == NULL)
        return 0;
    first = text->n_cut > 0 ? text->n_cut + session->n_keep : 0;
    position = fuzz_chance(16) ? PICK(odd)
               : fuzz_chance(8)
                   ? (int32_t)fuzz_below((size_t)fuzz_text_position(text) + 2)
                   : first + (int32_t)fuzz_below((size_t)(fuzz_text_position(text) - first) + 1);
    if (fuzz_chance(4))
        position = fuzz_text_position(text);
    fuzz_may(position < first || position > fuzz_text_position(text), GPT2_ERR_CONTEXT);
    return position;
}

static void do_fork(void)
{
    struct fuzz_session *session = fuzz_chance(16) ? NULL : fuzz_pick_session();
    int32_t number = 77, *out = fuzz_chance(16) ? NULL : &number;
    const struct fuzz_text *text;
    gpt2_session *handle;
    int32_t sequence, position;
    bool ok;

    fuzz_call(FUZZ_gpt2_sequence_fork, " ");
    handle = handle_of(session);
    sequence = fuzz_pick_sequence(session);
    text = find_text(session, sequence);
    position = random_position(session, text);
    may_be_full(session);
    fuzz_may(out == NULL, GPT2_ERR_ARGUMENT);
    fuzz_say("%s, sequence %d, position %d, out %s", fuzz_name(session), (int)sequence,
             (int)position, out == NULL ? "NULL" : "given");
    ok = fuzz_result(gpt2_sequence_fork(handle, sequence, position, out));
    if (out != NULL)
        check_new(session, number, ok);
    if (ok) {
        session->texts[number] = *text;
        fuzz_text_shorten(&session->texts[number], position - text->n_cut);
    }
    settle(session, ok, true);
}

static void do_truncate(void)
{
    struct fuzz_session *session = fuzz_chance(16) ? NULL : fuzz_pick_session();
    struct fuzz_text *text;
    gpt2_session *handle;
    int32_t sequence, position;
    bool ok;

    fuzz_call(FUZZ_gpt2_sequence_truncate, " ");
    handle = handle_of(session);
    sequence = fuzz_pick_sequence(session);
    text = find_text(session, sequence);
    position = random_position(session, text);
    fuzz_say("%s, sequence %d, position %d", fuzz_name(session), (int)sequence, (int)position);
    ok = fuzz_result(gpt2_sequence_truncate(handle, sequence, position));
    if (ok) {
        fuzz_text_shorten(text, position - text->n_cut);
        fuzz_rows_are_past(session, sequence);
    }
    settle(session, ok, true);
}

static void do_position(void)
{
    struct fuzz_session *session = fuzz_chance(16) ? NULL : fuzz_pick_session();
    int32_t position = 77, *out = fuzz_chance(16) ? NULL : &position;
    const struct fuzz_text *text;
    gpt2_session *handle;
    int32_t sequence;
    bool ok;

    fuzz_call(FUZZ_gpt2_sequence_position, " ");
    handle = handle_of(session);
    sequence = fuzz_pick_sequence(session);
    text = find_text(session, sequence);
    fuzz_may(out == NULL, GPT2_ERR_ARGUMENT);
    fuzz_say("%s, sequence %d, out %s", fuzz_name(session), (int)sequence,
             out == NULL ? "NULL" : "given");
    ok = fuzz_result(gpt2_sequence_position(handle, sequence, out));
    REQUIRE(out == NULL || position == (ok ? fuzz_text_position(text) : 0), "found position %d",
            (int)position);
    settle(session, ok, false);
}

static void do_ids(void)
{
    struct fuzz_session *session = fuzz_chance(16) ? NULL : fuzz_pick_session();
    const int32_t *ids = (const int32_t *)fuzz_sessions, **out = fuzz_chance(16) ? NULL : &ids;
    size_t n_ids = 77, *n_out = fuzz_chance(16) ? NULL : &n_ids;
    const struct fuzz_text *text;
    gpt2_session *handle;
    int32_t sequence;
    bool ok;

    fuzz_call(FUZZ_gpt2_sequence_ids, " ");
    handle = handle_of(session);
    sequence = fuzz_pick_sequence(session);
    text = find_text(session, sequence);
    fuzz_may(out == NULL || n_out == NULL, GPT2_ERR_ARGUMENT);
    fuzz_say("%s, sequence %d, ids %s, n_ids %s", fuzz_name(session), (int)sequence,
             out == NULL ? "NULL" : "given", n_out == NULL ? "NULL" : "given");
    ok = fuzz_result(gpt2_sequence_ids(handle, sequence, out, n_out));
    if (ok)
        REQUIRE(n_ids == (size_t)text->n_ids && ids != NULL &&
                    memcmp(ids, text->ids, n_ids * sizeof ids[0]) == 0,
                "found %zu other tokens, expected %d", n_ids, (int)text->n_ids);
    else
        REQUIRE((out == NULL || ids == NULL) && (n_out == NULL || n_ids == 0),
                "found tokens after a failure, expected none");
    settle(session, ok, false);
}

const struct fuzz_action fuzz_sequence_actions[] = {
    {do_open, 16},     {do_close, 8}, {do_fork, 20}, {do_truncate, 16},
    {do_position, 10}, {do_ids, 10},  {NULL, 0},
};
