/*
 * score_html.c: `gpt2 score --html FILE`: a page that shows the text shaded by surprisal.
 *
 * The page is one file without a script.  A token is a <span>; what is shown when the pointer is over it
 * is in its attribute data-i.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jsonlines.h"
#include "messages.h"
#include "outfile.h"
#include "score.h"
#include "scoring.h"

#define N_SHADES          16 /* one for each bit of surprisal, the last one for all above */
#define DEFAULT_LIKELIEST 5

struct page {
    const struct score *score;
    const struct bytes *bytes;
    struct score_text text;
    gpt2_offsets *offsets; /* of the tokens behind the lead */
    int32_t n_likeliest;
    FILE *file;
    size_t n_shown; /* bytes of the text that are on the page */
    size_t n_tokens;
    double nats;
};

static const char head[] =
    "<!DOCTYPE html>\n"
    "<html>\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<title>Surprisal</title>\n"
    "<style>\n"
    "body { background: #fff; color: #000; max-width: 50em; margin: 2em auto; padding: 0 1em;\n"
    "  font: 18px/1.9 Georgia, serif }\n"
    "header, footer { font: 14px/1.6 sans-serif }\n"
    "main { white-space: pre-wrap; overflow-wrap: break-word; margin: 1.5em 0 12em }\n"
    "main span { position: relative; border-radius: 2px }\n"
    "main span:hover, main span:focus { outline: 2px solid #333 }\n"
    "main span:hover::after, main span:focus::after { content: attr(data-i); position: absolute;\n"
    "  left: 0; top: 1.7em; z-index: 1; width: max-content; padding: .4em .7em; background: #222;\n"
    "  color: #fff; font: 13px/1.5 monospace; white-space: pre; border-radius: 4px }\n"
    "main span:empty::before { content: \"\\b7\"; color: #888 }\n"
    "i { font-style: normal; color: #888; user-select: none }\n"
    "code { border: 1px solid #888; border-radius: 3px; padding: 0 .2em; font: .65em monospace }\n"
    ".lead { color: #777 }\n"
    ".legend span { padding: .2em .5em }\n";

/* The code point of a whole character. */
static uint32_t code_point(const char *character, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)character;
    uint32_t code = length == 1 ? bytes[0] : bytes[0] & 0x7fu >> length;

    for (size_t i = 1; i < length; i++)
        code = code << 6 | (bytes[i] & 0x3f);
    return code;
}

/* Control characters that have no picture: those of Latin-1, and those that set the direction of text. */
static bool is_control(uint32_t code)
{
    return (code >= 0x80 && code <= 0x9f) || code == 0x61c || code == 0x200e || code == 0x200f ||
           (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* Writes a text that is no markup.  Control characters become pictures of themselves, or their code point
   in a box; bytes that are not UTF-8 become U+FFFD.  In the text of the page a newline has an arrow in
   front of it. */
static void write_text(FILE *file, const char *text, size_t n_bytes, bool is_attribute)
{
    for (size_t at = 0; at < n_bytes;) {
        unsigned char c = (unsigned char)text[at];
        bool is_whole;
        size_t length = utf8_length(text + at, n_bytes - at, &is_whole);

        if (!is_whole)
            fputs("&#xfffd;", file);
        else if (c == '&' || c == '<' || c == '>' || c == '"')
            fprintf(file, "&#%d;", c);
        else if (c == '\n' && !is_attribute)
            fputs("<i>&#x21b5;</i>\n", file);
        else if (c == '\t' && !is_attribute)
            fputs("\t", file);
        else if (c < 0x20 || c == 0x7f)
            fprintf(file, "&#x%x;", c == '\n' ? 0x21b5 : c == 0x7f ? 0x2421 : 0x2400 + c);
        else if (is_control(code_point(text + at, length)))
            fprintf(file, is_attribute ? "[U+%04X]" : "<code>U+%04X</code>",
                    (unsigned)code_point(text + at, length));
        else
            fwrite(text + at, 1, length, file);
        at += length;
    }
}

static void write_token(const struct page *page, int32_t id)
{
    const char *bytes;
    size_t n_bytes;

    if (gpt2_tokenizer_token_bytes(page->score->tokenizer, id, &bytes, &n_bytes) == GPT2_OK)
        write_text(page->file, bytes, n_bytes, true);
}

static void write_head(const struct page *page)
{
    const struct options *options = page->score->options;

    fputs(head, page->file);
    for (int shade = 0; shade < N_SHADES; shade++)
        fprintf(page->file, ".s%d { background: rgba(235, 90, 0, %.3f) }\n", shade,
                0.85 * shade / (N_SHADES - 1));
    fputs("</style>\n"
          "</head>\n"
          "<body>\n"
          "<header>Each token is shaded by its surprisal, -log2(probability), in bits. Point at it "
          "for its\nrank, its probability and the likeliest tokens at its place.\n"
          "<div class=\"legend\">",
          page->file);
    for (int shade = 0; shade < N_SHADES; shade++)
        fprintf(page->file, "<span class=\"s%d\">%d%s</span>", shade, shade,
                shade == N_SHADES - 1 ? " and more" : "");
    fputs("</div></header>\n<main>", page->file);
    if (options->prefix != NULL) {
        fputs("<b class=\"lead\">", page->file);
        write_text(page->file, options->prefix, strlen(options->prefix), false);
        fputs("</b>", page->file);
    }
}

/* The text of token i: the characters that begin in it. */
static void write_characters(struct page *page, size_t i)
{
    const gpt2_offsets *offsets = &page->offsets[i - page->text.n_lead];
    const char *data = page->bytes->data;
    size_t begin = offsets->first_byte > page->n_shown ? offsets->first_byte : page->n_shown;
    size_t end = begin;

    while (end < offsets->end_byte) {
        bool is_whole;

        end += utf8_length(data + end, page->bytes->size - end, &is_whole);
    }
    write_text(page->file, data + begin, end - begin, false);
    page->n_shown = end;
}

/* The attribute data-i of a token; &#10; is a newline. */
static void write_details(const struct page *page, const gpt2_token_score *score,
                          const gpt2_token_logprob *likeliest)
{
    FILE *file = page->file;

    fputs(" data-i=\"", file);
    write_token(page, score->id);
    fprintf(file,
            "&#10;id %d&#10;rank %d of %d&#10;probability %.4g&#10;surprisal %.3f bits"
            "&#10;entropy %.3f bits",
            (int)score->id, (int)score->rank, (int)page->score->info.n_vocab, exp(score->logprob),
            (0 - score->logprob) / log(2.0), score->entropy / log(2.0));
    if (page->n_likeliest > 0)
        fputs("&#10;likeliest:", file);
    for (int32_t i = 0; i < page->n_likeliest; i++) {
        fprintf(file, "&#10;%8.4f  ", exp((double)likeliest[i].logprob));
        write_token(page, likeliest[i].id);
    }
    fputs("\"", file);
}

/* The 'take' of struct scoring. */
static enum outcome take(void *user, size_t i, const gpt2_token_score *score,
                         const gpt2_token_logprob *likeliest)
{
    struct page *page = user;
    double bits = (0 - score->logprob) / log(2.0);

    fprintf(page->file, "<span class=\"s%d\" tabindex=\"0\"",
            bits < N_SHADES - 1 ? (int)bits : N_SHADES - 1);
    write_details(page, score, likeliest);
    fputs(">", page->file);
    write_characters(page, i);
    fputs("</span>", page->file);
    page->nats -= score->logprob;
    page->n_tokens++;
    return OUTCOME_DONE;
}

static enum outcome write_page(struct page *page)
{
    struct scoring scoring = {.ids = page->text.ids.data,
                              .n_ids = page->text.ids.count,
                              .first = page->text.first,
                              .n_likeliest = page->n_likeliest,
                              .take = take,
                              .user = page};
    enum outcome outcome;

    write_head(page);
    if (page->text.first > page->text.n_lead) {
        fputs("<span data-i=\"not scored\">", page->file);
        write_characters(page, 0);
        fputs("</span>", page->file);
    }
    outcome = score_all(page->score, &scoring);
    fprintf(
        page->file,
        "</main>\n<footer>%zu tokens, %.3f bits, %.4f bits per token, perplexity %.4f</footer>\n"
        "</body>\n</html>\n",
        page->n_tokens, page->nats / log(2.0), page->nats / log(2.0) / (double)page->n_tokens,
        exp(page->nats / (double)page->n_tokens));
    return outcome;
}

static enum outcome replace_page(struct page *page, const char *path)
{
    struct outfile outfile;
    enum outcome outcome = outfile_begin(&outfile, path);

    page->file = outfile.file;
    return outcome == OUTCOME_DONE ? outfile_end(&outfile, write_page(page)) : outcome;
}

enum outcome score_html(const struct score *score, const struct bytes *bytes)
{
    struct page page = {.score = score, .bytes = bytes};
    int32_t n_top = score->options->n_top < 0 ? DEFAULT_LIKELIEST : score->options->n_top;
    enum outcome outcome = score_encode(&page.text, score, bytes->data, bytes->size, NULL);

    page.n_likeliest = n_top < score->info.n_vocab ? n_top : score->info.n_vocab;
    if (outcome == OUTCOME_DONE)
        outcome = score_check_length(&page.text, NULL);
    if (outcome == OUTCOME_DONE) {
        page.offsets = score_offsets(score, &page.text, bytes);
        outcome = page.offsets != NULL ? replace_page(&page, score->options->html) : OUTCOME_FAILED;
    }
    free(page.offsets);
    free(page.text.ids.data);
    return outcome;
}
