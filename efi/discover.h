/* What the firmware knows about the machine and the core wants to know: ACPI, SMBIOS strings, the
 * screen, the time, the firmware itself. */
#ifndef EFI_DISCOVER_H
#define EFI_DISCOVER_H

#include "core/boot_info.h"

/* Fills acpi_rsdp, framebuffer, efi_reset_system, start_time_unix, revisions and all names. What the
 * firmware does not have stays zero. */
void discover(struct boot_info *info);

#endif
