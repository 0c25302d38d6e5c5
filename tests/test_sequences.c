/*
 * test_sequences.c: many texts in one session.  A random schedule opens, forks, truncates, runs, saves,
 * restores and closes sequences.  A plain model of them, in this file, says what each text is; every
 * row of logits must equal that of the same text run alone in a session of its own.
 *
 * GPT2_TEST_STEPS sets the number of steps of each schedule.
 */
#include "tiny_model.h"
#include "scratch.h"

#include "model/session.h"

#include <math.h>

#define DIRECTORY TINY_DIRECTORY "/sequences"

enum { MAX_SEQUENCES = 64, MAX_CTX = 200, N_STATES = 6, MAX_ROWS = 400, N_KNOWN = 1 << 21 };

/* What hashes of tokens begin with. */
#define FIRST_KEY 0x243f6a8885a308d3u

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 32) * n >> 32);
}

/* ------------------------------------------------------------------------------- plain model -- */

/* A text: the tokens that a forward call still sees. */
struct text {
    bool is_open;
    int32_t ids[MAX_CTX];
    int32_t n_ids;
    int32_t n_cut;
};

struct schedule {
    const gpt2_model *model;
    gpt2_session *session; /* under test */
    gpt2_session *alone;   /* one text at a time, all logits */
    int32_t n_vocab;
    int32_t n_ctx;
    int32_t n_keep;
    bool shifts;
    int32_t n_logit_rows;
    struct text texts[MAX_SEQUENCES];
    struct {
        void *bytes; /* NULL: none saved */
        size_t n_bytes;
        struct text text;
    } states[N_STATES];
    uint8_t owned[MAX_SEQUENCES * MAX_CTX / GPT2I_PAGE + MAX_SEQUENCES]; /* pages, a step ago */
    int cancel_in;                                                       /* taps; -1: never */
    uint64_t n_rows;                                                     /* compared */
    uint64_t n_runs;                                                     /* of 'alone' */
};

/* Hashes of rows that 'alone' has computed, by the hash of the tokens up to them. */
static struct {
    uint64_t key;
    uint64_t row;
} * known;
static size_t n_known;

static uint64_t mix(uint64_t hash, int32_t id)
{
    hash = (hash ^ (uint64_t)(id + 1)) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static size_t find_known(uint64_t key)
{
    size_t at = (size_t)(key >> 11) % N_KNOWN;

    while (known[at].key != 0 && known[at].key != key)
        at = (at + 1) % N_KNOWN;
    return at;
}

/* Appends a token, and cuts the text before that if it is full. */
static void append(const struct schedule *schedule, struct text *text, int32_t id)
{
    if (text->n_ids == schedule->n_ctx) {
        int32_t n_newest = (schedule->n_ctx - schedule->n_keep) / 2;
        int32_t n_dropped = schedule->n_ctx - schedule->n_keep - n_newest;

        memmove(text->ids + schedule->n_keep, text->ids + schedule->n_keep + n_dropped,
                (size_t)n_newest * sizeof text->ids[0]);
        text->n_ids -= n_dropped;
        text->n_cut += n_dropped;
    }
    text->ids[text->n_ids++] = id;
}

/* A token that depends on those before. */
static int32_t likely_id(const struct schedule *schedule, const struct text *text)
{
    uint64_t hash = mix(FIRST_KEY, text->n_ids + text->n_cut);

    for (int32_t i = text->n_ids > 3 ? text->n_ids - 3 : 0; i < text->n_ids; i++)
        hash = mix(hash, text->ids[i]);
    return (int32_t)(hash % (uint64_t)schedule->n_vocab);
}

/* The same, with a branch now and then: so texts are often met again. */
static int32_t next_id(const struct schedule *schedule, const struct text *text)
{
    uint32_t branch = random_below(100);

    return branch < 2 || (text->n_ids == 0 && branch < 50) ? (int32_t)branch
                                                           : likely_id(schedule, text);
}

/*
 * The hash of the logits of the last row of a text, run alone from an empty one.  What is likely to
 * follow is run, too, and kept for later.
 */
static uint64_t row_alone(struct schedule *schedule, const struct text *text)
{
    struct text longer = *text;
    const int32_t *ids = longer.ids;
    uint64_t key = FIRST_KEY, wanted;
    int32_t n_ids;

    for (int32_t i = 0; i < text->n_ids; i++)
        key = mix(key, ids[i]);
    if (known[find_known(key)].key == key)
        return known[find_known(key)].row;
    wanted = key;
    if (n_known > N_KNOWN / 2) { /* full enough: begin again */
        memset(known, 0, N_KNOWN * sizeof *known);
        n_known = 0;
    }
    while (longer.n_ids < schedule->n_ctx)
        append(schedule, &longer, likely_id(schedule, &longer));
    n_ids = longer.n_ids;
    schedule->n_runs++;
    assert_int_equal(gpt2_session_reset(schedule->alone), GPT2_OK);
    assert_int_equal(gpt2_forward(schedule->alone, ids, (size_t)n_ids, (size_t)n_ids), GPT2_OK);
    key = FIRST_KEY;
    for (int32_t i = 0; i < n_ids; i++) {
        const float *logits;
        size_t at;

        key = mix(key, ids[i]);
        at = find_known(key);
        assert_int_equal(gpt2_session_logits(schedule->alone, i, &logits), GPT2_OK);
        n_known += known[at].key == 0;
        known[at].key = key;
        known[at].row = tiny_hash(0, logits, (size_t)schedule->n_vocab);
    }
    return known[find_known(wanted)].row;
}

/* -------------------------------------------------------------------------------------- steps -- */

static int32_t any_open(const struct schedule *schedule)
{
    int32_t number;

    do
        number = (int32_t)random_below((uint32_t)schedule->session->sequences.n_sequences);
    while (!schedule->texts[number].is_open);
    return number;
}

static int32_t any_position(const struct schedule *schedule, const struct text *text)
{
    int32_t first = text->n_cut > 0 ? schedule->n_keep : 0;
    int32_t n = text->n_ids - first;

    /* near the end more often, and at the borders of pages */
    switch (random_below(4)) {
    case 0:
        return text->n_cut + first + n - (int32_t)random_below((uint32_t)(n < 3 ? n : 3) + 1);
    case 1:
        if (text->n_ids / GPT2I_PAGE * GPT2I_PAGE >= first)
            return text->n_cut + text->n_ids / GPT2I_PAGE * GPT2I_PAGE;
    }
    return text->n_cut + first + (int32_t)random_below((uint32_t)n + 1);
}

static void step_open(struct schedule *schedule)
{
    int32_t number;
    int32_t status = gpt2_sequence_open(schedule->session, &number);

    if (status == GPT2_ERR_SEQUENCE) {
        for (int32_t i = 0; i < schedule->session->sequences.n_sequences; i++)
            assert_true(schedule->texts[i].is_open);
        return;
    }
    assert_int_equal(status, GPT2_OK);
    assert_false(schedule->texts[number].is_open);
    memset(&schedule->texts[number], 0, sizeof schedule->texts[number]);
    schedule->texts[number].is_open = true;
}

static void step_close(struct schedule *schedule)
{
    int32_t number = any_open(schedule);

    assert_int_equal(gpt2_sequence_close(schedule->session, number), GPT2_OK);
    memset(&schedule->texts[number], 0, sizeof schedule->texts[number]);
    schedule->texts[0].is_open = true;
}

/* After a call that found too few pages: closes texts until half of the pages are free. */
static void make_room(struct schedule *schedule)
{
    while (gpt2_session_n_free_pages(schedule->session) <
           schedule->session->sequences.pages.n_pages / 2)
        step_close(schedule);
}

static void step_fork(struct schedule *schedule)
{
    int32_t from = any_open(schedule), fork;
    int32_t position = any_position(schedule, &schedule->texts[from]);
    int32_t status = gpt2_sequence_fork(schedule->session, from, position, &fork);

    if (status == GPT2_ERR_SEQUENCE) {
        for (int32_t i = 0; i < schedule->session->sequences.n_sequences; i++)
            assert_true(schedule->texts[i].is_open);
        return;
    }
    assert_int_equal(status, GPT2_OK);
    assert_false(schedule->texts[fork].is_open);
    schedule->texts[fork] = schedule->texts[from];
    schedule->texts[fork].n_ids = position - schedule->texts[from].n_cut;
}

static void step_truncate(struct schedule *schedule)
{
    int32_t number = any_open(schedule);
    struct text *text = &schedule->texts[number];
    int32_t position = any_position(schedule, text);

    assert_int_equal(gpt2_sequence_truncate(schedule->session, number, position), GPT2_OK);
    text->n_ids = position - text->n_cut;
    if (text->n_cut > 0)
        assert_int_equal(
            gpt2_sequence_truncate(schedule->session, number, text->n_cut + schedule->n_keep - 1),
            GPT2_ERR_CONTEXT);
}

static void step_save(struct schedule *schedule)
{
    size_t slot = random_below(N_STATES), n_bytes, n_again;
    int32_t number = any_open(schedule);
    int32_t status = gpt2_sequence_save(schedule->session, number, NULL, 0, &n_bytes);

    if (status == GPT2_ERR_STATE) {
        tiny_check_says(gpt2_session_error(schedule->session), "run a token first");
        return;
    }
    assert_int_equal(status, GPT2_ERR_BUFFER);
    free(schedule->states[slot].bytes);
    schedule->states[slot].bytes = malloc(n_bytes);
    assert_non_null(schedule->states[slot].bytes);
    schedule->states[slot].n_bytes = n_bytes;
    schedule->states[slot].text = schedule->texts[number];
    assert_int_equal(gpt2_sequence_save(schedule->session, number, schedule->states[slot].bytes,
                                        n_bytes, &n_again),
                     GPT2_OK);
    assert_int_equal(n_again, n_bytes);
}

static void step_restore(struct schedule *schedule)
{
    size_t slot = random_below(N_STATES);
    int32_t number = any_open(schedule);
    int32_t status;

    if (schedule->states[slot].bytes == NULL)
        return;
    status = gpt2_sequence_restore(schedule->session, number, schedule->states[slot].bytes,
                                   schedule->states[slot].n_bytes);
    if (status == GPT2_ERR_PAGES)
        return;
    assert_int_equal(status, GPT2_OK);
    schedule->texts[number] = schedule->states[slot].text;
}

static int32_t cancelling_tap(void *user, const gpt2_tap *tap)
{
    struct schedule *schedule = user;

    (void)tap;
    return schedule->cancel_in-- == 0;
}

/* A batch of some open sequences.  Returns the status; on success the rows are compared. */
static int32_t step_batch(struct schedule *schedule)
{
    static int32_t ids[MAX_SEQUENCES][2 * MAX_CTX];
    static struct text after[MAX_SEQUENCES];
    static uint64_t rows[MAX_ROWS];
    gpt2_batch_item items[MAX_SEQUENCES];
    uint32_t n_wanted = 1 + random_below(8) * random_below(8);
    int32_t n_sequences = schedule->session->sequences.n_sequences;
    int32_t first = (int32_t)random_below((uint32_t)n_sequences);
    int32_t n_left = schedule->n_logit_rows;
    size_t n_items = 0, n_rows = 0;
    int32_t status;

    for (int32_t i = 0; i < n_sequences && n_items < n_wanted; i++) {
        int32_t number = (first + i) % n_sequences;
        const struct text *text = &schedule->texts[number];
        int32_t n = 1;
        int32_t n_kept = (int32_t)random_below(3);

        if (!text->is_open || random_below(4) == 0)
            continue;
        if (random_below(4) == 0)
            n = 1 + (int32_t)random_below(random_below(8) == 0 ? 2 * MAX_CTX - 1 : 70);
        if (!schedule->shifts && n > schedule->n_ctx - text->n_ids)
            n = schedule->n_ctx - text->n_ids;
        if (n == 0)
            continue;
        n_kept = n_kept == 2 ? (int32_t)random_below((uint32_t)n + 1) : n_kept;
        n_kept = n_kept < n_left ? n_kept : n_left;
        n_left -= n_kept;
        after[n_items] = *text;
        for (int32_t k = 0; k < n; k++) {
            ids[n_items][k] = next_id(schedule, &after[n_items]);
            append(schedule, &after[n_items], ids[n_items][k]);
            if (k >= n - n_kept)
                rows[n_rows++] = row_alone(schedule, &after[n_items]);
        }
        items[n_items] = (gpt2_batch_item){number, 0, ids[n_items], (size_t)n, (size_t)n_kept};
        n_items++;
    }
    if (n_items == 0)
        return GPT2_OK;
    status = gpt2_forward_batch(schedule->session, items, n_items);
    if (status != GPT2_OK)
        return status;
    n_rows = 0;
    for (size_t i = 0; i < n_items; i++) {
        schedule->texts[items[i].sequence] = after[i];
        for (size_t k = items[i].n_tokens - items[i].n_logit_rows; k < items[i].n_tokens; k++) {
            const float *logits;

            assert_int_equal(gpt2_batch_logits(schedule->session, i, (int32_t)k, &logits), GPT2_OK);
            if (tiny_hash(0, logits, (size_t)schedule->n_vocab) != rows[n_rows++])
                fail_msg(
                    "item %zu of %zu: row %zu of %zu differs from the text run alone (%d tokens, "
                    "%d cut off)",
                    i, n_items, k, items[i].n_tokens, after[i].n_ids, after[i].n_cut);
            schedule->n_rows++;
        }
    }
    return GPT2_OK;
}

/* Texts and counts of pages are as the plain model says; pages that have become free get NaN. */
static void check(struct schedule *schedule)
{
    const struct gpt2i_sequences *sequences = &schedule->session->sequences;
    const struct gpt2i_kvcache *kv = &schedule->session->kv;
    int64_t n_used = 0, n_owned = 0;

    for (int32_t i = 0; i < sequences->n_sequences; i++) {
        const struct text *text = &schedule->texts[i];
        const int32_t *ids;
        size_t n_ids;
        int32_t position;

        if (!text->is_open) {
            assert_int_equal(gpt2_sequence_ids(schedule->session, i, &ids, &n_ids),
                             GPT2_ERR_SEQUENCE);
            continue;
        }
        assert_int_equal(gpt2_sequence_position(schedule->session, i, &position), GPT2_OK);
        assert_int_equal(position, text->n_ids + text->n_cut);
        assert_int_equal(gpt2_sequence_ids(schedule->session, i, &ids, &n_ids), GPT2_OK);
        assert_int_equal(n_ids, text->n_ids);
        assert_memory_equal(ids, text->ids, n_ids * sizeof ids[0]);
        n_used += sequences->all[i].n_pages;
    }
    for (int32_t page = 0; page < sequences->pages.n_pages; page++) {
        int32_t n_owners = sequences->pages.n_owners[page];

        n_owned += n_owners;
        if (n_owners == 0 && schedule->owned[page]) {
            for (size_t i = 0; i < kv->n_layer * kv->n_head; i++) {
                memset(gpt2i_kv_keys(kv, i / kv->n_head, (size_t)page, i % kv->n_head), 0xff,
                       gpt2i_kv_page_bytes(kv));
                memset(gpt2i_kv_values(kv, i / kv->n_head, (size_t)page, i % kv->n_head), 0xff,
                       gpt2i_kv_page_bytes(kv));
            }
        }
        schedule->owned[page] = n_owners > 0;
    }
    assert_int_equal(n_owned, n_used);
}

static void run_schedule(struct schedule *schedule, int64_t n_steps)
{
    uint64_t n_refused = 0, n_cancelled = 0;

    memset(schedule->texts, 0, sizeof schedule->texts);
    schedule->texts[0].is_open = true;
    for (int64_t step = 0; step < n_steps; step++) {
        uint32_t kind = random_below(100);

        if (kind < 5)
            step_open(schedule);
        else if (kind < 9)
            step_close(schedule);
        else if (kind < 19)
            step_fork(schedule);
        else if (kind < 26)
            step_truncate(schedule);
        else if (kind < 29)
            step_save(schedule);
        else if (kind < 31)
            step_restore(schedule);
        else if (kind < 36) {
            int32_t status;

            schedule->cancel_in = (int)random_below(60);
            assert_int_equal(
                gpt2_session_set_tap(schedule->session, cancelling_tap, schedule, GPT2_TAP_ALL),
                GPT2_OK);
            status = step_batch(schedule);
            assert_true(status == GPT2_OK || status == GPT2_ERR_CANCELLED ||
                        status == GPT2_ERR_PAGES);
            n_cancelled += status == GPT2_ERR_CANCELLED;
            assert_int_equal(gpt2_session_set_tap(schedule->session, NULL, NULL, 0), GPT2_OK);
        } else {
            int32_t status = step_batch(schedule);

            assert_true(status == GPT2_OK || status == GPT2_ERR_PAGES);
            n_refused += status == GPT2_ERR_PAGES;
            check(schedule);
            if (status == GPT2_ERR_PAGES && random_below(2) == 0)
                make_room(schedule);
        }
        check(schedule);
    }
    for (size_t i = 0; i < N_STATES; i++) {
        free(schedule->states[i].bytes);
        schedule->states[i].bytes = NULL;
    }
    printf("  %lld steps: %llu rows equal their texts alone (%llu runs), %llu calls without pages, "
           "%llu cancelled\n",
           (long long)n_steps, (unsigned long long)schedule->n_rows,
           (unsigned long long)schedule->n_runs, (unsigned long long)n_refused,
           (unsigned long long)n_cancelled);
}

static gpt2_session *new_session(const gpt2_model *model, const gpt2_session_params *wanted)
{
    gpt2_session_params params = *wanted;
    gpt2_session *session;
    char line[256];

    params.errbuf = line;
    params.errbuf_size = sizeof line;
    if (gpt2_session_create(model, &params, &session) != GPT2_OK)
        fail_msg("%s", line);
    return session;
}

static int64_t steps_of_a_schedule(void)
{
    const char *wanted = getenv("GPT2_TEST_STEPS");

    return wanted == NULL ? 200 : strtoll(wanted, NULL, 10);
}

/* Each kernel set, each type of cache, 1 to 8 threads, with cuts and without. */
static void test_random_schedule(void **state)
{
    struct tiny_model kind = tiny_pages(DIRECTORY);
    gpt2_model *model;
    uint32_t masks[4];
    size_t n_masks = tiny_cpu_masks(masks);
    static struct schedule schedule;

    (void)state;
    kind.n_vocab = 120; /* smaller: most of the time goes into the plain kernels */
    kind.n_embd = 40;
    kind.n_inner = 90;
    model = tiny_load(&kind);
    known = calloc(N_KNOWN, sizeof *known);
    assert_non_null(known);
    for (int32_t kv_type = GPT2_TYPE_F32; kv_type <= GPT2_TYPE_F16; kv_type++) {
        for (int shifts = 0; shifts < 2; shifts++) {
            gpt2_session_params params;

            assert_int_equal(gpt2_session_params_init(&params, sizeof params), GPT2_OK);
            params.kv_type = kv_type;
            params.n_ctx = shifts ? 150 : MAX_CTX;
            params.n_logit_rows = MAX_CTX;
            memset(known, 0, N_KNOWN * sizeof *known);
            n_known = 0;
            memset(&schedule, 0, sizeof schedule);
            schedule.alone = new_session(model, &params);
            for (size_t i = 0; i < n_masks; i++) {
                schedule.model = model;
                schedule.n_vocab = kind.n_vocab;
                schedule.n_ctx = params.n_ctx;
                schedule.shifts = shifts;
                schedule.n_keep = shifts ? (int32_t)(i * 35) : 0;
                schedule.n_logit_rows = MAX_ROWS;
                schedule.n_rows = 0;
                random_state = 1000 * (uint64_t)kv_type + 100 * (uint64_t)shifts + i;
                params.cpu_mask = masks[i];
                params.n_threads = 1 + (int32_t)random_below(8);
                params.n_batch = i == 0 ? 256 : 1 + (int32_t)random_below(90);
                params.n_sequences = MAX_SEQUENCES;
                params.n_pages = 20 + (int32_t)random_below(60);
                params.n_logit_rows = schedule.n_logit_rows;
                params.on_full = shifts ? GPT2_FULL_SHIFT : GPT2_FULL_STOP;
                params.n_keep = schedule.n_keep;
                schedule.session = new_session(model, &params);
                memset(schedule.owned, 1, sizeof schedule.owned); /* so all begin with NaN */
                run_schedule(&schedule, steps_of_a_schedule());
                gpt2_session_free(schedule.session);
            }
            gpt2_session_free(schedule.alone);
        }
    }
    free(known);
    gpt2_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_schedule),
    };

    return cmocka_run_group_tests(tests, scratch_set_up, NULL);
}
