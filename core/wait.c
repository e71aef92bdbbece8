/* Spin a little, then halt. See wait.h. */
#include "core/wait.h"

#include "core/cpu_set.h"
#include "core/machine.h"

#define SPIN_TURNS 100

/* CPUs that halt, or are about to; their blocks say what for. */
static struct cpu_set halted;

void wait_halted(const void *address, bool (*is_over)(void *context), void *context)
{
    struct cpu *cpu = machine_cpu();
    uint64_t flags = machine_irq_disable();
    __atomic_store_n(&cpu->waits_for, address, __ATOMIC_RELEASE);
    /* A full barrier, which pairs with that of wait_wake(): either this CPU sees the condition, or the
     * other one finds it in the set. An interrupt that comes in between ends the halt at once. */
    cpu_set_add(&halted, cpu->index);
    while (!is_over(context))
        machine_halt();
    cpu_set_remove(&halted, cpu->index);
    __atomic_store_n(&cpu->waits_for, NULL, __ATOMIC_RELAXED);
    machine_irq_restore(flags);
}

void wait_turn(void)
{
    uint64_t flags = machine_irq_disable();
    machine_request_handler();
    machine_pause();
    machine_irq_restore(flags);
}

void wait_until(const void *address, bool (*is_over)(void *context), void *context)
{
    if (is_over(context))
        return;
    uint64_t flags = machine_irq_disable();
    unsigned turns = 0;
    bool over;
    do {
        machine_request_handler();
        machine_pause();
        over = is_over(context);
    } while (!over && ++turns < SPIN_TURNS);
    if (!over)
        wait_halted(address, is_over, context);
    machine_irq_restore(flags);
}

void wait_wake(const void *address)
{
    /* Pairs with cpu_set_add() in wait_halted(). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (unsigned i = 0; (i = cpu_set_next(&halted, i)) < CPU_MAX; i++) {
        if (__atomic_load_n(&cpus[i].waits_for, __ATOMIC_RELAXED) == address)
            machine_wake(i);
    }
}
