/* What the menu looks like. */
#ifndef EFI_MENU_DRAW_H
#define EFI_MENU_DRAW_H

#include "efi/menu.h"

/* Lines of the list on this screen; at least 1. */
unsigned menu_draw_list_rows(const struct screen *screen);

void menu_draw(struct menu *menu);

#endif
