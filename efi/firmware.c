/* The firmware's services as the loader uses them. */
#include "efi/firmware.h"

#include "core/fmt.h"
#include "core/text.h"
#include "efi/utf16.h"

#define PRINT_MAX 1000

struct firmware firmware;

void firmware_init(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    firmware = (struct firmware){
        .image = image,
        .system = system,
        .boot = system->BootServices,
        .runtime = system->RuntimeServices,
    };
    /* The boot manager's watchdog resets the machine after five minutes: a menu may wait longer. */
    (void)firmware.boot->SetWatchdogTimer(0, 0, 0, NULL);
}

void firmware_print(const char *format, ...)
{
    if (firmware.system->ConOut == NULL)
        return;
    char text[PRINT_MAX];
    va_list arguments;
    va_start(arguments, format);
    fmt_vprint(text, sizeof(text), format, arguments);
    va_end(arguments);

    CHAR16 wide[2 * PRINT_MAX];
    size_t count = 0;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\n')
            wide[count++] = '\r';
        wide[count++] = (unsigned char)*p < 0x80 ? (CHAR16)*p : '?';
    }
    wide[count] = 0;
    (void)firmware.system->ConOut->OutputString(firmware.system->ConOut, wide);
}

struct status_text {
    EFI_STATUS status;
    const char *name;
    const char *advice;
};

#define STATUS(name, advice) \
    {                        \
        name, #name, advice  \
    }

static const struct status_text status_texts[] = {
    STATUS(EFI_LOAD_ERROR, "BOOTX64.EFI may be damaged: copy it again"),
    STATUS(EFI_INVALID_PARAMETER, "the firmware may have a defect: look for an update"),
    STATUS(EFI_UNSUPPORTED, "the firmware cannot do this: look for an update"),
    STATUS(EFI_BAD_BUFFER_SIZE, "the firmware may have a defect: look for an update"),
    STATUS(EFI_BUFFER_TOO_SMALL, "start again; the firmware's tables grew meanwhile"),
    STATUS(EFI_NOT_READY, "start again"),
    STATUS(EFI_DEVICE_ERROR, "check the device that this was started from"),
    STATUS(EFI_WRITE_PROTECTED, "the device is read-only"),
    STATUS(EFI_OUT_OF_RESOURCES, "too little memory: give the machine more, or remove scenarios"),
    STATUS(EFI_VOLUME_CORRUPTED, "check the file system of the volume"),
    STATUS(EFI_VOLUME_FULL, "make room on the volume"),
    STATUS(EFI_NO_MEDIA, "insert the medium and start again"),
    STATUS(EFI_MEDIA_CHANGED, "leave the medium in and start again"),
    STATUS(EFI_NOT_FOUND, "the file or service does not exist on this machine"),
    STATUS(EFI_ACCESS_DENIED, "check the rights of the file, and Secure Boot"),
    STATUS(EFI_NO_RESPONSE, "check the device, then start again"),
    STATUS(EFI_NO_MAPPING, "start again"),
    STATUS(EFI_TIMEOUT, "check the device, then start again"),
    STATUS(EFI_NOT_STARTED, "start again"),
    STATUS(EFI_ALREADY_STARTED, "start again"),
    STATUS(EFI_ABORTED, "start again"),
    STATUS(EFI_PROTOCOL_ERROR, "the firmware may have a defect: look for an update"),
    STATUS(EFI_INCOMPATIBLE_VERSION, "the firmware is too old or too new for this"),
    STATUS(EFI_SECURITY_VIOLATION, "switch Secure Boot off, or sign BOOTX64.EFI"),
    STATUS(EFI_CRC_ERROR, "the data is damaged: copy it again"),
    STATUS(EFI_END_OF_MEDIA, "check the device that this was started from"),
    STATUS(EFI_END_OF_FILE, "the file is shorter than its directory says: copy it again"),
    STATUS(EFI_COMPROMISED_DATA, "the data is damaged: copy it again"),
};

static const struct status_text *find_status(EFI_STATUS status)
{
    static const struct status_text unknown = {0, "unknown status", "look for a firmware update"};
    for (size_t i = 0; i < ARRAY_COUNT(status_texts); i++) {
        if (status_texts[i].status == status)
            return &status_texts[i];
    }
    return &unknown;
}

const char *firmware_status_name(EFI_STATUS status)
{
    return find_status(status)->name;
}

EFI_STATUS firmware_failed(EFI_STATUS status, const char *what)
{
    const struct status_text *text = find_status(status);
    firmware_print("\nPageLab: %s: %s (%lx).\nWhat to do: %s.\n", what, text->name,
                   (unsigned long)status, text->advice);
    return status;
}

EFI_STATUS firmware_allocate(size_t size_bytes, size_t align_pages, void **memory)
{
    size_t page_count = page_ceil(size_bytes) / PAGE_SIZE;
    size_t extra = align_pages - 1;
    EFI_PHYSICAL_ADDRESS start = 0;
    EFI_STATUS status =
        firmware.boot->AllocatePages(AllocateAnyPages, EfiLoaderData, page_count + extra, &start);
    if (EFI_ERROR(status))
        return status;

    /* What alignment left over goes back; if the firmware refuses, it stays ours until the core frees
     * it with the rest of the loader. */
    uint64_t align_bytes = align_pages * PAGE_SIZE;
    uint64_t aligned = (start + align_bytes - 1) & ~(align_bytes - 1);
    size_t before = (aligned - start) / PAGE_SIZE;
    if (before > 0)
        (void)firmware.boot->FreePages(start, before);
    if (extra > before)
        (void)firmware.boot->FreePages(aligned + page_count * PAGE_SIZE, extra - before);
    *memory = (void *)aligned;
    return EFI_SUCCESS;
}

void *firmware_pool(size_t size_bytes)
{
    void *memory = NULL;
    if (EFI_ERROR(firmware.boot->AllocatePool(EfiLoaderData, size_bytes, &memory)))
        return NULL;
    memset(memory, 0, size_bytes);
    return memory;
}

void firmware_pool_free(void *memory)
{
    (void)firmware.boot->FreePool(memory);
}

void *firmware_table(const EFI_GUID *guid)
{
    for (size_t i = 0; i < firmware.system->NumberOfTableEntries; i++) {
        const EFI_CONFIGURATION_TABLE *table = &firmware.system->ConfigurationTable[i];
        if (memcmp(&table->VendorGuid, guid, sizeof(*guid)) == 0)
            return table->VendorTable;
    }
    return NULL;
}

EFI_STATUS firmware_protocol(EFI_HANDLE handle, const EFI_GUID *guid, void **interface)
{
    EFI_GUID copy = *guid;
    return firmware.boot->HandleProtocol(handle, &copy, interface);
}
