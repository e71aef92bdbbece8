/* The loader's main program: parameters, scenarios, menu or none, then the core. */
#include "efi/main.h"

#include "core/fmt.h"
#include "efi/handover.h"
#include "efi/keyboard.h"
#include "efi/last_run.h"
#include "efi/menu.h"
#include "efi/ramdisk.h"

/* How long a message about a failed start stays when nobody presses a key. */
#define FAILURE_SECONDS 30

static EFI_STATUS prepare(struct choice *choice, struct library *library,
                          const struct volume *volume)
{
    EFI_STATUS status = library_load(library, volume);
    if (!EFI_ERROR(status))
        status = choice_init(choice, library, volume);
    return EFI_ERROR(status) ? firmware_failed(status, "cannot check the scenarios") : status;
}

/* Lets the user choose. EFI_ABORTED when he wants back to the firmware. */
static EFI_STATUS choose(struct choice *choice, enum menu_patience patience)
{
    struct menu *menu = firmware_pool(sizeof(*menu));
    if (menu == NULL)
        return firmware_failed(EFI_OUT_OF_RESOURCES, "no memory for the menu");
    if (menu_show(menu, choice, patience) == MENU_QUIT)
        return EFI_ABORTED;
    if (choice_keep_ticks(choice) != OK)
        return firmware_failed(EFI_BAD_BUFFER_SIZE, "too many scenarios are ticked one by one");
    return EFI_SUCCESS;
}

/* Only these ends leave a machine whose memory somebody may look at afterwards. A halted one has to be
 * reset by hand: perhaps it is switched off instead, and nothing is missed. */
static struct boot_blob prepare_record(const struct choice *choice, const struct volume *volume)
{
    enum on_exit on_exit = choice->current->params.on_exit;
    if (on_exit != ON_EXIT_REBOOT && on_exit != ON_EXIT_HALT)
        return (struct boot_blob){0, 0};
    struct boot_blob record = run_record_allocate();
    if (on_exit == ON_EXIT_REBOOT && record.size_bytes > 0)
        run_record_mark(volume);
    return record;
}

/* The loader never ends a run by itself: bad parameters without a menu to correct them in are handed on
 * like everything else. */
static EFI_STATUS start(const struct choice *choice, const struct volume *volume)
{
    static char fatal[sizeof(choice->error.text) + 1];
    size_t fatal_size = 0;
    if (choice->bad_word)
        fatal_size = fmt_print(fatal, sizeof(fatal), "%s\n", choice->error.text);
    firmware_print("PageLab: starting.\n");
    struct handover_args args = {
        .library = choice->library,
        .parameters = options_text(&choice->current->options),
        .fatal = {fatal, fatal_size},
        .record = prepare_record(choice, volume),
    };
    args.ramdisk =
        ramdisk_load(volume); /* the record comes first: its place is to be the same each time */
    return handover(&args);
}

EFI_STATUS loader_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    struct last_run last_run;
    struct volume volume;
    struct library library;
    struct choice choice;
    firmware_init(image, system);
    last_run_find(&last_run); /* before the loader uses the memory where it may be */
    volume_open(&volume);
    last_run_save(&last_run, &volume);
    EFI_STATUS status = prepare(&choice, &library, &volume);
    /* After a run there is somebody who wants to know, whatever that run was started with. */
    bool menu = !EFI_ERROR(status) && keyboard_exists() &&
                (last_run.happened || boot_params_wants_menu(&choice.current->params));
    if (menu)
        status = choose(&choice, last_run.ended_badly ? MENU_WAITS : MENU_TIMES_OUT);
    if (!EFI_ERROR(status))
        status = start(&choice, &volume);
    if (status == EFI_ABORTED)
        return status;

    struct key key;
    firmware_print("Press a key to go back to the firmware.\n");
    if (keyboard_exists())
        (void)keyboard_wait(&key, FAILURE_SECONDS);
    return status;
}
