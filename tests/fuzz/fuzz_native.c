/*
 * fuzz_native.c: any native file, through gpt2_model_load_sources() and gpt2_tokenizer_load_sources().
 *
 * The input is a whole file.  Its checksums are made right before it is opened, so that what is behind
 * them is reached.  Then a mapped file and one that is read are refused for the same reason, or are
 * the same model; and a model that loads is written to a file that loads, and is the same one.  As
 * tokenizer.json and model.gguf it is written whole or refused with a line; that tokenizer.json loads.
 */
#include "fuzz.h"
#include "base/checksum.h"

#define MOST_BYTES  10000
#define SUMS_BYTES  24
#define ALIGN_BYTES 64
#define N_TOKENS    2

/* At a multiple of 64, and of just that size; to be freed. */
struct image {
    uint8_t *bytes;
    size_t n_bytes;
    size_t capacity;
};

/* What is compared of two loads. */
struct outcome {
    int32_t status;
    char line[160];
    uint64_t hash; /* of what the model says */
};

static struct image new_image(size_t n_bytes)
{
    void *bytes = NULL;

    CHECK(posix_memalign(&bytes, ALIGN_BYTES, n_bytes + (n_bytes == 0)) == 0);
    return (struct image){bytes, 0, n_bytes};
}

/* A gpt2_write_callback. */
static int32_t add_part(void *user, const void *bytes, size_t n_bytes)
{
    struct image *image = user;

    CHECK(n_bytes > 0);
    if (n_bytes > image->capacity - image->n_bytes)
        return 1;
    memcpy(image->bytes + image->n_bytes, bytes, n_bytes);
    image->n_bytes += n_bytes;
    return 0;
}

/* Makes the checksums right, if there is room for them and they say where the directory ends. */
static void settle_sums(struct image *image)
{
    uint8_t *sums = image->bytes + image->n_bytes - SUMS_BYTES;
    uint64_t directory_bytes, sum;

    if (image->n_bytes < SUMS_BYTES)
        return;
    memcpy(&directory_bytes, sums, sizeof directory_bytes);
    if (directory_bytes > image->n_bytes - SUMS_BYTES)
        return;
    sum = gpt2i_checksum(0, image->bytes, (size_t)directory_bytes);
    memcpy(sums + 8, &sum, sizeof sum);
    sum = gpt2i_checksum(0, image->bytes + directory_bytes,
                         image->n_bytes - SUMS_BYTES - (size_t)directory_bytes);
    memcpy(sums + 16, &sum, sizeof sum);
}

static gpt2_source source_of(const struct image *image)
{
    return (gpt2_source){"native.safetensors", image->bytes, image->n_bytes, NULL, NULL};
}

static void add_to_hash(struct outcome *outcome, const void *bytes, size_t n_bytes)
{
    if (n_bytes > 0)
        outcome->hash = gpt2i_checksum(outcome->hash + n_bytes, bytes, n_bytes);
}

/* Every id's bytes, one by one and together. */
static void check_ids(const gpt2_tokenizer *tokenizer, struct outcome *outcome)
{
    int32_t n_vocab = gpt2_tokenizer_n_vocab(tokenizer), eot = gpt2_tokenizer_eot(tokenizer);
    gpt2_offsets offsets;

    CHECK(n_vocab > 0 && eot >= -1 && eot < n_vocab);
    add_to_hash(outcome, &eot, sizeof eot);
    for (int32_t id = 0; id < n_vocab; id += 1 + id / 64) {
        int32_t is_added = gpt2_tokenizer_is_added(tokenizer, id);
        const char *bytes;
        size_t n_bytes, n_all;
        char *text;

        CHECK(gpt2_tokenizer_token_bytes(tokenizer, id, &bytes, &n_bytes) == GPT2_OK);
        CHECK(n_bytes <= MOST_BYTES && (is_added == 0 || is_added == 1));
        text = take_bytes(n_bytes);
        CHECK(gpt2_decode(tokenizer, &id, 1, text, n_bytes, &n_all, NULL, 0) == GPT2_OK);
        CHECK(n_all == n_bytes && same_bytes(text, bytes, n_bytes));
        CHECK(gpt2_token_offsets(tokenizer, &id, 1, &offsets) == GPT2_OK);
        CHECK(offsets.end_byte == n_bytes);
        add_to_hash(outcome, text, n_bytes);
        add_to_hash(outcome, &is_added, sizeof is_added);
        free(text);
    }
    CHECK(gpt2_tokenizer_is_added(tokenizer, n_vocab) == 0);
}

/* A text with short pieces, a long one, and an end. */
static void check_text(const gpt2_tokenizer *tokenizer, struct outcome *outcome)
{
    static const char text[] =
        "the the<|endoftext|>thethethethethethethethethethethethethethethethe"
        "thetheththththththththehhheee";
    int32_t n_vocab = gpt2_tokenizer_n_vocab(tokenizer), ids[sizeof text], status;
    gpt2_encoder_params params;
    gpt2_encoder *encoder;
    size_t n_ids;

    CHECK(gpt2_encoder_params_init(&params, sizeof params) == GPT2_OK);
    params.max_piece_bytes = sizeof text;
    CHECK(gpt2_encoder_create(tokenizer, &params, &encoder) == GPT2_OK);
    status = gpt2_encode(encoder, text, sizeof text - 1, GPT2_ENCODE_SPECIAL, ids, sizeof text - 1,
                         &n_ids);
    CHECK(status == GPT2_OK || (status == GPT2_ERR_TOKEN && n_ids == 0));
    for (size_t i = 0; i < n_ids; i++)
        CHECK(ids[i] >= 0 && ids[i] < n_vocab);
    add_to_hash(outcome, ids, n_ids * sizeof *ids);
    gpt2_encoder_free(encoder);
}

static void check_tokenizer(const gpt2_tokenizer *tokenizer, struct outcome *outcome)
{
    check_ids(tokenizer, outcome);
    check_text(tokenizer, outcome);
}

/* Some tokens, whatever their numbers. */
static void run(const gpt2_model *model, struct outcome *outcome)
{
    gpt2_model_info info = {.struct_size = sizeof info};
    gpt2_session_params params;
    gpt2_session *session;
    const float *logits;
    int32_t ids[N_TOKENS], status;

    CHECK(gpt2_model_get_info(model, &info) == GPT2_OK);
    CHECK(info.n_vocab > 0 && info.n_positions > 0 && info.n_embd > 0 && info.n_layer > 0);
    CHECK(info.n_head > 0 && info.n_embd % info.n_head == 0 && info.n_inner > 0);
    CHECK(info.n_kv_head == info.n_head || info.n_kv_head == 1);
    CHECK(info.eot_token >= -1 && info.eot_token < info.n_vocab);
    CHECK(gpt2_session_params_init(&params, sizeof params) == GPT2_OK);
    params.n_ctx = params.n_batch = info.n_positions < N_TOKENS ? info.n_positions : N_TOKENS;
    status = gpt2_session_create(model, &params, &session);
    if (status != GPT2_OK) { /* large blocks are refused */
        CHECK(status == GPT2_ERR_MEMORY && session == NULL);
        return;
    }
    ids[0] = info.n_vocab - 1;
    ids[1] = 0;
    CHECK(gpt2_forward(session, ids, (size_t)params.n_ctx, 1) == GPT2_OK);
    CHECK(gpt2_session_logits(session, GPT2_LAST_ROW, &logits) == GPT2_OK);
    add_to_hash(outcome, logits, (size_t)info.n_vocab * sizeof *logits);
    gpt2_session_free(session);
}

static gpt2_model *load(const struct image *image, int32_t access, struct outcome *outcome)
{
    const gpt2_source source = source_of(image);
    gpt2_model_params params;
    gpt2_model *model;

    memset(outcome, 0, sizeof *outcome);
    CHECK(gpt2_model_params_init(&params, sizeof params) == GPT2_OK);
    params.n_threads = 1;
    params.file_access = access;
    params.errbuf = outcome->line;
    params.errbuf_size = sizeof outcome->line;
    outcome->status = gpt2_model_load_sources(&source, 1, &params, &model);
    CHECK((outcome->status == GPT2_OK) == (model != NULL));
    if (model == NULL) {
        check_load_failure(outcome->status, outcome->line);
        return NULL;
    }
    CHECK(outcome->line[0] == '\0');
    run(model, outcome);
    if (gpt2_model_tokenizer(model) != NULL)
        check_tokenizer(gpt2_model_tokenizer(model), outcome);
    return model;
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
    CHECK(a->status == b->status && strcmp(a->line, b->line) == 0 && a->hash == b->hash);
}

/* What is written loads as the same model, which writes the same. */
static void check_written(const gpt2_model *model, const struct outcome *outcome)
{
    struct image file = new_image(2 * MOST_BYTES), again = new_image(2 * MOST_BYTES);
    struct outcome of_file;
    char line[160] = "before";
    int32_t status =
        gpt2_model_write(model, "native.safetensors", add_part, &file, line, sizeof line);

    CHECK((status == GPT2_OK) == (line[0] == '\0'));
    CHECK(status == GPT2_OK || status == GPT2_ERR_CANCELLED); /* little room, or most_bytes */
    if (status == GPT2_OK) {
        gpt2_model *loaded = load(&file, GPT2_FILE_READ, &of_file);

        check_same(outcome, &of_file);
        CHECK(gpt2_model_write(loaded, "native.safetensors", add_part, &again, NULL, 0) == GPT2_OK);
        CHECK(again.n_bytes == file.n_bytes && same_bytes(again.bytes, file.bytes, file.n_bytes));
        gpt2_model_free(loaded);
    }
    free(file.bytes);
    free(again.bytes);
}

/* The same ids have the same bytes, after writing and reading. */
static void check_json(const gpt2_model *model, const struct image *file)
{
    const gpt2_tokenizer *tokenizer = gpt2_model_tokenizer(model);
    const gpt2_source source = {"tokenizer.json", file->bytes, file->n_bytes, NULL, NULL};
    gpt2_tokenizer *loaded;
    int32_t status = gpt2_tokenizer_load_sources(&source, 1, NULL, &loaded);

    CHECK(status == GPT2_OK || status == GPT2_ERR_UNSUPPORTED); /* flags that are not followed */
    for (int32_t id = 0; status == GPT2_OK && id < gpt2_tokenizer_n_vocab(loaded); id++) {
        const char *bytes[2];
        size_t n_bytes[2];

        CHECK(gpt2_tokenizer_token_bytes(tokenizer, id, &bytes[0], &n_bytes[0]) == GPT2_OK);
        CHECK(gpt2_tokenizer_token_bytes(loaded, id, &bytes[1], &n_bytes[1]) == GPT2_OK);
        CHECK(n_bytes[0] == n_bytes[1] && same_bytes(bytes[0], bytes[1], n_bytes[0]));
    }
    gpt2_tokenizer_free(loaded);
}

static void check_others(const gpt2_model *model)
{
    static const char *const names[] = {"tokenizer.json", "model.gguf"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct image file = new_image(8 * MOST_BYTES);
        char line[160] = "before";
        int32_t status = gpt2_model_write(model, names[i], add_part, &file, line, sizeof line);

        CHECK((status == GPT2_OK) == (line[0] == '\0'));
        CHECK(status == GPT2_OK || status == GPT2_ERR_CANCELLED || status == GPT2_ERR_UNSUPPORTED ||
              status == GPT2_ERR_MEMORY);
        CHECK(status != GPT2_ERR_UNSUPPORTED || file.n_bytes == 0);
        if (status == GPT2_OK && i == 0)
            check_json(model, &file);
        free(file.bytes);
    }
}

static void check_tokenizer_alone(const struct image *image)
{
    const gpt2_source source = source_of(image);
    gpt2_tokenizer_params params;
    gpt2_tokenizer *tokenizer;
    struct outcome outcome = {0};

    CHECK(gpt2_tokenizer_params_init(&params, sizeof params) == GPT2_OK);
    params.errbuf = outcome.line;
    params.errbuf_size = sizeof outcome.line;
    outcome.status = gpt2_tokenizer_load_sources(&source, 1, &params, &tokenizer);
    CHECK((outcome.status == GPT2_OK) == (tokenizer != NULL));
    if (tokenizer == NULL) {
        check_load_failure(outcome.status, outcome.line);
        return;
    }
    check_tokenizer(tokenizer, &outcome);
    gpt2_tokenizer_free(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome mapped, read;
    struct image image;
    gpt2_model *model;

    if (size > MOST_BYTES)
        return 0;
    blocks_refuse_above((size_t)2 << 20);
    image = new_image(size);
    (void)(size > 0 && add_part(&image, data, size));
    settle_sums(&image);
    check_tokenizer_alone(&image);
    gpt2_model_free(load(&image, GPT2_FILE_READ, &read));
    model = load(&image, GPT2_FILE_MAP, &mapped);
    check_same(&mapped, &read);
    if (model != NULL)
        check_written(model, &mapped);
    if (model != NULL)
        check_others(model);
    gpt2_model_free(model);
    CHECK(blocks_in_use() == 0);
    free(image.bytes);
    return 0;
}

/*
 * How libFuzzer changes an input: mostly a few bytes in their place, for a byte more or less anywhere
 * moves all tensors behind it.
 */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t capacity) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed)
{
    size_t n = 1 + seed % 16, at;

    if (size < n || seed / 16 % 16 == 0)
        return LLVMFuzzerMutate(data, size, capacity);
    at = seed / 256 % (size - n + 1);
    (void)LLVMFuzzerMutate(data + at, n, n);
    return size;
}
