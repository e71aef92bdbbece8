/* The `meta` block: what ran, on what. */
#include "core/block.h"
#include "core/canvas.h"
#include "core/fmt.h"
#include "core/mm/mm.h"
#include "core/script/runner_internal.h"
#include "core/version.h"

#define VALUE_MAX 1024
#define SECONDS_PER_DAY 86400

static void emit(void *context, const char *key, const char *value)
{
    (void)context;
    report_meta(key, value);
}

static void emit_number(const char *key, uint64_t number)
{
    char value[32];
    fmt_print(value, sizeof(value), "%lu", (unsigned long)number);
    report_meta(key, value);
}

/* Year, month and day of a day since 1970 (Hinnant: "chrono-compatible low-level date algorithms"). */
static void civil_date(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    uint64_t shifted = days + 719468; /* days since 0000-03-01 */
    uint64_t era = shifted / 146097;
    uint64_t day_of_era = shifted % 146097;
    uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t shifted_month = (5 * day_of_year + 2) / 153; /* from March */
    *day = (unsigned)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    *month = (unsigned)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    *year = (unsigned)(year_of_era + era * 400 + (*month <= 2));
}

/* When and with which seed: "20200101T120000-0000000000000001". */
static void emit_run_id(const struct runner *runner)
{
    char value[64];
    unsigned year, month, day;
    uint64_t now = runner->args->boot->start_time_unix;
    unsigned long second = now % SECONDS_PER_DAY;
    civil_date(now / SECONDS_PER_DAY, &year, &month, &day);
    fmt_print(value, sizeof(value), "%04u%02u%02uT%02lu%02lu%02lu-%016lx", year, month, day,
              second / 3600, second / 60 % 60, second % 60, (unsigned long)runner->facts.seed);
    report_meta("run_id", value);
}

/* The words as one line. */
static void emit_boot_params(const struct boot_info *boot)
{
    char value[VALUE_MAX];
    size_t length = 0;
    const char *text = machine_phys_to_virt(phys(boot->parameters.start));
    struct text rest = {text, boot->parameters.size_bytes};
    value[0] = '\0';
    for (struct text word = boot_params_cut_word(&rest); word.size > 0 && length < sizeof(value);
         word = boot_params_cut_word(&rest))
        length += fmt_print(value + length, sizeof(value) - length, "%s%.*s", length > 0 ? " " : "",
                            TEXT_ARGS(word));
    report_meta("boot_params", value);
}

static void emit_firmware(const struct boot_info *boot)
{
    char value[VALUE_MAX];
    report_meta("firmware_vendor", boot->firmware_vendor);
    fmt_print(value, sizeof(value), "0x%08x", boot->firmware_revision);
    report_meta("firmware_revision", value);
    unsigned minor = boot->uefi_revision & 0xffff;
    fmt_print(value, sizeof(value), "%u.%u", boot->uefi_revision >> 16, minor / 10);
    if (minor % 10 != 0)
        fmt_print(value, sizeof(value), "%u.%u.%u", boot->uefi_revision >> 16, minor / 10,
                  minor % 10);
    report_meta("uefi_revision", value);
}

static void emit_framebuffer(const struct boot_framebuffer *framebuffer)
{
    static const char *const formats[] = {"none", "rgbx", "bgrx", "bitmask", "blt-only"};
    char value[VALUE_MAX];
    uint32_t format = framebuffer->format < ARRAY_COUNT(formats) ? framebuffer->format : 0;
    fmt_print(value, sizeof(value), "none");
    struct canvas canvas;
    if (format != PIXEL_NONE)
        fmt_print(value, sizeof(value), "%ux%u %s", framebuffer->width, framebuffer->height,
                  formats[format]);
    if (canvas_init(&canvas, framebuffer, NULL))
        fmt_print(value, sizeof(value), "%ux%u %s pitch=%lu", framebuffer->width,
                  framebuffer->height, formats[format], (unsigned long)canvas.pitch_bytes);
    report_meta("framebuffer", value);
}

static void emit_disk(const struct block_device *disk)
{
    char value[VALUE_MAX];
    fmt_print(value, sizeof(value), "none");
    if (disk != NULL)
        fmt_print(value, sizeof(value), "%s size=%lu block=%u", disk->name,
                  (unsigned long)block_device_bytes(disk), disk->block_bytes);
    report_meta("disk", value);
}

static void emit_board(const struct boot_info *boot)
{
    char value[VALUE_MAX];
    bool has_board = boot->board_vendor[0] != '\0' || boot->board_product[0] != '\0';
    const char *vendor = has_board ? boot->board_vendor : boot->system_vendor;
    const char *product = has_board ? boot->board_product : boot->system_product;
    fmt_print(value, sizeof(value), "%s%s%s", vendor, vendor[0] && product[0] ? " " : "", product);
    report_meta("board", value[0] != '\0' ? value : "unknown");
}

void runner_report_meta(const struct runner *runner)
{
    static const char *const checks[] = {"each", "off", "debug", "deep"};
    const struct boot_info *boot = runner->args->boot;
    report_meta_begin();
    report_meta("pagelab_version", version_text);
    report_meta("git_commit", version_commit);
    emit_run_id(runner);
    emit_number("seed", runner->facts.seed);
    emit_boot_params(boot);
    machine_describe(emit, NULL);
    emit_number("cpu_count", machine_cpu_present());
    emit_number("cpus_up", runner->facts.cpu_count);
    emit_number("tsc_hz", runner->facts.ticks_per_second);
    emit_number("memory_total", mm_memory_bytes());
    emit_number("memory_usable", runner->facts.memory_bytes);
    emit_number("paging_levels", machine_levels);
    emit_firmware(boot);
    emit_framebuffer(&boot->framebuffer);
    emit_disk(machine_disk());
    report_meta("check", checks[runner->args->params->check]);
    report_meta("exact_mode", runner->exact ? "1" : "0");
    report_meta("compiler", version_compiler);
    emit_board(boot);
    report_meta_end();
}
