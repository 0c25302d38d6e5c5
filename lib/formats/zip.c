/*
 * zip.c: reads the directory of a zip file.
 *
 *     [local header, name, extra fields] [the bytes] [descriptor, perhaps]      for each entry
 *     the directory: [header, name, extra fields, comment]                      for each entry
 *     [zip64 end] [zip64 locator]                                               if the file has them
 *     [end]                                                                     22 bytes, no comment
 *
 * The end must be the last bytes of the file, and the directory must reach to it, so that there is
 * one way to read a file.  What the local headers say must be what the directory says.
 */
#include "zip.h"

#include <inttypes.h>

#define ENTRIES_MAX         8192
#define DIRECTORY_MAX_BYTES ((uint64_t)4 << 20)
#define END_BYTES           22
#define END64_BYTES         56
#define LOCATOR_BYTES       20
#define ENTRY_BYTES         46 /* of the directory, before the name */
#define LOCAL_BYTES         30 /* before the name */

#define END_SIGNATURE     0x06054b50
#define END64_SIGNATURE   0x06064b50
#define LOCATOR_SIGNATURE 0x07064b50
#define ENTRY_SIGNATURE   0x02014b50
#define LOCAL_SIGNATURE   0x04034b50

#define FLAG_ENCRYPTED  0x0001
#define FLAG_DESCRIPTOR 0x0008 /* the sizes come behind the bytes */
#define ZIP64_FIELD     1
#define IN_ZIP64        0xffffffffu /* a number is in the zip64 field */

struct directory {
    const struct gpt2i_source *source;
    uint64_t n_entries;
    uint64_t offset;
    uint64_t n_bytes;
    unsigned char *bytes;
};

/* One entry as the directory tells it. */
struct zip_entry {
    const unsigned char *name;
    size_t name_length;
    unsigned flags;
    uint64_t n_bytes;
    uint64_t offset;  /* of the local header */
    size_t all_bytes; /* of the directory that it takes */
};

static int32_t fail_zip(const struct gpt2i_source *source, const char *what,
                        struct gpt2i_error *error)
{
    return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: zip file: %s", source->path, what);
}

static int32_t fail_entry(const struct gpt2i_source *source, const struct zip_entry *entry,
                          int32_t status, const char *what, struct gpt2i_error *error)
{
    return gpt2i_fail(error, status, "%s: zip file: entry %.*s: %s", source->path,
                      (int)gpt2i_min(entry->name_length, GPT2I_TENSOR_NAME_BYTES / 2),
                      (const char *)entry->name, what);
}

/* --------------------------------------------------------------------------------- the ends -- */

/* The zip64 end before the end, if its locator is there; else the directory stays as it is. */
static int32_t read_end64(struct directory *directory, uint64_t *end, struct gpt2i_error *error)
{
    const struct gpt2i_source *source = directory->source;
    unsigned char bytes[END64_BYTES + LOCATOR_BYTES];
    const unsigned char *locator = bytes + END64_BYTES;
    int32_t status;

    if (*end < sizeof bytes)
        return GPT2_OK;
    status = gpt2i_source_read(source, *end - sizeof bytes, bytes, sizeof bytes, error);
    if (status != GPT2_OK || gpt2i_load_le32(locator) != LOCATOR_SIGNATURE)
        return status;
    *end -= sizeof bytes;
    if (gpt2i_load_le64(locator + 8) != *end || gpt2i_load_le32(bytes) != END64_SIGNATURE ||
        gpt2i_load_le64(bytes + 4) != END64_BYTES - 12)
        return fail_zip(source, "the zip64 end is not where its locator says", error);
    if (gpt2i_load_le32(locator + 4) != 0 || gpt2i_load_le32(locator + 16) != 1 ||
        gpt2i_load_le32(bytes + 16) != 0 || gpt2i_load_le32(bytes + 20) != 0 ||
        gpt2i_load_le64(bytes + 24) != gpt2i_load_le64(bytes + 32))
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED, "%s: zip file: is on several disks",
                          source->path);
    if ((directory->n_entries != 0xffff && directory->n_entries != gpt2i_load_le64(bytes + 32)) ||
        (directory->n_bytes != IN_ZIP64 && directory->n_bytes != gpt2i_load_le64(bytes + 40)) ||
        (directory->offset != IN_ZIP64 && directory->offset != gpt2i_load_le64(bytes + 48)))
        return fail_zip(source, "the two ends tell of different directories", error);
    directory->n_entries = gpt2i_load_le64(bytes + 32);
    directory->n_bytes = gpt2i_load_le64(bytes + 40);
    directory->offset = gpt2i_load_le64(bytes + 48);
    return GPT2_OK;
}

static int32_t find_directory(struct directory *directory, struct gpt2i_error *error)
{
    const struct gpt2i_source *source = directory->source;
    unsigned char bytes[END_BYTES];
    uint64_t end;
    int32_t status;

    if (source->size_bytes < END_BYTES)
        return fail_zip(source, "is too short to have an end", error);
    end = source->size_bytes - END_BYTES;
    status = gpt2i_source_read(source, end, bytes, sizeof bytes, error);
    if (status != GPT2_OK)
        return status;
    if (gpt2i_load_le32(bytes) != END_SIGNATURE || gpt2i_load_le16(bytes + 20) != 0)
        return fail_zip(source,
                        "its last 22 bytes are no end of a directory: cut short, or more was added",
                        error);
    directory->n_entries = gpt2i_load_le16(bytes + 10);
    directory->n_bytes = gpt2i_load_le32(bytes + 12);
    directory->offset = gpt2i_load_le32(bytes + 16);
    if (gpt2i_load_le16(bytes + 4) != 0 || gpt2i_load_le16(bytes + 6) != 0 ||
        gpt2i_load_le16(bytes + 8) != directory->n_entries)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED, "%s: zip file: is on several disks",
                          source->path);
    status = read_end64(directory, &end, error);
    if (status != GPT2_OK)
        return status;
    if (directory->offset > end || directory->n_bytes != end - directory->offset)
        return fail_zip(source, "the directory does not reach from its offset to the end", error);
    if (directory->n_bytes > DIRECTORY_MAX_BYTES || directory->n_entries > ENTRIES_MAX)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: zip file: the directory has %" PRIu64 " entries and %" PRIu64
                          " bytes, wanted at most %d and %" PRIu64,
                          source->path, directory->n_entries, directory->n_bytes, ENTRIES_MAX,
                          DIRECTORY_MAX_BYTES);
    return GPT2_OK;
}

/* ------------------------------------------------------------------------------ the directory -- */

/* The next number of the zip64 field, if 'number' says that it is there. */
static bool widen(uint64_t *number, const unsigned char **field, size_t *left)
{
    if (*number != IN_ZIP64)
        return true;
    if (*left < 8)
        return false;
    *number = gpt2i_load_le64(*field);
    *field += 8;
    *left -= 8;
    return true;
}

/* Sizes and offset that do not fit into 32 bits. */
static bool read_zip64_field(struct zip_entry *entry, uint64_t *stored_bytes,
                             const unsigned char *extra, size_t length)
{
    while (length >= 4) {
        size_t field_length = gpt2i_load_le16(extra + 2);
        const unsigned char *field = extra + 4;

        if (field_length > length - 4)
            return false;
        if (gpt2i_load_le16(extra) == ZIP64_FIELD)
            return widen(&entry->n_bytes, &field, &field_length) &&
                   widen(stored_bytes, &field, &field_length) &&
                   widen(&entry->offset, &field, &field_length);
        extra = field + field_length;
        length -= 4 + field_length;
    }
    return entry->n_bytes != IN_ZIP64 && *stored_bytes != IN_ZIP64 && entry->offset != IN_ZIP64;
}

/* A name that is a path inside the file: no "..", nothing absolute, nothing that cannot be seen. */
static bool is_plain_name(const struct zip_entry *entry)
{
    for (size_t i = 0; i < entry->name_length; i++) {
        if (entry->name[i] < ' ' || entry->name[i] == '\\' || entry->name[i] == ':' ||
            (entry->name[i] == '.' && i > 0 && entry->name[i - 1] == '.'))
            return false;
    }
    return entry->name_length > 0 && entry->name_length < GPT2I_TENSOR_NAME_BYTES &&
           entry->name[0] != '/';
}

/* The entry at byte 'at' of the directory. */
static int32_t read_zip_entry(const struct directory *directory, size_t at, struct zip_entry *entry,
                              struct gpt2i_error *error)
{
    const struct gpt2i_source *source = directory->source;
    const unsigned char *bytes = directory->bytes + at;
    size_t left = (size_t)directory->n_bytes - at, extra_length;
    uint64_t stored_bytes;

    if (left < ENTRY_BYTES || gpt2i_load_le32(bytes) != ENTRY_SIGNATURE)
        return fail_zip(source, "the directory has fewer entries than its end says", error);
    entry->name = bytes + ENTRY_BYTES;
    entry->name_length = gpt2i_load_le16(bytes + 28);
    extra_length = gpt2i_load_le16(bytes + 30);
    entry->all_bytes =
        ENTRY_BYTES + entry->name_length + extra_length + gpt2i_load_le16(bytes + 32);
    if (entry->all_bytes > left)
        return fail_zip(source, "an entry is longer than the directory", error);
    entry->flags = gpt2i_load_le16(bytes + 8);
    stored_bytes = gpt2i_load_le32(bytes + 20);
    entry->n_bytes = gpt2i_load_le32(bytes + 24);
    entry->offset = gpt2i_load_le32(bytes + 42);
    if (!is_plain_name(entry))
        return fail_entry(source, entry, GPT2_ERR_FORMAT, "the name is no plain path", error);
    if (!read_zip64_field(entry, &stored_bytes, entry->name + entry->name_length, extra_length))
        return fail_entry(source, entry, GPT2_ERR_FORMAT, "its extra fields are damaged", error);
    if ((entry->flags & FLAG_ENCRYPTED) != 0)
        return fail_entry(source, entry, GPT2_ERR_UNSUPPORTED, "is encrypted", error);
    if (gpt2i_load_le16(bytes + 10) != 0)
        return fail_entry(source, entry, GPT2_ERR_UNSUPPORTED,
                          "is compressed, wanted stored as it is, as torch.save() does", error);
    if (gpt2i_load_le16(bytes + 34) != 0)
        return fail_entry(source, entry, GPT2_ERR_UNSUPPORTED, "is on another disk", error);
    if (stored_bytes != entry->n_bytes)
        return fail_entry(source, entry, GPT2_ERR_FORMAT, "its two sizes differ", error);
    return GPT2_OK;
}

/* ------------------------------------------------------------------------------ local headers -- */

/* A size of a local header is that of the directory, or told elsewhere. */
static bool size_agrees(const struct zip_entry *entry, uint32_t size)
{
    return size == entry->n_bytes || size == IN_ZIP64 ||
           (size == 0 && (entry->flags & FLAG_DESCRIPTOR) != 0);
}

/* Finds where the bytes of an entry begin, and checks that its local header tells the same. */
static int32_t find_bytes(const struct directory *directory, const struct zip_entry *entry,
                          uint64_t *begin, struct gpt2i_error *error)
{
    unsigned char bytes[LOCAL_BYTES + GPT2I_TENSOR_NAME_BYTES];
    const struct gpt2i_source *source = directory->source;
    size_t header_bytes = LOCAL_BYTES + entry->name_length;
    int32_t status;

    if (entry->offset > directory->offset || header_bytes > directory->offset - entry->offset)
        return fail_entry(source, entry, GPT2_ERR_FORMAT, "begins behind the directory", error);
    status = gpt2i_source_read(source, entry->offset, bytes, header_bytes, error);
    if (status != GPT2_OK)
        return status;
    if (gpt2i_load_le32(bytes) != LOCAL_SIGNATURE || gpt2i_load_le16(bytes + 8) != 0 ||
        ((gpt2i_load_le16(bytes + 6) ^ entry->flags) & (FLAG_ENCRYPTED | FLAG_DESCRIPTOR)) != 0 ||
        !size_agrees(entry, gpt2i_load_le32(bytes + 18)) ||
        !size_agrees(entry, gpt2i_load_le32(bytes + 22)) ||
        gpt2i_load_le16(bytes + 26) != entry->name_length ||
        memcmp(bytes + LOCAL_BYTES, entry->name, entry->name_length) != 0)
        return fail_entry(source, entry, GPT2_ERR_FORMAT,
                          "its local header is not what the directory says", error);
    *begin = entry->offset + header_bytes + gpt2i_load_le16(bytes + 28);
    if (*begin > directory->offset || entry->n_bytes > directory->offset - *begin)
        return fail_entry(source, entry, GPT2_ERR_FORMAT, "ends behind the directory's begin",
                          error);
    return GPT2_OK;
}

/*
 * Stores all entries.  Until their ranges are checked an item has all bytes from the local header
 * on, and dims[0] are those of its data.
 */
static int32_t read_entries(struct gpt2i_tensors *entries, const struct directory *directory,
                            struct gpt2i_error *error)
{
    size_t at = 0, name_at = 0;

    for (size_t i = 0; i < entries->n_tensors; i++) {
        struct gpt2i_tensor *item = &entries->items[i];
        struct zip_entry entry = {.name = NULL};
        uint64_t begin = 0;
        int32_t status = read_zip_entry(directory, at, &entry, error);

        if (status == GPT2_OK)
            status = find_bytes(directory, &entry, &begin, error);
        if (status != GPT2_OK)
            return status;
        memcpy(entries->names + name_at, entry.name, entry.name_length);
        item->name = entries->names + name_at;
        item->dtype = "";
        item->type = -1;
        item->source = entries->source;
        item->offset = entry.offset;
        item->n_bytes = begin - entry.offset + entry.n_bytes;
        item->dims[0] = entry.n_bytes;
        name_at += entry.name_length + 1;
        at += entry.all_bytes;
    }
    if (at != directory->n_bytes)
        return fail_zip(directory->source, "the directory has more entries than its end says",
                        error);
    return GPT2_OK;
}

int32_t gpt2i_zip_read(struct gpt2i_tensors *entries, struct gpt2i_error *error)
{
    struct directory directory = {.source = entries->source};
    int32_t status = find_directory(&directory, error);

    if (status != GPT2_OK)
        return status;
    directory.bytes = gpt2i_block_new((size_t)directory.n_bytes + 1);
    if (directory.bytes == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY,
                          "%s: no memory for the %" PRIu64 " bytes of its directory",
                          entries->source->path, directory.n_bytes);
    status = gpt2i_source_read(entries->source, directory.offset, directory.bytes,
                               (size_t)directory.n_bytes, error);
    if (status == GPT2_OK) /* a name and its NUL are shorter than its entry */
        status =
            gpt2i_tensors_allocate(entries, (size_t)directory.n_entries, directory.n_bytes, error);
    if (status == GPT2_OK)
        status = read_entries(entries, &directory, error);
    gpt2i_block_free(directory.bytes, (size_t)directory.n_bytes + 1);
    if (status == GPT2_OK)
        status = gpt2i_tensors_check_ranges(entries, 0, true, error);
    for (size_t i = 0; i < entries->n_tensors && status == GPT2_OK; i++) {
        struct gpt2i_tensor *item = &entries->items[i];

        item->offset += item->n_bytes - item->dims[0];
        item->n_bytes = item->dims[0];
    }
    return status == GPT2_OK ? gpt2i_tensors_sort(entries, error) : status;
}
