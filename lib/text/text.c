/*
 * text.c: texts to ids and back.  A text is cut at special tokens, then into pieces, and bpe.c turns
 * each piece into ids.
 *
 * A text may come in parts.  Then a piece is settled, and encoded, once enough bytes behind it are
 * known that no later byte can move its end; what is not settled is held back, and looked at again
 * only when there is twice as much, so that time stays linear.  A call that fails has only written
 * behind what was held, so it can be made again.
 */
#include "text.h"
#include "pretokenize.h"
#include "unicode.h"
#include "vocab.h"

/*
 * Bytes behind a piece that decide where it ends: a white-space character that it leaves to the next
 * piece (3 bytes) and then a special token, if one begins there; else less.
 */
#define LOOK_AHEAD_BYTES (3 + GPT2I_EOT_BYTES)

/*
 * Room for an unsettled end beyond max_piece_bytes.  A piece that is cut off is seen too long by
 * less than LOOK_AHEAD_BYTES, so an end that needs more room has a piece that is really too long.
 */
#define ROOM_BYTES (3 * LOOK_AHEAD_BYTES)

static size_t most_held_bytes(size_t max_piece_bytes)
{
    return max_piece_bytes + ROOM_BYTES;
}

gpt2_encoder *gpt2i_encoder_layout(struct gpt2i_arena *arena, const gpt2_tokenizer *tokenizer,
                                   size_t max_piece_bytes)
{
    gpt2_encoder *encoder = gpt2i_arena_take(arena, 1, sizeof *encoder);
    struct gpt2i_bpe_scratch *scratch = gpt2i_bpe_scratch_layout(arena, max_piece_bytes);
    unsigned char *held = gpt2i_arena_take(arena, most_held_bytes(max_piece_bytes), 2);

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

/* Bytes under the scanner: those held and some after them, or the part that the caller gave. */
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
                      "a piece of %s%zu bytes without a break at offset %llu of the text; "
                      "the encoder was made for max_piece_bytes %zu",
                      about, length, (unsigned long long)(scan->offset + at),
                      scan->encoder->max_piece_bytes);
}

/* Names the first byte of a piece that has no token. */
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

/* Encodes the settled pieces that begin in bytes[*at .. stop]; '*at' is then where the next begins. */
static int32_t scan_pieces(const struct scan *scan, size_t *at, size_t stop)
{
    const gpt2_encoder *encoder = scan->encoder;

    while (*at < stop) {
        /* a special token ends one text and begins another: no piece looks across it */
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

/* A part that is only added to what is held, because looking at it all again would not pay. */
static bool is_only_held(const gpt2_encoder *encoder, size_t n_bytes, bool has_more)
{
    return has_more && n_bytes < most_held_bytes(encoder->max_piece_bytes) - encoder->n_held &&
           encoder->n_held + n_bytes < encoder->next_scan_bytes;
}

/*
 * Encodes the pieces that begin in what is held, with as much of the part behind it as matters.
 * '*at' is then where the next piece begins, counted from the first held byte; it still lies in what
 * is held only if that piece is not settled and the whole part has been copied behind it.
 */
static int32_t scan_held(const struct scan *part, size_t *at)
{
    gpt2_encoder *encoder = part->encoder;
    size_t most_held = most_held_bytes(encoder->max_piece_bytes);
    size_t n_joined = gpt2i_min(part->n_bytes, most_held);
    struct scan joined = *part;
    int32_t status;

    if (n_joined > 0)
        memcpy(encoder->held + encoder->n_held, part->bytes, n_joined);
    joined.bytes = encoder->held;
    joined.n_bytes = encoder->n_held + n_joined;
    joined.offset = encoder->n_before_bytes;
    joined.has_more = part->has_more || n_joined < part->n_bytes;
    status = scan_pieces(&joined, at, encoder->n_held);
    if (status == GPT2_OK && *at < encoder->n_held && joined.n_bytes - *at > most_held)
        status = fail_piece(&joined, *at, "more than ", encoder->max_piece_bytes);
    return status;
}

/* Encodes all that is settled; '*at' is then where the rest begins, from the first held byte. */
static int32_t scan_all(const struct scan *part, size_t *at)
{
    size_t n_held = part->encoder->n_held;
    int32_t status = n_held > 0 ? scan_held(part, at) : GPT2_OK;

    if (status != GPT2_OK || *at < n_held)
        return status;
    *at -= n_held;
    status = scan_pieces(part, at, part->n_bytes);
    if (status == GPT2_OK && part->n_bytes - *at > most_held_bytes(part->encoder->max_piece_bytes))
        status = fail_piece(part, *at, "more than ", part->encoder->max_piece_bytes);
    *at += n_held;
    return status;
}

/* Holds what begins at 'at', as scan_all() found it. */
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
        return gpt2i_fail(error, GPT2_ERR_BUFFER, "there are %zu ids, the buffer has room for %zu",
                          output.n_ids, capacity);
    hold(&part, at);
    if (!part.has_more)
        gpt2i_encoder_reset(encoder);
    return GPT2_OK;
}

/* ------------------------------------------------------------------------------------ decode -- */

/* Bytes put out one after another, of which the last few may have to wait for the next call. */
struct byte_output {
    char *text;
    size_t capacity;
    size_t n_bytes;        /* goes on counting where the capacity ends */
    unsigned char last[3]; /* the last of them, at most 3 */
    size_t n_last;
};

static void put_bytes(struct byte_output *output, const void *bytes, size_t n_bytes)
{
    const unsigned char *from = bytes;
    size_t n_new = gpt2i_min(n_bytes, sizeof output->last);
    size_t n_old = gpt2i_min(output->n_last, sizeof output->last - n_new);

    if (n_bytes == 0)
        return;
    if (output->n_bytes < output->capacity)
        memcpy(output->text + output->n_bytes, from,
               gpt2i_min(n_bytes, output->capacity - output->n_bytes));
    output->n_bytes += n_bytes;
    memmove(output->last, output->last + output->n_last - n_old, n_old);
    memcpy(output->last + n_old, from + n_bytes - n_new, n_new);
    output->n_last = n_old + n_new;
}

int32_t gpt2i_decode(const gpt2_tokenizer *tokenizer, gpt2_decode_state *state, const int32_t *ids,
                     size_t n_ids, uint32_t flags, char *text, size_t capacity, size_t *n_bytes)
{
    struct byte_output output = {.text = text, .capacity = capacity};
    size_t n_waiting = 0;

    *n_bytes = 0;
    put_bytes(&output, state->held, state->n_held);
    for (size_t i = 0; i < n_ids; i++) {
        const char *bytes;
        size_t length;

        if (!gpt2i_token_bytes(tokenizer, ids[i], &bytes, &length))
            return GPT2_ERR_TOKEN;
        if (length > SIZE_MAX - output.n_bytes)
            return GPT2_ERR_ARGUMENT; /* more than an address space holds */
        put_bytes(&output, bytes, length);
    }
    if ((flags & GPT2_DECODE_MORE) != 0)
        n_waiting = gpt2i_utf8_unfinished(output.last, output.n_last);
    *n_bytes = output.n_bytes - n_waiting;
    if (*n_bytes > capacity)
        return GPT2_ERR_BUFFER;
    memset(state, 0, sizeof *state);
    memcpy(state->held, output.last + output.n_last - n_waiting, n_waiting);
    state->n_held = (uint32_t)n_waiting;
    return GPT2_OK;
}
