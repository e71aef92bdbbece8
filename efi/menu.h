/* The menu: which scenarios, with which parameters. Works on any console of the firmware from 80x25 on,
 * serial terminals included; a time-out makes it run what would have run without it. */
#ifndef EFI_MENU_H
#define EFI_MENU_H

#include "efi/choice.h"
#include "efi/line_editor.h"
#include "efi/screen.h"

enum menu_end { MENU_RUN, MENU_QUIT };

/* Does the clock run, or does the menu wait for a person? */
enum menu_patience { MENU_TIMES_OUT, MENU_WAITS };

enum menu_mode_shown { MENU_LIST, MENU_DETAILS, MENU_HELP, MENU_EDITOR };

struct menu {
    struct choice *choice;
    enum menu_mode_shown mode;
    struct text tag;            /* the list shows scenarios with this tag; empty: all */
    size_t listed[LIBRARY_MAX]; /* indices of those scenarios */
    size_t listed_count;
    size_t current;        /* position in the list of the scenario that keys act on */
    size_t first_shown;    /* position at the top of the window */
    unsigned seconds_left; /* 0: the clock does not run */
    struct line_editor editor;
    struct boot_params_error editor_error;
    struct screen screen;
};

/* The scenario that keys act on; NULL when the list is empty. */
static inline struct scenario *menu_current(const struct menu *menu)
{
    if (menu->listed_count == 0)
        return NULL;
    return &menu->choice->library->scenarios[menu->listed[menu->current]];
}

/* Returns MENU_RUN with what to run in the ticks, or MENU_QUIT when the user wants back to the firmware.
 * With bad parameters there is no time-out, and nothing runs until they are corrected. */
enum menu_end menu_show(struct menu *menu, struct choice *choice, enum menu_patience patience);

#endif
