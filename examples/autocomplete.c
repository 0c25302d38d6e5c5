/*
 * autocomplete.c: the five likeliest next words after every key, and how many tokens they cost.
 *
 *     cc autocomplete.c $(pkg-config --cflags --libs gpt2) -lm && ./a.out MODEL <KEYS
 *
 * Each byte is a key; backspace deletes a character, and a newline begins a new text.
 * `./a.out MODEL TEXT` answers once, for TEXT.  docs/autocomplete.md explains the method.
 */
#include <gpt2.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_SHOWN = 5, N_FORKS = 8, N_STEPS = 8, N_LIST = 128, MAX_TEXT = 4096, MAX_VOCAB = 65536 };

static struct word {
    char bytes[64]; /* with the space before it, and a NUL */
    int32_t ids[N_STEPS];
    size_t n_ids;
    enum { BEGINNING, HAS_RUN, WHOLE } state; /* a beginning of words, one that has run, a word */
    double logp;                              /* the sum of its log-probabilities */
} list[N_LIST + 1];                           /* [n_list], the likeliest comes first */
static size_t n_list;
static gpt2_model_info info;
static const gpt2_tokenizer *tokenizer;
static gpt2_encoder *encoder;
static gpt2_session *session; /* sequence 0 is the text before the word that is being typed */
static float next[MAX_VOCAB]; /* the logits behind sequence 0 */
static char line[GPT2_ERRBUF_BYTES]; /* why a load failed */

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "autocomplete: %s: %s\n", what, why);
    exit(1);
}

static void check(int32_t status)
{
    if (status != GPT2_OK)
        fail(gpt2_strerror(status), *line ? line : gpt2_session_error(session));
}

/* Are these letters, digits, apostrophes and bytes above 127?  A space may be the first. */
static int in_word(const char *bytes, size_t n_bytes, int space)
{
    size_t i = space && n_bytes > 1 && bytes[0] == ' ';

    while (i < n_bytes && (isalnum((unsigned char)bytes[i]) || bytes[i] == '\'' || bytes[i] & 0x80))
        i++;
    return n_bytes > 0 && i == n_bytes;
}

/* Puts a word in its place in the list. */
static void add(const struct word *word)
{
    size_t i = n_list;

    for (; i > 0 && list[i - 1].logp < word->logp; i--)
        list[i] = list[i - 1];
    list[i] = *word;
    n_list += n_list < N_LIST; /* else the last one drops out */
}

/* Adds all that a beginning can become, from the logits behind it: a word, a longer beginning. */
static void extend(struct word word, const float *logits, const char *typed)
{
    size_t n = strlen(word.bytes), n_ids = word.n_ids, n_bytes;
    size_t n_rest = strlen(typed) > n ? strlen(typed) - n : 0; /* typed bytes that must follow */
    double p, sum = 0, end = 0, logp = word.logp;
    const char *bytes, *rest = typed + strlen(typed) - n_rest;
    int32_t status;

    for (int32_t id = 0; id < info.n_vocab; id++) {
        gpt2_tokenizer_token_bytes(tokenizer, id, &bytes, &n_bytes);
        sum += p = exp((double)logits[id] - logits[0]); /* a difference: in the range of exp() */
        end += in_word(bytes, n_bytes > 0, 0) ? 0 : p;  /* the id does not continue a word */
    }
    word.logp = logp + log(end / sum);
    logp -= logits[0] + log(sum);
    word.state = WHOLE;
    if (n > 0 && n_rest == 0)
        add(&word);
    word.state = BEGINNING;
    for (int32_t id = 0; id < info.n_vocab; id++) {
        word.logp = logp + logits[id];
        gpt2_tokenizer_token_bytes(tokenizer, id, &bytes, &n_bytes);
        if ((n_list < N_LIST || word.logp > list[N_LIST - 1].logp) &&
            memcmp(bytes, rest, n_bytes < n_rest ? n_bytes : n_rest) == 0 &&
            in_word(bytes, n_bytes, n == 0) && n + n_bytes < sizeof word.bytes) {
            sprintf(word.bytes + n, "%.*s", (int)n_bytes, bytes);
            status =
                gpt2_encode(encoder, word.bytes, n + n_bytes, 0, word.ids, N_STEPS, &word.n_ids);
            if (status == GPT2_OK && word.n_ids == n_ids + 1 && word.ids[n_ids] == id)
                add(&word); /* else it has other ids, or more than there are steps */
        }
    }
}

/* Makes sequence 0 this text: takes back what has changed, and runs the ids behind. */
static void run_text(const char *text, size_t n_bytes)
{
    static int32_t buffer[MAX_TEXT + 1];
    int32_t *ids = buffer;
    size_t n_ids, n_old, n_same = 0, half = (size_t)(info.n_positions - N_STEPS) / 2;
    const int32_t *old;
    const float *logits;

    check(gpt2_encode(encoder, text, n_bytes, 0, ids + 1, MAX_TEXT, &n_ids));
    for (n_ids++; n_ids > 2 * half; n_ids -= half)
        ids += half; /* it does not fit: the oldest half is dropped */
    ids[0] = gpt2_tokenizer_eot(tokenizer);
    check(gpt2_sequence_ids(session, 0, &old, &n_old));
    while (n_same < n_ids && n_same < n_old && ids[n_same] == old[n_same])
        n_same++;
    n_same -= n_same == n_ids && n_ids < n_old; /* the last id must run for its logits */
    printf("    ran %zu of %zu ids", n_ids - n_same, n_ids);
    if (n_same == n_ids)
        return;
    check(gpt2_sequence_truncate(session, 0, (int32_t)n_same));
    check(gpt2_forward(session, ids + n_same, n_ids - n_same, 1));
    check(gpt2_session_logits(session, GPT2_LAST_ROW, &logits));
    memcpy(next, logits, (size_t)info.n_vocab * sizeof *next);
}

/* Runs the likeliest beginnings in one batch, each in a fork.  Returns how many tokens it ran. */
static size_t run_step(const char *typed)
{
    struct word words[N_FORKS];
    gpt2_batch_item items[N_FORKS];
    size_t n = 0, n_tokens = 0;
    const float *logits;

    for (size_t i = 0, n_whole = 0; i < n_list && n < N_FORKS && n_whole < N_SHOWN; i++) {
        n_whole += list[i].state == WHOLE;
        if (list[i].state != BEGINNING)
            continue;
        list[i].state = HAS_RUN;
        words[n] = list[i];
        items[n] = (gpt2_batch_item){0, 0, words[n].ids, words[n].n_ids, 1};
        check(gpt2_sequence_fork(session, 0, gpt2_session_position(session), &items[n].sequence));
        n_tokens += words[n++].n_ids;
    }
    if (n > 0)
        check(gpt2_forward_batch(session, items, n));
    for (size_t i = 0; i < n; i++) {
        check(gpt2_batch_logits(session, i, GPT2_LAST_ROW, &logits));
        extend(words[i], logits, typed);
        check(gpt2_sequence_close(session, items[i].sequence));
    }
    return n_tokens;
}

static void answer(const char *text)
{
    const char *typed = text + strlen(text); /* the word that is being typed */
    size_t n_run = 1, n_tokens = 0, n_steps = 0;

    while (typed > text && in_word(typed - 1, 1, 0))
        typed--;
    typed -= typed > text && typed[-1] == ' ';
    printf("%s|\n", text);
    run_text(text, (size_t)(typed - text));
    n_list = 0;
    extend((struct word){0}, next, typed);
    for (; n_steps < N_STEPS && (n_run = run_step(typed)) > 0; n_steps++)
        n_tokens += n_run;
    printf(", then %zu tokens in %zu steps\n   ", n_tokens, n_steps);
    for (size_t i = 0, n_shown = 0; i < n_list && n_shown < N_SHOWN; i++)
        if (list[i].state == WHOLE && ++n_shown)
            printf(" [%s] %.6f", list[i].bytes, list[i].logp);
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static char text[MAX_TEXT + 1];
    gpt2_model_params files;
    gpt2_session_params params;
    gpt2_model *model;
    size_t n = 0;

    if (argc != 2 && argc != 3)
        fail("usage", "autocomplete MODEL [TEXT]");
    gpt2_model_params_init(&files, sizeof files);
    gpt2_session_params_init(&params, sizeof params);
    gpt2_model_info_init(&info, sizeof info);
    files.errbuf = params.errbuf = line;
    files.errbuf_size = params.errbuf_size = sizeof line;
    check(gpt2_model_load(argv[1], &files, &model));
    check(gpt2_model_get_info(model, &info));
    tokenizer = gpt2_model_tokenizer(model);
    if (gpt2_tokenizer_eot(tokenizer) < 0)
        fail(argv[1], "wanted a tokenizer with <|endoftext|>");
    if (info.n_vocab > MAX_VOCAB || info.n_positions < 2 * N_STEPS)
        fail(argv[1], "wanted at most 65536 ids, and 16 or more positions");
    params.n_threads = 0; /* one for each CPU */
    params.n_sequences = 1 + N_FORKS;
    params.n_pages = (info.n_positions + 63) / 64 + 2 * N_FORKS; /* a fork shares all but two */
    check(gpt2_session_create(model, &params, &session));
    check(gpt2_encoder_create(tokenizer, NULL, &encoder));
    if (argc == 3)
        answer(argv[2]);
    for (int key; argc == 2 && (key = getchar()) != EOF; answer(text)) {
        if (key == '\n' || key == '\0')
            n = 0;
        else if (key != '\b' && key != 0x7f)
            text[n < MAX_TEXT ? n++ : n] = (char)key;
        else
            while (n > 0 && (text[--n] & 0xc0) == 0x80)
                continue;
        text[n] = '\0';
    }
    gpt2_encoder_free(encoder);
    gpt2_session_free(session);
    gpt2_model_free(model);
    return 0;
}
