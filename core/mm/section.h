/* Sections: stretches of code in which a CPU holds pointers to regions or page tables that it has found
 * without a lock.
 *
 * Concepts: whoever takes such a thing out of reach frees it when every other CPU has left the section it
 * was in by then. A fault is one section; so is each page that an operation maps as a fault would. Nothing
 * is written that other CPUs read often: each counts its own, odd inside. Sections do not nest.
 * Source: epoch-based reclamation; K. Fraser, "Practical lock-freedom" (2004), 5.2.3. */
#ifndef CORE_MM_SECTION_H
#define CORE_MM_SECTION_H

#include "core/cpu_set.h"
#include "core/machine.h"
#include "core/mm/mm_cpu.h"

/* What this CPU finds from here on others do not free. The barrier is why: what it finds afterwards was
 * in reach when others could see it inside. */
static inline void section_enter(struct cpu *cpu)
{
    __atomic_fetch_add(&cpu->sections, 1, __ATOMIC_SEQ_CST);
}

void section_left(struct cpu *cpu);

static inline void section_leave(struct cpu *cpu)
{
    __atomic_fetch_add(&cpu->sections, 1, __ATOMIC_SEQ_CST);
    if (UNLIKELY(__atomic_load_n(&cpu->section_waiters, __ATOMIC_RELAXED) != 0))
        section_left(cpu);
}

/* Returns when each other CPU of the set has left the section it is in now. Not inside one, and with no lock that
 * may be taken inside one. Others may join the set meanwhile: who does sees what was written before. O(CPUs in the
 * set). */
void section_wait_for(const struct cpu_set *set);

/* Frees the frame of a page table that is out of reach: at once, or when no CPU can hold a pointer to it,
 * which is at the end of this CPU's section, or when it drains. */
void section_free_table(phys_t table);
void section_drain_slowly(struct cpu *cpu);

/* Frees what could not be freed at once. As section_wait_for(). */
static inline void section_drain(void)
{
    struct cpu *cpu = machine_cpu();
    if (UNLIKELY(cpu->dead_tables != 0))
        section_drain_slowly(cpu);
}

#endif
