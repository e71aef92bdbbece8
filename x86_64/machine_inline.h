/* What core/machine.h promises inline, on a PC.
 *
 * Concepts: %gs points to this CPU's struct cpu_local (x86_64/cpu_local.h), whose first word is the
 * address of its struct cpu. Code never moves between CPUs, so the compiler may keep what it read. */
#ifndef X86_64_MACHINE_INLINE_H
#define X86_64_MACHINE_INLINE_H

#include "core/boot_info.h"
#include "x86_64/pte.h"

struct cpu;

static inline struct cpu *machine_cpu(void)
{
    struct cpu *cpu;
    __asm__("movq %%gs:0, %0" : "=r"(cpu));
    return cpu;
}

/* lfence waits for all that stands before it, and nothing behind it starts earlier; so neither the
 * measured work nor the stamp leaks to the other side. The clobber holds the compiler to the same. */
static inline ticks_t machine_ticks(void)
{
    uint64_t low, high;
    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
    return high << 32 | low;
}

static inline void machine_pause(void)
{
    __asm__ volatile("pause" : : : "memory");
}

#define X86_FLAG_INTERRUPT (1ull << 9)

static inline uint64_t machine_irq_disable(void)
{
    uint64_t flags;
    __asm__ volatile("pushfq\n\tpopq %0\n\tcli" : "=r"(flags) : : "memory");
    return flags;
}

static inline void machine_irq_restore(uint64_t flags)
{
    if ((flags & X86_FLAG_INTERRUPT) != 0)
        __asm__ volatile("sti" : : : "memory");
}

static inline void *machine_phys_to_virt(phys_t address)
{
    return (void *)(BOOT_DIRECT_MAP_BASE + address.value);
}

static inline phys_t machine_virt_to_phys(const void *address)
{
    return phys((uint64_t)address - BOOT_DIRECT_MAP_BASE);
}

static inline void machine_page_clear(void *page)
{
    uint64_t words = PAGE_SIZE / 8;
    __asm__ volatile("rep stosq" : "+D"(page), "+c"(words) : "a"(0ull) : "memory");
}

static inline void machine_page_copy(void *to, const void *from)
{
    uint64_t words = PAGE_SIZE / 8;
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
}

static inline void machine_flush_page(virt_t address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address.value) : "memory");
}

#endif
