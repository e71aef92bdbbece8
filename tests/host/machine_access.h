/* What machine_access.c needs of machine_sim.c. */
#ifndef TESTS_HOST_MACHINE_ACCESS_H
#define TESTS_HOST_MACHINE_ACCESS_H

#include "machine_tlb.h"

/* Translates for this CPU in the space that it has loaded; PHYS_NONE: a page fault. */
phys_t sim_translate(uint64_t address, enum sim_access access, bool user);
/* How long each CPU but the first took to come up. */
size_t sim_ap_start_ticks(ticks_t *samples, size_t count);

#endif
