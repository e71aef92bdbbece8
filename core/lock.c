/* Locks: waiting, and the order of ranks. */
#include "core/lock.h"

#include "core/wait.h"
#include "core/write_window.h"

static const char *const rank_names[RANK_COUNT] = {
    [RANK_SPACES] = "spaces",
    [RANK_SPACE] = "space",
    [RANK_FORK] = "forks",
    [RANK_OBJECT] = "object",
    [RANK_OVERLAY] = "overlay",
    [RANK_RECLAIM] = "reclaim",
    [RANK_PAGE_DIRECTORY] = "page directory",
    [RANK_BLOCK] = "block device",
    [RANK_HEAP] = "heap",
    [RANK_FRAMES] = "frames",
    [RANK_REPORT] = "report",
};

bool lock_is_mine(const struct lock *lock)
{
    return __atomic_load_n(&lock->holder, __ATOMIC_RELAXED) == machine_cpu()->tag;
}

/* Is `lock` allowed behind `held`? Ranks rise; within a rank addresses do. */
static bool may_follow(const struct lock *lock, const struct lock *held)
{
    return lock->rank > held->rank || (lock->rank == held->rank && lock > held);
}

static void check_order(const struct lock *lock, const struct cpu *cpu, const void *where)
{
    for (uint32_t i = 0; i < cpu->held_count; i++) {
        const struct held_lock *held = &cpu->held[i];
        if (!may_follow(lock, held->lock))
            panic("lock order: '%s' (rank %s) wanted at %p while '%s' (rank %s) is held since %p",
                  lock->name, rank_names[lock->rank], where, held->lock->name,
                  rank_names[held->lock->rank], held->where);
    }
    if (cpu->held_count == CPU_LOCKS_HELD_MAX)
        panic("more than %d locks held, '%s' wanted at %p", CPU_LOCKS_HELD_MAX, lock->name, where);
}

/* --- waiting ------------------------------------------------------------------------------------------ */

struct ticket {
    const struct lock *lock;
    uint32_t turn;
};

static bool is_my_turn(void *context)
{
    const struct ticket *ticket = context;
    return __atomic_load_n(&ticket->lock->word, __ATOMIC_ACQUIRE) >> LOCK_TURN_SHIFT ==
           ticket->turn;
}

/* What the CPU with that ticket waits for: one byte of the lock, so that those which come later sleep
 * on when the turn is passed. */
static const void *address_of_turn(const struct lock *lock, uint32_t turn)
{
    return (const char *)lock + turn % sizeof(*lock);
}

void lock_wait(struct lock *lock, uint32_t word, const void *where)
{
    if (lock_is_mine(lock))
        panic("lock '%s' is taken twice by one CPU, at %p", lock->name, where);

    struct cpu *cpu = machine_cpu();
    struct ticket ticket = {lock, (uint16_t)((word >> LOCK_TURN_SHIFT) + (word & LOCK_CPUS))};
    ticks_t start = machine_ticks();
    cpu->wanted = (struct held_lock){lock, where};
    wait_until(address_of_turn(lock, ticket.turn), is_my_turn, &ticket);
    cpu->wanted.lock = NULL;
    cpu->counters[COUNTER_LOCK_CONTENDED]++;
    cpu->counters[COUNTER_LOCK_WAITED] += machine_ticks() - start;
}

void lock_pass(const struct lock *lock, uint32_t word)
{
    wait_wake(address_of_turn(lock, (uint16_t)((word >> LOCK_TURN_SHIFT) + 1)));
}

/* --- check level 1 ------------------------------------------------------------------------------------ */

/* At check level 2 a write window is open while it is held. */
static bool guards_objects(const struct lock *lock)
{
    return lock->rank < RANK_FRAMES;
}

void lock_acquire_checked(struct lock *lock, const void *where) NO_LOCK_ANALYSIS
{
    struct cpu *cpu = machine_cpu();
    check_order(lock, cpu, where);
    if (guards_objects(lock))
        object_write_begin(); /* the lock itself may be in one */
    uint32_t word = __atomic_fetch_add(&lock->word, 1, __ATOMIC_ACQUIRE);
    if ((word & LOCK_CPUS) != 0)
        lock_wait(lock, word, where);
    __atomic_store_n(&lock->holder, cpu->tag, __ATOMIC_RELAXED);
    cpu->held[cpu->held_count++] = (struct held_lock){lock, where};
}

/* False: the lock was taken before the check level was raised, and is not in the list. */
static bool forget(struct cpu *cpu, const struct lock *lock)
{
    for (uint32_t i = cpu->held_count; i-- > 0;) {
        if (cpu->held[i].lock != lock)
            continue;
        for (uint32_t k = i + 1; k < cpu->held_count; k++)
            cpu->held[k - 1] = cpu->held[k];
        cpu->held_count--;
        return true;
    }
    return false;
}

void lock_release_checked(struct lock *lock) NO_LOCK_ANALYSIS
{
    if (!lock_is_mine(lock))
        panic("lock '%s' is released by a CPU that does not hold it", lock->name);
    struct cpu *cpu = machine_cpu();
    bool windowed = forget(cpu, lock) && guards_objects(lock);
    bool made = cpu->held_count == 0 && lock->rank <= RANK_OBJECT;
    __atomic_store_n(&lock->holder, 0, __ATOMIC_RELAXED);
    uint32_t word = __atomic_fetch_add(&lock->word, LOCK_NEXT, __ATOMIC_RELEASE);
    /* From here on the lock may be gone, with the object it is in. */
    if ((word & LOCK_CPUS) != 1)
        lock_pass(lock, word);
    if (windowed)
        object_write_end();
    if (made)
        write_window_made();
}
