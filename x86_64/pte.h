/* The format of page-table entries: plain arithmetic, no instruction of its own, so that the
 * simulated machine of tests/host walks the very same tables.
 *
 * Concepts: levels count from 1, the level whose entries map 4 KiB. Memory types need no PAT bit (it
 * sits elsewhere in large pages): the machine sets IA32_PAT so that PWT alone means write-combining
 * and PWT with PCD means uncached.
 * Source: Intel SDM vol. 3A, 4.5 "4-level paging and 5-level paging". */
#ifndef X86_64_PTE_H
#define X86_64_PTE_H

#include "core/types.h"

#define MACHINE_TABLE_ENTRIES 512
#define MACHINE_TABLE_SHIFT 9
#define MACHINE_KERNEL_LOW 0xffff800000000000ull

/* 4 or 5; immutable after machine_init_early(). */
extern unsigned machine_levels;

typedef uint64_t entry_t;

#define ENTRY_PRESENT (1ull << 0)
#define ENTRY_WRITE (1ull << 1)
#define ENTRY_USER (1ull << 2)
#define ENTRY_WRITE_COMBINING (1ull << 3)
#define ENTRY_UNCACHED (3ull << 3)
#define ENTRY_ACCESSED (1ull << 5)
#define ENTRY_DIRTY (1ull << 6)
#define ENTRY_LARGE (1ull << 7)
#define ENTRY_GLOBAL (1ull << 8)
#define ENTRY_SOFTWARE (1ull << 9)
#define ENTRY_NO_EXEC (1ull << 63)
#define ENTRY_ADDRESS_MASK 0x000ffffffffff000ull

/* What an entry that points to a table needs to leave the decision to the entries below it; user
 * tables add ENTRY_USER. */
#define ENTRY_TABLE_BITS ENTRY_WRITE

/* Bytes that one entry of this level spans. */
static inline uint64_t machine_level_size(unsigned level)
{
    return PAGE_SIZE << (MACHINE_TABLE_SHIFT * (level - 1));
}

/* Which entry of a table of this level an address uses. */
static inline unsigned machine_table_index(uint64_t address, unsigned level)
{
    unsigned shift = PAGE_SHIFT + MACHINE_TABLE_SHIFT * (level - 1);
    return (unsigned)(address >> shift) & (MACHINE_TABLE_ENTRIES - 1);
}

/* The end of the user half: 1 << 47 or 1 << 56. */
static inline uint64_t machine_user_high(void)
{
    return 1ull << (PAGE_SHIFT + MACHINE_TABLE_SHIFT * machine_levels - 1);
}

static inline bool machine_is_canonical(uint64_t address)
{
    unsigned unused = 64 - PAGE_SHIFT - MACHINE_TABLE_SHIFT * machine_levels;
    return (uint64_t)((int64_t)(address << unused) >> unused) == address;
}

/* Other CPUs look at entries at any time. Free of cost. */
static inline entry_t entry_load(const entry_t *entry)
{
    return __atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

/* For who holds the lock of what the entry shows: nobody but a processor, which marks it as used, writes to
 * it meanwhile. */
static inline entry_t entry_peek(const entry_t *entry)
{
#ifdef __SANITIZE_THREAD__
    return __atomic_load_n(entry, __ATOMIC_RELAXED);
#else
    return *entry;
#endif
}

/* Takes W. For who holds that lock. */
static inline void entry_drop_write(entry_t *entry)
{
#ifdef __SANITIZE_THREAD__
    __atomic_fetch_and(entry, ~ENTRY_WRITE, __ATOMIC_RELAXED);
#else
    *entry &= ~ENTRY_WRITE;
#endif
}

/* Takes W where others may change the entry meanwhile; a full barrier. */
static inline void entry_drop_write_shared(entry_t *entry)
{
    __atomic_fetch_and(entry, ~ENTRY_WRITE, __ATOMIC_SEQ_CST);
}

static inline void entry_store(entry_t *entry, entry_t value)
{
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

/* An entry that maps a page of that level (2 MiB and 1 GiB pages aligned to their size). */
static inline entry_t entry_page(phys_t page, uint64_t bits, unsigned level)
{
    return page.value | bits | ENTRY_PRESENT | (level > 1 ? ENTRY_LARGE : 0);
}

static inline entry_t entry_table(phys_t table, uint64_t bits)
{
    return table.value | bits | ENTRY_PRESENT;
}

static inline bool entry_is_present(entry_t entry)
{
    return (entry & ENTRY_PRESENT) != 0;
}

/* Present and mapping a page, as opposed to pointing to a table. */
static inline bool entry_is_page(entry_t entry, unsigned level)
{
    return entry_is_present(entry) && (level == 1 || (entry & ENTRY_LARGE) != 0);
}

/* Present and pointing to a table. One signed comparison, because present is the lowest and large the
 * highest bit of the lowest byte, and an absent entry is 0: every step of every walk asks this. */
static inline bool entry_is_table(entry_t entry)
{
    _Static_assert(ENTRY_PRESENT == 1 && ENTRY_LARGE == 0x80, "the sign of the lowest byte");
    return (int8_t)entry > 0;
}

/* The 4 KiB entry that shows one piece of a 2 MiB page with the same rights and memory type. */
static inline entry_t entry_piece(entry_t large, unsigned index)
{
    return (large & ~(ENTRY_LARGE | ENTRY_SOFTWARE)) + ((entry_t)index << PAGE_SHIFT);
}

/* Of a page or a table. */
static inline phys_t entry_phys(entry_t entry)
{
    return phys(entry & ENTRY_ADDRESS_MASK);
}

static inline bool entry_is_writable(entry_t entry)
{
    return (entry & ENTRY_WRITE) != 0;
}

static inline bool entry_is_executable(entry_t entry)
{
    return (entry & ENTRY_NO_EXEC) == 0;
}

static inline bool entry_is_user(entry_t entry)
{
    return (entry & ENTRY_USER) != 0;
}

static inline bool entry_is_global(entry_t entry)
{
    return (entry & ENTRY_GLOBAL) != 0;
}

static inline bool entry_is_accessed(entry_t entry)
{
    return (entry & ENTRY_ACCESSED) != 0;
}

static inline bool entry_is_dirty(entry_t entry)
{
    return (entry & ENTRY_DIRTY) != 0;
}

static inline entry_t entry_with_write(entry_t entry)
{
    return entry | ENTRY_WRITE;
}

static inline entry_t entry_without_write(entry_t entry)
{
    return entry & ~ENTRY_WRITE;
}

/* An entry of a page that is not present for a moment, but keeps its rights and its size. */
static inline entry_t entry_suspend(entry_t entry)
{
    return entry & ~ENTRY_PRESENT;
}

static inline bool entry_is_suspended(entry_t entry)
{
    return entry != 0 && !entry_is_present(entry);
}

/* Present again, at another page with another memory type. */
static inline entry_t entry_resume(entry_t entry, phys_t page, uint64_t cache_bits)
{
    entry &= ~(ENTRY_ADDRESS_MASK | ENTRY_UNCACHED);
    return entry | page.value | cache_bits | ENTRY_PRESENT;
}

#endif
