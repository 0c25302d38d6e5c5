/*
 * score_lines.c: `gpt2 score --by line`, `--pairs` and `--choices`: many short texts, a few to a line.
 *
 * Lines are encoded, scored and written some at a time.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "messages.h"
#include "platform.h"
#include "prompts.h"
#include "score.h"
#include "score_batch.h"
#include "table.h"

#define LINES_AT_A_TIME  64
#define PROGRESS_SECONDS 0.2

struct lines {
    const struct score *score;
    struct batch batch;
    struct table table;
    struct batch_text *texts; /* of the lines that are being scored */
    size_t n_texts, capacity;
    size_t n_lines;                      /* that have been scored */
    size_t n_first, n_second, n_equally; /* pairs whose first text is likelier, ... */
    double start, shown;                 /* in seconds; when progress was last shown */
    /* Encodes the texts of a line; checks it. */
    enum outcome (*read)(struct lines *lines, const struct bytes *line, size_t number);
    /* Writes the rows of n texts, which are of one line. */
    enum outcome (*write)(struct lines *lines, const struct batch_text *texts, size_t n);
};

/* Adds a text, whose tokens the caller sets; NULL: it has been reported. */
static struct batch_text *add_text(struct lines *lines, const struct bytes *text, size_t number)
{
    if (lines->n_texts == lines->capacity) {
        size_t capacity = lines->capacity == 0 ? LINES_AT_A_TIME : lines->capacity * 2;
        struct batch_text *texts = realloc(lines->texts, capacity * sizeof *texts);

        if (texts == NULL) {
            complain_memory();
            return NULL;
        }
        lines->texts = texts;
        lines->capacity = capacity;
    }
    lines->texts[lines->n_texts] = (struct batch_text){.line = number, .text = *text};
    return &lines->texts[lines->n_texts++];
}

/* Leaves the first n. */
static void drop_texts(struct lines *lines, size_t n)
{
    while (lines->n_texts > n)
        free(lines->texts[--lines->n_texts].tokens.ids.data);
}

/* Takes what stands before the next 'separator' from the front of 'text'. */
static struct bytes take_field(struct bytes *text, char separator)
{
    const char *end = text->size > 0 ? memchr(text->data, separator, text->size) : NULL;
    struct bytes field = {text->data, end != NULL ? (size_t)(end - text->data) : text->size};
    size_t n_taken = field.size + (end != NULL);

    if (n_taken > 0)
        text->data += n_taken;
    text->size -= n_taken;
    return field;
}

/* ------------------------------------------------------------------------------------- by line -- */

static enum outcome read_line(struct lines *lines, const struct bytes *line, size_t number)
{
    struct batch_text *text = add_text(lines, line, number);
    char origin[ORIGIN_BYTES];

    line_name(origin, lines->batch.path, number);
    return text != NULL ? score_encode(&text->tokens, lines->score, line->data, line->size, origin)
                        : OUTCOME_FAILED;
}

static enum outcome write_line(struct lines *lines, const struct batch_text *texts, size_t n)
{
    struct table *table = &lines->table;
    double nats = 0 - texts->logprob;

    (void)n; /* 1 */
    table_integer(table, "line", (int64_t)texts->line);
    table_integer(table, "bytes", (int64_t)texts->text.size);
    table_integer(table, "tokens", (int64_t)texts->n_tokens);
    table_amount(table, "surprisal", nats);
    table_amount(table, "mean_surprisal",
                 texts->n_tokens > 0 ? nats / (double)texts->n_tokens : NAN);
    table_text(table, "text", texts->text.data, texts->text.size);
    return table_end_row(table);
}

/* --------------------------------------------------------------------------------------- pairs -- */

static size_t count_tabs(const struct bytes *line)
{
    size_t n = 0;

    for (size_t i = 0; i < line->size; i++)
        n += line->data[i] == '\t';
    return n;
}

static enum outcome read_pair(struct lines *lines, const struct bytes *line, size_t number)
{
    struct bytes rest = *line;
    char origin[ORIGIN_BYTES];
    enum outcome outcome = OUTCOME_DONE;

    line_name(origin, lines->batch.path, number);
    if (count_tabs(line) != 1)
        return complain(OUTCOME_FAILED, "%s: found %zu tabs, wanted one between two texts", origin,
                        count_tabs(line));
    for (int i = 0; i < 2 && outcome == OUTCOME_DONE; i++) {
        struct bytes field = take_field(&rest, '\t');
        struct batch_text *text = add_text(lines, &field, number);

        if (text == NULL)
            return OUTCOME_FAILED;
        outcome = score_encode(&text->tokens, lines->score, field.data, field.size, origin);
        if (outcome == OUTCOME_DONE)
            outcome = score_check_length(&text->tokens, origin);
    }
    return outcome;
}

static enum outcome write_pair(struct lines *lines, const struct batch_text *texts, size_t n)
{
    struct table *table = &lines->table;
    const struct batch_text *second = &texts[1];
    int likelier = texts->logprob > second->logprob ? 1 : texts->logprob < second->logprob ? 2 : 0;

    (void)n; /* 2 */
    if (!table->is_head) {
        lines->n_first += likelier == 1;
        lines->n_second += likelier == 2;
        lines->n_equally += likelier == 0;
    }
    table_integer(table, "line", (int64_t)texts->line);
    table_integer(table, "likelier", likelier);
    table_integer(table, "tokens1", (int64_t)texts->n_tokens);
    table_integer(table, "tokens2", (int64_t)second->n_tokens);
    table_amount(table, "logprob1", texts->logprob);
    table_amount(table, "logprob2", second->logprob);
    return table_end_row(table);
}

/* ------------------------------------------------------------------------------------- choices -- */

/*
 * The tokens of a context and a continuation as lm-evaluation-harness makes them.  White space at the end
 * of the context belongs to the continuation.  The tokens of the continuation are those of both together
 * behind as many as the context alone has.  An empty context is <|endoftext|>.  A context that is too
 * long loses its beginning.
 */
static enum outcome encode_choice(struct lines *lines, struct score_text *tokens,
                                  const struct bytes *context, const struct bytes *both,
                                  const char *origin)
{
    const struct score *score = lines->score;
    struct score_text front = {0};
    size_t n_context = context->size, n_cut;
    enum outcome outcome;

    while (n_context > 0 && score_is_space(context->data[n_context - 1]))
        n_context--;
    if (n_context == 0 && begin_token(score->model, &score->info) < 0)
        return complain(OUTCOME_FAILED,
                        "%s: the context is empty, and the model has no <|endoftext|>", origin);
    outcome = score_encode(&front, score, context->data, n_context, origin);
    if (outcome == OUTCOME_DONE)
        outcome = score_encode(tokens, score, both->data, both->size, origin);
    /* score_encode() has put <|endoftext|> in front of both, which only an empty context has */
    n_cut = n_context > 0 ? tokens->n_lead : 0;
    if (outcome == OUTCOME_DONE && tokens->ids.count <= front.ids.count)
        outcome = complain(OUTCOME_FAILED, "%s: a continuation has no token", origin);
    if (outcome == OUTCOME_DONE && tokens->ids.count - front.ids.count > (size_t)score->n_ctx)
        outcome =
            complain(OUTCOME_FAILED, "%s: a continuation has %zu tokens, the context holds %d",
                     origin, tokens->ids.count - front.ids.count, (int)score->n_ctx);
    if (outcome == OUTCOME_DONE) {
        memcpy(tokens->ids.data, front.ids.data, front.ids.count * sizeof *front.ids.data);
        if (tokens->ids.count - n_cut > (size_t)score->n_ctx + 1)
            n_cut = tokens->ids.count - ((size_t)score->n_ctx + 1);
        tokens->first = front.ids.count - n_cut;
        tokens->n_lead = 0;
        tokens->ids.count -= n_cut;
        memmove(tokens->ids.data, tokens->ids.data + n_cut,
                tokens->ids.count * sizeof *tokens->ids.data);
    }
    free(front.ids.data);
    return outcome;
}

static enum outcome read_choice(struct lines *lines, const struct bytes *context,
                                const struct bytes *continuation, size_t number)
{
    struct batch_text *text = add_text(lines, continuation, number);
    struct bytes both = {malloc(context->size + continuation->size + 1),
                         context->size + continuation->size};
    char origin[ORIGIN_BYTES];
    enum outcome outcome;

    if (text == NULL || both.data == NULL) {
        free(both.data);
        return text == NULL ? OUTCOME_FAILED : complain_memory();
    }
    line_name(origin, lines->batch.path, number);
    memcpy(both.data, context->data, context->size);
    memcpy(both.data + context->size, continuation->data, continuation->size);
    outcome = encode_choice(lines, &text->tokens, context, &both, origin);
    free(both.data);
    return outcome;
}

static enum outcome read_choices(struct lines *lines, const struct bytes *line, size_t number)
{
    struct bytes rest = *line;
    size_t n_choices = count_tabs(line);
    struct bytes context = take_field(&rest, '\t');
    enum outcome outcome = OUTCOME_DONE;
    char origin[ORIGIN_BYTES];

    line_name(origin, lines->batch.path, number);
    if (n_choices == 0)
        return complain(OUTCOME_FAILED, "%s: found no tab, wanted one behind the context", origin);
    for (size_t i = 0; i < n_choices && outcome == OUTCOME_DONE; i++) {
        struct bytes continuation = take_field(&rest, '\t');

        outcome = read_choice(lines, &context, &continuation, number);
    }
    return outcome;
}

static enum outcome write_choices(struct lines *lines, const struct batch_text *texts, size_t n)
{
    struct table *table = &lines->table;
    enum outcome outcome = OUTCOME_DONE;
    size_t likeliest = 0;

    for (size_t i = 1; i < n; i++)
        likeliest = texts[i].logprob > texts[likeliest].logprob ? i : likeliest;
    for (size_t i = 0; i < n && outcome == OUTCOME_DONE; i++) {
        table_integer(table, "line", (int64_t)texts[i].line);
        table_integer(table, "choice", (int64_t)i + 1);
        table_integer(table, "is_likeliest", i == likeliest);
        table_integer(table, "is_greedy", texts[i].is_greedy);
        table_integer(table, "tokens", (int64_t)texts[i].n_tokens);
        table_amount(table, "logprob", texts[i].logprob);
        table_text(table, "text", texts[i].text.data, texts[i].text.size);
        outcome = table_end_row(table);
    }
    return outcome;
}

/* ---------------------------------------------------------------------------------------- all -- */

static void show_progress(struct lines *lines)
{
    double now = platform_seconds();

    if (now - lines->shown < PROGRESS_SECONDS || platform_is_terminal(stdout))
        return;
    lines->shown = now;
    progress("%zu lines, %.1f lines/s", lines->n_lines,
             (double)lines->n_lines / (now - lines->start));
}

/* Scores the texts that have been read, and writes the rows of all lines before the first that fails. */
static enum outcome run_texts(struct lines *lines)
{
    size_t n_scored;
    enum outcome scored = batch_run(&lines->batch, lines->texts, lines->n_texts, &n_scored);
    enum outcome outcome = OUTCOME_DONE;

    for (size_t i = 0, n; i < n_scored && outcome == OUTCOME_DONE; i += n) {
        const struct batch_text *texts = &lines->texts[i];

        for (n = 1; i + n < lines->n_texts && texts[n].line == texts[0].line;)
            n++;
        if (i + n > n_scored)
            break; /* a later text of the line has failed */
        outcome = lines->write(lines, texts, n);
        lines->n_lines++;
    }
    drop_texts(lines, 0);
    if (outcome == OUTCOME_DONE)
        outcome = output_flush();
    return outcome == OUTCOME_DONE ? scored : outcome;
}

static enum outcome run_lines(struct lines *lines, const struct bytes *bytes)
{
    static const struct batch_text none[2];
    struct bytes rest = *bytes;
    enum outcome outcome = OUTCOME_DONE;

    lines->start = lines->shown = platform_seconds();
    if (table_begin(&lines->table, lines->score->options->jsonl, lines->score->is_in_bits))
        outcome = lines->write(lines, none, 1);
    for (size_t number = 1; rest.size > 0 && outcome == OUTCOME_DONE; number++) {
        struct bytes line = take_field(&rest, '\n');
        size_t n_before = lines->n_texts;
        enum outcome found = lines->read(lines, &line, number);

        if (found != OUTCOME_DONE)
            drop_texts(lines, n_before); /* the lines before it have rows */
        if (found != OUTCOME_DONE || number % LINES_AT_A_TIME == 0 || rest.size == 0) {
            outcome = run_texts(lines);
            show_progress(lines);
        }
        if (outcome == OUTCOME_DONE)
            outcome = found;
    }
    if (lines->shown > lines->start)
        progress_clear();
    return outcome;
}

static enum outcome run(struct lines *lines, const struct score *score, const char *path,
                        const struct bytes *bytes)
{
    enum outcome outcome = batch_open(&lines->batch, score, path);

    lines->score = score;
    if (outcome == OUTCOME_DONE)
        outcome = run_lines(lines, bytes);
    batch_close(&lines->batch);
    free(lines->texts);
    return outcome;
}

enum outcome score_lines(const struct score *score, const struct bytes *bytes)
{
    struct lines lines = {.read = read_line, .write = write_line};
    const struct options *options = score->options;
    const char *file = options->operand != NULL ? options->operand : options->prompt_file;

    return run(&lines, score, options->prompt != NULL ? "--prompt" : file, bytes);
}

enum outcome score_pairs(const struct score *score, const struct bytes *bytes)
{
    struct lines lines = {.read = read_pair, .write = write_pair};
    enum outcome outcome = run(&lines, score, score->options->pairs, bytes);

    if (outcome == OUTCOME_DONE)
        note("%zu pairs: the first text is likelier in %zu, the second in %zu, neither in %zu",
             lines.n_lines, lines.n_first, lines.n_second, lines.n_equally);
    return outcome;
}

enum outcome score_choices(const struct score *score, const struct bytes *bytes)
{
    struct lines lines = {.read = read_choices, .write = write_choices};

    return run(&lines, score, score->options->choices, bytes);
}
