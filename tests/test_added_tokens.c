/*
 * test_added_tokens.c: tokenizer.json with added tokens and pre_tokenizers of all forms, and the files beside
 * vocab.json: ids of Hugging Face tokenizers 0.20.3 and transformers 4.46.3, which are written down here.
 * Every text also comes in parts.  A native file keeps all of it.
 *
 * WRAP := mmap mmap64 munmap
 */
#define DIRECTORY TESTS_TMP "/added_tokens"
#include "bounds.h"
#include "text_helpers.h"

#include "tiny_model.h"

#include <time.h>

#define LEVEL_OF(prefix, regex)                                                            \
    "{\"type\": \"ByteLevel\", \"add_prefix_space\": " prefix ", \"trim_offsets\": true, " \
    "\"use_regex\": " regex "}"
#define LEVEL           LEVEL_OF("false", "true")
#define PREFIX          LEVEL_OF("true", "true")
#define NO_REGEX        LEVEL_OF("false", "false")
#define PREFIX_NO_REGEX LEVEL_OF("true", "false")
#define SEQUENCE(steps) "{\"type\": \"Sequence\", \"pretokenizers\": [" steps "]}"
#define DIGITS(each)    "{\"type\": \"Digits\", \"individual_digits\": " each "}"
#define REST            "| ?\\\\p{L}+| ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)|\\\\s+"
#define SPLIT_OF(pattern, behavior, invert)                                                      \
    "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" pattern "\"}, \"behavior\": \"" behavior \
    "\", \"invert\": " invert "}"
#define SPLIT          SPLIT_OF("'s|'t|'re|'ve|'m|'ll|'d" REST, "Isolated", "false")
#define SPLIT_TIKTOKEN SPLIT_OF("'(?:[sdmt]|ll|ve|re)" REST, "Removed", "true")

#define MOST_IDS 64
#define ROOM     (1 << 16)

struct token {
    int32_t id;
    const char *content;
    const char *flags; /* those that are true */
};

struct text {
    const char *text;
    const char *ids;
    const char *plain_ids; /* without special tokens; "": the same */
};

static const struct tokenizer {
    const char *pieces;
    struct token tokens[5];
    struct text texts[6];
} tokenizers[] = {
    {LEVEL,
     {{113, "<|endoftext|>", "normalized special"}},
     {{"ab<|endoftext|>ab", "101 113 101", "101 27 91 68 77 67 78 69 83 68 87 83 91 29 101"},
      {" a  ab\n\nab'sab 12ab", "102 94 94 101 95 95 101 106 101 94 104 101", ""}}},
    {LEVEL,
     {{113, "<|endoftext|>", "normalized special"}, {114, "<m>", "lstrip"}},
     {{"ab  \n<m> ab", "101 114 94 101", ""},
      {"<m><m>  <m>", "114 114 114", ""},
      {" <|endoftext|> <m>", "94 113 114", "94 27 91 68 77 67 78 69 83 68 87 83 91 29 114"}}},
    {LEVEL,
     {{113, "<|endoftext|>", "normalized special"}, {114, "<m>", "rstrip"}},
     {{"ab <m>  \n ab", "101 94 114 101", ""},
      {"<m>   ", "114", ""},
      {"<m> <m> <|endoftext|>", "114 114 113", "114 114 27 91 68 77 67 78 69 83 68 87 83 91 29"}}},
    {LEVEL,
     {{113, "<|endoftext|>", "normalized special"}, {114, "<m>", "lstrip rstrip normalized"}},
     {{"a <m> a <m> <m>b", "64 114 64 114 114 65", ""}, {"  <m>  ", "114", ""}}},
    {LEVEL,
     {{113, "<|endoftext|>", "normalized special"}, {101, "ab", "single_word"}},
     {{"ab ab abab ab1 -ab- ab", "101 94 101 94 101 101 94 101 16 94 12 101 12 94 101", ""},
      {"ab", "101", ""},
      {"xab ab_ \xc3\xa9"
       "ab .ab.",
       "87 101 94 101 62 94 96 97 101 94 13 101 13", ""}}},
    {LEVEL,
     {{101, "ab", "single_word"}, {114, "bc", ""}},
     {{"abc", "101 66", ""}, {"abcbc ab", "101 66 114 94 101", ""}}},
    {LEVEL,
     {{114, "xy", "normalized"},
      {115, "yz", ""},
      {89, "z", "normalized"},
      {113, "<|endoftext|>", "normalized special"}},
     {{"xyz", "87 115", ""}, {"xyxyzz", "114 87 115 89", ""}}},
    {LEVEL,
     {{114, "<a", ""}, {115, "<a>", ""}, {116, "<a>b", ""}, {64, "a", "special"}},
     {{"<a>b<a><a", "116 115 114", ""},
      {"<a<a>c", "114 115 66", ""},
      {"aba", "64 65 64", "101 64"}}},
    {LEVEL,
     {{114, "<s>", "special"},
      {115, "s>", ""},
      {116, "<s", ""},
      {113, "<|endoftext|>", "normalized special"}},
     {{"<s>a", "114 64", "27 82 29 64"}, {"x<s>s><s", "87 114 115 116", "87 27 82 29 115 116"}}},
    {PREFIX,
     {{113, "<|endoftext|>", "normalized special"}, {114, "<m>", "normalized"}},
     {{"ab", "94 101", ""},
      {"  ab", "94 94 101", ""},
      {"\n\nab", "94 95 95 101", ""},
      {"'s a", "107 82 102", ""},
      {"\nab<m>ab<m>\n<m> ab", "94 95 101 114 94 101 114 94 95 114 94 101", ""},
      {"", "", ""}}},
    {NO_REGEX,
     {{113, "<|endoftext|>", "normalized special"}},
     {{"ab ab12ab<|endoftext|>ab  ab", "112 101 104 101 113 101 103 101",
       "112 101 104 101 27 91 68 77 67 78 69 83 68 87 83 91 29 101 103 101"}}},
    {PREFIX_NO_REGEX,
     {{113, "<|endoftext|>", "normalized special"}},
     {{"ab ab<|endoftext|>ab", "94 112 101 113 94 101",
       "94 112 101 27 91 68 77 67 78 69 83 68 87 83 91 29 101"},
      {" ab", "94 101", ""}}},
    {SEQUENCE(DIGITS("true") ", " LEVEL),
     {{113, "<|endoftext|>", "normalized special"}},
     {{"ab123 12  1\n\n12ab  ab1", "101 16 17 18 94 16 17 103 16 108 16 17 101 94 94 101 16", ""}}},
    {SEQUENCE(DIGITS("false") ", " LEVEL),
     {{113, "<|endoftext|>", "normalized special"}},
     {{"ab123 12  1\n\n12ab  ab1", "101 111 94 104 103 16 108 104 101 94 94 101 16", ""}}},
    {SEQUENCE(DIGITS("true") ", " NO_REGEX),
     {{113, "<|endoftext|>", "normalized special"}},
     {{"ab ab123 12ab  ab1", "112 101 16 17 18 94 16 17 101 103 101 16", ""}}},
    {SEQUENCE(SPLIT ", " DIGITS("true") ", " NO_REGEX),
     {{113, "<|endoftext|>", "normalized special"}},
     {{"ab123 12  1\n\n12ab  ab1", "101 16 17 18 94 16 17 94 94 16 95 95 16 17 101 94 94 101 16",
       ""}}},
    {SEQUENCE(SPLIT_TIKTOKEN ", " DIGITS("false") ", " NO_REGEX),
     {{113, "<|endoftext|>", "normalized special"}},
     {{"ab123 12  1\n\n12ab  ab1", "101 111 94 104 94 94 16 95 95 104 101 94 94 101 16", ""}}},
    {SEQUENCE(SPLIT_TIKTOKEN ", " NO_REGEX),
     {{113, "<|endoftext|>", "normalized special"}},
     {{"ab123 12  1\n\n12ab'sab", "101 111 94 104 94 105 95 95 104 101 106 101", ""}}},
};

/* ------------------------------------------------------------------------------------ the files -- */

struct writer {
    char text[ROOM];
    size_t n;
};

static void put(struct writer *writer, const char *text)
{
    size_t n = strlen(text);

    assert_true(n < ROOM - writer->n);
    memcpy(writer->text + writer->n, text, n + 1);
    writer->n += n;
}

static void put_symbol(struct writer *writer, const char *symbol, int id)
{
    char number[16];

    put(writer, id == 0 ? "{\"" : ", \"");
    put(writer, symbol);
    (void)snprintf(number, sizeof number, "\": %d", id);
    put(writer, number);
}

/* The printable characters of ASCII, some bytes more, what the merges make, and <|endoftext|>. */
static void put_model(struct writer *writer)
{
    static const char *const more[] = {"\\u0120", "\\u010a", "\\u00c3", "\\u00a9",
                                       "\\u00c2", "\\u0142", "\\u00d9"};
    static const char *const merges[][2] = {
        {"a", "b"},  {"\\u0120", "a"}, {"\\u0120", "\\u0120"}, {"1", "2"}, {"\\u0120", "1"},
        {"'", "s"},  {"\\u0120", "'"}, {"\\u010a", "\\u010a"}, {"b", "1"}, {"\\u0120a", "b"},
        {"12", "3"}, {"ab", "\\u0120"}};
    int id = 0;

    put(writer, "{\"type\": \"BPE\", \"vocab\": ");
    for (char c = '!'; c <= '~'; c++) {
        char symbol[3] = {'\\', c, '\0'};

        put_symbol(writer, c == '"' || c == '\\' ? symbol : symbol + 1, id++);
    }
    for (size_t i = 0; i < COUNT(more); i++)
        put_symbol(writer, more[i], id++);
    for (size_t i = 0; i < COUNT(merges); i++) {
        char symbol[32];

        (void)snprintf(symbol, sizeof symbol, "%s%s", merges[i][0], merges[i][1]);
        put_symbol(writer, symbol, id++);
    }
    put_symbol(writer, EOT, id);
    for (size_t i = 0; i < COUNT(merges); i++) {
        put(writer, i == 0 ? "}, \"merges\": [[\"" : ", [\"");
        put(writer, merges[i][0]);
        put(writer, "\", \"");
        put(writer, merges[i][1]);
        put(writer, "\"]");
    }
    put(writer, "]}");
}

static void put_token(struct writer *writer, const struct token *token)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip", "normalized", "special"};
    char begin[64];

    (void)snprintf(begin, sizeof begin, "{\"id\": %d, \"content\": \"", (int)token->id);
    put(writer, begin);
    put(writer, token->content);
    put(writer, "\"");
    for (size_t i = 0; i < COUNT(flags); i++) {
        put(writer, ", \"");
        put(writer, flags[i]);
        put(writer, strstr(token->flags, flags[i]) != NULL ? "\": true" : "\": false");
    }
    put(writer, "}");
}

static void make_json(struct writer *writer, const struct tokenizer *tokenizer)
{
    writer->n = 0;
    put(writer, "{\"version\": \"1.0\", \"added_tokens\": [");
    for (size_t i = 0; tokenizer->tokens[i].content != NULL; i++) {
        put(writer, i == 0 ? "" : ", ");
        put_token(writer, &tokenizer->tokens[i]);
    }
    put(writer, "], \"normalizer\": null, \"pre_tokenizer\": ");
    put(writer, tokenizer->pieces);
    put(writer, ", \"post_processor\": null, \"decoder\": " LEVEL ", \"model\": ");
    put_model(writer);
    put(writer, "}");
}

/* ---------------------------------------------------------------------------------- the checks -- */

static size_t read_ids(const char *text, int32_t ids[MOST_IDS])
{
    size_t n = 0;
    char *end;

    for (; *text != '\0'; text = end + (*end == ' ')) {
        assert_true(n < MOST_IDS);
        ids[n++] = (int32_t)strtol(text, &end, 10);
        assert_ptr_not_equal(end, text);
    }
    return n;
}

/* The text in parts of 'step' bytes, from the first 'first' bytes on. */
static size_t encode_parts(gpt2_encoder *encoder, const char *text, size_t first, size_t step,
                           uint32_t flags, int32_t ids[MOST_IDS])
{
    size_t n_bytes = strlen(text), n_ids = 0, n;

    for (size_t at = 0, end = first; at < n_bytes; at = end, end += step) {
        char part[64]; /* of just that size, so that a sanitizer sees a step outside */
        char *copy;

        end = end < n_bytes ? end : n_bytes;
        assert_true(end - at <= sizeof part);
        copy = malloc(end - at + 1);
        assert_non_null(copy);
        memcpy(copy, text + at, end - at);
        assert_int_equal(gpt2_encode(encoder, copy, end - at, flags | GPT2_ENCODE_MORE, ids + n_ids,
                                     MOST_IDS - n_ids, &n),
                         GPT2_OK);
        free(copy);
        n_ids += n;
    }
    assert_int_equal(gpt2_encode(encoder, NULL, 0, flags, ids + n_ids, MOST_IDS - n_ids, &n),
                     GPT2_OK);
    return n_ids + n;
}

static void check_text(gpt2_encoder *encoder, const char *text, const char *ids, uint32_t flags)
{
    int32_t wanted[MOST_IDS], found[MOST_IDS];
    size_t n_wanted = read_ids(ids, wanted), n;

    assert_int_equal(gpt2_encode(encoder, text, strlen(text), flags, found, MOST_IDS, &n), GPT2_OK);
    for (size_t first = 0;; first++) {
        if (n != n_wanted || memcmp(found, wanted, n * sizeof *found) != 0) {
            for (size_t i = 0; i < n; i++)
                print_message("%d ", (int)found[i]);
            fail_msg("\"%s\", flags %u, cut %zu: other ids, wanted %s", text, flags, first, ids);
        }
        if (first > strlen(text))
            break;
        n = encode_parts(encoder, text, first, first == 0 ? 1 : 2 * MOST_IDS, flags, found);
    }
}

static void check_texts(const gpt2_tokenizer *tokenizer, const struct text *texts)
{
    gpt2_encoder *encoder;

    assert_int_equal(gpt2_encoder_create(tokenizer, NULL, &encoder), GPT2_OK);
    for (size_t i = 0; i < COUNT(tokenizers[0].texts) && texts[i].text != NULL; i++) {
        bool same = texts[i].plain_ids[0] == '\0';

        check_text(encoder, texts[i].text, texts[i].ids, GPT2_ENCODE_SPECIAL);
        check_text(encoder, texts[i].text, same ? texts[i].ids : texts[i].plain_ids, 0);
    }
    gpt2_encoder_free(encoder);
}

static gpt2_tokenizer *load_sources(const gpt2_source *sources, size_t n, int32_t status)
{
    gpt2_tokenizer_params params;
    gpt2_tokenizer *tokenizer;
    int32_t found;

    assert_int_equal(gpt2_tokenizer_params_init(&params, sizeof params), GPT2_OK);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    found = BOUNDED(gpt2_tokenizer_load_sources(sources, n, &params, &tokenizer));
    if (found != status)
        fail_msg("found status %d, wanted %d: %s", (int)found, (int)status, line);
    return tokenizer;
}

static void test_forms(void **state)
{
    static struct writer json;

    (void)state;
    for (size_t i = 0; i < COUNT(tokenizers); i++) {
        gpt2_source source = {"tokenizer.json", json.text, 0, NULL, NULL};
        gpt2_tokenizer *tokenizer;

        make_json(&json, &tokenizers[i]);
        source.n_bytes = json.n;
        tokenizer = load_sources(&source, 1, GPT2_OK);
        check_texts(tokenizer, tokenizers[i].texts);
        gpt2_tokenizer_free(tokenizer);
    }
}

/* ------------------------------------------------------------------------------- a native file -- */

static struct {
    _Alignas(64) unsigned char bytes[1 << 20];
    size_t n;
} native;

static int32_t add_part(void *user, const void *bytes, size_t n_bytes)
{
    (void)user;
    assert_true(n_bytes <= sizeof native.bytes - native.n);
    memcpy(native.bytes + native.n, bytes, n_bytes);
    native.n += n_bytes;
    return 0;
}

static void test_native(void **state)
{
    static struct writer json;
    struct tiny_model file = tiny_odd(DIRECTORY);

    (void)state;
    tiny_write(&file);
    for (size_t i = 0; i < COUNT(tokenizers); i++) {
        gpt2_source source = {"native.safetensors", native.bytes, 0, NULL, NULL};
        gpt2_tokenizer *tokenizer;
        gpt2_model *model;

        make_json(&json, &tokenizers[i]);
        put_file(DIRECTORY "/tokenizer.json", json.text, json.n);
        assert_int_equal(gpt2_model_load(DIRECTORY, NULL, &model), GPT2_OK);
        native.n = 0;
        assert_int_equal(gpt2_model_write(model, "native.safetensors", add_part, NULL, NULL, 0),
                         GPT2_OK);
        gpt2_model_free(model);
        source.n_bytes = native.n;
        tokenizer = load_sources(&source, 1, GPT2_OK);
        check_texts(tokenizer, tokenizers[i].texts);
        gpt2_tokenizer_free(tokenizer);
        assert_int_equal(gpt2_model_load_sources(&source, 1, NULL, &model), GPT2_OK);
        check_texts(gpt2_model_tokenizer(model), tokenizers[i].texts);
        gpt2_model_free(model);
    }
    put_file(DIRECTORY "/tokenizer.json", NULL, 0);
    tiny_remove(DIRECTORY);
}

/* ---------------------------------------------------------------------- the files beside a pair -- */

#define VOCAB "{\"a\": 0, \"b\": 1, \"<|endoftext|>\": 2, \"\\u0120\": 3, \"ab\": 4}"

static const struct pair_case {
    const char *config, *map, *added; /* NULL: not there */
    int32_t n_vocab, eot, bos;
    struct text text;
} pair_cases[] = {
    {NULL, NULL, NULL, 5, 2, 2, {"ab<|endoftext|>a", "4 2 0", NULL}},
    {NULL,
     "{\"eos_token\": \"<e>\", \"pad_token\": {\"content\": \"<p>\", \"lstrip\": true}}",
     NULL,
     7,
     5,
     2,
     {"ab <p>a<e>", "4 6 0 5", NULL}},
    {"{\"eos_token\": \"<e>\", \"add_prefix_space\": true, \"x\": [1]}",
     NULL,
     NULL,
     6,
     5,
     2,
     {"ab<e>a", "3 4 5 3 0", NULL}},
    {"{\"eos_token\": \"<e>\"}",
     "{\"eos_token\": \"<f>\", \"bos_token\": \"a\"}",
     NULL,
     6,
     5,
     0,
     {"a<f>", "0 5", NULL}},
    {NULL, NULL, "{\"bb\": 6, \"<p>\": 5}", 7, 2, 2, {"bb<p>bba", "6 5 6 0", NULL}},
    {NULL,
     "{\"additional_special_tokens\": [\"<x>\", {\"content\": \"<y>\", \"rstrip\": true}]}",
     "{\"<p>\": 5}",
     8,
     2,
     2,
     {"<y> <x> <p>", "7 6 3 5", NULL}},
    {"{\"added_tokens_decoder\": {\"6\": {\"content\": \"<p>\", \"lstrip\": true}, "
     "\"5\": {\"content\": \"</s>\", \"special\": true}}, \"eos_token\": \"</s>\"}",
     "{\"eos_token\": \"<none>\"}",
     "{\"<none>\": 9}",
     7,
     5,
     2,
     {"a </s> <p>", "0 3 5 6", NULL}},
    {"{\"eos_token\": null, \"bos_token\": null, \"unk_token\": null}",
     NULL,
     NULL,
     5,
     -1,
     -1,
     {"ab", "4", NULL}},
};

/* The files of a case that are there; returns how many. */
static size_t add_files(const struct pair_case *files, gpt2_source *sources)
{
    const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json",
                                 "added_tokens.json"};
    const char *const texts[] = {files->config, files->map, files->added};
    size_t n = 0;

    for (size_t i = 0; i < COUNT(names); i++) {
        if (texts[i] != NULL)
            sources[n++] = (gpt2_source){names[i], texts[i], strlen(texts[i]), NULL, NULL};
    }
    return n;
}

static gpt2_tokenizer *load_pair(const struct pair_case *files, int32_t status)
{
    gpt2_source sources[5] = {{"vocab.json", VOCAB, sizeof VOCAB - 1, NULL, NULL},
                              {"merges.txt", "a b\n", 4, NULL, NULL}};

    return load_sources(sources, 2 + add_files(files, sources + 2), status);
}

static void test_pairs(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(pair_cases); i++) {
        gpt2_tokenizer *tokenizer = load_pair(&pair_cases[i], GPT2_OK);
        gpt2_encoder *encoder;

        assert_int_equal(gpt2_tokenizer_n_vocab(tokenizer), pair_cases[i].n_vocab);
        assert_int_equal(gpt2_tokenizer_eot(tokenizer), pair_cases[i].eot);
        assert_int_equal(gpt2_tokenizer_bos(tokenizer), pair_cases[i].bos);
        assert_int_equal(gpt2_encoder_create(tokenizer, NULL, &encoder), GPT2_OK);
        check_text(encoder, pair_cases[i].text.text, pair_cases[i].text.ids, GPT2_ENCODE_SPECIAL);
        gpt2_encoder_free(encoder);
        gpt2_tokenizer_free(tokenizer);
    }
}

/* ----------------------------------------------------------- the files beside a tokenizer.json -- */

#define GPT2_CLASS  "\"tokenizer_class\": \"GPT2Tokenizer\""
#define PLAIN_CLASS "\"tokenizer_class\": \"PreTrainedTokenizerFast\""
#define DECODER(flags) \
    "\"added_tokens_decoder\": {\"5\": {\"content\": \"<p>\"" flags ", \"special\": false}}"

/* Beside <|endoftext|> of id 2 and <p> of id 5, which takes the space before it; ids of transformers. */
static const struct json_case {
    const char *pieces;
    struct pair_case files;
} json_cases[] = {
    /* only GPT2Tokenizer takes add_prefix_space of the config, and only for a ByteLevel alone */
    {LEVEL, {"{\"add_prefix_space\": true}", NULL, NULL, 6, 2, 2, {"ab <p>a", "3 4 5 3 0", ""}}},
    {LEVEL,
     {"{\"add_prefix_space\": true, " GPT2_CLASS "}", NULL, NULL, 6, 2, 2, {"ab", "3 4", ""}}},
    {LEVEL,
     {"{\"add_prefix_space\": true, " PLAIN_CLASS "}", NULL, NULL, 6, 2, 2, {"ab", "4", ""}}},
    {PREFIX, {"{" GPT2_CLASS "}", NULL, NULL, 6, 2, 2, {"ab", "4", ""}}},
    {PREFIX, {"{" PLAIN_CLASS "}", NULL, NULL, 6, 2, 2, {"ab", "3 4", ""}}},
    {PREFIX, {NULL, NULL, NULL, 6, 2, 2, {"ab", "3 4", ""}}},
    {SEQUENCE(PREFIX), {"{" GPT2_CLASS "}", NULL, NULL, 6, 2, 2, {"ab", "3 4", ""}}},
    /* flags of a word and of added_tokens.json do not count, those of added_tokens_decoder do */
    {LEVEL,
     {NULL,
      "{\"pad_token\": {\"content\": \"<p>\", \"rstrip\": true, \"lstrip\": false}}",
      "{\"<p>\": 5}",
      6,
      2,
      2,
      {"a <p> a", "0 5 3 0", ""}}},
    {LEVEL, {"{" DECODER("") "}", NULL, NULL, 6, 2, 2, {"a <p> a", "0 3 5 3 0", ""}}},
    {LEVEL,
     {"{" DECODER(", \"rstrip\": true") "}", NULL, NULL, 6, 2, 2, {"a <p> a", "0 3 5 0", ""}}},
    /* words of the class are tokens, after those of the file */
    {LEVEL, {"{\"eos_token\": \"<e>\"}", NULL, NULL, 7, 6, 2, {"a<e>", "0 6", ""}}},
};

static void test_beside_json(void **state)
{
    static char json[2000];

    (void)state;
    for (size_t i = 0; i < COUNT(json_cases); i++) {
        const struct pair_case *files = &json_cases[i].files;
        gpt2_source sources[5] = {{"tokenizer.json", json, 0, NULL, NULL}};
        gpt2_tokenizer *tokenizer;
        gpt2_encoder *encoder;

        sources[0].n_bytes = (size_t)snprintf(
            json, sizeof json,
            "{\"added_tokens\": [{\"id\": 2, \"content\": \"<|endoftext|>\", \"special\": true}, "
            "{\"id\": 5, \"content\": \"<p>\", \"lstrip\": true}], \"pre_tokenizer\": %s, "
            "\"decoder\": " LEVEL ", \"model\": {\"vocab\": " VOCAB ", \"merges\": [\"a b\"]}}",
            json_cases[i].pieces);
        tokenizer = load_sources(sources, 1 + add_files(files, sources + 1), GPT2_OK);
        assert_int_equal(gpt2_tokenizer_n_vocab(tokenizer), files->n_vocab);
        assert_int_equal(gpt2_tokenizer_eot(tokenizer), files->eot);
        assert_int_equal(gpt2_tokenizer_bos(tokenizer), files->bos);
        assert_int_equal(gpt2_encoder_create(tokenizer, NULL, &encoder), GPT2_OK);
        check_text(encoder, files->text.text, files->text.ids, GPT2_ENCODE_SPECIAL);
        gpt2_encoder_free(encoder);
        gpt2_tokenizer_free(tokenizer);
    }
}

/* GPT2Tokenizer's words become tokens before others do; another class has none that is not named. */
static void test_no_end(void **state)
{
    static const char json[] =
        "{\"added_tokens\": [], \"pre_tokenizer\": " LEVEL ", \"decoder\": " LEVEL
        ", \"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}}";
    static const struct {
        const char *config;
        int32_t n_vocab, eot;
        const char *ids; /* of "<p>a" */
    } cases[] = {
        {"{\"pad_token\": \"<p>\"}", 3, 1, "2 0"},
        {"{\"pad_token\": \"<p>\", " GPT2_CLASS "}", 3, 1, "2 0"},
        {"{\"pad_token\": \"<p>\", " PLAIN_CLASS "}", 2, -1, "1 0"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const gpt2_source sources[] = {
            {"tokenizer.json", json, sizeof json - 1, NULL, NULL},
            {"tokenizer_config.json", cases[i].config, strlen(cases[i].config), NULL, NULL}};
        gpt2_tokenizer *tokenizer = load_sources(sources, COUNT(sources), GPT2_OK);
        gpt2_encoder *encoder;

        assert_int_equal(gpt2_tokenizer_n_vocab(tokenizer), cases[i].n_vocab);
        assert_int_equal(gpt2_tokenizer_eot(tokenizer), cases[i].eot);
        assert_int_equal(gpt2_encoder_create(tokenizer, NULL, &encoder), GPT2_OK);
        check_text(encoder, "<p>a", cases[i].ids, GPT2_ENCODE_SPECIAL);
        gpt2_encoder_free(encoder);
        gpt2_tokenizer_free(tokenizer);
    }
}

static void test_refused(void **state)
{
    static const struct {
        struct pair_case files;
        int32_t status;
        const char *words;
    } cases[] = {
        {{.config = "[]"}, GPT2_ERR_FORMAT, "tokenizer_config.json: byte 1: wanted an object"},
        {{.config = "{\"eos_token\": 7}"},
         GPT2_ERR_FORMAT,
         "eos_token: found 7, wanted a string or an object"},
        {{.config = "{\"add_prefix_space\": 1}"},
         GPT2_ERR_FORMAT,
         "add_prefix_space: found 1, wanted true or false"},
        {{.map = "{\"pad_token\": {\"content\": \"x\", \"rank\": 1}}"},
         GPT2_ERR_UNSUPPORTED,
         "special_tokens_map.json: byte 38: \"rank\" is a key that libgpt2"},
        {{.config = "{\"tokenizer_class\": 7}"},
         GPT2_ERR_FORMAT,
         "tokenizer_class: found 7, wanted a string"},
        {{.map = "{\"pad_token\": {}}"}, GPT2_ERR_FORMAT, "content is missing"},
        {{.map = "{\"additional_special_tokens\": {}}"},
         GPT2_ERR_FORMAT,
         "additional_special_tokens: found an object, wanted an array"},
        {{.added = "{\"<p>\": 7}"},
         GPT2_ERR_UNSUPPORTED,
         "added_tokens.json: the id of the added token \"<p>\": found 7, wanted 5, the next"},
        {{.added = "{\"a\": 1}"},
         GPT2_ERR_UNSUPPORTED,
         "found 1, wanted 0, its id in the vocabulary"},
        {{.added = "{\"<p>\": \"5\"}"}, GPT2_ERR_FORMAT, "an id: found \"5\", wanted a number"},
        {{.added = "{\"<p>\": 5"}, GPT2_ERR_FORMAT, "added_tokens.json: byte 9: wanted"},
        {{.config = "{\"added_tokens_decoder\": {\"x\": {\"content\": \"y\"}}}"},
         GPT2_ERR_FORMAT,
         "found x, wanted an integer from 0 to 2097151"},
        {{.config = "{\"added_tokens_decoder\": {\"5\": \"y\"}}"},
         GPT2_ERR_FORMAT,
         "added_tokens_decoder: found \"y\", wanted an object"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_null(load_pair(&cases[i].files, cases[i].status));
        if (strstr(line, cases[i].words) == NULL)
            fail_msg("found the line \"%s\", wanted \"%s\" in it", line, cases[i].words);
    }
}

/* The word that ends a text counts, not the number in config.json; without a word the number does. */
static void test_end_of_text(void **state)
{
    static const char vocab[] = "{\"a\": 0, \"<|endoftext|>\": 1, \"b\": 2}";
    struct tiny_model file = tiny_odd(DIRECTORY);

    (void)state;
    for (int named = 0; named < 2; named++) {
        static const char none[] = "{\"eos_token\": null}";
        gpt2_model_info info;
        gpt2_model *model;

        file.eot = 2;
        tiny_write(&file);
        put_vocabulary(vocab, "");
        put_file(DIRECTORY "/tokenizer_config.json", named == 0 ? NULL : none, sizeof none - 1);
        assert_int_equal(gpt2_model_load(DIRECTORY, NULL, &model), GPT2_OK);
        assert_int_equal(gpt2_model_info_init(&info, sizeof info), GPT2_OK);
        assert_int_equal(gpt2_model_get_info(model, &info), GPT2_OK);
        assert_int_equal(info.eot_token, named == 0 ? 1 : 2);
        gpt2_model_free(model);
    }
    put_file(DIRECTORY "/tokenizer_config.json", NULL, 0);
    tiny_remove(DIRECTORY);
}

/* ---------------------------------------------------------------------------------------- limits -- */

static double seconds(void)
{
    struct timespec now;

    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Files of many tokens of which each begins as the text does, in the worst order. */
static void test_many(void **state)
{
    enum { MOST = 65536, TEXT_BYTES = 60000 };
    const size_t room = (size_t)MOST * 300;
    char *file = malloc(room), *text = malloc(TEXT_BYTES);
    double begin = seconds();

    (void)state;
    assert_non_null(file);
    assert_non_null(text);
    memset(text, 'a', TEXT_BYTES);
    for (int n_tokens = MOST - 1; n_tokens <= MOST + 1; n_tokens += 2) {
        struct pair_case files = {.added = file};
        char same[241];
        size_t n = (size_t)sprintf(file, "{");
        gpt2_tokenizer *tokenizer;
        gpt2_encoder *encoder;
        double encode_begin;
        size_t n_ids;

        memset(same, 'a', sizeof same - 1);
        same[sizeof same - 1] = '\0';
        for (int i = 0; i < n_tokens; i++) /* the default word is one more */
            n += (size_t)sprintf(file + n, "%s\"%s%d\": %d", i == 0 ? "" : ", ", same,
                                 n_tokens - i + 100000, i + 5);
        (void)strcpy(file + n, "}");
        bound_exception = n_tokens < MOST ? NULL : "65537 added tokens in 17 MB";
        tokenizer = load_pair(&files, n_tokens < MOST ? GPT2_OK : GPT2_ERR_UNSUPPORTED);
        if (tokenizer == NULL) {
            assert_non_null(strstr(line, "has more than 65536 added tokens"));
            continue;
        }
        assert_int_equal(gpt2_encoder_create(tokenizer, NULL, &encoder), GPT2_OK);
        encode_begin = seconds();
        assert_int_equal(
            gpt2_encode(encoder, text, TEXT_BYTES, GPT2_ENCODE_SPECIAL, NULL, 0, &n_ids),
            GPT2_ERR_BUFFER);
        assert_int_equal(n_ids, TEXT_BYTES);
        if (seconds() - encode_begin > 0.6) /* 10 us for each byte; it takes 1 */
            fail_msg("encoding took %.2f s", seconds() - encode_begin);
        gpt2_encoder_free(encoder);
        gpt2_tokenizer_free(tokenizer);
    }
    if (seconds() - begin > 10)
        fail_msg("took %.1f s", seconds() - begin);
    free(text);
    free(file);
}

/* The number of the longest token with which the text begins. */
static size_t plain_longest(char tokens[][16], size_t n_tokens, const char *text)
{
    size_t best = 0;

    for (size_t i = 0; i < n_tokens; i++) {
        if (strncmp(text, tokens[i], strlen(tokens[i])) == 0 &&
            (strncmp(text, tokens[best], strlen(tokens[best])) != 0 ||
             strlen(tokens[i]) > strlen(tokens[best])))
            best = i;
    }
    return best;
}

/* Random letters; no token of two, which the vocabulary has. */
static void put_letters(char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        text[i] = random_below(4) == 0 ? 'b' : 'a';
    text[length] = '\0';
}

/* Tokens that begin others, many times over: at each place of a text the longest is found. */
static void test_nested(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        char added[2000] = "{\"a\": 0, \"b\": 1", tokens[60][16] = {"a", "b"}, text[50],
             wanted[400];
        struct pair_case files = {.added = added};
        gpt2_tokenizer *tokenizer;
        gpt2_encoder *encoder;
        size_t n_tokens = 2, n = strlen(added), n_wanted = 0;

        while (n_tokens < COUNT(tokens)) {
            char *token = tokens[n_tokens];
            bool is_new = true;

            put_letters(token, 3 + random_below(13));
            for (size_t i = 0; i < n_tokens; i++)
                is_new = is_new && strcmp(tokens[i], token) != 0;
            if (is_new)
                n += (size_t)sprintf(added + n, ", \"%s\": %zu", token, n_tokens++ + 3);
        }
        (void)strcpy(added + n, "}");
        put_letters(text, sizeof text - 1);
        for (size_t at = 0; text[at] != '\0';) {
            size_t best = plain_longest(tokens, n_tokens, text + at);

            n_wanted += (size_t)sprintf(wanted + n_wanted, "%s%zu", at == 0 ? "" : " ",
                                        best < 2 ? best : best + 3);
            at += strlen(tokens[best]);
        }
        tokenizer = load_pair(&files, GPT2_OK);
        assert_int_equal(gpt2_encoder_create(tokenizer, NULL, &encoder), GPT2_OK);
        check_text(encoder, text, wanted, GPT2_ENCODE_SPECIAL);
        gpt2_encoder_free(encoder);
        gpt2_tokenizer_free(tokenizer);
    }
}

/* 256 bytes are read, 257 are too long. */
static void test_long(void **state)
{
    (void)state;
    for (size_t n = 256; n <= 257; n++) {
        char added[400] = "{\"", text[300] = "";
        struct pair_case files = {.added = added};
        gpt2_tokenizer *tokenizer;
        gpt2_encoder *encoder;

        memset(text, 'x', n);
        (void)sprintf(added, "{\"%s\": 5}", text);
        tokenizer = load_pair(&files, n == 256 ? GPT2_OK : GPT2_ERR_UNSUPPORTED);
        if (tokenizer == NULL) {
            assert_non_null(strstr(line, "has 257 bytes, wanted at most 256"));
            continue;
        }
        assert_int_equal(gpt2_encoder_create(tokenizer, NULL, &encoder), GPT2_OK);
        for (size_t first = 0; first <= n; first += 16) {
            int32_t ids[4];
            size_t n_first, n_ids;

            assert_int_equal(gpt2_encode(encoder, text, first, GPT2_ENCODE_MORE, ids, 4, &n_first),
                             GPT2_OK);
            assert_int_equal(gpt2_encode(encoder, text + first, n - first, 0, ids + n_first,
                                         4 - n_first, &n_ids),
                             GPT2_OK);
            assert_int_equal(n_first + n_ids, 1);
            assert_int_equal(ids[0], 5);
        }
        gpt2_encoder_free(encoder);
        gpt2_tokenizer_free(tokenizer);
    }
}

/* White space that a token takes counts as a piece does. */
static void test_stripped(void **state)
{
    struct pair_case files = {.map = "{\"pad_token\": {\"content\": \"<p>\", \"rstrip\": true, "
                                     "\"lstrip\": true}}"};
    gpt2_tokenizer *tokenizer = load_pair(&files, GPT2_OK);
    static char text[2000];
    gpt2_encoder_params params;
    gpt2_encoder *encoder;
    int32_t id;
    size_t n;

    (void)state;
    assert_int_equal(gpt2_encoder_params_init(&params, sizeof params), GPT2_OK);
    params.max_piece_bytes = 1000;
    assert_int_equal(gpt2_encoder_create(tokenizer, &params, &encoder), GPT2_OK);
    for (size_t n_spaces = 1000; n_spaces <= 1001; n_spaces++) {
        int32_t wanted = n_spaces == 1000 ? GPT2_OK : GPT2_ERR_PIECE;

        memset(text, ' ', sizeof text);
        memcpy(text + n_spaces - 500, "<p>", 3);
        assert_int_equal(gpt2_encode(encoder, text, n_spaces + 3, GPT2_ENCODE_SPECIAL, &id, 1, &n),
                         wanted);
        assert_int_equal(n, wanted == GPT2_OK);
        assert_int_equal(gpt2_encoder_reset(encoder), GPT2_OK);
    }
    gpt2_encoder_free(encoder);
    gpt2_tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),       cmocka_unit_test(test_native),
        cmocka_unit_test(test_pairs),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_beside_json), cmocka_unit_test(test_no_end),
        cmocka_unit_test(test_end_of_text), cmocka_unit_test(test_many),
        cmocka_unit_test(test_nested),      cmocka_unit_test(test_long),
        cmocka_unit_test(test_stripped),    cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("added_tokens", tests, make_directory, remove_directory);
}
