/* The last instructions of the loader. */
#ifndef EFI_JUMP_H
#define EFI_JUMP_H

#include <stdint.h>

/* Read by jump.asm, in this order. */
struct jump {
    uint64_t root;      /* of the boot page tables */
    uint64_t stack;     /* top, in the direct map */
    uint64_t boot_info; /* in the direct map */
    uint64_t entry;     /* of the core */
    uint64_t has_nx;
};

_Static_assert(sizeof(struct jump) == 40, "jump.asm reads five words");

/* Interrupts off, no-execute on, loads the root, jumps. The code between jump_begin and jump_end must
 * be mapped one to one by the new tables. */
void jump_to_core(const struct jump *jump) __attribute__((noreturn));
extern const char jump_begin[];
extern const char jump_end[];

#endif
