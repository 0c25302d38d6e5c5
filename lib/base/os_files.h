/*
 * os_files.h: what os_posix.c and os_windows.c share: the numbers of errno for files, as words.
 */
#ifndef GPT2I_OS_FILES_H
#define GPT2I_OS_FILES_H

#include <errno.h>
#include <stddef.h>

#define GPT2I_READ_MAX_BYTES ((size_t)1 << 30) /* of one call */

/* strerror() may write to memory that all threads share. */
static inline const char *reason(int error_number)
{
    switch (error_number) {
    case ENOENT:
    case ENOTDIR:
        return "cannot be opened: there is no such file";
    case EACCES:
    case EPERM:
        return "cannot be opened: permission denied";
    case EMFILE:
    case ENFILE:
        return "cannot be opened: too many open files";
    case ENAMETOOLONG:
        return "cannot be opened: the path is too long";
    default:
        return "cannot be opened: the system refuses";
    }
}

#endif
