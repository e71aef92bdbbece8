/* The machine's disk: the first NVMe device with something to read. */
#ifndef X86_64_DISK_H
#define X86_64_DISK_H

#include "core/machine.h"

/* Looks for it; with the clock running. What it finds stands in the log. */
void disk_init(const struct machine_services *services);

#endif
