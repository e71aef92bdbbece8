/* The CPUs' own blocks, and making one of them this CPU's. */
#include "x86_64/cpu_local.h"

#include "x86_64/access.h"
#include "x86_64/descriptors.h"
#include "x86_64/instructions.h"

struct cpu_local cpu_locals[CPU_MAX];

_Static_assert(offsetof(struct cpu_local, cpu) == 0, "machine_cpu() reads %gs:0");
_Static_assert(offsetof(struct cpu_local, tss.rsp) == 16, "CPU_LOCAL_RSP0");
_Static_assert(sizeof(struct tss) == 104, "task state segment");
_Static_assert(offsetof(struct run, rip) == 0, "RUN_RIP");
_Static_assert(offsetof(struct run, rsp) == 8, "RUN_RSP");
_Static_assert(offsetof(struct run, address) == 16, "RUN_ADDRESS");
_Static_assert(offsetof(struct run, remaining) == 24, "RUN_REMAINING");
_Static_assert(offsetof(struct run, stride) == 32, "RUN_STRIDE");
_Static_assert(offsetof(struct run, slot) == 40, "RUN_SLOT");
_Static_assert(offsetof(struct run, start) == 48, "RUN_START");
_Static_assert(offsetof(struct run, value) == 56, "RUN_VALUE");
_Static_assert(offsetof(struct run, result) == 64, "RUN_RESULT");
_Static_assert(offsetof(struct run, fault_address) == 72, "RUN_FAULT_ADDRESS");

void cpu_local_init(unsigned index, uint32_t apic_id)
{
    struct cpu_local *local = &cpu_locals[index];
    cpus[index].self = &cpus[index];
    cpus[index].index = index;
    cpus[index].tag = (uint16_t)(index + 1);
    local->cpu = &cpus[index];
    local->apic_id = apic_id;
    local->tss.io_map_base = sizeof(struct tss); /* beyond the limit: no port for ring 3 */
}

void cpu_local_load(unsigned index)
{
    descriptors_load(index);
    msr_write(MSR_GS_BASE, (uint64_t)&cpu_locals[index]);
    msr_write(MSR_KERNEL_GS_BASE, 0);
}
