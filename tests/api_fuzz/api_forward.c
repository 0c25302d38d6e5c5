/*
 * api_forward.c: running tokens of one sequence or of several, with cancels and deadlines, and in the
 * child of fork().
 */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "api_session.h"

#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ITEM_TOKENS = 500 }; /* that lie in memory */

/* -------------------------------------------------------------------------------------- items -- */

static size_t random_n_tokens(size_t n_free)
{
    static const size_t huge[] = {201, MAX_ITEM_TOKENS, (size_t)INT32_MAX + 2, SIZE_MAX};

    switch (fuzz_below(16)) {
    case 0:
        return fuzz_chance(4) ? 0 : 1;
    case 1:
        return n_free;
    case 2:
        return n_free + 1;
    case 3:
        return fuzz_chance(4) ? PICK(huge) : 1;
    default:
        return 1 + fuzz_below(fuzz_chance(8) ? n_free + 1 : 4);
    }
}

/* Some tokens for a sequence, and what is wrong with them. */
static gpt2_batch_item make_item(const struct fuzz_session *session, int32_t sequence)
{
    static const int32_t wrong[] = {-1, INT32_MIN, INT32_MAX};
    static const size_t rows[] = {0, 1, 1, 1, 2, 5, 1000, SIZE_MAX};
    bool is_text = session != NULL && sequence >= 0 && sequence < session->n_sequences;
    const struct fuzz_text *text = is_text ? &session->texts[sequence] : NULL;
    size_t n_free = is_text ? (size_t)(session->n_ctx - text->n_ids) : 3;
    size_t n_vocab = session == NULL ? 3 : (size_t)session->model->n_vocab;
    gpt2_batch_item item = {
        .sequence = sequence,
        .n_tokens = random_n_tokens(n_free),
        .n_logit_rows = PICK(rows),
    };
    size_t n_real = item.n_tokens < MAX_ITEM_TOKENS ? item.n_tokens : MAX_ITEM_TOKENS;

    if (!fuzz_chance(24)) {
        int32_t *tokens = fuzz_temp(n_real * sizeof *tokens);

        for (size_t i = 0; i < n_real; i++)
            tokens[i] = (int32_t)fuzz_below(n_vocab);
        if (n_real > 0 && fuzz_chance(16)) {
            tokens[fuzz_below(n_real)] = fuzz_chance(2) ? (int32_t)n_vocab : PICK(wrong);
            fuzz_may(true, GPT2_ERR_TOKEN);
        }
        item.tokens = tokens;
    }
    fuzz_may(session == NULL || item.tokens == NULL || item.n_tokens == 0, GPT2_ERR_ARGUMENT);
    fuzz_may(is_text &&
                 (session->shifts ? item.n_tokens > MAX_ITEM_TOKENS : item.n_tokens > n_free),
             GPT2_ERR_CONTEXT);
    return item;
}

static size_t n_kept_of(const gpt2_batch_item *item)
{
    return item->n_logit_rows < item->n_tokens ? item->n_logit_rows : item->n_tokens;
}

/* What the items together may break, if each one alone is right; 'keeps': as they keep logits. */
static void check_items(const struct fuzz_session *session, const gpt2_batch_item *items, size_t n,
                        bool keeps)
{
    size_t n_kept = 0;
    int32_t n_pages = 0;

    for (size_t i = 0; i < n; i++) {
        bool is_text = items[i].sequence >= 0 && items[i].sequence < session->n_sequences;

        for (size_t k = 0; k < i; k++)
            fuzz_may(items[k].sequence == items[i].sequence, GPT2_ERR_ARGUMENT);
        if (n_kept_of(&items[i]) <= MAX_ITEM_TOKENS)
            n_kept += n_kept_of(&items[i]);
        if (is_text && items[i].n_tokens > 0)
            n_pages += fuzz_pages_to_run(session, items[i].sequence, items[i].n_tokens);
    }
    fuzz_may(keeps && n_kept > (size_t)session->n_logit_rows, GPT2_ERR_ARGUMENT);
    fuzz_may(n_pages > fuzz_n_free_pages(session), GPT2_ERR_PAGES);
}

/* ------------------------------------------------------------------------------------ outcome -- */

void fuzz_forward_begin(struct fuzz_session *session, const gpt2_batch_item *items, size_t n_items)
{
    session->items = items;
    session->n_running = n_items;
    session->n_parts = 0;
    session->stopped = session->cancelled_by_tap = false;
    memset(session->rows_seen, 0, sizeof session->rows_seen);
}

void fuzz_forward_append(struct fuzz_session *session)
{
    for (size_t i = 0; i < session->n_running; i++) {
        const gpt2_batch_item *item = &session->items[i];
        int32_t n_after_cut = fuzz_text_append(session, item->sequence, item);

        session->rows[i] = (struct fuzz_rows){
            .sequence = item->sequence,
            .n_rows = (int32_t)item->n_tokens,
            .n_kept = (int32_t)n_kept_of(item),
            .n_after_cut = n_after_cut,
            .position = fuzz_text_position(&session->texts[item->sequence]),
        };
    }
    session->n_items = session->n_running;
}

/* A call that failed after a cut has overwritten what was behind the tokens that stay. */
static void forget_cached(struct fuzz_session *session, const gpt2_batch_item *item)
{
    struct fuzz_text *text = &session->texts[item->sequence];
    int32_t n_left = fuzz_min(text->n_cached, session->n_keep);

    if (!fuzz_text_is_cut(session, text, item->n_tokens) ||
        session->handle->sequences.all[item->sequence].n_cached != n_left)
        return;
    text->n_cached = n_left;
    session->hashes.kv[item->sequence] = fuzz_hash_kv(session->handle, item->sequence, n_left);
}

void fuzz_forward_keep(struct fuzz_session *session, int32_t status)
{
    if (status != GPT2_ERR_CANCELLED && status != GPT2_ERR_DEADLINE && status != GPT2_ERR_NONFINITE)
        return;
    if (session->handle->n_items_kept == 0) {
        session->n_items = 0;
        session->hashes.logits = 0;
    }
    for (size_t i = 0; i < session->n_running; i++)
        forget_cached(session, &session->items[i]);
    session->cancelled = false;
    if (session->deadline_ns < 1000000000) /* it has passed: the clock is past its first second */
        session->deadline_ns = 0;
}

/* Now and then texts are run again, and then begin anew. */
static void begin_anew(struct fuzz_session *session)
{
    bool is_full = false;

    for (int32_t i = 0; i < session->n_sequences; i++)
        is_full |= session->texts[i].n_ids == session->n_ctx;
    if (!is_full || !fuzz_chance(session->shifts ? 8 : 2))
        return;
    if (fuzz_chance(8))
        fuzz_replay(session);
    fuzz_reset(session);
}

static void finish(struct fuzz_session *session, int32_t status, bool keeps)
{
    fuzz_may(session->stopped || session->cancelled_by_tap, GPT2_ERR_CANCELLED);
    if (fuzz_result(status)) {
        fuzz_check_rows_seen(session);
        fuzz_forward_append(session);
        if (!keeps)
            session->n_items = 0;
        fuzz_session_settle(session, true, true);
    } else {
        fuzz_forward_keep(session, status);
        fuzz_session_settle(session, false, false);
    }
    begin_anew(session);
}

static void may_be_ended(const struct fuzz_session *session)
{
    fuzz_may(session->cancelled, GPT2_ERR_CANCELLED);
    fuzz_may(session->deadline_ns > 0 && session->deadline_ns < 1000000000, GPT2_ERR_DEADLINE);
}

/* ------------------------------------------------------------------------------------ forward -- */

static void do_forward(void)
{
    struct fuzz_session *session = fuzz_chance(24) ? NULL : fuzz_pick_session();
    gpt2_batch_item item;

    fuzz_call(FUZZ_gpt2_forward, " ");
    item = make_item(session, 0);
    fuzz_say("%s, tokens %s, n_tokens %zu, n_logit_rows %zu", fuzz_name(session),
             item.tokens == NULL ? "NULL" : "given", item.n_tokens, item.n_logit_rows);
    if (session == NULL) {
        (void)fuzz_result(gpt2_forward(NULL, item.tokens, item.n_tokens, item.n_logit_rows));
        return;
    }
    check_items(session, &item, 1, true);
    fuzz_forward_begin(session, &item, 1);
    may_be_ended(session);
    finish(session, gpt2_forward(session->handle, item.tokens, item.n_tokens, item.n_logit_rows),
           true);
}

static void do_forward_batch(void)
{
    struct fuzz_session *session = fuzz_chance(24) ? NULL : fuzz_pick_session();
    size_t max_items = session == NULL ? 2 : (size_t)session->n_sequences;
    size_t n_items = fuzz_chance(16) ? max_items + 1 : 1 + fuzz_below(max_items);
    size_t n_said = fuzz_chance(48) ? (fuzz_chance(2) ? 0 : SIZE_MAX) : n_items;
    int32_t first = (int32_t)fuzz_below(max_items);
    gpt2_batch_item *items;

    fuzz_call(FUZZ_gpt2_forward_batch, " ");
    items = fuzz_temp(n_items * sizeof *items);
    for (size_t i = 0; i < n_items; i++) {
        int32_t sequence = (first + (int32_t)i) % (int32_t)max_items;

        if (session != NULL && (fuzz_chance(48) || !session->texts[sequence].is_open))
            sequence = fuzz_pick_sequence(session);
        items[i] = make_item(session, sequence);
        if (fuzz_chance(64)) {
            items[i].reserved = 1 << fuzz_below(31);
            fuzz_may(true, GPT2_ERR_ARGUMENT);
        }
    }
    if (fuzz_chance(48))
        items = NULL;
    fuzz_may(items == NULL || n_said != n_items || n_items > max_items, GPT2_ERR_ARGUMENT);
    fuzz_say("%s, items %s, n_items %zu, the first with sequence %d", fuzz_name(session),
             items == NULL ? "NULL" : "given", n_said, items == NULL ? 0 : (int)items[0].sequence);
    if (session == NULL) {
        (void)fuzz_result(gpt2_forward_batch(NULL, items, n_said));
        return;
    }
    if (items != NULL)
        check_items(session, items, n_items, true);
    fuzz_forward_begin(session, items, items == NULL ? 0 : n_items);
    may_be_ended(session);
    finish(session, gpt2_forward_batch(session->handle, items, n_said), true);
}

/* -------------------------------------------------------------------------------------- score -- */

/* A call whose items run as those of a batch do, with one token more that is only predicted. */
static gpt2_score_item make_scored(const struct fuzz_session *session, gpt2_batch_item *run,
                                   int32_t n_likeliest)
{
    size_t n_real = run->n_tokens < MAX_ITEM_TOKENS ? run->n_tokens : MAX_ITEM_TOKENS;
    gpt2_score_item item = {.sequence = run->sequence, .n_tokens = run->n_tokens + 1};
    size_t n_scores;

    item.n_prefix = 1 + (n_real > 0 ? fuzz_below(n_real) : 0);
    n_scores = n_real + 1 > item.n_prefix ? n_real + 1 - item.n_prefix : 1;
    run->n_logit_rows = item.n_tokens - item.n_prefix;
    item.scores = fuzz_temp(n_scores * sizeof *item.scores);
    if (n_likeliest > 0)
        item.likeliest = fuzz_temp(n_scores * (size_t)n_likeliest * sizeof *item.likeliest);
    if (run->tokens != NULL) {
        int32_t n_vocab = session == NULL ? 3 : session->model->n_vocab;
        int32_t *tokens = fuzz_temp((n_real + 1) * sizeof *tokens);

        memcpy(tokens, run->tokens, n_real * sizeof *tokens);
        tokens[n_real] = fuzz_chance(24) ? n_vocab : (int32_t)fuzz_below((size_t)n_vocab);
        fuzz_may(tokens[n_real] == n_vocab, GPT2_ERR_TOKEN);
        item.tokens = tokens;
    }
    if (fuzz_chance(48))
        item.n_prefix = fuzz_chance(2) ? 0 : item.n_tokens;
    if (fuzz_chance(48))
        item.scores = NULL;
    item.reserved = fuzz_chance(64);
    fuzz_may(item.n_tokens < 2 || item.n_prefix == 0 || item.n_prefix >= item.n_tokens ||
                 item.scores == NULL || item.reserved != 0,
             GPT2_ERR_ARGUMENT);
    return item;
}

static void check_scores(const gpt2_score_item *item, int32_t n_likeliest, int32_t n_vocab)
{
    for (size_t i = 0; i < item->n_tokens - item->n_prefix; i++) {
        const gpt2_token_score *score = &item->scores[i];

        REQUIRE(score->id == item->tokens[item->n_prefix + i] && score->rank >= 1 &&
                    score->rank <= n_vocab && score->logprob <= 0.0f && score->entropy >= 0.0f &&
                    score->class_prob >= 0.0f && score->class_prob <= 1.0f,
                "found id %d, rank %d, logprob %g, entropy %g, class %g", (int)score->id,
                (int)score->rank, (double)score->logprob, (double)score->entropy,
                (double)score->class_prob);
        for (int32_t k = 0; k < n_likeliest; k++) {
            const gpt2_token_logprob *found = &item->likeliest[i * (size_t)n_likeliest + (size_t)k];

            REQUIRE(k == 0 || found[-1].logprob >= found->logprob, "found likeliest out of order");
            REQUIRE(found->id != score->id || found->logprob == (float)score->logprob,
                    "found two log-probabilities of id %d", (int)score->id);
        }
    }
}

static void do_score(void)
{
    struct fuzz_session *session = fuzz_chance(24) ? NULL : fuzz_pick_session();
    size_t max_items = session == NULL ? 2 : (size_t)session->n_sequences;
    int32_t n_vocab = session == NULL ? 3 : session->model->n_vocab;
    size_t n_items = 1 + fuzz_below(max_items);
    int32_t n_likeliest = 0;
    struct fuzz_params params;
    gpt2_batch_item *runs;
    gpt2_score_item *items;
    int32_t status;

    fuzz_call(FUZZ_gpt2_score, " ");
    params = fuzz_params_make(&fuzz_score_params);
    if (params.at != NULL && params.writable) {
        gpt2_score_params *known = params.at;
        size_t n_mask = ((size_t)n_vocab + 7) / 8;
        uint8_t *class_mask = fuzz_temp(n_mask);

        for (size_t i = 0; i < n_mask; i++)
            class_mask[i] = (uint8_t)fuzz_random();
        known->class_mask = fuzz_chance(3) ? NULL : class_mask;
        known->n_likeliest = n_likeliest =
            (int32_t)fuzz_below(fuzz_chance(8) ? (size_t)n_vocab + 1 : 4);
        if (fuzz_chance(32))
            known->n_likeliest = fuzz_chance(2) ? -1 : n_vocab + 1;
        fuzz_may(known->n_likeliest != n_likeliest, GPT2_ERR_ARGUMENT);
    }
    runs = fuzz_temp(n_items * sizeof *runs);
    items = fuzz_temp(n_items * sizeof *items);
    for (size_t i = 0; i < n_items; i++) {
        int32_t sequence = (int32_t)i;

        if (session != NULL && (fuzz_chance(48) || !session->texts[sequence].is_open))
            sequence = fuzz_pick_sequence(session);
        runs[i] = make_item(session, sequence);
        items[i] = make_scored(session, &runs[i], n_likeliest);
    }
    fuzz_say("%s, n_items %zu, the first with sequence %d, n_tokens %zu, n_prefix %zu, "
             "n_likeliest %d",
             fuzz_name(session), n_items, (int)items[0].sequence, items[0].n_tokens,
             items[0].n_prefix, (int)n_likeliest);
    if (session == NULL) {
        (void)fuzz_result(gpt2_score(NULL, items, n_items, params.at));
        return;
    }
    check_items(session, runs, n_items, false);
    fuzz_forward_begin(session, runs, n_items);
    may_be_ended(session);
    status = gpt2_score(session->handle, items, n_items, params.at);
    fuzz_may(status == GPT2_ERR_NONFINITE, GPT2_ERR_NONFINITE);
    for (size_t i = 0; i < n_items && status == GPT2_OK; i++)
        check_scores(&items[i], n_likeliest, n_vocab);
    finish(session, status, false);
}

/* --------------------------------------------------------------------------- races and forks -- */

struct canceller {
    gpt2_session *session;
    size_t delay; /* in turns of a loop */
};

static void *cancel_later(void *argument)
{
    const struct canceller *canceller = argument;

    for (volatile size_t i = 0; i < canceller->delay; i++)
        ;
    gpt2_session_cancel(canceller->session);
    return NULL;
}

/* Tokens for all open sequences, up to the ends of their contexts. */
static size_t make_long_items(const struct fuzz_session *session, gpt2_batch_item *items)
{
    size_t n_items = 0;

    for (int32_t i = 0; i < session->n_sequences; i++) {
        const struct fuzz_text *text = &session->texts[i];
        int32_t n = fuzz_min(session->n_ctx, 64 * session->n_pages) - text->n_ids;
        int32_t *tokens;

        if (!text->is_open || n <= 0)
            continue;
        tokens = fuzz_temp((size_t)n * sizeof *tokens);
        for (int32_t k = 0; k < n; k++)
            tokens[k] = (int32_t)fuzz_below((size_t)session->model->n_vocab);
        items[n_items++] = (gpt2_batch_item){i, 0, tokens, (size_t)n, n_items == 0};
    }
    return n_items;
}

/*
 * A cancel by another thread, or a deadline, that comes while the call runs, or before or after: the
 * texts have all tokens or none.  A reset then makes the session one that the seed determines.
 */
static void do_race(void)
{
    struct fuzz_session *session = fuzz_pick_session();
    bool by_thread = fuzz_chance(2);
    struct canceller canceller = {.delay = fuzz_below(60000)};
    uint64_t nanoseconds = 1000 + fuzz_below(200000);
    gpt2_batch_item items[FUZZ_MAX_TEXTS];
    pthread_t thread;
    size_t n_items;
    bool ok;

    if (session == NULL)
        return;
    if (fuzz_chance(2) || session->texts[0].n_ids == session->n_ctx)
        fuzz_reset(session);
    fuzz_call(FUZZ_gpt2_forward_batch, "%s, ended by %s", fuzz_name(session),
              by_thread ? "a thread" : "a deadline");
    n_items = make_long_items(session, items);
    fuzz_is_race();
    check_items(session, items, n_items, true);
    fuzz_may(n_items == 0, GPT2_ERR_ARGUMENT);
    fuzz_may(true, GPT2_OK);
    fuzz_may(true, GPT2_ERR_CANCELLED);
    fuzz_may(true, GPT2_ERR_DEADLINE);
    fuzz_forward_begin(session, items, n_items);
    canceller.session = session->handle;
    if (by_thread)
        REQUIRE(pthread_create(&thread, NULL, cancel_later, &canceller) == 0, "no thread");
    else
        (void)gpt2_session_set_deadline(session->handle, gpt2_clock_ns() + nanoseconds);
    ok = fuzz_result(gpt2_forward_batch(session->handle, items, n_items));
    if (by_thread)
        (void)pthread_join(thread, NULL);
    session->deadline_ns = session->handle->deadline_ns;
    session->cancelled = session->handle->cancelled;
    if (ok)
        fuzz_forward_append(session);
    else if (session->handle->n_items_kept == 0)
        session->n_items = 0;
    session->hashes.logits = session->n_items == 0 ? 0 : session->hashes.logits;
    fuzz_session_settle(session, ok, ok);
    if (ok)
        fuzz_replay(session);
    fuzz_reset(session);
    fuzz_call(FUZZ_gpt2_session_set_deadline, "%s, 0", fuzz_name(session));
    (void)fuzz_result(gpt2_session_set_deadline(session->handle, 0));
    session->deadline_ns = 0;
    fuzz_session_settle(session, true, true);
}

/* In the child: everything is as it was, and the session goes on without its threads. */
static void run_child(struct fuzz_session *session)
{
    const int32_t token = 1;
    const gpt2_batch_item item = {0, 0, &token, 1, 1};

    (void)alarm(60);
    (void)fuzz_result(gpt2_session_after_fork(session->handle));
    fuzz_session_settle(session, true, false);
    fuzz_replay(session);
    fuzz_reset(session);
    (void)gpt2_session_set_tap(session->handle, NULL, NULL, 0);
    (void)gpt2_session_set_deadline(session->handle, 0);
    session->tapped = false;
    session->deadline_ns = 0;
    while (session->texts[0].n_ids < session->n_ctx && session->texts[0].n_ids < 4) {
        fuzz_call(FUZZ_gpt2_forward, "%s, in a child", fuzz_name(session));
        fuzz_forward_begin(session, &item, 1);
        (void)fuzz_result(gpt2_forward(session->handle, &token, 1, 1));
        fuzz_forward_append(session);
        fuzz_session_settle(session, true, true);
    }
    fuzz_replay(session);
    gpt2_session_free(session->handle);
    _exit(0);
}

static void do_after_fork(void)
{
    struct fuzz_session *session = fuzz_chance(20) ? fuzz_pick_session() : NULL;
    int status = 0;
    pid_t child;

    for (int i = 0; i < 8 && session != NULL && session->n_threads == 1; i++)
        session = fuzz_pick_session();
    fuzz_call(FUZZ_gpt2_session_after_fork, "%s", fuzz_name(session));
    fuzz_may(session == NULL, GPT2_ERR_ARGUMENT);
    if (session == NULL) {
        (void)fuzz_result(gpt2_session_after_fork(NULL));
        return;
    }
    (void)fflush(stdout);
    child = fork();
    REQUIRE(child >= 0, "no fork()");
    if (child == 0)
        run_child(session);
    REQUIRE(waitpid(child, &status, 0) == child && status == 0, "the child ended with 0x%x",
            (unsigned)status);
    (void)fuzz_result(GPT2_OK);
}

const struct fuzz_action fuzz_forward_actions[] = {
    {do_forward, 120}, {do_forward_batch, 90}, {do_score, 60},
    {do_race, 1},      {do_after_fork, 2},     {NULL, 0},
};
