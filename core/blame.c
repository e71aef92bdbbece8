/* Following waits from CPU to CPU. See blame.h. */
#include "core/blame.h"

#include "core/lock.h"
#include "core/log.h"
#include "core/machine.h"

unsigned (*blame_unanswering)(unsigned cpu);

/* The CPU whose mailbox an address is; CPU_MAX: none. */
static unsigned owner_of_work(const void *address)
{
    unsigned cpu = 0;
    while (cpu < CPU_MAX && address != &cpus[cpu].work)
        cpu++;
    return cpu;
}

struct wait {
    const struct lock *lock; /* NULL: for none */
    const void *address;     /* NULL: not halted */
    unsigned work_of;        /* CPU_MAX: for nobody's */
    unsigned answer_of;
};

static struct wait wait_of(unsigned cpu)
{
    const struct cpu *waiting = &cpus[cpu];
    const void *address = __atomic_load_n(&waiting->waits_for, __ATOMIC_ACQUIRE);
    return (struct wait){
        .lock = __atomic_load_n(&waiting->wanted.lock, __ATOMIC_RELAXED),
        .address = address,
        .work_of = owner_of_work(address),
        .answer_of = blame_unanswering ? blame_unanswering(cpu) : CPU_MAX,
    };
}

static unsigned holder_of(const struct lock *lock)
{
    unsigned tag = __atomic_load_n(&lock->holder, __ATOMIC_RELAXED);
    return tag == 0 ? CPU_MAX : tag - 1;
}

/* CPU_MAX: for none, or it cannot be known. */
static unsigned awaited_by(unsigned cpu)
{
    struct wait wait = wait_of(cpu);
    if (wait.lock != NULL)
        return holder_of(wait.lock);
    return wait.answer_of < CPU_MAX ? wait.answer_of : wait.work_of;
}

unsigned blame_find(unsigned cpu)
{
    unsigned last = cpu;
    for (unsigned steps = 0; steps < CPU_MAX; steps++) {
        unsigned next = awaited_by(last);
        if (next >= CPU_MAX)
            return last;
        last = next;
    }
    return cpu;
}

static bool describe_wait(unsigned cpu)
{
    struct wait wait = wait_of(cpu);
    if (wait.lock != NULL && holder_of(wait.lock) < CPU_MAX)
        log_panic_line("CPU %u waits for lock '%s', wanted at %p, held by CPU %u", cpu,
                       wait.lock->name, cpus[cpu].wanted.where, holder_of(wait.lock));
    else if (wait.lock != NULL)
        log_panic_line("CPU %u waits for lock '%s', wanted at %p, held by nobody", cpu,
                       wait.lock->name, cpus[cpu].wanted.where);
    else if (wait.answer_of < CPU_MAX)
        log_panic_line("CPU %u waits for an answer of CPU %u", cpu, wait.answer_of);
    else if (wait.work_of < CPU_MAX)
        log_panic_line("CPU %u waits for CPU %u to do its work", cpu, wait.work_of);
    else if (wait.address != NULL)
        log_panic_line("CPU %u waits for something at %p", cpu, wait.address);
    else
        return false;
    return true;
}

/* Has it been given something to do? The first CPU always has. */
static bool works(unsigned cpu)
{
    return cpu == 0 || __atomic_load_n(&cpus[cpu].work.state, __ATOMIC_RELAXED) != 0;
}

bool blame_describe(unsigned cpu)
{
    const struct cpu *blamed = &cpus[cpu];
    bool waits = describe_wait(cpu);
    if (!waits && !works(cpu) && blamed->held_count == 0)
        return false;
    if (!waits)
        log_panic_line("CPU %u waits for nothing", cpu);
    for (uint32_t i = 0; i < blamed->held_count && i < CPU_LOCKS_HELD_MAX; i++)
        log_panic_line("CPU %u: lock held: '%s', taken at %p", cpu, blamed->held[i].lock->name,
                       blamed->held[i].where);
    return true;
}
