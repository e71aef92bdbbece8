/* Roots, flushes, and the rights of the core's own image. */
#include "x86_64/paging.h"

#include "core/machine.h"
#include "core/panic.h"
#include "core/text.h"
#include "x86_64/features.h"
#include "x86_64/instructions.h"

/* From link.ld */
extern const char text_start[], text_end[], rodata_start[], rodata_end[], data_start[], data_end[];
extern const char boot_stack_bottom[], boot_stack_top[], nmi_stack_bottom[], nmi_stack_top[];
extern const char double_fault_stack_bottom[], double_fault_stack_top[];
extern const char machine_check_stack_bottom[], machine_check_stack_top[];

void machine_load_root(phys_t root)
{
    if (UNLIKELY(!features_no_execute))
        panic(
            "this CPU has no no-execute pages, or firmware keeps them off: look for 'NX', 'XD' or "
            "'Execute Disable' in its setup");
    cr3_write(root.value);
}

phys_t machine_root(void)
{
    return phys(cr3_read() & ENTRY_ADDRESS_MASK);
}

void machine_flush_all(void)
{
    cr3_write(cr3_read());
}

#define CR0_WRITE_PROTECT (1ull << 16)

void machine_write_protect(bool on)
{
    uint64_t others = cr0_read() & ~CR0_WRITE_PROTECT;
    cr0_write(on ? others | CR0_WRITE_PROTECT : others);
}

bool machine_has_page_level(unsigned level)
{
    return level <= 2 || (level == 3 && features_have(FEATURE_1G));
}

const struct image_segment *machine_image_segments(size_t *count)
{
    static struct image_segment segments[7];
    segments[0] = (struct image_segment){(uint64_t)text_start, (uint64_t)text_end, 0};
    segments[1] =
        (struct image_segment){(uint64_t)rodata_start, (uint64_t)rodata_end, ENTRY_NO_EXEC};
    const char *const writable[][2] = {
        {data_start, data_end},
        {boot_stack_bottom, boot_stack_top},
        {nmi_stack_bottom, nmi_stack_top},
        {double_fault_stack_bottom, double_fault_stack_top},
        {machine_check_stack_bottom, machine_check_stack_top},
    };
    for (size_t i = 0; i < ARRAY_COUNT(writable); i++)
        segments[2 + i] = (struct image_segment){(uint64_t)writable[i][0], (uint64_t)writable[i][1],
                                                 ENTRY_WRITE | ENTRY_NO_EXEC};
    *count = ARRAY_COUNT(segments);
    return segments;
}

entry_t paging_lookup(uint64_t address)
{
    if (!machine_is_canonical(address))
        return 0;
    entry_t entry = entry_table(machine_root(), ENTRY_WRITE | ENTRY_USER);
    entry_t rights = ENTRY_WRITE | ENTRY_USER;
    entry_t no_exec = 0;
    for (unsigned level = features_levels(); level >= 1; level--) {
        const entry_t *table = machine_phys_to_virt(entry_phys(entry));
        entry = table[machine_table_index(address, level)];
        if (!entry_is_present(entry))
            return 0;
        rights &= entry;
        no_exec |= entry & ENTRY_NO_EXEC;
        if (entry_is_page(entry, level))
            break;
    }
    return (entry & ~(ENTRY_WRITE | ENTRY_USER)) | rights | no_exec;
}

bool paging_is_mapped(uint64_t address, uint64_t size_bytes)
{
    if (size_bytes == 0 || address + (size_bytes - 1) < address)
        return false;
    uint64_t last = page_floor(address + (size_bytes - 1));
    for (uint64_t page = page_floor(address);; page += PAGE_SIZE) {
        if (paging_lookup(page) == 0)
            return false;
        if (page == last)
            return true;
    }
}

bool paging_read(uint64_t address, void *to, size_t size_bytes)
{
    if (!paging_is_mapped(address, size_bytes) || entry_is_user(paging_lookup(address)))
        return false;
    memcpy(to, (const void *)address, size_bytes);
    return true;
}

/* --- in the loader's tables ------------------------------------------------------------------- */

/* Where nothing of the loader is: the first address that the core will give to devices. */
#define EARLY_ADDRESS 0xffffc00000000000ull
/* One page high and one low, with five levels at most, whose root is there. */
#define EARLY_TABLES 8

/* The entry of an address where nothing is mapped, with the tables above it; NULL otherwise. */
static entry_t *early_entry(const struct boot_info *boot, uint64_t address)
{
    static entry_t tables[EARLY_TABLES][MACHINE_TABLE_ENTRIES] __attribute__((aligned(4096)));
    static unsigned used;
    uint64_t image = boot->core_image.start - BOOT_CORE_BASE;
    entry_t *table = machine_phys_to_virt(machine_root());
    for (unsigned level = features_levels(); level > 1; level--) {
        entry_t *entry = &table[machine_table_index(address, level)];
        if (entry_is_page(*entry, level) || (!entry_is_present(*entry) && used == EARLY_TABLES))
            return NULL;
        if (!entry_is_present(*entry))
            *entry = entry_table(phys((uint64_t)tables[used++] + image), ENTRY_TABLE_BITS);
        table = machine_phys_to_virt(entry_phys(*entry));
    }
    entry_t *entry = &table[machine_table_index(address, 1)];
    return entry_is_present(*entry) ? NULL : entry;
}

volatile void *paging_map_early(const struct boot_info *boot, phys_t page)
{
    entry_t *entry = early_entry(boot, EARLY_ADDRESS);
    if (entry == NULL)
        return NULL;
    entry_t bits = ENTRY_WRITE | ENTRY_UNCACHED | (features_no_execute ? ENTRY_NO_EXEC : 0);
    *entry = entry_page(page, bits, 1);
    return (volatile void *)EARLY_ADDRESS;
}

bool paging_map_identity(const struct boot_info *boot, phys_t page)
{
    entry_t *entry = early_entry(boot, page.value);
    if (entry == NULL)
        return false;
    *entry = entry_page(page, 0, 1);
    return true;
}
