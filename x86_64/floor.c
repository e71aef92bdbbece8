/* What the hardware charges, without any memory management.
 *
 * Concepts: gate and trap are timed reads from ring 3 of a page that is in no page table, with the
 * page-fault entry replaced by one that skips the read; so they cross the same ring boundary and
 * save the same registers as a true fault. */
#include "core/machine.h"
#include "x86_64/access.h"
#include "x86_64/cpu_local.h"
#include "x86_64/descriptors.h"
#include "x86_64/features.h"
#include "x86_64/trap.h"

extern const char boot_stack_bottom[]; /* link.ld: the page below is a guard */

static void nothing(void *argument)
{
    (void)argument;
}

/* Latencies of faults that `entry` answers. */
static size_t floor_fault(void (*entry)(void), ticks_t *samples, size_t count)
{
    if (!access_is_ready())
        return 0;
    size_t taken = 0;
    while (taken < count) {
        size_t left = count - taken;
        struct machine_access access = {
            .kind = MACHINE_READ,
            .timed = true,
            .start = (uint64_t)boot_stack_bottom - PAGE_SIZE,
            .count = left < MACHINE_SLOTS ? left : MACHINE_SLOTS,
        };
        uint64_t flags = machine_irq_disable();
        descriptors_replace_page_fault(entry);
        machine_access(&access);
        descriptors_replace_page_fault(NULL);
        machine_irq_restore(flags);
        if (access.end != ACCESS_DONE)
            return taken;
        for (size_t i = 0; i < access.count; i++)
            samples[taken++] = machine_slots()[i];
    }
    return taken;
}

static size_t floor_ring3(ticks_t *samples, size_t count)
{
    if (!access_is_ready())
        return 0;
    for (size_t i = 0; i < count; i++) {
        struct run run = {.rip = access_empty_program()};
        ticks_t begin = machine_ticks();
        (void)run_enter_user(&run);
        samples[i] = machine_ticks() - begin;
    }
    return count;
}

static size_t floor_page_clear(ticks_t *samples, size_t count, void *pages[2])
{
    for (size_t i = 0; i < count; i++) {
        ticks_t begin = machine_ticks();
        machine_page_clear(pages[0]);
        samples[i] = machine_ticks() - begin;
    }
    return count;
}

static size_t floor_page_copy(ticks_t *samples, size_t count, void *pages[2])
{
    for (size_t i = 0; i < count; i++) {
        ticks_t begin = machine_ticks();
        machine_page_copy(pages[1], pages[0]);
        samples[i] = machine_ticks() - begin;
    }
    return count;
}

/* Of a page whose translation is there to be dropped. */
static size_t floor_invlpg(ticks_t *samples, size_t count, void *pages[2])
{
    volatile uint64_t *word = pages[0];
    for (size_t i = 0; i < count; i++) {
        (void)*word;
        ticks_t begin = machine_ticks();
        machine_flush_page(virt((uint64_t)pages[0]));
        samples[i] = machine_ticks() - begin;
    }
    return count;
}

static size_t floor_root_load(ticks_t *samples, size_t count)
{
    phys_t root = machine_root();
    for (size_t i = 0; i < count; i++) {
        ticks_t begin = machine_ticks();
        machine_load_root(root);
        samples[i] = machine_ticks() - begin;
    }
    return count;
}

/* There, an empty function, and back; both sides halted while they wait. */
static size_t floor_ipi(ticks_t *samples, size_t count)
{
    if (machine_cpu_count() < 2)
        return 0;
    unsigned other = machine_cpu()->index == 0 ? 1 : 0;
    for (size_t i = 0; i < count; i++) {
        ticks_t begin = machine_ticks();
        machine_cpu_run(other, nothing, NULL);
        samples[i] = machine_ticks() - begin;
    }
    return count;
}

static size_t floor_ap_start(ticks_t *samples, size_t count)
{
    size_t taken = 0;
    for (unsigned i = 1; i < machine_cpu_count() && taken < count; i++)
        samples[taken++] = cpu_locals[i].start_ticks;
    return taken;
}

size_t machine_floor(enum machine_floor what, ticks_t *samples, size_t count, void *pages[2])
{
    switch (what) {
    case FLOOR_GATE:
        return floor_fault(fault_entry_gate, samples, count);
    case FLOOR_TRAP:
        return floor_fault(features_smap ? fault_entry_trap_smap : fault_entry_trap, samples,
                           count);
    case FLOOR_RING3:
        return floor_ring3(samples, count);
    case FLOOR_PAGE_CLEAR:
        return floor_page_clear(samples, count, pages);
    case FLOOR_PAGE_COPY:
        return floor_page_copy(samples, count, pages);
    case FLOOR_INVLPG:
        return floor_invlpg(samples, count, pages);
    case FLOOR_ROOT_LOAD:
        return floor_root_load(samples, count);
    case FLOOR_IPI:
        return floor_ipi(samples, count);
    case FLOOR_AP_START:
        return floor_ap_start(samples, count);
    case FLOOR_COUNT:
        break;
    }
    return 0;
}
