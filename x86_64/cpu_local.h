/* What the machine keeps for each CPU beside the core's struct cpu: task state, timer.
 *
 * Concepts: %gs holds the address of this CPU's block whenever the kernel runs; the user's %gs base
 * is 0, and swapgs exchanges the two on entry from ring 3 and on return to it. */
#ifndef X86_64_CPU_LOCAL_H
#define X86_64_CPU_LOCAL_H

#include "core/cpu.h"
#include "core/machine.h"

#define IST_STACK_SIZE 8192ull
#define CPU_STACK_SIZE 16384ull

/* Interrupt stack table slots, counted from 1 as in an IDT gate. */
enum ist { IST_NONE, IST_NMI, IST_DOUBLE_FAULT, IST_MACHINE_CHECK, IST_END };

/* The 64-bit task state segment. Intel SDM vol. 3A, 8.7. */
struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map_base;
} __attribute__((packed));

/* A place in running code: enough for a backtrace from there. */
struct code_place {
    uint64_t rip;
    uint64_t rbp;
    uint64_t rsp; /* of a function that may have no frame yet; 0: it has one */
};

struct cpu_local {
    struct cpu *cpu;  /* first: machine_cpu() reads it; immutable */
    uint32_t apic_id; /* immutable */
    /* tss.rsp[0] is also where a run (access.asm) finds its way back. */
    struct tss tss;
    uint32_t stopped;             /* by machine_stop_others(): set by its CPU, never reset; */
    struct code_place stopped_at; /* there */

    /* The sample page as the kernel and as the user program see it; immutable once known. */
    uint64_t *slots;
    uint64_t slots_user;
    unsigned run_access; /* of the run under way: ACCESS_WRITE, ACCESS_EXEC or neither */

    /* Absolute deadlines in ticks, 0: none. Owned by this CPU. */
    ticks_t wake_deadline;
    ticks_t watchdog_deadline;

    ticks_t start_ticks; /* from the start-up IPI to being online; CPU 0: 0 */
} __attribute__((aligned(256)));

extern struct cpu_local cpu_locals[CPU_MAX];

static inline struct cpu_local *cpu_local(void)
{
    return &cpu_locals[machine_cpu()->index];
}

/* Makes block `index` this CPU's: %gs, its TSS and the common descriptor tables. The stacks of the
 * interrupt stack table must be in local->tss.ist already. */
void cpu_local_load(unsigned index);
/* Fills in what does not depend on the running CPU. */
void cpu_local_init(unsigned index, uint32_t apic_id);

#endif
