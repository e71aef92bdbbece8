/* Mapping and unmapping in the kernel's half. See kernel_tables.h. */
#include "core/mm/kernel_tables.h"

/* The entry of `level` for an address, tables made above it; NULL: no memory. */
static entry_t *kernel_entry(struct page_directory *directory, uint64_t address, unsigned level)
{
    entry_t *table = machine_phys_to_virt(directory->root);
    for (unsigned here = machine_levels; here > level; here--) {
        entry_t *entry = &table[machine_table_index(address, here)];
        if (!entry_is_present(*entry)) {
            phys_t below;
            if (frames_take_uninjected(FRAME_KERNEL, &below) != OK)
                return NULL;
            machine_page_clear(machine_phys_to_virt(below));
            *entry = entry_table(below, ENTRY_TABLE_BITS);
        }
        ASSERT(!entry_is_page(*entry, here));
        table = machine_phys_to_virt(entry_phys(*entry));
    }
    return &table[machine_table_index(address, level)];
}

result_t kernel_tables_map(struct page_directory *directory, uint64_t base, phys_t at,
                           uint64_t size_bytes, uint64_t bits, unsigned max_level)
{
    for (uint64_t done = 0; done < size_bytes;) {
        unsigned level = max_level;
        while (level > 1 && (((base + done) | (at.value + done)) % machine_level_size(level) != 0 ||
                             size_bytes - done < machine_level_size(level)))
            level--;
        entry_t *entry = kernel_entry(directory, base + done, level);
        if (!entry)
            return ENOMEM;
        *entry = entry_page(phys(at.value + done), bits, level);
        done += machine_level_size(level);
    }
    return OK;
}

/* The entry of `level` for an address; NULL: no table has it. */
static entry_t *find_kernel_entry(const struct page_directory *directory, uint64_t address,
                                  unsigned level)
{
    entry_t *table = machine_phys_to_virt(directory->root);
    for (unsigned here = machine_levels; here > level; here--) {
        entry_t entry = table[machine_table_index(address, here)];
        if (!entry_is_present(entry) || entry_is_page(entry, here))
            return NULL;
        table = machine_phys_to_virt(entry_phys(entry));
    }
    return &table[machine_table_index(address, level)];
}

static bool is_empty(phys_t table)
{
    const entry_t *entries = machine_phys_to_virt(table);
    for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES; i++) {
        if (entry_is_present(entries[i]))
            return false;
    }
    return true;
}

/* Level by level, so that a table is looked at when all below it is done. */
void kernel_tables_unmap(struct page_directory *directory, uint64_t base, uint64_t size_bytes)
{
    for (unsigned level = 1; level < machine_levels; level++) {
        uint64_t span = machine_level_size(level);
        for (uint64_t at = base & ~(span - 1); at < base + size_bytes; at += span) {
            entry_t *entry = find_kernel_entry(directory, at, level);
            if (!entry || !entry_is_present(*entry))
                continue;
            phys_t below = entry_phys(*entry);
            bool is_page = entry_is_page(*entry, level);
            if (!is_page && !is_empty(below))
                continue;
            *entry = 0;
            machine_flush_page(virt(at));
            if (!is_page)
                frames_give(below);
        }
    }
}
