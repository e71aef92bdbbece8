/* Flushing what was gathered. See tlb.h. */
#include "core/mm/tlb.h"

#include "core/machine.h"
#include "core/mm/frames.h"

void tlb_gather_table(struct tlb_gather *gather, phys_t table)
{
    frame_of(table)->slab.next = gather->tables;
    gather->tables = (uint32_t)(table.value >> PAGE_SHIFT);
}

static void free_tables(struct tlb_gather *gather)
{
    while (gather->tables != 0) {
        phys_t table = phys((uint64_t)gather->tables << PAGE_SHIFT);
        gather->tables = frame_of(table)->slab.next;
        frames_give(table);
    }
}

static void flush_here(const struct tlb_gather *gather, struct cpu *cpu)
{
    cpu->counters[COUNTER_TLB_LOCAL]++;
    if (gather->page_count > TLB_GATHER_MAX) {
        machine_flush_all();
        cpu->counters[COUNTER_TLB_FULL]++;
        return;
    }
    for (uint32_t i = 0; i < gather->page_count; i++)
        machine_flush_page(virt(gather->pages[i]));
    cpu->counters[COUNTER_TLB_PAGE] += gather->page_count;
}

void tlb_gather_flush_some(struct tlb_gather *gather, const struct space *space)
{
    struct cpu *cpu = machine_cpu();
    if (gather->page_count != 0 && cpu->space == space)
        flush_here(gather, cpu);
    gather->page_count = 0;
    free_tables(gather);
}
