/* A disk in memory: initial content until it is written, then a frame for each page that was.
 *
 *   0                  image's end, to the page                  the disk's end
 *   |== loader's image ==|========== block_pattern() ================|
 *
 * Concepts: initial content is what the loader has read from the boot volume (boot_info.ramdisk), and behind
 * it, or where there is none, generated. All disks share it, and none writes to it: what nobody has
 * written costs nothing, and is copied or made anew by each read. A page's frame is taken
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
