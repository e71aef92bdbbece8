/* What core/machine.h promises inline, on the simulated machine: Linux threads for CPUs, a mapping of
 * Linux for physical memory, the PC's page-table format walked in software (machine_sim.c). */
#ifndef TESTS_HOST_MACHINE_INLINE_H
#define TESTS_HOST_MACHINE_INLINE_H

#include <string.h>

#include "core/types.h"
#include "x86_64/pte.h"

struct cpu;

/* Where physical address 0 would be; immutable after sim_start(). */
extern char *sim_memory;
/* This thread's CPU: the first one's for every thread that is none of the machine's. */
extern _Thread_local struct cpu *sim_cpu;
/* Does this CPU take interrupts? It does so where it halts, pauses, accesses memory through its page
 * tables, and where interrupts are switched on. */
extern _Thread_local bool sim_interrupts;

ticks_t sim_ticks(void);
void sim_pause(void);
void sim_interrupts_on(void);
void sim_flush_page(uint64_t address);

static inline struct cpu *machine_cpu(void)
{
    return sim_cpu;
}

static inline ticks_t machine_ticks(void)
{
    return sim_ticks();
}

static inline void machine_pause(void)
{
    sim_pause();
}

static inline uint64_t machine_irq_disable(void)
{
    bool were_on = sim_interrupts;
    sim_interrupts = false;
    return were_on;
}

static inline void machine_irq_restore(uint64_t were_on)
{
    if (were_on != 0)
        sim_interrupts_on();
}

static inline void *machine_phys_to_virt(phys_t address)
{
    return sim_memory + address.value;
}

static inline phys_t machine_virt_to_phys(const void *address)
{
    return phys((uint64_t)((const char *)address - sim_memory));
}

/* For tests: what another CPU does at the worst moment. */
extern void (*sim_after_page_clear)(void);
extern void (*sim_after_page_copy)(const void *from);
extern void (*sim_before_flush)(void);

static inline void machine_page_clear(void *page)
{
    memset(page, 0, PAGE_SIZE);
    if (sim_after_page_clear != NULL)
        sim_after_page_clear();
}

static inline void machine_page_copy(void *to, const void *from)
{
    memcpy(to, from, PAGE_SIZE);
    if (sim_after_page_copy != NULL)
        sim_after_page_copy(from);
}

static inline void machine_flush_page(virt_t address)
{
    sim_flush_page(address.value);
}

#endif
