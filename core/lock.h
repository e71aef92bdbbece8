/* Spinlocks with a rank each, checked from check level 1 on.
 *
 * Concepts: the lock order of the core is one table, enum lock_rank, outermost first. A CPU may take a
 * lock only if its rank is greater than that of every lock it holds, or equal with a greater address.
 * Locks are fair: each acquisition takes a ticket, and the CPU whose turn has come is the only one that
 * is woken. Nobody spins for long (core/wait.h), and whoever waits answers other CPUs' requests.
 * A lock can be released by its holder only. */
#ifndef CORE_LOCK_H
#define CORE_LOCK_H

#include "core/annotate.h"
#include "core/check.h"
#include "core/machine.h"
#include "core/types.h"

enum lock_rank {
    RANK_SPACES,
    RANK_SPACE,
    RANK_FORK, /* mm.fork_lock */
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

/* The word: in its low half how many CPUs hold the lock or wait for it, in its high half whose turn it
 * is. A ticket is the turn at which the CPU is served: the turn that it found, plus the number of CPUs.
 * So one addition takes a ticket, which shows by 0 CPUs before that the lock is taken at once; and one
 * addition of LOCK_NEXT passes the turn on, which overflows off the top of the word only. */
#define LOCK_CPUS 0xffffu
#define LOCK_TURN_SHIFT 16
#define LOCK_NEXT ((1u << LOCK_TURN_SHIFT) - 1) /* the next turn, one CPU less */

struct CAPABILITY("lock") lock {
    uint32_t word;   /* atomic */
    uint16_t holder; /* struct cpu.tag; atomic; 0: none, or one that has only just got it */
    uint8_t rank;    /* enum lock_rank; immutable */
    const char *name;
};

static inline void lock_init(struct lock *lock, enum lock_rank rank, const char *name)
{
    lock->word = 0;
    lock->rank = (uint8_t)rank;
    lock->name = name;
    lock->holder = 0;
}

/* The rare parts of the two below: everything that check level 1 adds; waiting for one's turn, as the
 * word was when the ticket was taken; waking whose turn has come, as it was before it came. */
void lock_acquire_checked(struct lock *lock, const void *where);
void lock_release_checked(struct lock *lock);
void lock_wait(struct lock *lock, uint32_t word, const void *where);
void lock_pass(const struct lock *lock, uint32_t word);

/* Uncontended and unchecked: 9 instructions, one of them atomic; a release 7. */
__attribute__((always_inline)) static inline void lock_acquire(struct lock *lock)
    ACQUIRE(*lock) NO_LOCK_ANALYSIS
{
    if (UNLIKELY(check_level >= 1)) {
        lock_acquire_checked(lock, __builtin_return_address(0));
        return;
    }
    uint32_t word = __atomic_fetch_add(&lock->word, 1, __ATOMIC_ACQUIRE);
    if (UNLIKELY((word & LOCK_CPUS) != 0))
        lock_wait(lock, word, __builtin_return_address(0));
    __atomic_store_n(&lock->holder, machine_cpu()->tag, __ATOMIC_RELAXED);
}

__attribute__((always_inline)) static inline void lock_release(struct lock *lock)
    RELEASE(*lock) NO_LOCK_ANALYSIS
{
    if (UNLIKELY(check_level >= 1)) {
        lock_release_checked(lock);
        return;
    }
    __atomic_store_n(&lock->holder, 0, __ATOMIC_RELAXED);
    uint32_t word = __atomic_fetch_add(&lock->word, LOCK_NEXT, __ATOMIC_RELEASE);
    /* From here on the lock may be gone, with the object it is in. */
    if (UNLIKELY((word & LOCK_CPUS) != 1))
        lock_pass(lock, word);
}

/* For assertions: is it held by this CPU? */
bool lock_is_mine(const struct lock *lock);
/* By any CPU? */
static inline bool lock_is_held(const struct lock *lock)
{
    return (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) & LOCK_CPUS) != 0;
}

#endif
