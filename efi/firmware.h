/* The firmware's services as the loader uses them: tables, memory, console output, and errors by name.
 *
 * Functions that can fail return the firmware's own status, because that is what a person can look up;
 * `[[nodiscard]]` stands for what result_t does elsewhere. */
#ifndef EFI_FIRMWARE_H
#define EFI_FIRMWARE_H

#include "core/types.h"

#include <efi.h>

struct firmware {
    EFI_HANDLE image; /* the loader's own */
    EFI_SYSTEM_TABLE *system;
    EFI_BOOT_SERVICES *boot;
    EFI_RUNTIME_SERVICES *runtime;
};

/* Set once by firmware_init(); valid until boot services end. */
extern struct firmware firmware;

void firmware_init(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

/* To the firmware's console, if there is one. A `\n` becomes CR LF. Longer than 1000 bytes is cut. */
void firmware_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "EFI_OUT_OF_RESOURCES"; "unknown status" for what the specification does not name. */
const char *firmware_status_name(EFI_STATUS status);
/* Prints what failed, the status by name and what can be done about it. Returns the status. */
EFI_STATUS firmware_failed(EFI_STATUS status, const char *what);

/* Pages that live until the core frees them; NULL and *status when there are none. align_pages is a
 * power of two. */
[[nodiscard]] EFI_STATUS firmware_allocate(size_t size_bytes, size_t align_pages, void **memory);

/* Zeroed memory for the loader itself; NULL when there is none. */
void *firmware_pool(size_t size_bytes);
void firmware_pool_free(void *memory);

/* The configuration table of that GUID; NULL when there is none. */
void *firmware_table(const EFI_GUID *guid);
[[nodiscard]] EFI_STATUS firmware_protocol(EFI_HANDLE handle, const EFI_GUID *guid,
                                           void **interface);

#endif
