/* Names of addresses, and the calls that led somewhere. */
#ifndef X86_64_BACKTRACE_H
#define X86_64_BACKTRACE_H

#include "core/boot_info.h"
#include "x86_64/cpu_local.h"

/* Takes the core's symbols from the loader. */
void backtrace_init(const struct boot_info *boot);
/* The function that an address lies in, NULL if unknown; *offset says how far in. O(symbols). */
const char *backtrace_symbol(uint64_t address, uint64_t *offset);
/* Prints the place, on the CPU with that block, and the calls that led there, through
 * log_panic_line(). Reads nothing that is not mapped. */
void backtrace_print(const struct code_place *place, const struct cpu_local *local);

#endif
