/* Rows of accesses: choosing the loop, entering it, saying how it ended. */
#include "x86_64/access.h"

#include "core/machine.h"
#include "x86_64/cpu_local.h"
#include "x86_64/descriptors.h"
#include "x86_64/instructions.h"
#include "x86_64/paging.h"

/* As in access.asm. */
enum loop_kind {
    LOOP_READ,
    LOOP_READ_CHECK,
    LOOP_WRITE,
    LOOP_EXEC,       /* its stack is the slot */
    LOOP_EXEC_STACK, /* it has a stack */
    LOOP_NOTHING,
    LOOP_KIND_COUNT,
};
#define LOOP_TIMED 1
#define LOOP_LISTED 2
#define LOOP_FLAGS_COUNT 4

extern const uint32_t user_loops[LOOP_KIND_COUNT][LOOP_FLAGS_COUNT];
extern const uint64_t kernel_loops[LOOP_KIND_COUNT][LOOP_FLAGS_COUNT];
extern const uint8_t user_program_start[];

static struct {
    uint64_t image_phys; /* where the core was loaded */
    uint64_t program;    /* the user program's address in ring 3; 0: not mapped yet */
} places;

void access_set_image(uint64_t image_phys)
{
    places.image_phys = image_phys;
}

phys_t machine_user_program(void)
{
    return phys(places.image_phys + ((uint64_t)user_program_start - BOOT_CORE_BASE));
}

void machine_access_init(uint64_t program_address, uint64_t slots_address_of_cpu0,
                         const phys_t *slot_pages)
{
    places.program = program_address;
    for (unsigned i = 0; i < machine_cpu_count(); i++) {
        cpu_locals[i].slots = machine_phys_to_virt(slot_pages[i]);
        cpu_locals[i].slots_user = slots_address_of_cpu0 + i * PAGE_SIZE;
    }
}

uint64_t *machine_slots(void)
{
    return cpu_local()->slots;
}

bool access_in_program(uint64_t address)
{
    return address - places.program < PAGE_SIZE;
}

uint64_t access_empty_program(void)
{
    return places.program; /* it begins with the end of every loop */
}

bool access_is_ready(void)
{
    return places.program != 0 && entry_is_user(paging_lookup(places.program));
}

unsigned access_kind(void)
{
    return cpu_local()->run_access;
}

static enum loop_kind loop_kind(const struct machine_access *access)
{
    switch (access->kind) {
    case MACHINE_READ:
        return access->check ? LOOP_READ_CHECK : LOOP_READ;
    case MACHINE_WRITE:
        return LOOP_WRITE;
    case MACHINE_EXEC:
        return access->kernel || access->stack_pointer != 0 ? LOOP_EXEC_STACK : LOOP_EXEC;
    case MACHINE_NOTHING:
        break;
    }
    return LOOP_NOTHING;
}

static unsigned access_rights(const struct machine_access *access)
{
    return access->kind == MACHINE_WRITE  ? ACCESS_WRITE
           : access->kind == MACHINE_EXEC ? ACCESS_EXEC
                                          : ACCESS_READ;
}

static enum machine_access_end access_end(const struct run *run, enum run_end end)
{
    switch (end) {
    case RUN_END_FAULT:
        return ACCESS_FAULTED;
    case RUN_END_MISMATCH:
        return ACCESS_MISMATCH;
    case RUN_END_DONE:
        /* Code that was called may have ended the run by itself. */
        return run->remaining == 0 ? ACCESS_DONE : ACCESS_CRASHED;
    case RUN_END_CRASH:
        break;
    }
    return ACCESS_CRASHED;
}

static void report(struct machine_access *access, const struct run *run, enum run_end end)
{
    access->end = access_end(run, end);
    access->done = run->remaining <= access->count ? access->count - run->remaining : 0;
    access->address = run->address;
    access->observed = run->result;
    if (access->end != ACCESS_FAULTED)
        return;
    access->outcome = (enum fault_outcome)run->result;
    /* Called code may have accessed something of its own: then the row's address is not to blame. */
    if (!access->kernel && !access_in_program(run->rip) && run->rip != run->address)
        access->address = run->fault_address;
    /* Or the call could not push where it returns to. */
    if (access->kind == MACHINE_EXEC && access->stack_pointer - run->fault_address == 8)
        access->address = run->fault_address;
}

void machine_access(struct machine_access *access)
{
    struct cpu_local *local = cpu_local();
    unsigned flags = (access->timed ? LOOP_TIMED : 0u) | (access->listed ? LOOP_LISTED : 0u);
    enum loop_kind kind = loop_kind(access);
    uint64_t slots = access->kernel ? (uint64_t)local->slots : local->slots_user;
    struct run run = {
        .rip =
            access->kernel ? kernel_loops[kind][flags] : places.program + user_loops[kind][flags],
        .rsp = access->stack_pointer != 0 ? access->stack_pointer : slots + 8,
        .address = access->start,
        .remaining = access->count,
        .stride = (uint64_t)access->stride_bytes,
        .slot = slots,
        .value = access->value,
    };
    access->outcome = FAULT_RESOLVED;
    if (access->count == 0) {
        report(access, &run, RUN_END_DONE);
        return;
    }

    local->run_access = access_rights(access);
    enum run_end end = access->kernel ? run_enter_kernel(&run) : run_enter_user(&run);
    ticks_t now = access->timed ? machine_ticks() : 0;
    report(access, &run, end);
    if (access->timed && access->end == ACCESS_FAULTED && access->done < MACHINE_SLOTS)
        local->slots[access->done] = now - run.start;
}

/* A run within a run, perhaps, or within a fault: both find their way back and their address as before. */
bool machine_still_translates(virt_t address)
{
    struct cpu_local *local = cpu_local();
    uint64_t way_back = local->tss.rsp[0];
    uint64_t fault_address = cr2_read();
    struct run run = {
        .rip = places.program + user_loops[LOOP_READ][0],
        .rsp = local->slots_user + 8,
        .address = address.value,
        .remaining = 1,
    };
    descriptors_try_page_fault(true);
    enum run_end end = run_enter_user(&run);
    descriptors_try_page_fault(false);
    cr2_write(fault_address);
    local->tss.rsp[0] = way_back;
    return end == RUN_END_DONE;
}
