/* A disk in memory: generated content until it is written, then a frame for each page that was.
 *
 * Concepts: what nobody has written costs nothing: it is made anew by each read. A page's frame is taken
 * when it is reserved, so that writing needs no memory.
 * Locking: its own lock, of RANK_BLOCK. */
#ifndef CORE_MM_RAMDISK_H
#define CORE_MM_RAMDISK_H

#include "core/block.h"
#include "core/lock.h"
#include "core/mm/slots.h"

struct audit;

struct ramdisk {
    struct block_device block; /* a block is a page */
    struct lock lock;
    struct slot_table table; /* what was written */
};

/* ENOMEM. */
result_t ramdisk_create(uint64_t page_count, struct ramdisk **ramdisk);
void ramdisk_destroy(struct ramdisk *ramdisk);
/* Counts its frames. */
void ramdisk_audit(struct ramdisk *ramdisk, struct audit *audit);

#endif
