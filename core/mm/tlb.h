/* Gathering what an operation must flush, so that it flushes once.
 *
 * Concepts: pages up to a threshold are flushed one by one, more than that by a whole flush. Only
 * translations that were present are ever gathered.
 * Locking: a gather lives on the stack of one operation. */
#ifndef CORE_MM_TLB_H
#define CORE_MM_TLB_H

#include "core/types.h"

struct space;

/* Above this many pages one whole flush is cheaper than single ones. */
#define TLB_GATHER_MAX 32

struct tlb_gather {
    uint32_t page_count; /* above TLB_GATHER_MAX: everything */
    uint32_t tables;     /* frame number of the first table to free afterwards; 0: none */
    uint64_t pages[TLB_GATHER_MAX];
};

static inline void tlb_gather_init(struct tlb_gather *gather)
{
    gather->page_count = 0;
    gather->tables = 0;
}

static inline void tlb_gather_page(struct tlb_gather *gather, uint64_t address)
{
    if (gather->page_count < TLB_GATHER_MAX)
        gather->pages[gather->page_count] = address;
    if (gather->page_count <= TLB_GATHER_MAX)
        gather->page_count++;
}

static inline void tlb_gather_all(struct tlb_gather *gather)
{
    gather->page_count = TLB_GATHER_MAX + 1;
}

/* Frees the table's frame once the flush is done. */
void tlb_gather_table(struct tlb_gather *gather, phys_t table);

void tlb_gather_flush_some(struct tlb_gather *gather, const struct space *space);

/* Flushes on every CPU that has the space loaded, nothing when nothing was gathered; then frees the
 * gathered tables. The gather is empty afterwards. */
static inline void tlb_gather_flush(struct tlb_gather *gather, const struct space *space)
{
    if (gather->page_count != 0 || gather->tables != 0)
        tlb_gather_flush_some(gather, space);
}

#endif
