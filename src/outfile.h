/*
 * outfile.h: a file that a command writes.  An old file of that name stays until the new one is complete.
 */
#ifndef OUTFILE_H
#define OUTFILE_H

#include <stdio.h>

#include "command.h"
#include "platform.h"

struct outfile {
    FILE *file;       /* empty; it can seek */
    const char *path; /* borrowed; for messages */
    struct platform_replacement replacement;
};

/* If it fails, that has been reported, and nothing is to be ended. */
enum outcome outfile_begin(struct outfile *outfile, const char *path);

/*
 * Closes the file, and gives it its name if 'outcome' is OUTCOME_DONE and no write failed; else removes
 * it.  Returns the outcome after that.
 */
enum outcome outfile_end(struct outfile *outfile, enum outcome outcome);

#endif
