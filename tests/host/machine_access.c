/* machine_access() and machine_floor() on the simulated machine: every access goes through the TLB, and
 * what a CPU would fault on calls the fault handler. */
#include "machine_access.h"

#include "core/check.h"
#include "core/machine.h"
#include "machine_memory.h"

/* A handler that says "resolved" this often for one access and has not resolved it never will. */
#define FAULTS_MAX 100
#define ACCESS_BYTES 8

static struct {
    uint64_t program_address;
    uint64_t slots_address;
    const phys_t *slot_pages;
} window;

void machine_access_init(uint64_t program_address, uint64_t slots_address_of_cpu0,
                         const phys_t *slot_pages)
{
    window.program_address = program_address;
    window.slots_address = slots_address_of_cpu0;
    window.slot_pages = slot_pages;
}

phys_t machine_user_program(void)
{
    return phys(sim_image_start().value + SIM_IMAGE_TEXT_PAGES * PAGE_SIZE);
}

uint64_t *machine_slots(void)
{
    ASSERT(window.slot_pages != NULL);
    return machine_phys_to_virt(window.slot_pages[machine_cpu()->index]);
}

/* Ring 3 needs its program and its sample page, whatever space is loaded. Looked up without the TLB,
 * in which the check must leave no trace. */
static void check_window(void)
{
    uint64_t slots = window.slots_address + machine_cpu()->index * PAGE_SIZE;
    struct sim_translation program = sim_look_up_tables(window.program_address);
    struct sim_translation samples = sim_look_up_tables(slots);

    if (!program.present || !program.user || !program.executable || program.writable ||
        program.frame.value != machine_user_program().value)
        panic("harness window: not the program at 0x%llx",
              (unsigned long long)window.program_address);
    if (!samples.present || !samples.user || samples.executable || !samples.writable ||
        samples.frame.value != window.slot_pages[machine_cpu()->index].value)
        panic("harness window: not the sample page at 0x%llx", (unsigned long long)slots);
}

/* --- one access --------------------------------------------------------------------------------------- */

/* The access as the hardware sees it: bytes, perhaps in two pages. */
struct operation {
    struct machine_access *access;
    uint64_t address;
    unsigned size_bytes;
    phys_t first, last; /* where its first and last byte are */
};

static enum sim_access sim_access_of(enum machine_access_kind kind)
{
    if (kind == MACHINE_EXEC)
        return SIM_EXEC;
    return kind == MACHINE_WRITE ? SIM_WRITE : SIM_READ;
}

static unsigned fault_bits(const struct machine_access *access)
{
    unsigned bits = access->kernel ? 0 : ACCESS_USER;
    if (access->kind == MACHINE_EXEC)
        bits |= ACCESS_EXEC;
    return access->kind == MACHINE_WRITE ? bits | ACCESS_WRITE : bits;
}

/* One try to translate both ends; on a miss *fault_address says of which byte. */
static bool translate(struct operation *operation, uint64_t *fault_address)
{
    enum sim_access kind = sim_access_of(operation->access->kind);
    bool user = !operation->access->kernel;
    uint64_t last = operation->address + operation->size_bytes - 1;

    *fault_address = operation->address;
    operation->first = sim_translate(operation->address, kind, user);
    if (operation->first.value == PHYS_NONE.value)
        return false;
    if (page_floor(last) == page_floor(operation->address)) {
        operation->last = phys(operation->first.value + operation->size_bytes - 1);
        return true;
    }
    *fault_address = page_floor(last);
    operation->last = sim_translate(last, kind, user);
    return operation->last.value != PHYS_NONE.value;
}

/* Translates, faulting as often as the handler resolves it. */
static enum fault_outcome reach(struct operation *operation)
{
    unsigned bits = fault_bits(operation->access);
    uint64_t last = operation->address + operation->size_bytes - 1;
    uint64_t fault_address;

    for (int tries = 0; tries < FAULTS_MAX; tries++) {
        bool canonical = machine_is_canonical(operation->address) && machine_is_canonical(last);
        if (canonical && translate(operation, &fault_address))
            return FAULT_RESOLVED;

        uint64_t flags = machine_irq_disable();
        enum fault_outcome outcome = canonical
                                         ? machine_fault_handler(fault_address, bits)
                                         : machine_fault_handler(0, bits | ACCESS_NON_CANONICAL);
        machine_irq_restore(flags);
        if (outcome != FAULT_RESOLVED)
            return outcome;
    }
    panic("the fault at 0x%llx was called resolved %d times and is not",
          (unsigned long long)operation->address, FAULTS_MAX);
}

static char *byte_at(const struct operation *operation, unsigned index)
{
    uint64_t in_first = PAGE_SIZE - (operation->address & PAGE_MASK);
    phys_t at = index < in_first ? phys(operation->first.value + index)
                                 : phys((operation->last.value & ~PAGE_MASK) + index - in_first);
    if (!sim_is_ram(at))
        panic("access to 0x%llx reaches 0x%llx, which is not memory",
              (unsigned long long)operation->address, (unsigned long long)at.value);
    return machine_phys_to_virt(at);
}

static bool is_whole(const struct operation *operation)
{
    return operation->address % ACCESS_BYTES == 0;
}

static uint64_t load(const struct operation *operation)
{
    uint64_t value = 0;

    if (is_whole(operation))
        return __atomic_load_n((uint64_t *)(void *)byte_at(operation, 0), __ATOMIC_RELAXED);
    for (unsigned i = 0; i < ACCESS_BYTES; i++)
        value |= (uint64_t)(unsigned char)*byte_at(operation, i) << 8 * i;
    return value;
}

static void store(const struct operation *operation, uint64_t value)
{
    if (is_whole(operation)) {
        __atomic_store_n((uint64_t *)(void *)byte_at(operation, 0), value, __ATOMIC_RELAXED);
        return;
    }
    for (unsigned i = 0; i < ACCESS_BYTES; i++)
        *byte_at(operation, i) = (char)(value >> 8 * i);
}

/* A call writes where it returns to, below the user program's stack pointer. */
static enum fault_outcome push(struct machine_access *access)
{
    struct machine_access write = {.kind = MACHINE_WRITE};
    struct operation operation = {
        .access = &write,
        .address = access->stack_pointer - ACCESS_BYTES,
        .size_bytes = ACCESS_BYTES,
    };

    enum fault_outcome outcome = reach(&operation);
    if (outcome == FAULT_RESOLVED)
        store(&operation, window.program_address);
    else
        access->address = operation.address;
    return outcome;
}

static enum machine_access_end perform(struct machine_access *access, uint64_t address)
{
    struct operation operation = {
        .access = access,
        .address = address,
        .size_bytes = access->kind == MACHINE_EXEC ? 1 : ACCESS_BYTES,
    };

    if (access->kind == MACHINE_NOTHING)
        return ACCESS_DONE;
    access->outcome = FAULT_RESOLVED;
    if (access->kind == MACHINE_EXEC && access->stack_pointer != 0)
        access->outcome = push(access);
    if (access->outcome == FAULT_RESOLVED)
        access->outcome = reach(&operation);
    if (access->outcome != FAULT_RESOLVED)
        return ACCESS_FAULTED;
    if (access->kind == MACHINE_EXEC)
        return (unsigned char)*byte_at(&operation, 0) == SIM_RETURN_BYTE ? ACCESS_DONE
                                                                         : ACCESS_CRASHED;
    if (access->kind == MACHINE_WRITE) {
        store(&operation, access->value);
        return ACCESS_DONE;
    }
    uint64_t value = load(&operation);
    if (!access->check || value == access->value)
        return ACCESS_DONE;
    access->observed = value;
    return ACCESS_MISMATCH;
}

void machine_access(struct machine_access *access)
{
    uint64_t *slots = access->timed || access->listed ? machine_slots() : NULL;
    uint64_t address = access->start;

    ASSERT(slots == NULL || access->count <= MACHINE_SLOTS);
    if (!access->kernel)
        check_window();
    access->outcome = FAULT_RESOLVED;
    access->end = ACCESS_DONE;
    for (access->done = 0; access->done < access->count; access->done++) {
        access->address = access->listed ? slots[access->done] : address;
        ticks_t before = access->timed ? machine_ticks() : 0;
        access->end = perform(access, access->address);
        if (access->timed)
            slots[access->done] = machine_ticks() - before;
        if (access->end != ACCESS_DONE)
            return;
        address += (uint64_t)access->stride_bytes;
    }
}

/* --- what the hardware charges --------------------------------------------------------------------------- */

static void do_nothing(void *argument)
{
    (void)argument;
}

/* Does once what a floor is about. False: this machine cannot. */
static bool floor_once(enum machine_floor what, void *pages[2])
{
    struct machine_access nothing = {.kind = MACHINE_NOTHING, .count = 1};

    switch (what) {
    case FLOOR_GATE: /* a fault costs no more than a call here */
    case FLOOR_TRAP:
        machine_cpu_run(machine_cpu()->index, do_nothing, NULL);
        return true;
    case FLOOR_RING3:
        machine_access(&nothing);
        return true;
    case FLOOR_PAGE_CLEAR:
        machine_page_clear(pages[0]);
        return true;
    case FLOOR_PAGE_COPY:
        machine_page_copy(pages[1], pages[0]);
        return true;
    case FLOOR_INVLPG:
        machine_flush_page(virt(window.slots_address));
        return true;
    case FLOOR_ROOT_LOAD:
        machine_load_root(machine_root());
        return true;
    case FLOOR_IPI:
        if (machine_cpu_count() < 2 || machine_cpu()->index != 0)
            return false;
        machine_cpu_run(1, do_nothing, NULL);
        return true;
    case FLOOR_AP_START:
    case FLOOR_COUNT:
        return false;
    }
    return false;
}

size_t machine_floor(enum machine_floor what, ticks_t *samples, size_t count, void *pages[2])
{
    if (what == FLOOR_AP_START)
        return sim_ap_start_ticks(samples, count);
    for (size_t i = 0; i < count; i++) {
        ticks_t before = machine_ticks();
        if (!floor_once(what, pages))
            return 0;
        samples[i] = machine_ticks() - before;
    }
    return count;
}
