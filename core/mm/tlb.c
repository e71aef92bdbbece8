/* Flushing what was gathered, here and elsewhere. See tlb.h. */
#include "core/mm/tlb.h"

#include "core/blame.h"
#include "core/cpu_set.h"
#include "core/mm/frames.h"
#include "core/mm/mm.h"
#include "core/mm/section.h"
#include "core/mm/space.h"
#include "core/wait.h"

enum request { REQUEST_FLUSH, REQUEST_RELOAD, REQUEST_PROBE };

/* What a CPU wants of others, valid while some have not answered; and who wants something of it. */
static struct shootdown {
    enum request request;
    const struct space *space;
    const struct tlb_gather *gather;
    uint64_t base; /* of a probe */
    uint64_t end;
    uint32_t unanswered; /* atomic */
    struct cpu_set initiators;
} __attribute__((aligned(64))) shootdowns[CPU_MAX];

void tlb_gather_table(struct tlb_gather *gather, phys_t table)
{
    /* Another CPU may have walked through it although it has never shown a page: any flush of a page drops
     * what a CPU keeps of tables. */
    if (gather->page_count == 0)
        tlb_gather_page(gather, 0);
    frame_of(table)->table_next = gather->tables;
    gather->tables = (uint32_t)(table.value >> PAGE_SHIFT);
}

static void free_tables(struct tlb_gather *gather)
{
    while (gather->tables != 0) {
        phys_t table = phys((uint64_t)gather->tables << PAGE_SHIFT);
        gather->tables = frame_of(table)->table_next;
        section_free_table(table);
    }
}

static inline void flush_pages(const struct tlb_gather *gather, struct cpu *cpu)
{
    uint32_t count = gather->page_count;
    uint32_t done = 0;
    do {
        machine_flush_page(virt(gather->pages[done]));
    } while (++done < count);
    cpu->counters[COUNTER_TLB_PAGE] += count;
}

/* Something has been gathered. */
static void flush(const struct tlb_gather *gather, struct cpu *cpu)
{
    if (gather->page_count > TLB_GATHER_MAX) {
        machine_flush_all();
        cpu->counters[COUNTER_TLB_FULL]++;
        return;
    }
    flush_pages(gather, cpu);
}

static inline void flush_here(const struct tlb_gather *gather, const struct space *space,
                              struct cpu *cpu)
{
    if (cpu->space != space)
        return;
    cpu->counters[COUNTER_TLB_LOCAL]++;
    flush(gather, cpu);
}

/* Interrupts are off. With another root loaded, on the way into the space or out of it, the addresses mean
 * something else. */
static void probe(const struct shootdown *shootdown, const struct cpu *cpu)
{
    const struct tlb_gather *gather = shootdown->gather;
    if (machine_root().value != shootdown->space->directory.root.value)
        return;
    for (uint32_t i = 0; i < TLB_GATHER_MAX && i < gather->page_count; i++) {
        uint64_t address = gather->pages[i];
        if (address == 0)
            return;
        if (address >= shootdown->base && address < shootdown->end &&
            machine_still_translates(virt(address)))
            panic("CPU %u still translates 0x%llx, which was unmapped from space %p and flushed",
                  cpu->index, (unsigned long long)address, (const void *)shootdown->space);
    }
}

/* --- the side that answers -------------------------------------------------------------------------------- */

static void answer(struct shootdown *shootdown, struct cpu *cpu)
{
    /* By the set, not by cpu->space: it is right at every instruction of space_load(). Who has left
     * the space has nothing of it any more. */
    if (cpu_set_has(&shootdown->space->cpus, cpu->index)) {
        if (shootdown->request == REQUEST_RELOAD)
            machine_load_root(shootdown->space->directory.root);
        else if (shootdown->request == REQUEST_PROBE)
            probe(shootdown, cpu);
        else
            flush(shootdown->gather, cpu);
    }
    /* Behind this the initiator goes on, and its request may be another one. */
    if (__atomic_sub_fetch(&shootdown->unanswered, 1, __ATOMIC_ACQ_REL) == 0)
        wait_wake(shootdown);
}

/* The machine's request handler: interrupts are off. */
static void answer_all(void)
{
    struct cpu *cpu = machine_cpu();
    struct cpu_set *initiators = &shootdowns[cpu->index].initiators;
    for (unsigned i = 0; (i = cpu_set_next(initiators, i)) < CPU_MAX; i++) {
        cpu_set_remove(initiators, i);
        answer(&shootdowns[i], cpu);
    }
}

/* For panics: a CPU that has been asked and has not looked. */
static unsigned find_unanswering(unsigned cpu)
{
    if (__atomic_load_n(&shootdowns[cpu].unanswered, __ATOMIC_RELAXED) == 0)
        return CPU_MAX;
    unsigned target = 0;
    while (target < CPU_MAX && !cpu_set_has(&shootdowns[target].initiators, cpu))
        target++;
    return target;
}

void tlb_init(void)
{
    blame_unanswering = find_unanswering;
    machine_request_handler = answer_all;
}

/* --- the side that asks -------------------------------------------------------------------------------------- */

/* Asks the CPUs that have the space loaded now, this one aside. Some may have left it since space_is_elsewhere()
 * looked, and who has come since knows nothing old. */
static void ask(struct shootdown *mine, struct cpu *cpu)
{
    struct cpu_set others;
    uint32_t count = 0;
    for (unsigned i = 0; i < CPU_SET_WORDS; i++)
        others.words[i] = __atomic_load_n(&mine->space->cpus.words[i], __ATOMIC_ACQUIRE);
    cpu_set_remove(&others, cpu->index);
    for (unsigned i = 0; (i = cpu_set_next(&others, i)) < CPU_MAX; i++)
        count++;
    __atomic_store_n(&mine->unanswered, count, __ATOMIC_RELAXED);
    for (unsigned i = 0; (i = cpu_set_next(&others, i)) < CPU_MAX; i++) {
        cpu_set_add(&shootdowns[i].initiators, cpu->index);
        machine_request(i);
    }
    if (mine->request == REQUEST_PROBE)
        return;
    cpu->counters[COUNTER_TLB_SHOOTDOWN] += count != 0;
    cpu->counters[COUNTER_TLB_IPI] += count;
}

static bool is_answered(void *context)
{
    const struct shootdown *mine = context;
    return __atomic_load_n(&mine->unanswered, __ATOMIC_ACQUIRE) == 0;
}

/* The others are asked first, so that this CPU does its part while they do theirs. */
__attribute__((noinline)) static void flush_everywhere(const struct tlb_gather *gather,
                                                       const struct space *space, struct cpu *cpu)
{
    struct shootdown *mine = &shootdowns[cpu->index];
    mine->request = REQUEST_FLUSH;
    mine->space = space;
    mine->gather = gather;
    ask(mine, cpu);
    flush_here(gather, space, cpu);
    wait_until(mine, is_answered, mine);
}

/* In no counter: scenarios prove by them who was asked to flush. */
static void probe_everywhere(const struct tlb_gather *gather, const struct space *space,
                             uint64_t base, uint64_t end)
{
    struct cpu *cpu = machine_cpu();
    struct shootdown *mine = &shootdowns[cpu->index];
    mine->request = REQUEST_PROBE;
    mine->space = space;
    mine->gather = gather;
    mine->base = base;
    mine->end = end;
    if (space_is_elsewhere(space, cpu))
        ask(mine, cpu);
    uint64_t flags = machine_irq_disable();
    probe(mine, cpu);
    machine_irq_restore(flags);
    wait_until(mine, is_answered, mine);
}

void tlb_gather_flush_proven(struct tlb_gather *gather, const struct space *space, uint64_t base,
                             uint64_t end)
{
    struct tlb_gather gone = *gather;
    gather->tables = 0;
    tlb_gather_flush(gather, space);
    probe_everywhere(&gone, space, base, end);
    free_tables(&gone);
}

__attribute__((noinline)) static void flush_and_free(struct tlb_gather *gather,
                                                     const struct space *space, struct cpu *cpu)
{
    if (gather->page_count != 0 && space_is_elsewhere(space, cpu))
        flush_everywhere(gather, space, cpu);
    else if (gather->page_count != 0)
        flush_here(gather, space, cpu);
    gather->page_count = 0;
    free_tables(gather);
}

/* Most often a page or two must be flushed here, and nothing else is to be done. */
void tlb_gather_flush_some(struct tlb_gather *gather, const struct space *space)
{
    struct cpu *cpu = machine_cpu();
    if (UNLIKELY(gather->page_count > TLB_GATHER_MAX) || UNLIKELY(gather->tables != 0) ||
        UNLIKELY(cpu->space != space) || UNLIKELY(space_is_elsewhere(space, cpu))) {
        flush_and_free(gather, space, cpu);
        return;
    }
    cpu->counters[COUNTER_TLB_LOCAL]++;
    flush_pages(gather, cpu);
    gather->page_count = 0;
}

void tlb_flush_page(uint64_t address, const struct space *space, enum replaced by)
{
    struct cpu *cpu = machine_cpu();
    if (UNLIKELY(by == REPLACED_BY_ANOTHER && space_is_elsewhere(space, cpu))) {
        struct tlb_gather gather;
        tlb_gather_init(&gather);
        tlb_gather_page(&gather, address);
        flush_everywhere(&gather, space, cpu);
    } else if (LIKELY(cpu->space == space)) {
        machine_flush_page(virt(address));
        cpu->counters[COUNTER_TLB_LOCAL]++;
        cpu->counters[COUNTER_TLB_PAGE]++;
    }
}

void tlb_gather_flush_here(struct tlb_gather *gather, const struct space *space)
{
    if (gather->page_count != 0)
        flush_here(gather, space, machine_cpu());
    gather->page_count = 0;
}

void tlb_root_changed(const struct space *space)
{
    struct cpu *cpu = machine_cpu();
    struct shootdown *mine = &shootdowns[cpu->index];
    mine->request = REQUEST_RELOAD;
    mine->space = space;
    if (space_is_elsewhere(space, cpu))
        ask(mine, cpu);
    if (cpu->space == space)
        machine_load_root(space->directory.root);
    wait_until(mine, is_answered, mine);
}

/* --- for tests of the check ---------------------------------------------------------------------------------- */

static void read_in_space(void *argument)
{
    struct machine_access access = {.kind = MACHINE_READ, .start = SPACE_USER_LOW, .count = 1};
    space_load(argument);
    machine_access(&access);
}

void mm_debug_stale_translation(void)
{
    struct map_args args = {
        .size_bytes = PAGE_SIZE, .prot = PROT_READ, .align_bytes = PAGE_SIZE, .commit = true};
    struct tlb_gather gather;
    struct table_place place;
    struct space *space;
    virt_t base;
    if (space_create(&space) != OK || space_map(space, &args, &base) != OK)
        return;
    for (unsigned cpu = 0; cpu < machine_cpu_count(); cpu++)
        machine_cpu_run(cpu, read_in_space, space);
    if (!page_directory_find(&space->directory, base.value, &place))
        return;
    *place.entry = 0;
    if (machine_cpu_count() > 1)
        machine_flush_page(base);
    tlb_gather_init(&gather);
    tlb_gather_page(&gather, base.value);
    probe_everywhere(&gather, space, base.value, base.value + PAGE_SIZE);
}
