/* Names of addresses, and the calls that led somewhere. */
#ifndef X86_64_BACKTRACE_H
#define X86_64_BACKTRACE_H

#include "core/boot_info.h"

/* Takes the core's symbols from the loader. */
void backtrace_init(const struct boot_info *boot);
/* The function that an address lies in, NULL if unknown; *offset says how far in. O(symbols). */
const char *backtrace_symbol(uint64_t address, uint64_t *offset);
/* Prints `address` as the innermost call, then the callers from the frame that frame_pointer names,
 * through log_panic_line(). Reads nothing that is not mapped. stack_pointer, if it is not 0, is that of
 * the innermost function, which may have no frame yet or be too small to have one. */
void backtrace_print(uint64_t address, uint64_t frame_pointer, uint64_t stack_pointer);

#endif
