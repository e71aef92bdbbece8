/* The fault path: from an address to the operation of the memory type that answers. */
#include "core/mm/heap.h"
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/reclaim.h"
#include "core/mm/space.h"
#include "core/write_window.h"

static enum fault_outcome denied(struct cpu *cpu, enum fault_outcome outcome)
{
    cpu->counters[COUNTER_FAULT_DENIED]++;
    return outcome;
}

enum fault_outcome space_check_stack(struct space *space, uint64_t stack_pointer)
{
    struct region *region = region_of_node(region_tree_find(&space->tree, stack_pointer));
    if (LIKELY(region && region->stack && !region->going))
        return FAULT_RESOLVED;
    machine_cpu()->counters[COUNTER_FAULT_TOTAL]++;
    return denied(machine_cpu(), FAULT_SEGV);
}

/* By ACCESS_WRITE and ACCESS_EXEC. */
static const uint8_t right_needed[4] = {
    [ACCESS_READ] = PROT_READ,
    [ACCESS_WRITE] = PROT_WRITE,
    [ACCESS_EXEC] = PROT_EXEC,
    [ACCESS_WRITE | ACCESS_EXEC] = PROT_WRITE,
};

static enum fault_outcome resolved(struct cpu *cpu, enum counter event)
{
    cpu->counters[event]++;
    return FAULT_RESOLVED;
}

/* The fault under way, which stands in *cpu so that the usual path saves no registers, found no memory:
 * reclaims without locks and starts again. */
static enum fault_outcome try_again(struct cpu *cpu)
{
    unsigned tries = 0;
    while (reclaim_for_retry(&tries)) {
        const struct space *space = cpu->space;
        struct region *region = region_of_node(region_tree_find(&space->tree, cpu->fault_address));
        if (!region || (region->usable & right_needed[cpu->fault_access & 3]) == 0)
            return denied(cpu, FAULT_SEGV);
        struct fault_result result = region->object->ops->fault(
            region->object, region, cpu->fault_address & ~PAGE_MASK, cpu->fault_access);
        if (result.outcome == FAULT_RESOLVED)
            return resolved(cpu, result.event);
        if (result.outcome != FAULT_NOMEM)
            return denied(cpu, result.outcome);
    }
    return FAULT_NOMEM;
}

__attribute__((noinline, cold)) static enum fault_outcome not_resolved(struct cpu *cpu,
                                                                       enum fault_outcome outcome)
{
    return outcome == FAULT_NOMEM ? try_again(cpu) : denied(cpu, outcome);
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

    struct region *region = region_of_node(region_tree_find(&space->tree, address));
    if (UNLIKELY(!region || (region->usable & right_needed[access & 3]) == 0))
        return denied(cpu, region && region->object && !region->going ? FAULT_PROT : FAULT_SEGV);

    struct fault_result result =
        region->object->ops->fault(region->object, region, address & ~PAGE_MASK, access);
    if (UNLIKELY(result.outcome != FAULT_RESOLVED))
        return not_resolved(cpu, result.outcome);
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
