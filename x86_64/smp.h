/* The other CPUs: starting, stopping. */
#ifndef X86_64_SMP_H
#define X86_64_SMP_H

#include "core/machine.h"

/* Keeps what starting CPUs will need. */
void smp_init(const struct boot_info *boot, const struct machine_services *services);
/* Are all CPUs but one being stopped? Then an NMI says so. */
bool smp_is_stopping(void);
/* Stops this CPU for good. */
[[gnu::noreturn]] void smp_stop_here(void);
/* Frames of interrupt stacks for a CPU; false when there is no memory. */
bool smp_create_stacks(unsigned index);

#endif
