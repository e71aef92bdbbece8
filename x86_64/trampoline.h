/* The page below 1 MiB (trampoline.asm): where further CPUs begin, and where the first one changes the
 * number of page-table levels. */
#ifndef X86_64_TRAMPOLINE_H
#define X86_64_TRAMPOLINE_H

#include "core/boot_info.h"
#include "x86_64/features.h"

/* Values of `expected` that are no APIC id. */
#define TRAMPOLINE_NOBODY 0xffffffffu
#define TRAMPOLINE_CLAIMED 0xfffffffeu

/* The end of trampoline.asm. */
struct trampoline_data {
    uint64_t gdt[4];
    uint16_t gdt_limit;
    uint64_t gdt_base;
    uint32_t protected_entry;
    uint16_t protected_selector;
    uint32_t paging_off_entry;
    uint16_t paging_off_selector;
    uint32_t long_entry;
    uint16_t long_selector;
    uint8_t padding[4];
    uint32_t expected; /* APIC id of the one CPU that may pass */
    uint32_t cr4, efer, cr0;
    uint64_t cr3;
    uint64_t stack;
    uint64_t entry; /* called with `index` */
    uint64_t index;
} __attribute__((packed, aligned(8)));

/* Has firmware left a page that can be used? */
bool trampoline_is_usable(const struct boot_info *boot);
/* Copies the code into the page. A CPU that passes it takes on `state` as far as paging goes, and the
 * root, which must be below 4 GiB and map the page one to one. */
struct trampoline_data *trampoline_prepare(uint64_t page, const struct control_state *state,
                                           phys_t root);
/* Takes this CPU through the prepared page and returns in the other root. The descriptor tables and %gs
 * must be loaded again afterwards, interrupts be off. */
void trampoline_pass(uint64_t page, struct trampoline_data *data);

#endif
