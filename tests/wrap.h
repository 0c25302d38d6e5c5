/*
 * wrap.h: functions that stand between the library and libc.
 *
 * Whoever has a WRAP() names its function in a line "WRAP := ..." of its head, see the Makefile.
 */
#ifndef WRAP_H
#define WRAP_H

/* clang's sanitizers lie in the program, so that their calls come here too, from their very start. */
#if defined(__clang__)
#define PLAIN __attribute__((disable_sanitizer_instrumentation))
#else
#define PLAIN
#endif

/* What stands in for a function of libc, and the function itself. */
#define WRAP(type, symbol, parameters) \
    type __real_##symbol parameters;   \
    type __wrap_##symbol parameters;   \
    PLAIN type __wrap_##symbol parameters

#endif
