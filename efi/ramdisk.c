/* The image that RAM disks of scenarios begin with. See ramdisk.h. */
#include "efi/ramdisk.h"

#include "efi/free_memory.h"
#include "efi/notes.h"

static struct boot_blob refuse(EFI_STATUS status)
{
    notes_add("%s cannot be read and is ignored: %s", RAMDISK_PATH, firmware_status_name(status));
    return (struct boot_blob){0, 0};
}

/* With what is behind the last byte set to zero, to the end of its page. */
static EFI_STATUS read_pages(const struct volume *volume, size_t size_bytes, void **memory)
{
    EFI_STATUS status = firmware_allocate(size_bytes, 1, memory);
    if (EFI_ERROR(status))
        return status;
    status = volume_read_into(volume, RAMDISK_PATH, *memory, size_bytes);
    if (EFI_ERROR(status))
        (void)firmware.boot->FreePages((uint64_t)(uintptr_t)*memory,
                                       page_ceil(size_bytes) / PAGE_SIZE);
    else
        memset((char *)*memory + size_bytes, 0, page_ceil(size_bytes) - size_bytes);
    return status;
}

struct boot_blob ramdisk_load(const struct volume *volume)
{
    uint64_t size_bytes;
    void *memory = NULL;
    EFI_STATUS status = volume_size(volume, RAMDISK_PATH, &size_bytes);
    if (status == EFI_NOT_FOUND)
        return (struct boot_blob){0, 0};
    if (EFI_ERROR(status))
        return refuse(status);
    if (size_bytes == 0) {
        notes_add("%s is empty and is ignored", RAMDISK_PATH);
        return (struct boot_blob){0, 0};
    }
    uint64_t free_bytes = free_memory_bytes();
    uint64_t most = free_bytes > RAMDISK_SPARES ? (free_bytes - RAMDISK_SPARES) / RAMDISK_SHARE : 0;
    if (size_bytes > most) {
        notes_add(
            "%s is too large and is ignored: it has %lu KiB, and %lu KiB of memory are the most that it may take",
            RAMDISK_PATH, (unsigned long)((size_bytes + KIB - 1) / KIB),
            (unsigned long)(most / KIB));
        return (struct boot_blob){0, 0};
    }
    status = read_pages(volume, size_bytes, &memory);
    if (EFI_ERROR(status))
        return refuse(status);
    notes_add("RAM disk: %s, %lu bytes", RAMDISK_PATH, (unsigned long)size_bytes);
    return (struct boot_blob){(uint64_t)(uintptr_t)memory, size_bytes};
}
