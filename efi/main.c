/* The loader's main program: parameters, scenarios, menu or none, then the core. */
#include "efi/main.h"

#include "core/fmt.h"
#include "efi/handover.h"
#include "efi/keyboard.h"
#include "efi/menu.h"

/* How long a message about a failed start stays when nobody presses a key. */
#define FAILURE_SECONDS 30

static EFI_STATUS prepare(struct choice *choice, struct library *library)
{
    struct volume volume;
    volume_open(&volume);
    EFI_STATUS status = library_load(library, &volume);
    if (!EFI_ERROR(status))
        status = choice_init(choice, library, &volume);
    return EFI_ERROR(status) ? firmware_failed(status, "cannot check the scenarios") : status;
}

/* Lets the user choose. EFI_ABORTED when he wants back to the firmware. */
static EFI_STATUS choose(struct choice *choice)
{
    struct menu *menu = firmware_pool(sizeof(*menu));
    if (menu == NULL)
        return firmware_failed(EFI_OUT_OF_RESOURCES, "no memory for the menu");
    if (menu_show(menu, choice) == MENU_QUIT)
        return EFI_ABORTED;
    if (choice_keep_ticks(choice) != OK)
        return firmware_failed(EFI_BAD_BUFFER_SIZE, "too many scenarios are ticked one by one");
    return EFI_SUCCESS;
}

/* The loader never ends a run by itself: bad parameters without a menu to correct them in are handed on
 * like everything else. */
static EFI_STATUS start(const struct choice *choice)
{
    static char fatal[sizeof(choice->error.text) + 1];
    size_t fatal_size = 0;
    if (choice->bad_word)
        fatal_size = fmt_print(fatal, sizeof(fatal), "%s\n", choice->error.text);
    firmware_print("PageLab: starting; results go to the serial port.\n");
    struct handover_args args = {
        .library = choice->library,
        .parameters = options_text(&choice->current->options),
        .fatal = {fatal, fatal_size},
    };
    return handover(&args);
}

EFI_STATUS loader_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    struct library library;
    struct choice choice;
    firmware_init(image, system);
    EFI_STATUS status = prepare(&choice, &library);
    bool menu =
        !EFI_ERROR(status) && keyboard_exists() && boot_params_wants_menu(&choice.current->params);
    if (menu)
        status = choose(&choice);
    if (!EFI_ERROR(status))
        status = start(&choice);
    if (status == EFI_ABORTED)
        return status;

    struct key key;
    firmware_print("Press a key to go back to the firmware.\n");
    if (keyboard_exists())
        (void)keyboard_wait(&key, FAILURE_SECONDS);
    return status;
}
