/* The check level and the two assertions. */
#ifndef CORE_CHECK_H
#define CORE_CHECK_H

#include "core/panic.h"

/* Level 0: nothing extra; 1: DEBUG_ASSERT and lock ranks; 2: walkers, poison, write-protected objects.
 * Set once at start from `check=`, immutable afterwards. */
extern unsigned check_level;

#define ASSERT(condition)                              \
    do {                                               \
        if (__builtin_expect(!(condition), 0))         \
            panic("assertion failed: %s", #condition); \
    } while (0)

#define DEBUG_ASSERT(condition)                                    \
    do {                                                           \
        if (__builtin_expect(check_level >= 1, 0) && !(condition)) \
            panic("assertion failed: %s", #condition);             \
    } while (0)

#endif
