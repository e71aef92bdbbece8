/* The functions that compilers call by themselves, for the loader. */
#include "core/text.h"

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    void *cursor = to;
    __asm__ volatile("rep movsb" : "+D"(cursor), "+S"(from), "+c"(size) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    if ((uintptr_t)to - (uintptr_t)from >= size)
        return memcpy(to, from, size);

    unsigned char *target = (unsigned char *)to + size;
    const unsigned char *source = (const unsigned char *)from + size;
    while (source != from) {
        *--target = *--source;
        __asm__ volatile("" : : : "memory"); /* or the compiler makes it a call of memmove */
    }
    return to;
}

void *memset(void *to, int byte, size_t size)
{
    void *cursor = to;
    __asm__ volatile("rep stosb" : "+D"(cursor), "+c"(size) : "a"(byte) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const unsigned char *left = a;
    const unsigned char *right = b;
    for (size_t i = 0; i < size; i++) {
        if (left[i] != right[i])
            return left[i] - right[i];
    }
    return 0;
}

size_t strlen(const char *text)
{
    size_t size = 0;
    while (text[size] != '\0') {
        size++;
        __asm__ volatile("" : : : "memory"); /* or the compiler makes it a call of strlen */
    }
    return size;
}
