/* Write protection of the direct map, and its windows, on the simulated machine.
 *
 * Concepts: core/mm reaches RAM through the process's own mapping, not through page tables. So a page
 * that the direct map shows read-only is read-only for Linux, too, and a write to it is a SIGSEGV. In a
 * window its handler opens the page for as long as the window is; outside it is a panic.
 * The difference to a PC: an opened page is open for all CPUs. */
#include "machine_protect.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/boot_info.h"
#include "core/log.h"
#include "core/machine.h"
#include "core/panic.h"
#include "machine_sim.h"

#define OPENED_MAX 64

static bool enabled;
static bool in_use; /* some page has been read-only */
static struct sigaction previous;

/* This CPU's window. */
static _Thread_local bool is_open;
static _Thread_local phys_t opened[OPENED_MAX];
static _Thread_local unsigned opened_count;

static bool is_read_only(phys_t page)
{
    struct sim_translation now = sim_look_up_tables(BOOT_DIRECT_MAP_BASE + page.value);
    return now.present && !now.writable;
}

static void set_rights(phys_t page, int rights)
{
    if (mprotect(sim_memory + page.value, PAGE_SIZE, rights) != 0)
        abort();
}

static void close_opened(void)
{
    while (opened_count > 0) {
        phys_t page = opened[--opened_count];
        if (is_read_only(page)) /* it may be none of the heap's any more */
            set_rights(page, PROT_READ);
    }
}

static void describe(const void *context)
{
    const phys_t *at = context;
    if (panic_describe_address != NULL)
        panic_describe_address(BOOT_DIRECT_MAP_BASE + at->value);
    machine_describe_cpu();
}

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    uint64_t offset = (uint64_t)info->si_addr - (uint64_t)sim_memory;
    phys_t at = phys(offset);
    (void)signal_number;
    (void)context;
    if (!sim_is_ram(at) || !is_read_only(phys(page_floor(offset)))) {
        sigaction(SIGSEGV, &previous, NULL); /* happens again, and is somebody else's */
        return;
    }
    if (!is_open)
        panic_exception(describe, &at, "write to 0x%llx by the kernel, the page's rights forbid it",
                        (unsigned long long)(BOOT_DIRECT_MAP_BASE + offset));
    if (opened_count == OPENED_MAX)
        close_opened();
    opened[opened_count++] = phys(page_floor(offset));
    set_rights(phys(page_floor(offset)), PROT_READ | PROT_WRITE);
}

/* Test frameworks put their own handler there. */
static void install_handler(void)
{
    struct sigaction now;
    sigaction(SIGSEGV, NULL, &now);
    if (now.sa_sigaction == on_fault)
        return;
    previous = now;
    sigemptyset(&now.sa_mask);
    now.sa_flags = SA_SIGINFO | SA_NODEFER;
    now.sa_sigaction = on_fault;
    sigaction(SIGSEGV, &now, NULL);
}

void sim_protect_enable(void)
{
    enabled = true;
}

void sim_protect_follow(phys_t page)
{
    if (!enabled)
        return;
    if (is_read_only(page)) {
        in_use = true;
        install_handler();
        set_rights(page, PROT_READ);
    } else if (in_use) {
        set_rights(page, PROT_READ | PROT_WRITE);
    }
}

void machine_write_protect(bool on)
{
    is_open = !on;
    if (on)
        close_opened();
    else if (in_use)
        install_handler();
}

bool sim_protect_is_off(void)
{
    return is_open;
}

void sim_protect_in_child(void)
{
    if (in_use)
        install_handler();
}
