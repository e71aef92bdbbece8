/* Strings without a C library: slices of text that need no terminating zero, and the few helpers on
 * them that parsers want. */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include "core/types.h"

/* A piece of somebody else's text. Not terminated. */
struct text {
    const char *data;
    size_t size;
};

#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})

/* printf arguments for "%.*s". */
#define TEXT_ARGS(t) (int)(t).size, (t).data

struct text text_of(const char *terminated);
bool text_equal(struct text a, struct text b);
bool text_is(struct text a, const char *terminated);
bool text_starts(struct text a, const char *prefix);
int text_compare(struct text a, struct text b);
struct text text_trim(struct text t);
/* Cuts off and returns what stands before the first `separator`; *rest keeps what stands behind it,
 * and is empty when there was none. */
struct text text_cut(struct text *rest, char separator);
/* Levenshtein distance, at most `limit` + 1; names of up to 63 bytes. For "did you mean". */
unsigned text_distance(struct text a, struct text b, unsigned limit);

/* The four that compilers call by themselves. The x86 core has its own, hosts take libc's. */
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);

#endif
