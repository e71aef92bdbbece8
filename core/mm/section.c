/* Waiting for other CPUs to leave their sections. See section.h. */
#include "core/mm/section.h"

#include "core/check.h"
#include "core/mm/frames.h"
#include "core/mm/mm_cpu.h"
#include "core/wait.h"

struct section {
    const struct cpu *cpu;
    uint64_t number;
};

static bool is_over(void *context)
{
    const struct section *section = context;
    return __atomic_load_n(&section->cpu->sections, __ATOMIC_ACQUIRE) != section->number;
}

void section_left(struct cpu *cpu)
{
    wait_wake(&cpu->sections);
    if (cpu->dead_tables != 0)
        section_drain_slowly(cpu);
}

/* Pairs with that of section_enter(): what was taken out of reach before is seen to be, or seen. */
static void barrier(struct cpu *cpu)
{
    __atomic_fetch_add(&cpu->section_waiters, 0, __ATOMIC_SEQ_CST);
}

static bool is_inside(const struct cpu *cpu)
{
    return (__atomic_load_n(&cpu->sections, __ATOMIC_SEQ_CST) & 1) != 0;
}

static void wait_for(struct cpu *cpu)
{
    struct section section = {cpu, __atomic_load_n(&cpu->sections, __ATOMIC_SEQ_CST)};
    if ((section.number & 1) == 0)
        return;
    __atomic_fetch_add(&cpu->section_waiters, 1, __ATOMIC_SEQ_CST);
    wait_until(&cpu->sections, is_over, &section);
    __atomic_fetch_sub(&cpu->section_waiters, 1, __ATOMIC_SEQ_CST);
}

static void wait_for_others(void)
{
    struct cpu *cpu = machine_cpu();
    unsigned count = machine_cpu_count();
    DEBUG_ASSERT(!is_inside(cpu));
    barrier(cpu);
    for (unsigned i = 0; i < count; i++) {
        if (i != cpu->index)
            wait_for(&cpus[i]);
    }
}

void section_wait_for(const struct cpu_set *set)
{
    struct cpu *cpu = machine_cpu();
    DEBUG_ASSERT(!is_inside(cpu));
    barrier(cpu);
    for (unsigned i = 0; (i = cpu_set_next(set, i)) < CPU_MAX; i++) {
        if (i != cpu->index)
            wait_for(&cpus[i]);
    }
}

static bool others_are_inside(struct cpu *cpu)
{
    unsigned count = machine_cpu_count();
    bool inside = false;
    barrier(cpu);
    for (unsigned i = 0; i < count && !inside; i++)
        inside = i != cpu->index && is_inside(&cpus[i]);
    return inside;
}

void section_free_table(phys_t table)
{
    struct cpu *cpu = machine_cpu();
    if (LIKELY(!others_are_inside(cpu))) {
        frames_give(table);
        return;
    }
    if (cpu->dead_tables == 0)
        __atomic_fetch_add(&cpu->section_waiters, 1, __ATOMIC_RELAXED);
    frame_of(table)->table_next = cpu->dead_tables;
    cpu->dead_tables = (uint32_t)(table.value >> PAGE_SHIFT);
}

void section_drain_slowly(struct cpu *cpu)
{
    wait_for_others();
    while (cpu->dead_tables != 0) {
        phys_t table = phys((uint64_t)cpu->dead_tables << PAGE_SHIFT);
        cpu->dead_tables = frame_of(table)->table_next;
        frames_give(table);
    }
    __atomic_fetch_sub(&cpu->section_waiters, 1, __ATOMIC_RELAXED);
}
