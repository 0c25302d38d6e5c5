/*
 * pytorch.c: reads the tensors of a pytorch_model.bin, a state_dict that torch.save() has written.
 *
 * Since torch 1.6 the file is a zip file, whose entries are in one folder of any name:
 *
 *     NAME/data.pkl       the pickle of the dict
 *     NAME/data/KEY       the bytes of a storage
 *     NAME/byteorder      "little", since torch 2
 *
 * Before, it was a stream of pickles and bytes.
 */
#include "mingpt.h"
#include "nanogpt.h"
#include "pytorch_stream.h"
#include "zip.h"

/* ------------------------------------------------------------------------------- the zip form -- */

/* The folder that all entries are in. */
static int32_t find_folder(struct gpt2i_pytorch *reader)
{
    const struct gpt2i_tensors *entries = &reader->storages;
    const char *end = entries->n_tensors == 0 ? NULL : strchr(entries->items[0].name, '/');
    size_t length;

    if (end == NULL)
        return gpt2i_pytorch_fail(reader, GPT2_ERR_FORMAT,
                                  "zip file: wanted a folder with data.pkl in it");
    length = (size_t)(end - entries->items[0].name) + 1;
    for (size_t i = 0; i < entries->n_tensors; i++) {
        if (strncmp(entries->items[i].name, entries->items[0].name, length) != 0)
            return gpt2i_pytorch_fail(reader, GPT2_ERR_FORMAT,
                                      "zip file: the entries are in several folders");
    }
    memcpy(reader->prefix, entries->items[0].name, length);
    reader->prefix[length] = '\0';
    return GPT2_OK;
}

/* An entry of the folder; NULL if it is missing. */
static const struct gpt2i_tensor *find_entry(const struct gpt2i_pytorch *reader, const char *name)
{
    char path[2 * GPT2I_TENSOR_NAME_BYTES];
    size_t length = strlen(reader->prefix);

    memcpy(path, reader->prefix, length);
    memcpy(path + length, name, strlen(name) + 1);
    return gpt2i_tensors_find(&reader->storages, path);
}

static int32_t check_byteorder_file(const struct gpt2i_pytorch *reader)
{
    const struct gpt2i_tensor *entry = find_entry(reader, "byteorder");
    char order[6];
    int32_t status;

    if (entry == NULL)
        return GPT2_OK;
    if (entry->n_bytes == 3)
        return gpt2i_pytorch_fail(reader, GPT2_ERR_UNSUPPORTED, "its byteorder is not little");
    if (entry->n_bytes != sizeof order)
        return gpt2i_pytorch_fail(reader, GPT2_ERR_FORMAT,
                                  "its byteorder is neither little nor big");
    status = gpt2i_source_read(entry->source, entry->offset, order, sizeof order, reader->error);
    if (status == GPT2_OK && memcmp(order, "little", sizeof order) != 0)
        return gpt2i_pytorch_fail(reader, GPT2_ERR_FORMAT,
                                  "its byteorder is neither little nor big");
    return status;
}

static int32_t read_zip(struct gpt2i_pytorch *reader)
{
    const struct gpt2i_tensor *entry = NULL;
    int32_t status = gpt2i_zip_read(&reader->storages, reader->error);

    if (status == GPT2_OK)
        status = find_folder(reader);
    if (status == GPT2_OK)
        status = check_byteorder_file(reader);
    if (status == GPT2_OK && (entry = find_entry(reader, "data.pkl")) == NULL)
        status = gpt2i_pytorch_fail(reader, GPT2_ERR_FORMAT,
                                    "zip file: wanted a folder with data.pkl in it");
    if (status == GPT2_OK)
        status = gpt2i_pytorch_read_pickles(reader, entry->offset, entry->n_bytes);
    if (status == GPT2_OK)
        status = gpt2i_pytorch_run_dict(reader);
    if (status == GPT2_OK && reader->pickle.at != reader->pickle.n_bytes)
        status = gpt2i_pytorch_fail(reader, GPT2_ERR_FORMAT,
                                    "data.pkl goes on behind the end of the pickle");
    memcpy(reader->prefix + strlen(reader->prefix), "data/", sizeof "data/");
    return status;
}

/* ------------------------------------------------------------------------------------ opening -- */

/* Whose file it is.  Of others than Hugging Face's, a config is made here. */
enum form { HF, NANOGPT, MINGPT };

static int32_t open_file(struct gpt2i_tensors *tensors, const struct gpt2i_files *files,
                         const char *name, enum form form, struct gpt2i_error *error)
{
    struct gpt2i_pytorch reader = {.tensors = tensors, .is_linear = form != HF, .error = error};
    unsigned char first[2] = {0, 0};
    uint64_t name_bytes = 0;
    int32_t status;

    memset(tensors, 0, sizeof *tensors);
    status = gpt2i_source_open(&tensors->source, files, name, error);
    if (status != GPT2_OK)
        return status;
    reader.pickle.path = tensors->source->path;
    reader.storages.source = tensors->source;
    if (tensors->source->size_bytes >= sizeof first)
        status = gpt2i_source_read(tensors->source, 0, first, sizeof first, error);
    if (status == GPT2_OK && first[0] == 'P' && first[1] == 'K') {
        status = read_zip(&reader);
        if (status == GPT2_OK && form == NANOGPT)
            status = gpt2i_nanogpt_select(&reader);
        if (status == GPT2_OK)
            status = gpt2i_pytorch_check_dict(&reader, &name_bytes);
    } else if (status == GPT2_OK && first[0] == 0x80 && form == HF) {
        status = gpt2i_pytorch_read_stream(&reader, &name_bytes);
    } else if (status == GPT2_OK) {
        status = gpt2i_pytorch_fail(
            &reader, GPT2_ERR_FORMAT,
            form == HF ? "begins neither as a zip file nor as a pickle, the forms of torch.save()"
                       : "does not begin as a zip file, the form of torch.save() since torch 1.6");
    }
    if (status == GPT2_OK)
        status = gpt2i_pytorch_read_tensors(&reader, name_bytes);
    if (status == GPT2_OK && form != HF) {
        tensors->config = tensors->names;
        status = form == NANOGPT ? gpt2i_nanogpt_config(&reader, tensors->names)
                                 : gpt2i_mingpt_config(tensors, files, tensors->names, error);
    }
    gpt2i_block_free(reader.block, reader.block_bytes);
    reader.storages.source = NULL; /* it is that of 'tensors' */
    gpt2i_tensors_close(&reader.storages);
    if (status != GPT2_OK)
        gpt2i_tensors_close(tensors);
    return status;
}

int32_t gpt2i_pytorch_open(struct gpt2i_tensors *tensors, const struct gpt2i_files *files,
                           const char *name, struct gpt2i_error *error)
{
    return open_file(tensors, files, name, HF, error);
}

int32_t gpt2i_nanogpt_open(struct gpt2i_tensors *tensors, const struct gpt2i_files *files,
                           const char *name, struct gpt2i_error *error)
{
    return open_file(tensors, files, name, NANOGPT, error);
}

int32_t gpt2i_mingpt_open(struct gpt2i_tensors *tensors, const struct gpt2i_files *files,
                          const char *name, struct gpt2i_error *error)
{
    return open_file(tensors, files, name, MINGPT, error);
}
