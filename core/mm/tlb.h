/* Gathering what an operation must flush, so that it flushes once, on every CPU that needs it.
 *
 * Concepts: pages up to a threshold are flushed one by one, more than that by a whole flush. Only
 * translations that were present are ever gathered. A space knows which CPUs have its root loaded
 * (struct space.cpus): those are asked, with one interrupt each, and nobody else. The request is the
 * gather itself; a CPU has one under way at most, and each CPU knows by a set who wants something of it.
 *
 *     who changes the tables                  a CPU that loads the root
 *       entry changed                           into space->cpus    ── barrier
 *       barrier                                 root loaded, tables walked
 *       looks at space->cpus
 *
 * Either the one finds the other in the set, or the other finds the entry as it is now.
 * Locking: a gather lives on the stack of one operation. A flush may wait for other CPUs with any lock
 * held and with interrupts off: whoever waits answers (core/wait.h), so nobody waits for ever. */
#ifndef CORE_MM_TLB_H
#define CORE_MM_TLB_H

#include "core/check.h"
#include "core/machine.h"

struct space;

/* Above this many pages one whole flush is cheaper than single ones. */
#define TLB_GATHER_MAX 32

struct tlb_gather {
    uint32_t page_count; /* above TLB_GATHER_MAX: everything */
    uint32_t tables;     /* frame number of the first table to free afterwards; 0: none */
    uint64_t pages[TLB_GATHER_MAX]; /* as many as there are, or up to an address 0 */
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
    if (gather->page_count < TLB_GATHER_MAX)
        gather->pages[gather->page_count] = 0; /* the end of the list */
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

void tlb_gather_flush_proven(struct tlb_gather *gather, const struct space *space, uint64_t base,
                             uint64_t end);

/* The same for the end of [base, end), in which nothing can be mapped until this returns. At check level
 * 2 each CPU that has the space loaded then tries to read the gathered addresses, and panics if one
 * still translates: before anything that they showed is freed. */
static inline void tlb_gather_flush_gone(struct tlb_gather *gather, const struct space *space,
                                         uint64_t base, uint64_t end)
{
    if (UNLIKELY(check_level >= 2) && gather->page_count != 0)
        tlb_gather_flush_proven(gather, space, base, end);
    else
        tlb_gather_flush(gather, space);
}

/* Flushes one page, whose entry has been replaced, on every CPU that has the space loaded; where it only
 * allows more than before, on this one. */
enum replaced { REPLACED_BY_ANOTHER, REPLACED_BY_MORE };
void tlb_flush_page(uint64_t address, const struct space *space, enum replaced by);
/* For what only allows more than before, on this CPU alone: others find out by a fault. No tables are
 * gathered. */
void tlb_gather_flush_here(struct tlb_gather *gather, const struct space *space);
/* The space has another page directory: every CPU that has it loaded loads the new root. */
void tlb_root_changed(const struct space *space);

/* Answers other CPUs' requests from now on. Before there are spaces. */
void tlb_init(void);

#endif
