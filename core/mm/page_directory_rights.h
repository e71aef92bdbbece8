/* Other rights for what page tables map: the change of an entry, and that of a single page, inline, since of all there is
 * that is what programs do most. */
#ifndef CORE_MM_PAGE_DIRECTORY_RIGHTS_H
#define CORE_MM_PAGE_DIRECTORY_RIGHTS_H

#include "core/mm/page_directory.h"
#include "core/mm/section.h"

/* A present entry becomes (entry & keep) | set. */
struct rights_change {
    entry_t keep;
    entry_t set;
};

/* To the rights in `bits`; W only where it is. */
static inline struct rights_change rights_change_to(uint64_t bits)
{
    entry_t rights = ENTRY_WRITE | ENTRY_NO_EXEC | ENTRY_USER;
    return (struct rights_change){
        .keep = ~rights | (bits & ENTRY_WRITE),
        .set = entry_without_write(bits),
    };
}

/* As page_directory_protect(), for a page that no large page maps, of a space whose lock is held, and not in a section:
 * without the directory's lock. The space's lock keeps the directory; its tables may go, but then there is nothing to
 * change. True: the flush is the caller's. */
__attribute__((always_inline)) static inline bool
page_directory_protect_page(struct page_directory *directory, uint64_t address, uint64_t bits)
{
    struct cpu *cpu = machine_cpu();
    struct rights_change change = rights_change_to(bits);
    struct table_place place;
    bool changed = false;
    section_enter(cpu);
    if (LIKELY(page_directory_find(directory, address, &place)) &&
        LIKELY(table_lock(place.table))) {
        entry_t old = entry_peek(place.entry);
        entry_t new = (old & change.keep) | change.set;
        changed = entry_is_present(old) && new != old;
        if (changed)
            entry_store(place.entry, new);
        table_place_unlock(&place);
    }
    section_leave(cpu);
    return changed;
}

#endif
