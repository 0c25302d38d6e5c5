/*
 * api_state.c: sequences saved, written and restored, in their own session or another one, whole or
 * damaged.
 */
#include "api_session.h"

enum { N_STATES = 12, HEADER_AND_SUM = 48 };

/* States, and what they hold. */
static struct state {
    unsigned char *bytes; /* NULL: a free place */
    size_t n_bytes;
    const struct fuzz_model *model;
    int32_t kv_type, n_keep;
    struct fuzz_text text;
} states[N_STATES];

void fuzz_states_close(void)
{
    for (size_t i = 0; i < N_STATES; i++)
        free(states[i].bytes);
}

static size_t state_bytes(const struct fuzz_session *session, const struct fuzz_text *text)
{
    size_t n_kv =
        (size_t)session->model->n_layer * (size_t)(session->model->n_qkv - session->model->n_embd);

    return HEADER_AND_SUM +
           (size_t)text->n_ids * (4 + n_kv * (session->kv_type == GPT2_TYPE_F16 ? 2 : 4));
}

/* A session, a sequence of it, and what is wrong with them. */
static struct fuzz_session *pick(int32_t *sequence, struct fuzz_text **text)
{
    struct fuzz_session *session = fuzz_chance(24) ? NULL : fuzz_pick_session();

    fuzz_may(session == NULL, GPT2_ERR_ARGUMENT);
    *sequence = fuzz_pick_sequence(session);
    *text = NULL;
    if (session != NULL && *sequence >= 0 && *sequence < session->n_sequences &&
        session->texts[*sequence].is_open)
        *text = &session->texts[*sequence];
    return session;
}

/* ------------------------------------------------------------------------------ save and write -- */

static void keep_state(const struct fuzz_session *session, const struct fuzz_text *text,
                       const void *bytes, size_t n_bytes)
{
    struct state *state = &PICK(states);

    free(state->bytes);
    *state = (struct state){
        .bytes = malloc(n_bytes),
        .n_bytes = n_bytes,
        .model = session->model,
        .kv_type = session->kv_type,
        .n_keep = session->n_keep,
        .text = *text,
    };
    REQUIRE(state->bytes != NULL, "no memory for a test");
    memcpy(state->bytes, bytes, n_bytes);
}

static void do_save(void)
{
    size_t n_bytes = 77, wanted = HEADER_AND_SUM, capacity,
           *out = fuzz_chance(24) ? NULL : &n_bytes;
    struct fuzz_session *session;
    struct fuzz_text *text;
    unsigned char *bytes = NULL;
    int32_t sequence;
    bool ok;

    fuzz_call(FUZZ_gpt2_sequence_save, " ");
    session = pick(&sequence, &text);
    if (text != NULL) {
        wanted = state_bytes(session, text);
        fuzz_may(text->n_cached < text->n_ids, GPT2_ERR_STATE);
    }
    capacity = fuzz_chance(4) ? fuzz_below(wanted + 1) : wanted + fuzz_below(20);
    if (!fuzz_chance(16))
        bytes = fuzz_temp(capacity);
    else if (fuzz_chance(2))
        capacity = 0;
    fuzz_may(out == NULL || (bytes == NULL && capacity > 0), GPT2_ERR_ARGUMENT);
    fuzz_may(capacity < wanted, GPT2_ERR_BUFFER);
    fuzz_say("%s, sequence %d, bytes %s, capacity %zu, n_bytes %s", fuzz_name(session),
             (int)sequence, bytes == NULL ? "NULL" : "given", capacity,
             out == NULL ? "NULL" : "given");
    ok = fuzz_result(gpt2_sequence_save(session == NULL ? NULL : session->handle, sequence, bytes,
                                        capacity, out));
    REQUIRE(!ok || n_bytes == wanted, "found %zu bytes, expected %zu", n_bytes, wanted);
    REQUIRE(ok || out == NULL || n_bytes == 0 || n_bytes == wanted, "found %zu bytes", n_bytes);
    if (ok)
        keep_state(session, text, bytes, n_bytes);
    if (session != NULL)
        fuzz_session_settle(session, ok, false);
}

struct writing {
    struct fuzz_session *session;
    unsigned char *bytes;
    size_t n_bytes, capacity;
    size_t n_calls, stop_at; /* SIZE_MAX: never */
    bool calls;              /* functions on its session */
    bool refused;
};

static int32_t on_write(void *user, const void *bytes, size_t n_bytes)
{
    struct writing *writing = user;

    REQUIRE(!writing->refused, "found a call of the callback after it had refused");
    REQUIRE(n_bytes <= writing->capacity - writing->n_bytes, "found more bytes than a state has");
    memcpy(writing->bytes + writing->n_bytes, bytes, n_bytes);
    writing->n_bytes += n_bytes;
    if (writing->n_calls == 0 && writing->calls)
        fuzz_check_refused(writing->session);
    writing->refused = writing->n_calls++ == writing->stop_at;
    return writing->refused ? (int32_t)(writing->n_calls % 5) - 7 : 0;
}

static void do_write(void)
{
    struct writing writing = {
        .stop_at = fuzz_chance(3) ? fuzz_below(10) : SIZE_MAX,
        .calls = fuzz_chance(3),
    };
    gpt2_write_callback write = fuzz_chance(24) ? NULL : on_write;
    struct fuzz_text *text;
    int32_t sequence, status;
    bool ok;

    fuzz_call(FUZZ_gpt2_sequence_write, " ");
    writing.session = pick(&sequence, &text);
    fuzz_may(write == NULL, GPT2_ERR_ARGUMENT);
    if (text != NULL) {
        fuzz_may(text->n_cached < text->n_ids, GPT2_ERR_STATE);
        writing.capacity = state_bytes(writing.session, text);
        writing.bytes = fuzz_temp(writing.capacity);
    }
    fuzz_say("%s, sequence %d, write %s, refuses call %d, %s", fuzz_name(writing.session),
             (int)sequence, write == NULL ? "NULL" : "given", (int)writing.stop_at,
             writing.calls ? "calls" : "does not call");
    status = gpt2_sequence_write(writing.session == NULL ? NULL : writing.session->handle, sequence,
                                 write, &writing);
    fuzz_may(writing.refused, GPT2_ERR_CANCELLED);
    ok = fuzz_result(status);
    REQUIRE(!ok || writing.n_bytes == writing.capacity, "found %zu bytes, expected %zu",
            writing.n_bytes, writing.capacity);
    if (ok)
        keep_state(writing.session, text, writing.bytes, writing.n_bytes);
    if (writing.session != NULL)
        fuzz_session_settle(writing.session, ok, false);
}

/* ------------------------------------------------------------------------------------ restore -- */

/* The bytes of a state, sometimes damaged, and what is then wrong; exactly so many in memory. */
static unsigned char *copy_state(const struct state *state, size_t *n_bytes)
{
    size_t past = fuzz_below(9); /* any alignment */
    unsigned char *bytes;

    *n_bytes = state->n_bytes;
    if (fuzz_chance(8))
        *n_bytes = fuzz_chance(2) ? fuzz_below(state->n_bytes) : state->n_bytes + 1 + fuzz_below(9);
    bytes = (unsigned char *)fuzz_temp(*n_bytes + past) + past;
    memset(bytes, 0, *n_bytes);
    memcpy(bytes, state->bytes, *n_bytes < state->n_bytes ? *n_bytes : state->n_bytes);
    fuzz_may(*n_bytes != state->n_bytes, GPT2_ERR_STATE);
    if (*n_bytes > 0 && fuzz_chance(4)) {
        bytes[fuzz_below(fuzz_chance(2) && *n_bytes > 40 ? 40 : *n_bytes)] ^=
            (unsigned char)(1 + fuzz_below(255));
        fuzz_may(true, GPT2_ERR_STATE);
        fuzz_may(true, GPT2_ERR_CONTEXT); /* n_ids may be the byte */
    }
    return bytes;
}

static void may_not_fit(const struct fuzz_session *session, int32_t sequence,
                        const struct state *state)
{
    fuzz_may(state->model != session->model || state->kv_type != session->kv_type, GPT2_ERR_STATE);
    fuzz_may(state->text.n_cut > 0 && state->n_keep != session->n_keep, GPT2_ERR_STATE);
    fuzz_may(state->text.n_ids > session->n_ctx, GPT2_ERR_CONTEXT);
    fuzz_may(state->model == session->model && state->text.n_ids <= session->n_ctx &&
                 fuzz_pages_to_restore(session, sequence, state->text.n_ids) >
                     fuzz_n_free_pages(session),
             GPT2_ERR_PAGES);
}

static void do_restore(void)
{
    const struct state *state = &PICK(states);
    unsigned char *bytes = NULL;
    struct fuzz_session *session;
    struct fuzz_text *text;
    size_t n_bytes = 0;
    int32_t sequence;
    bool ok;

    fuzz_call(FUZZ_gpt2_sequence_restore, " ");
    session = pick(&sequence, &text);
    for (int i = 0;
         i < 12 && (state->bytes == NULL || (session != NULL && state->model != session->model));
         i++)
        state = &PICK(states);
    if (state->bytes != NULL && !fuzz_chance(24))
        bytes = copy_state(state, &n_bytes);
    fuzz_may(bytes == NULL, GPT2_ERR_ARGUMENT);
    if (bytes != NULL && text != NULL)
        may_not_fit(session, sequence, state);
    fuzz_say("%s, sequence %d, %s %s, %zu bytes, %d tokens, %d cut off, kv_type %d, n_keep %d",
             fuzz_name(session), (int)sequence, bytes == NULL ? "NULL, not" : "a state of",
             state->model == NULL ? "none" : state->model->directory, n_bytes,
             (int)state->text.n_ids, (int)state->text.n_cut, (int)state->kv_type,
             (int)state->n_keep);
    ok = fuzz_result(
        gpt2_sequence_restore(session == NULL ? NULL : session->handle, sequence, bytes, n_bytes));
    if (ok) {
        fuzz_text_restore(session, sequence, &state->text);
        fuzz_rows_are_past(session, sequence);
    }
    if (session != NULL)
        fuzz_session_settle(session, ok, ok);
}

const struct fuzz_action fuzz_state_actions[] = {
    {do_save, 12},
    {do_write, 8},
    {do_restore, 24},
    {NULL, 0},
};
