/* The loader's main program: parameters, scenarios, menu or none, then the core. */
#include "efi/main.h"
#include "core/fmt.h"
#include "efi/handover.h"
#include "efi/notes.h"
#include "efi/options.h"

static EFI_STATUS run(void)
{
    static struct options options;
    static struct boot_params params;
    static struct boot_params_error error;
    struct volume volume;
    struct library library;
    volume_open(&volume);
    options_collect(&options, &volume);
    EFI_STATUS status = library_load(&library, &volume);
    if (EFI_ERROR(status))
        return firmware_failed(status, "cannot check the scenarios");

    static char fatal[sizeof(error.text) + 1];
    boot_params_defaults(&params);
    size_t fatal_size = 0;
    if (boot_params_parse(&params, options_text(&options), &error) != OK)
        fatal_size = fmt_print(fatal, sizeof(fatal), "%s\n", error.text);
    firmware_print("PageLab: starting.\n");
    struct handover_args args = {
        .library = &library,
        .parameters = options_text(&options),
        .fatal = {fatal, fatal_size},
    };
    return handover(&args);
}

EFI_STATUS loader_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    firmware_init(image, system);
    return run();
}
