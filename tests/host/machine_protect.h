/* Write protection of the direct map, on the host's own pages. */
#ifndef TESTS_HOST_MACHINE_PROTECT_H
#define TESTS_HOST_MACHINE_PROTECT_H

#include "core/types.h"

/* From here on. */
void sim_protect_enable(void);
/* Gives the host's page what the page tables say about it in the direct map. */
void sim_protect_follow(phys_t page);
/* Is this CPU in a window? */
bool sim_protect_is_off(void);
/* In a child process, which may have lost the handler. */
void sim_protect_in_child(void);

#endif
