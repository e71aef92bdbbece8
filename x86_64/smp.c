/* Starting the other CPUs, interrupting and stopping them.
 *
 * Concepts: all other CPUs are reset by INIT as soon as the core runs, since firmware may have left them
 * spinning, which costs a virtual machine dearly (64 CPUs on two cores: eight seconds). They start one
 * after the other, by start-up interrupts, through a page below 1 MiB (trampoline.asm). The page names
 * the one CPU that is expected; it must claim that word before it uses anything, and the first CPU
 * withdraws it when time is up: exactly one of the two succeeds, so a CPU that comes late halts in the
 * page, which is why the page stays reserved for ever. A CPU that claimed and then went silent gets
 * INIT again and its stacks are written off.
 * Nobody spins: the first CPU halts until the new one interrupts it or the alarm goes off. */
#include "x86_64/smp.h"

#include "core/log.h"
#include "core/text.h"
#include "core/work.h"
#include "x86_64/acpi.h"
#include "x86_64/apic.h"
#include "x86_64/backtrace.h"
#include "x86_64/clock.h"
#include "x86_64/cpu_local.h"
#include "x86_64/descriptors.h"
#include "x86_64/features.h"
#include "x86_64/instructions.h"
#include "x86_64/timer.h"
#include "x86_64/trampoline.h"

#define INIT_WAIT_US 10000
#define STARTUP_WAIT_US 1000 /* before the start-up interrupt is repeated */
#define ONLINE_WAIT_US 2000000
#define STOP_WAIT_US 1000000 /* a virtual CPU may have to wait for its turn, too */

static struct {
    const struct boot_info *boot;
    const struct machine_services *services;
    struct trampoline_data *data; /* in the page, by the direct map */
    phys_t root;                  /* what a new CPU loads in the end */
    void *stacks[CPU_MAX];        /* tops, kept for the next attempt with the same index */
    uint32_t online;              /* set by a CPU that has started, reset before the next */
    uint32_t count;               /* CPUs up */
    uint32_t present;
    uint32_t others[CPU_MAX]; /* their APIC ids */
    uint32_t other_count;
    uint64_t reset_us; /* when they were */
    uint32_t stopping;
} smp = {.count = 1, .present = 1};

static void nothing_requested(void)
{
}

static void reset_cpu(uint32_t id)
{
    apic_send(id, APIC_DELIVER_INIT | APIC_LEVEL_TRIGGERED | APIC_LEVEL_ASSERT);
}

/* All CPUs but this one. */
static void find_others(void)
{
    static uint32_t ids[CPU_MAX];
    unsigned found = acpi_find_cpus(ids, CPU_MAX);
    uint32_t mine = apic_id();
    smp.present = found > 0 ? found : 1;
    if (found > CPU_MAX)
        log_error("this machine has %u CPUs; PageLab uses at most %u", found, CPU_MAX);
    for (unsigned i = 0; i < found && i < CPU_MAX; i++) {
        if (ids[i] == mine)
            continue;
        if (apic_can_reach(ids[i]))
            smp.others[smp.other_count++] = ids[i];
        else
            log_error("the CPU with APIC id %u cannot be reached without x2APIC: left out", ids[i]);
    }
}

void smp_init(const struct boot_info *boot, const struct machine_services *services)
{
    smp.boot = boot;
    smp.services = services;
    find_others();
}

void smp_reset_others(const struct boot_info *boot)
{
    apic_reset_others(boot);
    smp.reset_us = machine_microseconds();
}

unsigned machine_cpu_count(void)
{
    return smp.count;
}

unsigned machine_cpu_present(void)
{
    return smp.present;
}

/* --- a CPU's life --------------------------------------------------------------------------------- */

/* Where the trampoline leads, on the CPU's own stack, with the starting root. */
[[gnu::noreturn]] static void cpu_main(unsigned index)
{
    features_apply();
    machine_load_root(smp.root);
    cpu_local_load(index);
    apic_init_cpu();
    __atomic_store_n(&smp.online, 1, __ATOMIC_RELEASE);
    apic_send(cpu_locals[0].apic_id, VECTOR_WAKE);
    work_loop();
}

/* --- starting ---------------------------------------------------------------------------------------- */

/* A stack and the interrupt stacks; false when there is no memory. */
static bool create_stacks(unsigned index)
{
    struct cpu_local *local = &cpu_locals[index];
    for (unsigned i = 0; i < IST_END - 1; i++) {
        if (local->tss.ist[i] == 0)
            local->tss.ist[i] = (uint64_t)smp.services->stack_create(IST_STACK_SIZE);
        if (local->tss.ist[i] == 0)
            return false;
    }
    if (smp.stacks[index] == NULL)
        smp.stacks[index] = smp.services->stack_create(CPU_STACK_SIZE);
    return smp.stacks[index] != NULL;
}

static void write_off_stacks(unsigned index)
{
    smp.stacks[index] = NULL;
    memset(cpu_locals[index].tss.ist, 0, sizeof(cpu_locals[index].tss.ist));
}

static void prepare_page(phys_t root)
{
    struct control_state state = features_state();
    smp.data = trampoline_prepare(smp.boot->trampoline, &state, root);
    smp.data->entry = (uint64_t)cpu_main;
}

/* Takes the invitation back; false when it has been taken up. */
static bool withdraw(uint32_t id)
{
    return __atomic_compare_exchange_n(&smp.data->expected, &id, TRAMPOLINE_NOBODY, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* Invites the CPU and waits; true when it is online. */
static bool invite(uint32_t id)
{
    uint32_t startup =
        APIC_DELIVER_STARTUP | APIC_LEVEL_ASSERT | (uint32_t)(smp.boot->trampoline >> PAGE_SHIFT);
    __atomic_store_n(&smp.online, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&smp.data->expected, id, __ATOMIC_RELEASE);
    apic_send(id, startup);
    if (timer_wait_for(&smp.online, 1, STARTUP_WAIT_US))
        return true;
    apic_send(id, startup);
    return timer_wait_for(&smp.online, 1, ONLINE_WAIT_US);
}

/* Brings the CPU up with that index; false when it did not come. */
static bool start_cpu(uint32_t id, unsigned index)
{
    cpu_local_init(index, id);
    smp.data->stack = (uint64_t)smp.stacks[index];
    smp.data->index = index;

    ticks_t begin = machine_ticks();
    bool online = invite(id);
    if (!online && withdraw(id)) {
        log_error("the CPU with APIC id %u did not start within %u ms: left out", id,
                  ONLINE_WAIT_US / 1000);
        return false;
    }
    if (!online && !timer_wait_for(&smp.online, 1, ONLINE_WAIT_US)) {
        reset_cpu(id);
        write_off_stacks(index);
        log_error("the CPU with APIC id %u started but got stuck on its way: left out", id);
        return false;
    }
    cpu_locals[index].start_ticks = machine_ticks() - begin;
    return true;
}

struct cpu_check {
    struct control_state state;
    uint32_t apic_id;
    uint32_t index;
    phys_t root;
};

static void describe_myself(void *argument)
{
    *(struct cpu_check *)argument = (struct cpu_check){
        .state = features_state(),
        .apic_id = apic_id(),
        .index = machine_cpu()->index,
        .root = machine_root(),
    };
}

/* Is the new CPU who it should be, and in the state of this one? */
static bool check_cpu(unsigned index)
{
    struct cpu_check mine, its;
    describe_myself(&mine);
    machine_cpu_run(index, describe_myself, &its);
    if (its.apic_id != cpu_locals[index].apic_id || its.index != index) {
        log_error("CPU %u says it is CPU %u with APIC id %u, not %u: left out", index, its.index,
                  its.apic_id, cpu_locals[index].apic_id);
    } else if (its.root.value != mine.root.value ||
               memcmp(&its.state, &mine.state, sizeof(mine.state)) != 0) {
        log_error(
            "CPU %u runs with cr0 %llx cr4 %llx efer %llx, CPU 0 with %llx %llx %llx: left out",
            index, (unsigned long long)its.state.cr0, (unsigned long long)its.state.cr4,
            (unsigned long long)its.state.efer, (unsigned long long)mine.state.cr0,
            (unsigned long long)mine.state.cr4, (unsigned long long)mine.state.efer);
    } else {
        return true;
    }
    reset_cpu(cpu_locals[index].apic_id);
    write_off_stacks(index);
    return false;
}

static void start_all(unsigned limit)
{
    static const uint32_t never;
    while (machine_microseconds() - smp.reset_us < INIT_WAIT_US)
        (void)timer_wait_for(&never, 1, INIT_WAIT_US);

    for (unsigned i = 0; i < smp.other_count && smp.count < limit; i++) {
        if (!create_stacks(smp.count)) {
            log_error("no memory for the stacks of CPU %u: no further CPU is started", smp.count);
            return;
        }
        if (!start_cpu(smp.others[i], smp.count))
            continue;
        smp.count++; /* so that the check can give it work */
        if (!check_cpu(smp.count - 1))
            smp.count--;
    }
}

void machine_start_cpus(unsigned limit)
{
    if (limit > CPU_MAX)
        limit = CPU_MAX;
    if (smp.other_count == 0 || limit <= 1)
        return;
    if (!trampoline_is_usable(smp.boot)) {
        log_error("firmware left no page below 1 MiB: only one CPU is used");
        return;
    }
    const struct identity_range page = {phys(smp.boot->trampoline), PAGE_SIZE};
    phys_t root = smp.services->identity_root_create(&page, 1);
    if (root.value == PHYS_NONE.value || root.value > UINT32_MAX) {
        log_error("no memory below 4 GiB for starting CPUs: only one CPU is used");
        return;
    }
    smp.root = machine_root();
    prepare_page(root);
    start_all(limit);
    smp.services->identity_root_destroy(root);
}

/* --- waiting and waking ------------------------------------------------------------------------------------ */

void (*machine_request_handler)(void) = nothing_requested;

void machine_halt(void)
{
    uint64_t flags = machine_irq_disable();
    /* An interrupt cannot get in between the two. */
    __asm__ volatile("sti\n\thlt" : : : "memory");
    if ((flags & X86_FLAG_INTERRUPT) == 0)
        (void)machine_irq_disable();
}

void machine_wake(unsigned cpu)
{
    apic_send(cpu_locals[cpu].apic_id, VECTOR_WAKE);
}

void machine_request(unsigned cpu)
{
    apic_send(cpu_locals[cpu].apic_id, VECTOR_REQUEST);
}

/* --- stopping -------------------------------------------------------------------------------------------- */

bool smp_is_stopping(void)
{
    return __atomic_load_n(&smp.stopping, __ATOMIC_ACQUIRE) != 0;
}

void smp_stop_here(const struct trap_frame *frame)
{
    struct cpu_local *local = cpu_local();
    local->stopped_at = (struct code_place){frame->rip, frame->rbp, frame->rsp};
    __atomic_store_n(&local->stopped, 1, __ATOMIC_RELEASE);
    halt_for_ever();
}

void machine_stop_others(void)
{
    __atomic_store_n(&smp.stopping, 1, __ATOMIC_RELEASE);
    uint32_t me = machine_cpu()->index;
    for (uint32_t i = 0; i < smp.count; i++) {
        if (i != me)
            apic_send(cpu_locals[i].apic_id, APIC_DELIVER_NMI | APIC_LEVEL_ASSERT);
    }
    ticks_t begin = machine_ticks();
    for (uint32_t i = 0; i < smp.count; i++) {
        while (i != me && __atomic_load_n(&cpu_locals[i].stopped, __ATOMIC_ACQUIRE) == 0 &&
               machine_ticks() - begin < clock_ticks(STOP_WAIT_US))
            machine_pause();
    }
}

void machine_describe_other(unsigned cpu)
{
    const struct cpu_local *local = &cpu_locals[cpu];
    if (__atomic_load_n(&local->stopped, __ATOMIC_ACQUIRE) == 0) {
        log_panic_line("CPU %u has not stopped, not even for a non-maskable interrupt", cpu);
        return;
    }
    log_panic_line("CPU %u was at 0x%llx", cpu, (unsigned long long)local->stopped_at.rip);
    backtrace_print(&local->stopped_at, local);
}
