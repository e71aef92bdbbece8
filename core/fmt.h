/* printf-like formatting without a C library, shared by loader, core and host.
 *
 * Conversions: %s %c %d %i %u %x %X %p %% with flags `-`, `0`, a width or `*`, a precision or `*` for
 * %s, and the lengths l, ll, z, j. No floating point. */
#ifndef CORE_FMT_H
#define CORE_FMT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* Both write at most size bytes with the terminating zero and return the length that the whole text
 * has (as snprintf does). size may be 0. */
size_t fmt_print(char *buffer, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t fmt_vprint(char *buffer, size_t size, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

#endif
