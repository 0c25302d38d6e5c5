/*
 * write.c: the files that a model can be written as.
 */
#include "write.h"
#include "config_text.h"
#include "writers.h"
#include "../base/arena.h"
#include "../text/tokenizer_write.h"

static int32_t write_config_file(const gpt2_model *model, struct gpt2i_weight_list *list,
                                 struct gpt2i_sink *sink, struct gpt2i_error *error)
{
    struct gpt2i_config config = model->config;
    char text[GPT2I_CONFIG_TEXT_BYTES];

    (void)list;
    (void)error;
    config.eos_token_id = model->eot_token; /* which may be the tokenizer's */
    gpt2i_config_text(text, &config);
    gpt2i_sink_bytes(sink, text, strlen(text));
    gpt2i_sink_text(sink, "\n");
    return GPT2_OK;
}

static int32_t write_tokenizer_file(const gpt2_model *model, const char *name,
                                    void (*put)(struct gpt2i_sink *sink,
                                                const struct gpt2i_token_lists *lists),
                                    struct gpt2i_sink *sink, struct gpt2i_error *error)
{
    struct gpt2i_token_lists lists;
    int32_t status;

    if (model->tokenizer == NULL)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED, "%s: the model has no tokenizer%s%s", name,
                          model->tokenizer_error[0] == '\0' ? "" : ": ", model->tokenizer_error);
    status = gpt2i_token_lists_new(&lists, model->tokenizer, error);
    if (status == GPT2_OK) {
        put(sink, &lists);
        gpt2i_token_lists_free(&lists);
    }
    return status;
}

static int32_t write_tokenizer(const gpt2_model *model, struct gpt2i_weight_list *list,
                               struct gpt2i_sink *sink, struct gpt2i_error *error)
{
    (void)list;
    return write_tokenizer_file(model, GPT2I_TOKENIZER_NAME, gpt2i_tokenizer_put_json, sink, error);
}

static int32_t write_tokenizer_config(const gpt2_model *model, struct gpt2i_weight_list *list,
                                      struct gpt2i_sink *sink, struct gpt2i_error *error)
{
    (void)list;
    return write_tokenizer_file(model, GPT2I_TOKENIZER_CONFIG_NAME, gpt2i_tokenizer_put_config,
                                sink, error);
}

static const struct file {
    const char *name;
    gpt2i_write_function *write;
} files[] = {
    {GPT2I_NATIVE_NAME, gpt2i_native_write},
    {GPT2I_WEIGHTS_NAME, gpt2i_safetensors_write},
    {GPT2I_CONFIG_NAME, write_config_file},
    {GPT2I_TOKENIZER_NAME, write_tokenizer},
    {GPT2I_TOKENIZER_CONFIG_NAME, write_tokenizer_config},
    {GPT2I_GGUF_NAME, gpt2i_gguf_write},
};

static int32_t write_file(const struct file *file, const gpt2_model *model, struct gpt2i_sink *sink,
                          struct gpt2i_error *error)
{
    struct gpt2i_weight_list *list;
    /* the list can change a model; here it is only read */
    int32_t status = gpt2i_weight_list_new(&list, (gpt2_model *)model, NULL, error);

    if (status == GPT2_OK)
        status = file->write(model, list, sink, error);
    gpt2i_weight_list_free(list);
    if (status != GPT2_OK)
        return status;
    if (!sink->refused)
        gpt2i_sink_flush(sink);
    return sink->refused ? gpt2i_fail(error, GPT2_ERR_CANCELLED, "cancelled by the write callback")
                         : GPT2_OK;
}

int32_t gpt2i_model_write(const gpt2_model *model, const char *name, gpt2_write_callback write,
                          void *user, struct gpt2i_error *error)
{
    struct gpt2i_sink sink = {.write = write, .user = user};
    int32_t status;

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (strcmp(files[i].name, name) != 0)
            continue;
        sink.chunk = gpt2i_block_new(GPT2I_SINK_CHUNK_BYTES);
        if (sink.chunk == NULL)
            return gpt2i_fail(error, GPT2_ERR_MEMORY, "no memory for %zu bytes to write the model",
                              GPT2I_SINK_CHUNK_BYTES);
        status = write_file(&files[i], model, &sink, error);
        gpt2i_block_free(sink.chunk, GPT2I_SINK_CHUNK_BYTES);
        return status;
    }
    return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                      "gpt2_model_write: name is \"%s\", wanted " GPT2I_NATIVE_NAME
                      ", " GPT2I_WEIGHTS_NAME ", " GPT2I_CONFIG_NAME ", " GPT2I_TOKENIZER_NAME
                      ", " GPT2I_TOKENIZER_CONFIG_NAME " or " GPT2I_GGUF_NAME,
                      name);
}
