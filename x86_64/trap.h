/* Exceptions and interrupts. */
#ifndef X86_64_TRAP_H
#define X86_64_TRAP_H

#include "core/types.h"

/* What the common entry leaves on the stack: pushed last comes first. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* Entries in trap.asm: 16 bytes of code for each vector, and one for each enum ist. */
struct trap_stub {
    uint8_t code[16];
};
extern const struct trap_stub trap_stubs[256];
extern const struct trap_stub trap_stubs_paranoid[3];
/* Page faults, without and with SMAP. */
void fault_entry(void);
void fault_entry_smap(void);
/* Page faults while measuring: nothing but a return behind a 3-byte instruction; the same as
 * fault_entry*, with trap_nothing() as handler. */
void fault_entry_gate(void);
void fault_entry_trap(void);
void fault_entry_trap_smap(void);
/* Page faults of a run that tries an access: they end it, and nothing else happens. */
void fault_entry_try(void);

/* The code of all entries, for backtraces: those of page faults, and the complete ones. */
extern const uint8_t fault_entries_start[], fault_entries_end[];
extern const uint8_t trap_entries_start[], trap_entries_end[];

/* Called by trap.asm. It may change the frame; what stands there is then returned to. */
void trap_dispatch(struct trap_frame *frame);
/* The handler of an empty trap. */
unsigned trap_nothing(uint64_t address, unsigned access);

#endif
