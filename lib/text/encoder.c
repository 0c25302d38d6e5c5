/*
 * encoder.c: text to ids.  A text is cut at special tokens, then into pieces, and bpe.c turns each
 * piece into ids.
 *
 * A text may come in parts.  Later bytes can move the end of the last piece.  So a piece is encoded
 * only when enough bytes behind it are known: it is settled.  The encoder holds the bytes that are
 * not settled, and scans them again only when there are twice as many, so that time stays linear.
 * A call that fails changes nothing but the unused room behind the held bytes, so it can be made again.
 */
#include "encoder.h"
#include "pretokenize.h"
#include "unicode.h"

/*
 * How many bytes behind a piece can decide where it ends: a white-space character that belongs to
 * the next piece (up to 3 bytes), and a special token that may begin behind that.
 */
#define LOOK_AHEAD_BYTES (3 + GPT2I_EOT_BYTES)

/*
 * Room for an unsettled end beyond max_piece_bytes.  While its end is unknown, a piece may look
 * longer than it is, but by less than LOOK_AHEAD_BYTES.  So if an end needs more room than this, its
 * piece is too long.
 */
#define ROOM_BYTES (3 * LOOK_AHEAD_BYTES)

static size_t max_held_bytes(size_t max_piece_bytes)
{
    return max_piece_bytes + ROOM_BYTES;
}

gpt2_encoder *gpt2i_encoder_layout(struct gpt2i_arena *arena, const gpt2_tokenizer *tokenizer,
                                   size_t max_piece_bytes)
{
    gpt2_encoder *encoder = gpt2i_arena_take(arena, 1, sizeof *encoder);
    struct gpt2i_bpe_scratch *scratch = gpt2i_bpe_scratch_layout(arena, max_piece_bytes);
    unsigned char *held = gpt2i_arena_take(arena, max_held_bytes(max_piece_bytes), 2);

    if (encoder == NULL)
        return NULL;
    memset(encoder, 0, sizeof *encoder);
    encoder->tokenizer = tokenizer;
    encoder->scratch = scratch;
    encoder->max_piece_bytes = max_piece_bytes;
    encoder->held = held;
    return encoder;
}

void gpt2i_encoder_reset(gpt2_encoder *encoder)
{
    encoder->n_held = 0;
    encoder->next_scan_bytes = 0;
    encoder->n_before_bytes = 0;
}

/* -------------------------------------------------------------------------------------- scan -- */

/* The bytes to scan: the held ones and some after them, or the part that the caller gave. */
struct scan {
    gpt2_encoder *encoder;
    const unsigned char *bytes;
    size_t n_bytes;
    uint64_t offset; /* of bytes[0] in the whole text */
    bool has_special;
    bool has_more; /* bytes will follow bytes[n_bytes - 1] */
    struct gpt2i_id_output *output;
    struct gpt2i_error *error;
};

static int32_t fail_piece(const struct scan *scan, size_t at, const char *about, size_t length)
{
    return gpt2i_fail(scan->error, GPT2_ERR_PIECE,
                      "the piece at offset %llu of the text has %s%zu bytes, wanted at most "
                      "max_piece_bytes, which is %zu",
                      (unsigned long long)(scan->offset + at), about, length,
                      scan->encoder->max_piece_bytes);
}

/* Names the first byte without a token in the piece at 'at'. */
static int32_t fail_no_token(const struct scan *scan, size_t at)
{
    while (at + 1 < scan->n_bytes && scan->encoder->tokenizer->byte_ids[scan->bytes[at]] >= 0)
        at++;
    return gpt2i_fail(scan->error, GPT2_ERR_TOKEN,
                      "byte 0x%02x at offset %llu of the text has no token in this vocabulary",
                      (unsigned)scan->bytes[at], (unsigned long long)(scan->offset + at));
}

/* Where the next <|endoftext|> begins in bytes[at .. n_bytes]; n_bytes if there is none. */
static size_t find_special(const unsigned char *bytes, size_t at, size_t n_bytes)
{
    while (n_bytes - at >= GPT2I_EOT_BYTES) {
        const unsigned char *found = memchr(bytes + at, '<', n_bytes - at - GPT2I_EOT_BYTES + 1);

        if (found == NULL)
            break;
        at = (size_t)(found - bytes);
        if (memcmp(found, GPT2I_EOT_TEXT, GPT2I_EOT_BYTES) == 0)
            return at;
        at++;
    }
    return n_bytes;
}

/* Encodes the settled pieces that begin in bytes[*at .. stop] and moves '*at' to the next piece. */
static int32_t scan_pieces(const struct scan *scan, size_t *at, size_t stop)
{
    const gpt2_encoder *encoder = scan->encoder;

    while (*at < stop) {
        /* a special token separates texts: no piece looks across it */
        size_t end =
            scan->has_special ? find_special(scan->bytes, *at, scan->n_bytes) : scan->n_bytes;

        while (*at < gpt2i_min(end, stop)) {
            size_t length = gpt2i_piece_length(scan->bytes + *at, end - *at);

            if (scan->has_more && scan->n_bytes - *at - length < LOOK_AHEAD_BYTES)
                return GPT2_OK;
            if (length > encoder->max_piece_bytes)
                return fail_piece(scan, *at, "", length);
            if (!gpt2i_bpe_piece(encoder->tokenizer, encoder->scratch, scan->bytes + *at, length,
                                 scan->output))
                return fail_no_token(scan, *at);
            *at += length;
        }
        if (*at < stop) {
            gpt2i_put_id(scan->output, encoder->tokenizer->eot);
            *at += GPT2I_EOT_BYTES;
        }
    }
    return GPT2_OK;
}

/* True if the part is only added to the held bytes: there are too few to scan them again. */
static bool is_only_held(const gpt2_encoder *encoder, size_t n_bytes, bool has_more)
{
    return has_more && n_bytes < max_held_bytes(encoder->max_piece_bytes) - encoder->n_held &&
           encoder->n_held + n_bytes < encoder->next_scan_bytes;
}

/*
 * Encodes the pieces that begin in the held bytes.  The first bytes of the part are copied behind
 * them.  '*at' is then where the next piece begins, counted from the first held byte.  It lies within
 * the held bytes only if that piece is not settled; then the whole part has been copied.
 */
static int32_t scan_held(const struct scan *part, size_t *at)
{
    gpt2_encoder *encoder = part->encoder;
    size_t max_held = max_held_bytes(encoder->max_piece_bytes);
    size_t n_joined = gpt2i_min(part->n_bytes, max_held);
    struct scan joined = *part;
    int32_t status;

    if (n_joined > 0)
        memcpy(encoder->held + encoder->n_held, part->bytes, n_joined);
    joined.bytes = encoder->held;
    joined.n_bytes = encoder->n_held + n_joined;
    joined.offset = encoder->n_before_bytes;
    joined.has_more = part->has_more || n_joined < part->n_bytes;
    status = scan_pieces(&joined, at, encoder->n_held);
    if (status == GPT2_OK && *at < encoder->n_held && joined.n_bytes - *at > max_held)
        status = fail_piece(&joined, *at, "more than ", encoder->max_piece_bytes);
    return status;
}

/* Encodes all settled pieces; '*at' is then where the rest begins, counted from the first held byte. */
static int32_t scan_all(const struct scan *part, size_t *at)
{
    size_t n_held = part->encoder->n_held;
    int32_t status = n_held > 0 ? scan_held(part, at) : GPT2_OK;

    if (status != GPT2_OK || *at < n_held)
        return status;
    *at -= n_held;
    status = scan_pieces(part, at, part->n_bytes);
    if (status == GPT2_OK && part->n_bytes - *at > max_held_bytes(part->encoder->max_piece_bytes))
        status = fail_piece(part, *at, "more than ", part->encoder->max_piece_bytes);
    *at += n_held;
    return status;
}

/* Holds the bytes from 'at' on, where scan_all() stopped. */
static void hold(const struct scan *part, size_t at)
{
    gpt2_encoder *encoder = part->encoder;
    size_t n_rest = encoder->n_held + part->n_bytes - at;

    if (at < encoder->n_held)
        memmove(encoder->held, encoder->held + at, n_rest);
    else if (n_rest > 0)
        memcpy(encoder->held, part->bytes + (at - encoder->n_held), n_rest);
    encoder->n_before_bytes += at;
    encoder->n_held = n_rest;
    encoder->next_scan_bytes = 2 * n_rest;
}

int32_t gpt2i_encode(gpt2_encoder *encoder, const char *text, size_t n_bytes, uint32_t flags,
                     int32_t *ids, size_t capacity, size_t *n_ids, struct gpt2i_error *error)
{
    struct gpt2i_id_output output = {.ids = ids, .capacity = capacity};
    const struct scan part = {
        .encoder = encoder,
        .bytes = (const unsigned char *)text,
        .n_bytes = n_bytes,
        .offset = encoder->n_before_bytes + encoder->n_held,
        .has_special = (flags & GPT2_ENCODE_SPECIAL) != 0 && encoder->tokenizer->eot >= 0,
        .has_more = (flags & GPT2_ENCODE_MORE) != 0,
        .output = &output,
        .error = error,
    };
    size_t at = 0;
    int32_t status;

    *n_ids = 0;
    if (is_only_held(encoder, n_bytes, part.has_more)) {
        if (n_bytes > 0)
            memcpy(encoder->held + encoder->n_held, text, n_bytes);
        encoder->n_held += n_bytes;
        return GPT2_OK;
    }
    status = scan_all(&part, &at);
    if (status != GPT2_OK)
        return status;
    *n_ids = output.n_ids;
    if (output.n_ids > capacity)
        return gpt2i_fail(error, GPT2_ERR_BUFFER,
                          "the text has %zu ids, the buffer has room for %zu", output.n_ids,
                          capacity);
    hold(&part, at);
    if (!part.has_more)
        gpt2i_encoder_reset(encoder);
    return GPT2_OK;
}
