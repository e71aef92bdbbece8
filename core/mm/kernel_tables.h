/* Mappings of the kernel itself, in page tables that count nothing: those of kernel.c.
 *
 * Locking: the kernel's lock; the start needs none. */
#ifndef CORE_MM_KERNEL_TABLES_H
#define CORE_MM_KERNEL_TABLES_H

#include "core/mm/page_directory.h"

/* Maps [base, base + size) to [at, ...) with pages of at most max_level. The tables are FRAME_KERNEL.
 * ENOMEM: a part may be mapped, and tables made. */
result_t kernel_tables_map(struct page_directory *directory, uint64_t base, phys_t at,
                           uint64_t size_bytes, uint64_t bits, unsigned max_level);
/* Undoes that, be it whole or a part: no page may reach beyond the range. Frees tables that are empty
 * then, but for those that the root points to, which all spaces share. Only this CPU's translations
 * end. */
void kernel_tables_unmap(struct page_directory *directory, uint64_t base, uint64_t size_bytes);

#endif
