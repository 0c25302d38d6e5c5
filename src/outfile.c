/*
 * outfile.c: writing a file beside its place, and putting it there.
 */
#include "outfile.h"

#include <errno.h>
#include <string.h>

#include "messages.h"

static enum outcome complain_write(const char *path)
{
    return complain(OUTCOME_FAILED, "cannot write %s: %s", path, strerror(errno));
}

enum outcome outfile_begin(struct outfile *outfile, const char *path)
{
    memset(outfile, 0, sizeof *outfile);
    outfile->path = path;
    if (!platform_may_replace(path))
        return complain(OUTCOME_FAILED, "cannot write %s: not a plain file", path);
    outfile->file = platform_replacement_begin(&outfile->replacement, path);
    return outfile->file != NULL ? OUTCOME_DONE : complain_write(path);
}

enum outcome outfile_end(struct outfile *outfile, enum outcome outcome)
{
    bool has_failed = ferror(outfile->file) != 0;

    has_failed = fclose(outfile->file) != 0 || has_failed;
    if (outcome == OUTCOME_DONE && has_failed)
        outcome = complain_write(outfile->path);
    if (outcome != OUTCOME_DONE) {
        platform_replacement_discard(&outfile->replacement);
        return outcome;
    }
    return platform_replacement_commit(&outfile->replacement) ? OUTCOME_DONE
                                                              : complain_write(outfile->path);
}
