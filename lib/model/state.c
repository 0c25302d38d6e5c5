/*
 * state.c: saving and restoring sequences.
 */
#include "state.h"
#include "fingerprint.h"
#include "../base/checksum.h"
#include "../base/fpstate.h"

#define MAGIC          "gpt2-seq"
#define VERSION        1
#define HEADER_BYTES   40
#define CHECKSUM_BYTES 8

/* A header as it is in memory, after its magic. */
struct header {
    uint32_t version;
    uint32_t kv_type;
    uint64_t fingerprint;
    uint32_t n_ids;
    uint32_t n_cut;
    uint32_t n_keep;
    uint32_t reserved;
};

static uint64_t fingerprint_of(gpt2_session *session)
{
    if (session->fingerprint == 0) /* it is computed once, but for one model in 2^64 */
        session->fingerprint = gpt2i_fingerprint(session->model);
    return session->fingerprint;
}

/* Where the bytes of one head come from, or go to, and their checksum. */
struct stream {
    void (*take)(struct stream *stream, void *piece, size_t n_bytes);
    unsigned char *bytes; /* of the next piece, if the state is in memory */
    uint64_t checksum;
    gpt2_write_callback write;
    void *user;
    bool refused; /* by 'write' */
};

static void to_memory(struct stream *stream, void *piece, size_t n_bytes)
{
    stream->checksum = gpt2i_checksum(stream->checksum, piece, n_bytes);
    memcpy(stream->bytes, piece, n_bytes);
    stream->bytes += n_bytes;
}

static void write_piece(struct stream *stream, const void *piece, size_t n_bytes)
{
    if (!stream->refused)
        stream->refused = stream->write(stream->user, piece, n_bytes) != 0;
}

static void to_callback(struct stream *stream, void *piece, size_t n_bytes)
{
    stream->checksum = gpt2i_checksum(stream->checksum, piece, n_bytes);
    write_piece(stream, piece, n_bytes);
}

static void check_memory(struct stream *stream, void *piece, size_t n_bytes)
{
    (void)piece;
    stream->checksum = gpt2i_checksum(stream->checksum, stream->bytes, n_bytes);
    stream->bytes += n_bytes;
}

static void from_memory(struct stream *stream, void *piece, size_t n_bytes)
{
    memcpy(piece, stream->bytes, n_bytes);
    stream->bytes += n_bytes;
}

/* What one page has of the keys or values of one head, in a state. */
static void take_page(struct stream *stream, const struct gpt2i_kvcache *kv, void *page,
                      size_t n_slots, bool is_keys)
{
    size_t element_bytes = gpt2i_kv_element_bytes(kv);
    unsigned char *row = page;

    if (n_slots == GPT2I_PAGE || !is_keys) {
        stream->take(stream, page, n_slots * kv->head_dim * element_bytes);
        return;
    }
    for (size_t d = 0; d < kv->head_dim; d++, row += GPT2I_PAGE * element_bytes)
        stream->take(stream, row, n_slots * element_bytes);
}

/* The keys of n_ids positions of one head, then their values. */
static void take_head(struct stream *stream, const struct gpt2i_kvcache *kv, const int32_t *pages,
                      size_t n_ids, size_t layer, size_t head)
{
    for (int is_keys = 1; is_keys >= 0; is_keys--) {
        for (size_t first = 0; first < n_ids; first += GPT2I_PAGE) {
            size_t page = (size_t)pages[first / GPT2I_PAGE];

            take_page(stream, kv,
                      is_keys ? gpt2i_kv_keys(kv, layer, page, head)
                              : gpt2i_kv_values(kv, layer, page, head),
                      gpt2i_min(n_ids - first, GPT2I_PAGE), is_keys);
        }
    }
}

/* It fits into size_t: so much is in the cache. */
static size_t head_bytes(const struct gpt2i_kvcache *kv, size_t n_ids)
{
    return n_ids * 2 * kv->head_dim * gpt2i_kv_element_bytes(kv);
}

static size_t state_bytes(const gpt2_session *session, size_t n_ids)
{
    const struct gpt2i_kvcache *kv = &session->kv;

    return HEADER_BYTES + n_ids * sizeof(int32_t) +
           kv->n_layer * kv->n_head * head_bytes(kv, n_ids) + CHECKSUM_BYTES;
}

/* Every head of a state in memory, shared out over threads. */
struct heads_job {
    gpt2_session *session;
    const int32_t *pages;
    size_t n_ids;
    unsigned char *bytes; /* of the first head */
    void (*take)(struct stream *stream, void *piece, size_t n_bytes);
};

static void head_task(void *argument, size_t task, size_t worker)
{
    const struct heads_job *job = argument;
    const struct gpt2i_kvcache *kv = &job->session->kv;
    struct stream stream = {.take = job->take,
                            .bytes = job->bytes + task * head_bytes(kv, job->n_ids)};

    (void)worker;
    take_head(&stream, kv, job->pages, job->n_ids, task / kv->n_head, task % kv->n_head);
    job->session->head_checksums[task] = stream.checksum;
}

static void run_heads(struct heads_job *job)
{
    gpt2_session *session = job->session;

    session->host_state = gpt2i_fpstate_enter();
    session->running = true; /* a host's parallel_for may not call functions on this session */
    gpt2i_pool_run_all(session->compute.pool, head_task, job,
                       session->kv.n_layer * session->kv.n_head);
    session->running = false;
    gpt2i_fpstate_leave(session->host_state);
}

/* The checksum of a state: of its header, its ids, and the checksums of its heads. */
static uint64_t state_checksum(const gpt2_session *session, const void *header, const void *ids,
                               size_t n_ids)
{
    uint64_t checksum = gpt2i_checksum(0, header, HEADER_BYTES);

    checksum = gpt2i_checksum(checksum, ids, n_ids * sizeof(int32_t));
    return gpt2i_checksum(checksum, session->head_checksums,
                          session->kv.n_layer * session->kv.n_head *
                              sizeof session->head_checksums[0]);
}

/* Numbers of several bytes are copied as they are in memory. */
static int32_t check_byte_order(struct gpt2i_error *error)
{
    return gpt2i_is_little_endian()
               ? GPT2_OK
               : gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                            "states are little-endian, this CPU is big-endian");
}

int32_t gpt2i_state_size(gpt2_session *session, const struct gpt2i_sequence *sequence,
                         size_t *n_bytes, struct gpt2i_error *error)
{
    int32_t status = check_byte_order(error);

    if (status != GPT2_OK)
        return status;
    if (sequence->n_cached < sequence->n_ids)
        return gpt2i_fail(
            error, GPT2_ERR_STATE,
            "sequence %d lacks keys and values, because a call has failed after a cut: "
            "run a token first",
            sequence->number);
    *n_bytes = state_bytes(session, (size_t)sequence->n_ids);
    return GPT2_OK;
}

static void store_header(gpt2_session *session, const struct gpt2i_sequence *sequence,
                         unsigned char *bytes)
{
    memset(bytes, 0, HEADER_BYTES);
    memcpy(bytes, MAGIC, 8);
    gpt2i_store_le(bytes + 8, VERSION, 4);
    gpt2i_store_le(bytes + 12, (uint64_t)session->kv.type, 4);
    gpt2i_store_le(bytes + 16, fingerprint_of(session), 8);
    gpt2i_store_le(bytes + 24, (uint64_t)sequence->n_ids, 4);
    gpt2i_store_le(bytes + 28, (uint64_t)sequence->n_cut, 4);
    gpt2i_store_le(bytes + 32, sequence->n_cut > 0 ? (uint64_t)session->sequences.n_keep : 0, 4);
}

void gpt2i_state_save(gpt2_session *session, const struct gpt2i_sequence *sequence,
                      unsigned char *bytes)
{
    size_t n_ids = (size_t)sequence->n_ids;
    unsigned char *ids = bytes + HEADER_BYTES;
    struct heads_job job = {session, sequence->pages, n_ids, ids + n_ids * sizeof(int32_t),
                            to_memory};

    store_header(session, sequence, bytes);
    memcpy(ids, sequence->ids, n_ids * sizeof(int32_t));
    run_heads(&job);
    gpt2i_store_le(bytes + state_bytes(session, n_ids) - CHECKSUM_BYTES,
                   state_checksum(session, bytes, ids, n_ids), CHECKSUM_BYTES);
}

int32_t gpt2i_state_write(gpt2_session *session, const struct gpt2i_sequence *sequence,
                          gpt2_write_callback write, void *user, struct gpt2i_error *error)
{
    const struct gpt2i_kvcache *kv = &session->kv;
    size_t n_ids = (size_t)sequence->n_ids;
    struct stream stream = {.take = to_callback, .write = write, .user = user};
    unsigned char header[HEADER_BYTES];
    unsigned char checksum[CHECKSUM_BYTES];

    store_header(session, sequence, header);
    session->running = true; /* 'write' may not call functions on this session */
    write_piece(&stream, header, sizeof header);
    write_piece(&stream, sequence->ids, n_ids * sizeof(int32_t));
    for (size_t i = 0; i < kv->n_layer * kv->n_head; i++) {
        stream.checksum = 0;
        take_head(&stream, kv, sequence->pages, n_ids, i / kv->n_head, i % kv->n_head);
        session->head_checksums[i] = stream.checksum;
    }
    gpt2i_store_le(checksum, state_checksum(session, header, sequence->ids, n_ids),
                   sizeof checksum);
    write_piece(&stream, checksum, sizeof checksum);
    session->running = false;
    if (stream.refused)
        return gpt2i_fail(error, GPT2_ERR_CANCELLED, "cancelled by the write callback");
    gpt2i_error_clear(error); /* calls from 'write' may have failed */
    return GPT2_OK;
}

static struct header read_state_header(const unsigned char *bytes)
{
    const unsigned char *from = bytes + 8;
    struct header header = {
        .version = gpt2i_load_le32(from),
        .kv_type = gpt2i_load_le32(from + 4),
        .fingerprint = gpt2i_load_le64(from + 8),
        .n_ids = gpt2i_load_le32(from + 16),
        .n_cut = gpt2i_load_le32(from + 20),
        .n_keep = gpt2i_load_le32(from + 24),
        .reserved = gpt2i_load_le32(from + 28),
    };

    return header;
}

static int32_t check_header(gpt2_session *session, const struct header *header, size_t n_bytes,
                            struct gpt2i_error *error)
{
    const struct gpt2i_sequences *sequences = &session->sequences;

    if (header->version != VERSION)
        return gpt2i_fail(error, GPT2_ERR_STATE, "the state has version %u, wanted %u",
                          (unsigned)header->version, (unsigned)VERSION);
    if (header->kv_type != (uint32_t)session->kv.type)
        return gpt2i_fail(error, GPT2_ERR_STATE, "the state has kv_type %u, the session %d",
                          (unsigned)header->kv_type, session->kv.type);
    if (header->fingerprint != fingerprint_of(session))
        return gpt2i_fail(error, GPT2_ERR_STATE,
                          "the state is of another model, or its weights have another type");
    if (header->n_ids > (uint32_t)sequences->n_ctx)
        return gpt2i_fail(error, GPT2_ERR_CONTEXT,
                          "the state has %u tokens, the session's context %d positions",
                          (unsigned)header->n_ids, sequences->n_ctx);
    if (header->n_cut > 0 && header->n_keep != (uint32_t)sequences->n_keep)
        return gpt2i_fail(error, GPT2_ERR_STATE,
                          "the state is of a text that was cut with n_keep %u, the session has %d",
                          (unsigned)header->n_keep, sequences->n_keep);
    if (n_bytes != state_bytes(session, header->n_ids))
        return gpt2i_fail(error, GPT2_ERR_STATE, "the state has %zu bytes, wanted %zu", n_bytes,
                          state_bytes(session, header->n_ids));
    return GPT2_OK;
}

/* For ids in memory of any alignment. */
static bool ids_are_valid(const gpt2_session *session, const unsigned char *ids, size_t n_ids)
{
    for (size_t i = 0; i < n_ids; i++) {
        if (gpt2i_load_le32(ids + 4 * i) >= (uint32_t)session->model->config.n_vocab)
            return false;
    }
    return true;
}

/* Checks the checksum, and all else that a call relies on: a state is not trusted. */
static int32_t check_body(const gpt2_session *session, const struct header *header,
                          struct heads_job job, const unsigned char *bytes,
                          struct gpt2i_error *error)
{
    const unsigned char *ids = bytes + HEADER_BYTES;
    const unsigned char *end = bytes + state_bytes(session, job.n_ids);
    bool is_cut_wrongly = header->n_cut > INT32_MAX - header->n_ids ||
                          (header->n_cut > 0 && header->n_ids < header->n_keep);

    job.take = check_memory;
    run_heads(&job);
    if (state_checksum(session, bytes, ids, job.n_ids) != gpt2i_load_le64(end - CHECKSUM_BYTES) ||
        is_cut_wrongly || header->reserved != 0 || !ids_are_valid(session, ids, job.n_ids))
        return gpt2i_fail(error, GPT2_ERR_STATE, "the state is damaged");
    return GPT2_OK;
}

int32_t gpt2i_state_restore(gpt2_session *session, struct gpt2i_sequence *sequence,
                            const unsigned char *bytes, size_t n_bytes, struct gpt2i_error *error)
{
    struct heads_job job = {.session = session, .take = from_memory};
    struct header header;
    int32_t status = check_byte_order(error);

    if (status != GPT2_OK)
        return status;
    if (n_bytes < HEADER_BYTES + CHECKSUM_BYTES || memcmp(bytes, MAGIC, 8) != 0)
        return gpt2i_fail(error, GPT2_ERR_STATE, "the bytes are not a saved state");
    header = read_state_header(bytes);
    status = check_header(session, &header, n_bytes, error);
    if (status == GPT2_OK)
        status = gpt2i_sequence_reserve(&session->sequences, sequence, 0, header.n_ids, error);
    if (status != GPT2_OK)
        return status;
    job.pages = sequence->running_pages;
    job.n_ids = header.n_ids;
    job.bytes = (unsigned char *)bytes + HEADER_BYTES + header.n_ids * sizeof(int32_t);
    status = check_body(session, &header, job, bytes, error);
    if (status != GPT2_OK) {
        gpt2i_sequence_rollback(&session->sequences, sequence, sequence->n_cached);
        return status;
    }
    memcpy(sequence->ids, bytes + HEADER_BYTES, header.n_ids * sizeof(int32_t));
    run_heads(&job);
    gpt2i_sequence_commit(&session->sequences, sequence, (int32_t)header.n_ids,
                          (int32_t)header.n_cut);
    return GPT2_OK;
}
