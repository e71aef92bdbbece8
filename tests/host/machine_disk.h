/* The simulated machine's disk: content block_pattern(), read-only. */
#ifndef TESTS_HOST_MACHINE_DISK_H
#define TESTS_HOST_MACHINE_DISK_H

#include "core/types.h"

/* 0 bytes: none. What touches the page at bad_offset cannot be read; 0: all can. */
void sim_disk_init(uint64_t size_bytes, uint64_t bad_offset);

#endif
