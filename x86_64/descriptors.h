/* The descriptor tables, one of each for all CPUs. */
#ifndef X86_64_DESCRIPTORS_H
#define X86_64_DESCRIPTORS_H

#include "core/types.h"
#include "x86_64/cpu_local.h"

#define KERNEL_CODE 0x08
#define KERNEL_DATA 0x10
#define USER_DATA 0x1b
#define USER_CODE 0x23

#define VECTOR_NMI 2
#define VECTOR_DOUBLE_FAULT 8
#define VECTOR_STACK_FAULT 12
#define VECTOR_PROTECTION 13
#define VECTOR_PAGE_FAULT 14
#define VECTOR_MACHINE_CHECK 18
#define VECTOR_EXCEPTION_END 32
#define VECTOR_LEGACY_IRQ 0x20 /* where the masked 8259s would deliver */
#define VECTOR_LEGACY_IRQ_END 0x30
#define VECTOR_WAKE 0xf0
#define VECTOR_TIMER 0xf1
#define VECTOR_REQUEST 0xf2
#define VECTOR_SPURIOUS 0xff

/* A gate of the interrupt descriptor table. Intel SDM vol. 3A, 6.14.1. */
struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};

/* Fills both tables; once. */
void descriptors_init(void);
/* Loads them on this CPU, with the TSS of block `index`. */
void descriptors_load(unsigned index);

/* Puts `entry` in the place of the page-fault entry on this CPU alone, until the next call with NULL.
 * For measuring; interrupts are off. */
void descriptors_replace_page_fault(void (*entry)(void));

/* Page faults on this CPU lead to fault_entry_try(), or as usual again; interrupts are off. */
void descriptors_try_page_fault(bool trying);

#endif
