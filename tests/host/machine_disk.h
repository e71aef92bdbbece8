/* The simulated machine's disk: content block_pattern(), read-only, and ways to go wrong. */
#ifndef TESTS_HOST_MACHINE_DISK_H
#define TESTS_HOST_MACHINE_DISK_H

#include "core/types.h"

/* 0 bytes: none. */
void sim_disk_init(uint64_t size_bytes);
/* Reads that touch these bytes fail; an empty range: none does. */
void sim_disk_break(uint64_t offset_bytes, uint64_t size_bytes);
/* How many reads it has seen, and of how many bytes. */
uint64_t sim_disk_reads(uint64_t *bytes);

#endif
