/* The lock of one level-1 page table: a word in its frame.
 *
 * Concepts: held for a few instructions, by whoever writes an entry of the table. A table that is empty
 * can go, under its directory's lock; its word says so for ever, or rather until its frame, which is not
 * freed before every CPU has left the section it was in, is a table again.
 * Locking: after the directory's lock, at most one at a time; nothing is taken inside. */
#ifndef CORE_MM_TABLE_LOCK_H
#define CORE_MM_TABLE_LOCK_H

#include "core/check.h"
#include "core/mm/frames.h"

enum table_state {
    TABLE_FREE = 0,
    TABLE_LOCKED = 1,
    TABLE_WAITED_FOR = 2, /* locked, and others wait */
    TABLE_GONE = 3,       /* empty, and out of its directory */
};

bool table_lock_slowly(struct frame *table);
void table_wake(struct frame *table);

/* False: the table is gone. */
static inline bool table_lock(struct frame *table)
{
    uint32_t unlocked = TABLE_FREE;
    return LIKELY(__atomic_compare_exchange_n(&table->table_lock, &unlocked, TABLE_LOCKED, false,
                                              __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) ||
           table_lock_slowly(table);
}

/* Of a table that its directory holds, whose lock is held: it cannot go. */
static inline void table_lock_held(struct frame *table)
{
    bool there = table_lock(table);
    ASSERT(there);
}

static inline void table_unlock(struct frame *table)
{
    if (UNLIKELY(__atomic_exchange_n(&table->table_lock, TABLE_FREE, __ATOMIC_RELEASE) !=
                 TABLE_LOCKED))
        table_wake(table);
}

#endif
