/* The other CPUs: starting, stopping. */
#ifndef X86_64_SMP_H
#define X86_64_SMP_H

#include "core/machine.h"
#include "x86_64/trap.h"

/* Resets all other CPUs, wherever firmware left them; on the loader's page tables. */
void smp_reset_others(const struct boot_info *boot);
/* Finds the other CPUs. The interrupt controller is up. */
void smp_init(const struct boot_info *boot, const struct machine_services *services);
/* Are all CPUs but one being stopped? Then an NMI says so. */
bool smp_is_stopping(void);
/* Stops this CPU, which was there, for good. */
[[gnu::noreturn]] void smp_stop_here(const struct trap_frame *frame);

#endif
