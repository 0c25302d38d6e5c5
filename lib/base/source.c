/*
 * source.c: opening and reading sources.
 */
#include "source.h"

#include <inttypes.h>

static const gpt2_source *find_given(const struct gpt2i_files *files, const char *name)
{
    for (size_t i = 0; i < files->n_list; i++) {
        if (strcmp(files->list[i].name, name) == 0)
            return &files->list[i];
    }
    return NULL;
}

struct gpt2i_files gpt2i_files_at(const char *path)
{
    bool is_file = gpt2i_os_kind_of(path) == GPT2I_OS_REGULAR;
    struct gpt2i_files files = {
        .directory = is_file ? NULL : path,
        .file = is_file ? path : NULL,
    };

    return files;
}

bool gpt2i_files_are_native(const struct gpt2i_files *files)
{
    return files->file != NULL || find_given(files, GPT2I_NATIVE_NAME) != NULL;
}

struct gpt2i_files gpt2i_files_around(const struct gpt2i_files *file)
{
    const char *slash = strrchr(file->file, '/');
    struct gpt2i_files files = {.directory = file->file};

    files.weights = slash == NULL ? file->file : slash + 1;
    files.n_cut = strlen(files.weights);
    return files;
}

static size_t directory_length_of(const struct gpt2i_files *files)
{
    return files->directory == NULL ? 0 : strlen(files->directory) - files->n_cut;
}

/* The struct and DIRECTORY/NAME with its NUL. */
static size_t source_bytes(const struct gpt2i_files *files, const char *name)
{
    return sizeof(struct gpt2i_source) + directory_length_of(files) + 1 + strlen(name) + 1;
}

/* A source that is not open, with its path; NULL if there is no memory. */
static struct gpt2i_source *source_new(const struct gpt2i_files *files, const char *name)
{
    size_t directory_length = directory_length_of(files);
    size_t block_bytes = source_bytes(files, name);
    struct gpt2i_source *source = gpt2i_block_new(block_bytes);
    char *end;

    if (source == NULL)
        return NULL;
    source->block_bytes = block_bytes;
    if (directory_length > 0)
        memcpy(source->path, files->directory, directory_length);
    end = source->path + directory_length;
    if (directory_length > 0 && end[-1] != '/')
        *end++ = '/';
    memcpy(end, name, strlen(name) + 1);
    return source;
}

static int32_t fail_file_memory(const struct gpt2i_files *files, const char *name,
                                struct gpt2i_error *error)
{
    return gpt2i_fail(error, GPT2_ERR_MEMORY, "no memory for %zu bytes to open %s",
                      source_bytes(files, name), name);
}

int32_t gpt2i_source_exists(const struct gpt2i_files *files, const char *name, bool *exists,
                            struct gpt2i_error *error)
{
    struct gpt2i_source *source;

    *exists = files->directory == NULL && find_given(files, name) != NULL;
    if (files->directory == NULL)
        return GPT2_OK;
    source = source_new(files, name);
    if (source == NULL)
        return fail_file_memory(files, name, error);
    *exists = gpt2i_os_kind_of(source->path) != GPT2I_OS_NOTHING;
    gpt2i_block_free(source, source->block_bytes);
    return GPT2_OK;
}

int32_t gpt2i_source_open(struct gpt2i_source **out, const struct gpt2i_files *files,
                          const char *name, struct gpt2i_error *error)
{
    struct gpt2i_source *source = source_new(files, files->file != NULL ? files->file : name);
    const char *wrong = NULL;
    int32_t status;

    *out = NULL;
    if (source == NULL)
        return fail_file_memory(files, name, error);
    if (files->directory == NULL && files->file == NULL) {
        source->given = find_given(files, name);
        if (source->given == NULL)
            wrong = "is not among the sources";
        else
            source->size_bytes = source->given->n_bytes;
    } else {
        wrong = gpt2i_os_open(&source->file, source->path);
        source->size_bytes = source->file.size_bytes;
    }
    if (wrong == NULL) {
        *out = source;
        return GPT2_OK;
    }
    status = gpt2i_fail(error, GPT2_ERR_FILE, "%s: %s", source->path, wrong);
    gpt2i_block_free(source, source->block_bytes);
    return status;
}

/* Some of the bytes: how many, 0 at the end, negative on failure. */
static int64_t read_some(const struct gpt2i_source *source, uint64_t offset, void *bytes,
                         size_t n_bytes)
{
    const gpt2_source *given = source->given;
    size_t n_read = 0;

    if (given == NULL)
        return gpt2i_os_read(&source->file, offset, bytes, n_bytes);
    if (given->read != NULL) {
        if (given->read(given->user, offset, bytes, n_bytes, &n_read) != 0 || n_read > n_bytes)
            return -1;
        return (int64_t)n_read;
    }
    if (offset >= given->n_bytes)
        return 0;
    n_read = n_bytes;
    if (n_read > given->n_bytes - offset)
        n_read = (size_t)(given->n_bytes - offset);
    memcpy(bytes, (const unsigned char *)given->bytes + offset, n_read);
    return (int64_t)n_read;
}

int32_t gpt2i_source_read(const struct gpt2i_source *source, uint64_t offset, void *bytes,
                          size_t n_bytes, struct gpt2i_error *error)
{
    unsigned char *to = bytes;

    while (n_bytes > 0) {
        int64_t n_read = read_some(source, offset, to, n_bytes);

        if (n_read < 0)
            return gpt2i_fail(error, GPT2_ERR_FILE, "%s: cannot be read at byte %" PRIu64,
                              source->path, offset);
        if (n_read == 0)
            return gpt2i_fail(error, GPT2_ERR_FILE,
                              "%s: ends at byte %" PRIu64 ", %zu bytes too early", source->path,
                              offset, n_bytes);
        to += n_read;
        offset += (uint64_t)n_read;
        n_bytes -= (size_t)n_read;
    }
    return GPT2_OK;
}

void gpt2i_source_close(struct gpt2i_source *source)
{
    if (source == NULL)
        return;
    if (source->given == NULL)
        gpt2i_os_close(&source->file);
    gpt2i_block_free(source, source->block_bytes);
}

bool gpt2i_source_share(const struct gpt2i_source *source, struct gpt2i_image *image)
{
    memset(image, 0, sizeof *image);
    if (source->size_bytes > SIZE_MAX)
        return false;
    image->n_bytes = (size_t)source->size_bytes;
    if (source->given == NULL) {
        image->mapping = gpt2i_os_map(&source->file);
        image->bytes = image->mapping;
    } else if ((uintptr_t)source->given->bytes % GPT2I_ALIGN == 0) {
        image->bytes = source->given->bytes; /* NULL for a callback */
    }
    return image->bytes != NULL;
}

void gpt2i_image_free(struct gpt2i_image *image)
{
    gpt2i_block_free(image->block, image->n_bytes);
    if (image->mapping != NULL)
        gpt2i_os_unmap(image->mapping, image->n_bytes);
    memset(image, 0, sizeof *image);
}

int32_t gpt2i_text_read(struct gpt2i_text *text, const struct gpt2i_files *files, const char *name,
                        uint64_t max_bytes, struct gpt2i_error *error)
{
    int32_t status;

    memset(text, 0, sizeof *text);
    status = gpt2i_source_open(&text->source, files, name, error);
    if (status != GPT2_OK)
        return status;
    if (text->source->size_bytes > max_bytes) {
        status = gpt2i_fail(error, GPT2_ERR_FORMAT,
                            "%s: has %" PRIu64 " bytes, more than the %" PRIu64 " allowed",
                            text->source->path, text->source->size_bytes, max_bytes);
        goto fail;
    }
    text->n_bytes = (size_t)text->source->size_bytes;
    text->text = gpt2i_block_new(text->n_bytes + 1);
    if (text->text == NULL) {
        status = gpt2i_fail(error, GPT2_ERR_MEMORY, "%s: no memory for its %zu bytes",
                            text->source->path, text->n_bytes + 1);
        goto fail;
    }
    status = gpt2i_source_read(text->source, 0, text->text, text->n_bytes, error);
    if (status == GPT2_OK)
        return GPT2_OK;
fail:
    gpt2i_text_free(text);
    return status;
}

void gpt2i_text_free(struct gpt2i_text *text)
{
    gpt2i_block_free(text->text, text->n_bytes + 1);
    gpt2i_source_close(text->source);
    memset(text, 0, sizeof *text);
}
