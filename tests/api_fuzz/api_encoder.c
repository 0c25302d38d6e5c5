/*
 * api_encoder.c: encoders, and from text to ids, whole or in parts.
 */
#include "api_text.h"
#include "text/pretokenize.h"
#include "text/encoder.h"

#define N_ENCODERS 8

static struct encoder {
    gpt2_encoder *handle;
    unsigned char *block; /* that it was made in; NULL: its own */
    const struct fuzz_tokenizer *tokenizer;
    size_t max_piece_bytes;
    char line[512]; /* what gpt2_encoder_error() is to say */

    char text[FUZZ_MOST_BYTES + 8]; /* what is to be encoded */
    size_t n_whole;
    size_t n_text;                /* of it, encoded or held back */
    uint32_t special;             /* the flag, which is the same for all parts */
    int32_t ids[FUZZ_MOST_BYTES]; /* of all parts so far */
    size_t n_ids;
    size_t n_encoded; /* the bytes of these ids */
} encoders[N_ENCODERS];

static void forget_text(struct encoder *encoder)
{
    encoder->n_whole = encoder->n_text = encoder->n_ids = encoder->n_encoded = 0;
}

/* ------------------------------------------------------------------------------------- texts -- */

/* Where the special token begins in text[at .. n], if it counts. */
static size_t special_at(const char *text, size_t at, size_t n, bool special)
{
    for (; special && at + strlen(FUZZ_EOT) <= n; at++) {
        if (memcmp(text + at, FUZZ_EOT, strlen(FUZZ_EOT)) == 0)
            return at;
    }
    return n;
}

/* What a text has that encoding it must refuse. */
struct verdict {
    bool has_bad_byte; /* one without a token */
    bool is_too_long;  /* a piece of it */
};

static struct verdict judge_text(const struct encoder *encoder, const char *text, size_t n,
                                 bool special)
{
    const struct fuzz_tokenizer *tokenizer = encoder->tokenizer;
    struct verdict verdict = {false, false};
    size_t at = 0;

    special = special && tokenizer->eot >= 0;
    while (at < n) {
        size_t end = special_at(text, at, n, special);

        while (at < end) {
            size_t length = gpt2i_piece_length((const unsigned char *)text + at, end - at);

            verdict.is_too_long |= length > encoder->max_piece_bytes;
            for (; length > 0; length--)
                verdict.has_bad_byte |= !tokenizer->has_byte[(unsigned char)text[at++]];
        }
        at = end < n ? end + strlen(FUZZ_EOT) : n;
    }
    return verdict;
}

/* ---------------------------------------------------------------------------------- encoders -- */

static struct encoder *pick_encoder(void)
{
    for (int i = 0; i < 4; i++) {
        struct encoder *encoder = &PICK(encoders);

        if (encoder->handle != NULL)
            return encoder;
    }
    return NULL;
}

static const char *name_of(const struct encoder *encoder)
{
    static char name[200];

    if (encoder == NULL)
        return "NULL";
    (void)snprintf(name, sizeof name, "encoder %d (%s, max_piece_bytes %zu)",
                   (int)(encoder - encoders), encoder->tokenizer->directory,
                   encoder->max_piece_bytes);
    return name;
}

static void free_encoder(struct encoder *encoder)
{
    fuzz_call(FUZZ_gpt2_encoder_free, "%s", encoder->handle == NULL ? "NULL" : name_of(encoder));
    gpt2_encoder_free(encoder->handle);
    free(encoder->block);
    encoder->handle = NULL;
    encoder->block = NULL;
}

void fuzz_encoders_close(void)
{
    for (size_t i = 0; i < N_ENCODERS; i++)
        free_encoder(&encoders[i]);
}

/* Params for the call that has begun, and what they say; returns whether they are right. */
static bool make_params(struct fuzz_params *params, gpt2_encoder_params *known)
{
    static const size_t sizes[] = {1, 2, 7, 32, 33, 300, 65536, 4096};
    static const size_t odd[] = {0, (size_t)INT32_MAX + 1, SIZE_MAX, INT32_MAX};
    bool right;

    *params = fuzz_params_make(&fuzz_encoder_params);
    (void)gpt2_encoder_params_init(known, sizeof *known);
    if (params->writable) {
        memcpy(known, params->at, sizeof *known);
        known->max_piece_bytes = fuzz_chance(8) ? PICK(odd) : PICK(sizes);
        known->reserved = fuzz_chance(16) ? 1u << fuzz_below(32) : 0;
        memcpy(params->at, known, sizeof *known);
    }
    right =
        known->reserved == 0 && known->max_piece_bytes > 0 && known->max_piece_bytes <= INT32_MAX;
    fuzz_may(!right, GPT2_ERR_ARGUMENT);
    fuzz_say("params %s, max_piece_bytes %zu", params->at == NULL ? "NULL" : "given",
             known->max_piece_bytes);
    return right;
}

static void do_encoder_size(void)
{
    size_t n_bytes = 99, *out = fuzz_chance(16) ? NULL : &n_bytes;
    gpt2_encoder_params known;
    struct fuzz_params params;
    bool ok;

    fuzz_call(FUZZ_gpt2_encoder_size, " ");
    (void)make_params(&params, &known);
    fuzz_may(out == NULL, GPT2_ERR_ARGUMENT);
    ok = fuzz_result(gpt2_encoder_size(params.at, out));
    fuzz_params_check(&params, ok);
    REQUIRE(out == NULL || (n_bytes > 0) == ok, "found a size of %zu", n_bytes);
    if (ok) /* "about 19 bytes for each" */
        REQUIRE(n_bytes > 16 * known.max_piece_bytes && n_bytes < 20 * known.max_piece_bytes + 8192,
                "found a size of %zu", n_bytes);
}

/* Memory for an encoder, sometimes too little; at any address, with any content. */
static void *random_memory(size_t wanted, unsigned char **block, size_t *n_bytes)
{
    size_t past = fuzz_below(65);

    *n_bytes = wanted;
    if (wanted > 0 && fuzz_chance(8)) {
        *n_bytes = fuzz_chance(2) ? wanted - 1 : fuzz_below(wanted);
        fuzz_may(true, GPT2_ERR_BUFFER);
    }
    *block = malloc(*n_bytes + past);
    REQUIRE(*block != NULL || *n_bytes + past == 0, "no memory for a test");
    memset(*block, 0xa5, *n_bytes + past);
    return *block + past;
}

/* A new encoder where the place is free, by one of two ways; else that encoder ends. */
static void do_make(void)
{
    struct encoder *encoder = &PICK(encoders);
    const struct fuzz_tokenizer *tokenizer = &PICK(fuzz_tokenizers);
    gpt2_encoder *handle = (gpt2_encoder *)encoders, **out = fuzz_chance(16) ? NULL : &handle;
    const gpt2_tokenizer *of = fuzz_chance(16) ? NULL : tokenizer->handle;
    bool in_place = fuzz_chance(2), is_right, is_huge, ok;
    unsigned char *block = NULL;
    gpt2_encoder_params known;
    struct fuzz_params params;

    if (encoder->handle != NULL || fuzz_chance(16)) {
        free_encoder(encoder);
        return;
    }
    fuzz_call(in_place ? FUZZ_gpt2_encoder_init : FUZZ_gpt2_encoder_create, " ");
    is_right = make_params(&params, &known) && of != NULL && out != NULL;
    is_huge = known.max_piece_bytes == INT32_MAX;
    fuzz_may(of == NULL || out == NULL, GPT2_ERR_ARGUMENT);
    if (in_place) {
        size_t wanted = 0, n_bytes;
        void *memory;

        known.struct_size = sizeof known;
        known.errbuf = NULL;
        if (is_right && !is_huge)
            REQUIRE(gpt2_encoder_size(&known, &wanted) == GPT2_OK, "no size");
        fuzz_may(is_right && is_huge, GPT2_ERR_BUFFER);
        memory = random_memory(wanted, &block, &n_bytes);
        if (fuzz_chance(16)) {
            memory = NULL;
            fuzz_may(true, GPT2_ERR_ARGUMENT);
        }
        ok = fuzz_result(gpt2_encoder_init(of, params.at, memory, n_bytes, out));
    } else {
        if (is_huge) { /* 40 GB: whether there is room is the machine's */
            fuzz_is_race();
            fuzz_may(true, GPT2_ERR_MEMORY);
            fuzz_may(is_right, GPT2_OK);
        }
        ok = fuzz_result(gpt2_encoder_create(of, params.at, out));
    }
    fuzz_params_check(&params, ok);
    if (!ok) {
        REQUIRE(out == NULL || handle == NULL, "found an encoder after a failure, expected NULL");
        free(block);
        return;
    }
    if (is_huge) {
        gpt2_encoder_free(handle);
        return;
    }
    encoder->handle = handle;
    encoder->block = block;
    encoder->tokenizer = tokenizer;
    encoder->max_piece_bytes = known.max_piece_bytes;
    encoder->line[0] = '\0';
    forget_text(encoder);
    fuzz_check_line(gpt2_encoder_error(handle), true);
}

static void reset(struct encoder *encoder)
{
    fuzz_call(FUZZ_gpt2_encoder_reset, "%s", name_of(encoder));
    fuzz_may(encoder == NULL, GPT2_ERR_ARGUMENT);
    if (!fuzz_result(gpt2_encoder_reset(encoder == NULL ? NULL : encoder->handle)))
        return;
    forget_text(encoder);
    encoder->line[0] = '\0';
    fuzz_check_line(gpt2_encoder_error(encoder->handle), true);
}

static void do_reset(void)
{
    reset(fuzz_chance(8) ? NULL : pick_encoder());
}

static void do_encoder_error(void)
{
    struct encoder *encoder = fuzz_chance(8) ? NULL : pick_encoder();
    const char *line;

    fuzz_call(FUZZ_gpt2_encoder_error, "%s", name_of(encoder));
    line = gpt2_encoder_error(encoder == NULL ? NULL : encoder->handle);
    REQUIRE(strcmp(line, encoder == NULL ? "" : encoder->line) == 0, "found \"%s\"", line);
}

/* ---------------------------------------------------------------------------------- encoding -- */

/* The judge's ids of a whole text, which give it again; 0 if it has a byte without a token. */
static size_t judge_ids(const struct encoder *encoder, const char *text, size_t n_bytes,
                        int32_t *ids)
{
    static char again[FUZZ_MOST_BYTES];
    const struct fuzz_tokenizer *tokenizer = encoder->tokenizer;
    size_t n_ids, n_again;

    if (gpt2_encode(tokenizer->judge, text, n_bytes, encoder->special, ids, FUZZ_MOST_BYTES,
                    &n_ids) != GPT2_OK)
        return 0;
    REQUIRE(gpt2_decode(tokenizer->handle, ids, n_ids, again, sizeof again, &n_again, NULL, 0) ==
                    GPT2_OK &&
                n_again == n_bytes && memcmp(again, text, n_bytes) == 0,
            "the text is not what its ids decode to");
    return n_ids;
}

/* Whether a piece of text[n_bytes] is too long however it goes on. */
static bool is_too_long_for_ever(const struct encoder *encoder, size_t n_bytes)
{
    static const char *const ends[] = {"", "a", "1", "!", " ", " a", "'s", "\xc3\xa9", FUZZ_EOT};
    static char text[FUZZ_MOST_BYTES + 32];
    bool too_long = true;

    memcpy(text, encoder->text, n_bytes);
    for (size_t i = 0; i < COUNT(ends); i++) {
        memcpy(text + n_bytes, ends[i], strlen(ends[i]));
        too_long &=
            judge_text(encoder, text, n_bytes + strlen(ends[i]), encoder->special != 0).is_too_long;
    }
    return too_long;
}

static uint64_t hash_held(const gpt2_encoder *handle)
{
    return fuzz_hash(handle->n_held ^ handle->place.at << 32, handle->held, handle->n_held);
}

/* One call's arguments that are right or wrong whatever the text. */
struct encode_call {
    struct encoder *encoder; /* NULL: none given */
    char *part;
    size_t n_part;
    uint32_t flags;
    int32_t *ids;
    size_t capacity;
    size_t n_ids;
    size_t *n_out;
};

static void may_fail(const struct encode_call *call)
{
    fuzz_may(call->encoder == NULL || call->n_out == NULL ||
                 (call->part == NULL && call->n_part > 0) ||
                 (call->ids == NULL && call->capacity > 0) ||
                 (call->flags & ~(GPT2_ENCODE_SPECIAL | GPT2_ENCODE_MORE)) != 0,
             GPT2_ERR_ARGUMENT);
    fuzz_say("%s, text %s, %zu bytes after %zu, flags 0x%x, ids %s, capacity %zu, n_ids %s",
             name_of(call->encoder), call->part == NULL ? "NULL" : "given", call->n_part,
             call->encoder == NULL ? 0 : call->encoder->n_text, (unsigned)call->flags,
             call->ids == NULL ? "NULL" : "given", call->capacity,
             call->n_out == NULL ? "NULL" : "given");
}

/* New ids continue those of the parts before. */
static void take_ids(struct encoder *encoder, const struct encode_call *call)
{
    REQUIRE(call->n_ids <= call->capacity && encoder->n_ids + call->n_ids <= FUZZ_MOST_BYTES,
            "found %zu ids", call->n_ids);
    for (size_t i = 0; i < call->n_ids; i++) {
        const char *bytes;
        size_t n_bytes;

        REQUIRE(gpt2_tokenizer_token_bytes(encoder->tokenizer->handle, call->ids[i], &bytes,
                                           &n_bytes) == GPT2_OK,
                "found id %d", (int)call->ids[i]);
        encoder->ids[encoder->n_ids++] = call->ids[i];
        encoder->n_encoded += n_bytes;
    }
}

/* Encodes one part: its rules, with 'whole' all of the text up to its end. */
static int32_t encode_part(struct encode_call *call, size_t n_whole)
{
    static int32_t wanted[FUZZ_MOST_BYTES];
    struct encoder *encoder = call->encoder;
    bool more = (call->flags & GPT2_ENCODE_MORE) != 0;
    struct verdict verdict = judge_text(encoder, encoder->text, n_whole, encoder->special != 0);
    size_t n_wanted = judge_ids(encoder, encoder->text, n_whole, wanted), n_left;
    uint64_t held = hash_held(encoder->handle);
    int32_t status;

    REQUIRE(verdict.has_bad_byte || n_wanted >= encoder->n_ids,
            "the parts gave %zu ids, the whole text has %zu", encoder->n_ids, n_wanted);
    n_left = verdict.has_bad_byte ? n_whole : n_wanted - encoder->n_ids;
    fuzz_may(verdict.has_bad_byte, GPT2_ERR_TOKEN);
    fuzz_may(verdict.is_too_long, GPT2_ERR_PIECE);
    fuzz_may((more || (!verdict.has_bad_byte && !verdict.is_too_long)) && n_left > call->capacity,
             GPT2_ERR_BUFFER);
    /* the ids of what is held back may be few enough, or it may be what cannot be encoded */
    fuzz_may(more && call->n_out != NULL && (call->ids != NULL || call->capacity == 0) &&
                 (call->part != NULL || call->n_part == 0) && call->flags <= 3,
             GPT2_OK);
    status = gpt2_encode(encoder->handle, call->part, call->n_part, call->flags, call->ids,
                         call->capacity, call->n_out);
    if (fuzz_result(status)) {
        take_ids(encoder, call);
        REQUIRE(verdict.has_bad_byte ||
                    memcmp(encoder->ids, wanted, encoder->n_ids * sizeof *wanted) == 0,
                "found ids that the whole text does not have");
        REQUIRE(more || encoder->n_ids == n_wanted, "found %zu ids, expected %zu", encoder->n_ids,
                n_wanted);
        REQUIRE(n_whole - encoder->n_encoded < encoder->max_piece_bytes + 64,
                "found %zu bytes held back", n_whole - encoder->n_encoded);
        encoder->n_text = n_whole;
        if (!more)
            forget_text(encoder);
        return status;
    }
    if (status == GPT2_ERR_PIECE && more)
        REQUIRE(is_too_long_for_ever(encoder, n_whole), "found PIECE where the text may go on");
    if (status == GPT2_ERR_BUFFER)
        REQUIRE(call->n_ids > call->capacity && call->n_ids <= n_left &&
                    (more || call->n_ids == n_left),
                "found %zu ids, expected %zu", call->n_ids, n_left);
    else
        REQUIRE(call->n_out == NULL || call->n_ids == 0, "found %zu ids after a failure",
                call->n_ids);
    REQUIRE(hash_held(encoder->handle) == held, "found what is held back changed by a failure");
    return status;
}

static void settle(struct encoder *encoder, int32_t status)
{
    fuzz_check_line(gpt2_encoder_error(encoder->handle), status == GPT2_OK);
    (void)snprintf(encoder->line, sizeof encoder->line, "%s", gpt2_encoder_error(encoder->handle));
}

/* A new text where the last one has ended; then a part of what is left of it, often short. */
static void choose_part(struct encode_call *call)
{
    struct encoder *encoder = call->encoder;
    size_t n_left, special;

    if (encoder->n_whole == 0) {
        encoder->n_whole = fuzz_random_text(encoder->text, encoder->tokenizer);
        encoder->special = (uint32_t)fuzz_below(2);
    }
    n_left = encoder->n_whole - encoder->n_text;
    special = special_at(encoder->text, encoder->n_text, encoder->n_whole, true) - encoder->n_text;
    if (special < n_left && fuzz_chance(2)) /* a cut in the last bytes of it */
        call->n_part = special + strlen(FUZZ_EOT) - 1 - fuzz_below(3);
    else
        call->n_part = fuzz_chance(2) ? n_left : fuzz_below(fuzz_chance(2) ? n_left + 1 : 9);
    if (call->n_part >= n_left) {
        call->n_part = n_left;
        call->flags = fuzz_chance(16) ? GPT2_ENCODE_MORE : 0;
    } else {
        call->flags = GPT2_ENCODE_MORE;
    }
    call->flags |= encoder->special;
}

static void do_encode(void)
{
    static const uint32_t wrong_flags[] = {4, 0x80000000u, 0x7ffffffcu};
    struct encoder *encoder = fuzz_chance(24) ? NULL : pick_encoder();
    struct encode_call call = {.encoder = encoder, .n_part = 5, .n_ids = 99};
    const char *part = encoder == NULL ? "words" : encoder->text + encoder->n_text;
    size_t n_whole;
    int32_t status;

    fuzz_call(FUZZ_gpt2_encode, " ");
    if (encoder != NULL)
        choose_part(&call);
    n_whole = call.n_part + (encoder == NULL ? 0 : encoder->n_text);
    call.flags |= fuzz_chance(24) ? PICK(wrong_flags) : 0;
    call.n_out = fuzz_chance(24) ? NULL : &call.n_ids;
    call.capacity = fuzz_chance(2) ? n_whole : fuzz_below(call.n_part + 2);
    if (!fuzz_chance(24))
        call.part = memcpy(fuzz_temp(call.n_part), part, call.n_part);
    if (call.capacity > 0 && !fuzz_chance(24))
        call.ids = fuzz_temp(call.capacity * sizeof *call.ids);
    may_fail(&call);
    if (encoder == NULL) {
        (void)fuzz_result(gpt2_encode(NULL, call.part, call.n_part, call.flags, call.ids,
                                      call.capacity, call.n_out));
        REQUIRE(call.n_out == NULL || call.n_ids == 0, "found %zu ids", call.n_ids);
        return;
    }
    status = encode_part(&call, n_whole);
    settle(encoder, status);
    if ((status == GPT2_ERR_TOKEN || status == GPT2_ERR_PIECE) && fuzz_chance(2))
        reset(encoder);
    if (status != GPT2_ERR_BUFFER)
        return;
    fuzz_call(FUZZ_gpt2_encode, " ");
    call.capacity = call.n_ids;
    call.part = memcpy(fuzz_temp(call.n_part), part, call.n_part);
    call.ids = fuzz_temp(call.capacity * sizeof *call.ids);
    may_fail(&call);
    status = encode_part(&call, n_whole);
    REQUIRE(status == GPT2_OK && call.n_ids == call.capacity,
            "found status %d and %zu ids where the call before said %zu", (int)status, call.n_ids,
            call.capacity);
    settle(encoder, status);
}

const struct fuzz_action fuzz_encoder_actions[] = {
    {do_make, 7},  {do_encoder_size, 4}, {do_encoder_error, 6},
    {do_reset, 6}, {do_encode, 60},      {NULL, 0},
};
