/*
 * load.c: loading a model from a directory, a native file, a GGUF file or a list of sources.
 */
#include "load.h"
#include "native_model.h"
#include "shortlist.h"
#include "weights.h"
#include "../formats/gguf.h"
#include "../text/tokenizer_gguf.h"
#include "../text/tokenizer_load.h"
#include "../text/vocabulary.h"

/* The token that ends a text: the tokenizer's word for it, or else the number in config.json, which in
   some models is another token's. */
static int32_t eot_token(const gpt2_model *model)
{
    int32_t eot = model->tokenizer != NULL ? model->tokenizer->eot : -1;

    if (eot < 0 || eot >= model->config.n_vocab)
        eot = model->config.eos_token_id;
    return eot < model->config.n_vocab ? eot : -1;
}

/* A .safetensors file with tensors under Hugging Face's names. */
static int32_t open_safetensors(struct gpt2i_tensors *tensors, const struct gpt2i_files *files,
                                const char *name, struct gpt2i_error *error)
{
    int32_t status = gpt2i_safetensors_open(tensors, files, name, error);

    if (status == GPT2_OK && tensors->native_version != NULL) {
        status = gpt2i_fail(error, GPT2_ERR_FORMAT,
                            "%s: is a native file, which has its own config and tokenizer: open it "
                            "by its path, or as " GPT2I_NATIVE_NAME,
                            tensors->source->path);
        gpt2i_tensors_close(tensors);
    }
    return status;
}

/* The files of weights; the first that is there is read, as in transformers. */
static const struct weights_file {
    const char *name;
    gpt2i_tensors_open *open; /* the file, or the shards that it names */
    bool is_index;
    bool has_config; /* Hugging Face's config.json is not read */
} weights_files[] = {
    {GPT2I_WEIGHTS_NAME, open_safetensors, false, false},
    {GPT2I_INDEX_NAME, open_safetensors, true, false},
    {GPT2I_PYTORCH_NAME, gpt2i_pytorch_open, false, false},
    {GPT2I_PYTORCH_INDEX_NAME, gpt2i_pytorch_open, true, false},
    {GPT2I_NANOGPT_NAME, gpt2i_nanogpt_open, false, true},
    {GPT2I_MINGPT_NAME, gpt2i_mingpt_open, false, true},
    {GPT2I_LLMC_NAME, gpt2i_llmc_open, false, true},
    {GPT2I_GGUF_NAME, gpt2i_gguf_tensors_open, false, true},
};

#define GGUF_FILE (sizeof weights_files / sizeof weights_files[0] - 1)

/* Weights that other programs read and this version does not. */
static const char *const other_weights[] = {
    "tf_model.h5",
    "flax_model.msgpack",
};

/* Fails where there are only weights that this version cannot read, and names them. */
static int32_t find_weights(const struct weights_file **found, const struct gpt2i_files *files,
                            struct gpt2i_error *error)
{
    bool exists;
    int32_t status;

    for (size_t i = 0; i < sizeof weights_files / sizeof weights_files[0]; i++) {
        *found = &weights_files[i];
        status = gpt2i_source_exists(files, weights_files[i].name, &exists, error);
        if (status != GPT2_OK || exists)
            return status;
    }
    for (size_t i = 0; i < sizeof other_weights / sizeof other_weights[0]; i++) {
        status = gpt2i_source_exists(files, other_weights[i], &exists, error);
        if (status != GPT2_OK)
            return status;
        if (exists)
            return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                              "%s: " GPT2I_WEIGHTS_NAME
                              " is missing; %s is there, which libgpt2 %s "
                              "cannot read",
                              files->directory, other_weights[i], GPT2I_VERSION);
    }
    *found = &weights_files[0]; /* to open it gives the error */
    return GPT2_OK;
}

/* Where the files have a tokenizer of a kind that is not run here, there is none; 'line' says why. */
static int32_t read_model_tokenizer(gpt2_tokenizer **tokenizer, char line[GPT2_ERRBUF_BYTES],
                                    const struct gpt2i_files *files,
                                    const struct weights_file *file, struct gpt2i_error *error)
{
    struct gpt2i_error why = {line, GPT2_ERRBUF_BYTES};
    bool present;
    int32_t status = gpt2i_tokenizer_present(files, &present, error);

    *tokenizer = NULL;
    line[0] = '\0';
    if (status == GPT2_OK && present)
        status = gpt2i_tokenizer_read(files, tokenizer, &why);
    else if (status == GPT2_OK && file == &weights_files[GGUF_FILE])
        status = gpt2i_tokenizer_read_gguf(files, file->name, tokenizer, &why);
    if (status == GPT2_OK || status == GPT2_ERR_UNSUPPORTED)
        return GPT2_OK;
    return line[0] == '\0' ? status : gpt2i_fail(error, status, "%s", line);
}

static int32_t read_weights(gpt2_model **model, const struct gpt2i_files *files,
                            const struct weights_file *file, struct gpt2i_config *config,
                            const gpt2_model_params *params, struct gpt2i_error *error)
{
    const char *name = files->weights != NULL ? files->weights : file->name;
    struct gpt2i_tensors tensors;
    int32_t status = file->is_index ? gpt2i_shards_open(&tensors, files, name, file->open, error)
                                    : file->open(&tensors, files, name, error);

    if (status == GPT2_OK && file->has_config)
        status = gpt2i_config_parse(config, tensors.config, strlen(tensors.config),
                                    tensors.source->path, error);
    if (status == GPT2_OK)
        status = gpt2i_weights_load(model, config, &tensors, params, error);
    gpt2i_tensors_close(&tensors);
    return status;
}

/* The weights come last: they take longest. */
static int32_t read_files(gpt2_model **model, const struct gpt2i_files *files,
                          const struct weights_file *file, const gpt2_model_params *params,
                          struct gpt2i_error *error)
{
    struct gpt2i_config config;
    gpt2_tokenizer *tokenizer = NULL;
    char line[GPT2_ERRBUF_BYTES];
    int32_t status = file->has_config ? GPT2_OK : gpt2i_config_read(&config, files, error);

    if (status == GPT2_OK)
        status = read_model_tokenizer(&tokenizer, line, files, file, error);
    if (status == GPT2_OK)
        status = read_weights(model, files, file, &config, params, error);
    if (status != GPT2_OK) {
        gpt2i_tokenizer_free(tokenizer);
        return status;
    }
    (*model)->tokenizer = tokenizer;
    memcpy((*model)->tokenizer_error, line, sizeof line);
    return GPT2_OK;
}

static bool path_ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Which file of weights one file is, by its beginning and the end of its name; NULL: none of them. */
static const struct weights_file *kind_of(const struct gpt2i_files *files)
{
    static const char llmc_magic[] = {'\xc6', '\xd7', '\x34', '\x01'}; /* 20240326 */
    struct gpt2i_error nowhere = {NULL, 0};
    struct gpt2i_source *source;
    char begin[4] = "";
    gpt2i_tensors_open *open = NULL;

    if (gpt2i_source_open(&source, files, "", &nowhere) != GPT2_OK)
        return NULL;
    if (source->size_bytes >= sizeof begin)
        (void)gpt2i_source_read(source, 0, begin, sizeof begin, &nowhere);
    if (memcmp(begin, "GGUF", sizeof begin) == 0)
        open = gpt2i_gguf_tensors_open;
    else if (memcmp(begin, llmc_magic, sizeof begin) == 0)
        open = gpt2i_llmc_open;
    else if (memcmp(begin, "PK", 2) == 0 || begin[0] == '\x80')
        open = path_ends_with(source->path, GPT2I_MINGPT_NAME) ? gpt2i_mingpt_open
               : path_ends_with(source->path, ".pt")           ? gpt2i_nanogpt_open
                                                               : gpt2i_pytorch_open;
    gpt2i_source_close(source);
    for (size_t i = 0; i < sizeof weights_files / sizeof weights_files[0]; i++) {
        if (open != NULL && weights_files[i].open == open && !weights_files[i].is_index)
            return &weights_files[i];
    }
    return NULL;
}

/* A native file; or else GGUF, or a file of weights beside the others of a directory. */
static int32_t read_model_file(gpt2_model **model, const struct gpt2i_files *files,
                               const gpt2_model_params *params, struct gpt2i_error *error)
{
    int32_t status = gpt2i_native_read(model, files, params, error);
    const struct weights_file *file =
        status == GPT2_ERR_FORMAT && files->file != NULL ? kind_of(files) : NULL;
    struct gpt2i_files around;

    if (file == NULL)
        return status;
    gpt2i_error_clear(error);
    if (file == &weights_files[GGUF_FILE])
        return read_files(model, files, file, params, error);
    around = gpt2i_files_around(files);
    return read_files(model, &around, file, params, error);
}

int32_t gpt2i_model_read(gpt2_model **out, const struct gpt2i_files *files,
                         const gpt2_model_params *params, struct gpt2i_error *error)
{
    const struct weights_file *file;
    gpt2_model *model = NULL;
    int32_t status;

    *out = NULL;
    if (gpt2i_files_are_native(files)) {
        status = read_model_file(&model, files, params, error);
    } else {
        status = find_weights(&file, files, error);
        if (status == GPT2_OK)
            status = read_files(&model, files, file, params, error);
    }
    if (status == GPT2_OK && params->shortlist != 0)
        status = gpt2i_shortlist_make(model, params->n_threads, error);
    if (status != GPT2_OK) {
        gpt2i_model_free(model);
        return status;
    }
    if (model->tokenizer != NULL)
        gpt2i_tokenizer_extend(model->tokenizer, model->config.n_vocab);
    model->eot_token = eot_token(model);
    *out = model;
    return GPT2_OK;
}
