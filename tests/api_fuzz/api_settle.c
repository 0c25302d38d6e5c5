/*
 * api_settle.c: what a call leaves behind: the session must be as its record says.
 */
#include "api_session.h"

const char *fuzz_name(const struct fuzz_session *session)
{
    static char name[384];

    if (session == NULL)
        return "NULL";
    (void)snprintf(
        name, sizeof name,
        "session %d (%s, n_ctx %d, n_batch %d, n_logit_rows %d, %d threads, %d sequences, "
        "%d pages, kv_type %d, %s, n_keep %d) with %d tokens",
        (int)(session - fuzz_sessions), session->model->directory, (int)session->n_ctx,
        (int)session->n_batch, (int)session->n_logit_rows, (int)session->n_threads,
        (int)session->n_sequences, (int)session->n_pages, (int)session->kv_type,
        session->shifts ? "shifts" : "stops", (int)session->n_keep, (int)session->texts[0].n_ids);
    return name;
}

/* ------------------------------------------------------------------------------------ hashes -- */

uint64_t fuzz_hash_kv(const gpt2_session *session, int32_t sequence, int32_t n_positions)
{
    const struct gpt2i_kvcache *kv = &session->kv;
    const int32_t *pages = session->sequences.all[sequence].pages;
    size_t element_bytes = gpt2i_kv_element_bytes(kv);
    uint64_t hash = 1;

    for (size_t layer = 0; layer < kv->n_layer; layer++) {
        for (size_t page = 0; page * GPT2I_PAGE < (size_t)n_positions; page++) {
            size_t n = gpt2i_min((size_t)n_positions - page * GPT2I_PAGE, GPT2I_PAGE);

            for (size_t head = 0; head < kv->n_head; head++) {
                const unsigned char *keys = gpt2i_kv_keys(kv, layer, (size_t)pages[page], head);

                for (size_t d = 0; d < kv->head_dim; d++)
                    hash =
                        fuzz_hash(hash, keys + d * GPT2I_PAGE * element_bytes, n * element_bytes);
                hash = fuzz_hash(hash, gpt2i_kv_values(kv, layer, (size_t)pages[page], head),
                                 n * kv->head_dim * element_bytes);
            }
        }
    }
    return hash;
}

/* NaN is NaN, whatever its bits: they are not promised. */
uint64_t fuzz_hash_logits(const float *logits, size_t n)
{
    uint64_t hash = 1;

    for (size_t i = 0; i < n; i++) {
        uint32_t bits = 0x7fc00000;

        if (logits[i] == logits[i])
            memcpy(&bits, &logits[i], sizeof bits);
        hash = (hash ^ bits) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 32;
    }
    return hash;
}

static size_t n_rows_kept(const struct fuzz_session *session)
{
    size_t n = 0;

    for (size_t i = 0; i < session->n_items; i++)
        n += (size_t)session->rows[i].n_kept;
    return n;
}

static struct fuzz_hashes hashes_of(const struct fuzz_session *session)
{
    const gpt2_session *handle = session->handle;
    const uint64_t settings[] = {
        (uintptr_t)handle->model,
        (uintptr_t)handle->compute.kernels.name,
        (uintptr_t)handle->compute.pool,
        (uint64_t)handle->n_batch,
        (uint64_t)handle->n_logit_rows,
        (uint64_t)handle->sequences.n_sequences,
        (uint64_t)handle->sequences.n_ctx,
        (uint64_t)handle->sequences.max_pages,
        (uint64_t)handle->sequences.shifts,
        (uint64_t)handle->sequences.n_keep,
        (uint64_t)handle->sequences.pages.n_pages,
        (uint64_t)handle->kv.type,
        (uintptr_t)handle->taps.callback,
        (uintptr_t)handle->taps.user,
        handle->taps.kinds,
        handle->block_bytes,
    };
    struct fuzz_hashes hashes = {.settings = fuzz_hash(0, settings, sizeof settings)};

    for (int32_t i = 0; i < session->n_sequences; i++)
        hashes.kv[i] = fuzz_hash_kv(handle, i, session->texts[i].n_cached);
    if (n_rows_kept(session) > 0)
        hashes.logits = fuzz_hash_logits(handle->logits,
                                         n_rows_kept(session) * (size_t)session->model->n_vocab);
    return hashes;
}

static void check_text(const struct fuzz_session *session, int32_t i)
{
    const struct gpt2i_sequence *found = &session->handle->sequences.all[i];
    const struct fuzz_text *text = &session->texts[i];

    REQUIRE(found->is_open == text->is_open && !found->is_running && found->number == i,
            "found sequence %d %s, expected the opposite", (int)i,
            found->is_open ? "open" : "closed");
    REQUIRE(found->n_ids == text->n_ids && found->n_cut == text->n_cut &&
                found->n_cached == text->n_cached &&
                found->n_pages == fuzz_pages_for(text->n_cached),
            "found %d tokens, %d cut off, %d cached, %d pages, expected %d, %d, %d, %d",
            (int)found->n_ids, (int)found->n_cut, (int)found->n_cached, (int)found->n_pages,
            (int)text->n_ids, (int)text->n_cut, (int)text->n_cached,
            (int)fuzz_pages_for(text->n_cached));
    REQUIRE(memcmp(found->ids, text->ids, (size_t)text->n_ids * sizeof text->ids[0]) == 0,
            "found other tokens in sequence %d", (int)i);
}

static void check_rows(const struct fuzz_session *session)
{
    const gpt2_session *handle = session->handle;
    size_t first_kept = 0;

    REQUIRE(handle->n_items_kept == session->n_items, "found rows of %zu items kept, expected %zu",
            handle->n_items_kept, session->n_items);
    for (size_t i = 0; i < session->n_items; i++) {
        const struct gpt2i_kept_rows *found = &handle->kept[i];
        const struct fuzz_rows *rows = &session->rows[i];

        REQUIRE(found->n_rows == rows->n_rows && found->n_kept == rows->n_kept &&
                    found->position == rows->position && found->first_kept == first_kept,
                "found other kept rows of item %zu", i);
        first_kept += (size_t)rows->n_kept;
    }
}

/* The session is as this record has it. */
static void check_record(const struct fuzz_session *session)
{
    const gpt2_session *handle = session->handle;

    for (int32_t i = 0; i < session->n_sequences; i++)
        check_text(session, i);
    check_rows(session);
    REQUIRE(gpt2_session_n_free_pages(handle) == fuzz_n_free_pages(session),
            "found %d free pages, expected %d", (int)gpt2_session_n_free_pages(handle),
            (int)fuzz_n_free_pages(session));
    REQUIRE(handle->deadline_ns == session->deadline_ns, "found another deadline");
    REQUIRE(handle->cancelled == session->cancelled, "found a cancel %s, expected the opposite",
            handle->cancelled ? "pending" : "not pending");
}

void fuzz_session_settle(struct fuzz_session *session, bool ok, bool changes)
{
    const char *line = gpt2_session_error(session->handle);
    struct fuzz_hashes now;

    fuzz_check_line(line, ok);
    (void)snprintf(session->line, sizeof session->line, "%s", line);
    check_record(session);
    now = hashes_of(session);
    if (!changes) {
        REQUIRE(now.settings == session->hashes.settings, "found the session's settings changed");
        for (int32_t i = 0; i < session->n_sequences; i++)
            REQUIRE(now.kv[i] == session->hashes.kv[i],
                    "found keys or values of sequence %d changed", (int)i);
        REQUIRE(now.logits == session->hashes.logits, "found the kept logits changed");
    }
    session->hashes = now;
}

void fuzz_sessions_check(void)
{
    for (size_t i = 0; i < FUZZ_N_SESSIONS; i++) {
        struct fuzz_session *session = &fuzz_sessions[i];

        if (session->handle != NULL)
            fuzz_session_settle(session, session->line[0] == '\0', false);
    }
}
