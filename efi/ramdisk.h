/* The image that RAM disks of scenarios begin with: \pagelab\ramdisk.img on the boot volume. */
#ifndef EFI_RAMDISK_H
#define EFI_RAMDISK_H

#include "core/boot_info.h"
#include "efi/volume.h"

#define RAMDISK_PATH "\\pagelab\\ramdisk.img"
/* Free memory that the image leaves alone: what the core needs at least. Of what is above at most
 * 1 / RAMDISK_SHARE is for the image: the rest is what scenarios are about. */
#define RAMDISK_SPARES (64 * MIB)
#define RAMDISK_SHARE 2

/* Reads the image into pages of its own, as boot_info.ramdisk wants it. Empty when there is none, or none
 * that can be used: then a note says why, and the run goes on without it. */
struct boot_blob ramdisk_load(const struct volume *volume);

#endif
