/*
 * encoder.c: text to ids.  A text is cut at added tokens, then into pieces, and bpe.c turns each piece
 * into ids.
 *
 * A text may come in parts.  Later bytes can move the end of the last piece.  So a piece is encoded
 * only when enough bytes behind it are known: it is settled.  The encoder holds the bytes that are
 * not settled, and scans them again only when there are twice as many, so that time stays linear.
 * A call that fails changes nothing but the unused room behind the held bytes, so it can be made again.
 */
#include "encoder.h"
#include "pretokenize.h"

/*
 * Room for an unsettled end beyond max_piece_bytes, for any tokenizer.  While its end is unknown, a
 * piece may look longer than it is, but by less than the tokenizer's look-ahead.  So if an end needs more
 * room than three times that, its piece is too long.
 */
#define ROOM_BYTES (3 * GPT2I_MAX_LOOK_AHEAD)

gpt2_encoder *gpt2i_encoder_layout(struct gpt2i_arena *arena, const gpt2_tokenizer *tokenizer,
                                   size_t max_piece_bytes)
{
    gpt2_encoder *encoder = gpt2i_arena_take(arena, 1, sizeof *encoder);
    struct gpt2i_bpe_scratch *scratch =
        gpt2i_bpe_scratch_layout(arena, max_piece_bytes + 1); /* a space in front */
    unsigned char *held = gpt2i_arena_take(arena, max_piece_bytes + ROOM_BYTES, 2);

    if (encoder == NULL)
        return NULL;
    memset(encoder, 0, sizeof *encoder);
    encoder->tokenizer = tokenizer;
    encoder->scratch = scratch;
    encoder->max_piece_bytes = max_piece_bytes;
    encoder->held = held;
    gpt2i_encoder_reset(encoder);
    return encoder;
}

void gpt2i_encoder_reset(gpt2_encoder *encoder)
{
    encoder->n_held = 0;
    encoder->next_scan_bytes = 0;
    memset(&encoder->place, 0, sizeof encoder->place);
    encoder->place.begins_stretch = true;
}

static size_t max_held_bytes(const gpt2_encoder *encoder)
{
    return encoder->max_piece_bytes + 3 * gpt2i_look_ahead(encoder->tokenizer);
}

/* -------------------------------------------------------------------------------------- scan -- */

/* What a call does: it scans the held bytes and some after them, then the part that the caller gave. */
struct scan {
    gpt2_encoder *encoder;
    struct gpt2i_token_search search; /* in the bytes to scan */
    struct gpt2i_encode_place *place;
    struct gpt2i_id_output *output;
    struct gpt2i_error *error;
};

static int32_t fail_piece(const struct scan *scan, const char *about, size_t length)
{
    return gpt2i_fail(scan->error, GPT2_ERR_PIECE,
                      "the piece at offset %llu of the text has %s%zu bytes, wanted at most "
                      "max_piece_bytes, which is %zu",
                      (unsigned long long)scan->place->at, about, length,
                      scan->encoder->max_piece_bytes);
}

/* Names the first byte without a token in the piece at 'at'. */
static int32_t fail_no_token(const struct scan *scan, size_t at)
{
    const struct gpt2i_token_search *search = &scan->search;
    const int32_t *byte_ids = scan->encoder->tokenizer->byte_ids;

    if (byte_ids[' '] < 0 && scan->place->begins_stretch &&
        (scan->encoder->tokenizer->cut_rules & GPT2I_CUT_PREFIX) != 0)
        return gpt2i_fail(scan->error, GPT2_ERR_TOKEN,
                          "the space in front of the text has no token in this vocabulary");
    while (at + 1 < search->n_bytes && byte_ids[search->bytes[at]] >= 0)
        at++;
    return gpt2i_fail(scan->error, GPT2_ERR_TOKEN,
                      "byte 0x%02x at offset %llu of the text has no token in this vocabulary",
                      (unsigned)search->bytes[at], (unsigned long long)(search->offset + at));
}

/* Whether a piece up to piece_end, of a stretch that ends at 'end' stays as it is, whatever
   follows.  'until': so far a token begins at 'end', but more bytes can change that. */
static bool is_end_settled(const struct gpt2i_token_search *search, size_t piece_end, size_t end,
                           bool until)
{
    return !search->has_more ||
           (search->n_bytes - piece_end >= search->look_ahead && !(until && piece_end == end));
}

/* The first piece of a stretch bytes[at .. end] that gets a space in front. */
static int32_t encode_prefixed(const struct scan *scan, size_t at, size_t end, bool until,
                               bool *settled)
{
    const gpt2_encoder *encoder = scan->encoder;
    const unsigned char *text = scan->search.bytes + at;
    size_t length = gpt2i_cut_prefixed_length(encoder->tokenizer->cut_rules, text, end - at);

    *settled = is_end_settled(&scan->search, at + length, end, until);
    if (!*settled)
        return GPT2_OK;
    if (length > encoder->max_piece_bytes)
        return fail_piece(scan, "", length);
    if (!gpt2i_bpe_prefixed(encoder->tokenizer, encoder->scratch, text, length, scan->output))
        return fail_no_token(scan, at);
    scan->place->at += length;
    scan->place->begins_stretch = false;
    return GPT2_OK;
}

/* The pieces of a stretch that begin in bytes[at .. stop], as long as they are settled. */
static int32_t encode_pieces(const struct scan *scan, size_t at, size_t stop, size_t end,
                             bool until, bool *settled)
{
    const gpt2_encoder *encoder = scan->encoder;
    const struct gpt2i_token_search *search = &scan->search;
    const gpt2_tokenizer *tokenizer = encoder->tokenizer;
    const uint32_t rules = tokenizer->cut_rules;
    const bool has_more = search->has_more;

    while (at < stop) {
        const unsigned char *text = search->bytes + at;
        size_t length = rules == GPT2I_CUT_PATTERN ? gpt2i_piece_length(text, end - at)
                                                   : gpt2i_cut_length(rules, text, end - at);

        if (has_more && !is_end_settled(search, at + length, end, until)) {
            *settled = false;
            break;
        }
        if (length > encoder->max_piece_bytes ||
            !gpt2i_bpe_piece(tokenizer, encoder->scratch, text, length, scan->output)) {
            scan->place->at = search->offset + at;
            return length > encoder->max_piece_bytes ? fail_piece(scan, "", length)
                                                     : fail_no_token(scan, at);
        }
        at += length;
    }
    scan->place->begins_stretch &= scan->place->at == search->offset + at;
    scan->place->at = search->offset + at;
    return GPT2_OK;
}

/* Both, for the stretch from place->at to bytes[end]. */
static int32_t encode_stretch(const struct scan *scan, size_t stop, size_t end, bool until,
                              bool *settled)
{
    size_t at = (size_t)(scan->place->at - scan->search.offset);
    int32_t status = GPT2_OK;

    *settled = true;
    if (at < stop && scan->place->begins_stretch && scan->search.bytes[at] != ' ' &&
        (scan->encoder->tokenizer->cut_rules & GPT2I_CUT_PREFIX) != 0)
        status = encode_prefixed(scan, at, end, until, settled);
    if (status != GPT2_OK || !*settled)
        return status;
    return encode_pieces(scan, (size_t)(scan->place->at - scan->search.offset), stop, end, until,
                         settled);
}

/* Encodes all that is settled and begins before bytes[stop]. */
static int32_t scan_bytes(struct scan *scan, size_t stop)
{
    struct gpt2i_token_search *search = &scan->search;
    struct gpt2i_encode_place *place = scan->place;

    while (place->at - search->offset < stop) {
        const struct gpt2i_found_token *token = gpt2i_search_next(search, place);
        size_t n_stripped;
        bool settled;
        int32_t status = encode_stretch(scan, gpt2i_min(token->begin, stop), token->begin,
                                        !token->is_settled, &settled);

        if (status != GPT2_OK || !settled || (token->begin < stop && !token->is_settled))
            return status;
        if (token->begin >= stop)
            continue;
        n_stripped = token->end - token->begin - token->token->length;
        if (n_stripped > scan->encoder->max_piece_bytes)
            return fail_piece(scan, "", n_stripped);
        gpt2i_put_id(scan->output, token->token->id);
        gpt2i_search_passed(search, place);
    }
    return GPT2_OK;
}

/* True if the part is only added to the held bytes: there are too few to scan them again. */
static bool is_only_held(const gpt2_encoder *encoder, size_t n_bytes, bool has_more)
{
    return has_more && n_bytes < max_held_bytes(encoder) - encoder->n_held &&
           encoder->n_held + n_bytes < encoder->next_scan_bytes;
}

/*
 * Encodes what begins in the held bytes.  The first bytes of the part are copied behind them.  What is
 * left lies within the held bytes only if it is not settled; then the whole part has been copied.
 */
static int32_t scan_held(struct scan *scan, const unsigned char *part, size_t n_bytes)
{
    gpt2_encoder *encoder = scan->encoder;
    size_t max_held = max_held_bytes(encoder);
    size_t n_joined = gpt2i_min(n_bytes, max_held);
    const bool has_more = scan->search.has_more;
    size_t n_done;
    int32_t status;

    if (n_joined > 0)
        memcpy(encoder->held + encoder->n_held, part, n_joined);
    scan->search.has_more = has_more || n_joined < n_bytes;
    gpt2i_search_begin(&scan->search, encoder->tokenizer, encoder->held, encoder->n_held + n_joined,
                       scan->place->at, scan->place);
    status = scan_bytes(scan, encoder->n_held);
    n_done = (size_t)(scan->place->at - scan->search.offset);
    if (status == GPT2_OK && n_done < encoder->n_held && scan->search.n_bytes - n_done > max_held)
        status = fail_piece(scan, "more than ", encoder->max_piece_bytes);
    gpt2i_search_leave(&scan->search, scan->place);
    scan->search.has_more = has_more;
    return status;
}

/* Encodes all that is settled in the held bytes and the part. */
static int32_t scan_all(struct scan *scan, const unsigned char *part, size_t n_bytes)
{
    gpt2_encoder *encoder = scan->encoder;
    const uint64_t part_at = scan->place->at + encoder->n_held;
    int32_t status = GPT2_OK;

    if (encoder->n_held > 0) {
        status = scan_held(scan, part, n_bytes);
        if (status != GPT2_OK || scan->place->at < part_at)
            return status;
    }
    gpt2i_search_begin(&scan->search, encoder->tokenizer, part, n_bytes, part_at, scan->place);
    status = scan_bytes(scan, n_bytes);
    if (status == GPT2_OK &&
        n_bytes - (size_t)(scan->place->at - part_at) > max_held_bytes(encoder))
        status = fail_piece(scan, "more than ", encoder->max_piece_bytes);
    gpt2i_search_leave(&scan->search, scan->place);
    return status;
}

/* Holds the bytes from 'place' on, where scan_all() stopped. */
static void hold(gpt2_encoder *encoder, const unsigned char *part, size_t n_bytes,
                 const struct gpt2i_encode_place *place)
{
    size_t n_done = (size_t)(place->at - encoder->place.at);
    size_t n_rest = encoder->n_held + n_bytes - n_done;

    if (n_done < encoder->n_held)
        memmove(encoder->held, encoder->held + n_done, n_rest);
    else if (n_rest > 0)
        memcpy(encoder->held, part + (n_done - encoder->n_held), n_rest);
    encoder->place = *place;
    encoder->n_held = n_rest;
    encoder->next_scan_bytes = 2 * n_rest;
}

int32_t gpt2i_encode(gpt2_encoder *encoder, const char *text, size_t n_bytes, uint32_t flags,
                     int32_t *ids, size_t capacity, size_t *n_ids, struct gpt2i_error *error)
{
    const unsigned char *part = (const unsigned char *)text;
    struct gpt2i_id_output output = {.ids = ids, .capacity = capacity};
    struct gpt2i_encode_place place = encoder->place;
    struct scan scan = {.encoder = encoder, .place = &place, .output = &output, .error = error};
    int32_t status;

    scan.search.has_more = (flags & GPT2_ENCODE_MORE) != 0;
    scan.search.has_special = (flags & GPT2_ENCODE_SPECIAL) != 0;
    *n_ids = 0;
    if (is_only_held(encoder, n_bytes, scan.search.has_more)) {
        if (n_bytes > 0)
            memcpy(encoder->held + encoder->n_held, text, n_bytes);
        encoder->n_held += n_bytes;
        return GPT2_OK;
    }
    status = scan_all(&scan, part, n_bytes);
    if (status != GPT2_OK)
        return status;
    *n_ids = output.n_ids;
    if (output.n_ids > capacity)
        return gpt2i_fail(error, GPT2_ERR_BUFFER,
                          "the text has %zu ids, the buffer has room for %zu", output.n_ids,
                          capacity);
    if ((flags & GPT2_ENCODE_MORE) != 0)
        hold(encoder, part, n_bytes, &place);
    else
        gpt2i_encoder_reset(encoder);
    return GPT2_OK;
}
