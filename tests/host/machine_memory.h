/* Simulated physical memory and what a loader leaves in it. */
#ifndef TESTS_HOST_MACHINE_MEMORY_H
#define TESTS_HOST_MACHINE_MEMORY_H

#include "machine_sim.h"

#define SIM_IMAGE_TEXT_PAGES 16
#define SIM_IMAGE_RODATA_PAGES 16 /* the first is the program of ring 3 */
#define SIM_IMAGE_DATA_PAGES 16
#define SIM_IMAGE_GUARD_PAGES 1
#define SIM_IMAGE_STACK_PAGES 4
#define SIM_IMAGE_PAGES                                                     \
    (SIM_IMAGE_TEXT_PAGES + SIM_IMAGE_RODATA_PAGES + SIM_IMAGE_DATA_PAGES + \
     SIM_IMAGE_GUARD_PAGES + SIM_IMAGE_STACK_PAGES)

/* The one byte that `exec` may call: ret. Text and the user program are full of it. */
#define SIM_RETURN_BYTE 0xC3

const struct boot_info *sim_memory_build(const struct sim_config *config);
/* Where the core's image lies. */
phys_t sim_image_start(void);

#endif
