/* Scalars with a meaning, so that a physical address, a virtual one and a count cannot mix. */
#ifndef CORE_TYPES_H
#define CORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096ull
#define PAGE_MASK (PAGE_SIZE - 1)

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define TIB (1ull << 40)

typedef struct virt {
    uint64_t value;
} virt_t;

typedef struct phys {
    uint64_t value;
} phys_t;

/* Ticks of the serialised time-stamp counter. */
typedef uint64_t ticks_t;

/* No physical address: a value that no frame can have (frame 0 is a real frame). */
#define PHYS_NONE ((phys_t){UINT64_MAX})

static inline virt_t virt(uint64_t value)
{
    return (virt_t){value};
}

static inline phys_t phys(uint64_t value)
{
    return (phys_t){value};
}

static inline bool is_page_aligned(uint64_t value)
{
    return (value & PAGE_MASK) == 0;
}

static inline uint64_t page_floor(uint64_t value)
{
    return value & ~PAGE_MASK;
}

/* Rounds up to a page; the caller makes sure that this does not overflow. */
static inline uint64_t page_ceil(uint64_t value)
{
    return (value + PAGE_MASK) & ~PAGE_MASK;
}

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* clang-format off */
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))
/* clang-format on */
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#endif
