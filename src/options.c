/*
 * options.c: the table of options, their defaults, and the help.
 */
#include "options.h"

#include <string.h>

#include <gpt2.h>

#include "option.h"

static const struct word cpu_words[] = {
    {"scalar", 0},
    {"avx2", GPT2_CPU_AVX2},
    {"avx512", GPT2_CPU_AVX2 | GPT2_CPU_AVX512},
    {"avxvnni", GPT2_CPU_AVX2 | GPT2_CPU_AVX_VNNI},
    {"avx512vnni", GPT2_CPU_AVX2 | GPT2_CPU_AVX512 | GPT2_CPU_AVX512_VNNI},
    {"neon", GPT2_CPU_NEON},
    {"dotprod", GPT2_CPU_NEON | GPT2_CPU_DOTPROD},
    {NULL, 0},
};

static const struct word type_words[] = {
    {"file", GPT2_TYPE_AS_FILE},
    {"f32", GPT2_TYPE_F32},
    {"f16", GPT2_TYPE_F16},
    {"bf16", GPT2_TYPE_BF16},
    {"q8", GPT2_TYPE_Q8},
    {"q4", GPT2_TYPE_Q4},
    {NULL, 0},
};

static const struct word format_words[] = {{"native", FORMAT_NATIVE},
                                           {"safetensors", FORMAT_SAFETENSORS},
                                           {"gguf", FORMAT_GGUF},
                                           {NULL, 0}};

static const struct word shape_words[] = {
    {"gpt2", SHAPE_GPT2},
    {"gpt2-medium", SHAPE_GPT2_MEDIUM},
    {"gpt2-large", SHAPE_GPT2_LARGE},
    {"gpt2-xl", SHAPE_GPT2_XL},
    {NULL, 0},
};

static const struct word draft_words[] = {{"none", DRAFT_NONE}, {"ngram", DRAFT_NGRAM}, {NULL, 0}};

static const struct word empty_words[] = {
    {"endoftext", EMPTY_ENDOFTEXT},
    {"uniform", EMPTY_UNIFORM},
    {NULL, 0},
};

static const struct word by_words[] = {
    {"token", BY_TOKEN},
    {"word", BY_WORD},
    {"line", BY_LINE},
    {NULL, 0},
};

static const struct word base_words[] = {
    {"2", 2},
    {"e", BASE_E},
    {NULL, 0},
};

#define MAX_TEXTS 65535 /* at a time: a session has at most 65536 sequences */

/* In the order of the help. */
static const struct option table[] = {
    {OPTIONS_TEXT, 'p', "prompt", NULL, "TEXT", TEXT(prompt), "the text to work on"},
    {OPTIONS_TEXT, 'f', "file", NULL, "FILE", TEXT(prompt_file),
     "read the text from FILE; - means standard input"},
    {OPTIONS_GENERATE, 0, "prompts", NULL, "FILE", TEXT(prompts),
     "continue many texts: each line of FILE is a prompt;\n"
     "- means standard input"},
    {OPTIONS_GENERATE, 0, "jsonl", NULL, NULL, FLAG(jsonl),
     "write a JSON object a line; lines of --prompts are JSON\n"
     "objects, too"},
    {OPTIONS_GENERATE, 0, "parallel", NULL, "N", INT(n_parallel, 1, MAX_TEXTS),
     "run N texts at a time (default: 8 of --prompts, all of\n"
     "--n-choices)"},
    {OPTIONS_GENERATE, 0, "n-choices", NULL, "K", INT(n_choices, 1, MAX_TEXTS),
     "continue the prompt in K ways (default: 1)"},
    {OPTIONS_GENERATE, 0, "draft", NULL, "HOW", WORD(draft, draft_words),
     "guess tokens, and check several in one call: the text stays\n"
     "the same, and often comes faster. none; ngram: what\n"
     "followed the same words before, which is good for code,\n"
     "lists and logs; not with --logprobs (default: none)"},
    {OPTIONS_GENERATE, 0, "draft-max", NULL, "N", INT(draft_max, 1, 31),
     "guess at most N tokens at a time (default: 8)"},
    {OPTIONS_TOKENS, 0, "tokens", NULL, "IDS", TEXT(tokens),
     "give token ids instead of a text, for example 15496,13"},
    {OPTIONS_TEXT, 0, "special", NULL, NULL, FLAG(special),
     "read <|endoftext|> in the text as that one token\n"
     "(default: as 13 ordinary characters)"},
    {OPTIONS_GENERATE, 'n', "n-predict", "predict", "N", INT(n_predict, -1, INT32_MAX),
     "generate at most N tokens; -1 means until the context\n"
     "is full, without end if --context-shift is given\n"
     "(default: 128)"},
    {OPTIONS_NEXT, 'n', "n-likeliest", NULL, "N", INT(n_likeliest, 1, INT32_MAX),
     "show the N likeliest tokens (default: 10)"},
    {OPTIONS_NEXT, 0, "jsonl", NULL, NULL, FLAG(jsonl), "write a JSON object a line"},
    {OPTIONS_GENERATE, 'r', "stop", "reverse-prompt", "STRING", TEXTS(stops),
     "end the text before STRING; may be given several times"},
    {OPTIONS_GENERATE, 0, "logprobs", NULL, "N", INT(n_logprobs, 0, INT32_MAX),
     "tell the log-probability and the rank of each token, and\n"
     "the N likeliest tokens in its place"},
    {OPTIONS_GENERATE, 0, "empty-prompt", NULL, "HOW", WORD(empty_prompt, empty_words),
     "how to begin without a prompt. endoftext: after the token\n"
     "<|endoftext|>; uniform: with any token, all equally\n"
     "likely (default: endoftext)"},
    {OPTIONS_GENERATE, 0, "ignore-eos", NULL, NULL, FLAG(ignore_eos),
     "do not stop at <|endoftext|>"},
    {OPTIONS_GENERATE, 0, "no-echo", NULL, NULL, FLAG(no_echo),
     "print only the continuation, not the prompt"},
    {OPTIONS_CONTEXT, 'c', "ctx-size", NULL, "N", INT(n_ctx, 0, INT32_MAX),
     "use a context of N tokens; 0 means as many as the model\n"
     "has (default: 0)"},
    {OPTIONS_SCORE, 0, "by", NULL, "UNIT", WORD(by, by_words),
     "write a table with a row for each token, word or line"},
    {OPTIONS_SCORE, 0, "pairs", NULL, "FILE", TEXT(pairs),
     "say which of two texts is likelier: each line of FILE is\n"
     "TEXT, a tab, TEXT; - means standard input"},
    {OPTIONS_SCORE, 0, "choices", NULL, "FILE", TEXT(choices),
     "say which continuation is the likeliest: each line of\n"
     "FILE is a context, a tab, a continuation, a tab, ...;\n"
     "- means standard input"},
    {OPTIONS_SCORE, 0, "html", NULL, "FILE", TEXT(html),
     "write FILE, a page that shows the text shaded by\n"
     "surprisal"},
    {OPTIONS_SCORE, 0, "jsonl", NULL, NULL, FLAG(jsonl),
     "write the table as JSON objects, one a line"},
    {OPTIONS_SCORE, 0, "base", NULL, "BASE", WORD(base, base_words),
     "base of logarithms. 2: bits; e: nats (default: 2, but e\n"
     "with --pairs and --choices)"},
    {OPTIONS_SCORE, 0, "top", NULL, "N", INT(n_top, 0, INT32_MAX),
     "with --by token and --html: add the N likeliest tokens at\n"
     "each place (default: 0, but 5 with --html)"},
    {OPTIONS_SCORE, 0, "word-correction", NULL, NULL, FLAG(word_correction),
     "with --by word: add the surprisal that counts the end of\n"
     "a word to that word, not to the next one"},
    {OPTIONS_SCORE, 0, "prefix", NULL, "TEXT", TEXT(prefix),
     "put TEXT in front of each text.  It is not scored"},
    {OPTIONS_SCORE, 0, "no-bos", NULL, NULL, FLAG(no_bos),
     "do not put <|endoftext|> in front of each text.  Without\n"
     "--prefix the first token is then not scored"},
    {OPTIONS_SCORE, 0, "stride", NULL, "N", INT(stride, 1, INT32_MAX),
     "let windows overlap: each begins N tokens after the one\n"
     "before"},
    {OPTIONS_GENERATE, 0, "context-shift", NULL, NULL, FLAG(context_shift),
     "go on when the context is full: keep the newest half of\n"
     "the text"},
    {OPTIONS_GENERATE, 0, "keep", NULL, "N", INT(n_keep, 0, INT32_MAX),
     "with --context-shift: keep the first N tokens as well\n"
     "(default: 0)"},
    {OPTIONS_OUTPUT, 'o', "output", NULL, "FILE", TEXT(output),
     "write to FILE; an old FILE stays until the new one is\n"
     "complete"},
    {OPTIONS_CONVERT, 0, "format", NULL, "FORMAT", WORD(format, format_words),
     "write a file for libgpt2 (native), a directory for\n"
     "transformers (safetensors), or a file for llama.cpp\n"
     "(gguf) (default: native)"},
    {OPTIONS_BENCH, 0, "shape", NULL, "SHAPE", WORD(shape, shape_words),
     "measure random weights of this size: gpt2, gpt2-medium,\n"
     "gpt2-large or gpt2-xl (default: gpt2)"},
    {OPTIONS_BENCH, 'm', "model", NULL, "MODEL", TEXT(model),
     "measure the model in this directory, native or GGUF file"},
    {OPTIONS_BENCH, 0, "json", NULL, NULL, FLAG(json), "print the results as one JSON object"},
    {OPTIONS_MODEL, 'm', "model", NULL, "MODEL", TEXT(model),
     "read the model from the directory MODEL, or open that\n"
     "native or GGUF file (default: the demo model)"},
    {OPTIONS_GENERATE | OPTIONS_CONVERT, 0, "shortlist", NULL, NULL, FLAG(shortlist),
     "keep an 8-bit copy of the head, too: greedy and top-k\n"
     "sampling then read a quarter of its bytes, for the same\n"
     "text"},
    {OPTIONS_INFO, 0, "verify", NULL, NULL, FLAG(verify),
     "read the whole native file and compare its checksum"},
    {OPTIONS_WEIGHTS, 0, "type", NULL, "TYPE", WORD(weight_type, type_words),
     "keep the weights as TYPE in memory: f32, f16, bf16, q8,\n"
     "q4, or file for that of the file (default: file).  q8 and\n"
     "q4 have 8 and 4 bits a weight, rounded when the model\n"
     "loads: for gpt2 134.9 and 92.4 MB, where f32 has 497.8"},
    {OPTIONS_WEIGHTS, 't', "threads", NULL, "N", INT(n_threads, 0, 256),
     "use N threads, at most 256; 0 means one for each CPU\n"
     "(default: 0)"},
    {OPTIONS_RUN | OPTIONS_BENCH | OPTIONS_INFO, 0, "cpu", NULL, "LEVEL", WORD(cpu_mask, cpu_words),
     "use the instructions of LEVEL: scalar, avx2, avx512 or\n"
     "neon; avxvnni, avx512vnni and dotprod add instructions\n"
     "that only q8 and q4 need (default: the fastest that the\n"
     "CPU has)"},
    {OPTIONS_RUN, 'b', "batch-size", NULL, "N", INT(n_batch, 0, INT32_MAX),
     "run N tokens at a time; 0 means all at once, but 64 in\n"
     "score (default: 0)"},
    {OPTIONS_ALL, 'h', "help", NULL, NULL, FLAG(help), "print this help"},
};

#define N_OWN     (sizeof table / sizeof table[0])
#define N_OPTIONS (N_OWN + N_SAMPLING_OPTIONS)

const struct option *option_at(size_t i)
{
    if (i >= N_OPTIONS)
        return NULL;
    return i < N_OWN ? &table[i] : &sampling_options[i - N_OWN];
}

void options_default(struct options *options, bool is_plain)
{
    memset(options, 0, sizeof *options);
    options->n_predict = 128;
    options->n_choices = 1;
    options->n_logprobs = -1;
    options->n_likeliest = 10;
    set_sampling_defaults(options, is_plain);
    options->empty_prompt = EMPTY_ENDOFTEXT;
    options->n_top = -1;
    options->cpu_mask = -1;
    options->weight_type = GPT2_TYPE_AS_FILE;
    options->shape = -1;
    options->seed_is_random = true;
}

const char *weight_type_name(int32_t type)
{
    /* of files alone: no choice for memory */
    static const struct word file_words[] = {
        {"f64", GPT2_TYPE_F64},   {"q4_0", GPT2_TYPE_Q4_0}, {"q4_1", GPT2_TYPE_Q4_1},
        {"q5_0", GPT2_TYPE_Q5_0}, {"q5_1", GPT2_TYPE_Q5_1}, {"q4_k", GPT2_TYPE_Q4_K},
        {"q5_k", GPT2_TYPE_Q5_K}, {"q6_k", GPT2_TYPE_Q6_K}, {NULL, 0},
    };
    const struct word *word = type <= GPT2_TYPE_Q4 ? type_words : file_words;

    while (word->name != NULL && word->value != type)
        word++;
    return word->name != NULL ? word->name : "unknown";
}

void options_print(unsigned groups, FILE *out)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *option = option_at(i);
        const char *line = option->help;
        char names[64];
        char letter[8] = "    ";

        if (i == N_OWN && (groups & OPTIONS_SAMPLING) != 0)
            fprintf(out, "\nOptions of sampling, in the order in which they apply:\n");
        if ((option->group & groups) == 0)
            continue;
        if (option->letter != 0)
            snprintf(letter, sizeof letter, "-%c, ", option->letter);
        snprintf(names, sizeof names, "%s--%s%s%s", letter, option->name,
                 option->value != NULL ? " " : "", option->value != NULL ? option->value : "");
        fprintf(out, "  %-25s", names);
        if (strlen(names) >= 25)
            fprintf(out, "\n  %-25s", "");
        for (;;) {
            int length = (int)strcspn(line, "\n");

            fprintf(out, "%.*s\n", length, line);
            if (line[length] == '\0')
                break;
            line += length + 1;
            fprintf(out, "  %-25s", "");
        }
    }
}
