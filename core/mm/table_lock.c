/* Waiting for the lock of a page table. See table_lock.h. */
#include "core/mm/table_lock.h"

#include "core/wait.h"

/* Not only when it is free: who has locked it since does not know that anybody waits. */
static bool has_changed(void *table_lock)
{
    return __atomic_load_n((uint32_t *)table_lock, __ATOMIC_ACQUIRE) != TABLE_WAITED_FOR;
}

bool table_lock_slowly(struct frame *table)
{
    struct cpu *cpu = machine_cpu();
    ticks_t start = machine_ticks();
    uint32_t state = __atomic_load_n(&table->table_lock, __ATOMIC_ACQUIRE);
    cpu->counters[COUNTER_LOCK_CONTENDED]++;
    while (state != TABLE_GONE) {
        /* Who has waited does not know whether others still do, and says so. */
        if (!__atomic_compare_exchange_n(&table->table_lock, &state, TABLE_WAITED_FOR, false,
                                         __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
            continue;
        if (state == TABLE_FREE)
            break;
        wait_until(&table->table_lock, has_changed, &table->table_lock);
        state = __atomic_load_n(&table->table_lock, __ATOMIC_ACQUIRE);
    }
    cpu->counters[COUNTER_LOCK_WAITED] += machine_ticks() - start;
    return state != TABLE_GONE;
}

void table_wake(struct frame *table)
{
    wait_wake(&table->table_lock);
}
