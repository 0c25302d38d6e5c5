#!/bin/sh
# amalgamate.sh VERSION: writes the library to standard output as one file of C.
#
# Files are joined as they are, level after level, in a level the headers before the others.  A header
# stands once, but for those of kernels/ that are there for one instruction set at a time: they have no
# guard that begins with GPT2, and stand again behind each #include.  A macro without GPT2 before its name
# belongs to its file alone and is undefined behind it.
set -eu
cd "$(dirname "$0")/.."

cat <<EOT
/*
 * gpt2.c: libgpt2 $1, GPT-2 inference, as one file.  gpt2.h, which belongs beside it, documents it.
 *
 *     cc -O2 app.c gpt2.c -lm -pthread
 *
 * Made by "make amalgamation" from the files of lib/, whose names stand before them.
 *
$(sed 's/^/ * /; s/ *$//' LICENSE)
 */

/* as os_posix.c, before the first header of the system */
#if !defined(_WIN32)
#define _FILE_OFFSET_BITS 64
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#endif

#define GPT2I_ONE_FILE

/*
 * An instruction set need not use all that is there for it, nor a system.  gcc looks across files here, and
 * takes what a function does not write when it fails for what is used.
 */
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#endif
EOT

for level in base kernels formats text model decode api; do
    printf '%s\n' lib/$level/*.h lib/$level/*.c
done | awk '
# The macro that guards a header, "" of other files.
function guard_of(path,    line, words, guard) {
    guard = ""
    while ((getline line <path) > 0 && line !~ /^#/)
        ;
    close(path)
    if (split(line, words) == 2 && words[1] == "#ifndef")
        guard = words[2]
    return guard
}

# Writes a file with the headers that it includes, unless it is one whose guard is defined.
function join(path,    line, words, used) {
    if (guard_of(path) in defined)
        return
    printf "\n/* ---- %s ---- */\n\n", path
    while ((getline line <path) > 0) {
        if (line ~ /^#include "/ && line !~ /"gpt2.h"/) {
            split(line, words, "\"")
            used = path
            sub(/[^\/]*$/, words[2], used)
            sub(/[^\/]*\/\.\.\//, "", used)
            join(used)
            continue
        }
        if (split(line, words, /[ (]+/) > 1 && words[1] == "#define" && !(words[2] in defined)) {
            defined[words[2]]
            if (words[2] !~ /^(GPT2|_)/)
                own[++n_own] = words[2]
        }
        print line
    }
    close(path)
}

/\.h$/ && guard_of($0) !~ /^GPT2/ {
    next
}

{
    join($0)
    for (; n_own > 0; n_own--) {
        print "#undef " own[n_own]
        delete defined[own[n_own]]
    }
}'
