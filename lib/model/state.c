/*
 * state.c: saving and restoring sequences.
 */
#include "state.h"
#include "fingerprint.h"
#include "../base/checksum.h"

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

static void store_le(unsigned char *bytes, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t fingerprint_of(gpt2_session *session)
{
    if (session->fingerprint == 0) /* it is computed once, but for one model in 2^64 */
        session->fingerprint = gpt2i_fingerprint(session->model);
    return session->fingerprint;
}

/*
 * Where the bytes of a state come from, or go to.  A state is checksummed piece by piece: the header,
 * the ids, and what one page has of one head.
 */
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

static void to_callback(struct stream *stream, void *piece, size_t n_bytes)
{
    stream->checksum = gpt2i_checksum(stream->checksum, piece, n_bytes);
    if (!stream->refused)
        stream->refused = stream->write(stream->user, piece, n_bytes) != 0;
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

/* All keys and values of n_ids positions. */
static void take_cache(struct stream *stream, const struct gpt2i_kvcache *kv, const int32_t *pages,
                       size_t n_ids)
{
    for (size_t i = 0; i < kv->n_layer * kv->n_head * 2; i++) {
        size_t layer = i / 2 / kv->n_head, head = i / 2 % kv->n_head;
        bool is_keys = i % 2 == 0;

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
static size_t state_bytes(const gpt2_session *session, size_t n_ids)
{
    const struct gpt2i_kvcache *kv = &session->kv;

    return HEADER_BYTES + CHECKSUM_BYTES +
           n_ids * (sizeof(int32_t) +
                    2 * kv->n_layer * kv->n_head * kv->head_dim * gpt2i_kv_element_bytes(kv));
}

/* Numbers of several bytes are copied as they are in memory. */
static int32_t check_byte_order(struct gpt2i_error *error)
{
    const uint16_t number = 1;
    unsigned char first;

    memcpy(&first, &number, 1);
    return first == 1 ? GPT2_OK
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

int32_t gpt2i_state_save(gpt2_session *session, const struct gpt2i_sequence *sequence, void *bytes,
                         gpt2_write_callback write, void *user, struct gpt2i_error *error)
{
    struct stream stream = {
        .take = write == NULL ? to_memory : to_callback,
        .bytes = bytes,
        .write = write,
        .user = user,
    };
    unsigned char header[HEADER_BYTES] = MAGIC;
    unsigned char checksum[CHECKSUM_BYTES];

    store_le(header + 8, VERSION, 4);
    store_le(header + 12, (uint64_t)session->kv.type, 4);
    store_le(header + 16, fingerprint_of(session), 8);
    store_le(header + 24, (uint64_t)sequence->n_ids, 4);
    store_le(header + 28, (uint64_t)sequence->n_cut, 4);
    store_le(header + 32, sequence->n_cut > 0 ? (uint64_t)session->sequences.n_keep : 0, 4);
    session->running = true; /* 'write' may not call functions on this session */
    stream.take(&stream, header, sizeof header);
    stream.take(&stream, sequence->ids, (size_t)sequence->n_ids * sizeof *sequence->ids);
    take_cache(&stream, &session->kv, sequence->pages, (size_t)sequence->n_ids);
    store_le(checksum, stream.checksum, sizeof checksum);
    stream.take(&stream, checksum, sizeof checksum);
    session->running = false;
    if (stream.refused)
        return gpt2i_fail(error, GPT2_ERR_CANCELLED, "cancelled by the write callback");
    gpt2i_error_clear(error); /* calls from 'write' may have failed */
    return GPT2_OK;
}

static struct header read_header(const unsigned char *bytes)
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
        return gpt2i_fail(error, GPT2_ERR_STATE, "the state is of another model");
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

/* Checks the sum, and what follows from nothing but the sum: a state is not trusted. */
static int32_t check_body(const gpt2_session *session, const struct gpt2i_sequence *sequence,
                          const struct header *header, unsigned char *bytes,
                          struct gpt2i_error *error)
{
    struct stream stream = {.take = check_memory, .bytes = bytes};
    bool is_cut_wrongly = header->n_cut > INT32_MAX - header->n_ids ||
                          (header->n_cut > 0 && header->n_ids < header->n_keep);

    stream.take(&stream, NULL, HEADER_BYTES);
    stream.take(&stream, NULL, header->n_ids * sizeof(int32_t));
    take_cache(&stream, &session->kv, sequence->running_pages, header->n_ids);
    if (stream.checksum != gpt2i_load_le64(stream.bytes) || is_cut_wrongly ||
        header->reserved != 0 || !ids_are_valid(session, bytes + HEADER_BYTES, header->n_ids))
        return gpt2i_fail(error, GPT2_ERR_STATE, "the state is damaged");
    return GPT2_OK;
}

int32_t gpt2i_state_restore(gpt2_session *session, struct gpt2i_sequence *sequence,
                            const void *bytes, size_t n_bytes, struct gpt2i_error *error)
{
    struct stream stream = {.take = from_memory, .bytes = (unsigned char *)bytes};
    struct header header;
    int32_t status = check_byte_order(error);

    if (status != GPT2_OK)
        return status;
    if (n_bytes < HEADER_BYTES + CHECKSUM_BYTES || memcmp(bytes, MAGIC, 8) != 0)
        return gpt2i_fail(error, GPT2_ERR_STATE, "the bytes are not a saved state");
    header = read_header(bytes);
    status = check_header(session, &header, n_bytes, error);
    if (status == GPT2_OK)
        status = gpt2i_sequence_reserve(&session->sequences, sequence, 0, header.n_ids, error);
    if (status != GPT2_OK)
        return status;
    status = check_body(session, sequence, &header, stream.bytes, error);
    if (status != GPT2_OK) {
        gpt2i_sequence_rollback(&session->sequences, sequence, sequence->n_cached);
        return status;
    }
    stream.bytes += HEADER_BYTES;
    stream.take(&stream, sequence->ids, header.n_ids * sizeof(int32_t));
    take_cache(&stream, &session->kv, sequence->running_pages, header.n_ids);
    gpt2i_sequence_commit(&session->sequences, sequence, (int32_t)header.n_ids,
                          (int32_t)header.n_cut);
    return GPT2_OK;
}
