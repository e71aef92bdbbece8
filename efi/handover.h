/* The end of the firmware's time: loads the core, puts everything that it needs to know where it stays,
 * takes the final memory map, ends boot services, jumps.
 *
 *   allocation      kind in the map         lives
 *   core image      MEMORY_CORE             for ever; 2 MiB aligned
 *   boot data       MEMORY_BOOT_DATA        for ever: boot_info and all that it refers to
 *   record          MEMORY_BOOT_DATA        for ever, and over a reset (efi/last_run.h)
 *   RAM disk        MEMORY_BOOT_DATA        for ever
 *   trampoline      MEMORY_TRAMPOLINE       for ever; one page below 1 MiB
 *   page tables,    MEMORY_BOOT_TEMPORARY   until the core runs on its own tables and stack
 *   stack, loader
 */
#ifndef EFI_HANDOVER_H
#define EFI_HANDOVER_H

#include "efi/library.h"

struct handover_args {
    const struct library *library;
    struct text parameters;   /* one word a line */
    struct text fatal;        /* empty, or what ends the run; lines end in LF */
    struct boot_blob record;  /* room for the run's text, or empty */
    struct boot_blob ramdisk; /* the RAM disks' image, or empty */
};

/* Starts the core; returns only when that cannot be done, after having printed why. */
[[nodiscard]] EFI_STATUS handover(const struct handover_args *args);

#endif
