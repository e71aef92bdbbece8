/* The counters of a run: counted per CPU without locks, summed when read.
 *
 * Names are a contract (scenario-language.md): append, never rename. */
#ifndef CORE_COUNTERS_H
#define CORE_COUNTERS_H

#include <stdint.h>

#define COUNTER_LIST(X)                     \
    X(FAULT_TOTAL, "fault.total")           \
    X(FAULT_ZERO_READ, "fault.zero_read")   \
    X(FAULT_ANON, "fault.anon")             \
    X(FAULT_RESIDENT, "fault.resident")     \
    X(FAULT_COW_COPY, "fault.cow_copy")     \
    X(FAULT_COW_REUSE, "fault.cow_reuse")   \
    X(FAULT_FILE_MINOR, "fault.file_minor") \
    X(FAULT_FILE_MAJOR, "fault.file_major") \
    X(FAULT_SPURIOUS, "fault.spurious")     \
    X(FAULT_DENIED, "fault.denied")         \
    X(TLB_LOCAL, "tlb.local")               \
    X(TLB_SHOOTDOWN, "tlb.shootdown")       \
    X(TLB_IPI, "tlb.ipi")                   \
    X(TLB_PAGE, "tlb.page")                 \
    X(TLB_FULL, "tlb.full")                 \
    X(PT_ALLOC, "pt.alloc")                 \
    X(PT_FREE, "pt.free")                   \
    X(PAGE_ALLOC, "page.alloc")             \
    X(PAGE_FREE, "page.free")               \
    X(PAGE_ZEROED, "page.zeroed")           \
    X(HEAP_ALLOC, "heap.alloc")             \
    X(HEAP_FREE, "heap.free")               \
    X(TREE_VISIT, "tree.visit")             \
    X(RECLAIM_PURGED, "reclaim.purged")     \
    X(RECLAIM_CLEAN, "reclaim.clean")       \
    X(RECLAIM_DIRTY, "reclaim.dirty")       \
    X(RECLAIM_FAILED, "reclaim.failed")     \
    X(LOCK_CONTENDED, "lock.contended")     \
    X(LOCK_WAITED, "lock.waited")           \
    X(COMMIT_RESERVED, "commit.reserved")   \
    X(COMMIT_USED, "commit.used")

enum counter {
#define COUNTER_ENUM(name, text) COUNTER_##name,
    COUNTER_LIST(COUNTER_ENUM)
#undef COUNTER_ENUM
        COUNTER_COUNT,
};

/* The counter's public name; it lives for ever. */
const char *counter_name(enum counter counter);

/* Sum over all CPUs. Exact when no CPU counts meanwhile. COMMIT_* are levels, kept as sums of signed
 * changes. O(CPUs). */
uint64_t counter_read(enum counter counter);

#endif
