/* Page tables as the CPU walks them, for looking before touching. */
#ifndef X86_64_PAGING_H
#define X86_64_PAGING_H

#include "core/boot_info.h"
#include "core/types.h"
#include "x86_64/pte.h"

/* The entry that maps an address in the root now loaded, rights of the upper levels and-ed in; 0 when
 * nothing is mapped there. O(levels). */
entry_t paging_lookup(uint64_t address);
/* Is all of [address, address + size) mapped? O(pages). */
bool paging_is_mapped(uint64_t address, uint64_t size_bytes);
/* Reads memory that may not be there; false when it is not. */
bool paging_read(uint64_t address, void *to, size_t size_bytes);

/* Before the core has page tables of its own: one page of device memory, uncached, in the loader's.
 * It is gone with them. NULL when it cannot be. Once. */
volatile void *paging_map_early(const struct boot_info *boot, phys_t page);
/* In the same way one page of memory one to one, executable. False when it cannot be. */
bool paging_map_identity(const struct boot_info *boot, phys_t page);

#endif
