/* What the firmware knows about the machine and the core wants to know. */
#include "efi/discover.h"

#include "core/text.h"
#include "efi/firmware.h"
#include "efi/utf16.h"

#include <libsmbios.h>

#define SMBIOS_SYSTEM 1
#define SMBIOS_BOARD 2
#define SMBIOS_END 127

#define TIMEZONE_UNSPECIFIED 2047
#define DAYS_TO_1970 719468 /* from 0000-03-01 */

static const EFI_GUID acpi_20_guid = ACPI_20_TABLE_GUID;
static const EFI_GUID acpi_10_guid = ACPI_TABLE_GUID;
static const EFI_GUID smbios_3_guid = SMBIOS3_TABLE_GUID;
static const EFI_GUID smbios_guid = SMBIOS_TABLE_GUID;
static const EFI_GUID graphics_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;

static void discover_acpi(struct boot_info *info)
{
    void *rsdp = firmware_table(&acpi_20_guid);
    if (rsdp == NULL)
        rsdp = firmware_table(&acpi_10_guid);
    info->acpi_rsdp = (uint64_t)(uintptr_t)rsdp;
}

static struct text smbios_structures(void)
{
    const SMBIOS3_STRUCTURE_TABLE *new = firmware_table(&smbios_3_guid);
    if (new != NULL && memcmp(new->AnchorString, "_SM3_", 5) == 0)
        return (struct text){(const char *)(uintptr_t) new->TableAddress, new->TableMaximumSize};
    const SMBIOS_STRUCTURE_TABLE *old = firmware_table(&smbios_guid);
    if (old != NULL && memcmp(old->AnchorString, "_SM_", 4) == 0)
        return (struct text){(const char *)(uintptr_t)old->TableAddress, old->TableLength};
    return (struct text){NULL, 0};
}

/* String `number` (from 1) of the structure's strings, or an empty one. */
static struct text smbios_string(struct text strings, unsigned number)
{
    for (unsigned i = 1; i < number && strings.size > 0 && strings.data[0] != '\0'; i++)
        (void)text_cut(&strings, '\0');
    return number > 0 ? text_cut(&strings, '\0') : (struct text){NULL, 0};
}

static void copy_name(char *to, size_t size, struct text name)
{
    name = text_trim(name);
    size_t count = name.size < size ? name.size : size - 1;
    for (size_t i = 0; i < count; i++)
        to[i] = name.data[i] >= ' ' && name.data[i] < 0x7f ? name.data[i] : '?';
    to[count] = '\0';
}

/* The length of a structure's strings: they end with an empty one. */
static size_t smbios_strings_size(struct text rest)
{
    for (size_t i = 0; i + 1 < rest.size; i++) {
        if (rest.data[i] == '\0' && rest.data[i + 1] == '\0')
            return i + 2;
    }
    return rest.size;
}

static void discover_smbios(struct boot_info *info)
{
    struct text rest = smbios_structures();
    while (rest.size > sizeof(SMBIOS_TYPE2)) {
        SMBIOS_TYPE2 head; /* type 1 begins with the same fields */
        memcpy(&head, rest.data, sizeof(head));
        if (head.Hdr.Type == SMBIOS_END || head.Hdr.Length < sizeof(SMBIOS_HEADER) ||
            head.Hdr.Length >= rest.size)
            return;
        struct text strings = {rest.data + head.Hdr.Length, rest.size - head.Hdr.Length};
        bool has_names = head.Hdr.Length >= offsetof(SMBIOS_TYPE2, Version);
        if (head.Hdr.Type == SMBIOS_SYSTEM && has_names) {
            copy_name(info->system_vendor, sizeof(info->system_vendor),
                      smbios_string(strings, head.Manufacturer));
            copy_name(info->system_product, sizeof(info->system_product),
                      smbios_string(strings, head.ProductName));
        } else if (head.Hdr.Type == SMBIOS_BOARD && has_names && info->board_vendor[0] == '\0') {
            copy_name(info->board_vendor, sizeof(info->board_vendor),
                      smbios_string(strings, head.Manufacturer));
            copy_name(info->board_product, sizeof(info->board_product),
                      smbios_string(strings, head.ProductName));
        }
        size_t used = head.Hdr.Length + smbios_strings_size(strings);
        rest = (struct text){rest.data + used, rest.size - used};
    }
}

static struct boot_framebuffer describe_mode(const EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE *mode)
{
    static const uint8_t formats[] = {
        [PixelRedGreenBlueReserved8BitPerColor] = PIXEL_RGBX,
        [PixelBlueGreenRedReserved8BitPerColor] = PIXEL_BGRX,
        [PixelBitMask] = PIXEL_BITMASK,
        [PixelBltOnly] = PIXEL_BLT_ONLY,
    };
    const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info = mode->Info;
    bool linear = (unsigned)info->PixelFormat < PixelBltOnly && mode->FrameBufferBase != 0;
    struct boot_framebuffer framebuffer = {
        .start = linear ? mode->FrameBufferBase : 0,
        .size_bytes = linear ? mode->FrameBufferSize : 0,
        .width = info->HorizontalResolution,
        .height = info->VerticalResolution,
        .pixels_per_line = info->PixelsPerScanLine,
        .format = linear ? formats[info->PixelFormat] : PIXEL_BLT_ONLY,
    };
    if (framebuffer.format == PIXEL_BITMASK) {
        framebuffer.red_mask = info->PixelInformation.RedMask;
        framebuffer.green_mask = info->PixelInformation.GreenMask;
        framebuffer.blue_mask = info->PixelInformation.BlueMask;
        framebuffer.reserved_mask = info->PixelInformation.ReservedMask;
    }
    return framebuffer;
}

/* Several may exist (one a screen, and one that stands for all): the first with memory to draw in. */
static void discover_screen(struct boot_info *info)
{
    EFI_GUID guid = graphics_guid;
    EFI_HANDLE *handles = NULL;
    UINTN count = 0;
    if (EFI_ERROR(firmware.boot->LocateHandleBuffer(ByProtocol, &guid, NULL, &count, &handles)))
        return;
    for (UINTN i = 0; i < count; i++) {
        void *interface = NULL;
        if (EFI_ERROR(firmware_protocol(handles[i], &graphics_guid, &interface)))
            continue;
        const EFI_GRAPHICS_OUTPUT_PROTOCOL *graphics = interface;
        if (graphics->Mode == NULL || graphics->Mode->Info == NULL)
            continue;
        struct boot_framebuffer framebuffer = describe_mode(graphics->Mode);
        bool better = framebuffer.format != PIXEL_BLT_ONLY;
        if (better || info->framebuffer.format == PIXEL_NONE)
            info->framebuffer = framebuffer;
        if (better)
            break;
    }
    (void)firmware.boot->FreePool(handles);
}

/* Days since 1970-01-01 of a date in the Gregorian calendar, counted in years that begin in March
 * (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day)
{
    int64_t march_year = month > 2 ? year : year - 1;
    int64_t march_month = (month + 9) % 12;
    int64_t day_of_year = (153 * march_month + 2) / 5 + day - 1;
    return 365 * march_year + march_year / 4 - march_year / 100 + march_year / 400 + day_of_year -
           DAYS_TO_1970;
}

static void discover_time(struct boot_info *info)
{
    EFI_TIME time;
    if (firmware.runtime->GetTime == NULL || EFI_ERROR(firmware.runtime->GetTime(&time, NULL)))
        return;
    if (time.Year < 1970 || time.Month < 1 || time.Month > 12 || time.Day < 1 || time.Day > 31 ||
        time.Hour > 23 || time.Minute > 59 || time.Second > 59)
        return;
    int64_t seconds = days_since_1970(time.Year, time.Month, time.Day) * 86400 + time.Hour * 3600 +
                      time.Minute * 60 + time.Second;
    if (time.TimeZone != TIMEZONE_UNSPECIFIED)
        seconds += time.TimeZone * 60;
    info->start_time_unix = seconds > 0 ? (uint64_t)seconds : 0;
}

void discover(struct boot_info *info)
{
    discover_acpi(info);
    discover_smbios(info);
    discover_screen(info);
    discover_time(info);

    const EFI_SYSTEM_TABLE *system = firmware.system;
    info->uefi_revision = system->Hdr.Revision;
    info->firmware_revision = system->FirmwareRevision;
    if (system->FirmwareVendor != NULL)
        utf16_to_ascii(info->firmware_vendor, sizeof(info->firmware_vendor), system->FirmwareVendor,
                       utf16_length(system->FirmwareVendor, sizeof(info->firmware_vendor)));
}
