/*
 * convert.c: `gpt2 convert`: writes a model as a native file, or for transformers or llama.cpp.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gpt2.h>

#include "command.h"
#include "messages.h"
#include "options.h"
#include "outfile.h"
#include "platform.h"
#include "setup.h"

#define QUIET_SECONDS 0.3 /* writing that takes no longer shows nothing */
#define SHOWN_SECONDS 0.1 /* between two times */

/*
 * Bytes of one write to the file.  What is written in whole huge pages lies so in the page cache of Linux,
 * and is mapped so: decode from the file is then as fast as from memory (docs/native.md).
 */
#define BUFFER_BYTES ((size_t)4 << 20)

struct conversion {
    struct outfile outfile;
    uint64_t n_bytes;
    double start; /* in seconds, as platform_seconds() */
    double shown; /* when progress was last shown; 0: never */
    bool has_failed;
};

/* A gpt2_write_callback. */
static int32_t write_part(void *user, const void *bytes, size_t n_bytes)
{
    struct conversion *conversion = user;
    double now = platform_seconds();

    if (fwrite(bytes, 1, n_bytes, conversion->outfile.file) != n_bytes) {
        conversion->has_failed = true;
        return 1;
    }
    conversion->n_bytes += n_bytes;
    if (now - conversion->start >= QUIET_SECONDS && now - conversion->shown >= SHOWN_SECONDS &&
        platform_is_terminal(stderr)) {
        conversion->shown = now;
        progress("writing: %.0f MB", (double)conversion->n_bytes / 1e6);
    }
    return 0;
}

static enum outcome write_model(struct conversion *conversion, const gpt2_model *model,
                                const char *name)
{
    char detail[GPT2_ERRBUF_BYTES] = "";
    int32_t status;

    conversion->start = platform_seconds();
    status = gpt2_model_write(model, name, write_part, conversion, detail, sizeof detail);
    if (conversion->shown > 0)
        progress_clear();
    if (conversion->has_failed) /* the library says "cancelled" */
        return complain(OUTCOME_FAILED, "cannot write %s: %s", conversion->outfile.path,
                        strerror(errno));
    return status == GPT2_OK ? OUTCOME_DONE : complain_status(status, detail);
}

/* Writes one of the files of gpt2_model_write() to 'path'. */
static enum outcome write_file(struct conversion *conversion, const gpt2_model *model,
                               const char *name, const char *path)
{
    char *buffer = malloc(BUFFER_BYTES);
    enum outcome outcome =
        buffer == NULL ? complain_memory() : outfile_begin(&conversion->outfile, path);

    if (outcome == OUTCOME_DONE) {
        (void)setvbuf(conversion->outfile.file, buffer, _IOFBF, BUFFER_BYTES);
        outcome = outfile_end(&conversion->outfile, write_model(conversion, model, name));
    }
    free(buffer);
    return outcome;
}

/* Writes the files of a directory; the weights come last, so that a new directory with them is complete. */
static enum outcome write_directory(struct conversion *conversion, const gpt2_model *model,
                                    const char *directory)
{
    static const char *const names[] = {"tokenizer_config.json", "tokenizer.json", "config.json",
                                        "model.safetensors"};
    static const char *const others[] = {"special_tokens_map.json", "added_tokens.json"};
    size_t n_bytes = strlen(directory) + 32;
    char *path = malloc(n_bytes);
    enum outcome outcome = path == NULL ? complain_memory() : OUTCOME_DONE;

    if (outcome == OUTCOME_DONE && !platform_make_directory(directory))
        outcome = complain(OUTCOME_FAILED, "cannot make the directory %s: %s", directory,
                           strerror(errno));
    for (size_t i = 0; i < sizeof others / sizeof others[0] && outcome == OUTCOME_DONE; i++) {
        FILE *other;

        (void)snprintf(path, n_bytes, "%s/%s", directory, others[i]);
        other = fopen(path, "r");
        if (other == NULL)
            continue;
        (void)fclose(other);
        outcome =
            complain(OUTCOME_FAILED,
                     "%s is there, which would change the tokenizer: name a new directory", path);
    }
    for (size_t i = gpt2_model_tokenizer(model) == NULL ? 2 : 0;
         i < sizeof names / sizeof names[0] && outcome == OUTCOME_DONE; i++) {
        (void)snprintf(path, n_bytes, "%s/%s", directory, names[i]);
        outcome = write_file(conversion, model, names[i], path);
    }
    free(path);
    return outcome;
}

static enum outcome convert(const struct options *options)
{
    struct conversion conversion = {0};
    gpt2_model_info info;
    gpt2_model *model;
    enum outcome outcome;

    if (options->output == NULL || options->output[0] == '\0' || strcmp(options->output, "-") == 0)
        return complain(OUTCOME_MISUSED, "convert needs the name of a file or a directory: -o OUT");
    outcome = model_open(options, &model, &info);
    if (outcome != OUTCOME_DONE)
        return outcome;
    if (options->format != FORMAT_NATIVE && gpt2_model_tokenizer_error(model)[0] != '\0')
        (void)complain(OUTCOME_DONE, "the tokenizer is left out: %s",
                       gpt2_model_tokenizer_error(model));
    switch (options->format) {
    case FORMAT_SAFETENSORS:
        outcome = write_directory(&conversion, model, options->output);
        break;
    case FORMAT_GGUF:
        outcome = write_file(&conversion, model, "model.gguf", options->output);
        break;
    default:
        outcome = write_file(&conversion, model, "native.safetensors", options->output);
    }
    if (outcome == OUTCOME_DONE && options->format == FORMAT_NATIVE)
        note("%.1f MB, weights in %s, in %s", (double)conversion.n_bytes / 1e6,
             weight_type_name(info.memory_type), options->output);
    else if (outcome == OUTCOME_DONE)
        note("%.1f MB in %s", (double)conversion.n_bytes / 1e6, options->output);
    gpt2_model_free(model);
    return outcome;
}

const struct command command_convert = {
    .name = "convert",
    .summary = "write a model as one file that opens at once, or for other programs",
    .synopsis = "[-m MODEL] -o OUT [--format FORMAT] [--type TYPE] [OPTIONS]",
    .help =
        "Writes a native file: config, tokenizer and weights as they lie in memory.  The other\n"
        "commands open it with -m OUT.safetensors in milliseconds, since nothing is read or\n"
        "computed before it is needed, and processes that use it share its memory.  With --type\n"
        "q8 or q4 the weights are quantised now, and not each time that the model is loaded.\n"
        "\n"
        "The file is a safetensors file, so tools that list these list it.  Only libgpt2 can run\n"
        "it.  `gpt2 info --verify` compares its checksum.\n"
        "\n"
        "With --format safetensors OUT is a directory that transformers reads: config.json,\n"
        "model.safetensors, tokenizer.json and tokenizer_config.json.  Weights of 8 and 4 bits\n"
        "become F32.  With --format gguf OUT is a file that llama.cpp reads; what llama.cpp would\n"
        "run otherwise, such as exact gelu, is refused.\n",
    .examples = "  gpt2 convert -m models/gpt2 -o gpt2-q8.safetensors --type q8\n"
                "  gpt2 generate -m gpt2-q8.safetensors -p 'Once upon a time'\n"
                "  gpt2 convert -m nanogpt/out -o out.gguf --format gguf\n",
    .option_groups = OPTIONS_MODEL | OPTIONS_WEIGHTS | OPTIONS_OUTPUT | OPTIONS_CONVERT,
    .run = convert,
};
