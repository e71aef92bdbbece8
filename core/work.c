/* The mailbox of each CPU. See work.h.
 *
 * Concepts: a mailbox goes idle -> claimed -> posted -> done -> idle. Who moves it from idle owns it
 * until it is idle again; between posted and done it is lent to its CPU. */
#include "core/work.h"

#include "core/check.h"
#include "core/machine.h"
#include "core/wait.h"

enum { WORK_IDLE, WORK_CLAIMED, WORK_POSTED, WORK_DONE };

static uint32_t state_of(const struct work *work)
{
    return __atomic_load_n(&work->state, __ATOMIC_ACQUIRE);
}

static void set_state(struct work *work, uint32_t state)
{
    __atomic_store_n(&work->state, state, __ATOMIC_RELEASE);
}

void work_loop(void)
{
    struct work *work = &machine_cpu()->work;
    for (;;) {
        uint64_t flags = machine_irq_disable();
        while (state_of(work) != WORK_POSTED)
            machine_halt();
        machine_irq_restore(flags);
        work->function(work->argument);
        set_state(work, WORK_DONE);
        wait_wake(work);
    }
}

static bool is_claimed(void *context)
{
    struct work *work = context;
    uint32_t idle = WORK_IDLE;
    return __atomic_compare_exchange_n(&work->state, &idle, WORK_CLAIMED, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static bool is_done(void *context)
{
    return state_of(context) == WORK_DONE;
}

void machine_cpu_start(unsigned cpu, void (*function)(void *argument), void *argument)
{
    ASSERT(cpu < machine_cpu_count() && machine_cpu()->held_count == 0);
    if (cpu == machine_cpu()->index) {
        function(argument);
        return;
    }
    ASSERT(cpu != 0); /* the first has no loop in which it waits for work */
    struct work *work = &cpus[cpu].work;
    wait_until(work, is_claimed, work); /* another CPU's may still be under way */
    work->function = function;
    work->argument = argument;
    set_state(work, WORK_POSTED);
    machine_wake(cpu);
}

void machine_cpu_finish(unsigned cpu)
{
    if (cpu == machine_cpu()->index)
        return;
    struct work *work = &cpus[cpu].work;
    wait_halted(work, is_done, work);
    set_state(work, WORK_IDLE);
    wait_wake(work); /* who would claim it */
}

void machine_cpu_run(unsigned cpu, void (*function)(void *argument), void *argument)
{
    machine_cpu_start(cpu, function, argument);
    machine_cpu_finish(cpu);
}
