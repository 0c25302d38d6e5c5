/*
 * native.c: opening native files.
 */
#include "native.h"
#include "../base/checksum.h"

#include <inttypes.h>

static int32_t check_native_version(const struct gpt2i_tensors *tensors, struct gpt2i_error *error)
{
    const char *path = tensors->source->path;

    if (tensors->native_version == NULL || tensors->config == NULL)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: is not a native file of libgpt2; wanted one, or the directory "
                          "of " GPT2I_CONFIG_NAME " and " GPT2I_WEIGHTS_NAME,
                          path);
    if (strcmp(tensors->native_version, GPT2I_NATIVE_VERSION) != 0)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: is a native file of version %.20s, wanted " GPT2I_NATIVE_VERSION
                          ": convert the original model again",
                          path, tensors->native_version);
    return GPT2_OK;
}

/* What the tensor "checksums" has. */
struct sums {
    uint64_t directory_bytes;
    uint64_t of_directory;
    uint64_t of_rest;
    uint64_t offset; /* of the tensor */
};

static int32_t read_sums(const struct gpt2i_tensors *tensors, struct sums *sums,
                         struct gpt2i_error *error)
{
    const struct gpt2i_tensor *tensor = gpt2i_tensors_find(tensors, "checksums");
    unsigned char bytes[GPT2I_NATIVE_CHECKSUMS * sizeof(uint64_t)];
    int32_t status;

    if (tensor == NULL || tensor->n_bytes != sizeof bytes)
        return gpt2i_fail(
            error, GPT2_ERR_FORMAT, "%s: tensor checksums has %" PRIu64 " bytes, wanted %zu",
            tensors->source->path, tensor == NULL ? 0 : tensor->n_bytes, sizeof bytes);
    status = gpt2i_source_read(tensors->source, tensor->offset, bytes, sizeof bytes, error);
    if (status != GPT2_OK)
        return status;
    sums->directory_bytes = gpt2i_load_le64(bytes);
    sums->of_directory = gpt2i_load_le64(bytes + 8);
    sums->of_rest = gpt2i_load_le64(bytes + 16);
    sums->offset = tensor->offset;
    return GPT2_OK;
}

/* Reads the first n_bytes into a block of the image's own. */
static int32_t read_image(struct gpt2i_native *native, uint64_t n_bytes,
                          gpt2_progress_callback progress, void *user, struct gpt2i_error *error)
{
    const struct gpt2i_source *source = native->tensors.source;
    struct gpt2i_image *image = &native->image;
    int32_t status = GPT2_OK;

    image->n_bytes = (size_t)n_bytes;
    image->block = n_bytes > SIZE_MAX ? NULL : gpt2i_block_new(image->n_bytes);
    if (image->block == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "%s: no memory for %" PRIu64 " of its bytes",
                          source->path, n_bytes);
    image->bytes = image->block;
    for (size_t at = 0; at < image->n_bytes && status == GPT2_OK;) {
        size_t n = gpt2i_min(image->n_bytes - at, GPT2I_NATIVE_CHUNK_BYTES);

        status = gpt2i_source_read(source, at, (unsigned char *)image->block + at, n, error);
        at += n;
        if (status == GPT2_OK && progress != NULL && progress(user, at, image->n_bytes) != 0)
            status = gpt2i_fail(error, GPT2_ERR_CANCELLED, "%s: cancelled by the progress callback",
                                source->path);
    }
    return status;
}

/* The checksum of a part of a file. */
static uint64_t checksum_of(const unsigned char *bytes, size_t n_bytes)
{
    uint64_t sum = 0;

    for (size_t at = 0; at < n_bytes; at += GPT2I_NATIVE_CHUNK_BYTES)
        sum = gpt2i_checksum(sum, bytes + at, gpt2i_min(n_bytes - at, GPT2I_NATIVE_CHUNK_BYTES));
    return sum;
}

/* Compares the checksum of a part of the file. */
static int32_t check_sum(const struct gpt2i_native *native, const char *part, uint64_t begin,
                         uint64_t end, uint64_t wanted, struct gpt2i_error *error)
{
    uint64_t found = checksum_of(native->image.bytes + begin, (size_t)(end - begin));

    if (found == wanted)
        return GPT2_OK;
    return gpt2i_fail(error, GPT2_ERR_FORMAT,
                      "%s: the checksum of its %s is not what it was when it was written: found "
                      "%016" PRIx64 ", wanted %016" PRIx64 ": the file is damaged",
                      native->tensors.source->path, part, found, wanted);
}

/* Turns the bytes of each element round. */
static void turn_elements(unsigned char *bytes, uint64_t n_elements, size_t element_bytes)
{
    for (uint64_t i = 0; i < n_elements; i++, bytes += element_bytes) {
        for (size_t low = 0, high = element_bytes - 1; low < high; low++, high--) {
            unsigned char saved = bytes[low];

            bytes[low] = bytes[high];
            bytes[high] = saved;
        }
    }
}

/* Whether the image has all of a tensor. */
static bool is_inside(const struct gpt2i_native *native, const struct gpt2i_tensor *tensor)
{
    return tensor->offset + tensor->n_bytes <= native->image.n_bytes; /* both are in the file */
}

/* Puts a copied image into a big-endian machine's order of bytes. */
static void turn_image(struct gpt2i_native *native)
{
    for (size_t i = 0; i < native->tensors.n_tensors; i++) {
        const struct gpt2i_tensor *tensor = &native->tensors.items[i];
        uint64_t n_elements = 0;

        if (tensor->n_bytes > 0 && is_inside(native, tensor) &&
            gpt2i_tensor_size(tensor, 1, &n_elements))
            turn_elements((unsigned char *)native->image.block + tensor->offset, n_elements,
                          (size_t)(tensor->n_bytes / n_elements));
    }
}

/* Gets the bytes of a file whose header has been read. */
static int32_t open_image(struct gpt2i_native *native, int32_t access,
                          gpt2_progress_callback progress, void *user, struct gpt2i_error *error)
{
    const struct gpt2i_tensors *tensors = &native->tensors;
    bool is_shared = access == GPT2_FILE_MAP && gpt2i_is_little_endian() &&
                     gpt2i_source_share(tensors->source, &native->image);
    bool is_whole = access != GPT2I_FILE_DIRECTORY;
    struct sums sums = {0};
    int32_t status = read_sums(tensors, &sums, error);

    if (status != GPT2_OK)
        return status;
    if (sums.directory_bytes < tensors->data_offset || sums.directory_bytes > sums.offset)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: the length of its directory is %" PRIu64 ", wanted %" PRIu64
                          " to %" PRIu64 ": the file is damaged",
                          tensors->source->path, sums.directory_bytes, tensors->data_offset,
                          sums.offset);
    native->directory_bytes = sums.directory_bytes;
    if (!is_shared)
        status = read_image(native, is_whole ? tensors->source->size_bytes : sums.directory_bytes,
                            progress, user, error);
    if (status == GPT2_OK)
        status = check_sum(native, "directory", 0, sums.directory_bytes, sums.of_directory, error);
    if (status == GPT2_OK && is_whole && !is_shared)
        status =
            check_sum(native, "weights", sums.directory_bytes, sums.offset, sums.of_rest, error);
    return status;
}

int32_t gpt2i_native_open(struct gpt2i_native *native, const struct gpt2i_files *files,
                          int32_t access, gpt2_progress_callback progress, void *user,
                          struct gpt2i_error *error)
{
    int32_t status;

    memset(native, 0, sizeof *native);
    status = gpt2i_safetensors_open(&native->tensors, files, GPT2I_NATIVE_NAME, error);
    if (status == GPT2_OK)
        status = check_native_version(&native->tensors, error);
    if (status == GPT2_OK)
        status = open_image(native, access, progress, user, error);
    if (status != GPT2_OK) {
        gpt2i_native_close(native);
        return status;
    }
    if (!gpt2i_is_little_endian())
        turn_image(native);
    return GPT2_OK;
}

struct gpt2i_image gpt2i_native_take(struct gpt2i_native *native)
{
    struct gpt2i_image image = native->image;

    memset(&native->image, 0, sizeof native->image);
    gpt2i_native_close(native);
    return image;
}

void gpt2i_native_close(struct gpt2i_native *native)
{
    gpt2i_image_free(&native->image);
    gpt2i_tensors_close(&native->tensors);
}

int32_t gpt2i_native_find(const struct gpt2i_native *native, const char *name, const char *dtype,
                          size_t element_bytes, const void **elements, uint64_t *n_elements,
                          struct gpt2i_error *error)
{
    const struct gpt2i_tensor *tensor = gpt2i_tensors_find(&native->tensors, name);
    const char *path = native->tensors.source->path;

    if (tensor == NULL)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: tensor %s is missing", path, name);
    if (strcmp(tensor->dtype, dtype) != 0)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: tensor %s has type %s, wanted %s", path,
                          name, tensor->dtype, dtype);
    if (tensor->offset % element_bytes != 0)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: tensor %s begins at byte %" PRIu64 ", wanted a multiple of %zu",
                          path, name, tensor->offset, element_bytes);
    if (!is_inside(native, tensor))
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: tensor %s is not in the directory", path,
                          name);
    *elements = native->image.bytes + tensor->offset;
    *n_elements = tensor->n_bytes / element_bytes;
    return GPT2_OK;
}
