/* Global and interrupt descriptor tables.
 *
 * Concepts: one GDT with a TSS descriptor for each CPU, one IDT whose gates all need ring 0 to be called
 * by `int`, so that the user program can raise exceptions but cannot choose an interrupt. */
#include "x86_64/descriptors.h"

#include "core/text.h"
#include "x86_64/features.h"
#include "x86_64/trap.h"

#define GATE_COUNT 256
#define GATE_INTERRUPT 0x8e /* present, ring 0, 64-bit interrupt gate: interrupts off */

#define SEGMENT_KERNEL_CODE 0x00af9b000000ffffull
#define SEGMENT_KERNEL_DATA 0x00cf93000000ffffull
#define SEGMENT_USER_CODE 0x00affb000000ffffull
#define SEGMENT_USER_DATA 0x00cff3000000ffffull
#define SEGMENT_TSS_AVAILABLE (0x89ull << 40)

#define TSS_SELECTOR 0x28

struct tss_descriptor {
    uint64_t low;
    uint64_t high;
};

struct global_table {
    uint64_t segments[TSS_SELECTOR / 8];
    struct tss_descriptor tss[CPU_MAX];
} __attribute__((packed));

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

_Static_assert(sizeof(struct gate) == 16, "gate format");
_Static_assert(offsetof(struct global_table, tss) == TSS_SELECTOR, "selector of the first TSS");

/* The order serves syscall, which takes kernel code and the segment behind it as stack. */
static struct global_table global_table __attribute__((aligned(64))) = {
    .segments = {0, SEGMENT_KERNEL_CODE, SEGMENT_KERNEL_DATA, SEGMENT_USER_DATA, SEGMENT_USER_CODE},
};
static struct gate gates[GATE_COUNT] __attribute__((aligned(4096)));
static struct gate measuring_gates[GATE_COUNT] __attribute__((aligned(4096)));
static struct gate trying_gates[GATE_COUNT] __attribute__((aligned(4096)));

static struct gate gate_for(const void *entry, enum ist ist)
{
    uint64_t offset = (uint64_t)entry;
    return (struct gate){
        .offset_low = (uint16_t)offset,
        .selector = KERNEL_CODE,
        .ist = (uint8_t)ist,
        .type = GATE_INTERRUPT,
        .offset_middle = (uint16_t)(offset >> 16),
        .offset_high = (uint32_t)(offset >> 32),
    };
}

static struct tss_descriptor tss_descriptor(const struct tss *tss)
{
    uint64_t base = (uint64_t)tss;
    uint64_t limit = sizeof(*tss) - 1;
    return (struct tss_descriptor){
        .low = limit | (base & 0xffffff) << 16 | SEGMENT_TSS_AVAILABLE | (base >> 24 & 0xff) << 56,
        .high = base >> 32,
    };
}

void descriptors_init(void)
{
    for (unsigned i = 0; i < CPU_MAX; i++)
        global_table.tss[i] = tss_descriptor(&cpu_locals[i].tss);
    for (unsigned vector = 0; vector < GATE_COUNT; vector++)
        gates[vector] = gate_for(&trap_stubs[vector], IST_NONE);
    gates[VECTOR_NMI] = gate_for(&trap_stubs_paranoid[IST_NMI - 1], IST_NMI);
    gates[VECTOR_DOUBLE_FAULT] =
        gate_for(&trap_stubs_paranoid[IST_DOUBLE_FAULT - 1], IST_DOUBLE_FAULT);
    gates[VECTOR_MACHINE_CHECK] =
        gate_for(&trap_stubs_paranoid[IST_MACHINE_CHECK - 1], IST_MACHINE_CHECK);
    gates[VECTOR_PAGE_FAULT] =
        gate_for(features_smap ? (void *)fault_entry_smap : (void *)fault_entry, IST_NONE);
    memcpy(trying_gates, gates, sizeof(gates));
    trying_gates[VECTOR_PAGE_FAULT] = gate_for((void *)fault_entry_try, IST_NONE);
}

static void load_gates(const struct gate *table)
{
    struct table_pointer pointer = {sizeof(gates) - 1, (uint64_t)table};
    __asm__ volatile("lidt %0" : : "m"(pointer), "m"(*(const struct gate(*)[GATE_COUNT])table));
}

void descriptors_load(unsigned index)
{
    struct table_pointer pointer = {sizeof(global_table) - 1, (uint64_t)&global_table};
    uint64_t code = KERNEL_CODE;
    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:"
                     :
                     : "m"(pointer), "r"(code)
                     : "rax", "memory");
    /* Loading %gs clears its base: whoever calls this sets the base behind it. */
    __asm__ volatile("movl %0, %%ss\n\t"
                     "movl %1, %%ds\n\t"
                     "movl %1, %%es\n\t"
                     "movl %1, %%fs\n\t"
                     "movl %1, %%gs\n\t"
                     "lldt %w1"
                     :
                     : "r"(KERNEL_DATA), "r"(0)
                     : "memory");
    /* A CPU that was reset loads its TSS again: the busy bit would refuse it. */
    global_table.tss[index] = tss_descriptor(&cpu_locals[index].tss);
    uint16_t selector = (uint16_t)(TSS_SELECTOR + index * sizeof(struct tss_descriptor));
    __asm__ volatile("ltr %0" : : "r"(selector) : "memory");
    load_gates(gates);
}

void descriptors_replace_page_fault(void (*entry)(void))
{
    if (entry == NULL) {
        load_gates(gates);
        return;
    }
    memcpy(measuring_gates, gates, sizeof(gates));
    measuring_gates[VECTOR_PAGE_FAULT] = gate_for((void *)entry, IST_NONE);
    load_gates(measuring_gates);
}

void descriptors_try_page_fault(bool trying)
{
    load_gates(trying ? trying_gates : gates);
}
