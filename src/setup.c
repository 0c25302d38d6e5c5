/*
 * setup.c: what the commands have in common: a model, a prompt and a session from the options.
 */
#include "setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo_model.h"
#include "messages.h"
#include "platform.h"

static bool is_model(const char *directory)
{
    char path[PATH_BYTES + 16];
    FILE *file;

    snprintf(path, sizeof path, "%s/config.json", directory);
    file = fopen(path, "rb");
    if (file != NULL)
        fclose(file);
    return file != NULL;
}

enum outcome model_path(const struct options *options, char path[PATH_BYTES])
{
    const char *model = options->model != NULL ? options->model : DEMO_MODEL_NAME;

    if (snprintf(path, PATH_BYTES, "%s", model) >= PATH_BYTES)
        return complain(OUTCOME_FAILED, "the path of the model is too long");
    return OUTCOME_DONE;
}

bool model_is_present(const struct options *options)
{
    char path[PATH_BYTES];

    return options->model == NULL || (model_path(options, path) == OUTCOME_DONE &&
                                      (is_model(path) || platform_may_replace(path)));
}

struct loading {
    double start; /* in seconds, as platform_seconds() */
    double shown; /* when progress was last shown; 0: never */
};

#define QUIET_SECONDS 0.3 /* loading that takes no longer shows nothing */
#define SHOWN_SECONDS 0.1 /* between two times */

static int32_t show_loading(void *user, uint64_t n_bytes_done, uint64_t n_bytes_total)
{
    struct loading *loading = user;
    double now = platform_seconds();

    if (now - loading->start < QUIET_SECONDS || now - loading->shown < SHOWN_SECONDS)
        return 0;
    loading->shown = now;
    platform_erase_on_interrupt(true);
    progress("loading the model: %.0f %%", 100.0 * (double)n_bytes_done / (double)n_bytes_total);
    return 0;
}

/*
 * Makes the path of a model.safetensors that is no native file that of its directory, if the other files
 * of a model are there.
 */
static bool use_directory(char path[PATH_BYTES], int32_t status, const char *detail)
{
    static const char name[] = "model.safetensors";
    size_t length = strlen(path), name_length = sizeof name - 1;
    char directory[PATH_BYTES];

    if (status != GPT2_ERR_FORMAT || strstr(detail, ": is not a native file") == NULL)
        return false;
    if (length < name_length || strcmp(path + length - name_length, name) != 0 ||
        (length > name_length && path[length - name_length - 1] != '/'))
        return false;
    snprintf(directory, sizeof directory, "%.*s", (int)(length - name_length), path);
    if (directory[0] == '\0')
        strcpy(directory, ".");
    if (!is_model(directory))
        return false;
    strcpy(path, directory);
    return true;
}

/* Of the sizes of GPT-2, where they are not: how to get them. */
static enum outcome complain_no_model(const char *path)
{
    static const char *const names[] = {"gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"};
    const char *slash = strrchr(path, '/');
    const char *last = slash == NULL ? path : slash + 1;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(last, names[i]) == 0)
            return complain(OUTCOME_FAILED,
                            "there is no model %s. To get it: hf download openai-community/%s "
                            "config.json model.safetensors vocab.json merges.txt --local-dir %s",
                            path, last, path);
    }
    return complain(OUTCOME_FAILED, "there is no model %s: no such directory or file", path);
}

static int32_t load_model(const struct options *options, const char *path,
                          const gpt2_model_params *params, gpt2_model **model)
{
    gpt2_source demo[DEMO_MODEL_FILES];

    if (options->model != NULL)
        return gpt2_model_load(path, params, model);
    demo_model_sources(demo);
    return gpt2_model_load_sources(demo, DEMO_MODEL_FILES, params, model);
}

enum outcome model_open(const struct options *options, gpt2_model **model, gpt2_model_info *info)
{
    gpt2_model_params params;
    struct loading loading = {platform_seconds(), 0};
    char path[PATH_BYTES];
    char detail[GPT2_ERRBUF_BYTES] = "";
    enum outcome outcome = model_path(options, path);
    int32_t status;

    *model = NULL;
    if (outcome != OUTCOME_DONE)
        return outcome;
    gpt2_model_params_init(&params, sizeof params);
    params.n_threads = options->n_threads;
    params.weight_type = (int32_t)options->weight_type;
    params.shortlist = options->shortlist;
    params.file_access = options->verify ? GPT2_FILE_READ : GPT2_FILE_MAP;
    params.errbuf = detail;
    params.errbuf_size = sizeof detail;
    if (options->model != NULL && !platform_exists(path))
        return complain_no_model(path);
    if (platform_is_terminal(stderr)) {
        params.progress = show_loading;
        params.progress_user = &loading;
    }
    status = load_model(options, path, &params, model);
    if (use_directory(path, status, detail))
        status = gpt2_model_load(path, &params, model);
    if (loading.shown > 0) {
        platform_erase_on_interrupt(false);
        progress_clear();
    }
    if (status != GPT2_OK)
        return complain_status(status, detail);
    (void)gpt2_model_info_init(info, sizeof *info);
    gpt2_model_get_info(*model, info);
    return OUTCOME_DONE;
}

static int32_t load_tokenizer(const struct options *options, char path[PATH_BYTES],
                              gpt2_tokenizer **tokenizer, char detail[GPT2_ERRBUF_BYTES])
{
    gpt2_source demo[DEMO_MODEL_FILES];
    gpt2_tokenizer_params params;
    int32_t status;

    gpt2_tokenizer_params_init(&params, sizeof params);
    params.errbuf = detail;
    params.errbuf_size = GPT2_ERRBUF_BYTES;
    detail[0] = '\0';
    if (options->model == NULL) {
        demo_model_sources(demo);
        return gpt2_tokenizer_load_sources(demo, DEMO_MODEL_FILES, &params, tokenizer);
    }
    status = gpt2_tokenizer_load(path, &params, tokenizer);
    if (use_directory(path, status, detail))
        status = gpt2_tokenizer_load(path, &params, tokenizer);
    return status;
}

enum outcome tokenizer_open(const struct options *options, gpt2_tokenizer **tokenizer)
{
    char path[PATH_BYTES];
    char detail[GPT2_ERRBUF_BYTES];
    enum outcome outcome = model_path(options, path);
    int32_t status;

    *tokenizer = NULL;
    if (outcome != OUTCOME_DONE)
        return outcome;
    if (options->model != NULL && !platform_exists(path))
        return complain_no_model(path);
    status = load_tokenizer(options, path, tokenizer, detail);
    if (status != GPT2_OK)
        return complain_status(status, detail);
    return OUTCOME_DONE;
}

int32_t begin_token(const gpt2_model *model, const gpt2_model_info *info)
{
    int32_t bos = gpt2_tokenizer_bos(gpt2_model_tokenizer(model));

    return bos >= 0 && bos < info->n_vocab ? bos : info->eot_token;
}

enum outcome complain_no_tokenizer(const struct options *options, const char *so)
{
    char path[PATH_BYTES];
    char detail[GPT2_ERRBUF_BYTES];
    gpt2_tokenizer *tokenizer;
    enum outcome outcome = model_path(options, path);

    if (outcome != OUTCOME_DONE)
        return outcome;
    (void)load_tokenizer(options, path, &tokenizer, detail);
    gpt2_tokenizer_free(tokenizer);
    return complain(OUTCOME_FAILED, "this model has no tokenizer (%s)%s", detail, so);
}

enum outcome input_read(struct bytes *input, const struct options *options, const char *given)
{
    if (given == NULL)
        return bytes_read(input,
                          options->operand != NULL ? options->operand : options->prompt_file);
    input->size = strlen(given);
    input->data = malloc(input->size + 1);
    if (input->data == NULL)
        return complain_memory();
    memcpy(input->data, given, input->size);
    return OUTCOME_DONE;
}

enum outcome prompt_read(struct prompt *prompt, const struct options *options,
                         const gpt2_model *model, const gpt2_model_info *info)
{
    const gpt2_tokenizer *tokenizer = gpt2_model_tokenizer(model);
    enum outcome outcome = OUTCOME_DONE;

    memset(prompt, 0, sizeof *prompt);
    prompt->is_in_ids = options->tokens != NULL || tokenizer == NULL;
    if (options->tokens != NULL)
        return ids_parse(&prompt->ids, options->tokens, strlen(options->tokens), info->n_vocab,
                         "--tokens");
    if (tokenizer == NULL) {
        if (options->prompt == NULL && options->prompt_file == NULL)
            return OUTCOME_DONE;
        return complain_no_tokenizer(options, ": give ids with --tokens 1,2,3");
    }
    if (options->prompt_file != NULL) {
        outcome = bytes_read(&prompt->text, options->prompt_file);
        if (outcome != OUTCOME_DONE)
            return outcome;
        /* Editors and echo end a file with a newline that is not meant as a part of the prompt. */
        if (prompt->text.size > 0 && prompt->text.data[prompt->text.size - 1] == '\n')
            prompt->text.size--;
    } else if (options->prompt != NULL && options->prompt[0] != '\0') {
        outcome = input_read(&prompt->text, options, options->prompt);
        if (outcome != OUTCOME_DONE)
            return outcome;
    }
    return ids_encode(&prompt->ids, tokenizer, prompt->text.data, prompt->text.size,
                      options->special, NULL);
}

void prompt_free(struct prompt *prompt)
{
    free(prompt->text.data);
    free(prompt->ids.data);
    memset(prompt, 0, sizeof *prompt);
}

enum outcome prompt_check_length(const struct options *options, const gpt2_model_info *info,
                                 size_t n_tokens, const char *origin)
{
    bool is_shorter = options->n_ctx > 0 && options->n_ctx < info->n_positions;
    int32_t n_ctx = is_shorter ? options->n_ctx : info->n_positions;

    if (options->context_shift || n_tokens <= (size_t)n_ctx)
        return OUTCOME_DONE;
    return complain(OUTCOME_FAILED, "%s%sthe prompt has %zu tokens, the context holds %d",
                    origin != NULL ? origin : "", origin != NULL ? ": " : "", n_tokens, (int)n_ctx);
}

/* Opens a session of these options; 'params' has the sizes of its logits and sequences. */
static enum outcome create(const struct options *options, const gpt2_model *model, int32_t n_ctx,
                           gpt2_session_params *params, gpt2_session **session)
{
    char detail[GPT2_ERRBUF_BYTES] = "";
    int32_t status;

    params->n_threads = options->n_threads;
    params->n_ctx = n_ctx;
    if (options->context_shift)
        params->on_full = GPT2_FULL_SHIFT;
    params->n_keep = options->n_keep;
    if (options->cpu_mask >= 0)
        params->cpu_mask = (uint32_t)options->cpu_mask;
    if (options->n_batch > 0 && options->n_batch < params->n_batch)
        params->n_batch = options->n_batch;
    params->errbuf = detail;
    params->errbuf_size = sizeof detail;
    status = gpt2_session_create(model, params, session);
    if (status != GPT2_OK)
        return complain_status(status, detail);
    if (n_ctx > gpt2_session_n_ctx(*session))
        note("the model has %d positions, fewer than -c %d", (int)gpt2_session_n_ctx(*session),
             (int)n_ctx);
    platform_cancel_on_interrupt(*session);
    return OUTCOME_DONE;
}

enum outcome session_open(const struct options *options, const gpt2_model *model, int32_t n_ctx,
                          int32_t n_logit_rows, gpt2_session **session)
{
    gpt2_session_params params;

    gpt2_session_params_init(&params, sizeof params);
    params.n_logit_rows = n_logit_rows;
    return create(options, model, n_ctx, &params, session);
}

enum outcome session_open_many(const struct options *options, const gpt2_model *model,
                               int32_t n_sequences, int32_t n_positions, int32_t n_drafts,
                               gpt2_session **session)
{
    int64_t n_pages = (int64_t)n_sequences * ((n_positions + PAGE_POSITIONS - 1) / PAGE_POSITIONS);
    gpt2_session_params params;

    gpt2_session_params_init(&params, sizeof params);
    params.n_sequences = n_sequences;
    if (n_pages <= INT32_MAX)
        params.n_pages = (int32_t)n_pages;
    params.n_logit_rows = n_sequences + n_drafts;
    return create(options, model, options->n_ctx, &params, session);
}

enum outcome session_open_scoring(const struct options *options, const gpt2_model *model,
                                  int32_t n_ctx, int32_t n_sequences, gpt2_session **session)
{
    int32_t n_pages = (n_ctx + PAGE_POSITIONS - 1) / PAGE_POSITIONS;
    gpt2_session_params params;

    gpt2_session_params_init(&params, sizeof params);
    params.n_sequences = n_sequences;
    params.n_pages = n_pages > n_sequences ? n_pages : n_sequences;
    params.n_logit_rows = SCORING_ROWS;
    return create(options, model, options->n_ctx, &params, session);
}

void session_close(gpt2_session *session)
{
    if (session == NULL)
        return;
    platform_cancel_on_interrupt(NULL);
    gpt2_session_free(session);
}

enum outcome session_complain(const gpt2_session *session, int32_t status)
{
    if (status == GPT2_ERR_CANCELLED)
        return OUTCOME_INTERRUPTED;
    return complain_status(status, gpt2_session_error(session));
}

enum outcome session_feed(const struct options *options, gpt2_session *session,
                          const struct ids *ids, bool keep_all)
{
    size_t per_call = options->n_batch > 0 ? (size_t)options->n_batch : ids->count;
    size_t at = 0;

    while (at < ids->count) {
        size_t n = ids->count - at < per_call ? ids->count - at : per_call;
        bool is_last = at + n == ids->count;
        size_t n_logit_rows = keep_all ? n : is_last;
        int32_t status = gpt2_forward(session, ids->data + at, n, n_logit_rows);

        if (status != GPT2_OK)
            return session_complain(session, status);
        at += n;
    }
    return OUTCOME_DONE;
}
