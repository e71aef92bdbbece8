/* Spinlocks with a rank each, checked from check level 1 on.
 *
 * Concepts: the lock order of the core is one table, enum lock_rank, outermost first. A CPU may take a
 * lock only if its rank is greater than that of every lock it holds, or equal with a greater address.
 * Locking: nobody spins for long: after about 100 turns the waiter halts until it is woken (stage 5). */
#ifndef CORE_LOCK_H
#define CORE_LOCK_H

#include "core/annotate.h"
#include "core/check.h"
#include "core/machine.h"
#include "core/types.h"

enum lock_rank {
    RANK_SPACES,
    RANK_SPACE,
    RANK_REGION,
    RANK_OBJECT,
    RANK_OVERLAY, /* objects that show another object where they have nothing themselves */
    RANK_RECLAIM,
    RANK_PAGE_DIRECTORY,
    RANK_BLOCK,
    RANK_HEAP,
    RANK_FRAMES,
    RANK_REPORT,
    RANK_COUNT,
};

struct CAPABILITY("lock") lock {
    uint32_t held; /* 0 free, else 1 + index of the holding CPU */
    uint8_t rank;  /* enum lock_rank; immutable */
    const char *name;
};

static inline void lock_init(struct lock *lock, enum lock_rank rank, const char *name)
{
    lock->held = 0;
    lock->rank = (uint8_t)rank;
    lock->name = name;
}

/* The rare halves of the two below: contention, and everything that check level 1 adds. */
void lock_acquire_slowly(struct lock *lock, const void *where);
void lock_release_checked(struct lock *lock);

/* Uncontended and unchecked: one atomic exchange, about 8 instructions. */
__attribute__((always_inline)) static inline void lock_acquire(struct lock *lock)
    ACQUIRE(*lock) NO_LOCK_ANALYSIS
{
    uint32_t free = 0;
    if (UNLIKELY(check_level >= 1) ||
        !__atomic_compare_exchange_n(&lock->held, &free, machine_cpu()->index + 1, false,
                                     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        lock_acquire_slowly(lock, __builtin_return_address(0));
}

__attribute__((always_inline)) static inline void lock_release(struct lock *lock)
    RELEASE(*lock) NO_LOCK_ANALYSIS
{
    if (UNLIKELY(check_level >= 1))
        lock_release_checked(lock);
    else
        __atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}

/* For assertions: is it held by this CPU? */
bool lock_is_mine(const struct lock *lock);

#endif
