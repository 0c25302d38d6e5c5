/*
 * paths.h: a path as the library's loaders want it: a directory and a name.
 */
#ifndef PATHS_H
#define PATHS_H

#include "base/source.h"

#include <stdio.h>

#define PATH_BYTES 4096

struct path {
    char directory[PATH_BYTES];
    const char *name; /* in the path that was split */
    struct gpt2i_files files;
};

/* 'path' is borrowed. */
static inline void path_split(struct path *split, const char *path)
{
    const char *slash = strrchr(path, '/');
    int length = slash == NULL ? 1 : (int)(slash - path);

    (void)snprintf(split->directory, sizeof split->directory, "%.*s", length,
                   slash == NULL ? "." : path);
    split->name = slash == NULL ? path : slash + 1;
    split->files = (struct gpt2i_files){.directory = split->directory};
}

#endif
