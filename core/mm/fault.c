/* The fault path: from an address to the operation of the memory type that answers. */
#include "core/mm/heap.h"
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/reclaim.h"
#include "core/mm/section.h"
#include "core/mm/space.h"
#include "core/write_window.h"

static enum fault_outcome denied(struct cpu *cpu, enum fault_outcome outcome)
{
    cpu->counters[COUNTER_FAULT_DENIED]++;
    return outcome;
}

static bool is_stack(const struct region_node *node)
{
    const struct region *region = CONTAINER_OF(node, const struct region, node);
    return node && region->stack;
}

/* Without the space's lock first. */
static bool is_in_stack(struct space *space, uint64_t address)
{
    struct region_node *node;
    uint64_t seen;
    section_enter(machine_cpu());
    bool found = region_tree_try_find(&space->tree, address, &node, &seen) && is_stack(node);
    section_leave(machine_cpu());
    if (LIKELY(found))
        return true;
    lock_acquire(&space->lock);
    found = is_stack(region_tree_find(&space->tree, address));
    lock_release(&space->lock);
    return found;
}

enum fault_outcome space_check_stack(struct space *space, uint64_t stack_pointer)
{
    if (LIKELY(is_in_stack(space, stack_pointer)))
        return FAULT_RESOLVED;
    machine_cpu()->counters[COUNTER_FAULT_TOTAL]++;
    return denied(machine_cpu(), FAULT_SEGV);
}

/* Is an operation at work there, as it says when the tree's sequence number is still the one that was seen? An
 * operation that begins later waits for the section that the fault is in; so one look is enough. */
static bool is_busy(const struct space *space, uint64_t address, uint64_t seen)
{
    uint64_t busy_base = __atomic_load_n(&space->busy_base, __ATOMIC_RELAXED);
    uint64_t busy_bytes = __atomic_load_n(&space->busy_bytes, __ATOMIC_ACQUIRE);
    return address - busy_base < busy_bytes ||
           __atomic_load_n(&space->tree.sequence, __ATOMIC_ACQUIRE) != seen;
}

static enum fault_outcome resolved(struct cpu *cpu, enum counter event)
{
    cpu->counters[event]++;
    return FAULT_RESOLVED;
}

/* The fault under way, which stands in *cpu so that the usual path saves no registers, as far as the
 * memory type answers. Begins with the space's lock held, and releases it. */
static struct fault_result attempt(struct cpu *cpu, struct space *space) RELEASE(space->lock)
{
    struct fault_result result = {FAULT_SEGV, COUNTER_FAULT_TOTAL};
    struct region *region = region_of_node(region_tree_find(&space->tree, cpu->fault_address));
    if (!region || !region_allows(region, cpu->fault_access)) {
        if (region && region->object)
            result.outcome = FAULT_PROT;
        lock_release(&space->lock);
        return result;
    }
    section_enter(cpu); /* before the next operation can begin */
    lock_release(&space->lock);
    result = region->object->ops->fault(region->object, region, cpu->fault_address & ~PAGE_MASK,
                                        cpu->fault_access);
    section_leave(cpu);
    return result;
}

/* The usual path came to no end: the tree was being changed, or the region; or it says no, which must not
 * be what an operation has left half-way; or there was no memory. Here the space's lock is waited for, which
 * every operation holds; and memory is reclaimed, without locks. */
__attribute__((noinline, cold)) static enum fault_outcome fault_slowly(struct cpu *cpu,
                                                                       enum fault_outcome outcome)
{
    struct space *space = (struct space *)cpu->space;
    unsigned tries = 0;
    while (outcome == FAULT_AGAIN || (outcome == FAULT_NOMEM && reclaim_for_retry(&tries))) {
        lock_acquire(&space->lock);
        struct fault_result result = attempt(cpu, space);
        if (result.outcome == FAULT_RESOLVED)
            return resolved(cpu, result.event);
        outcome = result.outcome;
    }
    return outcome == FAULT_NOMEM ? outcome : denied(cpu, outcome);
}

enum fault_outcome space_fault(uint64_t address, unsigned access)
{
    struct cpu *cpu = machine_cpu();
    struct space *space = (struct space *)cpu->space;
    cpu->counters[COUNTER_FAULT_TOTAL]++;
    cpu->fault_address = address;
    cpu->fault_access = access;
    if (UNLIKELY(!space || (access & ACCESS_NON_CANONICAL) != 0))
        return denied(cpu, FAULT_SEGV);

    struct region_node *node;
    uint64_t seen;
    section_enter(cpu);
    bool found = region_tree_try_find(&space->tree, address, &node, &seen);
    struct region *region = region_of_node(node);
    struct fault_result result = {FAULT_AGAIN, COUNTER_FAULT_TOTAL};
    if (LIKELY(found) && LIKELY(region != NULL) && LIKELY(region_allows(region, access)) &&
        (LIKELY((seen & REGION_TREE_BUSY) == 0) || !is_busy(space, address, seen)))
        result = region->object->ops->fault(region->object, region, address & ~PAGE_MASK, access);
    section_leave(cpu);
    if (UNLIKELY(result.outcome != FAULT_RESOLVED))
        return fault_slowly(cpu, result.outcome);
    return resolved(cpu, result.event);
}

enum fault_outcome space_fault_checked(uint64_t address, unsigned access)
{
    write_window_check_closed();
    return space_fault(address, access);
}

result_t space_stray_write(struct space *space, enum fault_outcome *outcome)
{
    if (!heap.checked)
        return ENOTSUP;
    phys_t at = machine_virt_to_phys(&space->changes);
    struct machine_access access = {
        .kind = MACHINE_WRITE,
        .kernel = true,
        .start = BOOT_DIRECT_MAP_BASE + at.value,
        .count = 1,
        .value = space->changes,
    };
    machine_access(&access);
    *outcome = access.end == ACCESS_FAULTED ? FAULT_PROT : FAULT_RESOLVED;
    return OK;
}
