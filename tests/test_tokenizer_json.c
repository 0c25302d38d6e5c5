/*
 * test_tokenizer_json.c: tokenizer.json alone: the ids of vocab.json and merges.txt, and what is refused
 * with which line.  A file cut or changed anywhere gives an error or a tokenizer.
 *
 * WRAP := mmap mmap64 munmap
 */
#define DIRECTORY TESTS_TMP "/tokenizer_json"
#include "bounds.h"
#include "text_helpers.h"

#define PATH DIRECTORY "/tokenizer.json"

#define ADDED                                                                                   \
    "[{\"id\": 10, \"content\": \"<|endoftext|>\", \"single_word\": false, \"lstrip\": false, " \
    "\"rstrip\": false, \"normalized\": true, \"special\": true}]"
#define LEVEL "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true}"
#define VOCAB                                                                                    \
    "{\"a\": 0, \"b\": 1, \"c\": 2, \"ab\": 3, \"abc\": 4, \"h\": 5, \"\\u0120\": 6, \"t\": 7, " \
    "\"\xc4\xa0t\": 8, \"e\": 9, \"<|endoftext|>\": 10}"
#define PAIRS   "[[\"a\", \"b\"], [\"ab\", \"c\"], [\"\\u0120\", \"t\"]]"
#define STRINGS "[\"#version: 0.2\", \"a b\", \"ab c\", \"\\u0120 t\"]"
#define FILE_OF(added, normalizer, pieces, post, decoder, model)                              \
    "{\"version\": \"1.0\", \"truncation\": {\"max_length\": 3}, \"padding\": null, "         \
    "\"added_tokens\": " added ", \"normalizer\": " normalizer ", \"pre_tokenizer\": " pieces \
    ", \"post_processor\": " post ", \"decoder\": " decoder ", \"model\": " model "}"
#define MODEL_OF(more, merges) \
    "{\"type\": \"BPE\", " more "\"vocab\": " VOCAB ", \"merges\": " merges "}"
#define WITH_MODEL(more)   FILE_OF(ADDED, "null", LEVEL, LEVEL, LEVEL, MODEL_OF(more, PAIRS))
#define WITH_MERGES(merge) FILE_OF(ADDED, "null", LEVEL, LEVEL, LEVEL, MODEL_OF("", merge))
#define WITH_PIECES(piece) FILE_OF(ADDED, "null", piece, LEVEL, LEVEL, MODEL_OF("", PAIRS))
#define WITH_ADDED(added)  FILE_OF(added, "null", LEVEL, LEVEL, LEVEL, MODEL_OF("", PAIRS))
#define SMALL              WITH_MODEL("")

#define SEQUENCE(steps) "{\"type\": \"Sequence\", \"pretokenizers\": [" steps "]}"
#define DIGITS(each)    "{\"type\": \"Digits\", \"individual_digits\": " each "}"
#define PATTERN                                                                                    \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)|" \
    "\\\\s+"
#define SPLIT(behavior, invert)                                                                  \
    "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" PATTERN "\"}, \"behavior\": \"" behavior \
    "\", \"invert\": " invert "}"

/* It puts <|endoftext|> before a text, for callers who ask for special tokens. */
#define TEMPLATE                                                                          \
    "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": "        \
    "\"<|endoftext|>\", "                                                                 \
    "\"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], \"pair\": [], "  \
    "\"special_tokens\": {\"<|endoftext|>\": {\"id\": \"<|endoftext|>\", \"ids\": [10], " \
    "\"tokens\": [\"<|endoftext|>\"]}}}"

static void put_json(const char *text)
{
    put_vocabulary(NULL, NULL);
    put_file(PATH, text, strlen(text));
}

static int remove_all(void **state)
{
    (void)unlink(PATH);
    return remove_directory(state);
}

static void test_accepted(void **state)
{
    static const int32_t wanted[] = {8, 5, 9, 6, 4, 10, 3};
    static const char *const files[] = {
        SMALL,
        WITH_MERGES(STRINGS),
        WITH_MERGES("[\"a b\", [\"ab\", \"c\"], \"\\u0120 t\"]"),
        WITH_PIECES("{\"use_regex\": true, \"type\": \"ByteLevel\", \"add_prefix_space\": false}"),
        WITH_MODEL("\"dropout\": null, \"unk_token\": null, \"continuing_subword_prefix\": \"\", "
                   "\"end_of_word_suffix\": \"\", \"fuse_unk\": true, \"byte_fallback\": false, "
                   "\"ignore_merges\": false, "),
        WITH_MODEL("\"dropout\": 0.0, \"continuing_subword_prefix\": null, "),
        WITH_ADDED("[]"), /* as in vocab.json, the token's text is enough */
        FILE_OF(ADDED, "null", LEVEL, "null", LEVEL, MODEL_OF("", PAIRS)),
        FILE_OF(ADDED, "null", LEVEL, TEMPLATE, LEVEL, MODEL_OF("", PAIRS)),
        FILE_OF(ADDED, "null", LEVEL,
                "{\"type\": \"Sequence\", \"processors\": [" LEVEL ", " TEMPLATE "]}", LEVEL,
                MODEL_OF("", PAIRS)),
        "{\"model\": {\"merges\": " PAIRS ", \"vocab\": " VOCAB "}, \"decoder\": " LEVEL
        ", \"pre_tokenizer\": " LEVEL "}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(files); i++) {
        struct pair pair;

        put_json(files[i]);
        pair = open_pair(DIRECTORY);
        check_ids(pair, " the abc<|endoftext|>ab", 23, GPT2_ENCODE_SPECIAL, wanted, COUNT(wanted));
        assert_int_equal(gpt2_tokenizer_n_vocab(pair.tokenizer), 11);
        assert_int_equal(gpt2_tokenizer_eot(pair.tokenizer), 10);
        close_pair(pair);
    }
}

/* A token named twice is looked for before the text is cut, unless both are normalized. */
static void test_twice(void **state)
{
    static const int32_t wanted[] = {0, 11, 1}, both[] = {0, 12};
    static const char form[] = "[{\"id\": 11, \"content\": \"ca\", \"normalized\": %s}, "
                               "{\"id\": 11, \"content\": \"ca\", \"normalized\": %s}, "
                               "{\"id\": 12, \"content\": \"cab\", \"normalized\": true}]";

    (void)state;
    for (int i = 0; i < 4; i++) {
        char added[512], file[4096];
        struct pair pair;

        (void)snprintf(added, sizeof added, form, i & 1 ? "true" : "false",
                       i & 2 ? "true" : "false");
        (void)snprintf(file, sizeof file, WITH_ADDED("%s"), added);
        put_json(file);
        pair = open_pair(DIRECTORY);
        check_ids(pair, "acab", 4, GPT2_ENCODE_SPECIAL, i == 3 ? both : wanted, i == 3 ? 2 : 3);
        close_pair(pair);
    }
}

/* <|endoftext|> that the vocabulary lacks is the next token. */
static void test_added(void **state)
{
    static const int32_t wanted[] = {0, 2, 1};
    struct pair pair;

    (void)state;
    put_json("{\"added_tokens\": [{\"content\": \"<|endoftext|>\", \"id\": 2}], "
             "\"pre_tokenizer\": " LEVEL ", \"decoder\": " LEVEL
             ", \"model\": {\"vocab\": {\"a\": 0, \"b\": 1}, "
             "\"merges\": []}}");
    pair = open_pair(DIRECTORY);
    check_ids(pair, "a<|endoftext|>b", 15, GPT2_ENCODE_SPECIAL, wanted, COUNT(wanted));
    assert_int_equal(gpt2_tokenizer_eot(pair.tokenizer), 2);
    assert_int_equal(gpt2_tokenizer_n_vocab(pair.tokenizer), 3);
    close_pair(pair);
}

static void test_refused(void **state)
{
    static const struct {
        const char *file;
        int32_t status;
        const char *fragment;
    } cases[] = {
        {"", GPT2_ERR_FORMAT, "byte 0: the text ends"},
        {"[]", GPT2_ERR_FORMAT, "wanted an object"},
        {"{}", GPT2_ERR_FORMAT, "pre_tokenizer is missing"},
        {SMALL " x", GPT2_ERR_FORMAT, "wanted nothing after the outermost value"},
        {"{\"version\": \"2.0\"}", GPT2_ERR_UNSUPPORTED, "version: found \"2.0\", wanted 1.0"},
        {"{\"version\": 1}", GPT2_ERR_FORMAT, "version: found 1, wanted 1.0"},
        {"{\"padding\": null, \"padding\": null}", GPT2_ERR_FORMAT, "padding appears twice"},
        {"{\"pading\": null}", GPT2_ERR_UNSUPPORTED, "\"pading\" is a key that libgpt2"},
        {FILE_OF(ADDED, "{\"type\": \"NFC\"}", LEVEL, LEVEL, LEVEL, MODEL_OF("", PAIRS)),
         GPT2_ERR_UNSUPPORTED, "normalizer.type: found \"NFC\", wanted none"},
        {FILE_OF(ADDED, "{\"version\": 1}", LEVEL, LEVEL, LEVEL, MODEL_OF("", PAIRS)),
         GPT2_ERR_UNSUPPORTED, "normalizer.\"version\" is a key that"},
        {FILE_OF(ADDED, "7", LEVEL, LEVEL, LEVEL, MODEL_OF("", PAIRS)), GPT2_ERR_FORMAT,
         "normalizer: found 7, wanted an object or null"},
        {WITH_PIECES("null"), GPT2_ERR_UNSUPPORTED, "pre_tokenizer: found null, wanted an object"},
        {WITH_PIECES("{\"type\": \"Split\", \"pattern\": {\"Regex\": \"x\"}}"),
         GPT2_ERR_UNSUPPORTED, "pre_tokenizer.pattern.Regex: found \"x\", wanted GPT-2's pattern"},
        {WITH_PIECES("{\"type\": \"Whitespace\"}"), GPT2_ERR_UNSUPPORTED,
         "pre_tokenizer.type: found \"Whitespace\", wanted ByteLevel, Digits, Split or Sequence"},
        {WITH_PIECES("{\"type\": \"Digits\"}"), GPT2_ERR_FORMAT,
         "pre_tokenizer.individual_digits is missing"},
        {WITH_PIECES("{\"type\": \"Digits\", \"individual_digits\": true}"), GPT2_ERR_UNSUPPORTED,
         "wanted one ByteLevel, as the last step"},
        {WITH_PIECES("{\"type\": \"Sequence\", \"pretokenizers\": []}"), GPT2_ERR_UNSUPPORTED,
         "wanted one ByteLevel, as the last step"},
        {WITH_PIECES("{\"type\": \"Sequence\", \"pretokenizers\": {}}"), GPT2_ERR_FORMAT,
         "pre_tokenizer.pretokenizers: found an object, wanted an array"},
        {WITH_PIECES(SEQUENCE(LEVEL ", " DIGITS("true"))), GPT2_ERR_UNSUPPORTED,
         "wanted one ByteLevel, as the last step"},
        {WITH_PIECES(SEQUENCE(SEQUENCE(LEVEL))), GPT2_ERR_UNSUPPORTED, "found \"Sequence\""},
        {WITH_PIECES(SEQUENCE(DIGITS("true") ", {\"type\": \"ByteLevel\", "
                                             "\"add_prefix_space\": true}")),
         GPT2_ERR_UNSUPPORTED, "add_prefix_space: found true, wanted false behind other steps"},
        {WITH_PIECES(SEQUENCE(SPLIT("Isolated", "true") ", " LEVEL)), GPT2_ERR_UNSUPPORTED,
         "invert: found true, wanted false with behavior \"Isolated\""},
        {WITH_PIECES(SEQUENCE(SPLIT("Removed", "false") ", " LEVEL)), GPT2_ERR_UNSUPPORTED,
         "invert: found false, wanted true with behavior \"Removed\""},
        {WITH_PIECES(SEQUENCE(SPLIT("Contiguous", "false") ", " LEVEL)), GPT2_ERR_UNSUPPORTED,
         "behavior: found \"Contiguous\""},
        {WITH_PIECES("{\"type\": \"ByteLevel\"}"), GPT2_ERR_FORMAT,
         "pre_tokenizer.add_prefix_space is missing"},
        {WITH_PIECES("{\"type\": \"ByteLevel\", \"use_regex\": 1}"), GPT2_ERR_FORMAT,
         "pre_tokenizer.use_regex: found 1, wanted true or false"},
        {FILE_OF(ADDED, "null", LEVEL, "{\"type\": \"BertProcessing\"}", LEVEL,
                 MODEL_OF("", PAIRS)),
         GPT2_ERR_UNSUPPORTED, "post_processor.type: found \"BertProcessing\""},
        {FILE_OF(ADDED, "null", LEVEL, "{\"type\": \"TemplateProcessing\", \"triple\": []}", LEVEL,
                 MODEL_OF("", PAIRS)),
         GPT2_ERR_UNSUPPORTED, "post_processor.\"triple\" is a key"},
        {FILE_OF(ADDED, "null", LEVEL, "{\"type\": \"Sequence\"}", LEVEL, MODEL_OF("", PAIRS)),
         GPT2_ERR_FORMAT, "post_processor.processors is missing"},
        {FILE_OF(ADDED, "null", LEVEL, LEVEL, "{\"type\": \"BPEDecoder\"}", MODEL_OF("", PAIRS)),
         GPT2_ERR_UNSUPPORTED, "decoder.type: found \"BPEDecoder\""},
        {FILE_OF(ADDED, "null", LEVEL, LEVEL, LEVEL, "{\"type\": \"Unigram\"}"),
         GPT2_ERR_UNSUPPORTED, "model.type: found \"Unigram\", wanted BPE"},
        {FILE_OF(ADDED, "null", LEVEL, LEVEL, LEVEL, "{\"vocab\": {\"a\": 0}}"), GPT2_ERR_FORMAT,
         "model.merges is missing"},
        {FILE_OF(ADDED, "null", LEVEL, LEVEL, LEVEL, "{\"merges\": []}"), GPT2_ERR_FORMAT,
         "model.vocab is missing"},
        {FILE_OF(ADDED, "null", LEVEL, LEVEL, LEVEL, "[]"), GPT2_ERR_FORMAT,
         "model: found an array, wanted an object"},
        {WITH_MODEL("\"dropout\": 0.1, "), GPT2_ERR_UNSUPPORTED,
         "model.dropout: found 0.1, wanted null or 0"},
        {WITH_MODEL("\"dropout\": \"0\", "), GPT2_ERR_FORMAT, "model.dropout: found \"0\""},
        {WITH_MODEL("\"ignore_merges\": true, "), GPT2_ERR_UNSUPPORTED,
         "model.ignore_merges: found true, wanted false"},
        {WITH_MODEL("\"continuing_subword_prefix\": \"##\", "), GPT2_ERR_UNSUPPORTED,
         "model.continuing_subword_prefix: found \"##\", wanted null"},
        {WITH_MODEL("\"end_of_word_suffix\": \"</w>\", "), GPT2_ERR_UNSUPPORTED,
         "model.end_of_word_suffix: found \"</w>\""},
        {WITH_MODEL("\"unk_token\": \"<unk>\", "), GPT2_ERR_UNSUPPORTED,
         "model.unk_token is set and byte 0x00 has no token"},
        {WITH_MODEL("\"byte_fallback\": true, "), GPT2_ERR_UNSUPPORTED,
         "model.byte_fallback is set and byte 0x00"},
        {WITH_MODEL("\"byte_fallback\": 0, "), GPT2_ERR_FORMAT,
         "model.byte_fallback: found 0, wanted true or false"},
        {WITH_MODEL("\"vocab\": {\"a\": 0}, "), GPT2_ERR_FORMAT, "model.vocab appears twice"},
        {WITH_MODEL("\"new_rule\": 1, "), GPT2_ERR_UNSUPPORTED, "model.\"new_rule\" is a key"},
        {WITH_ADDED("[{\"id\": 10, \"content\": \"<|pad|>\"}]"), GPT2_ERR_UNSUPPORTED,
         "the id of the added token \"<|pad|>\": found 10, wanted 11, the next after the "
         "vocabulary"},
        {WITH_ADDED("[{\"id\": 9, \"content\": \"<|endoftext|>\"}]"), GPT2_ERR_UNSUPPORTED,
         "found 9, wanted 10, its id in the vocabulary"},
        {WITH_ADDED("[{\"id\": 10, \"content\": \"<|endoftext|>\", \"lstrip\": 1}]"),
         GPT2_ERR_FORMAT, "added_tokens.lstrip: found 1, wanted true or false"},
        {WITH_ADDED("[{\"id\": 10, \"content\": \"<|endoftext|>\", \"rank\": 1}]"),
         GPT2_ERR_UNSUPPORTED, "added_tokens.\"rank\" is a key that"},
        {WITH_ADDED("[{\"id\": 11, \"content\": \" x\", \"rstrip\": true}]"), GPT2_ERR_UNSUPPORTED,
         "the added token \" x\" has white space at an end, which libgpt2"},
        {WITH_ADDED("[{\"id\": 2097152, \"content\": \"<|endoftext|>\"}]"), GPT2_ERR_FORMAT,
         "found 2097152, wanted an integer from 0 to 2097151"},
        {WITH_ADDED("[{\"content\": \"<|endoftext|>\"}]"), GPT2_ERR_FORMAT,
         "added_tokens.id is missing"},
        {WITH_ADDED("{}"), GPT2_ERR_FORMAT, "added_tokens: found an object, wanted an array"},
        {WITH_ADDED("[1]"), GPT2_ERR_FORMAT, "added_tokens: found 1, wanted an object"},
        {WITH_MERGES("{}"), GPT2_ERR_FORMAT, "model.merges: wanted an array"},
        {WITH_MERGES("[1]"), GPT2_ERR_FORMAT, "merge 1: found 1, wanted \"a b\" or"},
        {WITH_MERGES("[\"a b\", \"ab\"]"), GPT2_ERR_FORMAT, "merge 2: found \"ab\""},
        {WITH_MERGES("[\"a b c\"]"), GPT2_ERR_FORMAT, "merge 1: found \"a b c\""},
        {WITH_MERGES("[[\"a\"]]"), GPT2_ERR_FORMAT, "merge 1: found ]"},
        {WITH_MERGES("[[\"a\", \"b\", \"c\"]]"), GPT2_ERR_FORMAT, "merge 1: found \"c\""},
        {WITH_MERGES("[[\"a\", 1]]"), GPT2_ERR_FORMAT, "merge 1: found 1"},
        {WITH_MERGES("[[\"a\", \"z\"]]"), GPT2_ERR_FORMAT,
         "merge 1: symbol \"z\" is not in model.vocab"},
        {WITH_MERGES("[[\"b\", \"c\"]]"), GPT2_ERR_FORMAT,
         "merge 1: the merge makes a symbol that \"bc\" is not in model.vocab"},
        {WITH_MERGES("[[\"#version\", \"c\"]]"), GPT2_ERR_FORMAT, "symbol \"#version\" is not"},
        {WITH_MERGES("[[\"\\ud800\", \"c\"]]"), GPT2_ERR_FORMAT, "surrogate"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        gpt2_tokenizer *tokenizer;
        int32_t status;

        put_json(cases[i].file);
        status = BOUNDED(load(DIRECTORY, &tokenizer));
        assert_null(tokenizer);
        if (status != cases[i].status || strstr(line, cases[i].fragment) == NULL)
            fail_msg("case %zu: status %d: \"%s\" without \"%s\"", i, (int)status, line,
                     cases[i].fragment);
        assert_ptr_equal(strstr(line, PATH), line); /* the file's name comes first */
    }
}

/* tokenizer.json comes first; vocab.json or merges.txt alone is not read. */
static void test_choice(void **state)
{
    gpt2_tokenizer *tokenizer;

    (void)state;
    put_json(SMALL);
    put_vocabulary("{\"a\": 0}", "");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(BOUNDED(load(DIRECTORY, &tokenizer)), GPT2_OK);
        assert_int_equal(gpt2_tokenizer_n_vocab(tokenizer), 11);
        gpt2_tokenizer_free(tokenizer);
        put_vocabulary(i == 0 ? "{" : NULL, i == 0 ? NULL : "a");
    }
    put_vocabulary("{\"a\": 0}", "");
    assert_int_equal(unlink(PATH), 0);
    assert_int_equal(BOUNDED(load(DIRECTORY, &tokenizer)), GPT2_OK);
    assert_int_equal(gpt2_tokenizer_n_vocab(tokenizer), 1);
    gpt2_tokenizer_free(tokenizer);
}

static void test_sources(void **state)
{
    const gpt2_source source = {"tokenizer.json", SMALL, sizeof SMALL - 1, NULL, NULL};
    gpt2_tokenizer *tokenizer;

    (void)state;
    assert_int_equal(gpt2_tokenizer_load_sources(&source, 1, NULL, &tokenizer), GPT2_OK);
    assert_int_equal(gpt2_tokenizer_n_vocab(tokenizer), 11);
    gpt2_tokenizer_free(tokenizer);
}

/* Depth: 64 levels are read, deeper ones are refused, without a stack that grows. */
static void test_deep(void **state)
{
    static char file[300000];
    gpt2_tokenizer *tokenizer;

    (void)state;
    for (int depth = 63; depth <= 64; depth++) {
        size_t n = (size_t)sprintf(file, "{\"padding\": ");

        memset(file + n, '[', (size_t)depth);
        memset(file + n + depth, ']', (size_t)depth);
        (void)strcpy(file + n + 2 * (size_t)depth, "}");
        put_json(file);
        assert_int_equal(BOUNDED(load(DIRECTORY, &tokenizer)), GPT2_ERR_FORMAT);
        assert_non_null(
            strstr(line, depth == 63 ? "pre_tokenizer is missing" : "nested deeper than 64"));
    }
    (void)strcpy(file, "{\"padding\": ");
    memset(file + 12, '[', sizeof file - 13);
    put_json(file);
    assert_int_equal(BOUNDED(load(DIRECTORY, &tokenizer)), GPT2_ERR_FORMAT);
}

/* ------------------------------------------------------------------------- the demo and GPT-2 -- */

/* A file in memory that grows. */
struct writer {
    char *text;
    size_t n, room;
};

static void put(struct writer *writer, const char *text, size_t n_bytes)
{
    if (writer->n + n_bytes >= writer->room) {
        writer->room = 2 * (writer->n + n_bytes) + 4096;
        writer->text = realloc(writer->text, writer->room);
        assert_non_null(writer->text);
    }
    memcpy(writer->text + writer->n, text, n_bytes);
    writer->n += n_bytes;
    writer->text[writer->n] = '\0';
}

static void put_string(struct writer *writer, const char *text, size_t n_bytes)
{
    put(writer, "\"", 1);
    for (size_t i = 0; i < n_bytes; i++) {
        if (text[i] == '"' || text[i] == '\\')
            put(writer, "\\", 1);
        put(writer, text + i, 1);
    }
    put(writer, "\"", 1);
}

/* tokenizer.json of a vocab.json and a merges.txt. */
static struct writer make_json(const char *directory, bool pairs)
{
    static const char begin[] =
        "{\"pre_tokenizer\": " LEVEL ", \"decoder\": " LEVEL ", \"model\": {\"merges\": [";
    struct writer writer = {NULL, 0, 0};
    size_t n_vocab, n_merges;
    char *vocab = get_file(directory, "vocab.json", &n_vocab);
    char *merges = get_file(directory, "merges.txt", &n_merges);
    const char *comma = "";

    assert_non_null(vocab);
    assert_non_null(merges);
    put(&writer, begin, sizeof begin - 1);
    for (size_t at = 0; at < n_merges;) {
        const char *text = merges + at;
        const char *end = memchr(text, '\n', n_merges - at);
        size_t length = end == NULL ? n_merges - at : (size_t)(end - text);
        const char *space = memchr(text, ' ', length);

        at += length + 1;
        if (space == NULL || (length > 8 && memcmp(text, "#version", 8) == 0))
            continue;
        put(&writer, comma, strlen(comma));
        comma = ",";
        if (!pairs) {
            put_string(&writer, text, length);
            continue;
        }
        put(&writer, "[", 1);
        put_string(&writer, text, (size_t)(space - text));
        put(&writer, ",", 1);
        put_string(&writer, space + 1, length - (size_t)(space + 1 - text));
        put(&writer, "]", 1);
    }
    put(&writer, "], \"vocab\": ", 12);
    put(&writer, vocab, n_vocab);
    put(&writer, "}}", 2);
    free(merges);
    free(vocab);
    return writer;
}

/* All tokens and the ids of texts are those of vocab.json and merges.txt. */
static void check_same(const char *directory)
{
    struct pair wanted = open_pair(directory);

    for (int pairs = 0; pairs < 2; pairs++) {
        struct writer json = make_json(directory, pairs != 0);
        struct pair pair;
        char text[200];
        int32_t n_vocab = gpt2_tokenizer_n_vocab(wanted.tokenizer);

        put_json("");
        put_file(PATH, json.text, json.n);
        free(json.text);
        pair = open_pair(DIRECTORY);
        assert_int_equal(gpt2_tokenizer_n_vocab(pair.tokenizer), n_vocab);
        assert_int_equal(gpt2_tokenizer_eot(pair.tokenizer), gpt2_tokenizer_eot(wanted.tokenizer));
        for (int32_t id = 0; id < n_vocab; id++) {
            const char *bytes[2];
            size_t n_bytes[2];

            (void)gpt2_tokenizer_token_bytes(wanted.tokenizer, id, &bytes[0], &n_bytes[0]);
            (void)gpt2_tokenizer_token_bytes(pair.tokenizer, id, &bytes[1], &n_bytes[1]);
            assert_int_equal(n_bytes[0], n_bytes[1]);
            assert_memory_equal(bytes[0], bytes[1], n_bytes[0]);
            assert_int_equal(gpt2_tokenizer_is_added(pair.tokenizer, id),
                             gpt2_tokenizer_is_added(wanted.tokenizer, id));
        }
        for (int round = 0; round < 2000; round++) {
            size_t n = random_below(sizeof text), n_ids;
            int32_t *ids;

            for (size_t i = 0; i < n; i++)
                text[i] = round % 4 == 0 ? (char)random_below(256)
                                         : "etaoin shrdlu ,.'\n THE19"[random_below(23)];
            ids = encode(wanted, text, n, GPT2_ENCODE_SPECIAL, &n_ids);
            check_ids(pair, text, n, GPT2_ENCODE_SPECIAL, ids, n_ids);
            free(ids);
        }
        close_pair(pair);
    }
    close_pair(wanted);
}

static void test_demo(void **state)
{
    (void)state;
    check_same(DEMO);
}

static void test_gpt2(void **state)
{
    (void)state;
    if (shared("tokenizer/vocab.json") == NULL)
        skip();
    check_same(shared("tokenizer"));
}

/* ------------------------------------------------------------------------------ broken files -- */

/* Loads the file written last: it is refused with a line, or it loads and encodes. */
static void check_survives(void)
{
    gpt2_tokenizer *tokenizer;
    gpt2_encoder *encoder;
    int32_t status = BOUNDED(load(DIRECTORY, &tokenizer));
    int32_t ids[64];
    size_t n_ids;

    if (status != GPT2_OK) {
        assert_true(status == GPT2_ERR_FORMAT || status == GPT2_ERR_UNSUPPORTED);
        assert_null(tokenizer);
        assert_ptr_equal(strstr(line, DIRECTORY), line);
        return;
    }
    assert_int_equal(gpt2_encoder_create(tokenizer, NULL, &encoder), GPT2_OK);
    status = gpt2_encode(encoder, "the abc \n\xc3\xa9" EOT, 24, GPT2_ENCODE_SPECIAL, ids,
                         COUNT(ids), &n_ids);
    assert_true(status == GPT2_OK || status == GPT2_ERR_TOKEN);
    for (size_t i = 0; i < n_ids; i++)
        assert_true(ids[i] >= 0 && ids[i] < gpt2_tokenizer_n_vocab(tokenizer));
    gpt2_encoder_free(encoder);
    gpt2_tokenizer_free(tokenizer);
}

static void test_cut_and_changed(void **state)
{
    static const char special[] = "\"\\{}[]:,0 9-\n\xff\xc4\0u";
    static const char file[] = SMALL;
    static char changed[sizeof file];
    gpt2_tokenizer *tokenizer;

    (void)state;
    put_json("");
    for (size_t n = 0; n < sizeof file - 1; n++) {
        put_file(PATH, file, n);
        assert_int_equal(BOUNDED(load(DIRECTORY, &tokenizer)), GPT2_ERR_FORMAT);
        assert_null(tokenizer);
    }
    for (size_t at = 0; at < sizeof file - 1; at++) { /* each byte, each bit, and three more */
        for (unsigned i = 0; i < 11; i++) {
            memcpy(changed, file, sizeof file);
            changed[at] =
                i < 8 ? (char)(changed[at] ^ (1u << i)) : special[random_below(sizeof special - 1)];
            put_file(PATH, changed, sizeof file - 1);
            check_survives();
        }
    }
}

/* The demo model's file, cut short at many places. */
static void test_demo_cut(void **state)
{
    struct writer json = make_json(DEMO, true);
    gpt2_tokenizer *tokenizer;

    (void)state;
    put_json("");
    for (size_t n = 0; n < json.n; n += 1 + json.n / 97) {
        put_file(PATH, json.text, n);
        assert_int_equal(BOUNDED(load(DIRECTORY, &tokenizer)), GPT2_ERR_FORMAT);
        assert_null(tokenizer);
    }
    free(json.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_added),
        cmocka_unit_test(test_twice),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_choice),   cmocka_unit_test(test_sources),
        cmocka_unit_test(test_deep),     cmocka_unit_test(test_demo),
        cmocka_unit_test(test_gpt2),     cmocka_unit_test(test_cut_and_changed),
        cmocka_unit_test(test_demo_cut), cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("tokenizer_json", tests, make_directory, remove_all);
}
